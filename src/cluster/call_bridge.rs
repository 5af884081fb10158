//! One call bridge of a cluster: its client, and what only it can tell. Calls, legs and the system's status are local to
//! a call bridge (cms-protocol.md section 9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::shared_read::SharedRead;
use super::uptime::Uptime;
use crate::cms::{Address, Call, CallAt, CallId, Client, Credentials, LegId, Participant, SpaceId, SystemStatus};
use crate::facts::Seen;
use crate::facts::calls::{OrphanCall, PlacedCall, SeenLeg};

/// What a call bridge, or the cluster, says about its belonging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It is one of the cluster, with this call bridge id, as far as the bridge told it.
    Member(Option<String>),
    /// It is the primary under another address.
    Primary,
    /// Its table of call bridges has none of ours.
    Stranger,
}

/// What the last looks at one call bridge showed.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// The last status reply, and when it was asked for.
    pub(super) system: Option<(Timestamp, SystemStatus)>,
    /// What the reply that was asked for last told of its start.
    pub(super) uptime: Option<Uptime>,
    /// Calls by space: when the look began, and the calls.
    pub(super) calls: Option<(Timestamp, BTreeMap<SpaceId, Vec<Call>>)>,
    /// Legs by call: when the look began, and the legs.
    pub(super) legs: Option<(Timestamp, BTreeMap<CallId, Vec<SeenLeg>>)>,
    /// Calls that this process made, and on which space.
    pub(super) made: BTreeMap<CallId, SpaceId>,
    /// When calls began that were asked for it.
    pub(super) began: BTreeMap<CallId, Timestamp>,
    /// When legs were looked at by themselves.
    pub(super) leg_read_at: BTreeMap<LegId, Timestamp>,
    /// In which sweep the space of a meeting here last had its turn.
    pub(super) space_turns: BTreeMap<SpaceId, u64>,
    /// Legs that are links between two call bridges and no people; lists do not tell.
    pub(super) links: BTreeSet<LegId>,
    /// How many are in each call through other call bridges, as this one knows it.
    pub(super) remote: BTreeMap<CallId, u32>,
    /// Pages that the last list of calls needed, for choosing between lists and single looks.
    pub(super) call_pages: u32,
    /// When it was last probed; None: a probe is wanted now.
    pub(super) probed_at: Option<Timestamp>,
    /// A check runs in the background; [`super::probe::Checking`] sets and clears it.
    pub(super) is_checked: bool,
    /// Whether it belongs to the cluster; looked at once.
    pub(super) belongs: Seen<Belongs>,
    /// It was away, or we were: its calls are looked at before anything is believed of them.
    pub(super) wants_inspection: bool,
    /// When the database was last asked about on this bridge, and whether it had a primary.
    pub(super) database: Option<(Timestamp, Option<bool>)>,
}

struct Connection {
    client: Client,
    /// Changes whenever TLS settings or credentials change.
    fingerprint: String,
    /// Which credentials it uses: Secret and version.
    credentials: String,
    /// Newer ones, which it did not take.
    untaken: Option<Untaken>,
}

/// New credentials of a call bridge that were tried beside those that work, and not taken.
#[derive(Clone, Debug)]
pub struct Untaken {
    /// Secret and version.
    pub credentials: String,
    /// What it holds.
    pub words: Credentials,
    /// The annotation that asked for a full look when they were tried.
    pub asked: Option<String>,
    /// So often the call bridge itself refused them; none: it could not be asked.
    pub refusals: u32,
    pub tried_at: Instant,
}

impl Untaken {
    /// The same of another version of the Secret, if it still holds these words; None: there are others to be tried. Whoever
    /// labels it or applies it again asks for nothing.
    pub fn renewed(self, words: &Credentials, version: &str) -> Option<Self> {
        self.words.is_same(words).then(|| Self { credentials: version.to_owned(), ..self })
    }

    /// Are they to be tried again? A bridge locks accounts that fail too often. `accepts`: whether those before work; None:
    /// it is in doubt, and the new ones may be what the bridge has by now. `asked`: the annotation that asks for a full look.
    pub fn is_due(&self, accepts: Option<bool>, asked: Option<&str>) -> bool {
        if asked.is_some() && asked != self.asked.as_deref() {
            return true;
        }
        let rest = match accepts {
            Some(true) if self.refusals > 0 => REFUSED_RESTS,
            Some(true) => UNASKED_RESTS,
            Some(false) => return true,
            // The doubt may last, and it may be the same account.
            None => {
                DOUBT_RESTS.saturating_mul(2_u32.saturating_pow(self.refusals.saturating_sub(1))).min(REFUSED_RESTS)
            }
        };
        self.tried_at.elapsed() >= rest
    }
}

/// New credentials that were refused are tried again after so long.
const REFUSED_RESTS: Duration = Duration::from_secs(15 * 60);

/// The same, if the call bridge could not be asked.
const UNASKED_RESTS: Duration = Duration::from_secs(30);

/// The same, if those before were refused a moment ago and that is not confirmed yet; doubled with each refusal.
const DOUBT_RESTS: Duration = Duration::from_secs(5);

/// One call bridge of a cluster.
pub struct CallBridge {
    address: Address,
    connection: Mutex<Connection>,
    local: Mutex<Local>,
    pub(super) calls: Arc<SharedRead<SpaceId, Vec<Call>>>,
    pub(super) people: Arc<SharedRead<CallId, Vec<Participant>>>,
    /// One diagnosis at a time; who waits shares its outcome.
    pub(super) diagnosis: tokio::sync::Mutex<()>,
    /// The same for the question when it was started.
    pub(super) boot: tokio::sync::Mutex<()>,
}

impl CallBridge {
    /// A new one; nothing is sent.
    pub fn new(client: Client, fingerprint: String, credentials: String) -> Self {
        Self {
            address: client.address().clone(),
            connection: Mutex::new(Connection { client, fingerprint, credentials, untaken: None }),
            local: Mutex::default(),
            calls: Arc::default(),
            people: Arc::default(),
            diagnosis: tokio::sync::Mutex::default(),
            boot: tokio::sync::Mutex::default(),
        }
    }

    /// Its identity within a bridge.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of this call bridge.
    pub fn client(&self) -> Client {
        self.connection().client.clone()
    }

    /// Is the client made with these settings?
    pub fn is_made_with(&self, fingerprint: &str) -> bool {
        self.connection().fingerprint == fingerprint
    }

    /// Are these the credentials that it uses, as they were read?
    pub fn is_tried_with(&self, credentials: &str) -> bool {
        self.connection().credentials == credentials
    }

    /// Which credentials it uses, and whether it accepts them; None: nobody has tried.
    pub(super) fn credentials(&self) -> (String, Option<bool>) {
        let connection = self.connection();
        (connection.credentials.clone(), connection.client.gate().accepts_credentials())
    }

    /// Uses a new client from now on (rotated credentials). What was seen stays.
    pub fn replace_client(&self, client: Client, fingerprint: String, credentials: String) {
        *self.connection() = Connection { client, fingerprint, credentials, untaken: None };
        let mut local = self.local();
        (local.probed_at, local.belongs) = (None, Seen::Unknown);
    }

    /// Goes on with the credentials that it has: newer ones were not taken. Whatever else the client is made from is new.
    pub fn keep_credentials(&self, client: Client, fingerprint: String, untaken: Untaken) {
        let mut connection = self.connection();
        (connection.client, connection.fingerprint, connection.untaken) = (client, fingerprint, Some(untaken));
    }

    /// New credentials that it did not take.
    pub fn untaken(&self) -> Option<Untaken> {
        self.connection().untaken.clone()
    }

    /// Where a call of this bridge is.
    pub fn place(&self, id: &CallId) -> CallAt {
        CallAt { call_bridge: self.address.clone(), id: id.clone() }
    }

    /// A call of this bridge with what is known of it.
    fn placed(&self, local: &Local, call: &Call) -> PlacedCall {
        PlacedCall { call_bridge: self.address.clone(), call: call.clone(), began: local.began.get(&call.id).copied() }
    }

    /// The same for many.
    pub(super) fn place_all<'a>(&self, calls: impl IntoIterator<Item = &'a Call>) -> Vec<PlacedCall> {
        let local = self.local();
        calls.into_iter().map(|call| self.placed(&local, call)).collect()
    }

    /// The last status reply, and when it was asked for.
    pub fn system(&self) -> Option<(Timestamp, SystemStatus)> {
        self.local().system.clone()
    }

    /// Every known call, if they were ever looked at.
    pub(super) fn known_calls(&self) -> Option<Vec<PlacedCall>> {
        let local = self.local();
        let (_, calls) = local.calls.as_ref()?;
        Some(calls.values().flatten().map(|call| self.placed(&local, call)).collect())
    }

    /// The calls on a space, if they were looked at after this moment.
    pub(super) fn calls_on_since(&self, space: &SpaceId, since: Timestamp) -> Option<Vec<PlacedCall>> {
        let local = self.local();
        let (_, calls) = local.calls.as_ref().filter(|(at, _)| *at > since)?;
        Some(calls.get(space).into_iter().flatten().map(|call| self.placed(&local, call)).collect())
    }

    /// Is any call known on this space?
    pub(super) fn has_call_on(&self, space: &SpaceId) -> bool {
        self.local().calls.as_ref().is_some_and(|(_, calls)| calls.contains_key(space))
    }

    /// The legs of a call, and when they were looked at.
    pub(super) fn legs_of(&self, call: &CallId) -> Option<(Timestamp, Vec<SeenLeg>)> {
        let local = self.local();
        let (at, legs) = local.legs.as_ref()?;
        Some((*at, legs.get(call).cloned().unwrap_or_default()))
    }

    /// How many are in a call through other call bridges.
    pub(super) fn remote_count(&self, call: &CallId) -> Option<u32> {
        self.local().remote.get(call).copied()
    }

    /// The calls on a space, with whether anybody is in them. `is_evacuated`: whoever is in them is to go elsewhere.
    pub(super) fn orphan_calls(&self, space: &SpaceId, is_evacuated: bool) -> Vec<OrphanCall> {
        let local = self.local();
        let (Some((_, calls)), Some((_, legs))) = (&local.calls, &local.legs) else { return Vec::new() };
        let is_empty = |call: &Call| legs.get(&call.id).is_none_or(Vec::is_empty);
        let calls = calls.get(space).into_iter().flatten();
        let orphan = |call| OrphanCall { call: self.placed(&local, call), is_empty: is_empty(call), is_evacuated };
        calls.map(orphan).collect()
    }

    /// Its calls are looked at before anything is believed of them.
    pub(super) fn want_inspection(&self) {
        self.local().wants_inspection = true;
    }

    /// It is probed as soon as possible.
    pub(super) fn want_probe(&self) {
        self.local().probed_at = None;
    }

    /// Whether it belongs to the cluster is asked again.
    pub(super) fn forget_membership(&self) {
        self.local().belongs = Seen::Unknown;
    }

    /// It may come back as another one: its calls may be gone, others may be there. They are looked at as soon as it
    /// can be asked.
    pub(super) fn forget_calls(&self) {
        let mut local = self.local();
        (local.calls, local.legs, local.wants_inspection) = (None, None, true);
        (local.remote, local.began, local.links, local.leg_read_at, local.made) = Default::default();
    }

    /// The wall clock was set: what is kept with an instant is looked at again.
    pub(super) fn clock_stepped(&self) {
        let mut local = self.local();
        (local.calls, local.legs, local.probed_at, local.database) = (None, None, None, None);
        local.began.clear();
        local.leg_read_at.clear();
    }

    /// The address leads to another bridge.
    pub(super) fn forget_everything(&self) {
        self.forget_calls();
        let mut local = self.local();
        (local.system, local.uptime) = (None, None);
    }

    /// A call was made on this space.
    pub fn note_made(&self, id: &CallId, space: &SpaceId) {
        self.local().made.insert(id.clone(), space.clone());
    }

    /// Did this process make that call, on this space?
    pub fn has_made(&self, id: &CallId, space: &SpaceId) -> bool {
        self.local().made.get(id) == Some(space)
    }

    /// A call is gone: deleted by us.
    pub fn forget_call(&self, id: &CallId) {
        let mut local = self.local();
        local.made.remove(id);
        if let Some((_, calls)) = &mut local.calls {
            for on_space in calls.values_mut() {
                on_space.retain(|call| call.id != *id);
            }
            calls.retain(|_, on_space| !on_space.is_empty());
        }
    }
}

#[cfg(test)]
mod tests;
