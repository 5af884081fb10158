//! The spec changes while call bridges are lost or hold calls, and a silent cluster delays nobody else.

use futures::future::join;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

async fn set_spec(arena: &Arena, spec: Value) {
    arena.patch::<MeetingBridge>("core", json!({ "spec": spec })).await;
}

fn at(arena: &Arena, bridges: &[usize]) -> Value {
    json!(bridges.iter().map(|n| json!({ "address": arena.sim.address(*n) })).collect::<Vec<_>>())
}

/// The alternate that does the work is taken out of the spec: the primary is back, or the next one is there.
async fn alternate_removed(primary_is_back: bool) {
    let arena = Arena::cluster(&format!("gone-{primary_is_back}")).await;
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.call_on("m", 1).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.active_is(1).await;
    if primary_is_back {
        arena.sim.start_bridge(0);
        arena.all_reachable().await;
    }
    set_spec(&arena, json!({ "failover": { "alternates": at(&arena, &[2]) } })).await;
    let next = if primary_is_back { 0 } else { 2 };
    let bridge = arena.active_is(next).await;
    assert!(call_bridge(&bridge, &arena.sim.address(1)).is_none(), "it is none any more");
    // The meeting goes on, and whoever is in is not rung.
    arena.call_on("m", next).await;
    let meeting = arena.party("m", ParticipantState::Connected).await;
    assert_eq!(condition(&meeting, "Ready"), ("True", "Active"));
    arena.served(next, 6).await;
    assert_eq!((legs_to(&arena.sim, DESK), rings(&arena.sim, DESK)), (vec![1], 1));
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", next).await;
    // It is put back: the end finds every call.
    set_spec(&arena, json!({ "failover": { "alternates": at(&arena, &[1, 2]) } })).await;
    let address = arena.sim.address(1);
    arena.bridge("core", "back", |b| call_bridge(b, &address).is_some_and(|e| e.reachable == Some(true))).await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.await_sim("no call is left", |sim| hosts_of(sim, 1).is_empty()).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_can_be_taken_out_while_it_does_the_work() {
    join(alternate_removed(true), alternate_removed(false)).await;
}

/// Primary and alternate change places: nothing is made anew, nobody is rung.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_call_bridge_becomes_the_primary() {
    let arena = Arena::running("swap", json!({})).await;
    let (calls, legs, syncs) = (arena.sim.calls(), arena.sim.legs(), arena.effects("POST", "cospaceBulkSyncs").len());
    set_spec(&arena, json!({ "address": arena.sim.address(1), "failover": { "alternates": at(&arena, &[0, 2]) } }))
        .await;
    let address = arena.sim.address(1);
    let first = |b: &MeetingBridge| {
        let call_bridges = b.status.as_ref().map(|status| status.call_bridges.clone()).unwrap_or_default();
        call_bridges.first().is_some_and(|e| e.address == address)
            && call_bridges.iter().all(|e| e.reachable == Some(true))
    };
    arena.bridge("core", "the new primary", first).await;
    let bridge = arena.ready("core").await;
    assert_eq!(condition(&bridge, "FailoverConfigured"), ("True", "Configured"));
    arena.served(0, 6).await;
    assert_eq!((arena.sim.calls(), arena.sim.legs(), rings(&arena.sim, DESK)), (calls, legs, 1));
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), syncs);
    let meeting: ScheduledMeeting = arena.api().get("m").await.unwrap();
    assert_eq!(condition(&meeting, "Ready"), ("True", "Active"));
    arena.open_now("next", 120, json!({})).await;
    arena.phase("next", Phase::Active).await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert!(arena.hosts(1).is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

fn latency(meeting: &ScheduledMeeting) -> f64 {
    let text = status_of(meeting).open_latency.expect("it was opened");
    text.trim_end_matches('s').parse().expect("seconds")
}

/// A silent call bridge delays no meeting on another bridge, and those of its own little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cluster_delays_no_other_bridge() {
    let arena = Arena::cluster("silent").await;
    let other = arena.further_bridge("other", json!({}), json!({})).await;
    let start = in_ms(4000);
    for n in 0..5 {
        let spec = json!({ "start": start, "duration": "120s", "participants": desk() });
        arena.create_meeting(&format!("core-{n}"), spec.clone()).await;
        let mut elsewhere = spec;
        elsewhere["bridgeRef"] = json!({ "name": "other" });
        arena.create_meeting(&format!("other-{n}"), elsewhere).await;
    }
    for n in 0..5 {
        arena.booked(&format!("core-{n}")).await;
        arena.booked(&format!("other-{n}")).await;
    }
    arena.sim.blackhole_bridge(0);
    for n in 0..5 {
        let open = arena.phase(&format!("other-{n}"), Phase::Active).await;
        assert!(latency(&open) < 1.0, "other-{n} opened {} s late", latency(&open));
    }
    for n in 0..5 {
        let open = arena.call_on(&format!("core-{n}"), 1).await;
        assert!(latency(&open) < 8.0, "core-{n} opened {} s late", latency(&open));
    }
    assert_eq!(other.calls().len(), 5);
    let calls: Vec<usize> = arena.sim.calls().iter().map(|call| call.bridge).collect();
    assert_eq!(calls, [1; 5]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}
