//! Everything that is started for the play, and stopped after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cms_simulator::{Config, Simulator};
use control_plane::{ControlPlane, Options};
use kube::Client;
use meeting_controller::admin::Admin;
use meeting_controller::clock::SystemClock;
use meeting_controller::config::settings::Settings;
use meeting_controller::controller::Controller;
use meeting_controller::metrics::Metrics;
use meeting_controller::testing::settings;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Namespace and name of the ServiceAccount in `deploy/`.
const ACCOUNT: (&str, &str) = ("meeting-controller", "meeting-controller");

/// Control plane, simulators and controller.
pub struct Stage {
    pub plane: ControlPlane,
    pub client: Client,
    /// A cluster of two call bridges for the first MeetingBridge, a lone call bridge for the second.
    pub sims: Vec<Simulator>,
    admin_address: String,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// A file of the workspace, wherever the playground was started.
pub fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

impl Stage {
    /// Starts everything.
    pub async fn build() -> Result<Self, String> {
        // The one TLS provider of the process; an error means that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        println!("Starting etcd, kube-apiserver and kube-controller-manager (built first, once, if need be) ...");
        let mut options = Options::with_workspace_crds();
        options.manifests.push(workspace("deploy/base/namespace.yaml"));
        options.manifests.push(workspace("deploy/base/rbac.yaml"));
        let plane = ControlPlane::start(options).await.map_err(told("control plane"))?;
        let client = plane.client().await.map_err(told("admin client"))?;
        println!("Starting two simulated CMS: a cluster of two call bridges, and a lone one ...");
        let cluster = Config { bridges: 2, control_port: Some(0), ..Config::default() };
        let lone = Config { bridges: 1, clustered: false, seed: 2, control_port: Some(0), ..Config::default() };
        let mut sims = Vec::new();
        for config in [cluster, lone] {
            sims.push(Simulator::start(config).await.map_err(told("simulator"))?);
        }
        println!("Starting the controller, with the ServiceAccount and rights of deploy/ ...");
        let account =
            plane.kubeconfig_for_service_account(ACCOUNT.0, ACCOUNT.1).await.map_err(told("ServiceAccount"))?;
        let controller_client = control_plane::client_for(&account).await.map_err(told("controller's client"))?;
        let shutdown = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let controller = Controller::new(
            controller_client,
            // A person watches: look after the bridge a little more often than in production.
            Settings { sweep: std::time::Duration::from_secs(3), ..settings() },
            Arc::new(SystemClock),
            Arc::clone(&metrics),
            shutdown.clone(),
        );
        let admin = Admin::bind(([127, 0, 0, 1], 0).into(), controller.ready(), controller.watchdog(), metrics)
            .await
            .map_err(told("admin server"))?;
        let admin_address = admin.address().map_err(told("admin server"))?.to_string();
        let mut ready = controller.ready();
        let stop = shutdown.clone();
        let tasks = vec![
            tokio::spawn(controller.run()),
            tokio::spawn(async move {
                if let Err(error) = admin.run(stop).await {
                    eprintln!("admin server: {error}");
                }
            }),
        ];
        ready.wait_for(|ready| *ready).await.map_err(told("controller"))?;
        Ok(Self { plane, client, sims, admin_address, shutdown, tasks })
    }

    /// How to look for oneself.
    pub fn introduce(&self) {
        println!("\nIn another terminal:");
        println!("  export KUBECONFIG={}", self.plane.kubeconfig_path().display());
        println!("  kubectl get meetings -A          # every kind; also: describe, explain mtg.spec, get events");
        println!("  curl http://{}/metrics", self.admin_address);
        for control in self.sims.iter().filter_map(|sim| sim.control_address()) {
            println!("  curl http://{control}/journal    # every request the bridges saw");
        }
        if let Some(control) = self.sims.first().and_then(|sim| sim.control_address()) {
            println!("  curl -X POST http://{control}/bridges/0/stop     # lose a call bridge; /start gives it back");
        }
        println!();
    }

    /// Stops everything, the controller first.
    pub async fn clear(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                eprintln!("a task ended badly: {error}");
            }
        }
        if let Err(error) = self.plane.shutdown().await {
            eprintln!("control plane: {error}");
        }
    }
}
