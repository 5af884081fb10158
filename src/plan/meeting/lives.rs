//! When a meeting that is over begins again, and whether anybody ever waited for it. PURE.

use jiff::{SignedDuration, Timestamp};
use kube::Resource;

use crate::api::meeting::Phase;
use crate::api::{ScheduledMeeting, ScheduledMeetingStatus};
use crate::plan::window::{Stage, Window};

/// A meeting that ended so long before its end was ended by something else than the clock; what is shown is rounded.
const CUT_SHORT: SignedDuration = SignedDuration::from_secs(2);

/// Was there never an instant at which somebody could have waited for the door? One of last month that comes from git or a
/// backup into a new cluster is no failure; one that was there in time and did not open is, until somebody edits it.
pub(super) fn was_never_due(
    meeting: &ScheduledMeeting,
    draft: &ScheduledMeetingStatus,
    asked: Window,
    now: Timestamp,
) -> bool {
    let is_edited = draft.observed_generation != meeting.metadata.generation;
    match draft.phase {
        _ if draft.opened_at.is_some() => false,
        Some(Phase::Ended) => true,
        Some(Phase::Missed) => is_edited,
        None => {
            // The apiserver tells whole seconds.
            let made = meeting.meta().creation_timestamp.as_ref().map(|made| made.0.as_second());
            made.is_some_and(|made| made >= asked.closes_at.as_second())
        }
        // The window that was agreed upon lies ahead; the one that is asked for instead may have passed.
        Some(_) => is_edited && draft.window.is_some_and(|agreed| agreed.opens_at.0 > now),
    }
}

/// Does a meeting that is over begin again? Only an edit of its end does that, never a clock that is behind; and not to
/// the end that was refused while it ran, whatever else is edited. One that never began, because the clock was ahead for a
/// while, still lies ahead.
pub(super) fn has_new_life(
    meeting: &ScheduledMeeting,
    draft: &ScheduledMeetingStatus,
    asked: Window,
    now: Timestamp,
) -> bool {
    if asked.stage(now) == Stage::Over {
        return false;
    }
    let Some(stored) = draft.window.map(Window::from) else {
        return meeting.metadata.generation != draft.observed_generation;
    };
    // It may have ended before its time, because its bridge went.
    let was_cut = draft.ended_at.is_some_and(|at| stored.closes_at.duration_since(at.0) > CUT_SHORT);
    let was_ahead = draft.opened_at.is_none()
        && draft.ended_at.is_some_and(|at| at.0.duration_since(now) > CUT_SHORT)
        && asked.opens_at > now;
    let was_refused = draft.opened_at.is_some() && draft.refused_window.map(Window::from) == Some(asked);
    was_cut || was_ahead || (asked.closes_at != stored.closes_at && !was_refused)
}

/// What stays of a status when the meeting has a new life.
pub(super) fn without_life(status: ScheduledMeetingStatus) -> ScheduledMeetingStatus {
    ScheduledMeetingStatus { conditions: status.conditions, ..ScheduledMeetingStatus::default() }
}
