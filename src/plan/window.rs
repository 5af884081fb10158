//! The half-open window of a meeting, and when to wake for it. Everything about time is decided here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::ScheduledMeetingSpec;
use crate::api::meeting::{ScheduledMeetingStatus, WindowStatus};
use crate::api::values::Instant;

/// How long before the door's instant a meeting prepares: passcode and slot are checked, the intent is recorded, and at
/// the instant itself only the write is left to do (decision 0014).
pub const PREPARE_LEAD: SignedDuration = SignedDuration::from_secs(10);

/// How long before the end an automatic extension is decided.
const EXTEND_LEAD: SignedDuration = SignedDuration::from_secs(30);

/// Longest sleep. The timers below us are monotonic and stand still while a node is suspended, so far instants are
/// approached in steps that re-read the wall clock (decision 0012).
const LONGEST_SLEEP: Duration = Duration::from_secs(600);

/// When the door opens, when dialling starts, when the door shuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub opens_at: Timestamp,
    pub starts_at: Timestamp,
    pub closes_at: Timestamp,
}

/// Where `now` stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// More than the lead before the door opens.
    Before,
    /// Within the lead.
    Preparing,
    /// The door is to be open; dialling only from `starts_at` on.
    Inside,
    /// The door is to be shut.
    Over,
}

impl Window {
    /// The window that the spec asks for; `extended_until` is the end reached by automatic extensions.
    pub fn of(spec: &ScheduledMeetingSpec, extended_until: Option<Timestamp>) -> Self {
        let starts_at = spec.start.0;
        let early = spec.early_join.map_or(SignedDuration::ZERO, |span| span.signed());
        let opens_at = starts_at.checked_sub(early).unwrap_or(starts_at);
        let asked = match (spec.end, spec.duration) {
            (Some(end), _) => end.0,
            (None, Some(span)) => starts_at.checked_add(span.signed()).unwrap_or(Timestamp::MAX),
            // Excluded by CEL; an old object without either is over as soon as it starts.
            (None, None) => starts_at,
        };
        let cap = spec
            .extension
            .as_ref()
            .map_or(asked, |extension| asked.checked_add(extension.auto.max.signed()).unwrap_or(Timestamp::MAX));
        let extended = extended_until.map_or(asked, |until| until.min(cap));
        Self { opens_at, starts_at, closes_at: asked.max(extended) }
    }

    /// Do the two need different slots?
    pub fn overlaps(&self, other: &Window) -> bool {
        self.opens_at < other.closes_at && other.opens_at < self.closes_at
    }

    /// Where `now` stands.
    pub fn stage(&self, now: Timestamp) -> Stage {
        if now >= self.closes_at {
            Stage::Over
        } else if now >= self.opens_at {
            Stage::Inside
        } else if self.opens_at.duration_since(now) <= PREPARE_LEAD {
            Stage::Preparing
        } else {
            Stage::Before
        }
    }

    /// The window that holds for a meeting, as its status knows it: what its spec asks for, unless that is another start
    /// which was not to be had.
    pub fn of_meeting(spec: &ScheduledMeetingSpec, status: &ScheduledMeetingStatus) -> Self {
        let asked = Self::asked(spec, status);
        let kept = status.refused_window.filter(|refused| Self::from(*refused) == asked).and(status.window);
        kept.map(Self::from).filter(|kept| kept.opens_at != asked.opens_at).unwrap_or(asked)
    }

    /// The window that is booked for a meeting, if it has a slot and what its spec asks for instead was not to be had.
    pub fn kept(spec: &ScheduledMeetingSpec, status: &ScheduledMeetingStatus) -> Option<Self> {
        let asked = Self::asked(spec, status);
        let refused = status.refused_window.filter(|refused| Self::from(*refused) == asked && status.slot.is_some());
        refused.and(status.window).map(Self::from)
    }

    /// The window that a meeting asks for. An edit of the end makes an automatic extension void.
    pub fn asked(spec: &ScheduledMeetingSpec, status: &ScheduledMeetingStatus) -> Self {
        let asked = Self::of(spec, None);
        let until = status.extended_until.filter(|_| status.extended_from.is_none_or(|from| from.0 == asked.closes_at));
        Self::of(spec, until.map(|until| until.0))
    }

    /// The next instant at which something may change, strictly after `now`.
    pub fn next_instant(&self, spec: &ScheduledMeetingSpec, now: Timestamp) -> Option<Timestamp> {
        let prepare = self.opens_at.checked_sub(PREPARE_LEAD).unwrap_or(Timestamp::MIN);
        [prepare, self.opens_at, self.starts_at, self.closes_at]
            .into_iter()
            .chain(self.extends_at(spec))
            .filter(|at| *at > now)
            .min()
    }

    /// The window that people are invited to: the one that was agreed upon, without what the controller added by itself.
    pub fn invited(spec: &ScheduledMeetingSpec, status: &ScheduledMeetingStatus) -> Self {
        let asked = Self::of(spec, None);
        let Some(agreed) = status.window.map(Self::from) else { return asked };
        let is_extended = status.extended_until.is_some_and(|until| until.0 == agreed.closes_at);
        if !is_extended || agreed.closes_at == asked.closes_at {
            return agreed;
        }
        Self { closes_at: status.extended_from.map_or(asked.closes_at, |from| from.0), ..agreed }
    }

    /// When the next automatic extension is decided, if there can be one: shortly before the end, but not so long before
    /// that several short steps would be taken at once.
    pub fn extends_at(&self, spec: &ScheduledMeetingSpec) -> Option<Timestamp> {
        self.extended(spec)?;
        let step = spec.extension.as_ref()?.auto.length();
        self.closes_at.checked_sub(EXTEND_LEAD.min(step / 2)).ok()
    }

    /// The end after one more automatic extension, if the spec wants it and the cap allows it.
    pub fn extended(&self, spec: &ScheduledMeetingSpec) -> Option<Timestamp> {
        let auto = &spec.extension.as_ref()?.auto;
        let asked = Window::of(spec, None).closes_at;
        let cap = asked.checked_add(auto.max.signed()).ok()?;
        let next = self.closes_at.checked_add(auto.length()).ok()?.min(cap);
        (next > self.closes_at).then_some(next)
    }
}

impl From<Window> for WindowStatus {
    fn from(window: Window) -> Self {
        Self {
            opens_at: Instant(window.opens_at),
            starts_at: Instant(window.starts_at),
            closes_at: Instant(window.closes_at),
        }
    }
}

impl From<WindowStatus> for Window {
    fn from(window: WindowStatus) -> Self {
        Self { opens_at: window.opens_at.0, starts_at: window.starts_at.0, closes_at: window.closes_at.0 }
    }
}

/// How long to sleep from `now` towards `until`: exactly when it is near, halfway at most when it is far.
pub fn sleep(now: Timestamp, until: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    if left <= Duration::from_secs(60) { left } else { (left / 2).min(LONGEST_SLEEP) }
}

#[cfg(test)]
mod tests;
