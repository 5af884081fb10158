//! The call bridge is lost between each pair of requests of a start and of an end, or the controller dies meanwhile: one
//! call a bridge, one ring at a time, nothing left behind.

use std::time::Duration;

use cms_simulator::{Action, Fault, FaultKind};
use futures::future::join_all;
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::config::settings::Settings;
use serde_json::json;

use crate::bridge_kit::slots_of;
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

/// Requests of a start with one participant, and some sweeps after it.
const START: u32 = 7;

/// Requests of an end.
const END: u32 = 4;

/// Only meetings cause requests, beside the first sweeps after dialling.
fn calm() -> Settings {
    Settings { idle_read: Duration::from_secs(3600), ..quick() }
}

fn struck(arena: &Arena) -> String {
    let fault = &arena.sim.faults()[0];
    arena.sim.with_journal(|all| {
        let entry = all.iter().find(|entry| entry.fault.is_some());
        format!("{} ({:?})", entry.map_or("nothing".to_owned(), line), fault.fault.kind)
    })
}

fn strike(action: &Action, after: bool) -> FaultKind {
    let action = action.clone();
    if after { FaultKind::After { action } } else { FaultKind::Before { action } }
}

async fn lost_in_a_start(index: u32, action: Action, after: bool) {
    let arena = Arena::cluster_at("start", json!({}), calm()).await;
    arena.sim.clear_journal();
    arena.sim.add_fault(Fault::new(strike(&action, after)).bridge(0).skip(index).once());
    let spec = json!({ "start": in_ms(800), "duration": "120s", "participants": desk() });
    arena.create_meeting("m", spec).await;
    arena.await_requests("struck", |_| arena.sim.faults()[0].struck == 1).await;
    let what = format!("no. {index}: {}", struck(&arena));
    arena.call_on("m", 1).await;
    let open = arena.party("m", ParticipantState::Connected).await;
    assert_eq!(phase_of(&open), Phase::Active, "{what}");
    let live = legs_to(&arena.sim, DESK);
    assert_eq!(live.len(), 1, "{what}: they are in once: {live:?}");
    let slot = arena.slot(1);
    assert!(slot.open, "{what}");
    let join = arena.join_secret("m").await.expect("the join Secret");
    assert_eq!(entry(&join, "secret"), slot.secret, "{what}: what was told is what opens the door");
    // Back again: whatever is left there goes, or stays while somebody is in it.
    arena.sim.start_bridge(0);
    let wanted = if live == [0] { vec![0, 1] } else { vec![1] };
    arena.all_reachable().await;
    arena.await_sim(&format!("{what}: no empty call is left"), |sim| hosts_of(sim, 1) == wanted).await;
    assert_eq!(legs_to(&arena.sim, DESK), live, "{what}");
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.await_sim(&format!("{what}: no call is left"), |sim| sim.calls().is_empty()).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_survives_the_end_of_its_call_bridge_between_any_two_requests() {
    let cases = (0..START).flat_map(|index| [(index, false), (index, true)]);
    join_all(cases.map(|(index, after)| lost_in_a_start(index, Action::Stop, after))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_survives_a_cut_between_any_two_requests() {
    let cases = (0..START).flat_map(|index| [(index, false), (index, true)]);
    join_all(cases.map(|(index, after)| lost_in_a_start(index, Action::Cut, after))).await;
}

async fn lost_in_an_end(index: u32, action: Action, after: bool) {
    let settings = Settings { sweep: Duration::from_secs(3600), ..calm() };
    let arena = Arena::cluster_at("end", json!({}), settings).await;
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.sim.clear_journal();
    arena.sim.add_fault(Fault::new(strike(&action, after)).bridge(0).skip(index).once());
    arena.end_now("m").await;
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open).await;
    arena.phase("m", Phase::Ended).await;
    let what = format!("no. {index}: {}", struck(&arena));
    assert_eq!(arena.sim.faults()[0].struck, 1, "{what}");
    arena.sim.start_bridge(0);
    arena.await_sim(&format!("{what}: no call is left"), |sim| sim.calls().is_empty()).await;
    arena.bridge("core", &format!("{what}: all slots free"), |b| slots_of(b).free == 5).await;
    assert_eq!(rings(&arena.sim, DESK), 1, "{what}");
    assert!(arena.sim.spaces().iter().all(|space| !space.open && space.cdr_tag.is_none()), "{what}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_survives_the_loss_of_its_call_bridge_between_any_two_requests() {
    let actions =
        || [Action::Stop, Action::Cut].into_iter().flat_map(|action| [(action.clone(), false), (action, true)]);
    let cases = (0..END).flat_map(|index| actions().map(move |(action, after)| (index, action, after)));
    join_all(cases.map(|(index, action, after)| lost_in_an_end(index, action, after))).await;
}

/// Stopped in order, or killed.
async fn end_controller(arena: &mut Arena, kill: bool) {
    let controller = arena.controller.take().expect("it runs");
    if kill { controller.kill().await } else { controller.stop().await }
}

async fn restarted_while_failed_over(kill: bool) {
    let mut arena = Arena::cluster(&format!("again-{kill}")).await;
    arena.sim.stop_bridge(0);
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.active_is(1).await;
    let (calls, legs) = (arena.sim.calls(), arena.sim.legs());
    end_controller(&mut arena, kill).await;
    arena.sim.start_bridge(0);
    arena.start().await;
    let bridge = arena.all_reachable().await;
    assert_eq!(active(&bridge), Some(arena.sim.address(1).as_str()), "a restart is no reason to move");
    assert_eq!(condition(&bridge, "FailedOver").0, "True");
    arena.served(1, 4).await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!((arena.sim.calls(), arena.sim.legs(), rings(&arena.sim, DESK)), (calls, legs, 1));
    assert_eq!(arena.failovers(), 0, "none in this process");
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", 1).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The call bridge goes while nobody is there to see it.
async fn lost_while_away(kill: bool, loss: Loss) {
    let mut arena = Arena::running(&format!("away-{kill}-{loss:?}").to_lowercase(), json!({})).await;
    end_controller(&mut arena, kill).await;
    loss.strike(&arena.sim, 0);
    arena.start().await;
    let again = arena.call_on("m", 1).await;
    assert_eq!(condition(&again, "CallPresent"), ("True", "Recreated"));
    arena.party("m", ParticipantState::Connected).await;
    let wanted = if loss.leaves_calls() { (vec![0], 1) } else { (vec![1], 2) };
    arena.await_sim("in once", |sim| (legs_to(sim, DESK), rings(sim, DESK)) == wanted).await;
    arena.served(1, 6).await;
    assert_eq!((legs_to(&arena.sim, DESK), rings(&arena.sim, DESK)), wanted);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Killed right after the call was made and before anybody could write that down.
async fn killed_with_a_stray() {
    let mut arena = Arena::cluster("stray").await;
    arena.sim.clear_journal();
    arena.sim.add_fault(Fault::new(FaultKind::HangAfter).bridge(0).method("POST").route("calls").once());
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.await_sim("made", |sim| hosts_of(sim, 1) == [0]).await;
    end_controller(&mut arena, true).await;
    arena.sim.clear_faults();
    arena.sim.cut_bridge(0);
    arena.start().await;
    arena.call_on("m", 1).await;
    arena.party("m", ParticipantState::Connected).await;
    assert_eq!(arena.hosts(1), [0, 1]);
    arena.sim.start_bridge(0);
    arena.await_sim("the stray call is gone", |sim| hosts_of(sim, 1) == [1]).await;
    assert_eq!((legs_to(&arena.sim, DESK), rings(&arena.sim, DESK)), (vec![1], 1));
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_controller_changes_nothing() {
    let again = join_all([false, true].map(restarted_while_failed_over));
    let away = join_all(
        [(false, Loss::Refused), (true, Loss::Refused), (true, Loss::Cut)].map(|(k, l)| lost_while_away(k, l)),
    );
    futures::join!(again, away, killed_with_a_stray());
}

/// Also for a meeting whose time had begun when it was booked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_before_the_intent_is_recorded() {
    let arena = Arena::new("intent").await;
    arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore).method("PUT").once());
    arena.open_now("m", 120, json!({})).await;
    arena.await_requests("the door", |_| arena.sim.faults()[0].struck == 1).await;
    let opening: ScheduledMeeting = arena.api().get("m").await.unwrap();
    assert_eq!((phase_of(&opening), number_of(&opening)), (Phase::Opening, 1));
    arena.event_about("m", "Opened").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
