use serde_json::{Value, json};

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn bridge(name: &str, changes: &Value) -> Arc<MeetingBridge> {
    let mut bridge = json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": name, "namespace": "ns", "uid": name },
        "spec": { "address": "cms.test", "credentialsSecretRef": { "name": "cms" },
                  "slots": { "domain": "meet.test", "base": 1, "quantity": 2 } },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready", "message": "",
                                     "lastTransitionTime": at(0).to_string() }] }
    });
    crate::cli::validate::tests::merge(&mut bridge, changes);
    Arc::new(serde_json::from_value(bridge).unwrap())
}

fn manifest(name: &str, from: i64, changes: &Value) -> ScheduledMeeting {
    let mut meeting = json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": name },
        "spec": { "title": name, "start": at(from).to_string(), "duration": "1h" }
    });
    crate::cli::validate::tests::merge(&mut meeting, changes);
    serde_json::from_value(meeting).unwrap()
}

/// A meeting that the cluster has, in this slot; without one it waits for one.
fn stored(name: &str, from: i64, slot: Option<u32>) -> ScheduledMeeting {
    let window = json!({ "opensAt": at(from).to_string(), "startsAt": at(from).to_string(),
                         "closesAt": at(from + 3600).to_string() });
    let booked = slot.map(|slot| {
        json!({ "phase": "Scheduled", "bridge": { "namespace": "ns", "name": "core" }, "slot": { "number": slot },
                "window": window })
    });
    manifest(
        name,
        from,
        &json!({ "metadata": { "namespace": "ns", "uid": name, "resourceVersion": "1",
                               "creationTimestamp": at(-9000).to_string() },
                 "status": booked.unwrap_or(json!({ "phase": "Pending" })) }),
    )
}

fn live(bridges: Vec<Arc<MeetingBridge>>, meetings: Vec<ScheduledMeeting>) -> Live {
    let mut live = Live { namespace: "ns".to_owned(), bridges, ..Live::default() };
    live.take(meetings);
    live
}

fn slot(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Fits(booking) => booking.slot,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manifest_is_booked_after_what_is_there_and_what_came_before_it() {
    let live = live(vec![bridge("core", &json!({}))], vec![stored("there", 0, Some(1))]);
    let judge = |manifest: &ScheduledMeeting| live.judge(manifest, at(-100));
    assert_eq!(slot(judge(&manifest("first", 0, &json!({})))), 2);
    let Verdict::Refused(refusal) = judge(&manifest("second", 1800, &json!({}))) else { panic!("there is none left") };
    assert_eq!(refusal.reason, "NoFreeSlot");
    assert!(
        refusal.message.contains("the next start for which there is one is 2027-01-15T09:00:00Z"),
        "{}",
        refusal.message
    );
    // An edit of what is there keeps its slot, also if it is asked for longer.
    assert_eq!(slot(judge(&manifest("there", 0, &json!({ "spec": { "duration": "2h" } })))), 1);
    assert_eq!(live.judge(&manifest("past", -7200, &json!({})), at(0)), Verdict::Nothing);
    assert_eq!(judge(&manifest("off", 0, &json!({ "spec": { "suspend": true } }))), Verdict::Nothing);
}

#[test]
fn what_waits_in_the_cluster_comes_first_and_what_is_somebody_elses_is_not_offered() {
    let foreign = json!({ "status": { "slots": { "entries": [{ "number": 1, "state": "Foreign" }] } } });
    let live = live(vec![bridge("core", &foreign)], vec![stored("waits", 0, None)]);
    assert!(matches!(live.judge(&manifest("new", 0, &json!({})), at(-100)), Verdict::Refused(_)));
    assert_eq!(slot(live.judge(&manifest("later", 3600, &json!({})), at(-100))), 2);
}

#[test]
fn what_the_user_may_not_see_is_not_guessed() {
    let by_label = json!({ "metadata": { "namespace": "platform" }, "spec": { "allowedNamespaces": {
        "from": "Selector", "selector": { "matchLabels": { "tier": "gold" } } } } });
    let mut live = live(vec![bridge("core", &by_label)], Vec::new());
    let there = manifest("m", 0, &json!({ "spec": { "bridgeRef": { "name": "core", "namespace": "platform" } } }));
    assert!(matches!(live.judge(&there, at(-100)), Verdict::Unknown(_)));
    live.labels.insert("ns".to_owned(), BTreeMap::from([("tier".to_owned(), "gold".to_owned())]));
    assert_eq!(slot(live.judge(&there, at(-100))), 1);
    live.labels.insert("ns".to_owned(), BTreeMap::new());
    let Verdict::Refused(refusal) = live.judge(&there, at(-100)) else { panic!("it is not open to it") };
    assert_eq!(refusal.reason, "BridgeNotAllowed");
}

fn series(name: &str, changes: &Value) -> MeetingSeries {
    let mut series = json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "metadata": { "name": name },
        "spec": { "start": "2027-01-15T08:00:00", "timeZone": "UTC", "duration": "1h", "horizon": "72h",
                  "recurrence": { "frequency": "Daily" }, "template": { "spec": { "title": name } } }
    });
    crate::cli::validate::tests::merge(&mut series, changes);
    serde_json::from_value(series).unwrap()
}

/// The slot of each occurrence, or the reason why it has none.
fn outlook(live: &Live, series: &MeetingSeries) -> Vec<String> {
    let told = |(_, verdict): (String, Verdict)| match verdict {
        Verdict::Fits(booking) => booking.slot.to_string(),
        Verdict::Refused(refusal) => refusal.reason.to_owned(),
        other => format!("{other:?}"),
    };
    live.judge_series(series, at(-100)).unwrap().into_iter().map(told).collect()
}

#[test]
fn each_occurrence_of_a_series_is_booked_as_the_controller_would_make_it() {
    // at(0) is the start of the first one; the second one's hour is taken twice.
    let day = 24 * 3600;
    let there = || vec![stored("a", day, Some(1)), stored("b", day, Some(2))];
    let known = live(vec![bridge("core", &json!({}))], there());
    assert_eq!(outlook(&known, &series("daily", &json!({}))), ["1", "NoFreeSlot", "1"]);
    assert_eq!(outlook(&known, &series("other", &json!({}))), ["2", "NoFreeSlot", "2"], "after those before it");
    let known = live(vec![bridge("core", &json!({}))], there());
    let skip = json!({ "spec": { "exceptions": [{ "occurrence": "2027-01-16T08:00:00", "skip": true }] } });
    assert_eq!(outlook(&known, &series("daily", &skip)), ["1", "1"]);
    assert!(outlook(&known, &series("off", &json!({ "spec": { "suspend": true } }))).is_empty());
    let nowhere = series("lost", &json!({ "spec": { "timeZone": "Europe/Atlantis" } }));
    assert_eq!(known.judge_series(&nowhere, at(-100)).unwrap_err().reason, "UnknownTimeZone");
}

#[test]
fn what_is_there_of_a_series_stays_and_what_was_deleted_is_not_made_again() {
    let name = "daily-20270115t0800";
    let taken = live(vec![bridge("core", &json!({}))], vec![stored(name, 7200, Some(1))]);
    assert_eq!(outlook(&taken, &series("daily", &json!({})))[0], "NameTaken");
    let owned = json!({ "metadata": { "ownerReferences": [
        { "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "name": "daily", "uid": "of-series",
          "controller": true }
    ] } });
    let mut mine = serde_json::to_value(stored(name, 0, Some(2))).unwrap();
    crate::cli::validate::tests::merge(&mut mine, &owned);
    let mut known = live(vec![bridge("core", &json!({}))], vec![serde_json::from_value(mine).unwrap()]);
    let told = json!({ "metadata": { "namespace": "ns", "uid": "of-series" }, "status": { "occurrences": [
        { "occurrence": "2027-01-16T08:00:00", "name": "daily-20270116t0800", "start": at(24 * 3600).to_string(),
          "state": "Deleted" }
    ] } });
    let stored = series("daily", &told);
    known.series.insert(ObjectKey::of(&stored), stored);
    assert_eq!(outlook(&known, &series("daily", &json!({}))), ["2", "1"], "the second one was deleted by hand");
}
