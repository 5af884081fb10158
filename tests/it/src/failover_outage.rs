//! More than one call bridge is lost, or only we cannot reach one (R29): who is still in is not rung, what was left
//! behind goes when nobody is in it, and what is overdue is shut first.

use cms_simulator::{EndpointScript, JournalEntry};
use futures::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use serde_json::json;
use std::time::Duration;

use crate::bridge_kit::slots_of;
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

fn state_of(meeting: &ScheduledMeeting, party: &str) -> Option<ParticipantState> {
    status_of(meeting).participants.into_iter().find(|p| p.remote_party == party).map(|p| p.state)
}

/// Deleted calls on one call bridge.
fn deletions(arena: &Arena, bridge: usize) -> usize {
    arena.effects("DELETE", "calls/{id}").iter().filter(|entry| entry.bridge == bridge).count()
}

async fn two_of_three(loss: Loss) {
    let arena = Arena::running(&format!("two-{loss:?}").to_lowercase(), json!({})).await;
    loss.strike(&arena.sim, 0);
    loss.strike(&arena.sim, 1);
    arena.call_on("m", 2).await;
    let bridge = arena.active_is(2).await;
    assert!(call_bridge(&bridge, &arena.sim.address(2)).is_some_and(|e| e.reason.is_none()));
    arena.party("m", ParticipantState::Connected).await;
    let wanted = if loss.leaves_calls() { (vec![0], 1) } else { (vec![2], 2) };
    arena.await_sim("in once", |sim| (legs_to(sim, DESK), rings(sim, DESK)) == wanted).await;
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", 2).await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.sim.start_bridge(0);
    arena.sim.start_bridge(1);
    arena.await_sim("only the other meeting's call is left", |sim| hosts_of(sim, 1).is_empty()).await;
    assert_eq!(arena.hosts(2), [2]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_call_bridge_takes_over_when_two_are_lost() {
    join_all([Loss::Refused, Loss::Cut].map(two_of_three)).await;
}

/// Whether a PUT opened a door or shut it, in order, with the number of its slot.
fn doors_in_order(arena: &Arena) -> Vec<(String, bool)> {
    let told = |entry: &JournalEntry| {
        let open = entry.body.iter().find(|(name, _)| name == "nonMemberAccess")?.1 == "true";
        Some((entry.space_number.clone()?, open))
    };
    arena.effects("PUT", "coSpaces/{id}").iter().filter_map(told).collect()
}

/// Every call bridge is lost while one meeting ends and two others begin, one of them in the same slot.
async fn all_lost(loss: Loss, first_back: usize) {
    let arena = Arena::cluster(&format!("all-{loss:?}").to_lowercase()).await;
    arena.open_now("over", 9, json!({ "participants": desk() })).await;
    let open = arena.call_on("over", 0).await;
    let ends = status_of(&open).window.unwrap().closes_at.0;
    let begins = ends.checked_add(SignedDuration::from_millis(500)).unwrap().to_string();
    // One after the other: the first one gets the slot that is free by then.
    for (name, slot) in [("same-slot", 1), ("other-slot", 2)] {
        arena.create_meeting(name, json!({ "start": begins, "duration": "120s" })).await;
        assert_eq!(number_of(&arena.booked(name).await), slot);
    }
    (0..3).for_each(|bridge| loss.strike(&arena.sim, bridge));
    // The end and the starts pass while nobody can be reached.
    arena.phase("over", Phase::Closing).await;
    arena.says("other-slot", "SpaceOpen", "False", "BridgeUnreachable").await;
    assert!(arena.slot(1).open, "nobody could shut it");
    arena.sim.clear_journal();
    let back = Timestamp::now();
    arena.sim.start_bridge(first_back);
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open || slot_of(sim, 1).name == "Meeting same-slot").await;
    let late = Timestamp::now().duration_since(back);
    assert!(late < SignedDuration::from_secs(5), "{loss:?}: shut {late:#} after a bridge was back");
    arena.call_on("same-slot", first_back).await;
    arena.call_on("other-slot", first_back).await;
    let open = Timestamp::now().duration_since(back);
    assert!(open < SignedDuration::from_secs(12), "{loss:?}: open {open:#} after a bridge was back");
    let doors = doors_in_order(&arena);
    assert_eq!(doors.first(), Some(&("1".to_owned(), false)), "{loss:?}: the overdue door first: {doors:?}");
    assert_eq!(doors.iter().filter(|(_, open)| *open).count(), 2, "{loss:?}: {doors:?}");
    arena.phase("over", Phase::Ended).await;
    println!("{loss:?}: shut after {late}, open after {open}");
    (0..3).for_each(|bridge| {
        arena.sim.start_bridge(bridge);
    });
    arena.all_reachable().await;
    arena
        .await_sim("one call each", |sim| (hosts_of(sim, 1), hosts_of(sim, 2)) == (vec![first_back], vec![first_back]))
        .await;
    assert!(arena.sim.legs().is_empty(), "{loss:?}: nobody of the meeting before hears the next one");
    assert_eq!(arena.sim.dials().len(), 1);
    arena.bridge("core", "no slot is lost", |b| slots_of(b).free == 3).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overdue_is_shut_first_when_all_were_lost() {
    join_all([(Loss::Refused, 2), (Loss::Cut, 1), (Loss::Blackholed, 2)].map(|(loss, back)| all_lost(loss, back)))
        .await;
}

/// We lose the call bridge, the participants do not.
async fn partition(leave_before_the_end: bool) {
    let arena = Arena::cluster(&format!("part-{leave_before_the_end}")).await;
    let lobby = "lobby@rooms.test";
    let after = Duration::from_millis(50);
    arena.sim.script_endpoint(lobby, EndpointScript::Busy { after });
    let parties = json!([
        { "remoteParty": DESK }, { "remoteParty": lobby, "retry": { "limit": 20, "backoff": "5s" } }
    ]);
    arena.open_now("m", 120, json!({ "participants": parties })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.await_sim("busy", |sim| rings(sim, lobby) >= 1 && legs_to(sim, lobby).is_empty()).await;
    arena.sim.cut_bridge(0);
    arena.sim.script_endpoint(lobby, EndpointScript::Answers { after });
    arena.await_sim("the other is dialled on the next", |sim| legs_to(sim, lobby) == [1]).await;
    let in_both = |m: &ScheduledMeeting| {
        state_of(m, lobby) == Some(ParticipantState::Connected)
            && state_of(m, DESK) == Some(ParticipantState::Connected)
    };
    let meeting = arena.meeting("m", "both in", in_both).await;
    assert_eq!(status_of(&meeting).participants[0].call_bridge, Some(arena.sim.address(0)));
    assert_eq!((legs_to(&arena.sim, DESK), rings(&arena.sim, DESK)), (vec![0], 1), "still in, not rung");
    // It is back, with people in its call: that stays.
    arena.sim.clear_journal();
    arena.sim.start_bridge(0);
    arena.all_reachable().await;
    arena.served(0, 6).await;
    assert_eq!((arena.hosts(1), deletions(&arena, 0)), (vec![0, 1], 0));
    let meeting = arena.meeting("m", "both in", in_both).await;
    assert_eq!(status_of(&meeting).call.unwrap().call_bridge, arena.sim.address(1));
    if leave_before_the_end {
        assert!(arena.sim.leave(DESK));
        arena.await_sim("the old call goes with its last one", |sim| hosts_of(sim, 1) == [1]).await;
        arena.meeting("m", "has left", |m| state_of(m, DESK) == Some(ParticipantState::Left)).await;
        let meeting = arena.says("m", "Ready", "True", "Active").await;
        assert_eq!(state_of(&meeting, lobby), Some(ParticipantState::Connected));
    }
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert!(arena.sim.calls().is_empty(), "{:#?}", arena.sim.calls());
    assert_eq!((deletions(&arena, 0), deletions(&arena, 1)), (1, 1));
    assert_eq!(rings(&arena.sim, DESK), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The others of the cluster list those who were cut off for a while: they are dialled when they vanish, not before.
async fn listed_for_a_while() {
    let arena = Arena::running("listed", json!({})).await;
    arena.sim.update_switches(|switches| switches.peer_loss_delay_ms = 3000);
    // Somebody is in through the next one, so that it knows the call and who else is in it.
    arena.sim.join("1", "guest@rooms.test", 1).expect("the door is open");
    let lost = Timestamp::now();
    arena.sim.stop_bridge(0);
    arena.call_on("m", 1).await;
    arena.await_sim("dialled again", |sim| legs_to(sim, DESK) == [1]).await;
    let dials = arena.sim.dials();
    assert_eq!(dials.len(), 2);
    let took = dials[1].at.duration_since(lost);
    assert!(took >= SignedDuration::from_secs(3), "dialled after {took} while still listed");
    arena.party("m", ParticipantState::Connected).await;
    assert_eq!((arena.hosts(1), arena.sim.legs().len()), (vec![1], 2), "one call, and the guest is still in it");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_still_in_through_a_call_bridge_that_only_we_lost_is_not_rung() {
    futures::join!(partition(true), partition(false), listed_for_a_while());
}

/// With `runningMeetings: Leave` nothing is made elsewhere.
async fn left_alone(loss: Loss) {
    let arena = Arena::running(&format!("leave-{loss:?}").to_lowercase(), json!({ "runningMeetings": "Leave" })).await;
    loss.strike(&arena.sim, 0);
    let lost = arena.says("m", "CallPresent", "False", "BridgeLost").await;
    assert_eq!((condition(&lost, "Ready"), condition(&lost, "Stalled").0), (("False", "BridgeLost"), "True"));
    assert_eq!((phase_of(&lost), condition(&lost, "SpaceOpen").0), (Phase::Active, "True"), "the door stays open");
    assert!(message(&lost, "CallPresent").contains(&arena.sim.address(0)));
    arena.event_about("m", "CallBridgeLost").await;
    // What begins now begins elsewhere all the same.
    arena.open_now("next", 120, json!({})).await;
    arena.call_on("next", 1).await;
    arena.served(1, 4).await;
    assert_eq!(arena.hosts(1), if loss.leaves_calls() { vec![0] } else { vec![] });
    arena.sim.start_bridge(0);
    let back = arena.meeting("m", "back", |m| condition(m, "CallPresent").0 == "True").await;
    assert_eq!(status_of(&back).call.unwrap().call_bridge, arena.sim.address(0));
    arena.says("m", "Ready", "True", "Active").await;
    let wanted = if loss.leaves_calls() { 1 } else { 2 };
    arena.await_sim("in", |sim| (hosts_of(sim, 1), legs_to(sim, DESK)) == (vec![0], vec![0])).await;
    assert_eq!(rings(&arena.sim, DESK), wanted);
    arena.party("m", ParticipantState::Connected).await;
    // The end works while it is lost.
    loss.strike(&arena.sim, 0);
    arena.says("m", "CallPresent", "False", "BridgeLost").await;
    arena.end_now("m").await;
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open).await;
    arena.phase("m", Phase::Ended).await;
    arena.sim.start_bridge(0);
    arena.await_sim("no call is left", |sim| hosts_of(sim, 1).is_empty()).await;
    assert_eq!(rings(&arena.sim, DESK), wanted);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_meetings_can_be_left_alone() {
    join(left_alone(Loss::Cut), left_alone(Loss::Refused)).await;
}

/// A restart that nobody noticed as an outage: the calls of that call bridge are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_call_bridge_gets_its_calls_back() {
    let arena = Arena::running("restarted", json!({})).await;
    arena.sim.restart_bridge(0);
    arena.await_sim("in again", |sim| legs_to(sim, DESK).len() == 1 && rings(sim, DESK) == 2).await;
    arena.party("m", ParticipantState::Connected).await;
    let meeting = arena.says("m", "Ready", "True", "Active").await;
    let host = if status_of(&meeting).call.unwrap().call_bridge == arena.sim.address(0) { 0 } else { 1 };
    assert_eq!((arena.hosts(1), legs_to(&arena.sim, DESK)), (vec![host], vec![host]));
    assert_eq!(host, 0, "a restart of a moment is no reason to move");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
