//! Makes the slots that are missing, around what is somebody else's, and takes away what is not wanted any more. PURE.

use std::ops::RangeInclusive;

use super::upkeep::{Claim, claim};
use super::{Around, BridgeProgress, End, Intent, Look, Next, Obstacle, Step, blocked};
use crate::api::bridge::{MOST_SETS, ParameterSet};
use crate::api::repairs::Contested;
use crate::cms::SyncFailure;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::{self, SlotSpaces};

/// From so many sets on those that can be told as one are.
const MANY_SETS: usize = 16;

pub(super) fn numbers_of(set: &ParameterSet) -> RangeInclusive<u32> {
    set.start_index..=set.end_index
}

/// Makes what is missing, by a further set: a set is never synced twice, because a sync deletes and makes anew every
/// space of its set (cms-protocol.md section 6.5), whoever uses it by now and whatever number he gave it. If it is not
/// known what came of the one sync, its set is deleted, which leaves the spaces, and another set is made.
pub(super) fn next(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
    range: &RangeInclusive<u32>,
) -> Option<Next> {
    // A set of which anything is there is not synced any more, even if the reply to its sync was lost: that would delete
    // what is there and make it anew.
    let is_fresh =
        |set: &&ParameterSet| set.sync_id.is_some() || !numbers_of(set).any(|number| around.has_space(slots, number));
    let mut sets = bridge.record.sets.iter().filter(|set| !set.synced);
    if let Some(set) = sets.clone().find(is_fresh) {
        return Some(in_progress(bridge, facts, slots, range, set));
    }
    // But its sync may still be there, and tell that the spaces are of our making.
    let unlooked = |set: &ParameterSet| set.id.clone().filter(|id| !facts.unexplained.contains(id));
    if let Some(id) = sets.find_map(unlooked) {
        return Some(Next::Look(Look::LostSync(id)));
    }
    if let Some(failure) = &facts.sync_failure {
        return Some(blocked(Obstacle::Sync(failure.clone())));
    }
    let is_wanted = |number: &u32| {
        let is_blocked = facts.blocked.get(number).is_some_and(|is_due| !is_due);
        let is_somebodys = slots.is_taken(*number) && !facts.blocked.contains_key(number);
        !around.has_space(slots, *number) && !is_blocked && !is_somebodys
    };
    let missing: Vec<u32> = range.clone().filter(is_wanted).collect();
    if missing.is_empty() {
        return None;
    }
    if missing.iter().any(|number| facts.awaits(*number)) {
        return Some(Next::Rest(End::AwaitSync));
    }
    // At the first contact what is in the way shows in the sync.
    if bridge.listed_in_part
        && let Some(next) = bridge.prove_absence(slots)
    {
        return Some(next);
    }
    if missing.iter().any(|number| bridge.record.made(*number)) && !bridge.may_put_back(Contested::Spaces, None) {
        return Some(blocked(Obstacle::SlotsContested));
    }
    if bridge.record.sets.len() > MANY_SETS
        && let Some(merge) = mergeable(&bridge.record.sets)
    {
        return Some(Next::Do(merge));
    }
    if bridge.record.sets.len() >= MOST_SETS {
        return Some(blocked(Obstacle::Scattered));
    }
    let most = facts.most_at_once.unwrap_or(u32::MAX).saturating_sub(1);
    let first = slots::ranges(&missing).into_iter().next()?;
    let end = first.start().saturating_add(most).min(*first.end());
    Some(Next::Record(Intent::Set(*first.start()..=end)))
}

/// Nothing is missing, and nothing is there: every number is somebody else's.
pub(super) fn has_no_slot(around: &Around, slots: &SlotSpaces, range: &RangeInclusive<u32>) -> bool {
    !range.clone().any(|number| around.has_space(slots, number))
}

/// What is next for a set that is being made.
fn in_progress(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    slots: &SlotSpaces,
    range: &RangeInclusive<u32>,
    set: &ParameterSet,
) -> Next {
    let wanted = numbers_of(set);
    let proof = bridge.prove_absence(slots);
    let is_unwanted = !(range.contains(wanted.start()) && range.contains(wanted.end()));
    match (&set.id, &set.sync_id, &facts.sync) {
        (None, ..) if bridge.untried_set.as_ref() == Some(&wanted) => Next::Do(Step::CreateSet(wanted)),
        (None, ..) => Next::Look(Look::LostSet(wanted)),
        (Some(id), ..) if facts.sync_failure.is_some() => match &facts.sync_failure {
            // The spec has moved away from it since.
            _ if is_unwanted => Next::Do(Step::DeleteSet(id.clone())),
            Some(SyncFailure::UriConflict | SyncFailure::CallIdConflict) if proof.is_some() => {
                proof.unwrap_or(Next::Rest(End::AwaitSync))
            }
            // What is in the way is left alone: the others are made around it. If no list shows it, the conflict may be
            // over by now; if it comes back, fewer are made at once until it is clear which number it is.
            Some(failure @ (SyncFailure::UriConflict | SyncFailure::CallIdConflict)) => {
                let is_explained = !slots.is_free_of_spaces(&wanted);
                let is_retry = wanted.clone().all(|number| facts.blocked.contains_key(&number));
                if is_explained || is_retry || facts.most_at_once.is_some() {
                    Next::Do(Step::DeleteSet(id.clone()))
                } else {
                    blocked(Obstacle::Sync(failure.clone()))
                }
            }
            Some(failure) => blocked(Obstacle::Sync(failure.clone())),
            None => Next::Rest(End::AwaitSync),
        },
        (Some(id), None, _) if facts.unsynced.contains(id) => Next::Do(Step::StartSync { set: id.clone() }),
        (Some(id), None, _) if bridge.without_sync.as_ref() != Some(id) => Next::Look(Look::LostSync(id.clone())),
        // What it made, under whatever name, stays in the record with its set.
        (Some(id), None, _) => proof.unwrap_or_else(|| Next::Do(Step::DeleteSet(id.clone()))),
        (Some(_), Some(sync), Seen::Unknown) => Next::Look(Look::Sync(sync.clone())),
        // It is waited for, and no other one is begun; but what it has made counts, and people are told.
        (Some(_), Some(_), Seen::Known(_)) if facts.is_sync_overdue(bridge.now) => {
            if slots.complete || bridge.listed_in_part {
                blocked(Obstacle::SyncHangs)
            } else {
                Next::Look(Look::AllSpaces)
            }
        }
        (Some(_), Some(_), Seen::Known(_)) => Next::Rest(End::AwaitSync),
    }
}

/// Two sets that can be told as one: the numbers of one lie within those of the other (a slot that was made again), or
/// follow them.
fn mergeable(sets: &[ParameterSet]) -> Option<Step> {
    let settled = || sets.iter().filter(|set| set.synced && set.sync_id.is_none() && set.id.is_some());
    settled().find_map(|into| {
        let other = settled().find(|other| {
            let is_within = into.start_index <= other.start_index && other.end_index <= into.end_index;
            other.id != into.id && (is_within || into.end_index.checked_add(1) == Some(other.start_index))
        })?;
        Some(Step::MergeSet { set: other.id.clone()?, into: into.id.clone()? })
    })
}

/// Removes the slots of an earlier range, then the sets of which nothing is left.
pub(super) fn shrinking(
    bridge: &BridgeProgress,
    around: &Around,
    slots: &SlotSpaces,
    range: &RangeInclusive<u32>,
) -> Option<Next> {
    let surplus = slots.iter().filter(|(number, _)| !range.contains(number) && bridge.record.made(*number));
    let mut is_draining = false;
    for (number, _) in surplus {
        match claim(bridge, around, slots, number) {
            Claim::Unproven(space) => return Some(Next::Look(Look::Space(space))),
            Claim::Free(space) => return Some(Next::Do(Step::DeleteSpace { number, space })),
            Claim::LeftOpen(_) | Claim::Foreign => is_draining = true,
        }
    }
    let is_gone =
        |set: &&ParameterSet| set.sync_id.is_none() && !numbers_of(set).any(|number| around.has_space(slots, number));
    if slots.complete
        && let Some(id) = bridge.record.sets.iter().find(is_gone).and_then(|set| set.id.clone())
    {
        return Some(Next::Do(Step::DeleteSet(id)));
    }
    is_draining.then_some(blocked(Obstacle::Draining))
}
