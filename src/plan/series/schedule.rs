//! Which occurrences there are within the horizon, by rule, zone and exceptions, and when the next one comes in.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::rule::Rule;
use super::zone::{local, moment, zone};
use crate::api::conditions::series as reason;
use crate::api::series::{ExceptionSpec, MeetingSeriesSpec};
use crate::api::values::Span;

/// No clock of a zone is further from another one: what is within this of a local time is enough to look at.
const ZONE_SLACK: SignedDuration = SignedDuration::from_hours(50);

/// Why a series has no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// One occurrence that is to take place.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub start: Timestamp,
    pub duration: Span,
    pub exception: Option<&'a ExceptionSpec>,
}

impl Planned<'_> {
    /// When it is over.
    pub fn end(&self) -> Timestamp {
        self.start.checked_add(self.duration.signed()).unwrap_or(Timestamp::MAX)
    }
}

/// The occurrences that are not over and begin within the horizon.
#[derive(Debug)]
pub struct Schedule<'a> {
    spec: &'a MeetingSeriesSpec,
    rule: Rule<'a>,
    zone: TimeZone,
    /// By the local time at which the rule has them.
    pub planned: BTreeMap<DateTime, Planned<'a>>,
    /// Those that an exception leaves out, with the moment at which they would have begun.
    pub skipped: BTreeMap<DateTime, Timestamp>,
    /// Exceptions for what is still to come whose occurrence the rule does not have.
    pub unmatched: Vec<DateTime>,
    /// When the first occurrence beyond the horizon begins.
    pub later: Option<Timestamp>,
}

impl<'a> Schedule<'a> {
    /// The schedule at a moment, so far ahead.
    ///
    /// # Errors
    /// [`Refusal`], if the zone is unknown or the rule names no day.
    pub fn of(spec: &'a MeetingSeriesSpec, now: Timestamp, ahead: SignedDuration) -> Result<Self, Refusal> {
        let Some(zone) = zone(&spec.time_zone) else {
            let message = format!("{:?} is no IANA time zone that this controller knows", spec.time_zone);
            return Err(Refusal { reason: reason::UNKNOWN_TIME_ZONE, message });
        };
        let rule = Rule::new(spec.start.0, &spec.recurrence);
        if rule.from(spec.start.0).next().is_none() {
            let message = "the recurrence names no day within 100 years of its start".to_owned();
            return Err(Refusal { reason: reason::INVALID_RECURRENCE, message });
        }
        let mut schedule = Self {
            spec,
            rule,
            zone,
            planned: BTreeMap::new(),
            skipped: BTreeMap::new(),
            unmatched: Vec::new(),
            later: None,
        };
        let limit = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
        schedule.follow(now, limit);
        schedule.moved(now, limit);
        schedule.cut();
        Ok(schedule)
    }

    /// Those that are where the rule has them.
    fn follow(&mut self, now: Timestamp, limit: Timestamp) {
        let exceptions: BTreeMap<DateTime, &ExceptionSpec> =
            self.spec.exceptions.iter().map(|exception| (exception.occurrence.0, exception)).collect();
        let back = self.spec.duration.signed().saturating_add(ZONE_SLACK);
        let from = local(&self.zone, now).checked_sub(back).unwrap_or(DateTime::MIN);
        for at in self.rule.from(from) {
            let Some(start) = moment(&self.zone, at) else { continue };
            if start > limit {
                self.later = Some(start);
                return;
            }
            let exception = exceptions.get(&at).copied();
            let duration = exception.and_then(|exception| exception.duration).unwrap_or(self.spec.duration);
            let planned = Planned { start, duration, exception };
            if planned.end() <= now {
                continue;
            }
            match exception {
                Some(exception) if exception.skip => {
                    self.skipped.insert(at, start);
                }
                Some(exception) if exception.start.is_some() => {}
                _ => {
                    self.planned.insert(at, planned);
                }
            }
        }
    }

    /// Those that an exception moves, from wherever to wherever; and the exceptions that fit nothing.
    fn moved(&mut self, now: Timestamp, limit: Timestamp) {
        let all: BTreeSet<DateTime> = self.spec.exceptions.iter().map(|exception| exception.occurrence.0).collect();
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
        let named: BTreeSet<DateTime> =
            self.rule.from(*first).take_while(|at| at <= last).filter(|at| all.contains(at)).collect();
        let today = local(&self.zone, now);
        self.unmatched = all.difference(&named).copied().filter(|at| *at > today).collect();
        for exception in self.spec.exceptions.iter().filter(|exception| named.contains(&exception.occurrence.0)) {
            let Some(start) = exception.start.and_then(|start| moment(&self.zone, start.0)) else { continue };
            if exception.skip {
                continue;
            }
            let duration = exception.duration.unwrap_or(self.spec.duration);
            let planned = Planned { start, duration, exception: Some(exception) };
            if start > limit {
                self.later = self.later.into_iter().chain([start]).min();
            } else if planned.end() > now {
                self.planned.insert(exception.occurrence.0, planned);
            }
        }
    }

    /// So many at most.
    fn cut(&mut self) {
        let most = usize::try_from(self.spec.max_ahead).unwrap_or(usize::MAX);
        let mut order: Vec<(Timestamp, DateTime)> =
            self.planned.iter().map(|(at, planned)| (planned.start, *at)).collect();
        order.sort_unstable();
        for (_, at) in order.into_iter().skip(most) {
            self.planned.remove(&at);
        }
    }

    /// Is there to be an occurrence at this local time, within the horizon or not?
    pub fn has(&self, at: DateTime) -> bool {
        let is_skipped = |exception: &ExceptionSpec| exception.skip && exception.occurrence.0 == at;
        self.rule.has(at) && !self.spec.exceptions.iter().any(is_skipped)
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
