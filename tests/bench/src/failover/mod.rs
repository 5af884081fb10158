//! A call bridge of a cluster is lost (requirements.md section 3, R29): how soon that is detected, and how soon what
//! runs or starts has its call and its legs on the next one. Three members, the controller's default settings.

mod burst;
mod loss;
mod running;
mod single;

use std::time::Duration;

use clap::{Args, ValueEnum};
use cms_simulator::check::{Expectation, Severity, check_evidence};
use jiff::{SignedDuration, Timestamp};
use meeting_controller::config::settings::Settings;
use meeting_controller::testing::settings;
use serde_json::{Value, json};

use crate::report::machine;
use crate::world::{Site, World};
use loss::Loss;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Meetings that start at one instant, or run.
    #[arg(long, default_value_t = 100)]
    meetings: usize,
    /// Milliseconds a call bridge takes for a request.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Requests in flight.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// Meetings on another MeetingBridge, for the part `others`.
    #[arg(long, default_value_t = 20)]
    others: usize,
    /// Clusters for each loss in the part `detection`, struck at different moments of their rhythm.
    #[arg(long, default_value_t = 3)]
    samples: u32,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// Only these losses.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Loss::ALL)]
    losses: Vec<Loss>,
}

/// What can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One running meeting, and none at all.
    Detection,
    /// The primary is lost one second before many starts.
    Start,
    /// The primary is lost while many run: stopped and blackholed.
    Running,
    /// Another MeetingBridge with starts of its own at that moment.
    Others,
}

impl Part {
    const ALL: [Self; 4] = [Self::Detection, Self::Start, Self::Running, Self::Others];
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}", machine());
    println!("{} ms per request, {} in flight, one participant, 3 members", options.latency_ms, options.in_flight);
    let has = |part| options.parts.contains(&part);
    if has(Part::Detection) {
        single::run(options).await?;
    }
    if has(Part::Start) {
        burst::starts(options).await?;
    }
    if has(Part::Running) {
        running::run(options).await?;
    }
    if has(Part::Others) {
        burst::others(options).await?;
    }
    Ok(())
}

impl Options {
    async fn world(&self) -> Result<World, String> {
        World::start(Settings { in_flight: self.in_flight, ..settings() }).await
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }
}

/// A meeting with one participant.
fn meeting(bridge: &str, index: usize, start: Timestamp) -> Value {
    json!({
        "title": format!("Meeting {index}"), "bridgeRef": { "name": bridge }, "start": start.to_string(),
        "duration": "30m", "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
    })
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// So many seconds from now; negative: before.
fn in_seconds(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).map_err(|error| error.to_string())
}

async fn sleep_until(at: Timestamp) {
    tokio::time::sleep(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()).await;
}

/// Waits until requests go to another call bridge than the primary; when that was to be seen.
async fn moved(world: &World, site: &Site) -> Result<Timestamp, String> {
    let primary = site.sim.address(0);
    world
        .until_bridge(&site.name, "uses another call bridge", |status| {
            status.active_call_bridge.as_ref().is_some_and(|active| *active != primary)
        })
        .await?;
    Ok(Timestamp::now())
}

/// The rules that were broken, to print. What was on the wire at the first 401 gets one as well, and one more confirms it.
fn broken(site: &Site, options: &Options) -> String {
    let expected = Expectation { max_unauthorized: options.in_flight + 1, ..Expectation::default() };
    let found = check_evidence(&site.sim.evidence(), &expected);
    let mut serious: Vec<_> =
        found.iter().filter(|v| v.severity == Severity::Error).map(|v| format!("{:?}", v.rule)).collect();
    serious.sort();
    let count = serious.len();
    serious.dedup();
    if count == 0 { "no rule broken".to_owned() } else { format!("BROKEN {count} times: {}", serious.join(", ")) }
}
