//! What a call bridge shows us, as plain values. No I/O, and no knowledge of XML: decoding lives in `decode.rs`.
//!
//! Field availability follows `cms-protocol.md` sections 4 to 8. `None` means that the reply did not carry the field: lists
//! carry far fewer fields than the single object (section 13, quirk 5), so `None` never means "unset on the bridge"
//! unless the value came from a single GET.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::address::Address;

/// The letters of an id as they are compared.
fn letters(id: &str) -> impl Iterator<Item = u8> {
    id.bytes().map(|letter| letter.to_ascii_lowercase())
}

/// Is it the same id, whatever the case of its letters? For ids that a status keeps as texts; a bridge may give them in
/// another case after a restart.
pub fn is_same_id(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, None) => true,
        _ => false,
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        ///
        /// A text as the bridge gave it: usually a lower-case GUID (`cms-protocol.md` 1.7), but never relied on as such. It
        /// is sent as it came, and is the same whatever the case of its letters.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                letters(&self.0).cmp(letters(&other.0))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                letters(&self.0).for_each(|letter| state.write_u8(letter));
                state.write_u8(0xff);
            }
        }

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

    )+};
}

ids! {
    /// A space (`coSpace`). Shared by all call bridges of a cluster.
    SpaceId,
    /// A call. Valid only on the call bridge that named it (`cms-protocol.md` section 9).
    CallId,
    /// A call leg. Valid only on the call bridge that hosts it.
    LegId,
    /// A participant. Each call bridge has its own ids.
    ParticipantId,
    /// A call profile. Shared by the cluster.
    CallProfileId,
    /// A call leg profile. Shared by the cluster.
    CallLegProfileId,
    /// A profile of either kind. Shared by the cluster.
    ProfileId,
    /// An access method of a space. Shared by the cluster.
    AccessMethodId,
    /// A bulk parameter set (`cospaceBulkParameterSet`).
    BulkSetId,
    /// A bulk sync (`cospaceBulkSync`).
    BulkSyncId,
    /// A call bridge of the cluster.
    CallBridgeId,
}

/// `GET system/status` (R44, `cms-protocol.md` 4.1). Numbers that are missing are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemStatus {
    /// For example `2.0(RC)` or `3.4.1`.
    pub software_version: String,
    /// Seconds since the call bridge started, if it tells. Going backwards means a restart: all its calls are gone.
    pub uptime_seconds: Option<u64>,
    /// The bridge's clock, to whole seconds.
    pub cdr_time: Option<Timestamp>,
    /// Deprecated and always true from 3.0 on.
    pub activated: Option<bool>,
    /// Whether the call bridge is part of a cluster.
    pub cluster_enabled: Option<bool>,
    /// From 3.0 on: constant for the cluster's life.
    pub cluster_id: Option<String>,
    /// Call legs now, on this call bridge.
    pub call_legs_active: u64,
    /// The most call legs at one time since the start.
    pub call_legs_max_active: u64,
    /// Call legs that ended since the start.
    pub call_legs_completed: u64,
}

impl SystemStatus {
    /// When the call bridge was started, seen from the moment at which it showed this. None: it does not tell.
    pub fn started(&self, seen: Timestamp) -> Option<Timestamp> {
        let uptime = SignedDuration::from_secs(i64::try_from(self.uptime_seconds?).ok()?);
        seen.checked_sub(uptime).ok()
    }
}

/// A member of the call bridge cluster (R47, `cms-protocol.md` 4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMember {
    pub id: CallBridgeId,
    /// Equals `uniqueName` of that bridge's own cluster configuration.
    pub name: String,
    /// `https://host[:port]` of its web admin interface; only in the single GET.
    pub address: Option<String>,
    /// For peer links; only in the single GET, often empty (then `None`).
    pub sip_domain: Option<String>,
}

/// A space (`cms-protocol.md` 6.1). List items have only `name`, `uri`, `secondary_uri`, `call_id` and
/// `tenant`.
#[derive(Clone, Debug)]
pub struct Space {
    pub id: SpaceId,
    pub name: String,
    /// The user part, before the `@`.
    pub uri: Option<String>,
    pub secondary_uri: Option<String>,
    /// Digits as text; may begin with a zero.
    pub call_id: Option<String>,
    /// The tenant whose it is; a slot is nobody's.
    pub tenant: Option<String>,
    /// False: only members can join, so a slot (which has none) is shut.
    pub non_member_access: Option<bool>,
    /// `None`: not in the reply. `Some("")`: in the reply and empty.
    pub passcode: Option<SecretString>,
    /// The secret of the join link.
    pub secret: Option<SecretString>,
    /// Free text that we use as our mark; an empty one is `None`.
    pub cdr_tag: Option<String>,
    pub call_profile: Option<CallProfileId>,
    pub call_leg_profile: Option<CallLegProfileId>,
    /// How many access methods it has (`numAccessMethods`); bridges leave it out where there is none.
    pub access_methods: Option<u32>,
}

/// Another way into a space (`cms-protocol.md` 6.2). List items have no `name` and no `secret`.
#[derive(Clone, Debug)]
pub struct AccessMethod {
    pub id: AccessMethodId,
    /// From 2.9 on.
    pub name: Option<String>,
    pub call_id: Option<String>,
    pub passcode: Option<SecretString>,
    pub secret: Option<SecretString>,
    pub call_leg_profile: Option<CallLegProfileId>,
}

/// What an access method of ours is to be.
#[derive(Clone, Debug)]
pub struct NewAccessMethod {
    pub name: String,
    /// User part and call id: those of its space.
    pub number: String,
    pub passcode: SecretString,
    pub secret: SecretString,
    /// None: that of the space.
    pub call_leg_profile: Option<String>,
}

impl Space {
    /// Whether the passcode on the bridge equals `wanted`; an absent one equals the empty one (`cms-protocol.md` 1.3).
    pub fn has_passcode(&self, wanted: &SecretString) -> bool {
        self.passcode.as_ref().map_or("", |have| have.expose_secret()) == wanted.expose_secret()
    }

    /// Whether the join secret on the bridge equals `wanted`; an absent one equals the empty one.
    pub fn has_secret(&self, wanted: &SecretString) -> bool {
        self.secret.as_ref().map_or("", |have| have.expose_secret()) == wanted.expose_secret()
    }
}

/// A call instance on one call bridge (`cms-protocol.md` 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub id: CallId,
    pub space: Option<SpaceId>,
    /// The same on every call bridge that hosts a part of the call.
    pub correlator: Option<String>,
    /// How long it has been there, in seconds; only in the single GET.
    pub duration: Option<u64>,
}

/// A call and the call bridge it is on: an id is valid only with its bridge (`cms-protocol.md` section 9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallAt {
    pub call_bridge: Address,
    pub id: CallId,
}

/// How far a leg has come (`cms-protocol.md` 7.3). A leg that failed or left is simply no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegState {
    Initial,
    Ringing,
    Connected,
    OnHold,
    /// A word that is not in the API description.
    Other,
}

/// Who called whom, seen from the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The far end called the bridge.
    Incoming,
    /// The bridge called the far end.
    Outgoing,
    /// A word that is not in the API description.
    Other,
}

/// A call leg (`cms-protocol.md` 7.3). `state`, `direction` and `sub_type` come only with the single GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLeg {
    pub id: LegId,
    /// Often empty until the far end has answered.
    pub name: String,
    /// May gain or lose URI parameters during the call.
    pub remote_party: String,
    /// What was dialled, unchanged (from 2.3 on).
    pub original_remote_party: Option<String>,
    pub call: Option<CallId>,
    pub state: Option<LegState>,
    pub direction: Option<Direction>,
    /// `distributionLink` marks a link between call bridges: never count it as a person.
    pub sub_type: Option<String>,
}

/// A participant, wherever in the cluster it is connected (`cms-protocol.md` 7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub id: ParticipantId,
    pub name: String,
    pub call: Option<CallId>,
    /// Only if the participant is on *another* call bridge.
    pub call_bridge: Option<CallBridgeId>,
    /// Only in the single GET.
    pub uri: Option<String>,
    /// As it was dialled; only in the single GET, from 2.3 on.
    pub original_uri: Option<String>,
    /// Only in the single GET.
    pub state: Option<LegState>,
}

/// A bulk parameter set (`cms-protocol.md` 6.4). List items have only the two indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkSet {
    pub id: BulkSetId,
    /// First number, included.
    pub start_index: Option<u64>,
    /// Last number, included.
    pub end_index: Option<u64>,
    pub name_mapping: Option<String>,
}

/// A bulk sync (`cms-protocol.md` 6.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkSync {
    pub id: BulkSyncId,
    pub set: Option<BulkSetId>,
    pub status: SyncStatus,
}

/// How far a bulk sync has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    Pending,
    Running,
    Complete,
    /// Whether part of the work was done is not documented: look before doing more (R49).
    Failed(SyncFailure),
    /// A word that is not in the API description.
    Other(String),
}

/// Why a bulk sync failed (R49).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncFailure {
    /// `failedCoSpaceUriConflict`
    UriConflict,
    /// `failedCallIdConflict`
    CallIdConflict,
    /// `failedIndexRangeInvalid`: start after end.
    RangeInvalid,
    /// `failedIndexRangeTooGreat`: the limit is not published.
    RangeTooGreat,
    /// `failedNoSuchParameterSet`
    ParameterSetMissing,
    /// Plain `failed`.
    Unspecified,
    /// `failed...` with a word that is not in the API description.
    Other(String),
}

/// A profile as read back: every plain field, with the name as the server spells it.
pub type Fields = BTreeMap<String, String>;

/// Whom to dial, and how (`cms-protocol.md` 7.2). Without options the body is exactly the guide's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLeg {
    /// SIP URI, number or user.
    pub remote_party: String,
    /// Keys that the bridge presses once the other side has answered.
    pub dtmf: Option<String>,
    /// Name in the picture, 50 bytes of UTF-8 at most on the bridge.
    pub label: Option<String>,
    /// Layout at the start, in the words of the bridge.
    pub layout: Option<&'static str>,
}

/// Rank of somebody who is dialled as a participant, and on which call bridge (`cms-protocol.md` 7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    pub importance: u32,
    /// Id of the call bridge that is to dial. None: there is only one.
    pub call_bridge: Option<String>,
}

/// What everybody in a call reads on the screen (`cms-protocol.md` 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub text: String,
    pub position: &'static str,
    /// So long it is shown.
    pub seconds: u32,
}

/// What to write when a door is opened or an open meeting is changed (R58-R61, R70).
#[derive(Clone, Debug)]
pub struct Opening {
    /// The meeting's title; becomes the name of the space.
    pub name: String,
    /// Always sent, even if empty: an empty one clears what was there.
    pub passcode: SecretString,
    /// The secret of the join link, chosen by us.
    pub secret: SecretString,
    /// Our mark, put into `cdrTag` (100 characters at most on the bridge); `None`: the tag is left as it is.
    pub mark: Option<String>,
    /// Profiles for this meeting.
    pub profiles: SpaceProfiles,
}

/// Profiles that a space is told with its door; `None`: as it is, empty: none any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceProfiles {
    pub call: Option<String>,
    pub call_leg: Option<String>,
}

/// A range of slots to be made (R48).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBulkSet {
    /// First number, included.
    pub start: u64,
    /// Last number, included.
    pub end: u64,
    /// What stands before the number in each space's name; taken literally.
    pub name_prefix: String,
    pub call_profile: Option<CallProfileId>,
    pub call_leg_profile: Option<CallLegProfileId>,
}

/// `GET system/database` (`cms-protocol.md` 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Database {
    /// False: one local database.
    pub clustered: bool,
    /// The node that takes all reads and writes.
    pub node_in_use: Option<String>,
    pub nodes: Vec<DatabaseNode>,
    /// What the bridge says is wrong, if anything.
    pub error: Option<String>,
}

impl Database {
    /// Whether writes can work: not clustered, or some node is up and primary. `None`: the reply does not tell.
    pub fn has_primary(&self) -> Option<bool> {
        if !self.clustered {
            return Some(true);
        }
        if self.nodes.is_empty() {
            return self.node_in_use.as_ref().map(|_| true);
        }
        Some(self.nodes.iter().any(|node| node.primary && node.up))
    }
}

/// One node of a clustered database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseNode {
    /// Seen from the call bridge that was asked.
    pub up: bool,
    /// `master` on the wire.
    pub primary: bool,
}

/// Everything a paged list gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// Without repetitions, in the order of the bridge.
    pub items: Vec<T>,
    /// Requests that were needed.
    pub pages: u32,
    /// What the bridge last said it has. Never derive a capacity from it (requirements.md 1.3).
    pub total: Option<u64>,
    /// Items that could not be read and were left out (each was logged).
    pub skipped: usize,
    /// False: the list changed while it was read, twice in a row; an item may be missing or already gone.
    pub consistent: bool,
}

impl<T> Listing<T> {
    /// The same list of what is made of each item.
    pub fn map<U>(self, of: impl FnMut(T) -> U) -> Listing<U> {
        let Self { items, pages, total, skipped, consistent } = self;
        Listing { items: items.into_iter().map(of).collect(), pages, total, skipped, consistent }
    }

    /// How many items the bridge says it has, and this does not show. None: it moved while it was read, and nobody knows.
    pub fn unshown(&self) -> Option<u64> {
        let shown = u64::try_from(self.items.len()).unwrap_or(u64::MAX);
        let skipped = u64::try_from(self.skipped).unwrap_or(u64::MAX);
        let missing = self.total.map_or(0, |total| total.saturating_sub(shown));
        self.consistent.then_some(missing.max(skipped))
    }
}

impl<T> IntoIterator for Listing<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}
