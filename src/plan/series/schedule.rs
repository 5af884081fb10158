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
    skips: BTreeSet<DateTime>,
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
        let skips = spec.exceptions.iter().filter(|exception| exception.skip);
        let mut schedule = Self {
            start: spec.start.0,
            recurrence: rule.reckoned(reach),
            zone,
            reach,
            skips: skips.map(|exception| exception.occurrence.0).collect(),
            planned: BTreeMap::new(),
            skipped: BTreeMap::new(),
            unmatched: Vec::new(),
            later: None,
        };
        schedule.follow(spec, now, limit);
        schedule.moved(spec, now, limit);
        schedule.cut(spec);
        Ok(schedule)
    }

    /// Those that are where the rule has them.
    fn follow(&mut self, spec: &MeetingSeriesSpec, now: Timestamp, limit: Timestamp) {
        let exceptions: BTreeMap<DateTime, &ExceptionSpec> =
            spec.exceptions.iter().map(|exception| (exception.occurrence.0, exception)).collect();
        let back = spec.duration.signed().saturating_add(ZONE_SLACK);
        let from = local(&self.zone, now).checked_sub(back).unwrap_or(DateTime::MIN);
        for at in Rule::new(self.start, &self.recurrence).from(from) {
            let Some(start) = moment(&self.zone, at) else { continue };
            if start > limit {
                self.later = Some(start);
                return;
            }
            let exception = exceptions.get(&at).copied();
            let duration = exception.and_then(|exception| exception.duration).unwrap_or(spec.duration);
            let planned = Planned { start, duration, exception: None };
            if planned.end() <= now {
                continue;
            }
            match exception {
                Some(exception) if exception.skip => {
                    self.skipped.insert(at, start);
                }
                Some(exception) if exception.start.is_some() => {}
                _ => {
                    self.planned.insert(at, Planned { exception: exception.cloned(), ..planned });
                }
            }
        }
    }

    /// Those that an exception moves, from wherever to wherever; and the exceptions that fit nothing.
    fn moved(&mut self, spec: &MeetingSeriesSpec, now: Timestamp, limit: Timestamp) {
        let all: BTreeSet<DateTime> = spec.exceptions.iter().map(|exception| exception.occurrence.0).collect();
        let near = all.range(..=self.reach).copied().collect();
        let named = Rule::new(self.start, &self.recurrence).named(&near);
        let today = local(&self.zone, now);
        self.unmatched = all.difference(&named).copied().filter(|at| *at > today).collect();
        for exception in spec.exceptions.iter().filter(|exception| named.contains(&exception.occurrence.0)) {
            let Some(start) = exception.start.and_then(|start| moment(&self.zone, start.0)) else { continue };
            if exception.skip {
                continue;
            }
            let duration = exception.duration.unwrap_or(spec.duration);
            let planned = Planned { start, duration, exception: None };
            if start > limit {
                self.later = self.later.into_iter().chain([start]).min();
            } else if planned.end() > now {
                let planned = Planned { exception: Some(exception.clone()), ..planned };
                self.planned.insert(exception.occurrence.0, planned);
            }
        }
    }

    /// So many at most.
    fn cut(&mut self, spec: &MeetingSeriesSpec) {
        let most = usize::try_from(spec.max_ahead).unwrap_or(usize::MAX);
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
        named.difference(&self.skips).copied().collect()
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
