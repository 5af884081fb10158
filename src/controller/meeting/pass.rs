//! The state of one pass over a meeting: what is known, what was found, what comes out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::super::bookings::is_live;
use super::super::context::{Context, JoinSecrets};
use super::super::join_secret as join;
use super::super::kube_calls::KubeError;
use crate::api::bridge::ManagementPolicy;
use crate::api::conditions::{kind, meeting as reason};
use crate::api::meeting::{ParticipantState, Phase, SlotBinding};
use crate::api::names::{self, RECONCILE_ANNOTATION};
use crate::api::values::Instant;
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingStatus};
use crate::cluster::call_bridge::CallBridge;
use crate::cluster::{BridgeKey, Cluster};
use crate::cms::Address;
use crate::plan::meeting::Obstacle;
use crate::plan::participants;
use crate::plan::window::{self, Stage, Window};
use crate::status::find;
use crate::status::meeting::{Outcome, Part, Problem, Refusal, build};

/// What a pass reports.
pub struct Report {
    pub status: ScheduledMeetingStatus,
    pub released: bool,
}

/// One pass.
pub struct Pass<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) meeting: ScheduledMeeting,
    pub(super) facts: ScheduledMeetingStatus,
    pub(super) window: Window,
    pub(super) mark: String,
    pub(super) bridge: Option<Arc<MeetingBridge>>,
    pub(super) cluster: Option<Arc<Cluster>>,
    /// The call bridge that the meeting's call is on, or will be.
    pub(super) home: Option<Arc<CallBridge>>,
    /// The call bridge that was lost with the meeting's call.
    pub(super) lost: Option<Address>,
    pub(super) secrets: Option<JoinSecrets>,
    pub(super) refusal: Option<Refusal>,
    pub(super) conflict: Option<String>,
    pub(super) obstacle: Option<Obstacle>,
    pub(super) problem: Option<Problem>,
    pub(super) call_origin: Option<&'static str>,
    pub(super) may_be_open: bool,
    pub(super) released: bool,
    pub(super) retry: Option<Duration>,
}

impl<'a> Pass<'a> {
    /// Starts from the last status.
    pub fn new(ctx: &'a Arc<Context>, meeting: &ScheduledMeeting) -> Self {
        let mut facts = meeting.status.clone().unwrap_or_default();
        let now = ctx.clock.now();
        let mut window = Window::of_meeting(&meeting.spec, &facts);
        if matches!(facts.phase, Some(Phase::Ended | Phase::Missed)) {
            window = window_of_over(&facts, window, now);
            if window.stage(now) != Stage::Over {
                facts = ScheduledMeetingStatus { conditions: facts.conditions, ..ScheduledMeetingStatus::default() };
            }
        }
        if facts.extended_until.is_some_and(|until| until.0 > window.closes_at) {
            (facts.extended_until, facts.extended_from) = (None, None);
        }
        facts.last_handled_reconcile_at = meeting.annotations().get(RECONCILE_ANNOTATION).cloned();
        let phase = facts.phase.unwrap_or_default();
        Self {
            window,
            mark: names::mark(&meeting.namespace().unwrap_or_default(), &meeting.name_any()),
            may_be_open: is_live(phase),
            released: matches!(phase, Phase::Ended | Phase::Missed),
            meeting: meeting.clone(),
            facts,
            ctx,
            bridge: None,
            cluster: None,
            home: None,
            lost: None,
            secrets: None,
            refusal: None,
            conflict: None,
            obstacle: None,
            problem: None,
            call_origin: None,
            retry: None,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.ctx.clock.now()
    }

    pub(super) fn uid(&self) -> String {
        self.meeting.uid().unwrap_or_default()
    }

    /// The object as this pass last wrote it.
    pub fn meeting(&self) -> &ScheduledMeeting {
        &self.meeting
    }

    /// The meeting is to be shut before its time. One that only has a booking on a bridge that goes is booked anew.
    pub(super) fn is_leaving(&self) -> bool {
        let bridge_leaves = self.may_be_open
            && self.bridge.as_ref().is_some_and(|bridge| {
                bridge.metadata.deletion_timestamp.is_some()
                    && bridge.spec.deletion_policy == crate::api::bridge::DeletionPolicy::Delete
            });
        self.meeting.meta().deletion_timestamp.is_some() || bridge_leaves
    }

    pub(super) fn is_observe_only(&self) -> bool {
        self.bridge.as_ref().is_some_and(|bridge| bridge.spec.management_policy == ManagementPolicy::Observe)
    }

    pub(super) fn bridge_key(&self) -> Option<BridgeKey> {
        self.facts.bridge.as_ref().map(|bridge| (bridge.namespace.clone(), bridge.name.clone()))
    }

    /// Look, decide, act.
    ///
    /// # Errors
    /// The apiserver's.
    pub async fn run(&mut self, api: &Api<ScheduledMeeting>) -> Result<(), KubeError> {
        let now = self.now();
        self.attach();
        if self.is_leaving() || self.window.stage(now) == Stage::Over {
            return self.run_closing().await;
        }
        if !self.take_in() {
            return Ok(());
        }
        self.attach();
        self.renew_uri();
        self.move_end();
        self.extend();
        self.prepare_secrets().await?;
        if self.window.stage(self.now()) == Stage::Before {
            return Ok(());
        }
        self.work(api).await
    }

    async fn run_closing(&mut self) -> Result<(), KubeError> {
        if self.is_observe_only() {
            self.released = true;
        }
        if self.may_be_open && !self.released && self.bridge.is_none() {
            // Without its bridge object there is nobody to ask and nothing to wait for.
            self.released = true;
        }
        if !self.may_be_open || self.released {
            self.released = true;
            return Ok(());
        }
        self.close().await
    }

    /// Finds bridge and cluster of the booking.
    pub(super) fn attach(&mut self) {
        let Some(key) = self.bridge_key() else { return };
        self.bridge = self.ctx.bridge(&key);
        self.cluster = self.ctx.cluster(&key);
        self.settle_home();
    }

    /// The join Secret is there from acceptance on, so that invitations can be written.
    async fn prepare_secrets(&mut self) -> Result<(), KubeError> {
        let now = self.now();
        let soon = self.window.stage(now) >= Stage::Preparing;
        let at_hand = self.ctx.secrets(&self.uid());
        let changed = self.meeting.status.as_ref().is_none_or(|status| {
            let shown = |slot: &Option<SlotBinding>| slot.as_ref().map(|slot| (slot.number, slot.uri.clone()));
            shown(&status.slot) != shown(&self.facts.slot)
                || status.observed_generation != self.meeting.metadata.generation
        });
        if at_hand.as_ref().is_some_and(|secrets| secrets.passcode.is_some()) && !changed {
            self.secrets = at_hand;
            return Ok(());
        }
        if self.facts.join_secret_name.is_some() && !changed && !soon {
            return Ok(());
        }
        self.make_secrets().await?;
        if !soon {
            // They are read again when the meeting is near; until then they need not be in memory.
            self.ctx.drop_secrets(&self.uid());
        }
        Ok(())
    }

    /// The slot's space if it carries our mark already: the meeting runs, and its objects were restored.
    fn marked_space(&self, slot: u32) -> Option<crate::cms::Space> {
        let cluster = self.cluster.as_ref().filter(|_| self.window.stage(self.now()) == Stage::Inside)?;
        let memory = cluster.memory();
        memory.world.pool.known()?.space(slot).filter(|space| space.cdr_tag.as_deref() == Some(&self.mark)).cloned()
    }

    /// Makes or reads the join Secret.
    pub(super) async fn make_secrets(&mut self) -> Result<(), KubeError> {
        let Some(slot) = self.facts.slot.clone() else { return Ok(()) };
        let adopted = self.marked_space(slot.number);
        let version =
            self.cluster.as_ref().and_then(|cluster| cluster.system().map(|(_, system)| system.software_version));
        let details = join::Details {
            number: slot.number,
            uri: slot.uri,
            web_bridge_uri: self.bridge.as_ref().and_then(|bridge| bridge.spec.web_bridge_uri.clone()),
            software_version: version,
        };
        self.secrets = Some(join::ensure(self.ctx, &self.meeting, &details, adopted.as_ref()).await?);
        self.facts.join_secret_name = Some(names::join_secret_name(&self.meeting.name_any()));
        Ok(())
    }

    /// Removes what a meeting that is over leaves behind in Kubernetes.
    ///
    /// # Errors
    /// The apiserver's.
    pub async fn clean_up(&mut self) -> Result<(), KubeError> {
        let uid = self.uid();
        self.ctx.drop_secrets(&uid);
        if let Some(name) = &self.meeting.status.as_ref().and_then(|status| status.join_secret_name.clone()) {
            join::remove(self.ctx, &self.meeting, name).await?;
        }
        Ok(())
    }

    /// What this pass came to.
    pub fn report(&self) -> Report {
        let now = self.now();
        let mut facts = self.facts.clone();
        let outgoing = self.bridge.as_ref().is_none_or(|bridge| bridge.spec.scheduling.allow_outgoing_sip);
        facts.participants = participants::update(&self.meeting.spec, &facts.participants, None, None, outgoing);
        let closing = self.is_leaving() || self.window.stage(now) == Stage::Over;
        if closing && self.released {
            facts.call = None;
            facts.join_secret_name = None;
            facts.participant_count = None;
            facts.ended_at = facts.ended_at.or(Some(Instant::shown(now)));
        }
        let outcome = Outcome {
            spec: &self.meeting.spec,
            facts,
            window: self.window,
            leaving: self.is_leaving(),
            refusal: self.refusal.clone(),
            extension_conflict: self.conflict.clone(),
            obstacle: self.obstacle,
            problem: self.problem.clone(),
            call_origin: self.call_origin,
            lost_bridge: self.lost.as_ref().map(ToString::to_string),
            may_be_open: self.may_be_open,
            released: self.released,
            observe_only: self.is_observe_only(),
        };
        let old = self.meeting.status.clone().unwrap_or_default();
        let status = build(&outcome, &old, self.meeting.metadata.generation, now);
        Report { status, released: self.released }
    }

    /// When to look again.
    pub fn wake(&self) -> Option<Duration> {
        let now = self.now();
        let closing = self.is_leaving() || self.window.stage(now) == Stage::Over;
        if closing && self.released {
            return None;
        }
        let dial = participants::next_dial(&self.meeting.spec, &self.facts.participants, self.window.starts_at, now)
            .filter(|_| self.facts.call.is_some());
        let instant = self.window.next_instant(&self.meeting.spec, now).into_iter().chain(dial).min();
        let sleep = instant.map(|at| window::sleep(now, at));
        sleep.into_iter().chain(self.retry).min()
    }

    /// Events and wake-ups after the status was written.
    pub async fn announce(&self, written: &ScheduledMeeting) {
        let before = self.meeting.status.as_ref();
        let Some(after) = &written.status else { return };
        let phase = after.phase.unwrap_or_default();
        let old_phase = before.and_then(|status| status.phase).unwrap_or_default();
        let opened = before.is_none_or(|status| status.opened_at.is_none()) && after.opened_at.is_some();
        let number = after.slot.as_ref().map_or(0, |slot| slot.number);
        let object = written;
        if opened {
            let note = format!("slot {number} is open");
            self.ctx.event(object, EventType::Normal, "Opened", "Open", note).await;
        }
        let conditions = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let was_told = find(conditions, kind::CALL_PRESENT).is_some_and(|known| known.reason == reason::BRIDGE_LOST);
        if let Some(lost) = self.lost.as_ref().filter(|_| !was_told) {
            let note = format!("the call bridge {lost} was lost with the call");
            self.ctx.event(object, EventType::Warning, "CallBridgeLost", "Failover", note).await;
        }
        if self.call_origin == Some(reason::RECREATED) {
            let call_bridge = after.call.as_ref().map_or("", |call| call.call_bridge.as_str());
            let dialled = after.participants.iter().filter(|p| p.state == ParticipantState::Ringing).count();
            let still_in = after.participants.iter().filter(|p| p.call_bridge.is_some()).count();
            let note =
                format!("the call was made again on {call_bridge}: {dialled} dialled again, {still_in} still in");
            self.ctx.event(object, EventType::Normal, "CallRecreated", "Failover", note).await;
        }
        if phase == old_phase {
            return;
        }
        match phase {
            Phase::Ended => {
                let note = format!("slot {number} is shut and has a new secret");
                self.ctx.event(object, EventType::Normal, "Ended", "Close", note).await;
            }
            Phase::Missed => {
                let note = "the window passed without the door being opened".to_owned();
                self.ctx.event(object, EventType::Warning, "Missed", "Open", note).await;
            }
            _ => {}
        }
        if matches!(phase, Phase::Ended | Phase::Missed) {
            self.wake_waiting();
        }
        // Its sweeps begin with the call.
        let has_call = |status: Option<&ScheduledMeetingStatus>| status.is_some_and(|status| status.call.is_some());
        if (is_live(phase) != is_live(old_phase) || has_call(before) != has_call(Some(after)))
            && let Some(key) = self.bridge_key()
        {
            self.ctx.wake_bridge(&key);
        }
    }

    /// Wakes those who wait for what this meeting gave up: the next one in the slot, and those without any.
    pub fn wake_waiting(&self) {
        let slot = self.meeting.status.as_ref().and_then(|status| status.slot.as_ref()).map(|slot| slot.number);
        if let (Some(key), Some(slot)) = (self.bridge_key(), slot) {
            for (namespace, name) in self.ctx.ledger.waiting_for(&key, slot) {
                self.ctx.wake_meeting(&namespace, &name);
            }
        }
        for (namespace, name) in self.ctx.ledger.pending_names() {
            self.ctx.wake_meeting(&namespace, &name);
        }
    }

    pub(super) fn fail(&mut self, part: Part, error: &crate::cms::CmsError) {
        use crate::cms::{CmsError, ErrorClass};
        let failures = self.ctx.count_failure(&self.uid());
        self.retry = Some(super::backoff::after(error, failures, self.window.stage(self.now()) >= Stage::Inside));
        let (reason, permanent) = match error.class() {
            _ if matches!(error, CmsError::PasscodeTooShort) => (reason::PASSCODE_REJECTED, true),
            ErrorClass::Invalid if is_about_passcode(error) => (reason::PASSCODE_REJECTED, true),
            ErrorClass::Invalid | ErrorClass::Conflict => (reason::REJECTED, true),
            ErrorClass::NotFound => (reason::SPACE_MISSING, false),
            ErrorClass::Busy => (reason::BUSY, false),
            ErrorClass::Unreachable | ErrorClass::Auth | ErrorClass::Malformed | ErrorClass::Blocked => {
                (reason::BRIDGE_UNREACHABLE, false)
            }
        };
        tracing::warn!(
            namespace = self.meeting.namespace(),
            name = self.meeting.name_any(),
            ?part,
            reason,
            %error,
            "step failed"
        );
        self.problem = Some(Problem { part, reason, message: error.to_string(), permanent });
    }
}

/// The window of a meeting that is over: what is asked for, so that an edit of it gives the meeting a new life, unless
/// that is what was refused while it ran; then the old end stands, whatever else is edited.
fn window_of_over(facts: &ScheduledMeetingStatus, asked: Window, now: Timestamp) -> Window {
    let refused = facts.refused_window.map(Window::from) == Some(asked);
    // It may have ended before its time, because its bridge went.
    let over = facts.window.map(Window::from).filter(|stored| stored.stage(now) == Stage::Over);
    over.filter(|_| refused).unwrap_or(asked)
}

fn is_about_passcode(error: &crate::cms::CmsError) -> bool {
    matches!(error, crate::cms::CmsError::ParameterError { parameter, .. } if parameter.eq_ignore_ascii_case("passcode"))
}
