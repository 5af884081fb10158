use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn spec(json: serde_json::Value) -> ScheduledMeetingSpec {
    serde_json::from_value(json).unwrap()
}

fn hour() -> ScheduledMeetingSpec {
    spec(serde_json::json!({ "title": "t", "start": at(0).to_string(), "duration": "1h", "earlyJoin": "5m" }))
}

#[test]
fn the_window_is_half_open() {
    let window = Window::of(&hour(), None);
    assert_eq!(window.opens_at, at(-300));
    assert_eq!(window.closes_at, at(3600));
    assert_eq!(window.stage(at(-311)), Stage::Before);
    assert_eq!(window.stage(at(-310)), Stage::Preparing);
    assert_eq!(window.stage(at(-300)), Stage::Inside);
    assert_eq!(window.stage(at(3599)), Stage::Inside);
    assert_eq!(window.stage(at(3600)), Stage::Over);
}

#[test]
fn back_to_back_meetings_do_not_overlap() {
    let first = Window { opens_at: at(0), starts_at: at(0), closes_at: at(60) };
    let second = Window { opens_at: at(60), starts_at: at(60), closes_at: at(120) };
    assert!(!first.overlaps(&second) && !second.overlaps(&first));
    let early = Window { opens_at: at(59), ..second };
    assert!(first.overlaps(&early) && early.overlaps(&first));
}

#[test]
fn every_instant_is_met_once_and_in_order() {
    let window = Window::of(&hour(), None);
    let mut now = at(-10_000);
    let mut seen = Vec::new();
    let mut spec = hour();
    while let Some(next) = window.next_instant(&spec, now) {
        seen.push(next);
        now = next;
    }
    assert_eq!(seen, vec![at(-310), at(-300), at(0), at(3600)]);
    spec.extension = serde_json::from_value(serde_json::json!({ "auto": { "step": "20m", "max": "30m" } })).unwrap();
    assert_eq!(window.next_instant(&spec, at(1)), Some(at(3570)), "an extension is decided before the end");
    spec.extension = serde_json::from_value(serde_json::json!({ "auto": { "step": "20s", "max": "30m" } })).unwrap();
    assert_eq!(window.next_instant(&spec, at(1)), Some(at(3570)), "one that is too short counts as a minute");
    assert_eq!(window.extended(&spec), Some(at(3660)));
}

#[test]
fn extensions_stop_at_the_cap() {
    let mut spec = hour();
    spec.extension = serde_json::from_value(serde_json::json!({ "auto": { "step": "20m", "max": "30m" } })).unwrap();
    let first = Window::of(&spec, None).extended(&spec).unwrap();
    assert_eq!(first, at(3600 + 1200));
    let second = Window::of(&spec, Some(first)).extended(&spec).unwrap();
    assert_eq!(second, at(3600 + 1800));
    assert_eq!(Window::of(&spec, Some(second)).extended(&spec), None);
    assert_eq!(Window::of(&spec, Some(at(99_999))).closes_at, at(3600 + 1800), "a lowered cap takes effect");
    let status = ScheduledMeetingStatus {
        extended_until: Some(Instant(first)),
        extended_from: Some(Instant(at(3600))),
        ..ScheduledMeetingStatus::default()
    };
    assert_eq!(Window::of_meeting(&spec, &status).closes_at, first);
    spec.duration = Some(crate::api::values::Span::from_secs(600));
    assert_eq!(Window::of_meeting(&spec, &status).closes_at, at(600), "who edits the end means it");
}

/// People are told what was agreed: not what was refused, and not what the controller added by itself.
#[test]
fn people_are_invited_to_what_was_agreed() {
    let ends = |from: i64| WindowStatus::from(Window { closes_at: at(from), ..Window::of(&hour(), None) });
    let status = |window: i64, until: Option<i64>, from: Option<i64>| ScheduledMeetingStatus {
        window: Some(ends(window)),
        extended_until: until.map(|until| Instant(at(until))),
        extended_from: from.map(|from| Instant(at(from))),
        ..ScheduledMeetingStatus::default()
    };
    let invited = |status: &ScheduledMeetingStatus| Window::invited(&hour(), status).closes_at;
    assert_eq!(invited(&ScheduledMeetingStatus::default()), at(3600));
    assert_eq!(invited(&status(1800, None, None)), at(1800), "an hour was refused");
    assert_eq!(invited(&status(4200, Some(4200), Some(3600))), at(3600), "extended by itself");
    assert_eq!(invited(&status(4200, Some(4200), None)), at(3600), "by a version that did not say from when");
    assert_eq!(invited(&status(2400, Some(2400), Some(1800))), at(1800), "then an hour was refused");
    assert_eq!(invited(&status(3600, Some(3600), Some(1800))), at(3600), "and then it was asked for just that");
}

#[test]
fn far_instants_are_approached_in_steps() {
    assert_eq!(sleep(at(0), at(30)), Duration::from_secs(30));
    assert_eq!(sleep(at(0), at(100)), Duration::from_secs(50));
    assert_eq!(sleep(at(0), at(86_400)), LONGEST_SLEEP);
    assert_eq!(sleep(at(10), at(0)), Duration::ZERO);
}
