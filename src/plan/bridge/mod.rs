//! What to do next for one bridge: recognise it, make its profiles and slots, keep free slots shut. PURE.

mod profiles;
mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::api::MeetingBridgeSpec;
use crate::api::bridge::{ParameterSet, ProfileIds};
use crate::cms::{CallAt, Fields, SpaceId, SyncFailure, SyncStatus};
use crate::facts::slots::{self, Pool};
use crate::plan::meeting::{PlacedCall, Seen};
use crate::plan::version;
pub use profiles::profile_matches;

/// Further lists after a complete sync; with the pauses between them about 20 seconds.
const SETTLING: u8 = 5;

/// What the status remembers of our own doing: written before and after each creation, so that nothing is made twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// None: never begun. Without ids: begun, the outcome is unknown, so look before making another.
    pub profiles: Option<ProfileIds>,
    pub sets: Vec<ParameterSet>,
}

/// What the bridge shows.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Software version from `system/status`.
    pub version: Seen<String>,
    /// The table of call bridges was read.
    pub cluster: Seen<()>,
    /// Fields of the recorded profiles; `Known(None)`: the bridge does not have it.
    pub call_profile: Seen<Option<Fields>>,
    pub call_leg_profile: Seen<Option<Fields>>,
    /// The slots.
    pub pool: Seen<Pool>,
    /// Calls on any call bridge, as far as they were looked at.
    pub calls: Seen<Vec<PlacedCall>>,
    /// State of the sync that is under way.
    pub sync: Seen<SyncStatus>,
    /// How often the spaces may still be listed again before what a complete sync left out counts as missing: a write
    /// may show late (cms-api.md section 14).
    pub settling: u8,
    /// How the last sync failed, with the offender's name if it was found.
    pub sync_failure: Option<(SyncFailure, Option<String>)>,
    /// Slots that were told their profiles in this process, so that a bridge that does not show them is told once only.
    pub attached: BTreeSet<SpaceId>,
    /// A full look was asked for: profiles and free slots are looked at one by one, whatever a list shows.
    pub thorough: bool,
}

/// What the bridge is to be.
pub struct Bridge<'a> {
    pub spec: &'a MeetingBridgeSpec,
    pub record: &'a Record,
    /// Slots that live meetings hold, with their space if it is recorded.
    pub held: &'a BTreeMap<u32, Option<SpaceId>>,
    /// The object is being deleted.
    pub deleting: bool,
    /// The older object that owns this cluster (`plan/cluster.rs`): nothing is written then.
    pub owner: Option<&'a str>,
    /// In this process the intent was recorded and no creation was tried since: no look for a lost one is needed.
    pub profiles_untried: bool,
    /// The same for bulk parameter sets and their syncs.
    pub sets_untried: bool,
}

/// What must be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    System,
    Cluster,
    /// A call profile with exactly our content that nothing refers to: made by us, reply lost.
    LostCallProfile,
    LostCallLegProfile,
    /// A profile of ours.
    CallProfile(String),
    CallLegProfile(String),
    /// A bulk parameter set with exactly our range.
    LostSet(RangeInclusive<u32>),
    /// A sync of this set that was begun, its reply lost.
    LostSync(String),
    /// Spaces with a placeholder name.
    Slots,
    /// Every space.
    AllSpaces,
    /// One space.
    Space(SpaceId),
    /// The sync under way.
    Sync(String),
    /// Which space is in the way of these numbers?
    Offender,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateCallProfile(Vec<(String, String)>),
    CreateCallLegProfile(Vec<(String, String)>),
    UpdateCallProfile(String, Vec<(String, String)>),
    UpdateCallLegProfile(String, Vec<(String, String)>),
    CreateSet(RangeInclusive<u32>),
    StartSync {
        set: String,
    },
    /// Tell the space of a slot which profiles it has.
    AttachProfiles {
        number: u32,
        space: SpaceId,
    },
    ShutSlot {
        number: u32,
        space: SpaceId,
    },
    DeleteCall(CallAt),
    DeleteSpace {
        number: u32,
        space: SpaceId,
    },
    StartRemoval {
        set: String,
    },
    DeleteSet(String),
    DeleteCallProfile(String),
    DeleteCallLegProfile(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateCallProfile(_) => f.write_str("create the call profile"),
            Self::CreateCallLegProfile(_) => f.write_str("create the call leg profile"),
            Self::UpdateCallProfile(..) => f.write_str("repair the call profile"),
            Self::UpdateCallLegProfile(..) => f.write_str("repair the call leg profile"),
            Self::CreateSet(range) => write!(f, "create a bulk parameter set for {}..{}", range.start(), range.end()),
            Self::StartSync { .. } => f.write_str("start the bulk sync that makes its spaces"),
            Self::AttachProfiles { number, .. } => write!(f, "attach the profiles to slot {number}"),
            Self::ShutSlot { number, .. } => write!(f, "shut slot {number}"),
            Self::DeleteCall(_) => f.write_str("delete a call on a free slot"),
            Self::DeleteSpace { number, .. } => write!(f, "remove the space of slot {number}, which is out of range"),
            Self::StartRemoval { .. } => f.write_str("start the bulk sync that removes the spaces of a set"),
            Self::DeleteSet(_) => f.write_str("delete a bulk parameter set"),
            Self::DeleteCallProfile(_) => f.write_str("delete the call profile"),
            Self::DeleteCallLegProfile(_) => f.write_str("delete the call leg profile"),
        }
    }
}

/// What goes into the status before the next write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Profiles,
    Set(RangeInclusive<u32>),
}

/// Why nothing can be done although something should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    VersionTooOld,
    /// An older object owns this cluster: `namespace/name`.
    ClusterOwned(String),
    DialNumbers(Vec<&'static str>),
    Sync(SyncFailure),
    /// These slots are out of range but held.
    Draining,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Look(Look),
    Record(Intent),
    Do(Step),
    /// A sync is under way: ask again later.
    AwaitSync,
    Blocked(Obstacle),
    Settled,
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

impl Bridge<'_> {
    pub(super) fn held_numbers(&self) -> BTreeSet<u32> {
        self.held.keys().copied().collect()
    }

    pub(super) fn made_by_us(&self, number: u32) -> bool {
        // A sync that was never seen to succeed may have run into spaces that were there before.
        self.record.sets.iter().any(|set| set.synced && (set.start_index..=set.end_index).contains(&number))
    }

    /// Has this number a space, as far as is known? A busy slot carries its meeting's title, so a list by name does not
    /// show it.
    fn has_space(&self, pool: &Pool, number: u32) -> bool {
        let recorded = self.held.get(&number).and_then(Option::as_ref);
        pool.space(number).is_some() || recorded.is_some_and(|space| !pool.complete && !pool.is_gone(space))
    }
}

/// The next thing to do for this bridge.
pub fn next(bridge: &Bridge<'_>, world: &World) -> Next {
    if bridge.deleting {
        return removal::next(bridge, world);
    }
    let Seen::Known(version) = &world.version else { return Next::Look(Look::System) };
    if version::is_too_old(version) {
        return Next::Blocked(Obstacle::VersionTooOld);
    }
    if matches!(world.cluster, Seen::Unknown) {
        return Next::Look(Look::Cluster);
    }
    if let Some(owner) = bridge.owner {
        return Next::Blocked(Obstacle::ClusterOwned(owner.to_owned()));
    }
    if let Some(next) = profiles::next(bridge, world, version) {
        return next;
    }
    let range = match numbers(bridge.spec) {
        Ok(range) => range,
        Err(missing) => return Next::Blocked(Obstacle::DialNumbers(missing)),
    };
    let Seen::Known(pool) = &world.pool else { return Next::Look(Look::Slots) };
    if let Some(next) = provisioning(bridge, world, pool, &range) {
        return next;
    }
    if let Some(next) = keep_shut(bridge, world, pool) {
        return next;
    }
    if let Some(next) = profiles::attach(bridge, world, pool) {
        return next;
    }
    shrinking(bridge, pool, &range).unwrap_or(Next::Settled)
}

/// Makes what is missing, by a further set: a set is never synced twice, because a sync deletes and makes anew every
/// space of its set (cms-api.md section 6.5).
fn provisioning(bridge: &Bridge<'_>, world: &World, pool: &Pool, range: &RangeInclusive<u32>) -> Option<Next> {
    // A set of which anything is there is not synced any more, even if the reply to its sync was lost: that would delete
    // what is there and make it anew.
    let is_fresh = |set: &ParameterSet| {
        set.sync_id.is_some() || !(set.start_index..=set.end_index).any(|number| bridge.has_space(pool, number))
    };
    if let Some(set) = bridge.record.sets.iter().find(|set| !set.synced && is_fresh(set)) {
        let wanted = set.start_index..=set.end_index;
        if let Some(id) = &set.id
            && world.sync_failure.is_some()
            && !(range.contains(wanted.start()) && range.contains(wanted.end()))
        {
            // It failed, and the spec has moved away from it since.
            return Some(Next::Do(Step::DeleteSet(id.clone())));
        }
        return Some(match (&set.id, &set.sync_id, &world.sync) {
            (None, ..) if bridge.sets_untried => Next::Do(Step::CreateSet(wanted)),
            (None, ..) => Next::Look(Look::LostSet(wanted)),
            (Some(_), _, _) if world.sync_failure.is_some() => failure(world),
            // Not the first try: what is in the way, or in use under another name, must be known.
            (Some(_), None, _) if !bridge.sets_untried && !pool.complete => Next::Look(Look::AllSpaces),
            (Some(id), None, _) if bridge.sets_untried => Next::Do(Step::StartSync { set: id.clone() }),
            (Some(id), None, _) => Next::Look(Look::LostSync(id.clone())),
            (Some(_), Some(sync), Seen::Unknown) => Next::Look(Look::Sync(sync.clone())),
            (Some(_), Some(_), Seen::Known(_)) => Next::AwaitSync,
        });
    }
    if world.sync_failure.is_some() {
        return Some(failure(world));
    }
    let missing: Vec<u32> = range.clone().filter(|number| !bridge.has_space(pool, *number)).collect();
    if !missing.is_empty() {
        if world.settling > 0 && missing.iter().any(|number| bridge.made_by_us(*number)) {
            return Some(Next::AwaitSync);
        }
        let fresh = pool.is_empty_in(range) && bridge.held.is_empty() && bridge.record.sets.is_empty();
        if !fresh && !pool.complete {
            return Some(Next::Look(Look::AllSpaces));
        }
        return slots::ranges(&missing).into_iter().next().map(|range| Next::Record(Intent::Set(range)));
    }
    None
}

fn failure(world: &World) -> Next {
    match &world.sync_failure {
        Some((SyncFailure::UriConflict | SyncFailure::CallIdConflict, None)) => Next::Look(Look::Offender),
        Some((failure, _)) => Next::Blocked(Obstacle::Sync(failure.clone())),
        None => Next::AwaitSync,
    }
}

/// A slot that no live meeting holds is shut and has no call (R51, R78).
pub(super) fn keep_shut(bridge: &Bridge<'_>, world: &World, pool: &Pool) -> Option<Next> {
    let held = bridge.held_numbers();
    let unseen = || world.thorough.then(|| pool.unseen(&held)).flatten();
    if let Some((_, space)) = pool.doubtful(&held).or_else(unseen) {
        return Some(Next::Look(Look::Space(space.id.clone())));
    }
    if let Some((number, space)) = pool.left_open(&held) {
        return Some(Next::Do(Step::ShutSlot { number, space: space.id.clone() }));
    }
    let foreign = pool.foreign(&held);
    let calls = world.calls.known()?;
    calls
        .iter()
        .find(|placed| {
            let space = placed.call.space.as_ref();
            space
                .and_then(|space| pool.number(space))
                .is_some_and(|number| !held.contains(&number) && !foreign.contains(&number))
        })
        .map(|placed| Next::Do(Step::DeleteCall(placed.at())))
}

fn shrinking(bridge: &Bridge<'_>, pool: &Pool, range: &RangeInclusive<u32>) -> Option<Next> {
    // What an earlier range left behind may carry a title, so only a list of everything shows it.
    let unlisted = |number: u32| !range.contains(&number) && !bridge.has_space(pool, number);
    let sets = &bridge.record.sets;
    if !pool.complete && sets.iter().any(|set| (set.start_index..=set.end_index).any(unlisted)) {
        return Some(Next::Look(Look::AllSpaces));
    }
    let held = bridge.held_numbers();
    let foreign = pool.foreign(&held);
    let surplus = pool.iter().filter(|(number, _)| !range.contains(number) && bridge.made_by_us(*number));
    let mut draining = false;
    for (number, space) in surplus {
        if held.contains(&number) || foreign.contains(&number) {
            draining = true;
            continue;
        }
        return Some(Next::Do(Step::DeleteSpace { number, space: space.id.clone() }));
    }
    draining.then_some(Next::Blocked(Obstacle::Draining))
}

/// Works a look at the running sync into record and world.
pub fn apply_sync(record: &mut Record, world: &mut World, status: SyncStatus, deleting: bool) {
    let Some(set) = record.sets.iter_mut().find(|set| set.sync_id.is_some()) else { return };
    let removal = deleting && set.synced;
    if !removal {
        match &status {
            SyncStatus::Complete => {
                set.synced = true;
                set.sync_id = None;
                world.pool = Seen::Unknown;
                world.settling = SETTLING;
                world.sync_failure = None;
            }
            SyncStatus::Failed(failure) => world.sync_failure = Some((failure.clone(), None)),
            SyncStatus::Pending | SyncStatus::Running | SyncStatus::Other(_) => {}
        }
    }
    world.sync = Seen::Known(status);
}

/// Everything is as it should be: what is missing later is missing, and what a list shows is believed.
pub fn settled(world: &mut World) {
    world.thorough = false;
    world.settling = 0;
}

/// A failed sync is tried again: forget its outcome, keep its set.
pub fn retry_sync(record: &mut Record, world: &mut World) {
    world.sync_failure = None;
    world.sync = Seen::Unknown;
    // A failed sync may have made some of its spaces; those must be known before the next one.
    world.pool = Seen::Unknown;
    for set in record.sets.iter_mut().filter(|set| !set.synced) {
        set.sync_id = None;
    }
}

/// Works a successful write into record and world. `created` is the id of a new object.
pub fn apply(record: &mut Record, world: &mut World, step: &Step, created: Option<String>) {
    match step {
        Step::CreateCallProfile(pairs) => {
            record.profiles.get_or_insert_default().call = created;
            look_at_slots(record, world);
            world.call_profile = Seen::Known(Some(pairs.iter().cloned().collect()));
        }
        Step::CreateCallLegProfile(pairs) => {
            record.profiles.get_or_insert_default().call_leg = created;
            look_at_slots(record, world);
            world.call_leg_profile = Seen::Known(Some(pairs.iter().cloned().collect()));
        }
        Step::UpdateCallProfile(_, pairs) => world.call_profile = Seen::Known(Some(pairs.iter().cloned().collect())),
        Step::UpdateCallLegProfile(_, pairs) => {
            world.call_leg_profile = Seen::Known(Some(pairs.iter().cloned().collect()));
        }
        Step::CreateSet(range) => {
            if let Some(set) = record.sets.iter_mut().find(|set| set.start_index == *range.start() && set.id.is_none())
            {
                set.id = created;
            }
        }
        Step::StartSync { set } | Step::StartRemoval { set } => {
            let removal = matches!(step, Step::StartRemoval { .. });
            if let Some(known) = record.sets.iter_mut().find(|known| known.id.as_ref() == Some(set)) {
                known.sync_id = created;
                known.synced = removal;
            }
            world.sync = Seen::Unknown;
        }
        Step::AttachProfiles { space, .. } => {
            world.attached.insert(space.clone());
        }
        Step::ShutSlot { number, .. } => {
            if let Seen::Known(pool) = &mut world.pool {
                pool.set_shut(*number);
            }
        }
        Step::DeleteCall(gone) => {
            if let Seen::Known(calls) = &mut world.calls {
                calls.retain(|placed| placed.at() != *gone);
            }
        }
        Step::DeleteSpace { number, .. } => {
            if let Seen::Known(pool) = &mut world.pool {
                pool.remove(*number);
            }
        }
        Step::DeleteSet(id) => {
            record.sets.retain(|set| set.id.as_ref() != Some(id));
            world.sync = Seen::Unknown;
            world.sync_failure = None;
        }
        Step::DeleteCallProfile(_) => record.profiles.get_or_insert_default().call = None,
        Step::DeleteCallLegProfile(_) => record.profiles.get_or_insert_default().call_leg = None,
    }
}

/// A profile was made anew: slots that are there may refer to the one before, and only single looks tell.
fn look_at_slots(record: &Record, world: &mut World) {
    world.attached.clear();
    world.thorough |= record.sets.iter().any(|set| set.synced);
}

/// Writes down an intent, before the creation it is for.
pub fn record_intent(record: &mut Record, intent: &Intent) {
    match intent {
        Intent::Profiles => record.profiles = Some(ProfileIds::default()),
        Intent::Set(range) => record.sets.push(ParameterSet {
            start_index: *range.start(),
            end_index: *range.end(),
            id: None,
            sync_id: None,
            synced: false,
        }),
    }
}

#[cfg(test)]
mod tests;
