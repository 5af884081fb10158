//! ScheduledMeeting: one meeting with a half-open window on a slot of a bridge (docs/api.md).

// Each printcolumn has a type and a priority of its own; the lint takes them for repetitions.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{AccessMethodSpec, AccessMethodStatus};
use super::condition::Condition;
pub use super::participants::*;
use super::repairs::Repairs;
use super::settings::{MeetingSettings, SettingsStatus};
use super::values::{Instant, Span};
use super::warning::{EndWarning, EndWarningStatus};
use super::{Compact, is_unjudged};
use crate::cms::CallAt;

/// A meeting with a start, an end, and participants.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "meeting-controller.dev",
    version = "v1alpha1",
    kind = "ScheduledMeeting",
    plural = "scheduledmeetings",
    shortname = "mtg",
    category = "meetings",
    namespaced,
    cel,
    derive = "PartialEq",
    status = "ScheduledMeetingStatus",
    selectable = ".spec.bridgeRef.name",
    doc = "ScheduledMeeting is a meeting with a start and an end on a MeetingBridge.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Start", type_ = "string", json_path = ".status.window.startsAt"),
    printcolumn(name = "End", type_ = "string", json_path = ".status.window.closesAt"),
    printcolumn(name = "Slot", type_ = "integer", json_path = ".status.slot.number"),
    printcolumn(name = "In", type_ = "integer", json_path = ".status.participantCount"),
    printcolumn(name = "Bridge", type_ = "string", json_path = ".status.bridge.name", priority = 1),
    printcolumn(name = "URI", type_ = "string", json_path = ".status.slot.uri", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.end) != has(self.duration)")
        .message("a meeting needs exactly one of end and duration"),
    validation = Rule::new("!has(self.end) || self.end > self.start").message("end must be after start"),
    validation = Rule::new("!(has(self.bridgeRef) && has(self.bridgeSelector))")
        .message("bridgeRef and bridgeSelector exclude each other"),
    validation = Rule::new("!(has(self.passcodeSecretRef) && has(self.passcode))")
        .message("passcodeSecretRef and passcode.generate exclude each other")
)]
pub struct ScheduledMeetingSpec {
    /// Title; becomes the name of the space while the meeting runs.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"!self.matches('[\\x00-\\x1f\\x7f]')")
        .message("title must not contain control characters"))]
    pub title: String,

    /// The bridge to use. Without it and without bridgeSelector: any bridge this namespace may book on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_ref: Option<BridgeRef>,

    /// Bridges to choose from, by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_selector: Option<Box<LabelSelector>>,

    // The rule is there because the apiserver does not look at the type of a list where a `format` is asked for: without
    // it, `start: []` would be stored, and the controller could not read it.
    /// Start, RFC 3339 with offset.
    #[x_kube(validation = Rule::new("self > timestamp('1000-01-01T00:00:00Z')")
        .message("start must be a date and time after the year 1000"))]
    pub start: Instant,

    /// End; the meeting occupies the half-open window from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Instant>,

    /// Length, instead of `end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("duration must be more than zero"))]
    pub duration: Option<Span>,

    /// The door opens this much before start; nobody is dialled before start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('24h')").message("earlyJoin must not exceed 24h"))]
    pub early_join: Option<Span>,

    /// Secret in this namespace with the passcode (digits).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode_secret_ref: Option<PasscodeSecretRef>,

    /// Let the controller make the passcode; it stands in the join Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode: Option<PasscodeSpec>,

    /// Systems to dial, or that dial in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["remoteParty".into()]))]
    pub participants: Vec<ParticipantSpec>,

    /// What this meeting wants to be other than the bridge's profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<MeetingSettings>,

    /// Further ways in, by the same number and another passcode; CMS 2.9 and later. If one of them is for hosts, whoever comes
    /// in by the meeting's own passcode, or is dialled, waits until a host is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub access_methods: Vec<AccessMethodSpec>,

    /// What becomes of somebody who is taken out of the list of participants while the meeting runs. Leave: they stay
    /// in. Disconnect: their leg is ended.
    #[serde(default)]
    pub removed_participants: RemovedParticipants,

    /// So many are rung at one time at most; the next one is dialled when somebody answers or nobody does. Whoever rings for
    /// longer than 75 seconds does not count any more.
    #[serde(default = "rings_at_once")]
    #[schemars(range(min = 1, max = 200))]
    pub rings_at_once: u32,

    /// The warning before the end, instead of that of the bridge as a whole; an empty minutesBefore switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_warning: Option<Box<EndWarning>>,

    /// Extend the meeting by itself while somebody is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionSpec>,

    /// The object is deleted this many seconds after the meeting has ended, as with a Job; default: what its bridge says
    /// (scheduling.ttlSecondsAfterFinished), else it stays. A Missed one stays, and one that was applied after its window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<u32>,

    /// Nothing is done for this meeting while true: not opened, not closed.
    #[serde(default)]
    pub suspend: bool,
}

impl ScheduledMeetingSpec {
    /// The Secrets that its passcode and those of its access methods come from, each once.
    pub fn passcode_secrets(&self) -> BTreeSet<&str> {
        let of_methods = self.access_methods.iter().map(|method| &method.passcode_secret_ref);
        self.passcode_secret_ref.iter().chain(of_methods).map(|reference| reference.name.as_str()).collect()
    }
}

fn rings_at_once() -> u32 {
    50
}

/// A MeetingBridge by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeRef {
    /// Name of the MeetingBridge.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; default: the meeting's. The bridge must allow it (allowedNamespaces). Only by its name, or by a
    /// grant of the platform team, a bridge of another namespace gets a meeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Where the passcode is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasscodeSecretRef {
    /// Name of the Secret, in the namespace of the meeting.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the passcode in its data.
    #[serde(default = "passcode_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn passcode_key() -> String {
    "passcode".to_owned()
}

/// How the controller makes the passcode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasscodeSpec {
    /// Make a random passcode of digits.
    pub generate: GeneratePasscode,
}

/// A random passcode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratePasscode {
    /// Number of digits of the passcode.
    #[serde(default = "digits")]
    #[schemars(range(min = 4, max = 20))]
    pub digits: u8,
}

fn digits() -> u8 {
    6
}

impl AutoExtension {
    /// The length of one extension, also where an older object asks for a shorter one than is allowed now.
    pub fn length(&self) -> SignedDuration {
        self.step.signed().max(SignedDuration::from_mins(1))
    }
}

/// Extension by the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionSpec {
    /// Extend while somebody is connected and the slot stays free.
    pub auto: AutoExtension,
}

/// How far a meeting extends itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("duration(self.step) >= duration('1m') && duration(self.step) <= duration(self.max)")
    .message("extension.auto needs 1m <= step <= max"))]
pub struct AutoExtension {
    /// Length of one extension, at least a minute.
    pub step: Span,
    /// Most that is added in all.
    pub max: Span,
}

/// What is known of the meeting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledMeetingStatus {
    /// The generation this status judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One entry per aspect; the reasons are listed in crds/reference.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<v1::Condition>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Summary for people: Pending, Scheduled, Opening, Active, Closing, Ended or Missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The bridge the meeting is booked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeBinding>,
    /// When the door opens, when dialling starts, when the door shuts. The slot is reserved for this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowStatus>,
    /// The slot that is reserved for the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotBinding>,
    /// Profiles of the space, if the meeting has settings of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<SettingsStatus>>,
    /// Access methods of the meeting on the bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub access_methods: Vec<AccessMethodStatus>,
    /// Secret with the join details (uri, number, passcode, secret, link).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_secret_name: Option<String>,
    /// The call of the meeting on the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<CallBinding>>,
    /// How often somebody else ended the call since the spec was last edited; a restart of its call bridge does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls_ended: u32,
    /// Participants of the spec, in its order; behind them those that were taken out of it and are being disconnected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["remoteParty".into()]))]
    pub participants: Vec<ParticipantStatus>,
    /// How many are in the call, however they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_count: Option<u32>,
    /// The warning before the end that is done with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_warning: Option<EndWarningStatus>,
    /// Repairs of the open door that others changed, as long as they are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door_repairs: Option<Repairs>,
    /// When the door was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Instant>,
    /// From the door's instant until it was open, for example `0.042s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_latency: Option<String>,
    /// When the door was proven shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// End reached by extensions of the controller (extension.auto).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_until: Option<Instant>,
    /// The end that was asked for when the controller extended it; an edit of the end makes the extension void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_from: Option<Instant>,
    /// The window that was asked for last and refused, because there is no slot for it or the slot is somebody else's in the
    /// added time. What was agreed upon before stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_window: Option<WindowStatus>,
    /// Value of the annotation meeting-controller.dev/reconcile-requested-at that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// Pending: not accepted yet. Scheduled: it has a slot. Opening: about to open. Active: door open, call there. Closing:
/// the door is being shut. Ended: it is proven shut. Missed: the window passed and nobody was let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not accepted, or no slot yet.
    #[default]
    Pending,
    /// Accepted, with a slot.
    Scheduled,
    /// About to open, or opening: from a few seconds before the window until door and call are there.
    Opening,
    /// The door is open and the call is there.
    Active,
    /// Over, or being removed: the door is being shut.
    Closing,
    /// Over; the door is proven shut.
    Ended,
    /// The window passed without the door being opened.
    Missed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Scheduled, Self::Opening, Self::Active, Self::Closing, Self::Ended, Self::Missed];

    /// As it is written in a status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Opening => "Opening",
            Self::Active => "Active",
            Self::Closing => "Closing",
            Self::Ended => "Ended",
            Self::Missed => "Missed",
        }
    }

    /// May the door of a meeting in this phase be open?
    pub fn is_live(self) -> bool {
        matches!(self, Self::Opening | Self::Active | Self::Closing)
    }

    /// Is the meeting over, whether it took place or not?
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Missed)
    }
}

/// The bridge a meeting is booked on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct BridgeBinding {
    /// Namespace of the MeetingBridge.
    pub namespace: String,
    /// Name of the MeetingBridge.
    pub name: String,
}

/// The window of a meeting, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowStatus {
    /// The instant at which the door opens.
    pub opens_at: Instant,
    /// The instant at which dialling starts.
    pub starts_at: Instant,
    /// The instant at which the door shuts.
    pub closes_at: Instant,
}

/// A reserved slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotBinding {
    /// Slot number: call id and user part of the URI.
    pub number: u32,
    /// Id of the space, once known.
    #[serde(rename = "spaceID", default, skip_serializing_if = "Option::is_none")]
    pub space_id: Option<String>,
    /// number@domain; withheld when the bridge does not allow incoming SIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// The call of a meeting on the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallBinding {
    /// Id of the call; valid only together with the call bridge.
    pub id: String,
    /// Call bridge that holds it, `host:port`.
    pub call_bridge: String,
    /// Ties the instances of one call on several call bridges together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlator: Option<String>,
    /// It was found there, not made by us: it may end with the last one who leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// When it was made or found. A call bridge that was started later has lost it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
}

impl Compact for ScheduledMeeting {
    fn compact(&mut self) {
        if let Some(finalizers) = &mut self.metadata.finalizers {
            finalizers.shrink_to_fit();
        }
        self.spec.participants.shrink_to_fit();
        self.spec.access_methods.shrink_to_fit();
        self.status.take_if(|status| is_unjudged(status.observed_generation));
        if let Some(status) = &mut self.status {
            status.conditions.shrink_to_fit();
            status.participants.shrink_to_fit();
            status.access_methods.shrink_to_fit();
        }
    }
}

impl CallBinding {
    /// Where the call is, if the call bridge can be read.
    pub fn at(&self) -> Option<CallAt> {
        Some(CallAt { call_bridge: self.call_bridge.parse().ok()?, id: self.id.as_str().into() })
    }
}

/// Most participants of a meeting, as the schema has it.
pub const MOST_PARTICIPANTS: usize = 200;

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde wants it.
fn is_zero(count: &u32) -> bool {
    *count == 0
}
