//! A bridge in progress, as a value: what is wanted, what the status remembers of our own doing, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Resource;

use super::step::{End, Found, Intent, Look, Obstacle, Step};
use crate::api::bridge::{ClusterStatus, ManagementPolicy, ParameterSet, ProfileIds};
use crate::api::{MeetingBridge, MeetingBridgeSpec};
use crate::cms::{CmsError, SpaceId, SyncStatus};
use crate::facts::Seen;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;
use crate::plan::verdict::{Pause, Verdict};
use crate::plan::{Attempt, Flow, Store, Subject};

/// Turns of one pass.
const TURN_LIMIT: usize = 400;

/// Further lists after a complete sync; with the pauses between them about 20 seconds.
const RELISTS: u8 = 5;

/// What the status remembers of our own doing: written before and after each creation, so that nothing is made twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// None: never begun. Without ids: begun, the outcome is unknown, so look before making another.
    pub profiles: Option<ProfileIds>,
    pub sets: Vec<ParameterSet>,
}

/// What changes by itself while a pass lasts.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Slots that live meetings hold, with their space if it is recorded.
    pub held: BTreeMap<u32, Option<SpaceId>>,
    /// The object that owns this cluster (`plan/ownership.rs`), in words: nothing is written then.
    pub owner: Option<String>,
}

/// What an observing pass imagines to have done.
#[derive(Clone, Debug)]
enum Pretended {
    Intent(Intent),
    Step(Step),
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
}

/// A bridge in progress.
#[derive(Clone, Debug)]
pub struct BridgeProgress {
    pub spec: MeetingBridgeSpec,
    pub is_deleting: bool,
    pub is_observing: bool,
    pub record: Record,
    /// The cluster as last read.
    pub cluster: Option<ClusterStatus>,
    /// Its table of call bridges is another one now, and is to be read again.
    pub is_cluster_stale: bool,
    /// In this pass it was decided whether the cluster is somebody else's.
    pub is_owner_judged: bool,
    /// In this pass the intent was recorded and no creation was tried since: no lost one need be looked for.
    pub profiles_untried: bool,
    /// The same for bulk parameter sets and their syncs.
    pub sets_untried: bool,
    /// Trouble that people are to know.
    pub problem: Option<Problem>,
    /// A call bridge failed, but others are good: nothing is told before it is clear whether it is lost.
    pub awaiting_verdict: bool,
    /// The failure that ended the pass.
    pub failure: Option<Verdict>,
    pub obstacle: Option<Obstacle>,
    /// What would be done, in order.
    pub plan: Vec<String>,
    /// Everything is made and verified.
    pub is_settled: bool,
    /// On the way out: nothing of ours is left on the bridge.
    pub is_removed: bool,
    pub sync_pause: Option<SyncPause>,
    pub pause: Option<Pause>,
    pretended: Vec<Pretended>,
}

impl BridgeProgress {
    /// Takes up a bridge where its status left it.
    pub fn resume(bridge: &MeetingBridge) -> Self {
        let status = bridge.status.clone().unwrap_or_default();
        let sets = status.slots.map(|slots| slots.parameter_sets).unwrap_or_default();
        Self {
            spec: bridge.spec.clone(),
            is_deleting: bridge.meta().deletion_timestamp.is_some(),
            is_observing: bridge.spec.management_policy == ManagementPolicy::Observe,
            record: Record { profiles: status.profiles, sets },
            // What was read elsewhere tells nothing about the address that the spec names now.
            cluster: status.cluster.filter(|cluster| cluster.is_of(&bridge.spec.address)),
            is_cluster_stale: false,
            is_owner_judged: false,
            profiles_untried: false,
            sets_untried: false,
            problem: None,
            awaiting_verdict: false,
            failure: None,
            obstacle: None,
            plan: Vec::new(),
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

    /// When its pause is over, a running sync is asked about and a failed one tried again.
    pub fn revisit_sync(&mut self, facts: &mut BridgeFacts, had_pause: bool) {
        let has_failed = facts.sync_failure.is_some() && had_pause;
        if had_pause && facts.relists_left > 0 {
            facts.relists_left -= 1;
            facts.slots = Seen::Unknown;
        }
        facts.sync = Seen::Unknown;
        if has_failed {
            self.record.retry_sync(facts);
        }
    }

    /// The next thing to do, if what is only pretended had been done.
    fn pretend(&self, facts: &BridgeFacts, around: &Around) -> super::Next {
        let (mut record, mut facts) = (self.record.clone(), facts.clone());
        for pretended in &self.pretended {
            match pretended {
                Pretended::Intent(intent) => record.intend(intent),
                Pretended::Step(step) => {
                    let created = step.changes_record().then(|| "planned".to_owned());
                    record.apply(&mut facts, step, created);
                }
            }
        }
        let imagined = Self { record, profiles_untried: true, sets_untried: true, ..self.clone() };
        super::next(&imagined, &facts, around)
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
        TURN_LIMIT
    }

    fn begin(&mut self, facts: &mut BridgeFacts, _survey: (), _now: Timestamp) {
        if !facts.full_recheck && self.cluster.is_some() && !self.is_cluster_stale {
            facts.members = Seen::Known(());
        }
    }

    fn next(&mut self, facts: &mut BridgeFacts, around: &Around, _now: Timestamp) -> super::Next {
        if !self.is_observing {
            return super::next(self, facts, around);
        }
        loop {
            match self.pretend(facts, around) {
                super::Next::Look(look) if look.is_about_own_doing() => return super::Next::Rest(End::PlanEnds),
                super::Next::Record(intent) => self.pretended.push(Pretended::Intent(intent)),
                super::Next::Do(step) => {
                    self.plan.push(step.to_string());
                    // What comes of a sync cannot be known without one.
                    if step.starts_sync() || self.plan.len() >= TURN_LIMIT {
                        return super::Next::Rest(End::PlanEnds);
                    }
                    self.pretended.push(Pretended::Step(step));
                }
                other => return other,
            }
        }
    }

    fn absorb(&mut self, facts: &mut BridgeFacts, look: &Look, found: Found) {
        match (look, found) {
            (_, Found::System(version)) => facts.version = Seen::Known(version),
            (_, Found::Cluster(cluster)) => {
                self.cluster = Some(cluster);
                facts.members = Seen::Known(());
                if self.spec.failover.is_used() {
                    // Now it is known where the others are.
                    self.pause = Some(Pause::None);
                }
            }
            (Look::CallProfile(_), Found::Profile(fields)) => facts.call_profile = Seen::Known(fields),
            (_, Found::Profile(fields)) => facts.call_leg_profile = Seen::Known(fields),
            (Look::LostCallProfile, Found::LostProfile(found)) => {
                self.record.profiles.get_or_insert_default().call = found.as_ref().map(|(id, _)| id.clone());
                facts.call_profile = Seen::Known(found.map(|(_, fields)| fields));
            }
            (_, Found::LostProfile(found)) => {
                self.record.profiles.get_or_insert_default().call_leg = found.as_ref().map(|(id, _)| id.clone());
                facts.call_leg_profile = Seen::Known(found.map(|(_, fields)| fields));
            }
            (look, Found::Lost(id)) => self.lost_looked_for(look, id),
            (look, Found::Spaces(items)) => self.spaces_listed(facts, look, items),
            (Look::Space(id), Found::Space(space)) => {
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.take_space(id, space);
                }
            }
            (_, Found::Space(_)) => {}
            (_, Found::Sync(status)) => self.sync_looked_at(facts, status),
            (_, Found::Offender(text)) => {
                if let Some((_, who)) = &mut facts.sync_failure {
                    *who = Some(text);
                }
            }
        }
    }

    fn intend(&mut self, intent: &Intent) {
        self.is_owner_judged = true;
        self.record.intend(intent);
        match intent {
            Intent::Profiles => self.profiles_untried = true,
            Intent::Set(_) => self.sets_untried = true,
        }
    }

    fn applied(&mut self, facts: &mut BridgeFacts, step: &Step, effect: Option<String>, _at: Timestamp) -> Store {
        self.record.apply(facts, step, effect);
        if step.starts_sync() {
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
        _since: Timestamp,
    ) -> Flow {
        if let Attempt::Do(step) = attempt {
            self.step_failed(facts, step, &verdict.clone().into_error());
        }
        self.failure = Some(verdict);
        Flow::Stop
    }

    fn rest(&mut self, facts: &mut BridgeFacts, _around: &Around, end: End) {
        self.is_owner_judged =
            !self.is_deleting && facts.members.known().is_some() && end != End::Blocked(Obstacle::VersionTooOld);
        match end {
            End::Settled => {
                // What is missing later is missing, and what a list shows is believed.
                (facts.full_recheck, facts.relists_left) = (false, 0);
                (self.is_settled, self.is_removed) = (!self.is_deleting, self.is_deleting);
            }
            End::AwaitSync => self.sync_pause = Some(SyncPause::Poll),
            End::Blocked(obstacle) => {
                self.is_settled = obstacle == Obstacle::Draining;
                if matches!(obstacle, Obstacle::Sync(_)) {
                    self.sync_pause = Some(SyncPause::Retry);
                }
                self.obstacle = Some(obstacle);
            }
            End::PlanEnds => {}
        }
    }

    fn exhausted(&mut self) {
        self.pause = Some(Pause::TooManyTurns);
    }
}

impl BridgeProgress {
    /// A set or a sync of ours that the record does not know was looked for.
    fn lost_looked_for(&mut self, look: &Look, id: Option<String>) {
        let sets = &mut self.record.sets;
        match look {
            Look::LostSet(range) => {
                let position = sets.iter().position(|set| set.start_index == *range.start() && set.id.is_none());
                match (position.and_then(|position| sets.get_mut(position)), id) {
                    (Some(set), Some(id)) => set.id = Some(id),
                    (Some(_), None) if self.is_deleting => {
                        sets.retain(|set| set.start_index != *range.start() || set.id.is_some());
                    }
                    _ => self.sets_untried = true,
                }
            }
            Look::LostSync(of) => {
                let set = sets.iter_mut().find(|set| set.id.as_ref() == Some(of));
                match (set, id) {
                    (Some(set), Some(id)) => set.sync_id = Some(id),
                    _ => self.sets_untried = true,
                }
            }
            _ => {}
        }
    }

    fn spaces_listed(&self, facts: &mut BridgeFacts, look: &Look, items: Vec<crate::cms::Space>) {
        let is_complete = *look == Look::AllSpaces;
        // A list of everything adds to what the list of placeholder names showed.
        let known = facts.slots.known().cloned().filter(|_| is_complete);
        let mut slots = known.unwrap_or_else(|| SlotSpaces::new(&self.spec.slots.name_prefix));
        slots.take_list(items, |number| super::is_slot(&self.spec, &self.record, number), is_complete);
        facts.slots = Seen::Known(slots);
    }

    fn sync_looked_at(&mut self, facts: &mut BridgeFacts, status: SyncStatus) {
        let Some(set) = self.record.sets.iter_mut().find(|set| set.sync_id.is_some()) else { return };
        let is_removal = self.is_deleting && set.synced;
        if !is_removal {
            match &status {
                SyncStatus::Complete => {
                    set.synced = true;
                    set.sync_id = None;
                    facts.slots = Seen::Unknown;
                    facts.relists_left = RELISTS;
                    facts.sync_failure = None;
                }
                SyncStatus::Failed(failure) => facts.sync_failure = Some((failure.clone(), None)),
                SyncStatus::Pending | SyncStatus::Running | SyncStatus::Other(_) => {}
            }
        }
        facts.sync = Seen::Known(status);
    }

    /// What a failed write tells about the bridge.
    fn step_failed(&mut self, facts: &mut BridgeFacts, step: &Step, error: &CmsError) {
        match step {
            // The one that the record names is gone, and another may have been made.
            Step::CreateCallProfile(_) if error.may_have_taken_effect() => {
                self.record.profiles.get_or_insert_default().call = None;
                facts.call_profile = Seen::Unknown;
            }
            Step::CreateCallLegProfile(_) if error.may_have_taken_effect() => {
                self.record.profiles.get_or_insert_default().call_leg = None;
                facts.call_leg_profile = Seen::Unknown;
            }
            // The profile that we know is gone: make another.
            Step::UpdateCallProfile(..) if error.is_not_found() => facts.call_profile = Seen::Known(None),
            Step::UpdateCallLegProfile(..) if error.is_not_found() => facts.call_leg_profile = Seen::Known(None),
            // One of the profiles is gone: find out which, and make another.
            Step::CreateSet(_) if error.is_not_found() => {
                (facts.call_profile, facts.call_leg_profile) = (Seen::Unknown, Seen::Unknown);
                facts.full_recheck = true;
            }
            Step::StartSync { set } | Step::StartRemoval { set } if error.is_not_found() => {
                self.record.sets.retain(|known| known.id.as_ref() != Some(set));
            }
            Step::ShutSlot { number, .. } | Step::AttachProfiles { number, .. } if error.is_not_found() => {
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.remove(*number);
                }
            }
            _ => {}
        }
        if error.may_have_taken_effect() {
            (self.profiles_untried, self.sets_untried) = (false, false);
        }
    }
}

impl Record {
    /// Is anything of ours on the bridge, as far as the status tells?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A failed sync is tried again: forget its outcome, keep its set.
    pub(super) fn retry_sync(&mut self, facts: &mut BridgeFacts) {
        facts.sync_failure = None;
        facts.sync = Seen::Unknown;
        // A failed sync may have made some of its spaces; those must be known before the next one.
        facts.slots = Seen::Unknown;
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
            }),
        }
    }

    /// Works a successful write into record and facts. `created` is the id of a new object.
    pub(super) fn apply(&mut self, facts: &mut BridgeFacts, step: &Step, created: Option<String>) {
        let fields = |pairs: &Vec<(String, String)>| Seen::Known(Some(pairs.iter().cloned().collect()));
        match step {
            Step::CreateCallProfile(pairs) => {
                self.profiles.get_or_insert_default().call = created;
                self.recheck_slots(facts);
                facts.call_profile = fields(pairs);
            }
            Step::CreateCallLegProfile(pairs) => {
                self.profiles.get_or_insert_default().call_leg = created;
                self.recheck_slots(facts);
                facts.call_leg_profile = fields(pairs);
            }
            Step::UpdateCallProfile(_, pairs) => facts.call_profile = fields(pairs),
            Step::UpdateCallLegProfile(_, pairs) => facts.call_leg_profile = fields(pairs),
            Step::CreateSet(range) => {
                let is_it = |set: &&mut ParameterSet| set.start_index == *range.start() && set.id.is_none();
                if let Some(set) = self.sets.iter_mut().find(is_it) {
                    set.id = created;
                }
            }
            Step::StartSync { set } | Step::StartRemoval { set } => {
                if let Some(known) = self.sets.iter_mut().find(|known| known.id.as_ref() == Some(set)) {
                    known.sync_id = created;
                    known.synced = matches!(step, Step::StartRemoval { .. });
                }
                facts.sync = Seen::Unknown;
            }
            Step::AttachProfiles { space, .. } => {
                facts.attached.insert(space.clone());
            }
            Step::ShutSlot { number, .. } => {
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.set_shut(*number);
                }
            }
            Step::DeleteCall(gone) => {
                if let Seen::Known(calls) = &mut facts.calls {
                    calls.retain(|placed| placed.at() != *gone);
                }
            }
            Step::DeleteSpace { number, .. } => {
                if let Seen::Known(slots) = &mut facts.slots {
                    slots.remove(*number);
                }
            }
            Step::DeleteSet(id) => {
                self.sets.retain(|set| set.id.as_ref() != Some(id));
                facts.sync = Seen::Unknown;
                facts.sync_failure = None;
            }
            Step::DeleteCallProfile(_) => self.profiles.get_or_insert_default().call = None,
            Step::DeleteCallLegProfile(_) => self.profiles.get_or_insert_default().call_leg = None,
        }
    }

    /// A profile was made anew: slots that are there may refer to the one before, and only single looks tell.
    fn recheck_slots(&self, facts: &mut BridgeFacts) {
        facts.attached.clear();
        facts.full_recheck |= self.sets.iter().any(|set| set.synced);
    }
}
