//! What others change again and again on a bridge: profiles, free slots, spaces (`plan/contest.rs`). PURE.

use jiff::Timestamp;

use super::{BridgeProgress, Step, profile_matches};
use crate::api::repairs::{Contested, Rival, Shown};
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

    /// Something was put back that others had changed. A change of the spec is none.
    pub(super) fn note_repair(&mut self, step: &Step, at: Timestamp) {
        let made = |numbers: &std::ops::RangeInclusive<u32>| numbers.clone().any(|number| self.record.made(number));
        let (thing, by) = match step {
            Step::UpdateCallProfile(..) if !self.is_unjudged => ((Contested::CallProfile, None), Rival::Unknown),
            Step::UpdateCallLegProfile(..) if !self.is_unjudged => ((Contested::CallLegProfile, None), Rival::Unknown),
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

    /// What looks showed of what was put back.
    pub(super) fn prove_repairs(&mut self, facts: &BridgeFacts) {
        let Seen::Known(version) = &facts.version else { return };
        let (call, leg) = (self.spec.profiles.call.pairs_for(version), self.spec.profiles.call_leg.pairs());
        let is_shown = |want: &[(String, String)], have: &Seen<Option<crate::cms::Fields>>| {
            have.known().and_then(Option::as_ref).is_some_and(|have| profile_matches(want, have))
        };
        self.contests.prove(|thing, slot| match thing {
            Contested::CallProfile => is_shown(&call, &facts.call_profile),
            Contested::CallLegProfile => is_shown(&leg, &facts.call_leg_profile),
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
        Step::UpdateCallProfile(..) => facts.call_profile = Seen::Unknown,
        Step::UpdateCallLegProfile(..) => facts.call_leg_profile = Seen::Unknown,
        Step::ShutSlot { number, .. } => {
            if let Seen::Known(slots) = &mut facts.slots {
                slots.doubt(*number);
            }
        }
        _ => {}
    }
}
