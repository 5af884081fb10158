//! The status that a pass over a bridge comes to.

use jiff::Timestamp;
use kube::ResourceExt;

use super::Site;
use crate::api::bridge::{BookingsStatus, DayStatus, MeetingBridgeStatus};
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::{FAILBACK_ANNOTATION, ObjectKey, RECONCILE_ANNOTATION};
use crate::api::values::Instant;
use crate::api::{MeetingBridge, find, is_true};
use crate::cluster::Cluster;
use crate::controller::context::Context;
use crate::metrics::BridgeLabels;
use crate::plan::bridge::BridgeProgress;
use crate::plan::calendar::Peak;
use crate::status::bounds::bound;
use crate::status::bridge::{Report, build, cluster, profiles, slots, system_info};

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
    draft.proven_protection = profiles::proven(progress, &old);
    draft.contests = progress.contests.to_vec();
    let members = progress.cluster.as_ref().map(|cluster| cluster.members.as_slice()).unwrap_or_default();
    let views = site.cluster.as_ref().map(|cluster| cluster.overview(members)).unwrap_or_default();
    if let Some(cluster) = &site.cluster {
        draft.active_call_bridge = Some(cluster.active().address().to_string());
        draft.call_bridges = views.iter().map(|view| cluster::status_of(view, &old.call_bridges)).collect();
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
        // Not read yet in this process: what was known stands.
        draft.slots.get_or_insert_default();
        cluster.with_slots(|spaces| {
            let holders = ctx.bookings.holders(&ObjectKey::of(bridge));
            let held = holders.keys().copied().collect();
            taken = slots::taken(progress, spaces, &held);
            stuck = slots::stuck(progress, spaces, &held);
            draft.slots = Some(slots::listed(progress, spaces, &holders));
        });
    }
    if let Some(slots) = &mut draft.slots {
        slots.parameter_sets.clone_from(&progress.record.sets);
    }
    let table = site.cluster.as_ref().map(|cluster| cluster.health_table());
    let of_table = table.as_ref().and_then(cluster::not_relieved);
    let unusable = site.unusable.iter().cloned().chain(of_table).chain(views.iter().filter_map(cluster::unusable));
    let known = Report {
        progress,
        has_pool: slots::has_pool(progress, draft.slots.as_ref()),
        draft,
        has_answered,
        taken,
        stuck,
        is_provisioned: slots::is_provisioned(progress, &old),
        skew,
        unreadable: site.cluster.as_deref().map(unreadable).unwrap_or_default(),
        failed_over: table.as_ref().and_then(cluster::failed_over),
        unusable: unusable.collect(),
        unproven: site.unresolved.iter().cloned().chain(views.iter().filter_map(cluster::unproven)).collect(),
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

/// What alerts need of the status, as metrics.
pub fn show(ctx: &Context, key: &ObjectKey, status: &MeetingBridgeStatus) {
    let labels = BridgeLabels::from(key);
    let credentials = find(&status.conditions, types::CREDENTIALS_VALID);
    // Where those before are used nothing is wrong with the meetings.
    let refused = credentials.filter(|condition| condition.status == "False");
    let is_by_new = refused.is_some_and(|condition| condition.reason == reason::NEW_CREDENTIALS_REFUSED);
    ctx.metrics.credentials_refused.get_or_create(&labels).set(i64::from(refused.is_some() && !is_by_new));
    ctx.metrics.new_credentials_refused.get_or_create(&labels).set(i64::from(is_by_new));
    let is_away = is_true(&status.conditions, types::FAILED_OVER);
    ctx.metrics.failed_over.get_or_create(&labels).set(i64::from(is_away));
    let Some(slots) = &status.slots else { return };
    ctx.metrics.slots.get_or_create(&labels).set(i64::from(slots.total));
    ctx.metrics.slots_free.get_or_create(&labels).set(i64::from(slots.free));
    ctx.metrics.slots_foreign.get_or_create(&labels).set(i64::from(slots.foreign));
}
