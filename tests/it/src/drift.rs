//! What others do to our meetings while they run, and what the far ends do (R51, R57, R64, R68, R78).

use std::time::Duration;

use cms_simulator::{Config, DialOutcome, EndpointScript, Fault, FaultKind};
use jiff::SignedDuration;
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::names::RECONCILE_ANNOTATION;
use meeting_controller::api::repairs::{Contest, Shown};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::bridge_kit::{ask_full_look, brisk, handled, is_ready, slots_of};
use crate::kit::*;
use crate::meetings::*;

fn desk() -> Value {
    json!([{ "remoteParty": "desk@rooms.test", "retry": { "limit": 2, "backoff": "5s" } }])
}

/// An arena whose meeting `m` is open in slot 1 with `desk` connected.
async fn running(prefix: &str) -> Arena {
    let arena = Arena::new(prefix).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 120, json!({ "participants": desk(), "passcode": { "generate": {} } })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena
}

/// Waits until a look has shown that the open door is as wanted after so many repairs.
async fn put_back(arena: &Arena, count: u32) {
    let is_it = |m: &ScheduledMeeting| {
        status_of(m).door_repairs.is_some_and(|door| door.count == count && door.shown == Shown::AsWanted)
    };
    arena.meeting("m", &format!("put back {count} times"), is_it).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_was_changed_by_hand_is_put_back() {
    let arena = running("hand").await;
    let (open, calls) = (arena.slot(1), arena.sim.calls());
    let changes =
        [("nonMemberAccess", "false"), ("name", "Hacked"), ("passcode", "0"), ("secret", "guess"), ("cdrTag", "")];
    for (count, change) in (1..).zip(changes) {
        if count == 4 {
            // Who edits the meeting wants it put right, however often it was.
            arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "duration": "3m" } })).await;
            arena.meeting("m", "forgotten", |m| status_of(m).door_repairs.is_none()).await;
        }
        assert!(arena.sim.edit_space("1", &[change]).unwrap());
        arena.await_sim(&format!("{change:?} put back"), |sim| slot_of(sim, 1) == open).await;
        put_back(&arena, if count < 4 { count } else { count - 3 }).await;
    }
    assert_eq!(arena.sim.calls(), calls);
    assert_eq!(arena.sim.dials().len(), 1, "nobody is dialled again");
    assert_eq!(doors(&arena.sim.journal(), &open.id).len(), 1 + 5 + 1, "one write for each, and one for the edit");
    let active = arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(phase_of(&active), Phase::Active);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Somebody shuts the door of a running meeting whenever we open it; then he gives it another passcode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tug_of_war_about_an_open_door_is_told_and_not_fought() {
    let arena = running("tug").await;
    let open = arena.slot(1);
    let placeholder = [("nonMemberAccess", "false"), ("name", "TMS_Scheduled_Meeting_1")];
    for count in 1..=3 {
        arena.sim.edit_space("1", &placeholder).unwrap();
        put_back(&arena, count).await;
    }
    arena.says("m", "SpaceOpen", "True", "Open").await;
    arena.sim.edit_space("1", &placeholder).unwrap();
    let told = arena.says("m", "SpaceOpen", "False", "TugOfWar").await;
    assert_eq!(condition(&told, "Ready"), ("False", "TugOfWar"));
    assert!(message(&told, "SpaceOpen").contains("Cisco TMS"), "says who: {}", message(&told, "SpaceOpen"));
    arena.sim.clear_journal();
    arena.await_requests("sweeps", |all| count(all, "GET", "coSpaces/{id}") >= 3).await;
    assert_eq!(writes(&arena.sim.journal()), 0, "left as it is: {:#?}", arena.journal_lines());
    assert_eq!(arena.sim.calls().len(), 1, "the call goes on");
    // Whoever asks for it gets it put right, and the fight begins anew.
    let asked = json!({ "metadata": { "annotations": { RECONCILE_ANNOTATION: "now" } } });
    arena.patch::<ScheduledMeeting>("m", asked).await;
    put_back(&arena, 1).await;
    assert_eq!(arena.slot(1), open);
    arena.says("m", "SpaceOpen", "True", "Open").await;
    // With another passcode strangers get in: that is not left, only put back less often.
    for count in 2..=3 {
        arena.sim.edit_space("1", &[("passcode", "1")]).unwrap();
        put_back(&arena, count).await;
    }
    arena.sim.edit_space("1", &[("passcode", "1")]).unwrap();
    arena.says("m", "SpaceOpen", "False", "TugOfWar").await;
    arena.clock.step(61);
    put_back(&arena, 3).await;
    assert_eq!(arena.slot(1), open);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_deleted_by_hand_is_made_again_with_its_legs() {
    let arena = running("call").await;
    let first = arena.sim.calls()[0].id.clone();
    let secret = arena.slot(1).secret;
    assert_eq!(arena.sim.end_calls("1"), 1);
    let again = arena.says("m", "CallPresent", "True", "Recreated").await;
    assert_ne!(status_of(&again).call.unwrap().id, first);
    arena.await_sim("dialled again", |sim| sim.legs().iter().any(|leg| leg.remote_party == "desk@rooms.test")).await;
    let again = arena.party("m", ParticipantState::Connected).await;
    assert_eq!(status_of(&again).participants[0].attempts, 1, "a new call, a new count");
    assert_eq!((arena.sim.calls().len(), arena.sim.dials().len()), (1, 2));
    assert_eq!(arena.slot(1).secret, secret);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Somebody ends the meeting for all, three times: that is meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_ended_again_and_again_is_given_up_and_nobody_is_rung_any_more() {
    let arena = running("ended").await;
    for ended in 1..=3_u32 {
        assert_eq!(arena.sim.end_calls("1"), 1);
        let told = |m: &ScheduledMeeting| {
            let party = status_of(m).participants.first().map(|party| party.state);
            status_of(m).calls_ended == ended && (ended == 3 || party == Some(ParticipantState::Connected))
        };
        arena.meeting("m", "the end was noticed", told).await;
    }
    let told = arena.says("m", "CallPresent", "False", "EndedByOthers").await;
    assert_eq!(condition(&told, "Ready"), ("False", "EndedByOthers"));
    assert_eq!(condition(&told, "SpaceOpen"), ("True", "Open"), "whoever wants may come back");
    assert_eq!(arena.sim.dials().len(), 3);
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "title": "Go on" } })).await;
    arena.says("m", "CallPresent", "True", "Created").await;
    assert_eq!(arena.sim.dials().len(), 3);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_restarts_gets_its_calls_back() {
    let arena = running("restart").await;
    arena.sim.restart_bridge(0);
    let again = arena.says("m", "CallPresent", "True", "Recreated").await;
    assert_eq!(status_of(&again).calls_ended, 0, "nobody ended it");
    arena.await_sim("dialled again", |sim| sim.legs().len() == 1).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    assert_eq!((arena.sim.calls().len(), arena.sim.dials().len()), (1, 2));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_connected_and_left_is_left_alone() {
    let arena = running("left").await;
    assert!(arena.sim.leave("desk@rooms.test"));
    let left = arena.party("m", ParticipantState::Left).await;
    assert_eq!(condition(&left, "ParticipantsDialed"), ("True", "AllConnected"));
    assert_eq!(condition(&left, "Ready"), ("True", "Active"));
    let empty = arena.meeting("m", "empty", |m| status_of(m).participant_count == Some(0)).await;
    assert_eq!(phase_of(&empty), Phase::Active, "an empty meeting goes on");
    // The back-off is a second; three sweeps take longer.
    arena.sim.clear_journal();
    arena.await_requests("sweeps", |all| count(all, "GET", "callLegs") >= 4).await;
    assert_eq!(arena.sim.dials().len(), 1);
    arena.sim.join("1", "Ada", 0).expect("the door is open");
    arena.meeting("m", "somebody came", |m| status_of(m).participant_count == Some(1)).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_through_another_call_bridge_counts() {
    let arena = Arena::with("remote", Config { bridges: 2, ..Config::default() }, quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 120, json!({ "participants": desk() })).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.sim.join("1", "Ada", 1).expect("the door is open");
    arena.meeting("m", "two are in", |m| status_of(m).participant_count == Some(2)).await;
    assert!(arena.sim.leave("Ada"));
    arena.meeting("m", "one is in", |m| status_of(m).participant_count == Some(1)).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Every way not to answer: tried again with the wait between, as often as the limit says, and then Failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_is_dialled_again_up_to_the_limit() {
    let arena = Arena::new("retry").await;
    arena.ready_bridge(json!({})).await;
    let after = Duration::from_millis(300);
    let scripts = [
        ("busy@rooms.test", EndpointScript::Busy { after }, DialOutcome::Busy),
        ("silent@rooms.test", EndpointScript::NoAnswer { after }, DialOutcome::NoAnswer),
        ("nowhere@rooms.test", EndpointScript::Unknown, DialOutcome::Unknown),
        ("shy@rooms.test", EndpointScript::Rejects { after }, DialOutcome::Rejected),
    ];
    for (address, script, _) in scripts {
        arena.sim.script_endpoint(address, script);
    }
    let retry = json!({ "limit": 1, "backoff": "5s" });
    let mut parties: Vec<_> = scripts.iter().map(|(who, ..)| json!({ "remoteParty": who, "retry": retry })).collect();
    parties.push(json!({ "remoteParty": "desk@rooms.test" }));
    arena.open_now("m", 120, json!({ "participants": parties })).await;
    let failed = arena
        .meeting("m", "everybody decided", |m| {
            let failed = |p: &&meeting_controller::api::meeting::ParticipantStatus| p.state == ParticipantState::Failed;
            status_of(m).participants.iter().filter(failed).count() == 4
        })
        .await;
    assert_eq!(condition(&failed, "ParticipantsDialed"), ("False", "SomeFailed"));
    assert!(message(&failed, "ParticipantsDialed").contains("nowhere@rooms.test"), "says who");
    assert_eq!(condition(&failed, "Ready"), ("True", "Active"), "the meeting takes place");
    let told = arena.event_about("m", "ParticipantsFailed").await;
    assert!(told.contains("@rooms.test (NoAnswer)"), "{told}");
    for (address, _, outcome) in scripts {
        let dials: Vec<_> = arena.sim.dials().into_iter().filter(|dial| dial.remote_party == address).collect();
        assert_eq!(dials.len(), 2, "{address}: one try and one more");
        assert!(dials.iter().all(|dial| dial.outcome == outcome));
        assert!(dials[1].at.duration_since(dials[0].at) >= SignedDuration::from_secs(5), "{address}: the back-off");
        let party = status_of(&failed).participants.into_iter().find(|p| p.remote_party == address).unwrap();
        assert_eq!((party.attempts, party.leg_id), (2, None));
    }
    let desk = status_of(&failed).participants.pop().unwrap();
    assert_eq!((desk.state, desk.attempts), (ParticipantState::Connected, 1), "the others are not disturbed");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_that_the_bridge_rejects_fails_alone() {
    let arena = Arena::new("reject").await;
    arena.ready_bridge(json!({})).await;
    let refusal = FaultKind::Failure { status: 400, element: "parameterError".to_owned() };
    arena.sim.add_fault(Fault::new(refusal).method("POST").route("calls/{id}/callLegs").once());
    let parties = json!([{ "remoteParty": "odd@rooms.test" }, { "remoteParty": "desk@rooms.test" }]);
    arena.open_now("m", 120, json!({ "participants": parties })).await;
    let both = arena
        .meeting("m", "both decided", |m| {
            let states: Vec<_> = status_of(m).participants.iter().map(|p| p.state).collect();
            states == [ParticipantState::Failed, ParticipantState::Connected]
        })
        .await;
    assert!(status_of(&both).participants[0].reason.is_some());
    assert_eq!(condition(&both, "Ready"), ("True", "Active"));
    arena.counted("participants_failed_total", "1").await;
    assert_eq!(arena.sim.dials().len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_else_opened_is_left_to_them() {
    let arena = Arena::new("foreign").await;
    arena.ready_bridge(json!({})).await;
    let spec = json!({ "start": in_ms(13_000), "duration": "1m", "participants": desk() });
    arena.create_meeting("m", spec).await;
    assert_eq!(number_of(&arena.booked("m").await), 1);
    let taken = [("nonMemberAccess", "true"), ("name", "Their meeting"), ("secret", "theirs")];
    arena.sim.edit_space("1", &taken).unwrap();
    let theirs = arena.slot(1);
    let moved = arena.meeting("m", "another slot", |m| number_of(m) == 2).await;
    assert_eq!(condition(&moved, "SlotReserved"), ("True", "Reserved"));
    let active = arena.phase("m", Phase::Active).await;
    assert_eq!(number_of(&active), 2);
    assert_eq!(entry(&arena.join_secret("m").await.unwrap(), "number").as_deref(), Some("2"));
    let bridge =
        arena.bridge("core", "quarantine", |b| condition(b, "ExclusiveControl") == ("False", "ForeignChanges")).await;
    assert_eq!(bridge.status.unwrap().slots.unwrap().foreign, 1);
    assert_eq!(arena.slot(1), theirs, "never touched");
    arena.create_meeting("n", json!({ "start": in_ms(3_600_000), "duration": "1m" })).await;
    assert_eq!(number_of(&arena.booked("n").await), 2, "in quarantine for new bookings as well");
    arena.assert_rules(2..=5);
    arena.finish().await;
}

/// What we saw when our last meeting there ended is no reason to open the door, and to end whatever call is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_opened_after_our_last_meeting_is_left_to_them() {
    let arena = Arena::with("after-ours", lone(), still()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("first", 3, json!({})).await;
    assert_eq!(number_of(&arena.phase("first", Phase::Ended).await), 1);
    arena.create_meeting("second", json!({ "start": in_ms(14_000), "duration": "1m" })).await;
    assert_eq!(number_of(&arena.booked("second").await), 1);
    arena.sim.clear_journal();
    let taken = [("nonMemberAccess", "true"), ("name", "Their meeting"), ("secret", "theirs")];
    arena.sim.edit_space("1", &taken).unwrap();
    arena.sim.join("1", "Ada", 0).expect("the door is open");
    let theirs = (arena.slot(1), arena.sim.calls());
    assert_eq!(number_of(&arena.phase("second", Phase::Active).await), 2);
    assert_eq!(arena.slot(1), theirs.0, "never touched");
    let goes_on = |id: &str| arena.sim.calls().iter().any(|call| call.id == id);
    assert!(theirs.1.iter().all(|call| goes_on(&call.id)), "{:#?}", arena.sim.calls());
    arena.assert_rules(2..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_with_our_mark_and_no_meeting_is_shut() {
    let arena = Arena::new("orphan").await;
    arena.ready_bridge(json!({})).await;
    let mark = format!("meeting-controller:{}/long-gone", arena.namespace);
    let left = [("nonMemberAccess", "true"), ("name", "Long gone"), ("cdrTag", mark.as_str()), ("secret", "known")];
    arena.sim.edit_space("3", &left).unwrap();
    arena.sim.join("3", "Ada", 0).expect("the door is open");
    arena.await_sim("shut", |sim| !slot_of(sim, 3).open && sim.calls().is_empty()).await;
    let shut = arena.slot(3);
    assert_eq!((shut.name.as_str(), shut.cdr_tag.as_deref()), ("TMS_Scheduled_Meeting_3", None));
    assert_ne!(shut.secret.as_deref(), Some("known"));
    arena
        .bridge("core", "all free", |b| b.status.as_ref().unwrap().slots.as_ref().is_some_and(|slots| slots.free == 5))
        .await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// One space that cannot be read, and one slot that cannot be shut, cost themselves: everything else goes on, on a lone bridge
/// and in a cluster, and it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_cannot_be_had_holds_up_no_other() {
    for (prefix, config) in [("one", lone()), ("ones", Config { bridges: 2, ..Config::default() })] {
        let arena = Arena::with(prefix, config, brisk()).await;
        arena.ready_bridge(json!({})).await;
        let (unread, open) = (arena.slot(1).id.clone(), arena.slot(2).id.clone());
        let ill = arena.sim.add_fault(Fault::new(FaultKind::HtmlError).method("GET").object(&unread));
        let refusal = FaultKind::Failure { status: 400, element: "coSpaceCannotBeModified".to_owned() };
        let shut = arena.sim.add_fault(Fault::new(refusal).method("PUT").object(&open));
        assert!(arena.sim.edit_space("1", &[("name", "Board room")]).unwrap());
        let mark = format!("meeting-controller:{}/long-gone", arena.namespace);
        for slot in ["2", "3"] {
            let left = [("nonMemberAccess", "true"), ("name", "Long gone"), ("cdrTag", mark.as_str())];
            arena.sim.edit_space(slot, &left).unwrap();
        }
        ask_full_look(&arena, "one").await;
        arena.await_sim("the other one is shut", |sim| !slot_of(sim, 3).open).await;
        assert!(arena.slot(2).open);
        let says = |bridge: &MeetingBridge| {
            let told = message(bridge, "ExclusiveControl");
            condition(bridge, "ExclusiveControl") == ("False", "ForeignChanges")
                && told.contains("slot 1 is given to nobody, because its space cannot be read")
                && told.contains("slot 2 is given to nobody, because a meeting left it open and it cannot be shut")
        };
        arena.bridge("core", "told", says).await;
        arena.bridge("core", "Ready", |bridge| condition(bridge, "Ready") == ("True", "Ready")).await;
        arena.open_now("m", 600, json!({})).await;
        let running = arena.says("m", "Ready", "True", "Active").await;
        assert!(number_of(&running) >= 3, "neither is given away");
        arena.sim.remove_fault(ill);
        arena.sim.remove_fault(shut);
        ask_full_look(&arena, "two").await;
        arena.await_sim("shut", |sim| !slot_of(sim, 2).open).await;
        arena.assert_rules(1..=5);
        arena.finish().await;
    }
}

/// Another installation on the same numbers opens its meeting in a slot that is free here, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_slot_that_others_open_again_and_again_is_shut_all_the_same_and_told() {
    let arena = Arena::with("rival", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    let theirs = [
        ("nonMemberAccess", "true"),
        ("name", "Theirs"),
        ("cdrTag", "meeting-controller:theirs/m"),
        ("secret", "known"),
    ];
    let shut = |count: u32| {
        move |b: &MeetingBridge| {
            let contests = b.status.as_ref().map(|status| status.contests.as_slice()).unwrap_or_default();
            let of_slot = |contest: &&Contest| contest.slot == Some(3);
            contests
                .iter()
                .find(of_slot)
                .is_some_and(|contest| contest.repairs.count == count && contest.repairs.shown == Shown::AsWanted)
        }
    };
    for count in 1..=3 {
        arena.sim.edit_space("3", &theirs).unwrap();
        arena.bridge("core", &format!("shut and read back {count} times"), shut(count)).await;
        assert!(!arena.slot(3).open);
    }
    let told = arena.reason("core", "ExclusiveControl", "TugOfWar").await;
    assert!(message(&told, "ExclusiveControl").contains("another installation"), "says who");
    assert_eq!(condition(&told, "Ready"), ("True", "Ready"));
    arena.sim.edit_space("3", &theirs).unwrap();
    arena.sim.clear_journal();
    arena.await_requests("looks at it", |all| count(all, "GET", "coSpaces/{id}") >= 1).await;
    arena.answered(15).await;
    assert_eq!(arena.writes(), [""; 0], "less often");
    arena.clock.step(61);
    arena.await_sim("shut all the same", |sim| !slot_of(sim, 3).open).await;
    arena.reason("core", "ExclusiveControl", "TugOfWar").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Another installation of ours, or TMS, on the same CMS: the same prefix, other numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_with_the_same_prefix_and_other_numbers_is_never_touched() {
    let arena = Arena::new("neighbour").await;
    let theirs = arena.sim.add_space("TMS_Scheduled_Meeting_7", "7", "7").unwrap();
    arena.ready_bridge(json!({})).await;
    // Their meeting begins, with a mark like ours.
    let open = [
        ("nonMemberAccess", "true"),
        ("name", "Theirs"),
        ("cdrTag", "meeting-controller:theirs/m"),
        ("secret", "known"),
    ];
    arena.sim.edit_space("7", &open).unwrap();
    arena.sim.join("7", "Ada", 0).expect("the door is open");
    arena.sim.clear_journal();
    ask_full_look(&arena, "now").await;
    let looked = arena.bridge("core", "looked at", |b| handled(b) == Some("now") && is_ready(b)).await;
    arena.await_requests("reads afterwards", |all| all.len() >= 12).await;
    assert!(arena.slot(7).open && arena.sim.calls().len() == 1, "their meeting goes on");
    let slots = slots_of(&looked);
    assert_eq!((slots.total, slots.free, slots.entries.len()), (5, 5, 0), "not listed as ours: {:?}", slots.entries);
    let touched: Vec<_> = arena.journal_lines().into_iter().filter(|line| line.contains(&theirs)).collect();
    assert!(touched.is_empty(), "not even read: {touched:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A foreign bulk sync replaces all spaces: the meeting goes on in the new space of its slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_space_that_vanished_is_made_again_and_the_meeting_reopened() {
    let arena = running("vanish").await;
    let before = arena.slot(1);
    assert!(arena.sim.delete_space("1"));
    arena
        .await_sim("open again in a new space", |sim| {
            let now = sim.spaces().into_iter().find(|space| space.call_id.as_deref() == Some("1"));
            now.is_some_and(|space| space.open && space.id != before.id) && sim.legs().len() == 1
        })
        .await;
    let now = arena.slot(1);
    assert_eq!((&now.name, &now.secret, &now.passcode), (&before.name, &before.secret, &before.passcode));
    let open = arena.meeting("m", "in the new space", |m| {
        status_of(m).slot.and_then(|slot| slot.space_id).as_deref() == Some(&now.id) && phase_of(m) == Phase::Active
    });
    open.await;
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    arena.bridge("core", "Ready", |b: &MeetingBridge| condition(b, "Ready").0 == "True").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// TMS makes its slots anew: other spaces have the numbers, with other secrets, and the calls are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_whose_slot_a_foreign_bulk_sync_made_anew_is_reopened_with_its_secret() {
    let arena = running("resync").await;
    let before = arena.slot(1);
    arena.create_meeting("n", json!({ "start": in_ms(12_000), "duration": "1m" })).await;
    assert_eq!(number_of(&arena.booked("n").await), 2);
    for number in ["1", "2", "3", "4", "5"] {
        let name = format!("TMS_Scheduled_Meeting_{number}");
        let theirs = [("name", name.as_str()), ("uri", number), ("callId", number), ("nonMemberAccess", "false")];
        assert!(arena.sim.delete_space(number));
        arena.sim.add_space_with(&[&theirs[..], &[("secret", "theirs")]].concat()).expect("a space");
    }
    arena
        .await_sim("open again in the new space", |sim| {
            let now = slot_of(sim, 1);
            now.open && now.id != before.id && sim.legs().len() == 1
        })
        .await;
    let now = arena.slot(1);
    assert_eq!((&now.name, &now.secret, &now.passcode), (&before.name, &before.secret, &before.passcode));
    let is_there = |m: &ScheduledMeeting| status_of(m).slot.and_then(|slot| slot.space_id).as_deref() == Some(&now.id);
    arena.meeting("m", "in the new space", |m| is_there(m) && condition(m, "Ready") == ("True", "Active")).await;
    assert_eq!(arena.sim.dials().len(), 2, "who was cut off is dialled again, once");
    let active = arena.phase("n", Phase::Active).await;
    assert_eq!(status_of(&active).slot.and_then(|slot| slot.space_id), Some(arena.slot(2).id), "so is one to come");
    assert!(arena.slot(2).open);
    let made_once = count(&arena.sim.journal(), "POST", "cospaceBulkSyncs");
    assert_eq!(made_once, 1, "the spaces are there, so nothing is made");
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert!(!arena.slot(1).open);
    arena.bridge("core", "Ready", |b: &MeetingBridge| condition(b, "Ready").0 == "True").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_space_with_the_number_of_a_running_meeting_is_left_to_him() {
    let arena = running("board").await;
    let before = arena.slot(1);
    assert!(arena.sim.delete_space(&before.id));
    let board = [("name", "Board"), ("uri", "1"), ("callId", "1"), ("nonMemberAccess", "true")];
    let board = arena.sim.add_space_with(&board).expect("a space");
    let theirs = arena.slot(1);
    // Whose it is shows when the bridge has listed its spaces.
    let is_told = |m: &ScheduledMeeting| message(m, "SpaceOpen").contains("free that number");
    let told = arena.meeting("m", "told", is_told).await;
    assert_eq!(condition(&told, "Ready"), ("False", "SpaceMissing"));
    assert_eq!(condition(&told, "SpaceOpen"), ("False", "SpaceMissing"));
    arena.sim.clear_journal();
    arena.await_requests("looks at it", |all| count(all, "GET", "coSpaces/{id}") >= 2).await;
    assert_eq!((writes(&arena.sim.journal()), arena.sim.calls().len()), (0, 0), "{:#?}", arena.journal_lines());
    assert_eq!((arena.slot(1), arena.sim.dials().len()), (theirs, 1));
    assert!(arena.sim.delete_space(&board));
    arena
        .await_sim("open again", |sim| {
            sim.spaces().iter().any(|space| space.call_id.as_deref() == Some("1") && space.open)
                && sim.legs().len() == 1
        })
        .await;
    let now = arena.slot(1);
    assert_eq!((&now.name, &now.secret, &now.passcode), (&before.name, &before.secret, &before.passcode));
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
