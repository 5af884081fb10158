//! Whose fault is it that a window passed? Nobody's, if there never was an instant to wait for.

use super::*;

/// A meeting from `at(0)` to `at(3600)` in its second generation, made then, as it is taken up at `at(4000)`.
fn never_due(made: i64, status: serde_json::Value) -> bool {
    let meeting: ScheduledMeeting = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u", "generation": 2,
                      "creationTimestamp": at(made).to_string() },
        "spec": { "title": "t", "start": at(0).to_string(), "duration": "1h" },
        "status": status
    }))
    .unwrap();
    let progress = Progress::resume(&meeting, &Marks::default(), at(4000));
    assert!(progress.is_closing(at(4000)));
    progress.never_due
}

fn judged(generation: i64, phase: &str, opens: i64) -> serde_json::Value {
    let (opens, closes) = (at(opens).to_string(), at(opens + 3600).to_string());
    serde_json::json!({ "observedGeneration": generation, "phase": phase,
                        "window": { "opensAt": opens, "startsAt": opens, "closesAt": closes } })
}

#[test]
fn only_what_was_there_in_time_is_missed() {
    use serde_json::Value::Null;
    let unseen = serde_json::json!({ "observedGeneration": -1 });
    let table = [
        ("from git into a new cluster", 3700, Null, true),
        ("the same, with the default of the schema", 3700, unseen, true),
        ("made at its very end", 3600, Null, true),
        ("made in time, while the controller was away", -60, Null, false),
        ("made in its last minute", 3540, Null, false),
        ("booked", -60, judged(2, "Scheduled", 0), false),
        ("refused to the end", -60, judged(2, "Pending", 0), false),
        ("moved into the past before its time", -60, judged(1, "Scheduled", 9000), true),
        ("edited after its time", -60, judged(1, "Scheduled", 0), false),
        ("missed", -60, judged(2, "Missed", 0), false),
        ("missed, and somebody acted", -60, judged(1, "Missed", 0), true),
        ("over without ever being due", 3700, judged(2, "Ended", 0), true),
    ];
    for (case, made, status, wanted) in table {
        assert_eq!(never_due(made, status), wanted, "{case}");
    }
    let mut opened = judged(2, "Ended", 0);
    opened["openedAt"] = at(0).to_string().into();
    assert!(!never_due(-60, opened), "it took place");
}
