//! The soak: days of meetings in minutes, with random faults and foreign hands on the bridge; whether anything grows, and
//! what a meeting costs. A *day* is so many meetings of a few seconds each, which all end and are deleted.

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
    /// Seed of the faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
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

struct Day {
    seconds: f64,
    requests: f64,
    missed: usize,
    resident: f64,
}

async fn day(
    world: &World,
    sim: &Simulator,
    process: &Process,
    options: &Options,
    number: u32,
    random: &mut StdRng,
) -> Result<Day, String> {
    let (began, start) = (Instant::now(), Timestamp::now());
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
    #[allow(clippy::cast_precision_loss)]
    let requests = sim.with_journal(<[_]>::len) as f64 / options.meetings as f64;
    Ok(Day { seconds: began.elapsed().as_secs_f64(), requests, missed, resident: process.resident().0 })
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}; {} days of {} meetings, seed {}\n", machine(), options.days, options.meetings, options.seed);
    println!("{:>4} {:>9} {:>17} {:>7} {:>9}", "day", "seconds", "requests/meeting", "missed", "RSS MiB");
    let mut random = StdRng::seed_from_u64(options.seed);
    let world = World::without_controller().await?;
    let process = Process::start(&world)?;
    let core = world.bridge(SLOTS).await?;
    let mut days = Vec::new();
    for number in 0..options.days {
        let day = day(&world, &core.sim, &process, options, number, &mut random).await?;
        println!("{number:>4} {:>9.1} {:>17.2} {:>7} {:>9.1}", day.seconds, day.requests, day.missed, day.resident);
        let own = Expectation { own_numbers: (1..=SLOTS).map(|n| n.to_string()).collect(), ..Expectation::default() };
        let broken: Vec<_> = check(&core.sim, &own).into_iter().filter(|v| v.severity == Severity::Error).collect();
        if !broken.is_empty() {
            return Err(format!("day {number}: {broken:#?}"));
        }
        core.sim.clear_journal();
        days.push(day);
    }
    #[allow(clippy::cast_precision_loss)]
    let mean = |days: &[Day], of: fn(&Day) -> f64| days.iter().map(of).sum::<f64>() / days.len().max(1) as f64;
    // The first days fill caches and connection pools.
    let (early, late) = days.split_at(days.len() / 2);
    let ratio = |of: fn(&Day) -> f64| mean(late, of) / mean(early.get(early.len() / 2..).unwrap_or(early), of);
    println!("\nlate days against early ones: RSS {:.3}, requests {:.3}", ratio(|d| d.resident), ratio(|d| d.requests));
    drop(process);
    world.stop().await
}
