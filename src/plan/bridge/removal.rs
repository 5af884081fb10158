//! What to do next for a bridge whose object is being deleted (R54). PURE.

use super::provisioning::numbers_of;
use super::upkeep::{Claim, claim, keep_shut};
use super::{Around, BridgeProgress, End, Look, Next, Step, settings};
use crate::api::bridge::{DeletionPolicy, ParameterSet};
use crate::cms::{ProfileKind, SyncStatus};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;

/// Takes away what this object made; adopted spaces are shut and left (R54).
pub fn next(bridge: &BridgeProgress, facts: &BridgeFacts, around: &Around) -> Next {
    if bridge.spec.deletion_policy == DeletionPolicy::Orphan {
        return Next::Rest(End::Settled);
    }
    // Never set up: there is nothing to take away.
    if bridge.record.is_empty() && around.held.is_empty() {
        return Next::Rest(End::Settled);
    }
    // The address was edited: are we where it was made?
    if bridge.made_on.is_some() && bridge.cluster.is_none() {
        return Next::Look(Look::Cluster);
    }
    let Seen::Known(slots) = &facts.slots else { return Next::Look(Look::Slots) };
    if facts.wants_list {
        return Next::Look(Look::Slots);
    }
    if !around.held.is_empty() {
        // The meetings shut their slots themselves; the caller bounds the wait and then calls us without them.
        return Next::Rest(End::AwaitSync);
    }
    // A slot that was left open has another name, adopted ones included.
    if let Some(next) = bridge.prove_absence(slots) {
        return next;
    }
    if let Some(next) = keep_shut(bridge, facts, around, slots) {
        return next;
    }
    if let Some(set) = bridge.record.sets.first() {
        if let Some(next) = space_by_space(bridge, facts, around, slots, set) {
            return next;
        }
        return match (&set.id, &set.sync_id, &facts.sync) {
            (None, ..) => Next::Look(Look::LostSet(numbers_of(set))),
            (Some(id), None, _) => Next::Do(Step::StartRemoval { set: id.clone() }),
            // Making them failed, perhaps halfway.
            (Some(id), Some(_), Seen::Known(SyncStatus::Failed(_))) if !set.synced => {
                Next::Do(Step::StartRemoval { set: id.clone() })
            }
            (Some(_), Some(sync), Seen::Unknown) => Next::Look(Look::Sync(sync.clone())),
            (Some(id), Some(_), Seen::Known(SyncStatus::Complete | SyncStatus::Failed(_))) => {
                left_over(bridge, facts, around, slots, set).unwrap_or_else(|| Next::Do(Step::DeleteSet(id.clone())))
            }
            (Some(_), Some(_), Seen::Known(_)) => Next::Rest(End::AwaitSync),
        };
    }
    if let Some(next) = settings::removal(bridge, facts) {
        return next;
    }
    let ids = bridge.record.profiles.clone().unwrap_or_default();
    let left = ProfileKind::ALL.into_iter().find_map(|kind| Some(Step::DeleteProfile(kind, ids.of(kind)?.clone())));
    left.map_or(Next::Rest(End::Settled), Next::Do)
}

/// What a sync that was to remove the spaces of a set has left goes one by one (a space that was not there before is
/// somebody else's); as long as the bridge refuses that, the set stays in the record. Of a set that was never seen to make its
/// spaces nobody can tell which of them it made.
fn left_over(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
    set: &ParameterSet,
) -> Option<Next> {
    let ours = facts.removing.get(set.id.as_ref()?)?;
    let mut left = numbers_of(set).filter(|number| slots.space(*number).is_some_and(|space| ours.contains(&space.id)));
    left.find_map(|number| match claim(bridge, around, slots, number) {
        Claim::Unproven(space) => Some(Next::Look(Look::Space(space))),
        Claim::Free(space) => Some(Next::Do(Step::DeleteSpace { number, space })),
        Claim::LeftOpen(_) | Claim::Foreign => None,
    })
}

/// Before a sync removes the spaces of a set, each is looked at. If one is somebody else's now (one that is not seen may
/// have been renamed, outside the range), or if the set did not make all of them itself, they go one by one.
fn space_by_space(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
    set: &ParameterSet,
) -> Option<Next> {
    let id = set.id.as_ref()?;
    let has_failed = !set.synced && matches!(facts.sync, Seen::Known(SyncStatus::Failed(_)));
    if set.sync_id.is_some() && !has_failed {
        return None;
    }
    let claims: Vec<(u32, Claim)> = numbers_of(set)
        .filter(|number| slots.space(*number).is_some())
        .map(|number| (number, claim(bridge, around, slots, number)))
        .collect();
    if let Some(space) = claims.iter().find_map(|(_, claim)| claim.unproven()) {
        return Some(Next::Look(Look::Space(space.clone())));
    }
    let count = numbers_of(set).count();
    let is_strange = claims.iter().any(|(_, claim)| *claim == Claim::Foreign) || (set.synced && claims.len() < count);
    if !is_strange && !set.merged {
        return None;
    }
    // Of a set that was never seen to succeed nobody can tell which spaces it made.
    let own = claims.into_iter().filter(|_| set.synced).find_map(|(number, claim)| match claim {
        Claim::Free(space) => Some(Step::DeleteSpace { number, space }),
        _ => None,
    });
    Some(Next::Do(own.unwrap_or_else(|| Step::DeleteSet(id.clone()))))
}
