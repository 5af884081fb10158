//! What the bridge shows about itself, its profiles and its slots.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use super::Seen;
use super::calls::PlacedCall;
use super::slots::{ShownFields, SlotSpaces};
use crate::api::settings::ProfileKind;
use crate::cms::{AccessMethodId, Fields, SpaceId, SyncFailure, SyncStatus};

/// A sync that has not ended after so long may never do so.
const LONGEST_SYNC: SignedDuration = SignedDuration::from_mins(10);

/// A list of everything is believed for so long when one thing is looked for by sync after sync.
const LATELY: SignedDuration = SignedDuration::from_mins(1);

/// Beside the fields of a profile that we have just made: the bridge did not show them yet. No element of a reply has this
/// name, so a look does away with it.
const NOT_SHOWN: &str = "";

/// The fields of a profile that we have made, which no look has shown so far.
pub fn as_written(pairs: &[(String, String)]) -> Fields {
    let mark = (NOT_SHOWN.to_owned(), String::new());
    pairs.iter().cloned().chain([mark]).collect()
}

/// Are these the fields that a profile was made with, and no look has shown it since?
pub fn is_unread(fields: &Fields) -> bool {
    fields.contains_key(NOT_SHOWN)
}

/// What a sync has made that has run for too long is listed so often.
pub const OVERDUE_LISTED: SignedDuration = SignedDuration::from_mins(5);

/// What the bridge shows.
#[derive(Clone, Debug, Default)]
pub struct BridgeFacts {
    /// Software version from `system/status`.
    pub version: Seen<String>,
    /// The table of call bridges was read.
    pub members: Seen<()>,
    /// Fields of the recorded profiles; `Known(None)`: none that was lost was found.
    pub call_profile: Seen<Option<Fields>>,
    pub call_leg_profile: Seen<Option<Fields>>,
    /// The slots.
    pub slots: Seen<SlotSpaces>,
    /// Access methods of ours on slots that no meeting holds, with how many of anybody's the space showed then.
    pub methods: BTreeMap<SpaceId, (u32, Vec<AccessMethodId>)>,
    /// Calls on any call bridge, as far as they were looked at.
    pub calls: Seen<Vec<PlacedCall>>,
    /// State of the sync that is under way.
    pub sync: Seen<SyncStatus>,
    /// Sets that this process made, and of which no sync was ever sent: the first one has nothing to delete.
    pub unsynced: BTreeSet<String>,
    /// Sets of whose sync nothing was found, so that nobody knows whose the spaces are that are there.
    pub unexplained: BTreeSet<String>,
    /// Something was made or lost since the slots were listed: list them again, and keep what the list does not contradict.
    pub wants_list: bool,
    /// The numbers that the last sync made, and how often the spaces may still be listed again before what it left out
    /// counts as missing: a write may show late (cms-protocol.md section 14).
    pub awaited: Option<(RangeInclusive<u32>, u8)>,
    /// How many spaces the bridge counted in the last list of everything, and did not show.
    pub unshown: Option<u64>,
    /// When every space was last listed, as far as the bridge shows them.
    pub whole_at: Option<Timestamp>,
    /// A sync ended a moment after that: what it left has the names of slots, so a list by name completes what is known.
    pub is_name_enough: bool,
    /// So many lists of everything in a row were known to be incomplete.
    pub partial_lists: u8,
    /// Profiles that the bridge does not take in a bulk parameter set: its slots are told theirs one by one.
    pub untaken_profiles: BTreeSet<ProfileKind>,
    /// How the last sync failed.
    pub sync_failure: Option<SyncFailure>,
    /// Once a conflict came back that no list of spaces explains: so many numbers at most are made at once, so that it is
    /// found out which one it is.
    pub most_at_once: Option<u32>,
    /// Numbers that cannot be made although no list shows who has them, and whether it is time for another try.
    pub blocked: BTreeMap<u32, bool>,
    /// How often in a row a look did not find one of the two profiles that we had just made.
    pub profiles_vain: BTreeMap<ProfileKind, u32>,
    /// What this process last wrote of each of the two profiles: where the bridge does not show it, it is not written once
    /// more, but for a look at everything.
    pub written: BTreeMap<ProfileKind, BTreeSet<(String, String)>>,
    /// Slots that were told their profiles in this process, so that a bridge that does not show them is told once only.
    pub attached: BTreeSet<SpaceId>,
    /// Ids of profiles for settings that this process made or has seen. One that only the status knows may be gone: its removal
    /// was begun, and the process died.
    pub settings_seen: BTreeSet<String>,
    /// Ids of those that somebody has changed.
    pub settings_changed: BTreeSet<String>,
    /// Ids of those that were written in this process and do not show what protects: they are not written again for that.
    pub settings_dropped: BTreeSet<String>,
    /// Profiles for settings that the bridge would not make, change or remove, by kind and name, and until when it is not
    /// asked again.
    pub settings_held: BTreeMap<(ProfileKind, String), Timestamp>,
    /// How often in a row it would not.
    pub settings_vain: BTreeMap<(ProfileKind, String), u32>,
    /// Which fields, in small letters, looks showed of each profile since we wrote it last, by its id in small letters. Not every bridge shows
    /// every field; one that it did show and does not any more was taken away.
    shown_fields: BTreeMap<String, BTreeSet<String>>,
    /// The sync that was last seen to run, and since when it is known to.
    pub sync_begun: Option<(String, Timestamp)>,
    /// When it was last listed what a sync has made that has run for too long.
    pub overdue_listed: Option<Timestamp>,
    /// Sets that were known to have made their spaces when this process began to remove them by a sync, with the spaces that
    /// there were: what has such a number afterwards may be somebody else's.
    pub removing: BTreeMap<String, BTreeSet<SpaceId>>,
    /// The profiles are to be read again.
    pub wants_profiles: bool,
    /// Free slots are looked at one by one: a list does not show whether one is open.
    pub wants_looks: bool,
    /// A full look was asked for: profiles and free slots are looked at one by one, whatever a list shows.
    pub full_recheck: bool,
}

impl BridgeFacts {
    /// What is stored on the bridge may be another than it was (a rollback to a backup): it is listed and read again, and
    /// each slot is looked at, because a list does not show whether one is open.
    pub fn read_anew(&mut self) {
        (self.call_profile, self.call_leg_profile) = (Seen::Unknown, Seen::Unknown);
        (self.wants_profiles, self.wants_list, self.wants_looks) = (true, true, true);
        (self.whole_at, self.is_name_enough) = (None, false);
        self.settings_seen.clear();
        self.settings_dropped.clear();
        self.shown_fields.clear();
        self.written.clear();
        self.methods.clear();
        if let Seen::Known(slots) = &mut self.slots {
            // Another version may show other fields.
            slots.shown_fields = ShownFields::default();
            slots.complete = false;
            slots.forget_looks();
        }
    }

    /// May this number still come up as a space, without anything being done?
    pub fn awaits(&self, number: u32) -> bool {
        self.awaited.as_ref().is_some_and(|(range, relists)| *relists > 0 && range.contains(&number))
    }

    /// One of the two profiles that every slot uses, as it was last seen.
    pub fn profile(&self, kind: ProfileKind) -> &Seen<Option<Fields>> {
        match kind {
            ProfileKind::Call => &self.call_profile,
            ProfileKind::CallLeg => &self.call_leg_profile,
        }
    }

    pub fn profile_mut(&mut self, kind: ProfileKind) -> &mut Seen<Option<Fields>> {
        match kind {
            ProfileKind::Call => &mut self.call_profile,
            ProfileKind::CallLeg => &mut self.call_leg_profile,
        }
    }

    /// Was every space listed a moment ago?
    pub fn is_lately_whole(&self, now: Timestamp) -> bool {
        self.whole_at.is_some_and(|at| now.duration_since(at).abs() < LATELY)
    }

    /// A look showed these fields of a profile.
    pub fn note_shown(&mut self, id: &str, have: &Fields) {
        if is_unread(have) {
            return;
        }
        let shown = self.shown_fields.entry(id.to_ascii_lowercase()).or_default();
        shown.extend(have.keys().map(|name| name.to_ascii_lowercase()));
    }

    /// A profile was written: which of its fields the bridge shows the next look tells.
    pub fn forget_shown(&mut self, id: &str) {
        self.shown_fields.remove(&id.to_ascii_lowercase());
    }

    /// Was one of these fields shown before, and is it not any more?
    pub fn lacks_shown(&self, id: &str, want: &[(String, String)], have: &Fields) -> bool {
        let Some(shown) = self.shown_fields.get(&id.to_ascii_lowercase()) else { return false };
        let is_gone = |name: &String| {
            shown.contains(&name.to_ascii_lowercase()) && !have.keys().any(|key| key.eq_ignore_ascii_case(name))
        };
        want.iter().any(|(name, _)| is_gone(name))
    }

    /// Has the sync under way lasted longer than any should?
    pub fn is_sync_overdue(&self, now: Timestamp) -> bool {
        self.sync_begun.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= LONGEST_SYNC)
    }

    /// Nothing is known, and nothing is believed without a look at the single object.
    pub fn to_recheck() -> Self {
        Self { full_recheck: true, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
