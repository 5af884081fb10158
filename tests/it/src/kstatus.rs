//! What kstatus, and so Flux and everybody who waits, makes of our objects: nothing is green before it was looked at, what
//! nobody waited for is no failure, and the default of the status is no drift.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::lone;

/// What kstatus says of a custom resource (cli-utils, pkg/kstatus/status): the rules that concern our conditions.
fn kstatus(object: &DynamicObject) -> &'static str {
    let status = &object.data["status"];
    let is = |kind: &str| {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.filter(|c| c["type"] == kind).map(|c| c["status"].as_str().unwrap().to_owned()).next()
    };
    if status["observedGeneration"].as_i64().is_some_and(|observed| Some(observed) != object.metadata.generation) {
        return "InProgress";
    }
    match (is("Reconciling").as_deref(), is("Stalled").as_deref(), is("Ready").as_deref()) {
        (Some("True"), ..) => "InProgress",
        (_, Some("True"), _) => "Failed",
        (.., None | Some("True")) => "Current",
        _ => "InProgress",
    }
}

fn dynamic(arena: &Arena, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("meeting-controller.dev", "v1alpha1", kind));
    Api::namespaced_with(arena.client.clone(), &arena.namespace, &resource)
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "meeting-controller.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// A meeting of an hour that was over so many hours ago.
fn past(hours: i64) -> Value {
    json!({ "title": "Past", "bridgeRef": { "name": "core" }, "start": in_ms(-(hours + 1) * 3_600_000), "duration": "1h" })
}

async fn warnings(arena: &Arena) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(arena.client.clone(), &arena.namespace);
    let all = events.list(&ListParams::default()).await.expect("events").items;
    all.into_iter().filter(|event| event.type_.as_deref() == Some("Warning")).filter_map(|event| event.note).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_green_before_it_was_looked_at_and_a_diff_stays_clean() {
    let mut arena = Arena::quiet("kstatus-new", lone(), quick()).await;
    arena.connect().await;
    let bridge = json!({ "address": arena.sim.address(0), "credentialsSecretRef": { "name": "cms" } });
    let meeting = json!({ "title": "T", "start": in_ms(7_200_000), "duration": "1h" });
    let kinds = [("MeetingBridge", bridge), ("ScheduledMeeting", meeting)];
    let (apply, look) = (PatchParams::apply("git"), PatchParams::apply("git").dry_run());
    for (kind, spec) in &kinds {
        let (api, text) = (dynamic(&arena, kind), manifest(kind, "new", spec));
        let made = api.patch("new", &apply, &Patch::Apply(&text)).await.expect("applied");
        assert_eq!(made.data["status"], json!({ "observedGeneration": -1 }), "{kind}");
        assert_eq!(kstatus(&made), "InProgress", "{kind}");
        let fields = serde_json::to_string(&made.metadata.managed_fields).unwrap();
        assert!(!fields.contains("f:status"), "nobody owns the default: {fields}");
        // The default is put into the stored object once, with the first write after its creation.
        let made = api.patch("new", &apply, &Patch::Apply(&text)).await.expect("applied");
        let again = api.patch("new", &apply, &Patch::Apply(&text)).await.expect("applied again");
        assert_eq!(again.metadata.resource_version, made.metadata.resource_version, "{kind}: nothing changed");
    }
    arena.start().await;
    arena.bridge("new", "judged", |b| condition(b, "Ready") == ("False", "TLSFailure")).await;
    arena.until::<ScheduledMeeting>("new", "judged", |m| condition(m, "Ready").0 == "False").await;
    for (kind, spec) in &kinds {
        // What `kubectl diff --server-side` asks.
        let (api, text) = (dynamic(&arena, kind), manifest(kind, "new", spec));
        let there = api.get("new").await.expect("it is there");
        let would = api.patch("new", &look, &Patch::Apply(&text)).await.expect("no conflict");
        assert_eq!(
            (&would.data["spec"], &would.data["status"]),
            (&there.data["spec"], &there.data["status"]),
            "{kind}"
        );
        assert_eq!(would.metadata.generation, there.metadata.generation, "{kind}");
    }
    // A status that somebody took away is the default again, and is written anew.
    let wipe = json!([{ "op": "replace", "path": "/status", "value": {} }]);
    let wipe: Patch<()> = Patch::Json(serde_json::from_value(wipe).unwrap());
    arena.api::<MeetingBridge>().patch_status("new", &PatchParams::default(), &wipe).await.expect("wiped");
    arena.bridge("new", "judged again", |b| condition(b, "Ready") == ("False", "TLSFailure")).await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waited_for_is_over_without_a_word() {
    let arena = Arena::new("kstatus-past").await;
    arena.ready_bridge(json!({})).await;
    for index in 0..50 {
        arena.create_meeting(&format!("past-{index}"), past(index * 3)).await;
    }
    for index in 0..50 {
        let over = arena.phase(&format!("past-{index}"), Phase::Ended).await;
        assert_eq!(condition(&over, "Ready"), ("True", "WindowPassed"));
        let shown = dynamic(&arena, "ScheduledMeeting").get(&format!("past-{index}")).await.expect("it is there");
        assert_eq!(kstatus(&shown), "Current");
    }
    assert_eq!(warnings(&arena).await, Vec::<String>::new());
    let metrics = arena.controller.as_ref().unwrap().metrics.plain_text();
    assert!(metrics.contains("meeting_controller_meetings_missed_total 0\n"), "{metrics}");
    let ended = r#"meeting_controller_meetings{phase="Ended"} "#;
    let ended: u32 = metrics.lines().find_map(|line| line.strip_prefix(ended)?.parse().ok()).expect("counted");
    assert!(ended >= 50, "{ended}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_stays_red_until_somebody_acts_and_is_counted() {
    let mut arena = Arena::quiet("kstatus-missed", lone(), quick()).await;
    // Made in time, and then there is no controller.
    let made = arena.create_meeting("missed", json!({ "start": in_ms(-2000), "duration": "3s" })).await;
    let end = made.metadata.creation_timestamp.as_ref().unwrap().0.as_millisecond() + 4000;
    let left = u64::try_from(end - Timestamp::now().as_millisecond()).unwrap_or_default();
    tokio::time::sleep(std::time::Duration::from_millis(left)).await;
    arena.start().await;
    let missed = arena.phase("missed", Phase::Missed).await;
    assert_eq!(condition(&missed, "Ready"), ("False", "Missed"));
    assert_eq!(condition(&missed, "Stalled"), ("True", "Missed"));
    arena.counted("meetings_missed_total", "1").await;
    arena.patch::<ScheduledMeeting>("missed", json!({ "metadata": { "labels": { "seen": "no" } } })).await;
    arena.patch::<ScheduledMeeting>("missed", json!({ "spec": { "title": "Seen" } })).await;
    let seen = arena.phase("missed", Phase::Ended).await;
    assert_eq!(condition(&seen, "Ready"), ("True", "WindowPassed"));
    arena.counted("meetings_missed_total", "1").await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_object_lets_nobody_wait_in_vain() {
    let arena = Arena::new("kstatus-suspend").await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "suspend": true })).await;
    arena.create_meeting("m", json!({ "start": in_ms(7_200_000), "duration": "1h", "suspend": true })).await;
    arena.bridge("core", "suspended", |b| condition(b, "Ready") == ("True", "Suspended")).await;
    arena.meeting("m", "suspended", |m| condition(m, "Ready") == ("True", "Suspended")).await;
    for (kind, name) in [("MeetingBridge", "core"), ("ScheduledMeeting", "m")] {
        let shown = dynamic(&arena, kind).get(name).await.expect("it is there");
        assert_eq!(kstatus(&shown), "Current", "{kind}");
    }
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_deleted_leaves_no_series_behind() {
    let arena = Arena::new("kstatus-series").await;
    let alternate = json!([{ "address": "127.0.0.1:1" }]);
    arena.ready_bridge(json!({ "failover": { "alternates": alternate } })).await;
    let metrics = || arena.controller.as_ref().unwrap().metrics.plain_text();
    let label = format!("namespace=\"{}\"", arena.namespace);
    let has = |name: &str| metrics().lines().any(|line| line.starts_with(name) && line.contains(&label));
    for name in ["slots_free{", "bridge_up{", "call_bridge_certificate_expiry_", "bridge_credentials_changed_"] {
        assert!(has(&format!("meeting_controller_{name}")), "{name}: {}", metrics());
    }
    arena.sim.cut_bridge(0);
    arena.reason("core", "Reachable", "ConnectionRefused").await;
    arena
        .patch::<MeetingBridge>(
            "core",
            json!({ "metadata": { "annotations": {
        "meeting-controller.dev/force-delete": "true" } } }),
        )
        .await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    // The watch tells the controller a moment later than us.
    for _ in 0..200 {
        if !metrics().contains(&label) {
            return arena.finish().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{}", metrics());
}
