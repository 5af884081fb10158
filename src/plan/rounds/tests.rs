use std::collections::BTreeSet;

use super::*;

/// Half a minute between two idle reads, as is the default.
const MINUTE: u64 = 2;

fn reads(turns: std::ops::Range<u64>, call_bridges: usize) -> Vec<(u64, IdleRead)> {
    let of_turn = |turn| idle_reads(turn, call_bridges, 500).into_iter().map(move |read| (turn, read));
    turns.flat_map(of_turn).collect()
}

/// The most turns that something may stay unseen: from just after one look to the next.
fn longest_gap(wanted: fn(&IdleRead) -> bool, call_bridges: usize) -> u64 {
    let turns = reads(0..600, call_bridges).into_iter().filter(|(_, read)| wanted(read)).map(|(turn, _)| turn);
    let turns: Vec<u64> = turns.collect();
    turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
}

#[test]
fn drift_on_an_idle_bridge_is_seen_within_three_minutes() {
    for call_bridges in [1, 4] {
        for wanted in [
            (|read| *read == IdleRead::Slots) as fn(&IdleRead) -> bool,
            |read| *read == IdleRead::Calls,
            |read| *read == IdleRead::Profile(ProfileKind::Call),
            |read| *read == IdleRead::Profile(ProfileKind::CallLeg),
        ] {
            assert!(longest_gap(wanted, call_bridges) <= 3 * MINUTE);
        }
        // A restart within a minute; where another read takes its turn, once in a quarter of an hour, within two.
        let is_status = |read: &IdleRead| *read == IdleRead::System;
        assert!(longest_gap(is_status, call_bridges) <= 2 * MINUTE);
        let first: Vec<u64> =
            reads(0..24, 1).into_iter().filter(|(_, read)| is_status(read)).map(|(at, _)| at).collect();
        assert_eq!(first, (0..12).map(|n| n * MINUTE).collect::<Vec<_>>());
    }
}

#[test]
fn an_idle_bridge_is_asked_twice_a_minute_and_for_one_list() {
    let round = reads(0..120, 1);
    // 120 reads are an hour.
    let lists = round.iter().filter(|(_, read)| *read == IdleRead::Slots).count();
    assert_eq!((round.len() - lists, lists), (120, 20));
    // 500 slots in pages of 50: ten requests more in three minutes.
    let of_others = reads(0..120, 4).iter().filter(|(_, read)| matches!(read, IdleRead::OtherSystem { .. })).count();
    assert_eq!(of_others, 20, "each of the others once in nine minutes, besides its calls");
}

#[test]
fn every_slot_and_every_call_bridge_has_its_turn() {
    let slots: BTreeSet<usize> = (0..600)
        .flat_map(|turn| idle_reads(turn, 3, 7))
        .filter_map(|read| if let IdleRead::Slot { index } = read { Some(index) } else { None })
        .collect();
    assert_eq!(slots, (0..7).collect());
    let others: BTreeSet<usize> = (0..24)
        .flat_map(|turn| idle_reads(turn, 3, 7))
        .filter_map(|read| if let IdleRead::OtherSystem { index } = read { Some(index) } else { None })
        .collect();
    assert_eq!(others, BTreeSet::from([0, 1]));
    assert_eq!(idle_reads(28, 0, 0), [IdleRead::Slot { index: 0 }], "nothing is known yet");
    assert!(reads(0..120, 1).iter().any(|(_, read)| *read == IdleRead::Members));
}

#[test]
fn a_bridge_with_live_meetings_is_looked_after_as_well() {
    let signs = SweepSigns { pages: 1, live: 3, is_clustered: true, ..SweepSigns::default() };
    let reads: Vec<SweepRead> = (0..12).map(|turn| sweep_read(turn, signs)).collect();
    let count = |wanted: SweepRead| reads.iter().filter(|read| **read == wanted).count();
    // Twelve sweeps are three minutes.
    assert_eq!((count(SweepRead::System), count(SweepRead::Slots)), (2, 1));
    assert_eq!(count(SweepRead::Remote), 2);
    let lone: Vec<SweepRead> =
        (0..12).map(|turn| sweep_read(turn, SweepSigns { is_clustered: false, ..signs })).collect();
    assert!(lone.contains(&SweepRead::Calls));
    let unsure = SweepSigns { unsure_legs: 1, ..signs };
    let of_legs = |turn: &u64| sweep_read(*turn, unsure) == SweepRead::Singles { legs: 1, spaces: 0 };
    assert_eq!((0..12).filter(of_legs).count(), 9, "people come first");
}

/// A leg that rings for ever, a call without legs, another call bridge: each of them once kept everything else from being
/// looked at.
#[test]
fn whatever_there_is_much_of_keeps_nothing_else_from_its_turn() {
    for unsure_legs in [0, 1, 9] {
        for (unwitnessed, is_clustered) in [(false, false), (true, false), (false, true), (true, true)] {
            let signs =
                SweepSigns { unsure_legs, unwitnessed, is_clustered, pages: 1, live: 4, ..SweepSigns::default() };
            let reads: Vec<SweepRead> = (0..12).map(|turn| sweep_read(turn, signs)).collect();
            for wanted in [SweepRead::System, SweepRead::Slots] {
                assert!(reads.contains(&wanted), "{wanted:?}: {signs:?}");
            }
            let spaces = |read: &SweepRead| if let SweepRead::Singles { spaces, .. } = read { *spaces } else { 0 };
            assert!(reads.iter().map(spaces).sum::<usize>() > 0, "{signs:?}");
        }
    }
}

/// In business hours no bridge is idle.
#[test]
fn what_an_idle_bridge_is_asked_has_its_turn_on_a_busy_one_as_well() {
    let signs = SweepSigns { pages: 1, live: 3, unwitnessed: true, ..SweepSigns::default() };
    for (profiles, slots, call_bridges) in [(0, 4, 1), (3, 5, 4), (2, 4, 3)] {
        let turns = 0..5_000;
        let reads: Vec<(u64, IdleRead)> =
            turns.filter_map(|turn| Some((turn, busy_read(turn, call_bridges, slots, profiles)?))).collect();
        assert!(reads.iter().all(|(turn, _)| sweep_read(*turn, signs) == SweepRead::Rest));
        let at = |wanted: IdleRead| -> Vec<u64> {
            reads.iter().filter(|(_, read)| *read == wanted).map(|(turn, _)| *turn).collect()
        };
        // Sweeps come four to the minute.
        for often in [IdleRead::Profile(ProfileKind::Call), IdleRead::Profile(ProfileKind::CallLeg)] {
            assert!(at(often).windows(2).all(|pair| pair[1] - pair[0] <= 9 * 4), "{often:?}");
        }
        let settings = (0..profiles).map(|index| IdleRead::SettingsProfile { index });
        let singles = (0..slots).map(|index| IdleRead::Slot { index });
        let others = (0..call_bridges - 1).map(|index| IdleRead::OtherSystem { index });
        let rest = settings.chain(singles).chain(others).chain([IdleRead::Foreign, IdleRead::Members]);
        for wanted in rest {
            assert!(at(wanted).len() > 5, "{wanted:?} of {profiles} profiles, {slots} slots");
        }
    }
    assert_eq!(busy_read(5, 1, 1, 0), None);
}

#[test]
fn a_sweep_costs_at_most_as_much_again_as_its_list_of_legs() {
    for turn in 0..16 {
        for unsure_legs in 0..5 {
            for pages in 1..4 {
                for live in 0..9 {
                    let signs = SweepSigns { unsure_legs, pages, live, is_clustered: true, ..SweepSigns::default() };
                    let requests = match sweep_read(turn, signs) {
                        SweepRead::Calls
                        | SweepRead::Remote
                        | SweepRead::System
                        | SweepRead::Slots
                        | SweepRead::Rest => 1,
                        SweepRead::Singles { legs, spaces } => {
                            assert!(spaces <= live);
                            legs + spaces
                        }
                    };
                    assert!(requests <= pages, "{signs:?}");
                }
            }
        }
    }
    // Every 15 s, 4 a minute, 2 each while lists fit a page: 8 requests a minute for all live meetings.
}

#[test]
fn a_call_whose_last_leg_went_is_looked_for_at_once() {
    let signs = SweepSigns { lost_witness: true, pages: 1, live: 1, ..SweepSigns::default() };
    assert!((0..4).all(|turn| sweep_read(turn, signs) == SweepRead::Calls));
    let silent = SweepSigns { lost_witness: false, unwitnessed: true, ..signs };
    assert_eq!(sweep_read(0, silent), SweepRead::Calls);
    assert_eq!(sweep_read(1, silent), SweepRead::Singles { legs: 0, spaces: 1 });
}
