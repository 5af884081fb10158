//! The live table: one line per object, printed whenever something in it changes.

use std::fmt::Debug;

use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{Condition, MeetingBridge, MeetingSeries, ScheduledMeeting, find};
use serde::de::DeserializeOwned;

use crate::stage::Stage;

/// What is shown.
pub struct View {
    bridges: Store<MeetingBridge>,
    meetings: Store<ScheduledMeeting>,
    series: Store<MeetingSeries>,
    last: Vec<String>,
    began: Timestamp,
}

impl View {
    /// An empty view, and one item for every change of an object from now on.
    pub fn new(stage: &Stage) -> (Self, BoxStream<'static, ()>) {
        let (bridges, bridge_changes) = watched(stage);
        let (meetings, meeting_changes) = watched(stage);
        let (series, series_changes) = watched(stage);
        let changes = futures::stream::select_all([bridge_changes, meeting_changes, series_changes]);
        (Self { bridges, meetings, series, last: Vec::new(), began: Timestamp::now() }, changes.boxed())
    }

    /// Prints the lines that are new.
    pub fn draw(&mut self) {
        let mut lines: Vec<String> = self.bridges.state().iter().map(|bridge| bridge_line(bridge)).collect();
        lines.extend(self.meetings.state().iter().map(|meeting| meeting_line(meeting)));
        lines.extend(self.series.state().iter().map(|series| series_line(series)));
        lines.sort();
        let seconds = Timestamp::now().duration_since(self.began).as_secs_f64();
        for line in &lines {
            if !self.last.contains(line) {
                println!("{seconds:6.1}s  {line}");
            }
        }
        self.last = lines;
    }

    /// Is every one of these meetings over?
    pub fn are_over(&self, meetings: &[String]) -> bool {
        let state = self.meetings.state();
        meetings.iter().all(|wanted| {
            state.iter().any(|meeting| {
                let phase = meeting.status.as_ref().and_then(|status| status.phase);
                named(meeting.as_ref()) == *wanted && matches!(phase, Some(Phase::Ended | Phase::Missed))
            })
        })
    }
}

fn watched<K>(stage: &Stage) -> (Store<K>, BoxStream<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(stage.client.clone()), watcher::Config::default());
    (store, events.default_backoff().reflect(writer).map(|_| ()).boxed())
}

/// Namespace and name.
pub fn named(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn ready(conditions: &[Condition]) -> String {
    find(conditions, "Ready").map(|c| format!("{} ({})", c.status, c.reason)).unwrap_or_default()
}

fn bridge_line(bridge: &MeetingBridge) -> String {
    let status = bridge.status.clone().unwrap_or_default();
    let slots = status.slots.unwrap_or_default();
    format!(
        "mb   {:<36} {:<12} Ready={:<34} slots {}/{} free",
        named(bridge),
        status.phase.unwrap_or_default(),
        ready(&status.conditions),
        slots.free,
        slots.total
    )
}

fn meeting_line(meeting: &ScheduledMeeting) -> String {
    let status = meeting.status.clone().unwrap_or_default();
    let slot =
        status.slot.and_then(|slot| slot.uri.or(Some(slot.number.to_string()))).unwrap_or_else(|| "-".to_owned());
    let people: Vec<String> = status.participants.iter().map(|p| format!("{} {:?}", p.remote_party, p.state)).collect();
    format!(
        "mtg  {:<36} {:<12} Ready={:<34} slot {:<20} {}",
        named(meeting),
        status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default(),
        ready(&status.conditions),
        slot,
        people.join(", ")
    )
}

fn series_line(series: &MeetingSeries) -> String {
    let status = series.status.clone().unwrap_or_default();
    let next = status.next.map(|next| next.name).unwrap_or_else(|| "-".to_owned());
    format!(
        "mts  {:<36} {:<12} Ready={:<34} {}, next {next}",
        named(series),
        "",
        ready(&status.conditions),
        status.schedule.unwrap_or_default(),
    )
}
