//! Which occurrences there are within the horizon, by rule, zone and exceptions, and when the next one comes in.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::rule::Rule;
use super::zone::{local, moment, zone};
use crate::api::conditions::series as reason;
use crate::api::series::{ExceptionSpec, MeetingSeriesSpec, RecurrenceSpec};
use crate::api::values::Span;

/// No clock of a zone is further from another one: what is within this of a local time is enough to look at.
const ZONE_SLACK: SignedDuration = SignedDuration::from_hours(50);

/// So far beyond the horizon it is reckoned what a rule has: ten years. A count is not walked further, and an exception that
/// lies further away fits nothing: whoever wrote it mistook the year.
const FURTHEST: SignedDuration = SignedDuration::from_hours(3653 * 24);

/// Why a series has no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// One occurrence that is to take place.
#[derive(Clone, Debug)]
pub struct Planned {
    pub start: Timestamp,
    pub duration: Span,
    pub exception: Option<ExceptionSpec>,
}

impl Planned {
    /// When it is over.
    pub fn end(&self) -> Timestamp {
        self.start.checked_add(self.duration.signed()).unwrap_or(Timestamp::MAX)
    }
}

/// The occurrences that are not over and begin within the horizon. It holds what it needs by itself: it is reckoned where
/// nobody waits for it.
#[derive(Debug)]
pub struct Schedule {
    start: DateTime,
    /// Without its count ([`Rule::reckoned`]).
    recurrence: RecurrenceSpec,
    zone: TimeZone,
    /// Up to here it is known what the rule has.
    reach: DateTime,
    duration: Span,
    exceptions: BTreeMap<DateTime, ExceptionSpec>,
    /// By the local time at which the rule has them.
    pub planned: BTreeMap<DateTime, Planned>,
    /// Those that an exception leaves out, with the moment at which they would have begun.
    pub skipped: BTreeMap<DateTime, Timestamp>,
    /// Exceptions for what is still to come whose occurrence the rule does not have.
    pub unmatched: Vec<DateTime>,
    /// When the first occurrence beyond the horizon begins.
    pub later: Option<Timestamp>,
}

impl Schedule {
    /// The schedule at a moment, so far ahead.
    ///
    /// # Errors
    /// [`Refusal`], if the zone is unknown or the rule names no day.
    pub fn of(spec: &MeetingSeriesSpec, now: Timestamp, ahead: SignedDuration) -> Result<Self, Refusal> {
        let Some(zone) = zone(&spec.time_zone) else {
            let message = format!("{:?} is no IANA time zone that this controller knows", spec.time_zone);
            return Err(Refusal { reason: reason::UNKNOWN_TIME_ZONE, message });
        };
        let rule = Rule::new(spec.start.0, &spec.recurrence);
        if rule.from(spec.start.0).next().is_none() {
            let message = "the recurrence names no day within 100 years of its start".to_owned();
            return Err(Refusal { reason: reason::INVALID_RECURRENCE, message });
        }
        let limit = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let reach = local(&zone, limit).checked_add(FURTHEST).unwrap_or(DateTime::MAX);
        let exceptions = spec.exceptions.iter().map(|exception| (exception.occurrence.0, exception.clone()));
        let mut schedule = Self {
            start: spec.start.0,
            recurrence: rule.reckoned(reach),
            zone,
            reach,
            duration: spec.duration,
            exceptions: exceptions.collect(),
            planned: BTreeMap::new(),
            skipped: BTreeMap::new(),
            unmatched: Vec::new(),
            later: None,
        };
        schedule.follow(now, limit);
        schedule.moved(now, limit);
        schedule.cut(spec.max_ahead);
        Ok(schedule)
    }

    /// The occurrence that the rule has at this local time, as the exceptions want it, wherever that is. None: it is left out,
    /// by an exception or by the zone.
    pub fn at(&self, at: DateTime) -> Option<Planned> {
        let exception = self.exceptions.get(&at);
        if exception.is_some_and(|exception| exception.skip) {
            return None;
        }
        let moved = exception.and_then(|exception| exception.start);
        let start = moment(&self.zone, moved.map_or(at, |start| start.0))?;
        let duration = exception.and_then(|exception| exception.duration).unwrap_or(self.duration);
        Some(Planned { start, duration, exception: exception.cloned() })
    }

    /// Those that are where the rule has them.
    fn follow(&mut self, now: Timestamp, limit: Timestamp) {
        let back = self.duration.signed().saturating_add(ZONE_SLACK);
        let from = local(&self.zone, now).checked_sub(back).unwrap_or(DateTime::MIN);
        for at in Rule::new(self.start, &self.recurrence).from(from) {
            let Some(start) = moment(&self.zone, at) else { continue };
            if start > limit {
                self.later = Some(start);
                return;
            }
            match self.exceptions.get(&at) {
                Some(exception) if exception.skip => {
                    let end = start.checked_add(self.duration.signed()).unwrap_or(Timestamp::MAX);
                    self.skipped.extend((end > now).then_some((at, start)));
                }
                Some(exception) if exception.start.is_some() => {}
                _ => {
                    self.planned.extend(self.at(at).filter(|planned| planned.end() > now).map(|planned| (at, planned)))
                }
            }
        }
    }

    /// Those that an exception moves, from wherever to wherever; and the exceptions that fit nothing.
    fn moved(&mut self, now: Timestamp, limit: Timestamp) {
        let all: BTreeSet<DateTime> = self.exceptions.keys().copied().collect();
        let near = all.range(..=self.reach).copied().collect();
        let named = Rule::new(self.start, &self.recurrence).named(&near);
        let today = local(&self.zone, now);
        self.unmatched = all.difference(&named).copied().filter(|at| *at > today).collect();
        for at in named {
            if self.exceptions.get(&at).is_none_or(|exception| exception.start.is_none()) {
                continue;
            }
            match self.at(at) {
                Some(planned) if planned.start > limit => {
                    self.later = self.later.into_iter().chain([planned.start]).min();
                }
                Some(planned) if planned.end() > now => drop(self.planned.insert(at, planned)),
                _ => {}
            }
        }
    }

    /// So many at most.
    fn cut(&mut self, most: u32) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut order: Vec<(Timestamp, DateTime)> =
            self.planned.iter().map(|(at, planned)| (planned.start, *at)).collect();
        order.sort_unstable();
        for (_, at) in order.into_iter().skip(most) {
            self.planned.remove(&at);
        }
    }

    /// At which of these local times there is to be an occurrence, within the horizon or not. What lies further away than
    /// is reckoned counts as one: what is not known to be wrong is left alone.
    pub fn named(&self, asked: &BTreeSet<DateTime>) -> BTreeSet<DateTime> {
        let (near, far): (BTreeSet<_>, BTreeSet<_>) = asked.iter().partition(|at| **at <= self.reach);
        let mut named = Rule::new(self.start, &self.recurrence).named(&near);
        named.extend(far);
        named.retain(|at| self.exceptions.get(at).is_none_or(|exception| !exception.skip));
        named
    }

    /// Does it lie further away than is reckoned?
    pub fn is_far(&self, at: DateTime) -> bool {
        at > self.reach
    }

    /// What clocks in the zone show at a moment.
    pub fn local(&self, at: Timestamp) -> DateTime {
        local(&self.zone, at)
    }

    /// Is the rule over: no occurrence is left from this moment on?
    pub fn is_over(&self) -> bool {
        self.planned.is_empty() && self.later.is_none()
    }
}

#[cfg(test)]
mod tests;
