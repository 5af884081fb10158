//! The link to one bridge: its client and gate, and what the last looks showed. One per MeetingBridge, shared by the
//! bridge's own reconcile and those of all its meetings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::FutureExt;
use jiff::Timestamp;

use super::looks::{Look, SharedLook};
use crate::cms::{Call, CallId, Class, Client, CmsError, Listing, Priority, Space, SpaceId, SystemStatus};
use crate::plan::bridge;
use crate::plan::meeting::{Seen, World, is_doubtful};
use crate::plan::participants::{SeenLeg, SeenLegs};

/// Namespace and name of a MeetingBridge.
pub type BridgeKey = (String, String);

/// How many single looks are cheaper than a list, at least.
const FEW: usize = 2;

/// What the last looks showed. All of it can be looked up again.
#[derive(Default)]
pub struct Memory {
    /// The bridge as the bridge plan sees it.
    pub world: bridge::World,
    /// The last status reply, and when it was asked for.
    pub system: Option<(Timestamp, SystemStatus)>,
    /// Calls by space: when the look began, and the calls.
    pub calls: Option<(Timestamp, BTreeMap<SpaceId, Vec<Call>>)>,
    /// Legs by call: when the look began, and the legs.
    pub legs: Option<(Timestamp, BTreeMap<CallId, Vec<SeenLeg>>)>,
    /// When a space was last looked at by itself.
    pub looked: BTreeMap<SpaceId, Timestamp>,
    /// When we last wrote to a space or to its call: older facts do not count.
    pub touched: BTreeMap<SpaceId, Timestamp>,
    /// Pages that the last lists needed, for choosing between lists and single looks.
    pub space_pages: u32,
    pub call_pages: u32,
    /// Whether the bridge answered last time, and if not, why.
    pub health: Option<Result<(), CmsError>>,
    /// Whether the last write that needed the database got through.
    pub database: Option<Result<(), CmsError>>,
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
    pub probe: Option<Timestamp>,
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

/// The link to one bridge.
pub struct Link {
    pub key: BridgeKey,
    client: RwLock<Client>,
    memory: Mutex<Memory>,
    spaces: Arc<SharedLook<Space>>,
    calls: Arc<SharedLook<Vec<Call>>>,
    /// Changes whenever address, TLS settings or credentials change.
    fingerprint: Mutex<String>,
}

impl Link {
    /// A new link; nothing is sent.
    pub fn new(key: BridgeKey, client: Client, fingerprint: String) -> Self {
        Self {
            key,
            client: RwLock::new(client),
            memory: Mutex::new(Memory::default()),
            spaces: Arc::default(),
            calls: Arc::default(),
            fingerprint: Mutex::new(fingerprint),
        }
    }

    /// The client of the active endpoint.
    pub fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Is this link made with these settings?
    pub fn is_made_with(&self, fingerprint: &str) -> bool {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) == fingerprint
    }

    /// Uses a new client from now on (rotated credentials, changed address). What was seen stays.
    pub fn replace_client(&self, client: Client, fingerprint: String) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = fingerprint;
        self.memory().health = None;
    }

    /// Forgets what was seen: the address leads to another bridge, of which nothing is believed without a look.
    pub fn forget(&self) {
        *self.memory() =
            Memory { world: bridge::World { thorough: true, ..bridge::World::default() }, ..Memory::default() };
    }

    /// What the last looks showed. Hold it briefly; never across an await.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What the sweeps show of one meeting, without asking the bridge; only facts newer than our last write to it.
    pub fn view(&self, space: &SpaceId, call: Option<&CallId>) -> World {
        let memory = self.memory();
        let since = memory.touched.get(space).copied().unwrap_or(Timestamp::MIN);
        let mut world = World::default();
        if memory.looked.get(space).is_some_and(|at| *at > since)
            && let Seen::Known(pool) = &memory.world.pool
        {
            world.space = Seen::Known(pool.number(space).and_then(|number| pool.space(number)).cloned());
        }
        if let Some((at, calls)) = &memory.calls
            && *at > since
        {
            world.calls = Seen::Known(calls.get(space).cloned().unwrap_or_default());
        }
        if let (Some((at, legs)), Some(call)) = (&memory.legs, call) {
            world.legs = Seen::Known(SeenLegs { at: *at, legs: legs.get(call).cloned().unwrap_or_default() });
        }
        world
    }

    /// Looks at one space; shares a list with others who ask at the same time. None: it does not exist.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn look_space(
        self: &Arc<Self>,
        space: &SpaceId,
        at: Priority,
        now: Timestamp,
    ) -> Result<Option<Space>, CmsError> {
        let link = Arc::clone(self);
        let look: Look<Space> = Arc::new(move |spaces, at| Arc::clone(&link).read_spaces(spaces, at).boxed());
        let found = self.spaces.ask(&self.client(), space.clone(), at, look).await?;
        let mut memory = self.memory();
        memory.looked.insert(space.clone(), now);
        if let Seen::Known(pool) = &mut memory.world.pool {
            pool.take_space(space, found.clone());
        }
        Ok(found)
    }

    /// Looks for the calls on one space; shares a list with others who ask at the same time.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn look_calls(self: &Arc<Self>, space: &SpaceId, at: Priority) -> Result<Vec<Call>, CmsError> {
        let link = Arc::clone(self);
        let look: Look<Vec<Call>> = Arc::new(move |spaces, at| Arc::clone(&link).read_calls(spaces, at).boxed());
        Ok(self.calls.ask(&self.client(), space.clone(), at, look).await?.unwrap_or_default())
    }

    /// A few spaces one by one; many by the list of placeholder names, and only those it leaves open one by one.
    async fn read_spaces(
        self: Arc<Self>,
        wanted: Vec<SpaceId>,
        at: Priority,
    ) -> Result<BTreeMap<SpaceId, Space>, CmsError> {
        let client = self.client();
        let (prefix, pages) = {
            let memory = self.memory();
            let prefix = memory.world.pool.known().map(|pool| pool.prefix().to_owned());
            (prefix, usize::try_from(memory.space_pages).unwrap_or(0))
        };
        let mut found = BTreeMap::new();
        let mut single = wanted;
        if let Some(prefix) = prefix
            && single.len() > FEW.max(pages)
        {
            let listing = client.spaces(at, Some(&prefix)).await?;
            self.memory().space_pages = listing.pages;
            for space in listing.items {
                let placeholder = space.uri.as_deref().map(|uri| format!("{prefix}{uri}")).unwrap_or_default();
                if !is_doubtful(&space, &placeholder) {
                    found.insert(space.id.clone(), space);
                }
            }
            single.retain(|id| !found.contains_key(id));
        }
        for (id, space) in join_limited(single, |id| read_space(client.clone(), id, at)).await? {
            if let Some(space) = space {
                found.insert(id, space);
            }
        }
        Ok(found)
    }

    async fn read_calls(
        self: Arc<Self>,
        wanted: Vec<SpaceId>,
        at: Priority,
    ) -> Result<BTreeMap<SpaceId, Vec<Call>>, CmsError> {
        let client = self.client();
        let pages = usize::try_from(self.memory().call_pages).unwrap_or(0);
        if wanted.len() > FEW.max(pages) {
            let listing = client.calls(at, None).await?;
            self.memory().call_pages = listing.pages;
            return Ok(by_space(listing));
        }
        let found = join_limited(wanted, |id| {
            let client = client.clone();
            async move {
                let listing = client.calls(at, Some(&id)).await?;
                // A server that does not know the filter lists everything.
                let calls = by_space(listing).remove(&id).unwrap_or_default();
                Ok((id, calls))
            }
        })
        .await?;
        Ok(found.into_iter().collect())
    }
}

async fn read_space(client: Client, id: SpaceId, at: Priority) -> Result<(SpaceId, Option<Space>), CmsError> {
    match client.space(at, &id).await {
        Ok(space) => Ok((id, Some(space))),
        Err(error) if error.is_not_found() => Ok((id, None)),
        Err(error) => Err(error),
    }
}

/// All at once: the gate limits what is on the wire.
async fn join_limited<K, T, F>(keys: Vec<K>, look: impl Fn(K) -> F) -> Result<Vec<T>, CmsError>
where
    F: Future<Output = Result<T, CmsError>>,
{
    futures::future::try_join_all(keys.into_iter().map(look)).await
}

/// Calls by the space they are on.
pub fn by_space(listing: Listing<Call>) -> BTreeMap<SpaceId, Vec<Call>> {
    let mut calls: BTreeMap<SpaceId, Vec<Call>> = BTreeMap::new();
    for call in listing.items {
        if let Some(space) = call.space.clone() {
            calls.entry(space).or_default().push(call);
        }
    }
    calls
}

/// The priority of a sweep.
pub fn reading(now: Timestamp) -> Priority {
    Priority::new(Class::Read, now)
}
