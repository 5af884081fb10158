//! Which passes of a meeting belong to the trace of its start or its end, and when these are over.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use opentelemetry::KeyValue;

use crate::api::meeting::{ParticipantState, Phase};
use crate::api::names::ObjectKey;
use crate::api::{ScheduledMeeting, ScheduledMeetingStatus};
use crate::controller::context::Context;
use crate::plan::booking::key_of;
use crate::plan::meeting::Progress;
use crate::plan::window::{PREPARE_LEAD, Stage, Window};
use crate::traces::{Life, Occasion, Outcome, Trace};

/// The trace that this pass on the bridge belongs to, if it does and that is wanted.
pub fn of_pass(ctx: &Context, meeting: &ScheduledMeeting, progress: &Progress, now: Timestamp) -> Option<Trace> {
    let traces = ctx.settings.traces.as_ref()?;
    let (old, opens_at) = (meeting.status.as_ref(), progress.window.opens_at);
    if progress.is_closing(now) {
        // The window may be that of the next life already.
        let opens_at = old.and_then(|status| status.window).map_or(opens_at, |window| window.opens_at.0);
        return traces.of(Occasion::End, life(meeting, opens_at));
    }
    let is_active = old.and_then(|status| status.phase) == Some(Phase::Active);
    let waits = |status: &ScheduledMeetingStatus| {
        status.participants.iter().any(|party| party.state == ParticipantState::Waiting && party.attempts == 0)
    };
    let starts = progress.stage(now) >= Stage::Preparing && (!is_active || old.is_some_and(waits));
    if starts { traces.of(Occasion::Start, life(meeting, opens_at)) } else { None }
}

/// Tells what is over with this pass: a start, an end, or both.
pub fn conclude(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    old: &ScheduledMeetingStatus,
    new: &ScheduledMeetingStatus,
    now: Timestamp,
) {
    let Some(traces) = &ctx.settings.traces else { return };
    let (before, after) = (old.phase.unwrap_or_default(), new.phase.unwrap_or_default());
    let about = |status: &ScheduledMeetingStatus| {
        let bridge = status.bridge.as_ref().map(|bridge| KeyValue::new("meeting.bridge", key_of(bridge).to_string()));
        let slot = status.slot.as_ref().map(|slot| KeyValue::new("meeting.slot", i64::from(slot.number)));
        bridge.into_iter().chain(slot).collect()
    };
    let outcome = started(before, after, new);
    if let (Some(outcome), Some(window)) = (outcome, self::window(new).or_else(|| self::window(old)))
        && let Some(trace) = traces.of(Occasion::Start, life(meeting, window.opens_at))
    {
        let prepared = window.opens_at.checked_sub(PREPARE_LEAD).unwrap_or(window.opens_at);
        let made = meeting.metadata.creation_timestamp.as_ref().map(|at| at.0);
        trace.over(made.map_or(prepared, |made| made.max(prepared)), now, outcome, about(new));
    }
    let is_shut = before.is_live() && (after.is_over() || matches!(after, Phase::Pending | Phase::Scheduled));
    if let Some(window) = self::window(old).filter(|_| is_shut)
        && let Some(trace) = traces.of(Occasion::End, life(meeting, window.opens_at))
    {
        let asked = meeting.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        let closes_at = self::window(new).map_or(window.closes_at, |new| new.closes_at.min(window.closes_at));
        let began = asked.map_or(closes_at, |asked| asked.min(closes_at)).min(now);
        let late = now.duration_since(closes_at).max(SignedDuration::ZERO).as_secs_f64();
        trace.over(began, now, Outcome::Done { late }, about(old));
    }
}

/// How a start went, if it is over with this change of the phase.
fn started(before: Phase, after: Phase, new: &ScheduledMeetingStatus) -> Option<Outcome> {
    match (before, after) {
        (Phase::Pending | Phase::Scheduled | Phase::Opening, Phase::Active) => {
            let late = new.open_latency.as_deref().and_then(|text| text.trim_end_matches('s').parse().ok());
            Some(Outcome::Done { late: late.unwrap_or_default() })
        }
        (Phase::Pending | Phase::Scheduled | Phase::Opening, Phase::Missed) => {
            Some(Outcome::Failed("the window passed without the door being opened"))
        }
        (Phase::Opening, Phase::Closing | Phase::Ended) => {
            Some(Outcome::Failed("the meeting ended before it was started"))
        }
        _ => None,
    }
}

fn window(status: &ScheduledMeetingStatus) -> Option<Window> {
    status.window.map(Window::from)
}

fn life(meeting: &ScheduledMeeting, opens_at: Timestamp) -> Life {
    Life { meeting: ObjectKey::of(meeting), uid: meeting.uid().unwrap_or_default(), opens_at }
}

#[cfg(test)]
mod tests;
