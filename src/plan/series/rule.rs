//! On which days a series has an occurrence: the parts of a recurrence rule of RFC 5545, section 3.3.10, and the days that
//! they name, in order, with bounded work.

use std::collections::{BTreeSet, VecDeque};

use jiff::Span;
use jiff::civil::{Date, DateTime, Weekday};

use crate::api::series::{Frequency, RecurrenceSpec};
use crate::api::values::LocalTime;
use crate::api::{DayRule, WeekDay};

/// A rule that names no day for so many years names none any more: 30 February, or a leap day in a rule of odd years.
const LONGEST_GAP_YEARS: i64 = 100;

/// A rule that begins on a day.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    start: DateTime,
    parts: &'a RecurrenceSpec,
}

impl<'a> Rule<'a> {
    /// The rule with these parts. Days before `start` do not count, and `start` itself counts if the parts name it.
    pub fn new(start: DateTime, parts: &'a RecurrenceSpec) -> Self {
        Self { start, parts }
    }

    /// The occurrences from this local time on, in order.
    pub fn from(&self, from: DateTime) -> Occurrences<'a> {
        // What is counted is counted from the beginning; anything else can be entered anywhere.
        let enter = if self.parts.count.is_some() { self.start } else { from.max(self.start) };
        Occurrences {
            rule: *self,
            from,
            period: self.period_of(enter.date()),
            days: VecDeque::new(),
            counted: 0,
            last: enter.date(),
        }
    }

    /// The same rule without its count, which was walked once, up to this local time: it can be entered anywhere, and is
    /// right up to there and about the first occurrence after that.
    pub fn reckoned(&self, reach: DateTime) -> RecurrenceSpec {
        let mut parts = RecurrenceSpec { count: None, ..self.parts.clone() };
        if self.parts.count.is_some() {
            let mut last = None;
            for at in self.from(self.start) {
                if at > reach {
                    return parts;
                }
                last = Some(at);
            }
            parts.until = Some(LocalTime(last.unwrap_or(DateTime::MIN)));
        }
        parts
    }

    /// Which of these the rule has, each looked up in its own period: nothing that lies between them is walked. What is
    /// counted must have been [`Rule::reckoned`].
    pub fn named(&self, asked: &BTreeSet<DateTime>) -> BTreeSet<DateTime> {
        let mut period: Option<(Date, VecDeque<Date>)> = None;
        let is_left = |at: &DateTime| self.parts.until.is_none_or(|until| *at <= until.0);
        let mut is_named = |at: &DateTime| {
            let day = at.date();
            if at.time() != self.start.time() || !self.names(day) {
                return false;
            }
            let Some(first) = self.period_of(day) else { return false };
            if self.later(first, 1).is_some_and(|end| end <= day) {
                return false;
            }
            if self.parts.by_set_pos.is_empty() {
                return true;
            }
            // They come in order, so those of one period are looked up in it once.
            let (_, days) = match period.take() {
                Some(known) if known.0 == first => period.insert(known),
                _ => period.insert((first, self.days_of(first))),
            };
            days.contains(&day)
        };
        asked.range(self.start..).filter(|at| is_left(at) && is_named(at)).copied().collect()
    }

    /// So many units of the frequency later. None: beyond the calendar.
    fn later(&self, from: Date, units: i64) -> Option<Date> {
        let span = match self.parts.frequency {
            Frequency::Daily => Span::new().try_days(units),
            Frequency::Weekly => Span::new().try_weeks(units),
            Frequency::Monthly => Span::new().try_months(units),
            Frequency::Yearly => Span::new().try_years(units),
        };
        from.checked_add(span.ok()?).ok()
    }

    fn interval(&self) -> i64 {
        i64::from(self.parts.interval.max(1))
    }

    /// The first day of the day, week, month or year of this one.
    fn unit_of(&self, day: Date) -> Option<Date> {
        match self.parts.frequency {
            Frequency::Daily => Some(day),
            Frequency::Weekly => {
                let back = weekday(self.parts.week_start).until(day.weekday());
                day.checked_sub(Span::new().try_days(back).ok()?).ok()
            }
            Frequency::Monthly => Some(day.first_of_month()),
            Frequency::Yearly => Some(day.first_of_year()),
        }
    }

    /// The first day of the last period that counts and begins on this day or before.
    fn period_of(&self, day: Date) -> Option<Date> {
        let (first, unit) = (self.unit_of(self.start.date())?, self.unit_of(day)?);
        let years = i64::from(unit.year()) - i64::from(first.year());
        let units = match self.parts.frequency {
            Frequency::Daily => days_between(first, unit),
            Frequency::Weekly => days_between(first, unit) / 7,
            Frequency::Monthly => years * 12 + i64::from(unit.month()) - i64::from(first.month()),
            Frequency::Yearly => years,
        };
        self.later(first, units / self.interval() * self.interval())
    }

    /// The days that the parts name in the period that begins on this day.
    fn days_of(&self, first: Date) -> VecDeque<Date> {
        let end = self.later(first, 1).unwrap_or(Date::MAX);
        let days = first.series(Span::new().days(1)).take_while(|day| *day < end);
        let mut named: VecDeque<Date> = days.filter(|day| self.names(*day)).collect();
        if !self.parts.by_set_pos.is_empty() {
            let all = named.len();
            let is_wanted = |index: usize| self.parts.by_set_pos.iter().any(|position| is_at(*position, index, all));
            let mut index = 0;
            named.retain(|_| {
                index += 1;
                is_wanted(index)
            });
        }
        named
    }

    /// Do the parts name this day? Those that are missing are the ones of `start`.
    fn names(&self, day: Date) -> bool {
        #[cfg(test)]
        steps::taken();
        let parts = self.parts;
        let (no_months, no_days) = (parts.by_month.is_empty(), parts.by_month_day.is_empty());
        let no_weekdays = parts.by_day.is_empty();
        let start = self.start.date();
        let in_month = match parts.frequency {
            Frequency::Yearly if no_months && no_days && no_weekdays => day.month() == start.month(),
            _ => no_months || parts.by_month.contains(&day.month()),
        };
        let on_day = match parts.frequency {
            Frequency::Monthly | Frequency::Yearly if no_days && no_weekdays => day.day() == start.day(),
            _ => no_days || parts.by_month_day.iter().any(|wanted| is_day_of_month(day, *wanted)),
        };
        let on_weekday = match parts.frequency {
            Frequency::Weekly if no_weekdays => day.weekday() == start.weekday(),
            _ => no_weekdays || parts.by_day.iter().any(|wanted| self.is_weekday(day, *wanted)),
        };
        in_month && on_day && on_weekday
    }

    /// Is it this weekday, the n-th of its month or year if a number is asked for?
    fn is_weekday(&self, day: Date, wanted: DayRule) -> bool {
        let of_year = self.parts.frequency == Frequency::Yearly && self.parts.by_month.is_empty();
        let (position, length) = if of_year {
            (i32::from(day.day_of_year()), i32::from(day.days_in_year()))
        } else {
            (i32::from(day.day()), i32::from(day.days_in_month()))
        };
        let nth = |nth: i8| match i32::from(nth) {
            nth if nth > 0 => (position - 1) / 7 + 1 == nth,
            nth => (length - position) / 7 + 1 == -nth,
        };
        day.weekday() == weekday(wanted.day) && wanted.nth.is_none_or(nth)
    }
}

fn is_day_of_month(day: Date, wanted: i8) -> bool {
    if wanted > 0 {
        day.day() == wanted
    } else {
        i32::from(day.day()) == i32::from(day.days_in_month()) + 1 + i32::from(wanted)
    }
}

/// Is the `index`-th of `all` (from 1 on) at this position, which is counted from the end if it is below 0?
fn is_at(position: i16, index: usize, all: usize) -> bool {
    let wanted = usize::from(position.unsigned_abs());
    if position > 0 { index == wanted } else { all + 1 == index + wanted }
}

fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// The weekday as jiff has it.
fn weekday(day: WeekDay) -> Weekday {
    match day {
        WeekDay::Mo => Weekday::Monday,
        WeekDay::Tu => Weekday::Tuesday,
        WeekDay::We => Weekday::Wednesday,
        WeekDay::Th => Weekday::Thursday,
        WeekDay::Fr => Weekday::Friday,
        WeekDay::Sa => Weekday::Saturday,
        WeekDay::Su => Weekday::Sunday,
    }
}

/// The occurrences of a rule, in order. It ends with the rule, or when it names no day any more.
#[derive(Debug)]
pub struct Occurrences<'a> {
    rule: Rule<'a>,
    from: DateTime,
    /// The first day of the next period.
    period: Option<Date>,
    /// What is left of the period before.
    days: VecDeque<Date>,
    counted: u32,
    last: Date,
}

impl Occurrences<'_> {
    /// The next one, whether it is asked for or only counted.
    fn any(&mut self) -> Option<DateTime> {
        loop {
            while let Some(day) = self.days.pop_front() {
                let at = day.to_datetime(self.rule.start.time());
                if at >= self.rule.start {
                    self.last = day;
                    return Some(at);
                }
            }
            let first = self.period?;
            let limit = self.last.checked_add(Span::new().years(LONGEST_GAP_YEARS)).unwrap_or(Date::MAX);
            if first > limit {
                return None;
            }
            self.days = self.rule.days_of(first);
            self.period = self.rule.later(first, self.rule.interval());
        }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = DateTime;

    fn next(&mut self) -> Option<DateTime> {
        loop {
            let parts = self.rule.parts;
            let is_left = |at: &DateTime| parts.until.is_none_or(|until| *at <= until.0);
            let found = self.any().filter(is_left).filter(|_| parts.count.is_none_or(|count| self.counted < count));
            let Some(at) = found else {
                // Once over, always over.
                (self.period, self.days) = (None, VecDeque::new());
                return None;
            };
            self.counted = self.counted.saturating_add(1);
            if at >= self.from {
                return Some(at);
            }
        }
    }
}

/// What a pass costs, in days that were looked at.
#[cfg(test)]
pub mod steps {
    use std::cell::Cell;

    thread_local!(static DAYS: Cell<usize> = const { Cell::new(0) });

    pub fn taken() {
        DAYS.with(|days| days.set(days.get() + 1));
    }

    /// How many days this looks at.
    pub fn of(work: impl FnOnce()) -> usize {
        let before = DAYS.get();
        work();
        DAYS.get() - before
    }
}

#[cfg(test)]
pub(super) mod tests;
