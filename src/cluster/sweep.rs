//! The sweep of a bridge with live meetings: one list of legs, and by turns the list of calls or a few single looks. So
//! one sweep serves all meetings, and while the lists fit one page it costs two requests (requirements.md section 3).
//! Only call bridges that have a call of ours are swept, which is one of them unless a call bridge was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::cache::Cache;
use super::read::by_space;
use super::{CallBridge, Cluster, reading};
use crate::cms::{CallAt, CallId, CallLeg, CmsError, LegId, SpaceId, if_there};
use crate::facts::calls::SeenLeg;
use crate::plan::rounds::{SweepRead, SweepSigns, sweep_read};

/// A meeting that is to be looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepTarget {
    pub space: SpaceId,
    pub call: Option<CallAt>,
    /// Somebody may still be in through a call bridge that was lost.
    pub on_lost_bridge: bool,
}

impl Cluster {
    /// One sweep of one call bridge with the meetings whose calls it has. `turn` counts the sweeps, so that
    /// everything has its turn (`plan/rounds.rs`). What was read before an error is kept.
    pub(super) async fn sweep(
        self: &Arc<Self>,
        at: &Arc<CallBridge>,
        live: &[SweepTarget],
        turn: u64,
        now: Timestamp,
    ) -> Result<(), CmsError> {
        let listing = at.client().call_legs(reading(now)).await?;
        let pages = usize::try_from(listing.pages).unwrap_or(usize::MAX).max(1);
        let calls: BTreeSet<&CallId> = live.iter().filter_map(|live| live.call.as_ref()).map(|call| &call.id).collect();
        let before = at.with_legs(&calls);
        at.take_legs(listing.items, now);
        let after = at.with_legs(&calls);
        for meeting in live.iter().filter(|meeting| meeting.on_lost_bridge) {
            self.sweep_on_lost_bridge(at, meeting, now).await?;
        }
        let unsure = at.unsure_legs(&calls);
        let signs = SweepSigns {
            lost_witness: before.iter().any(|call| !after.contains(call)),
            unwitnessed: after.len() < calls.len(),
            unsure_legs: unsure.len(),
            pages,
            is_clustered: self.is_clustered(),
            live: live.len(),
        };
        match sweep_read(turn, signs) {
            SweepRead::Calls => at.sweep_calls(now).await,
            SweepRead::Rest => Ok(()),
            SweepRead::Remote => at.sweep_remote(now).await,
            SweepRead::System => self.read_system(at).await.map(drop),
            SweepRead::Slots => {
                self.cache().facts.wants_list = true;
                Ok(())
            }
            SweepRead::Singles { legs, spaces } => {
                for id in unsure.into_iter().take(legs) {
                    at.read_leg(&id, now).await?;
                }
                let have_turn = at.take_turns(live, spaces, turn);
                for space in have_turn {
                    self.glance_at(space, now).await?;
                }
                Ok(())
            }
        }
    }

    async fn sweep_on_lost_bridge(
        &self,
        at: &Arc<CallBridge>,
        meeting: &SweepTarget,
        now: Timestamp,
    ) -> Result<(), CmsError> {
        let Some(call) = &meeting.call else { return Ok(()) };
        // If the call is gone, the list of calls tells.
        let found = if_there(self.read_on_lost_bridge(at, &call.id, &meeting.space, reading(now)).await)?;
        let Some(found) = found else { return Ok(()) };
        self.cache().on_lost_bridge.insert(meeting.space.clone(), (now, found));
        Ok(())
    }

    /// The live meetings of which the looks show something else than last time.
    pub(super) fn take_changed(&self, live: &[SweepTarget]) -> Vec<SpaceId> {
        let mut changed = Vec::new();
        let mut digests = BTreeMap::new();
        for meeting in live {
            let Some(call) = &meeting.call else { continue };
            let Some(call_bridge) = self.call_bridge(&call.call_bridge) else {
                changed.push(meeting.space.clone()); // Its call bridge was taken out of the spec: it needs another one.
                continue;
            };
            let mut hasher = std::hash::DefaultHasher::new();
            for orphan in self.orphan_calls(&call_bridge, &meeting.space) {
                (orphan.call.call.id, orphan.call.began, orphan.is_empty).hash(&mut hasher);
            }
            let began = call_bridge.digest_calls(&meeting.space, &call.id, &mut hasher);
            let mut cache = self.cache();
            cache.digest(meeting, &mut hasher);
            let digest = hasher.finish();
            let is_awaited = cache.last_dial_at.get(&meeting.space).is_some_and(|at| began > Some(*at));
            if is_awaited {
                cache.last_dial_at.remove(&meeting.space);
            }
            if is_awaited || cache.digests.get(&meeting.space) != Some(&digest) {
                changed.push(meeting.space.clone());
            }
            digests.insert(meeting.space.clone(), digest);
        }
        self.cache().digests = digests;
        changed
    }
}

impl Cache {
    /// What the cluster's database shows of one meeting.
    fn digest(&self, meeting: &SweepTarget, hasher: &mut impl Hasher) {
        if let Some((_, people)) = self.on_lost_bridge.get(&meeting.space).filter(|_| meeting.on_lost_bridge) {
            format!("{people:?}").hash(hasher);
        }
        let slots = self.facts.slots.known();
        let space = slots.and_then(|slots| slots.number(&meeting.space).and_then(|number| slots.space(number)));
        if let Some(space) = space {
            (&space.name, space.non_member_access, &space.cdr_tag, space.access_methods).hash(hasher);
            (&space.call_profile, &space.call_leg_profile).hash(hasher);
            let secret = |value: &Option<SecretString>| value.as_ref().map(|value| value.expose_secret().to_owned());
            (secret(&space.passcode), secret(&space.secret)).hash(hasher);
        }
    }
}

impl CallBridge {
    /// Spaces of the meetings here that have their turn: those that had it longest ago. One that fails has had it.
    fn take_turns<'a>(&self, live: &'a [SweepTarget], count: usize, turn: u64) -> Vec<&'a SpaceId> {
        let mut spaces: Vec<&SpaceId> = live.iter().map(|meeting| &meeting.space).collect();
        let had = &mut self.local().space_turns;
        had.retain(|space, _| spaces.contains(&space));
        spaces.sort_by_key(|space| (had.get(*space).copied(), *space));
        spaces.truncate(count);
        had.extend(spaces.iter().map(|space| ((*space).clone(), turn)));
        spaces
    }

    /// Those of the calls that are known to have legs.
    fn with_legs(&self, calls: &BTreeSet<&CallId>) -> BTreeSet<CallId> {
        let local = self.local();
        let legs = local.legs.as_ref().map(|(_, legs)| legs);
        let has_legs = |call: &&CallId| legs.is_some_and(|legs| legs.contains_key(*call));
        calls.iter().copied().filter(has_legs).cloned().collect()
    }

    /// What the sweeps show of calls and legs of one meeting. Returns when the list of legs was asked for.
    fn digest_calls(&self, space: &SpaceId, call: &CallId, hasher: &mut impl Hasher) -> Option<Timestamp> {
        let local = self.local();
        // That there is no call is something else than not to know.
        local.calls.is_some().hash(hasher);
        for call in local.calls.iter().filter_map(|(_, calls)| calls.get(space)).flatten() {
            call.id.hash(hasher);
        }
        local.remote.get(call).hash(hasher);
        let (at, legs) = local.legs.as_ref()?;
        for leg in legs.get(call).into_iter().flatten() {
            (&leg.id, leg.was_answered, format!("{:?}", leg.state)).hash(hasher);
        }
        Some(*at)
    }

    /// Counts those who are in the calls through other call bridges: an involved call bridge knows all participants
    /// (cms-protocol.md section 9).
    async fn sweep_remote(&self, now: Timestamp) -> Result<(), CmsError> {
        let listing = self.client().participants(reading(now)).await?;
        let mut remote: BTreeMap<CallId, u32> = BTreeMap::new();
        for person in listing.items.into_iter().filter(|person| person.call_bridge.is_some()) {
            if let Some(call) = person.call {
                let count = remote.entry(call).or_default();
                *count = count.saturating_add(1);
            }
        }
        self.local().remote = remote;
        Ok(())
    }

    /// Reads the list of calls.
    pub(super) async fn sweep_calls(&self, now: Timestamp) -> Result<(), CmsError> {
        let listing = self.client().calls(reading(now), None).await?;
        let mut local = self.local();
        local.call_pages = listing.pages;
        // What is not kept of a call that is missing here only costs a look more.
        let listed: BTreeSet<&CallId> = listing.items.iter().map(|call| &call.id).collect();
        local.made.retain(|id, _| listed.contains(id));
        local.began.retain(|id, _| listed.contains(id));
        local.calls = Some((now, by_space(listing)));
        Ok(())
    }

    /// Works a list of legs into memory, keeping what single looks told about legs that are still there.
    pub(super) fn take_legs(&self, items: Vec<CallLeg>, now: Timestamp) {
        let mut local = self.local();
        let known = local.legs.take().into_iter().flat_map(|(_, legs)| legs.into_values().flatten());
        let before: BTreeMap<LegId, SeenLeg> = known.map(|leg| (leg.id.clone(), leg)).collect();
        let mut legs: BTreeMap<CallId, Vec<SeenLeg>> = BTreeMap::new();
        for item in items {
            if local.links.contains(&item.id) {
                continue;
            }
            let Some(call) = item.call.clone() else { continue };
            let old = before.get(&item.id);
            legs.entry(call).or_default().push(seen(item, old));
        }
        let there: BTreeSet<&LegId> = legs.values().flatten().map(|leg| &leg.id).collect();
        local.leg_read_at.retain(|id, _| there.contains(id));
        local.legs = Some((now, legs));
    }

    /// Legs of these calls of which nobody knows yet whether they were answered. Who was looked at longest ago comes first:
    /// one that rings on and on keeps nobody else from being looked at.
    pub(super) fn unsure_legs(&self, calls: &BTreeSet<&CallId>) -> Vec<LegId> {
        let local = self.local();
        let Some((_, legs)) = &local.legs else { return Vec::new() };
        let of_calls = legs.iter().filter(|(call, _)| calls.contains(call)).flat_map(|(_, legs)| legs);
        let mut unsure: Vec<LegId> = of_calls.filter(|leg| !leg.is_connected()).map(|leg| leg.id.clone()).collect();
        unsure.sort_by_key(|id| local.leg_read_at.get(id).copied());
        unsure
    }

    pub(super) async fn read_leg(&self, id: &LegId, now: Timestamp) -> Result<(), CmsError> {
        self.local().leg_read_at.insert(id.clone(), now);
        // One that is gone since the list shows in the next sweep; where there are only lists, they must do.
        let (client, told) = (self.client(), self.client().call_leg(reading(now), id).await);
        let Some(leg) = client.unless_unknown(reading(now), told).await? else { return Ok(()) };
        let mut local = self.local();
        // A link between two call bridges is not a person.
        if leg.sub_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("distributionLink")) {
            if let Some((_, legs)) = &mut local.legs {
                legs.values_mut().for_each(|legs| legs.retain(|known| known.id != *id));
            }
            local.links.insert(id.clone());
            return Ok(());
        }
        if let Some((_, legs)) = &mut local.legs
            && let Some(known) = legs.values_mut().flatten().find(|known| known.id == *id)
        {
            known.state = leg.state;
            known.direction = leg.direction;
        }
        Ok(())
    }
}

/// A leg of a list, with what looks at it alone have told.
pub(super) fn seen(item: CallLeg, old: Option<&SeenLeg>) -> SeenLeg {
    let is_named = !item.name.is_empty();
    SeenLeg {
        was_answered: old.is_some_and(|old| old.was_answered || (!old.is_named && is_named)),
        state: item.state.or_else(|| old.and_then(|old| old.state.clone())),
        direction: item.direction.or_else(|| old.and_then(|old| old.direction.clone())),
        original_remote_party: item.original_remote_party.filter(|party| !party.is_empty()),
        remote_party: item.remote_party,
        id: item.id,
        is_named,
    }
}

#[cfg(test)]
mod tests;
