//! Memory of the controller, alone in a process, and its status writes, with many meetings far in the future
//! (requirements.md section 3).

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, Config, ResourceExt};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::Phase;
use meeting_controller::clock::SystemClock;
use meeting_controller::controller::Controller;
use meeting_controller::metrics::Metrics;
use meeting_controller::testing::settings;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::report::machine;
use crate::world::{World, told};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How many meetings.
    #[arg(long, default_value_t = 10_000)]
    meetings: usize,
    /// Seconds to watch for writes once all are settled.
    #[arg(long, default_value_t = 60)]
    quiet: u64,
}

/// The controller alone, in a process of its own; ends when it is killed.
pub async fn controller() -> Result<(), String> {
    let config = Config::infer().await.map_err(told("kubeconfig"))?;
    let client = Client::try_from(config).map_err(told("client"))?;
    let metrics = Arc::new(Metrics::default());
    let shutdown = CancellationToken::new();
    Controller::new(client, settings(), Arc::new(SystemClock), metrics, shutdown).run().await;
    Ok(())
}

/// A controller in a process of its own; killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn start(world: &World) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(told("own program"))?;
        let child = Command::new(program)
            .arg("controller")
            .env("KUBECONFIG", world.plane.kubeconfig_path())
            .spawn()
            .map_err(told("controller"))?;
        Ok(Self(child))
    }

    /// Resident memory and its peak in MiB, as the kernel tells.
    pub fn resident(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        (mib("VmRSS:"), mib("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn versions(meetings: &[ScheduledMeeting]) -> BTreeMap<String, Option<String>> {
    meetings.iter().map(|meeting| (meeting.name_any(), meeting.resource_version())).collect()
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}; the controller has a process of its own\n", machine());
    let world = World::without_controller().await?;
    let first = Process::start(&world)?;
    let _core = world.bridge(500).await?;
    println!("one bridge with 500 slots, no meeting:   {:>7.1} MiB", first.resident().0);
    let month = Timestamp::now().checked_add(SignedDuration::from_hours(24 * 30)).map_err(told("time"))?;
    let began = std::time::Instant::now();
    world
        .create_meetings("m", options.meetings, |index| {
            let offset = SignedDuration::from_mins(i64::try_from(index % 1000).unwrap_or(0) * 15);
            let start = month.checked_add(offset).unwrap_or(month);
            json!({
                "title": format!("Meeting {index}"), "bridgeRef": { "name": "core" }, "start": start.to_string(),
                "duration": "1h", "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    let patience = Duration::from_secs(3600);
    let meetings = world.until_phase(Phase::Scheduled, options.meetings, patience).await?;
    println!("all {} booked and Scheduled after     {:>7.1} s", options.meetings, began.elapsed().as_secs_f64());
    let (now, peak) = first.resident();
    println!("with {} meetings:                     {now:>7.1} MiB (peak {peak:.1})", options.meetings);
    let before = versions(&meetings);
    drop(meetings);
    tokio::time::sleep(Duration::from_secs(options.quiet)).await;
    let after = versions(&world.until_phase(Phase::Scheduled, options.meetings, patience).await?);
    let written = after.iter().filter(|(name, version)| before.get(*name) != Some(*version)).count();
    println!("written again in {} quiet seconds:       {written} of {} meetings", options.quiet, options.meetings);
    drop(first);
    let second = Process::start(&world)?;
    tokio::time::sleep(Duration::from_secs(options.quiet.min(30))).await;
    let (now, peak) = second.resident();
    println!("after a restart:                         {now:>7.1} MiB (peak {peak:.1})");
    drop(second);
    world.stop().await
}
