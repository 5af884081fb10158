//! Deletion of meetings, bridges and whole namespaces (R54, R77): it costs what it must, ends in bounded time, and says
//! what it left behind.

use std::time::Duration;

use cms_simulator::{Fault, FaultKind};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;
use crate::removal::left;

fn desk() -> Value {
    json!([{ "remoteParty": "desk@rooms.test" }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_before_the_start_costs_the_bridge_nothing() {
    let arena = Arena::with("cheap", lone(), still()).await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("m", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("m").await;
    assert!(arena.join_secret("m").await.is_some());
    arena.sim.clear_journal();
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(arena.join_secret("m").await.is_none());
    arena.create_meeting("n", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    assert_eq!(number_of(&arena.booked("n").await), 1, "the slot is free again");
    assert_eq!(arena.journal_lines(), Vec::<String>::new());
    arena.finish().await;
}

/// Somebody takes its finalizer off while its pass waits for the bridge. What the pass learns after that is nobody's: the slot
/// is shut as one that was left open, and given to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_vanishes_in_the_midst_of_its_pass_keeps_no_slot() {
    let arena = Arena::with("ghost", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    let hang = Fault::new(FaultKind::HangBefore).method("PUT").route("coSpaces/{id}").once();
    arena.sim.add_fault(hang);
    arena.delete::<ScheduledMeeting>("m").await;
    arena.await_sim("it waits", |sim| sim.faults().iter().any(|fault| fault.struck == 1)).await;
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "finalizers": null } })).await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    arena.open_now("n", 600, json!({})).await;
    assert_eq!(number_of(&arena.phase("n", Phase::Active).await), 1, "the slot is free again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_of_an_active_meeting_shuts_the_door_first() {
    let arena = Arena::with("active", lone(), still()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.await_sim("connected", |sim| sim.dials().iter().any(|dial| dial.answered.is_some())).await;
    arena.phase("m", Phase::Active).await;
    let secret = arena.slot(1).secret;
    arena.sim.clear_journal();
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty() && arena.sim.legs().is_empty());
    assert_ne!(arena.slot(1).secret, secret);
    let lines: Vec<_> =
        arena.sim.journal().iter().filter(|e| e.method != "GET").map(|e| format!("{} {}", e.method, e.route)).collect();
    assert_eq!(lines, ["PUT coSpaces/{id}", "DELETE calls/{id}"]);
    arena.gone::<Secret>("m-join").await;
    arena.open_now("n", 600, json!({})).await;
    assert_eq!(number_of(&arena.phase("n", Phase::Active).await), 1, "the slot is free again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_with_an_unreachable_bridge_is_bounded_and_the_slot_is_shut_later() {
    let settings =
        meeting_controller::config::settings::Settings { deletion_deadline: Duration::from_secs(3), ..quick() };
    let arena = Arena::with("bounded", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.sim.cut_bridge(0);
    let asked = Timestamp::now();
    arena.delete::<ScheduledMeeting>("m").await;
    let closing = arena.says("m", "SlotReleased", "False", "ResetPending").await;
    assert_eq!((phase_of(&closing), condition(&closing, "Ready").0), (Phase::Closing, "False"));
    arena.gone::<ScheduledMeeting>("m").await;
    let took = Timestamp::now().duration_since(asked);
    assert!(took > SignedDuration::from_secs(2) && took < SignedDuration::from_secs(12), "{took:?}");
    arena.told("m", "LeftBehind").await;
    assert!(arena.slot(1).open, "nobody could shut it");
    assert!(arena.sim.start_bridge(0));
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    assert_eq!(arena.slot(1).cdr_tag, None);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_deletion_goes_at_once() {
    let arena = Arena::new("forced").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.sim.cut_bridge(0);
    arena.delete::<ScheduledMeeting>("m").await;
    arena.says("m", "SlotReleased", "False", "ResetPending").await;
    let force = json!({ "metadata": { "annotations": { "meeting-controller.dev/force-delete": "true" } } });
    let asked = Timestamp::now();
    arena.patch::<ScheduledMeeting>("m", force).await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(Timestamp::now().duration_since(asked) < SignedDuration::from_secs(8));
    arena.gone::<Secret>("m-join").await;
    assert!(arena.sim.start_bridge(0));
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_deleted_ends_its_meetings_first() {
    let arena = Arena::new("bridge-gone").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("running", 600, json!({ "participants": desk() })).await;
    arena.create_meeting("later", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.party("running", ParticipantState::Connected).await;
    arena.booked("later").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.calls().is_empty() && arena.sim.spaces().is_empty(), "nothing of ours is left");
    for name in ["running", "later"] {
        let lost = arena.says(name, "Accepted", "False", "BridgeNotFound").await;
        assert_eq!(phase_of(&lost), Phase::Pending, "{name}");
    }
    arena.create_bridge("core", json!({})).await;
    assert_eq!(phase_of(&arena.booked("later").await), Phase::Scheduled, "a bridge of that name is as good");
    arena.phase("running", Phase::Active).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Deletes the namespace, and waits for the thirty seconds that it may take.
async fn namespace_goes(arena: &Arena) {
    let namespaces: Api<Namespace> = Api::all(arena.client.clone());
    namespaces.delete(&arena.namespace, &DeleteParams::default()).await.unwrap();
    let asked = std::time::Instant::now();
    let gone = await_condition(namespaces, &arena.namespace, |namespace: Option<&Namespace>| namespace.is_none());
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the namespace goes within 30 s").unwrap();
    println!("the namespace went within {:?}", asked.elapsed());
}

/// Its Secret went while no controller ran: what holds the namespace is let go, and what was open on the bridge is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_lost_its_credentials_while_nobody_looked_goes_all_the_same() {
    let mut arena = Arena::new("all-lost").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("running", 600, json!({ "participants": desk() })).await;
    arena.party("running", ParticipantState::Connected).await;
    arena.controller.take().unwrap().kill().await;
    arena.delete::<Secret>("cms").await;
    arena.start().await;
    namespace_goes(&arena).await;
    assert!(arena.slot(1).open, "nobody could shut it");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_deleted_with_everything_in_it() {
    let arena = Arena::new("all").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("running", 600, json!({ "participants": desk() })).await;
    arena.create_meeting("later", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.party("running", ParticipantState::Connected).await;
    arena.booked("later").await;
    namespace_goes(&arena).await;
    assert!(arena.sim.calls().is_empty() && arena.sim.spaces().is_empty(), "{:#?}", arena.journal_lines());
    assert_eq!(left(&arena).await, [0, 0, 0], "its Secret may have gone first");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// What was used last serves until the object is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_whose_secret_and_ca_bundle_went_first_is_removed() {
    let arena = Arena::new("bare").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("running", 600, json!({})).await;
    arena.phase("running", Phase::Active).await;
    arena.delete::<Secret>("cms").await;
    arena.delete::<ConfigMap>("cms-ca").await;
    arena.bridge("core", "bare", |bridge| condition(bridge, "CredentialsValid") == ("False", "SecretNotFound")).await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.calls().is_empty() && arena.sim.spaces().is_empty(), "{:#?}", arena.journal_lines());
    assert_eq!(left(&arena).await, [0, 0, 0]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// After a restart of the controller there are no credentials to go on with, and nothing that could be waited for: that is
/// told at once, and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_nobody_can_get_into_any_more_goes_soon_and_says_what_it_leaves() {
    let mut arena = Arena::new("unkeyed").await;
    arena.ready_bridge(json!({})).await;
    arena.controller.take().unwrap().kill().await;
    arena.delete::<Secret>("cms").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.start().await;
    let told = ("False", "SecretNotFound");
    let core = arena.bridge("core", "told", |bridge| condition(bridge, "CredentialsValid") == told).await;
    assert!(message(&core, "Ready").contains("within 10 seconds"), "{}", message(&core, "Ready"));
    arena.gone::<MeetingBridge>("core").await;
    arena.told("core", "LeftBehind").await;
    let notes = arena.events_about("core").await;
    assert!(notes.iter().any(|(reason, note)| reason == "LeftBehind" && note.contains("Secret cms")), "{notes:?}");
    assert!(arena.sim.spaces().iter().all(|space| !space.open));
    arena.finish().await;
}

/// A Secret that was only replaced is there again in time, and the bridge is left clean.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_whose_secret_comes_back_in_time_is_removed() {
    let mut arena = Arena::new("rekeyed").await;
    arena.ready_bridge(json!({})).await;
    arena.controller.take().unwrap().kill().await;
    arena.delete::<Secret>("cms").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.start().await;
    let told = ("False", "SecretNotFound");
    arena.bridge("core", "told", |bridge| condition(bridge, "CredentialsValid") == told).await;
    let entries = json!({ "username": arena.sim.username(), "password": arena.sim.password() });
    arena.create_secret("cms", entries).await;
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.spaces().is_empty(), "{:#?}", arena.journal_lines());
    arena.finish().await;
}
