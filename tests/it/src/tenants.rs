//! Namespaces that belong to different teams: what one gets of the other, and what it takes.

use control_plane::{ControlPlane, Options};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::booking::minutes;
use crate::kit::*;
use crate::meetings::*;

/// A world with a control plane of its own, whose controller looks after every namespace.
async fn every_namespace(prefix: &str) -> Arena {
    let plane = ControlPlane::start(Options::with_workspace_crds()).await.expect("control plane");
    let mut arena = Arena::on(Plane::Own(Box::new(plane)), prefix, lone(), quick()).await;
    start_everywhere(&mut arena).await;
    arena
}

async fn start_everywhere(arena: &mut Arena) {
    if let Some(before) = arena.controller.take() {
        before.stop().await;
    }
    let client = arena.plane.client().await.expect("client");
    arena.start_as(client, None).await;
}

/// From now on the world is seen from this namespace.
fn move_to(arena: &mut Arena, namespace: &str) -> String {
    std::mem::replace(&mut arena.namespace, namespace.to_owned())
}

/// `allowedNamespaces: All`, the right labels and the highest preference attract nothing. With the consent of the meeting
/// (its bridgeRef) or of the platform team (--shared-bridges-in) it is booked there; when either side takes its consent
/// back, what has not begun is refused, and what runs is not extended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_elsewhere_gets_what_both_sides_agree_on() {
    let mut arena = every_namespace("team").await;
    let theirs = arena.plane.namespace("elsewhere").await.unwrap();
    let ours = move_to(&mut arena, &theirs);
    arena.connect().await;
    let lure = json!({ "allowedNamespaces": { "from": "All" }, "scheduling": { "preference": 1000 } });
    let elsewhere = arena.further_bridge("lure", json!({ "site": "berlin" }), lure).await;
    let provisioned = elsewhere.journal().len();
    move_to(&mut arena, &ours);

    arena.create_secret("code", json!({ "passcode": "4711" })).await;
    let mut spec = minutes(60, 60);
    spec["passcodeSecretRef"] = json!({ "name": "code" });
    spec["bridgeRef"] = Value::Null;
    arena.create_meeting("any", spec.clone()).await;
    spec["bridgeSelector"] = json!({ "matchLabels": { "site": "berlin" } });
    arena.create_meeting("selected", spec).await;
    for name in ["any", "selected"] {
        let refused = arena.says(name, "Accepted", "False", "BridgeNotFound").await;
        assert!(!message(&refused, "Accepted").contains(&theirs), "{}", message(&refused, "Accepted"));
    }
    let written = elsewhere.journal().split_off(provisioned);
    assert!(written.iter().all(|entry| entry.method == "GET"), "nothing of them got there");

    let named = json!({ "bridgeRef": { "name": "lure", "namespace": theirs } });
    arena.open_now("running", 600, named.clone()).await;
    arena.phase("running", Phase::Active).await;
    let mut later = minutes(60, 60);
    later["bridgeRef"] = named["bridgeRef"].clone();
    arena.create_meeting("later", later).await;
    arena.booked("later").await;

    // Their side takes its consent back: the same answer as for a bridge that does not exist.
    move_to(&mut arena, &theirs);
    arena.patch::<MeetingBridge>("lure", json!({ "spec": { "allowedNamespaces": { "from": "Same" } } })).await;
    move_to(&mut arena, &ours);
    let revoked = arena.says("later", "Accepted", "False", "BridgeNotAllowed").await;
    assert_eq!((phase_of(&revoked), status_of(&revoked).slot), (Phase::Pending, None));
    arena.patch::<ScheduledMeeting>("running", json!({ "spec": { "duration": "20m" } })).await;
    let running = arena.says("running", "SlotReserved", "False", "ExtensionNotAllowed").await;
    assert_eq!(phase_of(&running), Phase::Active, "it keeps to the end that was agreed on");
    let mut nowhere = minutes(60, 60);
    nowhere["bridgeRef"] = json!({ "name": "nothing", "namespace": theirs });
    arena.create_meeting("nowhere", nowhere).await;
    let nowhere = arena.says("nowhere", "Accepted", "False", "BridgeNotAllowed").await;
    assert_eq!(
        message(&nowhere, "Accepted").replace("/nothing", "/lure"),
        message(&revoked, "Accepted"),
        "who may not book does not learn what there is"
    );
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_team_shares_the_bridges_of_a_namespace_and_takes_that_back() {
    let mut arena = every_namespace("tenant").await;
    let platform = arena.plane.namespace("platform").await.unwrap();
    let ours = move_to(&mut arena, &platform);
    arena.ready_bridge(json!({ "allowedNamespaces": { "from": "All" } })).await;
    move_to(&mut arena, &ours);
    let mut spec = minutes(60, 60);
    spec["bridgeRef"] = Value::Null;
    arena.create_meeting("any", spec).await;
    arena.says("any", "Accepted", "False", "BridgeNotFound").await;

    arena.settings.shared_bridges_in = [platform.clone()].into();
    start_everywhere(&mut arena).await;
    assert_eq!(status_of(&arena.booked("any").await).bridge.unwrap().namespace, platform);

    arena.settings.shared_bridges_in.clear();
    start_everywhere(&mut arena).await;
    let revoked = arena.says("any", "Accepted", "False", "BridgeNotFound").await;
    assert_eq!(status_of(&revoked).slot, None);
    arena.finish().await;
}
