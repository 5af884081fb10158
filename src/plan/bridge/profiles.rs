//! The two profiles that every slot uses: made, verified, repaired, and attached to the slots (R45, R46). PURE.

use std::collections::BTreeSet;

use super::upkeep::{Claim, claim};
use super::{Around, BridgeProgress, Intent, Look, Next, Step};
use crate::api::settings::ProfileKind;
use crate::cms::{Fields, Space};
use crate::facts::Seen;
use crate::facts::bridge::{BridgeFacts, is_unread};
use crate::facts::slots::SlotSpaces;
use crate::plan::settings::{protects, unproven};
use crate::plan::verdict::Pause;

/// One that was made, and that so many looks in a row do not find, is made again.
const LOOKS_IN_VAIN: u32 = 6;

/// How it stands with what keeps people out by the two profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It is not there yet, or was written and not read back.
    Unread,
    /// A look shows these fields otherwise than they are wanted, or not at all. In words.
    Lacking(String),
    /// A look showed it as it is wanted, or nothing of the kind is wanted.
    Shown,
}

/// What a pass does with the two profiles.
#[derive(Clone, Debug, Default)]
pub struct OwnProfiles {
    /// The intent was recorded and no creation was tried since: no lost one need be looked for.
    pub untried: bool,
    /// These were put right.
    pub(super) written: BTreeSet<ProfileKind>,
    /// A look did not find these, which were just made.
    pub(super) unfound: BTreeSet<ProfileKind>,
    /// What the bridge shows of what keeps people out by them. None: nothing new is known.
    pub protection: Option<Protection>,
}

/// Which fields that keep people out a look does not show as they are wanted, in words.
fn lacks(want: &[(String, String)], have: &Fields) -> Option<String> {
    let want = want.iter().cloned().collect();
    let missing = unproven(&want, have);
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// What the bridge shows of what keeps people out. None: nobody has looked in this process, and nothing was written.
fn protection(bridge: &BridgeProgress, facts: &BridgeFacts) -> Option<Protection> {
    let version = facts.version.known()?;
    let (mut lacking, mut has_unread, mut has_unknown) = (Vec::new(), false, false);
    for kind in ProfileKind::ALL {
        let want = bridge.spec.profiles.pairs(kind, version);
        if !protects(&want) {
            continue;
        }
        let is_made = bridge.record.profiles.as_ref().is_some_and(|ids| ids.of(kind).is_some());
        match (is_made, facts.profile(kind)) {
            (true, Seen::Known(Some(have))) if !is_unread(have) => {
                lacking.extend(lacks(&want, have).map(|fields| format!("{fields} of the {kind}")));
            }
            // What is to be read anew is believed no more.
            (true, Seen::Unknown) if !bridge.own.written.contains(&kind) && !facts.wants_profiles => has_unknown = true,
            _ => has_unread = true,
        }
    }
    match (lacking.is_empty(), has_unread, has_unknown) {
        (false, ..) => Some(Protection::Lacking(lacking.join("; "))),
        (true, true, _) => Some(Protection::Unread),
        (true, false, true) => None,
        (true, false, false) => Some(Protection::Shown),
    }
}

impl BridgeProgress {
    /// Notes what is known now.
    pub(super) fn note_protection(&mut self, facts: &BridgeFacts) {
        self.own.protection = protection(self, facts);
    }

    /// One of the two profiles was put right, with these fields.
    pub(super) fn profile_put_right(&mut self, facts: &mut BridgeFacts, kind: ProfileKind, want: &[(String, String)]) {
        self.own.written.insert(kind);
        facts.written.insert(kind, want.iter().cloned().collect());
    }

    /// One of the two was made, with these fields. What keeps people out is written once more if a look does not show it.
    pub(super) fn profile_made(facts: &mut BridgeFacts, kind: ProfileKind, want: &[(String, String)]) {
        let rest = want.iter().filter(|pair| !protects(std::slice::from_ref(pair)));
        facts.written.insert(kind, rest.cloned().collect());
    }

    /// Is something to be there that a look does not show, and that this process has not written? What keeps people out is
    /// never believed unseen; the rest is not where the spec was edited, or who saw the edit may not have done what it says.
    fn is_unwritten(&self, facts: &BridgeFacts, kind: ProfileKind, want: &[(String, String)], have: &Fields) -> bool {
        let is_edited = self.is_unjudged || !self.was_ready;
        let is_hidden = |name: &str| !have.keys().any(|key| key.eq_ignore_ascii_case(name));
        let fields = want.iter().cloned().collect();
        let unproven = unproven(&fields, have);
        let mut missing =
            want.iter().filter(|(name, _)| unproven.contains(&name.as_str()) || (is_edited && is_hidden(name)));
        missing.any(|pair| !facts.written.get(&kind).is_some_and(|written| written.contains(pair)))
    }

    /// One of the two profiles was looked at, and is not there. What was made a moment ago may show late.
    pub(super) fn profile_not_found(&mut self, facts: &mut BridgeFacts, kind: ProfileKind) {
        if facts.profile(kind).known().and_then(Option::as_ref).is_some_and(is_unread) {
            let vain = facts.profiles_vain.entry(kind).or_default();
            *vain = vain.saturating_add(1);
            if *vain < LOOKS_IN_VAIN {
                self.own.unfound.insert(kind);
                self.pause.get_or_insert(Pause::Blocked);
                return;
            }
        }
        facts.profiles_vain.remove(&kind);
        self.record.lose_profile(facts, kind);
    }
}

/// Does `have` carry every field of `want`? Names and booleans are compared without regard to case; fields that the
/// bridge does not show at all are believed (descriptions and servers differ there).
pub fn profile_matches(want: &[(String, String)], have: &Fields) -> bool {
    want.iter().all(|(name, value)| {
        have.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .is_none_or(|(_, shown)| shown.trim().eq_ignore_ascii_case(value))
    })
}

/// Is a profile as it is to be, by what a look shows? What the bridge has shown of it before is believed no more when it is
/// missing: somebody took it away.
pub(super) fn is_as_wanted(facts: &BridgeFacts, id: &str, want: &[(String, String)], have: &Fields) -> bool {
    profile_matches(want, have) && !facts.lacks_shown(id, want, have)
}

/// Makes, verifies and repairs the two profiles.
pub(super) fn next(bridge: &BridgeProgress, facts: &BridgeFacts, version: &str) -> Option<Next> {
    kinds(bridge, version).into_iter().find_map(|kind| next_of(bridge, facts, version, kind))
}

/// What is still to be read of those that keep people out: doors hang on it, whatever the bridge refused to write.
pub(super) fn next_look(bridge: &BridgeProgress, facts: &BridgeFacts, version: &str) -> Option<Next> {
    let guards = |kind: &ProfileKind| protects(&bridge.spec.profiles.pairs(*kind, version));
    let nexts = kinds(bridge, version).into_iter().filter(guards);
    nexts.filter_map(|kind| next_of(bridge, facts, version, kind)).find(|next| matches!(next, Next::Look(_)))
}

/// Doors may hang on what keeps people out: it does not wait for the other one, which the bridge may refuse.
fn kinds(bridge: &BridgeProgress, version: &str) -> [ProfileKind; 2] {
    let mut kinds = ProfileKind::ALL;
    kinds.sort_by_key(|kind| !protects(&bridge.spec.profiles.pairs(*kind, version)));
    kinds
}

fn next_of(bridge: &BridgeProgress, facts: &BridgeFacts, version: &str, kind: ProfileKind) -> Option<Next> {
    let Some(ids) = &bridge.record.profiles else { return Some(Next::Record(Intent::Profiles)) };
    let believes_nothing = facts.full_recheck || facts.wants_profiles || bridge.is_unjudged || !bridge.was_ready;
    let want = bridge.spec.profiles.pairs(kind, version);
    match (ids.of(kind), facts.profile(kind)) {
        // A profile that was seen but is not in the record: made, and the write of the status was refused.
        (None, Seen::Unknown | Seen::Known(Some(_))) if !bridge.own.untried => {
            Some(Next::Look(Look::LostProfile(kind)))
        }
        (None, _) => Some(Next::Do(Step::CreateProfile(kind, want))),
        (Some(id), Seen::Unknown) if believes_nothing || protects(&want) => {
            Some(Next::Look(Look::Profile(kind, id.clone())))
        }
        // A bridge may take a field and drop it: nobody is let in by what was not read back. What is only pretended is not
        // there to be read.
        (Some(id), Seen::Known(Some(have)))
            if is_unread(have)
                && protects(&want)
                && lacks(&want, have).is_none()
                && !bridge.is_observing
                && !bridge.own.unfound.contains(&kind) =>
        {
            Some(Next::Look(Look::Profile(kind, id.clone())))
        }
        // Once in a pass: a look showed what came of it. What is not believed where it is not shown is written once more: the
        // bridge may know it since a while ago.
        (Some(id), Seen::Known(Some(have)))
            if !bridge.own.written.contains(&kind)
                && (bridge.is_unwritten(facts, kind, &want, have)
                    || (!is_as_wanted(facts, id, &want, have) && bridge.may_put_back(kind.into(), None))) =>
        {
            Some(Next::Do(Step::UpdateProfile(kind, id.clone(), want)))
        }
        _ => None,
    }
}

/// A slot of ours that refers to other profiles: one was made anew, somebody changed the space, or the set did not take it.
/// Adopted spaces keep theirs. A space that shows none is told only in a full look, or if its set is known to lack it: not
/// every bridge shows them.
pub(super) fn attach(
    bridge: &BridgeProgress,
    facts: &BridgeFacts,
    around: &Around,
    slots: &SlotSpaces,
) -> Option<Next> {
    let ids = bridge.record.profiles.as_ref()?;
    let (call, leg) = (ids.call.as_deref()?, ids.call_leg.as_deref()?);
    let is_other = |kind, shown: Option<&str>, ours: &str| match shown {
        Some(shown) => !shown.eq_ignore_ascii_case(ours),
        None => facts.full_recheck || facts.untaken_profiles.contains(&kind),
    };
    // One that was told its profiles may have been left with those of a meeting since.
    let is_left = |space: &Space| {
        let shown =
            [space.call_profile.as_ref().map(|id| id.as_str()), space.call_leg_profile.as_ref().map(|id| id.as_str())];
        let is_ours = |id: &str| {
            let mut known = bridge.record.settings.iter().filter_map(|known| known.id.as_deref());
            known.any(|known| known.eq_ignore_ascii_case(id))
        };
        shown.into_iter().flatten().any(is_ours)
    };
    let strays = slots
        .iter()
        .filter(|(number, _)| bridge.record.made(*number))
        // Only a look at the single space shows its profiles.
        .filter(|(_, space)| slots.looked(&space.id).is_some())
        .filter(|(_, space)| !facts.attached.contains(&space.id) || is_left(space))
        .filter(|(_, space)| {
            is_other(ProfileKind::Call, space.call_profile.as_ref().map(|id| id.as_str()), call)
                || is_other(ProfileKind::CallLeg, space.call_leg_profile.as_ref().map(|id| id.as_str()), leg)
        });
    strays.map(|(number, _)| (number, claim(bridge, around, slots, number))).find_map(|(number, claim)| match claim {
        Claim::Unproven(space) => Some(Next::Look(Look::Space(space))),
        Claim::Free(space) => Some(Next::Do(Step::AttachProfiles { number, space })),
        Claim::LeftOpen(_) | Claim::Foreign => None,
    })
}
