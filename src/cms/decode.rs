//! From an XML element to a value of `model.rs`. No I/O.
//!
//! An empty scalar means the same as a missing one (`cms-protocol.md` 1.3), except where "empty" is an answer (passcode,
//! secret). A number or word that cannot be read counts as missing: a bridge of another version must not stop us.

use std::str::FromStr;

use secrecy::SecretString;
use thiserror::Error;

use super::model::*;
use super::xml::{self, Bounds, Node};

/// Why one object cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Undecodable {
    #[error("it has no usable id")]
    Id,
    #[error("it has no software version")]
    Version,
}

/// An object that has an id and comes in lists.
pub trait Record: Sized {
    /// The root of a list.
    const LIST: &'static str;
    /// One item, and the root of the single object.
    const ITEM: &'static str;
    /// More items than any real list of them has: a bridge that goes on for ever must not fill our memory.
    const MOST: usize;

    /// # Errors
    /// If it cannot be used at all.
    fn decode(node: &Node) -> Result<Self, Undecodable>;

    /// What tells it from others.
    fn key(&self) -> &str;
}

/// Whether a text can be an id, and thus a part of a path: GUIDs in practice (`cms-protocol.md` 1.7). An empty one or one
/// with a slash or dots would make a request to something else.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn id_of<T: From<String>>(node: &Node) -> Result<T, Undecodable> {
    let id = node.attribute("id").unwrap_or_default().trim();
    if is_id(id) { Ok(T::from(id.to_owned())) } else { Err(Undecodable::Id) }
}

fn reference<T: From<String>>(node: &Node, name: &str) -> Option<T> {
    text(node, name).map(T::from)
}

/// The trimmed text of a child, if it is not empty.
fn text(node: &Node, name: &str) -> Option<String> {
    let text = node.text_of(name)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A text without the line breaks, and the blanks with them, that a writer has put around it. No text of ours has any.
fn unwrapped(text: &str) -> &str {
    let breaks = |blank: Option<&str>| blank.is_some_and(|blank| blank.contains(['\n', '\r']));
    let rest = text.trim_start();
    let text = if breaks(text.strip_suffix(rest)) { rest } else { text };
    let rest = text.trim_end();
    if breaks(text.strip_prefix(rest)) { rest } else { text }
}

/// A text made by people: as it is, with its blanks.
fn free_text(node: &Node, name: &str) -> String {
    node.text_of(name).map(unwrapped).unwrap_or_default().to_owned()
}

fn secret(node: &Node, name: &str) -> Option<SecretString> {
    node.text_of(name).map(|text| SecretString::from(unwrapped(text)))
}

fn parsed<T: FromStr>(node: &Node, name: &str) -> Option<T> {
    text(node, name)?.parse().ok()
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn flag(node: &Node, name: &str) -> Option<bool> {
    node.text_of(name).and_then(boolean)
}

/// A child of `group`, or of the object itself: leg and participant keep some fields in groups (`cms-protocol.md` 7.3).
fn grouped(node: &Node, group: &str, name: &str) -> Option<String> {
    node.child(group).and_then(|group| text(group, name)).or_else(|| text(node, name))
}

/// The total of a list, if the root gives one.
pub fn total(list: &Node) -> Option<u64> {
    list.attribute("total").and_then(|total| total.trim().parse().ok())
}

/// A profile as plain fields; groups of fields are left out.
pub fn fields(node: &Node) -> Fields {
    let plain = node.children().iter().filter(|child| child.children().is_empty());
    plain.map(|child| (child.name().to_owned(), child.text().to_owned())).collect()
}

/// # Errors
/// If there is no software version: then it is no status of a call bridge.
pub fn system_status(node: &Node) -> Result<SystemStatus, Undecodable> {
    let number = |name| parsed(node, name).unwrap_or(0);
    Ok(SystemStatus {
        software_version: text(node, "softwareVersion").ok_or(Undecodable::Version)?,
        uptime_seconds: parsed(node, "uptimeSeconds"),
        cdr_time: parsed(node, "cdrTime"),
        activated: flag(node, "activated"),
        cluster_enabled: flag(node, "clusterEnabled"),
        cluster_id: text(node, "clusterId"),
        call_legs_active: number("callLegsActive"),
        call_legs_max_active: number("callLegsMaxActive"),
        call_legs_completed: number("callLegsCompleted"),
    })
}

/// `GET system/database`. The layout below `cluster` is documented only in words, so nodes are looked for in both.
pub fn database(node: &Node) -> Database {
    let cluster = node.child("cluster").unwrap_or(node);
    let word = node.attribute("clustered").map(str::to_owned).or_else(|| text(node, "clustered"));
    let nodes = cluster.child("nodes").unwrap_or(cluster).all("node").map(|node| {
        let field = |name| node.attribute(name).map(str::to_owned).or_else(|| text(node, name));
        DatabaseNode {
            up: field("up").as_deref().and_then(boolean).unwrap_or(false),
            primary: field("master").as_deref().and_then(boolean).unwrap_or(false),
        }
    });
    Database {
        clustered: word.is_some_and(|word| word.eq_ignore_ascii_case("enabled") || boolean(&word) == Some(true)),
        node_in_use: text(cluster, "nodeInUse"),
        nodes: nodes.collect(),
        error: text(cluster, "error").or_else(|| text(node, "error")),
    }
}

fn leg_state(word: &str) -> LegState {
    match word.to_ascii_lowercase().as_str() {
        "initial" => LegState::Initial,
        "ringing" => LegState::Ringing,
        "connected" => LegState::Connected,
        "onhold" => LegState::OnHold,
        _ => LegState::Other,
    }
}

fn direction(word: &str) -> Direction {
    match word.to_ascii_lowercase().as_str() {
        "incoming" => Direction::Incoming,
        "outgoing" => Direction::Outgoing,
        _ => Direction::Other,
    }
}

fn sync_status(word: &str) -> SyncStatus {
    let failure = match word.to_ascii_lowercase().as_str() {
        "pending" => return SyncStatus::Pending,
        "running" => return SyncStatus::Running,
        "complete" => return SyncStatus::Complete,
        "failedcospaceuriconflict" => SyncFailure::UriConflict,
        "failedcallidconflict" => SyncFailure::CallIdConflict,
        "failedindexrangeinvalid" => SyncFailure::RangeInvalid,
        "failedindexrangetoogreat" => SyncFailure::RangeTooGreat,
        "failednosuchparameterset" => SyncFailure::ParameterSetMissing,
        "failed" => SyncFailure::Unspecified,
        other if other.starts_with("failed") => SyncFailure::Other(word.to_owned()),
        _ => return SyncStatus::Other(word.to_owned()),
    };
    SyncStatus::Failed(failure)
}

/// A record by its lists, its items, the most of them, and its fields beside the id.
macro_rules! record {
    ($Kind:ident, $list:literal, $item:literal, $most:literal, |$node:ident| { $($field:ident: $value:expr),+ $(,)? }) => {
        impl Record for $Kind {
            const LIST: &'static str = $list;
            const ITEM: &'static str = $item;
            const MOST: usize = $most;

            fn decode($node: &Node) -> Result<Self, Undecodable> {
                Ok(Self { id: id_of($node)?, $($field: $value),+ })
            }

            fn key(&self) -> &str {
                self.id.as_str()
            }
        }
    };
}

record!(ClusterMember, "callBridges", "callBridge", 64, |node| {
    name: free_text(node, "name"),
    address: text(node, "address"),
    sip_domain: text(node, "sipDomain"),
});

record!(Space, "coSpaces", "coSpace", 100_000, |node| {
    name: free_text(node, "name"),
    uri: text(node, "uri"),
    secondary_uri: text(node, "secondaryUri"),
    call_id: text(node, "callId"),
    tenant: text(node, "tenant"),
    non_member_access: flag(node, "nonMemberAccess"),
    passcode: secret(node, "passcode"),
    secret: secret(node, "secret"),
    cdr_tag: text(node, "cdrTag"),
    call_profile: reference(node, "callProfile"),
    call_leg_profile: reference(node, "callLegProfile"),
    access_methods: parsed(node, "numAccessMethods"),
});

record!(AccessMethod, "accessMethods", "accessMethod", 2_000, |node| {
    name: text(node, "name"),
    call_id: text(node, "callId"),
    passcode: secret(node, "passcode"),
    secret: secret(node, "secret"),
    call_leg_profile: reference(node, "callLegProfile"),
});

record!(Call, "calls", "call", 20_000, |node| {
    space: reference(node, "coSpace"),
    correlator: text(node, "callCorrelator"),
    duration: parsed(node, "durationSeconds"),
});

record!(CallLeg, "callLegs", "callLeg", 20_000, |node| {
    name: free_text(node, "name"),
    remote_party: text(node, "remoteParty").unwrap_or_default(),
    original_remote_party: text(node, "originalRemoteParty"),
    call: reference(node, "call"),
    state: grouped(node, "status", "state").map(|word| leg_state(&word)),
    direction: grouped(node, "status", "direction").map(|word| direction(&word)),
    sub_type: text(node, "subtype"),
});

record!(Participant, "participants", "participant", 20_000, |node| {
    name: free_text(node, "name"),
    call: reference(node, "call"),
    call_bridge: reference(node, "callBridge"),
    uri: text(node, "uri"),
    original_uri: text(node, "originalUri"),
    state: grouped(node, "status", "state").map(|word| leg_state(&word)),
});

record!(BulkSet, "cospaceBulkParameterSets", "cospaceBulkParameterSet", 2_000, |node| {
    start_index: parsed(node, "startIndex"),
    end_index: parsed(node, "endIndex"),
    name_mapping: text(node, "coSpaceNameMapping"),
});

record!(BulkSync, "cospaceBulkSyncs", "cospaceBulkSync", 2_000, |node| {
    set: reference(node, "cospaceBulkParameterSet"),
    status: sync_status(&text(node, "status").unwrap_or_default()),
});

/// A profile in a list, of a call leg or of a call: its id, and its name if the list shows it.
#[derive(Clone, Debug)]
pub struct ProfileItem<const LEG: bool> {
    pub id: String,
    pub name: Option<String>,
}

impl<const LEG: bool> Record for ProfileItem<LEG> {
    const LIST: &'static str = if LEG { "callLegProfiles" } else { "callProfiles" };
    const ITEM: &'static str = if LEG { "callLegProfile" } else { "callProfile" };
    const MOST: usize = 2_000;

    fn decode(node: &Node) -> Result<Self, Undecodable> {
        Ok(Self { id: id_of(node)?, name: text(node, "name") })
    }

    fn key(&self) -> &str {
        &self.id
    }
}

/// See [`super::fuzzing`].
pub fn read_everything(bytes: &[u8]) -> usize {
    fn visit(node: &Node) -> usize {
        let _ = (ClusterMember::decode(node), Space::decode(node), Call::decode(node), CallLeg::decode(node));
        let _ = AccessMethod::decode(node).is_ok();
        let _ = (Participant::decode(node), BulkSet::decode(node), BulkSync::decode(node), fields(node));
        let _ = (system_status(node), database(node).has_primary(), total(node));
        1 + node.children().iter().map(visit).sum::<usize>()
    }
    xml::parse(bytes, Bounds::default()).map_or(0, |root| visit(&root))
}
