use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn minutes(minutes: i64) -> Timestamp {
    at(minutes * 60)
}

/// One who sees what is wrong at `now` and puts it back if it is time to. True: he did.
fn look(repairs: &mut Option<Repairs>, is_wrong: bool, rest: SignedDuration, now: Timestamp) -> bool {
    repairs.take_if(|repairs| repairs.is_forgotten(now));
    if let Some(repairs) = repairs {
        repairs.see(if is_wrong { Shown::Shut } else { Shown::AsWanted }, rest, now);
    }
    let is_due = is_wrong && repairs.is_none_or(|repairs| repairs.is_due(rest, now));
    if is_due {
        *repairs = Some(Repairs::after(*repairs, now, Rival::Unknown));
    }
    is_due
}

#[test]
fn the_third_repair_within_the_quiet_time_is_the_last_one_until_it_was_quiet() {
    let mut repairs = None;
    for minute in [0, 20, 45] {
        assert!(look(&mut repairs, true, QUIET, minutes(minute)));
        assert!(!look(&mut repairs, false, QUIET, minutes(minute + 1)), "seen to be right");
    }
    assert!(repairs.unwrap().is_tug(minutes(46)));
    assert!(!look(&mut repairs, true, QUIET, minutes(50)), "left to them");
    assert_eq!(repairs.unwrap().shown, Shown::Shut);
    assert_eq!(repairs.unwrap().due_at(QUIET), Some(minutes(75)));
    assert!(look(&mut repairs, true, QUIET, minutes(75)), "tried again");
    assert!(repairs.unwrap().is_tug(minutes(76)), "which is one more of the same");
    assert!(!look(&mut repairs, true, QUIET, minutes(80)));
    assert!(!look(&mut repairs, false, QUIET, minutes(81)), "they gave up");
    assert!(!look(&mut repairs, false, QUIET, minutes(135)));
    assert_eq!(repairs, None, "forgotten");
}

#[test]
fn changes_that_are_far_between_are_no_tug() {
    let mut repairs = None;
    for hour in 0..20 {
        assert!(look(&mut repairs, true, QUIET, minutes(60 * hour)));
        assert_eq!(repairs.unwrap().count, 1);
    }
}

#[test]
fn what_lets_strangers_in_is_never_given_up() {
    let mut repairs = None;
    let done = (0..3600).filter(|second| look(&mut repairs, true, SHUT_AGAIN, at(*second))).count();
    assert!((59..=63).contains(&done), "{done} in an hour");
}

#[test]
fn an_old_look_is_no_tug() {
    let mut repairs = None;
    assert!(look(&mut repairs, true, QUIET, at(0)));
    for second in 1..10 {
        assert!(!look(&mut repairs, true, QUIET, at(second)), "from before the write, perhaps");
    }
    assert_eq!(repairs.map(|repairs| (repairs.count, repairs.shown)), Some((1, Shown::Nothing)));
    assert!(!look(&mut repairs, false, QUIET, at(10)));
    assert!(look(&mut repairs, true, QUIET, at(11)), "proven, and changed again");
    assert!(look(&mut repairs, true, QUIET, at(21)), "nor is it waited for a proof for ever");
}

proptest! {
    /// Whatever others do, and however the clock steps: no more repairs than promised, and the schema takes what is kept.
    #[test]
    fn repairs_are_few(looks in prop::collection::vec((any::<bool>(), 0..600_i64), 0..200)) {
        let (mut repairs, mut now, mut done) = (None, 0, Vec::new());
        for (is_wrong, later) in looks {
            now += later;
            if look(&mut repairs, is_wrong, QUIET, at(now)) {
                done.push(now);
            }
            prop_assert!(repairs.is_none_or(|repairs| (1..=MOST_REPAIRS).contains(&repairs.count)));
        }
        for (index, first) in done.iter().enumerate() {
            let soon = done[index..].iter().filter(|then| *then - first < 30 * 60).count();
            prop_assert!(soon <= 3, "{soon} from {first} on: {done:?}");
        }
    }

    /// As much as is fought for, each thing is there once, and no more than the schema takes.
    #[test]
    fn contests_fit_the_schema(repairs in prop::collection::vec((0..4_u8, 0..80_u32, 0..3600_i64), 0..300)) {
        let (mut contests, mut now) = (Contests::default(), 0);
        for (thing, slot, later) in repairs {
            now += later;
            let thing = match thing {
                0 => (Contested::CallProfile, None),
                1 => (Contested::Spaces, None),
                _ => (Contested::FreeSlot, Some(slot)),
            };
            contests.repaired(thing, at(now), Rival::Unknown);
            let kept = contests.to_vec();
            prop_assert!(kept.len() <= MOST_CONTESTS);
            prop_assert!(kept.iter().all(|one| (1..=MOST_REPAIRS).contains(&one.repairs.count)));
            let mut keys: Vec<String> = kept.iter().map(|one| format!("{:?} {:?}", one.thing, one.slot)).collect();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), kept.len());
        }
    }
}
