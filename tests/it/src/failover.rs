//! Failover (R25-R29): the next call bridge takes over, running meetings included, and nobody rings twice.

use std::time::Duration;

use futures::future::join_all;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::json;

use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

async fn lost_before_a_start(loss: Loss) {
    let arena = Arena::cluster(&format!("before-{loss:?}").to_lowercase()).await;
    loss.strike(&arena.sim, 0);
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    let open = arena.phase("m", Phase::Active).await;
    arena.party("m", ParticipantState::Connected).await;
    assert_eq!(status_of(&open).call.unwrap().call_bridge, arena.sim.address(1), "{loss:?}");
    let bridge = arena.active_is(1).await;
    assert_eq!(condition(&bridge, "FailedOver"), ("True", "PrimaryLost"), "{loss:?}");
    assert_eq!((arena.hosts(1), arena.sim.dials().len()), (vec![1], 1), "{loss:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_to_the_next_call_bridge_whatever_is_wrong_with_the_first() {
    join_all(Loss::ALL.map(lost_before_a_start)).await;
}

async fn lost_during_a_meeting(loss: Loss) {
    let arena = Arena::running(&format!("during-{loss:?}").to_lowercase(), json!({})).await;
    let secret = arena.slot(1).secret;
    loss.strike(&arena.sim, 0);
    let again = arena
        .meeting("m", "on the next", |m| status_of(m).call.is_some_and(|call| call.call_bridge == arena.sim.address(1)))
        .await;
    assert_eq!(condition(&again, "CallPresent"), ("True", "Recreated"), "{loss:?}");
    assert_eq!(arena.slot(1).secret, secret, "{loss:?}: the door is as it was");
    if loss.leaves_calls() {
        let party = status_of(&again).participants.remove(0);
        assert_eq!((party.state, party.call_bridge), (ParticipantState::Connected, Some(arena.sim.address(0))));
        assert_eq!(arena.sim.dials().len(), 1, "{loss:?}: still in");
        assert_eq!(arena.hosts(1), [0, 1]);
    } else {
        arena.await_sim("dialled again", |sim| legs_to(sim, DESK) == [1]).await;
        arena.party("m", ParticipantState::Connected).await;
        assert_eq!((arena.hosts(1), arena.sim.dials().len()), (vec![1], 2));
    }
    arena.event_about("m", "CallBridgeLost").await;
    arena.event_about("m", "CallRecreated").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_meeting_goes_on_on_the_next_call_bridge() {
    join_all(Loss::ALL.map(lost_during_a_meeting)).await;
}

async fn lost_at_the_end(loss: Loss) {
    let arena = Arena::cluster(&format!("end-{loss:?}").to_lowercase()).await;
    arena.open_now("m", 8, json!({ "participants": desk() })).await;
    let open = arena.party("m", ParticipantState::Connected).await;
    let ends = status_of(&open).window.unwrap().closes_at.0;
    let left = Duration::try_from(ends.duration_since(jiff::Timestamp::now())).unwrap();
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(100))).await;
    loss.strike(&arena.sim, 0);
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open).await;
    let late = jiff::Timestamp::now().duration_since(ends);
    assert!(late < jiff::SignedDuration::from_secs(5), "{loss:?}: shut {late:#} after the end");
    arena.phase("m", Phase::Ended).await;
    arena.mend(loss, 0).await;
    arena.await_sim("no call is left", |sim| sim.calls().is_empty()).await;
    assert_eq!(arena.sim.dials().len(), 1, "{loss:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_an_end_whatever_is_wrong_with_the_call_bridge() {
    join_all(Loss::ALL.map(lost_at_the_end)).await;
}
