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
mod tests {
    use super::*;

    fn bridge(name: &str, second: u8, address: &str, member: &str, cluster: Option<&str>) -> MeetingBridge {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
            "metadata": { "name": name, "namespace": "ns", "uid": name,
                          "creationTimestamp": format!("2026-11-23T10:00:0{second}Z") },
            "spec": { "address": address, "credentialsSecretRef": { "name": "cms" } },
            "status": { "cluster": { "clusterID": cluster, "members": [
                { "id": member, "name": member, "primary": true } ] } }
        }))
        .unwrap()
    }

    #[test]
    fn the_older_object_owns_the_cluster() {
        let old = bridge("old", 1, "a:445", "m1", None);
        let same_member = bridge("new", 2, "b:445", "m1", None);
        let same_address = bridge("new", 2, "a:445", "m2", None);
        let other = bridge("new", 2, "b:445", "m2", Some("c2"));
        let mut with_alternate = bridge("new", 2, "b:445", "m2", None);
        with_alternate.spec.failover.alternates =
            serde_json::from_value(serde_json::json!([{ "address": "A:445" }])).unwrap();
        let owner_of = |bridge: &MeetingBridge| owner(bridge, [&old, bridge].into_iter());
        assert_eq!(owner_of(&same_member).as_deref(), Some("ns/old"));
        assert_eq!(owner_of(&same_address).as_deref(), Some("ns/old"));
        assert_eq!(owner_of(&with_alternate).as_deref(), Some("ns/old"));
        assert_eq!(owner_of(&other), None);
        assert_eq!(owner(&old, [&old, &same_member].into_iter()), None);
        let by_id = (bridge("x", 1, "a", "m1", Some("c")), bridge("y", 2, "b", "m2", Some("c")));
        assert_eq!(owner(&by_id.1, [&by_id.0].into_iter()).as_deref(), Some("ns/x"));
    }
}
