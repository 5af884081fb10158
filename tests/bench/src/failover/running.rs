//! The primary is lost while many meetings run.

use std::time::Duration;

use cms_simulator::{EntryKind, Handle, LegState};
use jiff::Timestamp;

use super::loss::Loss;
use super::{Options, broken, in_seconds, meeting, moved, seconds};
use crate::lateness::limit;
use crate::report::spread;

pub async fn run(options: &Options) -> Result<(), String> {
    println!(
        "\nThe primary is lost while {} meetings run; seconds from the loss, then those after it was",
        options.meetings
    );
    println!("detected with their arithmetic limit (one request a meeting for calls, two for calls and legs)");
    println!(
        "{:>10}  {:>8}  {:>7} {:>7}  {:>7} {:>8}  {:>7} {:>7} {:>6}  {:>12}",
        "loss", "detected", "calls", "max", "legs", "max", "after", "limit", "ratio", "requests/mtg"
    );
    for loss in [Loss::Stopped, Loss::Blackholed] {
        if options.losses.contains(&loss) {
            one(options, loss).await?;
        }
    }
    Ok(())
}

async fn one(options: &Options, loss: Loss) -> Result<(), String> {
    let count = options.meetings;
    let world = options.world().await?;
    let site = world.cluster("core", u32::try_from(count).map_err(|error| error.to_string())?).await?;
    let start = in_seconds(0)?;
    world.create_meetings("core", count, |index| meeting("core", index, start)).await?;
    let connected = |bridge: usize| {
        move |sim: &Handle| {
            let there = |leg: &&cms_simulator::LegView| leg.bridge == bridge && leg.state == LegState::Connected;
            sim.legs().iter().filter(there).count() >= count
        }
    };
    let wait = Duration::from_secs(90);
    site.sim.await_state(connected(0), wait).await.map_err(|_| "not all connected".to_owned())?;
    site.sim.set_latency(options.latency());
    // The looks that belong to the start are over by then.
    tokio::time::sleep(Duration::from_secs(8)).await;
    site.sim.clear_journal();
    let lost = Timestamp::now();
    loss.strike(&site.sim);
    let detected = moved(&world, &site).await?;
    let all = |sim: &Handle| sim.calls().iter().filter(|call| call.bridge != 0).count() >= count;
    site.sim.await_state(all, wait).await.map_err(|_| format!("{loss}: not all have a call on the next"))?;
    if !loss.leaves_calls() {
        site.sim.await_state(connected(1), wait).await.map_err(|_| format!("{loss}: not all connected again"))?;
    }
    // Long enough to see whether somebody is dialled who should not be.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let evidence = site.sim.evidence();
    let moments = |moments: Vec<Timestamp>| moments.into_iter().map(|at| seconds(lost, at)).collect::<Vec<f64>>();
    let calls = moments(evidence.calls.iter().filter(|c| c.bridge != 0).map(|c| c.began).collect());
    let legs = moments(evidence.dials.iter().filter(|d| d.bridge != 0).map(|d| d.at).collect());
    let first = calls.iter().copied().fold(f64::INFINITY, f64::min) - options.latency().as_secs_f64();
    let detected = seconds(lost, detected).min(first);
    let (calls, dialled, legs) = (spread(calls), legs.len(), spread(legs));
    let unit = limit(count, options.latency_ms, options.in_flight) * if dialled > 0 { 2.0 } else { 1.0 };
    let last = calls.max.max(legs.max);
    let in_time = |at: Timestamp| seconds(lost, at) <= last;
    let requests = evidence.journal.iter().filter(|e| e.kind == EntryKind::Request && in_time(e.at)).count();
    let (p50, max) = if dialled == 0 {
        ("still in".to_owned(), String::new())
    } else {
        (format!("{:.2}", legs.p50), format!("{:.2}", legs.max))
    };
    println!(
        "{:>10}  {detected:>8.2}  {:>7.2} {:>7.2}  {p50:>8} {max:>7}  {:>7.2} {unit:>7.2} {:>6.2}  {:>12.2}",
        loss.to_string(),
        calls.p50,
        calls.max,
        last - detected,
        (last - detected) / unit,
        requests as f64 / count as f64
    );
    println!("{:>10}  dialled again: {dialled} of {count}; {}", "", broken(&site, options));
    world.stop().await
}
