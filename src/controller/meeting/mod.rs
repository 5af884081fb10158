//! One pass over one ScheduledMeeting: look, decide, act, report.

mod booking;
mod failover;
mod intake;
mod outcome;
mod pass;
mod work;

pub use intake::key_of;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::backoff;
use super::bookings::is_live;
use super::context::Context;
use super::kube_calls::{KubeError, replace_status, set_finalizer};
use crate::api::meeting::Phase;
use crate::api::names::{FORCE_DELETE_ANNOTATION, MEETING_FINALIZER};
use crate::api::{ScheduledMeeting, ScheduledMeetingStatus};
use crate::plan::window::{Stage, Window};
use pass::Pass;

/// How long a meeting without a place waits before it asks again.
const LONGEST_QUEUE: Duration = Duration::from_secs(2);

/// Reconciles one meeting.
///
/// Of thousands of meetings at a start, or booked at once, only some are looked after at one time: a pass holds far more
/// memory than an entry in the queue. A meeting that is due, or whose door may be open, needs no place.
///
/// # Errors
/// What the apiserver says; trouble with the bridge is told in the status instead.
pub async fn reconcile(stored: Arc<ScheduledMeeting>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    let place = ctx.passes.try_acquire();
    if place.is_err() && !is_due(&stored, ctx.clock.now()) {
        // Back into the queue: one that waited here would hold up those that are due.
        return Ok(Action::requeue(backoff::jittered(LONGEST_QUEUE)));
    }
    Box::pin(look_after(stored, Arc::clone(&ctx))).await
}

fn is_due(meeting: &ScheduledMeeting, now: Timestamp) -> bool {
    let status = meeting.status.as_ref();
    let extended = status.and_then(|status| status.extended_until).map(|until| until.0);
    let live = is_live(status.and_then(|status| status.phase).unwrap_or_default());
    live || matches!(Window::of(&meeting.spec, extended).stage(now), Stage::Preparing | Stage::Inside)
}

async fn look_after(stored: Arc<ScheduledMeeting>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    let mut meeting = ctx.newest_meeting(stored);
    let api: Api<ScheduledMeeting> = Api::namespaced(ctx.client.clone(), &meeting.namespace().unwrap_or_default());
    let uid = meeting.uid().unwrap_or_default();
    let deleting = meeting.meta().deletion_timestamp.is_some();
    if deleting && !meeting.finalizers().iter().any(|name| name == MEETING_FINALIZER) {
        return Ok(Action::await_change());
    }
    if let Some(patched) = set_finalizer(&ctx, &api, meeting.as_ref(), MEETING_FINALIZER, true).await? {
        ctx.note_meeting(&patched);
        meeting = Arc::new(patched);
    }
    let mut pass = Pass::new(&ctx, &meeting);
    pass.run(&api).await?;
    let retry = pass.wake();
    let report = pass.report();
    let released = report.released;
    if deleting && may_go(&ctx, &meeting, released) {
        pass.clean_up().await?;
        if !released {
            let note = "the bridge did not answer; its slot is shut as soon as the bridge is back".to_owned();
            ctx.event(meeting.as_ref(), EventType::Warning, "LeftBehind", "Delete", note).await;
        }
        ctx.ledger.release(&uid);
        pass.wake_waiting();
        set_finalizer(&ctx, &api, pass.meeting(), MEETING_FINALIZER, false).await?;
        return Ok(Action::await_change());
    }
    if report.status.phase == Some(Phase::Ended) || report.status.phase == Some(Phase::Missed) {
        pass.clean_up().await?;
    }
    let written = write_status(&ctx, &api, pass.meeting(), report.status).await?;
    pass.announce(&written).await;
    Ok(retry.map_or_else(Action::await_change, Action::requeue))
}

/// Writes the status if it differs from the last one. Returns the object as it is now.
async fn write_status(
    ctx: &Context,
    api: &Api<ScheduledMeeting>,
    meeting: &ScheduledMeeting,
    status: ScheduledMeetingStatus,
) -> Result<ScheduledMeeting, KubeError> {
    if meeting.status.as_ref() == Some(&status) {
        return Ok(meeting.clone());
    }
    let mut object = meeting.clone();
    object.status = Some(status);
    let written = replace_status(ctx, api, &object).await?;
    ctx.metrics.status_writes.get_or_create(&crate::metrics::KindLabels { kind: "ScheduledMeeting" }).inc();
    ctx.note_meeting(&written);
    Ok(written)
}

/// May an object on its way out go? Shut and proven, forced, or after a bounded wait for its bridge.
fn may_go(ctx: &Context, meeting: &ScheduledMeeting, released: bool) -> bool {
    let forced = meeting.annotations().get(FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true");
    let since = meeting.meta().deletion_timestamp.as_ref().map(|time| time.0);
    let patience = SignedDuration::try_from(ctx.settings.deletion_deadline).unwrap_or(SignedDuration::MAX);
    let overdue = since.is_some_and(|since| ctx.clock.now().duration_since(since) > patience);
    released || forced || overdue
}

/// What to do when a pass ended with an error of the apiserver.
pub fn on_error(meeting: Arc<ScheduledMeeting>, error: &KubeError, ctx: &Context) -> Action {
    let uid = meeting.uid().unwrap_or_default();
    if error.is_conflict() {
        // The object changed since we read it; the watch brings the new one, this is only the net below.
        return Action::requeue(Duration::from_millis(500));
    }
    let failures = ctx.count_failure(&uid);
    let wait = backoff::jittered(Duration::from_secs(1 << failures.min(5)));
    tracing::warn!(namespace = meeting.namespace(), name = meeting.name_any(), %error, "reconcile failed");
    Action::requeue(wait)
}
