//! Entry x trouble -> conditions, each row through the status checker. More of them come out of passes in
//! `plan/series/tests.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::api::{MeetingSeries, ScheduledMeeting};
use crate::status::check::violations;

type Change = fn(&mut MeetingSeries);
type Trouble = fn(&mut Progress);
/// Case, spec, what came of it, and the conditions that are wanted: type, status, reason.
type Row = (&'static str, Change, Trouble, &'static [(&'static str, &'static str, &'static str)]);

fn series() -> MeetingSeries {
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
        "metadata": { "name": "weekly", "namespace": "ns", "uid": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "generation": 2 },
        "spec": { "start": "2026-12-07T09:00:00", "timeZone": "Europe/Berlin", "duration": "1h", "maxAhead": 1,
                  "recurrence": { "frequency": "Weekly" }, "template": { "spec": { "title": "t" } } }
    }))
    .unwrap()
}

/// Its one occurrence is there, with this state and reason.
fn is(progress: &mut Progress, state: OccurrenceState, reason: Option<&str>) {
    for entry in progress.entries.values_mut() {
        (entry.state, entry.reason) = (state, reason.map(str::to_owned));
    }
}

#[test]
fn every_state_has_its_conditions() {
    let created: Trouble = |progress| is(progress, OccurrenceState::Created, None);
    let nothing: Change = |_| {};
    let rows: Vec<Row> = vec![
        (
            "all is well",
            nothing,
            created,
            &[
                ("Ready", "True", "Ready"),
                ("Accepted", "True", "Accepted"),
                ("OccurrencesCreated", "True", "Created"),
                ("OccurrencesBooked", "True", "Booked"),
                ("ExceptionsMatched", "True", "Matched"),
            ],
        ),
        (
            "nobody has booked them yet",
            nothing,
            |progress| {
                is(progress, OccurrenceState::Created, None);
                progress.entries.values_mut().for_each(|entry| entry.is_unjudged = true);
            },
            &[
                ("Ready", "False", "Progressing"),
                ("Reconciling", "True", "Progressing"),
                ("OccurrencesBooked", "Unknown", "Progressing"),
            ],
        ),
        (
            "the pass was cut short",
            nothing,
            |_| {},
            &[("Ready", "False", "Progressing"), ("OccurrencesCreated", "False", "Progressing")],
        ),
        (
            "the apiserver refuses",
            nothing,
            |progress| progress.trouble = Some("exceeded quota".to_owned()),
            &[
                ("Ready", "False", "CreationRefused"),
                ("Reconciling", "True", "Retrying"),
                ("OccurrencesCreated", "False", "CreationRefused"),
            ],
        ),
        (
            "somebody else was faster",
            nothing,
            |progress| {
                is(progress, OccurrenceState::Created, None);
                progress.outdated.insert("weekly-20261207t0900".to_owned());
            },
            &[
                ("Ready", "False", "Progressing"),
                ("Reconciling", "True", "Progressing"),
                ("OccurrencesCreated", "False", "Progressing"),
            ],
        ),
        (
            "a name is somebody else's",
            nothing,
            |progress| is(progress, OccurrenceState::NameTaken, None),
            &[
                ("Ready", "False", "NameTaken"),
                ("Stalled", "True", "NameTaken"),
                ("OccurrencesCreated", "False", "NameTaken"),
            ],
        ),
        (
            "one has no slot",
            nothing,
            |progress| is(progress, OccurrenceState::Refused, Some("NoFreeSlot")),
            &[
                ("Ready", "False", "OccurrenceRefused"),
                ("Stalled", "True", "OccurrenceRefused"),
                ("OccurrencesBooked", "False", "OccurrenceRefused"),
            ],
        ),
        (
            "its bridge is not there yet",
            nothing,
            |progress| is(progress, OccurrenceState::Refused, Some("BridgeNotFound")),
            &[("Ready", "False", "OccurrenceRefused"), ("Reconciling", "True", "Retrying")],
        ),
        (
            "one that was edited has no slot",
            nothing,
            |progress| is(progress, OccurrenceState::Edited, Some("NoFreeSlot")),
            &[("Ready", "False", "OccurrenceRefused"), ("OccurrencesBooked", "False", "OccurrenceRefused")],
        ),
        (
            "one was edited",
            nothing,
            |progress| is(progress, OccurrenceState::Edited, None),
            &[("Ready", "True", "Ready")],
        ),
        (
            "one was deleted",
            nothing,
            |progress| is(progress, OccurrenceState::Deleted, None),
            &[("Ready", "True", "Ready")],
        ),
        (
            "suspended",
            |series| series.spec.suspend = true,
            created,
            &[("Ready", "True", "Suspended"), ("OccurrencesCreated", "False", "Suspended")],
        ),
        (
            "the zone is unknown",
            |series| series.spec.time_zone = "Mars/Olympus".to_owned(),
            |_| {},
            &[
                ("Ready", "False", "UnknownTimeZone"),
                ("Stalled", "True", "UnknownTimeZone"),
                ("Accepted", "False", "UnknownTimeZone"),
                ("OccurrencesCreated", "Unknown", "NotAccepted"),
            ],
        ),
        (
            "the rule names no day",
            |series| {
                let never = json!({ "frequency": "Daily", "byMonth": [2], "byMonthDay": [30] });
                series.spec.recurrence = serde_json::from_value(never).unwrap();
            },
            |_| {},
            &[("Ready", "False", "InvalidRecurrence"), ("Accepted", "False", "InvalidRecurrence")],
        ),
        (
            "it cannot be read",
            |series| {
                series.annotations_mut().insert("meeting-controller.dev/unreadable".to_owned(), "why".to_owned());
            },
            |_| {},
            &[("Ready", "False", "Unreadable"), ("Accepted", "False", "Unreadable")],
        ),
        (
            "an exception fits nothing",
            |series| {
                let odd = json!([{ "occurrence": "2026-12-08T09:00:00", "skip": true }]);
                series.spec.exceptions = serde_json::from_value(odd).unwrap();
            },
            created,
            &[("Ready", "True", "Ready"), ("ExceptionsMatched", "False", "NoSuchOccurrence")],
        ),
        (
            "it is over",
            |series| {
                let over = json!({ "frequency": "Weekly", "until": "2026-11-30T09:00:00" });
                (series.spec.recurrence, series.spec.start) = (
                    serde_json::from_value(over).unwrap(),
                    serde_json::from_value(json!("2026-11-02T09:00:00")).unwrap(),
                );
            },
            |_| {},
            &[("Ready", "True", "Ended")],
        ),
    ];
    let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    for (case, change, trouble, wanted) in rows {
        let mut series = series();
        change(&mut series);
        let mut progress = Progress::resume(&Arc::new(series), now);
        progress.decide(&BTreeMap::<String, Arc<ScheduledMeeting>>::new());
        trouble(&mut progress);
        let status = build(&progress, &MeetingSeriesStatus::default(), Some(2), now);
        for (kind, value, reason) in wanted {
            let told = find(&status.conditions, kind).unwrap_or_else(|| panic!("{case}: {kind}"));
            assert_eq!((told.status.as_str(), told.reason.as_str()), (*value, *reason), "{case}: {kind}");
        }
        let broken = violations(&status.conditions, Some(2), status.observed_generation);
        assert!(broken.is_empty(), "{case}: {broken:#?}");
    }
}

#[test]
fn a_series_that_was_ready_stays_so_while_its_next_occurrence_is_booked() {
    let series = series();
    let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let mut progress = Progress::resume(&Arc::new(series), now);
    progress.decide(&BTreeMap::new());
    is(&mut progress, OccurrenceState::Created, None);
    let ready = build(&progress, &MeetingSeriesStatus::default(), Some(2), now);
    progress.entries.values_mut().for_each(|entry| entry.is_unjudged = true);
    assert!(is_true(&build(&progress, &ready, Some(2), now).conditions, types::READY));
    assert!(!is_true(&build(&progress, &ready, Some(3), now).conditions, types::READY), "an edit is judged anew");
}

#[test]
fn the_lists_are_cut_to_what_the_schema_allows() {
    let mut series = series();
    let odd: Vec<_> = (1..=100).map(|minute| json!({ "occurrence": format!("2027-01-04T{:02}:{:02}:30", minute / 60, minute % 60), "skip": true })).collect();
    series.spec.exceptions = serde_json::from_value(json!(odd)).unwrap();
    let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let mut progress = Progress::resume(&Arc::new(series), now);
    progress.decide(&BTreeMap::new());
    let (at, entry) = progress.entries.iter().next().map(|(at, entry)| (*at, entry.clone())).unwrap();
    for day in 1..1000_i64 {
        progress.entries.insert(at + jiff::Span::new().days(day), entry.clone());
    }
    let status = build(&progress, &MeetingSeriesStatus::default(), Some(2), now);
    assert_eq!((status.occurrences.len(), status.unmatched_exceptions.len()), (MOST_OCCURRENCES, MOST_UNMATCHED));
}
