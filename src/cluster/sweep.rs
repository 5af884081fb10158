//! The sweep of a bridge with live meetings: one list of legs, and by turns the list of calls or a few single looks. So
//! one sweep serves all meetings, and while the lists fit one page it costs two requests (requirements.md section 6).
//! Only call bridges that have a call of ours are swept, which is one of them unless a call bridge was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::call_bridge::CallBridge;
use super::read::by_space;
use super::{Cluster, reading};
use crate::cms::{CallAt, CallId, CallLeg, CmsError, LegId, SpaceId};
use crate::plan::participants::SeenLeg;

/// Most calls, and most legs, that one inspection looks at one by one; the next one goes on.
const MOST_UNKNOWN: usize = 50;

/// A meeting that is to be looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub space: SpaceId,
    pub call: Option<CallAt>,
    /// Somebody may still be in through a call bridge that was lost.
    pub elsewhere: bool,
}

/// One sweep of one call bridge with the meetings whose calls it has. `turn` counts the sweeps, so that single looks go
/// round.
///
/// # Errors
/// What the bridge or the gate says; what was read before the error is kept.
pub async fn sweep(
    cluster: &Arc<Cluster>,
    call_bridge: &Arc<CallBridge>,
    live: &[Live],
    turn: u64,
    now: Timestamp,
) -> Result<(), CmsError> {
    let at = reading(now);
    let listing = call_bridge.client().call_legs(at).await?;
    let pages = usize::try_from(listing.pages).unwrap_or(usize::MAX).max(1);
    let calls: BTreeSet<&CallId> = live.iter().filter_map(|live| live.call.as_ref()).map(|call| &call.id).collect();
    let witnessed = || -> BTreeSet<CallId> {
        let local = call_bridge.local();
        let legs = local.legs.as_ref().map(|(_, legs)| legs);
        calls
            .iter()
            .filter(|call| legs.is_some_and(|legs| legs.contains_key(**call)))
            .map(|call| (*call).clone())
            .collect()
    };
    let before = witnessed();
    take_legs(call_bridge, listing.items, now);
    let after = witnessed();
    for meeting in live.iter().filter(|meeting| meeting.elsewhere) {
        sweep_elsewhere(cluster, call_bridge, meeting, now).await?;
    }
    // A call without legs shows only in the list of calls: every other sweep, or at once when its last leg went (the
    // bridge may have been restarted). Otherwise a sweep looks at single objects.
    let lost = before.iter().any(|call| !after.contains(call));
    if lost || (turn.is_multiple_of(2) && after.len() < calls.len()) {
        return sweep_calls(call_bridge, now).await;
    }
    let unsure = unsure_legs(call_bridge, &calls);
    if unsure.is_empty() && turn % 4 == 1 && cluster.is_clustered() {
        return sweep_remote(call_bridge, now).await;
    }
    let (looked_at, budget) = if unsure.is_empty() { (0, pages) } else { (unsure.len().min(pages), pages) };
    for id in unsure.into_iter().take(budget) {
        look_leg(call_bridge, &id, now).await?;
    }
    let rest = budget.saturating_sub(looked_at);
    let start = usize::try_from(turn / 2).unwrap_or(0).wrapping_mul(rest.max(1));
    for index in 0..rest.min(live.len()) {
        let Some(live) = live.get(start.wrapping_add(index) % live.len().max(1)) else { break };
        cluster.look_space(&live.space, at, now).await?;
    }
    Ok(())
}

/// Counts those who are in the calls through other call bridges: an involved call bridge knows all participants
/// (cms-api.md section 9).
async fn sweep_remote(call_bridge: &CallBridge, now: Timestamp) -> Result<(), CmsError> {
    let listing = call_bridge.client().participants(reading(now)).await?;
    let mut remote: BTreeMap<CallId, u32> = BTreeMap::new();
    for person in listing.items.into_iter().filter(|person| person.call_bridge.is_some()) {
        if let Some(call) = person.call {
            let count = remote.entry(call).or_default();
            *count = count.saturating_add(1);
        }
    }
    call_bridge.local().remote = remote;
    Ok(())
}

/// Reads the list of calls of one call bridge.
///
/// # Errors
/// What the bridge or the gate says.
pub async fn sweep_calls(call_bridge: &CallBridge, now: Timestamp) -> Result<(), CmsError> {
    let listing = call_bridge.client().calls(reading(now), None).await?;
    let mut local = call_bridge.local();
    local.call_pages = listing.pages;
    local.calls = Some((now, by_space(listing)));
    Ok(())
}

/// Looks for calls that were left on a call bridge while it could not be reached, or while we were away, and who is in
/// them. `live` are the meetings whose calls are known.
///
/// # Errors
/// What the bridge or the gate says.
pub async fn inspect(
    call_bridge: &CallBridge,
    live: &[Live],
    is_ours: impl Fn(&SpaceId) -> bool,
    now: Timestamp,
) -> Result<(), CmsError> {
    sweep_calls(call_bridge, now).await?;
    let listed = call_bridge.local().calls.as_ref().map(|(_, calls)| calls.clone()).unwrap_or_default();
    let ours = listed.into_iter().filter(|(space, _)| is_ours(space));
    let calls: Vec<CallId> = ours.flat_map(|(_, calls)| calls).map(|call| call.id).collect();
    if calls.is_empty() {
        call_bridge.local().legs = Some((now, BTreeMap::new()));
    } else {
        let listing = call_bridge.client().call_legs(reading(now)).await?;
        take_legs(call_bridge, listing.items, now);
        // Of those that nobody knows: how old each is, and which of its legs are people.
        let is_known = |id: &&CallId| live.iter().any(|live| live.call.as_ref().is_some_and(|call| call.id == **id));
        let unknown: BTreeSet<&CallId> = calls.iter().filter(|id| !is_known(id)).take(MOST_UNKNOWN).collect();
        for call in &unknown {
            call_bridge.look_age(call, reading(now), now).await?;
        }
        for leg in unsure_legs(call_bridge, &unknown).into_iter().take(MOST_UNKNOWN) {
            look_leg(call_bridge, &leg, now).await?;
        }
    }
    call_bridge.local().inspect = false;
    Ok(())
}

async fn sweep_elsewhere(
    cluster: &Arc<Cluster>,
    call_bridge: &Arc<CallBridge>,
    meeting: &Live,
    now: Timestamp,
) -> Result<(), CmsError> {
    let Some(call) = &meeting.call else { return Ok(()) };
    let mut found = match call_bridge.look_elsewhere(&call.id, reading(now)).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(()), // The call is gone; the list of calls tells.
        Err(error) => return Err(error),
    };
    found.standing =
        cluster.strays(call_bridge, &meeting.space).into_iter().map(|stray| stray.call.call_bridge).collect();
    cluster.memory().elsewhere.insert(meeting.space.clone(), (now, found));
    Ok(())
}

/// The live meetings of which the looks show something else than last time.
pub fn changed(cluster: &Cluster, live: &[Live]) -> Vec<SpaceId> {
    let mut changed = Vec::new();
    let mut digests = BTreeMap::new();
    for meeting in live {
        let call_bridge = meeting.call.as_ref().and_then(|call| cluster.call_bridge(&call.call_bridge));
        let Some(call_bridge) = call_bridge else {
            if meeting.call.is_some() {
                changed.push(meeting.space.clone()); // Its call bridge was taken out of the spec: it needs another one.
            }
            continue;
        };
        let strays = cluster.strays(&call_bridge, &meeting.space);
        let mut hasher = std::hash::DefaultHasher::new();
        for stray in strays {
            (stray.call.call.id, stray.call.began, stray.empty).hash(&mut hasher);
        }
        let began = digest_calls(&call_bridge, meeting, &mut hasher);
        let mut memory = cluster.memory();
        if let Some((_, people)) = memory.elsewhere.get(&meeting.space).filter(|_| meeting.elsewhere) {
            format!("{people:?}").hash(&mut hasher);
        }
        let space = memory.world.pool.known().and_then(|pool| pool.number(&meeting.space).and_then(|n| pool.space(n)));
        if let Some(space) = space {
            (&space.name, space.non_member_access, &space.cdr_tag).hash(&mut hasher);
            let secret = |value: &Option<secrecy::SecretString>| value.as_ref().map(|v| v.expose_secret().to_owned());
            (secret(&space.passcode), secret(&space.secret)).hash(&mut hasher);
        }
        let digest = hasher.finish();
        let awaited = memory.dialled.get(&meeting.space).is_some_and(|at| began > Some(*at));
        if awaited {
            memory.dialled.remove(&meeting.space);
        }
        if awaited || memory.digests.get(&meeting.space) != Some(&digest) {
            changed.push(meeting.space.clone());
        }
        digests.insert(meeting.space.clone(), digest);
    }
    cluster.memory().digests = digests;
    changed
}

/// What the sweeps show of calls and legs of one meeting. Returns when the list of legs was asked for.
fn digest_calls(call_bridge: &CallBridge, meeting: &Live, hasher: &mut impl Hasher) -> Option<Timestamp> {
    let local = call_bridge.local();
    // That there is no call is something else than not to know.
    local.calls.is_some().hash(hasher);
    for call in local.calls.iter().filter_map(|(_, calls)| calls.get(&meeting.space)).flatten() {
        call.id.hash(hasher);
    }
    let call = meeting.call.as_ref().map(|call| &call.id);
    call.and_then(|call| local.remote.get(call)).hash(hasher);
    let (at, legs) = local.legs.as_ref()?;
    let legs = meeting.call.as_ref().and_then(|call| legs.get(&call.id));
    for leg in legs.into_iter().flatten() {
        (&leg.id, leg.answered, format!("{:?}", leg.state)).hash(hasher);
    }
    Some(*at)
}

/// Works a list of legs into memory, keeping what single looks told about legs that are still there.
fn take_legs(call_bridge: &CallBridge, items: Vec<CallLeg>, now: Timestamp) {
    let mut local = call_bridge.local();
    let before: BTreeMap<LegId, SeenLeg> = local
        .legs
        .take()
        .into_iter()
        .flat_map(|(_, legs)| legs.into_values().flatten())
        .map(|leg| (leg.id.clone(), leg))
        .collect();
    let mut legs: BTreeMap<CallId, Vec<SeenLeg>> = BTreeMap::new();
    for item in items {
        if local.links.contains(&item.id) {
            continue;
        }
        let Some(call) = item.call.clone() else { continue };
        let old = before.get(&item.id);
        legs.entry(call).or_default().push(seen(item, old));
    }
    local.legs = Some((now, legs));
}

fn seen(item: CallLeg, old: Option<&SeenLeg>) -> SeenLeg {
    let named = !item.name.is_empty();
    SeenLeg {
        answered: old.is_some_and(|old| old.answered || (!old.named && named)),
        state: item.state.or_else(|| old.and_then(|old| old.state.clone())),
        direction: item.direction.or_else(|| old.and_then(|old| old.direction.clone())),
        original_remote_party: item.original_remote_party.filter(|party| !party.is_empty()),
        remote_party: item.remote_party,
        id: item.id,
        named,
    }
}

/// Legs of our calls of which nobody knows yet whether they were answered.
fn unsure_legs(call_bridge: &CallBridge, calls: &BTreeSet<&CallId>) -> Vec<LegId> {
    use crate::cms::LegState::{Connected, OnHold};
    let local = call_bridge.local();
    let Some((_, legs)) = &local.legs else { return Vec::new() };
    legs.iter()
        .filter(|(call, _)| calls.contains(call))
        .flat_map(|(_, legs)| legs)
        .filter(|leg| !leg.answered && !matches!(leg.state, Some(Connected | OnHold)))
        .map(|leg| leg.id.clone())
        .collect()
}

async fn look_leg(call_bridge: &CallBridge, id: &LegId, now: Timestamp) -> Result<(), CmsError> {
    let leg = match call_bridge.client().call_leg(reading(now), id).await {
        Ok(leg) => leg,
        Err(error) if error.is_not_found() => return Ok(()), // Gone since the list; the next sweep shows it.
        Err(error) => return Err(error),
    };
    let mut local = call_bridge.local();
    // A cluster between two call bridges is not a person.
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
