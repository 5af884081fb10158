//! From the CRDs and objects that release 0.1 wrote (fixtures/release-0.1) to today's, and the CRDs back again.
//!
//! The objects are what a run of that version left on the apiserver. Times, and what the simulator gives out by chance
//! (ids, addresses), are put in place of theirs; nothing else is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use control_plane::{ControlPlane, Options};
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crash::put_status;
use crate::kit::*;
use crate::meetings::{count, lone};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/release-0.1").join(path)
}

/// The objects of the release, as if they had been written just now.
struct Release(BTreeMap<String, Value>);

impl Release {
    fn read() -> Self {
        let text = std::fs::read_to_string(fixture("objects.yaml")).unwrap();
        let documents = serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
        let mut objects: BTreeMap<String, Value> = documents.map(|one| (name(&one).to_owned(), one)).collect();
        let read_at: Timestamp =
            objects["core"]["metadata"]["annotations"]["read-at"].as_str().unwrap().parse().unwrap();
        let age = SignedDuration::from_secs(Timestamp::now().duration_since(read_at).as_secs());
        for object in objects.values_mut() {
            replace(object, &|text| {
                let instant: Option<Timestamp> = text.parse().ok();
                instant.map(|instant| (instant + age).to_string())
            });
        }
        Self(objects)
    }

    /// What stands at this path of an object.
    fn of(&self, name: &str, path: &str) -> Value {
        self.0[name].pointer(path).unwrap_or_else(|| panic!("{name}: {path}")).clone()
    }

    /// Takes over what the bridge gave out here, from objects in the same state, and from the slots.
    fn learn(&mut self, live: &[Value], arena: &Arena) {
        let mut known = BTreeMap::new();
        for live in live {
            pairs(&self.0[name(live)]["status"], &live["status"], "", &mut known);
        }
        for object in self.0.values_mut() {
            replace(object, &|text| known.get(text).cloned());
            if let Some(number) = object.pointer("/status/slot/number").and_then(Value::as_u64) {
                object["status"]["slot"]["spaceID"] = json!(arena.slot(u32::try_from(number).unwrap()).id);
            }
        }
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Puts other texts in place of texts.
fn replace(value: &mut Value, other: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(other) = other(text) {
                *text = other;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, other)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, other)),
        _ => {}
    }
}

/// What is another one in each run, beside names that end with `ID`.
const GIVEN: [&str; 10] = [
    "id",
    "address",
    "callBridge",
    "activeCallBridge",
    "correlator",
    "call",
    "callLeg",
    "bootTime",
    "namespace",
    "meeting",
];

/// The texts at the same places of two statuses that are others in each run.
fn pairs(then: &Value, now: &Value, key: &str, known: &mut BTreeMap<String, String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, then) in then {
                pairs(then, now.get(key).unwrap_or(&Value::Null), key, known);
            }
        }
        (Value::Array(then), Value::Array(now)) => {
            then.iter().zip(now).for_each(|(then, now)| pairs(then, now, key, known));
        }
        (Value::String(then), Value::String(now)) if GIVEN.contains(&key) || key.ends_with("ID") => {
            known.insert(then.clone(), now.clone());
        }
        _ => {}
    }
}

async fn json_of<K>(arena: &Arena, name: &str) -> Value
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    serde_json::to_value(arena.api::<K>().get(name).await.unwrap()).unwrap()
}

/// In the order in which they were made.
const MEETINGS: [&str; 4] = ["running", "over", "booked", "waiting"];

/// The objects of the release on a bridge that is as it left it: slots, and the meeting that runs with its participant.
async fn before() -> (Arena, Release) {
    let options = Options { manifests: vec![fixture("crds")], ..Options::default() };
    let plane = ControlPlane::start(options).await.expect("control plane");
    let mut arena = Arena::on(Plane::Own(Box::new(plane)), "release", lone(), quick()).await;
    let mut release = Release::read();
    // Today's controller on the old CRDs, as after a rollback by Helm.
    arena.start().await;
    arena.connect().await;
    let mut spec = release.of("core", "/spec");
    spec["address"] = json!(arena.sim.address(0));
    arena.create_bridge("core", spec).await;
    for name in MEETINGS {
        arena.create_meeting(name, release.of(name, "/spec")).await;
        arena.meeting(name, "seen", |m| phase_of(m) != Phase::Pending).await;
    }
    arena.says("running", "Ready", "True", "Active").await;
    arena.party("running", ParticipantState::Connected).await;
    arena.says("booked", "Ready", "True", "Scheduled").await;
    arena.says("waiting", "SpaceOpen", "False", "PasscodeUnavailable").await;
    arena.phase("over", Phase::Ended).await;
    arena.controller.take().unwrap().stop().await;
    let live = [json_of::<MeetingBridge>(&arena, "core").await, json_of::<ScheduledMeeting>(&arena, "running").await];
    release.learn(&live, &arena);
    for name in MEETINGS {
        let object: ScheduledMeeting = arena.api().get(name).await.unwrap();
        put_status(&arena, &object, release.of(name, "/status")).await;
    }
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    put_status(&arena, &bridge, release.of("core", "/status")).await;
    (arena, release)
}

/// Whether all that the one has stands in the other: fields that are newer than the release are dropped.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_within(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (part, whole) => part == whole,
    }
}

/// Puts the old CRDs back below what today's controller wrote: everything that they know is kept and valid.
async fn goes_back(arena: &Arena, release: &Release, name: &str) {
    let before = json_of::<ScheduledMeeting>(arena, name).await;
    let object: ScheduledMeeting = serde_json::from_value(before.clone()).unwrap();
    put_status(arena, &object, before["status"].clone()).await;
    let after = json_of::<ScheduledMeeting>(arena, name).await;
    assert_eq!(before["spec"], after["spec"], "{name}");
    assert!(is_within(&after["status"], &before["status"]), "{name}: {after:#}\n{before:#}");
    for field in release.of(name, "/status").as_object().unwrap().keys() {
        assert_eq!(before["status"].get(field).is_some(), after["status"].get(field).is_some(), "{name}: {field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_release_left_goes_on_after_the_upgrade_and_the_crds_go_back() {
    let (mut arena, release) = before().await;
    arena.plane.apply(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds"), "default").await.unwrap();
    let (space, calls, legs) = (arena.slot(1), arena.sim.calls(), arena.sim.legs());
    arena.sim.clear_journal();
    arena.start().await;
    let is_settled = |m: &ScheduledMeeting| condition(m, "Ready") == ("True", "Active");
    arena.meeting("running", "as it was", is_settled).await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready") == ("True", "Ready")).await;
    // Two sweeps: whatever is to be put right has been by then.
    arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 2).await;
    let writes: Vec<_> = arena.sim.journal().iter().filter(|entry| entry.method != "GET").map(line).collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.slot(1)), (calls, legs, space));
    for (name, reason, paths) in [
        ("running", "Active", &["/slot", "/window", "/openedAt", "/openLatency", "/call/id", "/participants/0"][..]),
        ("booked", "Scheduled", &["/slot", "/window"]),
        ("over", "Ended", &["/slot", "/window", "/openedAt", "/endedAt"]),
    ] {
        let now = json_of::<ScheduledMeeting>(&arena, name).await;
        let meeting: ScheduledMeeting = serde_json::from_value(now.clone()).unwrap();
        assert_status(&meeting);
        assert_eq!(condition(&meeting, "Ready"), ("True", reason), "{name}");
        for path in paths {
            let then = release.of(name, &format!("/status{path}"));
            assert_eq!(now["status"].pointer(path), Some(&then), "{name}: {path}");
        }
    }
    // Each goes on to its end.
    arena.says("waiting", "SpaceOpen", "False", "PasscodeUnavailable").await;
    arena.create_secret("pin", json!({ "passcode": "4711" })).await;
    arena.says("waiting", "Ready", "True", "Active").await;
    let end = json!({ "spec": { "duration": null, "extension": null, "end": in_ms(500) } });
    arena.patch::<ScheduledMeeting>("running", end).await;
    let ended = arena.phase("running", Phase::Ended).await;
    assert_eq!(condition(&ended, "Ready"), ("True", "Ended"));
    assert_eq!(arena.sim.dials().len(), 1, "{:#?}", arena.journal_lines());
    arena.controller.take().unwrap().stop().await;
    arena.plane.apply(fixture("crds"), "default").await.unwrap();
    for name in MEETINGS {
        goes_back(&arena, &release, name).await;
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}
