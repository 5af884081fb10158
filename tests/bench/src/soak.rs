//! The soak: days of meetings in minutes, with random faults and foreign hands on the bridge; whether anything grows, and
//! what a meeting costs. A *day* is so many meetings of a few seconds each, which all end and are deleted. Then nothing
//! happens for a while: what an idle hour costs. Each figure has its bar, and the soak fails if one is broken.

use std::time::{Duration, Instant};

use clap::Args;
use cms_simulator::check::{Expectation, Severity, check};
use cms_simulator::{Fault, FaultKind, Simulator};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams};
use meeting_controller::api::meeting::Phase;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::memory::Process;
use crate::report::machine;
use crate::world::{World, told};

/// Slots of the bridge.
const SLOTS: u32 = 40;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How many days.
    #[arg(long, default_value_t = 20)]
    days: u32,
    /// Meetings a day.
    #[arg(long, default_value_t = 40)]
    meetings: usize,
    /// Seconds after the last day in which nothing happens.
    #[arg(long, default_value_t = 600)]
    quiet: u64,
    /// Seed of the faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Requests to the bridge that a meeting with one participant, faults and foreign hands may cost: 18 is the guide's whole
/// life of one (requirements.md 1.2).
const MOST_REQUESTS: f64 = 18.0;

/// Status writes of a meeting: a plain operator does 8 (requirements.md, "What others reach").
const MOST_WRITES: f64 = 8.0;

/// What late days may cost more than early ones.
const MOST_GROWTH: f64 = 1.10;

/// Requests to an idle bridge: two a minute, and each three minutes one page for each 50 spaces (issue 9, section 2).
fn most_idle_requests() -> f64 {
    120.0 + 20.0 * f64::from(SLOTS.div_ceil(50))
}

/// Something that goes wrong once or a few times, on whichever request comes next.
fn fault(random: &mut StdRng) -> Fault {
    let kind = match random.random_range(0..7) {
        0 => FaultKind::Unavailable,
        1 => FaultKind::ResetBefore,
        2 => FaultKind::ResetAfter,
        3 => FaultKind::HtmlError,
        4 => FaultKind::Latency { delay: Duration::from_millis(400) },
        5 => FaultKind::TruncatedXml,
        _ => FaultKind::Failure { status: 400, element: "callBridgeUnavailable".to_owned() },
    };
    Fault::new(kind).skip(random.random_range(0..40)).times(random.random_range(1..4))
}

/// Somebody ends a call, or renames an open slot.
fn foreign_hand(sim: &Simulator, random: &mut StdRng) {
    let open: Vec<_> = sim.spaces().into_iter().filter(|space| space.open).collect();
    let Some(space) = open.get(random.random_range(0..open.len().max(1))) else { return };
    if random.random_bool(0.5) {
        sim.end_calls(&space.id);
    } else {
        let _ = sim.edit_space(&space.id, &[("name", "Renamed by hand")]);
    }
}

/// What was written to statuses since a position in the audit log.
fn status_writes(world: &World, since: u64) -> Result<usize, String> {
    let events = world.plane.audit_events_since(since).map_err(told("audit log"))?;
    Ok(events.iter().filter(|event| event.verb == "update" && event.subresource == "status").count())
}

/// What an idle hour costs: requests to the bridge, status writes.
#[allow(clippy::cast_precision_loss)]
async fn idle(world: &World, sim: &Simulator, quiet: u64) -> Result<(f64, f64), String> {
    // What the last day left to be told is told.
    tokio::time::sleep(Duration::from_secs(20)).await;
    sim.clear_faults();
    sim.clear_journal();
    let since = world.plane.audit_position().map_err(told("audit log"))?;
    tokio::time::sleep(Duration::from_secs(quiet)).await;
    let an_hour = 3600.0 / quiet.max(1) as f64;
    let requests = sim.with_journal(<[_]>::len) as f64;
    Ok((requests * an_hour, status_writes(world, since)? as f64 * an_hour))
}

struct Day {
    seconds: f64,
    requests: f64,
    writes: f64,
    missed: usize,
    resident: f64,
}

#[allow(clippy::cast_precision_loss)]
async fn day(
    world: &World,
    sim: &Simulator,
    process: &Process,
    options: &Options,
    number: u32,
    random: &mut StdRng,
) -> Result<Day, String> {
    let (began, start) = (Instant::now(), Timestamp::now());
    let since = world.plane.audit_position().map_err(told("audit log"))?;
    let later =
        |ms: u64| start.checked_add(SignedDuration::from_millis(i64::try_from(ms).unwrap_or(0))).unwrap_or(start);
    let spans: Vec<(u64, u64)> =
        (0..options.meetings).map(|_| (random.random_range(1_500..6_000), random.random_range(3_000..8_000))).collect();
    sim.clear_faults();
    for _ in 0..random.random_range(0..4) {
        sim.add_fault(fault(random));
    }
    world
        .create_meetings(&format!("d{number:03}"), options.meetings, |index| {
            let (from, length) = spans.get(index).copied().unwrap_or((2_000, 3_000));
            json!({
                "title": format!("Day {number}, {index}"), "bridgeRef": { "name": "core" },
                "start": later(from).to_string(), "end": later(from + length).to_string(),
                "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(random.random_range(500..2_500))).await;
        foreign_hand(sim, random);
    }
    let over = |phase: Option<Phase>| phase.is_some_and(Phase::is_over);
    let missed = loop {
        let all = world.meetings().list(&ListParams::default()).await.map_err(told("list"))?.items;
        let phases = || all.iter().map(|meeting| meeting.status.as_ref().and_then(|status| status.phase));
        if phases().all(over) {
            break phases().filter(|phase| *phase == Some(Phase::Missed)).count();
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!(
                "day {number}: {} meetings are not over",
                phases().filter(|phase| !over(*phase)).count()
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    world
        .meetings()
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .map_err(told("delete"))?;
    let settled = |sim: &cms_simulator::Handle| sim.calls().is_empty() && sim.spaces().iter().all(|space| !space.open);
    sim.await_state(settled, Duration::from_secs(60))
        .await
        .map_err(|_| format!("day {number}: something is left open"))?;
    let requests = sim.with_journal(<[_]>::len) as f64 / options.meetings as f64;
    let writes = status_writes(world, since)? as f64 / options.meetings as f64;
    Ok(Day { seconds: began.elapsed().as_secs_f64(), requests, writes, missed, resident: process.resident().0 })
}

#[allow(clippy::cast_precision_loss)]
pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}; {} days of {} meetings, seed {}\n", machine(), options.days, options.meetings, options.seed);
    println!(
        "{:>4} {:>9} {:>17} {:>15} {:>7} {:>9}",
        "day", "seconds", "requests/meeting", "writes/meeting", "missed", "RSS MiB"
    );
    let mut random = StdRng::seed_from_u64(options.seed);
    let world = World::audited().await?;
    let process = Process::start(&world)?;
    let core = world.bridge(SLOTS).await?;
    let mut days = Vec::new();
    for number in 0..options.days {
        let day = day(&world, &core.sim, &process, options, number, &mut random).await?;
        println!(
            "{number:>4} {:>9.1} {:>17.2} {:>15.2} {:>7} {:>9.1}",
            day.seconds, day.requests, day.writes, day.missed, day.resident
        );
        let own = Expectation { own_numbers: (1..=SLOTS).map(|n| n.to_string()).collect(), ..Expectation::default() };
        let broken: Vec<_> = check(&core.sim, &own).into_iter().filter(|v| v.severity == Severity::Error).collect();
        if !broken.is_empty() {
            return Err(format!("day {number}: {broken:#?}"));
        }
        core.sim.clear_journal();
        days.push(day);
    }
    let mean = |days: &[Day], of: fn(&Day) -> f64| days.iter().map(of).sum::<f64>() / days.len().max(1) as f64;
    // The first days fill caches and connection pools.
    let (early, late) = days.split_at(days.len() / 2);
    let ratio = |of: fn(&Day) -> f64| mean(late, of) / mean(early.get(early.len() / 2..).unwrap_or(early), of);
    let hours = days.iter().map(|day| day.seconds).sum::<f64>() / 3600.0;
    let an_hour = |of: fn(&Day) -> f64| mean(&days, of) * (options.meetings * days.len()) as f64 / hours;
    println!(
        "\nan hour of days: {:.0} requests, {:.0} status writes",
        an_hour(|day| day.requests),
        an_hour(|day| day.writes)
    );
    let (idle_requests, idle_writes) = idle(&world, &core.sim, options.quiet).await?;
    let share = idle_requests / an_hour(|day| day.requests);
    println!(
        "an idle hour: {idle_requests:.0} requests ({share:.3} of an hour of days), {idle_writes:.0} status writes\n"
    );
    let bars = [
        ("requests a meeting", mean(&days, |day| day.requests), MOST_REQUESTS),
        ("status writes a meeting", mean(&days, |day| day.writes), MOST_WRITES),
        ("requests in an idle hour", idle_requests, most_idle_requests()),
        ("status writes in an idle hour", idle_writes, 0.0),
        ("late days against early ones: RSS", ratio(|day| day.resident), MOST_GROWTH),
        ("late days against early ones: requests", ratio(|day| day.requests), MOST_GROWTH),
        ("late days against early ones: status writes", ratio(|day| day.writes), MOST_GROWTH),
    ];
    for (what, is, most) in bars {
        println!("{what:<45} {is:>8.3}, at most {most:.2}{}", if is > most { "  BROKEN" } else { "" });
    }
    drop(process);
    world.stop().await?;
    if bars.iter().any(|(_, is, most)| is > most) { Err("a bar is broken".to_owned()) } else { Ok(()) }
}
