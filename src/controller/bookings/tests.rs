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
    Offer { bridge: ObjectKey::new("ns", name), preference, range: 1..=last, quarantined: BTreeSet::new() }
}

fn book(
    bookings: &Bookings,
    meeting: &ScheduledMeeting,
    offers: &dyn Fn(&ScheduledMeeting) -> Vec<Offer>,
) -> Option<Booking> {
    bookings.book(meeting, Window::of(&meeting.spec, None), &offers(meeting), offers, Timestamp::UNIX_EPOCH).ok()
}

#[test]
fn booking_order_decides_who_gets_the_lower_number() {
    let bookings = Bookings::default();
    let early = meeting("early", 0, 100);
    let late = meeting("late", 1, 100);
    bookings.take_object(&early);
    bookings.take_object(&late);
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 5)];
    assert_eq!(book(&bookings, &late, &offers).unwrap().slot, 2, "looked at first, but booked second");
    assert_eq!(book(&bookings, &early, &offers).unwrap().slot, 1);
}

/// Nobody waits for one that cannot be booked: it may be for ever.
#[test]
fn nothing_is_reserved_for_one_whose_finalizer_is_refused() {
    let bookings = Bookings::default();
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 1)];
    let (mut untied, next) = (meeting("untied", 0, 100), meeting("next", 1, 100));
    bookings.take_object(&untied);
    bookings.take_object(&next);
    assert_eq!(book(&bookings, &next, &offers), None, "the older one comes first, as long as nothing is known of it");
    let refused = |reason: &str| {
        serde_json::from_value(serde_json::json!({ "conditions": [{
            "type": "Accepted", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        }] }))
        .unwrap()
    };
    untied.status = refused("FinalizerRefused");
    bookings.take_object(&untied);
    assert_eq!(book(&bookings, &next, &offers).map(|booking| booking.slot), Some(1));
    assert_eq!(bookings.of("untied"), None);

    // What it books once it has its finalizer is not lost before its status says so.
    bookings.forget(&next);
    assert!(book(&bookings, &untied, &offers).is_some());
    bookings.take_object(&untied);
    assert!(bookings.of("untied").is_some());
    bookings.release("untied");

    // Without a slot it waits like the others.
    untied.status = refused("NoFreeSlot");
    bookings.take_object(&untied);
    bookings.take_object(&next);
    assert_eq!(book(&bookings, &next, &offers), None);

    // One that has a slot keeps it, whatever is refused by now.
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap().to_string();
    let mut status = serde_json::to_value(untied.status.take().unwrap()).unwrap();
    let booked = serde_json::json!({
        "phase": "Scheduled", "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 1 },
        "window": { "opensAt": at(100), "startsAt": at(100), "closesAt": at(3700) }
    });
    status.as_object_mut().unwrap().extend(booked.as_object().unwrap().clone());
    status["conditions"][0]["reason"] = "FinalizerRefused".into();
    untied.status = Some(serde_json::from_value(status).unwrap());
    bookings.take_object(&untied);
    assert_eq!(bookings.of("untied").map(|booking| booking.slot), Some(1));
}

#[test]
fn preference_then_free_slots_then_name_choose_the_bridge() {
    let bookings = Bookings::default();
    let many = |_: &ScheduledMeeting| vec![offer("a", 0, 2), offer("b", 0, 5), offer("c", 0, 5)];
    assert_eq!(book(&bookings, &meeting("m1", 0, 0), &many).unwrap().bridge.name, "b");
    assert_eq!(book(&bookings, &meeting("m2", 0, 0), &many).unwrap().bridge.name, "c", "b has fewer free now");
    let preferred = |_: &ScheduledMeeting| vec![offer("a", 7, 1), offer("b", 0, 5)];
    assert_eq!(book(&bookings, &meeting("m3", 0, 0), &preferred).unwrap().bridge.name, "a");
    assert_eq!(book(&bookings, &meeting("m4", 0, 0), &preferred).unwrap().bridge.name, "b", "a is full");
}

#[test]
fn an_older_version_does_not_undo_our_own_write() {
    let bookings = Bookings::default();
    let mut booked = meeting("m", 0, 0);
    booked.metadata.resource_version = Some("5".into());
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap().to_string();
    booked.status = serde_json::from_value(serde_json::json!({
        "phase": "Active", "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 3, "spaceID": "s" },
        "window": { "opensAt": at(0), "startsAt": at(0), "closesAt": at(3600) }
    }))
    .unwrap();
    bookings.take_object(&booked);
    bookings.take_object(&meeting("m", 0, 0));
    let key = ObjectKey::new("ns", "b");
    assert_eq!(bookings.held(&key), BTreeMap::from([(3, Some("s".into()))]));
    let next =
        |from: i64| Booking { bridge: key.clone(), slot: 3, window: Window::of(&meeting("n", 0, from).spec, None) };
    assert!(bookings.is_slot_busy(&next(3600), None, "other"));
    assert!(!bookings.is_slot_busy(&next(3600), None, "m"), "not by itself");
    assert!(!bookings.is_slot_busy(&next(-60), None, "other"), "not for one that opened earlier");
    bookings.forget(&booked);
    assert!(bookings.held(&key).is_empty());
}

#[test]
fn what_a_new_list_does_not_show_is_forgotten_with_its_booking() {
    let bookings = Bookings::default();
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 1)];
    let (gone, stays) = (meeting("gone", 0, 0), meeting("stays", 1, 0));
    bookings.take_object(&gone);
    bookings.take_object(&stays);
    assert_eq!(book(&bookings, &gone, &offers).unwrap().slot, 1);
    assert_eq!(book(&bookings, &stays, &offers), None, "the slot is taken");
    // The watch was away while it was deleted: the list tells, no event does.
    assert_eq!(bookings.retain(&None, &BTreeSet::from(["stays".to_owned()])), ["gone"]);
    assert_eq!(bookings.of("gone"), None);
    assert_eq!(book(&bookings, &stays, &offers).unwrap().slot, 1);
    assert!(bookings.retain(&None, &BTreeSet::from(["stays".to_owned()])).is_empty());
}

/// Two objects for one CMS that shows no id: what a meeting of one of them holds is held for the other one, too.
#[test]
fn a_space_that_a_meeting_on_another_object_holds_is_held() {
    let bookings = Bookings::default();
    let mut running = meeting("m", 0, 0);
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap().to_string();
    let status = |phase: &str| {
        serde_json::from_value(serde_json::json!({
            "phase": phase, "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 3, "spaceID": "s" },
            "window": { "opensAt": at(0), "startsAt": at(0), "closesAt": at(3600) }
        }))
        .unwrap()
    };
    running.status = status("Active");
    bookings.take_object(&running);
    let mut slots = SlotSpaces::new("S_", &Marks::default());
    let space = |id: &str, number: u32| crate::cms::Space {
        id: id.into(),
        name: format!("S_{number}"),
        uri: Some(number.to_string()),
        call_id: Some(number.to_string()),
        secondary_uri: None,
        tenant: None,
        non_member_access: None,
        access_methods: None,
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
    };
    slots.take_list(vec![space("s", 3), space("t", 4)], |_| true, true);
    let (own, alias) = (ObjectKey::new("ns", "b"), ObjectKey::new("ns", "alias"));
    assert_eq!(bookings.held_elsewhere(&alias, &slots), [3]);
    assert!(bookings.held_elsewhere(&own, &slots).is_empty(), "that one holds it itself");
    let next = Booking { bridge: alias.clone(), slot: 3, window: Window::of(&running.spec, None) };
    assert!(bookings.is_slot_busy(&next, Some(&"s".into()), "other"));
    assert!(!bookings.is_slot_busy(&next, Some(&"t".into()), "other"));
    running.status = status("Ended");
    running.metadata.resource_version = Some("2".into());
    bookings.take_object(&running);
    assert!(bookings.held_elsewhere(&alias, &slots).is_empty(), "it is over");
}

/// What cannot be read keeps the slot that its status names, and asks for none.
#[test]
fn what_cannot_be_read_keeps_its_slot_and_gets_no_other() {
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap().to_string();
    let read = |name: &str, status: serde_json::Value| {
        let whole = serde_json::json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
            "metadata": { "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                          "creationTimestamp": at(0) },
            "spec": { "title": 7 }, "status": status
        });
        serde_json::from_value::<crate::api::reading::Read<ScheduledMeeting>>(whole).unwrap().or_known(None)
    };
    let bookings = Bookings::default();
    let running = serde_json::json!({
        "phase": "Active", "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 1, "spaceID": "s" },
        "openedAt": at(0), "window": { "opensAt": at(0), "startsAt": at(0), "closesAt": at(3600) }
    });
    bookings.take_object(&read("running", running));
    bookings.take_object(&read("unbooked", serde_json::Value::Null));
    assert_eq!(bookings.held(&ObjectKey::new("ns", "b")), BTreeMap::from([(1, Some("s".into()))]));
    assert!(bookings.pending().is_empty());
    let (other, next) = (meeting("other", 1, 100), meeting("next", 2, 3600));
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 5)];
    assert_eq!(book(&bookings, &other, &offers).unwrap().slot, 2);
    assert_eq!(book(&bookings, &next, &offers).unwrap().slot, 1, "it is over by then");
}

/// With several namespaces each has its own list.
#[test]
fn a_list_is_believed_and_complete_for_its_namespace_only() {
    let bookings = Bookings::default();
    let (gone, mut other) = (meeting("gone", 0, 0), meeting("other", 1, 0));
    other.metadata.namespace = Some("team".into());
    other.metadata.resource_version = Some("9".into());
    let offers = |_: &ScheduledMeeting| vec![offer("b", 0, 5)];
    bookings.take_object(&gone);
    bookings.take_object(&other);
    let taken = book(&bookings, &other, &offers);
    assert!(taken.is_some());
    let [ns, team] = ["ns", "team"].map(|namespace| Some(namespace.to_owned()));
    bookings.list_begins(&ns);
    assert_eq!(bookings.retain(&ns, &BTreeSet::new()), ["gone"]);
    assert_eq!(bookings.of("other"), taken);
    let mut older = other.clone();
    older.metadata.resource_version = Some("5".into());
    older.spec.suspend = true;
    bookings.take_object(&older);
    assert_eq!(bookings.index.lock().unwrap().meetings["other"].version, 9, "it is late, and not of that list");
    bookings.list_begins(&team);
    bookings.take_object(&older);
    assert_eq!(bookings.index.lock().unwrap().meetings["other"].version, 5, "the database was put back");
}

#[test]
fn a_secret_that_is_touched_leads_to_the_meetings_that_use_it() {
    let bookings = Bookings::default();
    let with = |name: &str, secret: Option<&str>| {
        let mut meeting = meeting(name, 0, 0);
        meeting.spec.passcode_secret_ref =
            secret.map(|secret| serde_json::from_value(serde_json::json!({ "name": secret })).unwrap());
        bookings.take_object(&meeting);
        meeting
    };
    let first = with("a", Some("code"));
    with("b", Some("code"));
    with("c", Some("other"));
    with("d", None);
    let users = |namespace: &str, secret: &str| -> Vec<String> {
        let found = bookings.with_passcode_of(&ObjectKey::new(namespace, secret));
        found.into_iter().map(|(uid, key)| format!("{uid}={key}")).collect()
    };
    assert_eq!(users("ns", "code"), ["a=ns/a", "b=ns/b"]);
    assert!(users("elsewhere", "code").is_empty() && users("ns", "none").is_empty());
    with("b", Some("other"));
    bookings.forget(&first);
    assert!(users("ns", "code").is_empty() && bookings.lock().passcodes.len() == 1);
    assert_eq!(users("ns", "other"), ["b=ns/b", "c=ns/c"]);
    // So do those of its access methods, each once.
    let mut meeting = meeting("d", 0, 0);
    let method = |name: &str, secret: &str| serde_json::json!({ "name": name, "role": "Guest", "passcodeSecretRef": { "name": secret } });
    let methods = vec![method("one", "other"), method("two", "other"), method("three", "third")];
    meeting.spec.access_methods = serde_json::from_value(methods.into()).unwrap();
    bookings.take_object(&meeting);
    assert_eq!(users("ns", "other"), ["b=ns/b", "c=ns/c", "d=ns/d"]);
    assert_eq!(users("ns", "third"), ["d=ns/d"]);
    bookings.forget(&meeting);
    assert!(users("ns", "third").is_empty());
}

/// Its objects were restored without status, and it may run on any bridge.
#[test]
fn a_meeting_that_nobody_has_read_is_known_as_long_as_its_time_lasts() {
    let bookings = Bookings::default();
    let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).unwrap();
    let (here, there) = (ObjectKey::new("ns", "b"), ObjectKey::new("ns", "other"));
    let mut restored = meeting("m", 0, 0);
    bookings.take_object(&restored);
    assert!(bookings.has_unread(&here, at(10)) && bookings.has_unread(&there, at(10)));
    assert!(!bookings.has_unread(&here, at(4000)) && !bookings.has_unread(&here, at(-4000)));
    // One that waits for the slots may run there, one that was refused runs nowhere.
    for (version, reason, is_unread) in [("2", "Progressing", true), ("3", "BridgeNotFound", false)] {
        let accepted = serde_json::json!([{ "type": "Accepted", "status": "False", "reason": reason, "message": "",
                                            "lastTransitionTime": at(0).to_string() }]);
        let status = serde_json::json!({ "phase": "Pending", "observedGeneration": 1, "conditions": accepted });
        restored.status = serde_json::from_value(status).unwrap();
        restored.metadata.resource_version = Some(version.into());
        bookings.take_object(&restored);
        assert_eq!(bookings.has_unread(&here, at(10)), is_unread, "{reason}");
    }
    let status = |observed: Option<i64>, phase: &str| {
        serde_json::from_value(serde_json::json!({
            "phase": phase, "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 3, "spaceID": "s" },
            "window": { "opensAt": at(0).to_string(), "startsAt": at(0).to_string(), "closesAt": at(3600).to_string() },
            "observedGeneration": observed
        }))
        .unwrap()
    };
    for (version, observed, phase, is_unread) in
        [("4", None, "Opening", true), ("5", Some(-1), "Opening", true), ("6", Some(1), "Active", false)]
    {
        restored.status = status(observed, phase);
        restored.metadata.resource_version = Some(version.into());
        bookings.take_object(&restored);
        assert_eq!((bookings.has_unread(&here, at(10)), bookings.has_unread(&there, at(10))), (is_unread, false));
    }
}
