use super::*;
use crate::status::{Conditions, Readiness};
use jiff::Timestamp;

fn conditions(readiness: &Readiness) -> Vec<Condition> {
    Conditions::new(&[], Some(1), Timestamp::UNIX_EPOCH).finish(readiness)
}

#[test]
fn good_ones_pass() {
    let ready = conditions(&Readiness::Ready { reason: "Active", message: String::new() });
    assert_eq!(violations(&ready, Some(1), Some(1)), Vec::<String>::new());
    let stalled = conditions(&Readiness::Stalled { reason: "NoFreeSlot", message: String::new() });
    assert_eq!(violations(&stalled, Some(1), Some(1)), Vec::<String>::new());
}

#[test]
fn each_rule_can_fail() {
    assert!(!violations(&[], Some(1), Some(1)).is_empty());
    let mut both = conditions(&Readiness::Stalled { reason: "NoFreeSlot", message: String::new() });
    both.extend(conditions(&Readiness::Reconciling { reason: "Busy", message: String::new(), retrying: true }));
    assert!(violations(&both, Some(1), Some(1)).len() >= 2);
    let mut undocumented = conditions(&Readiness::Stalled { reason: "NoFreeSlot", message: String::new() });
    undocumented[0].reason = "Mood".into();
    assert_eq!(violations(&undocumented, Some(1), Some(1)).len(), 1);
    let old = conditions(&Readiness::Ready { reason: "Active", message: String::new() });
    assert!(!violations(&old, Some(3), Some(2)).is_empty(), "conditions judge generation 1, the status 2");
}
