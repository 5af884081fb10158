//! What a pass books: bridge, slot and window, and how they follow edits and extensions.

use std::time::Duration;

use kube::ResourceExt;

use super::super::bookings::Booking;
use super::intake;
use super::pass::Pass;
use crate::api::conditions::meeting as reason;
use crate::api::meeting::{BridgeBinding, SlotBinding};
use crate::api::values::Instant;
use crate::plan::meeting::Obstacle;
use crate::plan::window::{Stage, Window};
use crate::status::meeting::Refusal;

impl Pass<'_> {
    /// Books a slot, or keeps the one that is booked. False: there is none, and the refusal says why.
    pub(super) fn take_in(&mut self) -> bool {
        let uid = self.uid();
        let has = self.ctx.ledger.booking(&uid);
        if self.may_be_open && has.is_some() && self.bridge.is_some() {
            return true;
        }
        if has.is_some() && self.is_booking_good(has.as_ref()) {
            return true;
        }
        if self.wants_pool_first() {
            self.retry = Some(Duration::from_millis(500));
            self.refusal = Some(Refusal {
                reason: reason::PROGRESSING,
                message: "the bridge's slots are not known yet".to_owned(),
            });
            return false;
        }
        match self.adopt_running().map_or_else(|| intake::book(self.ctx, &self.meeting), Ok) {
            Ok(booking) => {
                self.bind(&booking);
                true
            }
            Err(refusal) => {
                self.ctx.ledger.release(&uid);
                self.facts.slot = None;
                self.facts.bridge = None;
                self.refusal = Some(refusal);
                false
            }
        }
    }

    /// The booking still is what the spec asks for: same window, same bridge, a slot that is not in quarantine.
    fn is_booking_good(&self, booking: Option<&Booking>) -> bool {
        let Some(booking) = booking else { return false };
        let same_bridge = match &self.meeting.spec.bridge_ref {
            Some(reference) => {
                let namespace = reference.namespace.clone().or_else(|| self.meeting.namespace());
                booking.bridge.1 == reference.name && Some(&booking.bridge.0) == namespace.as_ref()
            }
            None => true,
        };
        let bound = self.facts.slot.as_ref().is_some_and(|slot| slot.number == booking.slot)
            && self.bridge_key().as_ref() == Some(&booking.bridge);
        let known = self.facts.window.map(Window::from) == Some(self.window) && booking.window == self.window;
        let in_range = self.bridge.as_ref().is_some_and(|bridge| {
            bridge.metadata.deletion_timestamp.is_none()
                && crate::plan::bridge::numbers(&bridge.spec).is_ok_and(|range| range.contains(&booking.slot))
        });
        same_bridge && bound && known && in_range && self.obstacle != Some(Obstacle::Foreign)
    }

    /// Inside its window, a meeting without status may be one that was restored: the bridge's slots say so.
    fn wants_pool_first(&self) -> bool {
        if self.window.stage(self.now()) < Stage::Preparing || self.facts.slot.is_some() {
            return false;
        }
        let Ok(offers) = intake::offers(self.ctx, &self.meeting) else { return false };
        offers.iter().any(|offer| {
            let held = self.ctx.ledger.held(&offer.key).into_keys().collect();
            self.ctx.cluster(&offer.key).is_none_or(|cluster| {
                let memory = cluster.memory();
                !memory.world.pool.known().is_some_and(|pool| pool.is_read(&offer.range, &held))
            })
        })
    }

    fn adopt_running(&mut self) -> Option<Booking> {
        if self.window.stage(self.now()) != Stage::Inside || self.facts.slot.is_some() {
            return None;
        }
        let offers = intake::offers(self.ctx, &self.meeting).ok()?;
        offers.into_iter().find_map(|offer| {
            let slot = intake::marked_slot(self.ctx, &offer.key, &self.mark)?;
            self.ctx.ledger.change_window(&self.uid(), &offer.key, slot, self.window).ok()?;
            Some(Booking { bridge: offer.key, slot, window: self.window })
        })
    }

    /// Another slot, because the booked one is somebody else's now. True if there is one.
    pub(super) fn rebook(&mut self) -> bool {
        self.ctx.ledger.release(&self.uid());
        let before = self.facts.slot.as_ref().map(|slot| slot.number);
        match intake::book(self.ctx, &self.meeting) {
            Ok(booking) if Some(booking.slot) != before => {
                self.bind(&booking);
                self.attach();
                self.obstacle = None;
                true
            }
            _ => false,
        }
    }

    fn bind(&mut self, booking: &Booking) {
        let (namespace, name) = booking.bridge.clone();
        let bridge = self.ctx.bridge(&booking.bridge);
        let space_id = self.ctx.cluster(&booking.bridge).and_then(|cluster| cluster.space_of_slot(booking.slot));
        let uri = bridge.as_ref().and_then(|bridge| intake::uri(bridge, booking.slot));
        self.facts.bridge = Some(BridgeBinding { namespace, name });
        self.facts.slot = Some(SlotBinding { number: booking.slot, space_id: space_id.map(|id| id.to_string()), uri });
        self.facts.window = Some(booking.window.into());
        self.window = booking.window;
    }

    /// The bridge's domain, or its switch for incoming SIP, may have changed since the booking (R33).
    pub(super) fn renew_uri(&mut self) {
        if let (Some(slot), Some(bridge)) = (&mut self.facts.slot, &self.bridge) {
            slot.uri = intake::uri(bridge, slot.number);
        }
    }

    /// While the door may be open, a moved end must not run into somebody else's reservation (R70).
    pub(super) fn move_end(&mut self) {
        let (Some(stored), Some(key), Some(slot)) = (self.facts.window, self.bridge_key(), self.facts.slot.clone())
        else {
            return;
        };
        let stored = Window::from(stored);
        // The door was opened at the old instant; only the end can still move.
        let wanted = Window { opens_at: stored.opens_at, ..self.window };
        let asked = std::mem::replace(&mut self.window, stored);
        self.facts.refused_window = None;
        if wanted.closes_at == stored.closes_at && wanted.starts_at == stored.starts_at {
            return;
        }
        match self.ctx.ledger.change_window(&self.uid(), &key, slot.number, wanted) {
            Ok(()) => {
                self.window = wanted;
                self.facts.window = Some(wanted.into());
            }
            Err(holder) => {
                self.facts.refused_window = Some(asked.into());
                self.conflict = Some(holder);
            }
        }
    }

    /// The automatic extension: somebody is in the meeting shortly before its end, and the slot is free (R70).
    pub(super) fn extend(&mut self) {
        let due = self.window.extends_at(&self.meeting.spec).is_some_and(|at| at <= self.now());
        let wanted = self.facts.participant_count.is_some_and(|count| count > 0)
            && self.facts.opened_at.is_some()
            && self.conflict.is_none()
            && !self.is_suspended();
        let (true, true, Some(key), Some(slot)) = (due, wanted, self.bridge_key(), self.facts.slot.clone()) else {
            return;
        };
        let Some(closes_at) = self.window.extended(&self.meeting.spec) else { return };
        let longer = Window { closes_at, ..self.window };
        // If somebody else has the slot by then, the end stands.
        if self.ctx.ledger.change_window(&self.uid(), &key, slot.number, longer).is_ok() {
            self.window = longer;
            self.facts.window = Some(longer.into());
            self.facts.extended_until = Some(Instant(closes_at));
            self.facts.extended_from = Some(Instant(Window::of(&self.meeting.spec, None).closes_at));
        }
    }
}
