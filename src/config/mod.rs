//! Flags and environment, checked once at the start.

pub mod settings;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};

use crate::api::marks::Marks;
use crate::cli::validate::Format;
use crate::cms::{Egress, Limits};
use crate::controller::Timing;
use crate::kubectl;
use settings::Settings;

/// Schedules meetings on Cisco Meeting Server from Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "meeting-controller", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller.
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinitions, or write and check the generated files.
    Crds(CrdsArgs),
    /// Check manifests offline against schema and rules, or against a cluster (--live). Exit code 0: good, 1: problems, 2: a file cannot be read.
    Validate(ValidateArgs),
    /// Print when the series of a file take place, and which ScheduledMeetings that makes; no cluster is asked.
    Occurrences(OccurrencesArgs),
    /// Print what would be done to a bridge; nothing is written, neither there nor to Kubernetes.
    Plan(PlanArgs),
    /// The plugin of kubectl: the same as the program under the name kubectl-meetings.
    Meetings(Box<kubectl::Cli>),
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let span: kube::core::Duration = text.parse().map_err(|error| format!("{error}; write it like 15s or 1m"))?;
    let duration = Duration::from(span);
    if span.is_negative() || duration < Duration::from_millis(100) {
        return Err("must be at least 100ms".to_owned());
    }
    Ok(duration)
}

/// Flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "MEETING_CONTROLLER_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Let only those read /metrics who show a bearer token of the cluster and may get the nonResourceURL /metrics. The
    /// controller's account needs the ClusterRole system:auth-delegator for that.
    #[arg(long, env = "MEETING_CONTROLLER_METRICS_AUTH")]
    pub metrics_auth: bool,
    /// Serve /metrics, /healthz and /readyz over TLS: a file with the certificate and those between it and its authority, in
    /// PEM. It is read anew when it changes.
    #[arg(long, env = "MEETING_CONTROLLER_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of --tls-cert-file, in PEM.
    #[arg(long, env = "MEETING_CONTROLLER_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// json for machines, text for people.
    #[arg(long, env = "MEETING_CONTROLLER_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// What is logged, in the syntax of tracing's EnvFilter.
    #[arg(long, env = "MEETING_CONTROLLER_LOG", default_value = "info,kube=warn")]
    pub log: String,
    /// Look after the objects of these namespaces only, separated by commas. Without it all namespaces.
    #[arg(long, alias = "namespace", env = "MEETING_CONTROLLER_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Namespaces of the platform team, separated by commas: their bridges are offered to meetings of every namespace that
    /// name no bridge, as far as allowedNamespaces lets them. Without it only bridges of the meeting's own namespace are.
    #[arg(long, env = "MEETING_CONTROLLER_SHARED_BRIDGES_IN", value_delimiter = ',')]
    pub shared_bridges_in: Vec<String>,
    /// Name of this installation among those that share the numbers of one CMS: up to 32 letters, digits, dots, underscores
    /// and hyphens. What carries the mark of another installation is never touched. It belongs to the objects, not to the
    /// Kubernetes cluster: keep it when they are restored elsewhere.
    #[arg(long, env = "MEETING_CONTROLLER_INSTALLATION", value_name = "NAME", default_value = "", hide_default_value = true,
          value_parser = Marks::of_installation)]
    pub installation: Marks,
    /// Send a Secret to a bridge only if its owner labelled it for that: meeting-controller.dev/use=credentials, or
    /// =passcode. Without it every Secret that a MeetingBridge or ScheduledMeeting of its namespace names is sent.
    #[arg(long, env = "MEETING_CONTROLLER_REQUIRE_SECRET_LABEL")]
    pub require_secret_label: bool,
    #[command(flatten)]
    pub egress: EgressArgs,
    #[command(flatten)]
    pub timing: TimingArgs,
    #[command(flatten)]
    pub election: ElectionArgs,
}

impl RunArgs {
    /// The namespaces to look after; none: all.
    pub fn scope(&self) -> BTreeSet<String> {
        names(&self.namespaces)
    }

    /// As the controller takes them.
    ///
    /// # Errors
    /// If the way to the bridges cannot be used.
    pub fn settings(&self) -> Result<Settings, String> {
        Ok(Settings {
            shared_bridges_in: names(&self.shared_bridges_in),
            marks: self.installation.clone(),
            require_secret_label: self.require_secret_label,
            egress: self.egress.egress()?,
            ..self.timing.settings()
        })
    }
}

/// What was separated by commas.
fn names(list: &[String]) -> BTreeSet<String> {
    list.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = text.parse::<IpAddr>().map(IpNet::from).ok();
    alone.or_else(|| text.parse().ok()).ok_or_else(|| "write it like 10.0.0.0/8 or fd00::1".to_owned())
}

/// Flags about the way to the bridges.
#[derive(Clone, Debug, Args)]
pub struct EgressArgs {
    /// Networks or addresses that bridges may have although no bridge should: loopback (but for a controller that runs in no
    /// pod), link-local, metadata services of clouds, multicast, and the API server's own. Separated by commas, or once each.
    #[arg(long, env = "MEETING_CONTROLLER_ALLOW_ADDRESS", value_name = "CIDR", value_delimiter = ',',
          value_parser = network)]
    pub allow_address: Vec<IpNet>,
    /// Reach the bridges through this HTTP proxy: http://[user:password@]host:port. HTTPS_PROXY and the like in the
    /// environment are not honoured.
    #[arg(long, env = "MEETING_CONTROLLER_BRIDGE_PROXY", value_name = "URL", hide_env_values = true)]
    pub bridge_proxy: Option<SecretString>,
    /// Hosts, domains and networks that are reached without it, separated by commas.
    #[arg(long, env = "MEETING_CONTROLLER_BRIDGE_NO_PROXY", default_value = "")]
    pub bridge_no_proxy: String,
}

impl EgressArgs {
    /// As the client takes it. The address of the API server is the one that every pod is told.
    ///
    /// # Errors
    /// If the proxy cannot be used.
    pub fn egress(&self) -> Result<Arc<Egress>, String> {
        self.egress_where(std::env::var("KUBERNETES_SERVICE_HOST").ok().as_deref())
    }

    /// `apiserver`: what a pod is told.
    fn egress_where(&self, apiserver: Option<&str>) -> Result<Arc<Egress>, String> {
        let egress = Egress::default().allow(self.allow_address.iter().copied());
        let egress = match apiserver {
            // In no pod: loopback is the machine of whoever starts it, who may have a bridge there to try things out.
            None => egress.with_loopback(),
            Some(host) => egress.refuse(host.parse().ok()),
        };
        let proxy = self.bridge_proxy.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.trim().is_empty());
        let Some(proxy) = proxy else { return Ok(Arc::new(egress)) };
        let through = egress.through(proxy, &self.bridge_no_proxy);
        through.map(Arc::new).map_err(|error| format!("--bridge-proxy: {error}"))
    }
}

/// Flags about the leader election.
#[derive(Clone, Debug, Args)]
pub struct ElectionArgs {
    /// Share the work with other replicas: the one that holds the Lease does it, the others wait. Without it there must be
    /// one replica only.
    #[arg(long, env = "MEETING_CONTROLLER_LEADER_ELECT", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Name of the Lease; default: meeting-controller, with --namespaces meeting-controller-NAMESPACE, several with dots.
    #[arg(long, env = "MEETING_CONTROLLER_LEASE_NAME")]
    pub lease_name: Option<String>,
    /// Namespace of the Lease; default: that of the pod.
    #[arg(long, env = "MEETING_CONTROLLER_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// After so long without a renewal another replica takes over.
    #[arg(long, env = "MEETING_CONTROLLER_LEASE_DURATION", default_value = "15s", value_parser = seconds)]
    pub lease_duration: Duration,
    /// After so long without a renewal the leader stops working.
    #[arg(long, env = "MEETING_CONTROLLER_RENEW_DEADLINE", default_value = "10s", value_parser = seconds)]
    pub renew_deadline: Duration,
    /// Between two renewals.
    #[arg(long, env = "MEETING_CONTROLLER_RETRY_PERIOD", default_value = "2s", value_parser = seconds)]
    pub retry_period: Duration,
}

impl ElectionArgs {
    /// As the controller takes them.
    ///
    /// # Errors
    /// If the lengths do not fit together.
    pub fn timing(&self) -> Result<Timing, String> {
        Timing { lease: self.lease_duration, renew: self.renew_deadline, retry: self.retry_period }.check()
    }

    /// The name of the Lease of a controller that looks after these namespaces, or all. A namespace's name has no dot.
    pub fn lease_name(&self, scope: &BTreeSet<String>) -> String {
        let names: Vec<&str> = scope.iter().map(String::as_str).collect();
        let default = if names.is_empty() {
            "meeting-controller".to_owned()
        } else {
            format!("meeting-controller-{}", names.join("."))
        };
        self.lease_name.clone().unwrap_or(default)
    }
}

/// Flags about time and number of requests.
#[derive(Clone, Debug, Args)]
pub struct TimingArgs {
    /// Between connection probes of a bridge with a live or imminent meeting.
    #[arg(long, env = "MEETING_CONTROLLER_PROBE_BUSY", default_value = "5s", value_parser = seconds)]
    pub probe_busy: Duration,
    /// Between connection probes of an idle bridge.
    #[arg(long, env = "MEETING_CONTROLLER_PROBE_IDLE", default_value = "25s", value_parser = seconds)]
    pub probe_idle: Duration,
    /// Between sweeps of a bridge with live meetings.
    #[arg(long, env = "MEETING_CONTROLLER_SWEEP", default_value = "15s", value_parser = seconds)]
    pub sweep: Duration,
    /// Between reads of a bridge without live meetings.
    #[arg(long, env = "MEETING_CONTROLLER_IDLE_READ", default_value = "30s", value_parser = seconds)]
    pub idle_read: Duration,
    /// Requests in flight per call bridge.
    #[arg(long, env = "MEETING_CONTROLLER_IN_FLIGHT", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub in_flight: u16,
    /// Limit of one request to a bridge. Default: 10s, and 3s where a bridge has further call bridges to go to.
    #[arg(long, env = "MEETING_CONTROLLER_REQUEST_TIMEOUT", value_parser = seconds)]
    pub request_timeout: Option<Duration>,
    /// Limit of connecting to a bridge, TLS included.
    #[arg(long, env = "MEETING_CONTROLLER_CONNECT_TIMEOUT", default_value = "5s", value_parser = seconds)]
    pub connect_timeout: Duration,
    /// How long a deletion waits for a bridge that does not answer.
    #[arg(long, env = "MEETING_CONTROLLER_DELETION_DEADLINE", default_value = "5m", value_parser = seconds)]
    pub deletion_deadline: Duration,
}

impl TimingArgs {
    /// As the controller takes them.
    pub fn settings(&self) -> Settings {
        let default = Settings::default();
        let request = self.request_timeout.unwrap_or(default.limits.request);
        Settings {
            probe_busy: self.probe_busy,
            probe_idle: self.probe_idle,
            sweep: self.sweep,
            idle_read: self.idle_read,
            in_flight: usize::from(self.in_flight),
            limits: Limits { connect: self.connect_timeout, request, ..default.limits },
            cluster_request: self.request_timeout.unwrap_or(default.cluster_request),
            deletion_deadline: self.deletion_deadline,
            ..default
        }
    }
}

/// Flags of `crds`.
#[derive(Clone, Debug, Args)]
pub struct CrdsArgs {
    /// Write the generated files into this directory instead of printing.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Compare instead of writing; fails on drift.
    #[arg(long, requires = "dir")]
    pub check: bool,
    /// Fail if objects that the CRDs in this directory take might not be taken, or lose something; print nothing.
    #[arg(long, value_name = "DIR")]
    pub compat_with: Option<PathBuf>,
}

/// Flags of `validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// Manifests, or directories with manifests in and below them; `-` is standard input.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// How it is told: text for people, json for programs, github for annotations in a workflow of GitHub.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Format,
    /// Also ask the cluster, with your own rights, whether its bridges have slots for these meetings.
    #[arg(long)]
    pub live: bool,
    /// Namespace of objects that name none; default: that of the context.
    #[arg(short, long, requires = "live")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; default: the current one.
    #[arg(long, requires = "live")]
    pub context: Option<String>,
    /// Path of the kubeconfig; default: $KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub kubeconfig: Option<PathBuf>,
    /// The controller's --shared-bridges-in.
    #[arg(long, value_delimiter = ',', requires = "live")]
    pub shared_bridges_in: Vec<String>,
}

impl ValidateArgs {
    /// Whose cluster it is.
    pub fn access(&self) -> kubectl::Access {
        let (namespace, context, kubeconfig) = (self.namespace.clone(), self.context.clone(), self.kubeconfig.clone());
        kubectl::Access { namespace, context, kubeconfig, ..kubectl::Access::default() }
    }

    /// The namespaces whose bridges are shared.
    pub fn shared(&self) -> BTreeSet<String> {
        names(&self.shared_bridges_in)
    }
}

/// Flags of `occurrences`.
#[derive(Clone, Debug, Args)]
pub struct OccurrencesArgs {
    /// A manifest with MeetingSeries; `-` is standard input.
    pub file: PathBuf,
    /// The last day, in the zone of the series.
    #[arg(long, value_name = "DATE")]
    pub until: Date,
    /// The first day, in the zone of the series; default: its start.
    #[arg(long, value_name = "DATE")]
    pub from: Option<Date>,
    /// For programs instead of people.
    #[arg(short, long, value_enum)]
    pub output: Option<kubectl::Output>,
}

/// Flags of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Name of the MeetingBridge.
    pub name: String,
    /// Its namespace; default: that of the kubeconfig's context.
    #[arg(short, long)]
    pub namespace: Option<String>,
    #[command(flatten)]
    pub egress: EgressArgs,
}

impl PlanArgs {
    /// As the controller takes them.
    ///
    /// # Errors
    /// If the way to the bridges cannot be used.
    pub fn settings(&self) -> Result<Settings, String> {
        Ok(Settings { egress: self.egress.egress()?, ..Settings::default() })
    }
}

#[cfg(test)]
mod tests;
