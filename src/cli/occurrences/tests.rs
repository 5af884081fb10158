use jiff::civil::date;

use super::*;

fn series(spec: &str) -> MeetingSeries {
    let text = format!(
        "apiVersion: meeting-controller.dev/v1alpha1\nkind: MeetingSeries\nmetadata: {{ name: weekly }}\n\
         spec: {{ timeZone: Europe/Berlin, duration: 45m, template: {{ spec: {{ title: W }} }}, {spec} }}\n"
    );
    serde_yaml::from_str(&text).unwrap()
}

/// At 10:00 all year round, also where clocks change.
#[test]
fn a_week_in_berlin_keeps_its_hour() {
    let weekly = series("start: '2026-12-01T10:00:00', recurrence: { frequency: Weekly }");
    let listed = list(&weekly, None, date(2027, 12, 31)).unwrap();
    assert_eq!(listed.occurrences.len(), 57);
    assert!(listed.occurrences.iter().all(|one| one.local_start.time() == "10:00".parse().unwrap()));
    let utc = |at: &str| listed.occurrences.iter().find(|one| one.name.ends_with(at)).unwrap().start.to_string();
    assert_eq!(utc("20270323t1000"), "2027-03-23T09:00:00Z");
    assert_eq!(utc("20270330t1000"), "2027-03-30T08:00:00Z");
    assert_eq!(utc("20271102t1000"), "2027-11-02T09:00:00Z");
}

/// 2:30 is left out on the last Sunday of March, and there twice on that of October: clocks show 3:30 then, and the first one
/// is meant.
#[test]
fn an_hour_that_clocks_leave_out_or_repeat_follows_the_rule_that_is_written_down() {
    let daily = series("start: '2027-03-27T02:30:00', recurrence: { frequency: Daily }");
    let shown = |day| text(&list(&daily, Some(day), day).unwrap());
    assert!(shown(date(2027, 3, 28)).contains(
        "Sun 2027-03-28 03:30  2027-03-28T01:30:00Z  45m  weekly-20270328t0230  instead of 2027-03-28 02:30"
    ));
    assert!(
        shown(date(2027, 10, 31)).contains("Sun 2027-10-31 02:30  2027-10-31T00:30:00Z"),
        "{}",
        shown(date(2027, 10, 31))
    );
}

#[test]
fn exceptions_show_and_neither_horizon_nor_suspension_matter() {
    let weekly = series(
        "start: '2026-12-01T10:00:00', horizon: 1h, maxAhead: 1, suspend: true, recurrence: { frequency: Weekly, count: 4 }, \
         exceptions: [{ occurrence: '2026-12-08T10:00:00', skip: true }, \
                      { occurrence: '2026-12-15T10:00:00', start: '2026-12-16T11:00:00', duration: 2h }, \
                      { occurrence: '2026-12-09T10:00:00', skip: true }]",
    );
    let expected = "\
weekly: every week on TU at 10:00, 4 times, Europe/Berlin: 3 occurrences
  Tue 2026-12-01 10:00  2026-12-01T09:00:00Z  45m  weekly-20261201t1000
  Tue 2026-12-08 10:00  2026-12-08T09:00:00Z  45m  weekly-20261208t1000  skipped
  Wed 2026-12-16 11:00  2026-12-16T10:00:00Z  2h  weekly-20261215t1000  instead of 2026-12-15 10:00
  Tue 2026-12-22 10:00  2026-12-22T09:00:00Z  45m  weekly-20261222t1000
  no occurrence at 2026-12-09T10:00:00: the exception for it has no effect
";
    assert_eq!(text(&list(&weekly, None, date(2027, 12, 31)).unwrap()), expected);
    let one = list(&weekly, Some(date(2026, 12, 16)), date(2026, 12, 16)).unwrap();
    assert_eq!(one.occurrences.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["weekly-20261215t1000"]);
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(json["occurrences"][0]["localStart"], "2026-12-16T11:00:00");
    let unknown = MeetingSeries {
        spec: crate::api::MeetingSeriesSpec { time_zone: "Europe/Nowhere".into(), ..weekly.spec },
        ..weekly
    };
    assert!(list(&unknown, None, date(2027, 1, 1)).unwrap_err().contains("UnknownTimeZone"));
}
