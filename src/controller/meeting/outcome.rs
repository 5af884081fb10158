//! What a step on the bridge brought about, or failed with, worked into the facts of a pass.

use jiff::Timestamp;
use kube::Resource;

use super::pass::Pass;
use super::work::{Done, FIRST_LOOK_AFTER_DIAL, part_of};
use crate::act::Effect;
use crate::api::conditions::meeting as reason;
use crate::api::meeting::ParticipantState;
use crate::api::values::Instant;
use crate::cluster::call_bridge::CallBridge;
use crate::cms::{CallId, CmsError, ErrorClass, SpaceId};
use crate::plan::meeting::{Seen, Step, World};
use crate::plan::participants;
use crate::status::meeting::Part;

impl Pass<'_> {
    pub(super) fn apply(
        &mut self,
        step: &Step,
        effect: &Effect,
        call_bridge: &CallBridge,
        world: &mut World,
        done: &mut Done,
        now: Timestamp,
    ) {
        match step {
            Step::OpenDoor | Step::MarkExtension => {
                world.space = Seen::Unknown;
                if self.facts.opened_at.is_none() {
                    self.door_opened(now);
                } else if *step == Step::OpenDoor {
                    self.ctx.metrics.door_repairs.inc();
                }
                self.note_written();
            }
            Step::CloseDoor => {
                done.shut_now = true;
                world.space = Seen::Unknown;
                // Somebody may have joined until the door was shut: the calls are looked at again.
                world.calls = Seen::Unknown;
            }
            Step::CreateCall => {
                if let Effect::Created(id) = effect {
                    let recreated = done.lost;
                    done.call_is_new = true;
                    self.call_origin = Some(if recreated { reason::RECREATED } else { reason::CREATED });
                    self.bind_call(&call_bridge.place(&CallId::from(id.as_str())), None);
                    self.note_recovery(now);
                    world.calls = Seen::Unknown;
                    world.legs = Seen::Unknown;
                }
            }
            Step::DeleteCall(call) => {
                done.deleted = true;
                if !self.is_closing() {
                    // It was left behind and nobody is in it any more.
                    participants::after_stray_gone(&mut self.facts.participants, &call.call_bridge);
                }
                if self.facts.call.as_ref().is_some_and(|known| known.id == call.id.as_str()) {
                    self.facts.call = None;
                }
                call_bridge.forget_call(&call.id);
                world.strays.retain(|stray| stray.call.at() != *call);
                world.calls = Seen::Unknown;
            }
            Step::Dial(party) => {
                done.dialled = true;
                self.ctx.metrics.dials.inc();
                let leg = match effect {
                    Effect::Created(id) => Some(id.clone()),
                    Effect::Done => None,
                };
                self.note_dialled(party, leg, now);
            }
        }
    }

    fn door_opened(&mut self, now: Timestamp) {
        let created = self.meeting.meta().creation_timestamp.as_ref().map_or(self.window.opens_at, |time| time.0);
        let latency = now.duration_since(self.window.opens_at.max(created)).as_secs_f64().max(0.0);
        self.facts.opened_at = Some(Instant::shown(now));
        self.facts.open_latency = Some(format!("{latency:.3}s"));
        self.ctx.metrics.open_latency.observe(latency);
        self.ctx.clear_failures(&self.uid());
    }

    fn note_written(&mut self) {
        if let Some(secrets) = &mut self.secrets
            && let Some(passcode) = secrets.passcode.clone()
        {
            secrets.written = Some((self.meeting.spec.title.clone(), passcode, self.window.closes_at));
            let secrets = secrets.clone();
            self.ctx.keep_secrets(&self.uid(), secrets);
        }
    }

    /// How long a meeting was without call, from the first failure of its call bridge.
    fn note_recovery(&self, now: Timestamp) {
        let (Some(cluster), Some(lost)) = (&self.cluster, &self.lost) else { return };
        if let Some(since) = cluster.health(lost).failing_since() {
            self.ctx.metrics.recovery.observe(now.duration_since(since).as_secs_f64().max(0.0));
        }
    }

    pub(super) fn note_dialled(&mut self, party: &str, leg: Option<String>, now: Timestamp) {
        if let Some(status) = self.facts.participants.iter_mut().find(|status| status.remote_party == party) {
            status.attempts = status.attempts.saturating_add(1);
            status.state = ParticipantState::Ringing;
            status.leg_id = leg;
            status.reason = None;
            status.last_attempt_at = Some(Instant(now));
        }
    }

    /// Works a failure in. True: the pass can go on.
    pub(super) fn step_failed(
        &mut self,
        step: &Step,
        error: &CmsError,
        space: &SpaceId,
        world: &mut World,
        now: Timestamp,
    ) -> bool {
        match step {
            Step::Dial(party) if error.is_not_found() => {
                // The call went while we were at it: make it again.
                tracing::info!(party, "the call is gone");
                world.calls = Seen::Known(Vec::new());
                world.legs = Seen::Unknown;
                true
            }
            Step::Dial(party) if error.may_have_taken_effect() => {
                // It may ring: count it, and let the next look tell.
                self.note_dialled(party, None, now);
                self.fail(Part::Legs, error);
                self.schedule_look(space);
                false
            }
            Step::Dial(party) if matches!(error.class(), ErrorClass::Invalid | ErrorClass::Conflict) => {
                self.reject_party(party, error, now);
                true
            }
            Step::OpenDoor | Step::MarkExtension | Step::CreateCall if error.is_not_found() => {
                self.space_gone(space);
                self.fail(part_of(step), error);
                false
            }
            Step::CloseDoor if error.is_not_found() => {
                self.space_gone(space);
                self.released = true;
                false
            }
            _ => {
                self.fail(part_of(step), error);
                false
            }
        }
    }

    fn space_gone(&self, space: &SpaceId) {
        let Some(cluster) = &self.cluster else { return };
        if let Seen::Known(pool) = &mut cluster.memory().world.pool {
            pool.take_space(space, None);
        }
        self.ctx.wake_bridge(&cluster.key);
    }

    fn reject_party(&mut self, party: &str, error: &CmsError, now: Timestamp) {
        if let Some(status) = self.facts.participants.iter_mut().find(|status| status.remote_party == party) {
            status.attempts = status.attempts.saturating_add(1);
            status.state = ParticipantState::Failed;
            status.reason = Some(error.reason().to_owned());
            status.last_attempt_at = Some(Instant(now));
        }
    }

    pub(super) fn schedule_look(&self, space: &SpaceId) {
        let Some(cluster) = &self.cluster else { return };
        let now = self.now();
        let soon = now.checked_add(jiff::SignedDuration::from_millis(FIRST_LOOK_AFTER_DIAL));
        if let Ok(soon) = soon {
            cluster.want_sweep(space, now, soon);
            self.ctx.wake_bridge(&cluster.key);
        }
    }

    pub(super) fn settle(&mut self, world: &World) {
        if self.is_closing() {
            self.released = true;
            if let (Some(cluster), Seen::Known(Some(space))) = (&self.cluster, &world.space)
                && let Seen::Known(pool) = &mut cluster.memory().world.pool
                && let Some(number) = pool.number(&space.id)
            {
                pool.set_shut(number);
            }
        }
    }
}
