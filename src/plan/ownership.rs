//! Two objects for one cluster: one owns it, the other one never writes (R36). What counts is what an object has read
//! there, with credentials that the bridge took; an address in a spec is only a wish and takes nothing from anybody.

use kube::ResourceExt;

use crate::api::bridge::ClusterStatus;
use crate::api::conditions::types;
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, is_true};
use crate::cms::is_same_id;

/// Among objects that are in the same position the older one comes first, then the lower UID.
fn age(bridge: &MeetingBridge) -> (Option<jiff::Timestamp>, String) {
    (bridge.metadata.creation_timestamp.as_ref().map(|time| time.0), bridge.uid().unwrap_or_default())
}

/// What the object has read of its cluster, and stored.
fn stored(bridge: &MeetingBridge) -> Option<&ClusterStatus> {
    bridge.status.as_ref()?.cluster.as_ref().filter(|cluster| cluster.is_of(&bridge.spec.address))
}

fn is_accepted(bridge: &MeetingBridge) -> bool {
    bridge.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::ACCEPTED))
}

fn is_same(a: &ClusterStatus, b: &ClusterStatus) -> bool {
    let same_id = a.cluster_id.is_some() && is_same_id(a.cluster_id.as_deref(), b.cluster_id.as_deref());
    // A lone CMS before 3.0 shows no id; then the address where it answered is all there is.
    let same_address = a.address.as_deref().is_some_and(|address| b.is_of(address)) && b.address.is_some();
    same_id || same_address || shares_member(a, b)
}

/// Does a call bridge belong to both?
fn shares_member(a: &ClusterStatus, b: &ClusterStatus) -> bool {
    a.members.iter().any(|member| b.members.iter().any(|other| is_same_id(Some(&other.id), Some(&member.id))))
}

/// Is what was read now another cluster than the one that was read before? What was made there is not here: numbers and
/// ids that the status remembers are no claim to anything (R57).
///
/// At another address only an id in common makes it the same one. At the same one ids that differ tell of a bridge that was
/// built anew; one that joined a cluster, or left it, may have got another id.
pub fn is_another(before: &ClusterStatus, now: &ClusterStatus) -> bool {
    let ids = before.cluster_id.as_deref().zip(now.cluster_id.as_deref());
    if shares_member(before, now) || ids.is_some_and(|(before, now)| is_same_id(Some(before), Some(now))) {
        return false;
    }
    let is_same_address = before.address.as_deref().is_none_or(|address| now.is_of(address));
    let is_same_kind = before.members.is_empty() == now.members.is_empty();
    !is_same_address || (ids.is_some() && is_same_kind)
}

/// The object that owns the cluster of which `bridge` has read this, in words; None: `bridge` owns it itself.
///
/// Who was accepted on this very cluster before keeps it: an object that comes to it later, by a new address or because
/// its bridge tells something else now, never takes it away. One that is being deleted counts until it is gone, since it
/// still removes what it made.
pub fn owner<'a>(
    bridge: &MeetingBridge,
    read: Option<&ClusterStatus>,
    others: impl Iterator<Item = &'a MeetingBridge>,
) -> Option<String> {
    let read = read?;
    let rank = |of: &MeetingBridge, is_established: bool| (!is_established, age(of));
    let before = others.filter(|other| other.uid() != bridge.uid()).filter_map(|other| {
        let theirs = stored(other).filter(|theirs| is_same(read, theirs))?;
        let was_here = is_accepted(bridge) && stored(bridge).is_some_and(|ours| is_same(ours, theirs));
        let other_rank = rank(other, is_accepted(other));
        (other_rank < rank(bridge, was_here)).then_some((other_rank, other))
    });
    let (_, owner) = before.min_by(|(a, _), (b, _)| a.cmp(b))?;
    // Who owns what in another namespace is nobody's business here.
    Some(if owner.namespace() == bridge.namespace() {
        format!("the MeetingBridge {}", ObjectKey::of(owner))
    } else {
        "a MeetingBridge of another namespace".to_owned()
    })
}

#[cfg(test)]
mod tests;
