//! MeetingSeries: occurrences are made, booked, changed, left alone and tidied up, on the real apiserver.

use std::collections::BTreeMap;

use control_plane::{ControlPlane, Options};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams, PropagationPolicy};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::series::OccurrenceState;
use meeting_controller::api::{MeetingSeries, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

/// The local time in UTC so many seconds from now.
pub fn local(seconds: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A daily series of an hour each: twelve hours from now, and so on for three days.
fn daily() -> Value {
    json!({
        "start": local(12 * 3600), "timeZone": "UTC", "duration": "1h", "horizon": "72h",
        "recurrence": { "frequency": "Daily" },
        "template": { "metadata": { "labels": { "team": "a" } }, "spec": { "title": "Daily", "bridgeRef": { "name": "core" } } }
    })
}

fn series(name: &str, changes: Value) -> MeetingSeries {
    let mut spec = daily();
    merge(&mut spec, changes);
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
        "metadata": { "name": name }, "spec": spec
    }))
    .expect("a series")
}

impl Arena {
    pub async fn create_series(&self, name: &str, changes: Value) -> MeetingSeries {
        self.api().create(&PostParams::default(), &series(name, changes)).await.expect("series is accepted")
    }

    async fn series(&self, name: &str, what: &str, wanted: impl Fn(&MeetingSeries) -> bool + Send) -> MeetingSeries {
        let series = self.until(name, what, wanted).await;
        assert_status(&series);
        series
    }

    /// Waits until the series says so of this generation.
    pub async fn series_says(&self, name: &str, kind: &str, status: &str, reason: &str) -> MeetingSeries {
        let is_so = |series: &MeetingSeries| {
            condition(series, kind) == (status, reason) && series.observed() == series.metadata.generation
        };
        self.series(name, &format!("{kind}={status} ({reason})"), is_so).await
    }

    /// The occurrences that there are, by name.
    pub async fn occurrences(&self, series: &str) -> BTreeMap<String, ScheduledMeeting> {
        let label = ListParams::default().labels(&format!("meeting-controller.dev/series={series}"));
        let all = self.api::<ScheduledMeeting>().list(&label).await.expect("list").items;
        all.into_iter().map(|meeting| (meeting.name_any(), meeting)).collect()
    }

    /// Waits until the first occurrences of a series are in these states.
    pub async fn states(&self, name: &str, wanted: &[OccurrenceState]) -> MeetingSeries {
        let of = |series: &MeetingSeries| -> Vec<OccurrenceState> {
            let all = series.status.iter().flat_map(|status| &status.occurrences);
            all.map(|one| one.state).take(wanted.len()).collect()
        };
        self.series(name, &format!("{wanted:?}"), |series| of(series) == wanted).await
    }
}

/// The names of the occurrences that a series lists.
pub fn listed(series: &MeetingSeries) -> Vec<String> {
    series.status.iter().flat_map(|status| &status.occurrences).map(|one| one.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_makes_its_occurrences_and_then_writes_nothing() {
    let arena = Arena::new("series-new").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({})).await;
    let ready = arena.series_says("daily", "Ready", "True", "Ready").await;
    let occurrences = arena.occurrences("daily").await;
    assert_eq!(occurrences.keys().cloned().collect::<Vec<_>>(), listed(&ready));
    assert_eq!(occurrences.len(), 3);
    for (name, meeting) in &occurrences {
        assert_eq!(condition(meeting, "SlotReserved"), ("True", "Reserved"), "{name}");
        assert_eq!((meeting.spec.title.as_str(), meeting.labels()["team"].as_str()), ("Daily", "a"));
        let owner = &meeting.owner_references()[0];
        assert_eq!((owner.uid.as_str(), owner.controller), (ready.uid().unwrap().as_str(), Some(true)));
        let managers: Vec<_> = meeting.managed_fields().iter().filter_map(|entry| entry.manager.as_deref()).collect();
        assert!(managers.contains(&"meeting-controller-series"), "{managers:?}");
    }
    let status = ready.status.unwrap();
    assert_eq!(Some(status.next.unwrap().name), occurrences.keys().next().cloned());
    assert!(status.schedule.unwrap().starts_with("every day at "));
    // Asked to look again, it answers, and leaves everything else as it is.
    let ask = json!({ "metadata": { "annotations": { "meeting-controller.dev/reconcile-requested-at": "now" } } });
    arena.patch::<MeetingSeries>("daily", ask).await;
    let handled =
        |series: &MeetingSeries| series.status.as_ref().unwrap().last_handled_reconcile_at.as_deref() == Some("now");
    arena.series("daily", "handled", handled).await;
    let versions = |all: &BTreeMap<String, ScheduledMeeting>| -> Vec<_> {
        all.values().map(|meeting| meeting.resource_version()).collect()
    };
    assert_eq!(versions(&arena.occurrences("daily").await), versions(&occurrences));
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_edit_or_delete_stays_so_and_the_rest_follows_the_template() {
    let mut arena = Arena::new("series-edit").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({ "template": { "spec": { "earlyJoin": "5m" } } })).await;
    let names = listed(&arena.series_says("daily", "Ready", "True", "Ready").await);
    // One field set, another one taken away: both are edits.
    arena.patch::<ScheduledMeeting>(&names[0], json!({ "spec": { "earlyJoin": null } })).await;
    arena.delete::<ScheduledMeeting>(&names[1]).await;
    use OccurrenceState::{Created, Deleted, Edited};
    arena.states("daily", &[Edited, Deleted, Created]).await;
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "template": { "spec": { "title": "Another" } } } })).await;
    arena.meeting(&names[2], "renamed", |meeting| meeting.spec.title == "Another").await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let edited: ScheduledMeeting = arena.api().get(&names[0]).await.unwrap();
    assert_eq!((edited.spec.title.as_str(), edited.spec.early_join), ("Daily", None));
    assert!(!arena.occurrences("daily").await.contains_key(&names[1]));
    // Nor does another process make it again.
    arena.controller.take().unwrap().stop().await;
    arena.start().await;
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "template": { "spec": { "title": "Third" } } } })).await;
    arena.meeting(&names[2], "renamed", |meeting| meeting.spec.title == "Third").await;
    arena.states("daily", &[Edited, Deleted, Created]).await;
    // Without our annotation it is handed back.
    let given = json!({ "metadata": { "annotations": { "meeting-controller.dev/series-applied": null } } });
    arena.patch::<ScheduledMeeting>(&names[0], given).await;
    arena.meeting(&names[0], "as the template", |meeting| meeting.spec.title == "Third").await;
    arena.states("daily", &[Created, Deleted, Created]).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_skip_move_and_rename_and_can_be_taken_back() {
    let arena = Arena::new("series-exc").await;
    arena.ready_bridge(json!({})).await;
    let made = arena.create_series("daily", json!({})).await;
    let names = listed(&arena.series_says("daily", "Ready", "True", "Ready").await);
    let day = |days: i64| (made.spec.start.0 + SignedDuration::from_hours(24 * days)).to_string();
    let exceptions = json!([
        { "occurrence": day(0), "skip": true },
        { "occurrence": day(1), "duration": "2h", "title": "Longer", "participants": [{ "remoteParty": "a@rooms.test" }] },
        { "occurrence": "2999-01-01T00:00:00", "skip": true }
    ]);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "exceptions": exceptions } })).await;
    use OccurrenceState::{Created, Skipped};
    let told = arena.states("daily", &[Skipped, Created, Created]).await;
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    let longer = arena.meeting(&names[1], "longer", |meeting| meeting.spec.title == "Longer").await;
    assert_eq!((longer.spec.duration.unwrap().get().as_secs(), longer.spec.participants.len()), (7200, 1));
    assert_eq!(condition(&told, "ExceptionsMatched"), ("False", "NoSuchOccurrence"));
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "exceptions": [] } })).await;
    arena.states("daily", &[Created, Created, Created]).await;
    arena.meeting(&names[1], "as the others", |meeting| meeting.spec.title == "Daily").await;
    arena.booked(&names[0]).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_in_the_way_is_not_touched_and_the_others_are_made() {
    let arena = Arena::new("series-way").await;
    arena.ready_bridge(json!({})).await;
    let wanted = series("daily", json!({}));
    let name = format!("daily-{}", wanted.spec.start.0.strftime("%Y%m%dt%H%M"));
    arena.create_meeting(&name, json!({ "start": in_ms(3_600_000), "duration": "1h" })).await;
    let before = arena.booked(&name).await;
    arena.api::<MeetingSeries>().create(&PostParams::default(), &wanted).await.unwrap();
    let told = arena.series_says("daily", "Ready", "False", "NameTaken").await;
    assert!(message(&told, "OccurrencesCreated").contains(&name), "{}", message(&told, "OccurrencesCreated"));
    assert_eq!(arena.occurrences("daily").await.len(), 2);
    let after: ScheduledMeeting = arena.api().get(&name).await.unwrap();
    assert_eq!((after.spec, after.metadata.owner_references), (before.spec, None));
    arena.delete::<ScheduledMeeting>(&name).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    assert_eq!(arena.occurrences("daily").await.len(), 3);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_occurrence_without_a_slot_is_named_until_it_has_one() {
    let arena = Arena::new("series-full").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.create_meeting("other", json!({ "start": in_ms(36 * 3_600_000), "duration": "1h" })).await;
    arena.booked("other").await;
    arena.create_series("daily", json!({})).await;
    let told = arena.series_says("daily", "Ready", "False", "OccurrenceRefused").await;
    let refused = listed(&told)[1].clone();
    assert_eq!(message(&told, "OccurrencesBooked"), format!("not booked: {refused} (NoFreeSlot)"));
    assert_eq!(condition(&told, "OccurrencesCreated"), ("True", "Created"));
    arena.delete::<ScheduledMeeting>("other").await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.booked(&refused).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_runs_is_left_alone_and_the_past_is_tidied_up() {
    let arena = Arena::new("series-run").await;
    arena.ready_bridge(json!({})).await;
    let spec = json!({ "start": local(-60), "duration": "30m", "historyLimit": 1 });
    let made = arena.create_series("daily", spec).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 3]).await);
    arena.phase(&names[0], Phase::Active).await;
    let hour_later = (made.spec.start.0 + SignedDuration::from_hours(1)).to_string();
    let edit = json!({ "spec": { "start": hour_later, "template": { "spec": { "title": "Another" } } } });
    arena.patch::<MeetingSeries>("daily", edit).await;
    arena.gone::<ScheduledMeeting>(&names[1]).await;
    let running = arena.phase(&names[0], Phase::Active).await;
    assert_eq!(running.spec.title, "Daily");
    let told = arena.series_says("daily", "Ready", "True", "Ready").await;
    let second = listed(&told)[1].clone();
    assert_ne!(second, names[1]);
    // It ends as it was booked, and is history; so is the next one, and then only that one.
    arena.clock.step(1800);
    arena.phase(&names[0], Phase::Ended).await;
    arena.clock.step(1800);
    arena.phase(&second, Phase::Active).await;
    assert!(arena.occurrences("daily").await.contains_key(&names[0]));
    arena.clock.step(1800);
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    assert_eq!(arena.phase(&second, Phase::Ended).await.spec.title, "Another");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Neither one that ended at its time comes back nor one that somebody ended before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_occurrence_that_has_ended_goes_by_itself_and_is_never_made_again() {
    let arena = Arena::new("series-ttl").await;
    arena.ready_bridge(json!({})).await;
    let goes = json!({ "template": { "spec": { "ttlSecondsAfterFinished": 0 } } });
    let mut spec = json!({ "start": local(-60), "duration": "30m" });
    merge(&mut spec, goes);
    arena.create_series("daily", spec).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 3]).await);
    arena.phase(&names[0], Phase::Active).await;
    arena.patch::<ScheduledMeeting>(&names[0], json!({ "spec": { "duration": "1s" } })).await;
    arena.gone::<ScheduledMeeting>(&names[0]).await;
    arena.states("daily", &[OccurrenceState::Deleted, OccurrenceState::Created, OccurrenceState::Created]).await;
    arena.clock.step(24 * 3_600);
    arena.phase(&names[1], Phase::Active).await;
    arena.clock.step(1_800);
    arena.gone::<ScheduledMeeting>(&names[1]).await;
    // Asked to look again, twice, it makes only what is still to come.
    for token in ["one", "two"] {
        let ask = json!({ "metadata": { "annotations": { "meeting-controller.dev/reconcile-requested-at": token } } });
        arena.patch::<MeetingSeries>("daily", ask).await;
        let handled =
            |s: &MeetingSeries| s.status.as_ref().unwrap().last_handled_reconcile_at.as_deref() == Some(token);
        arena.series("daily", "handled", handled).await;
    }
    let left = arena.occurrences("daily").await;
    assert!(names[..2].iter().all(|name| !left.contains_key(name)), "{:?}", left.keys());
    assert!(left.contains_key(&names[2]) && left.values().all(|meeting| phase_of(meeting) == Phase::Scheduled));
    let told = arena.series_says("daily", "Ready", "True", "Ready").await;
    assert_eq!(listed(&told), left.keys().cloned().collect::<Vec<_>>());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_series_takes_its_occurrences_with_it_and_shuts_what_runs() {
    let arena = Arena::new("series-gone").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({ "start": local(-60), "duration": "30m" })).await;
    let names = listed(&arena.states("daily", &[OccurrenceState::Created; 3]).await);
    arena.phase(&names[0], Phase::Active).await;
    arena.delete::<MeetingSeries>("daily").await;
    for name in &names {
        arena.gone::<ScheduledMeeting>(name).await;
    }
    arena.await_sim("shut", |sim| sim.calls().is_empty() && sim.spaces().iter().all(|space| !space.open)).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_series_left_behind_is_taken_over_by_the_next_of_its_name() {
    let arena = Arena::new("series-orphan").await;
    arena.ready_bridge(json!({})).await;
    let first = arena.create_series("daily", json!({})).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let before = arena.occurrences("daily").await;
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    arena.api::<MeetingSeries>().delete("daily", &orphan).await.unwrap();
    arena.gone::<MeetingSeries>("daily").await;
    let again = series("daily", json!({ "start": first.spec.start }));
    let again = arena.api().create(&PostParams::default(), &again).await.unwrap();
    arena.series_says("daily", "Ready", "True", "Ready").await;
    for (name, meeting) in arena.occurrences("daily").await {
        assert_eq!(meeting.uid(), before[&name].uid(), "{name} was booked anew");
        assert_eq!(Some(&meeting.owner_references()[0].uid), again.uid().as_ref(), "{name}");
    }
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_before_the_status_is_stored_makes_nothing_twice() {
    let mut arena = Arena::new("series-crash").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({})).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let before = arena.occurrences("daily").await;
    arena.controller.take().unwrap().kill().await;
    let mut series: MeetingSeries = arena.api().get("daily").await.unwrap();
    series.status = Some(serde_json::from_value(json!({})).unwrap());
    arena.api::<MeetingSeries>().replace_status("daily", &PostParams::default(), &series).await.unwrap();
    arena.start().await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let uids = |all: &BTreeMap<String, ScheduledMeeting>| {
        all.values().map(|one| (one.name_any(), one.uid(), one.metadata.generation)).collect::<Vec<_>>()
    };
    assert_eq!(uids(&arena.occurrences("daily").await), uids(&before));
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_apiserver_refuses_is_told_and_made_when_it_may_be() {
    let arena = Arena::new("series-quota").await;
    arena.ready_bridge(json!({})).await;
    // The title that the template gives is refused by a policy of the apiserver itself: a schema that got narrower.
    let long = json!({ "template": { "metadata": { "labels": { "team": "not a label" } } } });
    arena.create_series("daily", long).await;
    let told = arena.series_says("daily", "Ready", "False", "CreationRefused").await;
    assert!(message(&told, "OccurrencesCreated").contains("not a label"), "{}", message(&told, "OccurrencesCreated"));
    assert_eq!(condition(&told, "Reconciling"), ("True", "Retrying"));
    arena.create_series("other", json!({})).await;
    arena.series_says("other", "Ready", "True", "Ready").await;
    arena
        .patch::<MeetingSeries>(
            "daily",
            json!({ "spec": { "template": { "metadata": { "labels": { "team": "b" } } } } }),
        )
        .await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_cannot_be_followed_stops_no_other_and_keeps_what_it_has() {
    let arena = Arena::new("series-bad").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({})).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "timeZone": "Europe/Atlantis" } })).await;
    arena.series_says("daily", "Ready", "False", "UnknownTimeZone").await;
    let never = json!({ "recurrence": { "frequency": "Yearly", "byMonth": [2], "byMonthDay": [30] } });
    arena.create_series("never", never).await;
    arena.series_says("never", "Ready", "False", "InvalidRecurrence").await;
    arena.create_series("other", json!({})).await;
    arena.series_says("other", "Ready", "True", "Ready").await;
    assert_eq!(arena.occurrences("daily").await.len(), 3);
    arena.patch::<MeetingSeries>("daily", json!({ "spec": { "timeZone": "Asia/Tokyo" } })).await;
    arena.series_says("daily", "Ready", "True", "Ready").await;
    arena.finish().await;
}

/// Of a name with 253 characters every occurrence has a name, a label and a join Secret that the apiserver takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_name_is_short_enough() {
    let arena = Arena::new("series-long").await;
    arena.ready_bridge(json!({})).await;
    let name = format!("{}.{}", "a".repeat(205), "b".repeat(47));
    let open = json!({ "start": local(-60), "duration": "30m", "maxAhead": 1 });
    arena.create_series(&name, open).await;
    let names = listed(&arena.series_says(&name, "Ready", "True", "Ready").await);
    let meeting = arena.phase(&names[0], Phase::Active).await;
    assert!(meeting.labels()["meeting-controller.dev/series"].len() <= 63);
    assert!(meeting.status.unwrap().join_secret_name.is_some_and(|name| name.len() <= 253));
    arena.finish().await;
}

async fn refusal(arena: &Arena, changes: Value) -> String {
    let mut spec = daily();
    merge(&mut spec, changes);
    let resource = kube::core::ApiResource::erase::<MeetingSeries>(&());
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(arena.client.clone(), &arena.namespace, &resource);
    let mut object = kube::api::DynamicObject::new("odd", &resource);
    object.data = json!({ "spec": spec });
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &object).await.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_mean_is_refused_at_admission() {
    let arena = Arena::quiet("series-adm", lone(), quick()).await;
    let skip = |changes: Value| {
        let mut exception = json!({ "occurrence": "2026-12-07T09:00:00" });
        merge(&mut exception, changes);
        json!({ "exceptions": [exception] })
    };
    let rule = |changes: Value| json!({ "recurrence": changes });
    for (changes, wanted) in [
        (json!({}), "accepted"),
        (rule(json!({ "frequency": "Monthly", "byDay": ["-1FR"], "until": "2999-01-01T00:00:00" })), "accepted"),
        (json!({ "start": "2026-12-07T09:00:00Z" }), "spec.start"),
        (json!({ "start": "2026-12-07T09:00" }), "spec.start"),
        (json!({ "start": "2026-02-30T09:00:00" }), "spec.start"),
        (json!({ "timeZone": "" }), "spec.timeZone"),
        (json!({ "timeZone": "../etc" }), "spec.timeZone"),
        (json!({ "duration": "0s" }), "duration must be more than zero"),
        (json!({ "duration": "169h" }), "at most 168h"),
        (json!({ "horizon": "10m" }), "horizon must be between"),
        (json!({ "maxAhead": 0 }), "spec.maxAhead"),
        (json!({ "template": { "spec": { "title": "" } } }), "spec.template.spec.title"),
        (
            json!({ "template": { "spec": { "passcode": { "generate": {} }, "passcodeSecretRef": { "name": "x" } } } }),
            "exclude each other",
        ),
        (rule(json!({ "frequency": "Hourly" })), "spec.recurrence.frequency"),
        (rule(json!({ "interval": 0 })), "spec.recurrence.interval"),
        (rule(json!({ "count": 3, "until": "2999-01-01T00:00:00" })), "count and until exclude each other"),
        (rule(json!({ "until": "2001-01-01T00:00:00" })), "until must not be before start"),
        (rule(json!({ "frequency": "Weekly", "byDay": ["1MO"] })), "a number before a weekday needs"),
        (rule(json!({ "frequency": "Monthly", "byDay": ["6MO"] })), "at most five of a weekday"),
        (rule(json!({ "frequency": "Monthly", "byDay": ["XX"] })), "spec.recurrence.byDay"),
        (rule(json!({ "frequency": "Weekly", "byMonthDay": [1] })), "does not go with frequency Weekly"),
        (rule(json!({ "frequency": "Monthly", "byMonthDay": [0] })), "byMonthDay must not be 0"),
        (rule(json!({ "frequency": "Monthly", "byMonthDay": [32] })), "spec.recurrence.byMonthDay"),
        (rule(json!({ "byMonth": [13] })), "spec.recurrence.byMonth"),
        (rule(json!({ "bySetPos": [1] })), "bySetPos needs"),
        (skip(json!({})), "an exception says"),
        (skip(json!({ "skip": true, "title": "x" })), "an occurrence that is skipped"),
        (skip(json!({ "start": "2026-13-01T00:00:00" })), "spec.exceptions[0].start"),
        (skip(json!({ "duration": "0s" })), "duration must be more than zero"),
    ] {
        let said = refusal(&arena, changes.clone()).await;
        assert!(said.contains(wanted), "{changes}: {said:?} lacks {wanted:?}");
    }
    let twice = json!({ "exceptions": [{ "occurrence": "2026-12-07T09:00:00", "skip": true }, { "occurrence": "2026-12-07T09:00:00", "title": "x" }] });
    assert!(refusal(&arena, twice).await.contains("Duplicate value"));
}

/// A controller that is newer than the CRDs: whoever has no series yet notices nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_crd_everything_else_goes_on() {
    let old = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/release-0.1/crds");
    let plane =
        ControlPlane::start(Options { manifests: vec![old], ..Options::default() }).await.expect("control plane");
    let mut arena = Arena::on(Plane::Own(Box::new(plane)), "series-crd", lone(), quick()).await;
    arena.start().await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_shows_and_waits_for_a_series() {
    let program = control_plane::tools::kubectl().await.expect("kubectl is built");
    let arena = Arena::new("series-ctl").await;
    arena.ready_bridge(json!({})).await;
    arena.create_series("daily", json!({})).await;
    let run = |args: &[&str]| {
        let output = std::process::Command::new(program.as_path())
            .arg("--kubeconfig")
            .arg(arena.plane.kubeconfig_path())
            .args(["--namespace", &arena.namespace])
            .args(args)
            .output()
            .expect("kubectl runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["wait", "--for=condition=Ready", "--timeout=40s", "mts/daily"]);
    let shown = run(&["get", "mts", "daily"]);
    for word in ["SCHEDULE", "TIMEZONE", "NEXT", "READY", "AGE", "every day at", "UTC", "True"] {
        assert!(shown.contains(word), "{shown} lacks {word}");
    }
    let all = run(&["get", "meetings", "-o", "name"]);
    for kind in ["meetingbridge.", "scheduledmeeting.", "meetingseries."] {
        assert!(all.contains(kind), "{all} lacks {kind}");
    }
    arena.finish().await;
}
