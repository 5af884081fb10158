//! The test kit: one control plane per process; per test a namespace, a simulator and a controller of its own.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cms_simulator::check::{Expectation, check};
use cms_simulator::{Config, JournalEntry, Simulator};
use control_plane::ControlPlane;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use meeting_controller::clock::Clock;
use meeting_controller::config::settings::Settings;
use meeting_controller::controller::{Candidacy, Controller};
use meeting_controller::metrics::Metrics;
use meeting_controller::testing::{settings, violations};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Intervals that make a test short; the ratios stay those of the defaults.
pub fn quick() -> Settings {
    Settings {
        probe_busy: Duration::from_millis(400),
        probe_idle: Duration::from_millis(1000),
        sweep: Duration::from_millis(700),
        idle_read: Duration::from_millis(1500),
        ..settings()
    }
}

/// What is needed to stop a controller, and to know what it does.
pub struct Prepared {
    shutdown: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Prepared {
    /// What it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    pub fn run_by(self, task: JoinHandle<()>) -> Running {
        Running { shutdown: self.shutdown, task, metrics: self.metrics }
    }
}

/// A controller that runs in this process.
pub struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    pub metrics: Arc<Metrics>,
}

impl Running {
    /// Asks for an orderly stop and waits for it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("the controller stops").expect("without a panic");
    }

    /// Drops everything on the spot, like a killed process.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// What a condition said, one after the other: status and reason.
pub struct History {
    said: watch::Receiver<Vec<(String, String)>>,
    task: JoinHandle<()>,
}

impl History {
    /// Everything up to the moment at which the last word is this status. It comes by a watch of its own, which may
    /// be behind the one that the test waited with.
    pub async fn until(&self, status: &str) -> Vec<(String, String)> {
        let mut said = self.said.clone();
        let is_last = |all: &Vec<(String, String)>| all.last().is_some_and(|(last, _)| last == status);
        let waiting =
            tokio::time::timeout(PATIENCE, said.wait_for(is_last)).await.map(|found| found.map(|all| all.clone()));
        let Ok(Ok(all)) = waiting else { panic!("never {status}: {:?}", self.said.borrow()) };
        all
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The control plane that all tests share, or one of its own.
pub enum Plane {
    Shared(&'static ControlPlane),
    Own(Box<ControlPlane>),
}

impl std::ops::Deref for Plane {
    type Target = ControlPlane;
    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}

/// The wall clock of a controller, which a test may set. What passes steadily is not touched.
#[derive(Debug, Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// Sets it so much ahead, or back.
    pub fn step(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// One test's world.
pub struct Arena {
    pub plane: Plane,
    pub client: Client,
    pub namespace: String,
    pub sim: Simulator,
    pub settings: Settings,
    pub clock: Arc<SetClock>,
    pub controller: Option<Running>,
}

impl Arena {
    /// A world with one call bridge and a running controller.
    pub async fn new(prefix: &str) -> Self {
        Self::with(prefix, Config { bridges: 1, clustered: false, ..Config::default() }, quick()).await
    }

    /// A world with this simulator and these intervals.
    pub async fn with(prefix: &str, config: Config, settings: Settings) -> Self {
        let mut arena = Self::quiet(prefix, config, settings).await;
        arena.start().await;
        arena
    }

    /// The same without a controller.
    pub async fn quiet(prefix: &str, config: Config, settings: Settings) -> Self {
        Self::on(Plane::Shared(control_plane::shared().await), prefix, config, settings).await
    }

    /// The same on this control plane.
    pub async fn on(plane: Plane, prefix: &str, config: Config, settings: Settings) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = plane.client().await.expect("admin client");
        let namespace = plane.namespace(prefix).await.expect("a namespace");
        let sim = Simulator::start(config).await.expect("simulator");
        Self { plane, client, namespace, sim, settings, clock: Arc::default(), controller: None }
    }

    /// Starts the controller and waits until its stores are filled.
    pub async fn start(&mut self) {
        self.start_as(self.plane.client().await.expect("client"), Some(self.namespace.clone())).await;
    }

    /// The same with this client, for this namespace or all.
    pub async fn start_as(&mut self, client: Client, namespace: impl IntoIterator<Item = String>) {
        self.controller = Some(self.run_as(client, namespace, None).await);
    }

    /// Runs a controller like this, alone or as one of many, and waits until its stores are filled.
    pub async fn run_as(
        &self,
        client: Client,
        scope: impl IntoIterator<Item = String>,
        candidacy: Option<Candidacy>,
    ) -> Running {
        self.run_at(&self.clock, client, scope, candidacy).await
    }

    /// The same by this clock.
    pub async fn run_at(
        &self,
        clock: &Arc<SetClock>,
        client: Client,
        scope: impl IntoIterator<Item = String>,
        candidacy: Option<Candidacy>,
    ) -> Running {
        let (prepared, controller) = self.controller_at(clock, client, scope, candidacy);
        let mut ready = controller.ready();
        let running = prepared.run_by(tokio::spawn(controller.run()));
        tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.expect("ready in time").expect("running");
        running
    }

    /// The same, to be run by somebody.
    pub fn controller_as(
        &self,
        client: Client,
        scope: impl IntoIterator<Item = String>,
        candidacy: Option<Candidacy>,
    ) -> (Prepared, Controller) {
        self.controller_at(&self.clock, client, scope, candidacy)
    }

    fn controller_at(
        &self,
        clock: &Arc<SetClock>,
        client: Client,
        scope: impl IntoIterator<Item = String>,
        candidacy: Option<Candidacy>,
    ) -> (Prepared, Controller) {
        let prepared = Prepared { shutdown: CancellationToken::new(), metrics: Arc::new(Metrics::default()) };
        let (metrics, shutdown) = (Arc::clone(&prepared.metrics), prepared.shutdown.clone());
        let clock = Arc::clone(clock);
        let controller = Controller::new(client, self.settings.clone(), clock, metrics, shutdown);
        (prepared, controller.within(scope).stands(candidacy))
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secret and ConfigMap that a bridge on the simulator needs.
    pub async fn connect(&self) {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": "cms" },
            "stringData": { "username": self.sim.username(), "password": self.sim.password() }
        }))
        .unwrap();
        self.api::<Secret>().create(&PostParams::default(), &secret).await.expect("Secret");
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": "cms-ca" }, "data": { "ca.crt": self.sim.ca_pem() }
        }))
        .unwrap();
        self.api::<ConfigMap>().create(&PostParams::default(), &map).await.expect("ConfigMap");
    }

    /// A bridge on the simulator with slots 1..5; `changes` is merged over it.
    pub fn bridge_spec(&self, changes: Value) -> Value {
        let mut spec = json!({
            "displayName": "Core",
            "address": self.sim.address(0),
            "credentialsSecretRef": { "name": "cms" },
            "tls": { "caBundleRef": { "kind": "ConfigMap", "name": "cms-ca" } },
            "slots": { "domain": "meet.test", "base": 1, "quantity": 5 }
        });
        merge(&mut spec, changes);
        spec
    }

    pub async fn create_bridge(&self, name: &str, changes: Value) -> MeetingBridge {
        let bridge: MeetingBridge = serde_json::from_value(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
            "metadata": { "name": name }, "spec": self.bridge_spec(changes)
        }))
        .expect("a bridge");
        self.api().create(&PostParams::default(), &bridge).await.expect("bridge is accepted")
    }

    /// Connects, makes a bridge `core` and waits until it is Ready.
    pub async fn ready_bridge(&self, changes: Value) -> MeetingBridge {
        self.connect().await;
        self.create_bridge("core", changes).await;
        self.bridge("core", "Ready", |bridge| condition(bridge, "Ready") == ("True", "Ready")).await
    }

    pub async fn create_meeting(&self, name: &str, spec: Value) -> ScheduledMeeting {
        let mut full = json!({ "title": format!("Meeting {name}"), "bridgeRef": { "name": "core" } });
        merge(&mut full, spec);
        let meeting: ScheduledMeeting = serde_json::from_value(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
            "metadata": { "name": name }, "spec": full
        }))
        .expect("a meeting");
        self.api().create(&PostParams::default(), &meeting).await.expect("meeting is accepted")
    }

    /// Merge-patches an object.
    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patch")
    }

    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await.expect("delete");
    }

    /// Waits by watch until the object is as wanted.
    pub async fn until<K>(&self, name: &str, what: &str, wanted: impl Fn(&K) -> bool + Send) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + serde::de::DeserializeOwned
            + serde::Serialize
            + Send
            + 'static,
    {
        let waiting = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_some_and(&wanted));
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found.expect("the watch works").expect("the object exists"),
            Err(_) => {
                let last = self.api::<K>().get_opt(name).await.expect("get");
                let shown = last.map(|mut object| {
                    object.meta_mut().managed_fields = None;
                    serde_yaml::to_string(&object).unwrap_or_default()
                });
                let tail: Vec<String> = self.journal_lines().into_iter().rev().take(25).rev().collect();
                panic!(
                    "{name} never became {what}; it is\n{}\njournal:\n{}",
                    shown.unwrap_or_default(),
                    tail.join("\n")
                );
            }
        }
    }

    pub async fn bridge(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&MeetingBridge) -> bool + Send,
    ) -> MeetingBridge {
        let bridge = self.until(name, what, wanted).await;
        assert_status(&bridge);
        bridge
    }

    pub async fn meeting(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&ScheduledMeeting) -> bool + Send,
    ) -> ScheduledMeeting {
        let meeting = self.until(name, what, wanted).await;
        assert_status(&meeting);
        meeting
    }

    pub async fn phase(&self, name: &str, phase: Phase) -> ScheduledMeeting {
        self.meeting(name, &format!("{phase:?}"), |meeting| phase_of(meeting) == phase).await
    }

    /// Collects what a condition of an object says, from now on and one after the other, until the task is aborted.
    pub fn history<K>(&self, name: &str, kind: &'static str) -> History
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Shown
            + Clone
            + Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let (seen, said) = watch::channel(Vec::new());
        let (api, name) = (self.api::<K>(), name.to_owned());
        let task = tokio::spawn(async move {
            let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
            let mut events = watcher::watcher(api, config).default_backoff().applied_objects().boxed();
            while let Some(object) = events.next().await {
                let Ok(object) = object else { continue };
                let (status, reason) = condition(&object, kind);
                let said = (status.to_owned(), reason.to_owned());
                seen.send_if_modified(|all| {
                    let is_new = all.last() != Some(&said);
                    if is_new {
                        all.push(said);
                    }
                    is_new
                });
            }
        });
        History { said, task }
    }

    /// Waits until the object is gone.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let waiting = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{name} never went")).expect("watch");
    }

    /// The journal, a line a request.
    pub fn journal_lines(&self) -> Vec<String> {
        self.sim.journal().iter().map(line).collect()
    }

    /// Runs every rule over the journal; all spaces with a number are ours.
    pub fn assert_rules(&self, own: impl IntoIterator<Item = u32>) {
        let expected =
            Expectation { own_numbers: own.into_iter().map(|n| n.to_string()).collect(), ..Expectation::default() };
        let broken = check(&self.sim, &expected);
        let serious: Vec<_> = broken.iter().filter(|v| v.severity == cms_simulator::check::Severity::Error).collect();
        assert!(serious.is_empty(), "{serious:#?}\n{}", self.journal_lines().join("\n"));
    }

    /// Stops everything in order.
    pub async fn finish(mut self) {
        if let Some(controller) = self.controller.take() {
            controller.stop().await;
        }
    }
}

/// One journal entry as `POST calls 200`.
pub fn line(entry: &JournalEntry) -> String {
    let query = if entry.query.is_empty() { String::new() } else { format!("?{}", entry.query) };
    let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    format!("{} {}{} {}", entry.method, entry.route, query, status)
}

pub fn writes(entries: &[JournalEntry]) -> usize {
    entries.iter().filter(|entry| entry.method != "GET").count()
}

pub fn merge(base: &mut Value, changes: Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, value) in changes {
                match base.get_mut(&key) {
                    Some(inner) if inner.is_object() && value.is_object() => merge(inner, value),
                    _ if value.is_null() => {
                        base.remove(&key);
                    }
                    _ => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, changes) => *base = changes,
    }
}

/// What every kind shows.
pub trait Shown: ResourceExt {
    fn conditions(&self) -> &[meeting_controller::api::Condition];
    fn observed(&self) -> Option<i64>;
}

impl Shown for MeetingBridge {
    fn conditions(&self) -> &[meeting_controller::api::Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }
    fn observed(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.observed_generation)
    }
}

impl Shown for ScheduledMeeting {
    fn conditions(&self) -> &[meeting_controller::api::Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }
    fn observed(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.observed_generation)
    }
}

impl Shown for MeetingSeries {
    fn conditions(&self) -> &[meeting_controller::api::Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }
    fn observed(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.observed_generation)
    }
}

/// Status and reason of a condition; empty if it is not there.
pub fn condition<'a>(object: &'a impl Shown, kind: &str) -> (&'a str, &'a str) {
    object
        .conditions()
        .iter()
        .find(|condition| condition.type_ == kind)
        .map_or(("", ""), |condition| (condition.status.as_str(), condition.reason.as_str()))
}

/// The message of a condition.
pub fn message<'a>(object: &'a impl Shown, kind: &str) -> &'a str {
    object
        .conditions()
        .iter()
        .find(|condition| condition.type_ == kind)
        .map_or("", |condition| condition.message.as_str())
}

/// Every rule of kstatus and ours, on an object that a test touched.
pub fn assert_status(object: &impl Shown) {
    let broken = violations(object.conditions(), object.meta().generation, object.observed());
    assert!(broken.is_empty(), "{}: {broken:#?}\n{:#?}", object.name_any(), object.conditions());
}

pub fn phase_of(meeting: &ScheduledMeeting) -> Phase {
    meeting.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// A moment so many milliseconds from now, as the spec takes it.
pub fn in_ms(ms: i64) -> String {
    Timestamp::now().checked_add(SignedDuration::from_millis(ms)).unwrap().to_string()
}
