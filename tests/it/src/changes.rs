//! Edits of meetings before, while and after they run (R60, R70-R72, R77).

use cms_simulator::JournalEntry;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::booking::a_second_later;
use crate::kit::*;
use crate::meetings::*;

fn desk() -> Value {
    json!([{ "remoteParty": "desk@rooms.test" }])
}

fn closes_at(meeting: &ScheduledMeeting) -> Timestamp {
    status_of(meeting).window.expect("a window").closes_at.0
}

fn puts(entries: &[JournalEntry]) -> usize {
    count(entries, "PUT", "coSpaces/{id}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_leaves_secret_passcode_call_and_legs_alone() {
    let arena = Arena::new("extend").await;
    arena.ready_bridge(json!({})).await;
    let spec = json!({ "participants": desk(), "passcode": { "generate": { "digits": 8 } } });
    let created = arena.open_now("long", 7, spec).await;
    arena.party("long", ParticipantState::Connected).await;
    let (space, calls, legs) = (arena.slot(1), arena.sim.calls(), arena.sim.legs());
    let before = arena.join_secret("long").await.unwrap();
    let secret = links(&before);
    arena.sim.clear_journal();
    let end = created.spec.start.0 + SignedDuration::from_secs(10);
    let patch = json!({ "spec": { "duration": null, "end": end.to_string() } });
    arena.patch::<ScheduledMeeting>("long", patch).await;
    let extended = arena.meeting("long", "extended", |m| closes_at(m) == end).await;
    assert_eq!(condition(&extended, "Ready"), ("True", "Active"));
    let first_end = created.spec.start.0 + SignedDuration::from_secs(7);
    // Something must happen after the old end to show that the meeting still runs: a sweep does.
    arena
        .await_requests("a sweep past the old end", |all| {
            all.iter().any(|e| e.route == "callLegs" && e.at > first_end + SignedDuration::from_millis(500))
        })
        .await;
    assert_eq!(arena.slot(1), space, "name, secret and passcode as before");
    assert_eq!((arena.sim.calls(), arena.sim.legs()), (calls, legs));
    let now = arena.join_secret("long").await.unwrap();
    assert_eq!(links(&now), secret);
    assert!(sequence(&now) > sequence(&before), "its end is another one");
    let journal = arena.sim.journal();
    assert_eq!((puts(&journal), writes(&journal)), (1, 1), "{:#?}", arena.journal_lines());
    let ended = arena.phase("long", Phase::Ended).await;
    assert!(status_of(&ended).ended_at.unwrap().0 >= end);
    assert_eq!(arena.sim.dials().len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_into_anothers_reservation_keeps_the_old_end() {
    let mut arena = Arena::new("conflict").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let created = arena.open_now("here", 5, json!({})).await;
    let next = json!({ "start": in_ms(30_000), "duration": "1h" });
    arena.create_meeting("next", next).await;
    arena.booked("next").await;
    arena.phase("here", Phase::Active).await;
    let old_end = closes_at(&arena.booked("here").await);
    let invited = arena.join_secret("here").await.unwrap().data;
    arena.patch::<ScheduledMeeting>("here", json!({ "spec": { "duration": "10m" } })).await;
    let conflict = arena.says("here", "SlotReserved", "False", "ExtensionConflict").await;
    assert!(message(&conflict, "SlotReserved").contains("/next"), "says who is in the way");
    assert!(arena.event_about("here", "ExtensionConflict").await.contains("/next"));
    assert_eq!(closes_at(&conflict), old_end);
    assert_eq!(arena.join_secret("here").await.unwrap().data, invited, "nobody is told of an end that was refused");
    assert!(arena.slot(1).open, "the meeting goes on until the old end");
    let ended = arena.phase("here", Phase::Ended).await;
    let late = status_of(&ended).ended_at.unwrap().0.duration_since(old_end);
    assert!(late < SignedDuration::from_secs(2), "{late:?}");
    // By the road of every end: the latency is observed.
    let metrics = arena.controller.as_ref().unwrap().metrics.text();
    assert!(metrics.contains("meeting_controller_close_latency_seconds_count 1\n"), "{metrics}");
    assert_eq!(old_end, created.spec.start.0 + SignedDuration::from_secs(5));

    // It is over for good, also for a controller that starts afresh.
    arena.controller.take().unwrap().stop().await;
    arena.sim.clear_journal();
    arena.start().await;
    arena.await_requests("the new controller looks", |all| count(all, "GET", "coSpaces") >= 1).await;
    arena.booked("next").await;
    let bridge = arena.bridge("core", "ready", |b| condition(b, "Ready").0 == "True").await;
    assert_eq!(bridge.status.unwrap().slots.unwrap().in_use, 0);
    assert_eq!(phase_of(&arena.phase("here", Phase::Ended).await), Phase::Ended);
    assert_eq!(writes(&arena.sim.journal()), 0, "{:#?}", arena.journal_lines());

    // Neither does an edit of something else bring it back; one of the window does.
    arena.delete::<ScheduledMeeting>("next").await;
    arena.patch::<ScheduledMeeting>("here", json!({ "spec": { "title": "Renamed" } })).await;
    let renamed = arena.meeting("here", "judged again", |m| status_of(m).observed_generation == m.metadata.generation);
    assert_eq!(phase_of(&renamed.await), Phase::Ended);
    arena.patch::<ScheduledMeeting>("here", json!({ "spec": { "duration": "11m" } })).await;
    let again = arena.phase("here", Phase::Active).await;
    assert_eq!(status_of(&again).refused_window, None);
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_can_come_nearer_and_an_end_in_the_past_is_now() {
    let arena = Arena::new("shorten").await;
    arena.ready_bridge(json!({})).await;
    for name in ["shorter", "stopped"] {
        arena.open_now(name, 3_600, json!({ "participants": [{ "remoteParty": format!("{name}@rooms.test") }] })).await;
        arena.phase(name, Phase::Active).await;
    }
    arena.sim.clear_journal();
    let end = Timestamp::now() + SignedDuration::from_secs(3);
    let shorter = json!({ "spec": { "duration": null, "end": end.to_string() } });
    arena.patch::<ScheduledMeeting>("shorter", shorter).await;
    let shorter = arena.meeting("shorter", "shorter", |m| closes_at(m) == end).await;
    assert_eq!(condition(&shorter, "Ready"), ("True", "Active"));
    assert_eq!(puts(&arena.sim.journal()), 0, "an end that comes nearer is no business of the bridge");

    let asked = Timestamp::now();
    arena.patch::<ScheduledMeeting>("stopped", json!({ "spec": { "duration": null, "end": in_ms(-100) } })).await;
    let stopped = arena.phase("stopped", Phase::Ended).await;
    assert!(status_of(&stopped).ended_at.unwrap().0.duration_since(asked) < SignedDuration::from_secs(2));
    let shorter = arena.phase("shorter", Phase::Ended).await;
    assert!(status_of(&shorter).ended_at.unwrap().0 >= end);
    assert!(arena.sim.calls().is_empty() && arena.sim.spaces().iter().all(|space| !space.open));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_title_or_passcode_is_written_to_the_open_door() {
    let arena = Arena::new("retitle").await;
    arena.ready_bridge(json!({})).await;
    arena.create_secret("code", json!({ "passcode": "1111" })).await;
    let spec = json!({ "participants": desk(), "passcodeSecretRef": { "name": "code" } });
    arena.open_now("board", 120, spec).await;
    arena.party("board", ParticipantState::Connected).await;
    let (before, calls, legs) = (arena.slot(1), arena.sim.calls(), arena.sim.legs());
    arena.patch::<ScheduledMeeting>("board", json!({ "spec": { "title": "Sitzung & Wahl" } })).await;
    arena.await_sim("a new name", |sim| slot_of(sim, 1).name == "Sitzung & Wahl").await;
    arena.patch::<k8s_openapi::api::core::v1::Secret>("code", json!({ "stringData": { "passcode": "222222" } })).await;
    arena.await_sim("a new passcode", |sim| slot_of(sim, 1).passcode.as_deref() == Some("222222")).await;
    let after = arena.slot(1);
    assert_eq!((after.secret, after.open), (before.secret, true));
    assert_eq!((arena.sim.calls(), arena.sim.legs()), (calls, legs), "call and legs go on");
    arena
        .until::<k8s_openapi::api::core::v1::Secret>("board-join", "the new passcode", |secret| {
            entry(secret, "passcode").as_deref() == Some("222222")
        })
        .await;
    assert_eq!(puts(&arena.sim.journal().split_off(1)), 3, "opened, renamed, new passcode");
    assert_eq!(arena.sim.dials().len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_join_opens_the_door_early_and_dials_at_the_start() {
    let arena = Arena::new("early").await;
    arena.ready_bridge(json!({})).await;
    let spec = json!({ "start": in_ms(4_000), "duration": "1m", "earlyJoin": "3s", "participants": desk() });
    let created = arena.create_meeting("early", spec).await;
    let open = arena.phase("early", Phase::Active).await;
    let opened_at = status_of(&open).opened_at.unwrap().0;
    let start = created.spec.start.0;
    assert!(opened_at < start - SignedDuration::from_secs(2), "{opened_at} {start}");
    assert!(opened_at >= start - SignedDuration::from_secs(3));
    assert!(arena.sim.join("1", "Ada", 0).is_ok());
    assert_eq!(condition(&open, "ParticipantsDialed"), ("False", "NotYet"));
    arena.party("early", ParticipantState::Connected).await;
    let dials = arena.sim.dials();
    assert_eq!(dials.len(), 1);
    let late = dials[0].at.duration_since(start);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(1), "dialled {late:?} after the start");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_meeting_is_neither_opened_nor_shut() {
    let arena = Arena::new("suspend").await;
    arena.ready_bridge(json!({})).await;
    let suspend = |on: bool| json!({ "spec": { "suspend": on } });
    arena.open_now("paused", 120, json!({ "suspend": true })).await;
    let paused = arena.says("paused", "Ready", "True", "Suspended").await;
    assert_eq!(status_of(&paused).opened_at, None);
    assert!(!arena.slot(1).open);
    arena.patch::<ScheduledMeeting>("paused", suspend(false)).await;
    arena.phase("paused", Phase::Active).await;
    assert!(arena.slot(1).open, "opened as soon as it may");

    arena.patch::<ScheduledMeeting>("paused", suspend(true)).await;
    arena.says("paused", "Ready", "True", "Suspended").await;
    arena.patch::<ScheduledMeeting>("paused", json!({ "spec": { "duration": "1s", "extension": null } })).await;
    arena.meeting("paused", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
    // Longer than any sweep: nobody shuts it behind the user's back.
    arena.sim.clear_journal();
    arena.await_requests("reads of the bridge", |all| all.len() >= 3).await;
    assert!(arena.slot(1).open && writes(&arena.sim.journal()) == 0);
    arena.patch::<ScheduledMeeting>("paused", suspend(false)).await;
    arena.phase("paused", Phase::Ended).await;
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_bridge_holds_its_meetings() {
    let arena = Arena::new("hold").await;
    arena.ready_bridge(json!({})).await;
    let suspend = |on: bool| json!({ "spec": { "suspend": on } });
    arena.open_now("open", 120, json!({})).await;
    arena.phase("open", Phase::Active).await;
    arena.patch::<MeetingBridge>("core", suspend(true)).await;
    arena.says("open", "Ready", "True", "Suspended").await;
    arena.open_now("waiting", 120, json!({})).await;
    arena.says("waiting", "Ready", "False", "Suspended").await;
    arena.patch::<ScheduledMeeting>("open", json!({ "spec": { "duration": null, "end": in_ms(-100) } })).await;
    arena.meeting("open", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
    arena.says("open", "Stalled", "True", "Suspended").await;
    assert!(arena.slot(1).open && !arena.slot(2).open);
    arena.patch::<MeetingBridge>("core", suspend(false)).await;
    arena.phase("open", Phase::Ended).await;
    arena.phase("waiting", Phase::Active).await;
    assert!(!arena.slot(1).open && arena.slot(2).open);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_extends_itself_while_somebody_is_in_it_up_to_the_cap() {
    let arena = Arena::new("auto").await;
    arena.ready_bridge(json!({})).await;
    let auto = json!({ "auto": { "step": "1m", "max": "1m" } });
    let busy = arena.open_now("busy", 5, json!({ "extension": auto, "participants": desk() })).await;
    let empty = arena.open_now("empty", 5, json!({ "extension": auto })).await;
    let ended = arena.phase("empty", Phase::Ended).await;
    let after = |m: &ScheduledMeeting, s| m.spec.start.0 + SignedDuration::from_secs(s);
    assert_eq!(closes_at(&ended), after(&empty, 5), "nobody was in it");
    let extended = arena.meeting("busy", "extended", |m| status_of(m).extended_until.is_some()).await;
    assert_eq!(closes_at(&extended), after(&busy, 65), "once; that is the cap");
    arena.event_about("busy", "Extended").await;
    assert_eq!(condition(&extended, "Ready"), ("True", "Active"));
    arena.patch::<ScheduledMeeting>("busy", json!({ "spec": { "duration": "1s", "extension": null } })).await;
    let ended = arena.phase("busy", Phase::Ended).await;
    assert!(closes_at(&ended) < after(&busy, 65), "who edits the end means it");
    assert_eq!(arena.sim.dials().len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_does_not_extend_itself_into_anothers_reservation() {
    let arena = Arena::new("auto-conflict").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let auto = json!({ "auto": { "step": "1m", "max": "1h" } });
    let spec = json!({ "extension": auto, "participants": desk() });
    let busy = arena.open_now("busy", 5, spec).await;
    let edge = busy.spec.start.0 + SignedDuration::from_secs(5);
    arena.create_meeting("next", json!({ "start": edge.to_string(), "duration": "1m" })).await;
    arena.party("busy", ParticipantState::Connected).await;
    let ended = arena.phase("busy", Phase::Ended).await;
    assert_eq!((closes_at(&ended), status_of(&ended).extended_until), (edge, None));
    arena.phase("next", Phase::Active).await;
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_is_over_can_be_booked_again() {
    let arena = Arena::new("again").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("again", 2, json!({ "participants": desk() })).await;
    let first = arena.phase("again", Phase::Ended).await;
    arena.create_meeting("other", json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    arena.booked("other").await;
    let spec = json!({ "spec": { "start": in_ms(3_600_000) } });
    arena.patch::<ScheduledMeeting>("again", spec).await;
    let booked = arena.phase("again", Phase::Scheduled).await;
    assert_eq!((number_of(&booked), status_of(&booked).opened_at, status_of(&booked).ended_at), (2, None, None));
    assert_eq!(condition(&booked, "Ready"), ("True", "Scheduled"));
    assert!(arena.join_secret("again").await.is_some());
    arena.patch::<ScheduledMeeting>("again", json!({ "spec": { "start": in_ms(500) } })).await;
    arena.meeting("again", "open again", |m| phase_of(m) == Phase::Active).await;
    let second = arena.phase("again", Phase::Ended).await;
    assert!(status_of(&second).ended_at > status_of(&first).ended_at);
    assert_eq!(arena.sim.dials().len(), 2, "a new meeting dials anew");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

fn opens_at(meeting: &ScheduledMeeting) -> Timestamp {
    status_of(meeting).window.expect("a window").opens_at.0
}

/// Waits until the meeting is booked for this start, as if nothing had been before.
async fn booked_anew(arena: &Arena, name: &str, start: &str) -> ScheduledMeeting {
    let start: Timestamp = start.parse().unwrap();
    let anew = |m: &ScheduledMeeting| phase_of(m) == Phase::Scheduled && opens_at(m) == start;
    let booked = arena.meeting(name, "booked anew", anew).await;
    assert_eq!(condition(&booked, "Ready"), ("True", "Scheduled"));
    let status = status_of(&booked);
    assert_eq!((status.opened_at, status.ended_at, status.call), (None, None, None));
    assert!(status.participants.iter().all(|party| party.attempts == 0), "{:?}", status.participants);
    booked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_moved_away_shuts_an_empty_meeting_and_books_it_anew() {
    let arena = Arena::new("away").await;
    arena.ready_bridge(json!({})).await;
    // Preparing: nothing was sent for it yet, and nothing is.
    arena.create_meeting("soon", json!({ "start": in_ms(8_000), "duration": "1h" })).await;
    arena.phase("soon", Phase::Opening).await;
    arena.sim.clear_journal();
    let later = in_ms(3_600_000);
    arena.patch::<ScheduledMeeting>("soon", json!({ "spec": { "start": later } })).await;
    booked_anew(&arena, "soon", &later).await;
    assert_eq!(writes(&arena.sim.journal()), 0, "{:#?}", arena.journal_lines());

    arena.open_now("empty", 3_600, json!({ "passcode": { "generate": { "digits": 8 } } })).await;
    arena.phase("empty", Phase::Active).await;
    let number = status_of(&arena.booked("empty").await).slot.unwrap().number;
    let before = (arena.slot(number).secret, arena.join_secret("empty").await.unwrap().data);
    arena.patch::<ScheduledMeeting>("empty", json!({ "spec": { "start": later } })).await;
    booked_anew(&arena, "empty", &later).await;
    assert!(!arena.slot(number).open && arena.sim.calls().is_empty());
    assert_ne!(arena.slot(number).secret, before.0);
    assert_ne!(arena.join_secret("empty").await.unwrap().data, before.1, "nobody gets in with what he knows");
    arena.told("empty", "Moved").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Who was created before it and waits for a slot does not get the one that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_moved_away_keeps_the_slot_before_those_who_wait() {
    let arena = Arena::new("minutes").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.create_meeting("blocker", json!({ "start": in_ms(1_200_000), "duration": "1h" })).await;
    arena.booked("blocker").await;
    // Older, and with a window that is free but for the blocker's.
    arena.create_meeting("older", json!({ "start": in_ms(60_000), "duration": "1h" })).await;
    arena.says("older", "Accepted", "False", "NoFreeSlot").await;
    a_second_later().await;
    arena.open_now("mine", 900, json!({ "earlyJoin": "5m" })).await;
    arena.phase("mine", Phase::Active).await;
    arena.delete::<ScheduledMeeting>("blocker").await;
    arena.gone::<ScheduledMeeting>("blocker").await;
    let refused = arena.says("older", "Accepted", "False", "NoFreeSlot").await;
    assert_eq!(status_of(&refused).slot, None);
    let start = in_ms(3_000_000);
    arena.patch::<ScheduledMeeting>("mine", json!({ "spec": { "start": start, "earlyJoin": null } })).await;
    let moved = booked_anew(&arena, "mine", &start).await;
    assert_eq!(number_of(&moved), 1);
    assert!(!arena.slot(1).open && arena.sim.calls().is_empty());
    let refused = arena.says("older", "Accepted", "False", "NoFreeSlot").await;
    assert_eq!(status_of(&refused).slot, None, "it ends after the new start");
    // What was given up is for those who wait.
    arena.patch::<ScheduledMeeting>("older", json!({ "spec": { "duration": "30m" } })).await;
    assert_eq!(number_of(&arena.booked("older").await), 1);
    arena.assert_rules([1]);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_join_that_is_taken_back_while_the_door_is_open_changes_nothing() {
    let arena = Arena::new("early-back").await;
    arena.ready_bridge(json!({})).await;
    let spec = json!({
        "start": in_ms(600_000), "duration": "1h", "earlyJoin": "15m", "passcode": { "generate": { "digits": 8 } }
    });
    arena.create_meeting("m", spec).await;
    let open = arena.phase("m", Phase::Active).await;
    let (door, invited) = (arena.slot(1), arena.join_secret("m").await.unwrap());
    arena.sim.clear_journal();
    for early in [json!("5m"), Value::Null] {
        arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "earlyJoin": early } })).await;
        let judged = arena.meeting("m", "judged", |m| status_of(m).observed_generation == m.metadata.generation).await;
        assert_eq!((condition(&judged, "Ready"), condition(&judged, "SlotReserved").0), (("True", "Active"), "True"));
        assert_eq!(status_of(&judged).window, status_of(&open).window);
    }
    assert_eq!(arena.slot(1), door, "open, with secret and passcode as before");
    let now = arena.join_secret("m").await.unwrap();
    assert_eq!((links(&now), entry(&now, "passcode")), (links(&invited), entry(&invited, "passcode")));
    assert_eq!(writes(&arena.sim.journal()), 0, "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_moved_away_lets_people_finish_and_rings_again_at_the_new_start() {
    let arena = Arena::new("stay").await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("busy", 600, json!({ "participants": desk() })).await;
    let running = arena.party("busy", ParticipantState::Connected).await;
    let agreed = status_of(&running).window;
    arena.patch::<ScheduledMeeting>("busy", json!({ "spec": { "start": in_ms(3_600_000) } })).await;
    let told = arena.says("busy", "Ready", "False", "StartMoved").await;
    assert_eq!(condition(&told, "SlotReserved"), ("False", "StartMoved"));
    assert_eq!((status_of(&told).window, phase_of(&told)), (agreed, Phase::Active), "what was agreed stands");
    assert!(arena.slot(1).open && arena.sim.dials().len() == 1);

    // Back again while it waits, and away once more, with another end.
    let start = agreed.unwrap().starts_at;
    arena.patch::<ScheduledMeeting>("busy", json!({ "spec": { "start": start } })).await;
    arena.says("busy", "Ready", "True", "Active").await;
    let soon = in_ms(4_000);
    arena.patch::<ScheduledMeeting>("busy", json!({ "spec": { "start": soon, "duration": "90s" } })).await;
    arena.says("busy", "Ready", "False", "StartMoved").await;
    let leg = arena.sim.legs()[0].id.clone();
    assert!(arena.sim.leave(&leg));
    let again = arena.meeting("busy", "opened anew", |m| {
        let is_new = status_of(m).window.is_some_and(|window| Some(window) != agreed);
        is_new && status_of(m).participants.first().is_some_and(|p| p.state == ParticipantState::Connected)
    });
    let again = status_of(&again.await);
    assert_eq!((again.window.unwrap().opens_at.0, again.participants[0].attempts), (soon.parse().unwrap(), 1));
    assert_eq!(arena.sim.dials().len(), 2, "rung once for each start");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
