//! The two profiles that every slot uses: made, verified, repaired, and attached to the slots (R45, R46). PURE.

use super::upkeep::{Claim, claim};
use super::{Around, BridgeProgress, Intent, Look, Next, Step};
use crate::api::settings::ProfileKind;
use crate::cms::{Fields, Space};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;

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
    let Some(ids) = &bridge.record.profiles else { return Some(Next::Record(Intent::Profiles)) };
    let believes_nothing = facts.full_recheck || facts.wants_profiles || bridge.is_unjudged || !bridge.was_ready;
    let next = |kind: ProfileKind| {
        let want = bridge.spec.profiles.pairs(kind, version);
        match (ids.of(kind), facts.profile(kind)) {
            // A profile that was seen but is not in the record: made, and the write of the status was refused.
            (None, Seen::Unknown | Seen::Known(Some(_))) if !bridge.profiles_untried => {
                Some(Next::Look(Look::LostProfile(kind)))
            }
            (None, _) => Some(Next::Do(Step::CreateProfile(kind, want))),
            (Some(id), Seen::Unknown) if believes_nothing => Some(Next::Look(Look::Profile(kind, id.clone()))),
            (Some(id), Seen::Known(Some(have)))
                if !is_as_wanted(facts, id, &want, have) && bridge.may_put_back(kind.into(), None) =>
            {
                Some(Next::Do(Step::UpdateProfile(kind, id.clone(), want)))
            }
            _ => None,
        }
    };
    ProfileKind::ALL.into_iter().find_map(next)
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
