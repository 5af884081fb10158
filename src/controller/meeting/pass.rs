//! The state of one pass over a meeting: what is known, what was found, what comes out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::super::context::{Context, JoinSecrets};
use super::super::kube_calls::KubeError;
use super::super::ledger::{Booking, is_live};
use super::{intake, join};
use crate::api::bridge::ManagementPolicy;
use crate::api::conditions::meeting as reason;
use crate::api::meeting::{BridgeBinding, Phase, SlotBinding};
use crate::api::names::{self, RECONCILE_ANNOTATION};
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingStatus};
use crate::observe::link::{BridgeKey, Link};
use crate::plan::meeting::Obstacle;
use crate::plan::participants;
use crate::plan::window::{self, Stage, Window};
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
    pub(super) link: Option<Arc<Link>>,
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
        let over = matches!(facts.phase, Some(Phase::Ended | Phase::Missed));
        if over && Window::of(&meeting.spec, None).stage(now) != Stage::Over {
            // An edit gave a meeting that was over a new window: it is a new booking.
            facts = ScheduledMeetingStatus { conditions: facts.conditions, ..ScheduledMeetingStatus::default() };
        }
        facts.last_handled_reconcile_at = meeting.annotations().get(RECONCILE_ANNOTATION).cloned();
        let phase = facts.phase.unwrap_or_default();
        Self {
            window: Window::of(&meeting.spec, facts.extended_until.map(|until| until.0)),
            mark: names::mark(&meeting.namespace().unwrap_or_default(), &meeting.name_any()),
            may_be_open: is_live(phase),
            released: matches!(phase, Phase::Ended | Phase::Missed),
            meeting: meeting.clone(),
            facts,
            ctx,
            bridge: None,
            link: None,
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

    pub(super) fn is_leaving(&self) -> bool {
        let bridge_leaves = self.bridge.as_ref().is_some_and(|bridge| {
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

    /// Finds bridge and link of the booking.
    fn attach(&mut self) {
        let Some(key) = self.bridge_key() else { return };
        self.bridge = self.ctx.bridge(&key);
        self.link = self.ctx.link(&key);
    }

    /// Books a slot, or keeps the one that is booked. False: there is none, and the refusal says why.
    fn take_in(&mut self) -> bool {
        let uid = self.uid();
        let has = self.ctx.ledger.booking(&uid);
        if self.may_be_open && has.is_some() && self.bridge.is_some() {
            return true;
        }
        if has.is_some() && self.is_booking_good(has.as_ref()) {
            return true;
        }
        if self.wants_pool_first() {
            self.retry = Some(Duration::from_millis(500));
            self.refusal = Some(Refusal {
                reason: reason::NO_FREE_SLOT,
                message: "the bridge's slots are not known yet".to_owned(),
            });
            return false;
        }
        match self.adopt_running().map_or_else(|| intake::book(self.ctx, &self.meeting), Ok) {
            Ok(booking) => {
                self.bind(&booking);
                true
            }
            Err(refusal) => {
                self.ctx.ledger.release(&uid);
                self.facts.slot = None;
                self.facts.bridge = None;
                self.refusal = Some(refusal);
                false
            }
        }
    }

    /// The booking still is what the spec asks for: same window, same bridge, a slot that is not in quarantine.
    fn is_booking_good(&self, booking: Option<&Booking>) -> bool {
        let Some(booking) = booking else { return false };
        let same_bridge = match &self.meeting.spec.bridge_ref {
            Some(reference) => {
                let namespace = reference.namespace.clone().or_else(|| self.meeting.namespace());
                booking.bridge.1 == reference.name && Some(&booking.bridge.0) == namespace.as_ref()
            }
            None => true,
        };
        let bound = self.facts.slot.as_ref().is_some_and(|slot| slot.number == booking.slot)
            && self.bridge_key().as_ref() == Some(&booking.bridge);
        let known = self.facts.window.map(Window::from) == Some(self.window) && booking.window == self.window;
        let in_range = self.bridge.as_ref().is_some_and(|bridge| {
            crate::plan::bridge::numbers(&bridge.spec).is_ok_and(|range| range.contains(&booking.slot))
        });
        same_bridge && bound && known && in_range && self.obstacle != Some(Obstacle::Foreign)
    }

    /// Inside its window, a meeting without status may be one that was restored: the bridge's slots say so.
    fn wants_pool_first(&self) -> bool {
        if self.window.stage(self.now()) < Stage::Preparing || self.facts.slot.is_some() {
            return false;
        }
        let Ok(offers) = intake::offers(self.ctx, &self.meeting) else { return false };
        offers
            .iter()
            .any(|offer| self.ctx.link(&offer.key).is_some_and(|link| link.memory().world.pool.known().is_none()))
    }

    fn adopt_running(&mut self) -> Option<Booking> {
        if self.window.stage(self.now()) != Stage::Inside || self.facts.slot.is_some() {
            return None;
        }
        let offers = intake::offers(self.ctx, &self.meeting).ok()?;
        offers.into_iter().find_map(|offer| {
            let slot = intake::marked_slot(self.ctx, &offer.key, &self.mark)?;
            self.ctx.ledger.change_window(&self.uid(), &offer.key, slot, self.window).ok()?;
            Some(Booking { bridge: offer.key, slot, window: self.window })
        })
    }

    /// Another slot, because the booked one is somebody else's now. True if there is one.
    pub(super) fn rebook(&mut self) -> bool {
        self.ctx.ledger.release(&self.uid());
        let before = self.facts.slot.as_ref().map(|slot| slot.number);
        match intake::book(self.ctx, &self.meeting) {
            Ok(booking) if Some(booking.slot) != before => {
                self.bind(&booking);
                self.attach();
                self.obstacle = None;
                true
            }
            _ => false,
        }
    }

    fn bind(&mut self, booking: &Booking) {
        let (namespace, name) = booking.bridge.clone();
        let bridge = self.ctx.bridge(&booking.bridge);
        let space_id = self.ctx.link(&booking.bridge).and_then(|link| link.space_of_slot(booking.slot));
        let uri = bridge.as_ref().and_then(|bridge| intake::uri(bridge, booking.slot));
        self.facts.bridge = Some(BridgeBinding { namespace, name });
        self.facts.slot = Some(SlotBinding { number: booking.slot, space_id: space_id.map(|id| id.to_string()), uri });
        self.facts.window = Some(booking.window.into());
        self.window = booking.window;
    }

    /// The bridge's domain, or its switch for incoming SIP, may have changed since the booking (R33).
    fn renew_uri(&mut self) {
        if let (Some(slot), Some(bridge)) = (&mut self.facts.slot, &self.bridge) {
            slot.uri = intake::uri(bridge, slot.number);
        }
    }

    /// While the door may be open, a moved end must not run into somebody else's reservation (R70).
    fn move_end(&mut self) {
        let (Some(stored), Some(key), Some(slot)) = (self.facts.window, self.bridge_key(), self.facts.slot.clone())
        else {
            return;
        };
        let stored = Window::from(stored);
        // The door was opened at the old instant; only the end can still move.
        let wanted = Window { opens_at: stored.opens_at, ..self.window };
        if wanted.closes_at == stored.closes_at && wanted.starts_at == stored.starts_at {
            self.window = stored;
            return;
        }
        match self.ctx.ledger.change_window(&self.uid(), &key, slot.number, wanted) {
            Ok(()) => {
                self.window = wanted;
                self.facts.window = Some(wanted.into());
            }
            Err(holder) => {
                self.window = stored;
                self.conflict = Some(holder);
            }
        }
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
        self.make_secrets(None).await
    }

    /// Makes or reads the join Secret.
    pub(super) async fn make_secrets(&mut self, adopted: Option<&crate::cms::Space>) -> Result<(), KubeError> {
        let Some(slot) = self.facts.slot.clone() else { return Ok(()) };
        let version = self
            .link
            .as_ref()
            .and_then(|link| link.memory().system.as_ref().map(|(_, system)| system.software_version.clone()));
        let details = join::Details {
            number: slot.number,
            uri: slot.uri,
            web_bridge_uri: self.bridge.as_ref().and_then(|bridge| bridge.spec.web_bridge_uri.clone()),
            software_version: version,
        };
        self.secrets = Some(join::ensure(self.ctx, &self.meeting, &details, adopted).await?);
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
        facts.participants = participants::update(&self.meeting.spec, &facts.participants, None, outgoing);
        let closing = self.is_leaving() || self.window.stage(now) == Stage::Over;
        if closing && self.released {
            facts.call = None;
            facts.join_secret_name = None;
            facts.participant_count = None;
            facts.ended_at = facts.ended_at.or(Some(now.into()));
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
        let instant = self.window.next_instant(now).into_iter().chain(dial).min();
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
        if is_live(phase) != is_live(old_phase)
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
        self.retry = Some(super::retry::after(error, failures, self.window.stage(self.now()) >= Stage::Inside));
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

fn is_about_passcode(error: &crate::cms::CmsError) -> bool {
    matches!(error, crate::cms::CmsError::ParameterError { parameter, .. } if parameter.eq_ignore_ascii_case("passcode"))
}
