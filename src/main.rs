//! The command line: run, crds, validate, plan, and the plugin of kubectl.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use kube::config::Kubeconfig;
use kube::{Api, Client, Config};
use meeting_controller::admin::{Access, Admin, Certificate};
use meeting_controller::api::MeetingBridge;
use meeting_controller::cli;
use meeting_controller::clock::SystemClock;
use meeting_controller::config::settings::Settings;
use meeting_controller::config::{Cli, Command, CrdsArgs, LogFormat, OccurrencesArgs, PlanArgs, RunArgs, ValidateArgs};
use meeting_controller::controller::{Candidacy, Controller, plan_bridge};
use meeting_controller::kubectl;
use meeting_controller::metrics::Metrics;
use meeting_controller::traces::{Traces, Wanted};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A connection to the apiserver on which nothing comes for so long is dead: a watch is ended before that.
const SILENCE: Duration = Duration::from_secs(50);

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    // One TLS provider for everything, before anything uses TLS; a second call could only mean that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if kubectl::is_completer(&program) {
        let words: Vec<String> = std::env::args().skip(1).collect();
        return block_on(kubectl::candidates(&words)).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    let is_plugin = kubectl::is_plugin(&program);
    let command = if is_plugin { Command::Meetings(Box::new(kubectl::Cli::parse())) } else { Cli::parse().command };
    let result = match command {
        Command::Run(args) => block_on(run(*args)),
        Command::Plan(args) => block_on(plan(args)),
        Command::Crds(args) => crds(&args),
        Command::Occurrences(args) => occurrences(&args),
        Command::Validate(args) => return block_on(validate(&args)).unwrap_or_else(failed),
        Command::Meetings(cli) => return block_on(async { Ok(kubectl::run(*cli).await) }).unwrap_or_else(failed),
    };
    result.map_or_else(failed, |()| ExitCode::SUCCESS)
}

async fn validate(args: &ValidateArgs) -> Result<ExitCode, String> {
    let options = cli::validate::Options { live: None, format: args.output, now: Some(Timestamp::now()) };
    if !args.live {
        return Ok(cli::validate::run(&args.files, options));
    }
    let namespaces = cli::validate::namespaces(&args.files);
    match cli::validate::Live::read(&args.access(), namespaces, args.shared()).await {
        Ok(live) => Ok(cli::validate::run(&args.files, cli::validate::Options { live: Some(&live), ..options })),
        Err(trouble) => {
            eprintln!("error: {trouble}");
            Ok(cli::validate::Outcome::Unreadable.into())
        }
    }
}

fn occurrences(args: &OccurrencesArgs) -> Result<(), String> {
    cli::occurrences::print(&args.file, args.from, args.until, args.output)
}

fn crds(args: &CrdsArgs) -> Result<(), String> {
    match (&args.dir, &args.compat_with) {
        (Some(dir), _) => cli::crds::write(dir, args.check).map_err(|error| error.to_string())?,
        (None, None) => cli::crds::print().map_err(|error| error.to_string())?,
        (None, Some(_)) => {}
    }
    let compared = args.compat_with.as_deref().map_or(Ok(()), cli::compat::check);
    compared.map_err(|error| error.to_string())
}

fn failed(message: String) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

fn block_on<T>(task: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(task)
}

async fn client() -> Result<Client, String> {
    let mut config = Config::infer().await.map_err(|error| format!("no way to reach Kubernetes: {error}"))?;
    // Not by HTTPS_PROXY: what the environment says was not said of us.
    config.proxy_url = kubeconfig_proxy();
    // Whoever asks has a pause of its own and counts the error. The client's tries last minutes, unseen, and hold up a
    // watch long after the apiserver is back.
    config.default_retry = false;
    // A request to list or watch has no other limit.
    config.read_timeout = Some(SILENCE);
    Client::try_from(config).map_err(|error| format!("the Kubernetes client cannot be made: {error}"))
}

/// The proxy that the kubeconfig names for its cluster.
fn kubeconfig_proxy() -> Option<http::Uri> {
    let file = Kubeconfig::read().ok()?;
    let current = file.contexts.iter().find(|context| Some(&context.name) == file.current_context.as_ref())?;
    let cluster = &current.context.as_ref()?.cluster;
    let named = file.clusters.iter().find(|known| known.name == *cluster)?;
    named.cluster.as_ref()?.proxy_url.as_ref()?.parse().ok()
}

/// Stands for election if that is wanted, with a client and connections of its own.
async fn candidacy(args: &RunArgs) -> Result<Option<Candidacy>, String> {
    if !args.election.leader_elect {
        return Ok(None);
    }
    let client = client().await?;
    let own = client.default_namespace().to_owned();
    let pod = std::env::var("HOSTNAME").unwrap_or_else(|_| "meeting-controller".to_owned());
    Ok(Some(Candidacy {
        client,
        namespace: args.election.lease_namespace.clone().unwrap_or(own),
        name: args.election.lease_name(&args.scope()),
        identity: format!("{pod}_{}", uuid::Uuid::new_v4()),
        timing: args.election.timing()?,
    }))
}

fn start_logging(args: &RunArgs) -> Result<(), String> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| format!("--log: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.init(),
    }
    Ok(())
}

/// Where traces go, if the environment wants any. What is wrong with them keeps no meeting from being held.
fn traces() -> Option<Arc<Traces>> {
    let wanted = Wanted::of(|name| std::env::var(name).ok());
    match wanted.and_then(|wanted| wanted.map(Wanted::start).transpose()) {
        Ok(traces) => traces.map(Arc::new),
        Err(error) => {
            tracing::warn!(error, "there are no traces");
            None
        }
    }
}

async fn run(args: RunArgs) -> Result<(), String> {
    start_logging(&args)?;
    let traces = traces();
    let candidacy = candidacy(&args).await?;
    let access = if args.metrics_auth { Some(Access::new(client().await?)) } else { None };
    let certificate = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(chain), Some(key)) => Some(Certificate::read(chain, key)?),
        _ => None,
    };
    let shutdown = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let settings = Settings { traces: traces.clone(), ..args.settings()? };
    let controller =
        Controller::new(client().await?, settings, Arc::new(SystemClock), Arc::clone(&metrics), shutdown.clone())
            .within(args.scope())
            .stands(candidacy);
    let admin = Admin::bind(args.listen, controller.ready(), controller.watchdog(), metrics)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?
        .guarded(access)
        .secured(certificate);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, "started");
    tokio::spawn(stop_on_signal(shutdown.clone()));
    let (served, ()) = tokio::join!(admin.run(shutdown), controller.run());
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("stopped");
    served.map_err(|error| format!("the admin server failed: {error}"))
}

/// SIGTERM or Ctrl-C: begin no new write, finish what is under way.
async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught");
            let _ = interrupt.await;
        }
    }
    tracing::info!("stopping");
    shutdown.cancel();
}

async fn plan(args: PlanArgs) -> Result<(), String> {
    let (client, settings) = (client().await?, args.settings()?);
    let namespace = args.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let api: Api<MeetingBridge> = Api::namespaced(client.clone(), &namespace);
    let bridge =
        api.get(&args.name).await.map_err(|error| format!("MeetingBridge {namespace}/{}: {error}", args.name))?;
    let steps = plan_bridge(client, settings, &bridge).await?;
    if steps.is_empty() {
        println!("nothing to do: the bridge is as MeetingBridge {namespace}/{} wants it", args.name);
    }
    for (index, step) in steps.iter().enumerate() {
        println!("{:>3}. {step}", index + 1);
    }
    Ok(())
}
