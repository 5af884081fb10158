use std::collections::BTreeSet;

use super::*;

#[test]
fn an_idle_bridge_is_asked_once_a_read_and_everything_comes_in_turn() {
    let round: Vec<IdleRead> = (0..32).map(|turn| idle_read(turn, 1, 5)).collect();
    let count = |wanted: fn(&IdleRead) -> bool| round.iter().filter(|read| wanted(read)).count();
    assert_eq!(count(|read| matches!(read, IdleRead::System { .. })), 5, "at least every eighth read");
    assert_eq!(count(|read| matches!(read, IdleRead::Calls { .. })), 8);
    assert_eq!(count(|read| matches!(read, IdleRead::Slot { .. })), 16);
    assert_eq!(count(|read| matches!(read, IdleRead::CallProfile)), 1);
    assert_eq!(count(|read| matches!(read, IdleRead::CallLegProfile)), 1);
    assert_eq!(count(|read| matches!(read, IdleRead::Members)), 1);
    // A read is one request: with the default of one a minute that is one request a minute.
    assert_eq!(round.len(), 32);
}

#[test]
fn the_status_is_never_long_in_coming() {
    let is_system = |turn: u64| matches!(idle_read(turn, 1, 5), IdleRead::System { .. });
    for start in 0..64 {
        assert!((start..start + 8).any(is_system), "from {start}");
    }
}

#[test]
fn every_slot_and_every_call_bridge_has_its_turn() {
    let slots: BTreeSet<usize> = (0..20)
        .filter_map(|turn| match idle_read(turn, 3, 7) {
            IdleRead::Slot { index } => Some(index),
            _ => None,
        })
        .collect();
    assert_eq!(slots, (0..7).collect());
    let asked: BTreeSet<(bool, usize)> = (0..32)
        .filter_map(|turn| match idle_read(turn, 3, 7) {
            IdleRead::System { call_bridge } => Some((true, call_bridge)),
            IdleRead::Calls { call_bridge } => Some((false, call_bridge)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 6);
    assert_eq!(idle_read(2, 0, 0), IdleRead::Slot { index: 0 }, "nothing is known yet");
}

#[test]
fn a_sweep_costs_at_most_as_much_again_as_its_list_of_legs() {
    for turn in 0..16 {
        for unsure_legs in 0..5 {
            for pages in 1..4 {
                for live in 0..9 {
                    let signs = SweepSigns { unsure_legs, pages, live, is_clustered: true, ..SweepSigns::default() };
                    let requests = match sweep_read(turn, signs) {
                        SweepRead::Calls | SweepRead::Remote => 1,
                        SweepRead::Singles { legs, spaces } => {
                            assert!(spaces.iter().all(|index| *index < live));
                            legs + spaces.len()
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
    assert_eq!(sweep_read(1, silent), SweepRead::Singles { legs: 0, spaces: vec![0] });
}
