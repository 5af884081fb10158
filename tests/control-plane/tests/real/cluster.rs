//! Tests of one shared control plane.

use control_plane::{ControlPlane, client_for, shared};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};

use crate::support::eventually;

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

async fn service_account_client(control_plane: &ControlPlane, namespace: &str, name: &str) -> Client {
    control_plane.create_service_account(namespace, name).await.unwrap();
    client_for(&control_plane.kubeconfig_for_service_account(namespace, name).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn objects_are_made_and_each_test_has_its_own_namespace() {
    let control_plane = shared().await;
    let (one, two) =
        (control_plane.namespace("objects").await.unwrap(), control_plane.namespace("objects").await.unwrap());
    assert_ne!(one, two);
    let client = control_plane.client().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &one);
    maps.create(&PostParams::default(), &config_map("a")).await.unwrap();
    assert_eq!(maps.get("a").await.unwrap().namespace().unwrap(), one);
    let others: Api<ConfigMap> = Api::namespaced(client.clone(), &two);
    assert!(others.get_opt("a").await.unwrap().is_none());
    let version = client.apiserver_version().await.unwrap();
    assert!(version.git_version.starts_with("v1."), "{}", version.git_version);
    control_plane.check().unwrap();
}

#[tokio::test]
async fn rbac_denies_a_service_account_without_rights_and_the_audit_log_shows_it() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("rbac").await.unwrap();
    let client = service_account_client(control_plane, &namespace, "nobody").await;
    assert_eq!(client.default_namespace(), namespace);
    let position = control_plane.audit_position().unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let error = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");

    let event = eventually("the denied request in the audit log", async || {
        let events = control_plane.audit_events_since(position).unwrap();
        events.into_iter().find(|event| event.namespace == namespace && event.verb == "list")
    })
    .await;
    assert_eq!(event.user, format!("system:serviceaccount:{namespace}:nobody"));
    assert_eq!((event.group.as_str(), event.resource.as_str(), event.name.as_str()), ("", "configmaps", ""));
    assert_eq!((event.code, event.decision.as_str()), (403, "forbid"));
    assert_eq!((event.stage.as_str(), event.subresource.as_str()), ("ResponseComplete", ""));
    assert!(control_plane.audit_events().unwrap().contains(&event));
}

#[tokio::test]
async fn rbac_allows_a_service_account_what_a_manifest_grants_and_no_more() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("grant").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let yaml = "\
# Only a comment.
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
---
";
    std::fs::write(dir.path().join("role.yaml"), yaml).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not a manifest").unwrap();
    assert_eq!(control_plane.apply(dir.path(), &namespace).await.unwrap(), 2);
    let client = service_account_client(control_plane, &namespace, "reader").await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    // The authorizer learns of new rules from a watch.
    eventually("the right to list", async || maps.list(&ListParams::default()).await.ok()).await;
    let error = maps.create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
}

#[tokio::test]
async fn a_refused_manifest_is_named() {
    let control_plane = shared().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.yaml");
    std::fs::write(&file, "apiVersion: nowhere.example/v1\nkind: Thing\nmetadata: {name: thing}\n").unwrap();
    let message = control_plane.apply(&file, "default").await.unwrap_err().to_string();
    assert!(message.contains("bad.yaml") && message.contains("Thing thing"), "{message}");
}

#[tokio::test]
async fn the_default_service_account_is_made_and_a_deleted_namespace_really_goes() {
    let control_plane = shared().await;
    let name = control_plane.namespace("goes").await.unwrap();
    let client = control_plane.client().await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    eventually("the ServiceAccount default", async || accounts.get_opt("default").await.unwrap()).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name);
    maps.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", async || namespaces.get_opt(&name).await.unwrap().is_none().then_some(())).await;
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_deleted_object_owns_is_collected() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("owner").await.unwrap();
    let client = control_plane.client().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let owner = maps.create(&PostParams::default(), &config_map("owner")).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    for (name, owners) in [("owned", Some(vec![reference(&owner)])), ("free", None)] {
        let metadata = ObjectMeta { name: Some(name.into()), owner_references: owners, ..ObjectMeta::default() };
        secrets.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await.unwrap();
    }
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    eventually("the owned Secret to go", async || secrets.get_opt("owned").await.unwrap().is_none().then_some(()))
        .await;
    assert!(secrets.get_opt("free").await.unwrap().is_some());
}

fn reference(owner: &ConfigMap) -> OwnerReference {
    OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: owner.name_any(),
        uid: owner.uid().unwrap(),
        ..OwnerReference::default()
    }
}

/// With a control plane of its own, for the kinds that are there from the start.
#[tokio::test]
async fn kinds_applied_at_the_start_have_garbage_collection_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.test.example}
spec:
  group: test.example
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
";
    std::fs::write(dir.path().join("crd.yaml"), yaml).unwrap();
    let options = control_plane::Options {
        manifests: vec![dir.path().into()],
        audit: false,
        ..control_plane::Options::default()
    };
    let control_plane = ControlPlane::start(options).await.unwrap();
    assert!(matches!(control_plane.audit_events(), Err(control_plane::Error::AuditOff)));
    let client = control_plane.client().await.unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("test.example", "v1", "Thing"));
    let things: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let thing = things.create(&PostParams::default(), &DynamicObject::new("owner", &resource)).await.unwrap();
    let owner = OwnerReference {
        api_version: "test.example/v1".into(),
        kind: "Thing".into(),
        name: "owner".into(),
        uid: thing.uid().unwrap(),
        ..OwnerReference::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut owned = config_map("owned");
    owned.metadata.owner_references = Some(vec![owner]);
    maps.create(&PostParams::default(), &owned).await.unwrap();
    things.delete("owner", &DeleteParams::default()).await.unwrap();
    let started = std::time::Instant::now();
    eventually("the owned ConfigMap to go", async || maps.get_opt("owned").await.unwrap().is_none().then_some(()))
        .await;
    assert!(started.elapsed().as_secs() < 15, "{:?}: the collector learnt of the kind too late", started.elapsed());
    control_plane.shutdown().await.unwrap();
}
