//! What the process itself uses, under the names that Prometheus' own libraries use. Reads /proc when it is asked, so
//! that nothing ticks; where there is no /proc nothing is served.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::table::help;

/// Linux shows times to programs in hundredths of a second, whatever its own clock does (`USER_HZ`).
const TICKS: f64 = 100.0;
const BYTES_OF_KIB: f64 = 1024.0;
/// Fields of /proc/self/stat, counted after the name of the program (which may hold blanks): user and system time, start.
const USER: usize = 11;
const SYSTEM: usize = 12;
const START: usize = 19;

/// The collector.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let of_stat = |field: usize| {
            let fields = stat.rsplit_once(')')?.1;
            fields.split_whitespace().nth(field)?.parse::<f64>().ok().map(|ticks| ticks / TICKS)
        };
        if let (Some(user), Some(system)) = (of_stat(USER), of_stat(SYSTEM)) {
            let metric = ConstCounter::new(user + system);
            let name = "process_cpu_seconds";
            metric.encode(encoder.encode_descriptor(
                name,
                help("process_cpu_seconds_total"),
                None,
                metric.metric_type(),
            )?)?;
        }
        let boot = number_after("/proc/stat", "btime", 1.0);
        let gauges = [
            ("process_resident_memory_bytes", number_after("/proc/self/status", "VmRSS:", BYTES_OF_KIB)),
            ("process_open_fds", fs::read_dir("/proc/self/fd").ok().map(|files| f64::from(count(files.count())))),
            ("process_max_fds", number_after("/proc/self/limits", "Max open files", 1.0)),
            ("process_start_time_seconds", boot.zip(of_stat(START)).map(|(boot, start)| boot + start)),
        ];
        for (name, value) in gauges {
            let Some(value) = value else { continue };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help(name), None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

/// The descriptor of the directory itself is one of those that are counted.
fn count(files: usize) -> u32 {
    u32::try_from(files).unwrap_or(u32::MAX).saturating_sub(1)
}

/// The first number after a word at the beginning of a line.
fn number_after(file: &str, word: &str, unit: f64) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse::<f64>().ok().map(|number| number * unit)
}
