use jiff::ToSpan;
use jiff::civil::date;
use jiff::tz::Offset;
use proptest::prelude::*;
use serde_json::json;

use super::super::rule::tests::{any_rule, independent};
use super::*;

const HORIZON: SignedDuration = SignedDuration::from_hours(30 * 24);

fn spec(changes: serde_json::Value) -> MeetingSeriesSpec {
    let mut spec = json!({
        "start": "2026-12-07T09:00:00", "timeZone": "Europe/Berlin", "duration": "1h",
        "recurrence": { "frequency": "Weekly" }, "template": { "spec": { "title": "t" } }
    });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn starts(spec: &MeetingSeriesSpec, now: &str) -> Vec<String> {
    let schedule = Schedule::of(spec, at(now), HORIZON).unwrap();
    schedule.planned.values().map(|planned| planned.start.to_string()).collect()
}

#[test]
fn the_horizon_rolls() {
    let weekly = spec(json!({}));
    let schedule = Schedule::of(&weekly, at("2026-12-01T00:00:00Z"), HORIZON).unwrap();
    let days: Vec<i8> = schedule.planned.keys().map(|at| at.day()).collect();
    assert_eq!(days, [7, 14, 21, 28]);
    assert_eq!(schedule.later, Some(at("2027-01-04T08:00:00Z")));
}

#[test]
fn what_runs_is_still_there_and_what_is_over_is_not() {
    let weekly = spec(json!({}));
    assert_eq!(starts(&weekly, "2026-12-07T08:59:59Z")[0], "2026-12-07T08:00:00Z");
    assert_eq!(starts(&weekly, "2026-12-07T09:00:00Z")[0], "2026-12-14T08:00:00Z");
}

/// CronJobs stop for good after 100 missed starts, others start all of them at once.
#[test]
fn whatever_was_missed_is_not_made_up_for() {
    let hourly_daily = spec(json!({ "start": "1990-01-01T09:00:00", "recurrence": { "frequency": "Daily" } }));
    let schedule = Schedule::of(&hourly_daily, at("2026-12-01T12:00:00Z"), HORIZON).unwrap();
    assert_eq!(schedule.planned.len(), 30);
    assert_eq!(schedule.planned.keys().next(), Some(&date(2026, 12, 2).at(9, 0, 0, 0)));
}

#[test]
fn so_many_at_most_and_the_first_of_them() {
    let daily = spec(json!({ "recurrence": { "frequency": "Daily" }, "maxAhead": 3 }));
    assert_eq!(starts(&daily, "2026-12-01T00:00:00Z").len(), 3);
}

#[test]
fn an_exception_skips_moves_and_lengthens() {
    let exceptions = json!([
        { "occurrence": "2026-12-07T09:00:00", "skip": true },
        { "occurrence": "2026-12-14T09:00:00", "start": "2026-12-15T10:00:00", "duration": "2h" },
        // From beyond the horizon into it, and out of it.
        { "occurrence": "2027-01-11T09:00:00", "start": "2026-12-20T09:00:00" },
        { "occurrence": "2026-12-28T09:00:00", "start": "2027-01-31T09:00:00" },
        { "occurrence": "2026-12-22T09:00:00", "title": "on a day that the rule does not have" },
        { "occurrence": "2026-11-01T09:00:00", "title": "past and gone" }
    ]);
    let series = spec(json!({ "exceptions": exceptions }));
    let schedule = Schedule::of(&series, at("2026-12-01T00:00:00Z"), HORIZON).unwrap();
    let planned: Vec<_> =
        schedule.planned.iter().map(|(at, planned)| (at.to_string(), planned.start.to_string())).collect();
    let wanted = [
        ("2026-12-14T09:00:00", "2026-12-15T09:00:00Z"),
        ("2026-12-21T09:00:00", "2026-12-21T08:00:00Z"),
        ("2027-01-11T09:00:00", "2026-12-20T08:00:00Z"),
    ];
    assert_eq!(planned, wanted.map(|(at, start)| (at.to_owned(), start.to_owned())));
    assert_eq!(schedule.planned[&date(2026, 12, 14).at(9, 0, 0, 0)].end(), at("2026-12-15T11:00:00Z"));
    assert_eq!(schedule.skipped.keys().collect::<Vec<_>>(), [&date(2026, 12, 7).at(9, 0, 0, 0)]);
    assert_eq!(schedule.unmatched, [date(2026, 12, 22).at(9, 0, 0, 0)]);
    let asked = [7, 8, 28].map(|day| date(2026, 12, day).at(9, 0, 0, 0));
    assert_eq!(schedule.named(&asked.into()), [asked[2]].into(), "one is left out, and of one the rule knows nothing");
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_reason() {
    let now = at("2026-12-01T00:00:00Z");
    let nowhere = spec(json!({ "timeZone": "Europe/Atlantis" }));
    assert_eq!(Schedule::of(&nowhere, now, HORIZON).unwrap_err().reason, "UnknownTimeZone");
    let never = spec(json!({ "recurrence": { "frequency": "Yearly", "byMonth": [2], "byMonthDay": [30] } }));
    assert_eq!(Schedule::of(&never, now, HORIZON).unwrap_err().reason, "InvalidRecurrence");
}

#[test]
fn a_rule_that_is_over_is_over() {
    let twice = spec(json!({ "recurrence": { "frequency": "Weekly", "count": 2 } }));
    let now = |text| Schedule::of(&twice, at(text), HORIZON).unwrap().is_over();
    assert!(!now("2026-12-14T08:30:00Z") && now("2026-12-14T09:00:00Z"));
}

/// Each local time once, at its wall time or, in the spring gap, as much later as clocks go forward.
fn once_each(zone_name: &str, hour: i8, minute: i8, year: i16) -> Result<(), TestCaseError> {
    let daily = spec(json!({
        "start": format!("{year}-01-01T{hour:02}:{minute:02}:00"), "timeZone": zone_name, "maxAhead": 200,
        "recurrence": { "frequency": "Daily" }
    }));
    let clocks = zone(zone_name).unwrap();
    let mut seen: Vec<(DateTime, Timestamp)> = Vec::new();
    let mut now = local_start(&daily);
    let step = SignedDuration::from_hours(100 * 24);
    while seen.len() < 3600 {
        let schedule = Schedule::of(&daily, now, step).unwrap();
        for (at, planned) in &schedule.planned {
            if seen.last().is_none_or(|(last, _)| at > last) {
                seen.push((*at, planned.start));
            }
        }
        now += step;
    }
    for ((one, start), (next, later)) in seen.iter().zip(&seen[1..]) {
        prop_assert!(start < later, "{zone_name}: {one} and {next}");
        let days = next.date().duration_since(one.date()).as_hours() / 24;
        // Samoa, Kwajalein and others left out a day once; none is left out twice.
        prop_assert!(days == 1 || days == 2, "{zone_name}: {one} and {next}");
        let shown = local(&clocks, *start);
        let gap = clocks.to_ambiguous_timestamp(*one);
        prop_assert!(shown == *one || (gap.is_ambiguous() && shown > *one), "{zone_name}: {one} is {shown}");
    }
    Ok(())
}

fn local_start(spec: &MeetingSeriesSpec) -> Timestamp {
    spec.start.0.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp() - SignedDuration::from_hours(48)
}

fn zones() -> Vec<String> {
    jiff::tz::TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn in_any_zone_each_day_has_its_occurrence_exactly_once_over_ten_years(
        zone in prop::sample::select(zones()), hour in 0_i8..24, minute in 0_i8..60, year in 1990_i16..2040,
    ) {
        once_each(&zone, hour, minute, year)?;
    }
}

/// A zone as the list of its offsets, each with the moment from which it holds. The moment of a local time is looked for
/// among them one by one, which the product does not do.
struct Offsets(Vec<(Timestamp, Offset)>);

impl Offsets {
    fn of(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Self {
        let later = zone.following(from).take_while(|change| change.timestamp() <= to);
        let later = later.map(|change| (change.timestamp(), change.offset()));
        Self([(from, zone.to_offset(from))].into_iter().chain(later).collect())
    }

    /// The first moment at which clocks show this; where none does, the one at which they would if they had not been put
    /// forward, unless they were by a day.
    fn moment(&self, at: DateTime) -> Option<Timestamp> {
        let ends = self.0.iter().skip(1).map(|(since, _)| *since).chain([Timestamp::MAX]);
        let held = self.0.iter().zip(ends).map(|((since, offset), end)| (*since, *offset, end));
        let by = |offset: Offset| offset.to_timestamp(at).unwrap();
        if let Some((_, offset, _)) = held.clone().find(|(since, offset, end)| (*since..*end).contains(&by(*offset))) {
            return Some(by(offset));
        }
        let (_, before, end) = held.filter(|(_, offset, end)| *end <= by(*offset)).last()?;
        let (_, after) = self.0.iter().find(|(since, _)| *since == end)?;
        (after.seconds() - before.seconds() < 24 * 3600).then(|| by(before))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Both halves together: which local times there are, and which moments they are.
    #[test]
    fn any_rule_in_any_zone_is_at_the_moments_of_an_independent_enumeration_over_ten_years(
        (mut rule, until) in any_rule(), zone_name in prop::sample::select(zones()),
        day in 0_i64..20_000, hour in 0_i8..24, minute in 0_i8..60,
    ) {
        let start = (date(1990, 1, 1) + day.days()).at(hour, minute, 0, 0);
        if until >= 0 {
            rule["until"] = json!((start + until.days()).to_string());
        }
        let mut spec = spec(json!({ "start": start.to_string(), "timeZone": zone_name, "recurrence": rule }));
        spec.max_ahead = u32::MAX;
        let now = local_start(&spec);
        let ahead = SignedDuration::from_hours(3653 * 24);
        let limit = now + ahead;
        let offsets = Offsets::of(&zone(&zone_name).unwrap(), now - SignedDuration::from_hours(48), limit + SignedDuration::from_hours(96));
        let wanted: BTreeMap<DateTime, Timestamp> = independent::all(&rule, start, (start + 11.years()).date())
            .into_iter()
            .filter_map(|at| Some((at, offsets.moment(at)?)))
            .filter(|(_, moment)| *moment <= limit)
            .collect();
        match Schedule::of(&spec, now, ahead) {
            Ok(schedule) => {
                let planned: BTreeMap<DateTime, Timestamp> =
                    schedule.planned.iter().map(|(at, planned)| (*at, planned.start)).collect();
                prop_assert_eq!(planned, wanted);
            }
            Err(refusal) => prop_assert!(wanted.is_empty(), "{refusal:?}"),
        }
    }
}

#[test]
fn the_nights_in_which_clocks_change_have_one_occurrence_each() {
    for (zone, hour, minute) in [
        ("Europe/Berlin", 2, 30),
        ("America/New_York", 1, 30),
        ("America/Sao_Paulo", 0, 30),
        ("Africa/Casablanca", 2, 30),
        ("Australia/Lord_Howe", 1, 45),
        ("Pacific/Apia", 9, 0),
        ("Africa/Cairo", 0, 30),
        ("Asia/Beirut", 0, 0),
        ("Antarctica/Troll", 2, 0),
    ] {
        for year in [2005, 2010, 2023] {
            once_each(zone, hour, minute, year).unwrap();
        }
    }
}
