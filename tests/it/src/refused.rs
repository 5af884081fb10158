//! Requests that the bridge refuses for now, or that are lost on the way: nobody is failed for them, and nobody waits.

use cms_simulator::{Fault, FaultKind};
use meeting_controller::api::meeting::ParticipantState;
use serde_json::json;

use crate::kit::*;
use crate::meetings::status_of;

/// At its load limit a call bridge refuses a leg, and a moment later it does not (CSCvu72374).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_because_of_the_load_is_dialled_when_it_is_over() {
    let arena = Arena::new("load").await;
    arena.ready_bridge(json!({})).await;
    let refusal = || FaultKind::Failure { status: 400, element: "callBridgeUnavailable".to_owned() };
    arena.sim.add_fault(Fault::new(refusal()).method("POST").route("calls").once());
    arena.sim.add_fault(Fault::new(refusal()).method("POST").route("calls/{id}/callLegs").once());
    let retry = json!({ "limit": 0, "backoff": "5s" });
    let parties = json!([{ "remoteParty": "full@rooms.test", "retry": retry }, { "remoteParty": "desk@rooms.test" }]);
    arena.open_now("m", 120, json!({ "participants": parties })).await;
    let told = arena
        .meeting("m", "one waits, the other is in", |m| {
            let states: Vec<_> = status_of(m).participants.iter().map(|p| p.state).collect();
            states == [ParticipantState::Waiting, ParticipantState::Connected]
        })
        .await;
    assert_eq!(status_of(&told).participants[0].reason.as_deref(), Some("callBridgeUnavailable"));
    assert!(message(&told, "ParticipantsDialed").contains("full@rooms.test (callBridgeUnavailable)"));
    let all = arena
        .meeting("m", "both are in", |m| {
            status_of(m).participants.iter().all(|p| p.state == ParticipantState::Connected)
        })
        .await;
    let first = &status_of(&all).participants[0];
    assert_eq!((first.attempts, first.vain_tries, first.reason.as_deref()), (1, 0, None), "it was one try");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The bridge closes the connection in the moment in which the dial is sent: it is sent again, and is the only try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_that_never_left_is_sent_again_and_is_the_only_try() {
    let arena = Arena::new("never-left").await;
    arena.ready_bridge(json!({})).await;
    for route in ["calls", "calls/{id}/callLegs"] {
        arena.sim.add_fault(Fault::new(FaultKind::ResetBefore).method("POST").route(route).once());
    }
    let parties = json!([{ "remoteParty": "desk@rooms.test", "retry": { "limit": 0, "backoff": "1h" } }]);
    arena.open_now("m", 120, json!({ "participants": parties })).await;
    let seen = arena.party("m", ParticipantState::Connected).await;
    assert_eq!(status_of(&seen).participants[0].attempts, 1);
    assert_eq!((arena.sim.dials().len(), arena.sim.evidence().calls.len()), (1, 1));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The bridge's account guard answers 401 now and then, although the password is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stray_401_at_the_door_costs_two_seconds() {
    let arena = Arena::new("stray").await;
    arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(Fault::new(FaultKind::Unauthorized).method("PUT").route("coSpaces/{id}").once());
    arena.open_now("m", 120, json!({})).await;
    let open = arena.says("m", "CallPresent", "True", "Created").await;
    let latency = status_of(&open).open_latency.expect("it opened");
    assert!(latency.trim_end_matches('s').parse::<f64>().unwrap() < 8.0, "{latency}");
    let refused = arena.sim.journal().iter().filter(|entry| entry.status == Some(401)).count();
    assert_eq!(refused, 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}
