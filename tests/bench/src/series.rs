//! Memory of the controller, alone in a process, and its writes, with many series whose occurrences of a month are booked.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use meeting_controller::api::conditions::types;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingSeries, ScheduledMeeting, is_true};
use serde_json::json;

use crate::memory::Process;
use crate::report::machine;
use crate::world::{NAMESPACE, World, pause_for, told};

/// How long two cores may take to book them all.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How many series; half of them daily, half weekly.
    #[arg(long, default_value_t = 1000)]
    series: usize,
    /// Seconds to watch for writes once all are settled.
    #[arg(long, default_value_t = 60)]
    quiet: u64,
}

/// A series of a quarter of an hour; they begin all over the day.
fn series(index: usize) -> Result<MeetingSeries, String> {
    let minutes = i64::try_from(index % 96).unwrap_or(0) * 15;
    let start = Timestamp::now() + SignedDuration::from_hours(24) + SignedDuration::from_mins(minutes);
    let frequency = if index.is_multiple_of(2) { "Daily" } else { "Weekly" };
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
        "metadata": { "name": format!("s-{index:05}") },
        "spec": {
            "start": start.strftime("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": "UTC", "duration": "15m",
            "recurrence": { "frequency": frequency },
            "template": { "spec": {
                "title": format!("Series {index}"), "bridgeRef": { "name": "core" },
                "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            } }
        }
    }))
    .map_err(told("series"))
}

async fn all_ready(api: &Api<MeetingSeries>, count: usize) -> Result<Vec<MeetingSeries>, String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let all = api.list(&ListParams::default()).await.map_err(told("list"))?.items;
        let is_ready =
            |one: &&MeetingSeries| one.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY));
        if all.iter().filter(is_ready).count() == count {
            return Ok(all);
        }
        tokio::time::sleep(pause_for(count)).await;
    }
    Err("the series never became ready".to_owned())
}

fn versions<K: ResourceExt>(objects: &[K]) -> BTreeMap<String, Option<String>> {
    objects.iter().map(|object| (object.name_any(), object.resource_version())).collect()
}

fn changed(before: &BTreeMap<String, Option<String>>, after: &BTreeMap<String, Option<String>>) -> usize {
    after.iter().filter(|(name, version)| before.get(*name) != Some(*version)).count()
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}; the controller has a process of its own\n", machine());
    let world = World::without_controller().await?;
    let first = Process::start(&world)?;
    let _core = world.bridge(500).await?;
    println!("one bridge with 500 slots, nothing else:   {:>7.1} MiB", first.resident().0);
    let api: Api<MeetingSeries> = Api::namespaced(world.client.clone(), NAMESPACE);
    let began = std::time::Instant::now();
    stream::iter(0..options.series)
        .map(|index| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &series(index)?).await.map_err(told("create")) }
        })
        .buffered(8)
        .try_collect::<Vec<_>>()
        .await?;
    let before = all_ready(&api, options.series).await?;
    let meetings = world.meetings().list(&ListParams::default()).await.map_err(told("list"))?.items;
    let (count, took) = (meetings.len(), began.elapsed().as_secs_f64());
    println!("{} series, {count} occurrences booked after {took:>7.1} s", options.series);
    let meetings: Vec<ScheduledMeeting> = world.until_phase(Phase::Scheduled, count, PATIENCE).await?;
    let (now, peak) = first.resident();
    println!("with all of them:                          {now:>7.1} MiB (peak {peak:.1})");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (series_before, meetings_before) = (versions(&before), versions(&meetings));
    drop((before, meetings));
    tokio::time::sleep(Duration::from_secs(options.quiet)).await;
    let series_after = versions(&all_ready(&api, options.series).await?);
    let meetings_after = versions(&world.until_phase(Phase::Scheduled, count, PATIENCE).await?);
    println!(
        "written again in {} quiet seconds:         {} series, {} occurrences",
        options.quiet,
        changed(&series_before, &series_after),
        changed(&meetings_before, &meetings_after)
    );
    drop(first);
    let second = Process::start(&world)?;
    tokio::time::sleep(Duration::from_secs(options.quiet.min(30))).await;
    let (now, peak) = second.resident();
    println!("after a restart:                           {now:>7.1} MiB (peak {peak:.1})");
    let last = versions(&all_ready(&api, options.series).await?);
    println!("written again by the restart:              {} series", changed(&series_after, &last));
    drop(second);
    world.stop().await
}
