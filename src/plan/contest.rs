//! A tug-of-war: others change something of ours again and again. It is put back three times and told; then it rests. What
//! would let strangers in is never given up, only done less often (docs/decisions/0022). PURE.
//!
//! A repair is repeated only after a look that showed that the one before took effect, or after the time within which a
//! write may show late: so what we see too late of our own work is no tug.

use jiff::{SignedDuration, Timestamp};

use crate::api::repairs::{Contest, Contested, MOST_CONTESTS, MOST_REPAIRS, Repairs, Rival, Shown};
use crate::api::values::Instant;

/// What was quiet for so long is fought for again; a repair after that is the first one.
pub const QUIET: SignedDuration = SignedDuration::from_mins(30);

/// In a tug-of-war about a door through which strangers get in, it is put back so often, for as long as it takes.
pub const SHUT_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// Slots that are deleted again and again are made again so often.
pub const MADE_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// A write may show so late (docs/cms-protocol.md section 14).
const SHOWN_LATE: SignedDuration = SignedDuration::from_secs(10);

impl Repairs {
    /// It was put back at `at`.
    pub fn after(before: Option<Self>, at: Timestamp, by: Rival) -> Self {
        let known = before.filter(|before| !before.is_forgotten(at));
        let count = known.map_or(0, |known| known.count).saturating_add(1).min(MOST_REPAIRS);
        Self { count, last_at: Instant::shown(at), shown: Shown::Nothing, by }
    }

    /// Did it happen less than `time` ago? Not if the clock was set back since.
    pub fn is_within(&self, time: SignedDuration, now: Timestamp) -> bool {
        let age = now.duration_since(self.last_at.0);
        age < time && age > -time
    }

    /// Others won so often that it is left to them until `rest` has passed since the last repair.
    pub fn rests(&self, rest: SignedDuration, now: Timestamp) -> bool {
        self.count >= MOST_REPAIRS && self.is_within(rest, now)
    }

    /// May it be put back now?
    pub fn is_due(&self, rest: SignedDuration, now: Timestamp) -> bool {
        let is_unproven = self.shown == Shown::Nothing && self.is_within(SHOWN_LATE, now);
        !is_unproven && !self.rests(rest, now)
    }

    /// When that will be.
    pub fn due_at(&self, rest: SignedDuration) -> Option<Timestamp> {
        let rest = if self.count >= MOST_REPAIRS { rest } else { SHOWN_LATE };
        self.last_at.0.checked_add(rest).ok()
    }

    /// When a look can show what became of it.
    pub fn shows_at(&self) -> Option<Timestamp> {
        self.last_at.0.checked_add(SHOWN_LATE).ok()
    }

    /// Is it a tug-of-war?
    fn is_tug(&self, now: Timestamp) -> bool {
        self.rests(QUIET, now)
    }

    /// Is it over? A tug-of-war is remembered longer, so that the first try after the quiet time is one more repair of it.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let memory = if self.count >= MOST_REPAIRS { QUIET.saturating_mul(2) } else { QUIET };
        !self.is_within(memory, now)
    }

    /// A look showed it so, and it was not put back.
    pub fn see(&mut self, shown: Shown, rest: SignedDuration, now: Timestamp) {
        if shown == Shown::AsWanted || self.rests(rest, now) && !self.is_late(now) {
            self.shown = shown;
        }
    }

    /// What is shown may be from before the repair.
    fn is_late(&self, now: Timestamp) -> bool {
        self.shown == Shown::Nothing && self.is_within(SHOWN_LATE, now)
    }
}

/// What of a bridge had to be put back lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contests(Vec<Contest>);

impl Contests {
    /// As the status has them.
    pub fn new(stored: &[Contest]) -> Self {
        Self(stored.iter().take(MOST_CONTESTS).copied().collect())
    }

    /// As the status is to have them.
    pub fn to_vec(&self) -> Vec<Contest> {
        self.0.clone()
    }

    pub fn of(&self, thing: Contested, slot: Option<u32>) -> Option<&Repairs> {
        self.0.iter().find(|known| (known.thing, known.slot) == (thing, slot)).map(|known| &known.repairs)
    }

    /// It was put back. If so much is fought for that it cannot be remembered, the rest is put back whenever a look shows it.
    pub fn repaired(&mut self, (thing, slot): (Contested, Option<u32>), at: Timestamp, by: Rival) {
        self.0.retain(|known| !known.repairs.is_forgotten(at));
        if let Some(known) = self.0.iter_mut().find(|known| (known.thing, known.slot) == (thing, slot)) {
            known.repairs = Repairs::after(Some(known.repairs), at, by);
        } else if self.0.len() < MOST_CONTESTS {
            self.0.push(Contest { thing, slot, repairs: Repairs::after(None, at, by) });
        }
    }

    /// Looks showed of these that the repair took effect.
    pub fn prove(&mut self, is_as_wanted: impl Fn(Contested, Option<u32>) -> bool) {
        let unseen = self.0.iter_mut().filter(|known| known.repairs.shown != Shown::AsWanted);
        for known in unseen.filter(|known| is_as_wanted(known.thing, known.slot)) {
            known.repairs.shown = Shown::AsWanted;
        }
    }

    /// What is over is forgotten.
    pub fn prune(&mut self, now: Timestamp) {
        self.0.retain(|known| !known.repairs.is_forgotten(now));
    }

    /// What is fought for now.
    pub fn tugs(&self, now: Timestamp) -> impl Iterator<Item = &Contest> {
        self.0.iter().filter(move |known| known.repairs.is_tug(now))
    }
}

#[cfg(test)]
mod tests;
