//! A rule in words, for a column of `kubectl get`.

use crate::api::series::{Frequency, MeetingSeriesSpec};
use crate::api::{DayRule, WeekDay};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// For example `every 2 weeks on MO, WE at 09:00, 10 times`.
pub fn of(spec: &MeetingSeriesSpec) -> String {
    let rule = &spec.recurrence;
    let unit = match rule.frequency {
        Frequency::Daily => "day",
        Frequency::Weekly => "week",
        Frequency::Monthly => "month",
        Frequency::Yearly => "year",
    };
    let mut words =
        if rule.interval > 1 { format!("every {} {unit}s", rule.interval) } else { format!("every {unit}") };
    let months = rule.by_month.iter().filter_map(|month| MONTHS.get(usize::try_from(*month).ok()?.checked_sub(1)?));
    add(&mut words, " in ", months);
    let (day, month) = (spec.start.0.day(), spec.start.0.month());
    if !rule.by_day.is_empty() {
        add(&mut words, " on ", rule.by_day.iter());
    } else if rule.frequency == Frequency::Weekly {
        let weekday = spec.start.0.weekday().to_monday_zero_offset();
        let day = usize::try_from(weekday).ok().and_then(|index| WeekDay::ALL.get(index));
        add(&mut words, " on ", day.map(|(day, _)| DayRule { day: *day, nth: None }).iter());
    } else if rule.by_month_day.is_empty() && rule.frequency == Frequency::Yearly && rule.by_month.is_empty() {
        let name = MONTHS.get(usize::try_from(month).unwrap_or_default().saturating_sub(1)).copied();
        add(&mut words, " on ", name.map(|name| format!("{day} {name}")).iter());
    } else if rule.by_month_day.is_empty() && rule.frequency != Frequency::Daily {
        add(&mut words, " on day ", [day].iter());
    }
    add(&mut words, " on day ", rule.by_month_day.iter());
    add(&mut words, ", of these ", rule.by_set_pos.iter());
    words.push_str(&spec.start.0.strftime(" at %H:%M").to_string());
    if let Some(count) = rule.count {
        words.push_str(&format!(", {count} times"));
    }
    if let Some(until) = rule.until {
        words.push_str(&format!(", until {}", until.0.date()));
    }
    words
}

/// Adds a list, if there is anything in it.
fn add<T: std::fmt::Display>(words: &mut String, before: &str, items: impl Iterator<Item = T>) {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if !items.is_empty() {
        words.push_str(before);
        words.push_str(&items.join(", "));
    }
}

#[cfg(test)]
mod tests;
