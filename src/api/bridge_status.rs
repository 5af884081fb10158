//! The status of a MeetingBridge (docs/api.md).

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bridge::MaintenanceMode;
use super::condition::Condition;
use super::repairs::Contest;
use super::settings::{ProfileKind, SettingsProfile};
use super::values::Instant;
use crate::cms::Address;

/// What is known of the bridge. No field ticks by itself: what does is a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingBridgeStatus {
    /// The generation this status judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One entry per aspect; the reasons are listed in crds/reference.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<v1::Condition>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Summary for people: Pending, Idle, InUse, Degraded, Unreachable, Suspended or Deleting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The call bridge that gets the requests, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_call_bridge: Option<String>,
    /// Every call bridge, the primary first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub call_bridges: Vec<CallBridgeStatus>,
    /// The cluster as the bridge describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    /// The system as the bridge describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemInfo>,
    /// Profiles that every slot uses. Present without ids: they are being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<ProfileIds>,
    /// What spec.profiles asks for to keep people out, as a look at the bridge has shown it last. Doors of its slots open
    /// once all of it is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub proven_protection: Vec<String>,
    /// Profiles for the settings of single meetings, as long as one uses them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub settings_profiles: Vec<SettingsProfile>,
    /// The pool of slots: how many, and what the others are that are not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<SlotsStatus>,
    /// What had to be put back lately because others changed it; at most 32 are remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub contests: Vec<Contest>,
    /// Meetings that are booked on this bridge, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookings: Option<BookingsStatus>,
    /// With managementPolicy Observe: what would be written to the bridge, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub plan: Vec<String>,
    /// Value of the annotation meeting-controller.dev/reconcile-requested-at that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Value of the annotation meeting-controller.dev/failback-requested-at that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_failback_at: Option<String>,
}

/// One call bridge of the bridge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallBridgeStatus {
    /// Its address as it is connected to, `host:port`.
    pub address: String,
    /// Primary: spec.address. Alternate: spec.failover names it. Discovered: the cluster does.
    pub role: CallBridgeRole,
    /// Id of the call bridge behind it, once known.
    #[serde(rename = "callBridgeID", default, skip_serializing_if = "Option::is_none")]
    pub call_bridge_id: Option<String>,
    /// Whether it answered last; missing: not asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// What spec.maintenance says of it; missing: it is in service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceMode>,
    /// What is wrong with it, if anything: a reason of Reachable, CredentialsValid, Recognized or FailoverConfigured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The Secret, and its version, with which it let us in last; gone once it refuses that. One refusal after a restart of
    /// the controller is confirmed before anything is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_credentials: Option<String>,
}

/// How a call bridge came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CallBridgeRole {
    Primary,
    Alternate,
    Discovered,
}

/// The cluster as the bridge describes it (R25).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// `spec.address` as this was read with. With another address it may be another cluster, and this counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 260))]
    pub address: Option<String>,
    /// Constant for the life of the cluster; CMS 3.0 and later.
    #[serde(rename = "clusterID", default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Every call bridge of the cluster, sorted by name; empty for a lone bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub members: Vec<MemberStatus>,
}

impl ClusterStatus {
    /// Was it read with this `spec.address`?
    pub fn is_of(&self, address: &str) -> bool {
        let parsed = |text: &str| text.parse::<Address>().ok();
        self.address.as_deref().is_none_or(|known| known == address || parsed(known) == parsed(address))
    }
}

/// One call bridge of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Id of the call bridge on the bridge.
    pub id: String,
    /// Name, unique within the cluster.
    pub name: String,
    /// Address of its Web Admin interface, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Domain for links between call bridges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_domain: Option<String>,
    /// Whether it is the call bridge of `spec.address`.
    pub primary: bool,
}

impl MemberStatus {
    /// Does the cluster name this address for it?
    pub fn is_at(&self, address: &Address) -> bool {
        let named = self.address.as_deref().and_then(|text| Address::from_bridge_table(text).ok());
        named.is_some_and(|named| named == *address)
    }
}

/// The system as the bridge describes it (R16). Values that tick are metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfo {
    /// Version of the software, for example `2.0(RC)` or `3.1`.
    pub software_version: String,
    /// When the call bridge was started, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_time: Option<Instant>,
    /// Whether the bridge says that its licence is activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated: Option<bool>,
    /// Whether the call bridge says that it is part of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_enabled: Option<bool>,
    /// Call legs at the last look; looks are a minute apart when nothing runs.
    #[serde(default)]
    pub call_legs_active: u64,
    /// Most call legs at one time since the start.
    #[serde(default)]
    pub call_legs_max_active: u64,
    /// Call legs completed since the start.
    #[serde(default)]
    pub call_legs_completed: u64,
}

/// Ids of the profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileIds {
    /// Id of the call profile on the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Id of the call leg profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_leg: Option<String>,
}

impl ProfileIds {
    /// The id of one kind.
    pub fn of(&self, kind: ProfileKind) -> Option<&String> {
        match kind {
            ProfileKind::Call => self.call.as_ref(),
            ProfileKind::CallLeg => self.call_leg.as_ref(),
        }
    }

    pub fn of_mut(&mut self, kind: ProfileKind) -> &mut Option<String> {
        match kind {
            ProfileKind::Call => &mut self.call,
            ProfileKind::CallLeg => &mut self.call_leg,
        }
    }
}

/// The pool of slots: how many, and what the others are that are not free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotsStatus {
    /// Slots that exist on the bridge.
    #[serde(default)]
    pub total: u32,
    /// Slots that no meeting holds now and that are ours.
    #[serde(default)]
    pub free: u32,
    /// Slots that a meeting holds open now.
    #[serde(default)]
    pub in_use: u32,
    /// Slots that somebody else opened or renamed; never touched.
    #[serde(default)]
    pub foreign: u32,
    /// The slots that are not free, by number; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub entries: Vec<SlotEntry>,
    /// The bulk parameter sets this object made. Without id: it is being made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub parameter_sets: Vec<ParameterSet>,
}

/// One slot that is not free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotEntry {
    /// Number of the slot: call id and user part of the URI.
    pub number: u32,
    /// Id of its space on the bridge, once known.
    #[serde(rename = "spaceID", default, skip_serializing_if = "Option::is_none")]
    pub space_id: Option<String>,
    /// InUse: a meeting holds it open. Foreign: somebody else opened or renamed it. Missing: it is not on the bridge
    /// yet. Draining: it is outside the range and goes when its meeting has ended.
    pub state: SlotState,
    /// The meeting that holds it, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meeting: Option<String>,
}

/// What a slot that is not free is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SlotState {
    /// A meeting holds it open.
    InUse,
    /// Somebody else opened or renamed it.
    Foreign,
    /// It does not exist on the bridge yet.
    Missing,
    /// It is outside the range and goes when its meeting has ended.
    Draining,
}

/// Most parameter sets of a bridge, as the schema has it.
pub const MOST_SETS: usize = 1000;

/// One bulk parameter set this object made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParameterSet {
    /// First slot number of the set.
    pub start_index: u32,
    /// Last slot number of the set.
    pub end_index: u32,
    /// Id of the set on the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Id of the sync that makes its spaces, while it runs.
    #[serde(rename = "syncID", default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
    /// Whether its spaces were made.
    #[serde(default)]
    pub synced: bool,
    /// It also stands for further sets, whose spaces it did not make itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
}

/// Meetings booked on this bridge (R17).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingsStatus {
    /// Meetings that start within seven days.
    #[serde(default)]
    pub next_seven_days: u32,
    /// Most meetings at one time, among those booked and not over.
    #[serde(default)]
    pub peak_concurrent: u32,
    /// Start of the next meeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Instant>,
    /// The days that have meetings, of the next seven (UTC): how full it gets, to be compared with slots.total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<DayStatus>,
}

/// How full a bridge gets on a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DayStatus {
    /// The day in UTC, for example `2026-12-01`.
    #[schemars(length(max = 10))]
    pub date: String,
    /// Most slots that are taken at one time.
    pub peak: u32,
    /// Since when, for the first time that day.
    pub from: Instant,
}
