//! The live CMS cluster behind one MeetingBridge: its call bridges, which of them gets the requests, and what the last
//! looks showed. One per MeetingBridge, shared by the bridge's own reconcile and those of all its meetings.
//!
//! What the cluster's database holds (spaces, profiles) is the same on every call bridge and is kept in `cache.rs`; what
//! is local to one of them (calls, legs) is kept with it (`call_bridge.rs`). Caches and locks are private to this module:
//! it offers verbs, and no guard leaves it. What is lent to a closure is lent under the lock of the cache; the index of
//! bookings may be asked in there, and never the other way round.

mod cache;
mod call_bridge;
mod inspect;
mod judge;
mod lost;
mod members;
mod monitor;
mod probe;
mod read;
mod shared_read;
mod sweep;
mod uptime;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

pub use call_bridge::{CallBridge, Untaken};
pub use judge::{Asked, Source};
pub use monitor::{Duty, Reading};
pub use sweep::SweepTarget;

use crate::api::bridge::{CallBridgeRole, MaintenanceMode};
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::cms::{Address, Class, CmsError, Priority, SystemStatus};
use crate::config::settings::Settings;
use crate::metrics::Metrics;
use crate::plan::failover::{Candidate, Health, HealthSignal, HealthTable, Membership, Move, Policy};
use cache::Cache;

/// One look with all its requests; a bridge on which it takes longer is too slow to be of use.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Gives a look up that takes too long.
///
/// # Errors
/// Those of the look, and [`CmsError::Timeout`].
pub async fn in_time<T>(look: impl Future<Output = Result<T, CmsError>>) -> Result<T, CmsError> {
    tokio::time::timeout(LONGEST_LOOK, look).await.unwrap_or(Err(CmsError::Timeout))
}

/// What a cluster needs of its surroundings.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    /// Work in the background; it is waited for at the shutdown.
    pub tasks: TaskTracker,
    /// Wakes the reconcile of this bridge.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// Something about the call bridges that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailoverEvent {
    /// A call bridge was given up.
    Lost(Address, CmsError),
    /// A call bridge is good again.
    Recovered(Address),
    /// The active call bridge changed.
    Moved(Move),
}

struct CallBridges {
    all: Vec<Arc<CallBridge>>,
    active: Arc<CallBridge>,
    table: HealthTable,
    policy: Policy,
    events: Vec<FailoverEvent>,
}

impl CallBridges {
    fn find(&self, address: &Address) -> Option<&Arc<CallBridge>> {
        self.all.iter().find(|call_bridge| call_bridge.address() == address)
    }

    fn is_active_well(&self) -> bool {
        self.table.get(self.table.active()).is_some_and(|known| known.health.error().is_none())
    }

    fn down(&self) -> Vec<Address> {
        self.table.iter().filter(|known| known.health.is_down()).map(|known| known.address.clone()).collect()
    }
}

/// The live cluster behind one MeetingBridge.
pub struct Cluster {
    key: ObjectKey,
    env: Env,
    call_bridges: Mutex<CallBridges>,
    cache: Mutex<Cache>,
}

impl Cluster {
    /// A cluster of which only the primary is known; nothing is sent.
    pub fn new(key: ObjectKey, env: Env, primary: Arc<CallBridge>) -> Self {
        let table = HealthTable::new(primary.address().clone());
        let policy = Policy { threshold: 1, failback: None };
        let call_bridges =
            CallBridges { all: vec![Arc::clone(&primary)], active: primary, table, policy, events: Vec::new() };
        Self { key, env, call_bridges: Mutex::new(call_bridges), cache: Mutex::default() }
    }

    /// Namespace and name of the MeetingBridge.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    /// When the certificate that each call bridge last showed expires, in seconds since 1970.
    pub fn certificate_expiries(&self) -> Vec<(String, i64)> {
        let all = self.all();
        let known = all.iter().filter_map(|at| Some((at.address().to_string(), at.client().certificate_expiry()?)));
        known.collect()
    }

    fn call_bridges(&self) -> MutexGuard<'_, CallBridges> {
        self.call_bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses these call bridges from now on, in this order, the primary first. What is known of those that stay is kept.
    /// `recorded` is the one that was active when the controller last ran.
    pub fn arrange(
        &self,
        wanted: Vec<(Arc<CallBridge>, CallBridgeRole, Membership)>,
        policy: Policy,
        recorded: Option<&Address>,
    ) {
        let mut held = self.call_bridges();
        held.policy = policy;
        let membership = |table: &HealthTable, call_bridge: &CallBridge, role, wanted| {
            match table.get(call_bridge.address()).map(|known| known.membership) {
                _ if role == CallBridgeRole::Primary => Membership::Member,
                // What a probe has proven is better known than what is assumed.
                Some(known) if known != Membership::Unproven => known,
                _ => wanted,
            }
        };
        let candidates = wanted.iter().map(|(call_bridge, role, wanted)| {
            (call_bridge.address().clone(), *role, membership(&held.table, call_bridge, *role, *wanted))
        });
        let candidates: Vec<_> = candidates.collect();
        let is_same = held.all.len() == wanted.len()
            && held.all.iter().zip(&wanted).all(|(old, (new, ..))| Arc::ptr_eq(old, new));
        if is_same {
            candidates.iter().for_each(|(address, _, membership)| held.table.set_membership(address, *membership));
            return;
        }
        held.table.arrange(candidates, recorded);
        let is_several = wanted.len() > 1;
        let new: Vec<_> = wanted.iter().filter(|(new, ..)| held.find(new.address()).is_none()).cloned().collect();
        held.all = wanted.into_iter().map(|(call_bridge, ..)| call_bridge).collect();
        if let Some(active) = held.find(held.table.active()).cloned() {
            held.active = active;
        }
        drop(held);
        for (call_bridge, ..) in new.iter().filter(|_| is_several) {
            call_bridge.want_inspection();
        }
    }

    /// The call bridge that gets the requests.
    pub fn active(&self) -> Arc<CallBridge> {
        Arc::clone(&self.call_bridges().active)
    }

    /// One call bridge, if it still is one.
    pub fn call_bridge(&self, address: &Address) -> Option<Arc<CallBridge>> {
        self.call_bridges().find(address).cloned()
    }

    /// The call bridge of the spec's address.
    pub fn primary(&self) -> Option<Arc<CallBridge>> {
        self.call_bridges().all.first().cloned()
    }

    /// Every call bridge, the primary first.
    fn all(&self) -> Vec<Arc<CallBridge>> {
        self.call_bridges().all.clone()
    }

    /// Is there only one?
    pub fn is_alone(&self) -> bool {
        self.call_bridges().all.len() <= 1
    }

    /// The call bridges that may be asked: the active one, and other members that are not given up.
    pub fn usable(&self) -> Vec<Arc<CallBridge>> {
        let held = self.call_bridges();
        let is_active = |known: &Candidate| known.address == *held.table.active();
        let may_be_asked = |known: &Candidate| known.membership == Membership::Member && !known.health.is_down();
        let usable = held.table.iter().filter(|known| is_active(known) || may_be_asked(known));
        usable.filter_map(|known| held.find(&known.address).cloned()).collect()
    }

    /// Is this call bridge lost: given up or barred, while another one does its work?
    pub fn is_lost(&self, address: &Address) -> bool {
        let held = self.call_bridges();
        let known = held.table.get(address);
        let is_out = known.is_some_and(|known| known.health.is_down() || known.membership == Membership::Barred);
        is_out && held.table.active() != address
    }

    /// Are the meetings of this call bridge to go to another one, before it is gone?
    pub fn is_evacuated(&self, address: &Address) -> bool {
        self.call_bridges().table.is_evacuated(address)
    }

    /// Takes over what the spec says of each call bridge, and moves away from one that is worked on. True if that is
    /// something else than before.
    pub fn maintain(&self, now: Timestamp, mode_of: impl Fn(&Address) -> MaintenanceMode) -> bool {
        let mut is_new = false;
        self.change(now, false, |table, _| is_new = table.set_maintenance(mode_of));
        if is_new {
            // The calls that it still has are to be found, whichever was looked at last.
            let goes = |known: &&Candidate| known.maintenance == MaintenanceMode::Evacuate;
            let held = self.call_bridges();
            let going: Vec<_> = held.table.iter().filter(goes).filter_map(|known| held.find(&known.address)).collect();
            going.into_iter().for_each(|call_bridge| call_bridge.want_inspection());
        }
        is_new
    }

    /// What is known of the call bridges.
    pub fn health_table(&self) -> HealthTable {
        self.call_bridges().table.clone()
    }

    /// What is known of one call bridge's health.
    pub fn health(&self, address: &Address) -> Health {
        self.call_bridges().table.get(address).map(|known| known.health.clone()).unwrap_or_default()
    }

    /// What is wrong with the active call bridge, if anything is.
    pub fn active_error(&self) -> Option<CmsError> {
        let held = self.call_bridges();
        held.table.get(held.table.active()).and_then(|known| known.health.error().cloned())
    }

    /// Does the bridge say that it is one of a cluster?
    fn is_clustered(&self) -> bool {
        self.active().system().is_some_and(|(_, system)| system.cluster_enabled == Some(true))
    }

    /// The last status reply of the active call bridge, and when it was asked for.
    pub fn system(&self) -> Option<(Timestamp, SystemStatus)> {
        self.active().system()
    }

    /// Has any call bridge ever answered?
    pub fn has_answered(&self) -> bool {
        self.all().iter().any(|call_bridge| call_bridge.system().is_some())
    }

    /// Takes in a sign of life. `urgent`: something due could not be sent there. True if anybody should know.
    fn learn(&self, address: &Address, signal: HealthSignal, urgent: bool, now: Timestamp) -> bool {
        // What is told of it is not to change with each pause of ours.
        let signal = match signal {
            HealthSignal::Fails(error) => HealthSignal::Fails(error.behind().clone()),
            signs_of_life => signs_of_life,
        };
        self.change(now, false, |table, policy| {
            table.learn(address, signal, policy, now);
            if urgent {
                table.mark_down_now(address);
            }
        })
    }

    /// The credentials or certificates of a call bridge changed: what is known of its health does not count any more.
    pub fn forget_health(&self, address: &Address) {
        let found = {
            let mut held = self.call_bridges();
            held.table.forget(address);
            held.find(address).filter(|_| held.all.len() > 1).cloned()
        };
        if let Some(call_bridge) = found {
            call_bridge.forget_calls();
        }
        self.cache().last_result = None;
    }

    /// Time has passed, or somebody asked for the failback. True if the active call bridge changed.
    fn reconsider(&self, asked: bool, now: Timestamp) -> bool {
        self.change(now, asked, |_, _| {})
    }

    /// When an earlier call bridge will have been good for long enough.
    fn failback_at(&self) -> Option<Timestamp> {
        let held = self.call_bridges();
        held.table.failback_at(&held.policy)
    }

    /// What happened to the call bridges since the last call, in order.
    pub fn take_events(&self) -> Vec<FailoverEvent> {
        std::mem::take(&mut self.call_bridges().events)
    }

    /// Changes what is known of the call bridges, moves to another one if that is right, and notes what people want to
    /// know. True if anybody should.
    fn change(&self, now: Timestamp, asked: bool, change: impl FnOnce(&mut HealthTable, &Policy)) -> bool {
        let (mut abandoned, mut recovered) = (Vec::new(), Vec::new());
        let (moved, is_changed, is_well, was_well) = {
            let mut held = self.call_bridges();
            let (before, was_well, policy) = (held.down(), held.is_active_well(), held.policy);
            change(&mut held.table, &policy);
            let moved = held.table.settle(&policy, asked, now);
            let after = held.down();
            for address in after.iter().filter(|address| !before.contains(address)) {
                let error = held.table.get(address).and_then(|known| known.health.error().cloned());
                held.events.push(FailoverEvent::Lost(address.clone(), error.unwrap_or(CmsError::Cancelled)));
                abandoned.extend(held.find(address).filter(|_| held.table.active() != address).cloned());
            }
            for address in before.iter().filter(|address| !after.contains(address)) {
                held.events.push(FailoverEvent::Recovered(address.clone()));
                recovered.extend(held.find(address).cloned());
            }
            if let Some(moved) = &moved {
                if let Some(active) = held.find(&moved.to).cloned() {
                    held.active = active;
                }
                held.events.push(FailoverEvent::Moved(moved.clone()));
            }
            let is_changed = moved.is_some() || before != after;
            (moved, is_changed, held.is_active_well(), was_well)
        };
        // Whoever waits there goes elsewhere now instead of at the end of a time limit.
        abandoned.iter().for_each(|call_bridge| call_bridge.client().gate().abandon());
        recovered.iter().for_each(|call_bridge| call_bridge.forget_calls());
        let mut cache = self.cache();
        if is_well && (moved.is_some() || !was_well) {
            cache.writable_since = Some(now);
        }
        if moved.is_some() {
            (cache.last_result, cache.schedule.retry_at) = (None, None);
        }
        is_changed
    }

    /// How long is waited for the bridge's word on its database, when something else failed.
    fn patience(&self) -> Duration {
        Duration::from_secs(2).min(self.env.settings.limits.request)
    }
}

/// The priority of a sweep.
fn reading(now: Timestamp) -> Priority {
    Priority::new(Class::Read, now)
}
