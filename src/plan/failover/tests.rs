use super::*;
use proptest::prelude::*;

fn address(index: usize) -> Address {
    format!("cms{index}.test:445").parse().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn table(size: usize) -> HealthTable {
    let mut table = HealthTable::new(address(0));
    let role = |index| if index == 0 { CallBridgeRole::Primary } else { CallBridgeRole::Alternate };
    table.arrange((0..size).map(|index| (address(index), role(index), Membership::Member)).collect(), None);
    table
}

const POLICY: Policy = Policy { threshold: 3, failback: Some(SignedDuration::from_secs(300)) };
const MANUAL: Policy = Policy { threshold: 3, failback: None };

/// A table whose call bridges were all seen to be good.
fn good(size: usize) -> HealthTable {
    let mut table = table(size);
    for index in 0..size {
        table.learn(&address(index), HealthSignal::Connects, &POLICY, at(0));
    }
    table
}

fn fail(table: &mut HealthTable, index: usize, error: CmsError, secs: i64) -> Option<Move> {
    table.learn(&address(index), HealthSignal::Fails(error), &POLICY, at(secs));
    table.settle(&POLICY, false, at(secs))
}

fn refused(table: &mut HealthTable, index: usize, secs: i64) -> Option<Move> {
    fail(table, index, CmsError::ConnectionRefused, secs)
}

#[test]
fn the_active_call_bridge_is_left_after_the_threshold_and_not_before() {
    let mut table = good(3);
    assert_eq!(refused(&mut table, 0, 1), None);
    assert_eq!(refused(&mut table, 0, 2), None);
    let moved = refused(&mut table, 0, 3).unwrap();
    assert_eq!((moved.to, moved.cause), (address(1), Cause::Lost));
    assert!(table.has_failed_over());
    assert_eq!(table.get(&address(0)).unwrap().health.failing_since(), Some(at(1)));
}

#[test]
fn what_breaks_at_one_moment_counts_once() {
    let mut table = good(2);
    for _ in 0..100 {
        assert_eq!(refused(&mut table, 0, 1), None);
    }
    assert_eq!(refused(&mut table, 0, 2), None);
    assert!(refused(&mut table, 0, 3).is_some());
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let mut table = good(2);
    for secs in 0..20 {
        let sign =
            if secs % 3 == 2 { HealthSignal::Connects } else { HealthSignal::Fails(CmsError::ConnectionRefused) };
        table.learn(&address(0), sign, &POLICY, at(secs));
        assert_eq!(table.settle(&POLICY, false, at(secs)), None);
    }
}

#[test]
fn a_connection_does_not_make_up_for_an_api_that_refuses() {
    for error in [CmsError::Busy, CmsError::NotACms, CmsError::Timeout, CmsError::HttpError { status: 500 }] {
        let mut table = good(2);
        for secs in 0..2 {
            assert_eq!(fail(&mut table, 0, error.clone(), secs), None);
            table.learn(&address(0), HealthSignal::Connects, &POLICY, at(secs));
        }
        assert!(fail(&mut table, 0, error, 3).is_some());
        for secs in 4..10 {
            table.learn(&address(0), HealthSignal::Connects, &POLICY, at(secs));
        }
        assert!(table.get(&address(0)).unwrap().health.is_down(), "probes alone do not bring it back");
        table.learn(&address(0), HealthSignal::Answers, &POLICY, at(10));
        table.learn(&address(0), HealthSignal::Answers, &POLICY, at(11));
        assert!(table.get(&address(0)).unwrap().health.is_good());
    }
}

#[test]
fn wrong_credentials_are_enough_at_once() {
    let mut table = good(2);
    assert!(fail(&mut table, 0, CmsError::Unauthorized, 1).is_some());
}

#[test]
fn what_is_due_does_not_wait_for_the_threshold() {
    let mut table = good(3);
    table.learn(&address(0), HealthSignal::Fails(CmsError::ConnectTimeout), &POLICY, at(1));
    table.mark_down_now(&address(0));
    assert_eq!(table.settle(&POLICY, false, at(1)).unwrap().to, address(1));
    let mut alone = good(1);
    alone.learn(&address(0), HealthSignal::Fails(CmsError::ConnectTimeout), &POLICY, at(1));
    alone.mark_down_now(&address(0));
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
    let mut table = good(4);
    table.set_membership(&address(1), Membership::Barred);
    table.learn(&address(2), HealthSignal::Fails(CmsError::Unauthorized), &POLICY, at(0));
    for secs in 1..=3 {
        refused(&mut table, 0, secs);
    }
    assert_eq!(*table.active(), address(3));
}

#[test]
fn failback_waits_for_a_stable_primary() {
    let mut table = good(2);
    for secs in 1..=3 {
        refused(&mut table, 0, secs);
    }
    table.learn(&address(0), HealthSignal::Connects, &POLICY, at(10));
    assert!(table.get(&address(0)).unwrap().health.is_down(), "one success is not enough");
    table.learn(&address(0), HealthSignal::Connects, &POLICY, at(11));
    assert_eq!(table.settle(&POLICY, false, at(309)), None);
    assert_eq!(table.failback_at(&POLICY), Some(at(310)));
    // A failure on the way starts the wait again.
    refused(&mut table, 0, 200);
    table.learn(&address(0), HealthSignal::Connects, &POLICY, at(205));
    assert_eq!(table.settle(&POLICY, false, at(310)), None);
    let moved = table.settle(&POLICY, false, at(505)).unwrap();
    assert_eq!((moved.to, moved.cause), (address(0), Cause::Failback));
    assert_eq!(table.failback_at(&POLICY), None);
}

#[test]
fn what_works_again_is_not_left_for_what_comes_back_after_it() {
    let mut table = good(2);
    for secs in 1..=9 {
        refused(&mut table, 0, secs);
        refused(&mut table, 1, secs);
    }
    let first = table.active().clone();
    let other = address(usize::from(first == address(0)));
    let come_back = |mut table: HealthTable| {
        for secs in [11, 12] {
            table.learn(&other, HealthSignal::Connects, &POLICY, at(secs));
        }
        let moved = table.settle(&POLICY, false, at(12)).map(|moved| moved.to);
        (table, moved)
    };
    assert_eq!(come_back(table.clone()).1, Some(other.clone()), "a lost one is left");
    table.learn(&first, HealthSignal::Answers, &POLICY, at(10));
    let (mut table, moved) = come_back(table);
    assert_eq!(moved, None, "what is on its way back is not");
    table.learn(&first, HealthSignal::Fails(CmsError::ConnectionLost), &POLICY, at(13));
    assert_eq!(table.settle(&POLICY, false, at(13)).map(|moved| moved.to), Some(other), "it was but one lucky reply");
}

#[test]
fn manual_failback_waits_for_the_word() {
    let mut table = good(2);
    for secs in 1..=3 {
        refused(&mut table, 0, secs);
    }
    assert_eq!(table.settle(&MANUAL, true, at(4)), None, "not while it is bad");
    for secs in 10..12 {
        table.learn(&address(0), HealthSignal::Connects, &MANUAL, at(secs));
    }
    assert_eq!(table.settle(&MANUAL, false, at(1_000_000)), None);
    assert!(table.settle(&MANUAL, true, at(1_000_001)).is_some());
    // Even so a lost alternate is left for a good primary.
    let mut table = good(2);
    for secs in 1..=3 {
        refused(&mut table, 0, secs);
    }
    for secs in 10..12 {
        table.learn(&address(0), HealthSignal::Connects, &MANUAL, at(secs));
    }
    for secs in 20..23 {
        table.learn(&address(1), HealthSignal::Fails(CmsError::ConnectionRefused), &MANUAL, at(secs));
    }
    assert_eq!(table.settle(&MANUAL, false, at(23)).unwrap().to, address(0));
}

#[test]
fn the_first_to_come_back_is_used_when_all_were_lost() {
    let mut table = good(3);
    for index in 0..3 {
        for secs in 1..=3 {
            refused(&mut table, index, secs);
        }
    }
    let active = table.active().clone();
    let other = (0..3).map(address).find(|address| *address != active).unwrap();
    table.learn(&other, HealthSignal::Connects, &POLICY, at(10));
    assert_eq!(table.settle(&POLICY, false, at(10)).unwrap().to, other, "one success is better than none");
}

#[test]
fn a_restart_of_the_controller_is_no_reason_to_move() {
    let mut table = HealthTable::new(address(0));
    let wanted = || {
        vec![
            (address(0), CallBridgeRole::Primary, Membership::Member),
            (address(1), CallBridgeRole::Alternate, Membership::Member),
        ]
    };
    table.arrange(wanted(), Some(&address(1)));
    assert_eq!(*table.active(), address(1));
    table.learn(&address(1), HealthSignal::Connects, &POLICY, at(0));
    table.learn(&address(0), HealthSignal::Connects, &POLICY, at(0));
    assert_eq!(table.settle(&POLICY, false, at(1)), None);
    // The spec no longer has it.
    table.arrange(vec![(address(0), CallBridgeRole::Primary, Membership::Member)], None);
    assert_eq!(*table.active(), address(0));
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
        let mut table = table(3);
        let mut failed_back: Option<Timestamp> = None;
        for (secs, event) in (0i64..).zip(events) {
            let now = at(secs * 7);
            let before = table.clone();
            match event {
                Event::Connects(which) => table.learn(&address(which), HealthSignal::Connects, &POLICY, now),
                Event::Answers(which) => table.learn(&address(which), HealthSignal::Answers, &POLICY, now),
                Event::Fails(which, api) => {
                    let error = if api { CmsError::Busy } else { CmsError::ConnectionRefused };
                    table.learn(&address(which), HealthSignal::Fails(error), &POLICY, now);
                }
                Event::Condemn(which) => table.mark_down_now(&address(which)),
                Event::Wait => {}
            }
            let active = table.get(table.active()).unwrap().health.clone();
            let moved = table.settle(&POLICY, false, now);
            let health = &table.get(table.active()).unwrap().health;
            let others = || table.iter().map(|call_bridge| &call_bridge.health);
            prop_assert!(health.rank() > 0 || !others().any(Health::is_good));
            if let Some(moved) = &moved {
                prop_assert_ne!(&moved.from, &moved.to);
                match moved.cause {
                    Cause::Lost => prop_assert!(active.is_down()),
                    Cause::Maintenance => prop_assert!(false, "nothing is worked on"),
                    Cause::Failback => {
                        prop_assert!(active.rank() > 0, "it was lost");
                        let since = health.good_since.unwrap();
                        prop_assert!(now.duration_since(since) >= POLICY.failback.unwrap());
                        prop_assert!(failed_back.is_none_or(|last| now.duration_since(last) >= SignedDuration::from_secs(300) || before.active() != &moved.to));
                        failed_back = Some(now);
                    }
                }
            }
            // The same facts once more change nothing.
            prop_assert_eq!(table.settle(&POLICY, false, now), None);
        }
    }
}

#[test]
fn an_alternate_that_is_not_proven_is_never_moved_to() {
    let mut table = HealthTable::new(address(0));
    let wanted = |membership| {
        vec![
            (address(0), CallBridgeRole::Primary, Membership::Member),
            (address(1), CallBridgeRole::Alternate, membership),
        ]
    };
    table.arrange(wanted(Membership::Unproven), None);
    table.learn(&address(1), HealthSignal::Connects, &POLICY, at(0));
    for secs in 1..9 {
        assert_eq!(refused(&mut table, 0, secs), None, "nobody knows whose it is");
    }
    table.mark_down_now(&address(0));
    assert_eq!(table.settle(&POLICY, false, at(9)), None, "not even for what is due");
    assert!(!table.has_other_than(&address(0)));
    table.set_membership(&address(1), Membership::Member);
    assert_eq!(table.settle(&POLICY, false, at(10)).map(|moved| moved.to), Some(address(1)), "proven");
}

fn maintain(table: &mut HealthTable, modes: &[MaintenanceMode], secs: i64) -> Option<Move> {
    let mode_of = |of: &Address| {
        let index = (0..modes.len()).find(|index| address(*index) == *of);
        index.and_then(|index| modes.get(index).copied()).unwrap_or_default()
    };
    table.set_maintenance(mode_of);
    table.settle(&POLICY, false, at(secs))
}

#[test]
fn what_is_worked_on_is_left_at_once_and_taken_up_again_as_after_a_loss() {
    use MaintenanceMode::{Drain, Evacuate, None as InService};
    let mut table = good(3);
    let moved = maintain(&mut table, &[Drain, Drain], 10).unwrap();
    assert_eq!((moved.to, moved.cause), (address(2), Cause::Maintenance), "the first one in service");
    assert!(!table.is_evacuated(&address(0)), "its meetings finish there");
    maintain(&mut table, &[Evacuate, Drain], 11);
    assert!(table.is_evacuated(&address(0)) && !table.is_evacuated(&address(1)));
    assert_eq!(table.settle(&POLICY, true, at(1000)), None, "not even if somebody asks for the failback");
    assert_eq!(table.failback_at(&POLICY), None);
    // The work is done: failback as the policy says.
    assert!(!table.set_maintenance(|_| InService) || table.failback_at(&POLICY).is_some());
    let back = table.settle(&POLICY, false, at(1001)).unwrap();
    assert_eq!((back.to, back.cause), (address(0), Cause::Failback));
}

#[test]
fn meetings_start_where_is_worked_on_rather_than_nowhere() {
    use MaintenanceMode::{Drain, Evacuate, None as InService};
    let mut table = good(2);
    assert_eq!(maintain(&mut table, &[Evacuate, Drain], 1), None, "there is no other one in service");
    assert!(!table.is_evacuated(&address(0)), "its meetings have nowhere to go");
    for secs in 2..5 {
        assert_eq!(refused(&mut table, 1, secs), None);
    }
    assert_eq!(maintain(&mut table, &[Evacuate, InService], 6), None, "a bad one is no relief");
    // The other one gets good again while this one is still worked on.
    for secs in [7, 8] {
        table.learn(&address(1), HealthSignal::Answers, &POLICY, at(secs));
    }
    assert_eq!(table.settle(&POLICY, false, at(8)).map(|moved| moved.cause), Some(Cause::Maintenance));
    // It fails: better where is worked on than nowhere.
    let lost = (9..12).filter_map(|secs| refused(&mut table, 1, secs)).next().unwrap();
    assert_eq!((lost.to, lost.cause), (address(0), Cause::Lost));
}
