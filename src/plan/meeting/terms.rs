//! What a meeting and its bridge ask for, while a pass lasts.

use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};

use crate::api::bridge::{DeletionPolicy, ManagementPolicy, RunningMeetings};
use crate::api::marks::Marks;
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingSpec, unreadable};
use crate::cms::Space;
use crate::facts::slots::is_foreign;

/// What is to be, as the object and its bridge say. Does not change while a pass lasts.
#[derive(Clone, Debug)]
pub struct Terms {
    pub spec: ScheduledMeetingSpec,
    /// Our mark for this meeting (`cdrTag`).
    pub mark: String,
    /// How the marks of this installation look.
    pub marks: Marks,
    /// When the object was made.
    pub created_at: Option<Timestamp>,
    /// The object is being deleted.
    pub is_deleting: bool,
    /// Name of the slot's space while no meeting holds it.
    pub placeholder: String,
    /// The bridge is being deleted, and its meetings are to be shut.
    pub bridge_leaves: bool,
    /// Why the object cannot be read: what was begun is ended as agreed, and nothing else is done.
    pub unreadable: Option<String>,
    /// The meeting or its bridge is suspended: nothing may be written.
    pub is_suspended: bool,
    /// The bridge has managementPolicy Observe.
    pub is_observe_only: bool,
    /// Dialling out is allowed on the bridge.
    pub allows_outgoing: bool,
    /// The object goes so long after the meeting has ended; None: it stays.
    pub stays_for: Option<SignedDuration>,
    /// A running meeting whose call bridge is lost is left as it is (R29).
    pub leaves_running: bool,
}

impl Terms {
    /// What the object says; nothing is known of a bridge yet.
    pub fn new(meeting: &ScheduledMeeting, marks: &Marks) -> Self {
        Self {
            spec: meeting.spec.clone(),
            mark: marks.of(&meeting.namespace().unwrap_or_default(), &meeting.name_any()),
            marks: marks.clone(),
            created_at: meeting.meta().creation_timestamp.as_ref().map(|time| time.0),
            is_deleting: meeting.meta().deletion_timestamp.is_some(),
            placeholder: String::new(),
            bridge_leaves: false,
            unreadable: unreadable(meeting).map(str::to_owned),
            is_suspended: meeting.spec.suspend,
            is_observe_only: false,
            allows_outgoing: true,
            stays_for: meeting.spec.ttl_seconds_after_finished.map(seconds),
            leaves_running: false,
        }
    }

    /// Is the slot's space, as a look at it alone shows it, somebody else's?
    pub fn is_foreign(&self, space: &Space) -> bool {
        is_foreign(space, &self.placeholder, &self.marks)
    }

    /// Takes in what the bridge says about a slot of it.
    pub(super) fn take_bridge(&mut self, bridge: &MeetingBridge, slot: u32) {
        let spec = &bridge.spec;
        self.placeholder = format!("{}{slot}", spec.slots.name_prefix);
        self.bridge_leaves =
            bridge.metadata.deletion_timestamp.is_some() && spec.deletion_policy == DeletionPolicy::Delete;
        self.is_suspended = self.spec.suspend || spec.suspend;
        self.is_observe_only = spec.management_policy == ManagementPolicy::Observe;
        self.allows_outgoing = spec.scheduling.allow_outgoing_sip;
        self.stays_for = self.stays_for.or(spec.scheduling.ttl_seconds_after_finished.map(seconds));
        self.leaves_running = spec.failover.running_meetings == RunningMeetings::Leave;
    }
}

fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(count.into())
}
