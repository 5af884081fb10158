//! What lists, looks at syncs and failed steps mean for the progress of a bridge.

use jiff::{SignedDuration, Timestamp};

use super::Next;
use super::progress::BridgeProgress;
use super::settings::words_of;
use super::step::{End, Look, Step};
use crate::api::settings::ProfileKind;
use crate::cms::{AccessMethodId, CmsError, Space, SpaceId, SyncStatus};
use crate::facts::Seen;
use crate::facts::bridge::{BridgeFacts, OVERDUE_LISTED};
use crate::facts::slots::{SlotSpaces, Stuck, StuckBy};
use crate::plan::Attempt;
use crate::plan::verdict::{Pause, Verdict};

/// Further lists after a complete sync; with the pauses between them about 20 seconds.
const RELISTS: u8 = 5;

/// An access method that the bridge would not delete is tried again after so long.
const STUCK_RESTS: SignedDuration = SignedDuration::from_mins(10);

/// A space that it did not show once is looked at again after so long.
const UNREAD_RESTS: SignedDuration = SignedDuration::from_secs(5);

/// What else it would not do with one slot: a door may be open.
const ASIDE_RESTS: SignedDuration = SignedDuration::from_mins(2);

/// The access methods of a free slot were looked at.
pub(super) fn methods_looked_at(facts: &mut BridgeFacts, id: &SpaceId, ours: Vec<AccessMethodId>) {
    let Seen::Known(slots) = &mut facts.slots else { return };
    if ours.is_empty() {
        slots.stuck.free(id, StuckBy::Method);
    }
    let shown = slots.looked(id).and_then(|space| space.access_methods);
    facts.methods.insert(id.clone(), (shown.unwrap_or_default(), ours));
}

/// The bridge keeps an access method of ours: that holds back no door but the one of this slot, in which the next meeting
/// could not get rid of it either. So nobody gets it.
pub(super) fn method_kept(
    facts: &mut BridgeFacts,
    space: &SpaceId,
    method: &AccessMethodId,
    error: &CmsError,
    at: Timestamp,
) {
    if let Some((_, ours)) = facts.methods.get_mut(space) {
        ours.retain(|known| known != method);
    }
    if let Seen::Known(slots) = &mut facts.slots {
        slots.stuck.set(space, StuckBy::Method, words_of(error), at);
    }
}

/// What the bridge would not do a while ago is tried again.
pub(super) fn retry_stuck(facts: &mut BridgeFacts, now: Timestamp) {
    let Seen::Known(slots) = &mut facts.slots else { return };
    let rest = |stuck: &Stuck| match stuck.by {
        StuckBy::Method => STUCK_RESTS,
        StuckBy::Unread if stuck.times == 1 => UNREAD_RESTS,
        StuckBy::Unread | StuckBy::Open | StuckBy::Call => ASIDE_RESTS,
    };
    for (space, by) in slots.stuck.end_rests(now, rest) {
        if by == StuckBy::Method {
            facts.methods.remove(&space);
        }
    }
}

/// What a request is about, if it is about one slot that no meeting holds: its space, and what the bridge would not do.
fn about_one(facts: &BridgeFacts, attempt: &Attempt<'_, Look, Step>) -> Option<(SpaceId, StuckBy)> {
    match attempt {
        Attempt::Look(Look::Space(space) | Look::AccessMethods(space)) => Some((space.clone(), StuckBy::Unread)),
        Attempt::Do(Step::ShutSlot { space, .. }) => Some((space.clone(), StuckBy::Open)),
        Attempt::Do(Step::DeleteAccessMethod { space, .. }) => Some((space.clone(), StuckBy::Method)),
        Attempt::Do(Step::DeleteCall(call)) => {
            let placed = facts.calls.known()?.iter().find(|placed| placed.at() == *call)?;
            Some((placed.call.space.clone()?, StuckBy::Call))
        }
        _ => None,
    }
}

/// A slot that is set aside if the bridge is well otherwise.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    space: SpaceId,
    by: StuckBy,
    words: String,
}

impl BridgeProgress {
    /// Does a failed request cost this one slot only? An answer of the bridge is about what it was asked. An odd one may be
    /// about all that it is asked, which the next request of this pass tells; the second one in a row is no coincidence.
    pub(super) fn set_aside(
        &mut self,
        facts: &mut BridgeFacts,
        attempt: &Attempt<'_, Look, Step>,
        verdict: &Verdict,
    ) -> bool {
        let Some((space, by)) = about_one(facts, attempt).filter(|_| !self.is_deleting) else { return false };
        let Seen::Known(slots) = &facts.slots else { return false };
        let Some(number) = slots.number(&space) else { return false };
        let aside = |error: &CmsError| Aside { space: space.clone(), by, words: words_of(error) };
        match verdict {
            // Of an access method it is the one that stays; the slot is shut all the same.
            Verdict::Answered(_) if by == StuckBy::Method => return false,
            Verdict::Answered(error) if !error.is_not_found() => {
                self.keep_aside(facts, aside(error));
            }
            Verdict::Retry(error) | Verdict::InDoubt(error) if error.may_be_about_one() && self.aside.is_none() => {
                self.aside = Some(aside(error));
            }
            _ => return false,
        }
        self.turns.set_aside(number);
        true
    }

    /// The bridge has answered something else: it is well, so it was about that slot.
    pub(super) fn confirm_aside(&mut self, facts: &mut BridgeFacts) {
        if let Some(aside) = self.aside.take() {
            self.keep_aside(facts, aside);
        }
    }

    fn keep_aside(&mut self, facts: &mut BridgeFacts, aside: Aside) {
        if aside.by == StuckBy::Unread {
            // Once may be chance, and somebody may wait for what it shows.
            self.pause.get_or_insert(Pause::SlotsUnknown);
        }
        if let Some((_, ours)) = facts.methods.get_mut(&aside.space).filter(|_| aside.by == StuckBy::Method) {
            ours.clear();
        }
        if let Seen::Known(slots) = &mut facts.slots {
            slots.stuck.set(&aside.space, aside.by, aside.words, self.now);
        }
    }
}

/// So many lists of everything that are known to be incomplete are waited for.
const PARTIAL_LISTS: u8 = 3;

/// Does what this list of everything does not show not exist? Only if it stood still while it was read and shows as many
/// spaces as the bridge counts: whoever took the lack of a line for the lack of a space would make it anew, or look for
/// another one for a meeting that is in it. A bridge that counts more than it shows anybody does so each time: when it
/// keeps back just as many as in the list before, of an earlier pass, it shows all that it ever will.
fn is_whole(facts: &mut BridgeFacts, unshown: Option<u64>) -> bool {
    let before = facts.unshown;
    facts.unshown = unshown.or(before);
    let is_whole = unshown == Some(0) || (unshown.is_some() && unshown == before);
    facts.partial_lists = if is_whole { 0 } else { facts.partial_lists.saturating_add(1) };
    is_whole
}

/// Does the bridge not take one of the profiles in a bulk parameter set, as this refusal shows for the first time? The set
/// is sent again without it.
pub(super) fn is_untaken_profile(facts: &mut BridgeFacts, step: &Step, error: &CmsError) -> bool {
    let (Step::CreateSet(_), CmsError::ParameterError { parameter, .. }) = (step, error) else { return false };
    let fields = [("callProfile", ProfileKind::Call), ("callLegProfile", ProfileKind::CallLeg)];
    let refused = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(parameter));
    refused.is_some_and(|(_, kind)| facts.untaken_profiles.insert(kind))
}

impl BridgeProgress {
    /// What comes first wherever something counts as missing: a list of everything. None: it was whole. One that is known
    /// to be incomplete is read again in the next pass, but not for ever: then it is gone on with what is known. Whatever
    /// is made is refused by the bridge where there is something already, and nothing is changed without a look.
    pub(super) fn prove_absence(&self, slots: &SlotSpaces) -> Option<Next> {
        if slots.complete || (self.listed_in_part && slots.exhausted) {
            return None;
        }
        Some(if self.listed_in_part { Next::Rest(End::AwaitSync) } else { Next::Look(Look::AllSpaces) })
    }

    /// A set or a sync of ours that the record does not know was looked for.
    pub(super) fn lost_looked_for(&mut self, facts: &mut BridgeFacts, look: &Look, id: Option<String>) {
        let sets = &mut self.record.sets;
        match look {
            Look::LostSet(range) => {
                let position =
                    sets.iter().position(|set| set.id.is_none() && (set.start_index..=set.end_index) == *range);
                match (position.and_then(|position| sets.get_mut(position)), id) {
                    (Some(set), Some(id)) => set.id = Some(id),
                    (Some(_), None) if self.is_deleting => {
                        sets.retain(|set| set.id.is_some() || (set.start_index..=set.end_index) != *range);
                    }
                    _ => self.untried_set = Some(range.clone()),
                }
            }
            Look::LostSync(of) => {
                let set = sets.iter_mut().find(|set| set.id.as_ref() == Some(of));
                match (set, id) {
                    (Some(set), Some(id)) => {
                        set.sync_id = Some(id);
                        facts.sync = Seen::Unknown;
                    }
                    _ => {
                        self.without_sync = Some(of.clone());
                        facts.unexplained.insert(of.clone());
                        // It may have ended, or failed halfway, since the spaces were listed.
                        (facts.whole_at, facts.is_name_enough) = (None, false);
                        if let Seen::Known(slots) = &mut facts.slots {
                            slots.complete = false;
                        }
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn spaces_listed(
        &mut self,
        facts: &mut BridgeFacts,
        look: &Look,
        items: Vec<Space>,
        unshown: Option<u64>,
    ) {
        let is_of_everything = *look == Look::AllSpaces;
        let is_complete = is_of_everything && is_whole(facts, unshown);
        self.listed_in_part |= is_of_everything && !is_complete;
        let known = facts.slots.known().cloned();
        let mut slots = known.unwrap_or_else(|| SlotSpaces::new(&self.spec.slots.name_prefix, &self.marks));
        slots.made = self.record.made_ranges().collect();
        slots.take_list(items, |number| super::is_slot(&self.spec, &self.record, number), is_complete);
        slots.exhausted = facts.partial_lists >= PARTIAL_LISTS;
        slots.complete |= facts.is_name_enough && facts.is_lately_whole(self.now) && !is_of_everything;
        facts.is_name_enough = false;
        if is_complete {
            facts.whole_at = Some(self.now);
        }
        facts.blocked.keys().for_each(|number| slots.block(*number));
        facts.wants_list = false;
        facts.awaited.take_if(|(range, _)| slots.missing(range).is_empty());
        facts.slots = Seen::Known(slots);
    }

    pub(super) fn sync_looked_at(&mut self, facts: &mut BridgeFacts, status: SyncStatus) {
        let Some(set) = self.record.sets.iter_mut().find(|set| set.sync_id.is_some()) else { return };
        let is_removal = self.is_deleting && set.synced;
        let id = set.sync_id.clone();
        if is_removal {
            // What it has left is seen by a list only.
            if let (SyncStatus::Complete | SyncStatus::Failed(_), Seen::Known(slots)) = (&status, &mut facts.slots) {
                slots.complete = false;
            }
        } else {
            match &status {
                SyncStatus::Complete => {
                    set.synced = true;
                    set.sync_id = None;
                    let made = set.start_index..=set.end_index;
                    facts.wants_list = true;
                    // In the midst of a search for what is in the way.
                    facts.is_name_enough = facts.most_at_once.is_some() && facts.is_lately_whole(self.now);
                    facts.awaited = Some((made.clone(), RELISTS));
                    facts.sync_failure = None;
                    facts.most_at_once = facts.most_at_once.map(|most| most.saturating_mul(2));
                    facts.blocked.retain(|number, _| !made.contains(number));
                }
                SyncStatus::Failed(failure) => {
                    facts.sync_failure = Some(failure.clone());
                    facts.is_name_enough = facts.is_lately_whole(self.now);
                    facts.wants_list |= facts.is_name_enough;
                    if let Seen::Known(slots) = &mut facts.slots {
                        slots.complete = false;
                    }
                }
                SyncStatus::Pending | SyncStatus::Running | SyncStatus::Other(_) => {}
            }
        }
        self.sync_timed(facts, id, &status);
        facts.sync = Seen::Known(status);
    }

    /// Since when the sync is known to run. One that has run for too long is waited for all the same; but what it has made
    /// so far is looked at each time.
    fn sync_timed(&self, facts: &mut BridgeFacts, id: Option<String>, status: &SyncStatus) {
        let is_running = matches!(status, SyncStatus::Pending | SyncStatus::Running | SyncStatus::Other(_));
        let Some(id) = id.filter(|_| is_running) else {
            (facts.sync_begun, facts.overdue_listed) = (None, None);
            return;
        };
        if facts.sync_begun.as_ref().is_none_or(|(known, _)| *known != id) {
            facts.sync_begun = Some((id, self.now));
        }
        let was_listed = facts.overdue_listed.is_some_and(|at| self.now.duration_since(at) < OVERDUE_LISTED);
        if facts.is_sync_overdue(self.now)
            && !self.is_deleting
            && !was_listed
            && let Seen::Known(slots) = &mut facts.slots
        {
            facts.overdue_listed = Some(self.now);
            slots.complete = false;
        }
    }

    /// What a failed write tells about the bridge.
    pub(super) fn step_failed(&mut self, facts: &mut BridgeFacts, step: &Step, error: &CmsError, may_be_done: bool) {
        match step {
            Step::UpdateProfile(kind, ..) if error.is_not_found() => self.record.lose_profile(facts, *kind),
            // One of the profiles is gone: find out which, and make another.
            Step::CreateSet(_) if error.is_not_found() => {
                (facts.call_profile, facts.call_leg_profile) = (Seen::Unknown, Seen::Unknown);
                facts.full_recheck = true;
            }
            Step::StartSync { set } | Step::StartRemoval { set } if error.is_not_found() => {
                self.record.sets.retain(|known| known.id.as_ref() != Some(set));
            }
            Step::StartSync { set } if !may_be_done => {
                facts.unsynced.insert(set.clone());
            }
            Step::ShutSlot { number, .. } | Step::AttachProfiles { number, .. } if error.is_not_found() => {
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.remove(*number);
                }
            }
            _ => {}
        }
    }
}
