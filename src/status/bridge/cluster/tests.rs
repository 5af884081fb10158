use jiff::Timestamp;

use super::*;
use crate::cms::Address;
use crate::cms::tests::{pause_after, pause_after_401};
use crate::plan::failover::{Candidate, HealthSignal, Policy};

const POLICY: Policy = Policy { threshold: 1, failback: None };

fn address(name: &str) -> Address {
    name.parse().unwrap()
}

/// Two call bridges, of which this one is active, with what the primary said last.
fn table(active: &str, primary: HealthSignal, in_maintenance: &[&str]) -> HealthTable {
    let mut table = HealthTable::new(address("cms1"));
    let both = [("cms1", CallBridgeRole::Primary), ("cms2", CallBridgeRole::Alternate)];
    let both = both.map(|(name, role)| (address(name), role, Membership::Member));
    table.arrange(both.to_vec(), Some(&address(active)));
    table.learn(&address("cms1"), primary, &POLICY, Timestamp::UNIX_EPOCH);
    let mode = |at: &Address| match in_maintenance.iter().any(|name| address(name) == *at) {
        true => MaintenanceMode::Drain,
        false => MaintenanceMode::None,
    };
    table.set_maintenance(mode);
    table
}

/// A call bridge that has told nothing besides.
fn view(known: Candidate) -> CallBridgeView {
    CallBridgeView {
        known,
        id: None,
        is_primary_itself: false,
        is_stranger: false,
        credentials: ("cms/1".to_owned(), None),
    }
}

#[test]
fn who_does_the_work_of_the_primary_is_told_with_the_reason() {
    let (good, bad) = (|| HealthSignal::Answers, || HealthSignal::Fails(CmsError::Timeout));
    let rows = [
        (table("cms1", good(), &[]), None, false),
        (table("cms1", bad(), &[]), None, false),
        (table("cms1", good(), &["cms1"]), None, true),
        (table("cms2", bad(), &[]), Some((reason::PRIMARY_LOST, "did not reply")), false),
        (table("cms2", bad(), &["cms1"]), Some((reason::PRIMARY_LOST, "did not reply")), false),
        (table("cms2", good(), &["cms1"]), Some((reason::MAINTENANCE, "it is in maintenance")), false),
        (table("cms2", good(), &[]), Some((reason::PRIMARY_LOST, "it is good again")), false),
        (table("cms2", good(), &["cms2"]), Some((reason::PRIMARY_LOST, "it is good again")), true),
    ];
    for (index, (table, told, waits)) in rows.into_iter().enumerate() {
        let failed_over = failed_over(&table);
        assert_eq!(failed_over.as_ref().map(|(reason, _)| *reason), told.map(|(reason, _)| reason), "{index}");
        let message = failed_over.map(|(_, message)| message).unwrap_or_default();
        assert!(message.contains(told.map_or("", |(_, why)| why)), "{index}: {message}");
        let relieved = not_relieved(&table).map(|unusable| (unusable.name, unusable.reason));
        let waiting = waits.then(|| (table.active().to_string(), reason::MAINTENANCE_WAITS));
        assert_eq!(relieved, waiting, "{index}");
    }
}

#[test]
fn an_alternate_that_cannot_be_used_says_why() {
    let view = |name: &str| view(table("cms1", HealthSignal::Answers, &[]).get(&address(name)).unwrap().clone());
    let refused = |error: CmsError| {
        let mut known = table("cms2", HealthSignal::Answers, &[]);
        known.learn(&address("cms2"), HealthSignal::Fails(error), &POLICY, Timestamp::UNIX_EPOCH);
        CallBridgeView { known: known.get(&address("cms2")).unwrap().clone(), ..view("cms2") }
    };
    for (error, remedy) in [
        (CmsError::Unauthorized, "correct the credentials Secret"),
        (pause_after_401(), "rejected user name or password"),
        (CmsError::Forbidden, "it needs the role api"),
    ] {
        let told = unusable(&refused(error)).unwrap();
        assert_eq!(told.reason, reason::ALTERNATE_CREDENTIALS_INVALID);
        assert!(told.message.contains(remedy), "{told:?}");
    }
    let mut unproven_one = view("cms2");
    unproven_one.known.membership = Membership::Unproven;
    for (view, reason, is_unproven) in [
        (view("cms2"), None, false),
        (unproven_one, None, true),
        (CallBridgeView { is_stranger: true, ..view("cms2") }, Some(reason::ALTERNATE_NOT_IN_CLUSTER), false),
        (CallBridgeView { is_primary_itself: true, ..view("cms2") }, Some(reason::ALTERNATE_IS_PRIMARY), false),
        (CallBridgeView { is_stranger: true, ..view("cms1") }, None, false),
    ] {
        assert_eq!(unusable(&view).map(|unusable| unusable.reason), reason, "{view:?}");
        assert_eq!(unproven(&view).is_some(), is_unproven, "{view:?}");
    }
}

#[test]
fn credentials_stay_accepted_until_they_are_others_or_refused() {
    let known = table("cms1", HealthSignal::Answers, &[]).get(&address("cms1")).unwrap().clone();
    let view = |used: &str, accepts| CallBridgeView { credentials: (used.to_owned(), accepts), ..view(known.clone()) };
    let old = [status_of(&view("cms/1", Some(true)), &[])];
    for (used, accepts, told) in [
        ("cms/1", None, Some("cms/1")),
        ("cms/2", None, None),
        ("cms/2", Some(true), Some("cms/2")),
        ("cms/1", Some(false), None),
    ] {
        let status = status_of(&view(used, accepts), &old);
        assert_eq!(status.accepted_credentials.as_deref(), told, "{used} {accepts:?}");
        assert_eq!((status.reachable, status.reason), (Some(true), None));
    }
}

/// What is told of a call bridge does not change with each pause that we make.
#[test]
fn a_pause_of_ours_is_told_as_the_trouble_behind_it() {
    let pause = pause_after(CmsError::Timeout);
    let told = |error: &CmsError| {
        let known = table("cms1", HealthSignal::Fails(error.clone()), &[]).get(&address("cms1")).unwrap().clone();
        let status = status_of(&view(known), &[]);
        assert_eq!((status.reachable, status.reason.as_deref()), (Some(false), Some("Timeout")));
        problem_of(error)
    };
    assert_eq!(told(&pause), told(&CmsError::Timeout));
}
