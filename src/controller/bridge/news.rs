//! Events and metrics about a bridge and its call bridges, and who is woken by what became of them.

use kube::ResourceExt;
use kube::runtime::events::EventType;

use crate::api::condition::Text;
use crate::api::conditions::types;
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, find};
use crate::cluster::{Cluster, FailoverEvent};
use crate::controller::context::Context;
use crate::metrics::BridgeLabels;
use crate::plan::bridge::{BridgeProgress, SyncPause};
use crate::plan::failover::Cause;

/// Events and metrics about what happened to the call bridges, and the meetings that are concerned are told.
pub fn tell_failover(ctx: &Context, bridge: &MeetingBridge, cluster: &Cluster) {
    let (key, table) = (cluster.key(), cluster.health_table());
    let known = table.iter().filter(|known| known.health.is_known());
    let good = known.map(|known| (known.address.to_string(), known.health.is_good())).collect();
    ctx.metrics.show_call_bridges(key, &good);
    ctx.metrics.show_expiry(key, cluster.certificate_expiries());
    let events = cluster.take_events();
    if events.is_empty() || cluster.is_alone() {
        return;
    }
    for event in &events {
        let (kind, reason, note) = match event {
            FailoverEvent::Lost(address, error) => {
                (EventType::Warning, "CallBridgeLost", format!("{address}: {error}"))
            }
            FailoverEvent::Recovered(address) => {
                (EventType::Normal, "CallBridgeRecovered", format!("{address} answers again"))
            }
            FailoverEvent::Moved(moved) if moved.cause == Cause::Lost => {
                ctx.metrics.failovers.get_or_create(&BridgeLabels::from(key)).inc();
                let note = format!("requests go to {} now; {} was lost", moved.to, moved.from);
                (EventType::Warning, "FailedOver", note)
            }
            FailoverEvent::Moved(moved) if moved.cause == Cause::Maintenance => {
                let note = format!("requests go to {} now; {} is in maintenance", moved.to, moved.from);
                (EventType::Normal, "Relieved", note)
            }
            FailoverEvent::Moved(moved) => {
                let note = format!("requests go to {} again instead of {}", moved.to, moved.from);
                (EventType::Normal, "FailedBack", note)
            }
        };
        tracing::info!(namespace = key.namespace, name = key.name, reason, note, "call bridges changed");
        ctx.events.tell(bridge, kind, reason, "Failover", note);
    }
    ctx.backoff.clear(&bridge.uid().unwrap_or_default());
    super::wake_waiting(ctx, cluster);
}

/// An event when Ready changes, and the meetings are told.
pub fn announce(ctx: &Context, before: &MeetingBridge, after: &MeetingBridge) {
    let ready = |bridge: &MeetingBridge| {
        let conditions = bridge.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        find(&conditions, types::READY).map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
    };
    let (old, new) = (ready(before), ready(after));
    let changed = |pick: fn(&(Text, Text, Text)) -> &Text| old.as_ref().map(pick) != new.as_ref().map(pick);
    let Some((status, reason, message)) = &new else { return };
    if changed(|c| &c.0) || changed(|c| &c.1) {
        let kind = if status == "True" || reason == "Progressing" { EventType::Normal } else { EventType::Warning };
        ctx.events.tell(after, kind, reason, "Reconcile", message.to_string());
    }
    if changed(|c| &c.0) || before.metadata.generation != after.metadata.generation {
        ctx.bookings.bridges_changed();
        ctx.wakes.meetings(ctx.bookings.live(&ObjectKey::of(after)));
        ctx.wake_pending();
    }
}

/// Profiles for settings were made, or refused, or the bridge's own were read back: the meetings that are due look whether
/// that concerns them.
pub fn tell_settings(ctx: &Context, before: &MeetingBridge, after: &MeetingBridge) {
    let profiles = |bridge: &MeetingBridge| {
        let status = bridge.status.as_ref()?;
        let own = find(&status.conditions, types::SETTINGS_APPLIED);
        let own = own.map(|told| (told.status.clone(), told.observed_generation));
        Some((status.settings_profiles.clone(), own))
    };
    if profiles(before) != profiles(after) {
        ctx.wakes.meetings(ctx.bookings.due(&ObjectKey::of(after), ctx.clock.now()));
    }
}

/// A call bridge without licence takes every request, and then no calls (R44).
pub fn tell_licence(ctx: &Context, before: &MeetingBridge, after: &MeetingBridge) {
    let activated = |bridge: &MeetingBridge| bridge.status.as_ref()?.system.as_ref()?.activated;
    if activated(after) == Some(false) && activated(before) != Some(false) {
        let note = "the call bridge says that it is not activated: install its licence, or calls will fail";
        ctx.events.tell(after, EventType::Warning, "NotActivated", "Reconcile", note.to_owned());
    }
}

/// The address was edited to another cluster while meetings held slots on the former one, which did not answer: their doors
/// there were not shut. It is told until the status names the new one.
pub fn tell_moved(ctx: &Context, bridge: &MeetingBridge) {
    let former = bridge.status.as_ref().and_then(|status| status.cluster.as_ref());
    let Some(former) = former.filter(|cluster| !cluster.is_of(&bridge.spec.address)) else { return };
    let held = ctx.bookings.held(&ObjectKey::of(bridge));
    if held.is_empty() {
        return;
    }
    let at = former.address.clone().unwrap_or_default();
    let numbers: Vec<String> = held.keys().take(20).map(ToString::to_string).collect();
    let note = format!("spec.address left {at} while meetings held the slots {}; shut them there", numbers.join(", "));
    ctx.events.tell(bridge, EventType::Warning, "LeftBehind", "Reconcile", note);
}

/// The object goes although its bridge has not confirmed that it is clean.
pub fn left_behind(ctx: &Context, bridge: &MeetingBridge, progress: &BridgeProgress) {
    let why = match &progress.problem {
        Some(problem) => problem.message.as_str(),
        None if progress.sync_pause == Some(SyncPause::Poll) => {
            "its meetings are not shut, or the sync that removes its spaces has not ended"
        }
        None => "the bridge did not answer",
    };
    let note = format!("{why}; spaces, sets and profiles made for this object stay on the bridge");
    tracing::warn!(namespace = bridge.namespace(), name = bridge.name_any(), note, "left behind");
    ctx.events.tell(bridge, EventType::Warning, "LeftBehind", "Delete", note);
}
