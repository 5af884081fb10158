//! Which bridge and slot a meeting gets, and why it gets none (R32-R37, R56, R57).

use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

/// From so many minutes from now on, for so many minutes.
pub fn minutes(from: i64, length: i64) -> Value {
    json!({ "start": in_ms(from * 60_000), "duration": format!("{length}m") })
}

/// Creation times have whole seconds; the UID would decide within one.
pub async fn a_second_later() {
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_number_that_is_free_in_the_window_is_booked() {
    let arena = Arena::new("lowest").await;
    arena.ready_bridge(json!({})).await;
    let book = async |name: &str, window: Value| {
        arena.create_meeting(name, window).await;
        number_of(&arena.booked(name).await)
    };
    assert_eq!(book("a", minutes(60, 60)).await, 1);
    assert_eq!(book("b", minutes(90, 60)).await, 2, "a has the first");
    assert_eq!(book("c", minutes(100, 60)).await, 3);
    assert_eq!(book("later", minutes(200, 60)).await, 1, "one at a time always has the first");
    arena.delete::<ScheduledMeeting>("b").await;
    arena.gone::<ScheduledMeeting>("b").await;
    assert_eq!(book("d", minutes(100, 10)).await, 2, "the lowest that became free");
    let mut early = minutes(165, 10);
    early["earlyJoin"] = json!("10m");
    assert_eq!(book("early", early).await, 1, "a ends at 120, c at 160");
    let bridge = arena
        .bridge("core", "bookings", |b| {
            let bookings = b.status.as_ref().and_then(|status| status.bookings.as_ref());
            bookings.is_some_and(|bookings| bookings.next_seven_days == 5)
        })
        .await;
    assert_eq!(bridge.status.unwrap().bookings.unwrap().peak_concurrent, 3);
    arena.finish().await;
}

/// Whatever order the controller looks in, who was created first has the lower number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn booking_order_decides_after_a_start_with_many_meetings() {
    let mut arena = Arena::quiet("order", lone(), quick()).await;
    arena.connect().await;
    let window = minutes(60, 60);
    for (name, second) in [("zulu", 1), ("mike", 2), ("alpha", 3)] {
        arena.create_meeting(name, window.clone()).await;
        if second < 3 {
            a_second_later().await;
        }
    }
    arena.start().await;
    arena.says("alpha", "Accepted", "False", "BridgeNotFound").await;
    arena.create_bridge("core", json!({})).await;
    for (name, number) in [("alpha", 3), ("mike", 2), ("zulu", 1)] {
        assert_eq!(number_of(&arena.booked(name).await), number, "{name}");
    }
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_refuses_at_apply_and_takes_the_meeting_up_when_one_goes() {
    let arena = Arena::with("full", lone(), still()).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.create_meeting("first", minutes(60, 60)).await;
    arena.booked("first").await;
    arena.create_meeting("second", minutes(90, 60)).await;
    let refused = arena.says("second", "Accepted", "False", "NoFreeSlot").await;
    assert_eq!(condition(&refused, "Ready"), ("False", "NoFreeSlot"));
    assert_eq!(condition(&refused, "Stalled").0, "True", "only another booking can mend it");
    assert_eq!((phase_of(&refused), status_of(&refused).slot), (Phase::Pending, None));
    arena.counted("bookings_refused_total{reason=\"NoFreeSlot\"}", "1").await;
    arena.create_meeting("third", minutes(120, 60)).await;
    assert_eq!(number_of(&arena.booked("third").await), 1, "back to back is no conflict");

    arena.sim.clear_journal();
    arena.delete::<ScheduledMeeting>("third").await;
    arena.gone::<ScheduledMeeting>("third").await;
    arena.delete::<ScheduledMeeting>("first").await;
    assert_eq!(number_of(&arena.booked("second").await), 1);
    arena.gone::<ScheduledMeeting>("first").await;
    assert_eq!(arena.journal_lines(), Vec::<String>::new(), "bookings cost the bridge nothing");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_meeting_opens_only_after_the_one_before_is_proven_shut() {
    let arena = Arena::new("chain").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let edge = in_ms(4_000);
    let spec = json!({ "start": in_ms(0), "end": edge, "participants": [{ "remoteParty": "a@rooms.test" }] });
    arena.create_meeting("first", spec).await;
    let spec = json!({ "start": edge, "duration": "3s", "participants": [{ "remoteParty": "b@rooms.test" }] });
    arena.create_meeting("second", spec).await;
    arena.phase("first", Phase::Active).await;
    let old = arena.slot(1);
    arena.sim.join("1", "Ada", 0).expect("the door is open");
    let waiting = arena.booked("second").await;
    assert_eq!(number_of(&waiting), 1);
    let second = arena.phase("second", Phase::Active).await;
    let latency: f64 = status_of(&second).open_latency.unwrap().trim_end_matches('s').parse().unwrap();
    println!("the second of a chain opened {latency} s after its instant");
    assert!(latency < 2.0);
    let new = arena.slot(1);
    assert_eq!(new.name, "Meeting second");
    assert!(new.secret != old.secret, "secret rotated");
    let journal = arena.sim.journal();
    let puts: Vec<_> = (0..journal.len()).filter(|i| journal[*i].method == "PUT").collect();
    assert_eq!(doors(&journal, &new.id), [true, false, true], "{:#?}", arena.journal_lines());
    let between = &journal[puts[1]..puts[2]];
    assert_eq!(count(between, "DELETE", "calls/{id}"), 1);
    assert!(count(between, "GET", "coSpaces/{id}") >= 1 && count(between, "GET", "calls") >= 1, "a read-back");
    assert!(arena.sim.legs().iter().all(|leg| leg.name != "Ada"), "nobody of the first is in the second");
    arena.phase("first", Phase::Ended).await;
    arena.phase("second", Phase::Ended).await;
    assert!(arena.sim.calls().is_empty() && !arena.slot(1).open);
    arena.assert_rules([1]);
    arena.finish().await;
}

/// It was suspended while it ran, so nobody shuts it: whoever is next does not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_not_given_back_is_exchanged_for_another_one() {
    let arena = Arena::new("stuck").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 2 } })).await;
    let edge = in_ms(6_000);
    arena.create_meeting("first", json!({ "start": in_ms(0), "end": edge })).await;
    arena.create_meeting("second", json!({ "start": edge, "duration": "10m" })).await;
    arena.phase("first", Phase::Active).await;
    assert_eq!(number_of(&arena.booked("second").await), 1);
    arena.patch::<ScheduledMeeting>("first", json!({ "spec": { "suspend": true } })).await;
    let second = arena.says("second", "Ready", "True", "Active").await;
    assert_eq!(number_of(&second), 2);
    let first = arena.slot(1);
    assert_eq!((first.open, first.name.as_str()), (true, "Meeting first"), "it is left as it is");
    arena.create_meeting("third", minutes(60, 10)).await;
    assert_eq!(number_of(&arena.booked("third").await), 1, "by then it may be given back");
    arena.patch::<ScheduledMeeting>("first", json!({ "spec": { "suspend": false } })).await;
    arena.phase("first", Phase::Ended).await;
    assert!(!arena.slot(1).open && arena.slot(2).open);
    arena.assert_rules(1..=2);
    arena.finish().await;
}

/// Only when the slots are made it turns out that something which is no slot has a number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_turns_out_to_be_taken_is_exchanged_at_once() {
    let arena = Arena::new("taken").await;
    arena.connect().await;
    arena.sim.cut_bridge(0);
    arena.create_bridge("core", json!({})).await;
    arena.create_meeting("early", minutes(60, 60)).await;
    assert_eq!(number_of(&arena.booked("early").await), 1, "nothing is known of the bridge yet");
    arena.sim.add_space("Board room", "boardroom", "1").expect("somebody's space");
    arena.sim.start_bridge(0);
    arena.bridge("core", "Ready", |bridge| condition(bridge, "Ready").0 == "True").await;
    let is_exchanged = |meeting: &ScheduledMeeting| {
        condition(meeting, "SlotReserved") == ("True", "Reserved") && number_of(meeting) == 2
    };
    arena.meeting("early", "another number, an hour before", is_exchanged).await;
    let join = arena.join_secret("early").await.expect("made");
    assert_eq!(entry(&join, "number").as_deref(), Some("2"), "what is mailed is right");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_cannot_be_met_keeps_the_booking_and_says_so() {
    let arena = Arena::with("unmet", lone(), still()).await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.create_meeting("mine", minutes(60, 60)).await;
    let before = arena.booked("mine").await;
    let invited = arena.join_secret("mine").await.unwrap();
    arena.create_meeting("theirs", minutes(180, 60)).await;
    arena.booked("theirs").await;
    arena.patch::<ScheduledMeeting>("mine", json!({ "spec": { "duration": "3h" } })).await;
    let refused = arena.says("mine", "Accepted", "False", "NoFreeSlot").await;
    assert!(message(&refused, "Accepted").contains("what was booked before stands"), "{refused:#?}");
    assert!(!arena.event_about("mine", "NoFreeSlot").await.is_empty());
    assert_eq!(condition(&refused, "SlotReserved"), ("True", "Reserved"));
    assert_eq!(condition(&refused, "Ready"), ("False", "NoFreeSlot"));
    let (was, is) = (status_of(&before), status_of(&refused));
    assert_eq!((is.window, is.slot, is.phase), (was.window, was.slot, Some(Phase::Scheduled)));
    assert_eq!(arena.join_secret("mine").await.unwrap().data, invited.data, "nobody is told of what was refused");
    // Nobody else gets what it had.
    arena.create_meeting("late", minutes(90, 10)).await;
    arena.says("late", "Accepted", "False", "NoFreeSlot").await;
    // What it asks for is to be had as soon as it is free.
    arena.delete::<ScheduledMeeting>("theirs").await;
    let met = arena.says("mine", "Accepted", "True", "Accepted").await;
    let window = status_of(&met).window.expect("booked");
    assert_eq!(window.closes_at.0.duration_since(window.starts_at.0).as_secs(), 3 * 3600);
    assert_eq!((condition(&met, "Ready").0, status_of(&met).refused_window), ("True", None));
    let told = arena.join_secret("mine").await.unwrap();
    let end = window.closes_at.0.strftime("DTEND:%Y%m%dT%H%M%SZ").to_string();
    assert!(entry(&told, "invite.ics").unwrap().contains(&end), "{end}: {:?}", entry(&told, "invite.ics"));
    assert!(sequence(&told) > sequence(&invited));

    // A bridge that takes no bookings any more goes on with those that it has.
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "scheduling": { "allowBooking": false } } })).await;
    arena.says("late", "Accepted", "False", "BookingDisabled").await;
    arena.patch::<ScheduledMeeting>("mine", json!({ "spec": { "duration": "20m" } })).await;
    arena.meeting("mine", "shorter", |m| m.metadata.generation == status_of(m).observed_generation).await;
    let shorter = arena.says("mine", "Accepted", "True", "Accepted").await;
    let window = status_of(&shorter).window.expect("booked");
    assert_eq!(window.closes_at.0.duration_since(window.starts_at.0).as_secs(), 20 * 60);
    arena.finish().await;
}

/// A bad merge drops a field of the pool, and is put right a while later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_without_its_numbers_for_a_while_keeps_its_bookings() {
    let arena = Arena::new("dropped").await;
    arena.ready_bridge(json!({})).await;
    for name in ["first", "second"] {
        arena.create_meeting(name, minutes(60, 60)).await;
        arena.booked(name).await;
    }
    arena.delete::<ScheduledMeeting>("first").await;
    arena.gone::<ScheduledMeeting>("first").await;
    let invited = arena.join_secret("second").await.unwrap();
    let slots = arena.until::<MeetingBridge>("core", "there", |_| true).await.spec.slots;
    let slots = serde_json::to_value(slots).unwrap();
    for field in ["domain", "base", "quantity"] {
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { field: null } } })).await;
        let told = |b: &MeetingBridge| {
            let is_judged = b.status.as_ref().unwrap().observed_generation == b.metadata.generation;
            is_judged && condition(b, "DialNumbersConfigured") == ("False", "DialNumberConfigurationError")
        };
        arena.bridge("core", "without it", told).await;
        // Judged while it is missing, and one that is new gets nothing.
        arena.patch::<ScheduledMeeting>("second", json!({ "spec": { "title": field } })).await;
        arena.meeting("second", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
        let kept = arena.says("second", "Ready", "True", "Scheduled").await;
        assert_eq!((number_of(&kept), status_of(&kept).slot.unwrap().uri.as_deref()), (2, Some("2@meet.test")));
        arena.create_meeting(field, minutes(60, 60)).await;
        arena.says(field, "Accepted", "False", "NoFreeSlot").await;
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { field: slots[field] } } })).await;
        arena.says(field, "Accepted", "True", "Accepted").await;
        assert_eq!(number_of(&arena.booked(field).await), 1);
        arena.delete::<ScheduledMeeting>(field).await;
        arena.gone::<ScheduledMeeting>(field).await;
        assert_eq!(number_of(&arena.booked("second").await), 2, "{field}");
    }
    let now = arena.join_secret("second").await.unwrap();
    assert_eq!((entry(&now, "number"), entry(&now, "uri")), (entry(&invited, "number"), entry(&invited, "uri")));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_deleted_right_before_his_opening_leaves_the_running_meeting_alone() {
    let arena = Arena::new("deposed").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let edge = in_ms(9_000);
    let spec = json!({ "start": in_ms(0), "end": edge, "participants": [{ "remoteParty": "a@rooms.test" }] });
    arena.create_meeting("first", spec).await;
    arena.phase("first", Phase::Active).await;
    arena.create_meeting("second", json!({ "start": edge, "duration": "30s" })).await;
    arena.phase("second", Phase::Opening).await;
    let before = writes(&arena.sim.journal());
    arena.delete::<ScheduledMeeting>("second").await;
    arena.gone::<ScheduledMeeting>("second").await;
    assert!(arena.slot(1).open && arena.sim.calls().len() == 1);
    assert_eq!(writes(&arena.sim.journal()), before, "{:#?}", arena.journal_lines());
    arena.phase("first", Phase::Ended).await;
    assert!(arena.sim.calls().is_empty() && !arena.slot(1).open);
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preference_then_the_most_free_slots_choose_the_bridge() {
    let arena = Arena::new("choice").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 2 } })).await;
    let _east = arena.further_bridge("east", json!({ "site": "east" }), json!({})).await;
    let book = async |name: &str, changes: Value| {
        let mut spec = minutes(60, 60);
        spec["bridgeRef"] = Value::Null;
        if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
            spec.extend(changes);
        }
        arena.create_meeting(name, spec).await;
        status_of(&arena.booked(name).await).bridge.unwrap().name
    };
    assert_eq!(book("any", json!({})).await, "east", "five free slots against two");
    let core = json!({ "spec": { "scheduling": { "preference": 5 } } });
    let patched = arena.patch::<MeetingBridge>("core", core).await;
    arena
        .bridge("core", "preferred", |b| b.status.as_ref().unwrap().observed_generation == patched.metadata.generation)
        .await;
    assert_eq!(book("preferred", json!({})).await, "core");
    assert_eq!(book("again", json!({})).await, "core");
    assert_eq!(book("overflow", json!({})).await, "east", "core is full");
    let selector = json!({ "bridgeSelector": { "matchLabels": { "site": "east" } } });
    assert_eq!(book("selected", selector).await, "east");
    let mut nowhere = minutes(60, 60);
    nowhere["bridgeRef"] = Value::Null;
    nowhere["bridgeSelector"] = json!({ "matchLabels": { "site": "west" } });
    arena.create_meeting("nowhere", nowhere).await;
    arena.says("nowhere", "Accepted", "False", "BridgeNotFound").await;
    arena.patch::<MeetingBridge>("core", json!({ "metadata": { "labels": { "site": "west" } } })).await;
    arena.delete::<ScheduledMeeting>("again").await;
    assert_eq!(status_of(&arena.booked("nowhere").await).bridge.unwrap().name, "core", "a label was added");
    arena.delete::<ScheduledMeeting>("nowhere").await;
    let lost = json!({ "spec": { "scheduling": { "preference": 9 }, "credentialsSecretRef": { "name": "missing" } } });
    arena.patch::<MeetingBridge>("east", lost).await;
    arena.reason("east", "Ready", "SecretNotFound").await;
    assert_eq!(book("spare", json!({})).await, "core", "what is not Ready is passed over, whatever is preferred");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_says_no_and_later_yes() {
    let arena = Arena::new("says-no").await;
    arena.create_meeting("hasty", minutes(60, 60)).await;
    let hasty = arena.says("hasty", "Accepted", "False", "BridgeNotFound").await;
    assert!(message(&hasty, "Accepted").contains("core"), "names the bridge");
    arena.ready_bridge(json!({ "scheduling": { "allowBooking": false } })).await;
    arena.says("hasty", "Accepted", "False", "BookingDisabled").await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "scheduling": { "allowBooking": true } } })).await;
    arena.booked("hasty").await;

    // Running and booked meetings stay; new ones get nothing.
    arena.open_now("running", 120, json!({})).await;
    arena.phase("running", Phase::Active).await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "scheduling": { "allowBooking": false } } })).await;
    arena.create_meeting("new", minutes(60, 60)).await;
    arena.says("new", "Accepted", "False", "BookingDisabled").await;
    assert_eq!(phase_of(&arena.booked("hasty").await), Phase::Scheduled);
    assert_eq!(phase_of(&arena.booked("running").await), Phase::Active);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_for_incoming_and_outgoing_sip_are_obeyed() {
    let arena = Arena::new("sip").await;
    arena.ready_bridge(json!({ "scheduling": { "allowIncomingSIP": false, "allowOutgoingSIP": false } })).await;
    let mut caller = minutes(60, 60);
    caller["participants"] = json!([{ "remoteParty": "caller@rooms.test", "dial": "In" }]);
    arena.create_meeting("caller", caller).await;
    let refused = arena.says("caller", "Accepted", "False", "IncomingDialingDisabled").await;
    assert!(message(&refused, "Accepted").contains("caller@rooms.test"));

    arena.open_now("mute", 120, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] })).await;
    let mute = arena.phase("mute", Phase::Active).await;
    assert_eq!(condition(&mute, "ParticipantsDialed"), ("False", "OutgoingDialingDisabled"));
    assert_eq!(condition(&mute, "Ready"), ("True", "Active"), "the door is open all the same");
    assert_eq!(status_of(&mute).participants[0].state, ParticipantState::NotDialed);
    assert_eq!(status_of(&mute).slot.unwrap().uri, None, "the URI is withheld");
    assert_eq!(entry(&arena.join_secret("mute").await.unwrap(), "uri"), None);
    assert!(arena.slot(1).open && arena.sim.dials().is_empty());

    let scheduling = json!({ "scheduling": { "allowIncomingSIP": true, "allowOutgoingSIP": true } });
    arena.patch::<MeetingBridge>("core", json!({ "spec": scheduling })).await;
    arena.booked("caller").await;
    let dialled = arena.party("mute", ParticipantState::Connected).await;
    assert_eq!(arena.sim.dials().len(), 1, "dialled as soon as it is allowed");
    assert_eq!(status_of(&dialled).slot.unwrap().uri.as_deref(), Some("1@meet.test"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}
