//! Replies are lost, objects are restored without status: the same end, no second call, no second ring (CONTRIBUTING.md,
//! "One call, one ring"). Where the controller dies stands in `sweep.rs`.

use std::time::Duration;

use cms_simulator::{Fault, FaultKind, SecondCall};
use futures::StreamExt;
use futures::future::join_all;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

fn desk() -> Value {
    json!([{ "remoteParty": "desk@rooms.test" }])
}

/// The end that every scenario must come to.
async fn assert_good_end(arena: &Arena, name: &str, what: &str) {
    let ended = arena.phase(name, Phase::Ended).await;
    assert_eq!(condition(&ended, "Ready"), ("True", "Ended"), "{what}");
    let dump = || arena.journal_lines().join("\n");
    assert!(arena.sim.calls().is_empty(), "{what}: no call is left\n{}", dump());
    assert!(arena.sim.spaces().iter().all(|space| !space.open && space.cdr_tag.is_none()), "{what}\n{}", dump());
    let rings: Vec<_> = arena.sim.dials().into_iter().map(|dial| (dial.at, dial.remote_party)).collect();
    assert_eq!(rings.len(), 1, "{what}: one ring\n{rings:?}\n{}", dump());
    let made = arena.sim.evidence().calls.len();
    assert_eq!(made, 1, "{what}: one call\n{}", dump());
    arena.gone::<k8s_openapi::api::core::v1::Secret>(&format!("{name}-join")).await;
    arena.assert_rules(1..=5);
}

/// The reply to one kind of write is lost, once.
async fn reply_lost(method: &str, route: &str, second_call: SecondCall, nth: u32) {
    let what = format!("lost reply of {method} {route} no. {nth} ({second_call:?})");
    let arena = Arena::new("lost").await;
    arena.sim.update_switches(|switches| switches.second_call = second_call);
    arena.ready_bridge(json!({})).await;
    let fault = Fault::new(FaultKind::ResetAfter).method(method).route(route).skip(nth).once();
    arena.sim.add_fault(fault);
    let spec = json!({ "start": in_ms(500), "duration": "6s", "participants": desk() });
    arena.create_meeting("m", spec).await;
    arena.party("m", ParticipantState::Connected).await;
    assert_good_end(&arena, "m", &what).await;
    assert_eq!(arena.sim.faults()[0].struck, 1, "{what}");
    arena.finish().await;
}

/// Booking order goes by the seconds in which objects were made.
async fn next_second() {
    let gone = u64::try_from(jiff::Timestamp::now().as_millisecond().rem_euclid(1000)).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1000 - gone)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_is_never_asked_for_twice() {
    let cases = [
        ("PUT", "coSpaces/{id}", SecondCall::SameId, 0),
        ("PUT", "coSpaces/{id}", SecondCall::SameId, 1),
        ("POST", "calls", SecondCall::SameId, 0),
        ("POST", "calls", SecondCall::NewId, 0),
        ("POST", "calls/{id}/callLegs", SecondCall::NewId, 0),
        ("DELETE", "calls/{id}", SecondCall::NewId, 0),
    ];
    join_all(cases.map(|(method, route, second, nth)| reply_lost(method, route, second, nth))).await;
}

/// As after a restore from git or backup: the objects are new and have no status, the meeting on the bridge runs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_object_adopts_the_meeting_that_runs() {
    let mut arena = Arena::new("restore").await;
    arena.ready_bridge(json!({})).await;
    // Another one had slot 1, so that the number cannot be right by chance.
    arena.open_now("first", 600, json!({})).await;
    arena.phase("first", Phase::Active).await;
    let spec = json!({ "participants": desk(), "passcode": { "generate": {} } });
    let made = arena.open_now("second", 600, spec).await;
    arena.party("second", ParticipantState::Connected).await;
    arena.delete::<ScheduledMeeting>("first").await;
    arena.gone::<ScheduledMeeting>("first").await;
    let (space, calls, legs) = (arena.slot(2), arena.sim.calls(), arena.sim.legs());
    arena.controller.take().unwrap().kill().await;
    let api: Api<ScheduledMeeting> = arena.api();
    arena.patch::<ScheduledMeeting>("second", json!({ "metadata": { "finalizers": null } })).await;
    arena.delete::<ScheduledMeeting>("second").await;
    arena.gone::<ScheduledMeeting>("second").await;
    arena.gone::<k8s_openapi::api::core::v1::Secret>("second-join").await;
    arena.sim.clear_journal();
    let spec = serde_json::to_value(&made.spec).unwrap();
    // Others come back with it whose windows overlap: whoever is booked first, its slot is not for them.
    let overlapping = json!({ "start": in_ms(120_000), "duration": "10m" });
    arena.create_meeting("before", overlapping.clone()).await;
    next_second().await;
    arena.create_meeting("second", spec).await;
    next_second().await;
    arena.create_meeting("behind", overlapping).await;
    assert_eq!(status_of(&api.get("second").await.unwrap()).observed_generation, Some(-1));
    arena.start().await;
    let adopted = arena.party("second", ParticipantState::Connected).await;
    assert_eq!(number_of(&adopted), 2);
    assert_eq!(condition(&adopted, "CallPresent"), ("True", "Adopted"));
    let others = [arena.phase("before", Phase::Scheduled).await, arena.phase("behind", Phase::Scheduled).await];
    assert_eq!(others.map(|other| number_of(&other)), [1, 3]);
    let active = arena.says("second", "Ready", "True", "Active").await;
    assert_eq!(status_of(&active).participants[0].attempts, 1);
    assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.sim.dials().len()), (calls, legs, 1));
    let now = arena.slot(2);
    assert_eq!((now.secret.clone(), now.open, now.name), (space.secret, true, space.name), "old links still work");
    let join = arena.join_secret("second").await.expect("made again");
    assert_eq!(entry(&join, "secret"), now.secret);
    assert_eq!(entry(&join, "passcode"), now.passcode, "what the Secret says is what the door asks for");

    arena.delete::<ScheduledMeeting>("second").await;
    arena.gone::<ScheduledMeeting>("second").await;
    assert!(!arena.slot(2).open);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Bridge and meetings restored together: no slot is made anew, nothing rings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_namespace_adopts_slots_and_meetings() {
    let mut arena = Arena::new("rebuilt").await;
    arena.ready_bridge(json!({})).await;
    let made = arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    let (spaces, calls) = (arena.sim.spaces().len(), arena.sim.calls());
    arena.controller.take().unwrap().kill().await;
    let gone = json!({ "metadata": { "finalizers": null } });
    arena.patch::<ScheduledMeeting>("m", gone.clone()).await;
    arena.patch::<meeting_controller::api::MeetingBridge>("core", gone).await;
    arena.delete::<ScheduledMeeting>("m").await;
    arena.delete::<meeting_controller::api::MeetingBridge>("core").await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.gone::<meeting_controller::api::MeetingBridge>("core").await;
    arena.sim.clear_journal();
    arena.create_meeting("m", serde_json::to_value(&made.spec).unwrap()).await;
    arena.create_bridge("core", json!({})).await;
    arena.start().await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.party("m", ParticipantState::Connected).await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    let journal = arena.sim.journal();
    assert_eq!(count(&journal, "POST", "cospaceBulkSyncs"), 0, "{:#?}", arena.journal_lines());
    assert_eq!((arena.sim.spaces().len(), arena.sim.calls(), arena.sim.dials().len()), (spaces, calls, 1));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The same while the controller runs: whoever brings the objects back brings the bridge first. For a while its slots may be
/// those of meetings that are still on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_restored_before_its_meetings_waits_for_them() {
    let settings = Settings { restore_grace: Duration::from_secs(60), ..quick() };
    let mut arena = Arena::with("bridge-first", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    let made = arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    let (secret, calls) = (arena.slot(1).secret, arena.sim.calls());
    arena.controller.take().unwrap().kill().await;
    let gone = json!({ "metadata": { "finalizers": null } });
    arena.patch::<ScheduledMeeting>("m", gone.clone()).await;
    arena.patch::<MeetingBridge>("core", gone).await;
    arena.delete::<ScheduledMeeting>("m").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.gone::<MeetingBridge>("core").await;
    arena.start().await;
    arena.create_bridge("core", json!({})).await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    arena.create_meeting("m", serde_json::to_value(&made.spec).unwrap()).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.party("m", ParticipantState::Connected).await;
    assert_eq!((arena.slot(1).secret, arena.sim.calls(), arena.sim.dials().len()), (secret, calls, 1));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// How the objects of a running meeting come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    /// From a backup with status: new UIDs, what the status says is true.
    NewUids,
    /// The same objects, the status is empty.
    WithoutStatus,
    /// The same objects, with a status from before the meeting was opened.
    Older,
}

/// Removed without finalizers, and made again with the status that it had.
async fn made_again<K>(arena: &Arena, name: &str)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Send
        + 'static,
{
    let mut kept = arena.api::<K>().get(name).await.unwrap();
    arena.patch::<K>(name, json!({ "metadata": { "finalizers": null } })).await;
    arena.delete::<K>(name).await;
    arena.gone::<K>(name).await;
    let metadata = kept.meta_mut();
    (metadata.uid, metadata.resource_version, metadata.managed_fields) = (None, None, None);
    let made = arena.api::<K>().create(&Default::default(), &kept).await.expect("made again");
    let status = serde_json::to_value(&kept).unwrap()["status"].clone();
    put_status(arena, &made, status).await;
}

pub async fn put_status<K>(arena: &Arena, object: &K, status: Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let name = object.meta().name.clone().unwrap();
    let mut whole = serde_json::to_value(arena.api::<K>().get(&name).await.unwrap()).unwrap();
    whole["status"] = status;
    let whole: K = serde_json::from_value(whole).unwrap();
    arena.api::<K>().replace_status(&name, &Default::default(), &whole).await.unwrap();
}

async fn comes_back(how: Restored) {
    let mut arena = Arena::new("comes-back").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("other", 600, json!({})).await;
    arena.phase("other", Phase::Active).await;
    let spec =
        json!({ "start": in_ms(2_000), "duration": "10m", "participants": desk(), "passcode": { "generate": {} } });
    arena.create_meeting("m", spec).await;
    let booked = arena.booked("m").await;
    arena.party("m", ParticipantState::Connected).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.delete::<ScheduledMeeting>("other").await;
    arena.gone::<ScheduledMeeting>("other").await;
    let (space, calls, legs) = (arena.slot(2), arena.sim.calls(), arena.sim.legs());
    arena.controller.take().unwrap().stop().await;
    match how {
        Restored::NewUids => {
            made_again::<ScheduledMeeting>(&arena, "m").await;
            made_again::<meeting_controller::api::MeetingBridge>(&arena, "core").await;
            arena.gone::<k8s_openapi::api::core::v1::Secret>("m-join").await;
        }
        Restored::WithoutStatus => {
            put_status(&arena, &booked, json!({})).await;
            let bridge: meeting_controller::api::MeetingBridge = arena.api().get("core").await.unwrap();
            put_status(&arena, &bridge, json!({})).await;
        }
        Restored::Older => put_status(&arena, &booked, serde_json::to_value(&booked.status).unwrap()).await,
    }
    arena.sim.clear_journal();
    arena.start().await;
    let is_settled = |m: &ScheduledMeeting| {
        let party = status_of(m).participants.first().map(|party| party.state);
        party == Some(ParticipantState::Connected) && condition(m, "Ready") == ("True", "Active")
    };
    let meeting = arena.meeting("m", &format!("adopted ({how:?})"), is_settled).await;
    assert_eq!(number_of(&meeting), 2, "{how:?}");
    assert_eq!(status_of(&meeting).participants[0].attempts, 1, "{how:?}");
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    // Two sweeps: whatever is to be put right has been by then.
    arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 2).await;
    let (journal, now) = (arena.sim.journal(), arena.slot(2));
    assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.sim.dials().len()), (calls, legs, 1), "{how:?}");
    let lines = arena.journal_lines();
    assert_eq!(count(&journal, "POST", "cospaceBulkSyncs"), 0, "{how:?}: {lines:#?}");
    assert_eq!((&now.secret, &now.passcode, now.open), (&space.secret, &space.passcode, true), "{how:?}: {lines:#?}");
    let join = arena.join_secret("m").await.expect("the join Secret");
    assert_eq!((entry(&join, "secret"), entry(&join, "passcode")), (now.secret, now.passcode), "{how:?}");
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(!arena.slot(2).open && arena.sim.calls().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_the_objects_come_back_the_meeting_that_runs_is_adopted() {
    join_all([Restored::NewUids, Restored::WithoutStatus, Restored::Older].map(comes_back)).await;
}

/// A status that names somebody else's call: of another bridge, of a backup, or one whose id was used again. Nobody in it is
/// put out, also where the call itself does not say which space it is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_call_that_is_not_on_our_space_is_not_ended() {
    for is_hidden in [false, true] {
        let mut arena = Arena::new(&format!("not-ours-{is_hidden}")).await;
        arena.sim.update_switches(|switches| switches.call_hides_space = is_hidden);
        arena.ready_bridge(json!({})).await;
        let room = arena.sim.add_space("Board room", "900", "900").unwrap();
        arena.ask(Method::POST, "calls", &format!("coSpace={room}")).await;
        let theirs = arena.sim.calls().remove(0);
        arena.open_now("m", 600, json!({})).await;
        let active = arena.says("m", "Ready", "True", "Active").await;
        arena.controller.take().unwrap().stop().await;
        let mut status = serde_json::to_value(status_of(&active)).unwrap();
        assert_ne!(status["call"]["id"], json!(theirs.id));
        status["call"]["id"] = json!(theirs.id);
        put_status(&arena, &active, status).await;
        arena.end_now("m").await;
        arena.sim.clear_journal();
        arena.start().await;
        arena.phase("m", Phase::Ended).await;
        assert_eq!(arena.sim.calls(), [theirs], "ours is gone, theirs goes on: {:#?}", arena.journal_lines());
        assert_eq!(count(&arena.sim.journal(), "DELETE", "calls/{id}"), 1, "{:#?}", arena.journal_lines());
        assert!(!arena.slot(1).open);
        arena.finish().await;
    }
}

/// By hand, while it runs and the controller looks on: `kubectl patch --subresource status`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_somebody_wipes_while_the_meeting_runs_is_written_anew_and_nothing_else_happens() {
    let arena = Arena::new("wiped").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("other", 600, json!({})).await;
    arena.phase("other", Phase::Active).await;
    arena.open_now("m", 600, json!({ "participants": desk(), "passcode": { "generate": {} } })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.delete::<ScheduledMeeting>("other").await;
    arena.gone::<ScheduledMeeting>("other").await;
    let (space, calls, legs) = (arena.slot(2), arena.sim.calls(), arena.sim.legs());
    let wipe = kube::api::Patch::Merge(json!({ "status": null }));
    let (meetings, bridges) = (arena.api::<ScheduledMeeting>(), arena.api::<meeting_controller::api::MeetingBridge>());
    meetings.patch_status("m", &Default::default(), &wipe).await.expect("wiped");
    bridges.patch_status("core", &Default::default(), &wipe).await.expect("wiped");
    let is_back = |m: &ScheduledMeeting| {
        let party = status_of(m).participants.first().map(|party| party.state);
        party == Some(ParticipantState::Connected) && condition(m, "Ready") == ("True", "Active")
    };
    let meeting = arena.meeting("m", "written anew", is_back).await;
    assert_eq!(number_of(&meeting), 2, "not the lowest that is free");
    assert_eq!(status_of(&meeting).participants[0].attempts, 1);
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    arena.sim.clear_journal();
    arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 2).await;
    assert_eq!((arena.sim.calls(), arena.sim.legs(), arena.sim.dials().len()), (calls, legs, 1));
    let now = arena.slot(2);
    assert_eq!((&now.secret, &now.passcode, now.open), (&space.secret, &space.passcode, true));
    assert!(arena.sim.spaces().len() == 5 && arena.sim.evidence().calls.len() == 2, "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// What is on the bridge is in use, whether the objects that say so were looked at yet or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_on_which_a_meeting_runs_is_not_called_idle_after_a_restore() {
    let mut arena = Arena::with("not-idle", lone(), meeting_controller::testing::settings()).await;
    arena.ready_bridge(json!({})).await;
    let booked = arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.controller.take().unwrap().stop().await;
    put_status(&arena, &booked, json!({})).await;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    put_status(&arena, &bridge, json!({})).await;
    let phase = |bridge: &MeetingBridge| bridge.status.as_ref().and_then(|status| status.phase.clone());
    let mut seen = watcher::watcher(arena.api::<MeetingBridge>(), watcher::Config::default()).applied_objects().boxed();
    let first = seen.next().await.unwrap().unwrap();
    assert_eq!(phase(&first), None);
    arena.start().await;
    let mut phases = Vec::new();
    while phases.last().is_none_or(|last| last != "InUse") {
        let next = tokio::time::timeout(PATIENCE, seen.next()).await.expect("InUse in time");
        phases.extend(phase(&next.unwrap().unwrap()));
    }
    assert!(!phases.iter().any(|phase| phase == "Idle"), "{phases:?}");
    arena.finish().await;
}
