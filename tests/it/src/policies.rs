//! What the user may say about how much is done: Observe, suspend, a full look on demand; and what others do by hand.

use std::time::Duration;

use cms_simulator::{Fault, FaultKind, JournalEntry};
use meeting_controller::api::bridge::SlotState;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::{lone, number_of, slot_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observe_tells_the_steps_and_writes_nothing() {
    let mut arena = Arena::quiet("pol-observe", lone(), brisk()).await;
    arena.sim.add_space("TMS_Scheduled_Meeting_2", "2", "2").unwrap();
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "managementPolicy": "Observe" })).await;
    let planned = |b: &MeetingBridge| b.status.as_ref().is_some_and(|status| !status.plan.is_empty());
    let bridge = arena.bridge("core", "planned", planned).await;
    let plan = bridge.status.unwrap().plan;
    assert_eq!(
        plan,
        [
            "create the call profile",
            "create the call leg profile",
            "create a bulk parameter set for 1..1",
            "start the bulk sync that makes its spaces",
        ]
    );
    // The plan is the same after a while, and nothing was written all the time.
    let looks = arena.requests().len();
    arena.answered(looks + 6).await;
    let later = arena.bridge("core", "there", |_| true).await;
    assert_eq!(later.status.unwrap().plan, plan);
    assert_eq!(arena.writes(), Vec::<String>::new());
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "managementPolicy": "Enforce" } })).await;
    let bridge = arena.ready("core").await;
    assert!(bridge.status.unwrap().plan.is_empty());
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_a_bridge_that_is_as_it_should_be_plans_nothing() {
    let arena = Arena::with("pol-content", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "managementPolicy": "Observe" } })).await;
    let bridge = arena.ready("core").await;
    assert!(bridge.status.unwrap().plan.is_empty());
    assert!(arena.sim.delete_space("4"));
    let planned = |b: &MeetingBridge| b.status.as_ref().is_some_and(|status| !status.plan.is_empty());
    let bridge = arena.bridge("core", "planned", planned).await;
    assert_eq!(bridge.status.unwrap().plan[0], "create a bulk parameter set for 4..4");
    assert_eq!(arena.writes(), Vec::<String>::new());
    // Taking it away in this mode writes nothing either.
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert_eq!(arena.writes(), Vec::<String>::new());
    assert_eq!(arena.sim.spaces().len(), 4);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_bridge_is_left_alone() {
    let arena = Arena::with("pol-suspend", lone(), brisk()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "suspend": true })).await;
    let bridge = arena.bridge("core", "suspended", |b| condition(b, "Ready") == ("True", "Suspended")).await;
    assert_eq!(bridge.status.as_ref().unwrap().phase.as_deref(), Some("Suspended"));
    assert_eq!(condition(&bridge, "Stalled"), ("", ""));
    assert_eq!(condition(&bridge, "Reconciling"), ("", ""));
    // Probes go on: they notice that it is away.
    arena.sim.cut_bridge(0);
    let bridge = arena.reason("core", "Reachable", "ConnectionRefused").await;
    assert_eq!(condition(&bridge, "Ready"), ("True", "Suspended"));
    assert!(arena.sim.start_bridge(0));
    arena.bridge("core", "back", |b| condition(b, "Reachable") != ("False", "ConnectionRefused")).await;
    assert_eq!(arena.journal_lines(), Vec::<String>::new(), "a probe is no request");
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "suspend": false } })).await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_look_can_be_asked_for() {
    let arena = Arena::with("pol-look", lone(), patient()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    ask_full_look(&arena, "2026-01-01T00:00:00Z").await;
    arena.bridge("core", "handled", |b| handled(b) == Some("2026-01-01T00:00:00Z") && is_ready(b)).await;
    let lines: Vec<String> = arena.requests().iter().map(|e| format!("{} {}", e.method, e.route)).collect();
    for wanted in ["system/status", "callBridges", "callProfiles/{id}", "callLegProfiles/{id}", "coSpaces"] {
        assert!(lines.contains(&format!("GET {wanted}")), "{wanted}: {lines:?}");
    }
    assert_eq!(lines.iter().filter(|line| *line == "GET coSpaces/{id}").count(), 5, "every free slot: {lines:?}");
    assert_eq!(arena.writes(), Vec::<String>::new());
    // The same word again is no new question; the next one is.
    let count = lines.len();
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "Other" } })).await;
    arena.bridge("core", "judged", |b| b.observed() == Some(2)).await;
    assert_eq!(arena.requests().len(), count);
    ask_full_look(&arena, "again").await;
    arena.bridge("core", "handled again", |b| handled(b) == Some("again")).await;
    assert_eq!(arena.requests().len(), 2 * count);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_that_drifted_or_vanished_are_mended() {
    let arena = Arena::with("pol-drift", lone(), patient()).await;
    let bridge = arena.ready_bridge(json!({})).await;
    let profiles = bridge.status.unwrap().profiles.unwrap();
    let (call, leg) = (profiles.call.unwrap(), profiles.call_leg.unwrap());
    arena.ask(Method::PUT, &format!("callProfiles/{call}"), "participantLimit=3").await;
    arena.ask(Method::PUT, &format!("callLegProfiles/{leg}"), "muteSelfAllowed=false").await;
    ask_full_look(&arena, "drift").await;
    arena.bridge("core", "mended", |b| handled(b) == Some("drift") && is_ready(b)).await;
    let shown = arena.ask(Method::GET, &format!("callProfiles/{call}"), "").await;
    assert!(shown.contains("<participantLimit>1000<"), "{shown}");
    let shown = arena.ask(Method::GET, &format!("callLegProfiles/{leg}"), "").await;
    assert!(shown.contains("<muteSelfAllowed>true<"), "{shown}");
    assert_eq!((arena.total("callProfiles").await, arena.total("callLegProfiles").await), (1, 1));

    arena.ask(Method::DELETE, &format!("callLegProfiles/{leg}"), "").await;
    ask_full_look(&arena, "gone").await;
    let bridge = arena.bridge("core", "made again", |b| handled(b) == Some("gone") && is_ready(b)).await;
    let profiles = bridge.status.unwrap().profiles.unwrap();
    assert_eq!(profiles.call.as_deref(), Some(call.as_str()));
    assert_ne!(profiles.call_leg.as_deref(), Some(leg.as_str()));
    assert_eq!((arena.total("callProfiles").await, arena.total("callLegProfiles").await), (1, 1));
    for space in arena.sim.spaces() {
        assert_eq!(space.fields.get("callLegProfile"), profiles.call_leg.as_ref(), "attached to {}", space.name);
        assert_eq!(space.fields.get("callProfile"), Some(&call));
    }
    let attached = arena.effects("PUT", "coSpaces/{id}");
    assert_eq!(attached.len(), 5, "{:?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_drifts_is_noticed_by_and_by() {
    let settings = Settings { idle_read: Duration::from_millis(100), ..quick() };
    let arena = Arena::with("pol-notice", lone(), settings).await;
    let bridge = arena.ready_bridge(json!({})).await;
    let call = bridge.status.unwrap().profiles.unwrap().call.unwrap();
    arena.sim.clear_journal();
    arena.ask(Method::PUT, &format!("callProfiles/{call}"), "participantLimit=3").await;
    arena
        .await_requests("put back", |all| {
            all.iter().any(|entry| field(entry, "participantLimit") == Some("1000") && entry.effect)
        })
        .await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_profile_is_sent_and_spaces_are_left_alone() {
    let arena = Arena::with("pol-profile", lone(), patient()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    arena
        .patch::<MeetingBridge>("core", json!({ "spec": { "profiles": { "call": { "participantLimit": 50 } } } }))
        .await;
    arena.ready("core").await;
    assert_eq!(arena.writes(), ["PUT callProfiles/{id} 200"]);
    assert_eq!(field(&arena.effects("PUT", "callProfiles/{id}")[0], "participantLimit"), Some("50"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_opened_is_not_ours_until_he_shuts_it() {
    let arena = Arena::with("pol-foreign", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.edit_space("1", &[("nonMemberAccess", "true")]).unwrap();
    let opened = arena.sim.spaces().into_iter().find(|space| space.call_id.as_deref() == Some("1")).unwrap();
    arena.sim.clear_journal();
    let bridge = arena.reason("core", "ExclusiveControl", "ForeignChanges").await;
    let slots = slots_of(&bridge);
    assert_eq!((slots.total, slots.free, slots.foreign), (5, 4, 1));
    assert!(slots.entries.iter().any(|entry| entry.number == 1 && entry.state == SlotState::Foreign));
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"), "the others can be booked");
    assert!(message(&bridge, "ExclusiveControl").contains('1'));
    // Not handed out.
    arena.open_now("standup", 60, json!({})).await;
    let active = arena.phase("standup", meeting_controller::api::meeting::Phase::Active).await;
    assert_eq!(number_of(&active), 2);
    // Never touched; also after a full look, whose list shows nothing of it.
    ask_full_look(&arena, "look").await;
    let looked = |b: &MeetingBridge| handled(b) == Some("look") && slots_of(b).total == 5 && is_ready(b);
    let bridge = arena.bridge("core", "looked", looked).await;
    assert_eq!(slots_of(&bridge).foreign, 1, "{:?}", slots_of(&bridge));
    let still = arena.sim.spaces().into_iter().find(|space| space.id == opened.id).unwrap();
    assert_eq!(still, opened);
    arena.delete::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.gone::<meeting_controller::api::ScheduledMeeting>("standup").await;
    arena.sim.edit_space("1", &[("nonMemberAccess", "false")]).unwrap();
    let bridge = arena.bridge("core", "ours again", |b| slots_of(b).free == 5).await;
    assert_eq!(condition(&bridge, "ExclusiveControl").0, "True");
    arena.assert_rules(2..=5);
    arena.finish().await;
}

/// Another scheduler of the same prefix (TMS, during a migration) opens a free slot between two of our looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_of_another_scheduler_in_a_free_slot_goes_on() {
    let arena = Arena::with("pol-tms", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    let id = space_id(&arena, 3);
    let open = "nonMemberAccess=true&passcode=&name=Weekly&secret=abc";
    arena.ask(Method::PUT, &format!("coSpaces/{id}"), open).await;
    arena.ask(Method::POST, "calls", &format!("coSpace={id}")).await;
    let calls = arena.sim.calls();
    assert_eq!(calls.len(), 1);
    let bridge = arena.reason("core", "ExclusiveControl", "ForeignChanges").await;
    assert_eq!((slots_of(&bridge).free, slots_of(&bridge).foreign), (4, 1));
    // A full look changes nothing of it.
    ask_full_look(&arena, "look").await;
    arena.bridge("core", "looked", |b| handled(b) == Some("look") && slots_of(b).foreign == 1 && is_ready(b)).await;
    let looks = arena.requests().len();
    arena.answered(looks + 8).await;
    assert_eq!(arena.sim.calls(), calls, "the call goes on");
    // TMS shuts it: it is ours again, and what was left in it goes.
    let shut = "nonMemberAccess=false&passcode=&name=TMS_Scheduled_Meeting_3&regenerateSecret=true";
    arena.ask(Method::PUT, &format!("coSpaces/{id}"), shut).await;
    arena.bridge("core", "ours again", |b| slots_of(b).free == 5).await;
    arena.await_sim("the call that was left is ended", |sim| sim.calls().is_empty()).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_was_left_open_is_shut_although_the_growth_and_the_profiles_are_refused() {
    let mut arena = Arena::with("pol-first", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.controller.take().unwrap().stop().await;
    let mark = ("cdrTag", "meeting-controller:x/gone");
    arena.sim.edit_space("1", &[("nonMemberAccess", "true"), ("name", "Gone"), mark]).unwrap();
    let refused = FaultKind::Failure { status: 400, element: "parameterError".to_owned() };
    arena.sim.add_fault(Fault::new(refused).method("PUT").route("callProfiles/{id}"));
    arena
        .patch::<MeetingBridge>(
            "core",
            json!({ "spec": { "slots": { "quantity": 6 }, "profiles": { "call": { "participantLimit": 5 } } } }),
        )
        .await;
    arena.start().await;
    arena.await_sim("shut", |sim| sim.spaces().iter().all(|space| !space.open)).await;
    // Nor do running meetings notice: they are looked at as often as ever, while the profile is sent more and more rarely.
    arena.open_now("m", 600, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    arena.phase("m", Phase::Active).await;
    let is_sweep = |entry: &JournalEntry| (entry.method.as_str(), entry.route.as_str()) == ("GET", "callLegs");
    let is_refused =
        |entry: &JournalEntry| (entry.method.as_str(), entry.route.as_str()) == ("PUT", "callProfiles/{id}");
    let sweeps_between = |all: &[JournalEntry]| {
        let between = all.iter().rev().filter(|entry| is_sweep(entry) || is_refused(entry));
        between.take(4).filter(|entry| is_sweep(entry)).count() == 4
    };
    arena.await_requests("four sweeps between two refusals", |all| sweeps_between(all)).await;
    arena.reason("core", "Ready", "Rejected").await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_open_is_told_and_shut_when_the_bridge_is_written_to_again() {
    let arena = Arena::with("pol-left", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "managementPolicy": "Observe" } })).await;
    arena.bridge("core", "observed", |b| b.observed() == b.metadata.generation).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(-5_000), "duration": "1s" } })).await;
    let left = arena.says("m", "SlotReleased", "False", "LeftBehind").await;
    assert_eq!((phase_of(&left), condition(&left, "Ready")), (Phase::Ended, ("False", "LeftBehind")));
    assert!(arena.slot(1).open, "nobody wrote there");
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "labels": { "again": "true" } } })).await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "managementPolicy": "Enforce" } })).await;
    arena.await_sim("shut by its mark", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    let left = arena.says("m", "SlotReleased", "False", "LeftBehind").await;
    assert_eq!(phase_of(&left), Phase::Ended);
    arena.told("m", "LeftBehind").await;
    let events = arena.events_about("m").await;
    assert!(events.iter().all(|(reason, _)| reason != "Ended"), "{events:?}");
    arena.finish().await;
}
