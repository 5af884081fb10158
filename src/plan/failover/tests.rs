use super::*;
use proptest::prelude::*;

fn address(index: usize) -> Address {
    format!("cms{index}.test:445").parse().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn roster(size: usize) -> Roster {
    let mut roster = Roster::new(address(0));
    let role = |index| if index == 0 { CallBridgeRole::Primary } else { CallBridgeRole::Alternate };
    roster.arrange((0..size).map(|index| (address(index), role(index), true)).collect(), None);
    roster
}

const POLICY: Policy = Policy { threshold: 3, failback: Some(SignedDuration::from_secs(300)) };
const MANUAL: Policy = Policy { threshold: 3, failback: None };

/// A roster whose call bridges were all seen to be good.
fn good(size: usize) -> Roster {
    let mut roster = roster(size);
    for index in 0..size {
        roster.learn(&address(index), Sign::Connects, &POLICY, at(0));
    }
    roster
}

fn fail(roster: &mut Roster, index: usize, error: CmsError, secs: i64) -> Option<Move> {
    roster.learn(&address(index), Sign::Fails(error), &POLICY, at(secs));
    roster.settle(&POLICY, false, at(secs))
}

fn refused(roster: &mut Roster, index: usize, secs: i64) -> Option<Move> {
    fail(roster, index, CmsError::ConnectionRefused, secs)
}

#[test]
fn the_active_call_bridge_is_left_after_the_threshold_and_not_before() {
    let mut roster = good(3);
    assert_eq!(refused(&mut roster, 0, 1), None);
    assert_eq!(refused(&mut roster, 0, 2), None);
    let moved = refused(&mut roster, 0, 3).unwrap();
    assert_eq!((moved.to, moved.cause), (address(1), Cause::Lost));
    assert!(roster.has_failed_over());
    assert_eq!(roster.get(&address(0)).unwrap().health.failing_since(), Some(at(1)));
}

#[test]
fn what_breaks_at_one_moment_counts_once() {
    let mut roster = good(2);
    for _ in 0..100 {
        assert_eq!(refused(&mut roster, 0, 1), None);
    }
    assert_eq!(refused(&mut roster, 0, 2), None);
    assert!(refused(&mut roster, 0, 3).is_some());
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let mut roster = good(2);
    for secs in 0..20 {
        let sign = if secs % 3 == 2 { Sign::Connects } else { Sign::Fails(CmsError::ConnectionRefused) };
        roster.learn(&address(0), sign, &POLICY, at(secs));
        assert_eq!(roster.settle(&POLICY, false, at(secs)), None);
    }
}

#[test]
fn a_connection_does_not_make_up_for_an_api_that_refuses() {
    for error in [CmsError::Busy, CmsError::NotACms, CmsError::Timeout, CmsError::HttpError { status: 500 }] {
        let mut roster = good(2);
        for secs in 0..2 {
            assert_eq!(fail(&mut roster, 0, error.clone(), secs), None);
            roster.learn(&address(0), Sign::Connects, &POLICY, at(secs));
        }
        assert!(fail(&mut roster, 0, error, 3).is_some());
        for secs in 4..10 {
            roster.learn(&address(0), Sign::Connects, &POLICY, at(secs));
        }
        assert!(roster.get(&address(0)).unwrap().health.is_down(), "probes alone do not bring it back");
        roster.learn(&address(0), Sign::Answers, &POLICY, at(10));
        roster.learn(&address(0), Sign::Answers, &POLICY, at(11));
        assert!(roster.get(&address(0)).unwrap().health.is_good());
    }
}

#[test]
fn wrong_credentials_are_enough_at_once() {
    let mut roster = good(2);
    assert!(fail(&mut roster, 0, CmsError::Unauthorized, 1).is_some());
}

#[test]
fn what_is_due_does_not_wait_for_the_threshold() {
    let mut roster = good(3);
    roster.learn(&address(0), Sign::Fails(CmsError::ConnectTimeout), &POLICY, at(1));
    roster.condemn(&address(0));
    assert_eq!(roster.settle(&POLICY, false, at(1)).unwrap().to, address(1));
    let mut alone = good(1);
    alone.learn(&address(0), Sign::Fails(CmsError::ConnectTimeout), &POLICY, at(1));
    alone.condemn(&address(0));
    assert!(!alone.get(&address(0)).unwrap().health.is_down(), "the last one is not given up in haste");
}

#[test]
fn only_what_another_call_bridge_could_do_better_counts() {
    let own = [CmsError::ConnectionRefused, CmsError::Busy, CmsError::Unauthorized, CmsError::NotACms];
    assert!(own.iter().all(|error| blames_call_bridge(error) && is_decisive(error)));
    let shared = [CmsError::DatabaseNotReady, CmsError::Abandoned, CmsError::Cancelled, CmsError::PasscodeTooShort];
    assert!(shared.iter().all(|error| !blames_call_bridge(error) && !is_decisive(error)));
    assert!(blames_call_bridge(&CmsError::ConnectionLost) && !is_decisive(&CmsError::ConnectionLost));
}

#[test]
fn the_next_of_the_order_takes_over_and_strangers_never_do() {
    let mut roster = good(4);
    roster.set_eligible(&address(1), false);
    roster.learn(&address(2), Sign::Fails(CmsError::Unauthorized), &POLICY, at(0));
    for secs in 1..=3 {
        refused(&mut roster, 0, secs);
    }
    assert_eq!(*roster.active(), address(3));
}

#[test]
fn failback_waits_for_a_stable_primary() {
    let mut roster = good(2);
    for secs in 1..=3 {
        refused(&mut roster, 0, secs);
    }
    roster.learn(&address(0), Sign::Connects, &POLICY, at(10));
    assert!(roster.get(&address(0)).unwrap().health.is_down(), "one success is not enough");
    roster.learn(&address(0), Sign::Connects, &POLICY, at(11));
    assert_eq!(roster.settle(&POLICY, false, at(309)), None);
    assert_eq!(roster.failback_at(&POLICY), Some(at(310)));
    // A failure on the way starts the wait again.
    refused(&mut roster, 0, 200);
    roster.learn(&address(0), Sign::Connects, &POLICY, at(205));
    assert_eq!(roster.settle(&POLICY, false, at(310)), None);
    let moved = roster.settle(&POLICY, false, at(505)).unwrap();
    assert_eq!((moved.to, moved.cause), (address(0), Cause::Failback));
    assert_eq!(roster.failback_at(&POLICY), None);
}

#[test]
fn manual_failback_waits_for_the_word() {
    let mut roster = good(2);
    for secs in 1..=3 {
        refused(&mut roster, 0, secs);
    }
    assert_eq!(roster.settle(&MANUAL, true, at(4)), None, "not while it is bad");
    for secs in 10..12 {
        roster.learn(&address(0), Sign::Connects, &MANUAL, at(secs));
    }
    assert_eq!(roster.settle(&MANUAL, false, at(1_000_000)), None);
    assert!(roster.settle(&MANUAL, true, at(1_000_001)).is_some());
    // Even so a lost alternate is left for a good primary.
    let mut roster = good(2);
    for secs in 1..=3 {
        refused(&mut roster, 0, secs);
    }
    for secs in 10..12 {
        roster.learn(&address(0), Sign::Connects, &MANUAL, at(secs));
    }
    for secs in 20..23 {
        roster.learn(&address(1), Sign::Fails(CmsError::ConnectionRefused), &MANUAL, at(secs));
    }
    assert_eq!(roster.settle(&MANUAL, false, at(23)).unwrap().to, address(0));
}

#[test]
fn the_first_to_come_back_is_used_when_all_were_lost() {
    let mut roster = good(3);
    for index in 0..3 {
        for secs in 1..=3 {
            refused(&mut roster, index, secs);
        }
    }
    let active = roster.active().clone();
    let other = (0..3).map(address).find(|address| *address != active).unwrap();
    roster.learn(&other, Sign::Connects, &POLICY, at(10));
    assert_eq!(roster.settle(&POLICY, false, at(10)).unwrap().to, other, "one success is better than none");
}

#[test]
fn a_restart_of_the_controller_is_no_reason_to_move() {
    let mut roster = Roster::new(address(0));
    let wanted = || vec![(address(0), CallBridgeRole::Primary, true), (address(1), CallBridgeRole::Alternate, true)];
    roster.arrange(wanted(), Some(&address(1)));
    assert_eq!(*roster.active(), address(1));
    roster.learn(&address(1), Sign::Connects, &POLICY, at(0));
    roster.learn(&address(0), Sign::Connects, &POLICY, at(0));
    assert_eq!(roster.settle(&POLICY, false, at(1)), None);
    // The spec no longer has it.
    roster.arrange(vec![(address(0), CallBridgeRole::Primary, true)], None);
    assert_eq!(*roster.active(), address(0));
}

#[derive(Clone, Debug)]
enum Event {
    Connects(usize),
    Answers(usize),
    Fails(usize, bool),
    Condemn(usize),
    Wait,
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..3usize;
    prop_oneof![
        4 => which.clone().prop_map(Event::Connects),
        3 => which.clone().prop_map(Event::Answers),
        4 => (which.clone(), any::<bool>()).prop_map(|(which, api)| Event::Fails(which, api)),
        1 => which.prop_map(Event::Condemn),
        2 => Just(Event::Wait),
    ]
}

proptest! {
    /// Never on a call bridge that is known to be bad while a good one exists, never away from a good one except for the
    /// failback, and no failback before its time: so at most one per `after`.
    #[test]
    fn no_flapping_and_never_a_bad_call_bridge_while_a_good_one_exists(events in prop::collection::vec(event(), 1..120)) {
        let mut roster = roster(3);
        let mut failed_back: Option<Timestamp> = None;
        for (secs, event) in (0i64..).zip(events) {
            let now = at(secs * 7);
            let before = roster.clone();
            match event {
                Event::Connects(which) => roster.learn(&address(which), Sign::Connects, &POLICY, now),
                Event::Answers(which) => roster.learn(&address(which), Sign::Answers, &POLICY, now),
                Event::Fails(which, api) => {
                    let error = if api { CmsError::Busy } else { CmsError::ConnectionRefused };
                    roster.learn(&address(which), Sign::Fails(error), &POLICY, now);
                }
                Event::Condemn(which) => roster.condemn(&address(which)),
                Event::Wait => {}
            }
            let active = roster.get(roster.active()).unwrap().health.clone();
            let moved = roster.settle(&POLICY, false, now);
            let health = &roster.get(roster.active()).unwrap().health;
            let others = || roster.iter().map(|call_bridge| &call_bridge.health);
            prop_assert!(!health.is_down() || !others().any(Health::is_good));
            if let Some(moved) = &moved {
                prop_assert_ne!(&moved.from, &moved.to);
                match moved.cause {
                    Cause::Lost => prop_assert!(active.is_down()),
                    Cause::Failback => {
                        prop_assert!(!active.is_down());
                        let since = health.good_since.unwrap();
                        prop_assert!(now.duration_since(since) >= POLICY.failback.unwrap());
                        prop_assert!(failed_back.is_none_or(|last| now.duration_since(last) >= SignedDuration::from_secs(300) || before.active() != &moved.to));
                        failed_back = Some(now);
                    }
                }
            }
            // The same facts once more change nothing.
            prop_assert_eq!(roster.settle(&POLICY, false, now), None);
        }
    }
}
