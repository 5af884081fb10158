//! A controller that looks after some namespaces only (`--namespaces`), with the rights that the chart gives it then.

use cms_simulator::check::{Expectation, Rule, check};
use control_plane::{ControlPlane, Options, client_for};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::json;

use crate::apiserver::{Failing, Failure};
use crate::kit::*;
use crate::meetings::*;

const ACCOUNT: &str = "meeting-controller";

fn from<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// As deploy/namespaces: the rules of deploy/namespaced/role in each of these, and the names of all of them to be looked at.
async fn grant(plane: &ControlPlane, namespaces: &[String]) {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    plane.apply(deploy.join("base/namespace.yaml"), "default").await.unwrap();
    plane.create_service_account(ACCOUNT, ACCOUNT).await.unwrap();
    let client = plane.client().await.unwrap();
    let text = std::fs::read_to_string(deploy.join("namespaced/role/rbac.yaml")).unwrap();
    let (role, binding) = text.split_once("\n---\n").unwrap();
    let (role, binding) = (serde_yaml::from_str::<Role>(role).unwrap(), serde_yaml::from_str::<RoleBinding>(binding));
    let binding = binding.unwrap();
    for namespace in namespaces {
        let (mut role, mut binding) = (role.clone(), binding.clone());
        (role.metadata.namespace, binding.metadata.namespace) = (Some(namespace.clone()), Some(namespace.clone()));
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await.unwrap();
    }
    let rules = json!([{
        "apiGroups": [""], "resources": ["namespaces"], "resourceNames": namespaces, "verbs": ["list", "watch"]
    }]);
    let role: ClusterRole = from(json!({ "metadata": { "name": ACCOUNT }, "rules": rules }));
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    let binding: ClusterRoleBinding = from(json!({
        "metadata": { "name": ACCOUNT },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT }]
    }));
    Api::all(client).create(&PostParams::default(), &binding).await.unwrap();
}

fn guest(name: &str, bridges_in: &str) -> ScheduledMeeting {
    from(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting", "metadata": { "name": name },
        "spec": { "title": "Guest", "bridgeRef": { "name": "core", "namespace": bridges_in },
                  "start": in_ms(3_600_000), "duration": "1h" }
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_namespaces_everything_is_looked_after_and_of_others_nothing() {
    let plane = ControlPlane::start(Options::with_workspace_crds()).await.expect("control plane");
    let mut arena = Arena::on(Plane::Own(Box::new(plane)), "home", lone(), quick()).await;
    let (team, other) = (arena.plane.namespace("team").await.unwrap(), arena.plane.namespace("other").await.unwrap());
    let scope = vec![arena.namespace.clone(), team.clone()];
    grant(&arena.plane, &scope).await;
    let account = arena.plane.kubeconfig_for_service_account(ACCOUNT, ACCOUNT).await.unwrap();
    let client = client_for(&account).await.unwrap();
    // No right on Secrets but there.
    for (namespace, is_allowed) in [(None, false), (Some(&other), false), (Some(&team), true)] {
        let attributes = json!({ "verb": "list", "resource": "secrets", "namespace": namespace });
        let review: SelfSubjectAccessReview = from(json!({ "spec": { "resourceAttributes": attributes } }));
        let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
        assert_eq!(answer.status.unwrap().allowed, is_allowed, "{namespace:?}");
    }
    let elsewhere: Api<ScheduledMeeting> = Api::namespaced(arena.client.clone(), &other);
    elsewhere.create(&PostParams::default(), &guest("unseen", &arena.namespace)).await.unwrap();
    arena.controller = Some(arena.run_as(client, scope, None).await);

    let selector = json!({ "matchLabels": { "meetings": "yes" } });
    arena.ready_bridge(json!({ "allowedNamespaces": { "from": "Selector", "selector": selector } })).await;
    let meetings: Api<ScheduledMeeting> = Api::namespaced(arena.client.clone(), &team);
    meetings.create(&PostParams::default(), &guest("guest", &arena.namespace)).await.unwrap();
    let says = async |reason: &str| {
        let wanted = |m: Option<&ScheduledMeeting>| m.is_some_and(|m| condition(m, "Accepted").1 == reason);
        let waiting = kube::runtime::wait::await_condition(meetings.clone(), "guest", wanted);
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        assert_status(&found.unwrap_or_else(|_| panic!("never {reason}")).unwrap().unwrap());
    };
    says("BridgeNotAllowed").await;
    let label = Patch::Merge(json!({ "metadata": { "labels": { "meetings": "yes" } } }));
    Api::<Namespace>::all(arena.client.clone()).patch(&team, &PatchParams::default(), &label).await.unwrap();
    says("Accepted").await;
    let secrets: Api<Secret> = Api::namespaced(arena.client.clone(), &team);
    assert!(secrets.get_opt("guest-join").await.unwrap().is_some(), "accepted, so the join details are there");
    meetings.delete("guest", &DeleteParams::default()).await.unwrap();
    let gone = kube::runtime::wait::await_condition(meetings, "guest", |m: Option<&ScheduledMeeting>| m.is_none());
    tokio::time::timeout(PATIENCE, gone).await.expect("guest goes").unwrap();
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    let unseen = elsewhere.get("unseen").await.unwrap();
    assert_eq!(status_of(&unseen).observed_generation, Some(-1), "nobody looks after it");

    arena.controller.take().unwrap().stop().await;
    let user = format!("system:serviceaccount:{ACCOUNT}:{ACCOUNT}");
    let asked = arena.plane.audit_events().unwrap().into_iter().filter(|event| event.user == user);
    let refused: Vec<_> = asked.filter(|event| event.decision == "forbid").collect();
    assert!(refused.is_empty(), "{refused:#?}");
    arena.finish().await;
}

/// `helm upgrade` with another list: the process is another one, and the objects are there or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_a_namespace_that_left_the_list_stay_until_it_is_back() {
    let mut arena = Arena::quiet("home", lone(), quick()).await;
    let team = arena.plane.namespace("team").await.unwrap();
    let (alone, both) = (vec![arena.namespace.clone()], vec![arena.namespace.clone(), team.clone()]);
    arena.controller = Some(arena.run_as(arena.client.clone(), both.clone(), None).await);
    arena.ready_bridge(json!({ "allowedNamespaces": { "from": "All" } })).await;
    arena.open_now("own", 600, json!({})).await;
    arena.phase("own", Phase::Active).await;
    let meetings: Api<ScheduledMeeting> = Api::namespaced(arena.client.clone(), &team);
    let mut running = guest("guest", &arena.namespace);
    running.spec.start = serde_json::from_value(json!(in_ms(-500))).unwrap();
    meetings.create(&PostParams::default(), &running).await.unwrap();
    let active = async || {
        let wanted = |m: Option<&ScheduledMeeting>| m.is_some_and(|m| condition(m, "Ready") == ("True", "Active"));
        let waiting = kube::runtime::wait::await_condition(meetings.clone(), "guest", wanted);
        tokio::time::timeout(PATIENCE, waiting).await.expect("the guest is Active").unwrap().unwrap()
    };
    active().await;
    arena.controller.take().unwrap().stop().await;
    let before = meetings.get("guest").await.unwrap();

    // Its object says nothing any more, so its slot is shut by its mark, as the bridge is still looked after.
    arena.controller = Some(arena.run_as(arena.client.clone(), alone, None).await);
    arena.await_sim("the guest's slot is shut", |sim| !slot_of(sim, 2).open && sim.calls().len() == 1).await;
    arena.phase("own", Phase::Active).await;
    let left = meetings.get("guest").await.unwrap();
    assert_eq!((&left.status, &left.metadata.finalizers), (&before.status, &before.metadata.finalizers));
    arena.controller.take().unwrap().stop().await;
    arena.assert_rules(1..=5);

    // Whoever ended its call shut its door as well: both are put right, with the secret of the links that were sent.
    let asked = arena.sim.journal().len();
    arena.controller = Some(arena.run_as(arena.client.clone(), both, None).await);
    arena.await_sim("the guest's slot is open again", |sim| slot_of(sim, 2).open).await;
    active().await;
    meetings.delete("guest", &DeleteParams::default()).await.unwrap();
    let gone = kube::runtime::wait::await_condition(meetings, "guest", |m: Option<&ScheduledMeeting>| m.is_none());
    tokio::time::timeout(PATIENCE, gone).await.expect("guest goes").unwrap();
    let broken = check(&arena.sim, &Expectation { needless_writes: false, ..Expectation::default() });
    assert_eq!(broken.iter().map(|broken| broken.rule).collect::<Vec<_>>(), [Rule::SecretNotRotated]);
    let later = arena.sim.journal().split_off(asked);
    assert_eq!(count(&later, "POST", "calls"), 1, "{:#?}", later.iter().map(line).collect::<Vec<_>>());
    arena.finish().await;
}

/// What is not read yet is no refusal: who is booked keeps slot and invitation, and who is new waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_keeps_what_he_has_while_the_labels_of_namespaces_cannot_be_read() {
    let mut arena = Arena::quiet("home", lone(), quick()).await;
    let team = arena.plane.namespace("team").await.unwrap();
    let label = Patch::Merge(json!({ "metadata": { "labels": { "meetings": "yes" } } }));
    Api::<Namespace>::all(arena.client.clone()).patch(&team, &PatchParams::default(), &label).await.unwrap();
    let both = vec![arena.namespace.clone(), team.clone()];
    arena.controller = Some(arena.run_as(arena.client.clone(), both.clone(), None).await);
    let selector = json!({ "matchLabels": { "meetings": "yes" } });
    arena.ready_bridge(json!({ "allowedNamespaces": { "from": "Selector", "selector": selector } })).await;
    let meetings: Api<ScheduledMeeting> = Api::namespaced(arena.client.clone(), &team);
    let secrets: Api<Secret> = Api::namespaced(arena.client.clone(), &team);
    let until = async |name: &str, what: &str, wanted: fn(&ScheduledMeeting) -> bool| {
        let is_so = move |m: Option<&ScheduledMeeting>| m.is_some_and(wanted);
        let waiting = kube::runtime::wait::await_condition(meetings.clone(), name, is_so);
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("{name} is never {what}")).unwrap().unwrap()
    };
    let is_booked = |m: &ScheduledMeeting| condition(m, "Accepted").0 == "True";
    for name in ["first", "guest"] {
        meetings.create(&PostParams::default(), &guest(name, &arena.namespace)).await.unwrap();
        until(name, "booked", is_booked).await;
    }
    // Booked anew it would get the lowest number.
    meetings.delete("first", &DeleteParams::default()).await.unwrap();
    let is_gone = |m: Option<&ScheduledMeeting>| m.is_none();
    let gone = kube::runtime::wait::await_condition(meetings.clone(), "first", is_gone);
    tokio::time::timeout(PATIENCE, gone).await.expect("first goes").unwrap();
    let before = secrets.get("guest-join").await.unwrap();
    assert_eq!(entry(&before, "number").as_deref(), Some("2"));
    arena.controller.take().unwrap().stop().await;

    let apiserver = Failing::default();
    let forbidden = Failure::Refuse(403, "Forbidden", "may not list namespaces");
    let refused = apiserver.add(("LIST", "namespaces", None), None, forbidden);
    let client = apiserver.client(&arena).await;
    arena.controller = Some(arena.run_as(client, both, None).await);
    refused.until(1).await;
    meetings.create(&PostParams::default(), &guest("late", &arena.namespace)).await.unwrap();
    let late = until("late", "waiting", |m| condition(m, "Accepted") == ("False", "Progressing")).await;
    assert!(message(&late, "Accepted").contains("labels of the namespace"), "{}", message(&late, "Accepted"));
    let renamed = Patch::Merge(json!({ "spec": { "title": "Renamed" } }));
    meetings.patch("guest", &PatchParams::default(), &renamed).await.unwrap();
    let is_judged = |m: &ScheduledMeeting| status_of(m).observed_generation == m.metadata.generation;
    let kept = until("guest", "judged", is_judged).await;
    assert_eq!((number_of(&kept), condition(&kept, "Ready")), (2, ("True", "Scheduled")));
    let invited = secrets.get("guest-join").await.unwrap();
    for what in ["number", "uri", "secret"] {
        assert_eq!(entry(&invited, what), entry(&before, what), "{what}");
    }
    refused.lift();
    assert_eq!(number_of(&until("late", "booked", is_booked).await), 1);
    assert_eq!(number_of(&until("guest", "booked", is_booked).await), 2);
    for name in ["late", "guest"] {
        meetings.delete(name, &DeleteParams::default()).await.unwrap();
        let gone = kube::runtime::wait::await_condition(meetings.clone(), name, is_gone);
        tokio::time::timeout(PATIENCE, gone).await.expect("both go").unwrap();
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}
