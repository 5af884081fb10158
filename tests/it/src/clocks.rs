//! A wall clock that is set while meetings wait, run and are over (a suspended node looks like a step ahead), and the clock
//! of a bridge that is off.

use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::clock::Clock as _;
use serde_json::json;

use crate::kit::*;
use crate::meetings::*;

impl Arena {
    /// Sets the wall clock so many seconds ahead; the moment that it shows then.
    fn step_to(&self, seconds: i64) -> Timestamp {
        self.clock.step(seconds);
        self.clock.now()
    }
}

fn assert_within_a_second(what: &str, late: SignedDuration) {
    println!("{what} {late:?} after the step");
    assert!(late < SignedDuration::from_secs(1), "{what} {late:?} after the step");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_follow_a_clock_that_steps_ahead_at_once() {
    let arena = Arena::new("clock-ahead").await;
    arena.ready_bridge(json!({})).await;
    arena.create_meeting("far", json!({ "start": in_ms(7_200_000), "duration": "1h" })).await;
    arena.booked("far").await;
    let stepped = arena.step_to(7_201);
    let open = status_of(&arena.phase("far", Phase::Active).await);
    assert_within_a_second("opened", open.opened_at.unwrap().0.duration_since(stepped));
    let stepped = arena.step_to(3_600);
    let ended = status_of(&arena.phase("far", Phase::Ended).await);
    assert_within_a_second("ended", ended.ended_at.unwrap().0.duration_since(stepped));
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_back_throws_nobody_out_and_begins_nothing_again() {
    let arena = Arena::new("clock-back").await;
    arena.ready_bridge(json!({})).await;
    let desk = json!([{ "remoteParty": "desk@rooms.test" }]);
    arena.open_now("over", 2, json!({ "participants": desk })).await;
    arena.phase("over", Phase::Ended).await;
    let dials = arena.sim.dials().len();
    let other = json!([{ "remoteParty": "other@rooms.test" }]);
    arena.open_now("runs", 3_600, json!({ "participants": other })).await;
    arena.party("runs", ParticipantState::Connected).await;
    let calls = arena.sim.calls();
    arena.clock.step(-600);
    // Everybody is looked at again; an edit is carried out, so the running one has been by then.
    arena.patch::<ScheduledMeeting>("runs", json!({ "spec": { "title": "Renamed" } })).await;
    arena.await_sim("renamed", |sim| slot_of(sim, 1).name == "Renamed").await;
    // The bridge's own watch goes on as well: what is changed by hand is put back.
    assert!(arena.sim.edit_space("1", &[("name", "Hacked")]).unwrap());
    arena.await_sim("put back", |sim| slot_of(sim, 1).name == "Renamed").await;
    let runs = arena.phase("runs", Phase::Active).await;
    assert_eq!(condition(&runs, "Ready"), ("True", "Active"));
    assert_eq!(phase_of(&arena.phase("over", Phase::Ended).await), Phase::Ended);
    assert_eq!(arena.sim.calls(), calls);
    assert_eq!(arena.sim.dials().len(), dials + 1, "nobody is rung again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_whose_clock_is_hours_off_moves_no_door() {
    for skew in [-7_200, 7_200] {
        let arena = Arena::new("clock-bridge").await;
        arena.sim.set_clock_skew(0, skew);
        arena.ready_bridge(json!({})).await;
        let desk = json!([{ "remoteParty": "desk@rooms.test" }]);
        let spec = json!({ "start": in_ms(1_500), "end": in_ms(5_500), "participants": desk });
        let made = arena.create_meeting("m", spec).await;
        let running = arena.party("m", ParticipantState::Connected).await;
        assert!(status_of(&running).call.is_some());
        let ended = arena.phase("m", Phase::Ended).await;
        assert_eq!(condition(&ended, "SlotReleased").0, "True");
        let status = status_of(&ended);
        let opened = status.opened_at.unwrap().0.duration_since(made.spec.start.0);
        let ended = status.ended_at.unwrap().0.duration_since(made.spec.end.as_ref().unwrap().0);
        for (what, late) in [("opened", opened), ("ended", ended)] {
            assert!(!late.is_negative(), "{what} {late:?} before its time, skew {skew}");
            assert!(late < SignedDuration::from_secs(3), "{what} {late:?} after its time, skew {skew}");
        }
        assert_eq!((arena.sim.dials().len(), arena.sim.calls().len()), (1, 0), "one ring, one call, skew {skew}");
        arena.assert_rules(1..=8);
        arena.finish().await;
    }
}
