//! What all tasks of a simulator share, and the one task that serves all timers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::faults::{Action, Faults};
use crate::journal::{EntryKind, Journal, JournalEntry};
use crate::refusal::Refusal;
use crate::routes::params::{Phase, take};
use crate::schema::Kind;
use crate::server::{self, Port};
use crate::state::Cluster;
use crate::state::log::{Actor, DialOutcome};
use crate::timers::Event;
use crate::wire::form::Pairs;

/// Counters of one bridge.
#[derive(Debug, Default)]
pub struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicU64,
}

/// Everything behind a simulator.
pub struct Shared {
    cluster: Mutex<Cluster>,
    /// See the modules of these names.
    pub journal: Journal,
    pub faults: Faults,
    ports: Vec<Port>,
    load: Vec<Load>,
    latency_ns: AtomicU64,
    timer_wake: Notify,
    changed: watch::Sender<u64>,
    /// Cancelled when the simulator is dropped.
    pub shutdown: CancellationToken,
    runtime: runtime::Handle,
}

impl Shared {
    /// Puts the parts together; call inside a runtime.
    pub fn new(cluster: Cluster, ports: Vec<Port>, journal_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            cluster: Mutex::new(cluster),
            journal: Journal::new(journal_limit),
            faults: Faults::default(),
            load: ports.iter().map(|_| Load::default()).collect(),
            ports,
            latency_ns: AtomicU64::new(0),
            timer_wake: Notify::new(),
            changed: watch::Sender::new(0),
            shutdown: CancellationToken::new(),
            runtime: runtime::Handle::current(),
        })
    }

    /// The state; hold it briefly.
    pub fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for changes.
    pub fn change<R>(&self, change: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut cluster = self.lock();
        let result = change(&mut cluster);
        self.after_change(&mut cluster);
        result
    }

    /// To be called after every change, still under the lock.
    pub fn after_change(&self, cluster: &mut Cluster) {
        if std::mem::take(&mut cluster.timers.dirty) {
            self.timer_wake.notify_one();
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// Woken at every change of the state.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The port of a bridge.
    pub fn port(&self, bridge: usize) -> Option<&Port> {
        self.ports.get(bridge)
    }

    /// Counts a request in and returns how many are in flight, this one included.
    pub fn enter(&self, bridge: usize) -> usize {
        let Some(load) = self.load.get(bridge) else { return 0 };
        load.total.fetch_add(1, Ordering::Relaxed);
        let now = load.now.fetch_add(1, Ordering::Relaxed) + 1;
        load.most.fetch_max(now, Ordering::Relaxed);
        now
    }

    /// Counts a request out.
    pub fn leave(&self, bridge: usize) {
        if let Some(load) = self.load.get(bridge) {
            load.now.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// In flight now, most in flight ever, requests ever.
    pub fn load(&self, bridge: usize) -> (usize, usize, u64) {
        self.load.get(bridge).map_or((0, 0, 0), |load| {
            let get = |n: &AtomicUsize| n.load(Ordering::Relaxed);
            (get(&load.now), get(&load.most), load.total.load(Ordering::Relaxed))
        })
    }

    /// The wait before every request.
    pub fn latency(&self) -> Duration {
        Duration::from_nanos(self.latency_ns.load(Ordering::Relaxed))
    }

    /// Sets the wait before every request.
    pub fn set_latency(&self, latency: Duration) {
        self.latency_ns.store(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Starts the accept loop of a bridge.
    pub fn spawn_server(self: &Arc<Self>, bridge: usize) {
        self.runtime.spawn(server::serve(self.clone(), bridge));
    }

    /// Opens the port of a bridge again, or puts it right; false if that failed.
    fn reopen(self: &Arc<Self>, bridge: usize) -> bool {
        let _runtime = self.runtime.enter();
        match self.port(bridge).map(Port::reopen) {
            Some(Ok(true)) => {
                self.spawn_server(bridge);
                true
            }
            Some(Ok(false)) => true,
            Some(Err(error)) => {
                tracing::error!(bridge, %error, "cannot open the port again");
                false
            }
            None => false,
        }
    }

    /// The bridge process starts (after a stop), or clients reach it again as they should (after all other losses).
    pub fn start_bridge(self: &Arc<Self>, bridge: usize) -> bool {
        self.change(|cluster| {
            let running = cluster.bridges.get(bridge).is_some_and(|b| b.running);
            if !running {
                cluster.bridge_starts(bridge);
            }
        });
        self.reopen(bridge)
    }

    /// Makes something happen. The port is touched under the state's lock, so that no request in flight can take
    /// effect afterwards.
    pub fn act(self: &Arc<Self>, bridge: Option<usize>, action: &Action) {
        let own = bridge.unwrap_or(0);
        match action {
            Action::Restart => self.change(|cluster| {
                if let Some(port) = self.port(own) {
                    port.cut_connections();
                }
                cluster.bridge_stops(own);
                cluster.bridge_starts(own);
            }),
            Action::Stop => self.change(|cluster| {
                if let Some(port) = self.port(own) {
                    port.close();
                }
                cluster.bridge_stops(own);
            }),
            Action::Cut => self.touch(own, Port::close),
            Action::Blackhole => self.touch(own, Port::hush),
            Action::BreakTls => self.touch(own, Port::estrange),
            Action::Start => {
                self.start_bridge(own);
            }
            Action::On { bridge, action } => self.act(Some(*bridge), action),
            Action::DatabasePrimary { primary } => self.change(|cluster| cluster.set_database_primary(*primary)),
            Action::DatabaseReachable { reachable } => {
                self.change(|cluster| cluster.set_database_reachable(own, *reachable));
            }
            Action::ClockSkew { seconds } => self.change(|cluster| {
                if let Some(b) = cluster.bridges.get_mut(own) {
                    b.clock_skew = *seconds;
                }
            }),
            Action::EditSpace { space, pairs } => {
                if let Err(refusal) = self.edit_space(space, pairs.clone()) {
                    tracing::warn!(?refusal, space, "hand edit refused");
                }
            }
            Action::DeleteSpace { space } => {
                self.delete_space(space);
            }
            Action::EndCalls { space } => {
                self.end_calls(space);
            }
            Action::SetPassword { password } => self.change(|cluster| cluster.account.set_password(password)),
        }
    }

    /// Changes how clients meet a bridge whose process does not notice.
    fn touch(&self, bridge: usize, change: fn(&Port)) {
        self.change(|_| {
            if let Some(port) = self.port(bridge) {
                change(port);
            }
        });
    }

    /// A hand edit of a space, journalled as such. `autoGenerated` can be set here, as LDAP would.
    pub fn edit_space(&self, space: &str, pairs: Vec<(String, String)>) -> Result<bool, Refusal> {
        let pairs = Pairs(pairs);
        let result = self.change(|cluster| {
            let missing = Refusal::Missing(Kind::CoSpace.spec().missing);
            let (id, _) = cluster.db.find_space(space).ok_or(missing)?;
            let changes = take(cluster, &[Kind::CoSpace.spec().fields], &pairs, Phase::Modify)?;
            cluster.modify_space(Actor::Hand, &id, &changes).map(|changed| (id, changed))
        });
        let (id, changed) = result?;
        self.journal_hand("PUT", &id, &pairs, changed);
        Ok(changed)
    }

    /// A space made by hand: a foreign one, as far as a scheduler is concerned.
    pub fn add_space(&self, pairs: Vec<(String, String)>) -> Result<String, Refusal> {
        let pairs = Pairs(pairs);
        let id = self.change(|cluster| {
            let changes = take(cluster, &[Kind::CoSpace.spec().fields], &pairs, Phase::Create)?;
            let id = cluster.create_space(Actor::Hand, &changes, None)?;
            let generated = pairs.get("autoGenerated").is_some_and(|v| v.eq_ignore_ascii_case("true"));
            if let Some(record) = cluster.db.get_mut(Kind::CoSpace, &id).filter(|_| generated) {
                record.fields.set("autoGenerated", Some("true".to_owned()));
            }
            Ok::<_, Refusal>(id)
        })?;
        self.journal_hand("POST", &id, &pairs, true);
        Ok(id.to_string())
    }

    /// A space deleted by hand.
    pub fn delete_space(&self, space: &str) -> bool {
        let deleted = self.change(|cluster| {
            let (id, _) = cluster.db.find_space(space)?;
            cluster.delete_space(Actor::Hand, &id).then_some(id)
        });
        match deleted {
            Some(id) => {
                self.journal_hand("DELETE", &id, &Pairs::default(), true);
                true
            }
            None => false,
        }
    }

    /// All calls of a space ended by hand, on every bridge.
    pub fn end_calls(&self, space: &str) -> usize {
        self.change(|cluster| {
            let Some((id, _)) = cluster.db.find_space(space) else { return 0 };
            let mut ended = 0;
            for bridge in 0..cluster.bridges.len() {
                let calls = cluster.bridges.get(bridge).and_then(|b| b.calls_of_space.get(&id)).cloned();
                for call in calls.unwrap_or_default() {
                    ended += usize::from(cluster.end_call(bridge, &call, "callEnded"));
                }
            }
            ended
        })
    }

    fn journal_hand(&self, method: &str, id: &str, pairs: &Pairs, effect: bool) {
        let now = Timestamp::now();
        self.journal.add(JournalEntry {
            seq: 0,
            kind: EntryKind::Hand,
            bridge: 0,
            at: now,
            finished: Some(now),
            method: method.to_owned(),
            path: format!("/api/v1/coSpaces/{id}"),
            query: String::new(),
            route: "coSpaces/{id}".to_owned(),
            body: pairs.masked(),
            body_size: 0,
            status: None,
            reply_size: 0,
            failure: None,
            effect,
            in_flight: 0,
            object_id: Some(id.to_owned()),
            space: Some(id.to_owned()),
            space_number: None,
            fault: None,
            remark: None,
        });
    }
}

/// Serves all timers until the simulator is dropped.
pub async fn run_timers(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut cluster = shared.lock();
            let mut any = false;
            while let Some(event) = cluster.timers.pop_due(Instant::now()) {
                any = true;
                happen(&mut cluster, event);
            }
            cluster.timers.dirty = false;
            if any {
                shared.after_change(&mut cluster);
            }
            cluster.timers.next()
        };
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = shared.timer_wake.notified() => {}
            () = sleep => {}
        }
    }
}

fn happen(cluster: &mut Cluster, event: Event) {
    match event {
        Event::Ring(bridge, leg) => cluster.leg_rings(bridge, &leg),
        Event::Answer(bridge, leg) => cluster.leg_answers(bridge, &leg),
        Event::Fail(bridge, leg, failure) => cluster.fail_leg(bridge, &leg, failure),
        Event::HangUp(bridge, leg) => {
            cluster.end_leg(bridge, &leg, "remoteTeardown", DialOutcome::Cancelled);
        }
        Event::TooLong(bridge, leg) => {
            cluster.end_leg(bridge, &leg, "timeout", DialOutcome::Cancelled);
        }
        Event::SyncRuns(sync) => cluster.sync_runs(&sync),
        Event::SyncEnds(sync) => cluster.sync_ends(&sync),
    }
}
