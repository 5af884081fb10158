use serde_json::json;

use super::*;

#[test]
fn weekdays_are_read_as_the_rfc_writes_them() {
    for (text, day, nth) in [
        ("MO", WeekDay::Mo, None),
        ("1MO", WeekDay::Mo, Some(1)),
        ("+2TU", WeekDay::Tu, Some(2)),
        ("-1FR", WeekDay::Fr, Some(-1)),
    ] {
        assert_eq!(text.parse(), Ok(DayRule { day, nth }));
    }
    for odd in ["", "M", "XX", "0MO", "54MO", "-54SU", "1.MO", "mo", "MO1"] {
        assert!(odd.parse::<DayRule>().is_err(), "{odd}");
    }
    assert_eq!(serde_json::to_value(DayRule { day: WeekDay::Fr, nth: Some(-1) }).unwrap(), json!("-1FR"));
}
