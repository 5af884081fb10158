//! n meetings start at one instant on one bridge (requirements.md section 6).

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use cms_simulator::JournalEntry;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use meeting_controller::controller::context::Settings;
use serde_json::json;

use crate::report::{machine, spread};
use crate::world::World;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How many meetings, one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 500])]
    meetings: Vec<usize>,
    /// Milliseconds the bridge takes for a request.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Requests in flight.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// Seconds a meeting lasts.
    #[arg(long, default_value_t = 40)]
    length: i64,
    /// Seconds from the last booking to the start; 0: chosen by the number of meetings.
    #[arg(long, default_value_t = 0)]
    lead: i64,
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}", machine());
    println!("{} ms per request, {} in flight, one participant\n", options.latency_ms, options.in_flight);
    println!(
        "{:>8}  {:<6} {:>8} {:>8} {:>8} {:>9} {:>7}  {:>12}",
        "meetings", "what", "p50 s", "p99 s", "max s", "limit s", "ratio", "requests/mtg"
    );
    for count in &options.meetings {
        one(options, *count).await?;
    }
    Ok(())
}

async fn one(options: &Options, count: usize) -> Result<(), String> {
    let settings = Settings { in_flight: options.in_flight, ..Settings::default() };
    let world = World::start(settings, Duration::ZERO).await?;
    world.bridge(u32::try_from(count).map_err(|error| error.to_string())?).await?;
    let lead = if options.lead > 0 { options.lead } else { 20 + i64::try_from(count / 12).unwrap_or(60) };
    let start = Timestamp::now().checked_add(SignedDuration::from_secs(lead)).map_err(|error| error.to_string())?;
    world
        .create_meetings(count, |index| {
            json!({
                "title": format!("Meeting {index}"), "bridgeRef": { "name": "core" }, "start": start.to_string(),
                "duration": format!("{}s", options.length),
                "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    world.sim.set_latency(Duration::from_millis(options.latency_ms));
    world.sim.clear_journal();
    let wait = Duration::from_secs(u64::try_from(lead).unwrap_or(0) + 60);
    let meetings = world.until_phase(Phase::Active, count, wait).await?;
    let slots: BTreeSet<u32> =
        meetings.iter().filter_map(|m| m.status.as_ref()?.slot.as_ref().map(|slot| slot.number)).collect();
    let begun = world.sim.journal();
    print_start(options, count, start, &begun);
    world.sim.clear_journal();
    world.until_phase(Phase::Ended, count, Duration::from_secs(180)).await?;
    print_end(options, count, start, &world.sim.journal());
    println!("{count:>8}  distinct slots: {} of {count}; most in flight: {}", slots.len(), world.sim.max_in_flight(0));
    if slots.len() != count {
        return Err("meetings share a slot".to_owned());
    }
    world.stop().await
}

fn is_door(entry: &JournalEntry, open: bool) -> bool {
    let value = if open { "true" } else { "false" };
    entry.method == "PUT" && entry.body.iter().any(|(key, v)| key == "nonMemberAccess" && v == value)
}

fn lateness(entries: &[JournalEntry], instant: Timestamp, wanted: impl Fn(&JournalEntry) -> bool) -> Vec<f64> {
    entries
        .iter()
        .filter(|entry| wanted(entry))
        .filter_map(|entry| Some(entry.finished?.duration_since(instant).as_secs_f64()))
        .collect()
}

fn row(count: usize, what: &str, late: Vec<f64>, limit: f64, requests: Option<f64>) {
    let spread = spread(late);
    let requests = requests.map(|requests| format!("{requests:.2}")).unwrap_or_default();
    println!(
        "{count:>8}  {what:<6} {:>8.3} {:>8.3} {:>8.3} {limit:>9.3} {:>7.2}  {requests:>12}",
        spread.p50,
        spread.p99,
        spread.max,
        spread.max / limit
    );
}

fn print_start(options: &Options, count: usize, start: Timestamp, journal: &[JournalEntry]) {
    let unit = count as f64 * options.latency_ms as f64 / 1000.0 / options.in_flight as f64;
    let is_call = |entry: &JournalEntry| entry.method == "POST" && entry.route == "calls";
    let is_leg = |entry: &JournalEntry| entry.method == "POST" && entry.route == "calls/{id}/callLegs";
    let last_leg = journal.iter().rposition(is_leg).map_or(journal.len(), |index| index + 1);
    let requests = last_leg as f64 / count as f64;
    row(count, "doors", lateness(journal, start, |entry| is_door(entry, true)), unit, None);
    row(count, "calls", lateness(journal, start, is_call), 2.0 * unit, None);
    row(count, "legs", lateness(journal, start, is_leg), 3.0 * unit, Some(requests));
    let last = |wanted: &dyn Fn(&JournalEntry) -> bool| journal.iter().filter(|e| wanted(e)).map(|e| e.at).max();
    let early = |wanted: &dyn Fn(&JournalEntry) -> bool, before: Option<Timestamp>| {
        journal.iter().filter(|entry| wanted(entry) && Some(entry.at) < before).count()
    };
    let calls_early = early(&is_call, last(&|entry| is_door(entry, true)));
    let legs_early = early(&is_leg, last(&is_call));
    println!(
        "{count:>8}  order: {calls_early} calls sent before the last door, {legs_early} legs before the last call"
    );
}

fn print_end(options: &Options, count: usize, start: Timestamp, journal: &[JournalEntry]) {
    let end = start.checked_add(SignedDuration::from_secs(options.length)).unwrap_or(start);
    let unit = count as f64 * options.latency_ms as f64 / 1000.0 / options.in_flight as f64;
    let after: Vec<JournalEntry> = journal.iter().filter(|entry| entry.at >= end).cloned().collect();
    row(count, "shut", lateness(&after, end, |entry| is_door(entry, false)), unit, None);
    let is_delete = |entry: &JournalEntry| entry.method == "DELETE" && entry.route == "calls/{id}";
    let requests = after.len() as f64 / count as f64;
    row(count, "ended", lateness(&after, end, is_delete), 2.0 * unit, Some(requests));
}
