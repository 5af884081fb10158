use super::*;
use crate::api::ScheduledMeeting;
use crate::api::marks::Marks;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

/// A meeting that was held and ended at `at(3600)`, with these changes of spec and status.
fn goes(spec: serde_json::Value, status: serde_json::Value) -> Option<Timestamp> {
    let mut object = serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u" },
        "spec": { "title": "t", "start": at(0).to_string(), "duration": "1h" },
        "status": {
            "phase": "Ended", "openedAt": at(0).to_string(), "endedAt": at(3600).to_string(),
            "conditions": [{ "type": "SlotReleased", "status": "True", "reason": "Released", "message": "",
                             "lastTransitionTime": at(3600).to_string() }]
        }
    });
    for (key, changes) in [("spec", spec), ("status", status)] {
        object[key].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    }
    let meeting: ScheduledMeeting = serde_json::from_value(object).unwrap();
    goes_at(&Terms::new(&meeting, &Marks::default()), meeting.status.as_ref().unwrap())
}

#[test]
fn what_was_held_goes_after_its_time_and_nothing_else_does() {
    let ttl = || serde_json::json!({ "ttlSecondsAfterFinished": 60 });
    assert_eq!(goes(ttl(), serde_json::json!({})), Some(at(3660)));
    assert_eq!(goes(serde_json::json!({ "ttlSecondsAfterFinished": 0 }), serde_json::json!({})), Some(at(3600)));
    assert_eq!(goes(serde_json::json!({}), serde_json::json!({})), None, "nobody asked for it");
    for (why, status) in [
        ("missed", serde_json::json!({ "phase": "Missed", "openedAt": null })),
        ("its window had passed when it was applied", serde_json::json!({ "openedAt": null, "endedAt": null })),
        ("not over yet", serde_json::json!({ "phase": "Closing", "endedAt": null })),
        ("nobody shut its door", serde_json::json!({ "conditions": [] })),
        ("its links are not proven dead", serde_json::json!({ "joinSecretName": "m-join" })),
    ] {
        assert_eq!(goes(ttl(), status), None, "{why}");
    }
    let suspended = serde_json::json!({ "ttlSecondsAfterFinished": 60, "suspend": true });
    assert_eq!(goes(suspended, serde_json::json!({})), None, "nothing is done for it");
}
