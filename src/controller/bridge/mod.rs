//! One pass over one MeetingBridge: connect, probe, sweep, decide, act, report. It is also the monitor of the bridge: it
//! comes round at every probe, and one sweep serves all meetings of the bridge.

mod connect;
mod health;
mod looks;
mod pass;
mod report;
mod work;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::backoff;
use super::context::Context;
use super::kube_calls::{KubeError, replace_status, set_finalizer};
use super::meeting::key_of;
use crate::api::MeetingBridge;
use crate::api::condition::Text;
use crate::api::conditions::kind;
use crate::api::names::{BRIDGE_FINALIZER, FORCE_DELETE_ANNOTATION};
use crate::status::find;
use pass::Pass;
pub use work::simulate;

/// Reconciles one bridge.
///
/// # Errors
/// What the apiserver says; trouble with the bridge is told in the status instead.
pub async fn reconcile(stored: Arc<MeetingBridge>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    let mut bridge = ctx.newest_bridge(stored);
    let api: Api<MeetingBridge> = Api::namespaced(ctx.client.clone(), &bridge.namespace().unwrap_or_default());
    let key = key_of(&bridge);
    let deleting = bridge.meta().deletion_timestamp.is_some();
    if deleting && !bridge.finalizers().iter().any(|name| name == BRIDGE_FINALIZER) {
        ctx.drop_cluster(&key);
        return Ok(Action::await_change());
    }
    if let Some(patched) = set_finalizer(&ctx, &api, bridge.as_ref(), BRIDGE_FINALIZER, true).await? {
        ctx.note_bridge(&patched);
        bridge = Arc::new(patched);
    }
    let mut pass = Pass::new(&ctx, &bridge);
    // Forced means at once: a bridge that hangs is not waited for.
    if !(deleting && is_forced(&bridge)) {
        pass.run(&api).await?;
        pass.tell_news().await;
    }
    if deleting && (pass.removed || may_go(&ctx, &bridge)) {
        if !pass.removed {
            let note =
                "the bridge did not answer; spaces, sets and profiles made for this object stay on it".to_owned();
            ctx.event(bridge.as_ref(), EventType::Warning, "LeftBehind", "Delete", note).await;
        }
        set_finalizer(&ctx, &api, pass.bridge(), BRIDGE_FINALIZER, false).await?;
        ctx.drop_cluster(&key);
        for (namespace, name) in ctx.ledger.names_on(&key, ctx.clock.now()) {
            ctx.wake_meeting(&namespace, &name);
        }
        return Ok(Action::await_change());
    }
    let before = pass.bridge().clone();
    let written = pass.write_status(&api).await?;
    announce(&ctx, &before, &written).await;
    Ok(Action::requeue(pass.wake()))
}

fn is_forced(bridge: &MeetingBridge) -> bool {
    bridge.annotations().get(FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true")
}

/// Forced, or after a bounded wait.
fn may_go(ctx: &Context, bridge: &MeetingBridge) -> bool {
    let since = bridge.meta().deletion_timestamp.as_ref().map(|time| time.0);
    let patience = SignedDuration::try_from(ctx.settings.deletion_deadline).unwrap_or(SignedDuration::MAX);
    is_forced(bridge) || since.is_some_and(|since| ctx.clock.now().duration_since(since) > patience)
}

/// An event when Ready changes, and the meetings are told.
async fn announce(ctx: &Context, before: &MeetingBridge, after: &MeetingBridge) {
    let ready = |bridge: &MeetingBridge| {
        let conditions = bridge.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        find(&conditions, kind::READY).map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
    };
    let (old, new) = (ready(before), ready(after));
    let changed = |pick: fn(&(Text, Text, Text)) -> &Text| old.as_ref().map(pick) != new.as_ref().map(pick);
    let Some((status, reason, message)) = &new else { return };
    if changed(|c| &c.0) || changed(|c| &c.1) {
        let kind = if status == "True" || reason == "Progressing" { EventType::Normal } else { EventType::Warning };
        ctx.event(after, kind, reason, "Reconcile", message.to_string()).await;
    }
    if changed(|c| &c.0) || before.metadata.generation != after.metadata.generation {
        ctx.ledger.bridges_changed();
        let key = key_of(after);
        for (namespace, name) in ctx.ledger.live_names(&key).into_iter().chain(ctx.ledger.pending_names()) {
            ctx.wake_meeting(&namespace, &name);
        }
    }
}

/// Writes the status if it differs from the last one. Returns the object as it is now.
async fn write_status(
    ctx: &Context,
    api: &Api<MeetingBridge>,
    object: MeetingBridge,
) -> Result<MeetingBridge, KubeError> {
    let written = replace_status(ctx, api, &object).await?;
    ctx.metrics.status_writes.get_or_create(&crate::metrics::KindLabels { kind: "MeetingBridge" }).inc();
    ctx.note_bridge(&written);
    Ok(written)
}

/// What to do when a pass ended with an error of the apiserver.
pub fn on_error(bridge: Arc<MeetingBridge>, error: &KubeError, ctx: &Context) -> Action {
    if error.is_conflict() {
        return Action::requeue(Duration::from_millis(500));
    }
    let failures = ctx.count_failure(&bridge.uid().unwrap_or_default());
    tracing::warn!(namespace = bridge.namespace(), name = bridge.name_any(), %error, "reconcile failed");
    Action::requeue(backoff::jittered(Duration::from_secs(1 << failures.min(5))))
}
