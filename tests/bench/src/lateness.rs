//! How late the writes of a start are, and the arithmetic limit of it; shared by the benchmarks about starts.

use std::fmt::Display;

use cms_simulator::JournalEntry;
use jiff::Timestamp;

use crate::report::spread;

/// Does this request open a space, or shut it?
pub fn is_door(entry: &JournalEntry, open: bool) -> bool {
    let value = if open { "true" } else { "false" };
    entry.method == "PUT" && entry.body.iter().any(|(key, v)| key == "nonMemberAccess" && v == value)
}

/// Does this request make a call?
pub fn is_call(entry: &JournalEntry) -> bool {
    entry.method == "POST" && entry.route == "calls"
}

/// Does this request dial somebody?
pub fn is_leg(entry: &JournalEntry) -> bool {
    entry.method == "POST" && entry.route == "calls/{id}/callLegs"
}

/// Seconds from the instant to the good reply to each wanted request.
pub fn lateness(entries: &[JournalEntry], instant: Timestamp, wanted: impl Fn(&JournalEntry) -> bool) -> Vec<f64> {
    entries
        .iter()
        .filter(|entry| entry.status == Some(200) && wanted(entry))
        .filter_map(|entry| Some(entry.finished?.duration_since(instant).as_secs_f64()))
        .collect()
}

/// Seconds that one request of each meeting takes at least.
pub fn limit(count: usize, latency_ms: u64, in_flight: usize) -> f64 {
    count as f64 * latency_ms as f64 / 1000.0 / in_flight as f64
}

/// The head of a table of [`row`]s.
pub fn header(label: &str) {
    println!(
        "{label:>10}  {:<6} {:>8} {:>8} {:>8} {:>9} {:>7}  {:>12}",
        "what", "p50 s", "p99 s", "max s", "limit s", "ratio", "requests/mtg"
    );
}

/// One line: how late, against the limit.
pub fn row(label: &dyn Display, what: &str, late: Vec<f64>, limit: f64, requests: Option<f64>) {
    let spread = spread(late);
    let requests = requests.map(|requests| format!("{requests:.2}")).unwrap_or_default();
    println!(
        "{:>10}  {what:<6} {:>8.3} {:>8.3} {:>8.3} {limit:>9.3} {:>7.2}  {requests:>12}",
        label.to_string(),
        spread.p50,
        spread.p99,
        spread.max,
        spread.max / limit
    );
}
