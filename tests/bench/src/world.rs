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
use meeting_controller::api::is_true;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, MeetingBridgeStatus, ScheduledMeeting};
use meeting_controller::clock::SystemClock;
use meeting_controller::config::settings::Settings;
use meeting_controller::controller::Controller;
use meeting_controller::metrics::Metrics;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Namespace of all objects.
pub const NAMESPACE: &str = "default";

/// Everything a benchmark runs on.
pub struct World {
    pub plane: ControlPlane,
    pub client: Client,
    pub metrics: Arc<Metrics>,
    controller: Option<(CancellationToken, JoinHandle<()>)>,
}

/// A MeetingBridge and the simulator that it stands for.
pub struct Site {
    pub name: String,
    pub sim: Simulator,
}

pub fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// How long to wait before so many objects are listed again.
pub fn pause_for(count: usize) -> Duration {
    Duration::from_secs(if count < 1000 { 1 } else { 20 })
}

impl World {
    /// Starts control plane and controller.
    pub async fn start(settings: Settings) -> Result<Self, String> {
        let mut world = Self::without_controller().await?;
        let own = world.plane.client().await.map_err(told("client"))?;
        let shutdown = CancellationToken::new();
        let controller =
            Controller::new(own, settings, Arc::new(SystemClock), Arc::clone(&world.metrics), shutdown.clone());
        world.controller = Some((shutdown, tokio::spawn(controller.run())));
        Ok(world)
    }

    /// Control plane only.
    pub async fn without_controller() -> Result<Self, String> {
        Self::of(Options { audit: false, ..Options::with_workspace_crds() }).await
    }

    /// The same, which tells what was asked of it.
    pub async fn audited() -> Result<Self, String> {
        Self::of(Options::with_workspace_crds()).await
    }

    async fn of(options: Options) -> Result<Self, String> {
        let plane = ControlPlane::start(options).await.map_err(told("control plane"))?;
        let client = plane.client().await.map_err(told("client"))?;
        Ok(Self { plane, client, metrics: Arc::new(Metrics::default()), controller: None })
    }

    pub fn meetings(&self) -> Api<ScheduledMeeting> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn bridges(&self) -> Api<MeetingBridge> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// A bridge `core` with slots 1..quantity, alone and Ready.
    pub async fn bridge(&self, quantity: u32) -> Result<Site, String> {
        let config = Config { bridges: 1, clustered: false, ..Config::default() };
        self.site("core", config, quantity).await
    }

    /// A bridge that is a cluster of three call bridges, all of them known to be good; slots 1..quantity.
    pub async fn cluster(&self, name: &str, quantity: u32) -> Result<Site, String> {
        let site = self.site(name, Config { bridges: 3, ..Config::default() }, quantity).await?;
        self.until_bridge(name, "has three good call bridges", |status| {
            status.call_bridges.len() == 3 && status.call_bridges.iter().all(|end| end.reachable == Some(true))
        })
        .await?;
        Ok(site)
    }

    async fn site(&self, name: &str, config: Config, quantity: u32) -> Result<Site, String> {
        // Ids of its own: two bridges with the same call bridges would be one cluster.
        let seed = name.bytes().fold(config.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let sim = Simulator::start(Config { seed, ..config }).await.map_err(told("simulator"))?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let secret = object(json!({ "metadata": { "name": name },
            "stringData": { "username": sim.username(), "password": sim.password() } }))?;
        let map = object(json!({ "metadata": { "name": name }, "data": { "ca.crt": sim.ca_pem() } }))?;
        let alternates: Vec<Value> =
            (1..sim.bridges()).map(|bridge| json!({ "address": sim.address(bridge) })).collect();
        let bridge: MeetingBridge = object(json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
            "metadata": { "name": name },
            "spec": {
                "displayName": name, "address": sim.address(0),
                "credentialsSecretRef": { "name": name },
                "tls": { "caBundleRef": { "name": name } },
                "slots": { "domain": "meet.test", "base": 1, "quantity": quantity },
                "failover": { "alternates": alternates }
            }
        }))?;
        let params = PostParams::default();
        secrets.create(&params, &secret).await.map_err(told("Secret"))?;
        maps.create(&params, &map).await.map_err(told("ConfigMap"))?;
        self.bridges().create(&params, &bridge).await.map_err(told("MeetingBridge"))?;
        self.until_bridge(name, "is Ready", |status| is_true(&status.conditions, "Ready")).await?;
        Ok(Site { name: name.to_owned(), sim })
    }

    /// Waits, by a watch, until a bridge's status is as wanted.
    pub async fn until_bridge(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&MeetingBridgeStatus) -> bool,
    ) -> Result<(), String> {
        let there = await_condition(self.bridges(), name, |bridge: Option<&MeetingBridge>| {
            bridge.and_then(|bridge| bridge.status.as_ref()).is_some_and(&wanted)
        });
        tokio::time::timeout(Duration::from_secs(150), there)
            .await
            .map_err(|_| format!("never: the bridge {name} {what}"))?
            .map_err(told("watch"))?;
        Ok(())
    }

    /// Creates meetings `PREFIX-00000` .. one after another, so that their booking order is their number.
    pub async fn create_meetings(
        &self,
        prefix: &str,
        count: usize,
        spec: impl Fn(usize) -> Value,
    ) -> Result<(), String> {
        let api = self.meetings();
        stream::iter(0..count)
            .map(|index| {
                let meeting = object::<ScheduledMeeting>(json!({
                    "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
                    "metadata": { "name": format!("{prefix}-{index:05}") }, "spec": spec(index)
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

    /// How many meetings have a slot.
    pub async fn booked(&self) -> Result<usize, String> {
        let meetings = self.meetings().list(&ListParams::default()).await.map_err(told("list"))?.items;
        Ok(meetings.iter().filter(|m| m.status.as_ref().is_some_and(|status| status.slot.is_some())).count())
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
            tokio::time::sleep(pause_for(count)).await;
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
