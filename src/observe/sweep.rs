//! The sweep of a bridge with live meetings: one list of legs, and by turns the list of calls or a few single looks. So
//! one sweep serves all meetings, and while the lists fit one page it costs two requests (requirements.md section 6).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::link::{Link, by_space, reading};
use crate::cms::{CallId, CallLeg, CmsError, LegId, SpaceId};
use crate::plan::meeting::Seen;
use crate::plan::participants::SeenLeg;

/// A meeting that is to be looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub space: SpaceId,
    pub call: Option<CallId>,
}

/// One sweep. `turn` counts the sweeps, so that single looks go round.
///
/// # Errors
/// What the bridge or the gate says; what was read before the error is kept.
pub async fn sweep(link: &Arc<Link>, live: &[Live], turn: u64, now: Timestamp) -> Result<(), CmsError> {
    let client = link.client();
    let at = reading(now);
    let listing = client.call_legs(at).await?;
    let pages = usize::try_from(listing.pages).unwrap_or(usize::MAX).max(1);
    let calls: BTreeSet<&CallId> = live.iter().filter_map(|live| live.call.as_ref()).collect();
    let witnessed = |link: &Link| -> BTreeSet<CallId> {
        let memory = link.memory();
        let legs = memory.legs.as_ref().map(|(_, legs)| legs);
        calls
            .iter()
            .filter(|call| legs.is_some_and(|legs| legs.contains_key(**call)))
            .map(|call| (*call).clone())
            .collect()
    };
    let before = witnessed(link);
    take_legs(link, listing.items, now);
    let after = witnessed(link);
    // A call without legs shows only in the list of calls: every other sweep, or at once when its last leg went (the
    // bridge may have been restarted). Otherwise a sweep looks at single objects.
    let lost = before.iter().any(|call| !after.contains(call));
    if lost || (turn.is_multiple_of(2) && after.len() < calls.len()) {
        return sweep_calls(link, now).await;
    }
    let unsure = unsure_legs(link, &calls);
    let (looked_at, budget) = if unsure.is_empty() { (0, pages) } else { (unsure.len().min(pages), pages) };
    for id in unsure.into_iter().take(budget) {
        look_leg(link, &id, now).await?;
    }
    let rest = budget.saturating_sub(looked_at);
    let start = usize::try_from(turn / 2).unwrap_or(0).wrapping_mul(rest.max(1));
    for index in 0..rest.min(live.len()) {
        let Some(live) = live.get(start.wrapping_add(index) % live.len().max(1)) else { break };
        link.look_space(&live.space, at, now).await?;
    }
    Ok(())
}

/// Reads the list of calls.
///
/// # Errors
/// What the bridge or the gate says.
pub async fn sweep_calls(link: &Arc<Link>, now: Timestamp) -> Result<(), CmsError> {
    let listing = link.client().calls(reading(now), None).await?;
    let mut memory = link.memory();
    memory.call_pages = listing.pages;
    memory.world.calls = Seen::Known(listing.items.clone());
    memory.calls = Some((now, by_space(listing)));
    Ok(())
}

/// The live meetings of which the looks show something else than last time.
pub fn changed(link: &Link, live: &[Live]) -> Vec<SpaceId> {
    let mut memory = link.memory();
    let mut changed = Vec::new();
    let mut digests = BTreeMap::new();
    for meeting in live {
        let calls = memory.calls.as_ref().and_then(|(_, calls)| calls.get(&meeting.space)).cloned().unwrap_or_default();
        let legs = meeting.call.as_ref().and_then(|call| memory.legs.as_ref().and_then(|(_, legs)| legs.get(call)));
        let space = memory.world.pool.known().and_then(|pool| pool.number(&meeting.space).and_then(|n| pool.space(n)));
        let mut hasher = std::hash::DefaultHasher::new();
        for call in &calls {
            call.id.hash(&mut hasher);
        }
        for leg in legs.into_iter().flatten() {
            (&leg.id, leg.answered, format!("{:?}", leg.state)).hash(&mut hasher);
        }
        if let Some(space) = space {
            (&space.name, space.non_member_access, &space.cdr_tag).hash(&mut hasher);
            let secret = |value: &Option<secrecy::SecretString>| value.as_ref().map(|v| v.expose_secret().to_owned());
            (secret(&space.passcode), secret(&space.secret)).hash(&mut hasher);
        }
        let digest = hasher.finish();
        let began = memory.legs.as_ref().map(|(at, _)| *at);
        let awaited = memory.dialled.get(&meeting.space).is_some_and(|at| began > Some(*at));
        if awaited {
            memory.dialled.remove(&meeting.space);
        }
        if awaited || memory.digests.get(&meeting.space) != Some(&digest) {
            changed.push(meeting.space.clone());
        }
        digests.insert(meeting.space.clone(), digest);
    }
    memory.digests = digests;
    changed
}

/// Works a list of legs into memory, keeping what single looks told about legs that are still there.
fn take_legs(link: &Link, items: Vec<CallLeg>, now: Timestamp) {
    let mut memory = link.memory();
    let before: BTreeMap<LegId, SeenLeg> = memory
        .legs
        .take()
        .into_iter()
        .flat_map(|(_, legs)| legs.into_values().flatten())
        .map(|leg| (leg.id.clone(), leg))
        .collect();
    let mut legs: BTreeMap<CallId, Vec<SeenLeg>> = BTreeMap::new();
    for item in items {
        // A link between two call bridges is not a person.
        if item.sub_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("distributionLink")) {
            continue;
        }
        let Some(call) = item.call.clone() else { continue };
        let old = before.get(&item.id);
        legs.entry(call).or_default().push(seen(item, old));
    }
    memory.legs = Some((now, legs));
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
fn unsure_legs(link: &Link, calls: &BTreeSet<&CallId>) -> Vec<LegId> {
    use crate::cms::LegState::{Connected, OnHold};
    let memory = link.memory();
    let Some((_, legs)) = &memory.legs else { return Vec::new() };
    legs.iter()
        .filter(|(call, _)| calls.contains(call))
        .flat_map(|(_, legs)| legs)
        .filter(|leg| !leg.answered && !matches!(leg.state, Some(Connected | OnHold)))
        .map(|leg| leg.id.clone())
        .collect()
}

async fn look_leg(link: &Link, id: &LegId, now: Timestamp) -> Result<(), CmsError> {
    let leg = match link.client().call_leg(reading(now), id).await {
        Ok(leg) => leg,
        Err(error) if error.is_not_found() => return Ok(()), // Gone since the list; the next sweep shows it.
        Err(error) => return Err(error),
    };
    let mut memory = link.memory();
    if let Some((_, legs)) = &mut memory.legs
        && let Some(known) = legs.values_mut().flatten().find(|known| known.id == *id)
    {
        known.state = leg.state;
        known.direction = leg.direction;
    }
    Ok(())
}
