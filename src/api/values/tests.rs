use super::*;

#[test]
fn instants_keep_only_the_digits_they_need() {
    let whole: Instant = serde_json::from_str("\"2026-11-23T10:00:00+01:00\"").unwrap();
    assert_eq!(serde_json::to_string(&whole).unwrap(), "\"2026-11-23T09:00:00Z\"");
    let part: Instant = serde_json::from_str("\"2026-11-23T09:00:00.25Z\"").unwrap();
    assert_eq!(serde_json::to_string(&part).unwrap(), "\"2026-11-23T09:00:00.25Z\"");
}

#[test]
fn spans_parse_like_go() {
    let span: Span = serde_json::from_str("\"1h30m\"").unwrap();
    assert_eq!(span.get(), std::time::Duration::from_secs(5400));
}
