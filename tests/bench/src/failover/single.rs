//! Detection: clusters with one running meeting each, and clusters without any.

use std::time::Duration;

use cms_simulator::LegState;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::loss::Loss;
use super::{Options, broken, in_seconds, meeting, moved, seconds};
use crate::report::spread;
use crate::world::World;

/// Requirements.md section 6, in seconds: while a meeting runs, and else.
const BAR_BUSY: f64 = 20.0;
const BAR_IDLE: f64 = 90.0;

/// The sweep of a bridge with live meetings and the slowest probe of one without: the samples are spread over these.
const RHYTHM_BUSY: f64 = 15.0;
const RHYTHM_IDLE: f64 = 25.0;

/// What one cluster showed, in seconds since the loss.
struct Found {
    loss: Loss,
    detected: f64,
    call: f64,
    /// None: nobody was dialled.
    leg: Option<f64>,
    broken: String,
}

pub async fn run(options: &Options) -> Result<(), String> {
    let world = options.world().await?;
    let trials: Vec<(Loss, u32)> =
        options.losses.iter().flat_map(|loss| (0..options.samples).map(|sample| (*loss, sample))).collect();
    // By the golden ratio, so that no sample hits the same moment of any rhythm as another one.
    let share = |sample: u32| (f64::from(sample) * 0.618_034).fract();
    let idle = trials.iter().map(|(loss, sample)| idle(&world, *loss, *sample, share(*sample)));
    let running = trials.iter().map(|(loss, sample)| running(options, &world, *loss, *sample, share(*sample)));
    let (found, idle) = tokio::try_join!(try_join_all(running), try_join_all(idle))?;
    println!(
        "\nOne running meeting; seconds from the loss. Detected: status.activeCallBridge changed, or the call was made"
    );
    println!("on the next one, whichever came first. {} clusters each, struck at different moments", options.samples);
    println!(
        "{:>10}  {:>6} {:>6} {:>5} {:>6}  {:>6} {:>6}  {:>8}  {:>13}",
        "loss", "p50", "max", "bar", "ratio", "call", "max", "legs", "after detected"
    );
    for loss in &options.losses {
        print_running(*loss, &found);
    }
    println!("\nNo meeting; seconds from the loss until status.activeCallBridge changed");
    println!("{:>10}  {:>6} {:>6} {:>5} {:>6}", "loss", "p50", "max", "bar", "ratio");
    for loss in &options.losses {
        let of_it = idle.iter().filter(|(of, _)| of == loss).map(|(_, detected)| *detected).collect();
        let took = spread(of_it);
        println!(
            "{:>10}  {:>6.2} {:>6.2} {BAR_IDLE:>5} {:>6.2}",
            loss.to_string(),
            took.p50,
            took.max,
            took.max / BAR_IDLE
        );
    }
    world.stop().await
}

fn print_running(loss: Loss, found: &[Found]) {
    let of_it: Vec<&Found> = found.iter().filter(|found| found.loss == loss).collect();
    let detected = spread(of_it.iter().map(|found| found.detected).collect());
    let call = spread(of_it.iter().map(|found| found.call).collect());
    let legs: Vec<f64> = of_it.iter().filter_map(|found| found.leg).collect();
    let after = of_it.iter().map(|found| found.leg.unwrap_or(found.call).max(found.call) - found.detected);
    let after = spread(after.collect());
    let legs = match legs.len() {
        0 => "still in".to_owned(),
        all if all == of_it.len() => format!("{:.2}", spread(legs).max),
        some => format!("{some} of {}", of_it.len()),
    };
    println!(
        "{:>10}  {:>6.2} {:>6.2} {BAR_BUSY:>5} {:>6.2}  {:>6.2} {:>6.2}  {legs:>8}  {:>13.2}",
        loss.to_string(),
        detected.p50,
        detected.max,
        detected.max / BAR_BUSY,
        call.p50,
        call.max,
        after.max
    );
    for found in of_it.iter().filter(|found| found.broken.starts_with("BROKEN")) {
        println!("{:>10}  {}", "", found.broken);
    }
}

async fn running(options: &Options, world: &World, loss: Loss, sample: u32, share: f64) -> Result<Found, String> {
    let name = format!("live-{loss}-{sample}");
    let site = world.cluster(&name, 3).await?;
    site.sim.set_latency(options.latency());
    let start = in_seconds(0)?;
    world.create_meetings(&name, 1, |index| meeting(&name, index, start)).await?;
    let connected = |bridge: usize| {
        move |sim: &cms_simulator::Handle| {
            sim.legs().iter().any(|leg| leg.bridge == bridge && leg.state == LegState::Connected)
        }
    };
    let wait = Duration::from_secs(60);
    site.sim.await_state(connected(0), wait).await.map_err(|_| format!("{name}: never connected"))?;
    // The looks that belong to the start are over by then.
    tokio::time::sleep(Duration::from_secs_f64(12.0 + RHYTHM_BUSY * share)).await;
    let lost = Timestamp::now();
    loss.strike(&site.sim);
    let detected = moved(world, &site).await?;
    let has_call = |sim: &cms_simulator::Handle| sim.calls().iter().any(|call| call.bridge != 0);
    site.sim.await_state(has_call, wait).await.map_err(|_| format!("{name}: no call on the next"))?;
    if !loss.leaves_calls() {
        site.sim.await_state(connected(1), wait).await.map_err(|_| format!("{name}: nobody dialled on the next"))?;
    }
    // Long enough to see whether somebody is dialled who should not be.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let evidence = site.sim.evidence();
    let call = evidence.calls.iter().find(|call| call.bridge != 0).map_or(f64::NAN, |call| seconds(lost, call.began));
    let leg = evidence.dials.iter().find(|dial| dial.bridge != 0).map(|dial| seconds(lost, dial.at));
    Ok(Found { loss, detected: seconds(lost, detected).min(call), call, leg, broken: broken(&site, options) })
}

async fn idle(world: &World, loss: Loss, sample: u32, share: f64) -> Result<(Loss, f64), String> {
    let site = world.cluster(&format!("idle-{loss}-{sample}"), 3).await?;
    tokio::time::sleep(Duration::from_secs_f64(5.0 + RHYTHM_IDLE * share)).await;
    let lost = Timestamp::now();
    loss.strike(&site.sim);
    Ok((loss, seconds(lost, moved(world, &site).await?)))
}
