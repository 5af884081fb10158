use super::*;
use crate::api::values::Instant;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

/// From 0 to an hour later, open since five minutes before.
fn window() -> Window {
    Window { opens_at: at(-300), starts_at: at(0), closes_at: at(3600) }
}

fn asked(minutes: &[u32]) -> EndWarning {
    serde_json::from_value(serde_json::json!({ "minutesBefore": minutes })).unwrap()
}

fn done(end: i64, minutes: u32) -> EndWarningStatus {
    EndWarningStatus { end: Instant(at(end)), minutes, shown_at: None, failed: None }
}

/// Due, passed, and the seconds until the next one.
fn all(asked: &EndWarning, opened: i64, done: Option<&EndWarningStatus>, now: i64) -> (Option<u32>, Option<u32>, i64) {
    let warnings = Warnings { asked, window: window(), opened_at: at(opened), done };
    let next = warnings.next(at(now)).map_or(-1, |next| next.duration_since(at(0)).as_secs());
    (warnings.due(at(now)), warnings.passed(at(now)), next)
}

#[test]
fn each_is_due_at_its_minute_and_for_as_long_as_it_says_the_truth() {
    let usual = asked(&[1, 5]);
    assert_eq!(all(&usual, -300, None, 0), (None, None, 3300));
    assert_eq!(all(&usual, -300, None, 3299), (None, None, 3300));
    assert_eq!(all(&usual, -300, None, 3300), (Some(5), None, 3540));
    assert_eq!(all(&usual, -300, None, 3320), (Some(5), None, 3540));
    assert_eq!(all(&usual, -300, None, 3321), (None, Some(5), 3540), "too late");
    assert_eq!(all(&usual, -300, None, 3540), (Some(1), Some(5), -1));
    assert_eq!(all(&usual, -300, None, 3561), (None, Some(1), -1), "the last one stands for both");
}

#[test]
fn what_is_done_for_this_end_is_done_and_another_end_begins_again() {
    let usual = asked(&[5, 1]);
    let five = done(3600, 5);
    assert_eq!(all(&usual, -300, Some(&five), 3300), (None, None, 3540));
    assert_eq!(all(&usual, -300, Some(&done(3600, 1)), 3540), (None, None, -1), "one minute is told, so five are");
    assert_eq!(all(&usual, -300, Some(&done(3000, 1)), 3300), (Some(5), None, 3540), "that was the end before");
}

#[test]
fn nothing_is_shown_at_the_very_beginning_or_to_nobody() {
    let long = asked(&[60, 59, 5]);
    assert_eq!(all(&long, -300, None, 0), (None, None, 60), "all know how long it lasts");
    assert_eq!(all(&long, -300, None, 60), (Some(59), None, 3300));
    assert_eq!(all(&long, 100, None, 200), (None, None, 3300), "the door was opened after that");
    assert_eq!(all(&asked(&[]), -300, None, 3300), (None, None, -1));
}

#[test]
fn the_text_says_how_many_minutes_are_left() {
    assert_eq!(asked(&[5]).text_with(5), "This meeting ends in 5 min.");
    let own = EndWarning { text: "{minutes}! {minutes}?".to_owned(), ..asked(&[1]) };
    assert_eq!(own.text_with(1), "1! 1?");
}
