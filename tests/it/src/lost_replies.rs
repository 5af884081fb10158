//! Nothing is made twice: whichever reply is lost, whoever edits meanwhile (`sweep.rs`: wherever the controller is killed).

use cms_simulator::{Fault, FaultKind};
use meeting_controller::api::MeetingBridge;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::lone;

/// The writes of the set-up, in order.
const CREATIONS: [&str; 4] = ["callProfiles", "callLegProfiles", "cospaceBulkParameterSets", "cospaceBulkSyncs"];

/// Exactly one of each, and the slots that belong to them.
async fn assert_one_of_each(arena: &Arena, what: &str) {
    for collection in CREATIONS {
        assert_eq!(arena.total(collection).await, 1, "{what}: {collection}\n{}", arena.journal_lines().join("\n"));
    }
    assert_eq!(slot_numbers(arena), [1, 2, 3, 4, 5], "{what}");
    let profiles: Vec<_> = arena.sim.spaces().iter().map(|space| space.fields.get("callProfile").cloned()).collect();
    let bridge: MeetingBridge = arena.api().get("core").await.expect("the bridge");
    let recorded = bridge.status.and_then(|status| status.profiles).and_then(|profiles| profiles.call);
    assert!(recorded.is_some() && profiles.iter().all(|profile| *profile == recorded), "{what}");
    arena.assert_rules(1..=5);
}

async fn lost_reply(route: &'static str, kind: FaultKind) {
    let what = format!("{} of POST {route}", kind.name());
    let prefix = format!("lost-{}", route.to_lowercase());
    let mut settings = brisk();
    settings.limits.request = std::time::Duration::from_secs(1);
    let arena = Arena::with(&prefix, lone(), settings).await;
    let fault = arena.sim.add_fault(Fault::new(kind).method("POST").route(route).once());
    arena.ready_bridge(json!({})).await;
    let struck = arena.sim.faults().into_iter().find(|active| active.id == fault).unwrap().struck;
    assert_eq!(struck, 1, "{what}");
    assert_one_of_each(&arena, &what).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_to_a_creation_makes_nothing_twice() {
    let each = CREATIONS.map(|route| lost_reply(route, FaultKind::ResetAfter));
    futures::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_is_never_answered_makes_nothing_twice() {
    let each = CREATIONS.map(|route| lost_reply(route, FaultKind::HangAfter));
    futures::future::join_all(each).await;
}

/// The user edits the object while a creation is on its way, so the status that would record it is refused.
async fn edited_during(route: &'static str) {
    let arena = Arena::with(&format!("edit-{}", route.to_lowercase()), lone(), brisk()).await;
    let fault = FaultKind::Latency { delay: std::time::Duration::from_millis(400) };
    arena.sim.add_fault(Fault::new(fault).method("POST").route(route).once());
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    arena
        .sim
        .await_journal(|journal| journal.iter().any(|e| e.method == "POST" && e.route == route), PATIENCE)
        .await
        .expect("the creation is sent");
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "Head office" } })).await;
    arena.ready("core").await;
    assert_one_of_each(&arena, &format!("edited during POST {route}")).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_the_midst_of_the_set_up_makes_nothing_twice() {
    futures::future::join_all(CREATIONS.map(edited_during)).await;
}
