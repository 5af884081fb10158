//! What the apiserver refuses by itself, with messages that say what to do, and what it fills in (docs/api.md).

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::lone;

async fn refusal(arena: &Arena, kind: &str, spec: Value) -> String {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("meeting-controller.dev", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(arena.client.clone(), &arena.namespace, &resource);
    let mut object = DynamicObject::new("x", &resource);
    object.data = json!({ "spec": spec });
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&dry, &object).await {
        Ok(_) => "accepted".to_owned(),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("{error}"),
    }
}

fn with(base: &Value, changes: Value) -> Value {
    let mut spec = base.clone();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(key);
        } else {
            spec[key] = value.clone();
        }
    }
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meetings_that_make_no_sense_are_refused_with_a_reason() {
    let arena = Arena::quiet("adm-m", lone(), quick()).await;
    let good = json!({ "title": "T", "start": "2030-01-01T10:00:00Z", "duration": "1h" });
    assert_eq!(refusal(&arena, "ScheduledMeeting", good.clone()).await, "accepted");
    let party = |who: &str| json!({ "remoteParty": who });
    let way = |name: &str, role: &str| json!({ "name": name, "role": role, "passcodeSecretRef": { "name": "code" } });
    let five = ["a", "b", "c", "d", "e"].map(|name| way(name, "Guest"));
    let cases = [
        (json!({ "end": "2030-01-01T11:00:00Z" }), "exactly one of end and duration"),
        (json!({ "duration": null }), "exactly one of end and duration"),
        (json!({ "duration": null, "end": "2030-01-01T10:00:00Z" }), "end must be after start"),
        (json!({ "duration": null, "end": "2030-01-01T09:00:00Z" }), "end must be after start"),
        (json!({ "duration": null, "end": "2030-01-01T12:00:00+05:00" }), "end must be after start"),
        (json!({ "duration": "0s" }), "duration must be more than zero"),
        (json!({ "duration": "60" }), "spec.duration"),
        (json!({ "duration": "-1h" }), "spec.duration"),
        (json!({ "start": "tomorrow" }), "spec.start"),
        (json!({ "start": null }), "spec.start"),
        (json!({ "earlyJoin": "25h" }), "earlyJoin must not exceed 24h"),
        (json!({ "title": "" }), "spec.title"),
        (json!({ "title": "a\u{7}b" }), "title must not contain control characters"),
        (json!({ "title": "x".repeat(201) }), "spec.title"),
        (json!({ "bridgeRef": { "name": "a" }, "bridgeSelector": {} }), "bridgeRef and bridgeSelector exclude"),
        (
            json!({ "passcodeSecretRef": { "name": "a" }, "passcode": { "generate": {} } }),
            "passcodeSecretRef and passcode.generate exclude",
        ),
        (json!({ "passcode": { "generate": { "digits": 3 } } }), "digits"),
        (json!({ "participants": [party("a@x"), party("b@x"), party("a@x")] }), "Duplicate value"),
        (json!({ "participants": [party("a b@x")] }), "remoteParty must not contain spaces"),
        (json!({ "participants": [{ "remoteParty": "a@x", "dial": "Sideways" }] }), "dial"),
        (json!({ "accessMethods": [way("host", "Host"), way("host", "Guest")] }), "Duplicate value"),
        (json!({ "accessMethods": [way("Host", "Host")] }), "accessMethods[0].name"),
        (json!({ "accessMethods": [way("a", "Chair")] }), "role"),
        (json!({ "accessMethods": [{ "name": "a", "role": "Host" }] }), "passcodeSecretRef"),
        (json!({ "accessMethods": five }), "4 items"),
        (json!({ "participants": [{ "remoteParty": "a@x", "retry": { "limit": 101 } }] }), "limit"),
        (
            json!({ "participants": [{ "remoteParty": "a@x", "retry": { "backoff": "4999ms" } }] }),
            "retry.backoff must be at least 5s",
        ),
        (json!({ "extension": { "auto": { "step": "2h", "max": "1h" } } }), "1m <= step <= max"),
        (json!({ "extension": { "auto": { "step": "59s", "max": "1h" } } }), "1m <= step <= max"),
    ];
    for (changes, wanted) in cases {
        let message = refusal(&arena, "ScheduledMeeting", with(&good, changes.clone())).await;
        assert!(message.contains(wanted), "{changes}: {message:?} lacks {wanted:?}");
    }
    let many: Vec<_> = (0..201).map(|i| party(&format!("p{i}@x"))).collect();
    let message = refusal(&arena, "ScheduledMeeting", with(&good, json!({ "participants": many }))).await;
    assert!(message.contains("spec.participants") && message.contains("200"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_that_make_no_sense_are_refused_with_a_reason() {
    let arena = Arena::quiet("adm-b", lone(), quick()).await;
    let good = json!({ "address": "cms.example.com:445", "credentialsSecretRef": { "name": "cms" } });
    for address in ["cms.example.com", "10.0.0.1", "10.0.0.1:445", "[2001:db8::1]", "[2001:db8::1]:445", "cms"] {
        let message = refusal(&arena, "MeetingBridge", with(&good, json!({ "address": address }))).await;
        assert_eq!(message, "accepted", "{address}");
    }
    for address in [
        "https://cms.example.com",
        "cms.example.com/api",
        "cms:65536",
        "cms:0",
        "[::1]:70000",
        "2001:db8::1",
        "a b",
        "",
    ] {
        let message = refusal(&arena, "MeetingBridge", with(&good, json!({ "address": address }))).await;
        assert!(message.contains("spec.address"), "{address:?}: {message}");
    }
    let cases = [
        (json!({ "credentialsSecretRef": null }), "credentialsSecretRef"),
        (json!({ "credentialsSecretRef": { "name": "" } }), "credentialsSecretRef.name"),
        (json!({ "slots": { "base": 4_294_967_295_u32, "quantity": 2 } }), "spec.slots"),
        (json!({ "slots": { "quantity": 0 } }), "spec.slots.quantity"),
        (json!({ "slots": { "base": -1 } }), "spec.slots.base"),
        (json!({ "allowedNamespaces": { "from": "Selector" } }), "selector"),
        (json!({ "allowedNamespaces": { "from": "Nobody" } }), "from"),
        (json!({ "managementPolicy": "Hope" }), "managementPolicy"),
        (json!({ "deletionPolicy": "Maybe" }), "deletionPolicy"),
        (json!({ "webBridgeURI": "join.example.com" }), "webBridgeURI"),
        (json!({ "webBridgeURI": "http://join.example.com" }), "webBridgeURI"),
        (json!({ "scheduling": { "preference": 1001 } }), "spec.scheduling.preference"),
        (json!({ "tls": { "caBundleRef": { "kind": "Pod", "name": "ca" } } }), "caBundleRef"),
    ];
    for (changes, wanted) in cases {
        let message = refusal(&arena, "MeetingBridge", with(&good, changes.clone())).await;
        assert!(message != "accepted" && message.contains(wanted), "{changes}: {message:?} lacks {wanted:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_are_filled_in_by_the_schema() {
    let arena = Arena::quiet("adm-d", lone(), quick()).await;
    arena.connect().await;
    let spec = json!({
        "start": in_ms(3_600_000), "duration": "1h", "passcode": { "generate": {} },
        "participants": [{ "remoteParty": "desk@rooms.test" }, { "remoteParty": "b@rooms.test", "retry": { "limit": 9 } }]
    });
    arena.create_meeting("m", spec).await;
    let api: Api<ScheduledMeeting> = arena.api();
    let stored = serde_json::to_value(&api.get("m").await.unwrap().spec).unwrap();
    assert_eq!(stored["suspend"], false);
    assert_eq!(stored["passcode"]["generate"]["digits"], 6);
    assert_eq!(stored["participants"][0]["dial"], "Out");
    assert_eq!(stored["participants"][0]["retry"], json!({ "limit": 3, "backoff": "20s" }));
    assert_eq!(stored["participants"][1]["retry"], json!({ "limit": 9, "backoff": "20s" }));
    let bridge: Value = json!({ "address": "cms.test", "credentialsSecretRef": { "name": "cms" } });
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("meeting-controller.dev", "v1alpha1", "MeetingBridge"));
    let raw: Api<DynamicObject> = Api::namespaced_with(arena.client.clone(), &arena.namespace, &resource);
    let mut object = DynamicObject::new("b", &resource);
    object.data = json!({ "spec": bridge });
    let stored = raw.create(&PostParams::default(), &object).await.unwrap().data["spec"].clone();
    assert_eq!(stored["slots"]["namePrefix"], "TMS_Scheduled_Meeting_");
    let scheduling =
        json!({ "allowBooking": true, "allowIncomingSIP": true, "allowOutgoingSIP": true, "preference": 0 });
    assert_eq!(stored["scheduling"], scheduling);
    assert_eq!(stored["allowedNamespaces"]["from"], "Same");
    assert_eq!((&stored["managementPolicy"], &stored["deletionPolicy"]), (&json!("Enforce"), &json!("Delete")));
    assert_eq!(stored["failover"]["failureThreshold"], 3);
    assert_eq!(stored["profiles"]["call"]["participantLimit"], 1000);
    let read: Api<MeetingBridge> = arena.api();
    assert_eq!(read.get("b").await.unwrap().spec.slots.name_prefix, "TMS_Scheduled_Meeting_");
}

/// `kubectl get meetings` lists every kind; `mb`, `mtg` and `mts` are their short names; status is a subresource.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_is_found_by_category_and_short_name() {
    let arena = Arena::quiet("adm-n", lone(), quick()).await;
    let found = arena.client.list_api_group_resources("meeting-controller.dev/v1alpha1").await.unwrap().resources;
    for (name, kind, short) in [
        ("meetingbridges", "MeetingBridge", "mb"),
        ("scheduledmeetings", "ScheduledMeeting", "mtg"),
        ("meetingseries", "MeetingSeries", "mts"),
    ] {
        let resource = found.iter().find(|resource| resource.name == name).expect(name);
        assert_eq!((resource.kind.as_str(), resource.namespaced), (kind, true));
        assert_eq!(resource.short_names, Some(vec![short.to_owned()]));
        assert_eq!(resource.categories, Some(vec!["meetings".to_owned()]));
        assert!(found.iter().any(|resource| resource.name == format!("{name}/status")));
    }
}
