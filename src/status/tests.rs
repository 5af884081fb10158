use super::*;
use crate::api::{find, is_true};

#[test]
fn transition_times_survive_where_the_status_does() {
    let early = Timestamp::from_second(1_800_000_000).unwrap();
    let late = Timestamp::from_second(1_800_000_100).unwrap();
    let mut first = Conditions::new(&[], Some(1), early);
    first.set("Door", Some(true), "Open", "");
    let old = first.finish(&Readiness::Ready { reason: "Active", message: String::new() });
    let mut second = Conditions::new(&old, Some(2), late);
    second.set("Door", Some(true), "StillOpen", "");
    let new = second.finish(&Readiness::Stalled { reason: "Broken", message: String::new() });
    assert_eq!(find(&new, "Door").unwrap().last_transition_time.0, early);
    assert_eq!(find(&new, "Ready").unwrap().last_transition_time.0, late);
    assert_eq!(find(&new, "Door").unwrap().observed_generation, Some(2));
    assert!(is_true(&new, "Stalled") && !is_true(&new, "Reconciling"));
}

#[test]
fn messages_are_bounded() {
    let mut conditions = Conditions::new(&[], None, Timestamp::UNIX_EPOCH);
    conditions.set("Door", Some(false), "Long", "ä".repeat(5000));
    assert!(conditions.new[0].message.len() <= MESSAGE_LIMIT);
}
