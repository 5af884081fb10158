//! What the loop reaches out with for a meeting: the call bridges of its cluster, and the apiserver for its intent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::act;
use crate::api::ScheduledMeeting;
use crate::cluster::{Asked, CallBridge, Cluster, Source, in_time};
use crate::cms::{CallAt, Class, CmsError, ErrorClass, Priority, SpaceId};
use crate::controller::context::Context;
use crate::controller::kube_calls::KubeError;
use crate::controller::lifecycle;
use crate::drive::Reach;
use crate::facts::Seen;
use crate::facts::calls::PlacedCall;
use crate::facts::meeting::MeetingFacts;
use crate::plan::meeting::{Around, Door, Effect, Found, Look, Place, Progress, SettingsTerms, Step, Survey};
use crate::plan::order::Order;
use crate::plan::verdict::Verdict;
use crate::plan::window::Stage;
use crate::status::meeting::build;

/// How soon after dialling the legs are looked at.
const FIRST_LOOK_AFTER_DIAL: SignedDuration = SignedDuration::from_secs(2);

/// How long a meeting waits for what is only told to people.
const LONGEST_TELLING: Duration = Duration::from_secs(5);

/// A request that failed, and the call bridge that was asked.
type Failed = (Arc<CallBridge>, CmsError);

pub struct MeetingReach<'a> {
    ctx: &'a Arc<Context>,
    cluster: &'a Arc<Cluster>,
    meeting: &'a mut ScheduledMeeting,
    facts: MeetingFacts,
}

impl<'a> MeetingReach<'a> {
    /// Nothing was seen yet.
    pub fn new(ctx: &'a Arc<Context>, cluster: &'a Arc<Cluster>, meeting: &'a mut ScheduledMeeting) -> Self {
        Self { ctx, cluster, meeting, facts: MeetingFacts::default() }
    }

    /// Tells others what this pass has found out: the cluster, metrics, caches.
    pub fn settle(self, progress: &mut Progress) {
        let uid = self.meeting.uid().unwrap_or_default();
        super::take_notes(self.ctx, &uid, self.cluster, progress);
        if progress.door == Door::Released
            && !progress.taken_over
            && let Seen::Known(Some(space)) = &self.facts.space
        {
            self.cluster.note_shut(&space.id);
        }
        let now = self.ctx.clock.now();
        let is_waiting = progress.terms.settings.as_ref().is_some_and(SettingsTerms::is_pending)
            && progress.stage(now) != Stage::Before
            && !progress.is_closing(now);
        if is_waiting {
            self.ctx.wakes.bridge(self.cluster.key());
        }
        let soon = now.checked_add(FIRST_LOOK_AFTER_DIAL).ok().filter(|_| progress.tried.dialled);
        if let (Some(soon), Some(space)) = (soon, progress.space()) {
            self.cluster.want_sweep(&space, now, soon);
            self.ctx.wakes.bridge(self.cluster.key());
        }
        if let Some(problem) = &progress.problem {
            let (namespace, name) = (self.meeting.namespace(), self.meeting.name_any());
            let (part, reason) = (problem.part, problem.reason);
            if self.ctx.backoff.is_worth_a_line(&uid, reason) {
                tracing::warn!(namespace, name, ?part, reason, error = problem.message, "step failed");
            } else {
                tracing::debug!(namespace, name, ?part, reason, error = problem.message, "step failed");
            }
        }
    }

    /// Is the step still wanted when its turn comes? Nobody is let in or rung after the end, whatever the queue; and nothing
    /// is done for an order that was changed meanwhile.
    fn still_wants(&self, progress: &Progress, step: &Step) -> impl Fn() -> bool + Send + Sync + 'static {
        let (ctx, order, key) = (Arc::clone(self.ctx), Order::of(self.meeting), ObjectRef::from_obj(self.meeting));
        let (lets_in, until) = (step.lets_in(), step.is_worth_it_until(&progress.window));
        move || {
            let shown = ctx.stores.meetings.get(&key).map(|stored| Order::of(stored.as_ref()));
            // Whatever became of the object: a door that it left open is shut.
            let is_current = shown.map_or(!lets_in, |shown| !order.is_superseded_by(&shown));
            is_current && ctx.clock.now() < until
        }
    }

    /// The call bridge of the meeting's call, or the active one.
    fn call_bridge(&self, progress: &Progress) -> Arc<CallBridge> {
        let known = progress.call_bridge.as_ref().and_then(|address| self.cluster.call_bridge(address));
        known.unwrap_or_else(|| self.cluster.active())
    }

    fn place_of(&self, progress: &Progress, step: &Step) -> Arc<CallBridge> {
        match step.place() {
            Place::Any => self.cluster.active(),
            Place::OfMeeting => self.call_bridge(progress),
            Place::OfCall(call) => {
                self.cluster.call_bridge(&call.call_bridge).unwrap_or_else(|| self.call_bridge(progress))
            }
        }
    }

    async fn judge(&self, progress: &Progress, asked: Option<Asked>, (at, error): Failed) -> Verdict {
        let now = self.ctx.clock.now();
        let is_due = progress.stage(now) >= Stage::Inside || progress.is_closing(now);
        let source = asked.map(|asked| self.cluster.source(&asked, &at, &error, is_due));
        let source = source.unwrap_or(Source::Meeting { is_due });
        self.cluster.judge(&at, error, source).await
    }

    async fn ask(&self, progress: &Progress, look: Look, now: Timestamp) -> Result<Found, Failed> {
        let (cluster, active, here) = (self.cluster, self.cluster.active(), self.call_bridge(progress));
        let Some(space) = progress.space() else { return Ok(Found::Nothing) };
        let call = progress.recorded_call();
        let at = |class, deadline| Priority::new(class, deadline).urgent();
        let of_active = |error| (Arc::clone(&active), error);
        let of_here = |error| (Arc::clone(&here), error);
        let window = progress.window;
        Ok(match look {
            Look::Space => {
                let shown = cluster.read_space(&space, at(Class::Door, window.opens_at), now).await;
                Found::Space(shown.map_err(of_active)?)
            }
            Look::Mark => {
                let shown = cluster.read_space(&space, at(Class::Door, window.closes_at.min(now)), now).await;
                Found::Space(shown.map_err(of_active)?)
            }
            Look::Methods => {
                let deadline = if progress.is_closing(now) { window.closes_at.min(now) } else { window.opens_at };
                let seen = cluster.read_access_methods(&space, &progress.terms.marks, at(Class::Call, deadline));
                let seen = in_time(seen).await.map_err(of_active)?;
                if progress.minds_other_ways_in(&seen) {
                    cluster.note_useless(&space, "somebody else has an access method there", now);
                }
                Found::Methods(seen)
            }
            Look::Calls => {
                let at = at(Class::Call, window.opens_at);
                // Before a call is taken for this meeting's: is it older than that?
                let known = call.as_ref().map(|call| &call.id);
                let calls = in_time(cluster.read_aged_calls(&here, &space, known, at, now)).await;
                Found::Calls(calls.map_err(of_here)?)
            }
            Look::Boot => {
                let booted = cluster.read_boot(&here).await.map_err(of_here)?;
                let call = call.filter(|_| !progress.was_restarted(booted));
                // A list may be older than the call, or leave it out.
                let asked = call.as_ref().map(|call| cluster.read_call(&here, &call.id, at(Class::Call, now)));
                let shown = OptionFuture::from(asked).await.transpose().map_err(of_here)?.flatten();
                let is_here = |shown: &PlacedCall| shown.call.space.as_ref().is_none_or(|of| *of == space);
                shown.filter(is_here).map_or(Found::Boot(booted), Found::StillThere)
            }
            Look::RecordedCall => {
                let Some(call) = call else { return Ok(Found::Nothing) };
                if here.has_made(&call.id, &space) {
                    return Ok(Found::RecordedCall(Some(call)));
                }
                let shown = cluster.read_call(&here, &call.id, at(Class::Call, window.closes_at)).await;
                recorded_call(call, shown, &space).map_err(of_here)?
            }
            Look::Legs => {
                let Some(call) = call else { return Ok(Found::Nothing) };
                Found::Legs(here.read_legs(&call.id, at(Class::Leg, window.starts_at), now).await.map_err(of_here)?)
            }
            Look::Elsewhere => {
                let at = Priority::new(Class::Notice, now);
                // One that does not answer is left out: nothing waits for what is only told.
                let (calls, silent) = cluster.calls_elsewhere(&here, &space, at, LONGEST_TELLING).await;
                Found::Elsewhere { calls, silent }
            }
            Look::OnLostBridge => {
                let Some(call) = call else { return Ok(Found::Nothing) };
                let at = at(Class::Leg, window.starts_at);
                let people = in_time(cluster.read_on_lost_bridge(&here, &call.id, &space, at)).await;
                Found::OnLostBridge(people.map_err(of_here)?)
            }
            Look::Release => {
                let at = at(Class::Call, window.closes_at);
                let everywhere = cluster.calls_everywhere(&active, &space, at);
                let (space, calls) = tokio::join!(cluster.read_space(&space, at, now), everywhere);
                Found::Release { space: space.map_err(of_active)?, calls: calls.map_err(of_active)? }
            }
        })
    }
}

/// What a look at the recorded call tells of it.
fn recorded_call(
    call: CallAt,
    shown: Result<Option<PlacedCall>, CmsError>,
    space: &SpaceId,
) -> Result<Found, CmsError> {
    match shown {
        // Where it does not say which space it is on, the list of those on ours tells.
        Ok(shown) => {
            let is_here = |shown: &PlacedCall| shown.call.space.as_ref() == Some(space);
            Ok(Found::RecordedCall(shown.filter(is_here).map(|_| call)))
        }
        Err(error) if is_away(&error) => Err(error),
        // It answers, but not that. People are not left in for the sake of one look, nor is anybody blamed.
        Err(_) => Ok(Found::Nothing),
    }
}

/// Could the call bridge not be asked at all?
fn is_away(error: &CmsError) -> bool {
    matches!(error.class(), ErrorClass::Unreachable | ErrorClass::Auth | ErrorClass::Blocked)
}

impl Reach<Progress> for MeetingReach<'_> {
    type Abort = KubeError;

    fn now(&self) -> Timestamp {
        self.ctx.clock.now()
    }

    fn survey(&mut self, progress: &Progress, now: Timestamp) -> Survey {
        let recorded = progress.recorded_call();
        let address = recorded.as_ref().map(|call| &call.call_bridge);
        let is_evacuated = address.is_some_and(|address| self.cluster.is_evacuated(address));
        let lost = address.filter(|address| is_evacuated || self.cluster.is_lost(address)).cloned();
        let kept = address.filter(|address| lost.is_none() && self.cluster.call_bridge(address).is_some());
        let call_bridge = kept.cloned().unwrap_or_else(|| self.cluster.active().address().clone());
        let call = recorded.as_ref().filter(|call| call.call_bridge == call_bridge).map(|call| &call.id);
        let believed = progress.believes_since(now);
        let facts = progress.space().map(|space| self.cluster.view(&call_bridge, (&space, believed), call));
        let mut facts = facts.unwrap_or_default();
        if self.cluster.usable().len() <= 1 {
            facts.elsewhere = Seen::Known(Vec::new());
        }
        Survey { call_bridge, lost, is_evacuated, facts }
    }

    fn around(&mut self, progress: &Progress, now: Timestamp) -> Around {
        let uid = self.meeting.uid().unwrap_or_default();
        let (booking, space) = (self.ctx.bookings.of(&uid), progress.space());
        Around {
            slot_busy: booking.is_some_and(|booking| self.ctx.bookings.is_slot_busy(&booking, space.as_ref(), &uid)),
            database_lost: self.cluster.is_database_lost(),
            overdue_first: self.cluster.has_trouble(now) && self.ctx.bookings.has_overdue(self.cluster.key(), now),
            active_error: self.cluster.active_error(),
        }
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut MeetingFacts) -> T) -> T {
        use_facts(&mut self.facts)
    }

    async fn look(&mut self, progress: &Progress, look: &Look, now: Timestamp) -> Result<Found, Verdict> {
        match self.ask(progress, *look, now).await {
            Ok(found) => {
                if let Some(space) = progress.space() {
                    self.cluster.note_answered(&Asked::Look(space, *look));
                }
                Ok(found)
            }
            Err(failed) => {
                let asked = progress.space().map(|space| Asked::Look(space, *look));
                Err(self.judge(progress, asked, failed).await)
            }
        }
    }

    async fn act(&mut self, progress: &Progress, step: &Step, now: Timestamp) -> Result<(Effect, Timestamp), Verdict> {
        let at = self.place_of(progress, step);
        let (Some(space), Some(write)) = (progress.space(), progress.write(step, at.address())) else {
            // The plan asks for nothing of which a part is missing; the next pass finds out what to do instead.
            let detail = "a part of what is to be written is not at hand".to_owned();
            return Err(Verdict::Retry(CmsError::MalformedReply { detail }));
        };
        let has_begun = Arc::new(AtomicBool::new(false));
        let client = at.client().only_while({
            let (still_wants, has_begun) = (self.still_wants(progress, step), Arc::clone(&has_begun));
            move || {
                has_begun.store(true, Ordering::Relaxed);
                still_wants()
            }
        });
        let work = act::meeting_step(&at, &client, (step, write), &space, step.deadline(&progress.window, now));
        let result = if matches!(step, Step::Tell { .. }) {
            // The end of the meeting must not wait behind it, at the gate or for a reply; the bridge is not judged by it.
            match tokio::time::timeout(LONGEST_TELLING, work).await {
                Ok(result) => result,
                Err(_) if has_begun.load(Ordering::Relaxed) => return Err(Verdict::Retry(CmsError::Timeout)),
                // Its turn has not come.
                Err(_) => return Ok((Effect::PutOff, self.ctx.clock.now())),
            }
        } else {
            work.await
        };
        let done = self.ctx.clock.now();
        match step {
            Step::Dial(_) | Step::HangUp { .. } => self.cluster.note_dial(&space, done),
            Step::Tell { .. } => {} // Nothing that a look shows.
            _ => self.cluster.note_write(&space, done),
        }
        match result {
            Ok(effect) => {
                let slot = progress.draft.slot.as_ref().map(|slot| slot.number);
                let (namespace, name) = (self.meeting.namespace(), self.meeting.name_any());
                tracing::info!(namespace, name, slot, call_bridge = %at.address(), step = %step, "done");
                self.cluster.note_done(&at);
                match step {
                    Step::DeleteCall(call) => at.forget_call(&call.id),
                    Step::CreateCall => {
                        if let Effect::CallCreated(call) = &effect {
                            at.note_made(&call.id, &space);
                        }
                    }
                    Step::OpenDoor | Step::MarkExtension => {
                        self.cluster.note_opened(&space, &progress.terms.spec.title)
                    }
                    _ => {}
                }
                self.cluster.note_answered(&Asked::Write(space, step.class()));
                Ok((effect, done))
            }
            Err(CmsError::Superseded) => Err(Verdict::Retry(CmsError::Superseded)),
            // No call bridge is left at once for the sake of a text.
            Err(error) if matches!(step, Step::Tell { .. }) => {
                Err(self.cluster.judge(&at, error, Source::Meeting { is_due: false }).await)
            }
            Err(error) => Err(self.judge(progress, Some(Asked::Write(space, step.class())), (at, error)).await),
        }
    }

    /// A conflict ends the pass: somebody changed the object, and the decision must be made anew.
    async fn record(&mut self, progress: &Progress) -> Result<(), KubeError> {
        let old = self.meeting.status.clone().unwrap_or_default();
        let status = build(progress, &old, self.meeting.metadata.generation, self.ctx.clock.now());
        *self.meeting = lifecycle::store(self.ctx, self.meeting, status).await?;
        self.ctx.wakes.bridge(self.cluster.key());
        Ok(())
    }
}
