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
