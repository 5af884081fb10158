//! Occurrences that are moved after they were booked, and what an older series of the name left behind, on the real
//! apiserver.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::series::OccurrenceState;
use meeting_controller::api::{MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;
use crate::series::listed;

/// The first occurrence, twelve hours from now, is so many hours later.
fn later(series: &MeetingSeries, hours: i64) -> (Timestamp, Value) {
    let at = series.spec.start.0;
    let moved = at + SignedDuration::from_hours(hours);
    let exception = json!({ "occurrence": at.to_string(), "start": moved.to_string() });
    let start = moved.to_zoned(jiff::tz::TimeZone::UTC).expect("a moment").timestamp();
    (start, json!({ "spec": { "exceptions": [exception] } }))
}

fn starts_at(meeting: &ScheduledMeeting) -> Option<Timestamp> {
    status_of(meeting).window.map(|window| window.starts_at.0)
}

fn has(secret: &Secret, line: &str) -> bool {
    entry(secret, "invite.ics").is_some_and(|calendar| calendar.lines().any(|known| known == line))
}

fn sequence(secret: &Secret) -> Option<u32> {
    let calendar = entry(secret, "invite.ics")?;
    calendar.lines().find_map(|line| line.strip_prefix("SEQUENCE:")?.parse().ok())
}

/// Within the horizon and beyond it: nobody is let in at the old time, and calendars learn of the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_occurrence_that_an_exception_moves_is_booked_anew_wherever_it_goes() {
    let arena = Arena::new("series-move").await;
    arena.ready_bridge(json!({})).await;
    let made = arena.create_series("daily", json!({ "maxAhead": 1 })).await;
    let name = listed(&arena.series_says("daily", "Ready", "True", "Ready").await)[0].clone();
    let before = arena.booked(&name).await;
    let mut edition = sequence(&arena.join_secret(&name).await.unwrap());
    for hours in [3, 240] {
        let (start, exception) = later(&made, hours);
        arena.patch::<MeetingSeries>("daily", exception).await;
        let moved = arena.meeting(&name, "moved", |meeting| starts_at(meeting) == Some(start)).await;
        assert_eq!((moved.uid(), condition(&moved, "SlotReserved")), (before.uid(), ("True", "Reserved")));
        let join = format!("{name}-join");
        let secret = arena.until::<Secret>(&join, "a further edition", |secret| sequence(secret) > edition).await;
        edition = sequence(&secret);
        assert!(has(&secret, &format!("DTSTART:{}", start.strftime("%Y%m%dT%H%M%SZ"))), "{secret:?}");
        let told = arena.states("daily", &[OccurrenceState::Created]).await;
        let first = told.status.unwrap().occurrences.swap_remove(0);
        assert_eq!((first.name, first.start.0), (name.clone(), start));
    }
    // When the rule has it another door opens, and its own does not.
    arena.create_meeting("probe", json!({ "start": in_ms(12 * 3_600_000), "duration": "1h" })).await;
    arena.booked("probe").await;
    arena.clock.step(12 * 3_600 + 60);
    arena.phase("probe", Phase::Active).await;
    assert_eq!(arena.sim.spaces().iter().filter(|space| space.open).count(), 1);
    assert_eq!(phase_of(&arena.meeting(&name, "there", |_| true).await), Phase::Scheduled);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_cannot_be_met_leaves_the_occurrence_as_it_was_booked_and_is_told_so() {
    let arena = Arena::new("series-unmet").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let made = arena.create_series("daily", json!({ "maxAhead": 1 })).await;
    let ready = arena.series_says("daily", "Ready", "True", "Ready").await;
    let (name, old) = (listed(&ready)[0].clone(), ready.status.unwrap().next.unwrap().start);
    arena.create_meeting("theirs", json!({ "start": in_ms(14 * 3_600_000), "duration": "1h" })).await;
    arena.booked("theirs").await;
    let (start, exception) = later(&made, 2);
    arena.patch::<MeetingSeries>("daily", exception).await;
    let told = arena.series_says("daily", "Ready", "False", "OccurrenceRefused").await;
    let words = "held as booked before, since what is asked for now is not to be had";
    assert_eq!(message(&told, "OccurrencesBooked"), format!("{words}: {name} (NoFreeSlot)"));
    let status = told.status.unwrap();
    assert_eq!((status.occurrences[0].start, status.next.map(|next| next.start)), (old, Some(old)));
    let held = arena.meeting(&name, "held", |_| true).await;
    assert_eq!((starts_at(&held), condition(&held, "SlotReserved")), (Some(old.0), ("True", "Reserved")));
    arena.delete::<ScheduledMeeting>("theirs").await;
    let met = arena.series_says("daily", "Ready", "True", "Ready").await;
    assert_eq!(met.status.unwrap().next.unwrap().start.0, start);
    arena.meeting(&name, "moved", |meeting| starts_at(meeting) == Some(start)).await;
    arena.finish().await;
}

/// `kubectl replace --force`: the old occurrences go in their own time, and are nobody else's meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_is_made_again_at_once_waits_until_the_old_occurrences_are_gone() {
    let arena = Arena::new("series-again").await;
    arena.ready_bridge(json!({})).await;
    let mut again = arena.create_series("daily", json!({})).await;
    let names = listed(&arena.series_says("daily", "Ready", "True", "Ready").await);
    let before = arena.occurrences("daily").await;
    let finalizers = |held: &[&str]| {
        let all: Vec<_> =
            before[&names[0]].finalizers().iter().map(String::as_str).chain(held.iter().copied()).collect();
        json!({ "metadata": { "finalizers": all } })
    };
    arena.patch::<ScheduledMeeting>(&names[0], finalizers(&["test.example/held"])).await;
    let background =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    arena.api::<MeetingSeries>().delete("daily", &background).await.unwrap();
    again.metadata = kube::api::ObjectMeta { name: Some("daily".to_owned()), ..kube::api::ObjectMeta::default() };
    again.status = None;
    let again = arena.api().create(&PostParams::default(), &again).await.unwrap();
    use OccurrenceState::{Created, NotCreated};
    let told = arena.states("daily", &[NotCreated, Created, Created]).await;
    assert_eq!(condition(&told, "Ready"), ("False", "Progressing"));
    let held: ScheduledMeeting = arena.api().get(&names[0]).await.unwrap();
    let left: Vec<_> = held.finalizers().iter().filter(|name| *name != "test.example/held").collect();
    arena.patch::<ScheduledMeeting>(&names[0], json!({ "metadata": { "finalizers": left } })).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let after = arena.occurrences("daily").await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (name, meeting) in &after {
        assert_ne!(meeting.uid(), before[name].uid(), "{name}");
        assert_eq!(Some(&meeting.owner_references()[0].uid), again.uid().as_ref(), "{name}");
    }
    let told = arena.events_about("daily").await;
    assert!(told.iter().all(|(reason, _)| reason != "NameTaken"), "{told:?}");
    arena.finish().await;
}

/// What is not to be changed is taken over as it is: nobody deletes it with its series otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_series_left_edited_running_or_unnamed_is_taken_over_as_well() {
    let arena = Arena::new("series-heir").await;
    arena.ready_bridge(json!({})).await;
    let begun = json!({ "start": crate::series::local(-60), "duration": "30m" });
    let mut again = arena.create_series("daily", begun).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 3]).await);
    arena.phase(&names[0], Phase::Active).await;
    arena.patch::<ScheduledMeeting>(&names[1], json!({ "spec": { "title": "Mine" } })).await;
    let before = arena.occurrences("daily").await;
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    arena.api::<MeetingSeries>().delete("daily", &orphan).await.unwrap();
    arena.gone::<MeetingSeries>("daily").await;
    // The next one is an hour later each day: it has none of them.
    again.metadata = kube::api::ObjectMeta { name: Some("daily".to_owned()), ..kube::api::ObjectMeta::default() };
    (again.status, again.spec.start.0) = (None, again.spec.start.0 + SignedDuration::from_hours(1));
    let again = arena.api().create(&PostParams::default(), &again).await.unwrap();
    arena.gone::<ScheduledMeeting>(&names[2]).await;
    for name in &names[..2] {
        let heir = |meeting: &ScheduledMeeting| {
            meeting.owner_references().iter().any(|owner| Some(&owner.uid) == again.uid().as_ref())
        };
        let meeting = arena.meeting(name, "taken over", heir).await;
        assert_eq!((meeting.uid(), &meeting.spec), (before[name].uid(), &before[name].spec), "{name}");
    }
    let running = arena.phase(&names[0], Phase::Active).await;
    assert_eq!(running.owner_references().len(), 1);
    // Now they go with it.
    arena.delete::<MeetingSeries>("daily").await;
    for name in &names[..2] {
        arena.gone::<ScheduledMeeting>(name).await;
    }
    arena.await_sim("shut", |sim| sim.spaces().iter().all(|space| !space.open)).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}
