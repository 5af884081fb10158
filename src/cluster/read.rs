//! Questions that a meeting asks before it writes. Many meetings ask at the same time, so each question is shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::call_bridge::CallBridge;
use super::shared_read::Look;
use super::{Cluster, reading};
use crate::cms::{Call, CallId, Client, CmsError, Listing, Participant, Priority, Space, SpaceId};
use crate::plan::meeting::{PlacedCall, is_doubtful};
use crate::plan::participants::{Elsewhere, SeenLeg};

/// How many single looks are cheaper than a list, at least.
const FEW: usize = 2;

/// How long a look at the database is believed.
const DATABASE_BELIEVED: SignedDuration = SignedDuration::from_millis(900);

impl Cluster {
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
        let (cluster, call_bridge) = (Arc::clone(self), self.active());
        let client = call_bridge.client();
        let reader = client.clone();
        let look: Look<SpaceId, Space> =
            Arc::new(move |spaces, at| Arc::clone(&cluster).read_spaces(reader.clone(), spaces, at).boxed());
        let found = call_bridge.spaces.ask(&client, space.clone(), at, look).await?;
        let mut memory = self.memory();
        memory.looked.insert(space.clone(), now);
        if let crate::plan::meeting::Seen::Known(pool) = &mut memory.world.pool {
            pool.take_space(space, found.clone());
        }
        Ok(found)
    }

    /// A few spaces one by one; many by the list of placeholder names, and only those it leaves open one by one.
    async fn read_spaces(
        self: Arc<Self>,
        client: Client,
        wanted: Vec<SpaceId>,
        at: Priority,
    ) -> Result<BTreeMap<SpaceId, Space>, CmsError> {
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
        for (id, space) in all(single, |id| read_space(client.clone(), id, at)).await? {
            if let Some(space) = space {
                found.insert(id, space);
            }
        }
        Ok(found)
    }

    /// Has the database a primary, as this call bridge sees it? None: it does not tell. Asked once for all who ask at
    /// the same time.
    pub async fn has_database(&self, call_bridge: &CallBridge, patience: Duration, now: Timestamp) -> Option<bool> {
        let _one_at_a_time = call_bridge.diagnosis.lock().await;
        let known = call_bridge.local().database;
        if let Some((at, primary)) = known
            && now.duration_since(at) < DATABASE_BELIEVED
        {
            return primary;
        }
        // That is answered at once if anything is: a bridge that hangs altogether is not waited for twice.
        let answer = tokio::time::timeout(patience, call_bridge.client().database(reading(now).urgent())).await;
        let primary = answer.ok().and_then(Result::ok).and_then(|database| database.has_primary());
        call_bridge.local().database = Some((now, primary));
        primary
    }

    /// A bridge that answers but is busy, or is silent, may have lost its database. If the cluster has no primary at all,
    /// another call bridge would not do better; if only this one does not reach it, another one would. The others are
    /// asked first: they answer at once.
    pub async fn diagnose(
        &self,
        call_bridge: &CallBridge,
        error: CmsError,
        patience: Duration,
        now: Timestamp,
    ) -> CmsError {
        if !matches!(error, CmsError::Busy | CmsError::Timeout | CmsError::DatabaseNotReady) {
            return error;
        }
        for other in self.usable().iter().filter(|other| other.address() != call_bridge.address()) {
            match self.has_database(other, patience, now).await {
                Some(true) if error == CmsError::DatabaseNotReady => return CmsError::Busy,
                Some(true) => return error,
                Some(false) => return CmsError::DatabaseNotReady,
                None => {}
            }
        }
        match self.has_database(call_bridge, patience, now).await {
            Some(false) => CmsError::DatabaseNotReady,
            _ => error,
        }
    }
}

impl CallBridge {
    /// Looks for the calls on one space on this call bridge; shares a list with others who ask at the same time.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn look_calls(self: &Arc<Self>, space: &SpaceId, at: Priority) -> Result<Vec<PlacedCall>, CmsError> {
        let call_bridge = Arc::clone(self);
        let look: Look<SpaceId, Vec<Call>> =
            Arc::new(move |spaces, at| Arc::clone(&call_bridge).read_calls(spaces, at).boxed());
        let found = self.calls.ask(&self.client(), space.clone(), at, look).await?.unwrap_or_default();
        let local = self.local();
        Ok(found.iter().map(|call| self.placed(&local, call)).collect())
    }

    /// Finds out when a call began, once for each call. Nothing, if it is gone or the bridge does not tell.
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn look_age(&self, id: &CallId, at: Priority, now: Timestamp) -> Result<(), CmsError> {
        if self.local().began.contains_key(id) {
            return Ok(());
        }
        let asked = tokio::time::Instant::now();
        let call = match self.client().call(at, id).await {
            Ok(call) => call,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        // Told when the reply was made, which may be long after the question: there is a queue at the gate.
        let told = now.checked_add(asked.elapsed()).unwrap_or(now);
        let age = call.duration.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
        if let Some(began) = age.and_then(|age| told.checked_sub(age).ok()) {
            self.local().began.insert(id.clone(), began);
        }
        Ok(())
    }

    async fn read_calls(
        self: Arc<Self>,
        wanted: Vec<SpaceId>,
        at: Priority,
    ) -> Result<BTreeMap<SpaceId, Vec<Call>>, CmsError> {
        let client = self.client();
        let pages = usize::try_from(self.local().call_pages).unwrap_or(0);
        if wanted.len() > FEW.max(pages) {
            let listing = client.calls(at, None).await?;
            self.local().call_pages = listing.pages;
            return Ok(by_space(listing));
        }
        let found = all(wanted, |id| {
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

    /// Who is in a call through another call bridge, as this one knows it: every involved call bridge knows all
    /// participants (cms-api.md section 9).
    ///
    /// # Errors
    /// What the bridge or the gate says.
    pub async fn look_elsewhere(self: &Arc<Self>, call: &CallId, at: Priority) -> Result<Elsewhere, CmsError> {
        let call_bridge = Arc::clone(self);
        let look: Look<CallId, Vec<Participant>> =
            Arc::new(move |calls, at| Arc::clone(&call_bridge).read_people(calls, at).boxed());
        let client = self.client();
        let people = self.people.ask(&client, call.clone(), at, look).await?.unwrap_or_default();
        let read = |person: Participant| {
            let client = client.clone();
            async move {
                match client.participant(at, &person.id).await {
                    Ok(person) => Ok(Some(person)),
                    Err(error) if error.is_not_found() => Ok(None), // Gone since the list.
                    Err(error) => Err(error),
                }
            }
        };
        let people = all(people, read).await?;
        let legs = people.into_iter().flatten().map(|person| SeenLeg {
            id: person.id.as_str().into(),
            remote_party: person.uri.unwrap_or_default(),
            original_remote_party: person.original_uri,
            state: person.state,
            direction: None,
            named: !person.name.is_empty(),
            answered: false,
        });
        Ok(Elsewhere { legs: legs.collect(), standing: Vec::new() })
    }

    async fn read_people(
        self: Arc<Self>,
        wanted: Vec<CallId>,
        at: Priority,
    ) -> Result<BTreeMap<CallId, Vec<Participant>>, CmsError> {
        let client = self.client();
        let mut found: BTreeMap<CallId, Vec<Participant>> = BTreeMap::new();
        let mut take = |items: Vec<Participant>| {
            for person in items.into_iter().filter(|person| person.call_bridge.is_some()) {
                if let Some(call) = person.call.clone() {
                    found.entry(call).or_default().push(person);
                }
            }
        };
        if wanted.len() > FEW {
            take(client.participants(at).await?.items);
        } else {
            let one = |call: CallId| {
                let client = client.clone();
                async move { client.participants_of(at, &call).await }
            };
            all(wanted, one).await?.into_iter().for_each(|listing| take(listing.items));
        }
        Ok(found)
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
async fn all<K, T, F>(keys: Vec<K>, look: impl Fn(K) -> F) -> Result<Vec<T>, CmsError>
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
