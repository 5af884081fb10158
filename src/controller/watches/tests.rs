use super::*;

fn bridge(ready: &str, message: &str, accepted: &str, foreign: u32) -> MeetingBridge {
    let told = |kind: &str, status: &str| {
        serde_json::json!({ "type": kind, "status": status, "reason": "R", "message": message,
                            "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "b", "namespace": "ns", "uid": "u", "generation": 1 },
        "spec": { "address": "cms.test", "credentialsSecretRef": { "name": "cms" } },
        "status": { "conditions": [told("Ready", ready), told("Accepted", accepted)],
                    "slots": { "total": 5, "free": 5 - foreign, "foreign": foreign } }
    }))
    .unwrap()
}

#[test]
fn only_what_changes_the_offers_wakes_those_without_a_slot() {
    let judge = |bridge: &MeetingBridge| (relevant(bridge), offered(bridge));
    let before = judge(&bridge("True", "as it was", "True", 0));
    assert_eq!(judge(&bridge("True", "told otherwise", "Unknown", 0)), before);
    assert_ne!(judge(&bridge("False", "as it was", "True", 0)), before, "not Ready any more");
    assert_ne!(judge(&bridge("True", "as it was", "False", 0)), before, "not accepted any more");
    assert_ne!(judge(&bridge("True", "as it was", "True", 1)), before, "a slot is somebody else's");
    let mut edited = bridge("True", "as it was", "True", 0);
    edited.metadata.generation = Some(2);
    assert_ne!(judge(&edited), before);
}
