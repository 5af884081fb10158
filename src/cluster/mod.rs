//! The live CMS cluster behind one MeetingBridge: its call bridges, which of them gets the requests, and what the last
//! looks showed. One per MeetingBridge, shared by the bridge's own reconcile and those of all its meetings.
//!
//! What the cluster's database holds (spaces, profiles) is the same on every call bridge and is kept here; what is local
//! to one of them (calls, legs) is kept with it (`call_bridge.rs`).

pub mod call_bridge;
pub mod read;
pub mod shared_read;
pub mod sweep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use self::call_bridge::CallBridge;
use crate::api::bridge::{CallBridgeRole, ClusterStatus};
use crate::cms::{Address, CallId, Class, Client, CmsError, Priority, SpaceId, SystemStatus};
use crate::plan::bridge;
use crate::plan::failover::{self, Health, Move, Policy, Roster, Sign};
use crate::plan::meeting::{PlacedCall, Seen, Stray, World};
use crate::plan::participants::{Elsewhere, SeenLegs};

/// Namespace and name of a MeetingBridge.
pub type BridgeKey = (String, String);

/// What the last looks showed. All of it can be looked up again.
#[derive(Default)]
pub struct Memory {
    /// The bridge as the bridge plan sees it; its calls are kept with the call bridges.
    pub world: bridge::World,
    /// The cluster as last read by this process. The status may not have it yet: its write may have met a conflict.
    pub cluster: Option<ClusterStatus>,
    /// When a space was last looked at by itself.
    pub looked: BTreeMap<SpaceId, Timestamp>,
    /// When we last wrote to a space or to its call: older facts do not count.
    pub touched: BTreeMap<SpaceId, Timestamp>,
    /// People of a meeting on call bridges that were lost, as the others still list them: when the look began, and they.
    pub elsewhere: BTreeMap<SpaceId, (Timestamp, Elsewhere)>,
    /// Pages that the last list of spaces needed, for choosing between lists and single looks.
    pub space_pages: u32,
    /// Whether the active call bridge did what it was asked last time, and if not, why.
    pub health: Option<Result<(), CmsError>>,
    /// The database takes no writes; asked again until it does.
    pub database_lost: bool,
    /// When writes were last possible again. What is overdue is shut before anything is opened.
    pub writable_since: Option<Timestamp>,
    /// When what is due next.
    pub schedule: Schedule,
    /// What the last sweep showed of each live meeting, so that only changes wake it.
    pub digests: BTreeMap<SpaceId, u64>,
    /// When somebody was last dialled there. The first sweep begun after that wakes the meeting even if it shows nothing
    /// new: the leg may have come and gone between two sweeps.
    pub dialled: BTreeMap<SpaceId, Timestamp>,
}

/// When what is due next on a bridge.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    pub sweep: Option<Timestamp>,
    /// A sweep out of turn that a meeting asked for: somebody was dialled.
    pub asked: Option<Timestamp>,
    pub read: Option<Timestamp>,
    pub retry: Option<Timestamp>,
    /// When the running sync is asked about, or the failed one tried again.
    pub sync: Option<Timestamp>,
    /// Sweeps and idle reads so far; single looks go round by it.
    pub turn: u64,
    /// The annotation that asked for a full look and was served.
    pub served: Option<String>,
}

/// Something about the call bridges that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A call bridge was given up.
    Lost(Address, CmsError),
    /// A call bridge is good again.
    Recovered(Address),
    /// The active call bridge changed.
    Moved(Move),
}

struct Lineup {
    call_bridges: Vec<Arc<CallBridge>>,
    active: Arc<CallBridge>,
    roster: Roster,
    policy: Policy,
    news: Vec<News>,
}

impl Lineup {
    fn find(&self, address: &Address) -> Option<&Arc<CallBridge>> {
        self.call_bridges.iter().find(|call_bridge| call_bridge.address() == address)
    }

    fn is_active_well(&self) -> bool {
        self.roster.get(self.roster.active()).is_some_and(|known| known.health.error().is_none())
    }

    fn down(&self) -> Vec<Address> {
        self.roster.iter().filter(|known| known.health.is_down()).map(|known| known.address.clone()).collect()
    }
}

/// The cluster to one bridge.
pub struct Cluster {
    pub key: BridgeKey,
    lineup: Mutex<Lineup>,
    memory: Mutex<Memory>,
}

impl Cluster {
    /// A new cluster to the primary alone; nothing is sent.
    pub fn new(key: BridgeKey, primary: Arc<CallBridge>) -> Self {
        let roster = Roster::new(primary.address().clone());
        let policy = Policy { threshold: 1, failback: None };
        let lineup =
            Lineup { call_bridges: vec![Arc::clone(&primary)], active: primary, roster, policy, news: Vec::new() };
        Self { key, lineup: Mutex::new(lineup), memory: Mutex::default() }
    }

    fn lineup(&self) -> MutexGuard<'_, Lineup> {
        self.lineup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses these call bridges from now on, in this order, the primary first. What is known of those that stay is kept.
    pub fn arrange(
        &self,
        call_bridges: Vec<(Arc<CallBridge>, CallBridgeRole)>,
        policy: Policy,
        recorded: Option<&Address>,
    ) {
        let mut lineup = self.lineup();
        lineup.policy = policy;
        let same = lineup.call_bridges.len() == call_bridges.len()
            && lineup.call_bridges.iter().zip(&call_bridges).all(|(old, (new, _))| Arc::ptr_eq(old, new));
        if same {
            return;
        }
        let wanted =
            call_bridges.iter().map(|(call_bridge, role)| (call_bridge.address().clone(), *role, true)).collect();
        lineup.roster.arrange(wanted, recorded);
        for (call_bridge, _) in call_bridges.iter().filter(|_| call_bridges.len() > 1) {
            if lineup.find(call_bridge.address()).is_none() {
                call_bridge.local().inspect = true;
            }
        }
        lineup.call_bridges = call_bridges.into_iter().map(|(call_bridge, _)| call_bridge).collect();
        if let Some(active) = lineup.find(lineup.roster.active()).cloned() {
            lineup.active = active;
        }
    }

    /// The call bridge that gets the requests.
    pub fn active(&self) -> Arc<CallBridge> {
        Arc::clone(&self.lineup().active)
    }

    /// The client of the active call bridge.
    pub fn client(&self) -> Client {
        self.active().client()
    }

    /// One call bridge, if it still is one.
    pub fn call_bridge(&self, address: &Address) -> Option<Arc<CallBridge>> {
        self.lineup().find(address).cloned()
    }

    /// Every call bridge, the primary first.
    pub fn call_bridges(&self) -> Vec<Arc<CallBridge>> {
        self.lineup().call_bridges.clone()
    }

    /// The call bridges that may be asked: the active one, and other members that are not given up.
    pub fn usable(&self) -> Vec<Arc<CallBridge>> {
        let lineup = self.lineup();
        let is_active = |known: &failover::Candidate| known.address == *lineup.roster.active();
        let usable =
            lineup.roster.iter().filter(|known| is_active(known) || (known.eligible && !known.health.is_down()));
        usable.filter_map(|known| lineup.find(&known.address).cloned()).collect()
    }

    /// Is this call bridge lost: given up, while another one does its work?
    pub fn is_lost(&self, address: &Address) -> bool {
        let lineup = self.lineup();
        let down = lineup.roster.get(address).is_some_and(|known| known.health.is_down() || !known.eligible);
        down && lineup.roster.active() != address
    }

    /// What is known of the call bridges.
    pub fn roster(&self) -> Roster {
        self.lineup().roster.clone()
    }

    /// What is known of one call bridge's health.
    pub fn health(&self, address: &Address) -> Health {
        self.lineup().roster.get(address).map(|known| known.health.clone()).unwrap_or_default()
    }

    /// Does the bridge say that it is one of a cluster?
    pub fn is_clustered(&self) -> bool {
        self.active().local().system.as_ref().is_some_and(|(_, system)| system.cluster_enabled == Some(true))
    }

    /// When an earlier call bridge will have been good for long enough.
    pub fn failback_at(&self) -> Option<Timestamp> {
        let lineup = self.lineup();
        lineup.roster.failback_at(&lineup.policy)
    }

    /// Takes in a sign of life. `urgent`: something due could not be sent there. True if anybody should know.
    pub fn learn(&self, address: &Address, sign: Sign, urgent: bool, now: Timestamp) -> bool {
        self.change(now, false, |roster, policy| {
            roster.learn(address, sign, policy, now);
            if urgent {
                roster.condemn(address);
            }
        })
    }

    /// The credentials or certificates of a call bridge changed: what is known of its health does not count any more.
    pub fn forget_health(&self, address: &Address) {
        let mut lineup = self.lineup();
        lineup.roster.forget(address);
        if let Some(call_bridge) = lineup.find(address).filter(|_| lineup.call_bridges.len() > 1) {
            call_bridge.forget_calls();
        }
        drop(lineup);
        self.memory().health = None;
    }

    /// Whether a call bridge may be used. True if anybody should know.
    pub fn set_eligible(&self, address: &Address, eligible: bool, now: Timestamp) -> bool {
        self.change(now, false, |roster, _| roster.set_eligible(address, eligible))
    }

    /// Time has passed, or somebody asked for the failback. True if the active call bridge changed.
    pub fn reconsider(&self, asked: bool, now: Timestamp) -> bool {
        self.change(now, asked, |_, _| {})
    }

    fn change(&self, now: Timestamp, asked: bool, change: impl FnOnce(&mut Roster, &Policy)) -> bool {
        let mut lineup = self.lineup();
        let before = lineup.down();
        let was_well = lineup.is_active_well();
        let policy = lineup.policy;
        change(&mut lineup.roster, &policy);
        let moved = lineup.roster.settle(&policy, asked, now);
        let after = lineup.down();
        for address in after.iter().filter(|address| !before.contains(address)) {
            let error = lineup.roster.get(address).and_then(|known| known.health.error().cloned());
            lineup.news.push(News::Lost(address.clone(), error.unwrap_or(CmsError::Cancelled)));
            // Whoever waits there goes elsewhere now instead of at the end of a time limit.
            if let Some(call_bridge) = lineup.find(address).filter(|_| lineup.roster.active() != address) {
                call_bridge.client().gate().abandon();
            }
        }
        for address in before.iter().filter(|address| !after.contains(address)) {
            lineup.news.push(News::Recovered(address.clone()));
            if let Some(call_bridge) = lineup.find(address) {
                call_bridge.forget_calls();
            }
        }
        if let Some(moved) = &moved {
            if let Some(active) = lineup.find(&moved.to).cloned() {
                lineup.active = active;
            }
            lineup.news.push(News::Moved(moved.clone()));
        }
        let changed = moved.is_some() || before != after;
        let is_well = lineup.is_active_well();
        drop(lineup);
        if is_well && (moved.is_some() || !was_well) {
            self.memory().writable_since = Some(now);
        }
        if moved.is_some() {
            let mut memory = self.memory();
            (memory.health, memory.schedule.retry) = (None, None);
        }
        changed
    }

    /// What happened to the call bridges since the last call, in order.
    pub fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.lineup().news)
    }

    /// Forgets what was seen: the address leads to another bridge, of which nothing is believed without a look.
    pub fn forget(&self) {
        *self.memory() =
            Memory { world: bridge::World { thorough: true, ..bridge::World::default() }, ..Memory::default() };
        for call_bridge in self.call_bridges() {
            call_bridge.forget_calls();
            call_bridge.local().system = None;
        }
    }

    /// What the last looks showed. Hold it briefly; never across an await.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last status reply of the active call bridge, and when it was asked for.
    pub fn system(&self) -> Option<(Timestamp, SystemStatus)> {
        self.active().local().system.clone()
    }

    /// The space of a slot, if the pool is known.
    pub fn space_of_slot(&self, number: u32) -> Option<SpaceId> {
        self.memory().world.pool.known().and_then(|pool| pool.space(number)).map(|space| space.id.clone())
    }

    /// Notes a write to a space or its call, at the moment it was sent.
    pub fn touch(&self, space: &SpaceId, now: Timestamp) {
        self.memory().touched.insert(space.clone(), now);
    }

    /// Somebody was dialled: a sweep is wanted no later than `at`.
    pub fn want_sweep(&self, space: &SpaceId, now: Timestamp, at: Timestamp) {
        let mut memory = self.memory();
        memory.dialled.insert(space.clone(), now);
        let asked = &mut memory.schedule.asked;
        *asked = Some(asked.map_or(at, |due| due.min(at)));
    }

    /// The bridge as the bridge plan sees it, with the calls of every call bridge of which they are known.
    pub fn world(&self) -> bridge::World {
        let mut world = self.memory().world.clone();
        let mut calls: Option<Vec<PlacedCall>> = None;
        for call_bridge in self.usable() {
            let local = call_bridge.local();
            if let Some((_, known)) = &local.calls {
                let placed = known.values().flatten().map(|call| call_bridge.placed(&local, call));
                calls.get_or_insert_default().extend(placed);
            }
        }
        world.calls = calls.map_or(Seen::Unknown, Seen::Known);
        world
    }

    /// What the sweeps show of one meeting, without asking a bridge; only facts newer than our last write to it. `home`
    /// is the call bridge of its call.
    pub fn view(&self, home: &CallBridge, space: &SpaceId, call: Option<&CallId>) -> World {
        let mut world = World::default();
        let since = {
            let memory = self.memory();
            let since = memory.touched.get(space).copied().unwrap_or(Timestamp::MIN);
            if memory.looked.get(space).is_some_and(|at| *at > since)
                && let Seen::Known(pool) = &memory.world.pool
            {
                world.space = Seen::Known(pool.number(space).and_then(|number| pool.space(number)).cloned());
            }
            if let Some((at, people)) = memory.elsewhere.get(space)
                && *at > since
            {
                world.elsewhere = Seen::Known(people.clone());
            }
            since
        };
        let local = home.local();
        if let Some((at, calls)) = &local.calls
            && *at > since
        {
            let calls = calls.get(space).into_iter().flatten();
            world.calls = Seen::Known(calls.map(|call| home.placed(&local, call)).collect());
        }
        if let (Some((at, legs)), Some(call)) = (&local.legs, call) {
            world.legs = Seen::Known(SeenLegs { at: *at, legs: legs.get(call).cloned().unwrap_or_default() });
        }
        world.remote = call.and_then(|call| local.remote.get(call)).copied().unwrap_or(0);
        drop(local);
        world.strays = self.strays(home, space);
        world
    }

    /// Calls on this space on other call bridges than `home`: left there when that bridge was lost.
    pub fn strays(&self, home: &CallBridge, space: &SpaceId) -> Vec<Stray> {
        let mut strays = Vec::new();
        for call_bridge in self.usable().iter().filter(|call_bridge| call_bridge.address() != home.address()) {
            let local = call_bridge.local();
            let (Some((_, calls)), Some((_, legs))) = (&local.calls, &local.legs) else { continue };
            for call in calls.get(space).into_iter().flatten() {
                let empty = legs.get(&call.id).is_none_or(Vec::is_empty);
                strays.push(Stray { call: call_bridge.placed(&local, call), empty });
            }
        }
        strays
    }
}

/// The priority of a sweep.
pub fn reading(now: Timestamp) -> Priority {
    Priority::new(Class::Read, now)
}
