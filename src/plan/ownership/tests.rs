use super::*;

/// An object; `accepted` is its condition Accepted, if it has one.
fn bridge(name: &str, second: u8, cluster: serde_json::Value, accepted: Option<bool>) -> MeetingBridge {
    let address = cluster["address"].as_str().unwrap_or("elsewhere").to_owned();
    let conditions: Vec<_> = accepted
        .map(|accepted| {
            serde_json::json!({ "type": "Accepted", "status": if accepted { "True" } else { "False" }, "reason": "R",
                                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" })
        })
        .into_iter()
        .collect();
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": name, "namespace": "ns", "uid": name,
                      "creationTimestamp": format!("2026-11-23T10:00:0{second}Z") },
        "spec": { "address": address, "credentialsSecretRef": { "name": "cms" } },
        "status": { "cluster": cluster, "conditions": conditions }
    }))
    .unwrap()
}

fn read(address: &str, members: &[&str], id: Option<&str>) -> serde_json::Value {
    let members: Vec<_> =
        members.iter().map(|id| serde_json::json!({ "id": id, "name": id, "primary": false })).collect();
    serde_json::json!({ "address": address, "clusterID": id, "members": members })
}

/// Who owns the cluster of `of`, which has read there what its status says.
fn owner_of(of: &MeetingBridge, others: &[&MeetingBridge]) -> Option<String> {
    owner(of, of.status.as_ref()?.cluster.as_ref(), others.iter().copied())
}

const OLD: &str = "the MeetingBridge ns/old";

#[test]
fn the_older_object_owns_the_cluster() {
    for (old, new) in [
        (read("a", &["m1"], None), read("b", &["m2", "m1"], None)),
        (read("a", &["m1"], Some("c")), read("b", &["m2"], Some("c"))),
        (read("a", &[], None), read("A:443", &[], None)),
        (read("a", &["m1"], None), read("b", &["M1"], None)),
        (read("a", &["m1"], Some("c")), read("b", &["m2"], Some("C"))),
    ] {
        let (old, new) = (bridge("old", 1, old, None), bridge("new", 2, new, None));
        assert_eq!(owner_of(&new, &[&old, &new]).as_deref(), Some(OLD));
        assert_eq!(owner_of(&old, &[&old, &new]), None);
    }
    let (one, other) = (bridge("old", 1, read("a", &["m1"], Some("c1")), None), read("b", &["m2"], Some("c2")));
    assert_eq!(owner_of(&bridge("new", 2, other, None), &[&one]), None);
    let twins = (bridge("x", 1, read("a", &["m"], None), None), bridge("y", 1, read("a", &["m"], None), None));
    assert_eq!((owner_of(&twins.0, &[&twins.1]), owner_of(&twins.1, &[&twins.0]).is_some()), (None, true), "by UID");
}

#[test]
fn an_address_in_a_spec_takes_nothing_from_anybody() {
    let established = bridge("prod", 5, read("cms", &["m1"], None), Some(true));
    let mut squatter = bridge("old", 1, read("mine", &["e1"], None), Some(true));
    squatter.spec.failover.alternates =
        serde_json::from_value(serde_json::json!([{ "address": "cms", "callBridge": null }])).unwrap();
    assert_eq!(owner_of(&established, &[&squatter]), None, "as an alternate");
    squatter.spec.address = "cms".into();
    assert_eq!(owner_of(&established, &[&squatter]), None, "as its own address: it has read nothing there yet");
    squatter.status = None;
    assert_eq!(owner_of(&established, &[&squatter]), None, "or nowhere");
    assert_eq!(owner(&squatter, None, [&established].into_iter()), None, "nothing to judge yet");
}

#[test]
fn who_was_accepted_before_keeps_the_cluster() {
    let established = bridge("prod", 5, read("cms", &["m1"], Some("c")), Some(true));
    let newcomer = bridge("old", 1, read("alias", &["m1"], Some("c")), None);
    assert!(owner_of(&newcomer, &[&established]).is_some(), "although it is older");
    assert_eq!(owner_of(&established, &[&newcomer]), None);
    // Accepted somewhere else, and its bridge suddenly shows the ids of this cluster.
    let elsewhere = bridge("old", 1, read("mine", &["e1"], None), Some(true));
    let claims: ClusterStatus = serde_json::from_value(read("mine", &["e1", "m1"], Some("c"))).unwrap();
    assert!(owner(&elsewhere, Some(&claims), [&established].into_iter()).is_some());
    let mut refused = bridge("old", 1, read("mine", &["e1", "m1"], Some("c")), Some(false));
    assert_eq!(owner_of(&established, &[&refused]), None);
    // It stays so when the established one is on its way out, until it is gone.
    let mut leaving = established.clone();
    leaving.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Default::default()));
    assert!(owner_of(&refused, &[&leaving]).is_some());
    assert_eq!(owner_of(&refused, &[]), None);
    refused.metadata.namespace = Some("other".into());
    let told = owner_of(&refused, &[&established]).unwrap();
    assert!(!told.contains("prod"), "{told}");
}

/// A bridge may write its ids in another case after a restart; what was made there is ours all the same.
#[test]
fn ids_in_another_case_are_no_other_cluster() {
    let cluster = |members: &[&str], id| serde_json::from_value::<ClusterStatus>(read("a", members, id)).unwrap();
    for (before, now) in [
        (cluster(&["m1"], None), cluster(&["M1"], None)),
        (cluster(&[], Some("c1")), cluster(&[], Some("C1"))),
        (cluster(&["m1"], Some("c1")), cluster(&["m2"], Some("C1"))),
    ] {
        assert!(!is_another(&before, &now), "{before:?} {now:?}");
    }
    assert!(is_another(&cluster(&[], Some("c1")), &cluster(&[], Some("C2"))));
}
