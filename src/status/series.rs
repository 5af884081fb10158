//! The status of a MeetingSeries.

use jiff::Timestamp;
use kube::ResourceExt;

use super::{Conditions, Readiness};
use crate::api::conditions::{meeting as meeting_reason, series as reason, types};
use crate::api::names::RECONCILE_ANNOTATION;
use crate::api::series::{
    MOST_OCCURRENCES, MOST_UNMATCHED, MeetingSeriesStatus, NextOccurrence, OccurrenceState, OccurrenceStatus,
};
use crate::api::values::{Instant, LocalTime};
use crate::api::{find, is_true};
use crate::plan::series::{Entry, Progress};

/// So many occurrences are named in a message.
const MOST_NAMED: usize = 5;

/// The new status.
pub fn build(
    progress: &Progress,
    old: &MeetingSeriesStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> MeetingSeriesStatus {
    let mut conditions = Conditions::new(&old.conditions, generation, now);
    let is_known = is_true(&old.conditions, types::READY) && old.observed_generation == generation;
    let judged = Judged { progress, is_pending: !is_known && progress.entries.values().any(|entry| entry.is_unjudged) };
    let refused = progress.refusal().map(|refusal| (refusal.reason, refusal.message.clone()));
    conditions.judge(types::ACCEPTED, ("Accepted", "the recurrence and the time zone are understood"), refused);
    judged.created(&mut conditions);
    judged.booked(&mut conditions);
    let unmatched = named(progress.unmatched().iter().map(ToString::to_string));
    let lost = unmatched.map(|names| (reason::NO_SUCH_OCCURRENCE, format!("no occurrence is at {names}")));
    conditions.judge(types::EXCEPTIONS_MATCHED, ("Matched", "every exception has its occurrence"), lost);
    let next = progress.entries.values().filter(|entry| entry.start > now && is_coming(entry));
    let next = next.min_by_key(|entry| entry.start);
    let mut occurrences: Vec<OccurrenceStatus> =
        progress.entries.iter().map(|(at, entry)| told(progress, *at, entry)).collect();
    occurrences.truncate(MOST_OCCURRENCES);
    MeetingSeriesStatus {
        observed_generation: generation,
        conditions: conditions.finish(&judged.readiness(next)),
        schedule: progress.words().or_else(|| old.schedule.clone()),
        next: next.and_then(|entry| {
            let local_start = LocalTime(progress.local(entry.start)?);
            Some(NextOccurrence { name: entry.name.clone(), start: Instant(entry.start), local_start })
        }),
        occurrences,
        unmatched_exceptions: progress.unmatched().iter().take(MOST_UNMATCHED).copied().map(LocalTime).collect(),
        last_handled_reconcile_at: progress.series.annotations().get(RECONCILE_ANNOTATION).cloned(),
    }
}

/// Will it take place, as far as anybody knows?
fn is_coming(entry: &Entry) -> bool {
    let is_booked = matches!(entry.state, OccurrenceState::Created | OccurrenceState::Edited) && entry.reason.is_none();
    is_booked || entry.is_held
}

fn told(progress: &Progress, at: jiff::civil::DateTime, entry: &Entry) -> OccurrenceStatus {
    let local = progress.local(entry.start).filter(|local| *local != at);
    OccurrenceStatus {
        occurrence: LocalTime(at),
        name: entry.name.clone(),
        start: Instant(entry.start),
        local_start: local.map(LocalTime),
        state: entry.state,
        reason: entry.reason.clone(),
    }
}

/// The first few, and how many more there are.
fn named(items: impl Iterator<Item = String>) -> Option<String> {
    let mut all: Vec<String> = items.collect();
    let more = all.len().saturating_sub(MOST_NAMED);
    all.truncate(MOST_NAMED);
    let names = all.join(", ");
    match (all.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(names),
        (false, more) => Some(format!("{names} and {more} more")),
    }
}

/// What the conditions are judged by.
struct Judged<'a> {
    progress: &'a Progress,
    /// An occurrence is not booked yet, and nobody was told that the series is ready.
    is_pending: bool,
}

impl Judged<'_> {
    fn in_state(&self, state: OccurrenceState) -> impl Iterator<Item = &Entry> {
        self.progress.entries.values().filter(move |entry| entry.state == state)
    }

    /// Whose names are somebody else's.
    fn taken(&self) -> Option<String> {
        named(self.in_state(OccurrenceState::NameTaken).map(|entry| entry.name.clone()))
            .map(|names| format!("a ScheduledMeeting of this name is somebody else's and is not touched: {names}"))
    }

    /// Which were written by somebody else before anything could be done to them.
    fn outdated(&self) -> Option<String> {
        named(self.progress.outdated.iter().cloned())
            .map(|names| format!("somebody else wrote these meanwhile, and they are decided anew: {names}"))
    }

    /// Those that have no slot, or not the one that they ask for; also one that somebody edited may be refused.
    fn unbooked(&self) -> impl Iterator<Item = &Entry> {
        let is_unbooked = |state| matches!(state, OccurrenceState::Refused | OccurrenceState::Edited);
        self.progress.entries.values().filter(move |entry| is_unbooked(entry.state) && entry.reason.is_some())
    }

    /// Which have no slot, which have not what they ask for, and why.
    fn refused(&self) -> Option<String> {
        let told = |is_held: bool, words: &str| {
            let why = |entry: &Entry| format!("{} ({})", entry.name, entry.reason.as_deref().unwrap_or_default());
            let names = named(self.unbooked().filter(|entry| entry.is_held == is_held).map(why));
            names.map(|names| format!("{words}: {names}"))
        };
        let held = told(true, "held as booked before, since what is asked for now is not to be had");
        let told: Vec<String> = told(false, "not booked").into_iter().chain(held).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn created(&self, conditions: &mut Conditions<'_>) {
        let kind = types::OCCURRENCES_CREATED;
        if self.progress.refusal().is_some() {
            conditions.set(kind, None, "NotAccepted", "the series is not accepted; what was made before stays");
        } else if let Some(words) = &self.progress.trouble {
            conditions.set(kind, Some(false), reason::CREATION_REFUSED, words.as_str());
        } else if let Some(message) = self.outdated() {
            conditions.set(kind, Some(false), reason::PROGRESSING, message);
        } else if let Some(message) = self.taken() {
            conditions.set(kind, Some(false), reason::NAME_TAKEN, message);
        } else if self.progress.series.spec.suspend {
            conditions.set(
                kind,
                Some(false),
                reason::SUSPENDED,
                "spec.suspend is true: no occurrence is made or changed",
            );
        } else if self.in_state(OccurrenceState::NotCreated).next().is_some() {
            conditions.set(kind, Some(false), reason::PROGRESSING, "occurrences are being made");
        } else {
            conditions.set(kind, Some(true), "Created", "the occurrences within the horizon are there");
        }
    }

    fn booked(&self, conditions: &mut Conditions<'_>) {
        let kind = types::OCCURRENCES_BOOKED;
        if let Some(message) = self.refused() {
            conditions.set(kind, Some(false), reason::OCCURRENCE_REFUSED, message);
        } else if self.is_pending {
            conditions.set(kind, None, reason::PROGRESSING, "occurrences are being booked");
        } else {
            conditions.set(kind, Some(true), "Booked", "no occurrence is refused");
        }
    }

    fn readiness(&self, next: Option<&Entry>) -> Readiness {
        let (progress, reason) = (self.progress, reason::PROGRESSING);
        if let Some(refusal) = progress.refusal() {
            return Readiness::stalled(refusal.reason, &refusal.message);
        }
        if let Some(message) = progress.trouble.clone() {
            return Readiness::retrying(reason::CREATION_REFUSED, message);
        }
        if let Some(message) = self.outdated() {
            return Readiness::progressing(reason, message);
        }
        if let Some(message) = self.taken() {
            return Readiness::stalled(reason::NAME_TAKEN, message);
        }
        if let Some(message) = self.refused() {
            let reason = reason::OCCURRENCE_REFUSED;
            // A bridge that is not there yet may come with the next file of the same commit.
            let is_awaited = |entry: &Entry| entry.reason.as_deref() == Some(meeting_reason::BRIDGE_NOT_FOUND);
            return Readiness::failing(reason, message, !self.unbooked().all(is_awaited));
        }
        if progress.series.spec.suspend {
            // Who suspends a series wants nothing to be made, and nothing is.
            return Readiness::ready(reason::SUSPENDED, "spec.suspend is true: no occurrence is made or changed");
        }
        if self.in_state(OccurrenceState::NotCreated).next().is_some() {
            return Readiness::progressing(reason, "occurrences are being made");
        }
        if self.is_pending {
            return Readiness::progressing(reason, "occurrences are being booked");
        }
        if progress.is_over() {
            return Readiness::ready("Ended", "the last occurrence is over");
        }
        let message = match next {
            Some(entry) => format!("the next occurrence is {}", entry.name),
            None => "no occurrence begins within the horizon".into(),
        };
        Readiness::ready("Ready", message)
    }
}

/// Does the status say something else about Ready than the one before? Returns what it says now.
pub fn news<'a>(old: &MeetingSeriesStatus, new: &'a MeetingSeriesStatus) -> Option<(&'a str, &'a str)> {
    let now = find(&new.conditions, types::READY)?;
    let before = find(&old.conditions, types::READY);
    let is_new = before.is_none_or(|before| before.status != now.status || before.reason != now.reason);
    (is_new && now.status == "False" && now.reason != reason::PROGRESSING)
        .then_some((now.reason.as_str(), now.message.as_str()))
}

#[cfg(test)]
mod tests;
