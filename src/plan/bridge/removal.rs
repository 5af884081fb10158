//! What to do next for a bridge whose object is being deleted (R54). PURE.

use std::collections::BTreeSet;

use super::{Around, BridgeProgress, End, Look, Next, Step, keep_shut};
use crate::api::bridge::{DeletionPolicy, ParameterSet};
use crate::cms::SyncStatus;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;

/// Takes away what this object made; adopted spaces are shut and left (R54).
pub fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Next {
    if bridge.spec.deletion_policy == DeletionPolicy::Orphan {
        return Next::Rest(End::Settled);
    }
    // Never set up: there is nothing to take away.
    if bridge.record.profiles.is_none() && bridge.record.sets.is_empty() && around.held.is_empty() {
        return Next::Rest(End::Settled);
    }
    let Seen::Known(slots) = &facts.slots else { return Next::Look(Look::Slots) };
    if !around.held.is_empty() {
        // The meetings shut their slots themselves; the caller bounds the wait and then calls us without them.
        return Next::Rest(End::AwaitSync);
    }
    if !slots.complete {
        // A slot that was left open has another name, adopted ones included.
        return Next::Look(Look::AllSpaces);
    }
    if let Some(next) = keep_shut(facts, around, slots) {
        return next;
    }
    if let Some(set) = bridge.record.sets.first() {
        if let Some(next) = around_foreign(slots, set) {
            return next;
        }
        return match (&set.id, &set.sync_id, &facts.sync) {
            (None, ..) => Next::Look(Look::LostSet(set.start_index..=set.end_index)),
            (Some(id), None, _) => Next::Do(Step::StartRemoval { set: id.clone() }),
            // Making them failed, perhaps halfway.
            (Some(id), Some(_), Seen::Known(SyncStatus::Failed(_))) if !set.synced => {
                Next::Do(Step::StartRemoval { set: id.clone() })
            }
            (Some(_), Some(sync), Seen::Unknown) => Next::Look(Look::Sync(sync.clone())),
            (Some(id), Some(_), Seen::Known(SyncStatus::Complete | SyncStatus::Failed(_))) => {
                Next::Do(Step::DeleteSet(id.clone()))
            }
            (Some(_), Some(_), Seen::Known(_)) => Next::Rest(End::AwaitSync),
        };
    }
    let ids = bridge.record.profiles.clone().unwrap_or_default();
    match (ids.call, ids.call_leg) {
        (Some(id), _) => Next::Do(Step::DeleteCallProfile(id)),
        (None, Some(id)) => Next::Do(Step::DeleteCallLegProfile(id)),
        (None, None) => Next::Rest(End::Settled),
    }
}

/// A set with a slot that is somebody else's now cannot be removed at once: the others go one by one. One that is not
/// seen may have been renamed, outside the range.
fn around_foreign(slots: &SlotSpaces, set: &ParameterSet) -> Option<Next> {
    let id = set.id.as_ref()?;
    let range = set.start_index..=set.end_index;
    let foreign = slots.foreign(&BTreeSet::new());
    let strange = |number: u32| foreign.contains(&number) || (set.synced && slots.space(number).is_none());
    if set.sync_id.is_some() || !range.clone().any(strange) {
        return None;
    }
    // Of a set that was never seen to succeed nobody can tell which spaces it made.
    let own = slots.iter().find(|(number, _)| set.synced && range.contains(number) && !foreign.contains(number));
    Some(Next::Do(own.map_or_else(
        || Step::DeleteSet(id.clone()),
        |(number, space)| Step::DeleteSpace { number, space: space.id.clone() },
    )))
}
