//! Commits what `plan/booking.rs` decides about bridge, slot and window of a meeting.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::Site;
use crate::api::conditions::{bridge, meeting as reason, types};
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, ScheduledMeeting, find};
use crate::cluster::Cluster;
use crate::cms::{Class, Priority, SpaceId};
use crate::controller::context::Context;
use crate::facts::slots::SlotSpaces;
use crate::plan::booking::{self, Booking, Bridges, Decision, Offer, Refusal};
use crate::plan::meeting::{Door, Obstacle, Progress, may_go_on_in};
use crate::plan::verdict::Pause;
use crate::plan::window::{Stage, Window};

impl Bridges for Context {
    fn find(&self, key: &ObjectKey) -> Option<Arc<MeetingBridge>> {
        self.bridge(key)
    }

    fn all(&self) -> Vec<Arc<MeetingBridge>> {
        self.stores.bridges.state()
    }

    fn is_shared(&self, namespace: &str) -> bool {
        self.settings.shared_bridges_in.contains(namespace)
    }

    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let namespaces = &self.stores.namespaces;
        let stored = namespaces.get(&ObjectRef::new(namespace)).map(|namespace| namespace.labels().clone());
        // Where they are not watched, no bridge of another namespace is seen that could ask for them.
        let is_unwatched = || matches!(namespaces.wait_until_ready().now_or_never(), Some(Err(_)));
        stored.or_else(|| is_unwatched().then(BTreeMap::new))
    }

    fn quarantined(&self, key: &ObjectKey) -> BTreeSet<u32> {
        let Some(cluster) = self.clusters.get(key) else { return BTreeSet::new() };
        let elsewhere = cluster.with_slots(|slots| self.bookings.held_elsewhere(key, slots)).unwrap_or_default();
        let foreign = |held: &BTreeSet<u32>| cluster.with_slots(|slots| slots.foreign(held)).unwrap_or_default();
        // Where the bridge keeps an access method that a meeting left, the next one could not open. Where our mark is and
        // nobody holds the slot, a meeting runs whose objects are being restored, or the slot is about to be shut.
        let useless = |held: &BTreeSet<u32>| {
            let told = |slots: &SlotSpaces| {
                let stuck = slots.stuck(held).map(|(number, _)| number);
                stuck.chain(slots.left_open(held)).collect::<BTreeSet<u32>>()
            };
            foreign(held).into_iter().chain(cluster.with_slots(told).unwrap_or_default()).collect::<BTreeSet<u32>>()
        };
        let mut quarantined: BTreeSet<u32> = elsewhere.into_iter().collect();
        // Who holds what is asked only when a slot does not look free.
        if !useless(&BTreeSet::new()).is_empty() {
            quarantined.extend(useless(&self.bookings.held(key).into_keys().collect()));
        }
        quarantined
    }

    fn is_taken(&self, key: &ObjectKey, slot: u32) -> bool {
        let cluster = self.clusters.get(key);
        cluster.and_then(|cluster| cluster.with_slots(|slots| slots.is_taken(slot))).unwrap_or(false)
    }

    fn are_slots_read(&self, key: &ObjectKey, range: &RangeInclusive<u32>) -> bool {
        let held = self.bookings.held(key).into_keys().collect();
        let cluster = self.clusters.get(key);
        cluster.and_then(|cluster| cluster.with_slots(|slots| slots.is_read(range, &held))).unwrap_or(false)
    }

    fn has_unread(&self, key: &ObjectKey) -> bool {
        self.bookings.has_unread(key, self.clock.now())
    }

    fn marked_slot(&self, key: &ObjectKey, mark: &str) -> Option<u32> {
        self.clusters.get(key)?.with_slots(|slots| {
            let mut marked = slots.iter().filter(|(_, space)| space.cdr_tag.as_deref() == Some(mark));
            marked.next().map(|(number, _)| number)
        })?
    }

    fn space(&self, key: &ObjectKey, slot: u32) -> Option<String> {
        self.clusters.get(key)?.space_of_slot(slot, None).map(|space| space.to_string())
    }
}

/// Books a slot, or keeps the one that is booked. False: there is none, and the refusal says why.
pub fn ensure(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &mut Progress,
    site: &mut Site,
    now: Timestamp,
) -> bool {
    let uid = meeting.uid().unwrap_or_default();
    let has = ctx.bookings.of(&uid);
    let decision = booking::decide(ctx, meeting, progress, has.as_ref(), site.bridge.as_deref(), now);
    let booked = match decision {
        Decision::Stands => {
            if progress.door == Door::Untouched && progress.unmet.is_none() {
                progress.draft.refused_window = None;
            }
            renew_uri(progress, site);
            return true;
        }
        Decision::Wait => {
            progress.pause = Some(Pause::SlotsUnknown);
            let message = "the bridge's slots are not known yet".to_owned();
            progress.refusal = Some(Refusal { reason: reason::PROGRESSING, message });
            return false;
        }
        Decision::Adopt(booking) => {
            let window = booking.window;
            match ctx.bookings.change_window(&uid, &booking.bridge, booking.slot, window) {
                Ok(()) => Ok(booking),
                Err(_) => book(ctx, meeting, progress, now),
            }
        }
        Decision::Choose(offers) => choose(ctx, meeting, progress, &offers, now),
        Decision::Refused(refusal) => Err(refusal),
    };
    match booked {
        Ok(booking) => {
            bind(ctx, progress, site, &booking);
            true
        }
        Err(refusal) => {
            if refusal.is_undecided() {
                progress.pause = Some(Pause::Blocked);
            }
            let kept = has.zip(site.bridge.as_deref());
            if kept.is_some_and(|(has, bridge)| booking::may_keep(ctx, meeting, progress, &has, bridge, now)) {
                progress.keep(refusal);
                renew_uri(progress, site);
                return true;
            }
            ctx.bookings.release(&uid);
            progress.refuse(refusal);
            false
        }
    }
}

fn book(ctx: &Context, meeting: &ScheduledMeeting, progress: &Progress, now: Timestamp) -> Result<Booking, Refusal> {
    choose(ctx, meeting, progress, &booking::offers(ctx, meeting, None)?, now)
}

fn choose(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    offers: &[Offer],
    now: Timestamp,
) -> Result<Booking, Refusal> {
    let offers_of = |other: &ScheduledMeeting| {
        let offers = booking::offers(ctx, other, None).unwrap_or_default();
        // Where it runs it stays: nothing is reserved for it anywhere else.
        let is_inside = Window::of(&other.spec, None).stage(now) == Stage::Inside;
        let mark = || ctx.settings.marks.of(&other.namespace().unwrap_or_default(), &other.name_any());
        let runs = is_inside && offers.iter().any(|offer| ctx.marked_slot(&offer.bridge, &mark()).is_some());
        if runs { Vec::new() } else { offers }
    };
    ctx.bookings.book(meeting, progress.window, offers, &offers_of, now)
}

/// Another slot, because the booked one cannot be had. True if there is one; else the meeting keeps what it has.
pub fn rebook(ctx: &Context, meeting: &ScheduledMeeting, progress: &mut Progress, site: &mut Site) -> bool {
    let (Some((bridge, slot)), now) = (progress.booked(), ctx.clock.now()) else { return false };
    // What an edit asks for may not be to be had; its own bridge is.
    let own = || booking::own_offer(ctx, meeting, site.bridge.as_deref()?).map(|offer| vec![offer]);
    let asked = booking::offers(ctx, meeting, Some(&bridge)).ok().filter(|_| progress.unmet.is_none());
    let Some(mut offers) = asked.or_else(own) else { return false };
    for offer in offers.iter_mut().filter(|offer| offer.bridge == bridge) {
        offer.quarantined.insert(slot);
        offer.quarantined.extend(ctx.bookings.stuck(&bridge, now));
    }
    let Ok(booking) = choose(ctx, meeting, progress, &offers, now) else { return false };
    bind(ctx, progress, site, &booking);
    progress.obstacle = None;
    progress.door = Door::Untouched;
    true
}

/// A meeting begins anew for another window: before anybody who waits is asked it has its slot for that, if it is free then.
pub fn carry_over(ctx: &Context, meeting: &ScheduledMeeting, booked: Option<(ObjectKey, u32)>, window: Window) {
    let uid = meeting.uid().unwrap_or_default();
    let is_kept = booked.is_some_and(|(bridge, slot)| ctx.bookings.change_window(&uid, &bridge, slot, window).is_ok());
    if !is_kept {
        ctx.bookings.release(&uid);
    }
    // Who was refused may have the time that it gave up.
    ctx.bookings.bridges_changed();
}

fn bind(ctx: &Context, progress: &mut Progress, site: &mut Site, booking: &Booking) {
    let bridge = ctx.bridge(&booking.bridge);
    let uri = bridge.as_ref().and_then(|bridge| booking::uri(bridge, booking.slot));
    progress.bind(booking, Bridges::space(ctx, &booking.bridge, booking.slot), uri);
    *site = Site::of(ctx, progress);
}

/// The bridge's domain, or its switch for incoming SIP, may have changed since the booking (R33).
fn renew_uri(progress: &mut Progress, site: &Site) {
    if let (Some(slot), Some(bridge)) = (&mut progress.draft.slot, &site.bridge) {
        slot.uri = booking::renewed_uri(bridge, slot);
    }
}

/// The space of the slot: as the bridge shows it now, else as recorded (its slots may not be read yet). False: there is
/// none, and progress says what that means.
pub async fn find_space(
    progress: &mut Progress,
    cluster: &Cluster,
    bridge: Option<&MeetingBridge>,
    now: Timestamp,
) -> bool {
    let Some(slot) = &progress.draft.slot else { return false };
    let recorded = slot.space_id.as_deref().map(SpaceId::from);
    let found = cluster.space_of_slot(slot.number, recorded.as_ref());
    let is_another = found.is_some() && recorded.is_some() && found != recorded;
    let why = match &found {
        Some(space) if is_another && progress.door.may_be_open() => another_space(progress, cluster, space, now).await,
        Some(_) => None,
        None if recorded.is_some() => return true,
        None if are_being_made(bridge) => Some(Obstacle::SlotsPending),
        None => Some(Obstacle::SpaceMissing),
    };
    let Some(obstacle) = why else {
        if is_another {
            progress.forget_methods();
        }
        if let (Some(slot), Some(space)) = (progress.draft.slot.as_mut(), found) {
            slot.space_id = Some(space.to_string());
        }
        return true;
    };
    let is_gone = obstacle == Obstacle::Foreign || (found.is_none() && cluster.with_slots(|_| ()).is_some());
    if progress.door.may_be_open() && progress.is_closing(now) && is_gone {
        // The slots are known and the meeting's is not among them: there is nothing left to shut.
        progress.door = Door::Released;
        return false;
    }
    progress.obstacle = Some(obstacle);
    progress.pause = Some(Pause::SpaceMissing);
    false
}

/// The space of a meeting that runs is gone, and another one has its number. What stands in the way of going on there?
async fn another_space(progress: &Progress, cluster: &Cluster, space: &SpaceId, now: Timestamp) -> Option<Obstacle> {
    let at = Priority::new(Class::Door, progress.window.opens_at).urgent();
    match cluster.read_space(space, at, now).await {
        Ok(Some(shown)) if may_go_on_in(&shown, &progress.terms) => None,
        Ok(Some(_)) => Some(Obstacle::Foreign),
        // Looked for again after a pause.
        Ok(None) | Err(_) => Some(Obstacle::SpaceMissing),
    }
}

/// Are the bridge's slots still being made, without trouble so far?
fn are_being_made(bridge: Option<&MeetingBridge>) -> bool {
    let conditions = bridge.and_then(|bridge| bridge.status.as_ref()).map(|status| status.conditions.as_slice());
    let slots = find(conditions.unwrap_or_default(), types::SLOTS_PROVISIONED);
    slots.is_none_or(|condition| condition.status != "True" && condition.reason == bridge::PENDING)
}
