//! One call bridge of a cluster: its client, and what only it can tell. Calls, legs and the system's status are local to
//! a call bridge (cms-api.md section 9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;

use super::shared_read::SharedLook;
use crate::cms::{Address, Call, CallAt, CallId, Client, LegId, Participant, Space, SpaceId, SystemStatus};
use crate::plan::meeting::{PlacedCall, Seen};
use crate::plan::participants::SeenLeg;

/// Whether a call bridge belongs to the cluster of its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does, with this call bridge id, as far as the bridge told it.
    Member(Option<String>),
    /// It is the primary under another address.
    Primary,
    /// Its table of call bridges has none of ours.
    Stranger,
}

/// What the last looks at one call bridge showed.
#[derive(Debug, Default)]
pub struct Local {
    /// The last status reply, and when it was asked for.
    pub system: Option<(Timestamp, SystemStatus)>,
    /// Calls by space: when the look began, and the calls.
    pub calls: Option<(Timestamp, BTreeMap<SpaceId, Vec<Call>>)>,
    /// Legs by call: when the look began, and the legs.
    pub legs: Option<(Timestamp, BTreeMap<CallId, Vec<SeenLeg>>)>,
    /// When calls began that were asked for it.
    pub began: BTreeMap<CallId, Timestamp>,
    /// Legs that are links between two call bridges and no people; lists do not tell.
    pub links: BTreeSet<LegId>,
    /// How many are in each call through other call bridges, as this one knows it.
    pub remote: BTreeMap<CallId, u32>,
    /// Pages that the last list of calls needed, for choosing between lists and single looks.
    pub call_pages: u32,
    /// When it was last probed; None: a probe is wanted now.
    pub probed: Option<Timestamp>,
    /// A check runs in the background.
    pub checking: bool,
    /// Whether it belongs to the cluster; looked at once.
    pub membership: Seen<Membership>,
    /// It was away, or we were: its calls are looked at before anything is believed of them.
    pub inspect: bool,
    /// When the database was last asked about on this bridge, and whether it had a primary.
    pub database: Option<(Timestamp, Option<bool>)>,
}

/// One call bridge of a cluster.
pub struct CallBridge {
    address: Address,
    client: RwLock<Client>,
    /// Changes whenever TLS settings or credentials change.
    fingerprint: Mutex<String>,
    local: Mutex<Local>,
    pub(super) spaces: Arc<SharedLook<SpaceId, Space>>,
    pub(super) calls: Arc<SharedLook<SpaceId, Vec<Call>>>,
    pub(super) people: Arc<SharedLook<CallId, Vec<Participant>>>,
    /// One diagnosis at a time; who waits shares its outcome.
    pub(super) diagnosis: tokio::sync::Mutex<()>,
}

impl CallBridge {
    /// A new call bridge; nothing is sent.
    pub fn new(client: Client, fingerprint: String) -> Self {
        Self {
            address: client.address().clone(),
            client: RwLock::new(client),
            fingerprint: Mutex::new(fingerprint),
            local: Mutex::default(),
            spaces: Arc::default(),
            calls: Arc::default(),
            people: Arc::default(),
            diagnosis: tokio::sync::Mutex::default(),
        }
    }

    /// Its identity within a bridge.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The client of this call bridge.
    pub fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Is the client made with these settings?
    pub fn is_made_with(&self, fingerprint: &str) -> bool {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) == fingerprint
    }

    /// Uses a new client from now on (rotated credentials). What was seen stays.
    pub fn replace_client(&self, client: Client, fingerprint: String) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint;
        let mut local = self.local();
        local.probed = None;
        local.membership = Seen::Unknown;
    }

    /// What the last looks showed. Hold it briefly; never across an await, and never while the cluster's memory is wanted.
    pub fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a call of this bridge is.
    pub fn place(&self, id: &CallId) -> CallAt {
        CallAt { call_bridge: self.address.clone(), id: id.clone() }
    }

    /// A call of this bridge with what is known of it.
    pub fn placed(&self, local: &Local, call: &Call) -> PlacedCall {
        PlacedCall { call_bridge: self.address.clone(), call: call.clone(), began: local.began.get(&call.id).copied() }
    }

    /// It may come back as another one: its calls may be gone, others may be there. They are looked at as soon as it
    /// can be asked.
    pub fn forget_calls(&self) {
        let mut local = self.local();
        (local.calls, local.legs, local.inspect) = (None, None, true);
        (local.remote, local.began, local.links) = Default::default();
    }

    /// A call is gone: deleted by us.
    pub fn forget_call(&self, id: &CallId) {
        if let Some((_, calls)) = &mut self.local().calls {
            for on_space in calls.values_mut() {
                on_space.retain(|call| call.id != *id);
            }
            calls.retain(|_, on_space| !on_space.is_empty());
        }
    }
}
