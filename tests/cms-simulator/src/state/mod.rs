//! The state of a cluster behind one mutex: `database` is shared by all bridges, `bridge` belongs to one
//! (cms-protocol.md section 9).

pub mod bridge;
pub mod bulk;
pub mod calls;
pub mod capture;
pub mod database;
pub mod log;
pub mod names;
pub mod record;
pub mod spaces;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::auth::Account;
use crate::config::Config;
use crate::dial::EndpointScript;
use crate::ids::{Id, IdSource};
use crate::schema::{Kind, Version};
use crate::switches::Switches;
use crate::timers::Timers;
use bridge::{Alarm, Bridge, Vanished};
use database::Database;
use log::{Actor, Log};
use record::{Fields, Record, Table};

/// A token of POST /authTokens.
#[derive(Debug)]
pub struct Token {
    /// The bridge that gave it.
    pub bridge: usize,
    /// When it stops to be valid.
    pub until: Instant,
}

/// The whole state.
#[derive(Debug)]
pub struct Cluster {
    pub software_version: String,
    pub version: Version,
    pub clustered: bool,
    /// `clusterId` of system/status (3.0).
    pub cluster_id: Id,
    /// Host names of the database nodes.
    pub database_nodes: Vec<String>,
    pub switches: Switches,
    pub ids: IdSource,
    pub db: Database,
    pub bridges: Vec<Bridge>,
    /// Whom peers of a lost bridge may still list.
    pub vanished: Vec<Vanished>,
    pub timers: Timers,
    pub log: Log,
    /// Scripts by normalised address.
    pub scripts: HashMap<String, EndpointScript>,
    pub account: Account,
    /// Call bridges whose account has a password of its own.
    pub own_accounts: HashMap<usize, Account>,
    pub tokens: HashMap<String, Token>,
    /// Outcome forced upon the next syncs by a fault.
    pub forced_syncs: HashMap<Id, String>,
    /// Successful writes so far, for `lose_reply_every`.
    pub writes: u32,
    /// Seed of the arbitrary list order.
    pub shuffle_seed: u64,
}

impl Cluster {
    /// The state right after the start of all bridges.
    pub fn new(config: &Config) -> Self {
        let mut ids = IdSource::new(config.seed);
        let cluster_id = ids.guid();
        let mut bridges = Vec::new();
        for number in 1..=config.bridges {
            let mut bridge = Bridge::new(ids.guid(), ids.guid(), config.uptime_seconds);
            bridge.legs_max = config.call_legs_max_active;
            bridge.legs_completed = config.call_legs_completed;
            for (field, value) in [
                ("uniqueName", bridge_name(number)),
                ("newConferenceLoadLimitBasisPoints", "5000".to_owned()),
                ("existingConferenceLoadLimitBasisPoints", "8000".to_owned()),
                ("maxPeerVideoStreams", "4".to_owned()),
            ] {
                bridge.configuration.set(field, Some(value));
            }
            bridges.push(bridge);
        }
        Self {
            software_version: config.software_version.clone(),
            version: config.version(),
            clustered: config.is_clustered(),
            cluster_id,
            database_nodes: (1..=config.database_nodes.max(1)).map(|n| format!("db-{n}.cms.test")).collect(),
            switches: config.switches.clone(),
            ids,
            db: Database::default(),
            bridges,
            vanished: Vec::new(),
            timers: Timers::default(),
            log: Log::default(),
            scripts: HashMap::new(),
            account: Account::new(&config.username, &config.password),
            own_accounts: HashMap::new(),
            tokens: HashMap::new(),
            forced_syncs: HashMap::new(),
            writes: 0,
            shuffle_seed: config.seed,
        }
    }

    /// Fills /callBridges once the ports are known (4.3: it lists every clustered bridge including the one asked).
    pub fn register_bridges(&mut self, addresses: &[String]) {
        if !self.clustered {
            return;
        }
        for (position, (bridge, address)) in self.bridges.iter().zip(addresses).enumerate() {
            let mut fields = Fields::default();
            fields.set("name", Some(bridge_name(position + 1)));
            fields.set("address", Some(format!("https://{address}")));
            self.db.insert(Kind::CallBridge, Record::new(bridge.id.clone(), None, fields));
        }
    }

    /// The table of a kind as a bridge has it.
    pub fn table(&self, kind: Kind, bridge: usize) -> &Table<Record> {
        match (kind, self.bridges.get(bridge)) {
            (Kind::CdrReceiver, Some(b)) => &b.cdr_receivers,
            _ => self.db.table(kind),
        }
    }

    /// A record of a kind as a bridge has it, to change it.
    pub fn record_mut(&mut self, kind: Kind, bridge: usize, id: &str) -> Option<&mut Record> {
        if kind == Kind::CdrReceiver {
            return self.bridges.get_mut(bridge).and_then(|b| b.cdr_receivers.get_mut(id));
        }
        self.db.get_mut(kind, id)
    }

    /// Until when other bridges do not see a write made now; none if they see it at once.
    pub fn late_until(&self, actor: Actor) -> Option<(usize, Instant)> {
        match actor {
            Actor::Api(bridge) if self.switches.propagation_ms > 0 => {
                Some((bridge, Instant::now() + Duration::from_millis(self.switches.propagation_ms)))
            }
            _ => None,
        }
    }

    /// Marks a record as freshly written by an actor.
    pub fn mark_written(&mut self, kind: Kind, id: &str, actor: Actor, before: Option<Fields>) {
        if let Some((writer, until)) = self.late_until(actor) {
            self.db.mark_stale(kind, id, writer, until, before);
        }
    }

    /// The number of a call bridge from its id.
    pub fn bridge_of_id(&self, id: &str) -> Option<usize> {
        self.bridges.iter().position(|bridge| &*bridge.id == id)
    }

    /// The name of a bridge in /callBridges, or the one it had at the start.
    pub fn name_of_bridge(&self, bridge: usize) -> String {
        let id = self.bridges.get(bridge).map(|b| b.id.clone());
        self.db.value(Kind::CallBridge, id.as_deref(), "name").map_or_else(|| bridge_name(bridge + 1), str::to_owned)
    }

    /// The process of a bridge ends: its calls vanish and never come back (7.1); peers raise an alarm (section 9).
    pub fn bridge_stops(&mut self, bridge: usize) {
        self.remember_people(bridge);
        let calls: Vec<Id> =
            self.bridges.get(bridge).map(|b| b.calls.iter().map(|c| c.id.clone()).collect()).unwrap_or_default();
        for call in calls {
            self.end_call(bridge, &call, "bridgeLost");
        }
        if let Some(b) = self.bridges.get_mut(bridge) {
            b.running = false;
        }
        self.raise_peer_alarms(bridge);
    }

    /// Keeps a copy of everybody on a bridge for as long as its peers will not notice its end.
    fn remember_people(&mut self, host: usize) {
        let now = Instant::now();
        let until = now + Duration::from_millis(self.switches.peer_loss_delay_ms);
        self.vanished.retain(|gone| now < gone.until);
        let Some(b) = self.bridges.get(host).filter(|_| now < until) else { return };
        self.vanished.extend(b.people().filter_map(|leg| {
            let call = b.calls.get(&leg.call)?;
            let (correlator, space) = (call.correlator.clone(), call.space.clone());
            Some(Vanished { leg: leg.clone(), host, correlator, space, until })
        }));
    }

    /// Those whom a bridge goes on listing though their bridge is gone.
    pub fn vanished_for(&self, bridge: usize) -> impl Iterator<Item = &Vanished> {
        let now = Instant::now();
        self.vanished.iter().filter(move |gone| gone.host != bridge && now < gone.until)
    }

    /// The process of a bridge starts anew: counters and uptime back to zero.
    pub fn bridge_starts(&mut self, bridge: usize) {
        if let Some(b) = self.bridges.get_mut(bridge) {
            b.running = true;
            b.started = Instant::now();
            b.uptime_base = 0;
            b.legs_max = 0;
            b.legs_completed = 0;
            b.alarms.clear();
        }
        self.refresh_database_alarm(bridge);
        self.account.unlock();
        self.own_accounts.values_mut().for_each(Account::unlock);
        self.clear_peer_alarms(bridge);
    }

    /// Alarms of all peers about one bridge.
    fn raise_peer_alarms(&mut self, lost: usize) {
        let Some(lost_id) = self.bridges.get(lost).map(|b| b.id.to_string()) else { return };
        for (position, bridge) in self.bridges.iter_mut().enumerate() {
            let known = bridge.alarms.iter().any(|a| a.child.as_ref().is_some_and(|(_, id)| *id == lost_id));
            if position != lost && bridge.running && !known {
                bridge.alarms.push(Alarm {
                    id: self.ids.guid(),
                    kind: "callBridgeConnectionFailure".to_owned(),
                    reason: Some("connectFailure".to_owned()),
                    child: Some(("callBridge", lost_id.clone())),
                    since: Instant::now(),
                });
            }
        }
    }

    fn clear_peer_alarms(&mut self, back: usize) {
        let Some(id) = self.bridges.get(back).map(|b| b.id.to_string()) else { return };
        for bridge in &mut self.bridges {
            bridge.alarms.retain(|a| a.child.as_ref().is_none_or(|(_, other)| *other != id));
        }
    }

    /// Why a bridge cannot use the database, as a reason of 4.2; none if it can.
    pub fn database_loss(&self, bridge: usize) -> Option<&'static str> {
        if !self.db.primary {
            return Some("destinationReadOnly");
        }
        self.bridges.get(bridge).is_some_and(|b| !b.database).then_some("connectFailure")
    }

    /// The database loses or regains its primary, for all bridges.
    pub fn set_database_primary(&mut self, primary: bool) {
        self.db.primary = primary;
        for bridge in 0..self.bridges.len() {
            self.refresh_database_alarm(bridge);
        }
    }

    /// One bridge loses or regains its way to the database.
    pub fn set_database_reachable(&mut self, bridge: usize, reachable: bool) {
        if let Some(b) = self.bridges.get_mut(bridge) {
            b.database = reachable;
        }
        self.refresh_database_alarm(bridge);
    }

    /// A bridge shows an alarm while it cannot use the database (4.2).
    fn refresh_database_alarm(&mut self, bridge: usize) {
        let loss = self.database_loss(bridge);
        let Some(b) = self.bridges.get_mut(bridge) else { return };
        b.alarms.retain(|a| a.kind != "databaseConnectionError");
        if let Some(reason) = loss {
            b.alarms.push(Alarm {
                id: self.ids.guid(),
                kind: "databaseConnectionError".to_owned(),
                reason: Some(reason.to_owned()),
                child: None,
                since: Instant::now(),
            });
        }
    }
}

/// The name of a bridge at the start, as in the guide.
fn bridge_name(number: usize) -> String {
    format!("CallBridge-Core{number}")
}

/// The time now, for logs.
pub fn wall() -> Timestamp {
    Timestamp::now()
}
