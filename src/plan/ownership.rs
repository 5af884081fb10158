//! Two objects for one cluster: the older one owns it, the newer one never writes (R36).

use crate::api::MeetingBridge;
use crate::cms::Address;
use kube::ResourceExt;

/// Order of ownership: creation, then UID.
fn age(bridge: &MeetingBridge) -> (Option<jiff::Timestamp>, String) {
    (bridge.metadata.creation_timestamp.as_ref().map(|time| time.0), bridge.uid().unwrap_or_default())
}

fn is_same_cluster(a: &MeetingBridge, b: &MeetingBridge) -> bool {
    let addresses = |bridge: &MeetingBridge| -> Vec<Address> {
        let alternates = bridge.spec.failover.alternates.iter().filter_map(|alternate| alternate.address.as_ref());
        std::iter::once(&bridge.spec.address).chain(alternates).filter_map(|text| text.parse().ok()).collect()
    };
    let (ours, theirs) = (addresses(a), addresses(b));
    if ours.iter().any(|address| theirs.contains(address)) {
        return true;
    }
    let cluster = |bridge: &MeetingBridge| bridge.status.as_ref().and_then(|status| status.cluster.clone());
    let (Some(a), Some(b)) = (cluster(a), cluster(b)) else { return false };
    let same_id = a.cluster_id.is_some() && a.cluster_id == b.cluster_id;
    same_id || a.members.iter().any(|member| b.members.iter().any(|other| other.id == member.id))
}

/// The older object that owns the cluster of `bridge`, as `namespace/name`; None: `bridge` owns it itself.
pub fn owner<'a>(bridge: &MeetingBridge, others: impl Iterator<Item = &'a MeetingBridge>) -> Option<String> {
    others
        .filter(|other| age(other) < age(bridge) && other.metadata.deletion_timestamp.is_none())
        .filter(|other| is_same_cluster(bridge, other))
        .min_by_key(|other| age(other))
        .map(|owner| format!("{}/{}", owner.namespace().unwrap_or_default(), owner.name_any()))
}

#[cfg(test)]
mod tests;
