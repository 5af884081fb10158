//! Namespaces that belong to different teams: what one gets of the other, and what it takes.

use control_plane::{ControlPlane, Options};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::booking::minutes;
use crate::bridge_kit::*;
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

/// An older object that only names the address of somebody else's cluster takes nothing from the one that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_a_spec_blocks_nobody() {
    let arena = Arena::with("squat", lone(), brisk()).await;
    arena.connect().await;
    arena.create_secret("rubbish", json!({ "username": "nobody", "password": "nothing" })).await;
    let _own = arena.further_bridge("squatter", json!({}), json!({})).await;
    let named = json!([{ "address": arena.sim.address(0), "credentialsSecretRef": { "name": "rubbish" } }]);
    arena.patch::<MeetingBridge>("squatter", json!({ "spec": { "failover": { "alternates": named } } })).await;
    let is_refused = |b: &MeetingBridge| condition(b, "FailoverConfigured").0 != "True";
    arena.bridge("squatter", "its alternate is none", is_refused).await;
    arena.create_bridge("core", json!({})).await;
    arena.ready("core").await;
    // As its own address: what it reads there, if anything, makes it the newcomer.
    let moved = json!({ "spec": { "address": arena.sim.address(0), "tls": { "caBundleRef": { "name": "cms-ca" } },
                                  "failover": null } });
    arena.patch::<MeetingBridge>("squatter", moved).await;
    arena.reason("squatter", "Accepted", "AlreadyClusterMember").await;
    let core = arena.bridge("core", "there", |_| true).await;
    assert_eq!((condition(&core, "Accepted").0, condition(&core, "Ready").0), ("True", "True"));
    // When the owner is gone, the one that waits comes round by itself.
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    arena.ready("squatter").await;
    arena.finish().await;
}

/// A lone CMS before 3.0 shows no id: two names for one address are not found out. Then each leaves alone what meetings
/// on the other one hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_objects_by_an_alias_never_shut_each_others_meetings() {
    let config = cms_simulator::Config { software_version: "2.9.5".to_owned(), ..lone() };
    let arena = Arena::with("alias", config, brisk()).await;
    arena.ready_bridge(json!({ "tls": { "insecureSkipVerify": true } })).await;
    let alias = arena.sim.address(0).replace("127.0.0.1", "localhost");
    assert_ne!(alias, arena.sim.address(0));
    arena.create_bridge("alias", json!({ "address": alias, "tls": { "insecureSkipVerify": true } })).await;
    arena.ready("alias").await;
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    arena.sim.clear_journal();
    ask_full_look_of(&arena, "alias").await;
    assert!(arena.slot(1).open, "{:#?}", arena.journal_lines());
    assert_eq!(arena.writes(), Vec::<String>::new());
    arena.open_now("other", 600, json!({ "bridgeRef": { "name": "alias" } })).await;
    let other = arena.phase("other", Phase::Active).await;
    assert_eq!(number_of(&other), 2, "the first is held by a meeting on the other object");
    assert!(arena.slot(1).open && arena.slot(2).open);
    assert_eq!(arena.sim.calls().len(), 2);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

async fn ask_full_look_of(arena: &Arena, bridge: &str) {
    let key = meeting_controller::api::names::RECONCILE_ANNOTATION;
    arena.patch::<MeetingBridge>(bridge, json!({ "metadata": { "annotations": { key: "now" } } })).await;
    let is_done = |b: &MeetingBridge| handled(b) == Some("now") && is_ready(b);
    arena.bridge(bridge, "looked at", is_done).await;
}
