//! Benchmarks on the real apiserver and the simulator. They print tables with ratios and are not timed tests.
//!
//! `cargo run --release -p bench -- top_of_hour` (also `failover`, `settled`, `memory`, `series`, `soak`)

mod failover;
mod lateness;
mod memory;
mod report;
mod series;
mod settled;
mod soak;
mod top_of_hour;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Benchmarks of meeting-controller")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// n meetings start at one instant on one bridge: doors, calls, legs against the arithmetic limit.
    #[command(name = "top_of_hour")]
    TopOfHour(top_of_hour::Options),
    /// A call bridge of a cluster is lost: detection, and the next one takes over what starts and what runs.
    #[command(name = "failover")]
    Failover(failover::Options),
    /// What a bridge and its meetings cost while nothing happens.
    #[command(name = "settled")]
    Settled(settled::Options),
    /// Memory and status writes with many meetings far in the future.
    #[command(name = "memory")]
    Memory(memory::Options),
    /// Memory and writes with many series whose occurrences of a month are booked.
    #[command(name = "series")]
    Series(series::Options),
    /// Days of meetings in minutes, with faults: does anything grow?
    #[command(name = "soak")]
    Soak(soak::Options),
    /// The controller alone, for `memory`, `series` and `soak`.
    #[command(name = "controller", hide = true)]
    Controller,
}

#[tokio::main]
async fn main() -> ExitCode {
    // The one TLS provider of the process; an error means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // While a control plane starts, kube calls each try that comes too early an error.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Args::parse().bench {
        Bench::TopOfHour(options) => top_of_hour::run(&options).await,
        Bench::Failover(options) => failover::run(&options).await,
        Bench::Settled(options) => settled::run(&options).await,
        Bench::Memory(options) => memory::run(&options).await,
        Bench::Series(options) => series::run(&options).await,
        Bench::Soak(options) => soak::run(&options).await,
        Bench::Controller => memory::controller().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}
