//! What a bridge and its meetings cost while nothing happens (requirements.md section 3).

use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use meeting_controller::api::meeting::Phase;
use meeting_controller::testing::settings;
use serde_json::json;

use crate::report::machine;
use crate::world::World;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Minutes to look at, for an idle bridge and again with live meetings.
    #[arg(long, default_value_t = 3)]
    minutes: u64,
    /// Live meetings.
    #[arg(long, default_value_t = 5)]
    live: usize,
}

pub async fn run(options: &Options) -> Result<(), String> {
    println!("{}\n", machine());
    let world = World::start(settings()).await?;
    let core = world.bridge(20).await?;
    core.sim.set_latency(Duration::from_millis(20));
    let window = Duration::from_secs(60 * options.minutes);
    let minutes = options.minutes as f64;
    core.sim.clear_journal();
    tokio::time::sleep(window).await;
    let idle = core.sim.journal();
    let writes = idle.iter().filter(|entry| entry.method != "GET").count();
    println!(
        "idle bridge:           {:>6.2} reads/min (bar 2, and a list of the slots every 3 minutes), {writes} writes",
        idle.len() as f64 / minutes
    );

    let start = Timestamp::now().checked_add(SignedDuration::from_secs(12)).map_err(|error| error.to_string())?;
    world
        .create_meetings("m", options.live, |index| {
            json!({
                "title": format!("Meeting {index}"), "bridgeRef": { "name": "core" }, "start": start.to_string(),
                "duration": "4h", "participants": [{ "remoteParty": format!("room-{index}@rooms.test") }]
            })
        })
        .await?;
    world.until_phase(Phase::Active, options.live, Duration::from_secs(60)).await?;
    // The first looks after dialling belong to the start.
    tokio::time::sleep(Duration::from_secs(30)).await;
    core.sim.clear_journal();
    let before = world.metrics.text();
    tokio::time::sleep(window).await;
    let live = core.sim.journal();
    let writes = live.iter().filter(|entry| entry.method != "GET").count();
    println!(
        "{:>3} live meetings:      {:>6.2} requests/min (bar 8 per bridge), {writes} writes",
        options.live,
        live.len() as f64 / minutes
    );
    let status_writes = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("meeting_controller_status_writes_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let writes = status_writes(&world.metrics.text()) - status_writes(&before);
    println!("status writes meanwhile: {writes}");
    world.stop().await
}
