//! Was a call bridge started anew? Two replies about its uptime tell, in whatever order they come. PURE.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds are whole ones, and clocks do not run alike: so much, and a thousandth of the time between two replies.
const SLACK: Duration = Duration::from_secs(2);

/// What one reply told, and when it can have been made. By a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uptime {
    pub(super) asked: Instant,
    pub(super) told: Instant,
    pub(super) seconds: u64,
}

impl Uptime {
    /// Was it started between the two? Else its uptime has grown by the time between them, which is known only as well as
    /// the moments are at which the replies were made: each may have waited, and they may have overtaken each other.
    pub(super) fn shows_restart_since(&self, before: &Self) -> bool {
        let at_least = self.asked.saturating_duration_since(before.told);
        let too_late = before.told.saturating_duration_since(self.asked);
        let slack = SLACK + at_least / 1000 + too_late;
        let age = Duration::from_secs(self.seconds).saturating_add(slack);
        age < Duration::from_secs(before.seconds).saturating_add(at_least)
    }
}

#[cfg(test)]
mod tests;
