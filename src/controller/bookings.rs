//! Who has booked what where: an index over the ScheduledMeetings, fed by the watch and by our own status writes.
//!
//! It holds nothing that is not in the objects; after a restart the first list fills it again. Its own writes are
//! entered before the watch shows them, so that two meetings accepted in the same instant never get the same slot. What
//! is decided about bookings stands in `plan/booking.rs`.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entry::MeetingEntry;
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};

use super::merge::Within;
use crate::api::marks::Marks;
use crate::api::meeting::Phase;
use crate::api::names::ObjectKey;
use crate::api::{ScheduledMeeting, unreadable};
use crate::cluster::SweepTarget;
use crate::cms::SpaceId;
use crate::facts::slots::SlotSpaces;
use crate::metrics::Census;
use crate::plan::booking::{Booking, Calendars, Offer, Refusal, key_of, no_free_slot, reserve};
use crate::plan::calendar::{MeetingId, Peak};
use crate::plan::window::{Stage, Window};

/// A meeting that is over is being shut for seconds. After so long whoever is next in its slot waits no more.
const STUCK_AFTER: SignedDuration = SignedDuration::from_secs(15);

#[derive(Default)]
struct Index {
    calendars: Calendars,
    meetings: BTreeMap<MeetingId, MeetingEntry>,
    /// Not booked yet, in booking order: creation, then UID.
    pending: BTreeMap<(Timestamp, MeetingId), Pending>,
    /// The spaces that live meetings hold, whichever MeetingBridge they are booked on.
    spaces: BTreeMap<SpaceId, MeetingId>,
    /// The meetings whose passcode comes from a Secret, by namespace and name of it: of thousands of Secrets that are listed
    /// or touched only few matter.
    passcodes: BTreeMap<ObjectKey, BTreeSet<MeetingId>>,
    /// Counts the lists, those of everything and those of each namespace.
    lists: BTreeMap<Within, u64>,
    /// Grows whenever a refusal may have become wrong: something was freed, or a bridge changed.
    epoch: u64,
}

struct Pending {
    meeting: Arc<ScheduledMeeting>,
    /// The epoch in which it was refused; trying again before the next one is a waste.
    refused: Option<u64>,
}

/// The index.
#[derive(Default)]
pub struct Bookings {
    index: Mutex<Index>,
}

/// The bookings of one bridge in numbers (R17).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub next_seven_days: u32,
    pub peak_concurrent: u32,
    pub next_start: Option<Timestamp>,
    pub peaks: Vec<Peak>,
}

fn order(meeting: &ScheduledMeeting) -> (Timestamp, MeetingId) {
    let created = meeting.meta().creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    (created, meeting.uid().unwrap_or_default().into())
}

impl Bookings {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an object from the watch or from our own write; older versions than the known one are ignored.
    /// True if it had a status before and has none now: somebody wiped it.
    pub fn take_object(&self, meeting: &ScheduledMeeting) -> bool {
        let Some(uid) = meeting.uid() else { return false };
        let mut index = self.lock();
        let list = index.list_of(meeting.meta().namespace.clone());
        let entry = MeetingEntry { list, ..MeetingEntry::of(meeting) };
        // What was known before a list was begun is in that list, or the apiserver's database was restored.
        let is_old = |known: &MeetingEntry| known.version > entry.version && known.list == entry.list;
        if index.meetings.get(uid.as_str()).is_some_and(is_old) {
            return false;
        }
        let (phase, slot, has_status) = (entry.phase, entry.slot, entry.has_status);
        let is_out_of_turn = entry.is_out_of_turn;
        let before = index.meetings.get(uid.as_str());
        let had_status = before.is_some_and(|before| before.has_status);
        let was_out_of_turn = before.is_some_and(|before| before.is_out_of_turn);
        index.take(uid.as_str().into(), entry);
        index.pending.remove(&order(meeting));
        let status = meeting.status.as_ref();
        let bridge = status.and_then(|status| status.bridge.as_ref()).map(key_of);
        match (bridge, slot, status.and_then(|status| status.window)) {
            (Some(bridge), Some(slot), Some(window)) if !phase.is_over() => {
                // A conflict means that two statuses claim one slot; the later one to come is refused and books anew.
                let calendar = index.calendars.entry(bridge).or_default();
                if calendar.adopt(&uid, slot, window.into()).is_err() && calendar.release(&uid) {
                    index.epoch += 1;
                }
            }
            _ if phase.is_over() => index.release(&uid),
            // What was reserved for it in its turn is for others as well. Once: what it has after that it booked itself.
            _ if is_out_of_turn && !was_out_of_turn => index.release(&uid),
            _ if is_out_of_turn => {}
            _ if meeting.meta().deletion_timestamp.is_none()
                && !meeting.spec.suspend
                && unreadable(meeting).is_none() =>
            {
                index.pending.insert(order(meeting), Pending { meeting: Arc::new(meeting.clone()), refused: None });
            }
            _ => {}
        }
        had_status && !has_status
    }

    /// The object is gone.
    pub fn forget(&self, meeting: &ScheduledMeeting) {
        let uid = meeting.uid().unwrap_or_default();
        let mut index = self.lock();
        index.remove(&uid);
        index.pending.remove(&order(meeting));
        index.release(&uid);
    }

    /// A list is begun: it is believed, even if versions went back.
    pub fn list_begins(&self, within: &Within) {
        *self.lock().lists.entry(within.clone()).or_default() += 1;
    }

    /// The list was read anew: what it does not show is gone, although no event told. Returns what was forgotten.
    pub fn retain(&self, within: &Within, listed: &BTreeSet<String>) -> Vec<String> {
        let mut index = self.lock();
        let is_within = |known: &MeetingEntry| within.as_ref().is_none_or(|within| *known.namespace == **within);
        let is_gone = |uid: &MeetingId, known: &MeetingEntry| is_within(known) && !listed.contains(&**uid);
        let gone = index.meetings.iter().filter(|(uid, known)| is_gone(uid, known));
        let gone: Vec<MeetingId> = gone.map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in &gone {
            index.remove(uid);
            index.pending.retain(|(_, pending), _| pending != uid);
            index.release(uid);
        }
        gone.iter().map(ToString::to_string).collect()
    }

    /// Books a slot for a meeting, after all that were created before it and are not booked yet: booking order decides
    /// who gets the lower number, not the order in which the controller happens to look (R56).
    pub fn book(
        &self,
        meeting: &ScheduledMeeting,
        window: Window,
        own: &[Offer],
        offers_of: &dyn Fn(&ScheduledMeeting) -> Vec<Offer>,
        now: Timestamp,
    ) -> Result<Booking, Refusal> {
        let mine = order(meeting);
        let (epoch, earlier) = {
            let index = self.lock();
            let epoch = index.epoch;
            let waiting = index.pending.range(..mine.clone()).filter(|(_, pending)| pending.refused != Some(epoch));
            let earlier: Vec<_> =
                waiting.map(|(order, pending)| (order.clone(), Arc::clone(&pending.meeting))).collect();
            (epoch, earlier)
        };
        // What others may have is found out without the lock: it needs the index itself.
        let earlier: Vec<_> = earlier.into_iter().map(|(order, other)| (order, offers_of(&other), other)).collect();
        let mut index = self.lock();
        for (order, offers, other) in earlier {
            if !index.pending.contains_key(&order) {
                continue; // It has booked meanwhile.
            }
            // What is reserved here is found again when the other one asks for itself.
            if reserve(&mut index.calendars, &order.1, Window::of(&other.spec, None), &offers).is_some() {
                index.pending.remove(&order);
            } else if let Some(pending) = index.pending.get_mut(&order) {
                pending.refused = Some(epoch);
            }
        }
        let booking = reserve(&mut index.calendars, &mine.1, window, own);
        if booking.is_some() {
            index.pending.remove(&mine);
        }
        booking.ok_or_else(|| no_free_slot(&index.calendars, &mine.1, window, own, now))
    }

    /// Moves the window of a booked meeting. Fails with the meeting that has the slot in the added time, if it is known.
    pub fn change_window(
        &self,
        uid: &str,
        bridge: &ObjectKey,
        slot: u32,
        window: Window,
    ) -> Result<(), Option<ObjectKey>> {
        let mut index = self.lock();
        let result = index.calendars.entry(bridge.clone()).or_default().adopt(uid, slot, window);
        result.map_err(|holder| index.meetings.get(&holder).map(MeetingEntry::key))
    }

    /// Gives up what a meeting has booked.
    pub fn release(&self, uid: &str) {
        self.lock().release(uid);
    }

    /// A bridge changed: what was refused may be possible now.
    pub fn bridges_changed(&self) {
        self.lock().epoch += 1;
    }

    /// What a meeting has booked.
    pub fn of(&self, uid: &str) -> Option<Booking> {
        let index = self.lock();
        index.calendars.iter().find_map(|(bridge, calendar)| {
            calendar.of(uid).map(|(slot, window)| Booking { bridge: bridge.clone(), slot, window })
        })
    }

    /// The live meetings on a bridge.
    fn live_on<T>(&self, bridge: &ObjectKey, take: impl Fn(&MeetingEntry) -> Option<T>) -> Vec<T> {
        let index = self.lock();
        let live = index.meetings.values().filter(|known| known.phase.is_live() && known.is_on(bridge));
        live.filter_map(take).collect()
    }

    /// Slots that live meetings hold on a bridge, with their space.
    pub fn held(&self, bridge: &ObjectKey) -> BTreeMap<u32, Option<SpaceId>> {
        self.live_on(bridge, |known| Some((known.slot?, known.space.clone()))).into_iter().collect()
    }

    /// Slots whose meeting was to be over a while ago and does not give them back: it is suspended, or cannot be shut.
    pub fn stuck(&self, bridge: &ObjectKey, now: Timestamp) -> Vec<u32> {
        let now = now.checked_sub(STUCK_AFTER).unwrap_or(Timestamp::MIN);
        self.live_on(bridge, |known| known.slot.filter(|_| known.is_past(now)))
    }

    /// The names of the meetings that hold slots on a bridge.
    pub fn holders(&self, bridge: &ObjectKey) -> BTreeMap<u32, String> {
        self.live_on(bridge, |known| Some((known.slot?, known.key().to_string()))).into_iter().collect()
    }

    /// The meetings on a bridge that have a call, by slot, for its sweep. Before that a meeting looks for itself.
    pub fn sweep_targets(&self, bridge: &ObjectKey) -> Vec<SweepTarget> {
        let target = |known: &MeetingEntry| {
            let (space, call) = (known.space.clone()?, known.call.clone()?);
            Some((known.slot?, SweepTarget { space, call: Some(call), on_lost_bridge: known.on_lost_bridge }))
        };
        let mut live = self.live_on(bridge, target);
        live.sort_by_key(|(slot, _)| *slot);
        live.into_iter().map(|(_, live)| live).collect()
    }

    /// Slots whose space carries the mark of a meeting that is to be open now although its status does not say so: its
    /// objects were restored. They are not to be shut but adopted.
    pub fn expected_marks(&self, bridge: &ObjectKey, now: Timestamp, slots: &SlotSpaces, marks: &Marks) -> Vec<u32> {
        let index = self.lock();
        let expected = |number: u32, mark: &str| {
            index.meetings.values().any(|known| {
                known.wanted.stage(now) == Stage::Inside
                    && !known.phase.is_over()
                    // What has another slot by now is not in this one any more.
                    && known.slot.is_none_or(|slot| slot == number || !known.is_on(bridge))
                    && (known.bridge.is_none() || known.is_on(bridge))
                    && marks.of(&known.namespace, &known.name) == mark
            })
        };
        let is_expected =
            |number, space: &crate::cms::Space| space.cdr_tag.as_deref().is_some_and(|mark| expected(number, mark));
        slots.iter().filter(|(number, space)| is_expected(*number, space)).map(|(number, _)| number).collect()
    }

    /// Slots whose space a live meeting holds that is booked on another object: both objects are on one CMS, which shows
    /// no id by which that would be found out. Such a slot is not shut and not given to anybody.
    pub fn held_elsewhere(&self, bridge: &ObjectKey, slots: &SlotSpaces) -> Vec<u32> {
        let index = self.lock();
        if index.spaces.is_empty() {
            return Vec::new();
        }
        let is_held = |space: &SpaceId| index.holder(space).is_some_and(|(_, known)| !known.is_on(bridge));
        slots.iter().filter(|(_, space)| is_held(&space.id)).map(|(number, _)| number).collect()
    }

    /// The live meetings that hold these spaces.
    pub fn holders_of(&self, bridge: &ObjectKey, spaces: &[SpaceId]) -> Vec<ObjectKey> {
        let holds = |known: &MeetingEntry| known.space.as_ref().is_some_and(|space| spaces.contains(space));
        self.live_on(bridge, |known| holds(known).then(|| known.key()))
    }

    /// The live meetings on a bridge.
    pub fn live(&self, bridge: &ObjectKey) -> Vec<ObjectKey> {
        self.live_on(bridge, |known| Some(known.key()))
    }

    /// The meetings that wait for a slot which another one still holds.
    pub fn waiting_for(&self, bridge: &ObjectKey, slot: u32) -> Vec<ObjectKey> {
        let waits = |known: &MeetingEntry| known.phase == Phase::Opening && known.slot == Some(slot);
        self.live_on(bridge, |known| waits(known).then(|| known.key()))
    }

    fn keys_if(&self, wanted: impl Fn(&MeetingEntry) -> bool) -> Vec<ObjectKey> {
        self.lock().meetings.values().filter(|known| wanted(known)).map(MeetingEntry::key).collect()
    }

    /// The meetings on a bridge of which something is to be done now; those whose end is overdue come first.
    pub fn due(&self, bridge: &ObjectKey, now: Timestamp) -> Vec<ObjectKey> {
        let mut due = self.keys_if(|known| known.is_on(bridge) && known.is_overdue(now));
        due.extend(self.keys_if(|known| known.is_on(bridge) && known.is_due(now) && !known.is_overdue(now)));
        due
    }

    /// Every meeting that is not over; those of which something is to be done now come first, the overdue before all.
    pub fn not_over(&self, now: Timestamp) -> Vec<ObjectKey> {
        let index = self.lock();
        // Where the clock was ahead for a while, what is told to be over may lie ahead.
        let mut known: Vec<_> =
            index.meetings.values().filter(|known| !known.phase.is_over() || !known.is_past(now)).collect();
        known.sort_by_key(|known| (!known.is_overdue(now), !known.is_due(now)));
        known.into_iter().map(MeetingEntry::key).collect()
    }

    /// Is there a meeting on a bridge whose time is over but whose slot is not proven shut?
    pub fn has_overdue(&self, bridge: &ObjectKey, now: Timestamp) -> bool {
        self.lock().meetings.values().any(|known| known.is_on(bridge) && known.is_overdue(now))
    }

    /// Is there a meeting whose time it is and of which it is not known yet whether it runs on this bridge: nobody has read it
    /// so far, or it waits until the slots are known? Its objects may have been restored without status while it goes on. One
    /// that was refused runs nowhere.
    pub fn has_unread(&self, bridge: &ObjectKey, now: Timestamp) -> bool {
        self.lock().meetings.values().any(|known| {
            let is_here = known.bridge.is_none() || known.is_on(bridge);
            let is_open = is_here && (!known.is_read || (known.bridge.is_none() && known.is_waiting));
            is_open && !known.phase.is_over() && matches!(known.wanted.stage(now), Stage::Preparing | Stage::Inside)
        })
    }

    /// Every meeting on a bridge whose window is not over.
    pub fn ahead(&self, bridge: &ObjectKey, now: Timestamp) -> Vec<ObjectKey> {
        self.keys_if(|known| {
            let is_ahead = !known.phase.is_over() || known.wanted.stage(now) != Stage::Over;
            known.is_on(bridge) && is_ahead
        })
    }

    /// Every meeting on a bridge that is over.
    pub fn over(&self, bridge: &ObjectKey) -> Vec<ObjectKey> {
        self.keys_if(|known| known.is_on(bridge) && known.phase.is_over())
    }

    /// The meetings of a namespace that are not over.
    pub fn of_namespace(&self, namespace: &str) -> Vec<ObjectKey> {
        self.keys_if(|known| *known.namespace == *namespace && !known.phase.is_over())
    }

    /// The meetings whose passcode comes from a Secret, with their UIDs.
    pub fn with_passcode_of(&self, secret: &ObjectKey) -> Vec<(String, ObjectKey)> {
        let index = self.lock();
        let users = index.passcodes.get(secret);
        let known =
            users.into_iter().flatten().filter_map(|uid| Some((uid.to_string(), index.meetings.get(uid)?.key())));
        known.collect()
    }

    /// Meetings that have no slot, or not the one that they ask for.
    pub fn pending(&self) -> Vec<ObjectKey> {
        let index = self.lock();
        let without = index.pending.values().map(|pending| ObjectKey::of(pending.meeting.as_ref()));
        let unmet = index.meetings.values().filter(|known| known.is_unmet && !known.phase.is_over());
        without.chain(unmet.map(MeetingEntry::key)).collect()
    }

    /// Does a live meeting that opened earlier still hold this slot, or one on another object its space?
    pub fn is_slot_busy(&self, booking: &Booking, space: Option<&SpaceId>, except: &str) -> bool {
        let index = self.lock();
        let holder = space.and_then(|space| index.holder(space));
        if holder.is_some_and(|(uid, known)| **uid != *except && !known.is_on(&booking.bridge)) {
            return true;
        }
        index.meetings.iter().any(|(uid, known)| {
            **uid != *except
                && known.phase.is_live()
                && known.slot == Some(booking.slot)
                && known.is_on(&booking.bridge)
                && known.agreed.is_none_or(|agreed| agreed.opens_at < booking.window.opens_at)
        })
    }

    /// All meetings in numbers.
    pub fn census(&self, now: Timestamp) -> Census {
        let mut census =
            Census { by_phase: Phase::ALL.iter().map(|phase| (phase.name(), 0)).collect(), ..Census::empty() };
        for known in self.lock().meetings.values() {
            *census.by_phase.entry(known.phase.name()).or_default() += 1;
            census.late += i64::from(known.is_late(now));
            census.overdue += i64::from(known.is_overdue(now));
        }
        census
    }

    /// The bookings of a bridge in numbers.
    pub fn summary(&self, bridge: &ObjectKey, now: Timestamp) -> Summary {
        let index = self.lock();
        let Some(calendar) = index.calendars.get(bridge) else { return Summary::default() };
        let (next_seven_days, peak_concurrent, next_start) = calendar.summary(now);
        Summary { next_seven_days, peak_concurrent, next_start, peaks: calendar.peaks(now) }
    }
}

impl Index {
    /// Number of the list that was begun last of what is in this namespace.
    fn list_of(&self, namespace: Within) -> u64 {
        let count = |within: &Within| self.lists.get(within).copied().unwrap_or_default();
        count(&None) + count(&namespace)
    }

    fn take(&mut self, uid: MeetingId, entry: MeetingEntry) {
        self.remove(&uid);
        if let Some(space) = entry.space.clone().filter(|_| entry.phase.is_live()) {
            self.spaces.entry(space).or_insert_with(|| Arc::clone(&uid));
        }
        for secret in entry.passcode_secrets() {
            self.passcodes.entry(secret).or_default().insert(Arc::clone(&uid));
        }
        self.meetings.insert(uid, entry);
    }

    fn remove(&mut self, uid: &str) {
        let Some(known) = self.meetings.remove(uid) else { return };
        for secret in known.passcode_secrets() {
            let Some(users) = self.passcodes.get_mut(&secret) else { continue };
            users.remove(uid);
            if users.is_empty() {
                self.passcodes.remove(&secret);
            }
        }
        if let Some(space) = known.space.filter(|space| self.spaces.get(space).is_some_and(|holder| **holder == *uid)) {
            self.spaces.remove(&space);
        }
    }

    /// The live meeting that holds a space.
    fn holder(&self, space: &SpaceId) -> Option<(&MeetingId, &MeetingEntry)> {
        let uid = self.spaces.get(space)?;
        Some((uid, self.meetings.get(uid)?))
    }

    fn release(&mut self, uid: &str) {
        let mut freed = false;
        for calendar in self.calendars.values_mut() {
            freed |= calendar.release(uid);
        }
        self.epoch += u64::from(freed);
    }
}

#[cfg(test)]
mod tests;
