//! The live table: one line per object, printed whenever something in it changes.

use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::find;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};

use crate::stage::Stage;

/// What is shown.
pub struct View {
    bridges: Store<MeetingBridge>,
    meetings: Store<ScheduledMeeting>,
    bridge_writer: Option<reflector::store::Writer<MeetingBridge>>,
    meeting_writer: Option<reflector::store::Writer<ScheduledMeeting>>,
    last: Vec<String>,
    began: Timestamp,
}

impl View {
    /// An empty view.
    pub fn new(_stage: &Stage) -> Self {
        let (bridges, bridge_writer) = reflector::store();
        let (meetings, meeting_writer) = reflector::store();
        Self {
            bridges,
            meetings,
            bridge_writer: Some(bridge_writer),
            meeting_writer: Some(meeting_writer),
            last: Vec::new(),
            began: Timestamp::now(),
        }
    }

    /// One item for every change of an object.
    pub fn changes(&mut self, stage: &Stage) -> BoxStream<'static, ()> {
        let (Some(bridges), Some(meetings)) = (self.bridge_writer.take(), self.meeting_writer.take()) else {
            return futures::stream::empty().boxed();
        };
        let config = watcher::Config::default;
        let bridges = watcher(Api::<MeetingBridge>::all(stage.client.clone()), config())
            .default_backoff()
            .reflect(bridges)
            .map(|_| ());
        let meetings = watcher(Api::<ScheduledMeeting>::all(stage.client.clone()), config())
            .default_backoff()
            .reflect(meetings)
            .map(|_| ());
        futures::stream::select(bridges.boxed(), meetings.boxed()).boxed()
    }

    /// Prints the lines that are new.
    pub fn draw(&mut self) {
        let mut lines: Vec<String> = self.bridges.state().iter().map(|bridge| bridge_line(bridge)).collect();
        lines.extend(self.meetings.state().iter().map(|meeting| meeting_line(meeting)));
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
                let name = format!("{}/{}", meeting.namespace().unwrap_or_default(), meeting.name_any());
                let phase = meeting.status.as_ref().and_then(|status| status.phase);
                name == *wanted && matches!(phase, Some(Phase::Ended | Phase::Missed))
            })
        })
    }
}

fn bridge_line(bridge: &MeetingBridge) -> String {
    let status = bridge.status.clone().unwrap_or_default();
    let slots = status.slots.unwrap_or_default();
    let ready = find(&status.conditions, "Ready").map(|c| format!("{} ({})", c.status, c.reason)).unwrap_or_default();
    format!(
        "mb   {:<28} {:<12} Ready={:<34} slots {}/{} free",
        format!("{}/{}", bridge.namespace().unwrap_or_default(), bridge.name_any()),
        status.phase.unwrap_or_default(),
        ready,
        slots.free,
        slots.total
    )
}

fn meeting_line(meeting: &ScheduledMeeting) -> String {
    let status = meeting.status.clone().unwrap_or_default();
    let ready = find(&status.conditions, "Ready").map(|c| format!("{} ({})", c.status, c.reason)).unwrap_or_default();
    let slot =
        status.slot.and_then(|slot| slot.uri.or(Some(slot.number.to_string()))).unwrap_or_else(|| "-".to_owned());
    let people: Vec<String> = status.participants.iter().map(|p| format!("{} {:?}", p.remote_party, p.state)).collect();
    format!(
        "mtg  {:<28} {:<12} Ready={:<34} slot {:<20} {}",
        format!("{}/{}", meeting.namespace().unwrap_or_default(), meeting.name_any()),
        status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default(),
        ready,
        slot,
        people.join(", ")
    )
}
