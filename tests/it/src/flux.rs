//! Flux itself: source-, kustomize- and helm-controller apply from git and wait (deploy/gitops/flux). Building them
//! takes minutes, so this runs by `just gitops` (docs/gitops.md).

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use control_plane::{ControlPlane, Options, tools};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use serde_json::{Value, json};

use crate::bridge_kit::brisk;
use crate::git_server::GitServer;
use crate::kit::*;
use crate::meetings::lone;
use crate::verdicts::root;

/// A program that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(program: &Path, args: &[&str], plane: &ControlPlane, env: &[(&str, &str)]) -> Self {
        let log =
            std::fs::File::create(plane.data_dir().join(program.file_name().unwrap()).with_extension("log")).unwrap();
        let child = Command::new(program)
            .args(["--metrics-addr=0", "--health-addr=0", "--requeue-dependency=1s"])
            .args(args)
            .env("KUBECONFIG", plane.kubeconfig_path())
            .env("RUNTIME_NAMESPACE", "flux-system")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("it starts");
        Self(child)
    }
}

/// Flux beside one arena whose controller was not started yet, with the manifests that we tell users to take.
struct Flux {
    arena: Arena,
    git: GitServer,
    _controllers: [Process; 3],
}

impl Flux {
    async fn start() -> Self {
        let source_controller = tools::source_controller().await.expect("it is built");
        let kustomize_controller = tools::kustomize_controller().await.expect("it is built");
        let helm_controller = tools::helm_controller().await.expect("it is built");
        // Ours come from git.
        let options = Options { manifests: tools::flux_crds().expect("they are there"), ..Options::default() };
        let plane = ControlPlane::start(options).await.expect("a control plane");
        let arena = Arena::on(Plane::Own(Box::new(plane)), "flux", lone(), brisk()).await;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let storage = format!("--storage-path={}", arena.plane.data_dir().display());
        let controllers = [
            Process::start(
                &source_controller,
                &[&storage, &format!("--storage-addr={address}"), &format!("--storage-adv-addr={address}")],
                &arena.plane,
                &[],
            ),
            Process::start(&kustomize_controller, &[], &arena.plane, &[]),
            Process::start(&helm_controller, &[], &arena.plane, &[]),
        ];
        let git = GitServer::start().await;
        Self { arena, git, _controllers: controllers }
    }

    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.arena.client.clone(), "flux-system", &resource)
    }

    fn kustomizations(&self) -> Api<DynamicObject> {
        self.api("kustomize.toolkit.fluxcd.io", "v1", "Kustomization")
    }

    fn sources(&self) -> Api<DynamicObject> {
        self.api("source.toolkit.fluxcd.io", "v1", "GitRepository")
    }

    fn releases(&self) -> Api<DynamicObject> {
        self.api("helm.toolkit.fluxcd.io", "v2", "HelmRelease")
    }

    /// Applies deploy/gitops/flux, with our repository in it and intervals for people who have no time.
    async fn install(&self) {
        let namespaces: Api<Namespace> = Api::all(self.arena.client.clone());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": "flux-system" } })).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.expect("flux-system");
        for file in ["source.yaml", "kustomizations.yaml"] {
            let text = std::fs::read_to_string(root().join("deploy/gitops/flux").join(file)).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let mut object: DynamicObject = serde::Deserialize::deserialize(document).unwrap();
                let api = match object.types.as_ref().unwrap().kind.as_str() {
                    "GitRepository" => {
                        object.data["spec"]["url"] = json!(self.git.url());
                        self.sources()
                    }
                    _ => {
                        object.data["spec"]["retryInterval"] = json!("2s");
                        object.data["spec"]["timeout"] = json!("30s");
                        self.kustomizations()
                    }
                };
                api.create(&PostParams::default(), &object).await.expect("it is as Flux wants it");
            }
        }
    }

    /// Commits, and says so to Flux.
    async fn push(&self, files: &[(&str, String)]) {
        self.git.commit(files);
        self.reconcile(&self.sources(), "meetings").await;
    }

    /// Asks for a reconciliation at once; the word by which it is told as done.
    async fn reconcile(&self, api: &Api<DynamicObject>, name: &str) -> String {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({ "metadata": { "annotations": { "reconcile.fluxcd.io/requestedAt": now } } });
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("patch");
        now
    }

    /// Asks a Kustomization to apply again, and waits until it is content.
    async fn applied_again(&self, name: &str) {
        self.content_again(&self.kustomizations(), name).await;
    }

    async fn content_again(&self, api: &Api<DynamicObject>, name: &str) {
        let asked = self.reconcile(api, name).await;
        let what = format!("{name} is content again");
        self.until(api, name, &what, |object| {
            let handled = object["status"]["lastHandledReconcileAt"] == json!(asked);
            handled && ready(object).is_some_and(|ready| ready["status"] == "True")
        })
        .await;
    }

    /// Waits until an object of Flux is as wanted.
    async fn until(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> DynamicObject {
        let found = |object: Option<&DynamicObject>| object.is_some_and(|object| wanted(&object.data));
        let waiting = tokio::time::timeout(PATIENCE * 2, await_condition(api.clone(), name, found)).await;
        let Ok(found) = waiting else {
            let last = api.get_opt(name).await.unwrap();
            let logs = ["source-controller", "kustomize-controller", "helm-controller"].map(|name| {
                std::fs::read_to_string(self.arena.plane.data_dir().join(name).with_extension("log"))
                    .unwrap_or_default()
            });
            panic!("{name} is never so: {what}: {last:#?}\n{}", logs.join("\n"));
        };
        found.expect("a watch").expect("it is there")
    }

    /// Waits until a Kustomization says so; returns its message.
    async fn says(&self, name: &str, status: &str, reason: &str) -> String {
        let what = format!("{status} ({reason})");
        let is_so = |ready: &Value| ready["status"] == status && ready["reason"] == reason;
        let api = self.kustomizations();
        let found = self.until(&api, name, &what, |object| ready(object).as_ref().is_some_and(is_so)).await;
        ready(&found.data).unwrap()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// deploy/ without what would need nodes.
    async fn controller(&self) -> String {
        let kubectl = tools::kubectl().await.expect("kubectl is built");
        let rendered = Command::new(kubectl).arg("kustomize").arg(root().join("deploy")).output().expect("it runs");
        let rendered = String::from_utf8(rendered.stdout).unwrap();
        let is_kept =
            |text: &&str| !text.contains("kind: Deployment\n") && !text.contains("kind: PodDisruptionBudget\n");
        rendered.split("---\n").filter(is_kept).collect::<Vec<_>>().join("---\n")
    }

    /// The repository: one bridge with this password, and these meetings.
    async fn files(&self, password: &str, meetings: &[Value]) -> Vec<(&'static str, String)> {
        let arena = &self.arena;
        let namespace = &arena.namespace;
        let text = |objects: &[Value]| -> String {
            objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
        };
        let bridges = [
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cms", "namespace": namespace },
                "stringData": { "username": arena.sim.username(), "password": password }
            }),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cms-ca", "namespace": namespace },
                "data": { "ca.crt": arena.sim.ca_pem() }
            }),
            json!({
                "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
                "metadata": { "name": "core", "namespace": namespace }, "spec": arena.bridge_spec(json!({}))
            }),
        ];
        vec![
            ("controller/all.yaml", self.controller().await),
            ("bridges/core.yaml", text(&bridges)),
            ("meetings/meetings.yaml", text(meetings)),
        ]
    }

    fn meeting(&self, name: &str, spec: Value) -> Value {
        let mut full = json!({ "title": name, "bridgeRef": { "name": "core" } });
        full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
            "metadata": { "name": name, "namespace": self.arena.namespace }, "spec": full
        })
    }
}

fn ready(object: &Value) -> Option<Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Ready").cloned()
}

/// Who owns what in an object, as `manager: field`.
fn spec_managers(object: &impl kube::ResourceExt) -> Vec<String> {
    let entries = object.managed_fields().iter();
    entries
        .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some()))
        .filter_map(|entry| entry.manager.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "builds Flux, which takes minutes: just gitops"]
async fn flux_applies_from_git_waits_and_finds_no_drift() {
    let mut flux = Flux::start().await;
    let soon = flux.meeting("standup", json!({ "start": in_ms(7_200_000), "duration": "3h" }));

    // A wrong password fails the Kustomization of the bridges, and says what it is; nothing else is applied.
    flux.git.commit(&flux.files("wrong", std::slice::from_ref(&soon)).await);
    flux.install().await;
    flux.says("meeting-controller", "True", "ReconciliationSucceeded").await;
    flux.arena.start().await;
    let why = flux.says("meeting-bridges", "False", "HealthCheckFailed").await;
    println!("wrong password: {why}");
    assert!(why.contains("MeetingBridge/") && why.contains("Failed"), "{why}");
    flux.says("meetings", "False", "DependencyNotReady").await;
    assert!(flux.arena.api::<ScheduledMeeting>().get_opt("standup").await.unwrap().is_none());

    // The next commit mends it; then the meetings follow, and wait until they are booked.
    let password = flux.arena.sim.password();
    flux.push(&flux.files(&password, std::slice::from_ref(&soon)).await).await;
    flux.says("meeting-bridges", "True", "ReconciliationSucceeded").await;
    flux.says("meetings", "True", "ReconciliationSucceeded").await;
    flux.arena.phase("standup", Phase::Scheduled).await;
    finds_no_drift(&flux).await;
    // Git wins over what somebody edits in the cluster.
    flux.arena.patch::<ScheduledMeeting>("standup", json!({ "spec": { "title": "By hand" } })).await;
    flux.applied_again("meetings").await;
    let back: ScheduledMeeting = flux.arena.api().get("standup").await.unwrap();
    assert_eq!(back.spec.title, "standup");

    // One too many is refused at once, with the name.
    let at =
        |name: &str, minute: i64| flux.meeting(name, json!({ "start": in_ms(minute * 60_000), "duration": "10m" }));
    let mut crowd: Vec<_> = (0..6).map(|n| at(&format!("crowd-{n}"), 10)).collect();
    crowd.push(soon.clone());
    flux.push(&flux.files(&password, &crowd).await).await;
    let why = flux.says("meetings", "False", "HealthCheckFailed").await;
    println!("one too many: {why}");
    assert!(why.contains("ScheduledMeeting/") && why.contains("crowd-"), "{why}");

    // What leaves git is pruned, and its slot is free again.
    let mut two = vec![soon.clone(), at("missed", 30)];
    flux.push(&flux.files(&password, &two).await).await;
    flux.arena.gone::<ScheduledMeeting>("crowd-0").await;
    flux.says("meetings", "True", "ReconciliationSucceeded").await;
    flux.arena.phase("missed", Phase::Scheduled).await;

    // One that was missed, because there was no controller, holds up nobody; nor does one that is suspended.
    flux.arena.controller.take().unwrap().stop().await;
    flux.arena.clock.step(3_600);
    flux.arena.start().await;
    flux.arena.phase("missed", Phase::Missed).await;
    flux.applied_again("meetings").await;
    two[0]["spec"]["suspend"] = json!(true);
    flux.push(&flux.files(&password, &two).await).await;
    flux.arena.meeting("standup", "suspended", |m| condition(m, "Ready") == ("True", "Suspended")).await;
    flux.applied_again("meetings").await;
}

/// The controller has worked; Flux finds nothing that is not as it wants it.
async fn finds_no_drift(flux: &Flux) {
    let arena = &flux.arena;
    let bridge: MeetingBridge = arena.api().get("core").await.unwrap();
    let meeting: ScheduledMeeting = arena.api().get("standup").await.unwrap();
    for managers in [spec_managers(&bridge), spec_managers(&meeting)] {
        assert_eq!(managers, ["kustomize-controller"]);
    }
    let position = arena.plane.audit_position().unwrap();
    assert!(!patched(flux, 0).is_empty(), "this is how Flux applies");
    for name in ["meeting-controller", "meeting-bridges", "meetings"] {
        flux.applied_again(name).await;
    }
    assert_eq!(arena.api::<MeetingBridge>().get("core").await.unwrap().metadata.generation, bridge.metadata.generation);
    let after: ScheduledMeeting = arena.api().get("standup").await.unwrap();
    assert_eq!(after.metadata.generation, meeting.metadata.generation);
    let corrected = patched(flux, position);
    assert!(corrected.is_empty(), "nothing to correct: {corrected:#?}");
}

/// Writes of Flux to our kinds since then, but for what it only asks in order to compare.
fn patched(flux: &Flux, since: u64) -> Vec<control_plane::AuditEvent> {
    let mut events = flux.arena.plane.audit_events_since(since).unwrap();
    events.retain(|event| {
        event.user_agent.contains("kustomize-controller")
            && event.verb == "patch"
            && !event.uri.contains("dryRun=All")
            && ["scheduledmeetings", "meetingbridges"].contains(&event.resource.as_str())
    });
    events
}

/// The controller by its chart, from a file of ours with this many replicas; this machine has no nodes that could run it.
fn by_chart(flux: &Flux, replicas: u32) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("deploy/gitops/flux/controller-by-chart.yaml")).unwrap();
    let mut objects: Vec<Value> =
        serde_yaml::Deserializer::from_str(&text).map(|one| serde::Deserialize::deserialize(one).unwrap()).collect();
    objects[0]["spec"]["url"] = json!(flux.git.url());
    let release = &mut objects[1]["spec"];
    release["values"]["replicas"] = json!(replicas);
    release["install"]["disableWait"] = json!(true);
    release["upgrade"] = json!({ "disableWait": true });
    let text: String =
        objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect();
    let chart = root().join("deploy/chart");
    let mut files = vec![("controller/all.yaml".to_owned(), text)];
    let mut folders = vec![chart.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = format!("deploy/chart/{}", path.strip_prefix(&chart).unwrap().display());
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "builds Flux, which takes minutes: just gitops"]
async fn flux_installs_and_upgrades_the_chart_and_puts_back_what_somebody_changes_of_it() {
    let mut flux = Flux::start().await;
    let soon = flux.meeting("standup", json!({ "start": in_ms(7_200_000), "duration": "3h" }));
    let password = flux.arena.sim.password();
    let others = flux.files(&password, &[soon]).await;
    let files = |flux: &Flux, replicas: u32| -> Vec<(String, String)> {
        let others = others.iter().filter(|(name, _)| !name.starts_with("controller/"));
        by_chart(flux, replicas)
            .into_iter()
            .chain(others.map(|(name, text)| ((*name).to_owned(), text.clone())))
            .collect()
    };
    let borrowed = |files: &[(String, String)]| -> Vec<(&'static str, String)> {
        files.iter().map(|(name, text)| (&*name.clone().leak(), text.clone())).collect()
    };
    flux.git.commit(&borrowed(&files(&flux, 2)));
    flux.install().await;
    // CRDs, rights and the Deployment come by the release, and with them the kinds that the next steps need.
    flux.says("meeting-controller", "True", "ReconciliationSucceeded").await;
    flux.arena.start().await;
    flux.says("meeting-bridges", "True", "ReconciliationSucceeded").await;
    flux.says("meetings", "True", "ReconciliationSucceeded").await;
    flux.arena.phase("standup", Phase::Scheduled).await;

    let deployments: Api<Deployment> = Api::namespaced(flux.arena.client.clone(), "meeting-controller");
    let replicas = async || deployments.get("meeting-controller").await.unwrap().spec.unwrap().replicas;
    assert_eq!(replicas().await, Some(2));
    let releases = flux.releases();
    let version = |object: &DynamicObject| object.data["status"]["history"][0]["version"].as_u64();
    flux.content_again(&releases, "meeting-controller").await;
    let installed = releases.get("meeting-controller").await.unwrap();
    assert_eq!(version(&installed), Some(1), "that the controller has worked is no reason to upgrade: {installed:#?}");

    // By hand; then git asks for another number.
    let patch = json!({ "spec": { "replicas": 5 } });
    deployments.patch("meeting-controller", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    flux.content_again(&releases, "meeting-controller").await;
    assert_eq!(replicas().await, Some(2));
    flux.push(&borrowed(&files(&flux, 3))).await;
    let is_upgraded = |object: &Value| {
        object["status"]["history"][0]["version"] == json!(2)
            && ready(object).is_some_and(|ready| ready["reason"] == "UpgradeSucceeded")
    };
    flux.until(&releases, "meeting-controller", "upgraded", is_upgraded).await;
    assert_eq!(replicas().await, Some(3));
    // With the release go rights and Deployment; the CRDs stay, and so do bridges and meetings.
    releases.delete("meeting-controller", &DeleteParams::default()).await.unwrap();
    let gone =
        await_condition(releases.clone(), "meeting-controller", |object: Option<&DynamicObject>| object.is_none());
    tokio::time::timeout(PATIENCE, gone).await.expect("the release goes").unwrap();
    assert!(deployments.get_opt("meeting-controller").await.unwrap().is_none());
    flux.arena.phase("standup", Phase::Scheduled).await;
}
