use super::*;
use proptest::prelude::*;

fn window(from: i64, to: i64) -> Window {
    let at = |secs| Timestamp::from_second(1_800_000_000 + secs).unwrap();
    Window { opens_at: at(from), starts_at: at(from), closes_at: at(to) }
}

fn among(range: RangeInclusive<u32>) -> Choice<'static> {
    static NONE: BTreeSet<u32> = BTreeSet::new();
    Choice { range, quarantined: &NONE }
}

#[test]
fn one_meeting_at_a_time_always_has_the_first_slot() {
    let mut calendar = Calendar::default();
    for i in 0..10 {
        assert_eq!(calendar.reserve(&format!("m{i}"), window(i * 60, i * 60 + 60), &among(1..=5)), Some(1));
    }
}

#[test]
fn overlapping_meetings_get_the_lowest_free_numbers_until_none_is_left() {
    let mut calendar = Calendar::default();
    for i in 1..=3_u32 {
        assert_eq!(calendar.reserve(&format!("m{i}"), window(0, 60), &among(1..=3)), Some(i));
    }
    assert_eq!(calendar.reserve("late", window(30, 90), &among(1..=3)), None);
    assert!(calendar.release("m2"));
    assert_eq!(calendar.reserve("late", window(30, 90), &among(1..=3)), Some(2));
}

#[test]
fn a_moved_meeting_keeps_its_number_when_it_can() {
    let mut calendar = Calendar::default();
    calendar.reserve("a", window(0, 60), &among(1..=3));
    calendar.reserve("b", window(0, 60), &among(1..=3));
    assert_eq!(calendar.reserve("b", window(0, 120), &among(1..=3)), Some(2));
    calendar.reserve("c", window(60, 120), &among(1..=3));
    assert_eq!(calendar.of("c").unwrap().0, 1);
    assert_eq!(calendar.adopt("a", 1, window(0, 61)), Err("c".into()), "the added minute belongs to c");
    assert_eq!(calendar.of("a").unwrap().1, window(0, 60), "the old end stands");
}

#[test]
fn quarantined_numbers_are_left_out() {
    let mut calendar = Calendar::default();
    let quarantined = BTreeSet::from([1]);
    let choice = Choice { range: 1..=2, quarantined: &quarantined };
    assert_eq!(calendar.reserve("a", window(0, 60), &choice), Some(2));
    assert_eq!(calendar.reserve("b", window(0, 60), &choice), None);
}

#[test]
fn summary_counts_half_open() {
    let mut calendar = Calendar::default();
    calendar.reserve("a", window(10, 60), &among(1..=3));
    calendar.reserve("b", window(60, 90), &among(1..=3));
    calendar.reserve("c", window(20, 30), &among(1..=3));
    let (soon, peak, next) = calendar.summary(window(0, 0).opens_at);
    assert_eq!((soon, peak, next), (3, 2, Some(window(10, 11).opens_at)));
}

proptest! {
    /// Whatever is booked, moved and released: no two windows in one slot overlap, and a refusal is honest.
    #[test]
    fn no_slot_is_ever_shared(ops in prop::collection::vec((0_u8..12, 0_i64..50, 1_i64..20, any::<bool>()), 1..120)) {
        let mut calendar = Calendar::default();
        for (id, from, length, release) in ops {
            let meeting = format!("m{id}");
            if release {
                calendar.release(&meeting);
                continue;
            }
            let wanted = window(from, from + length);
            let got = calendar.reserve(&meeting, wanted, &among(1..=4));
            if got.is_none() {
                let blocked = (1..=4).all(|slot| calendar.entries()
                    .any(|(m, s, w)| s == slot && **m != *meeting && w.overlaps(&wanted)));
                prop_assert!(blocked);
            } else {
                prop_assert_eq!(calendar.of(&meeting), got.map(|slot| (slot, wanted)));
            }
            let all: Vec<_> = calendar.entries().map(|(m, s, w)| (m.clone(), s, *w)).collect();
            for (i, (ma, sa, wa)) in all.iter().enumerate() {
                for (mb, sb, wb) in all.iter().skip(i + 1) {
                    prop_assert!(sa != sb || !wa.overlaps(wb), "{ma} and {mb} share slot {sa}");
                }
            }
        }
    }
}
