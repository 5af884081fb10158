//! Free slots are shut and without call (R51, R78), before anything else is done; and what is asked before every write to
//! a slot. PURE.

use super::provisioning::numbers_of;
use super::{Around, BridgeProgress, Look, Next, Step, numbers};
use crate::api::bridge::ParameterSet;
use crate::api::repairs::Contested;
use crate::cms::SpaceId;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::{SlotSpaces, Standing, StuckBy};

/// Free slots that are looked at in one pass after a rollback: between two passes those that are live have their turn.
const MOST_LOOKS: usize = 50;

/// What a slot that no meeting of ours holds is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody looked at it in this pass: somebody may have taken it since.
    Unproven(SpaceId),
    /// Nobody uses it.
    Free(SpaceId),
    /// A meeting that is over left it open.
    LeftOpen(SpaceId),
    /// Somebody else's: it is not touched.
    Foreign,
}

impl Claim {
    /// The space that must be looked at first.
    pub(super) fn unproven(&self) -> Option<&SpaceId> {
        if let Self::Unproven(space) = self { Some(space) } else { None }
    }
}

/// Asked before every write to a slot: on the strength of a list or of memory nothing is written.
pub(super) fn claim(bridge: &BridgeProgress, around: &Around, slots: &SlotSpaces, number: u32) -> Claim {
    let (Some(space), Some(standing)) = (slots.space(number), slots.standing(number)) else { return Claim::Foreign };
    let id = space.id.clone();
    match standing {
        _ if around.holds(number, &id) => Claim::Foreign,
        // A look that found it so in this pass, or in one before: it stays away until a look finds it free again.
        Standing::Foreign => Claim::Foreign,
        // Nor is what the bridge does not show.
        _ if slots.stuck.rests(&id, StuckBy::Unread) => Claim::Foreign,
        _ if !bridge.looked.contains(&id) => Claim::Unproven(id),
        Standing::Free => Claim::Free(id),
        Standing::Marked => Claim::LeftOpen(id),
    }
}

/// Looks at what is not known, and shuts what is open. None: all free slots are as they should be, as far as is known.
pub(super) fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Option<Next> {
    let has_slots = !bridge.record.sets.is_empty() || (bridge.record.has_profiles() && numbers(&bridge.spec).is_ok());
    let slots = match &facts.slots {
        Seen::Known(slots) => slots,
        // On a bridge that was set up before, slots may be open.
        Seen::Unknown if has_slots => return Some(Next::Look(Look::Slots)),
        Seen::Unknown => return None,
    };
    if facts.wants_list || !slots.complete {
        if !bridge.listed_in_part && !facts.is_name_enough && is_anything_unlisted(bridge, facts, around, slots) {
            return Some(Next::Look(Look::AllSpaces));
        }
        if facts.wants_list {
            return Some(Next::Look(Look::Slots));
        }
    }
    keep_shut(bridge, facts, around, slots)
}

/// A slot that no live meeting holds has no access method of ours: whoever knows its passcode would get in with the next
/// meeting. They go before the slot is shut, because its mark tells of them after a crash.
fn without_methods(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around, slots: &SlotSpaces) -> Option<Next> {
    let held = around.held_numbers();
    slots.with_access_methods(&held).find_map(|(number, count)| {
        let seen = |space: &SpaceId| facts.methods.get(space).filter(|(shown, _)| *shown == count);
        let of_space = slots.space(number).and_then(|space| seen(&space.id));
        if of_space.is_some_and(|(_, ours)| ours.is_empty()) {
            return None;
        }
        match claim(bridge, around, slots, number) {
            Claim::Unproven(space) => Some(Next::Look(Look::Space(space))),
            Claim::LeftOpen(_) if around.may_be_restored => None,
            Claim::Free(space) | Claim::LeftOpen(space) => {
                Some(match seen(&space).and_then(|(_, ours)| ours.first()) {
                    None => Next::Look(Look::AccessMethods(space)),
                    Some(method) => Next::Do(Step::DeleteAccessMethod { number, method: method.clone(), space }),
                })
            }
            Claim::Foreign => None,
        }
    })
}

/// Is there a number of ours that no list has shown so far? A slot that is open carries a title, so only a list of
/// everything shows it.
fn is_anything_unlisted(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around, slots: &SlotSpaces) -> bool {
    let range = numbers(&bridge.spec).ok();
    if range.as_ref().is_none_or(|range| slots.is_empty_in(range))
        && around.held.is_empty()
        && bridge.record.sets.is_empty()
    {
        return false; // The first contact: what is in the way of the slots shows in their sync.
    }
    // Of a set that is being made nothing is to be found yet, and what one has made may show late.
    let is_being_made = |set: &&ParameterSet| {
        let is_untried = bridge.untried_set.as_ref() == Some(&numbers_of(set));
        let is_unsynced = set.id.as_ref().is_some_and(|id| facts.unsynced.contains(id));
        !set.synced && (set.sync_id.is_some() || is_untried || is_unsynced)
    };
    let coming: Vec<_> = bridge.record.sets.iter().filter(is_being_made).map(numbers_of).collect();
    let is_unlisted = |number: u32| {
        let is_known = around.has_space(slots, number) || slots.is_taken(number);
        !is_known && !facts.awaits(number) && !coming.iter().any(|range| range.contains(&number))
    };
    bridge.record.sets.iter().map(numbers_of).chain(range).any(|mut range| range.any(is_unlisted))
}

/// A slot that no live meeting holds is shut and has no call.
pub(super) fn keep_shut(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
) -> Option<Next> {
    let held = around.held_numbers();
    let is_wanted = facts.full_recheck || (facts.wants_looks && bridge.looked.len() < MOST_LOOKS);
    let unseen = || is_wanted.then(|| slots.unseen(&held)).flatten();
    if let Some((_, space)) = slots.doubtful(&held).or_else(unseen) {
        return Some(Next::Look(Look::Space(space.id.clone())));
    }
    if let Some(next) = without_methods(bridge, facts, around, slots) {
        return Some(next);
    }
    // Where others open a slot again and again it is shut less often, and never given up.
    let is_stuck = |number: u32, by| slots.space(number).is_some_and(|space| slots.stuck.rests(&space.id, by));
    let may_shut =
        |number: &u32| !is_stuck(*number, StuckBy::Open) && bridge.may_put_back(Contested::FreeSlot, Some(*number));
    let mut left_open = slots.left_open(&held).filter(may_shut);
    let shut = left_open.find_map(|number| match claim(bridge, around, slots, number) {
        Claim::Unproven(space) => Some(Next::Look(Look::Space(space))),
        Claim::LeftOpen(space) if !around.may_be_restored => Some(Next::Do(Step::ShutSlot { number, space })),
        Claim::LeftOpen(_) | Claim::Free(_) | Claim::Foreign => None,
    });
    if shut.is_some() {
        return shut;
    }
    facts.calls.known()?.iter().find_map(|placed| {
        let number = slots.number(placed.call.space.as_ref()?).filter(|number| !is_stuck(*number, StuckBy::Call))?;
        match claim(bridge, around, slots, number) {
            Claim::Unproven(space) => Some(Next::Look(Look::Space(space))),
            Claim::Free(_) => Some(Next::Do(Step::DeleteCall(placed.at()))),
            Claim::LeftOpen(_) | Claim::Foreign => None,
        }
    })
}
