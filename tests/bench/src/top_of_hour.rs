//! n meetings start at one instant on one bridge (requirements.md section 3).

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use cms_simulator::JournalEntry;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use meeting_controller::config::settings::Settings;
use meeting_controller::testing::settings;
use serde_json::json;

use crate::lateness::{header, is_call, is_door, is_leg, lateness, limit, row};
use crate::report::machine;
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
    header("meetings");
    for count in &options.meetings {
        one(options, *count).await?;
    }
    Ok(())
}

async fn one(options: &Options, count: usize) -> Result<(), String> {
    let settings = Settings { in_flight: options.in_flight, ..settings() };
    let world = World::start(settings).await?;
    let core = world.bridge(u32::try_from(count).map_err(|error| error.to_string())?).await?;
    let lead = if options.lead > 0 { options.lead } else { 20 + i64::try_from(count / 12).unwrap_or(60) };
    let start = Timestamp::now().checked_add(SignedDuration::from_secs(lead)).map_err(|error| error.to_string())?;
    world
        .create_meetings("m", count, |index| {
            json!({
                "title": format!("Meeting {index}"), "bridgeRef": { "name": "core" }, "start": start.to_string(),
                "duration": format!("{}s", options.length),
                "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    core.sim.set_latency(Duration::from_millis(options.latency_ms));
    core.sim.clear_journal();
    let wait = Duration::from_secs(u64::try_from(lead).unwrap_or(0) + 60);
    let meetings = world.until_phase(Phase::Active, count, wait).await?;
    let slots: BTreeSet<u32> =
        meetings.iter().filter_map(|m| m.status.as_ref()?.slot.as_ref().map(|slot| slot.number)).collect();
    let begun = core.sim.journal();
    print_start(options, count, start, &begun);
    core.sim.clear_journal();
    world.until_phase(Phase::Ended, count, Duration::from_secs(180)).await?;
    print_end(options, count, start, &core.sim.journal());
    println!("{count:>10}  distinct slots: {} of {count}; most in flight: {}", slots.len(), core.sim.max_in_flight(0));
    if slots.len() != count {
        return Err("meetings share a slot".to_owned());
    }
    world.stop().await
}

fn print_start(options: &Options, count: usize, start: Timestamp, journal: &[JournalEntry]) {
    let unit = limit(count, options.latency_ms, options.in_flight);
    let last_leg = journal.iter().rposition(is_leg).map_or(journal.len(), |index| index + 1);
    let requests = last_leg as f64 / count as f64;
    row(&count, "doors", lateness(journal, start, |entry| is_door(entry, true)), unit, None);
    row(&count, "calls", lateness(journal, start, is_call), 2.0 * unit, None);
    row(&count, "legs", lateness(journal, start, is_leg), 3.0 * unit, Some(requests));
    let last = |wanted: &dyn Fn(&JournalEntry) -> bool| journal.iter().filter(|e| wanted(e)).map(|e| e.at).max();
    let early = |wanted: &dyn Fn(&JournalEntry) -> bool, before: Option<Timestamp>| {
        journal.iter().filter(|entry| wanted(entry) && Some(entry.at) < before).count()
    };
    let calls_early = early(&is_call, last(&|entry| is_door(entry, true)));
    let legs_early = early(&is_leg, last(&is_call));
    println!(
        "{count:>10}  order: {calls_early} calls sent before the last door, {legs_early} legs before the last call"
    );
}

fn print_end(options: &Options, count: usize, start: Timestamp, journal: &[JournalEntry]) {
    let end = start.checked_add(SignedDuration::from_secs(options.length)).unwrap_or(start);
    let unit = limit(count, options.latency_ms, options.in_flight);
    let after: Vec<JournalEntry> = journal.iter().filter(|entry| entry.at >= end).cloned().collect();
    // Before a space is shut it is looked at by itself: two requests, then the call's end.
    row(&count, "shut", lateness(&after, end, |entry| is_door(entry, false)), 2.0 * unit, None);
    let is_delete = |entry: &JournalEntry| entry.method == "DELETE" && entry.route == "calls/{id}";
    let requests = after.len() as f64 / count as f64;
    row(&count, "ended", lateness(&after, end, is_delete), 3.0 * unit, Some(requests));
}
