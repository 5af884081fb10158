//! Questions that a meeting asks before it writes. Many meetings ask at the same time, so each question is shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::shared_read::Reader;
use super::sweep::seen;
use super::{CallBridge, Cluster, Source};
use crate::api::marks::Marks;
use crate::cms::{Address, Call, CallId, CmsError, Listing, Participant, Priority, Space, SpaceId, if_there};
use crate::facts::Seen;
use crate::facts::calls::{OnLostBridge, PlacedCall, SeenLeg, SeenLegs};
use crate::facts::meeting::SeenMethods;

/// How many single looks are cheaper than a list, at least.
const FEW: usize = 2;

impl Cluster {
    /// Looks at one space. None: it does not exist. Never answered by a list, which shows neither door nor mark: whatever
    /// is written afterwards hangs on it.
    pub async fn read_space(&self, space: &SpaceId, at: Priority, now: Timestamp) -> Result<Option<Space>, CmsError> {
        let found = if_there(self.active().client().space(at, space).await)?;
        let mut cache = self.cache();
        cache.space_read_at.insert(space.clone(), now);
        match &mut cache.facts.slots {
            Seen::Known(slots) => Ok(slots.take_space(space, found)),
            Seen::Unknown => Ok(found),
        }
    }

    /// Looks at a space in passing. Of an odd answer the system status tells what it is about: if there is one, about this
    /// space, to which the pass of its meeting or of the bridge sees, and nothing else waits for it.
    pub(super) async fn glance_at(&self, space: &SpaceId, now: Timestamp) -> Result<(), CmsError> {
        match self.read_space(space, super::reading(now), now).await {
            Err(error) if error.may_be_about_one() => {
                self.read_system(&self.active()).await.map(drop).map_err(|_| error)
            }
            result => result.map(drop),
        }
    }

    /// The access methods of a space. A list shows no names, so each is looked at alone. A space that is not there has none.
    pub async fn read_access_methods(
        &self,
        space: &SpaceId,
        marks: &Marks,
        at: Priority,
    ) -> Result<SeenMethods, CmsError> {
        let client = self.active().client();
        let listed = if_there(client.access_methods(at, space).await)?.unwrap_or_default();
        let mut seen = SeenMethods::default();
        for known in listed {
            let Some(method) = if_there(client.access_method(at, space, &known.id).await)? else { continue };
            let is_ours = method.name.as_deref().is_some_and(|name| marks.is_ours(name));
            if is_ours { seen.ours.push(method) } else { seen.others.push(method) }
        }
        seen.ours.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(seen)
    }

    /// Lists the spaces with a placeholder name, or every space.
    pub async fn list_spaces(&self, prefix: Option<&str>, at: Priority) -> Result<Listing<Space>, CmsError> {
        self.active().client().spaces(at, prefix).await
    }

    /// One call, if it is there.
    pub async fn read_call(
        &self,
        here: &CallBridge,
        id: &CallId,
        at: Priority,
    ) -> Result<Option<PlacedCall>, CmsError> {
        let shown = if_there(here.client().call(at, id).await)?;
        Ok(here.place_all(&shown).pop())
    }

    /// The calls on a space on every call bridge that can be asked. One that fails is looked at when it is back.
    ///
    /// # Errors
    /// What the active call bridge or its gate says.
    pub async fn calls_everywhere(
        self: &Arc<Self>,
        active: &CallBridge,
        space: &SpaceId,
        at: Priority,
    ) -> Result<Vec<PlacedCall>, CmsError> {
        let call_bridges = self.usable();
        let reads = call_bridges.iter().map(|call_bridge| self.read_calls(call_bridge, space, at));
        let mut found = Vec::new();
        for (call_bridge, calls) in call_bridges.iter().zip(futures::future::join_all(reads).await) {
            match calls {
                Ok(calls) => found.extend(calls),
                Err(error) if call_bridge.address() == active.address() => return Err(error),
                Err(error) => {
                    call_bridge.want_inspection();
                    self.judge(call_bridge, error, Source::Aside).await;
                }
            }
        }
        Ok(found)
    }

    /// The calls on a space on the other call bridges than this one, and those call bridges that did not tell, each within
    /// this time.
    pub async fn calls_elsewhere(
        self: &Arc<Self>,
        here: &CallBridge,
        space: &SpaceId,
        at: Priority,
        within: Duration,
    ) -> (Vec<PlacedCall>, Vec<Address>) {
        let others: Vec<_> = self.usable().into_iter().filter(|other| other.address() != here.address()).collect();
        let reads = others.iter().map(|other| tokio::time::timeout(within, self.read_calls(other, space, at)));
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for (other, calls) in others.iter().zip(futures::future::join_all(reads).await) {
            match calls {
                Ok(Ok(calls)) => found.extend(calls),
                Ok(Err(error)) => {
                    self.judge(other, error, Source::Aside).await;
                    silent.push(other.address().clone());
                }
                Err(_) => silent.push(other.address().clone()),
            }
        }
        (found, silent)
    }

    /// Looks for the calls on one space on one call bridge; shares a list with others who ask at the same time.
    async fn read_calls(
        &self,
        call_bridge: &Arc<CallBridge>,
        space: &SpaceId,
        at: Priority,
    ) -> Result<Vec<PlacedCall>, CmsError> {
        let reader = Arc::clone(call_bridge);
        let read: Reader<SpaceId, Vec<Call>> =
            Arc::new(move |spaces, at| Arc::clone(&reader).read_calls_on(spaces, at).boxed());
        let client = call_bridge.client();
        let found = call_bridge.calls.ask(&self.env.tasks, &client, space.clone(), at, read).await?;
        Ok(call_bridge.place_all(&found.unwrap_or_default()))
    }

    /// The same, with the age of each call but the known one: before one is taken for a meeting's it must be known that it
    /// is not older.
    pub async fn read_aged_calls(
        &self,
        call_bridge: &Arc<CallBridge>,
        space: &SpaceId,
        known: Option<&CallId>,
        at: Priority,
        now: Timestamp,
    ) -> Result<Vec<PlacedCall>, CmsError> {
        let calls = self.read_calls(call_bridge, space, at).await?;
        for placed in calls.iter().filter(|placed| known != Some(&placed.call.id)) {
            call_bridge.read_age(&placed.call.id, at, now).await?;
        }
        Ok(call_bridge.place_all(calls.iter().map(|placed| &placed.call)))
    }

    /// Who is in a call through another call bridge that was lost, and where calls of this meeting are back.
    pub async fn read_on_lost_bridge(
        &self,
        call_bridge: &Arc<CallBridge>,
        call: &CallId,
        space: &SpaceId,
        at: Priority,
    ) -> Result<OnLostBridge, CmsError> {
        let reader = Arc::clone(call_bridge);
        let read: Reader<CallId, Vec<Participant>> =
            Arc::new(move |calls, at| Arc::clone(&reader).read_people(calls, at).boxed());
        let client = call_bridge.client();
        let people = call_bridge.people.ask(&self.env.tasks, &client, call.clone(), at, read).await?;
        let read_one = |person: Participant| {
            let client = client.clone();
            // One that is gone since the list is left out.
            async move { if_there(client.participant(at, &person.id).await) }
        };
        let people = all(people.unwrap_or_default(), read_one).await?;
        let legs = people.into_iter().flatten().map(|person| SeenLeg {
            id: person.id.as_str().into(),
            remote_party: person.uri.unwrap_or_default(),
            original_remote_party: person.original_uri,
            state: person.state,
            direction: None,
            is_named: !person.name.is_empty(),
            was_answered: false,
        });
        let legs = legs.collect();
        let orphans = self.orphan_calls(call_bridge, space);
        Ok(OnLostBridge {
            legs,
            // Of one that is evacuated nobody has left because the new call does not know him yet.
            recovered_with_call: orphans
                .into_iter()
                .filter(|orphan| !orphan.is_evacuated)
                .map(|orphan| orphan.call.call_bridge)
                .collect(),
        })
    }
}

impl CallBridge {
    /// Finds out when a call began, once for each call. Nothing, if it is gone or the bridge does not tell.
    pub(super) async fn read_age(&self, id: &CallId, at: Priority, now: Timestamp) -> Result<(), CmsError> {
        if self.local().began.contains_key(id) {
            return Ok(());
        }
        let asked = tokio::time::Instant::now();
        // Of one whose age is not told nobody knows whose it is.
        let Some(call) = if_there(self.client().call(at, id).await)? else { return Ok(()) };
        // Told when the reply was made, which may be long after the question: there is a queue at the gate.
        let told = now.checked_add(asked.elapsed()).unwrap_or(now);
        let age = call.duration.and_then(|seconds| i64::try_from(seconds).ok()).map(SignedDuration::from_secs);
        if let Some(began) = age.and_then(|age| told.checked_sub(age).ok()) {
            self.local().began.insert(id.clone(), began);
        }
        Ok(())
    }

    /// The legs of one call, without links between call bridges.
    pub async fn read_legs(&self, call: &CallId, at: Priority, now: Timestamp) -> Result<SeenLegs, CmsError> {
        let listing = self.client().call_legs_of(at, call).await?;
        let local = self.local();
        let known = local.legs.as_ref().and_then(|(_, legs)| legs.get(call)).map(Vec::as_slice).unwrap_or_default();
        let people = listing.items.into_iter().filter(|leg| !local.links.contains(&leg.id));
        // What a look at the single leg told stands: nobody tells it a second time.
        let legs = people.map(|leg| {
            let before = known.iter().find(|known| known.id == leg.id);
            seen(leg, before)
        });
        Ok(SeenLegs { at: now, legs: legs.collect() })
    }

    async fn read_calls_on(
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

    /// Who is in these calls through another call bridge: every involved call bridge knows all participants
    /// (cms-protocol.md section 9).
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

/// All at once: the gate limits what is on the wire.
async fn all<K, T, F>(keys: Vec<K>, look: impl Fn(K) -> F) -> Result<Vec<T>, CmsError>
where
    F: Future<Output = Result<T, CmsError>>,
{
    futures::future::try_join_all(keys.into_iter().map(look)).await
}

/// Calls by the space they are on.
pub(super) fn by_space(listing: Listing<Call>) -> BTreeMap<SpaceId, Vec<Call>> {
    let mut calls: BTreeMap<SpaceId, Vec<Call>> = BTreeMap::new();
    for call in listing.items {
        if let Some(space) = call.space.clone() {
            calls.entry(space).or_default().push(call);
        }
    }
    calls
}
