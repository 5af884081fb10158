//! The slots of a bridge: which there are, which of them are of use, and why some are not there.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use crate::api::bridge::{SlotEntry, SlotState, SlotsStatus};
use crate::api::conditions::{bridge as reason, types};
use crate::api::{MeetingBridgeStatus, find, is_true};
use crate::cms::{SpaceId, SyncFailure};
use crate::facts::slots::{SlotSpaces, Stuck, StuckBy};
use crate::plan::bridge::{BridgeProgress, Obstacle, numbers};
use crate::status::Conditions;

pub(super) const SLOTS_CONTESTED: &str =
    "others delete slots again and again; they are made again every five minutes at most";

pub(super) const SYNC_HANGS: &str = "the bridge has worked on the sync of the slots' spaces for more than ten minutes; it is waited for, \
                          and what is there counts; if it never ends, delete its coSpaceBulkSync on the bridge";

/// Is everything made and verified? What was true before still is while a pass that fails, waits or is not far enough yet
/// says nothing else.
pub fn is_provisioned(progress: &BridgeProgress, old: &MeetingBridgeStatus) -> bool {
    let still_is = !progress.is_well()
        || progress.stands_so_far()
        || progress.is_trying_blocked
        || progress.former_address.is_some();
    progress.is_settled || (is_true(&old.conditions, types::SLOTS_PROVISIONED) && still_is)
}

/// Is not all made, but are there slots?
pub fn has_pool(progress: &BridgeProgress, slots: Option<&SlotsStatus>) -> bool {
    let (made, growing): (Vec<_>, Vec<_>) = progress.record.sets.iter().partition(|set| set.synced);
    !growing.is_empty() && !made.is_empty() && slots.is_some_and(|slots| slots.total > 0)
}

/// The slots, and those of which there is something to be told. `holders`: the names of the meetings that hold some.
pub fn listed(progress: &BridgeProgress, spaces: &SlotSpaces, holders: &BTreeMap<u32, String>) -> SlotsStatus {
    let mut slots = SlotsStatus::default();
    let held = holders.keys().copied().collect();
    let mut foreign = spaces.foreign(&held);
    // Of no use to anybody, as if they were somebody else's.
    foreign.extend(spaces.stuck(&held).map(|(number, _)| number));
    // A meeting runs there whose object was not looked at yet (a restore without status), or nobody shut it.
    let left_open: BTreeSet<u32> = spaces.left_open(&held).collect();
    let range = numbers(&progress.spec).ok();
    let is_wanted = |number: u32| range.as_ref().is_some_and(|range| range.contains(&number));
    let mut entries: BTreeMap<u32, SlotEntry> = BTreeMap::new();
    let mut note = |number: u32, space: Option<&SpaceId>, state: SlotState| {
        let meeting = holders.get(&number).cloned();
        let space_id = space.map(ToString::to_string);
        entries.insert(number, SlotEntry { number, space_id, state, meeting });
    };
    for (number, space) in spaces.iter() {
        slots.total += u32::from(is_wanted(number));
        if !is_wanted(number) {
            note(number, Some(&space.id), SlotState::Draining);
        } else if holders.contains_key(&number) || left_open.contains(&number) {
            slots.in_use += 1;
            note(number, Some(&space.id), SlotState::InUse);
        } else if foreign.contains(&number) {
            slots.foreign += 1;
            note(number, Some(&space.id), SlotState::Foreign);
        } else {
            slots.free += 1;
        }
    }
    if let Some(range) = range.as_ref().filter(|_| progress.is_settled) {
        for number in spaces.missing(range) {
            note(number, None, SlotState::Missing);
        }
    }
    for (number, by) in spaces.taken().filter(|(number, _)| is_wanted(*number)) {
        slots.foreign += 1;
        note(number, by.map(|space| &space.id), SlotState::Foreign);
    }
    slots.entries = entries.into_values().collect();
    slots
}

/// Slots of the range with which the bridge would not do something, and what, and what helps.
pub fn stuck(progress: &BridgeProgress, spaces: &SlotSpaces, held: &BTreeSet<u32>) -> Vec<(u32, String)> {
    let Ok(range) = numbers(&progress.spec) else { return Vec::new() };
    let (mut told, open) = (spaces.foreign(held), spaces.left_open(held));
    told.extend(open);
    let is_told = |number: u32, stuck: &Stuck| stuck.by == StuckBy::Method && told.contains(&number);
    let stuck = spaces.stuck(held).filter(|(number, stuck)| range.contains(number) && !is_told(*number, stuck));
    let mut stuck: Vec<(u32, String)> = stuck.map(|(number, stuck)| (number, why_stuck(stuck))).collect();
    stuck.sort_unstable();
    stuck
}

fn why_stuck(stuck: &Stuck) -> String {
    let (what, remedy) = match stuck.by {
        StuckBy::Method => ("an access method that a meeting left there cannot be deleted", "delete it, or the space"),
        StuckBy::Unread => {
            ("its space cannot be read", "repair or delete the space; it is looked at again every two minutes")
        }
        StuckBy::Open => (
            "a meeting left it open and it cannot be shut",
            "shut or delete the space; it is tried again every two minutes",
        ),
        StuckBy::Call => ("a call that was left there cannot be ended", "end it; it is tried again every two minutes"),
    };
    format!("{what} ({}); {remedy}", stuck.words)
}

/// What has the numbers of slots that cannot be made, as sentences. What our own meetings hold is ours, whatever a look shows
/// of it so far.
pub fn taken(progress: &BridgeProgress, spaces: &SlotSpaces, held: &BTreeSet<u32>) -> Vec<String> {
    let Ok(range) = numbers(&progress.spec) else { return Vec::new() };
    let foreign = spaces.foreign(held);
    let taken = spaces.taken().map(|(number, by)| (number, by.map(|space| space.name.as_str())));
    let slots = spaces.iter().filter(|(number, _)| foreign.contains(number));
    let rooms = slots.map(|(number, space)| (number, Some(space.name.as_str())));
    let all: BTreeMap<u32, Option<&str>> = taken.chain(rooms).filter(|(number, _)| range.contains(number)).collect();
    all.into_iter()
        .map(|(number, by)| match by {
            Some(name) => format!("number {number} belongs to the space \"{name}\""),
            None => format!("of number {number} no space shows who has it; look at IVRs, users and access methods"),
        })
        .collect()
}

pub(super) fn scattered() -> String {
    "the free numbers of the range lie too scattered between those of others; choose another range".to_owned()
}

/// Why slots out of range are still there: a meeting holds some, or somebody else uses them, for whom nothing ends.
pub(super) fn draining(known: &Report<'_>) -> String {
    let all = known.draft.slots.iter().flat_map(|slots| &slots.entries);
    let (held, used): (Vec<_>, Vec<_>) =
        all.filter(|entry| entry.state == SlotState::Draining).partition(|entry| entry.meeting.is_some());
    if used.is_empty() || !held.is_empty() {
        return "slots outside the range are still held; they go when their meetings have ended".to_owned();
    }
    let numbers: Vec<String> = used.iter().take(10).map(|entry| entry.number.to_string()).collect();
    format!(
        "no meeting of this controller holds them, but somebody else opened or renamed slots outside the range, or they were \
         left open and are not known to be ours: {}; shut them or delete their spaces on the bridge, or take them back into \
         the range",
        numbers.join(", ")
    )
}

/// `taken`: what has numbers of the range. A conflict is told only as long as none of them explains it, unless that is every
/// number.
pub(super) fn sync_trouble(failure: &SyncFailure, known: &Report<'_>) -> (&'static str, String) {
    let quantity = known.progress.spec.slots.quantity.unwrap_or_default();
    let is_all = u32::try_from(known.taken.len()).is_ok_and(|taken| taken >= quantity);
    let unknown =
        "which one is being looked for; if no space has it, look at IVRs, users and access methods".to_owned();
    let who = format!(": {}", known.taken.first().filter(|_| is_all).unwrap_or(&unknown));
    match failure {
        SyncFailure::UriConflict => {
            (reason::URI_CONFLICT, format!("a slot number is already the URI of something else{who}"))
        }
        SyncFailure::CallIdConflict => {
            (reason::CALL_ID_CONFLICT, format!("a slot number is already the call id of something else{who}"))
        }
        SyncFailure::RangeInvalid => (reason::RANGE_INVALID, "the bridge rejects the range of slots".to_owned()),
        SyncFailure::RangeTooGreat => {
            (reason::RANGE_TOO_GREAT, "the bridge makes fewer spaces at once; lower slots.quantity".to_owned())
        }
        SyncFailure::ParameterSetMissing | SyncFailure::Unspecified | SyncFailure::Other(_) => {
            (reason::SYNC_FAILED, "the bridge could not make the spaces".to_owned())
        }
    }
}

/// Why the last sync failed, as long as the next one for the same spec has not ended: between tries nothing is better.
pub(super) fn failed_before(
    known: &Report<'_>,
    old: &MeetingBridgeStatus,
    generation: Option<i64>,
) -> Option<(&'static str, String)> {
    let running = known.progress.obstacle.is_none() && known.progress.problem.is_none() && !known.is_provisioned;
    let before = find(&old.conditions, types::SLOTS_PROVISIONED)
        .filter(|before| running && before.observed_generation == generation && before.status == "False")?;
    let failures = [
        reason::URI_CONFLICT,
        reason::CALL_ID_CONFLICT,
        reason::RANGE_INVALID,
        reason::RANGE_TOO_GREAT,
        reason::SYNC_FAILED,
    ];
    failures.into_iter().find(|reason| before.reason == *reason).map(|reason| (reason, before.message.to_string()))
}

/// Is every slot there, and if not, why?
pub(super) fn tell(known: &Report<'_>, tried: Option<&(&'static str, String)>, conditions: &mut Conditions<'_>) {
    let bad = match &known.progress.obstacle {
        Some(Obstacle::Sync(failure)) => Some(sync_trouble(failure, known)),
        Some(Obstacle::SyncHangs) => Some((reason::SYNC_FAILED, SYNC_HANGS.to_owned())),
        Some(Obstacle::Draining) => Some((reason::RESIZE_DEFERRED, draining(known))),
        Some(Obstacle::Scattered) => Some((reason::RANGE_SCATTERED, scattered())),
        Some(Obstacle::SlotsContested) => Some((reason::TUG_OF_WAR, SLOTS_CONTESTED.to_owned())),
        Some(Obstacle::DialNumbers(_)) => Some((reason::PENDING, "the dial numbers are not configured".to_owned())),
        _ if tried.is_some() => tried.cloned(),
        _ if known.has_pool && !known.is_provisioned => {
            Some((reason::PENDING, "slots are being made; those that are there can be booked".to_owned()))
        }
        _ if !known.is_provisioned => Some((reason::PENDING, "the slots are not made yet".to_owned())),
        _ => None,
    };
    let good = if known.taken.is_empty() {
        "every slot of the range is there"
    } else {
        "every number of the range that nobody else has is there as a slot (see ExclusiveControl)"
    };
    conditions.judge(types::SLOTS_PROVISIONED, ("Provisioned", good), bad);
}

#[cfg(test)]
mod tests;
