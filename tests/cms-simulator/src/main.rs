//! `cms-simulator`: a simulated Cisco Meeting Server cluster to be driven by hand or by any client.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cms_simulator::{Args, Simulator};

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
    let sim = Simulator::start(args.config()?).await?;
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
