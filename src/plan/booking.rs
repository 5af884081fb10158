//! Which bridge, slot and window a meeting has, or why it has none (R32, R33, R37, R70, R80). PURE: the index of bookings
//! (`controller/bookings.rs`) commits what is decided here.

mod agreed;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use agreed::consent;
pub use agreed::{Moved, agree, agreement, moved};
#[cfg(test)]
use agreed::{extension, may_extend};
#[cfg(test)]
pub use agreed::{extension_conflict, window_to_agree};

use super::bridge::numbers;
use super::calendar::{Calendar, Choice};
use super::meeting::{Door, Obstacle, Progress};
use super::window::{Stage, Window};
use crate::api::bridge::NamespacesFrom;
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::{BridgeBinding, Dial, ParticipantSpec, SlotBinding};
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, ScheduledMeeting, find, is_blind, is_true, unreadable};

/// Why a meeting has no slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

impl Refusal {
    /// Is it no refusal yet, because not all is known that decides it?
    pub fn is_undecided(&self) -> bool {
        self.reason == reason::PROGRESSING
    }
}

/// Can nothing be booked for one that was refused for this reason, whatever is free? Then nobody waits for it.
pub fn is_out_of_turn(reason: &str) -> bool {
    matches!(reason, reason::FINALIZER_REFUSED | reason::UNREADABLE)
}

/// A bridge a meeting may use, as far as booking needs to know it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub bridge: ObjectKey,
    pub preference: i32,
    pub range: RangeInclusive<u32>,
    pub quarantined: BTreeSet<u32>,
}

/// What a meeting has booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub bridge: ObjectKey,
    pub slot: u32,
    pub window: Window,
}

/// The booking calendars of all bridges.
pub type Calendars = BTreeMap<ObjectKey, Calendar>;

/// What booking must know of the bridges. The controller answers from its stores, a test from a table.
pub trait Bridges {
    fn find(&self, key: &ObjectKey) -> Option<Arc<MeetingBridge>>;
    fn all(&self) -> Vec<Arc<MeetingBridge>>;
    /// Are the bridges of this namespace offered to the meetings of every other one? The platform team says so.
    fn is_shared(&self, namespace: &str) -> bool;
    /// The labels of a namespace; None: they are not read yet.
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>>;
    /// Slots of the bridge that are somebody else's.
    fn quarantined(&self, key: &ObjectKey) -> BTreeSet<u32>;
    /// Has something else the number of this slot, so that it does not exist?
    fn is_taken(&self, key: &ObjectKey, slot: u32) -> bool;
    /// Is it known of every slot of the range whose it is, or that it does not exist?
    fn are_slots_read(&self, key: &ObjectKey, range: &RangeInclusive<u32>) -> bool;
    /// Is there a meeting whose time it is and of which nobody knows yet whether it runs on this bridge?
    fn has_unread(&self, key: &ObjectKey) -> bool;
    /// The slot whose space carries this mark.
    fn marked_slot(&self, key: &ObjectKey, mark: &str) -> Option<u32>;
    /// The id of a slot's space, if it is known.
    fn space(&self, key: &ObjectKey, slot: u32) -> Option<String>;
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Does the bridge take meetings of this namespace (R80)? This is the consent of the bridge's side. None: the labels that say
/// so are not read yet. Nothing is given on that, and nothing taken away.
fn admits(bridges: &dyn Bridges, bridge: &MeetingBridge, namespace: &str) -> Option<bool> {
    if bridge.namespace().as_deref() == Some(namespace) {
        return Some(true);
    }
    let allowed = &bridge.spec.allowed_namespaces;
    match allowed.from {
        NamespacesFrom::Same => Some(false),
        NamespacesFrom::All => Some(true),
        NamespacesFrom::Selector => {
            let Some(selector) = &allowed.selector else { return Some(false) };
            bridges.labels(namespace).map(|labels| selects(selector, &labels))
        }
    }
}

/// Does the meeting's side consent to this bridge, which will get its title, passcode and participants? By the name in
/// bridgeRef; without one the bridge must be of the meeting's namespace or of a shared one. What a bridge says of itself,
/// its labels and its preference, only chooses among these.
fn accepts(bridges: &dyn Bridges, meeting: &ScheduledMeeting, bridge: &MeetingBridge) -> bool {
    let (ours, theirs) = (meeting.namespace(), bridge.namespace());
    if let Some(reference) = &meeting.spec.bridge_ref {
        return bridge.name_any() == reference.name && theirs == reference.namespace.clone().or(ours);
    }
    let is_selected = meeting.spec.bridge_selector.as_ref().is_none_or(|selector| selects(selector, bridge.labels()));
    is_selected && (theirs == ours || theirs.is_some_and(|namespace| bridges.is_shared(&namespace)))
}

/// One answer whether there is no such bridge in another namespace or it is not open to this one: whoever may not book
/// there does not learn what there is, also while it is not known yet.
fn not_open(bridges: &dyn Bridges, bridge: &ObjectKey, namespace: &str) -> Refusal {
    if bridges.labels(namespace).is_none() {
        let message = format!(
            "it is not known yet whether a bridge {bridge} is open to meetings of the namespace {namespace}: the labels of \
             the namespace could not be read so far"
        );
        return Refusal { reason: reason::PROGRESSING, message };
    }
    let message = format!(
        "no bridge {bridge} is open to meetings of the namespace {namespace}; there may be none of this name, or its \
         allowedNamespaces does not say so"
    );
    Refusal { reason: reason::BRIDGE_NOT_ALLOWED, message }
}

/// Somebody who is to dial in, where nobody can (R33).
fn shut_out<'a>(bridge: &MeetingBridge, meeting: &'a ScheduledMeeting) -> Option<&'a ParticipantSpec> {
    let mut participants = meeting.spec.participants.iter();
    participants.find(|participant| participant.dial == Dial::In && !bridge.spec.scheduling.allow_incoming_sip)
}

/// The slots that this bridge can offer, or why it can offer none. That it takes no bookings concerns new ones, so not a
/// meeting that is booked there.
fn offer(
    bridges: &dyn Bridges,
    bridge: &MeetingBridge,
    meeting: &ScheduledMeeting,
    booked: Option<&ObjectKey>,
) -> Result<Offer, Refusal> {
    let key = ObjectKey::of(bridge);
    let namespace = meeting.namespace().unwrap_or_default();
    let refuse = |reason, message| Err(Refusal { reason, message });
    if admits(bridges, bridge, &namespace) != Some(true) {
        return Err(not_open(bridges, &key, &namespace));
    }
    if bridge.metadata.deletion_timestamp.is_some() {
        return refuse(reason::BRIDGE_NOT_FOUND, format!("the bridge {key} is being deleted"));
    }
    let conditions = bridge.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if is_blind(bridge) || find(conditions, types::ACCEPTED).is_some_and(|condition| condition.status == "False") {
        let message = format!("the bridge {key} is not accepted itself; see its conditions");
        return refuse(reason::BRIDGE_NOT_ALLOWED, message);
    }
    if !bridge.spec.scheduling.allow_booking && booked != Some(&key) {
        let message = format!("the bridge {key} takes no bookings (scheduling.allowBooking)");
        return refuse(reason::BOOKING_DISABLED, message);
    }
    if let Some(participant) = shut_out(bridge, meeting) {
        let message = format!(
            "{} dials in, but the bridge {key} allows no incoming SIP (scheduling.allowIncomingSIP)",
            participant.remote_party
        );
        return refuse(reason::INCOMING_DIALING_DISABLED, message);
    }
    let range = match numbers(&bridge.spec) {
        Ok(range) => range,
        Err(missing) => {
            let message = format!("the bridge {key} has no slots yet: {} missing", missing.join(", "));
            return refuse(reason::NO_FREE_SLOT, message);
        }
    };
    let quarantined = bridges.quarantined(&key);
    Ok(Offer { preference: bridge.spec.scheduling.preference, bridge: key, range, quarantined })
}

/// What the bridge on which a meeting is booked can offer it, whatever an edit asks for by now.
pub fn own_offer(bridges: &dyn Bridges, meeting: &ScheduledMeeting, bridge: &MeetingBridge) -> Option<Offer> {
    consent(bridges, meeting, bridge).unwrap_or(true).then_some(())?;
    let (key, range) = (ObjectKey::of(bridge), numbers(&bridge.spec).ok()?);
    let quarantined = bridges.quarantined(&key);
    Some(Offer { preference: bridge.spec.scheduling.preference, bridge: key, range, quarantined })
}

/// Is the bridge fit to be chosen when the meeting names none (R37)?
fn is_ready(bridge: &MeetingBridge) -> bool {
    !bridge.spec.suspend
        && unreadable(bridge).is_none()
        && bridge.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::READY))
}

/// Every bridge the meeting may have; `booked` is the one that it has.
///
/// # Errors
/// The best reason why there is none.
pub fn offers(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    booked: Option<&ObjectKey>,
) -> Result<Vec<Offer>, Refusal> {
    if let Some(reference) = &meeting.spec.bridge_ref {
        let own = meeting.namespace().unwrap_or_default();
        let key = ObjectKey::new(reference.namespace.clone().unwrap_or_else(|| own.clone()), reference.name.clone());
        let Some(bridge) = bridges.find(&key) else {
            if key.namespace != own {
                return Err(not_open(bridges, &key, &own));
            }
            let message = format!("the bridge {key} does not exist");
            return Err(Refusal { reason: reason::BRIDGE_NOT_FOUND, message });
        };
        return offer(bridges, &bridge, meeting, booked).map(|offer| vec![offer]);
    }
    let mut good = Vec::new();
    let mut last = None;
    for bridge in bridges.all() {
        let is_booked = booked.is_some_and(|booked| *booked == ObjectKey::of(bridge.as_ref()));
        if !accepts(bridges, meeting, &bridge) || !(is_booked || is_ready(&bridge)) {
            continue;
        }
        match offer(bridges, &bridge, meeting, booked) {
            Ok(offer) => good.push(offer),
            // It is not moved from there because of what is not known.
            Err(refusal) if is_booked && refusal.is_undecided() => return Err(refusal),
            // Not being allowed is the normal case with other teams' bridges; say something better if there is.
            Err(refusal) if refusal.reason != reason::BRIDGE_NOT_ALLOWED => last = Some(refusal),
            Err(_) => {}
        }
    }
    if good.is_empty() {
        return Err(last.unwrap_or_else(|| Refusal {
            reason: reason::BRIDGE_NOT_FOUND,
            message:
                "no bridge fits: none of this namespace, or of one whose bridges are shared, is ready, selected and \
                      open to this namespace; a bridge of another namespace must be named by bridgeRef"
                    .to_owned(),
        }));
    }
    Ok(good)
}

/// Books by these offers: highest preference, then most free slots, then name (R37). A meeting that has a slot keeps it
/// where it can.
pub fn reserve(calendars: &mut Calendars, uid: &str, window: Window, offers: &[Offer]) -> Option<Booking> {
    let has = calendars.iter().find(|(_, calendar)| calendar.of(uid).is_some()).map(|(key, _)| key.clone());
    let rank = |offer: &Offer| {
        let choice = Choice { range: offer.range.clone(), quarantined: &offer.quarantined };
        // Counting free slots is needed only to choose between bridges.
        let free = if offers.len() > 1 {
            let calendar = calendars.get(&offer.bridge);
            calendar.map_or(offer.range.clone().count(), |calendar| calendar.count_free(&window, &choice))
        } else {
            0
        };
        (has.as_ref() == Some(&offer.bridge), offer.preference, free)
    };
    let mut ranked: Vec<_> = offers.iter().map(|offer| (rank(offer), offer)).collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.bridge.cmp(&b.1.bridge)));
    for (_, offer) in ranked {
        let choice = Choice { range: offer.range.clone(), quarantined: &offer.quarantined };
        let calendar = calendars.entry(offer.bridge.clone()).or_default();
        if let Some(slot) = calendar.reserve(uid, window, &choice) {
            let other = has.as_ref().filter(|key| **key != offer.bridge);
            if let Some(before) = other.and_then(|key| calendars.get_mut(key)) {
                before.release(uid);
            }
            return Some(Booking { bridge: offer.bridge.clone(), slot, window });
        }
    }
    None
}

/// The most bridges of which it is told when they are full.
const MOST_TOLD: usize = 3;

/// There is no slot for the whole window: when which bridge is full, and when there is one again.
pub fn no_free_slot(calendars: &Calendars, uid: &str, window: Window, offers: &[Offer], now: Timestamp) -> Refusal {
    let none = Calendar::default();
    let mut told = Vec::new();
    let mut fits = Vec::new();
    for offer in offers {
        let calendar = calendars.get(&offer.bridge).unwrap_or(&none);
        let choice = Choice { range: offer.range.clone(), quarantined: &offer.quarantined };
        told.push(match calendar.full_during(&window, &choice, uid) {
            Some((from, until)) => format!("every slot of the bridge {} is taken from {from} to {until}", offer.bridge),
            None => format!("no slot of the bridge {} is free for the whole time", offer.bridge),
        });
        // One that begins in the past is of no use.
        let fit = calendar.next_fit(&window, &choice, uid).filter(|fit| fit.opens_at > now.max(window.opens_at));
        fits.extend(fit.map(|fit| (fit.starts_at, &offer.bridge)));
    }
    told.sort();
    let more = told.len().saturating_sub(MOST_TOLD);
    told.truncate(MOST_TOLD);
    let mut message = told.join("; ");
    if more > 0 {
        message += &format!("; and so it is on {more} more");
    }
    if let Some((start, bridge)) = fits.into_iter().min() {
        message += &format!("; the next start for which there is one is {start}, on {bridge}");
    }
    Refusal { reason: reason::NO_FREE_SLOT, message }
}

/// What is to be done about the booking of a meeting that is not over.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It stands as it is.
    Stands,
    /// It runs in this slot already: its objects were restored.
    Adopt(Booking),
    /// A slot is to be chosen among these.
    Choose(Vec<Offer>),
    /// What is there must be known first; it is looked for.
    Wait,
    /// There is none to be had.
    Refused(Refusal),
}

/// Decides about the booking. `has` is what the index knows, `bridge` the object it is on.
pub fn decide(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    has: Option<&Booking>,
    bridge: Option<&MeetingBridge>,
    now: Timestamp,
) -> Decision {
    // Where it runs it stays, also while its bridge's object is gone: elsewhere it would be another meeting.
    let is_there = bridge.is_some() || progress.draft.opened_at.is_some();
    if progress.door.may_be_open() && has.is_some() && is_there {
        return Decision::Stands;
    }
    if has.is_some_and(|booking| stands(bridges, meeting, progress, booking, bridge)) {
        return Decision::Stands;
    }
    let offers = match offers(bridges, meeting, has.map(|booking| &booking.bridge)) {
        Ok(offers) => offers,
        Err(refusal) => return Decision::Refused(refusal),
    };
    let stage = progress.stage(now);
    let is_unread = |offer: &Offer| !bridges.are_slots_read(&offer.bridge, &offer.range);
    // A slot that looks free may be that of a meeting which runs, and whose objects are restored just now.
    if has.is_none() && offers.iter().any(|offer| bridges.has_unread(&offer.bridge) && is_unread(offer)) {
        return Decision::Wait;
    }
    if stage >= Stage::Preparing && progress.draft.slot.is_none() {
        // Inside its window, a meeting without status may be one that was restored: the bridge's slots say so.
        if offers.iter().any(is_unread) {
            return Decision::Wait;
        }
        let marked = offers.iter().find_map(|offer| {
            let slot = bridges.marked_slot(&offer.bridge, &progress.terms.mark)?;
            Some(Booking { bridge: offer.bridge.clone(), slot, window: progress.window })
        });
        if let Some(booking) = marked.filter(|_| stage == Stage::Inside) {
            return Decision::Adopt(booking);
        }
    }
    Decision::Choose(offers)
}

/// Is this what the status tells, and can the bridge have it as far as its numbers go? While the bridge does not say which it
/// has, its slots are what they were: a domain that is missing for a moment takes none away.
fn is_good(bridges: &dyn Bridges, progress: &Progress, booking: &Booking, bridge: &MeetingBridge) -> bool {
    let draft = &progress.draft;
    let is_bound = draft.slot.as_ref().is_some_and(|slot| slot.number == booking.slot)
        && draft.bridge.as_ref().is_some_and(|bound| key_of(bound) == booking.bridge)
        && draft.window.map(Window::from) == Some(booking.window);
    is_bound
        && bridge.metadata.deletion_timestamp.is_none()
        && numbers(&bridge.spec).map_or(true, |range| range.contains(&booking.slot))
        && !bridges.is_taken(&booking.bridge, booking.slot)
        && progress.obstacle != Some(Obstacle::Foreign)
}

/// The booking still is what the spec asks for and both sides consent to: same window, same bridge, a slot that exists.
fn stands(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    booking: &Booking,
    bridge: Option<&MeetingBridge>,
) -> bool {
    bridge.is_some_and(|bridge| {
        accepts(bridges, meeting, bridge)
            && admits(bridges, bridge, &meeting.namespace().unwrap_or_default()) != Some(false)
            && shut_out(bridge, meeting).is_none()
            && booking.window == progress.window
            && is_good(bridges, progress, booking, bridge)
    })
}

/// What an edit asks for is not to be had. Does what was booked before stand? Nothing is lost by an edit that cannot be met, as
/// long as neither side has taken its consent back.
pub fn may_keep(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    booking: &Booking,
    bridge: &MeetingBridge,
    now: Timestamp,
) -> bool {
    progress.door == Door::Untouched
        && booking.window.stage(now) != Stage::Over
        && is_good(bridges, progress, booking, bridge)
        && consent(bridges, meeting, bridge) != Some(false)
}

/// The key of the bridge that a status names.
pub fn key_of(binding: &BridgeBinding) -> ObjectKey {
    ObjectKey::new(binding.namespace.clone(), binding.name.clone())
}

/// The address of a slot; withheld when the bridge allows no incoming SIP (R33).
pub fn uri(bridge: &MeetingBridge, slot: u32) -> Option<String> {
    let domain = domain(bridge).filter(|_| bridge.spec.scheduling.allow_incoming_sip)?;
    Some(format!("{slot}@{domain}"))
}

/// The address of a slot that is booked. While the bridge says no domain, it is what it was told to be.
pub fn renewed_uri(bridge: &MeetingBridge, slot: &SlotBinding) -> Option<String> {
    let told = slot.uri.clone().filter(|_| bridge.spec.scheduling.allow_incoming_sip && domain(bridge).is_none());
    told.or_else(|| uri(bridge, slot.number))
}

fn domain(bridge: &MeetingBridge) -> Option<&String> {
    bridge.spec.slots.domain.as_ref().filter(|domain| !domain.is_empty())
}

impl Progress {
    /// The bridge and the slot that its status names.
    pub fn booked(&self) -> Option<(ObjectKey, u32)> {
        Some((key_of(self.draft.bridge.as_ref()?), self.draft.slot.as_ref()?.number))
    }

    /// The meeting has this booking.
    pub fn bind(&mut self, booking: &Booking, space: Option<String>, uri: Option<String>) {
        let is_it = |slot: &SlotBinding| slot.number == booking.slot;
        let same_bridge = self.draft.bridge.as_ref().is_some_and(|bridge| key_of(bridge) == booking.bridge);
        if !same_bridge || !self.draft.slot.as_ref().is_some_and(is_it) {
            // What another slot had before is not to be given to this one.
            self.draft.settings = None;
        }
        let ObjectKey { namespace, name } = booking.bridge.clone();
        self.draft.bridge = Some(BridgeBinding { namespace, name });
        self.draft.slot = Some(SlotBinding { number: booking.slot, space_id: space, uri });
        self.draft.window = Some(booking.window.into());
        self.draft.refused_window = None;
        self.window = booking.window;
    }

    /// The meeting has no booking, and this is why.
    pub fn refuse(&mut self, refusal: Refusal) {
        (self.draft.slot, self.draft.bridge, self.draft.settings) = (None, None, None);
        if self.draft.refused_window.take().is_some() {
            // What was kept so far is not to be had any more either.
            self.draft.window = None;
        }
        self.refusal = Some(refusal);
    }
}

#[cfg(test)]
mod tests;
