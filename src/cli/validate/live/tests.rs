use serde_json::{Value, json};

use super::*;
use crate::api::meeting::Phase;

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

/// `Active` in slot 1 from at(0) on.
fn running() -> ScheduledMeeting {
    let mut there = stored("there", 0, Some(1));
    let status = there.status.as_mut().unwrap();
    (status.phase, status.opened_at) = (Some(Phase::Active), Some(crate::api::values::Instant(at(0))));
    there
}

/// As the controller answers when the edit is applied.
#[test]
fn one_that_runs_stays_in_its_slot_and_is_extended_there_or_not_at_all() {
    let edit = |hours: u32| manifest("there", 0, &json!({ "spec": { "duration": format!("{hours}h") } }));
    let reason = |live: &Live, hours: u32| match live.judge(&edit(hours), at(100)) {
        Verdict::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    };
    let known = live(vec![bridge("core", &json!({}))], vec![running(), stored("next", 7200, Some(1))]);
    let Verdict::Fits(booking) = known.judge(&edit(2), at(100)) else { panic!("up to the next one") };
    assert_eq!((booking.slot, booking.window.closes_at), (1, at(7200)));
    let Verdict::Refused(refusal) = known.judge(&edit(3), at(100)) else { panic!("slot 2 is of no use to it") };
    assert_eq!(refusal.reason, "ExtensionConflict");
    assert!(refusal.message.contains("the slot belongs to ns/next in the added time"), "{}", refusal.message);
    // It has what it had: nobody else gets it.
    assert_eq!(known.bookings.of("there").map(|booking| booking.window.closes_at), Some(at(7200)));
    // Its bridge may say no to more time, but not to what was agreed.
    let shut = json!({ "metadata": { "namespace": "other" }, "spec": { "allowedNamespaces": { "from": "Same" } } });
    let mut elsewhere = running();
    elsewhere.status.as_mut().unwrap().bridge.as_mut().unwrap().namespace = "other".to_owned();
    let known = live(vec![bridge("core", &shut)], vec![elsewhere]);
    assert_eq!((slot(known.judge(&edit(1), at(100))), reason(&known, 2)), (1, "ExtensionNotAllowed"));
    // Where it runs it stays, whatever bridge is asked for.
    let known = live(vec![bridge("core", &json!({})), bridge("next", &json!({}))], vec![running()]);
    let moved = manifest("there", 0, &json!({ "spec": { "bridgeRef": { "name": "next" } } }));
    let Verdict::Fits(booking) = known.judge(&moved, at(100)) else { panic!("it runs") };
    assert_eq!((booking.bridge.name.as_str(), booking.slot), ("core", 1));
}

/// An occurrence of [`series`] as the cluster has it, after a pass of the controller that booked it.
fn made(changes: &Value) -> (MeetingSeries, Vec<ScheduledMeeting>) {
    let series = series("daily", &json!({ "metadata": { "namespace": "ns", "uid": "of-series" } }));
    let mut whole = serde_json::to_value(&series).unwrap();
    crate::cli::validate::tests::merge(&mut whole, changes);
    let series: MeetingSeries = serde_json::from_value(whole).unwrap();
    let mut progress = Progress::resume(&Arc::new(series.clone()), at(-100));
    let made = progress.decide(&BTreeMap::new()).into_iter().map(|act| {
        let Act::Make(order) = act else { panic!("{act:?}") };
        let mut meeting: ScheduledMeeting = serde_json::from_value(order.body).unwrap();
        let window = Window::of(&meeting.spec, None).into();
        meeting.metadata.uid = meeting.metadata.name.clone();
        (meeting.metadata.generation, meeting.metadata.resource_version) = (Some(1), Some("1".to_owned()));
        meeting.status = stored("any", 0, Some(1)).status;
        meeting.status.as_mut().unwrap().window = Some(window);
        meeting
    });
    (series.clone(), made.collect())
}

#[test]
fn what_a_series_takes_away_or_moves_makes_room_for_what_comes() {
    let one_slot = json!({ "spec": { "slots": { "quantity": 1 } } });
    let outlook = |changes: &Value| {
        let (stored, made) = made(&json!({}));
        let mut known = live(vec![bridge("core", &one_slot)], made);
        known.series.insert(ObjectKey::of(&stored), stored);
        outlook(&known, &series("daily", changes))
    };
    // Another time of day is another name: the old ones go.
    assert_eq!(outlook(&json!({ "spec": { "start": "2027-01-15T08:30:00" } })), ["1", "1", "1"]);
    // Each moves to where the next one was.
    let to = |day: u32, to: u32| json!({ "occurrence": format!("2027-01-{day}T08:00:00"), "start": format!("2027-01-{to}T08:00:00") });
    let rotated = |last: u32| json!({ "spec": { "exceptions": [to(15, 16), to(16, 17), to(17, last)] } });
    assert_eq!(outlook(&rotated(14 + 4)), ["1", "1", "1"]);
    // In a ring nobody makes room for the first one, in the controller neither.
    assert_eq!(outlook(&rotated(15)), ["NoFreeSlot", "NoFreeSlot", "NoFreeSlot"]);
}

/// What waits for a slot and goes takes none.
#[test]
fn what_a_series_takes_away_does_not_come_before_what_is_new() {
    let (stored, mut made) = made(&json!({}));
    made[0].status = serde_json::from_value(json!({ "phase": "Pending" })).unwrap();
    made[0].metadata.creation_timestamp = self::stored("any", 0, None).metadata.creation_timestamp;
    let mut known = live(vec![bridge("core", &json!({ "spec": { "slots": { "quantity": 1 } } }))], made);
    known.series.insert(ObjectKey::of(&stored), stored);
    let later = json!({ "spec": { "start": "2027-01-15T08:30:00" } });
    assert_eq!(outlook(&known, &series("daily", &later)), ["1", "1", "1"]);
}
