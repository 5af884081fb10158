//! State x obstacle x problem -> phase and conditions, each row through the status checker.

use super::*;
use crate::api::MeetingBridge;
use crate::api::bridge::{SlotEntry, SlotState, SlotsStatus};
use crate::api::marks::Marks;
use crate::api::repairs::{Contested, Rival};
use crate::cms::SyncFailure;
use crate::plan::bridge::Protection;
use crate::status::check::violations;

fn bridge(spec: serde_json::Value) -> MeetingBridge {
    let mut full = serde_json::json!({
        "displayName": "Core", "address": "cms:445", "credentialsSecretRef": { "name": "cms" },
        "slots": { "domain": "meet.test", "base": 1, "quantity": 5 }
    });
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "b", "namespace": "ns", "uid": "u", "generation": 2 }, "spec": full
    }))
    .unwrap()
}

fn report(progress: &BridgeProgress) -> Report<'_> {
    Report {
        progress,
        draft: MeetingBridgeStatus::default(),
        has_answered: true,
        taken: Vec::new(),
        stuck: Vec::new(),
        is_provisioned: true,
        has_pool: false,
        skew: None,
        unreadable: Vec::new(),
        failed_over: None,
        unusable: Vec::new(),
        unproven: Vec::new(),
    }
}

fn foreign_slot(report: &mut Report<'_>) {
    let entry = SlotEntry { number: 3, space_id: Some("s".into()), state: SlotState::Foreign, meeting: None };
    report.draft.slots = Some(SlotsStatus { foreign: 1, entries: vec![entry], ..SlotsStatus::default() });
}

/// Something of each kind was put back so often.
fn contested(progress: &mut BridgeProgress, times: u32) {
    for _ in 0..times {
        for thing in [(Contested::CallProfile, None), (Contested::FreeSlot, Some(3)), (Contested::Spaces, None)] {
            progress.contests.repaired(thing, Timestamp::from_second(1_800_000_000).unwrap(), Rival::Unknown);
        }
    }
}

#[test]
fn a_tug_of_war_says_what_is_fought_for_and_what_is_done() {
    let object = bridge(serde_json::json!({}));
    let mut progress = BridgeProgress::resume(&object, &Marks::default());
    contested(&mut progress, 3);
    let told = |now: i64| {
        let now = Timestamp::from_second(1_800_000_000 + now).unwrap();
        let status = build(&report(&progress), &MeetingBridgeStatus::default(), Some(2), now);
        find(&status.conditions, types::EXCLUSIVE_CONTROL).map(|told| told.message.to_string())
    };
    let message = told(60).unwrap();
    for part in ["the call profile", "again and again (3)", "others delete slots", "Cisco TMS", "edit this object"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(told(3600), None, "it is over, and the slots were not read");
}

fn alternates(report: &mut Report<'_>, reason: &'static str) {
    report.unusable = vec![UnusableAlternate { name: "cms2:445".into(), reason, message: "why".into() }];
}

#[test]
fn who_owns_the_cluster_is_told_by_passes_that_found_it_out() {
    let object = bridge(serde_json::json!({}));
    let mut progress = BridgeProgress::resume(&object, &Marks::default());
    let at = Timestamp::UNIX_EPOCH;
    let accepted = |progress: &BridgeProgress, old: &MeetingBridgeStatus| {
        let status = build(&report(progress), old, Some(2), at);
        let told = find(&status.conditions, types::ACCEPTED).map(|told| told.status.to_string()).unwrap();
        (status, told)
    };
    let (_, told) = accepted(&progress, &MeetingBridgeStatus::default());
    assert_eq!(told, "Unknown", "nothing was read");
    progress.cluster = Some(crate::api::bridge::ClusterStatus::default());
    progress.obstacle = Some(Obstacle::ClusterOwned("the MeetingBridge ns/old".into()));
    let (refused, told) = accepted(&progress, &MeetingBridgeStatus::default());
    assert_eq!(told, "False");
    progress.obstacle = None;
    assert_eq!(accepted(&progress, &refused).1, "False", "a pass that fails on the way takes nothing back");
    progress.is_owner_judged = true;
    let (owner, told) = accepted(&progress, &refused);
    assert_eq!(told, "True");
    progress.is_owner_judged = false;
    assert_eq!(accepted(&progress, &owner).1, "True");
    progress.cluster = None;
    assert_eq!(accepted(&progress, &owner).1, "Unknown", "another address, of which nothing was read");
}

/// Who waits for the end of a meeting that is none waits for ever.
#[test]
fn slots_out_of_range_tell_whether_a_meeting_holds_them() {
    let object = bridge(serde_json::json!({}));
    let mut progress = BridgeProgress::resume(&object, &Marks::default());
    progress.obstacle = Some(Obstacle::Draining);
    let told = |meeting: Option<&str>| {
        let mut report = report(&progress);
        let meeting = meeting.map(str::to_owned);
        let entry = SlotEntry { number: 9, space_id: None, state: SlotState::Draining, meeting };
        report.draft.slots = Some(SlotsStatus { entries: vec![entry], ..SlotsStatus::default() });
        let status = build(&report, &MeetingBridgeStatus::default(), Some(2), Timestamp::UNIX_EPOCH);
        find(&status.conditions, types::SLOTS_PROVISIONED).map(|told| told.message.to_string()).unwrap()
    };
    assert!(told(Some("ns/m")).contains("when their meetings have ended"));
    let unheld = told(None);
    assert!(unheld.contains(": 9;") && !unheld.contains("have ended"), "{unheld}");
}

/// As long as it is looked for, a number that is known to be taken is not the one.
#[test]
fn a_conflict_blames_a_number_only_if_every_one_is_taken() {
    let object = bridge(serde_json::json!({}));
    let mut progress = BridgeProgress::resume(&object, &Marks::default());
    progress.obstacle = Some(Obstacle::Sync(SyncFailure::UriConflict));
    let told = |taken: u32| {
        let mut report = report(&progress);
        report.taken = (1..=taken).map(|number| format!("number {number} belongs to the space \"x\"")).collect();
        let status = build(&report, &MeetingBridgeStatus::default(), Some(2), Timestamp::UNIX_EPOCH);
        find(&status.conditions, types::SLOTS_PROVISIONED).map(|told| told.message.to_string()).unwrap()
    };
    assert!(told(1).contains("being looked for"), "{}", told(1));
    assert!(told(5).contains("number 1 belongs"), "{}", told(5));
}

#[test]
fn a_cluster_of_which_only_one_call_bridge_is_used_is_told_what_that_costs() {
    let object = bridge(serde_json::json!({}));
    let mut progress = BridgeProgress::resume(&object, &Marks::default());
    let member =
        |name: &str| serde_json::from_value(serde_json::json!({ "id": name, "name": name, "primary": false })).unwrap();
    for (members, is_told) in
        [(vec![], false), (vec![member("one")], false), (vec![member("one"), member("two")], true)]
    {
        progress.cluster = Some(crate::api::bridge::ClusterStatus { members, ..Default::default() });
        let status = build(&report(&progress), &MeetingBridgeStatus::default(), Some(2), Timestamp::UNIX_EPOCH);
        let told = find(&status.conditions, types::FAILOVER_CONFIGURED).unwrap();
        assert_eq!((&*told.status, told.message.contains("is not put out")), ("True", is_told));
    }
}

type Change = fn(&mut BridgeProgress);
type Tell = fn(&mut Report<'_>);

struct Row {
    case: &'static str,
    spec: fn() -> serde_json::Value,
    change: Change,
    tell: Tell,
    phase: &'static str,
    wanted: &'static [(&'static str, &'static str, &'static str)],
}

const fn row(
    case: &'static str,
    spec: fn() -> serde_json::Value,
    change: Change,
    tell: Tell,
    phase: &'static str,
    wanted: &'static [(&'static str, &'static str, &'static str)],
) -> Row {
    Row { case, spec, change, tell, phase, wanted }
}

fn plain() -> serde_json::Value {
    serde_json::json!({})
}

fn protected() -> serde_json::Value {
    serde_json::json!({ "profiles": { "call": { "recordingMode": "disabled" } } })
}

fn with_alternate() -> serde_json::Value {
    serde_json::json!({ "failover": { "alternates": [{ "address": "cms2:445" }] } })
}

fn trouble(progress: &mut BridgeProgress, error: &CmsError) {
    progress.problem = Some(problem_of(error));
}

const SAME: Change = |_| {};
const NOTHING: Tell = |_| {};
const UNMADE: Tell = |report| report.is_provisioned = false;

const TABLE: &[Row] = &[
    row(
        "ready",
        plain,
        SAME,
        NOTHING,
        "Idle",
        &[
            ("Ready", "True", "Ready"),
            ("Reachable", "True", "Reachable"),
            ("SlotsProvisioned", "True", "Provisioned"),
            ("FailoverConfigured", "True", "NoAlternates"),
            ("DatabaseWritable", "True", "Writable"),
        ],
    ),
    row(
        "in use",
        plain,
        SAME,
        |r| r.draft.slots = Some(SlotsStatus { in_use: 1, ..SlotsStatus::default() }),
        "InUse",
        &[("ExclusiveControl", "True", "Exclusive")],
    ),
    row(
        "not asked yet",
        plain,
        SAME,
        |r| {
            r.has_answered = false;
            r.is_provisioned = false;
        },
        "Pending",
        &[
            ("Reachable", "Unknown", "Unknown"),
            ("Ready", "False", "Progressing"),
            ("Reconciling", "True", "Progressing"),
        ],
    ),
    row(
        "being set up",
        plain,
        SAME,
        UNMADE,
        "Pending",
        &[("Ready", "False", "Progressing"), ("SlotsProvisioned", "False", "Pending")],
    ),
    row(
        "more slots are being made",
        plain,
        SAME,
        |r| (r.is_provisioned, r.has_pool) = (false, true),
        "Pending",
        &[("Ready", "False", "Progressing"), ("SlotsProvisioned", "False", "Pending")],
    ),
    row(
        "new credentials are refused, and those before work",
        plain,
        |p| p.refused_credentials = Some("cms:445 refuses".into()),
        NOTHING,
        "Idle",
        &[("Ready", "True", "Ready"), ("CredentialsValid", "False", "NewCredentialsRefused")],
    ),
    row(
        "no name",
        plain,
        |p| trouble(p, &CmsError::DnsFailure),
        UNMADE,
        "Unreachable",
        &[
            ("Reachable", "False", "DNSFailure"),
            ("CredentialsValid", "Unknown", "Unknown"),
            ("Reconciling", "True", "Retrying"),
        ],
    ),
    row(
        "refused address",
        plain,
        |p| trouble(p, &CmsError::AddressRefused),
        UNMADE,
        "Unreachable",
        &[
            ("Reachable", "False", "AddressRefused"),
            ("CredentialsValid", "Unknown", "Unknown"),
            ("Stalled", "True", "AddressRefused"),
        ],
    ),
    row(
        "no way through the proxy",
        plain,
        |p| trouble(p, &CmsError::ProxyFailure),
        UNMADE,
        "Unreachable",
        &[("Reachable", "False", "ProxyFailure"), ("Reconciling", "True", "Retrying")],
    ),
    row(
        "wrong password",
        plain,
        |p| trouble(p, &CmsError::Unauthorized),
        UNMADE,
        "Degraded",
        &[
            ("CredentialsValid", "False", "Unauthorized"),
            ("Reachable", "True", "Reachable"),
            ("Recognized", "Unknown", "Unknown"),
            ("Stalled", "True", "Unauthorized"),
        ],
    ),
    row(
        "something else",
        plain,
        |p| trouble(p, &CmsError::NotACms),
        UNMADE,
        "Degraded",
        &[("Recognized", "False", "NotACMS"), ("CredentialsValid", "True", "Accepted")],
    ),
    row(
        "rejected",
        plain,
        |p| trouble(p, &CmsError::Rejected { element: "x".into(), status: 400 }),
        UNMADE,
        "Degraded",
        &[("Ready", "False", "Rejected"), ("Reachable", "True", "Reachable")],
    ),
    row(
        "database down",
        plain,
        |p| trouble(p, &CmsError::DatabaseNotReady),
        NOTHING,
        "Degraded",
        &[("DatabaseWritable", "False", "NoDatabasePrimary"), ("Ready", "False", "NoDatabasePrimary")],
    ),
    row(
        "no Secret",
        plain,
        |p| {
            p.problem = Some(Problem {
                condition: types::CREDENTIALS_VALID,
                reason: reason::SECRET_NOT_FOUND,
                message: "none".into(),
            })
        },
        |r| {
            r.has_answered = false;
            r.is_provisioned = false;
        },
        "Degraded",
        &[("CredentialsValid", "False", "SecretNotFound"), ("Reachable", "Unknown", "Unknown")],
    ),
    row(
        "Secret not given",
        plain,
        |p| {
            p.problem = Some(Problem {
                condition: types::CREDENTIALS_VALID,
                reason: reason::SECRET_UNREADABLE,
                message: "forbidden".into(),
            })
        },
        |r| {
            r.has_answered = false;
            r.is_provisioned = false;
        },
        "Degraded",
        &[("CredentialsValid", "False", "SecretUnreadable"), ("Stalled", "True", "SecretUnreadable")],
    ),
    row(
        "no finalizer",
        plain,
        |p| p.untied = Some("policy".into()),
        UNMADE,
        "Pending",
        &[("Ready", "False", "FinalizerRefused"), ("Stalled", "True", "FinalizerRefused")],
    ),
    row(
        "it cannot be read any more",
        plain,
        |p| p.unreadable = Some("odd".into()),
        NOTHING,
        "Degraded",
        &[("Ready", "False", "Unreadable"), ("Stalled", "True", "Unreadable"), ("Reachable", "True", "Reachable")],
    ),
    row(
        "it could never be read",
        plain,
        |p| {
            p.unreadable = Some("odd".into());
            p.spec.address.clear();
        },
        UNMADE,
        "Degraded",
        &[
            ("Ready", "False", "Unreadable"),
            ("Reachable", "Unknown", "Unreadable"),
            ("SystemNamed", "Unknown", "Unreadable"),
            ("SlotsProvisioned", "Unknown", "Unreadable"),
        ],
    ),
    row(
        "too old",
        plain,
        |p| p.obstacle = Some(Obstacle::VersionTooOld),
        UNMADE,
        "Degraded",
        &[("Recognized", "False", "VersionTooOld"), ("Stalled", "True", "VersionTooOld")],
    ),
    row(
        "no numbers",
        || serde_json::json!({ "slots": {} }),
        |p| p.obstacle = Some(Obstacle::DialNumbers(vec!["slots.domain", "slots.base", "slots.quantity"])),
        UNMADE,
        "Degraded",
        &[
            ("DialNumbersConfigured", "False", "DialNumberConfigurationError"),
            ("Ready", "False", "DialNumberConfigurationError"),
        ],
    ),
    row(
        "no name given",
        || serde_json::json!({ "displayName": "" }),
        SAME,
        NOTHING,
        "Idle",
        &[("SystemNamed", "False", "BlankSystemName"), ("Ready", "True", "Ready")],
    ),
    row(
        "owned",
        plain,
        |p| p.obstacle = Some(Obstacle::ClusterOwned("the MeetingBridge ns/old".into())),
        UNMADE,
        "Degraded",
        &[("Accepted", "False", "AlreadyClusterMember"), ("Stalled", "True", "AlreadyClusterMember")],
    ),
    row(
        "numbers too scattered",
        plain,
        |p| p.obstacle = Some(Obstacle::Scattered),
        |_| {},
        "Degraded",
        &[
            ("SlotsProvisioned", "False", "RangeScattered"),
            ("Ready", "False", "RangeScattered"),
            ("Stalled", "True", "RangeScattered"),
        ],
    ),
    row(
        "one number taken",
        plain,
        |_| {},
        |report| {
            foreign_slot(report);
            report.taken = vec!["number 3 belongs to the space \"Board room\"".to_owned()];
        },
        "Idle",
        &[
            ("SlotsProvisioned", "True", "Provisioned"),
            ("ExclusiveControl", "False", "ForeignChanges"),
            ("Ready", "True", "Ready"),
        ],
    ),
    row(
        "an access method that the bridge keeps",
        plain,
        SAME,
        |report| {
            foreign_slot(report);
            report.stuck = vec![(3, "it says no".to_owned())];
        },
        "Idle",
        &[
            ("SlotsProvisioned", "True", "Provisioned"),
            ("ExclusiveControl", "False", "ForeignChanges"),
            ("Ready", "True", "Ready"),
        ],
    ),
    row(
        "a sync that does not end",
        plain,
        |p| p.obstacle = Some(Obstacle::SyncHangs),
        UNMADE,
        "Degraded",
        &[("SlotsProvisioned", "False", "SyncFailed"), ("Ready", "False", "SyncFailed")],
    ),
    row(
        "number taken",
        plain,
        |p| p.obstacle = Some(Obstacle::Sync(SyncFailure::UriConflict)),
        UNMADE,
        "Degraded",
        &[
            ("SlotsProvisioned", "False", "UriConflict"),
            ("Ready", "False", "UriConflict"),
            ("Reconciling", "True", "Retrying"),
        ],
    ),
    row(
        "draining",
        plain,
        |p| p.obstacle = Some(Obstacle::Draining),
        NOTHING,
        "Degraded",
        &[("SlotsProvisioned", "False", "ResizeDeferred")],
    ),
    row(
        "a tug-of-war",
        plain,
        |progress| contested(progress, 3),
        foreign_slot,
        "Idle",
        &[("ExclusiveControl", "False", "TugOfWar"), ("Ready", "True", "Ready")],
    ),
    row(
        "no tug-of-war yet",
        plain,
        |progress| contested(progress, 2),
        |report| report.draft.slots = Some(SlotsStatus::default()),
        "Idle",
        &[("ExclusiveControl", "True", "Exclusive"), ("Ready", "True", "Ready")],
    ),
    row(
        "slots are deleted again and again",
        plain,
        |progress| progress.obstacle = Some(Obstacle::SlotsContested),
        UNMADE,
        "Degraded",
        &[
            ("SlotsProvisioned", "False", "TugOfWar"),
            ("Ready", "False", "TugOfWar"),
            ("Reconciling", "True", "Retrying"),
        ],
    ),
    row(
        "a foreign slot",
        plain,
        SAME,
        foreign_slot,
        "Idle",
        &[("ExclusiveControl", "False", "ForeignChanges"), ("Ready", "True", "Ready")],
    ),
    row(
        "clock off",
        plain,
        SAME,
        |r| r.skew = Some(SignedDuration::from_secs(-31)),
        "Idle",
        &[("ClockInSync", "False", "Skew"), ("Ready", "True", "Ready")],
    ),
    row(
        "an alternate is proven",
        with_alternate,
        SAME,
        NOTHING,
        "Idle",
        &[("FailoverConfigured", "True", "Configured")],
    ),
    row(
        "an alternate is not proven",
        with_alternate,
        SAME,
        |r| r.unproven = vec!["cms2:445".into()],
        "Idle",
        &[("FailoverConfigured", "Unknown", "AlternatesUnproven"), ("Ready", "True", "Ready")],
    ),
    row(
        "an alternate is a stranger",
        with_alternate,
        SAME,
        |r| {
            r.unproven = vec!["cms3:445".into()];
            alternates(r, reason::ALTERNATE_NOT_IN_CLUSTER);
        },
        "Idle",
        &[("FailoverConfigured", "False", "AlternateNotInCluster")],
    ),
    row(
        "failed over",
        with_alternate,
        SAME,
        |r| r.failed_over = Some((reason::PRIMARY_LOST, "to cms2".into())),
        "Idle",
        &[("FailedOver", "True", "PrimaryLost"), ("Ready", "True", "Ready")],
    ),
    row(
        "the primary is in maintenance",
        with_alternate,
        SAME,
        |r| r.failed_over = Some((reason::MAINTENANCE, "to cms2".into())),
        "Idle",
        &[("FailedOver", "True", "Maintenance"), ("Ready", "True", "Ready")],
    ),
    row(
        "maintenance waits",
        with_alternate,
        SAME,
        |r| alternates(r, reason::MAINTENANCE_WAITS),
        "Idle",
        &[("FailoverConfigured", "False", "MaintenanceWaits"), ("Ready", "True", "Ready")],
    ),
    row(
        "what is to be maintained is not there",
        with_alternate,
        SAME,
        |r| alternates(r, reason::MAINTENANCE_UNKNOWN),
        "Idle",
        &[("FailoverConfigured", "False", "MaintenanceUnknown"), ("Ready", "True", "Ready")],
    ),
    row(
        "what keeps people out is shown",
        protected,
        |p| p.own.protection = Some(Protection::Shown),
        NOTHING,
        "Idle",
        &[("SettingsApplied", "True", "Applied"), ("Ready", "True", "Ready")],
    ),
    row(
        "what keeps people out is not shown",
        protected,
        |p| p.own.protection = Some(Protection::Lacking("x of the call profile".into())),
        NOTHING,
        "Degraded",
        &[
            ("SettingsApplied", "False", "SettingsRefused"),
            ("Ready", "False", "SettingsRefused"),
            ("Reconciling", "True", "Retrying"),
            ("SlotsProvisioned", "True", "Provisioned"),
        ],
    ),
    row(
        "what keeps people out was not read back yet",
        protected,
        |p| p.own.protection = Some(Protection::Unread),
        NOTHING,
        "Idle",
        &[("SettingsApplied", "Unknown", "SettingsPending"), ("Ready", "True", "Ready")],
    ),
    row(
        "suspended",
        || serde_json::json!({ "suspend": true }),
        SAME,
        UNMADE,
        "Suspended",
        &[("Ready", "True", "Suspended")],
    ),
    row(
        "going",
        plain,
        |p| p.is_deleting = true,
        NOTHING,
        "Deleting",
        &[("Ready", "False", "Deleting"), ("Reconciling", "True", "Progressing")],
    ),
    row(
        "unverified",
        || serde_json::json!({ "tls": { "insecureSkipVerify": true } }),
        SAME,
        NOTHING,
        "Idle",
        &[("InsecureTLS", "True", "VerificationOff"), ("Ready", "True", "Ready")],
    ),
];

#[test]
fn every_state_has_its_conditions() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    for row in TABLE {
        let bridge = bridge((row.spec)());
        let mut progress = BridgeProgress::resume(&bridge, &Marks::default());
        (row.change)(&mut progress);
        let mut report = report(&progress);
        (row.tell)(&mut report);
        let status = build(&report, &MeetingBridgeStatus::default(), Some(2), now);
        assert_eq!(status.phase.as_deref(), Some(row.phase), "{}", row.case);
        let broken = violations(&status.conditions, Some(2), status.observed_generation);
        assert!(broken.is_empty(), "{}: {broken:#?}", row.case);
        for (kind, value, reason) in row.wanted {
            let shown = find(&status.conditions, kind).unwrap_or_else(|| panic!("{}: no {kind}", row.case));
            assert_eq!((shown.status.as_str(), shown.reason.as_str()), (*value, *reason), "{}: {kind}", row.case);
        }
    }
}

/// A pass that fails on the way, or an edit of something else, takes nothing back; more to prove does.
#[test]
fn what_keeps_people_out_stands_until_it_is_judged_again() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut progress = BridgeProgress::resume(&bridge(protected()), &Marks::default());
    let told = |progress: &BridgeProgress, old: &MeetingBridgeStatus, generation| {
        let mut report = report(progress);
        report.draft.proven_protection = profiles::proven(progress, old);
        let status = build(&report, old, Some(generation), now);
        let told = find(&status.conditions, types::SETTINGS_APPLIED).map(|told| told.status.to_string());
        (status, told)
    };
    assert_eq!(told(&progress, &MeetingBridgeStatus::default(), 2).1.as_deref(), Some("Unknown"));
    for (protection, value, when_edited) in
        [(Protection::Shown, "True", "True"), (Protection::Lacking("x".into()), "False", "Unknown")]
    {
        progress.own.protection = Some(protection);
        let (before, shown) = told(&progress, &MeetingBridgeStatus::default(), 2);
        assert_eq!(shown.as_deref(), Some(value));
        progress.own.protection = None;
        let (after, shown) = told(&progress, &before, 2);
        assert_eq!(shown.as_deref(), Some(value));
        assert_eq!(find(&after.conditions, types::READY), find(&before.conditions, types::READY), "no blink");
        assert_eq!(told(&progress, &before, 3).1.as_deref(), Some(when_edited));
        let mut more = progress.clone();
        more.spec.profiles.call.streaming_mode = Some("disabled".to_owned());
        assert_eq!(told(&more, &before, 3).1.as_deref(), Some("Unknown"));
        progress.own.protection = Some(Protection::Unread);
        assert_eq!(told(&progress, &before, 2).0.proven_protection, Vec::<String>::new(), "it was made anew");
    }
    let plain = BridgeProgress::resume(&bridge(plain()), &Marks::default());
    assert_eq!(told(&plain, &MeetingBridgeStatus::default(), 2).1, None, "nothing of the kind is asked for");
}

#[test]
fn between_two_tries_of_a_failed_sync_nothing_looks_better() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let bridge = bridge(plain());
    let mut progress = BridgeProgress::resume(&bridge, &Marks::default());
    progress.obstacle = Some(Obstacle::Sync(SyncFailure::CallIdConflict));
    let failed =
        build(&Report { is_provisioned: false, ..report(&progress) }, &MeetingBridgeStatus::default(), Some(2), now);
    progress.obstacle = None;
    let again = build(&Report { is_provisioned: false, ..report(&progress) }, &failed, Some(2), now);
    assert_eq!(find(&again.conditions, types::SLOTS_PROVISIONED).unwrap().reason, "CallIdConflict");
    let edited = build(&Report { is_provisioned: false, ..report(&progress) }, &failed, Some(3), now);
    assert_eq!(find(&edited.conditions, types::SLOTS_PROVISIONED).unwrap().reason, "Pending", "another spec");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let progress = BridgeProgress::resume(&bridge(serde_json::json!({ "address": "cms.test" })), &Marks::default());
    let report = Report { unreadable: vec![2, 4], ..report(&progress) };
    let status = build(&report, &MeetingBridgeStatus::default(), Some(2), Timestamp::UNIX_EPOCH);
    let reachable = find(&status.conditions, types::REACHABLE).unwrap();
    assert_eq!((reachable.status.as_str(), reachable.reason.as_str()), ("True", "Reachable"));
    assert!(reachable.message.contains("cannot be read and are left out: no. 2, 4"), "{}", reachable.message);
}

#[test]
fn a_slot_in_which_something_is_stuck_is_not_said_to_be_anybody_elses() {
    let progress = BridgeProgress::resume(&bridge(serde_json::json!({ "address": "cms.test" })), &Marks::default());
    let mut report = report(&progress);
    foreign_slot(&mut report);
    report.stuck = vec![(3, "its space cannot be read (it says no); repair it".to_owned())];
    let status = build(&report, &MeetingBridgeStatus::default(), Some(2), Timestamp::UNIX_EPOCH);
    let control = find(&status.conditions, types::EXCLUSIVE_CONTROL).unwrap();
    assert!(control.message.starts_with("slot 3 is given to nobody"), "{}", control.message);
    assert!(control.message.contains("(it says no)") && !control.message.contains("somebody else"));
}
