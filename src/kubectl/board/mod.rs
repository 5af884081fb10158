//! `board`: a web page on this machine, for its user alone, that follows bridges and meetings.
//!
//! `feed.rs` watches, `../show/board.rs` says what is shown (PURE), `serve.rs` hands it to a browser.

mod feed;
mod serve;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::args::{BoardArgs, Cli};
use super::commands::zone;
use super::print;
use super::reach::{Reach, Trouble};
use super::show::board::{Board, Sight};
use crate::api::{MeetingBridge, ScheduledMeeting};
use feed::{Feed, News, Of, follow};

/// The page is told at least this often: its line of the present moves, and silence means that we are gone.
const TELL_EVERY: Duration = Duration::from_secs(20);
/// What happens within this time is told at once.
const GATHER: Duration = Duration::from_millis(150);
const MOST_AT_ONCE: usize = 1000;

/// Shows the page until Ctrl-C.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn run(cli: &Cli, args: &BoardArgs) -> Result<(), Trouble> {
    let zone = zone(&args.zone)?;
    let reach = Arc::new(Reach::lasting(&cli.access).await?);
    let listener = listen(args.port).await?;
    let address = listener.local_addr().map_err(|error| no_port(args.port, &error))?;
    // Whoever knows it sees what this user sees: 122 bits, and a new one at each start.
    let token = uuid::Uuid::new_v4().simple().to_string();
    let url = format!("http://{address}/{token}/");

    let (tell, heard) = mpsc::channel(MOST_AT_ONCE);
    tokio::spawn(follow::<MeetingBridge>(Arc::clone(&reach), Of::Bridges, (args.all_namespaces, false), tell.clone()));
    // A bridge may have meetings of every namespace; who may not see those sees their own.
    tokio::spawn(follow::<ScheduledMeeting>(Arc::clone(&reach), Of::Meetings, (true, !args.all_namespaces), tell));
    let namespace = (!args.all_namespaces).then(|| reach.namespace.clone());
    let world = World { bridges: Feed::default(), meetings: Feed::default(), namespace, zone };
    let (show, shown) = watch::channel(world.shown(Timestamp::now()));

    print::answer(&cli.access, &json!({ "url": url }), |_| format!("{url}\n"))?;
    print::note("Whoever has this address sees what you may see. Ctrl-C ends it.");
    if args.open {
        open(&url);
    }
    tokio::select! {
        served = axum::serve(listener, serve::router(&token, address, shown)).into_future() => served
            .map_err(|error| Trouble::new("the page", error.to_string(), "start it anew")),
        () = keep(world, heard, show) => Ok(()),
        // If no signal can be caught, the signal ends the process.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// On the loopback address, where nobody else's machine reaches it.
async fn listen(port: u16) -> Result<TcpListener, Trouble> {
    let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    TcpListener::bind(&addresses[..]).await.map_err(|error| no_port(port, &error))
}

fn no_port(port: u16, error: &std::io::Error) -> Trouble {
    Trouble::new(format!("--port {port}"), error.to_string(), "name another one, or none: any that is free is taken")
}

fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        print::note(&format!("note: {program} cannot be started ({error}); open the address yourself"));
    }
}

/// What is known.
struct World {
    bridges: Feed<MeetingBridge>,
    meetings: Feed<ScheduledMeeting>,
    namespace: Option<String>,
    zone: TimeZone,
}

impl World {
    fn absorb(&mut self, of: Of, news: News, now: Timestamp) {
        match of {
            Of::Bridges => self.bridges.absorb(news, now),
            Of::Meetings => self.meetings.absorb(news, now),
        }
    }

    /// The page as it is at this moment, as JSON.
    fn shown(&self, now: Timestamp) -> Arc<str> {
        let (bridges, meetings) = (self.bridges.objects(), self.meetings.objects());
        let sight = Sight { bridges: &bridges, meetings: &meetings, namespace: self.namespace.as_deref() };
        let notes = [self.bridges.notes(&self.zone), self.meetings.notes(&self.zone)].concat();
        // It has nothing that JSON does not have.
        serde_json::to_string(&Board::of(sight, notes, now, &self.zone)).unwrap_or_default().into()
    }
}

async fn keep(mut world: World, mut heard: mpsc::Receiver<(Of, News)>, show: watch::Sender<Arc<str>>) {
    let mut clock = tokio::time::interval(TELL_EVERY);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            _ = heard.recv_many(&mut batch, MOST_AT_ONCE) => {}
            _ = clock.tick() => {}
        }
        let now = Timestamp::now();
        for (of, news) in batch.drain(..) {
            world.absorb(of, news, now);
        }
        show.send_replace(world.shown(now));
        tokio::time::sleep(GATHER).await;
    }
}
