use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parts(value: serde_json::Value) -> RecurrenceSpec {
    serde_json::from_value(value).unwrap()
}

/// Is there an occurrence at this local time?
fn has(rule: &Rule<'_>, at: DateTime) -> bool {
    let reckoned = rule.reckoned(at);
    Rule::new(rule.start, &reckoned).named(&BTreeSet::from([at])).contains(&at)
}

/// The first occurrences of a rule that begins on 2 September 1997 at nine, as the examples of the RFC do, by their days.
fn examples(value: serde_json::Value, most: usize) -> Vec<String> {
    let parts = parts(value);
    let start = date(1997, 9, 2).at(9, 0, 0, 0);
    let all = Rule::new(start, &parts).from(start);
    all.take(most).inspect(|at| assert_eq!(at.time(), start.time())).map(|at| at.date().to_string()).collect()
}

/// RFC 5545, section 3.8.5.3.
#[test]
fn the_examples_of_the_rfc_hold() {
    let rows: Vec<(&str, serde_json::Value, &[&str])> = vec![
        ("every other day", json!({"frequency":"Daily","interval":2}), &["1997-09-02", "1997-09-04", "1997-09-06"]),
        (
            "every ten days, five times",
            json!({"frequency":"Daily","interval":10,"count":5}),
            &["1997-09-02", "1997-09-12", "1997-09-22", "1997-10-02", "1997-10-12"],
        ),
        (
            "every other week on Tuesday and Thursday, eight times",
            json!({"frequency":"Weekly","interval":2,"count":8,"weekStart":"SU","byDay":["TU","TH"]}),
            &[
                "1997-09-02",
                "1997-09-04",
                "1997-09-16",
                "1997-09-18",
                "1997-09-30",
                "1997-10-02",
                "1997-10-14",
                "1997-10-16",
            ],
        ),
        (
            "first Friday of the month",
            json!({"frequency":"Monthly","byDay":["1FR"]}),
            &["1997-09-05", "1997-10-03", "1997-11-07", "1997-12-05"],
        ),
        (
            "every other month on the first and last Sunday",
            json!({"frequency":"Monthly","interval":2,"byDay":["1SU","-1SU"]}),
            &["1997-09-07", "1997-09-28", "1997-11-02", "1997-11-30", "1998-01-04", "1998-01-25"],
        ),
        (
            "second-to-last Monday of the month",
            json!({"frequency":"Monthly","byDay":["-2MO"]}),
            &["1997-09-22", "1997-10-20", "1997-11-17", "1997-12-22", "1998-01-19"],
        ),
        (
            "third-to-the-last day of the month",
            json!({"frequency":"Monthly","byMonthDay":[-3]}),
            &["1997-09-28", "1997-10-29", "1997-11-28", "1997-12-29", "1998-01-29", "1998-02-26"],
        ),
        (
            "first and last day of the month",
            json!({"frequency":"Monthly","byMonthDay":[1,-1]}),
            &["1997-09-30", "1997-10-01", "1997-10-31", "1997-11-01", "1997-11-30", "1997-12-01"],
        ),
        (
            "every 18 months on the 10th to the 15th",
            json!({"frequency":"Monthly","interval":18,"byMonthDay":[10,11,12,13,14,15]}),
            &["1997-09-10", "1997-09-11", "1997-09-12", "1997-09-13", "1997-09-14", "1997-09-15", "1999-03-10"],
        ),
        (
            "yearly in June and July",
            json!({"frequency":"Yearly","byMonth":[6,7],"byMonthDay":[10]}),
            &["1998-06-10", "1998-07-10", "1999-06-10", "1999-07-10"],
        ),
        (
            "20th Monday of the year",
            json!({"frequency":"Yearly","byDay":["20MO"]}),
            &["1998-05-18", "1999-05-17", "2000-05-15"],
        ),
        (
            "every Thursday in March",
            json!({"frequency":"Yearly","byMonth":[3],"byDay":["TH"]}),
            &["1998-03-05", "1998-03-12", "1998-03-19", "1998-03-26", "1999-03-04"],
        ),
        (
            "every Friday the 13th",
            json!({"frequency":"Monthly","byDay":["FR"],"byMonthDay":[13]}),
            &["1998-02-13", "1998-03-13", "1998-11-13", "1999-08-13", "2000-10-13"],
        ),
        (
            "first Saturday that follows the first Sunday of the month",
            json!({"frequency":"Monthly","byDay":["SA"],"byMonthDay":[7,8,9,10,11,12,13]}),
            &["1997-09-13", "1997-10-11", "1997-11-08", "1997-12-13", "1998-01-10"],
        ),
        (
            "every four years, the first Tuesday after a Monday in November",
            json!({"frequency":"Yearly","interval":4,"byMonth":[11],"byDay":["TU"],"byMonthDay":[2,3,4,5,6,7,8]}),
            &["1997-11-04", "2001-11-06", "2005-11-08"],
        ),
        (
            "third of Tuesday, Wednesday and Thursday in the month",
            json!({"frequency":"Monthly","byDay":["TU","WE","TH"],"bySetPos":[3]}),
            &["1997-09-04", "1997-10-07", "1997-11-06"],
        ),
        (
            "second-to-last weekday of the month",
            json!({"frequency":"Monthly","byDay":["MO","TU","WE","TH","FR"],"bySetPos":[-2]}),
            &["1997-09-29", "1997-10-30", "1997-11-27", "1997-12-30", "1998-01-29"],
        ),
    ];
    for (what, rule, days) in rows {
        assert_eq!(examples(rule, days.len()), days, "{what}");
    }
}

#[test]
fn the_start_of_the_week_decides_which_weeks_are_every_other() {
    let (parts_mo, parts_su) = (
        parts(json!({"frequency":"Weekly","interval":2,"count":4,"byDay":["TU","SU"],"weekStart":"MO"})),
        parts(json!({"frequency":"Weekly","interval":2,"count":4,"byDay":["TU","SU"],"weekStart":"SU"})),
    );
    let start = date(1997, 8, 5).at(9, 0, 0, 0);
    let days = |parts| Rule::new(start, parts).from(start).map(|at| at.day()).collect::<Vec<_>>();
    assert_eq!(days(&parts_mo), [5, 10, 19, 24]);
    assert_eq!(days(&parts_su), [5, 17, 19, 31]);
}

#[test]
fn a_day_that_a_month_does_not_have_is_left_out() {
    let monthly = parts(json!({"frequency":"Monthly"}));
    let start = date(2027, 1, 31).at(9, 0, 0, 0);
    let days: Vec<_> = Rule::new(start, &monthly).from(start).take(4).map(|at| (at.month(), at.day())).collect();
    assert_eq!(days, [(1, 31), (3, 31), (5, 31), (7, 31)]);
    let yearly = parts(json!({"frequency":"Yearly"}));
    let leap = date(2024, 2, 29).at(9, 0, 0, 0);
    let years: Vec<_> =
        Rule::new(leap, &yearly).from(date(2090, 1, 1).at(0, 0, 0, 0)).take(3).map(|at| at.year()).collect();
    assert_eq!(years, [2092, 2096, 2104]);
}

#[test]
fn a_rule_that_names_no_day_ends() {
    for rule in [
        json!({"frequency":"Daily","byMonth":[2],"byMonthDay":[30]}),
        json!({"frequency":"Yearly","byMonth":[2],"byMonthDay":[30]}),
        json!({"frequency":"Monthly","byDay":["5MO"],"byMonthDay":[1]}),
        json!({"frequency":"Weekly","byDay":["MO"],"bySetPos":[7]}),
        json!({"frequency":"Yearly","interval":1000,"byMonth":[2],"byMonthDay":[29]}),
    ] {
        let start = date(2027, 1, 1).at(9, 0, 0, 0);
        let parts = parts(rule);
        assert_eq!(Rule::new(start, &parts).from(start).next(), None, "{parts:?}");
        assert_eq!(Rule::new(start, &parts).from(DateTime::MAX).next(), None, "{parts:?}");
    }
}

#[test]
fn count_is_counted_from_the_first_and_until_is_included() {
    let counted = parts(json!({"frequency":"Daily","count":3}));
    let start = date(2027, 1, 1).at(9, 0, 0, 0);
    let from = date(2027, 1, 3).at(0, 0, 0, 0);
    assert_eq!(Rule::new(start, &counted).from(from).map(|at| at.day()).collect::<Vec<_>>(), [3]);
    assert!(!has(&Rule::new(start, &counted), date(2027, 1, 4).at(9, 0, 0, 0)));
    let until = parts(json!({"frequency":"Daily","until":"2027-01-02T09:00:00"}));
    assert_eq!(Rule::new(start, &until).from(start).map(|at| at.day()).collect::<Vec<_>>(), [1, 2]);
    assert!(!has(&Rule::new(start, &until), date(2027, 1, 2).at(8, 0, 0, 0)), "another time of day");
}

/// What python-dateutil 2.9 says of 160 rules: the first fifteen days within twelve years. (None has weekdays with and
/// without a number: of these it takes only those that are both.)
#[test]
fn another_library_names_the_same_days() {
    let rows: Vec<serde_json::Value> = serde_json::from_str(include_str!("dateutil.json")).unwrap();
    for row in rows {
        let (parts, start) = (parts(row["rule"].clone()), row["start"].as_str().unwrap().parse::<DateTime>().unwrap());
        let end = i16::try_from(i64::from(start.year()) + 12).unwrap();
        let days: Vec<String> = Rule::new(start, &parts)
            .from(start)
            .take_while(|at| at.year() < end)
            .take(15)
            .map(|at| at.strftime("%Y%m%d").to_string())
            .collect();
        assert_eq!(days.join(" "), row["days"].as_str().unwrap(), "{row}");
    }
}

/// All days of a rule by the other road of the RFC's table: each part makes sets of days (expand) or takes some away
/// (limit). Day by day over all that there is; nothing of the product is used.
pub mod independent {
    use super::*;

    fn month_days(year: i16, month: i8) -> Vec<Date> {
        (1..=31).filter_map(|day| Date::new(year, month, day).ok()).collect()
    }

    fn two_letters(day: Date) -> &'static str {
        match day.weekday() {
            Weekday::Monday => "MO",
            Weekday::Tuesday => "TU",
            Weekday::Wednesday => "WE",
            Weekday::Thursday => "TH",
            Weekday::Friday => "FR",
            Weekday::Saturday => "SA",
            Weekday::Sunday => "SU",
        }
    }

    /// Of these days those that `text` (MO, 2MO, -1FR) means.
    fn pick(days: &[Date], text: &str) -> Vec<Date> {
        let (number, name) = text.split_at(text.len() - 2);
        let such: Vec<Date> = days.iter().copied().filter(|day| two_letters(*day) == name).collect();
        match number.parse::<i32>() {
            Err(_) => such,
            Ok(nth) if nth > 0 => such.get(nth as usize - 1).copied().into_iter().collect(),
            Ok(nth) => such.iter().rev().nth(nth.unsigned_abs() as usize - 1).copied().into_iter().collect(),
        }
    }

    fn pick_all(days: &[Date], texts: &[String]) -> BTreeSet<Date> {
        texts.iter().flat_map(|text| pick(days, text)).collect()
    }

    fn of_month(year: i16, month: i8, wanted: &[i64]) -> BTreeSet<Date> {
        let days = month_days(year, month);
        let at = |nth: &i64| match *nth {
            nth if nth > 0 => days.get(nth as usize - 1).copied(),
            nth => days.iter().rev().nth(nth.unsigned_abs() as usize - 1).copied(),
        };
        wanted.iter().filter_map(at).collect()
    }

    fn numbers(rule: &serde_json::Value, name: &str) -> Vec<i64> {
        rule.get(name).and_then(|list| list.as_array()).into_iter().flatten().map(|n| n.as_i64().unwrap()).collect()
    }

    /// The days of one period, before `bySetPos`.
    fn expand(rule: &serde_json::Value, start: Date, first: Date) -> BTreeSet<Date> {
        let weekdays: Vec<String> =
            rule.get("byDay").map(|list| serde_json::from_value(list.clone()).unwrap()).unwrap_or_default();
        let month_day = numbers(rule, "byMonthDay");
        let months: Vec<i8> = numbers(rule, "byMonth").into_iter().map(|month| month as i8).collect();
        let is_month = |day: &Date| months.is_empty() || months.contains(&day.month());
        match rule["frequency"].as_str().unwrap() {
            "Daily" => {
                let hit = month_day.is_empty() || of_month(first.year(), first.month(), &month_day).contains(&first);
                let weekday = weekdays.is_empty() || weekdays.iter().any(|name| name == two_letters(first));
                [first].into_iter().filter(is_month).filter(|_| hit && weekday).collect()
            }
            "Weekly" => {
                let week: Vec<Date> = (0..7).map(|n| first + n.days()).collect();
                let names = if weekdays.is_empty() { vec![two_letters(start).to_owned()] } else { weekdays };
                pick_all(&week, &names).into_iter().filter(is_month).collect()
            }
            "Monthly" => {
                let (year, month) = (first.year(), first.month());
                let by_weekday = pick_all(&month_days(year, month), &weekdays);
                let all = match (month_day.is_empty(), weekdays.is_empty()) {
                    (true, true) => of_month(year, month, &[i64::from(start.day())]),
                    (true, false) => by_weekday,
                    (false, true) => of_month(year, month, &month_day),
                    (false, false) => of_month(year, month, &month_day).intersection(&by_weekday).copied().collect(),
                };
                all.into_iter().filter(is_month).collect()
            }
            _ => {
                let year = first.year();
                let some: Vec<i8> = if months.is_empty() { (1..=12).collect() } else { months.clone() };
                let by_weekday: BTreeSet<Date> = if months.is_empty() {
                    pick_all(&some.iter().flat_map(|month| month_days(year, *month)).collect::<Vec<_>>(), &weekdays)
                } else {
                    some.iter().flat_map(|month| pick_all(&month_days(year, *month), &weekdays)).collect()
                };
                let by_month_day: BTreeSet<Date> =
                    some.iter().flat_map(|month| of_month(year, *month, &month_day)).collect();
                match (month_day.is_empty(), weekdays.is_empty()) {
                    (true, true) => {
                        let of = if months.is_empty() { vec![start.month()] } else { months };
                        of.iter().flat_map(|month| of_month(year, *month, &[i64::from(start.day())])).collect()
                    }
                    (true, false) => by_weekday,
                    (false, true) => by_month_day,
                    (false, false) => by_month_day.intersection(&by_weekday).copied().collect(),
                }
            }
        }
    }

    /// Every occurrence up to this day.
    pub fn all(rule: &serde_json::Value, start: DateTime, end: Date) -> Vec<DateTime> {
        let interval = rule["interval"].as_i64().unwrap();
        let week_start = rule["weekStart"].as_str().unwrap();
        let mut first = start.date();
        match rule["frequency"].as_str().unwrap() {
            "Weekly" => {
                while two_letters(first) != week_start {
                    first -= 1.day();
                }
            }
            "Monthly" => first = Date::new(first.year(), first.month(), 1).unwrap(),
            "Yearly" => first = Date::new(first.year(), 1, 1).unwrap(),
            _ => {}
        }
        let mut found = Vec::new();
        while first <= end {
            let days: Vec<Date> = expand(rule, start.date(), first).into_iter().collect();
            let positions = numbers(rule, "bySetPos");
            let picked: BTreeSet<Date> = if positions.is_empty() {
                days.iter().copied().collect()
            } else {
                let at = |nth: &i64| match *nth {
                    nth if nth > 0 => days.get(nth as usize - 1),
                    nth => days.iter().rev().nth(nth.unsigned_abs() as usize - 1),
                };
                positions.iter().filter_map(at).copied().collect()
            };
            found.extend(picked.into_iter().map(|day| day.to_datetime(start.time())).filter(|at| *at >= start));
            first = match rule["frequency"].as_str().unwrap() {
                "Daily" => first + interval.days(),
                "Weekly" => first + (7 * interval).days(),
                "Monthly" => first + interval.months(),
                _ => first + interval.years(),
            };
        }
        if let Some(until) = rule.get("until").and_then(|until| until.as_str()) {
            let until: DateTime = until.parse().unwrap();
            found.retain(|at| *at <= until);
        }
        if let Some(count) = rule.get("count").and_then(serde_json::Value::as_u64) {
            found.truncate(count as usize);
        }
        found.retain(|at| at.date() <= end);
        found
    }
}

prop_compose! {
    /// Any rule that the apiserver would let in, as JSON; and how many days it lasts, -1 for ever.
    pub fn any_rule()(
        frequency in prop::sample::select(vec!["Daily", "Weekly", "Monthly", "Yearly"]),
        interval in prop_oneof![4 => 1_i64..4, 1 => 4_i64..40],
        weekdays in prop::collection::vec((prop::sample::select(vec!["MO","TU","WE","TH","FR","SA","SU"]), prop::option::of(prop_oneof![-5_i32..0, 1_i32..6, 6_i32..54])), 0..4),
        month_days in prop::collection::vec(prop_oneof![-31_i32..0, 1_i32..32], 0..4),
        months in prop::collection::btree_set(1_i32..13, 0..4),
        positions in prop::collection::vec(prop_oneof![-4_i32..0, 1_i32..5], 0..3),
        week_start in prop::sample::select(vec!["MO","TU","WE","TH","FR","SA","SU"]),
        end in prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(2)],
        count in 1_u32..400,
        until in 0_i64..3650,
    ) -> (serde_json::Value, i64) {
        let numbered = matches!(frequency, "Monthly" | "Yearly");
        let most = if frequency == "Monthly" { 5 } else { 53 };
        let by_day: Vec<String> = weekdays
            .iter()
            .map(|(day, nth)| match nth {
                Some(nth) if numbered && nth.abs() <= most => format!("{nth}{day}"),
                _ => (*day).to_owned(),
            })
            .collect();
        let by_month_day = if frequency == "Weekly" { Vec::new() } else { month_days };
        let by_month: Vec<i32> = months.into_iter().collect();
        let named = !(by_day.is_empty() && by_month_day.is_empty() && by_month.is_empty());
        let by_set_pos = if named { positions } else { Vec::new() };
        let mut rule = json!({
            "frequency": frequency, "interval": interval, "byDay": by_day, "byMonthDay": by_month_day,
            "byMonth": by_month, "bySetPos": by_set_pos, "weekStart": week_start,
        });
        if end == 1 {
            rule["count"] = json!(count);
        }
        (rule, if end == 2 { until } else { -1 })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_rule_names_what_an_independent_enumeration_does_over_ten_years(
        (mut rule, until) in any_rule(),
        day in 0_i64..14_000,
        hour in 0_i8..24,
        from in 0_i64..3650,
    ) {
        let start = (date(2000, 1, 1) + day.days()).at(hour, 30, 0, 0);
        if until >= 0 {
            rule["until"] = json!((start + until.days()).to_string());
        }
        let end = start.date() + 10.years();
        let wanted = independent::all(&rule, start, end);
        let parts = parts(rule);
        let all: Vec<DateTime> = Rule::new(start, &parts).from(start).take_while(|at| at.date() <= end).collect();
        prop_assert_eq!(&all, &wanted);
        // Entered anywhere, it goes on as if it had been followed from the start.
        let from = start + from.days();
        let rest: Vec<DateTime> = Rule::new(start, &parts).from(from).take_while(|at| at.date() <= end).collect();
        let later: Vec<DateTime> = wanted.iter().copied().filter(|at| *at >= from).collect();
        prop_assert_eq!(&rest, &later);
        // Nor does it matter whether its count was walked before, to there or to the end.
        let asked: BTreeSet<DateTime> = (0..=days_between(start.date(), end)).map(|day| start + day.days()).collect();
        for reach in [from, DateTime::MAX] {
            let reckoned = Rule::new(start, &parts).reckoned(reach.min(end.to_datetime(start.time())));
            let rule = Rule::new(start, &reckoned);
            prop_assert_eq!(rule.from(from).next(), later.first().copied().or_else(|| Rule::new(start, &parts).from(from).next()));
            let near: BTreeSet<DateTime> = asked.range(..=reach).copied().collect();
            let all: BTreeSet<DateTime> = wanted.iter().copied().filter(|at| *at <= reach).collect();
            prop_assert_eq!(rule.named(&near), all);
        }
    }
}
