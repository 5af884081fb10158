//! MeetingBridge: one CMS cluster that meetings can be booked on (docs/api.md).

// Each printcolumn has a type and a priority of its own; the lint takes them for repetitions.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::bridge_status::*;
use super::profiles::{CallLegProfile, CallProfile};
use super::settings::ProfileKind;
use super::values::Span;
use super::warning::EndWarning;
use super::{Compact, is_unjudged};

/// `host` or `host:port`, ports from 1 to 65535. CEL cannot check the octets of an address; the controller does.
const ADDRESS_RULE: &str = concat!(
    r"self.matches('^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)",
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$')",
);
const ADDRESS_MESSAGE: &str = concat!(
    "address must be host or host:port (1 to 65535) without scheme and path, for example cms.example.com:445 or ",
    "[2001:db8::1]:445"
);

/// A Cisco Meeting Server cluster that meetings can be booked on.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "meeting-controller.dev",
    version = "v1alpha1",
    kind = "MeetingBridge",
    plural = "meetingbridges",
    shortname = "mb",
    category = "meetings",
    namespaced,
    cel,
    derive = "PartialEq",
    status = "MeetingBridgeStatus",
    doc = "MeetingBridge is a Cisco Meeting Server cluster that meetings can be booked on.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Free", type_ = "integer", json_path = ".status.slots.free"),
    printcolumn(name = "Slots", type_ = "integer", json_path = ".status.slots.total"),
    printcolumn(name = "Call bridge", type_ = "string", json_path = ".status.activeCallBridge", priority = 1),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.system.softwareVersion", priority = 1),
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
pub struct MeetingBridgeSpec {
    /// Name for people; only this controller uses it. Empty gives the warning condition SystemNamed=False.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub display_name: String,

    /// `host` or `host:port` of the API (the Web Admin interface); IPv6 in brackets; default port 443.
    #[schemars(length(min = 1, max = 260))]
    #[x_kube(validation = Rule::new(ADDRESS_RULE).message(ADDRESS_MESSAGE))]
    pub address: String,

    /// Secret in this namespace with the keys `username` and `password` of a bridge user with the role `api`.
    pub credentials_secret_ref: SecretName,

    /// How the bridge's certificate is verified.
    #[serde(default)]
    pub tls: TlsSpec,

    /// The pool of meeting slots: numbers base .. base+quantity-1, each a space on the bridge.
    #[serde(default)]
    pub slots: SlotsSpec,

    /// Profiles that every slot uses.
    #[serde(default)]
    pub profiles: ProfilesSpec,

    /// What may be booked on this bridge, and for how long it is kept.
    #[serde(default)]
    pub scheduling: SchedulingSpec,

    /// What everybody in a meeting reads on the screen shortly before its end; default: nothing. CMS 2.1 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_warning: Option<EndWarning>,

    /// What happens when a call bridge is lost.
    #[serde(default)]
    pub failover: FailoverSpec,

    /// Call bridges of the cluster that are worked on: others do their work meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 25))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["callBridge".into()]))]
    pub maintenance: Vec<MaintenanceSpec>,

    /// Base of the web join link, `https://host[:port]`; without it meetings have no web link.
    #[serde(rename = "webBridgeURI", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 260))]
    #[x_kube(validation = Rule::new("self.startsWith('https://')")
        .message("webBridgeURI must start with https://"))]
    pub web_bridge_uri: Option<String>,

    /// Who may book: meetings of which namespaces.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// Enforce: make it so. Observe: write nothing to the bridge; what would be done stands in status.plan.
    #[serde(default)]
    pub management_policy: ManagementPolicy,

    /// Nothing is done for this bridge or its meetings while true; probes go on, running meetings are left as they are.
    #[serde(default)]
    pub suspend: bool,

    /// Delete: end our meetings on the bridge and remove what this object made. Orphan: leave everything as it is.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Compact for MeetingBridge {
    fn compact(&mut self) {
        // There are few of them, so nothing is shrunk.
        self.status.take_if(|status| is_unjudged(status.observed_generation));
    }
}

impl MeetingBridgeSpec {
    /// Every Secret with credentials of a call bridge.
    pub fn credentials(&self) -> impl Iterator<Item = &SecretName> {
        let own = self.failover.alternates.iter().filter_map(|alternate| alternate.credentials_secret_ref.as_ref());
        std::iter::once(&self.credentials_secret_ref).chain(own)
    }
}

/// One call bridge that is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceSpec {
    /// Its name in the cluster (status.cluster.members), or its address as in status.callBridges.
    #[schemars(length(min = 1, max = 260))]
    pub call_bridge: String,
    /// Drain: new meetings start on another call bridge, those that run finish here. Evacuate: those that run go
    /// elsewhere as well. None: it is in service.
    #[serde(default = "drain")]
    pub mode: MaintenanceMode,
}

fn drain() -> MaintenanceMode {
    MaintenanceMode::Drain
}

/// What spec.maintenance says of it. Drain: new meetings start elsewhere. Evacuate: those that run go elsewhere as
/// well. None: it is in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MaintenanceMode {
    /// It is in service.
    #[default]
    None,
    /// New meetings start on another call bridge; those that run finish here.
    Drain,
    /// Meetings that run go to another call bridge as well, as in a failover but before this one is gone.
    Evacuate,
}

/// The name of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretName {
    /// Name of the Secret, in the namespace of the bridge.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How the bridge's certificate is verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// CA certificates (PEM) to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<CaBundleRef>,
    /// Name to expect in the certificate, when it is not the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Accept any certificate. Shown in the condition InsecureTLS.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// Where the CA certificates are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaBundleRef {
    /// Secret or ConfigMap, in the namespace of the bridge.
    #[serde(default)]
    pub kind: CaBundleKind,
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the object's data.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// Kind of the object with the CA certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CaBundleKind {
    Secret,
    #[default]
    ConfigMap,
}

/// The pool of meeting slots. `domain`, `base` and `quantity` may be missing at first (R13).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.base) || !has(self.quantity) || self.base <= 2147483647 - self.quantity + 1"
).message("slots overflow: base + quantity - 1 must not exceed 2147483647"))]
pub struct SlotsSpec {
    /// Domain that turns a slot number into a URI, number@domain; it must be routed to the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("!self.contains('@') && !self.contains('/') && !self.contains(' ')")
        .message("domain must be a bare domain such as meet.example.com"))]
    pub domain: Option<String>,
    /// The first slot number; it is dialled, so it must fit your dial plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2147483647))]
    pub base: Option<u32>,
    /// How many slots: the most meetings at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub quantity: Option<u32>,
    /// Placeholder name of a free slot, followed by its number. Cannot be changed: the spaces carry it.
    #[serde(default = "name_prefix")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("slots.namePrefix cannot be changed: the spaces on the bridge carry it"))]
    pub name_prefix: String,
}

fn name_prefix() -> String {
    "TMS_Scheduled_Meeting_".to_owned()
}

impl Default for SlotsSpec {
    fn default() -> Self {
        Self { domain: None, base: None, quantity: None, name_prefix: name_prefix() }
    }
}

/// Profiles that every slot uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfilesSpec {
    /// Call profile: what holds for a call as a whole.
    #[serde(default)]
    pub call: CallProfile,
    /// Call leg profile: what each participant sees, hears and may do.
    #[serde(default)]
    pub call_leg: CallLegProfile,
}

impl ProfilesSpec {
    /// The fields of one kind that a bridge of this version understands.
    pub fn pairs(&self, kind: ProfileKind, software_version: &str) -> Vec<(String, String)> {
        match kind {
            ProfileKind::Call => self.call.pairs_for(software_version),
            ProfileKind::CallLeg => self.call_leg.pairs(),
        }
    }
}

/// What may be booked on a bridge (R32-R34, R37).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingSpec {
    /// False: no new meeting is booked here. Meetings already accepted go on.
    #[serde(default = "yes")]
    pub allow_booking: bool,
    /// False: nobody dials in. The URI is withheld, and meetings with participants that dial in are rejected.
    #[serde(rename = "allowIncomingSIP", default = "yes")]
    pub allow_incoming_sip: bool,
    /// False: nobody is dialled. The door opens all the same.
    #[serde(rename = "allowOutgoingSIP", default = "yes")]
    pub allow_outgoing_sip: bool,
    /// Bridges with a higher preference are chosen first, among those that a meeting without bridgeRef may use.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub preference: i32,
    /// Meetings that have ended here are deleted this many seconds later, unless they say otherwise; default: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<u32>,
}

fn yes() -> bool {
    true
}

impl Default for SchedulingSpec {
    fn default() -> Self {
        Self {
            allow_booking: true,
            allow_incoming_sip: true,
            allow_outgoing_sip: true,
            preference: 0,
            ttl_seconds_after_finished: None,
        }
    }
}

/// What happens when a call bridge is lost (R27-R29).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverSpec {
    /// Other call bridges of the cluster, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    pub alternates: Vec<Alternate>,
    /// Use the members that the cluster names, too; they share the primary's credentials.
    #[serde(default)]
    pub discover: bool,
    /// Consecutive failures after which the active call bridge is left.
    #[serde(default = "failure_threshold")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: u32,
    /// When to return to the primary.
    #[serde(default)]
    pub failback: FailbackSpec,
    /// Recreate: new call and dial-out legs on the active call bridge. Leave: running meetings are left as they are.
    #[serde(default)]
    pub running_meetings: RunningMeetings,
}

impl FailoverSpec {
    /// Are there other call bridges to go to, as far as the spec tells?
    pub fn is_used(&self) -> bool {
        self.discover || !self.alternates.is_empty()
    }
}

fn failure_threshold() -> u32 {
    3
}

impl Default for FailoverSpec {
    fn default() -> Self {
        Self {
            alternates: Vec::new(),
            discover: false,
            failure_threshold: failure_threshold(),
            failback: FailbackSpec::default(),
            running_meetings: RunningMeetings::default(),
        }
    }
}

/// One further call bridge of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.address) != has(self.callBridge)")
    .message("an alternate needs exactly one of address and callBridge"))]
pub struct Alternate {
    /// `host` or `host:port` of its Web Admin interface; default port 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 260))]
    #[x_kube(validation = Rule::new(ADDRESS_RULE).message(ADDRESS_MESSAGE))]
    pub address: Option<String>,
    /// Name of the call bridge as the cluster knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub call_bridge: Option<String>,
    /// Own credentials; default: the primary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretName>,
}

/// When to return to the primary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailbackSpec {
    /// Automatic: when it was good for `after`. Manual: by the annotation meeting-controller.dev/failback-requested-at.
    #[serde(default)]
    pub policy: FailbackPolicy,
    /// The primary must have been healthy this long.
    #[serde(default = "failback_after")]
    pub after: Span,
}

fn failback_after() -> Span {
    Span::from_secs(300)
}

impl Default for FailbackSpec {
    fn default() -> Self {
        Self { policy: FailbackPolicy::default(), after: failback_after() }
    }
}

/// Who decides on the return to the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailbackPolicy {
    #[default]
    Automatic,
    Manual,
}

/// What happens to running meetings whose call bridge is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunningMeetings {
    #[default]
    Recreate,
    Leave,
}

/// Meetings of which namespaces may book (R80).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(has(self.from) && self.from == 'Selector') == has(self.selector)")
    .message("allowedNamespaces.selector goes with from: Selector, and only with it"))]
pub struct AllowedNamespaces {
    /// Same: the bridge's own namespace. All: every namespace. Selector: namespaces by label.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces may book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    #[default]
    Same,
    All,
    Selector,
}

/// Whether the controller writes to the bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    #[default]
    Enforce,
    Observe,
}

/// What deleting a MeetingBridge does on the bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Orphan,
}
