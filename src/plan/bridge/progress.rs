//! A bridge in progress, as a value: what is wanted, what the status remembers of our own doing, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::contests::forget_written;
use super::observe::Pretended;
use super::outcomes::{Aside, method_kept, methods_looked_at, retry_stuck};
use super::profiles::OwnProfiles;
use super::record::Record;
use super::step::{End, Found, Intent, Look, Obstacle, Step};
use super::turns::{TURNS_OF_A_SLOT, Turn, Turns};
use crate::api::bridge::{ClusterStatus, ManagementPolicy};
use crate::api::conditions::types;
use crate::api::marks::Marks;
use crate::api::names::RECONCILE_ANNOTATION;
use crate::api::repairs::Contested;
use crate::api::settings::ProfileKind;
use crate::api::{MeetingBridge, MeetingBridgeSpec, is_true, unreadable};
use crate::cms::{CmsError, SpaceId, SyncStatus};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;
use crate::plan::contest::Contests;
use crate::plan::ownership::is_another;
use crate::plan::settings::Demand;
use crate::plan::verdict::{Pause, Verdict};
use crate::plan::{Attempt, Flow, Store, Subject};

/// Turns of one pass, besides those that each slot may need.
const TURNS: usize = 400;

/// What changes by itself while a pass lasts.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Slots that live meetings hold, with their space if it is recorded.
    pub held: BTreeMap<u32, Option<SpaceId>>,
    /// The object that owns this cluster (`plan/ownership.rs`), in words: nothing is written then.
    pub owner: Option<String>,
    /// Profiles that the meetings want for their settings.
    pub settings: Demand,
    /// The object is so new that its meetings may still come. Whoever restores objects brings the bridge before its meetings:
    /// what seems to be left open may be theirs, with people in it.
    pub may_be_restored: bool,
}

/// Trouble that belongs to one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub condition: &'static str,
    pub reason: &'static str,
    pub message: String,
}

/// When the sync under way is asked about next, or the failed one tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPause {
    /// It runs, or meetings are being shut before a removal.
    Poll,
    /// It failed.
    Retry,
    /// All is done but for numbers that something else has: whether it still has them is seen by trying.
    Blocked,
}

/// A bridge in progress.
#[derive(Clone, Debug)]
pub struct BridgeProgress {
    pub spec: MeetingBridgeSpec,
    /// How the marks of this installation look.
    pub marks: Marks,
    /// Why the object cannot be read, whatever else is known of it.
    pub unreadable: Option<String>,
    pub is_deleting: bool,
    pub is_observing: bool,
    /// Nobody has judged this generation of the spec: what was made for an earlier one is looked at, not believed.
    pub is_unjudged: bool,
    /// It was Ready when its status was last written. If not, whoever judged this generation may have ended before he did
    /// what it asks for.
    pub(super) was_ready: bool,
    /// The same of the slots. If not, some may still have the profile before.
    pub(super) was_provisioned: bool,
    pub record: Record,
    /// The cluster as last read.
    pub cluster: Option<ClusterStatus>,
    /// The cluster on which the record was made, as far as the status tells.
    pub made_on: Option<ClusterStatus>,
    /// Its table of call bridges is another one now, and is to be read again.
    pub is_cluster_stale: bool,
    /// The spec names another cluster, but meetings still hold slots at this address of the former one.
    pub former_address: Option<String>,
    /// New credentials are refused, in words, while those before work.
    pub refused_credentials: Option<String>,
    /// In this pass it was decided whether the cluster is somebody else's.
    pub is_owner_judged: bool,
    /// How it stands with the two profiles that every slot uses.
    pub own: OwnProfiles,
    /// In this pass the intent to make this set was recorded and no creation was tried since: no lost one need be looked for.
    pub untried_set: Option<RangeInclusive<u32>>,
    /// The same for profiles for settings, by kind and name.
    pub untried_settings: BTreeSet<(ProfileKind, String)>,
    /// In this pass no sync of this set was found that runs, or has made its spaces.
    pub without_sync: Option<String>,
    /// Spaces that were looked at in this pass: only what such a look shows is a reason to write.
    pub looked: BTreeSet<SpaceId>,
    /// In this pass every space was listed, and the list is known to be incomplete: another one would tell no more now.
    pub listed_in_part: bool,
    pub(super) turns: Turns,
    /// A slot that the next request tells of, whether it is the only one that cannot be had.
    pub(super) aside: Option<Aside>,
    /// All that is being made are numbers that something else had so far.
    pub is_trying_blocked: bool,
    /// Why it does not have our finalizer, or cannot get rid of it.
    pub untied: Option<String>,
    /// What had to be put back lately because others changed it.
    pub contests: Contests,
    /// The time of the last decision.
    pub now: Timestamp,
    /// Trouble that people are to know.
    pub problem: Option<Problem>,
    /// A call bridge failed, but others are good: nothing is told before it is clear whether it is lost.
    pub awaiting_verdict: bool,
    /// The bridge refused configuration, in this pass or a short while ago: only free slots are looked after.
    pub is_refused: bool,
    /// The failure that ended the pass.
    pub failure: Option<Verdict>,
    pub obstacle: Option<Obstacle>,
    /// What would be done, in order.
    pub plan: Vec<String>,
    /// What the record was last changed by is an intent: it tells of nothing that was done.
    pub is_only_meant: bool,
    /// In this pass something was made, changed or meant to be, other than profiles for settings.
    pub(super) has_reworked: bool,
    /// The pass has come to its end.
    pub(super) has_rested: bool,
    /// Everything is made and verified.
    pub is_settled: bool,
    /// On the way out: nothing of ours is left on the bridge.
    pub is_removed: bool,
    pub sync_pause: Option<SyncPause>,
    pub pause: Option<Pause>,
    pub(super) pretended: Vec<Pretended>,
}

impl BridgeProgress {
    /// Takes up a bridge where its status left it.
    pub fn resume(bridge: &MeetingBridge, marks: &Marks) -> Self {
        let status = bridge.status.clone().unwrap_or_default();
        let is_unjudged = bridge.meta().generation != status.observed_generation;
        // Whoever edits the bridge, or asks for a full look, wants everything put right.
        let asked = bridge.annotations().get(RECONCILE_ANNOTATION);
        let is_asked = asked.is_some() && asked != status.last_handled_reconcile_at.as_ref();
        let contests = if is_unjudged || is_asked { Contests::default() } else { Contests::new(&status.contests) };
        let sets = status.slots.map(|slots| slots.parameter_sets).unwrap_or_default();
        Self {
            spec: bridge.spec.clone(),
            marks: marks.clone(),
            unreadable: unreadable(bridge).map(str::to_owned),
            is_deleting: bridge.meta().deletion_timestamp.is_some(),
            is_observing: bridge.spec.management_policy == ManagementPolicy::Observe,
            is_unjudged,
            was_ready: is_true(&status.conditions, types::READY),
            was_provisioned: is_true(&status.conditions, types::SLOTS_PROVISIONED),
            record: Record { profiles: status.profiles, sets, settings: status.settings_profiles },
            made_on: status.cluster.clone(),
            // What was read elsewhere tells nothing about the address that the spec names now.
            cluster: status.cluster.filter(|cluster| cluster.is_of(&bridge.spec.address)),
            is_cluster_stale: false,
            former_address: None,
            refused_credentials: None,
            is_owner_judged: false,
            own: OwnProfiles::default(),
            untried_set: None,
            untried_settings: BTreeSet::new(),
            without_sync: None,
            looked: BTreeSet::new(),
            listed_in_part: false,
            turns: Turns::default(),
            aside: None,
            is_trying_blocked: false,
            untied: None,
            contests,
            now: Timestamp::MIN,
            problem: None,
            awaiting_verdict: false,
            is_refused: false,
            failure: None,
            obstacle: None,
            plan: Vec::new(),
            is_only_meant: false,
            has_reworked: false,
            has_rested: false,
            is_settled: false,
            is_removed: false,
            sync_pause: None,
            pause: None,
            pretended: Vec::new(),
        }
    }

    /// Has the pass come through without trouble so far?
    pub fn is_well(&self) -> bool {
        self.problem.is_none() && !self.awaiting_verdict && self.failure.is_none()
    }

    /// Does what was true of the slots before this pass still stand, as far as it has come? Profiles for settings come and
    /// go in the midst of a pass; that makes no slot less ready, and who waits for Ready is not to see it blink.
    pub fn stands_so_far(&self) -> bool {
        !self.has_rested && !self.has_reworked && !self.is_unjudged
    }

    /// When its pause is over, a running sync is asked about and a failed one tried again.
    pub fn revisit_sync(&mut self, facts: &mut BridgeFacts, had_pause: bool) {
        let has_failed = facts.sync_failure.is_some() && had_pause;
        let mut has_awaited = false;
        if let Some((_, relists)) = facts.awaited.as_mut().filter(|(_, relists)| had_pause && *relists > 0) {
            *relists = relists.saturating_sub(1);
            (facts.wants_list, has_awaited) = (true, true);
        }
        facts.sync = Seen::Unknown;
        if has_failed {
            self.record.retry_sync(facts);
        } else if had_pause && !has_awaited && self.record.sets.iter().all(|set| set.sync_id.is_none()) {
            facts.blocked.values_mut().for_each(|is_due| *is_due = true);
        }
    }

    /// The next thing to do, within what one pass may do about one thing.
    fn next_in_bounds(&mut self, facts: &BridgeFacts, around: &Around) -> super::Next {
        loop {
            let next = super::next(self, facts, &self.turns.without_spent(around));
            match self.turns.count(&next, facts) {
                Turn::Granted => return next,
                Turn::SlotIsSpent => {}
                Turn::Spent => {
                    self.exhausted();
                    return super::Next::Rest(End::PlanEnds);
                }
            }
        }
    }

    /// What is to be done next.
    fn wanted(&mut self, facts: &mut BridgeFacts, around: &Around, now: Timestamp) -> super::Next {
        self.now = now;
        self.contests.prune(now);
        self.note_shown_fields(facts);
        self.prove_repairs(facts);
        self.note_protection(facts);
        if !self.is_observing {
            let next = self.next_in_bounds(facts, around);
            // Whatever becomes of the pass: what says that it was not done yet does not outlive the try.
            match &next {
                super::Next::Do(Step::StartSync { set }) => _ = facts.unsynced.remove(set),
                super::Next::Do(Step::DeleteSettingsProfile(profile)) => {
                    facts.settings_seen.retain(|id| profile.id.as_ref() != Some(id));
                }
                super::Next::Do(Step::UpdateSettingsProfile(profile)) => {
                    // Put back once for each look: whoever changes it again and again is not fought.
                    facts.settings_changed.retain(|id| profile.id.as_ref() != Some(id));
                }
                super::Next::Do(Step::CreateProfile(kind, _)) => *facts.profile_mut(*kind) = Seen::Unknown,
                _ => {}
            }
            return next;
        }
        self.pretend_on(facts, around)
    }
}

impl Subject for BridgeProgress {
    type Facts = BridgeFacts;
    type Survey = ();
    type Around = Around;
    type Look = Look;
    type Found = Found;
    type Intent = Intent;
    type Step = Step;
    /// The id of what was created.
    type Effect = Option<String>;
    type End = End;

    fn turn_limit(&self) -> usize {
        let wanted = self.spec.slots.quantity.unwrap_or_default();
        let made = self.record.sets.iter().map(|set| set.end_index.saturating_sub(set.start_index).saturating_add(1));
        let slots = made.fold(wanted, u32::saturating_add);
        usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(TURNS_OF_A_SLOT).saturating_add(TURNS)
    }

    fn begin(&mut self, facts: &mut BridgeFacts, _survey: (), now: Timestamp) {
        if !facts.full_recheck && self.cluster.is_some() && !self.is_cluster_stale {
            facts.members = Seen::Known(());
        }
        if self.is_deleting || self.is_unjudged {
            facts.settings_held.clear();
            facts.settings_vain.clear();
        }
        // Nothing was seen yet in this process.
        if facts.slots.known().is_none() && !self.was_provisioned {
            facts.full_recheck |= self.record.sets.iter().any(|set| set.synced);
        }
        retry_stuck(facts, now);
        self.is_trying_blocked = facts.blocked.values().any(|is_due| *is_due);
    }

    fn next(&mut self, facts: &mut BridgeFacts, around: &Around, now: Timestamp) -> super::Next {
        match self.wanted(facts, around, now) {
            // Is the bridge well, but for one slot?
            super::Next::Rest(_) if self.aside.is_some() => super::Next::Look(Look::System),
            next => next,
        }
    }

    fn absorb(&mut self, facts: &mut BridgeFacts, look: &Look, found: Found) {
        self.confirm_aside(facts);
        match (look, found) {
            (_, Found::System(version)) => facts.version = Seen::Known(version),
            (_, Found::Cluster(cluster)) => {
                if self.made_on.as_ref().is_some_and(|before| is_another(before, &cluster)) {
                    self.record = Record::default();
                    let version = std::mem::take(&mut facts.version);
                    *facts = BridgeFacts::default();
                    facts.version = version;
                }
                self.made_on = Some(cluster.clone());
                self.cluster = Some(cluster);
                facts.members = Seen::Known(());
                if self.spec.failover.is_used() {
                    // Now it is known where the others are.
                    self.pause = Some(Pause::None);
                }
            }
            (Look::SettingsProfile(profile), Found::Profile(fields)) => {
                self.settings_looked_at(facts, profile, fields.as_ref());
            }
            (Look::Profile(kind, _), Found::Profile(None)) => self.profile_not_found(facts, *kind),
            (Look::Profile(kind, _), Found::Profile(fields)) => {
                facts.profiles_vain.remove(kind);
                *facts.profile_mut(*kind) = Seen::Known(fields);
            }
            (Look::LostProfile(kind), Found::LostProfile(found)) => {
                *self.record.profiles.get_or_insert_default().of_mut(*kind) = found.as_ref().map(|(id, _)| id.clone());
                *facts.profile_mut(*kind) = Seen::Known(found.map(|(_, fields)| fields));
            }
            (_, Found::Profile(_) | Found::LostProfile(_)) => {}
            (Look::LostSettingsProfile(profile), Found::Lost(id)) => self.settings_looked_for(facts, profile, id),
            (look, Found::Lost(id)) => self.lost_looked_for(facts, look, id),
            (look, Found::Spaces { items, unshown }) => self.spaces_listed(facts, look, items, unshown),
            (Look::Space(id), Found::Space(space)) => {
                self.looked.insert(id.clone());
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.take_space(id, space.map(|space| *space));
                }
            }
            (_, Found::Space(_)) => {}
            (Look::AccessMethods(id), Found::AccessMethods(ours)) => methods_looked_at(facts, id, ours),
            (_, Found::AccessMethods(_)) => {}
            (_, Found::Sync(status)) => self.sync_looked_at(facts, status),
        }
    }

    fn intend(&mut self, intent: &Intent) {
        (self.is_owner_judged, self.is_only_meant) = (true, true);
        self.record.intend(intent);
        self.has_reworked |= matches!(intent, Intent::Profiles | Intent::Set(_));
        match intent {
            Intent::Profiles => self.own.untried = true,
            Intent::Set(range) => self.untried_set = Some(range.clone()),
            Intent::Settings(profile) => self.intend_settings(profile),
            Intent::NoSettings(_) => {}
        }
    }

    fn applied(&mut self, facts: &mut BridgeFacts, step: &Step, effect: Option<String>, at: Timestamp) -> Store {
        self.confirm_aside(facts);
        self.note_repair(facts, step, at);
        match step {
            Step::UpdateProfile(kind, _, want) => self.profile_put_right(facts, *kind, want),
            Step::CreateProfile(kind, want) => Self::profile_made(facts, *kind, want),
            _ => {}
        }
        self.is_only_meant = false;
        self.has_reworked |= step.settings_profile().is_none();
        let id = effect.clone();
        self.record.apply(facts, step, effect);
        forget_written(facts, step);
        if step.starts_sync() {
            facts.sync_begun = id.map(|id| (id, at));
            // The first look at the sync comes after a pause: it never is complete at once.
            facts.sync = Seen::Known(SyncStatus::Pending);
        }
        if step.changes_record() { Store::Now } else { Store::Later }
    }

    fn failed(
        &mut self,
        facts: &mut BridgeFacts,
        attempt: Attempt<'_, Look, Step>,
        verdict: Verdict,
        at: Timestamp,
    ) -> Flow {
        if self.set_aside(facts, &attempt, &verdict) {
            return Flow::GoOn;
        }
        if let (Attempt::Do(step), Verdict::Answered(error)) = (&attempt, &verdict) {
            match step {
                Step::DeleteAccessMethod { space, method, .. } => {
                    method_kept(facts, space, method, error, at);
                    return Flow::GoOn;
                }
                // What one slot does not take holds back nothing else; it is told once more after a restart or in a full look.
                Step::AttachProfiles { number, space } if !error.is_not_found() && !self.is_deleting => {
                    facts.attached.insert(space.clone());
                    self.turns.set_aside(*number);
                    return Flow::GoOn;
                }
                step if !self.is_deleting && step.settings_profile().is_some() => {
                    // What one meeting asks for holds back nothing else.
                    self.settings_refused(facts, step, error);
                    return Flow::GoOn;
                }
                _ => {}
            }
        }
        if let (Attempt::Do(step), Verdict::Answered(error)) = (&attempt, &verdict)
            && super::outcomes::is_untaken_profile(facts, step, error)
        {
            return Flow::GoOn;
        }
        if let Attempt::Do(step) = attempt {
            let may_be_done = verdict.may_have_taken_effect();
            self.step_failed(facts, step, &verdict.clone().into_error(), may_be_done);
            // One that does not name what it makes, and shows no way to find it, would make another one each time.
            let is_unnamed = verdict == Verdict::Retry(CmsError::AmbiguousCreate) && step.settings_profile().is_none();
            let is_answer = matches!(verdict, Verdict::Answered(_)) || is_unnamed;
            self.is_refused = step.is_configuration() && is_answer && !self.is_deleting;
        }
        if verdict.is_superseded() {
            // While it waited, a meeting came into the slot, or the spec was edited: the next pass takes that up.
            self.pause = Some(Pause::None);
            return Flow::Stop;
        }
        self.failure = Some(verdict);
        Flow::Stop
    }

    fn rest(&mut self, facts: &mut BridgeFacts, around: &Around, end: End) {
        self.has_rested = true;
        self.is_owner_judged =
            !self.is_deleting && facts.members.known().is_some() && end != End::Blocked(Obstacle::VersionTooOld);
        match end {
            End::Settled => {
                // What is missing later is missing, and what a list shows is believed.
                (facts.full_recheck, facts.wants_profiles) = (false, false);
                let is_unseen = |slots: &SlotSpaces| slots.unseen(&around.held_numbers()).is_some();
                facts.wants_looks &= facts.slots.known().is_some_and(is_unseen);
                if facts.wants_looks {
                    self.pause.get_or_insert(Pause::SlotsUnknown);
                }
                (facts.awaited, facts.most_at_once) = (None, None);
                self.contests.prove(|thing, _| thing == Contested::Spaces);
                self.sync_pause = (!facts.blocked.is_empty()).then_some(SyncPause::Blocked);
                self.pause = self.turns.is_anything_spent().then_some(Pause::TooManyTurns).or(self.pause.take());
                (self.is_settled, self.is_removed) = (!self.is_deleting, self.is_deleting);
            }
            End::AwaitSync => self.sync_pause = Some(SyncPause::Poll),
            End::Blocked(obstacle) => {
                self.is_settled = matches!(obstacle, Obstacle::Draining | Obstacle::Scattered);
                if matches!(obstacle, Obstacle::Sync(_) | Obstacle::SyncHangs) {
                    self.sync_pause = Some(SyncPause::Retry);
                }
                self.obstacle = Some(obstacle);
            }
            End::HeldBack | End::PlanEnds => {}
        }
    }

    fn exhausted(&mut self) {
        self.has_rested = true;
        self.pause = Some(Pause::TooManyTurns);
    }
}
