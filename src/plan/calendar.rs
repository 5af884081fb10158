//! Who has which slot when: the booking calendar of one bridge. Windows in one slot never overlap; the lowest number that
//! is free during the whole window wins (R56).

mod capacity;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use capacity::Peak;

use super::window::Window;

/// Identity of a meeting: its UID. Kept in several tables, so shared.
pub type MeetingId = Arc<str>;

#[derive(Clone, Debug)]
struct Entry {
    meeting: MeetingId,
    window: Window,
}

/// The reservations on one bridge.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// Slot -> opening instant -> reservation. Disjoint within a slot, so neighbours decide about overlap.
    by_slot: BTreeMap<u32, BTreeMap<Timestamp, Entry>>,
    by_meeting: BTreeMap<MeetingId, (u32, Timestamp)>,
}

/// Numbers a meeting may have: the range of the spec without those in quarantine.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    pub range: RangeInclusive<u32>,
    pub quarantined: &'a BTreeSet<u32>,
}

impl Calendar {
    /// The slot and window a meeting has.
    pub fn of(&self, meeting: &str) -> Option<(u32, Window)> {
        let (slot, opens_at) = self.by_meeting.get(meeting)?;
        let entry = self.by_slot.get(slot)?.get(opens_at)?;
        Some((*slot, entry.window))
    }

    /// Who else is in the way of this window in this slot?
    pub fn conflict(&self, slot: u32, window: &Window, except: &str) -> Option<&MeetingId> {
        let entries = self.by_slot.get(&slot)?;
        let before = entries.range(..window.closes_at).next_back();
        // Disjoint windows: only the last one that opens before our end, and its forerunner if that one is ours.
        let candidates = before.into_iter().chain(
            entries
                .range(..window.closes_at)
                .rev()
                .skip(1)
                .take_while(|(_, entry)| entry.window.closes_at > window.opens_at),
        );
        candidates
            .map(|(_, entry)| entry)
            .find(|entry| *entry.meeting != *except && entry.window.overlaps(window))
            .map(|entry| &entry.meeting)
    }

    /// Takes over a reservation that stands in a status. Fails with the holder if the slot is taken in that window.
    pub fn adopt(&mut self, meeting: &str, slot: u32, window: Window) -> Result<(), MeetingId> {
        if let Some(holder) = self.conflict(slot, &window, meeting) {
            return Err(holder.clone());
        }
        self.release(meeting);
        let meeting: MeetingId = meeting.into();
        self.by_meeting.insert(Arc::clone(&meeting), (slot, window.opens_at));
        self.by_slot.entry(slot).or_default().insert(window.opens_at, Entry { meeting, window });
        Ok(())
    }

    /// Keeps the slot a meeting has if it still fits the window and the choice, else takes the lowest free one.
    pub fn reserve(&mut self, meeting: &str, window: Window, among: &Choice<'_>) -> Option<u32> {
        if let Some((slot, _)) = self.of(meeting)
            && among.range.contains(&slot)
            && !among.quarantined.contains(&slot)
            && self.adopt(meeting, slot, window).is_ok()
        {
            return Some(slot);
        }
        let slot = self.free(meeting, &window, among).next()?;
        self.adopt(meeting, slot, window).ok()?;
        Some(slot)
    }

    /// The numbers that are free for a meeting during the whole window, the lowest first.
    fn free(&self, meeting: &str, window: &Window, among: &Choice<'_>) -> impl Iterator<Item = u32> {
        let is_free = |slot: &u32| !among.quarantined.contains(slot) && self.conflict(*slot, window, meeting).is_none();
        among.range.clone().filter(is_free)
    }

    /// How many numbers are free during the whole window.
    pub fn count_free(&self, window: &Window, among: &Choice<'_>) -> usize {
        self.free("", window, among).count()
    }

    /// Gives up whatever a meeting has. True if it had something.
    pub fn release(&mut self, meeting: &str) -> bool {
        let Some((slot, opens_at)) = self.by_meeting.remove(meeting) else { return false };
        if let Some(entries) = self.by_slot.get_mut(&slot) {
            entries.remove(&opens_at);
            if entries.is_empty() {
                self.by_slot.remove(&slot);
            }
        }
        true
    }

    /// Every reservation: meeting, slot, window.
    pub fn entries(&self) -> impl Iterator<Item = (&MeetingId, u32, &Window)> {
        self.by_slot.iter().flat_map(|(slot, entries)| entries.values().map(|e| (&e.meeting, *slot, &e.window)))
    }

    /// Meetings that start within seven days of `now`, the most at one time, and the next start (R17).
    pub fn summary(&self, now: Timestamp) -> (u32, u32, Option<Timestamp>) {
        let horizon = now.checked_add(SignedDuration::from_hours(7 * 24)).unwrap_or(Timestamp::MAX);
        let mut soon = 0_u32;
        let mut next: Option<Timestamp> = None;
        let mut edges = Vec::new();
        for (_, _, window) in self.entries().filter(|(_, _, window)| window.closes_at > now) {
            if window.starts_at > now {
                next = Some(next.map_or(window.starts_at, |at| at.min(window.starts_at)));
                soon += u32::from(window.starts_at <= horizon);
            }
            edges.push((window.opens_at, 1_i64));
            edges.push((window.closes_at, -1_i64));
        }
        // At one instant ends come before starts: windows are half-open.
        edges.sort_unstable();
        let (mut running, mut peak) = (0_i64, 0_i64);
        for (_, change) in edges {
            running += change;
            peak = peak.max(running);
        }
        (soon, u32::try_from(peak).unwrap_or(0), next)
    }
}

#[cfg(test)]
mod tests;
