//! What the index keeps of one meeting.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::condition::Text;
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::{CallBinding, Phase};
use crate::api::names::ObjectKey;
use crate::api::{ScheduledMeeting, find};
use crate::cms::{CallAt, SpaceId};
use crate::controller::memory::version_of;
use crate::plan::booking::is_out_of_turn;
use crate::plan::participants::is_anybody_on_lost_bridge;
use crate::plan::window::{Stage, Window};

#[derive(Clone, Debug)]
pub(super) struct MeetingEntry {
    pub(super) version: u64,
    pub(super) has_status: bool,
    /// A pass has judged it.
    pub(super) is_read: bool,
    /// It is judged as soon as the slots of its bridge are known.
    pub(super) is_waiting: bool,
    /// It was refused for what only it can mend: nothing is booked for it before.
    pub(super) is_out_of_turn: bool,
    /// Number of the list that was begun last when this was taken in.
    pub(super) list: u64,
    pub(super) name: String,
    // Few namespaces and bridges, many meetings: each of these names is kept once.
    pub(super) namespace: Text,
    pub(super) bridge: Option<(Text, Text)>,
    pub(super) slot: Option<u32>,
    pub(super) space: Option<SpaceId>,
    pub(super) call: Option<CallAt>,
    pub(super) on_lost_bridge: bool,
    pub(super) phase: Phase,
    pub(super) is_suspended: bool,
    /// What it asks for could not be had, and what was booked before stands.
    pub(super) is_unmet: bool,
    /// The Secrets that its passcodes come from.
    pub(super) passcode_secrets: Box<[Text]>,
    pub(super) agreed: Option<Window>,
    pub(super) wanted: Window,
}

impl MeetingEntry {
    pub(super) fn of(meeting: &ScheduledMeeting) -> Self {
        let status = meeting.status.clone().unwrap_or_default();
        let slot = status.slot.as_ref();
        let bridge = status.bridge.as_ref();
        Self {
            version: version_of(meeting),
            has_status: meeting.status.is_some(),
            is_read: status.observed_generation.is_some_and(|generation| generation >= 0),
            is_waiting: find(&status.conditions, types::ACCEPTED)
                .is_some_and(|told| *told.reason == *reason::PROGRESSING),
            is_out_of_turn: find(&status.conditions, types::ACCEPTED)
                .is_some_and(|told| told.status == "False" && is_out_of_turn(&told.reason)),
            list: 0,
            name: meeting.name_any(),
            namespace: meeting.namespace().unwrap_or_default().into(),
            bridge: bridge.map(|bridge| (bridge.namespace.as_str().into(), bridge.name.as_str().into())),
            slot: slot.map(|slot| slot.number),
            space: slot.and_then(|slot| slot.space_id.as_deref()).map(SpaceId::from),
            call: status.call.as_deref().and_then(CallBinding::at),
            on_lost_bridge: is_anybody_on_lost_bridge(&status.participants),
            phase: status.phase.unwrap_or_default(),
            is_suspended: find(&status.conditions, types::READY)
                .is_some_and(|ready| *ready.reason == *reason::SUSPENDED),
            is_unmet: status.refused_window.is_some()
                || (slot.is_some()
                    && find(&status.conditions, types::ACCEPTED).is_some_and(|told| told.status == "False")),
            passcode_secrets: meeting.spec.passcode_secrets().into_iter().map(Text::from).collect(),
            agreed: status.window.map(Window::from),
            wanted: Window::of_meeting(&meeting.spec, &status),
        }
    }

    pub(super) fn is_on(&self, bridge: &ObjectKey) -> bool {
        self.bridge.as_ref().is_some_and(|(namespace, name)| *namespace == *bridge.namespace && *name == *bridge.name)
    }

    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.to_string(), self.name.clone())
    }

    /// The Secrets that its passcodes come from.
    pub(super) fn passcode_secrets(&self) -> impl Iterator<Item = ObjectKey> {
        self.passcode_secrets.iter().map(|name| ObjectKey::new(self.namespace.to_string(), name.to_string()))
    }

    /// Has the window that was agreed upon passed?
    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        // What is asked for may be a window that was refused, or that comes after this one.
        self.agreed.unwrap_or(self.wanted).stage(now) == Stage::Over
    }

    /// Its time is over, but its slot is not proven shut.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.phase.is_live() && (self.phase == Phase::Closing || self.is_past(now))
    }

    /// Its window has begun, but its door is not open.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let is_waiting = matches!(self.phase, Phase::Scheduled | Phase::Opening) && !self.is_suspended;
        is_waiting && self.agreed.unwrap_or(self.wanted).stage(now) == Stage::Inside
    }

    /// Something is to be done about it now: it is live, or its window begins.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let begins = matches!(self.wanted.stage(now), Stage::Preparing | Stage::Inside) && !self.phase.is_over();
        self.phase.is_live() || begins
    }
}
