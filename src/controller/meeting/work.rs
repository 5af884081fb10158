//! The work of a pass on the bridge: ask the plan, look or write, work the outcome into the facts, ask again.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;

use super::super::backoff;
use super::super::kube_calls::{KubeError, replace_status};
use super::failover::{Fled, OVERDUE_PAUSE, needs_database};
use super::pass::Pass;
use crate::act::{self, MeetingTarget};
use crate::api::ScheduledMeeting;
use crate::api::conditions::meeting as reason;
use crate::api::meeting::{CallBinding, ParticipantState, ParticipantStatus};
use crate::cluster::Cluster;
use crate::cluster::call_bridge::CallBridge;
use crate::cms::{CallAt, Class, CmsError, Priority, SpaceId};
use crate::plan::meeting::{self as plan, Look, Meeting, Next, Obstacle, PlacedCall, Seen, Step, World, pick_call};
use crate::plan::participants::{self, SeenLeg, SeenLegs};
use crate::plan::window::Stage;
use crate::status::meeting::{Part, Problem};

/// A pass ends after this many steps besides one per participant; the next one goes on. A bridge that does not do what
/// it says must not keep us busy for ever.
const STEP_LIMIT: usize = 24;

/// How soon after dialling the legs are looked at, in milliseconds.
pub(super) const FIRST_LOOK_AFTER_DIAL: i64 = 2_000;

/// How a step ended.
enum Turn {
    /// The plan is asked again.
    GoOn,
    /// The call bridge was lost; the work goes on with another one.
    Moved,
    /// The pass ends here.
    Stop,
}

/// What this pass has done so far.
#[derive(Default)]
pub(super) struct Done {
    pub(super) shut_now: bool,
    pub(super) call_is_new: bool,
    pub(super) dialled: bool,
    /// The call that the status recorded was lost in this pass.
    pub(super) lost: bool,
    /// The recorded call was deleted in this pass.
    pub(super) deleted: bool,
}

impl Pass<'_> {
    /// From the moment of preparing on: records the intent, then opens the door, makes the call, dials.
    pub(super) async fn work(&mut self, api: &Api<ScheduledMeeting>) -> Result<(), KubeError> {
        let Some(cluster) = self.connected() else { return Ok(()) };
        let Some(space) = self.find_space(&cluster) else {
            self.obstacle = Some(Obstacle::SpaceMissing);
            self.retry = Some(backoff::jittered(std::time::Duration::from_secs(2)));
            return Ok(());
        };
        if !self.may_be_open {
            self.drive(&space).await;
            if self.obstacle == Some(Obstacle::Foreign) && self.rebook() {
                self.make_secrets().await?;
                self.retry = Some(std::time::Duration::ZERO);
                return Ok(());
            }
            if self.obstacle.is_some() || self.problem.is_some() || self.is_observe_only() || self.is_suspended() {
                return Ok(());
            }
            self.record_intent(api).await?;
            if self.window.stage(self.now()) < Stage::Inside {
                return Ok(());
            }
        }
        let done = self.drive(&space).await;
        if done.dialled {
            self.schedule_look(&space);
        }
        Ok(())
    }

    /// Shuts the door, ends the call, and proves it.
    pub(super) async fn close(&mut self) -> Result<(), KubeError> {
        let Some(cluster) = self.connected() else { return Ok(()) };
        let Some(space) = self.find_space(&cluster) else {
            // The pool is known and the slot is not in it: there is nothing left to shut.
            if cluster.memory().world.pool.known().is_some() {
                self.released = true;
            } else {
                self.retry = Some(backoff::jittered(std::time::Duration::from_secs(2)));
            }
            return Ok(());
        };
        let ends_at = self.window.closes_at;
        self.drive(&space).await;
        if self.released {
            let late = self.now().duration_since(ends_at).as_secs_f64().max(0.0);
            self.ctx.metrics.close_latency.observe(late);
            self.ctx.clear_failures(&self.uid());
        }
        Ok(())
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.meeting.spec.suspend || self.bridge.as_ref().is_some_and(|bridge| bridge.spec.suspend)
    }

    fn connected(&mut self) -> Option<Arc<Cluster>> {
        if self.cluster.is_none() {
            self.problem = Some(Problem {
                part: Part::Door,
                reason: reason::BRIDGE_UNREACHABLE,
                message: "there is no connection to the bridge; see the conditions of the MeetingBridge".to_owned(),
                permanent: false,
            });
            self.retry = Some(std::time::Duration::from_secs(2));
        }
        self.cluster.clone()
    }

    /// The space of the slot: as the pool shows it now, else as recorded (the pool may not be read yet).
    fn find_space(&mut self, cluster: &Cluster) -> Option<SpaceId> {
        let slot = self.facts.slot.as_mut()?;
        if let Some(space) = cluster.space_of_slot(slot.number) {
            slot.space_id = Some(space.to_string());
        }
        slot.space_id.as_deref().map(SpaceId::from)
    }

    /// Stores that the door may be open from now on, with slot and secret, before anything is written to the bridge. A
    /// conflict ends the pass: somebody changed the object, and the decision must be made anew.
    async fn record_intent(&mut self, api: &Api<ScheduledMeeting>) -> Result<(), KubeError> {
        self.may_be_open = true;
        let report = self.report();
        let mut object = self.meeting.clone();
        object.status = Some(report.status);
        let written = replace_status(self.ctx, api, &object).await?;
        self.ctx.metrics.status_writes.get_or_create(&crate::metrics::KindLabels { kind: "ScheduledMeeting" }).inc();
        self.ctx.note_meeting(&written);
        self.meeting = written;
        if let Some(key) = self.bridge_key() {
            self.ctx.wake_bridge(&key);
        }
        Ok(())
    }

    /// Asks the plan until it is settled, blocked, or something failed.
    async fn drive(&mut self, space: &SpaceId) -> Done {
        let mut done = Done::default();
        let Some(cluster) = self.cluster.clone() else { return done };
        let mut world = self.begin(&cluster, space, &mut done);
        for _ in 0..STEP_LIMIT + self.meeting.spec.participants.len() {
            self.digest(&mut world, &mut done);
            match self.next(&world, &done) {
                Next::Settled => {
                    self.settle(&world);
                    return done;
                }
                Next::Blocked(obstacle) => {
                    self.obstacle = Some(obstacle);
                    if !matches!(obstacle, Obstacle::Suspended) {
                        self.retry = Some(backoff::jittered(std::time::Duration::from_secs(5)));
                    }
                    return done;
                }
                Next::Look(look) => {
                    let Err((call_bridge, error)) = self.look(look, space, &mut world).await else { continue };
                    match self.blame(&cluster, &call_bridge, error).await {
                        Fled::Moved => world = self.begin(&cluster, space, &mut done),
                        Fled::Not(error) => {
                            self.fail(part_of_look(look), &error);
                            return done;
                        }
                    }
                }
                Next::Do(_) if self.is_observe_only() => return done,
                // Booked when its time had begun: nothing is written before the intent is recorded.
                Next::Do(_) if !self.may_be_open => return done,
                // Asked right before the door: a call bridge may have come back in the midst of this pass.
                Next::Do(Step::OpenDoor) if self.yields_to_overdue(&cluster) => {
                    match cluster.health(cluster.active().address()).error() {
                        Some(error) => self.fail(Part::Door, error),
                        None => self.retry = Some(OVERDUE_PAUSE),
                    }
                    return done;
                }
                Next::Do(step) if cluster.memory().database_lost && needs_database(&step) => {
                    self.fail(part_of(&step), &CmsError::DatabaseNotReady);
                    return done;
                }
                Next::Do(step) => match self.take_step(&step, space, &mut world, &mut done).await {
                    Turn::GoOn => {}
                    Turn::Moved => world = self.begin(&cluster, space, &mut done),
                    Turn::Stop => return done,
                },
            }
        }
        tracing::warn!(
            namespace = self.meeting.namespace(),
            name = self.meeting.name_any(),
            "too many steps in one pass"
        );
        self.retry = Some(backoff::jittered(std::time::Duration::from_secs(10)));
        done
    }

    fn next(&self, world: &World, done: &Done) -> Next {
        let placeholder = self.placeholder();
        let booking = self.ctx.ledger.booking(&self.uid());
        let busy = booking.is_some_and(|booking| self.ctx.ledger.is_slot_busy(&booking, &self.uid()));
        let call = self.facts.call.as_ref().and_then(CallBinding::at);
        let secrets = self.secrets.as_ref();
        let meeting = Meeting {
            spec: &self.meeting.spec,
            window: self.window,
            mark: &self.mark,
            placeholder: &placeholder,
            leaving: self.is_leaving(),
            suspended: self.is_suspended(),
            may_be_open: self.may_be_open,
            opened: self.facts.opened_at.is_some(),
            released: self.released,
            slot_busy: busy,
            extended: self.must_rewrite(),
            passcode: secrets.and_then(|secrets| secrets.passcode.as_ref()),
            secret: secrets.map(|secrets| &secrets.secret),
            outgoing: self.bridge.as_ref().is_none_or(|bridge| bridge.spec.scheduling.allow_outgoing_sip),
            participants: &self.facts.participants,
            // A call on an address that is no call bridge any more counts only if it is found again.
            call: call
                .as_ref()
                .filter(|call| self.home.as_ref().is_some_and(|home| home.address() == &call.call_bridge)),
            left_alone: self.is_left_alone(),
            shut_now: done.shut_now,
            call_is_new: done.call_is_new,
        };
        plan::next(&meeting, world, self.now())
    }

    fn placeholder(&self) -> String {
        let number = self.facts.slot.as_ref().map_or(0, |slot| slot.number);
        self.bridge.as_ref().map(|bridge| format!("{}{number}", bridge.spec.slots.name_prefix)).unwrap_or_default()
    }

    /// Title, passcode or end changed since this process last wrote the door (R60, R70).
    fn must_rewrite(&self) -> bool {
        use secrecy::ExposeSecret;
        let Some(secrets) = &self.secrets else { return false };
        let (Some((title, passcode, end)), Some(now)) = (&secrets.written, &secrets.passcode) else {
            // After a restart only a later end is known to be new; the rest shows at the next look at the space.
            let stored = self.meeting.status.as_ref().and_then(|status| status.window);
            return self.facts.opened_at.is_some() && stored.is_some_and(|w| w.closes_at.0 < self.window.closes_at);
        };
        *title != self.meeting.spec.title
            || passcode.expose_secret() != now.expose_secret()
            || *end < self.window.closes_at
    }

    /// Works what was seen into call and participants.
    fn digest(&mut self, world: &mut World, done: &mut Done) {
        if let Seen::Known(calls) = &world.calls
            && !self.is_closing()
            && self.digest_calls(calls, done)
        {
            world.legs = Seen::Unknown;
        }
        let outgoing = self.bridge.as_ref().is_none_or(|bridge| bridge.spec.scheduling.allow_outgoing_sip);
        let seen = world.legs.known().filter(|_| self.facts.call.is_some() && !self.is_closing());
        let old = std::mem::take(&mut self.facts.participants);
        let elsewhere = world.elsewhere.known().filter(|_| !self.is_closing());
        self.facts.participants = participants::update(&self.meeting.spec, &old, seen, elsewhere, outgoing);
        if let Some(seen) = seen {
            let ringing = self.facts.participants.iter().filter(|p| p.state == ParticipantState::Ringing);
            let ringing = ringing.filter(|p| seen.legs.iter().any(|leg| p.leg_id.as_deref() == Some(leg.id.as_str())));
            let count = seen.legs.len().saturating_sub(ringing.count());
            let still_in = |p: &&ParticipantStatus| p.call_bridge.is_some() && p.state == ParticipantState::Connected;
            // Those who are still in elsewhere are among the remote ones, if the bridge tells of any.
            let others = self.facts.participants.iter().filter(still_in).count();
            let remote = usize::try_from(world.remote).unwrap_or(0);
            self.facts.participant_count = u32::try_from(count + others.max(remote)).ok();
        }
    }

    /// Works the calls on the space, at the call bridge of the meeting, into the record of its call. True: it has another
    /// call now, and the legs that were seen are not those of this one.
    fn digest_calls(&mut self, calls: &[PlacedCall], done: &mut Done) -> bool {
        let recorded = self.facts.call.as_ref().and_then(CallBinding::at);
        let is_home = |call: &&CallAt| self.home.as_ref().is_some_and(|home| home.address() == &call.call_bridge);
        let elsewhere = recorded.as_ref().filter(|call| !is_home(call)).map(|call| call.call_bridge.to_string());
        match pick_call(calls, recorded.as_ref(), self.window.opens_at) {
            Some(placed) if recorded.as_ref() != Some(&placed.at()) => {
                let same = recorded.as_ref().is_some_and(|call| call.id == placed.call.id);
                if recorded.is_some() && !same && !done.call_is_new {
                    participants::after_call_lost(&mut self.facts.participants, elsewhere.as_deref());
                    done.lost = true;
                }
                if !same {
                    self.call_origin = Some(match (done.call_is_new, done.lost) {
                        (true, true) => reason::RECREATED,
                        (true, false) => reason::CREATED,
                        (false, _) => reason::ADOPTED,
                    });
                }
                self.bind_call(&placed.at(), placed.call.correlator.clone());
                !same && recorded.is_some()
            }
            Some(placed) => {
                if let Some(binding) = &mut self.facts.call
                    && binding.correlator.is_none()
                {
                    binding.correlator.clone_from(&placed.call.correlator);
                }
                false
            }
            None if recorded.is_some() => {
                done.lost = true;
                participants::after_call_lost(&mut self.facts.participants, elsewhere.as_deref());
                self.facts.call = None;
                true
            }
            None => false,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_leaving() || self.window.stage(self.now()) == Stage::Over
    }

    pub(super) fn bind_call(&mut self, call: &CallAt, correlator: Option<String>) {
        self.facts.call =
            Some(CallBinding { id: call.id.to_string(), call_bridge: call.call_bridge.to_string(), correlator });
    }

    async fn look(
        &mut self,
        look: Look,
        space: &SpaceId,
        world: &mut World,
    ) -> Result<(), (Arc<CallBridge>, CmsError)> {
        let (Some(cluster), Some(home)) = (self.cluster.clone(), self.home.clone()) else { return Ok(()) };
        let now = self.now();
        let active = cluster.active();
        let at = |class, deadline| Priority::new(class, deadline).urgent();
        let call = self.facts.call.as_ref().and_then(CallBinding::at);
        let of_active = |error| (Arc::clone(&active), error);
        let of_home = |error| (Arc::clone(&home), error);
        match look {
            Look::Space => {
                let shown = cluster.look_space(space, at(Class::Door, self.window.opens_at), now).await;
                world.space = Seen::Known(shown.map_err(of_active)?);
            }
            Look::Calls => {
                let at = at(Class::Call, self.window.opens_at);
                let mut calls = home.look_calls(space, at).await.map_err(of_home)?;
                if call.is_none() && !calls.is_empty() {
                    // Before a call is taken for this meeting's: is it older than that?
                    for placed in &calls {
                        home.look_age(&placed.call.id, at, now).await.map_err(of_home)?;
                    }
                    let local = home.local();
                    calls = calls.iter().map(|placed| home.placed(&local, &placed.call)).collect();
                }
                world.calls = Seen::Known(calls);
            }
            Look::Legs => {
                let Some(call) = call else { return Ok(()) };
                let at = at(Class::Leg, self.window.starts_at);
                let listing = home.client().call_legs_of(at, &call.id).await.map_err(of_home)?;
                let links = home.local().links.clone();
                let people = listing.items.into_iter().filter(|leg| !links.contains(&leg.id));
                let legs = people.map(plain_leg).collect();
                world.legs = Seen::Known(SeenLegs { at: now, legs });
            }
            Look::Elsewhere => {
                let Some(call) = call else { return Ok(()) };
                let people = home.look_elsewhere(&call.id, at(Class::Leg, self.window.starts_at)).await;
                let mut people = people.map_err(of_home)?;
                people.standing =
                    cluster.strays(&home, space).into_iter().map(|stray| stray.call.call_bridge).collect();
                world.elsewhere = Seen::Known(people);
            }
            Look::Release => {
                let priority = at(Class::Call, self.window.closes_at);
                let everywhere = self.calls_everywhere(&cluster, &active, space, priority);
                let (shown, calls) = tokio::join!(cluster.look_space(space, priority, now), everywhere);
                world.space = Seen::Known(shown.map_err(of_active)?);
                world.calls = Seen::Known(calls.map_err(of_active)?);
            }
        }
        Ok(())
    }

    /// Carries out one step.
    async fn take_step(&mut self, step: &Step, space: &SpaceId, world: &mut World, done: &mut Done) -> Turn {
        let (Some(cluster), Some(call_bridge)) = (self.cluster.clone(), self.call_bridge_of(step)) else {
            return Turn::Stop;
        };
        let started = self.now();
        let placeholder = self.placeholder();
        let call = self.facts.call.as_ref().and_then(CallBinding::at);
        let result = {
            let secrets = self.secrets.as_ref();
            let target = MeetingTarget {
                space,
                call: call.as_ref().map(|call| &call.id),
                title: &self.meeting.spec.title,
                placeholder: &placeholder,
                mark: &self.mark,
                passcode: secrets.and_then(|secrets| secrets.passcode.as_ref()),
                secret: secrets.map(|secrets| &secrets.secret),
                deadline: self.deadline(step),
            };
            act::meeting_step(&call_bridge.client(), &self.ctx.fence, step, &target).await
        };
        let now = self.now();
        if !matches!(step, Step::Dial(_)) {
            cluster.touch(space, now);
        }
        match result {
            Ok(effect) => {
                tracing::info!(
                    namespace = self.meeting.namespace(),
                    name = self.meeting.name_any(),
                    slot = self.facts.slot.as_ref().map(|slot| slot.number),
                    call_bridge = %call_bridge.address(),
                    step = %step,
                    "done"
                );
                self.apply(step, &effect, &call_bridge, world, done, now);
                Turn::GoOn
            }
            Err(error) => match self.blame(&cluster, &call_bridge, error).await {
                Fled::Moved => {
                    self.note_fled(step, started);
                    Turn::Moved
                }
                Fled::Not(error) if self.step_failed(step, &error, space, world, started) => Turn::GoOn,
                Fled::Not(_) => Turn::Stop,
            },
        }
    }

    fn deadline(&self, step: &Step) -> Timestamp {
        match step {
            // What is overdue goes before whatever is to be opened.
            Step::CloseDoor if self.is_overdue() => Timestamp::MIN,
            Step::CloseDoor | Step::DeleteCall(_) => self.window.closes_at.min(self.now()),
            Step::Dial(_) => self.window.starts_at,
            Step::OpenDoor | Step::MarkExtension | Step::CreateCall => self.window.opens_at,
        }
    }
}

fn plain_leg(leg: crate::cms::CallLeg) -> SeenLeg {
    SeenLeg {
        named: !leg.name.is_empty(),
        id: leg.id,
        remote_party: leg.remote_party,
        original_remote_party: leg.original_remote_party,
        state: leg.state,
        direction: leg.direction,
        answered: false,
    }
}

pub(super) fn part_of(step: &Step) -> Part {
    match step {
        Step::OpenDoor | Step::MarkExtension => Part::Door,
        Step::CreateCall => Part::Call,
        Step::Dial(_) => Part::Legs,
        Step::CloseDoor | Step::DeleteCall(_) => Part::Release,
    }
}

fn part_of_look(look: Look) -> Part {
    match look {
        Look::Space => Part::Door,
        Look::Calls => Part::Call,
        Look::Legs | Look::Elsewhere => Part::Legs,
        Look::Release => Part::Release,
    }
}
