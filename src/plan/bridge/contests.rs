//! What others change again and again on a bridge: profiles, free slots, spaces (`plan/contest.rs`). PURE.

use jiff::Timestamp;

use super::profiles::is_as_wanted;
use super::{BridgeProgress, Step};
use crate::api::repairs::{Contested, Rival, Shown};
use crate::cms::ProfileKind;
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::Standing;
use crate::plan::contest::{MADE_AGAIN, QUIET, SHUT_AGAIN};

impl BridgeProgress {
    /// May this be put back now, or do others win so often that it rests? Whoever removes the bridge does not wait.
    pub(super) fn may_put_back(&self, thing: Contested, slot: Option<u32>) -> bool {
        let Some(repairs) = self.contests.of(thing, slot).filter(|_| !self.is_deleting) else { return true };
        match thing {
            Contested::CallProfile | Contested::CallLegProfile => repairs.is_due(QUIET, self.now),
            Contested::FreeSlot => repairs.is_due(SHUT_AGAIN, self.now),
            // What is missing may take several sets, one after the other.
            Contested::Spaces => !repairs.rests(MADE_AGAIN, self.now),
        }
    }

    /// Something was put back that others had changed. A change of the spec is none, nor is a field that was written again
    /// because the bridge does not show it. The facts are those from before.
    pub(super) fn note_repair(&mut self, facts: &BridgeFacts, step: &Step, at: Timestamp) {
        let made = |numbers: &std::ops::RangeInclusive<u32>| numbers.clone().any(|number| self.record.made(number));
        let was_changed = |kind: ProfileKind, id: &str, want: &[(String, String)]| {
            let have = facts.profile(kind).known().and_then(Option::as_ref);
            have.is_some_and(|have| !is_as_wanted(facts, id, want, have))
        };
        let (thing, by) = match step {
            Step::UpdateProfile(kind, id, want) if !self.is_unjudged && was_changed(*kind, id, want) => {
                (((*kind).into(), None), Rival::Unknown)
            }
            // It carried a mark like ours, and no meeting of ours is in it.
            Step::ShutSlot { number, .. } => ((Contested::FreeSlot, Some(*number)), Rival::Installation),
            Step::CreateSet(numbers) if made(numbers) && self.makes_again(at) => {
                ((Contested::Spaces, None), Rival::Unknown)
            }
            _ => return,
        };
        self.contests.repaired(thing, at, by);
    }

    /// Were they all there since they were made again last, or is that long ago? Else it is still the same repair.
    fn makes_again(&self, at: Timestamp) -> bool {
        let before = self.contests.of(Contested::Spaces, None);
        before.is_none_or(|before| before.shown == Shown::AsWanted || !before.is_within(MADE_AGAIN, at))
    }

    /// Which fields of the two profiles the bridge shows.
    pub(super) fn note_shown_fields(&self, facts: &mut BridgeFacts) {
        let Some(ids) = &self.record.profiles else { return };
        for kind in ProfileKind::ALL {
            let have = facts.profile(kind).known().cloned().flatten();
            if let Some((id, have)) = ids.of(kind).zip(have) {
                facts.note_shown(id, &have);
            }
        }
    }

    /// What looks showed of what was put back.
    pub(super) fn prove_repairs(&mut self, facts: &BridgeFacts) {
        let Seen::Known(version) = &facts.version else { return };
        let ids = self.record.profiles.clone().unwrap_or_default();
        let is_shown = |kind| {
            let (want, have) = (self.spec.profiles.pairs(kind, version), facts.profile(kind).known());
            let have = have.and_then(Option::as_ref);
            ids.of(kind).zip(have).is_some_and(|(id, have)| is_as_wanted(facts, id, &want, have))
        };
        self.contests.prove(|thing, slot| match thing {
            Contested::CallProfile => is_shown(ProfileKind::Call),
            Contested::CallLegProfile => is_shown(ProfileKind::CallLeg),
            Contested::FreeSlot => {
                let standing = slot.and_then(|number| facts.slots.known()?.standing(number));
                standing == Some(Standing::Free)
            }
            // They are when everything is settled.
            Contested::Spaces => false,
        });
    }
}

/// What was put right is believed once a look has shown it.
pub(super) fn forget_written(facts: &mut BridgeFacts, step: &Step) {
    match step {
        Step::UpdateProfile(kind, id, _) => {
            facts.forget_shown(id);
            *facts.profile_mut(*kind) = Seen::Unknown;
        }
        Step::UpdateSettingsProfile(profile) => profile.id.iter().for_each(|id| facts.forget_shown(id)),
        Step::ShutSlot { number, .. } => {
            if let Seen::Known(slots) = &mut facts.slots {
                slots.doubt(*number);
            }
        }
        _ => {}
    }
}
