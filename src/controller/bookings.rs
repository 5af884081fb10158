//! Who has booked what where: an index over the ScheduledMeetings, fed by the watch and by our own status writes.
//!
//! It holds nothing that is not in the objects; after a restart the first list fills it again. Its own writes are
//! entered before the watch shows them, so that two meetings accepted in the same instant never get the same slot.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use crate::api::ScheduledMeeting;
use crate::api::condition::Text;
use crate::api::meeting::{CallBinding, Phase};
use crate::api::names;
use crate::cluster::BridgeKey;
use crate::cluster::sweep::Live;
use crate::cms::{CallAt, SpaceId};
use crate::facts::slots::Pool as SlotPool;
use crate::plan::calendar::{Calendar, MeetingId, Pool};
use crate::plan::participants::is_anybody_elsewhere;
use crate::plan::window::{Stage, Window};

/// A bridge a meeting may use, as far as booking needs to know it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub key: BridgeKey,
    pub preference: i32,
    pub range: RangeInclusive<u32>,
    pub quarantined: BTreeSet<u32>,
}

/// What a meeting has booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub bridge: BridgeKey,
    pub slot: u32,
    pub window: Window,
}

#[derive(Clone, Debug)]
struct Known {
    version: u64,
    name: String,
    // Few namespaces and bridges, many meetings: each of these names is kept once.
    namespace: Text,
    bridge: Option<(Text, Text)>,
    slot: Option<u32>,
    space: Option<SpaceId>,
    call: Option<CallAt>,
    elsewhere: bool,
    phase: Phase,
    opens_at: Option<Timestamp>,
    wanted: Window,
}

impl Known {
    fn is_on(&self, bridge: &BridgeKey) -> bool {
        self.bridge.as_ref().is_some_and(|(namespace, name)| *namespace == *bridge.0 && *name == *bridge.1)
    }

    /// Namespace and name.
    fn names(&self) -> (String, String) {
        (self.namespace.to_string(), self.name.clone())
    }
}

#[derive(Default)]
struct Inner {
    calendars: BTreeMap<BridgeKey, Calendar>,
    meetings: BTreeMap<MeetingId, Known>,
    /// Not booked yet, in booking order: creation, then UID.
    pending: BTreeMap<(Timestamp, MeetingId), Pending>,
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
pub struct Ledger {
    inner: Mutex<Inner>,
}

/// May the door of a meeting in this phase be open?
pub fn is_live(phase: Phase) -> bool {
    matches!(phase, Phase::Opening | Phase::Active | Phase::Closing)
}

fn is_over(phase: Phase) -> bool {
    matches!(phase, Phase::Ended | Phase::Missed)
}

/// Resource versions compare as numbers (KEP-5504); one that does not counts as oldest.
pub fn version_of<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn order(meeting: &ScheduledMeeting) -> (Timestamp, MeetingId) {
    let created = meeting.meta().creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    (created, meeting.uid().unwrap_or_default().into())
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an object from the watch or from our own write; older versions than the known one are ignored.
    pub fn observe(&self, meeting: &ScheduledMeeting) {
        let Some(uid) = meeting.uid() else { return };
        let mut inner = self.lock();
        let version = version_of(meeting);
        if inner.meetings.get(uid.as_str()).is_some_and(|known| known.version > version) {
            return;
        }
        let status = meeting.status.clone().unwrap_or_default();
        let bridge = status.bridge.as_ref().map(|bridge| (bridge.namespace.clone(), bridge.name.clone()));
        let phase = status.phase.unwrap_or_default();
        let slot = status.slot.as_ref();
        let known = Known {
            version,
            name: meeting.name_any(),
            namespace: meeting.namespace().unwrap_or_default().into(),
            bridge: bridge.as_ref().map(|(namespace, name)| (namespace.as_str().into(), name.as_str().into())),
            slot: slot.map(|slot| slot.number),
            space: slot.and_then(|slot| slot.space_id.as_deref()).map(SpaceId::from),
            call: status.call.as_ref().and_then(CallBinding::at),
            elsewhere: is_anybody_elsewhere(&status.participants),
            phase,
            opens_at: status.window.map(|window| window.opens_at.0),
            wanted: Window::of_meeting(&meeting.spec, &status),
        };
        inner.meetings.insert(uid.as_str().into(), known);
        inner.pending.remove(&order(meeting));
        match (bridge, slot, status.window) {
            (Some(bridge), Some(slot), Some(window)) if !is_over(phase) => {
                // A conflict means that two statuses claim one slot; the later one to come is refused and books anew.
                let calendar = inner.calendars.entry(bridge).or_default();
                if calendar.adopt(&uid, slot.number, window.into()).is_err() && calendar.release(&uid) {
                    inner.epoch += 1;
                }
            }
            _ if is_over(phase) => inner.release(&uid),
            _ if meeting.meta().deletion_timestamp.is_none() && !meeting.spec.suspend => {
                inner.pending.insert(order(meeting), Pending { meeting: Arc::new(meeting.clone()), refused: None });
            }
            _ => {}
        }
    }

    /// The object is gone.
    pub fn forget(&self, meeting: &ScheduledMeeting) {
        let uid = meeting.uid().unwrap_or_default();
        let mut inner = self.lock();
        inner.meetings.remove(uid.as_str());
        inner.pending.remove(&order(meeting));
        inner.release(&uid);
    }

    /// Books a slot for a meeting, after all that were created before it and are not booked yet: booking order decides
    /// who gets the lower number, not the order in which the controller happens to look (R56).
    pub fn book(
        &self,
        meeting: &ScheduledMeeting,
        offers: &dyn Fn(&ScheduledMeeting) -> Vec<Offer>,
    ) -> Option<Booking> {
        let mine = order(meeting);
        let (epoch, earlier) = {
            let inner = self.lock();
            let epoch = inner.epoch;
            let waiting = inner.pending.range(..mine.clone()).filter(|(_, pending)| pending.refused != Some(epoch));
            let earlier: Vec<_> =
                waiting.map(|(order, pending)| (order.clone(), Arc::clone(&pending.meeting))).collect();
            (epoch, earlier)
        };
        // What others may have is found out without the lock: it needs the ledger itself.
        let earlier: Vec<_> = earlier.into_iter().map(|(order, other)| (order, offers(&other), other)).collect();
        let own = offers(meeting);
        let mut inner = self.lock();
        for (order, offers, other) in earlier {
            if !inner.pending.contains_key(&order) {
                continue; // It has booked meanwhile.
            }
            // What is reserved here is found again when the other one asks for itself.
            if inner.reserve(&order.1, Window::of(&other.spec, None), &offers).is_some() {
                inner.pending.remove(&order);
            } else if let Some(pending) = inner.pending.get_mut(&order) {
                pending.refused = Some(epoch);
            }
        }
        let window = Window::of_meeting(&meeting.spec, &meeting.status.clone().unwrap_or_default());
        let booking = inner.reserve(&mine.1, window, &own);
        if booking.is_some() {
            inner.pending.remove(&mine);
        }
        booking
    }

    /// Moves the end of a booked meeting. Fails with the name of the meeting that has the slot in the added time.
    pub fn change_window(&self, uid: &str, bridge: &BridgeKey, slot: u32, window: Window) -> Result<(), String> {
        let mut inner = self.lock();
        let result = inner.calendars.entry(bridge.clone()).or_default().adopt(uid, slot, window);
        result.map_err(|holder| {
            let known = inner.meetings.get(&holder);
            known.map_or_else(|| holder.to_string(), |known| format!("{}/{}", known.namespace, known.name))
        })
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
    pub fn booking(&self, uid: &str) -> Option<Booking> {
        let inner = self.lock();
        inner.calendars.iter().find_map(|(bridge, calendar)| {
            calendar.of(uid).map(|(slot, window)| Booking { bridge: bridge.clone(), slot, window })
        })
    }

    /// Slots that live meetings hold on a bridge, with their space.
    pub fn held(&self, bridge: &BridgeKey) -> BTreeMap<u32, Option<SpaceId>> {
        self.live_of(bridge).into_iter().filter_map(|known| Some((known.slot?, known.space))).collect()
    }

    /// Slots whose space carries the mark of a meeting that is to be open now although its status does not say so: its
    /// objects were restored. They are not to be shut but adopted.
    pub fn expected_marks(&self, bridge: &BridgeKey, now: Timestamp, pool: Option<&SlotPool>) -> Vec<u32> {
        let Some(pool) = pool else { return Vec::new() };
        let inner = self.lock();
        let expected = |mark: &str| {
            inner.meetings.values().any(|known| {
                known.wanted.stage(now) == Stage::Inside
                    && !is_over(known.phase)
                    && (known.bridge.is_none() || known.is_on(bridge))
                    && names::mark(&known.namespace, &known.name) == mark
            })
        };
        pool.iter()
            .filter(|(_, space)| space.cdr_tag.as_deref().is_some_and(expected))
            .map(|(number, _)| number)
            .collect()
    }

    /// Namespace and name of the live meetings that hold these spaces.
    pub fn names_of_spaces(&self, bridge: &BridgeKey, spaces: &[SpaceId]) -> Vec<(String, String)> {
        self.live_of(bridge)
            .into_iter()
            .filter(|known| known.space.as_ref().is_some_and(|space| spaces.contains(space)))
            .map(|known| known.names())
            .collect()
    }

    /// The names of the meetings that hold slots on a bridge.
    pub fn holders(&self, bridge: &BridgeKey) -> BTreeMap<u32, String> {
        self.live_of(bridge)
            .into_iter()
            .filter_map(|known| Some((known.slot?, format!("{}/{}", known.namespace, known.name))))
            .collect()
    }

    /// The meetings on a bridge that have a call, for its sweep. Before that a meeting looks for itself.
    pub fn live(&self, bridge: &BridgeKey) -> Vec<Live> {
        let mut live: Vec<_> = self
            .live_of(bridge)
            .into_iter()
            .filter(|known| known.call.is_some())
            .filter_map(|known| {
                Some((known.slot?, Live { space: known.space?, call: known.call, elsewhere: known.elsewhere }))
            })
            .collect();
        live.sort_by_key(|(slot, _)| *slot);
        live.into_iter().map(|(_, live)| live).collect()
    }

    /// Namespace and name of the live meetings on a bridge.
    pub fn live_names(&self, bridge: &BridgeKey) -> Vec<(String, String)> {
        self.live_of(bridge).into_iter().map(|known| known.names()).collect()
    }

    /// Namespace and name of the meetings on a bridge of which something is to be done now: live ones, and those whose
    /// window begins.
    pub fn due(&self, bridge: &BridgeKey, now: Timestamp) -> Vec<(String, String)> {
        self.names_if(|known| {
            let begins = matches!(known.wanted.stage(now), Stage::Preparing | Stage::Inside) && !is_over(known.phase);
            known.is_on(bridge) && (is_live(known.phase) || begins)
        })
    }

    /// Namespace and name of the meetings on a bridge whose time is over but whose slot is not proven shut.
    pub fn overdue(&self, bridge: &BridgeKey, now: Timestamp) -> Vec<(String, String)> {
        self.names_if(|known| {
            let over = known.phase == Phase::Closing || known.wanted.stage(now) == Stage::Over;
            known.is_on(bridge) && is_live(known.phase) && over
        })
    }

    /// Namespace and name of the meetings that wait for a slot which another one still holds.
    pub fn waiting_for(&self, bridge: &BridgeKey, slot: u32) -> Vec<(String, String)> {
        self.live_of(bridge)
            .into_iter()
            .filter(|known| known.phase == Phase::Opening && known.slot == Some(slot))
            .map(|known| known.names())
            .collect()
    }

    /// Namespace and name of every meeting on a bridge whose window is not over.
    pub fn names_on(&self, bridge: &BridgeKey, now: Timestamp) -> Vec<(String, String)> {
        self.names_if(|known| {
            let ahead = !is_over(known.phase) || known.wanted.stage(now) != Stage::Over;
            known.is_on(bridge) && ahead
        })
    }

    fn names_if(&self, wanted: impl Fn(&Known) -> bool) -> Vec<(String, String)> {
        let inner = self.lock();
        let found = inner.meetings.values().filter(|known| wanted(known));
        found.map(|known| known.names()).collect()
    }

    /// Does a live meeting that opened earlier still hold this slot?
    pub fn is_slot_busy(&self, booking: &Booking, except: &str) -> bool {
        let inner = self.lock();
        inner.meetings.iter().any(|(uid, known)| {
            **uid != *except
                && is_live(known.phase)
                && known.slot == Some(booking.slot)
                && known.is_on(&booking.bridge)
                && known.opens_at < Some(booking.window.opens_at)
        })
    }

    /// The opening instant that comes next on a bridge, and the summary of its bookings (R17).
    pub fn summary(&self, bridge: &BridgeKey, now: Timestamp) -> (u32, u32, Option<Timestamp>) {
        self.lock().calendars.get(bridge).map_or((0, 0, None), |calendar| calendar.summary(now))
    }

    /// Meetings that wait for a slot.
    pub fn pending_names(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        inner
            .pending
            .values()
            .map(|pending| &pending.meeting)
            .map(|m| (m.namespace().unwrap_or_default(), m.name_any()))
            .collect()
    }

    fn live_of(&self, bridge: &BridgeKey) -> Vec<Known> {
        let inner = self.lock();
        inner.meetings.values().filter(|known| is_live(known.phase) && known.is_on(bridge)).cloned().collect()
    }
}

impl Inner {
    fn release(&mut self, uid: &str) {
        let mut freed = false;
        for calendar in self.calendars.values_mut() {
            freed |= calendar.release(uid);
        }
        self.epoch += u64::from(freed);
    }

    /// Highest preference, then most free slots, then name (R37). A meeting that has a slot keeps it where it can.
    fn reserve(&mut self, uid: &str, window: Window, offers: &[Offer]) -> Option<Booking> {
        let has = self.calendars.iter().find(|(_, calendar)| calendar.of(uid).is_some()).map(|(key, _)| key.clone());
        let mut ranked: Vec<(bool, i32, usize, &Offer)> = offers
            .iter()
            .map(|offer| {
                let pool = Pool { range: offer.range.clone(), quarantined: &offer.quarantined };
                // Counting free slots is needed only to choose between bridges.
                let free = if offers.len() > 1 {
                    self.calendars.get(&offer.key).map_or(offer.range.clone().count(), |c| c.count_free(&window, &pool))
                } else {
                    0
                };
                (has.as_ref() == Some(&offer.key), offer.preference, free, offer)
            })
            .collect();
        ranked.sort_by(|a, b| (b.0, b.1, b.2).cmp(&(a.0, a.1, a.2)).then_with(|| a.3.key.cmp(&b.3.key)));
        for (_, _, _, offer) in ranked {
            let pool = Pool { range: offer.range.clone(), quarantined: &offer.quarantined };
            let calendar = self.calendars.entry(offer.key.clone()).or_default();
            if let Some(slot) = calendar.reserve(uid, window, &pool) {
                if has.as_ref().is_some_and(|key| *key != offer.key)
                    && let Some(before) = has.as_ref().and_then(|key| self.calendars.get_mut(key))
                {
                    before.release(uid);
                }
                return Some(Booking { bridge: offer.key.clone(), slot, window });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
