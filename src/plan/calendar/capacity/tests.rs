use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

static NONE: BTreeSet<u32> = BTreeSet::new();

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn window(from: i64, to: i64) -> Window {
    Window { opens_at: at(from), starts_at: at(from), closes_at: at(to) }
}

fn among(last: u32) -> Choice<'static> {
    Choice { range: 1..=last, quarantined: &NONE }
}

fn booked(windows: &[(u32, i64, i64)]) -> Calendar {
    let mut calendar = Calendar::default();
    for (index, (slot, from, to)) in windows.iter().enumerate() {
        calendar.adopt(&format!("m{index}"), *slot, window(*from, *to)).unwrap();
    }
    calendar
}

#[test]
fn a_full_time_is_named_as_a_whole() {
    let calendar = booked(&[(1, 0, 60), (1, 60, 90), (2, 30, 120), (1, 200, 300)]);
    assert_eq!(
        calendar.full_during(&window(0, 400), &among(2), ""),
        Some((at(30), at(90))),
        "over the change in slot 1"
    );
    assert_eq!(calendar.full_during(&window(40, 80), &among(2), ""), Some((at(40), at(80))), "as far as it is asked");
    assert_eq!(calendar.full_during(&window(90, 400), &among(2), ""), None);
    assert_eq!(calendar.full_during(&window(0, 400), &among(3), ""), None, "there is a third slot");
    assert_eq!(calendar.full_during(&window(0, 400), &among(2), "m2"), None, "one's own booking is in nobody's way");
    let others = BTreeSet::from([1]);
    let choice = Choice { range: 1..=2, quarantined: &others };
    assert_eq!(calendar.full_during(&window(0, 400), &choice, ""), Some((at(30), at(120))));
    let others = BTreeSet::from([1, 2]);
    let choice = Choice { range: 1..=2, quarantined: &others };
    assert_eq!(calendar.full_during(&window(0, 400), &choice, ""), Some((at(0), at(400))), "there is none at all");
}

#[test]
fn the_next_fit_is_the_first_gap_that_is_long_enough() {
    let calendar = booked(&[(1, 0, 60), (1, 100, 200), (2, 0, 90), (2, 120, 400)]);
    let fit = |from, to| calendar.next_fit(&window(from, to), &among(2), "").map(|fit| (fit.opens_at, fit.closes_at));
    assert_eq!(fit(0, 40), Some((at(60), at(100))), "the gap in slot 1 is just as long");
    assert_eq!(fit(0, 41), Some((at(200), at(241))));
    assert_eq!(fit(65, 75), Some((at(65), at(75))), "as it was asked for");
    let early = Window { starts_at: at(10), ..window(0, 40) };
    assert_eq!(calendar.next_fit(&early, &among(2), "").unwrap().starts_at, at(70), "early join goes with it");
    let never = Window { closes_at: Timestamp::MAX, ..window(0, 0) };
    assert_eq!(calendar.next_fit(&never, &among(1), ""), None);
}

#[test]
fn each_day_has_its_peak() {
    // at(0) is 2027-01-15 08:00 UTC.
    let day = 24 * 3600;
    let calendar =
        booked(&[(1, 0, 60), (2, 30, 90), (1, day, day + 60), (1, 3 * day, 4 * day), (1, 9 * day, 10 * day)]);
    let peaks: Vec<_> =
        calendar.peaks(at(5)).into_iter().map(|peak| (peak.date.to_string(), peak.meetings, peak.from)).collect();
    let midnight = at(4 * day - 8 * 3600);
    assert_eq!(
        peaks,
        [
            ("2027-01-15".to_owned(), 2, at(30)),
            ("2027-01-16".to_owned(), 1, at(day)),
            ("2027-01-18".to_owned(), 1, at(3 * day)),
            ("2027-01-19".to_owned(), 1, midnight),
        ]
    );
}

proptest! {
    /// What is called full is, what is called free can be booked, and nothing earlier could have been.
    #[test]
    fn it_agrees_with_what_can_be_booked(
        wishes in prop::collection::vec((0_i64..60, 1_i64..20), 0..25), last in 1_u32..4,
        asked in (0_i64..60, 1_i64..20),
    ) {
        let mut calendar = Calendar::default();
        for (index, (from, length)) in wishes.into_iter().enumerate() {
            calendar.reserve(&format!("m{index}"), window(from, from + length), &among(last));
        }
        let (from, length) = asked;
        let is_free = |from: i64, length: i64| calendar.free("x", &window(from, from + length), &among(last)).next().is_some();
        let fit = calendar.next_fit(&window(from, from + length), &among(last), "x").unwrap();
        let first = (from..200).find(|from| is_free(*from, length)).unwrap();
        prop_assert_eq!(fit, window(first, first + length));
        let full: Vec<i64> = (from..from + length).filter(|second| !is_free(*second, 1)).collect();
        match calendar.full_during(&window(from, from + length), &among(last), "x") {
            None => prop_assert!(full.is_empty()),
            Some((since, until)) => {
                let told: Vec<i64> = (from..from + length).filter(|second| (since..until).contains(&at(*second))).collect();
                prop_assert_eq!(&full[..told.len()], &told[..]);
                prop_assert!(full.get(told.len()).is_none_or(|next| at(*next) > until), "told to its end");
            }
        }
    }
}
