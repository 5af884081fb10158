//! Taking a bridge away (R54): what is removed, what is left, and how long it may take.

use std::time::Duration;

use cms_simulator::{Fault, FaultKind};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::names::FORCE_DELETE_ANNOTATION;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;

const COLLECTIONS: [&str; 3] = ["callProfiles", "callLegProfiles", "cospaceBulkParameterSets"];

pub async fn left(arena: &Arena) -> Vec<usize> {
    futures::future::join_all(COLLECTIONS.map(|collection| arena.total(collection))).await
}

/// A meeting that has its door open and somebody in it.
async fn running(arena: &Arena) {
    arena.open_now("standup", 120, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    arena.party("standup", meeting_controller::api::meeting::ParticipantState::Connected).await;
}

async fn take_away(arena: &Arena) {
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_we_made_goes_after_the_running_meeting_was_ended() {
    let mut arena = Arena::quiet("remove-all", lone(), brisk()).await;
    arena.sim.add_space("Boardroom", "900", "900").unwrap();
    let foreign = arena.sim.spaces();
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    running(&arena).await;
    let space = space_id(&arena, 1);
    arena.sim.clear_journal();
    take_away(&arena).await;
    assert_eq!(arena.sim.spaces(), foreign, "only what is not ours is left");
    assert!(arena.sim.calls().is_empty());
    let writes: Vec<_> = arena.requests().into_iter().filter(|entry| entry.method != "GET").collect();
    let at = |method: &str, route: &str| writes.iter().position(|e| e.method == method && e.route == route);
    let shut = writes.iter().position(|e| e.method == "PUT" && e.space.as_deref() == Some(space.as_str()));
    let order = [
        shut,
        at("DELETE", "calls/{id}"),
        at("POST", "cospaceBulkSyncs"),
        at("DELETE", "cospaceBulkParameterSets/{id}"),
        at("DELETE", "callProfiles/{id}"),
        at("DELETE", "callLegProfiles/{id}"),
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}: {:?}", arena.writes());
    assert_eq!(left(&arena).await, [0, 0, 0]);
    assert!(!arena.events_about("core").await.iter().any(|(reason, _)| reason == "LeftBehind"));
    let meeting: ScheduledMeeting = arena.api().get("standup").await.unwrap();
    assert_status(&meeting);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopted_spaces_are_shut_and_left() {
    let mut arena = Arena::quiet("remove-adopted", lone(), brisk()).await;
    for number in ["1", "2", "3", "4"] {
        let name = format!("TMS_Scheduled_Meeting_{number}");
        let pairs = [("name", name.as_str()), ("uri", number), ("callId", number), ("nonMemberAccess", "false")];
        arena.sim.add_space_with(&pairs).unwrap();
    }
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    running(&arena).await;
    take_away(&arena).await;
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4], "5 was made by us");
    for space in arena.sim.spaces() {
        assert!(!space.open && space.passcode.is_none() && space.cdr_tag.is_none(), "{space:?}");
    }
    assert!(arena.sim.calls().is_empty());
    assert_eq!(left(&arena).await, [0, 0, 0]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphan_leaves_everything_as_it_is() {
    let arena = Arena::with("remove-orphan", lone(), brisk()).await;
    arena.ready_bridge(json!({ "deletionPolicy": "Orphan" })).await;
    running(&arena).await;
    let before = (arena.sim.spaces(), arena.sim.calls());
    arena.sim.clear_journal();
    take_away(&arena).await;
    assert_eq!((arena.sim.spaces(), arena.sim.calls()), before);
    assert_eq!(arena.writes(), Vec::<String>::new());
    assert_eq!(left(&arena).await, [1, 1, 1]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Nobody shuts it, so nobody says that it is shut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_whose_bridge_object_went_is_left_behind_at_its_end_unless_that_comes_back() {
    let arena = Arena::with("remove-left", lone(), brisk()).await;
    let orphan = json!({ "deletionPolicy": "Orphan" });
    arena.ready_bridge(orphan.clone()).await;
    for (name, slot) in [("left", 1), ("looked-after", 2)] {
        arena.open_now(name, 600, json!({})).await;
        let running = arena.says(name, "Ready", "True", "Active").await;
        assert_eq!(number_of(&running), slot);
    }
    take_away(&arena).await;
    let alone = arena.says("left", "Ready", "False", "BridgeUnreachable").await;
    assert!(message(&alone, "Ready").contains("does not exist any more"), "{alone:#?}");
    assert_eq!((phase_of(&alone), number_of(&alone)), (Phase::Active, 1), "it goes on where it is");
    arena.end_now("left").await;
    let left = arena.says("left", "SlotReleased", "False", "LeftBehind").await;
    assert_eq!(condition(&left, "Ready"), ("False", "LeftBehind"));
    assert!(arena.slot(1).open, "nobody shut it");
    arena.create_bridge("core", orphan).await;
    arena.says("looked-after", "Ready", "True", "Active").await;
    arena.await_sim("shut by its mark", |sim| !slot_of(sim, 1).open && slot_of(sim, 2).open).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_bridge_is_waited_for_until_the_deadline() {
    let settings = Settings { deletion_deadline: Duration::from_secs(3), ..brisk() };
    let arena = Arena::with("remove-unreachable", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    running(&arena).await;
    arena.sim.cut_bridge(0);
    let begun = tokio::time::Instant::now();
    arena.delete::<MeetingBridge>("core").await;
    let leaving = arena.bridge("core", "leaving", |b| condition(b, "Ready") == ("False", "Deleting")).await;
    assert_eq!(leaving.status.unwrap().phase.as_deref(), Some("Deleting"));
    arena.gone::<MeetingBridge>("core").await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
    arena.told("core", "LeftBehind").await;
    arena.sim.start_bridge(0);
    assert_eq!(left(&arena).await, [1, 1, 1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_bridge_that_comes_back_in_time_is_cleaned() {
    let arena = Arena::with("remove-back", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    running(&arena).await;
    arena.sim.cut_bridge(0);
    arena.reason("core", "Reachable", "ConnectionRefused").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.bridge("core", "leaving", |b| condition(b, "Ready") == ("False", "Deleting")).await;
    assert!(arena.sim.start_bridge(0));
    arena.gone::<MeetingBridge>("core").await;
    assert!(arena.sim.spaces().is_empty() && arena.sim.calls().is_empty());
    assert_eq!(left(&arena).await, [0, 0, 0]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn force_lets_a_bridge_go_at_once() {
    let mut settings = brisk();
    settings.limits.request = Duration::from_secs(2);
    let arena = Arena::with("remove-force", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore));
    arena.delete::<MeetingBridge>("core").await;
    arena.bridge("core", "leaving", |b| condition(b, "Ready") == ("False", "Deleting")).await;
    let before = arena.requests().len();
    let annotation = json!({ "metadata": { "annotations": { FORCE_DELETE_ANNOTATION: "true" } } });
    arena.patch::<MeetingBridge>("core", annotation).await;
    arena.gone::<MeetingBridge>("core").await;
    // What had begun before may still be on its way: one try and one look at the database.
    assert!(arena.requests().len() <= before + 2, "nothing more is asked: {:?}", arena.journal_lines());
    arena.told("core", "LeftBehind").await;
    assert_eq!(arena.sim.spaces().len(), 5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_took_is_left_to_him() {
    let arena = Arena::with("remove-foreign", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.edit_space("3", &[("name", "Party"), ("nonMemberAccess", "true")]).unwrap();
    let foreign = arena.bridge("core", "foreign", |b| slots_of(b).foreign == 1).await;
    assert_eq!(condition(&foreign, "ExclusiveControl"), ("False", "ForeignChanges"));
    take_away(&arena).await;
    let spaces = arena.sim.spaces();
    assert_eq!(spaces.len(), 1, "{spaces:?}");
    assert!(spaces[0].name == "Party" && spaces[0].open);
    arena.assert_rules([1, 2, 4, 5]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_was_never_reached_goes_at_once() {
    let arena = Arena::with("remove-never", lone(), brisk()).await;
    arena.create_bridge("core", json!({})).await;
    arena.reason("core", "CredentialsValid", "SecretNotFound").await;
    let begun = tokio::time::Instant::now();
    take_away(&arena).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_killed_in_the_midst_of_a_removal_ends_it() {
    let end = |index: u32| async move {
        let mut arena = Arena::with(&format!("remove-kill-{index}"), lone(), brisk()).await;
        arena.ready_bridge(json!({})).await;
        // The removing sync, then the deletions of the set and both profiles.
        let fault = Fault::new(FaultKind::HangAfter);
        let fault = match index.checked_sub(1) {
            None => fault.method("POST"),
            Some(deletion) => fault.method("DELETE").skip(deletion),
        };
        let fault = arena.sim.add_fault(fault);
        arena.delete::<MeetingBridge>("core").await;
        let struck = |arena: &Arena| arena.sim.faults().iter().any(|active| active.id == fault && active.struck > 0);
        arena.sim.await_journal(|_| struck(&arena), PATIENCE).await.expect("a write hangs");
        arena.controller.take().unwrap().kill().await;
        arena.sim.clear_faults();
        arena.start().await;
        arena.gone::<MeetingBridge>("core").await;
        assert!(arena.sim.spaces().is_empty(), "{index}");
        assert_eq!(left(&arena).await, [0, 0, 0], "{index}");
        arena.assert_rules(1..=5);
        arena.finish().await;
    };
    futures::future::join_all((0..4).map(end)).await;
}
