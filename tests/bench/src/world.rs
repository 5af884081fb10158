//! Control plane, simulator and controller for a benchmark.

use std::sync::Arc;
use std::time::Duration;

use cms_simulator::{Config, Simulator};
use control_plane::{ControlPlane, Options};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::clock::SystemClock;
use meeting_controller::controller::Controller;
use meeting_controller::controller::context::Settings;
use meeting_controller::metrics::Metrics;
use meeting_controller::status::is_true;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Namespace of all objects.
pub const NAMESPACE: &str = "default";

/// Everything a benchmark runs on.
pub struct World {
    pub plane: ControlPlane,
    pub client: Client,
    pub sim: Simulator,
    pub metrics: Arc<Metrics>,
    controller: Option<(CancellationToken, JoinHandle<()>)>,
}

pub fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

impl World {
    /// Starts everything; the simulator answers after `latency`.
    pub async fn start(settings: Settings, latency: Duration) -> Result<Self, String> {
        let mut world = Self::without_controller(latency).await?;
        let own = world.plane.client().await.map_err(told("client"))?;
        let shutdown = CancellationToken::new();
        let controller =
            Controller::new(own, settings, Arc::new(SystemClock), Arc::clone(&world.metrics), shutdown.clone());
        world.controller = Some((shutdown, tokio::spawn(controller.run())));
        Ok(world)
    }

    /// Control plane and simulator only.
    pub async fn without_controller(latency: Duration) -> Result<Self, String> {
        let plane = ControlPlane::start(Options { audit: false, ..Options::with_workspace_crds() })
            .await
            .map_err(told("control plane"))?;
        let client = plane.client().await.map_err(told("client"))?;
        let config = Config { bridges: 1, clustered: false, ..Config::default() };
        let sim = Simulator::start(config).await.map_err(told("simulator"))?;
        sim.set_latency(latency);
        Ok(Self { plane, client, sim, metrics: Arc::new(Metrics::default()), controller: None })
    }

    pub fn meetings(&self) -> Api<ScheduledMeeting> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// A bridge `core` with slots 1..quantity, Ready.
    pub async fn bridge(&self, quantity: u32) -> Result<(), String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let bridges: Api<MeetingBridge> = Api::namespaced(self.client.clone(), NAMESPACE);
        let secret = object(json!({ "metadata": { "name": "cms" },
            "stringData": { "username": self.sim.username(), "password": self.sim.password() } }))?;
        let map = object(json!({ "metadata": { "name": "cms-ca" }, "data": { "ca.crt": self.sim.ca_pem() } }))?;
        let bridge: MeetingBridge = object(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
            "metadata": { "name": "core" },
            "spec": {
                "displayName": "Core", "address": self.sim.address(0),
                "credentialsSecretRef": { "name": "cms" },
                "tls": { "caBundleRef": { "name": "cms-ca" } },
                "slots": { "domain": "meet.test", "base": 1, "quantity": quantity }
            }
        }))?;
        let params = PostParams::default();
        secrets.create(&params, &secret).await.map_err(told("Secret"))?;
        maps.create(&params, &map).await.map_err(told("ConfigMap"))?;
        bridges.create(&params, &bridge).await.map_err(told("MeetingBridge"))?;
        let ready = await_condition(bridges, "core", |bridge: Option<&MeetingBridge>| {
            bridge.and_then(|b| b.status.as_ref()).is_some_and(|status| is_true(&status.conditions, "Ready"))
        });
        tokio::time::timeout(Duration::from_secs(120), ready)
            .await
            .map_err(|_| "the bridge never became Ready".to_owned())?
            .map_err(told("watch"))?;
        Ok(())
    }

    /// Creates meetings `m-00000` .. one after another, so that their booking order is their number.
    pub async fn create_meetings(&self, count: usize, spec: impl Fn(usize) -> Value) -> Result<(), String> {
        let api = self.meetings();
        stream::iter(0..count)
            .map(|index| {
                let meeting = object::<ScheduledMeeting>(json!({
                    "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
                    "metadata": { "name": format!("m-{index:05}") }, "spec": spec(index)
                }));
                let api = api.clone();
                async move {
                    let meeting = meeting?;
                    api.create(&PostParams::default(), &meeting).await.map(drop).map_err(told("ScheduledMeeting"))
                }
            })
            .buffered(16)
            .try_collect::<()>()
            .await
    }

    /// Waits until so many meetings are in this phase.
    pub async fn until_phase(
        &self,
        phase: Phase,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<ScheduledMeeting>, String> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let meetings = self.meetings().list(&ListParams::default()).await.map_err(told("list"))?.items;
            let there =
                meetings.iter().filter(|m| m.status.as_ref().and_then(|status| status.phase) == Some(phase)).count();
            if there >= count {
                return Ok(meetings);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("{there} of {count} meetings are {phase:?} after {} s", patience.as_secs()));
            }
            // A list of many objects is itself work for the apiserver: ask seldom, it is not what is measured.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Stops everything.
    pub async fn stop(self) -> Result<(), String> {
        if let Some((shutdown, task)) = self.controller {
            shutdown.cancel();
            task.await.map_err(told("controller"))?;
        }
        self.plane.shutdown().await.map_err(told("control plane"))
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> Result<K, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}
