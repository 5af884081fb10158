use super::*;

fn meeting(name: &str, created: i64, from: i64) -> ScheduledMeeting {
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap();
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                      "creationTimestamp": at(created).to_string() },
        "spec": { "title": name, "start": at(from).to_string(), "duration": "1h" }
    }))
    .unwrap()
}

fn offer(name: &str, preference: i32, last: u32) -> Offer {
    Offer { key: ("ns".into(), name.into()), preference, range: 1..=last, quarantined: BTreeSet::new() }
}

#[test]
fn booking_order_decides_who_gets_the_lower_number() {
    let ledger = Ledger::default();
    let early = meeting("early", 0, 100);
    let late = meeting("late", 1, 100);
    ledger.observe(&early);
    ledger.observe(&late);
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 5)];
    assert_eq!(ledger.book(&late, &offers).unwrap().slot, 2, "looked at first, but booked second");
    assert_eq!(ledger.book(&early, &offers).unwrap().slot, 1);
}

#[test]
fn preference_then_free_slots_then_name_choose_the_bridge() {
    let ledger = Ledger::default();
    let many = |_: &ScheduledMeeting| vec![offer("a", 0, 2), offer("b", 0, 5), offer("c", 0, 5)];
    assert_eq!(ledger.book(&meeting("m1", 0, 0), &many).unwrap().bridge.1, "b");
    assert_eq!(ledger.book(&meeting("m2", 0, 0), &many).unwrap().bridge.1, "c", "b has fewer free now");
    let preferred = |_: &ScheduledMeeting| vec![offer("a", 7, 1), offer("b", 0, 5)];
    assert_eq!(ledger.book(&meeting("m3", 0, 0), &preferred).unwrap().bridge.1, "a");
    assert_eq!(ledger.book(&meeting("m4", 0, 0), &preferred).unwrap().bridge.1, "b", "a is full");
}

#[test]
fn an_older_version_does_not_undo_our_own_write() {
    let ledger = Ledger::default();
    let mut booked = meeting("m", 0, 0);
    booked.metadata.resource_version = Some("5".into());
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap().to_string();
    booked.status = serde_json::from_value(serde_json::json!({
        "phase": "Active", "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 3, "spaceID": "s" },
        "window": { "opensAt": at(0), "startsAt": at(0), "closesAt": at(3600) }
    }))
    .unwrap();
    ledger.observe(&booked);
    ledger.observe(&meeting("m", 0, 0));
    let key = ("ns".to_owned(), "b".to_owned());
    assert_eq!(ledger.held(&key), BTreeMap::from([(3, Some("s".into()))]));
    let next =
        |from: i64| Booking { bridge: key.clone(), slot: 3, window: Window::of(&meeting("n", 0, from).spec, None) };
    assert!(ledger.is_slot_busy(&next(3600), "other"));
    assert!(!ledger.is_slot_busy(&next(3600), "m"), "not by itself");
    assert!(!ledger.is_slot_busy(&next(-60), "other"), "not for one that opened earlier");
    ledger.forget(&booked);
    assert!(ledger.held(&key).is_empty());
}
