//! `cms-simulator`: a simulated Cisco Meeting Server cluster to be driven by hand or by any client.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cms_simulator::{Config, Simulator, Switches};

/// Simulated Cisco Meeting Server cluster: REST API over HTTPS for each call bridge, control API over plain HTTP.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
struct Args {
    /// Number of call bridges (1 to 16)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    bridges: u8,

    /// Port of the first bridge on 127.0.0.1, the others follow; 0 picks free ports
    #[arg(long, default_value_t = 8443)]
    port: u16,

    /// Port of the control API on 127.0.0.1; 0 picks a free port
    #[arg(long, default_value_t = 0)]
    control_port: u16,

    /// Where to write the certificate of the authority that signs every bridge's certificate
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,

    /// Name of the API account
    #[arg(long, default_value = "admin")]
    username: String,

    /// Password of the API account
    #[arg(long, default_value = "cisco", env = "CMS_SIMULATOR_PASSWORD", hide_env_values = true)]
    password: String,

    /// Version the server claims; decides which nodes and attributes exist, for example "2.0(RC)"
    #[arg(long, default_value = "3.0")]
    software_version: String,

    /// A lone bridge that is not part of a cluster: its table of call bridges is empty
    #[arg(long)]
    standalone: bool,

    /// Seed of all ids and secrets
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Milliseconds every request waits
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,

    /// Switches as a JSON object, for example '{"notFoundStatus":404}'; GET /switches of the control API lists all
    #[arg(long, value_name = "JSON", default_value = "{}")]
    switches: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cms-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let switches: Switches = serde_json::from_str(&args.switches).map_err(|e| format!("--switches: {e}"))?;
    let ports = (0..u16::from(args.bridges))
        .map(|n| if args.port == 0 { Some(0) } else { args.port.checked_add(n) })
        .collect::<Option<Vec<u16>>>()
        .ok_or("--port: not enough ports above it")?;
    let sim = Simulator::start(Config {
        bridges: usize::from(args.bridges),
        clustered: !args.standalone,
        username: args.username,
        password: args.password,
        switches,
        software_version: args.software_version,
        ports,
        control_port: Some(args.control_port),
        seed: args.seed,
        ..Config::default()
    })
    .await?;
    sim.set_latency(Duration::from_millis(args.latency_ms));
    for bridge in 0..sim.bridges() {
        println!(
            "bridge {bridge}: https://{}/api/v1/ (call bridge {})",
            sim.address(bridge),
            sim.call_bridge_id(bridge)
        );
    }
    if let Some(path) = &args.ca_file {
        std::fs::write(path, sim.ca_pem()).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("CA: {}", path.display());
    } else {
        println!("CA: in \"ca\" of the control API's /info");
    }
    if let Some(control) = sim.control_address() {
        println!("control: http://{control}/");
    }
    println!("account: {}; stop with Ctrl-C", sim.username());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
