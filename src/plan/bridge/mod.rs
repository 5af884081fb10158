//! What to do next for one bridge: recognise it, make its profiles and slots, keep free slots shut. PURE.

mod profiles;
mod progress;
mod removal;
mod step;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

pub use profiles::profile_matches;
pub use progress::{Around, BridgeProgress, Problem, Record, SyncPause};
pub use step::{End, Found, Intent, Look, Obstacle, Step};

use crate::api::MeetingBridgeSpec;
use crate::api::bridge::ParameterSet;
use crate::cms::SyncFailure;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::{self, SlotSpaces};
use crate::plan::version;

/// The next thing to do for a bridge.
pub type Next = super::Next<Look, Intent, Step, End>;

fn blocked(obstacle: Obstacle) -> Next {
    Next::Rest(End::Blocked(obstacle))
}

/// The slot numbers of the spec, if it names domain, base and quantity; else the names of the missing fields (R13).
pub fn numbers(spec: &MeetingBridgeSpec) -> Result<RangeInclusive<u32>, Vec<&'static str>> {
    let slots = &spec.slots;
    let mut missing = Vec::new();
    if slots.domain.as_deref().is_none_or(str::is_empty) {
        missing.push("slots.domain");
    }
    if slots.base.is_none() {
        missing.push("slots.base");
    }
    if slots.quantity.is_none() {
        missing.push("slots.quantity");
    }
    match (slots.base, slots.quantity) {
        (Some(base), Some(quantity)) if missing.is_empty() => {
            Ok(base..=base.saturating_add(quantity.saturating_sub(1)))
        }
        _ => Err(missing),
    }
}

/// Is this the number of a slot, whatever its space is called: one of the range, or of a set that we made earlier?
pub fn is_slot(spec: &MeetingBridgeSpec, record: &Record, number: u32) -> bool {
    numbers(spec).is_ok_and(|range| range.contains(&number))
        || record.sets.iter().any(|set| (set.start_index..=set.end_index).contains(&number))
}

impl Around {
    fn held_numbers(&self) -> BTreeSet<u32> {
        self.held.keys().copied().collect()
    }

    /// Has this number a space, as far as is known? A busy slot carries its meeting's title, so a list by name does not
    /// show it.
    fn has_space(&self, slots: &SlotSpaces, number: u32) -> bool {
        let recorded = self.held.get(&number).and_then(Option::as_ref);
        slots.space(number).is_some() || recorded.is_some_and(|space| !slots.complete && !slots.is_gone(space))
    }
}

impl Record {
    fn made(&self, number: u32) -> bool {
        // A sync that was never seen to succeed may have run into spaces that were there before.
        self.sets.iter().any(|set| set.synced && (set.start_index..=set.end_index).contains(&number))
    }
}

/// The next thing to do for this bridge.
pub fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Next {
    if bridge.is_deleting {
        return removal::next(bridge, facts, around);
    }
    let Seen::Known(version) = &facts.version else { return Next::Look(Look::System) };
    if version::is_too_old(version) {
        return blocked(Obstacle::VersionTooOld);
    }
    if matches!(facts.members, Seen::Unknown) {
        return Next::Look(Look::Cluster);
    }
    if let Some(owner) = &around.owner {
        return blocked(Obstacle::ClusterOwned(owner.clone()));
    }
    if let Some(next) = profiles::next(bridge, facts, version) {
        return next;
    }
    let range = match numbers(&bridge.spec) {
        Ok(range) => range,
        Err(missing) => return blocked(Obstacle::DialNumbers(missing)),
    };
    let Seen::Known(slots) = &facts.slots else { return Next::Look(Look::Slots) };
    if let Some(next) = provisioning(bridge, facts, around, slots, &range) {
        return next;
    }
    if let Some(next) = keep_shut(facts, around, slots) {
        return next;
    }
    if let Some(next) = profiles::attach(bridge, facts, around, slots) {
        return next;
    }
    shrinking(bridge, around, slots, &range).unwrap_or(Next::Rest(End::Settled))
}

/// Makes what is missing, by a further set: a set is never synced twice, because a sync deletes and makes anew every
/// space of its set (cms-protocol.md section 6.5).
fn provisioning(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
    range: &RangeInclusive<u32>,
) -> Option<Next> {
    // A set of which anything is there is not synced any more, even if the reply to its sync was lost: that would delete
    // what is there and make it anew.
    let is_fresh = |set: &ParameterSet| {
        set.sync_id.is_some() || !(set.start_index..=set.end_index).any(|number| around.has_space(slots, number))
    };
    if let Some(set) = bridge.record.sets.iter().find(|set| !set.synced && is_fresh(set)) {
        let wanted = set.start_index..=set.end_index;
        if let Some(id) = &set.id
            && facts.sync_failure.is_some()
            && !(range.contains(wanted.start()) && range.contains(wanted.end()))
        {
            // It failed, and the spec has moved away from it since.
            return Some(Next::Do(Step::DeleteSet(id.clone())));
        }
        return Some(match (&set.id, &set.sync_id, &facts.sync) {
            (None, ..) if bridge.sets_untried => Next::Do(Step::CreateSet(wanted)),
            (None, ..) => Next::Look(Look::LostSet(wanted)),
            (Some(_), _, _) if facts.sync_failure.is_some() => failure(facts),
            // Not the first try: what is in the way, or in use under another name, must be known.
            (Some(_), None, _) if !bridge.sets_untried && !slots.complete => Next::Look(Look::AllSpaces),
            (Some(id), None, _) if bridge.sets_untried => Next::Do(Step::StartSync { set: id.clone() }),
            (Some(id), None, _) => Next::Look(Look::LostSync(id.clone())),
            (Some(_), Some(sync), Seen::Unknown) => Next::Look(Look::Sync(sync.clone())),
            (Some(_), Some(_), Seen::Known(_)) => Next::Rest(End::AwaitSync),
        });
    }
    if facts.sync_failure.is_some() {
        return Some(failure(facts));
    }
    let missing: Vec<u32> = range.clone().filter(|number| !around.has_space(slots, *number)).collect();
    if !missing.is_empty() {
        if facts.relists_left > 0 && missing.iter().any(|number| bridge.record.made(*number)) {
            return Some(Next::Rest(End::AwaitSync));
        }
        let fresh = slots.is_empty_in(range) && around.held.is_empty() && bridge.record.sets.is_empty();
        if !fresh && !slots.complete {
            return Some(Next::Look(Look::AllSpaces));
        }
        return slots::ranges(&missing).into_iter().next().map(|range| Next::Record(Intent::Set(range)));
    }
    None
}

fn failure(facts: &BridgeFacts) -> Next {
    match &facts.sync_failure {
        Some((SyncFailure::UriConflict | SyncFailure::CallIdConflict, None)) => Next::Look(Look::Offender),
        Some((failure, _)) => blocked(Obstacle::Sync(failure.clone())),
        None => Next::Rest(End::AwaitSync),
    }
}

/// A slot that no live meeting holds is shut and has no call (R51, R78).
fn keep_shut(facts: &BridgeFacts, around: &Around, slots: &SlotSpaces) -> Option<Next> {
    let held = around.held_numbers();
    let unseen = || facts.full_recheck.then(|| slots.unseen(&held)).flatten();
    if let Some((_, space)) = slots.doubtful(&held).or_else(unseen) {
        return Some(Next::Look(Look::Space(space.id.clone())));
    }
    if let Some((number, space)) = slots.left_open(&held) {
        return Some(Next::Do(Step::ShutSlot { number, space: space.id.clone() }));
    }
    let foreign = slots.foreign(&held);
    let calls = facts.calls.known()?;
    calls
        .iter()
        .find(|placed| {
            let space = placed.call.space.as_ref();
            space
                .and_then(|space| slots.number(space))
                .is_some_and(|number| !held.contains(&number) && !foreign.contains(&number))
        })
        .map(|placed| Next::Do(Step::DeleteCall(placed.at())))
}

fn shrinking(
    bridge: &BridgeProgress,
    around: &Around,
    slots: &SlotSpaces,
    range: &RangeInclusive<u32>,
) -> Option<Next> {
    // What an earlier range left behind may carry a title, so only a list of everything shows it.
    let unlisted = |number: u32| !range.contains(&number) && !around.has_space(slots, number);
    let sets = &bridge.record.sets;
    if !slots.complete && sets.iter().any(|set| (set.start_index..=set.end_index).any(unlisted)) {
        return Some(Next::Look(Look::AllSpaces));
    }
    let held = around.held_numbers();
    let foreign = slots.foreign(&held);
    let surplus = slots.iter().filter(|(number, _)| !range.contains(number) && bridge.record.made(*number));
    let mut draining = false;
    for (number, space) in surplus {
        if held.contains(&number) || foreign.contains(&number) {
            draining = true;
            continue;
        }
        return Some(Next::Do(Step::DeleteSpace { number, space: space.id.clone() }));
    }
    draining.then_some(blocked(Obstacle::Draining))
}

#[cfg(test)]
mod tests;
