//! What the tests about meetings share: waits on the simulator, and looks at meetings, slots and the audit log.

use std::fmt::Debug;

use cms_simulator::{Config, EntryKind, Handle, JournalEntry, Simulator, SpaceView};
use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, ScheduledMeetingStatus};
use serde_json::{Value, json};

use crate::kit::*;

/// One call bridge that is no cluster.
pub fn lone() -> Config {
    Config { bridges: 1, clustered: false, ..Config::default() }
}

/// Intervals so long that only meetings cause requests.
pub fn still() -> meeting_controller::config::settings::Settings {
    let hour = std::time::Duration::from_secs(3600);
    meeting_controller::config::settings::Settings { sweep: hour, idle_read: hour, probe_idle: hour, ..quick() }
}

impl Arena {
    /// Waits until the simulator is as wanted.
    pub async fn await_sim(&self, what: &str, wanted: impl FnMut(&Handle) -> bool) {
        if self.sim.await_state(wanted, PATIENCE).await.is_err() {
            let spaces = self.sim.spaces();
            panic!("never: {what}\n{:#?}\n{spaces:#?}\n{}", self.sim.calls(), self.journal_lines().join("\n"));
        }
    }

    /// Waits until the journal is as wanted.
    pub async fn await_requests(&self, what: &str, wanted: impl FnMut(&[JournalEntry]) -> bool) {
        if self.sim.await_journal(wanted, PATIENCE).await.is_err() {
            panic!("never: {what}\n{}", self.journal_lines().join("\n"));
        }
    }

    /// The space of a slot.
    pub fn slot(&self, number: u32) -> SpaceView {
        slot_of(&self.sim, number)
    }

    /// A meeting that is to be open now, for so long.
    pub async fn open_now(&self, name: &str, seconds: u32, changes: Value) -> ScheduledMeeting {
        let mut spec = json!({ "start": in_ms(-500), "duration": format!("{seconds}s") });
        if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
            spec.extend(changes);
        }
        self.create_meeting(name, spec).await
    }

    /// Waits until the first participant is in this state.
    pub async fn party(&self, name: &str, state: ParticipantState) -> ScheduledMeeting {
        self.meeting(name, &format!("party {state:?}"), |m| {
            status_of(m).participants.first().is_some_and(|party| party.state == state)
        })
        .await
    }

    /// Waits until a condition has this status and reason.
    pub async fn says(&self, name: &str, kind: &str, status: &str, reason: &str) -> ScheduledMeeting {
        self.meeting(name, &format!("{kind}={status} ({reason})"), |m| condition(m, kind) == (status, reason)).await
    }

    /// Waits until a meeting is booked.
    pub async fn booked(&self, name: &str) -> ScheduledMeeting {
        self.meeting(name, "booked", |m| condition(m, "SlotReserved") == ("True", "Reserved")).await
    }

    /// The join Secret's entries, or None.
    pub async fn join_secret(&self, meeting: &str) -> Option<Secret> {
        self.api::<Secret>().get_opt(&format!("{meeting}-join")).await.expect("get")
    }

    pub async fn create_secret(&self, name: &str, entries: Value) {
        let secret: Secret =
            serde_json::from_value(json!({ "metadata": { "name": name }, "stringData": entries })).unwrap();
        self.api::<Secret>().create(&PostParams::default(), &secret).await.expect("Secret");
    }

    /// The events about an object: reason and note.
    pub async fn events_about(&self, name: &str) -> Vec<(String, String)> {
        let events: Api<Event> = self.api();
        let all = events.list(&ListParams::default()).await.expect("events");
        let about = |event: &Event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name);
        all.into_iter()
            .filter(about)
            .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
            .collect()
    }

    /// Waits until an event with this reason was told about an object: it comes a moment after what it tells of.
    pub async fn told(&self, name: &str, reason: &str) {
        let is_it = |event: &Event| {
            let regarding = event.regarding.as_ref().and_then(|about| about.name.as_deref());
            (regarding, event.reason.as_deref()) == (Some(name), Some(reason))
        };
        let mut events = watcher::watcher(self.api::<Event>(), watcher::Config::default()).default_backoff().boxed();
        let waiting = async {
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(event) | watcher::Event::InitApply(event)) = event
                    && is_it(&event)
                {
                    return;
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(told.is_ok(), "never {reason} about {name}: {:?}", self.events_about(name).await);
    }

    /// Waits until our metric of this name, with its labels, has this value: it is counted after the status was stored, and
    /// nobody tells when.
    pub async fn counted(&self, metric: &str, value: &str) {
        let metrics = || self.controller.as_ref().expect("running").metrics.plain_text();
        let line = format!("meeting_controller_{metric} {value}");
        let counted = async {
            while !metrics().lines().any(|known| known == line) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("never {line}: {}", metrics()));
    }

    /// A further simulator with a bridge on it; both must be kept.
    pub async fn further_bridge(&self, name: &str, labels: Value, changes: Value) -> Simulator {
        let sim = Simulator::start(Config { seed: 77, ..lone() }).await.expect("simulator");
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": format!("{name}-ca") }, "data": { "ca.crt": sim.ca_pem() }
        }))
        .unwrap();
        self.api::<ConfigMap>().create(&PostParams::default(), &map).await.expect("ConfigMap");
        self.create_bridge(name, changes_for(&sim, name, changes)).await;
        self.patch::<meeting_controller::api::MeetingBridge>(name, json!({ "metadata": { "labels": labels } })).await;
        self.bridge(name, "Ready", |bridge| condition(bridge, "Ready").0 == "True").await;
        sim
    }

    /// Writes to the apiserver in this namespace since a position of the audit log, without those of the test itself.
    pub fn kube_writes(&self, since: u64) -> Vec<String> {
        let events = self.plane.audit_events_since(since).expect("audit log");
        events
            .into_iter()
            .filter(|event| event.namespace == self.namespace && event.user == "admin")
            .filter(|event| !matches!(event.verb.as_str(), "get" | "list" | "watch"))
            .filter(|event| event.resource != "scheduledmeetings" || event.uri.contains("fieldManager="))
            .map(|e| format!("{} {}/{} {} {}", e.verb, e.resource, e.subresource, e.name, e.code))
            .collect()
    }
}

fn changes_for(sim: &Simulator, name: &str, changes: Value) -> Value {
    let mut all = json!({
        "address": sim.address(0),
        "tls": { "caBundleRef": { "kind": "ConfigMap", "name": format!("{name}-ca") } }
    });
    if let (Value::Object(all), Value::Object(changes)) = (&mut all, changes) {
        all.extend(changes);
    }
    all
}

/// The space of a slot; safe inside `await_state`.
pub fn slot_of(sim: &Handle, number: u32) -> SpaceView {
    let wanted = number.to_string();
    sim.spaces().into_iter().find(|space| space.call_id.as_deref() == Some(&wanted)).expect("the slot's space")
}

pub fn status_of(meeting: &ScheduledMeeting) -> ScheduledMeetingStatus {
    meeting.status.clone().unwrap_or_default()
}

/// The booked number.
pub fn number_of(meeting: &ScheduledMeeting) -> u32 {
    status_of(meeting).slot.map(|slot| slot.number).unwrap_or_else(|| panic!("{} has no slot", meeting.name_any()))
}

/// An entry of a Secret as text.
pub fn entry(secret: &Secret, key: &str) -> Option<String> {
    let data = secret.data.as_ref()?;
    data.get(key).map(|ByteString(bytes)| String::from_utf8(bytes.clone()).expect("text"))
}

/// Which edition of the invitation is in a join Secret.
pub fn sequence(secret: &Secret) -> u32 {
    let calendar = entry(secret, "invite.ics").expect("an invitation");
    let line = calendar.lines().find_map(|line| line.strip_prefix("SEQUENCE:")).expect("SEQUENCE");
    line.trim_end().parse().expect("a number")
}

/// What a join Secret says but for the invitation, which also says what is edited.
pub fn links(secret: &Secret) -> std::collections::BTreeMap<String, ByteString> {
    let data = secret.data.clone().unwrap_or_default();
    data.into_iter().filter(|(key, _)| !key.starts_with("invite.")).collect()
}

/// How many requests there are of this method and route.
pub fn count(entries: &[JournalEntry], method: &str, route: &str) -> usize {
    entries.iter().filter(|entry| entry.method == method && entry.route == route).count()
}

/// The values of the field `nonMemberAccess` in our PUTs to a space, in order; hand edits are not among them.
pub fn doors(entries: &[JournalEntry], space: &str) -> Vec<bool> {
    entries
        .iter()
        .filter(|entry| {
            entry.kind == EntryKind::Request && entry.method == "PUT" && entry.space.as_deref() == Some(space)
        })
        .flat_map(|entry| entry.body.iter().filter(|(name, _)| name == "nonMemberAccess"))
        .map(|(_, value)| value == "true")
        .collect()
}

/// The names of a request's fields, in order, without the empty leading pair.
pub fn fields(entry: &JournalEntry) -> Vec<&str> {
    entry.body.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty()).collect()
}

/// Fails with both sides if a list is longer than allowed.
pub fn at_most<T: Debug>(what: &str, limit: usize, items: &[T]) {
    println!("{what}: {}", items.len());
    assert!(items.len() <= limit, "{what}: {} > {limit}: {items:#?}", items.len());
}
