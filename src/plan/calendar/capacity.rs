//! How full a bridge is: when every slot is taken, when the next one is free for long enough, the peak of each day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::{Calendar, Choice, Entry};
use crate::plan::window::Window;

/// How many days ahead the peaks are told.
const DAYS: usize = 7;

/// The most meetings at one time on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// The day, in UTC.
    pub date: Date,
    pub meetings: u32,
    /// From when on there are so many, for the first time that day.
    pub from: Timestamp,
}

impl Calendar {
    /// The first time within the window during which every number of the choice is taken by others. None: there is none,
    /// although no number may be free all the time.
    pub fn full_during(&self, window: &Window, among: &Choice<'_>, except: &str) -> Option<(Timestamp, Timestamp)> {
        let numbers: Vec<u32> = among.numbers().collect();
        if numbers.is_empty() {
            return Some((window.opens_at, window.closes_at));
        }
        let taken = numbers.iter().filter_map(|number| self.by_slot.get(number)).flat_map(|entries| {
            // Disjoint and in order: the last that opens before the end, and those before it that reach into the window.
            entries
                .range(..window.closes_at)
                .rev()
                .map(|(_, entry)| entry)
                .take_while(|entry| entry.window.overlaps(window))
        });
        let all = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let mut since = None;
        for (at, running) in running(taken.filter(|entry| *entry.meeting != *except), window.opens_at) {
            match since {
                None => since = (running == all).then_some(at),
                Some(since) if running < all => return Some((since, at.min(window.closes_at))),
                Some(_) => {}
            }
        }
        None
    }

    /// The first window of the same length, not before this one, for which a number of the choice is free. None: the
    /// calendar ends before.
    pub fn next_fit(&self, window: &Window, among: &Choice<'_>, except: &str) -> Option<Window> {
        let first = |number: u32| {
            let entries = self.by_slot.get(&number).into_iter().flat_map(|entries| entries.values());
            let mut fit = *window;
            for entry in entries.filter(|entry| *entry.meeting != *except && entry.window.closes_at > window.opens_at) {
                if !entry.window.overlaps(&fit) {
                    break;
                }
                fit = window.opening_at(entry.window.closes_at)?;
            }
            Some(fit)
        };
        among.numbers().filter_map(first).min_by_key(|fit| fit.opens_at)
    }

    /// The peak of each of the coming days that has meetings, today first.
    pub fn peaks(&self, now: Timestamp) -> Vec<Peak> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let day = |count: usize| today.checked_add(i64::try_from(count).unwrap_or(0).days()).ok();
        let begin = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
        let days: Vec<_> =
            (0..DAYS).filter_map(|count| Some((day(count)?, begin(day(count)?)?, begin(day(count + 1)?)?))).collect();
        let peak = |(date, from, to): (Date, Timestamp, Timestamp)| {
            let of_day = Window { opens_at: from, starts_at: from, closes_at: to };
            let entries = self.by_slot.values().flat_map(|entries| entries.values());
            let counts = running(entries.filter(|entry| entry.window.overlaps(&of_day)), from);
            // The first of the highest: max_by_key would give the last.
            let (from, meetings) = counts.into_iter().rev().max_by_key(|(_, running)| *running)?;
            Some(Peak { date, meetings, from })
        };
        days.into_iter().filter_map(peak).collect()
    }
}

/// How many run from each instant on at which that changes, in order; what has begun before `from` begins there.
fn running<'a>(entries: impl Iterator<Item = &'a Entry>, from: Timestamp) -> Vec<(Timestamp, u32)> {
    // Windows are half-open: at one instant an end and a beginning make up for each other.
    let mut changes: BTreeMap<Timestamp, i64> = BTreeMap::new();
    for entry in entries {
        *changes.entry(entry.window.opens_at.max(from)).or_default() += 1;
        *changes.entry(entry.window.closes_at).or_default() -= 1;
    }
    let count = |running: &mut i64, (at, change): (Timestamp, i64)| {
        *running += change;
        Some((at, u32::try_from(*running).unwrap_or(0)))
    };
    changes.into_iter().scan(0_i64, count).collect()
}

impl Choice<'_> {
    /// The numbers that may be had.
    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.range.clone().filter(|number| !self.quarantined.contains(number))
    }
}

impl Window {
    /// The same window at another time. None: the calendar ends before.
    fn opening_at(&self, opens_at: Timestamp) -> Option<Self> {
        let later: SignedDuration = opens_at.duration_since(self.opens_at);
        Some(Self {
            opens_at,
            starts_at: self.starts_at.checked_add(later).ok()?,
            closes_at: self.closes_at.checked_add(later).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
