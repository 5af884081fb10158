//! One pass over one MeetingBridge: connect, probe, read, decide, act, report. It is also the monitor of the bridge: it
//! comes round at every probe, and one sweep serves all meetings of the bridge.

mod connect;
mod news;
mod reach;
mod report;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::context::Context;
use super::kube_calls::KubeError;
use super::{backoff, lifecycle};
use crate::api::bridge::{DeletionPolicy, MeetingBridgeStatus};
use crate::api::conditions::bridge as reason;
use crate::api::names::{FAILBACK_ANNOTATION, ObjectKey, RECONCILE_ANNOTATION};
use crate::api::{MeetingBridge, is_blind};
use crate::cluster::{Cluster, Duty, Reading};
use crate::cms::CmsError;
use crate::drive::drive;
use crate::plan::bridge::{BridgeProgress, Obstacle, SyncPause};
use crate::plan::verdict::Verdict;
use crate::status::bridge::{UnusableAlternate, problem_of};
use connect::{Connected, NotConnected, connect};
use reach::BridgeReach;

/// A meeting that opens within this time makes the probes frequent.
const IMMINENT: SignedDuration = SignedDuration::from_secs(120);

/// The shortest wait between two passes.
const BREATH: Duration = Duration::from_millis(50);

/// Longest pause between two passes: whatever was reckoned wrongly, the bridge is looked after.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The longest pause before a finalizer that cannot be removed is tried again.
const FINALIZER_AGAIN: Duration = Duration::from_secs(30);

/// On the way out, without a Secret and without a connection that was made with it: nothing can be asked, shut or removed,
/// however long we wait. For so long it may be on its way (somebody replaces it).
const KEY_PATIENCE: Duration = Duration::from_secs(10);

/// What a pass has found out besides the progress of the bridge.
#[derive(Default)]
pub(super) struct Site {
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) unusable: Vec<UnusableAlternate>,
    pub(super) unresolved: Vec<String>,
}

/// Reconciles one bridge.
///
/// # Errors
/// What the apiserver says; trouble with the bridge is told in the status instead.
pub async fn reconcile(stored: Arc<MeetingBridge>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    let (key, uid) = (ObjectKey::of(stored.as_ref()), stored.uid().unwrap_or_default());
    let Some(taken) = lifecycle::take(&ctx, stored).await? else {
        ctx.forget_bridge(&key);
        ctx.bridges.saved(&uid);
        return Ok(Action::await_change());
    };
    let mut bridge = ctx.bridges.known(&taken.object).into_owned();
    let mut progress = BridgeProgress::resume(&bridge, &ctx.settings.marks);
    progress.untied = taken.untied;
    let mut site = Site::default();
    let mut wait = ctx.settings.idle_read;
    // Forced means at once: a bridge that hangs is not waited for. And nothing is begun that nobody would clean up.
    let is_forced = progress.is_deleting && lifecycle::is_forced(&bridge);
    if !is_forced && !is_blind(&bridge) && (progress.untied.is_none() || !progress.record.is_empty()) {
        wait = look_after(&ctx, &mut bridge, &mut progress, &mut site).await?;
    }
    let may_go = || lifecycle::may_go(&ctx, &bridge) || is_locked_out(&ctx, &bridge, &progress, &site);
    if progress.is_deleting && (progress.is_removed || may_go()) {
        if !progress.is_removed {
            news::left_behind(&ctx, &bridge, &progress);
        }
        progress.untied = lifecycle::let_go(&ctx, &bridge).await?;
        if progress.untied.is_none() {
            ctx.forget_bridge(&key);
            ctx.bridges.saved(&uid);
            ctx.wakes.meetings(ctx.bookings.ahead(&key, ctx.clock.now()));
            return Ok(Action::await_change());
        }
        wait = backoff::jittered(FINALIZER_AGAIN);
    }
    let status = report::status(&ctx, &bridge, &progress, &site);
    report::show(&ctx, &key, &status);
    let written = save(&ctx, &bridge, status).await?;
    news::announce(&ctx, &bridge, &written);
    news::tell_licence(&ctx, &taken.object, &written);
    news::tell_settings(&ctx, &taken.object, &written);
    Ok(Action::requeue(wait))
}

/// Stores the status. What could not be stored before goes with it.
async fn save(ctx: &Context, bridge: &MeetingBridge, status: MeetingBridgeStatus) -> Result<MeetingBridge, KubeError> {
    let uid = bridge.uid().unwrap_or_default();
    if bridge.status.as_ref() == Some(&status) && !ctx.bridges.has_unsaved(&uid) {
        return Ok(bridge.clone());
    }
    let changed = MeetingBridge { status: Some(status), ..bridge.clone() };
    let written = lifecycle::write(ctx, &changed, Duration::MAX).await?;
    ctx.bridges.saved(&uid);
    Ok(written)
}

/// Is nobody left who could get in? A controller that was restarted has no connection from before.
fn is_locked_out(ctx: &Context, bridge: &MeetingBridge, progress: &BridgeProgress, site: &Site) -> bool {
    let has_no_key = progress.problem.as_ref().is_some_and(|problem| problem.reason == reason::SECRET_NOT_FOUND);
    has_no_key && site.cluster.is_none() && lifecycle::is_leaving_for(ctx, bridge, KEY_PATIENCE)
}

/// Connects, probes, reads what is due, makes it so. Returns when to come round again.
async fn look_after(
    ctx: &Arc<Context>,
    bridge: &mut MeetingBridge,
    progress: &mut BridgeProgress,
    site: &mut Site,
) -> Result<Duration, KubeError> {
    if progress.is_deleting && (bridge.spec.deletion_policy == DeletionPolicy::Orphan || progress.is_observing) {
        progress.is_removed = true;
        return Ok(ctx.settings.idle_read);
    }
    let connected = connect(ctx, bridge).await;
    if !matches!(&connected, Ok(Connected { former: Some(_), .. })) {
        news::tell_moved(ctx, bridge);
    }
    let cluster = match connected {
        Ok(Connected { cluster, unusable, unresolved, former, refused }) => {
            progress.refused_credentials = refused;
            (site.unusable, site.unresolved) = (unusable, unresolved);
            progress.former_address = former.map(|address| address.to_string());
            Arc::clone(site.cluster.insert(cluster))
        }
        Err(NotConnected::Kube(error)) => return Err(error),
        Err(NotConnected::Problem(mut problem) | NotConnected::Passing(mut problem)) => {
            let mut wait = ctx.settings.idle_read;
            if progress.is_deleting && problem.reason == reason::SECRET_NOT_FOUND {
                problem.message.push_str(
                    "; without it nothing on the bridge can be shut or removed: unless it is there within 10 seconds of the \
                     deletion, the object is let go",
                );
                wait = wait.min(KEY_PATIENCE);
            }
            progress.problem = Some(problem);
            // Without credentials nothing can be removed; but if nothing was ever made, nothing is left behind.
            progress.is_removed = progress.is_deleting && progress.record.is_empty();
            return Ok(wait);
        }
    };
    progress.cluster = cluster.members().or(progress.cluster.take());
    serve_request(bridge, &cluster);
    let mut wait = monitor(ctx, bridge, progress, &cluster).await;
    if wait.is_none() {
        // The spec is meant for the cluster to come; on the former one only what leaves is done.
        if progress.former_address.is_none() || progress.is_deleting {
            converge(ctx, bridge, progress, &cluster, site).await?;
        }
        wait = settle(ctx, bridge, progress, &cluster).await;
    }
    news::tell_failover(ctx, bridge, &cluster);
    Ok(next_round(ctx, bridge, progress, &cluster, wait))
}

/// The annotation reconcile-requested-at asks for a full look: everything known is looked up again (R31).
fn serve_request(bridge: &MeetingBridge, cluster: &Cluster) {
    let asked = bridge.annotations().get(RECONCILE_ANNOTATION);
    let handled = bridge.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    if let Some(asked) = asked.filter(|asked| Some(*asked) != handled) {
        cluster.request_full_recheck(asked);
    }
}

fn is_busy(ctx: &Context, key: &ObjectKey) -> bool {
    let now = ctx.clock.now();
    let next = ctx.bookings.summary(key, now).next_start;
    let is_imminent = next.is_some_and(|at| at.duration_since(now) <= IMMINENT);
    is_imminent || !ctx.bookings.sweep_targets(key).is_empty()
}

fn duty<'a>(ctx: &Context, bridge: &MeetingBridge, progress: &'a BridgeProgress) -> Duty<'a> {
    let key = ObjectKey::of(bridge);
    let asked = bridge.annotations().get(FAILBACK_ANNOTATION);
    let handled = bridge.status.as_ref().and_then(|status| status.last_handled_failback_at.as_ref());
    Duty {
        live: ctx.bookings.sweep_targets(&key),
        is_busy: is_busy(ctx, &key),
        members: progress.cluster.as_ref().map(|cluster| cluster.members.as_slice()),
        profiles: progress.record.profiles.clone().unwrap_or_default(),
        failback_asked: asked.is_some() && asked != handled,
    }
}

/// Probes and reads whatever is due. None: all is well so far; else the pass ends, and this is how long to wait.
async fn monitor(
    ctx: &Arc<Context>,
    bridge: &MeetingBridge,
    progress: &mut BridgeProgress,
    cluster: &Arc<Cluster>,
) -> Option<Duration> {
    let probed = cluster.probe(&duty(ctx, bridge, progress)).await;
    let mut wait = take_reading(ctx, bridge, progress, cluster, probed);
    news::tell_failover(ctx, bridge, cluster);
    match cluster.check_database().await {
        Some(true) => {
            progress.problem = Some(problem_of(&CmsError::DatabaseNotReady));
            let is_busy = is_busy(ctx, cluster.key());
            wait = Some(if is_busy { Duration::from_secs(1) } else { Duration::from_secs(5) });
        }
        Some(false) => {
            progress.problem = None;
            wait = wait.filter(|_| progress.awaiting_verdict);
            // The moment writes are possible again everybody who waits is told.
            wake_waiting(ctx, cluster);
        }
        None => {}
    }
    if wait.is_some() {
        return wait;
    }
    if bridge.spec.suspend && !progress.is_deleting {
        return Some(ctx.settings.idle_read);
    }
    let (reading, changed) = cluster.read_due(&duty(ctx, bridge, progress)).await;
    if !changed.is_empty() {
        ctx.wakes.meetings(ctx.bookings.holders_of(cluster.key(), &changed));
    }
    progress.is_cluster_stale |= cluster.take_members_changed();
    take_reading(ctx, bridge, progress, cluster, reading)
}

/// Makes the bridge as it is to be.
async fn converge(
    ctx: &Arc<Context>,
    bridge: &mut MeetingBridge,
    progress: &mut BridgeProgress,
    cluster: &Arc<Cluster>,
    site: &Site,
) -> Result<(), KubeError> {
    if let Some(had_pause) = cluster.take_sync_pause() {
        cluster.with_facts(|facts| progress.revisit_sync(facts, had_pause));
    }
    // An edit may be the remedy: it is tried at once.
    let held = cluster.held_configuration().filter(|_| !progress.is_unjudged && !progress.is_deleting);
    progress.is_refused = held.is_some();
    drive(progress, &mut BridgeReach::new(ctx, cluster, bridge, site)).await?;
    if let Some((error, _)) = held.filter(|_| progress.is_well()) {
        progress.problem = Some(problem_of(&error));
    }
    Ok(())
}

/// What became of it: pauses, wake-ups. Returns how long to wait, if that matters.
async fn settle(
    ctx: &Arc<Context>,
    bridge: &MeetingBridge,
    progress: &mut BridgeProgress,
    cluster: &Arc<Cluster>,
) -> Option<Duration> {
    let uid = bridge.uid().unwrap_or_default();
    if let Some(verdict) = progress.failure.take() {
        return Some(failed(ctx, bridge, progress, cluster, verdict));
    }
    if cluster.note_success() {
        wake_waiting(ctx, cluster);
    }
    if progress.is_refused {
        return cluster.held_configuration().map(|(_, left)| left);
    }
    let sync = format!("{uid}/sync");
    if progress.record.sets.iter().all(|set| set.sync_id.is_none()) {
        ctx.backoff.clear(&sync);
    }
    let sync_wait = match progress.sync_pause {
        // 1.5 s, then growing to 5 s (R49): a sync of a few spaces is done by the first look.
        Some(SyncPause::Poll) => cluster.pause_sync(|| {
            Duration::from_millis(1500).saturating_mul(ctx.backoff.count(&sync)).min(Duration::from_secs(5))
        }),
        Some(SyncPause::Retry) => cluster.pause_sync(|| ctx.settings.sync_retry),
        // A handful of requests each, while meetings go on as usual.
        Some(SyncPause::Blocked) => cluster.pause_sync(|| ctx.settings.sync_retry.saturating_mul(10)),
        None => None,
    };
    ctx.backoff.clear(&uid);
    if progress.is_settled {
        ctx.backoff.clear(&unnamed(&uid));
    }
    let pause = progress.pause.as_ref().map(|pause| ctx.backoff.wait(&uid, pause, false));
    sync_wait.into_iter().chain(pause).min()
}

/// After trouble, those who wait for this bridge are told; those whose time is over first.
fn wake_waiting(ctx: &Context, cluster: &Cluster) {
    let now = ctx.clock.now();
    cluster.note_writable(now);
    ctx.wakes.meetings(ctx.bookings.due(cluster.key(), now));
}

fn take_reading(
    ctx: &Context,
    bridge: &MeetingBridge,
    progress: &mut BridgeProgress,
    cluster: &Cluster,
    reading: Reading,
) -> Option<Duration> {
    match reading {
        Reading::Fine => None,
        Reading::Paused { error, left } => {
            progress.problem = Some(problem_of(&error));
            Some(left)
        }
        Reading::Failed(verdict) => Some(failed(ctx, bridge, progress, cluster, verdict)),
    }
}

/// The key under which creations are counted whose reply did not name the new object.
fn unnamed(uid: &str) -> String {
    format!("{uid}/unnamed")
}

/// What a failure means for the bridge: its condition and the pause before the next try. As long as it is not clear
/// whether a call bridge is lost, while others are good, nothing is told and the next probe is waited for.
fn failed(
    ctx: &Context,
    bridge: &MeetingBridge,
    progress: &mut BridgeProgress,
    cluster: &Cluster,
    verdict: Verdict,
) -> Duration {
    match verdict {
        Verdict::Moved => {
            progress.awaiting_verdict = true;
            return Duration::ZERO;
        }
        Verdict::InDoubt(_) => {
            progress.awaiting_verdict = true;
            return ctx.settings.idle_read;
        }
        Verdict::DatabaseDown { .. } | Verdict::Retry(_) | Verdict::Answered(_) => {}
    }
    let error = verdict.into_error();
    let uid = bridge.uid().unwrap_or_default();
    // What was made without a name is counted for itself: passes that leave it alone say nothing about it.
    let counted = if error == CmsError::AmbiguousCreate { unnamed(&uid) } else { uid.clone() };
    let failures = ctx.backoff.count(&counted);
    let is_due = !progress.is_refused && is_busy(ctx, cluster.key());
    let wait = backoff::after(&error, failures, is_due);
    let key = cluster.key();
    if ctx.backoff.is_worth_a_line(&uid, error.reason()) {
        tracing::warn!(namespace = key.namespace, name = key.name, %error, "the bridge failed");
    }
    progress.problem = Some(problem_of(&error));
    if progress.is_refused {
        cluster.hold_configuration(error, wait);
    } else {
        cluster.pause(error, wait);
    }
    wait
}

/// When to come round again.
fn next_round(
    ctx: &Context,
    bridge: &MeetingBridge,
    progress: &BridgeProgress,
    cluster: &Cluster,
    wait: Option<Duration>,
) -> Duration {
    let now = ctx.clock.now();
    let may_read = (progress.problem.is_none() || progress.is_refused) && !bridge.spec.suspend;
    let next = cluster.next_round(&duty(ctx, bridge, progress), may_read);
    let left = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
    left.into_iter().chain(wait).min().unwrap_or(ctx.settings.idle_read).clamp(BREATH, LONGEST_SLEEP)
}

/// Whether the plan of a bridge waits for dial numbers, as a sentence.
fn missing_numbers(progress: &BridgeProgress) -> Option<String> {
    match &progress.obstacle {
        Some(Obstacle::DialNumbers(missing)) => Some(format!("blocked: {} not set", missing.join(", "))),
        _ => None,
    }
}

/// What would be done to a bridge, in order, for the command line: the same plan, nothing written.
///
/// # Errors
/// What the bridge says.
pub async fn simulate(ctx: &Arc<Context>, bridge: &MeetingBridge) -> Result<Vec<String>, String> {
    let mut observed = bridge.clone();
    observed.spec.management_policy = crate::api::bridge::ManagementPolicy::Observe;
    let mut progress = BridgeProgress::resume(&observed, &ctx.settings.marks);
    let mut site = Site::default();
    look_after(ctx, &mut observed, &mut progress, &mut site).await.map_err(|error| error.to_string())?;
    if let Some(problem) = &progress.problem {
        return Err(format!("{}: {}", problem.reason, problem.message));
    }
    let blocked = missing_numbers(&progress);
    progress.plan.extend(blocked);
    Ok(progress.plan)
}
