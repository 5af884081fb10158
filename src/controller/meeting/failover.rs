//! What a pass over a meeting does when a call bridge fails: who is to blame, and how the work goes on elsewhere (R29).

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::pass::Pass;
use super::work::Done;
use crate::api::bridge::RunningMeetings;
use crate::api::meeting::CallBinding;
use crate::cluster::Cluster;
use crate::cluster::call_bridge::CallBridge;
use crate::cms::{CmsError, Priority, SpaceId};
use crate::plan::failover::{Sign, blames_call_bridge, is_decisive};
use crate::plan::meeting::{PlacedCall, Step, World};
use crate::plan::participants;
use crate::plan::window::Stage;

/// How long an opening steps aside, at a time, for those whose end is overdue.
pub(super) const OVERDUE_PAUSE: Duration = Duration::from_millis(100);

/// For how long after trouble openings step aside at all.
const OVERDUE_FIRST: SignedDuration = SignedDuration::from_secs(5);

/// An end that comes later than this is overdue: something was in the way.
const OVERDUE: SignedDuration = SignedDuration::from_secs(1);

/// Whether the work goes on with another call bridge.
pub(super) enum Fled {
    Moved,
    /// It does not; this is what is wrong.
    Not(CmsError),
}

/// Does this write go to the database that the cluster shares?
pub(super) fn needs_database(step: &Step) -> bool {
    match step {
        Step::OpenDoor | Step::MarkExtension | Step::CloseDoor | Step::CreateCall => true,
        Step::Dial(_) | Step::DeleteCall(_) => false,
    }
}

impl Pass<'_> {
    /// The call bridge of the meeting's call: the one that has it, or the active one.
    pub(super) fn settle_home(&mut self) {
        let Some(cluster) = self.cluster.clone() else { return };
        let recorded = self.facts.call.as_ref().and_then(CallBinding::at).map(|call| call.call_bridge);
        let lost = recorded.as_ref().filter(|address| cluster.is_lost(address));
        let kept = recorded.as_ref().filter(|_| lost.is_none()).and_then(|address| cluster.call_bridge(address));
        self.home = Some(kept.unwrap_or_else(|| cluster.active()));
        if let Some(lost) = lost {
            self.lost = Some(lost.clone());
        }
    }

    /// What is known of the world at the beginning of a pass, or after a call bridge was lost in it. The call of a call
    /// bridge that is lost is given up, unless running meetings are to be left alone.
    pub(super) fn begin(&mut self, cluster: &Arc<Cluster>, space: &SpaceId, done: &mut Done) -> World {
        self.settle_home();
        let leave =
            self.bridge.as_ref().is_some_and(|bridge| bridge.spec.failover.running_meetings == RunningMeetings::Leave);
        let recorded = self.facts.call.as_ref().and_then(CallBinding::at).map(|call| call.call_bridge);
        if recorded.is_some()
            && recorded == self.lost
            && !self.is_observe_only()
            && (self.is_closing() || !(leave || self.is_suspended()))
        {
            if let Some(lost) = recorded.as_ref().filter(|_| !self.is_closing()) {
                participants::after_call_lost(&mut self.facts.participants, Some(&lost.to_string()));
            }
            self.facts.call = None;
            (done.lost, done.call_is_new) = (true, false);
        }
        // Of a call that is left alone nothing is known, least of all from another call bridge.
        let Some(home) = self.home.as_ref().filter(|_| !self.is_left_alone()) else { return World::default() };
        let call = self.facts.call.as_ref().and_then(CallBinding::at);
        cluster.view(home, space, call.as_ref().map(|call| &call.id))
    }

    /// The recorded call was lost with its call bridge, and nothing is to be done about it.
    pub(super) fn is_left_alone(&self) -> bool {
        let call_bridge = self.facts.call.as_ref().and_then(CallBinding::at).map(|call| call.call_bridge);
        self.lost.is_some() && self.lost == call_bridge
    }

    /// Takes in the failure of a call bridge. Something that is due does not wait for the threshold.
    pub(super) async fn blame(
        &mut self,
        cluster: &Arc<Cluster>,
        call_bridge: &Arc<CallBridge>,
        error: CmsError,
    ) -> Fled {
        let now = self.now();
        let error = cluster.diagnose(call_bridge, error, self.ctx.settings.patience(), now).await;
        if error == CmsError::DatabaseNotReady {
            cluster.memory().database_lost = true;
            self.ctx.wake_bridge(&cluster.key);
        }
        if blames_call_bridge(&error) {
            let due = self.window.stage(now) >= Stage::Inside || self.is_closing();
            let urgent = due && is_decisive(&error);
            let changed = cluster.learn(call_bridge.address(), Sign::Fails(error.clone()), urgent, self.now());
            if changed || cluster.call_bridges().len() > 1 {
                // If it is not clear yet that it is lost, the next probe is to tell soon.
                call_bridge.local().probed = None;
                self.ctx.wake_bridge(&cluster.key);
            }
        }
        let moved = cluster.is_lost(call_bridge.address());
        if moved { Fled::Moved } else { Fled::Not(error) }
    }

    /// A step was sent to a call bridge that is lost now. Whether it was carried out nobody knows.
    pub(super) fn note_fled(&mut self, step: &Step, now: Timestamp) {
        if let Step::Dial(party) = step {
            // It may ring there: the others of the cluster tell.
            self.note_dialled(party, None, now);
        }
    }

    /// The call bridge that a step concerns: what the database holds can be changed on any, a call only where it is.
    pub(super) fn call_bridge_of(&self, step: &Step) -> Option<Arc<CallBridge>> {
        let cluster = self.cluster.as_ref()?;
        match step {
            Step::OpenDoor | Step::MarkExtension | Step::CloseDoor => Some(cluster.active()),
            Step::CreateCall | Step::Dial(_) => self.home.clone(),
            Step::DeleteCall(call) => cluster.call_bridge(&call.call_bridge).or_else(|| self.home.clone()),
        }
    }

    /// The calls on the space on every call bridge that can be asked. One that fails is looked at when it is back.
    pub(super) async fn calls_everywhere(
        &self,
        cluster: &Arc<Cluster>,
        active: &Arc<CallBridge>,
        space: &SpaceId,
        at: Priority,
    ) -> Result<Vec<PlacedCall>, CmsError> {
        let call_bridges = cluster.usable();
        let looks = call_bridges.iter().map(|call_bridge| call_bridge.look_calls(space, at));
        let mut found = Vec::new();
        for (call_bridge, calls) in call_bridges.iter().zip(futures::future::join_all(looks).await) {
            match calls {
                Ok(calls) => found.extend(calls),
                Err(error) if call_bridge.address() == active.address() => return Err(error),
                Err(error) => {
                    call_bridge.local().inspect = true;
                    if blames_call_bridge(&error)
                        && cluster.learn(call_bridge.address(), Sign::Fails(error), false, self.now())
                    {
                        self.ctx.wake_bridge(&cluster.key);
                    }
                }
            }
        }
        Ok(found)
    }

    /// After trouble, what is overdue is shut before anything is opened. While the trouble lasts as far as the probes
    /// know, an opening that tries again by itself might come first.
    pub(super) fn yields_to_overdue(&self, cluster: &Cluster) -> bool {
        let now = self.now();
        let since = cluster.memory().writable_since;
        let just_back = since.is_some_and(|since| now.duration_since(since) < OVERDUE_FIRST);
        self.facts.opened_at.is_none()
            && (just_back || cluster.health(cluster.active().address()).error().is_some())
            && !self.ctx.ledger.overdue(&cluster.key, now).is_empty()
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.now().duration_since(self.window.closes_at) > OVERDUE
    }
}
