//! The warning before the end: which one is due, and until when it says the truth. PURE.

use jiff::{SignedDuration, Timestamp};

use super::window::Window;
use crate::api::warning::{EndWarning, EndWarningStatus};

/// The first version with a text in a call (cms-protocol.md 7.1).
pub const MESSAGES: (u32, u32) = (2, 1);

/// A warning that comes later than this does not say the truth any more, so it is not shown.
pub const TRUE_FOR: SignedDuration = SignedDuration::from_secs(20);

/// The warnings of one meeting that is open.
#[derive(Clone, Copy, Debug)]
pub struct Warnings<'a> {
    pub asked: &'a EndWarning,
    pub window: Window,
    /// When the door was opened: nobody waited for what was to be shown before.
    pub opened_at: Timestamp,
    /// What is done with.
    pub done: Option<&'a EndWarningStatus>,
}

impl Warnings<'_> {
    /// Those that are still to be shown, with their instants.
    fn open(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        let (window, since) = (self.window, self.opened_at.max(self.window.starts_at));
        let done = self.done.filter(|done| done.end.0 == window.closes_at).map(|done| done.minutes);
        let of_this_end =
            self.asked.minutes_before.iter().copied().filter(move |minutes| done.is_none_or(|d| *minutes < d));
        let timed = of_this_end.filter_map(move |minutes| {
            let at = window.closes_at.checked_sub(SignedDuration::from_mins(minutes.into())).ok()?;
            Some((minutes, at))
        });
        // One that says when it begins how long it lasts is no warning.
        timed.filter(move |(_, at)| *at > since)
    }

    /// The one to show now.
    pub fn due(&self, now: Timestamp) -> Option<u32> {
        let is_due = |at: Timestamp| at <= now && now.duration_since(at) <= TRUE_FOR;
        self.open().filter(|(_, at)| is_due(*at)).map(|(minutes, _)| minutes).min()
    }

    /// The last one whose time has passed.
    pub fn passed(&self, now: Timestamp) -> Option<u32> {
        let passed = self.open().filter(|(_, at)| now.duration_since(*at) > TRUE_FOR);
        passed.map(|(minutes, _)| minutes).min()
    }

    /// When the next one is to be shown.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.open().map(|(_, at)| at).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
