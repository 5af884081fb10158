//! `cargo playground`: a real etcd and kube-apiserver, a simulated CMS cluster of two call bridges, the controller with
//! the ServiceAccount and RBAC of `deploy/`, and the manifests of `deploy/examples/`, from start to end.

mod manifests;
mod stage;
mod table;
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt;
use stage::Stage;

/// Shows one meeting from apply to Ended, on a real Kubernetes API server.
#[derive(Debug, Parser)]
#[command(name = "playground")]
struct Args {
    /// Leave everything running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Seconds until the first meeting starts.
    #[arg(long, default_value_t = 15)]
    start_in: u32,
    /// Seconds a meeting lasts.
    #[arg(long, default_value_t = 20)]
    length: u32,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 180)]
    patience: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    // The alias ends with `--` already; who writes `cargo playground -- --keep` means the same.
    let words = std::env::args().enumerate().filter(|(index, word)| !(*index == 1 && word == "--"));
    let args = Args::parse_from(words.map(|(_, word)| word));
    match play(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("playground: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args) -> Result<(), String> {
    let stage = Stage::build().await?;
    stage.introduce();
    let meetings = manifests::apply(&stage, args.start_in, args.length).await?;
    let watched = watch(&stage, &meetings);
    let patience = Duration::from_secs(args.patience);
    let interrupted = tokio::signal::ctrl_c();
    let result = tokio::select! {
        watched = tokio::time::timeout(patience, watched) => match watched {
            Ok(Ok(())) => verdict::judge(&stage, &meetings).await,
            Ok(Err(message)) => Err(message),
            Err(_) => Err(format!("the meetings have not ended after {} s", patience.as_secs())),
        },
        _ = interrupted => Err("interrupted".to_owned()),
    };
    match &result {
        Ok(lines) => {
            println!();
            for line in lines {
                println!("  ok  {line}");
            }
        }
        Err(message) => eprintln!("\nplayground: {message}"),
    }
    if args.keep {
        println!("\nEverything is left running; Ctrl-C ends it.");
        // An error could only mean that no signal can be caught; then there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
    }
    stage.clear().await;
    result.map(|_| ())
}

/// Prints the table at every change, until every meeting is over.
async fn watch(stage: &Stage, meetings: &[String]) -> Result<(), String> {
    let (mut view, mut changes) = table::View::new(stage);
    while changes.next().await.is_some() {
        view.draw();
        if view.are_over(meetings) {
            return Ok(());
        }
    }
    Err("the watch ended".to_owned())
}
