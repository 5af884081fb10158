//! What the status remembers of our own doing on a bridge, and how steps change it. PURE.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::step::{Intent, Step};
use crate::api::bridge::{ParameterSet, ProfileIds};
use crate::api::settings::SettingsProfile;
use crate::cms::{ProfileId, ProfileKind, SyncFailure};
use crate::facts::Seen;
use crate::facts::bridge::{BridgeFacts, as_written};
use crate::plan::settings::is_to_be_proven;

/// What the status remembers of our own doing: written before and after each creation, so that nothing is made twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// None: never begun. Without ids: begun, the outcome is unknown, so look before making another.
    pub profiles: Option<ProfileIds>,
    pub sets: Vec<ParameterSet>,
    /// Profiles for settings of meetings.
    pub settings: Vec<SettingsProfile>,
}

impl Record {
    pub(super) fn made(&self, number: u32) -> bool {
        self.made_ranges().any(|range| range.contains(&number))
    }

    /// Numbers whose spaces are of our making. A sync that was never seen to succeed may have run into spaces that were
    /// there before.
    pub(super) fn made_ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> {
        self.sets.iter().filter(|set| set.synced).map(|set| set.start_index..=set.end_index)
    }

    /// Ids of all profiles of ours.
    pub fn profile_ids(&self) -> BTreeSet<ProfileId> {
        let own = self.profiles.iter().flat_map(|ids| [ids.call.clone(), ids.call_leg.clone()]).flatten();
        own.chain(self.settings.iter().filter_map(|profile| profile.id.clone())).map(Into::into).collect()
    }

    /// Were both profiles made, which comes before the slots?
    pub(super) fn has_profiles(&self) -> bool {
        self.profiles.as_ref().is_some_and(|ids| ids.call.is_some() && ids.call_leg.is_some())
    }

    /// Is anything of ours on the bridge, as far as the status tells?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A failed sync is tried again: forget its outcome, keep its set.
    pub(super) fn retry_sync(&mut self, facts: &mut BridgeFacts) {
        let is_conflict = |failure| matches!(failure, SyncFailure::UriConflict | SyncFailure::CallIdConflict);
        if facts.sync_failure.take().is_some_and(is_conflict) {
            facts.most_at_once.get_or_insert(u32::MAX);
        }
        facts.sync = Seen::Unknown;
        // A failed sync may have made some of its spaces; those must be known before the next one.
        facts.wants_list = true;
        if let Seen::Known(slots) = &mut facts.slots {
            slots.complete = false;
        }
        for set in self.sets.iter_mut().filter(|set| !set.synced) {
            set.sync_id = None;
        }
    }

    /// Writes down an intent, before the creation it is for.
    pub(super) fn intend(&mut self, intent: &Intent) {
        match intent {
            Intent::Profiles => self.profiles = Some(ProfileIds::default()),
            Intent::Set(range) => self.sets.push(ParameterSet {
                start_index: *range.start(),
                end_index: *range.end(),
                id: None,
                sync_id: None,
                synced: false,
                merged: false,
            }),
            Intent::Settings(profile) => self.settings.push(profile.clone()),
            Intent::NoSettings(profile) => self.forget_settings(profile),
        }
    }

    fn forget_settings(&mut self, gone: &SettingsProfile) {
        self.settings.retain(|known| (known.kind, &known.name) != (gone.kind, &gone.name));
    }

    /// The profile that we know is gone. Another may have been made, and the process died before it was noted.
    pub(super) fn lose_profile(&mut self, facts: &mut BridgeFacts, kind: ProfileKind) {
        *self.profiles.get_or_insert_default().of_mut(kind) = None;
        *facts.profile_mut(kind) = Seen::Unknown;
    }

    /// Works a successful write into record and facts. `created` is the id of a new object.
    pub(super) fn apply(&mut self, facts: &mut BridgeFacts, step: &Step, created: Option<String>) {
        match step {
            // What the bridge shows of one that was made a look will tell; what it was made with is compared with the spec
            // until then.
            Step::CreateProfile(kind, pairs) => {
                *self.profiles.get_or_insert_default().of_mut(*kind) = created;
                self.recheck_slots(facts);
                *facts.profile_mut(*kind) = Seen::Known(Some(as_written(pairs)));
            }
            Step::UpdateProfile(kind, _, pairs) => {
                *facts.profile_mut(*kind) = Seen::Known(Some(pairs.iter().cloned().collect()));
            }
            Step::DeleteProfile(kind, _) => *self.profiles.get_or_insert_default().of_mut(*kind) = None,
            Step::CreateSet(_)
            | Step::StartSync { .. }
            | Step::StartRemoval { .. }
            | Step::DeleteSet(_)
            | Step::MergeSet { .. } => self.apply_to_sets(facts, step, created),
            Step::AttachProfiles { .. }
            | Step::ShutSlot { .. }
            | Step::DeleteCall(_)
            | Step::DeleteAccessMethod { .. }
            | Step::DeleteSpace { .. } => self.apply_to_slots(facts, step),
            Step::CreateSettingsProfile(profile) => {
                let is_to_be_proven = is_to_be_proven(profile);
                if let Some(known) = self.settings_profile(profile) {
                    facts.settings_seen.extend(created.clone().filter(|_| !is_to_be_proven));
                    (known.id, known.refused, known.unread) = (created, None, is_to_be_proven);
                }
            }
            Step::UpdateSettingsProfile(profile) => {
                let is_to_be_proven = is_to_be_proven(profile);
                facts.settings_seen.retain(|id| !is_to_be_proven || profile.id.as_ref() != Some(id));
                if let Some(known) = self.settings_profile(profile) {
                    (known.refused, known.unread) = (None, is_to_be_proven);
                }
            }
            Step::DeleteSettingsProfile(profile) => self.forget_settings(profile),
        }
    }

    fn settings_profile(&mut self, profile: &SettingsProfile) -> Option<&mut SettingsProfile> {
        self.settings.iter_mut().find(|known| (known.kind, &known.name) == (profile.kind, &profile.name))
    }

    /// The same for parameter sets and their syncs.
    fn apply_to_sets(&mut self, facts: &mut BridgeFacts, step: &Step, created: Option<String>) {
        match step {
            Step::CreateSet(range) => {
                let is_it = |set: &&mut ParameterSet| set.id.is_none() && (set.start_index..=set.end_index) == *range;
                if let Some(set) = self.sets.iter_mut().find(is_it) {
                    facts.unsynced.extend(created.clone());
                    set.id = created;
                }
                // Only a look tells which of its slots are to be told the profiles that it did not take.
                facts.wants_looks |= !facts.untaken_profiles.is_empty();
            }
            Step::StartSync { set } | Step::StartRemoval { set } => {
                let is_removal = matches!(step, Step::StartRemoval { .. });
                if let Some(known) = self.sets.iter_mut().find(|known| known.id.as_ref() == Some(set)) {
                    if is_removal && known.synced {
                        let numbers = known.start_index..=known.end_index;
                        let there = facts.slots.known().map(|slots| slots.spaces_in(&numbers)).unwrap_or_default();
                        facts.removing.insert(set.clone(), there);
                    }
                    (known.sync_id, known.synced) = (created, is_removal);
                }
                (facts.sync, facts.sync_begun) = (Seen::Unknown, None);
            }
            Step::DeleteSet(id) => {
                if let Some(set) = self.sets.iter().find(|set| set.id.as_ref() == Some(id)) {
                    learn_conflict(facts, &(set.start_index..=set.end_index));
                }
                self.sets.retain(|set| set.id.as_ref() != Some(id));
                facts.unsynced.remove(id);
                facts.unexplained.remove(id);
                facts.removing.remove(id);
                facts.sync = Seen::Unknown;
                facts.sync_failure = None;
            }
            Step::MergeSet { set, into } => {
                let merged = self.sets.iter().find(|known| known.id.as_ref() == Some(set)).map(|set| set.end_index);
                if let Some(into) = self.sets.iter_mut().find(|known| known.id.as_ref() == Some(into)) {
                    into.end_index = into.end_index.max(merged.unwrap_or_default());
                    into.merged = true;
                }
                self.sets.retain(|known| known.id.as_ref() != Some(set));
            }
            _ => {}
        }
    }

    /// The same for slots, their access methods and calls.
    fn apply_to_slots(&self, facts: &mut BridgeFacts, step: &Step) {
        if let (Step::DeleteCall(gone), Seen::Known(calls)) = (step, &mut facts.calls) {
            calls.retain(|placed| placed.at() != *gone);
        }
        let Seen::Known(slots) = &mut facts.slots else { return };
        match step {
            Step::AttachProfiles { number, space } => {
                facts.attached.insert(space.clone());
                slots.set_profiles(*number, self.profiles.as_ref());
            }
            Step::ShutSlot { number, .. } => slots.set_shut(*number),
            Step::DeleteAccessMethod { space, method, number } => {
                let left = facts.methods.get_mut(space).map(|(_, ours)| {
                    ours.retain(|known| known != method);
                    ours.len()
                });
                if left == Some(0) {
                    // How many there are now a look tells; another meeting may leave as many as there were before.
                    facts.methods.remove(space);
                    slots.doubt(*number);
                }
            }
            Step::DeleteSpace { number, .. } => slots.remove(*number),
            _ => {}
        }
    }

    /// A profile was made anew: slots that are there may refer to the one before, and only single looks tell.
    fn recheck_slots(&self, facts: &mut BridgeFacts) {
        facts.attached.clear();
        facts.full_recheck |= self.sets.iter().any(|set| set.synced);
    }
}

/// The set that is given up met a conflict. If no space explains it, it is known of one number, or to be found out among
/// half as many.
fn learn_conflict(facts: &mut BridgeFacts, range: &RangeInclusive<u32>) {
    let is_conflict = matches!(facts.sync_failure, Some(SyncFailure::UriConflict | SyncFailure::CallIdConflict));
    let Seen::Known(slots) = &mut facts.slots else { return };
    if !is_conflict || !slots.is_free_of_spaces(range) {
        facts.blocked.retain(|number, _| !range.contains(number) || slots.has_only_blocked(*number));
        return;
    }
    let count = range.end().saturating_sub(*range.start()).saturating_add(1);
    if count == 1 {
        facts.blocked.insert(*range.start(), false);
        slots.block(*range.start());
    } else {
        facts.most_at_once = Some(count / 2);
    }
}
