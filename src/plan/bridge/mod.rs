//! What to do next for one bridge: recognise it, make its profiles and slots, keep free slots shut. PURE.

mod contests;
mod observe;
mod outcomes;
mod profiles;
mod progress;
mod provisioning;
mod record;
mod removal;
mod settings;
mod step;
mod turns;
mod upkeep;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

pub use profiles::{Protection, profile_matches};
pub use progress::{Around, BridgeProgress, Problem, SyncPause};
pub use record::Record;
pub use step::{End, Found, Intent, Look, Obstacle, Step};

use crate::api::MeetingBridgeSpec;
use crate::cms::{SpaceId, SyncFailure};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;
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

    /// Does a live meeting hold this slot, or has one recorded this space, whatever number a list gives it?
    fn holds(&self, number: u32, space: &SpaceId) -> bool {
        self.held.contains_key(&number) || self.held.values().any(|held| held.as_ref() == Some(space))
    }

    /// Has this number a space, as far as is known? A busy slot carries its meeting's title, so a list by name does not
    /// show it.
    fn has_space(&self, slots: &SlotSpaces, number: u32) -> bool {
        let recorded = self.held.get(&number).and_then(Option::as_ref);
        slots.space(number).is_some() || recorded.is_some_and(|space| !slots.complete && !slots.is_gone(space))
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
    // That free slots are shut hangs on nothing that may be wrong with profiles, numbers or growth.
    if let Some(next) = upkeep::next(bridge, facts, around) {
        return next;
    }
    // Nor do the settings of a meeting that is about to begin.
    if let Some(next) = settings::next(bridge, facts, around) {
        return next;
    }
    if bridge.is_refused {
        return profiles::next_look(bridge, facts, version).unwrap_or(Next::Rest(End::HeldBack));
    }
    let range = match numbers(&bridge.spec) {
        Ok(range) => range,
        // Nothing is written to a bridge before it has its numbers (R13); what was made is looked after without them, too.
        Err(missing) => {
            let looked_after = profiles::next(bridge, facts, version).filter(|_| bridge.record.profiles.is_some());
            return looked_after.unwrap_or_else(|| blocked(Obstacle::DialNumbers(missing)));
        }
    };
    if let Some(next) = profiles::next(bridge, facts, version) {
        return next;
    }
    let Seen::Known(slots) = &facts.slots else { return Next::Look(Look::Slots) };
    if let Some(next) = provisioning::next(bridge, facts, around, slots, &range) {
        return next;
    }
    if let Some(next) = profiles::attach(bridge, facts, around, slots) {
        return next;
    }
    match provisioning::shrinking(bridge, around, slots, &range) {
        Some(next @ (Next::Look(_) | Next::Do(_))) => next,
        _ if provisioning::has_no_slot(around, slots, &range) => blocked(Obstacle::Sync(SyncFailure::UriConflict)),
        rest => rest.unwrap_or(Next::Rest(End::Settled)),
    }
}

#[cfg(test)]
mod tests;
