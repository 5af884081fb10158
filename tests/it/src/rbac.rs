//! The rights of the controller (deploy/base/rbac.yaml): every verb that is granted is used, and no other is asked for;
//! and everything under deploy/ is accepted by the apiserver as it stands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use control_plane::{AuditEvent, ControlPlane, Options, client_for};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use meeting_controller::config::{Cli, Command, RunArgs};
use meeting_controller::controller::{Candidacy, Timing};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kit::*;
use crate::meetings::*;

const ACCOUNT: &str = "meeting-controller";

pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Group, resource with subresource, verb.
pub type Right = (String, String, String);

pub fn granted(rules: Option<Vec<PolicyRule>>) -> BTreeSet<Right> {
    let all = rules.unwrap_or_default().into_iter().flat_map(|rule| {
        let (groups, resources) = (rule.api_groups.unwrap_or_default(), rule.resources.unwrap_or_default());
        assert!(!rule.verbs.iter().chain(&groups).chain(&resources).any(|text| text == "*"), "no wildcards");
        let verbs = rule.verbs;
        groups.into_iter().flat_map(move |group| {
            let verbs = verbs.clone();
            resources.clone().into_iter().flat_map(move |resource| {
                let group = group.clone();
                verbs.clone().into_iter().map(move |verb| (group.clone(), resource.clone(), verb))
            })
        })
    });
    all.collect()
}

pub fn used(events: &[AuditEvent]) -> BTreeSet<Right> {
    let name = |e: &AuditEvent| match e.subresource.as_str() {
        "" => e.resource.clone(),
        sub => format!("{}/{sub}", e.resource),
    };
    let asked = events.iter().filter(|e| !e.resource.is_empty());
    // Whoever applies what is not there needs the right to create it as well.
    let made = asked.clone().filter(|e| e.verb == "patch" && e.code == 201);
    let made = made.map(|e| (e.group.clone(), name(e), "create".to_owned()));
    asked.map(|e| (e.group.clone(), name(e), e.verb.clone())).chain(made).collect()
}

/// A bridge that is offered to other namespaces by their labels.
async fn invite_others(arena: &Arena) {
    arena.connect().await;
    let selector = json!({ "matchLabels": { "meetings": "yes" } });
    let bridge = json!({ "allowedNamespaces": { "from": "Selector", "selector": selector } });
    arena.create_bridge("core", bridge).await;
    arena.bridge("core", "Ready", |b| condition(b, "Ready").0 == "True").await;
    let team = arena.plane.namespace("team").await.unwrap();
    let meetings: Api<ScheduledMeeting> = Api::namespaced(arena.client.clone(), &team);
    let reference = json!({ "name": "core", "namespace": arena.namespace });
    let guest: ScheduledMeeting = serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting", "metadata": { "name": "guest" },
        "spec": { "title": "Guest", "bridgeRef": reference, "start": in_ms(3_600_000), "duration": "1h" }
    }))
    .unwrap();
    meetings.create(&PostParams::default(), &guest).await.unwrap();
    let visiting = Visiting { client: arena.client.clone(), namespace: team.clone() };
    visiting.says("guest", "Accepted", "BridgeNotAllowed").await;
    let label = Patch::Merge(json!({ "metadata": { "labels": { "meetings": "yes" } } }));
    Api::<Namespace>::all(arena.client.clone()).patch(&team, &PatchParams::default(), &label).await.unwrap();
    visiting.says("guest", "Accepted", "Accepted").await;
    meetings.delete("guest", &Default::default()).await.unwrap();
    let gone = kube::runtime::wait::await_condition(meetings, "guest", |m: Option<&ScheduledMeeting>| m.is_none());
    tokio::time::timeout(PATIENCE, gone).await.expect("guest goes").unwrap();
}

/// A scenario that uses everything else on a bridge that is Ready: passcodes, changes, failures, series, deletion.
async fn use_everything(arena: &Arena) {
    use_series(arena).await;
    arena.create_secret("code", json!({ "passcode": "1234" })).await;
    let spec = json!({ "passcodeSecretRef": { "name": "code" }, "participants": [{ "remoteParty": "a@rooms.test" }] });
    arena.open_now("m", 600, spec).await;
    arena.party("m", ParticipantState::Connected).await;
    arena.patch::<Secret>("code", json!({ "stringData": { "passcode": "5678" } })).await;
    arena
        .until::<Secret>("m-join", "the new passcode", |secret| entry(secret, "passcode").as_deref() == Some("5678"))
        .await;
    let pem = arena.sim.ca_pem().to_owned();
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": format!("{pem}\n") } })).await;
    // Ended, opened and ended again: the second event of a kind is counted on the first.
    for _ in 0..2 {
        arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(-5_000), "duration": "1s" } })).await;
        arena.phase("m", Phase::Ended).await;
        arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(0), "duration": "10m" } })).await;
        arena.phase("m", Phase::Active).await;
    }
    let end = json!({ "start": in_ms(-5_000), "duration": "1s", "ttlSecondsAfterFinished": 0 });
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": end })).await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
}

/// Occurrences are made, and one is taken back.
async fn use_series(arena: &Arena) {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(12);
    let start = start.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let series: MeetingSeries = serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries", "metadata": { "name": "daily" },
        "spec": { "start": start, "timeZone": "UTC", "duration": "1h", "horizon": "72h",
                  "recurrence": { "frequency": "Daily" },
                  "template": { "spec": { "title": "Daily", "bridgeRef": { "name": "core" } } } }
    }))
    .unwrap();
    arena.api::<MeetingSeries>().create(&PostParams::default(), &series).await.unwrap();
    let ready = |series: &MeetingSeries| condition(series, "Ready") == ("True", "Ready");
    let ready = arena.until::<MeetingSeries>("daily", "Ready", ready).await;
    let first = ready.status.unwrap().next.unwrap().name;
    let skip = json!({ "spec": { "exceptions": [{ "occurrence": start, "skip": true }] } });
    arena.patch::<MeetingSeries>("daily", skip).await;
    arena.gone::<ScheduledMeeting>(&first).await;
    arena.delete::<MeetingSeries>("daily").await;
    arena.gone::<MeetingSeries>("daily").await;
}

/// Another namespace than the arena's.
struct Visiting {
    client: kube::Client,
    namespace: String,
}

impl Visiting {
    async fn says(&self, name: &str, kind: &str, reason: &str) {
        let api: Api<ScheduledMeeting> = Api::namespaced(self.client.clone(), &self.namespace);
        let wanted = |m: Option<&ScheduledMeeting>| m.is_some_and(|m| condition(m, kind).1 == reason);
        let waiting = kube::runtime::wait::await_condition(api, name, wanted);
        let meeting = tokio::time::timeout(PATIENCE, waiting).await;
        assert_status(&meeting.unwrap_or_else(|_| panic!("{name} never said {reason}")).unwrap().unwrap());
    }
}

/// A control plane with these files of deploy/, and a client with the rights of the controller there.
pub async fn installed(files: &[&str]) -> (Arena, Client) {
    let plane = ControlPlane::start(Options::with_workspace_crds()).await.expect("control plane");
    for file in files {
        plane.apply(deploy().join(file), "default").await.unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let account = plane.kubeconfig_for_service_account(ACCOUNT, ACCOUNT).await.unwrap();
    let client = client_for(&account).await.unwrap();
    (Arena::on(Plane::Own(Box::new(plane)), "rbac", lone(), quick()).await, client)
}

/// Starts the controller as one of many, with the shipped Lease, but lengths that make the test short.
async fn start(arena: &mut Arena, client: Client, scope: BTreeSet<String>, lease: &str) {
    let timing = Timing { lease: PATIENCE / 10, renew: PATIENCE / 20, retry: PATIENCE / 100 };
    let (namespace, name) = (ACCOUNT.to_owned(), lease.to_owned());
    let candidacy = Candidacy { client: client.clone(), namespace, name, identity: "pod".to_owned(), timing };
    arena.controller = Some(arena.run_as(client, scope, Some(candidacy)).await);
}

/// Stops the controller. All that it asked for was granted, and all that is granted it asked for.
async fn assert_rights(mut arena: Arena, rules: Option<Vec<PolicyRule>>) {
    arena.assert_rules(1..=5);
    let user = format!("system:serviceaccount:{ACCOUNT}:{ACCOUNT}");
    arena.controller.take().unwrap().stop().await;
    let lease: Role = Api::namespaced(arena.client.clone(), ACCOUNT).get("meeting-controller-lease").await.unwrap();
    let granted: BTreeSet<_> = [rules, lease.rules].into_iter().flat_map(granted).collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked = arena.plane.audit_events().unwrap();
        asked.retain(|event| event.user == user);
        if used(&asked) == granted {
            break;
        }
        // A watch is logged when it ends, and nobody tells when the log grows.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused: Vec<_> = asked.iter().filter(|event| event.decision == "forbid").collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let used = used(&asked);
    let missing: Vec<_> = used.difference(&granted).collect();
    let unused: Vec<_> = granted.difference(&used).collect();
    assert!(missing.is_empty() && unused.is_empty(), "not granted: {missing:#?}\nnot used: {unused:#?}");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_are_granted_are_those_that_are_used() {
    let (mut arena, client) = installed(&["base/namespace.yaml", "base/rbac.yaml", "base/secret-policy.yaml"]).await;
    start(&mut arena, client, BTreeSet::new(), &shipped(&[]).election.lease_name(&BTreeSet::new())).await;
    invite_others(&arena).await;
    use_everything(&arena).await;
    let role: ClusterRole = Api::all(arena.client.clone()).get(ACCOUNT).await.unwrap();
    assert_rights(arena, role.rules).await;
}

/// The arguments of the Deployment, with those that a kustomization adds.
fn shipped(added: &[String]) -> RunArgs {
    let text = std::fs::read_to_string(deploy().join("base/deployment.yaml")).unwrap();
    let deployment: Deployment = serde_yaml::from_str(&text).unwrap();
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let args = std::iter::once(ACCOUNT.to_owned()).chain(container.args.unwrap()).chain(added.iter().cloned());
    let Command::Run(args) = Cli::try_parse_from(args).unwrap().command else { panic!("it runs something else") };
    *args
}

/// What a kustomization adds to the arguments.
fn added_by(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(deploy().join(file)).unwrap();
    let kustomization: Value = serde_yaml::from_str(&text).unwrap();
    let patches = kustomization["patches"].as_array().unwrap();
    let of_deployment = patches.iter().filter(|patch| patch["target"]["kind"] == "Deployment");
    let operations = of_deployment.flat_map(|patch| {
        let operations: Vec<Value> = serde_yaml::from_str(patch["patch"].as_str().unwrap()).unwrap();
        operations
    });
    let added = operations.filter(|operation| operation["path"].as_str().unwrap().ends_with("/args/-"));
    added.map(|operation| operation["value"].as_str().unwrap().to_owned()).collect()
}

/// As deploy/namespaced: a Role in one namespace, nothing elsewhere, and a Lease that the shipped rights are for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_one_namespace_the_rights_there_are_enough() {
    let (mut arena, client) = installed(&["base/namespace.yaml", "base/rbac.yaml", "namespaced/role/rbac.yaml"]).await;
    let nobody = DeleteParams::default();
    Api::<ClusterRoleBinding>::all(arena.client.clone()).delete(ACCOUNT, &nobody).await.unwrap();
    Api::<ClusterRole>::all(arena.client.clone()).delete(ACCOUNT, &nobody).await.unwrap();
    arena.namespace = ACCOUNT.to_owned();
    let added = ["components/namespaced/kustomization.yaml", "namespaced/kustomization.yaml"].map(added_by);
    let args = shipped(&added.concat());
    assert!(args.election.leader_elect && args.scope() == BTreeSet::from([ACCOUNT.to_owned()]));
    let lease = args.election.lease_name(&args.scope());
    start(&mut arena, client, args.scope(), &lease).await;
    arena.ready_bridge(json!({})).await;
    use_everything(&arena).await;
    let role: Role = arena.api::<Role>().get(ACCOUNT).await.unwrap();
    assert_rights(arena, role.rules).await;
}

fn yaml_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("deploy/") {
        let path = entry.unwrap().path();
        // Of a chart only what Helm renders is an object (tests/deploy); what Flux and Argo CD read is of their kinds.
        let is_for_others = path.join("Chart.yaml").exists() || path.ends_with("deploy/gitops");
        if path.is_dir() && !is_for_others {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

/// Server-side apply with strict validation, so that a field which does not exist is an error.
async fn accept(arena: &Arena, file: &Path, mut object: DynamicObject) {
    let types = object.types.clone().unwrap_or_else(|| panic!("{}: no kind", file.display()));
    let name = object.metadata.name.clone().unwrap();
    let kind = GroupVersionKind::try_from(&types).unwrap();
    let (resource, capabilities) = pinned_kind(&arena.client, &kind).await.expect("a kind the apiserver knows");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(arena.client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.get_or_insert_with(|| arena.namespace.clone());
            Api::namespaced_with(arena.client.clone(), namespace, &resource)
        }
    };
    let params = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("deploy-test").force()
    };
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
    applied.unwrap_or_else(|error| panic!("{}: {} {name}: {error}", file.display(), types.kind));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_under_deploy_is_accepted() {
    let arena = Arena::quiet("deploy", lone(), quick()).await;
    let mut files = Vec::new();
    yaml_files(&deploy(), &mut files);
    let mut objects = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // What is rendered first (kustomize, Helm), needs kinds that are not ours, or is for Prometheus itself, is not an object
        // for this apiserver.
        let is_object = text.lines().any(|line| line.starts_with("apiVersion:"));
        let is_another_kind = text.contains("{{") || text.contains("monitoring.coreos.com/") || !is_object;
        if file.file_name().is_some_and(|name| name == "kustomization.yaml") || is_another_kind {
            continue;
        }
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = serde_yaml::Value::deserialize(document).unwrap();
            if !value.is_null() {
                objects.push((file.clone(), serde_yaml::from_value::<DynamicObject>(value).unwrap()));
            }
        }
    }
    let is_namespace = |object: &DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "Namespace");
    objects.sort_by_key(|(_, object)| !is_namespace(object));
    assert!(objects.len() >= 12, "{}", objects.len());
    println!("{} objects", objects.len());
    for (file, object) in objects {
        accept(&arena, &file, object).await;
    }
}

/// The YAML in fences of a text, without the indentation of the list that it stands in.
fn fenced(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(opening) = lines.find(|line| line.trim_start() == "```yaml") {
        let indent = opening.len() - opening.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        found.push(inside.map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n"));
    }
    found
}

/// What people copy from the README and the documentation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_in_the_documentation_is_accepted() {
    let arena = Arena::quiet("docs", lone(), quick()).await;
    let root = deploy().join("..");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(root.join("README.md"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let mut count = 0;
    for file in files {
        for block in fenced(&std::fs::read_to_string(&file).unwrap()) {
            if !block.contains("apiVersion: meeting-controller.dev/") {
                continue;
            }
            for document in serde_yaml::Deserializer::from_str(&block) {
                let mut object: DynamicObject =
                    serde_yaml::from_value(serde_yaml::Value::deserialize(document).unwrap())
                        .unwrap_or_else(|error| panic!("{}: {error}\n{block}", file.display()));
                object.metadata.namespace = Some(arena.namespace.clone());
                accept(&arena, &file, object).await;
                count += 1;
            }
        }
    }
    assert!(count >= 13, "{count}");
    arena.finish().await;
}
