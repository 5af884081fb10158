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

#[test]
fn far_instants_are_approached_in_steps() {
    assert_eq!(sleep(at(0), at(30)), Duration::from_secs(30));
    assert_eq!(sleep(at(0), at(100)), Duration::from_secs(50));
    assert_eq!(sleep(at(0), at(86_400)), LONGEST_SLEEP);
    assert_eq!(sleep(at(10), at(0)), Duration::ZERO);
}
