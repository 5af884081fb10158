//! The library's face: start a simulator, look at it, make things happen to it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use crate::auth::Account;
use crate::config::Config;
use crate::dial::{EndpointScript, normal};
use crate::faults::{Action, ActiveFault, Fault, FaultId};
use crate::journal::JournalEntry;
use crate::people::{JoinError, Joined};
use crate::refusal::Refusal;
use crate::schema::Kind;
use crate::server::Port;
use crate::shared::{Shared, run_timers};
use crate::state::Cluster;
use crate::state::bridge::Alarm;
use crate::state::log::{Dial, DialOutcome};
use crate::state::record::{Fields, Record};
use crate::switches::Switches;
use crate::tls::Authority;
use crate::views::{self, CallView, LegView, SpaceView};
use crate::{check, control};

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be bound.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS settings do not fit.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A number of bridges outside 1 to 16.
    #[error("a cluster has 1 to 16 bridges, not {0}")]
    Bridges(usize),
}

/// Nothing happened in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing of the kind happened within {0:?}")]
pub struct TimedOut(pub Duration);

/// Counters of the bridges.
#[derive(Debug, Clone)]
pub struct Stats(Vec<(usize, usize, u64)>);

impl Stats {
    /// Requests in flight on a bridge now.
    pub fn in_flight(&self, bridge: usize) -> usize {
        self.0.get(bridge).map_or(0, |(now, _, _)| *now)
    }

    /// Most requests in flight on a bridge at one time.
    pub fn max_in_flight(&self, bridge: usize) -> usize {
        self.0.get(bridge).map_or(0, |(_, most, _)| *most)
    }

    /// Requests a bridge ever got.
    pub fn requests(&self, bridge: usize) -> u64 {
        self.0.get(bridge).map_or(0, |(_, _, total)| *total)
    }
}

/// A running cluster. It stops when this value is dropped. All else is on [`Handle`], to which it dereferences.
pub struct Simulator {
    handle: Handle,
    _stop: DropGuard,
}

impl Deref for Simulator {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Simulator {
    /// Starts all bridges, and the control API if a port for it is given.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !(1..=16).contains(&config.bridges) {
            return Err(StartError::Bridges(config.bridges));
        }
        let authority = Authority::new("CMS simulator CA")?;
        let stranger = Authority::new("Unknown CA")?;
        let names = config.certified();
        let mut ports = Vec::new();
        for bridge in 0..config.bridges {
            let port = config.ports.get(bridge).copied().unwrap_or(0);
            let (own, other) = (authority.server(bridge + 1, &names)?, stranger.server(bridge + 1, &names)?);
            ports.push(Port::bind(SocketAddr::from((config.listen, port)), own, other)?);
        }
        let addresses: Vec<String> = ports.iter().map(|port| config.address(port.address().port())).collect();
        let mut cluster = Cluster::new(&config);
        cluster.register_bridges(&addresses);
        let shared = Shared::new(cluster, ports, config.journal_limit);
        for bridge in 0..config.bridges {
            shared.spawn_server(bridge);
        }
        tokio::spawn(run_timers(shared.clone()));
        let stop = shared.shutdown.clone().drop_guard();
        let mut handle =
            Handle { shared, inner: Arc::new(Inner { ca: authority.pem().to_owned(), addresses }), control: None };
        if let Some(port) = config.control_port {
            handle.control = Some(control::start(handle.clone(), SocketAddr::from((config.listen, port))).await?);
        }
        Ok(Self { handle, _stop: stop })
    }

    /// A handle that can be cloned and moved about; it does not keep the simulator alive.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

struct Inner {
    ca: String,
    addresses: Vec<String>,
}

/// Access to a running simulator.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    inner: Arc<Inner>,
    control: Option<std::net::SocketAddr>,
}

impl Handle {
    /// `HOST:PORT` of a bridge, numbered from 0; empty for a number that does not exist.
    pub fn address(&self, bridge: usize) -> String {
        self.inner.addresses.get(bridge).cloned().unwrap_or_default()
    }

    /// Number of bridges.
    pub fn bridges(&self) -> usize {
        self.inner.addresses.len()
    }

    /// Certificate of the authority that signed every bridge's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.inner.ca
    }

    /// Address of the control API.
    pub fn control_address(&self) -> Option<std::net::SocketAddr> {
        self.control
    }

    pub fn username(&self) -> String {
        self.shared.lock().account.username.clone()
    }

    pub fn password(&self) -> String {
        self.shared.lock().account.password.clone()
    }

    /// Changes the password of the API account.
    pub fn set_password(&self, password: &str) {
        self.shared.act(None, &Action::SetPassword { password: password.to_owned() });
    }

    /// The same on one call bridge only: each has its own users.
    pub fn set_password_on(&self, bridge: usize, password: &str) {
        self.shared.change(|cluster| {
            let account = Account::new(&cluster.account.username, password);
            cluster.own_accounts.insert(bridge, account);
        });
    }

    /// Id of a bridge in /callBridges.
    pub fn call_bridge_id(&self, bridge: usize) -> String {
        self.shared.lock().bridges.get(bridge).map(|b| b.id.to_string()).unwrap_or_default()
    }

    /// A copy of the journal.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.shared.journal.with(<[JournalEntry]>::to_vec)
    }

    /// Looks at the journal without copying it.
    pub fn with_journal<R>(&self, look: impl FnOnce(&[JournalEntry]) -> R) -> R {
        self.shared.journal.with(look)
    }

    /// Forgets the journal; sequence numbers go on.
    pub fn clear_journal(&self) {
        self.shared.journal.clear();
    }

    /// Waits until the journal satisfies a condition; looks at every new and every completed entry.
    pub async fn await_journal(
        &self,
        mut condition: impl FnMut(&[JournalEntry]) -> bool,
        timeout: Duration,
    ) -> Result<(), TimedOut> {
        let changes = self.shared.journal.subscribe();
        wait(changes, timeout, || self.shared.journal.with(&mut condition)).await
    }

    /// Waits until the state satisfies a condition; looks after every change. Do not call `await_*` in it.
    pub async fn await_state(
        &self,
        mut condition: impl FnMut(&Self) -> bool,
        timeout: Duration,
    ) -> Result<(), TimedOut> {
        let changes = self.shared.subscribe();
        wait(changes, timeout, || condition(self)).await
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) -> FaultId {
        self.shared.faults.add(fault)
    }

    /// Removes one fault; false if there is none of this id.
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.shared.faults.remove(id)
    }

    /// Removes all faults. Requests that hang go on hanging.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// All faults with their counters.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.shared.faults.list()
    }

    /// A wait before every request on every bridge.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.set_latency(latency);
    }

    /// Restarts a bridge: connections cut, calls gone, uptime from zero. How clients reach it stays as it was.
    pub fn restart_bridge(&self, bridge: usize) {
        self.shared.act(Some(bridge), &Action::Restart);
    }

    /// Stops a bridge: its port refuses connections, its calls are gone.
    pub fn stop_bridge(&self, bridge: usize) {
        self.shared.act(Some(bridge), &Action::Stop);
    }

    /// Makes a bridge unreachable: its port refuses connections, its calls go on.
    pub fn cut_bridge(&self, bridge: usize) {
        self.shared.act(Some(bridge), &Action::Cut);
    }

    /// Makes a bridge fall silent for clients: connections stay open and new ones are taken, but nothing is read or
    /// said on them any more. A request that had no effect yet has none. The bridge's calls go on, peers see them.
    /// Without effect on a bridge that is stopped or cut.
    pub fn blackhole_bridge(&self, bridge: usize) {
        self.shared.act(Some(bridge), &Action::Blackhole);
    }

    /// Cuts the connections of a bridge and makes it show a certificate of an authority that nobody knows, with the
    /// same names; its calls go on. Without effect on a bridge that is stopped or cut.
    pub fn break_tls(&self, bridge: usize) {
        self.shared.act(Some(bridge), &Action::BreakTls);
    }

    /// Starts a stopped bridge, or ends a cut, a silence (its connections are reset) or a broken TLS, on the same port;
    /// false if the port is taken.
    pub fn start_bridge(&self, bridge: usize) -> bool {
        self.shared.start_bridge(bridge)
    }

    /// Takes the primary away from the database or gives it back.
    pub fn set_database_primary(&self, primary: bool) {
        self.shared.act(None, &Action::DatabasePrimary { primary });
    }

    /// Takes from one bridge its way to the database, or gives it back: on it everything is as without a primary, by
    /// the same switches; the other bridges see nothing of it.
    pub fn set_database_reachable(&self, bridge: usize, reachable: bool) {
        self.shared.act(Some(bridge), &Action::DatabaseReachable { reachable });
    }

    /// Moves `cdrTime` of a bridge by so many seconds against the true time.
    pub fn set_clock_skew(&self, bridge: usize, seconds: i64) {
        self.shared.act(Some(bridge), &Action::ClockSkew { seconds });
    }

    /// Adds an alarm to a bridge and returns its id.
    pub fn add_alarm(&self, bridge: usize, kind: &str, reason: Option<&str>) -> String {
        self.shared.change(|cluster| {
            let id = cluster.ids.guid();
            if let Some(b) = cluster.bridges.get_mut(bridge) {
                b.alarms.push(Alarm {
                    id: id.clone(),
                    kind: kind.to_owned(),
                    reason: reason.map(str::to_owned),
                    child: None,
                    since: tokio::time::Instant::now(),
                });
            }
            id.to_string()
        })
    }

    /// Removes all alarms of a bridge.
    pub fn clear_alarms(&self, bridge: usize) {
        self.shared.change(|cluster| {
            if let Some(b) = cluster.bridges.get_mut(bridge) {
                b.alarms.clear();
            }
        });
    }

    /// Says what an address does when it is dialled.
    pub fn script_endpoint(&self, address: &str, script: EndpointScript) {
        self.shared.change(|cluster| cluster.scripts.insert(normal(address), script));
    }

    /// Somebody dials a space (id, uri, address or call id) on a bridge; no passcode is asked for.
    pub fn join(&self, space: &str, name: &str, bridge: usize) -> Result<Joined, JoinError> {
        self.shared.change(|cluster| cluster.person_joins(space, name, bridge, None))
    }

    /// As [`Handle::join`], with a passcode that is checked.
    pub fn join_with_passcode(
        &self,
        space: &str,
        name: &str,
        bridge: usize,
        passcode: &str,
    ) -> Result<Joined, JoinError> {
        self.shared.change(|cluster| cluster.person_joins(space, name, bridge, Some(passcode)))
    }

    /// Somebody hangs up: by leg id, participant id, name or address. False if there is nobody.
    pub fn leave(&self, who: &str) -> bool {
        self.shared.change(|cluster| match cluster.find_person(who) {
            Some((bridge, leg)) => cluster.end_leg(bridge, &leg, "remoteTeardown", DialOutcome::Cancelled),
            None => false,
        })
    }

    /// Edits a space by hand (id, uri or call id); says whether that changed anything.
    pub fn edit_space(&self, space: &str, pairs: &[(&str, &str)]) -> Result<bool, Refusal> {
        self.shared.edit_space(space, owned(pairs))
    }

    /// Makes a foreign space; an empty uri or call id is left out.
    pub fn add_space(&self, name: &str, uri: &str, call_id: &str) -> Result<String, Refusal> {
        self.add_space_with(&[("name", name), ("uri", uri), ("callId", call_id)])
    }

    /// Makes a space with any attributes; `autoGenerated=true` makes it one of LDAP.
    pub fn add_space_with(&self, pairs: &[(&str, &str)]) -> Result<String, Refusal> {
        self.shared.add_space(owned(pairs))
    }

    /// Deletes a space by hand; false if there is none.
    pub fn delete_space(&self, space: &str) -> bool {
        self.shared.delete_space(space)
    }

    /// Ends all calls of a space by hand, on every bridge; returns how many there were.
    pub fn end_calls(&self, space: &str) -> usize {
        self.shared.end_calls(space)
    }

    /// Makes a user, as LDAP would; returns its id.
    pub fn add_user(&self, jid: &str, name: &str) -> String {
        self.shared.change(|cluster| {
            let id = cluster.ids.guid();
            let mut fields = Fields::default();
            fields.set("userJid", Some(jid.to_owned()));
            fields.set("name", Some(name.to_owned()));
            fields.set("email", Some(jid.to_owned()));
            cluster.db.insert(Kind::User, Record::new(id.clone(), None, fields));
            id.to_string()
        })
    }

    /// All spaces, oldest first.
    pub fn spaces(&self) -> Vec<SpaceView> {
        views::spaces(&self.shared.lock())
    }

    /// All live calls.
    pub fn calls(&self) -> Vec<CallView> {
        views::calls(&self.shared.lock())
    }

    /// All live legs.
    pub fn legs(&self) -> Vec<LegView> {
        views::legs(&self.shared.lock())
    }

    /// Every ring ever made.
    pub fn dials(&self) -> Vec<Dial> {
        self.shared.lock().log.dials.clone()
    }

    /// A copy of the switches.
    pub fn switches(&self) -> Switches {
        self.shared.lock().switches.clone()
    }

    /// Replaces the switches.
    pub fn set_switches(&self, switches: Switches) {
        self.shared.change(|cluster| cluster.switches = switches);
    }

    /// Changes some switches.
    pub fn update_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.change(|cluster| change(&mut cluster.switches));
    }

    /// Counters of all bridges.
    pub fn stats(&self) -> Stats {
        Stats((0..self.bridges()).map(|bridge| self.shared.load(bridge)).collect())
    }

    /// Most requests in flight on a bridge at one time.
    pub fn max_in_flight(&self, bridge: usize) -> usize {
        self.shared.load(bridge).1
    }

    /// What the checker judges.
    pub fn evidence(&self) -> check::Evidence {
        // The journal first: an entry may lack its effect in the logs, never the other way round.
        let journal = self.journal();
        let cluster = self.shared.lock();
        check::Evidence::new(journal, &cluster)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn wait(
    mut changes: watch::Receiver<u64>,
    timeout: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), TimedOut> {
    let waiting = async {
        loop {
            changes.borrow_and_update();
            if condition() {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::time::timeout(timeout, waiting).await.map_err(|_| TimedOut(timeout))
}
