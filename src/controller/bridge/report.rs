//! The status that a pass over a bridge comes to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;

use super::Site;
use crate::api::bridge::{
    BookingsStatus, CallBridgeRole, CallBridgeStatus, DayStatus, MaintenanceMode, MeetingBridgeStatus, SlotEntry,
    SlotState, SlotsStatus,
};
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::{FAILBACK_ANNOTATION, ObjectKey, RECONCILE_ANNOTATION};
use crate::api::values::Instant;
use crate::api::{MeetingBridge, find, is_true};
use crate::cluster::{CallBridgeView, Cluster};
use crate::cms::{CmsError, ErrorClass, SpaceId};
use crate::controller::context::Context;
use crate::facts::slots::SlotSpaces;
use crate::metrics::BridgeLabels;
use crate::plan::bridge::{BridgeProgress, numbers};
use crate::plan::calendar::Peak;
use crate::plan::failover::Membership;
use crate::status::bounds::bound;
use crate::status::bridge::{Report, UnusableAlternate, build, system_info};

/// The new status, within what the schema allows.
pub fn status(ctx: &Context, bridge: &MeetingBridge, progress: &BridgeProgress, site: &Site) -> MeetingBridgeStatus {
    let mut status = whole_status(ctx, bridge, progress, site);
    bound(&mut status);
    status
}

fn whole_status(ctx: &Context, bridge: &MeetingBridge, progress: &BridgeProgress, site: &Site) -> MeetingBridgeStatus {
    let now = ctx.clock.now();
    let old = bridge.status.clone().unwrap_or_default();
    let mut draft = old.clone();
    draft.profiles = progress.record.profiles.clone();
    draft.settings_profiles = progress.record.settings.clone();
    draft.contests = progress.contests.to_vec();
    let members = progress.cluster.as_ref().map(|cluster| cluster.members.as_slice()).unwrap_or_default();
    let views = site.cluster.as_ref().map(|cluster| cluster.overview(members)).unwrap_or_default();
    if let Some(cluster) = &site.cluster {
        draft.active_call_bridge = Some(cluster.active().address().to_string());
        draft.call_bridges = views.iter().map(|view| status_of(view, &old.call_bridges)).collect();
    }
    if progress.awaiting_verdict && draft.slots.is_some() {
        // What was true is not known to be wrong; the next pass judges it.
        if let Some(slots) = &mut draft.slots {
            slots.parameter_sets.clone_from(&progress.record.sets);
        }
        return draft;
    }
    draft.plan.clone_from(&progress.plan);
    draft.last_handled_reconcile_at = bridge.annotations().get(RECONCILE_ANNOTATION).cloned();
    draft.last_handled_failback_at = handled_failback(bridge, &old, site.cluster.as_deref());
    // As long as nothing was read at an edited address, it tells where everything was made.
    draft.cluster = progress.cluster.clone().or_else(|| progress.made_on.clone());
    draft.bookings = Some(bookings(ctx, bridge, now));
    let (mut has_answered, mut skew, mut taken, mut stuck) = (false, None, Vec::new(), Vec::new());
    if let Some(cluster) = &site.cluster {
        has_answered = cluster.has_answered();
        if let Some((at, system)) = &cluster.system() {
            draft.system = Some(system_info(*at, system, old.system.as_ref()));
            skew = system.cdr_time.map(|time| time.duration_since(*at));
        }
        let held = ctx.bookings.held(&ObjectKey::of(bridge)).into_keys().collect();
        taken = cluster.with_slots(|spaces| taken_numbers(bridge, spaces, &held)).unwrap_or_default();
        stuck = cluster.with_slots(|spaces| stuck_slots(bridge, spaces, &held)).unwrap_or_default();
        let listed = cluster.with_slots(|spaces| slots(ctx, bridge, progress, spaces));
        // Not read yet in this process: what was known stands.
        draft.slots = Some(listed.unwrap_or_else(|| old.slots.clone().unwrap_or_default()));
    }
    if let Some(slots) = &mut draft.slots {
        slots.parameter_sets.clone_from(&progress.record.sets);
    }
    let is_growing = progress.record.sets.iter().any(|set| !set.synced);
    let has_pool = is_growing
        && progress.record.sets.iter().any(|set| set.synced)
        && draft.slots.as_ref().is_some_and(|slots| slots.total > 0);
    let was_provisioned = is_true(&old.conditions, types::SLOTS_PROVISIONED);
    let known = Report {
        progress,
        draft,
        has_answered,
        taken,
        stuck,
        has_pool,
        is_provisioned: progress.is_settled
            || (was_provisioned
                && (!progress.is_well()
                    || progress.stands_so_far()
                    || progress.is_trying_blocked
                    || progress.former_address.is_some())),
        skew,
        unreadable: site.cluster.as_deref().map(unreadable).unwrap_or_default(),
        failed_over: site.cluster.as_deref().and_then(failed_over),
        unusable: site
            .unusable
            .iter()
            .cloned()
            .chain(site.cluster.as_deref().and_then(not_relieved))
            .chain(views.iter().filter_map(unusable))
            .collect(),
        unproven: site.unresolved.iter().cloned().chain(views.iter().filter_map(unproven)).collect(),
    };
    build(&known, &old, bridge.metadata.generation, now)
}

/// Which certificates of the CA bundle cannot be read.
fn unreadable(cluster: &Cluster) -> Vec<usize> {
    cluster.active().client().unreadable_certificates().to_vec()
}

/// A request for the failback is kept until the primary could take over.
fn handled_failback(bridge: &MeetingBridge, old: &MeetingBridgeStatus, cluster: Option<&Cluster>) -> Option<String> {
    let waits = cluster.is_some_and(|cluster| cluster.health_table().has_failed_over());
    let asked = bridge.annotations().get(FAILBACK_ANNOTATION).cloned();
    if waits { old.last_handled_failback_at.clone() } else { asked }
}

fn status_of(view: &CallBridgeView, old: &[CallBridgeStatus]) -> CallBridgeStatus {
    let error = view.health.error();
    let (used, is_accepted) = &view.credentials;
    let before = || {
        let old = old.iter().find(|old| old.address == view.address.to_string())?;
        old.accepted_credentials.clone().filter(|accepted| accepted == used)
    };
    let accepted_credentials = match is_accepted {
        Some(true) => Some(used.clone()),
        Some(false) => None,
        None => before(),
    };
    let is_known = view.health.is_known() || error.is_some();
    CallBridgeStatus {
        address: view.address.to_string(),
        role: view.role,
        call_bridge_id: view.id.clone(),
        reachable: is_known.then(|| !error.is_some_and(CmsError::is_connection_failure)),
        maintenance: Some(view.maintenance).filter(|mode| *mode != MaintenanceMode::None),
        reason: error.map(|error| error.reason().to_owned()),
        accepted_credentials,
    }
}

/// Which call bridge does the primary's work, and what is wrong with the primary.
fn failed_over(cluster: &Cluster) -> Option<(&'static str, String)> {
    let table = cluster.health_table();
    if !table.has_failed_over() {
        return None;
    }
    let primary = table.iter().next()?;
    let (reason, why) = match primary.health.error() {
        Some(error) => (reason::PRIMARY_LOST, error.to_string()),
        None if primary.maintenance != MaintenanceMode::None => {
            (reason::MAINTENANCE, "it is in maintenance (spec.maintenance)".to_owned())
        }
        None => (reason::PRIMARY_LOST, "it is good again".to_owned()),
    };
    Some((reason, format!("requests go to {}; the primary {}: {why}", table.active(), primary.address)))
}

/// The active call bridge is in maintenance, and still does the work.
fn not_relieved(cluster: &Cluster) -> Option<UnusableAlternate> {
    let table = cluster.health_table();
    let active = table.get(table.active()).filter(|active| active.maintenance != MaintenanceMode::None)?;
    Some(UnusableAlternate {
        name: active.address.to_string(),
        reason: reason::MAINTENANCE_WAITS,
        message: "it is in maintenance, but no other call bridge is good: meetings still start here".to_owned(),
    })
}

/// Why an alternate cannot be used, as it said itself.
fn unusable(view: &CallBridgeView) -> Option<UnusableAlternate> {
    let is_refused = view.health.error().is_some_and(|error| error.class() == ErrorClass::Auth);
    let (reason, message) = if view.role != CallBridgeRole::Alternate {
        return None;
    } else if view.is_stranger {
        (reason::ALTERNATE_NOT_IN_CLUSTER, "its table of call bridges names none of this cluster".to_owned())
    } else if view.is_primary_itself {
        (reason::ALTERNATE_IS_PRIMARY, "it is the call bridge of spec.address itself".to_owned())
    } else if is_refused {
        (reason::ALTERNATE_CREDENTIALS_INVALID, CmsError::Unauthorized.to_string())
    } else {
        return None;
    };
    Some(UnusableAlternate { name: view.address.to_string(), reason, message })
}

/// An alternate of which nothing has proven yet that it is of this cluster.
fn unproven(view: &CallBridgeView) -> Option<String> {
    let is_it = view.role == CallBridgeRole::Alternate && view.membership == Membership::Unproven;
    is_it.then(|| view.address.to_string())
}

fn bookings(ctx: &Context, bridge: &MeetingBridge, now: Timestamp) -> BookingsStatus {
    let summary = ctx.bookings.summary(&ObjectKey::of(bridge), now);
    BookingsStatus {
        next_seven_days: summary.next_seven_days,
        peak_concurrent: summary.peak_concurrent,
        next_start: summary.next_start.map(Into::into),
        days: summary.peaks.into_iter().map(day).collect(),
    }
}

fn day(peak: Peak) -> DayStatus {
    DayStatus { date: peak.date.to_string(), peak: peak.meetings, from: Instant(peak.from) }
}

fn slots(ctx: &Context, bridge: &MeetingBridge, progress: &BridgeProgress, spaces: &SlotSpaces) -> SlotsStatus {
    let mut slots = SlotsStatus::default();
    let holders = ctx.bookings.holders(&ObjectKey::of(bridge));
    let held = holders.keys().copied().collect();
    let mut foreign = spaces.foreign(&held);
    // Of no use to anybody, as if they were somebody else's.
    foreign.extend(spaces.stuck(&held).map(|(number, _)| number));
    // A meeting runs there whose object was not looked at yet (a restore without status), or nobody shut it.
    let left_open: BTreeSet<u32> = spaces.left_open(&held).collect();
    let range = numbers(&bridge.spec).ok();
    let is_wanted = |number: u32| range.as_ref().is_some_and(|range| range.contains(&number));
    let mut entries: BTreeMap<u32, SlotEntry> = BTreeMap::new();
    let mut note = |number: u32, space: Option<&SpaceId>, state: SlotState| {
        let meeting = holders.get(&number).cloned();
        let space_id = space.map(ToString::to_string);
        entries.insert(number, SlotEntry { number, space_id, state, meeting });
    };
    for (number, space) in spaces.iter() {
        slots.total += u32::from(is_wanted(number));
        if !is_wanted(number) {
            note(number, Some(&space.id), SlotState::Draining);
        } else if holders.contains_key(&number) || left_open.contains(&number) {
            slots.in_use += 1;
            note(number, Some(&space.id), SlotState::InUse);
        } else if foreign.contains(&number) {
            slots.foreign += 1;
            note(number, Some(&space.id), SlotState::Foreign);
        } else {
            slots.free += 1;
        }
    }
    if let Some(range) = range.as_ref().filter(|_| progress.is_settled) {
        for number in spaces.missing(range) {
            note(number, None, SlotState::Missing);
        }
    }
    for (number, by) in spaces.taken().filter(|(number, _)| is_wanted(*number)) {
        slots.foreign += 1;
        note(number, by.map(|space| &space.id), SlotState::Foreign);
    }
    slots.entries = entries.into_values().collect();
    slots
}

/// Slots of the range in which the bridge keeps what a meeting left, and its words.
fn stuck_slots(bridge: &MeetingBridge, spaces: &SlotSpaces, held: &BTreeSet<u32>) -> Vec<(u32, String)> {
    let Ok(range) = numbers(&bridge.spec) else { return Vec::new() };
    let (mut told, open) = (spaces.foreign(held), spaces.left_open(held));
    told.extend(open);
    let stuck = spaces.stuck(held).filter(|(number, _)| range.contains(number) && !told.contains(number));
    let mut stuck: Vec<(u32, String)> = stuck.map(|(number, why)| (number, why.to_owned())).collect();
    stuck.sort_unstable();
    stuck
}

/// What has the numbers of slots that cannot be made, as sentences. What our own meetings hold is ours, whatever a look shows
/// of it so far.
fn taken_numbers(bridge: &MeetingBridge, spaces: &SlotSpaces, held: &BTreeSet<u32>) -> Vec<String> {
    let Ok(range) = numbers(&bridge.spec) else { return Vec::new() };
    let foreign = spaces.foreign(held);
    let taken = spaces.taken().map(|(number, by)| (number, by.map(|space| space.name.as_str())));
    let slots = spaces.iter().filter(|(number, _)| foreign.contains(number));
    let rooms = slots.map(|(number, space)| (number, Some(space.name.as_str())));
    let all: BTreeMap<u32, Option<&str>> = taken.chain(rooms).filter(|(number, _)| range.contains(number)).collect();
    all.into_iter()
        .map(|(number, by)| match by {
            Some(name) => format!("number {number} belongs to the space \"{name}\""),
            None => format!("of number {number} no space shows who has it; look at IVRs, users and access methods"),
        })
        .collect()
}

/// What alerts need of the status, as metrics.
pub fn show(ctx: &Context, key: &ObjectKey, status: &MeetingBridgeStatus) {
    let labels = BridgeLabels::from(key);
    let credentials = find(&status.conditions, types::CREDENTIALS_VALID);
    // Where those before are used nothing is wrong with the meetings.
    let is_refused = credentials
        .is_some_and(|condition| condition.status == "False" && condition.reason != reason::NEW_CREDENTIALS_REFUSED);
    ctx.metrics.credentials_refused.get_or_create(&labels).set(i64::from(is_refused));
    let is_away = is_true(&status.conditions, types::FAILED_OVER);
    ctx.metrics.failed_over.get_or_create(&labels).set(i64::from(is_away));
    let Some(slots) = &status.slots else { return };
    ctx.metrics.slots.get_or_create(&labels).set(i64::from(slots.total));
    ctx.metrics.slots_free.get_or_create(&labels).set(i64::from(slots.free));
    ctx.metrics.slots_foreign.get_or_create(&labels).set(i64::from(slots.foreign));
}

#[cfg(test)]
mod tests;
