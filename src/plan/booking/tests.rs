//! The decisions about bridge, slot and window, over a table of bridges.

use super::*;
use crate::api::bridge::MeetingBridgeStatus;
use crate::api::marks::Marks;
use crate::api::values::Instant;

#[derive(Default)]
struct Table {
    bridges: Vec<Arc<MeetingBridge>>,
    quarantined: BTreeSet<u32>,
    taken: BTreeSet<u32>,
    unread: bool,
    unread_meeting: bool,
    marked: Option<u32>,
    shared: Option<&'static str>,
    unlabelled: bool,
    unread_labels: bool,
}

impl Bridges for Table {
    fn find(&self, key: &ObjectKey) -> Option<Arc<MeetingBridge>> {
        self.bridges.iter().find(|bridge| ObjectKey::of(bridge.as_ref()) == *key).cloned()
    }
    fn all(&self) -> Vec<Arc<MeetingBridge>> {
        self.bridges.clone()
    }
    fn is_shared(&self, namespace: &str) -> bool {
        self.shared == Some(namespace)
    }
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let is_gold = namespace == "team" && !self.unlabelled;
        let labels = is_gold.then(|| ("tier".to_owned(), "gold".to_owned())).into_iter().collect();
        (!self.unread_labels).then_some(labels)
    }
    fn quarantined(&self, _: &ObjectKey) -> BTreeSet<u32> {
        self.quarantined.clone()
    }
    fn is_taken(&self, _: &ObjectKey, slot: u32) -> bool {
        self.taken.contains(&slot)
    }
    fn are_slots_read(&self, _: &ObjectKey, _: &RangeInclusive<u32>) -> bool {
        !self.unread
    }
    fn has_unread(&self, _: &ObjectKey) -> bool {
        self.unread_meeting
    }
    fn marked_slot(&self, _: &ObjectKey, _: &str) -> Option<u32> {
        self.marked
    }
    fn space(&self, _: &ObjectKey, slot: u32) -> Option<String> {
        Some(format!("space-{slot}"))
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn bridge(name: &str, change: impl FnOnce(&mut MeetingBridge)) -> Arc<MeetingBridge> {
    let mut bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": name, "namespace": "ns", "uid": name },
        "spec": { "displayName": name, "address": "cms.test", "credentialsSecretRef": { "name": "cms" },
                  "slots": { "domain": "meet.test", "base": 1, "quantity": 3 } },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready", "message": "",
                                     "lastTransitionTime": "2026-01-01T00:00:00Z" }] }
    }))
    .unwrap();
    change(&mut bridge);
    Arc::new(bridge)
}

fn meeting(namespace: &str, spec: serde_json::Value) -> ScheduledMeeting {
    let mut full = serde_json::json!({ "title": "t", "start": at(0).to_string(), "duration": "1h" });
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": namespace, "uid": "u" }, "spec": full
    }))
    .unwrap()
}

fn on(name: &str) -> serde_json::Value {
    serde_json::json!({ "bridgeRef": { "name": name, "namespace": "ns" } })
}

fn decided(table: &Table, meeting: &ScheduledMeeting, now: i64) -> Decision {
    let progress = Progress::resume(meeting, &Marks::default(), at(now));
    decide(table, meeting, &progress, None, None, at(now))
}

#[test]
fn every_refusal_has_its_reason() {
    type Change = fn(&mut MeetingBridge);
    let dials_in = serde_json::json!({ "participants": [{ "remoteParty": "a@x", "dial": "In" }] });
    let none = serde_json::json!({});
    let table: [(&str, &str, &serde_json::Value, Change, &str); 9] = [
        (
            "going",
            "ns",
            &none,
            |b| b.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0))),
            reason::BRIDGE_NOT_FOUND,
        ),
        ("another namespace", "other", &none, |_| {}, reason::BRIDGE_NOT_ALLOWED),
        ("not selected", "other", &none, |b| select(b, "gold"), reason::BRIDGE_NOT_ALLOWED),
        ("no bookings", "ns", &none, |b| b.spec.scheduling.allow_booking = false, reason::BOOKING_DISABLED),
        (
            "no incoming",
            "ns",
            &dials_in,
            |b| b.spec.scheduling.allow_incoming_sip = false,
            reason::INCOMING_DIALING_DISABLED,
        ),
        ("no numbers", "ns", &none, |b| b.spec.slots.base = None, reason::NO_FREE_SLOT),
        ("owned by another", "ns", &none, |b| not_accepted(b), reason::BRIDGE_NOT_ALLOWED),
        ("cannot be read", "ns", &none, |b| b.spec.address.clear(), reason::BRIDGE_NOT_ALLOWED),
        ("missing", "ns", &none, |b| b.metadata.name = Some("another".into()), reason::BRIDGE_NOT_FOUND),
    ];
    for (case, namespace, spec, change, wanted) in table {
        let bridges = Table { bridges: vec![bridge("b", change)], ..Table::default() };
        let mut spec = spec.clone();
        spec.as_object_mut().unwrap().extend(on("b").as_object().unwrap().clone());
        let refusal = offers(&bridges, &meeting(namespace, spec), None).unwrap_err();
        assert_eq!(refusal.reason, wanted, "{case}: {}", refusal.message);
        assert!(refusal.message.contains("ns/b") || refusal.message.contains('b'), "{case} names the bridge");
    }
    let open = Table { bridges: vec![bridge("b", |b| select(b, "gold"))], ..Table::default() };
    assert!(offers(&open, &meeting("team", on("b")), None).is_ok(), "its labels allow it");
}

#[test]
fn whoever_may_not_book_elsewhere_does_not_learn_what_there_is() {
    let going = |b: &mut MeetingBridge| {
        b.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    };
    let asked = meeting("other", on("b"));
    let answer = |bridges| offers(&Table { bridges, ..Table::default() }, &asked, None).unwrap_err();
    let closed = answer(vec![bridge("b", |_| {})]);
    assert_eq!(closed.reason, reason::BRIDGE_NOT_ALLOWED);
    assert_eq!(answer(vec![]), closed);
    assert_eq!(answer(vec![bridge("b", going)]), closed);
    assert_eq!(answer(vec![bridge("b", not_accepted)]), closed);
}

/// Neither `allowedNamespaces: All` nor labels nor the highest preference make a bridge get meetings of other namespaces.
#[test]
fn a_bridge_elsewhere_needs_the_consent_of_the_bookings_side() {
    let lure = |b: &mut MeetingBridge| {
        b.metadata.namespace = Some("evil".into());
        b.metadata.labels = Some(BTreeMap::from([("site".to_owned(), "berlin".to_owned())]));
        b.spec.allowed_namespaces.from = NamespacesFrom::All;
        b.spec.scheduling.preference = 1000;
    };
    let selector = serde_json::json!({ "bridgeSelector": { "matchLabels": { "site": "berlin" } } });
    let named = serde_json::json!({ "bridgeRef": { "name": "x", "namespace": "evil" } });
    let unqualified = serde_json::json!({ "bridgeRef": { "name": "x" } });
    let mut table = Table { bridges: vec![bridge("x", lure)], ..Table::default() };
    for spec in [serde_json::json!({}), selector.clone(), unqualified] {
        let refusal = offers(&table, &meeting("ns", spec), None).unwrap_err();
        assert_eq!(refusal.reason, reason::BRIDGE_NOT_FOUND);
        assert!(!refusal.message.contains("evil"), "{}", refusal.message);
    }
    assert!(offers(&table, &meeting("ns", named), None).is_ok(), "the meeting names it");
    table.shared = Some("evil");
    assert!(offers(&table, &meeting("ns", serde_json::json!({})), None).is_ok(), "the platform team grants it");
    assert!(offers(&table, &meeting("ns", selector), None).is_ok());
    table.bridges = vec![bridge("x", |b| b.metadata.namespace = Some("evil".into()))];
    assert!(
        offers(&table, &meeting("ns", serde_json::json!({})), None).is_err(),
        "its own allowedNamespaces is still asked"
    );
}

#[test]
fn a_revoked_grant_revokes_what_has_not_begun_and_extends_nothing() {
    let shared = |b: &mut MeetingBridge| {
        b.metadata.labels = Some(BTreeMap::from([("site".to_owned(), "berlin".to_owned())]));
        select(b, "gold");
    };
    let selector = serde_json::json!({ "bridgeSelector": { "matchLabels": { "site": "berlin" } } });
    let object = bridge("b", shared);
    let granted = || Table { bridges: vec![Arc::clone(&object)], shared: Some("ns"), ..Table::default() };
    let asked = meeting("team", selector);
    let mut booked = Progress::resume(&asked, &Marks::default(), at(-9999));
    let booking = Booking { bridge: ObjectKey::new("ns", "b"), slot: 2, window: booked.window };
    booked.bind(&booking, None, None);
    let decided = |table: &Table, progress: &Progress, object: &MeetingBridge| {
        decide(table, &asked, progress, Some(&booking), Some(object), at(-9999))
    };
    let mut running = booked.clone();
    running.door = crate::plan::meeting::Door::Open;
    assert!(matches!(decided(&granted(), &booked, &object), Decision::Stands));
    assert!(may_extend(&granted(), &asked, &object).is_ok());
    let relabelled = bridge("b", |b| select(b, "gold"));
    let narrowed = bridge("b", |b| {
        shared(b);
        b.spec.allowed_namespaces = Default::default();
    });
    let revoked = [
        ("the grant", Table { shared: None, ..granted() }, Arc::clone(&object)),
        ("the label of the namespace", Table { unlabelled: true, ..granted() }, Arc::clone(&object)),
        ("the label of the bridge", Table { bridges: vec![Arc::clone(&relabelled)], ..granted() }, relabelled),
        ("allowedNamespaces", Table { bridges: vec![Arc::clone(&narrowed)], ..granted() }, narrowed),
    ];
    for (what, table, object) in revoked {
        assert!(matches!(decided(&table, &booked, &object), Decision::Refused(_)), "{what}");
        assert!(matches!(decided(&table, &running, &object), Decision::Stands), "{what}: it runs");
        assert_eq!(may_extend(&table, &asked, &object).unwrap_err().reason, reason::EXTENSION_NOT_ALLOWED, "{what}");
    }
}

/// Nothing is taken away because the labels of namespaces are not read yet, and nothing is given.
#[test]
fn labels_that_are_not_read_yet_refuse_nobody() {
    let object = bridge("b", |b| select(b, "gold"));
    let read = || Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
    let unread = || Table { unread_labels: true, ..read() };
    let asked = meeting("team", on("b"));
    let Decision::Refused(refusal) = decided(&unread(), &asked, -9999) else { panic!("nobody knows whether it may") };
    assert!(refusal.is_undecided(), "{refusal:?}");
    assert!(matches!(decided(&read(), &asked, -9999), Decision::Choose(_)));
    // Whether there is such a bridge is not to be learned meanwhile either.
    let closed = Table { bridges: vec![bridge("b", |_| {})], ..unread() };
    let missing = Table { unread_labels: true, ..Table::default() };
    for other in [closed, missing] {
        assert_eq!(offers(&other, &asked, None).unwrap_err(), refusal);
    }

    let (mut kept, booking) = booked(&asked);
    let progress = |meeting: &ScheduledMeeting| Progress::resume(meeting, &Marks::default(), at(-9999));
    let decision = |table: &Table, meeting: &ScheduledMeeting, object: &MeetingBridge| {
        decide(table, meeting, &progress(meeting), Some(&booking), Some(object), at(-9999))
    };
    let keeps = |table: &Table, meeting: &ScheduledMeeting, object: &MeetingBridge| {
        may_keep(table, meeting, &progress(meeting), &booking, object, at(-9999))
    };
    assert!(matches!(decision(&unread(), &kept, &object), Decision::Stands));
    assert!(own_offer(&unread(), &kept, &object).is_some(), "another slot there is no new consent");
    let narrowed = bridge("b", |_| {});
    let closed = Table { bridges: vec![Arc::clone(&narrowed)], ..unread() };
    assert!(matches!(decision(&closed, &kept, &narrowed), Decision::Refused(_)), "its consent was taken back for sure");
    assert!(!keeps(&closed, &kept, &narrowed));

    kept.spec.start = Instant(at(600));
    assert!(matches!(decision(&unread(), &kept, &object), Decision::Refused(_)), "for more it has to be known");
    assert!(keeps(&unread(), &kept, &object));
    let refusal = may_extend(&unread(), &kept, &object).unwrap_err();
    assert_eq!(refusal.reason, reason::EXTENSION_NOT_ALLOWED);
    assert!(refusal.message.contains("could not be read so far"), "{}", refusal.message);

    // One that names no bridge is not moved to another one for it.
    kept.spec.bridge_ref = None;
    let own = bridge("own", |b| b.metadata.namespace = Some("team".into()));
    let table = Table { bridges: vec![Arc::clone(&object), own], shared: Some("ns"), ..unread() };
    let Decision::Refused(refusal) = decision(&table, &kept, &object) else { panic!("moved") };
    assert!(refusal.is_undecided() && keeps(&table, &kept, &object));
    assert!(matches!(decided(&table, &kept, -9999), Decision::Choose(_)), "who has none takes what is sure");
}

#[test]
fn a_conflict_names_only_meetings_of_the_same_namespace() {
    let holder = ObjectKey::new("theirs", "board");
    assert!(!extension_conflict(Some(&holder), "ns").message.contains("board"));
    assert!(extension_conflict(Some(&holder), "theirs").message.contains("theirs/board"));
}

fn select(bridge: &mut MeetingBridge, tier: &str) {
    bridge.spec.allowed_namespaces = serde_json::from_value(serde_json::json!({
        "from": "Selector", "selector": { "matchLabels": { "tier": tier } }
    }))
    .unwrap();
}

fn not_accepted(bridge: &mut MeetingBridge) {
    let status: MeetingBridgeStatus = serde_json::from_value(serde_json::json!({
        "conditions": [{ "type": "Accepted", "status": "False", "reason": "AlreadyClusterMember", "message": "",
                         "lastTransitionTime": "2026-01-01T00:00:00Z" }]
    }))
    .unwrap();
    bridge.status = Some(status);
}

#[test]
fn without_a_name_every_ready_bridge_that_fits_is_offered() {
    let unready = bridge("unready", |b| b.status = None);
    let other = bridge("other-team", |b| b.metadata.namespace = Some("theirs".into()));
    let table = Table { bridges: vec![bridge("a", |_| {}), unready, other], ..Table::default() };
    let offered: Vec<String> = offers(&table, &meeting("ns", serde_json::json!({})), None)
        .unwrap()
        .into_iter()
        .map(|o| o.bridge.name)
        .collect();
    assert_eq!(offered, ["a"]);
}

#[test]
fn inside_its_window_a_meeting_without_status_waits_for_the_slots_and_is_adopted_by_its_mark() {
    let mut table = Table { bridges: vec![bridge("b", |_| {})], unread: true, ..Table::default() };
    let restored = meeting("ns", on("b"));
    assert!(matches!(decided(&table, &restored, 10), Decision::Wait));
    assert!(matches!(decided(&table, &restored, -9999), Decision::Choose(_)), "long before there is nothing to adopt");
    table.unread = false;
    table.marked = Some(3);
    let Decision::Adopt(booking) = decided(&table, &restored, 10) else { panic!("not adopted") };
    assert_eq!((booking.slot, booking.bridge.name.as_str()), (3, "b"));
    assert!(matches!(decided(&table, &restored, -5), Decision::Choose(_)), "only inside the window");
}

#[test]
fn a_booking_stands_as_long_as_it_is_what_the_spec_asks_for() {
    let object = bridge("b", |_| {});
    let table = Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
    let asked = meeting("ns", on("b"));
    let mut progress = Progress::resume(&asked, &Marks::default(), at(-9999));
    let booking = Booking { bridge: ObjectKey::new("ns", "b"), slot: 2, window: progress.window };
    progress.bind(&booking, None, None);
    let verdict = |progress: &Progress, asked: &ScheduledMeeting, object: Option<&MeetingBridge>| {
        matches!(decide(&table, asked, progress, Some(&booking), object, at(-9999)), Decision::Stands)
    };
    assert!(verdict(&progress, &asked, Some(&object)));
    assert!(!verdict(&progress, &meeting("ns", on("c")), Some(&object)), "another bridge is asked for");
    let smaller = bridge("b", |b| b.spec.slots.quantity = Some(1));
    assert!(!verdict(&progress, &asked, Some(&smaller)), "the slot is out of range now");
    let mut foreign = progress.clone();
    foreign.obstacle = Some(Obstacle::Foreign);
    assert!(!verdict(&foreign, &asked, Some(&object)), "the slot is somebody else's now");
    let mut moved = progress.clone();
    moved.window.closes_at = at(7200);
    assert!(!verdict(&moved, &asked, Some(&object)), "another window is asked for");
}

/// A meeting that is booked in slot 2, and its booking.
fn booked(asked: &ScheduledMeeting) -> (ScheduledMeeting, Booking) {
    let mut progress = Progress::resume(asked, &Marks::default(), at(-9999));
    let booking = Booking { bridge: ObjectKey::new("ns", "b"), slot: 2, window: progress.window };
    progress.bind(&booking, None, None);
    let status = crate::status::meeting::build(&progress, &Default::default(), Some(1), at(-9999));
    (ScheduledMeeting { status: Some(status), ..asked.clone() }, booking)
}

#[test]
fn an_edit_that_cannot_be_met_keeps_what_was_booked() {
    let object = bridge("b", |_| {});
    let table = Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
    let (mut edited, booking) = booked(&meeting("ns", on("b")));
    edited.spec.start = Instant(at(86_400));
    let asked = Window::of(&edited.spec, None);
    let resume = |meeting: &ScheduledMeeting, now: i64| Progress::resume(meeting, &Marks::default(), at(now));
    let mut progress = resume(&edited, -9999);
    let decision = decide(&table, &edited, &progress, Some(&booking), Some(&object), at(-9999));
    assert!(matches!(decision, Decision::Choose(_)));
    assert!(may_keep(&table, &edited, &progress, &booking, &object, at(-9999)));
    progress.keep(Refusal { reason: reason::NO_FREE_SLOT, message: "full".to_owned() });
    assert_eq!((progress.window, progress.draft.refused_window), (booking.window, Some(asked.into())));
    let old = edited.status.clone().unwrap();
    let status = crate::status::meeting::build(&progress, &old, Some(2), at(-9999));
    let accepted = find(&status.conditions, types::ACCEPTED).unwrap();
    assert_eq!((accepted.status.as_str(), &*accepted.reason), ("False", reason::NO_FREE_SLOT));
    assert!(accepted.message.contains("what was booked before stands"), "{}", accepted.message);
    assert!(is_true(&status.conditions, types::SLOT_RESERVED));
    assert!(find(&status.conditions, types::READY).is_some_and(|ready| ready.status == "False"));

    // Before its door is opened what was asked for is tried again and again.
    edited.status = Some(status);
    assert_eq!(resume(&edited, -60).window, asked);
    // Once it may be open the meeting is held as it was booked: that is no move to another day.
    edited.status.as_mut().unwrap().phase = Some(crate::api::meeting::Phase::Opening);
    let running = resume(&edited, 1);
    assert_eq!((running.window, running.moved_to, running.vacated), (booking.window, None, false));
    assert!(running.unmet.is_some(), "it is told to the end");
    assert!(window_to_agree(&running).is_none());
    // And when it is over it does not begin again at the start that was refused.
    let status = edited.status.as_mut().unwrap();
    (status.phase, status.opened_at) = (Some(crate::api::meeting::Phase::Ended), Some(Instant(at(0))));
    assert!(resume(&edited, 3601).is_closing(at(3601)));
}

/// The start that was asked for was an earlier one: when that has passed, the meeting is still to be held.
#[test]
fn what_was_booked_outlives_the_earlier_time_that_was_not_to_be_had() {
    let (mut edited, booking) = booked(&meeting("ns", on("b")));
    edited.spec.start = Instant(at(-7200));
    let mut progress = Progress::resume(&edited, &Marks::default(), at(-9999));
    progress.keep(Refusal { reason: reason::NO_FREE_SLOT, message: "full".to_owned() });
    let old = edited.status.clone().unwrap();
    edited.status = Some(crate::status::meeting::build(&progress, &old, Some(2), at(-9999)));
    edited.metadata.generation = Some(2);
    let object = bridge("b", |_| {});
    let table = Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
    for now in [-3000, -1, 10] {
        let progress = Progress::resume(&edited, &Marks::default(), at(now));
        assert_eq!((progress.window, progress.is_closing(at(now))), (booking.window, false), "{now}");
        assert!(progress.unmet.is_some());
        let decision = decide(&table, &edited, &progress, Some(&booking), Some(&object), at(now));
        assert!(matches!(decision, Decision::Stands), "{now}");
    }
    // Given up altogether, nothing of it is left to be taken for what holds.
    let mut progress = Progress::resume(&edited, &Marks::default(), at(-9000));
    progress.refuse(Refusal { reason: reason::NO_FREE_SLOT, message: "full".to_owned() });
    assert_eq!((progress.draft.window, progress.draft.refused_window), (None, None));
}

#[test]
fn what_was_booked_is_kept_only_where_it_can_be_had() {
    use crate::api::meeting::Phase;
    let (kept, booking) = booked(&meeting("ns", on("b")));
    let object = bridge("b", |_| {});
    let table = |object: &Arc<MeetingBridge>| Table { bridges: vec![Arc::clone(object)], ..Table::default() };
    let keeps = |table: &Table, meeting: &ScheduledMeeting, object: &MeetingBridge, now: i64| {
        let progress = Progress::resume(meeting, &Marks::default(), at(now));
        may_keep(table, meeting, &progress, &booking, object, at(now))
    };
    assert!(keeps(&table(&object), &kept, &object, -60));
    assert!(!keeps(&table(&object), &kept, &object, 3600), "its window has passed");
    let taken = Table { taken: BTreeSet::from([2]), ..table(&object) };
    assert!(!keeps(&taken, &kept, &object, -60), "something else has the number");
    let smaller = bridge("b", |b| b.spec.slots.quantity = Some(1));
    assert!(!keeps(&table(&smaller), &kept, &smaller, -60), "there is no such slot any more");
    let (stranger, _) = booked(&meeting("team", on("b")));
    assert!(!keeps(&table(&object), &stranger, &object, -60), "the bridge does not consent");
    let mut running = kept.clone();
    running.status.as_mut().unwrap().phase = Some(Phase::Opening);
    assert!(!keeps(&table(&object), &running, &object, -60), "that has rules of its own");
}

/// A merge that drops a field, and is mended a minute later.
#[test]
fn a_bridge_without_numbers_for_a_moment_takes_no_slot_away() {
    type Change = fn(&mut MeetingBridge);
    let (kept, booking) = booked(&meeting("ns", on("b")));
    let dropped: [(&str, Change); 4] = [
        ("domain", |b| b.spec.slots.domain = None),
        ("empty domain", |b| b.spec.slots.domain = Some(String::new())),
        ("base", |b| b.spec.slots.base = None),
        ("quantity", |b| b.spec.slots.quantity = None),
    ];
    for (what, change) in dropped {
        let object = bridge("b", change);
        let table = Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
        let decision = |meeting: &ScheduledMeeting, has: Option<&Booking>| {
            let progress = Progress::resume(meeting, &Marks::default(), at(-60));
            (decide(&table, meeting, &progress, has, Some(&object), at(-60)), progress)
        };
        assert!(matches!(decision(&kept, Some(&booking)).0, Decision::Stands), "{what}");
        let mut edited = kept.clone();
        edited.spec.start = Instant(at(600));
        let (refused, progress) = decision(&edited, Some(&booking));
        assert!(matches!(refused, Decision::Refused(refusal) if refusal.reason == reason::NO_FREE_SLOT), "{what}");
        assert!(may_keep(&table, &edited, &progress, &booking, &object, at(-60)), "{what}");
        assert!(matches!(decision(&meeting("ns", on("b")), None).0, Decision::Refused(_)), "{what}: nobody new");
        let taken = Table { taken: BTreeSet::from([2]), bridges: vec![Arc::clone(&object)], ..Table::default() };
        let progress = Progress::resume(&kept, &Marks::default(), at(-60));
        let decision = decide(&taken, &kept, &progress, Some(&booking), Some(&object), at(-60));
        assert!(!matches!(decision, Decision::Stands), "{what}: something else has the number");
    }
}

#[test]
fn switches_for_new_bookings_concern_no_booked_meeting() {
    let asked = meeting("ns", serde_json::json!({}));
    let closed = bridge("b", |b| {
        b.spec.scheduling.allow_booking = false;
        b.status = None;
    });
    let table = Table { bridges: vec![Arc::clone(&closed)], ..Table::default() };
    assert!(offers(&table, &asked, None).is_err(), "neither ready nor open to bookings");
    assert!(offers(&table, &asked, Some(&ObjectKey::new("ns", "b"))).is_ok(), "its own bridge");
}

#[test]
fn who_cannot_dial_in_is_told_also_after_the_booking() {
    let (mut edited, booking) = booked(&meeting("ns", on("b")));
    let object = bridge("b", |b| b.spec.scheduling.allow_incoming_sip = false);
    let table = Table { bridges: vec![Arc::clone(&object)], ..Table::default() };
    let decision = |meeting: &ScheduledMeeting| {
        let progress = Progress::resume(meeting, &Marks::default(), at(-60));
        decide(&table, meeting, &progress, Some(&booking), Some(&object), at(-60))
    };
    assert!(matches!(decision(&edited), Decision::Stands), "nobody is to dial in");
    edited.spec.participants =
        serde_json::from_value(serde_json::json!([{ "remoteParty": "desk@x", "dial": "In" }])).unwrap();
    let Decision::Refused(refusal) = decision(&edited) else { panic!("not told") };
    assert_eq!(refusal.reason, reason::INCOMING_DIALING_DISABLED);
    let progress = Progress::resume(&edited, &Marks::default(), at(-60));
    assert!(may_keep(&table, &edited, &progress, &booking, &object, at(-60)), "the others can come");
}

/// What cannot be a slot is found out after the meeting was booked there.
#[test]
fn a_number_that_something_else_has_is_exchanged_long_before_the_start() {
    let (meeting, booking) = booked(&meeting("ns", on("b")));
    let object = bridge("b", |_| {});
    let table = Table { bridges: vec![Arc::clone(&object)], taken: BTreeSet::from([2]), ..Table::default() };
    let progress = Progress::resume(&meeting, &Marks::default(), at(-9999));
    let decision = decide(&table, &meeting, &progress, Some(&booking), Some(&object), at(-9999));
    assert!(matches!(decision, Decision::Choose(_)));
}

fn open_until(ends: i64, status: serde_json::Value) -> ScheduledMeeting {
    let mut full = serde_json::json!({
        "phase": "Active", "openedAt": at(0).to_string(),
        "bridge": { "namespace": "ns", "name": "b" }, "slot": { "number": 1, "spaceID": "s" },
        "window": { "opensAt": at(0).to_string(), "startsAt": at(0).to_string(), "closesAt": at(3600).to_string() }
    });
    full.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    let mut meeting = meeting("ns", on("b"));
    meeting.spec.duration = None;
    meeting.spec.end = Some(Instant(at(ends)));
    meeting.status = serde_json::from_value(full).unwrap();
    meeting
}

#[test]
fn a_refused_extension_leaves_the_old_end_and_closes_by_the_same_road() {
    // The end of 3600 was extended by hand to 7200, which belongs to somebody else; now is after the old end.
    let meeting = open_until(7200, serde_json::json!({}));
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(3601));
    assert!(!progress.is_closing(at(3601)), "asked for: not over");
    let wanted = window_to_agree(&progress).unwrap();
    assert_eq!(wanted.closes_at, at(7200));
    progress.agree(Some((wanted, Err(extension_conflict(None, "ns")))));
    assert!(progress.is_closing(at(3601)), "agreed: over");
    assert_eq!(progress.extension_refused.as_ref().map(|refusal| refusal.reason), Some(reason::EXTENSION_CONFLICT));
    assert_eq!(progress.draft.refused_window.map(|window| window.closes_at.0), Some(at(7200)));
    let next = crate::plan::meeting::next(&progress, &Default::default(), &Default::default(), at(3601));
    assert_eq!(next, crate::plan::Next::Look(crate::plan::meeting::Look::Mark), "to be shut before anything else");
}

#[test]
fn an_agreed_extension_moves_the_end_only() {
    let meeting = open_until(7200, serde_json::json!({}));
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(60));
    let wanted = window_to_agree(&progress).unwrap();
    progress.agree(Some((wanted, Ok(()))));
    assert_eq!(progress.draft.window.map(|window| (window.opens_at.0, window.closes_at.0)), Some((at(0), at(7200))));
    assert!(window_to_agree(&progress).is_none(), "agreed once");
}

#[test]
fn before_the_door_is_open_the_window_is_booked_and_not_agreed() {
    let progress = Progress::resume(&meeting("ns", on("b")), &Marks::default(), at(-60));
    assert!(window_to_agree(&progress).is_none());
}

#[test]
fn a_meeting_extends_itself_only_while_somebody_is_in() {
    let mut meeting = open_until(3600, serde_json::json!({ "participantCount": 1 }));
    meeting.spec.extension =
        serde_json::from_value(serde_json::json!({ "auto": { "step": "20m", "max": "30m" } })).unwrap();
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(3590));
    progress.agree(None);
    assert_eq!(extension(&progress, at(3590)).map(|window| window.closes_at), Some(at(4800)));
    assert!(extension(&progress, at(3000)).is_none(), "too early");
    progress.draft.participant_count = Some(0);
    assert!(extension(&progress, at(3590)).is_none(), "nobody is in");
}

#[test]
fn an_address_is_withheld_where_nobody_may_dial_in() {
    let shown = |change: fn(&mut MeetingBridge)| uri(&bridge("b", change), 7);
    assert_eq!(shown(|_| {}), Some("7@meet.test".to_owned()));
    assert_eq!(shown(|b| b.spec.scheduling.allow_incoming_sip = false), None);
    // What people were told is not taken back because the domain is missing for a moment.
    let slot = SlotBinding { number: 7, space_id: None, uri: Some("7@old.test".to_owned()) };
    let renewed = |change: fn(&mut MeetingBridge)| renewed_uri(&bridge("b", change), &slot);
    assert_eq!(renewed(|_| {}), Some("7@meet.test".to_owned()));
    assert_eq!(renewed(|b| b.spec.slots.domain = None), slot.uri);
    assert_eq!(renewed(|b| b.spec.slots.domain = Some(String::new())), slot.uri);
    let closed = |b: &mut MeetingBridge| (b.spec.slots.domain, b.spec.scheduling.allow_incoming_sip) = (None, false);
    assert_eq!(renewed(closed), None);
}

#[test]
fn a_moved_start_never_makes_one_window_of_two() {
    use Moved::{Away, BeforeOpening, EndOnly};
    let window = |opens, closes| Window { opens_at: at(opens), starts_at: at(opens), closes_at: at(closes) };
    let agreed = window(0, 3600);
    let table = [
        // What is asked for, was the door opened, now, what it means.
        ("nothing moved", (0, 3600), true, 60, EndOnly),
        ("a later end", (0, 7200), true, 60, EndOnly),
        ("while preparing, to later", (60, 3660), false, -5, BeforeOpening),
        ("while preparing, to tomorrow", (86_400, 90_000), false, -5, BeforeOpening),
        ("while preparing, to earlier", (-60, 3540), false, -5, BeforeOpening),
        ("the write may be under way", (86_400, 90_000), false, 1, Away),
        ("to tomorrow", (86_400, 90_000), true, 60, Away),
        ("by some minutes", (600, 4200), true, 60, Away),
        ("later, and a shorter end", (600, 1200), true, 60, Away),
        ("later, with the old end", (600, 3600), true, 60, Away),
        ("that later window has begun", (600, 4200), true, 600, EndOnly),
        ("later, but begun already", (30, 3630), true, 60, EndOnly),
        ("to earlier", (-600, 3000), true, 60, EndOnly),
        ("after an outage: both are over or begun, but they are two", (7200, 10_800), true, 7300, Away),
        ("right after the other one", (3600, 7200), true, 3600, Away),
        ("the clock went back", (0, 3600), true, -60, EndOnly),
    ];
    for (case, (opens, closes), was_opened, now, wanted) in table {
        assert_eq!(moved(agreed, window(opens, closes), was_opened, at(now)), wanted, "{case}");
    }
}

/// The door is open early: when it was to open has passed, and only a later start is another meeting.
#[test]
fn an_early_join_that_becomes_shorter_while_the_door_is_open_moves_no_start() {
    use Moved::{Away, BeforeOpening, EndOnly};
    let window = |opens, starts| Window { opens_at: at(opens), starts_at: at(starts), closes_at: at(3600) };
    let agreed = window(-900, 0);
    let table = [
        ("shorter", (-300, 0), true, -600, EndOnly),
        ("removed", (0, 0), true, -600, EndOnly),
        ("longer", (-1200, 0), true, -600, EndOnly),
        ("the write may be under way", (-300, 0), false, -600, EndOnly),
        ("while preparing", (-300, 0), false, -905, BeforeOpening),
        ("an earlier start, without early join", (-120, -120), true, -600, EndOnly),
        ("a later start", (-300, 600), true, -600, Away),
        ("a later start with the old opening", (-900, 600), true, -600, EndOnly),
    ];
    for (case, (opens, starts), was_opened, now, wanted) in table {
        assert_eq!(moved(agreed, window(opens, starts), was_opened, at(now)), wanted, "{case}");
    }
    let mut meeting = open_until(
        3600,
        serde_json::json!({
            "openedAt": at(-900).to_string(),
            "window": { "opensAt": at(-900).to_string(), "startsAt": at(0).to_string(), "closesAt": at(3600).to_string() }
        }),
    );
    meeting.spec.early_join = serde_json::from_value(serde_json::json!("5m")).unwrap();
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(-600));
    assert_eq!((progress.moved_to, progress.vacated), (None, false));
    assert!(window_to_agree(&progress).is_none(), "nothing is left to agree upon");
    progress.agree(None);
    assert_eq!(progress.window, agreed, "it was opened then");
}

#[test]
fn a_window_that_is_left_is_neither_moved_nor_extended() {
    let mut meeting = open_until(90_000, serde_json::json!({ "participantCount": 1 }));
    meeting.spec.start = Instant(at(86_400));
    meeting.spec.extension =
        serde_json::from_value(serde_json::json!({ "auto": { "step": "20m", "max": "30m" } })).unwrap();
    let mut progress = Progress::resume(&meeting, &Marks::default(), at(3590));
    assert!(window_to_agree(&progress).is_none());
    progress.agree(None);
    assert_eq!((progress.window.opens_at, progress.window.closes_at), (at(0), at(3600)));
    assert!(extension(&progress, at(3590)).is_none(), "its end is the end");
    assert!(!progress.is_closing(at(3599)) && progress.is_closing(at(3600)));
    progress.door = crate::plan::meeting::Door::Released;
    assert!(progress.begins_anew());
    let anew = Progress::anew(&meeting, &Marks::default(), at(3600));
    assert_eq!((anew.window.opens_at, anew.draft.slot.is_none()), (at(86_400), true));
    assert_eq!((anew.draft.opened_at, anew.draft.participants.len(), anew.begins_anew()), (None, 0, false));
}

/// Whoever gets no slot reads when it is full, where, and when it is not.
#[test]
fn a_full_bridge_says_when_it_is_full_and_when_it_is_not() {
    let range = |last| Offer {
        bridge: ObjectKey::new("ns", if last == 1 { "small" } else { "large" }),
        preference: 0,
        range: 1..=last,
        quarantined: BTreeSet::new(),
    };
    let window = |from: i64, to: i64| Window { opens_at: at(from), starts_at: at(from + 5), closes_at: at(to) };
    let offers = [range(1), range(2)];
    let mut calendars = Calendars::new();
    for (uid, from, to, offer) in [("a", 0, 60, &offers[0]), ("b", 0, 90, &offers[1]), ("c", 30, 120, &offers[1])] {
        reserve(&mut calendars, uid, window(from, to), std::slice::from_ref(offer)).unwrap();
    }
    let told = |window, offers: &[Offer], now| no_free_slot(&calendars, "x", window, offers, at(now)).message;
    assert_eq!(
        told(window(10, 70), &offers, -100),
        "every slot of the bridge ns/large is taken from 2027-01-15T08:00:30Z to 2027-01-15T08:01:10Z; every slot of \
         the bridge ns/small is taken from 2027-01-15T08:00:10Z to 2027-01-15T08:01:00Z; the next start for which there \
         is one is 2027-01-15T08:01:05Z, on ns/small"
    );
    assert!(!told(window(10, 70), &offers, 600).contains("next start"), "it has passed");
    let gaps = told(window(61, 100), &offers[1..], -100);
    assert!(gaps.starts_with("every slot of the bridge ns/large is taken from 2027-01-15T08:01:01Z"), "{gaps}");
    assert_eq!(no_free_slot(&calendars, "x", window(0, 60), &offers, at(0)).reason, "NoFreeSlot");
}

/// A slot that looks free may be that of a meeting whose objects are restored just now.
#[test]
fn nobody_is_given_a_slot_before_it_is_known_where_a_restored_meeting_runs() {
    let mut table = Table { bridges: vec![bridge("b", |_| {})], unread: true, ..Table::default() };
    let later = meeting("ns", on("b"));
    assert!(matches!(decided(&table, &later, -9999), Decision::Choose(_)));
    table.unread_meeting = true;
    assert!(matches!(decided(&table, &later, -9999), Decision::Wait));
    table.unread = false;
    assert!(matches!(decided(&table, &later, -9999), Decision::Choose(_)));
}
