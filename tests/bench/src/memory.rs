//! Memory and status writes with many meetings far in the future (requirements.md section 6).

use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use meeting_controller::controller::context::Settings;
use serde_json::json;

use crate::report::machine;
use crate::world::World;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How many meetings.
    #[arg(long, default_value_t = 10_000)]
    meetings: usize,
    /// Seconds to watch for writes once all are settled.
    #[arg(long, default_value_t = 60)]
    quiet: u64,
}

/// Resident memory of this process in MiB, as the kernel tells.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}", machine());
    println!("the simulator runs in the same process and is part of the figures\n");
    let world = World::start(Settings::default(), Duration::ZERO).await?;
    world.bridge(500).await?;
    println!("with one bridge and no meeting:    {:>7.1} MiB", resident());
    let first = Timestamp::now().checked_add(SignedDuration::from_hours(24 * 30)).map_err(|error| error.to_string())?;
    let began = std::time::Instant::now();
    world
        .create_meetings(options.meetings, |index| {
            let offset = SignedDuration::from_mins(i64::try_from(index % 1000).unwrap_or(0) * 15);
            let start = first.checked_add(offset).unwrap_or(first);
            json!({
                "title": format!("Meeting {index}"), "bridgeRef": { "name": "core" }, "start": start.to_string(),
                "duration": "1h", "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    println!("created in                         {:>7.1} s", began.elapsed().as_secs_f64());
    world.until_phase(Phase::Scheduled, options.meetings, Duration::from_secs(1200)).await?;
    println!("all Scheduled after                {:>7.1} s", began.elapsed().as_secs_f64());
    println!("with {:>6} meetings:              {:>7.1} MiB", options.meetings, resident());
    let writes = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("meeting_controller_status_writes_total"));
        lines.filter(|line| line.contains("ScheduledMeeting")).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let before = writes(&world.metrics.text());
    tokio::time::sleep(Duration::from_secs(options.quiet)).await;
    println!("status writes in {} quiet seconds:  {}", options.quiet, writes(&world.metrics.text()) - before);
    println!("resident then:                     {:>7.1} MiB", resident());
    world.stop().await
}
