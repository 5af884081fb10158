use super::super::reach;
use super::super::show::tests::{condition, meeting};
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn got(spec: Value, status: Value) -> Got<ScheduledMeeting> {
    let mut object = json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "team", "uid": "u" },
        "spec": { "title": "t", "start": "2026-11-24T10:00:00+01:00" }, "status": status
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    reach::read(serde_json::from_value(object).unwrap()).unwrap()
}

/// The last operation, and what is tested before.
fn written(edit: &Edit) -> (&str, &str) {
    let operations = edit.patch.as_array().unwrap();
    let (last, tests) = operations.split_last().unwrap();
    assert!(tests.iter().all(|test| test["op"] == "test"));
    let paths: Vec<_> = tests.iter().map(|test| test["path"].as_str().unwrap()).collect();
    let path = last["path"].as_str().unwrap();
    assert_eq!((last["op"].as_str(), paths), (Some("replace"), vec!["/metadata/uid", "/spec/start", path]));
    (path, last["value"].as_str().unwrap())
}

#[test]
fn an_extension_edits_the_field_that_is_there() {
    let auto = json!({ "auto": { "step": "15m", "max": "1h" } });
    let extended = json!({ "extendedUntil": "2026-11-24T10:00:00Z", "extendedFrom": "2026-11-24T09:45:00Z" });
    let window =
        |end: &str| json!({ "opensAt": "2026-11-24T09:00:00Z", "startsAt": "2026-11-24T09:00:00Z", "closesAt": end });
    let refused = json!({ "window": window("2026-11-24T09:45:00Z"), "refusedWindow": window("2026-11-24T11:00:00Z") });
    let rows = [
        (json!({ "duration": "45m" }), Value::Null, ("/spec/duration", "1h")),
        (json!({ "duration": "1h30m" }), Value::Null, ("/spec/duration", "1h45m")),
        (json!({ "duration": "20m30s" }), Value::Null, ("/spec/duration", "35m30s")),
        (json!({ "duration": "1200500ms" }), Value::Null, ("/spec/duration", "35m500ms")),
        (json!({ "end": "2026-11-24T10:45:00+01:00" }), Value::Null, ("/spec/end", "2026-11-24T10:00:00Z")),
        // It counts from the end that holds: an automatic one is later, a refused one never was.
        (json!({ "duration": "45m", "extension": auto }), extended, ("/spec/duration", "1h15m")),
        (json!({ "duration": "2h" }), refused, ("/spec/duration", "1h")),
    ];
    for (spec, status, expected) in rows {
        let edit = extend(&got(spec.clone(), status), Duration::from_secs(900), at("2026-11-24T09:10:00Z")).unwrap();
        assert_eq!(written(&edit), expected, "{spec}");
        assert_eq!(edit.until.duration_since(edit.was), SignedDuration::from_mins(15));
    }
}

/// Another start was asked for and not to be had: the meeting that is held is the one that was booked before.
#[test]
fn a_start_that_was_refused_is_taken_back_with_an_edit_of_the_end() {
    let window = |start: &str, end: &str| json!({ "opensAt": start, "startsAt": start, "closesAt": end });
    let kept = window("2026-11-24T07:00:00Z", "2026-11-24T08:00:00Z");
    let refused = window("2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z");
    let meeting = got(json!({ "duration": "1h" }), json!({ "window": kept, "refusedWindow": refused }));
    let now = at("2026-11-24T07:30:00Z");
    let longer = extend(&meeting, Duration::from_secs(1800), now).unwrap();
    assert_eq!(longer.until, at("2026-11-24T08:30:00Z"));
    let replaced = |edit: &Edit| -> Vec<(String, String)> {
        let operations = edit.patch.as_array().unwrap().iter().filter(|operation| operation["op"] == "replace");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        operations.map(|operation| (text(&operation["path"]), text(&operation["value"]))).collect()
    };
    let pair = |path: &str, value: &str| (path.to_owned(), value.to_owned());
    let start = || pair("/spec/start", "2026-11-24T07:00:00Z");
    assert_eq!(replaced(&longer), [pair("/spec/duration", "1h30m"), start()]);
    let ended = end(&meeting, now).unwrap();
    assert_eq!(replaced(&ended), [pair("/spec/duration", "30m1s"), start()]);
}

/// What is tested is what is stored, not what we would write.
#[test]
fn an_edit_holds_only_for_the_times_it_was_made_from() {
    let edit =
        extend(&got(json!({ "duration": "0.75h" }), Value::Null), Duration::from_secs(60), at("2026-11-24T09:10:00Z"));
    let tested = |edit: &Edit, index: usize| edit.patch[index]["value"].clone();
    let edit = edit.unwrap();
    assert_eq!((tested(&edit, 0), tested(&edit, 1)), (json!("u"), json!("2026-11-24T10:00:00+01:00")));
    assert_eq!((tested(&edit, 2), tested(&edit, 3)), (json!("0.75h"), json!("46m")));
}

#[test]
fn an_end_is_the_next_second() {
    let rows = [
        (json!({ "duration": "45m" }), "2026-11-24T09:10:00.4Z", ("/spec/duration", "10m1s")),
        (json!({ "end": "2026-11-24T10:00:00Z" }), "2026-11-24T09:10:00Z", ("/spec/end", "2026-11-24T09:10:01Z")),
        // In the first second of a meeting the end is still after the start.
        (json!({ "duration": "45m" }), "2026-11-24T09:00:00.1Z", ("/spec/duration", "1s")),
    ];
    for (spec, now, expected) in rows {
        let edit = end(&got(spec, Value::Null), at(now)).unwrap();
        assert_eq!(written(&edit), expected, "{now}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_remedy() {
    let meeting = || got(json!({ "duration": "45m" }), Value::Null);
    let mut leaving = meeting();
    leaving.raw.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-24T09:05:00Z")).unwrap());
    let missed = got(json!({ "duration": "45m" }), json!({ "phase": "Missed" }));
    let (before, inside, after) = ("2026-11-24T08:00:00Z", "2026-11-24T09:10:00Z", "2026-11-24T09:45:00Z");
    let quarter = Duration::from_secs(900);
    let rows = [
        (extend(&meeting(), quarter, at(after)), "it is over"),
        (extend(&missed, quarter, at(inside)), "it is over"),
        (extend(&leaving, quarter, at(inside)), "it is being deleted"),
        (extend(&got(json!({}), Value::Null), quarter, at(before)), "it has no end"),
        (extend(&meeting(), Duration::from_secs(u64::MAX), at(inside)), ""),
        (end(&meeting(), at(before)), "it does not begin before"),
        (end(&meeting(), at(after)), "it is over"),
        (end(&leaving, at(inside)), "it is being deleted"),
    ];
    for (edit, reason) in rows {
        let trouble = edit.unwrap_err();
        assert!(trouble.reason.starts_with(reason) && !trouble.remedy.is_empty(), "{trouble}");
        assert_eq!(trouble.object, "ScheduledMeeting team/m");
    }
    assert!(extend(&meeting(), quarter, at(before)).is_ok(), "a meeting may be extended before it begins");
}

#[test]
fn who_will_set_it_again_is_known() {
    let rows = [
        ("kubectl-client-side-apply", "Update", json!({ "f:spec": { "f:duration": {} } }), true),
        ("kustomize-controller", "Apply", json!({ "f:spec": { "f:end": {} } }), true),
        ("argocd-controller", "Update", json!({ "f:spec": { "f:end": {} } }), true),
        ("kubectl", "Apply", json!({ "f:spec": { "f:end": {} } }), true),
        ("kubectl", "Apply", json!({ "f:spec": { "f:title": {} } }), false),
        ("kubectl-edit", "Update", json!({ "f:spec": { "f:end": {} } }), false),
        (FIELD_MANAGER, "Update", json!({ "f:spec": { "f:end": {} } }), false),
        ("meeting-controller", "Update", json!({ "f:status": { "f:window": {} } }), false),
    ];
    for (manager, operation, fields, lasts) in rows {
        let entry: ManagedFieldsEntry =
            serde_json::from_value(json!({ "manager": manager, "operation": operation, "fieldsV1": fields })).unwrap();
        assert_eq!(keepers(&[entry]).contains(manager), lasts, "{manager} {operation}");
    }
}

#[test]
fn waiting_ends_when_it_is_done_or_cannot_be() {
    let until = at("2026-11-24T10:00:00Z");
    let window =
        |end: &str| json!({ "opensAt": "2026-11-24T09:00:00Z", "startsAt": "2026-11-24T09:00:00Z", "closesAt": end });
    let (old, new) = (window("2026-11-24T09:45:00Z"), window("2026-11-24T10:00:00Z"));
    let no = condition("SlotReserved", "False", "ExtensionConflict", "slot 1 is team/next's");
    let rows = [
        (json!({ "observedGeneration": 1, "window": new }), Some(2), "Going"),
        (json!({ "observedGeneration": 2, "window": old }), Some(2), "Going"),
        (json!({ "observedGeneration": 2, "window": new }), Some(2), "Done"),
        (json!({ "observedGeneration": 3, "window": new }), Some(2), "Done"),
        (json!({ "observedGeneration": 2, "window": old, "conditions": [no] }), Some(2), "Failed"),
        (json!({ "observedGeneration": 1, "window": old, "conditions": [no] }), Some(2), "Going"),
    ];
    for (status, generation, expected) in rows {
        let standing = extended(&meeting("m", "2026-11-24T09:00:00Z", "1h", status.clone()), generation, until);
        assert!(format!("{standing:?}").starts_with(expected), "{status}: {standing:?}");
    }
    for (phase, observed, expected) in [("Closing", 2, "Going"), ("Ended", 1, "Going"), ("Ended", 2, "Done")] {
        let status = json!({ "observedGeneration": observed, "phase": phase });
        let standing = ended(&meeting("m", "2026-11-24T09:00:00Z", "1h", status), Some(2));
        assert!(format!("{standing:?}").starts_with(expected), "{phase}: {standing:?}");
    }
}
