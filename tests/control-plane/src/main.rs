//! Runs a control plane by hand: `cargo run -p control-plane`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use control_plane::{Assets, ControlPlane, Error, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Starts etcd, kube-apiserver and kube-controller-manager, prints a kubeconfig and stays until Ctrl-C.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Also write the admin kubeconfig to this file
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// Apply these YAML files (a file or a directory) before the controller manager starts; can be repeated
    #[arg(long, value_name = "PATH")]
    crds: Vec<PathBuf>,
    /// The port of the API server on 127.0.0.1 [default: any free one]
    #[arg(long)]
    port: Option<u16>,
    /// Keep the data here, and use what is there [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write no audit log
    #[arg(long)]
    no_audit: bool,
    /// Only build the programs, and print the directory that holds them
    #[arg(long)]
    assets_only: bool,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "control_plane=info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = tokio::runtime::Runtime::new().map_err(system_error("start the threads of")).and_then(|runtime| {
        let result = runtime.block_on(run(Arguments::parse()));
        // After Ctrl-C a build may still be running on a thread. It ends with this process; do not wait for it.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads it: nothing to do about that.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    // From here on Ctrl-C is seen, also during the start; dropping what has been started stops it.
    let mut terminate = signal(SignalKind::terminate()).map_err(system_error("handle the signals of"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(system_error("handle the signals of"))?;
    let stop = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::select! {
        result = serve(arguments) => result,
        () = stop => Ok(()),
    }
}

async fn serve(arguments: Arguments) -> Result<(), Error> {
    if arguments.assets_only {
        let assets = tokio::task::spawn_blocking(Assets::find_or_build).await??;
        return print(&format!("{}\n", assets.dir.display()));
    }
    let options = Options {
        audit: !arguments.no_audit,
        data_dir: arguments.data_dir,
        port: arguments.port,
        manifests: arguments.crds,
        ..Options::default()
    };
    let started = Instant::now();
    let control_plane = ControlPlane::start(options).await?;
    tracing::info!(seconds = started.elapsed().as_secs_f32(), url = control_plane.url(), "ready");
    let kubeconfig = match arguments.kubeconfig {
        Some(path) => {
            control_plane.write_kubeconfig(&path)?;
            std::path::absolute(&path).unwrap_or(path)
        }
        None => control_plane.kubeconfig_path(),
    };
    let mut text = format!("data and logs: {}\n", control_plane.data_dir().display());
    if let Ok(audit_log) = control_plane.audit_log_path() {
        text += &format!("audit log: {}\n", audit_log.display());
    }
    text += &format!("kubeconfig: {0}\nexport KUBECONFIG={0}\n", kubeconfig.display());
    print(&text)?;
    tracing::info!("Ctrl-C stops it");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        control_plane.check()?;
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(system_error("write the output of"))
}

fn system_error(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { action, path: "this process".into(), source }
}
