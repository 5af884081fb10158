//! Who has which slot when: the booking calendar of one bridge. Windows in one slot never overlap; the lowest number that
//! is free during the whole window wins (R56).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

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
pub struct Pool<'a> {
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

    /// Keeps the slot a meeting has if it still fits the window and the pool, else takes the lowest free one.
    pub fn reserve(&mut self, meeting: &str, window: Window, pool: &Pool<'_>) -> Option<u32> {
        if let Some((slot, _)) = self.of(meeting)
            && pool.range.contains(&slot)
            && !pool.quarantined.contains(&slot)
            && self.adopt(meeting, slot, window).is_ok()
        {
            return Some(slot);
        }
        let slot = self.lowest_free(meeting, &window, pool)?;
        self.adopt(meeting, slot, window).ok()?;
        Some(slot)
    }

    /// The lowest number free during the whole window.
    pub fn lowest_free(&self, meeting: &str, window: &Window, pool: &Pool<'_>) -> Option<u32> {
        pool.range
            .clone()
            .find(|slot| !pool.quarantined.contains(slot) && self.conflict(*slot, window, meeting).is_none())
    }

    /// How many numbers are free during the whole window.
    pub fn count_free(&self, window: &Window, pool: &Pool<'_>) -> usize {
        pool.range
            .clone()
            .filter(|slot| !pool.quarantined.contains(slot) && self.conflict(*slot, window, "").is_none())
            .count()
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(from: i64, to: i64) -> Window {
        let at = |secs| Timestamp::from_second(1_800_000_000 + secs).unwrap();
        Window { opens_at: at(from), starts_at: at(from), closes_at: at(to) }
    }

    fn pool(range: RangeInclusive<u32>) -> Pool<'static> {
        static NONE: BTreeSet<u32> = BTreeSet::new();
        Pool { range, quarantined: &NONE }
    }

    #[test]
    fn one_meeting_at_a_time_always_has_the_first_slot() {
        let mut calendar = Calendar::default();
        for i in 0..10 {
            assert_eq!(calendar.reserve(&format!("m{i}"), window(i * 60, i * 60 + 60), &pool(1..=5)), Some(1));
        }
    }

    #[test]
    fn overlapping_meetings_get_the_lowest_free_numbers_until_none_is_left() {
        let mut calendar = Calendar::default();
        for i in 1..=3_u32 {
            assert_eq!(calendar.reserve(&format!("m{i}"), window(0, 60), &pool(1..=3)), Some(i));
        }
        assert_eq!(calendar.reserve("late", window(30, 90), &pool(1..=3)), None);
        assert!(calendar.release("m2"));
        assert_eq!(calendar.reserve("late", window(30, 90), &pool(1..=3)), Some(2));
    }

    #[test]
    fn a_moved_meeting_keeps_its_number_when_it_can() {
        let mut calendar = Calendar::default();
        calendar.reserve("a", window(0, 60), &pool(1..=3));
        calendar.reserve("b", window(0, 60), &pool(1..=3));
        assert_eq!(calendar.reserve("b", window(0, 120), &pool(1..=3)), Some(2));
        calendar.reserve("c", window(60, 120), &pool(1..=3));
        assert_eq!(calendar.of("c").unwrap().0, 1);
        assert_eq!(calendar.adopt("a", 1, window(0, 61)), Err("c".into()), "the added minute belongs to c");
        assert_eq!(calendar.of("a").unwrap().1, window(0, 60), "the old end stands");
    }

    #[test]
    fn quarantined_numbers_are_left_out() {
        let mut calendar = Calendar::default();
        let quarantined = BTreeSet::from([1]);
        let pool = Pool { range: 1..=2, quarantined: &quarantined };
        assert_eq!(calendar.reserve("a", window(0, 60), &pool), Some(2));
        assert_eq!(calendar.reserve("b", window(0, 60), &pool), None);
    }

    #[test]
    fn summary_counts_half_open() {
        let mut calendar = Calendar::default();
        calendar.reserve("a", window(10, 60), &pool(1..=3));
        calendar.reserve("b", window(60, 90), &pool(1..=3));
        calendar.reserve("c", window(20, 30), &pool(1..=3));
        let (soon, peak, next) = calendar.summary(window(0, 0).opens_at);
        assert_eq!((soon, peak, next), (3, 2, Some(window(10, 11).opens_at)));
    }

    proptest! {
        /// Whatever is booked, moved and released: no two windows in one slot overlap, and a refusal is honest.
        #[test]
        fn no_slot_is_ever_shared(ops in prop::collection::vec((0_u8..12, 0_i64..50, 1_i64..20, any::<bool>()), 1..120)) {
            let mut calendar = Calendar::default();
            for (id, from, length, release) in ops {
                let meeting = format!("m{id}");
                if release {
                    calendar.release(&meeting);
                    continue;
                }
                let wanted = window(from, from + length);
                let got = calendar.reserve(&meeting, wanted, &pool(1..=4));
                if got.is_none() {
                    let blocked = (1..=4).all(|slot| calendar.entries()
                        .any(|(m, s, w)| s == slot && **m != *meeting && w.overlaps(&wanted)));
                    prop_assert!(blocked);
                } else {
                    prop_assert_eq!(calendar.of(&meeting), got.map(|slot| (slot, wanted)));
                }
                let all: Vec<_> = calendar.entries().map(|(m, s, w)| (m.clone(), s, *w)).collect();
                for (i, (ma, sa, wa)) in all.iter().enumerate() {
                    for (mb, sb, wb) in all.iter().skip(i + 1) {
                        prop_assert!(sa != sb || !wa.overlaps(wb), "{ma} and {mb} share slot {sa}");
                    }
                }
            }
        }
    }
}
