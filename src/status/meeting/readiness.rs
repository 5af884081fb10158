//! Is all as it should be now? One answer for `Ready`, `Reconciling` and `Stalled`, the first reason that stands in the way.

use super::{
    BRIDGE_LEAVES, CALL_UNWANTED, Judged, SLOTS_PENDING, START_MOVED, WINDOW_PASSED, access, door_trouble, tug_of_war,
};
use crate::api::conditions::meeting as reason;
use crate::api::meeting::Phase;
use crate::api::repairs::Shown;
use crate::plan::booking::Refusal;
use crate::plan::meeting::{Obstacle, Part};
use crate::plan::window::Stage;
use crate::status::Readiness;

pub(super) fn of(judged: &Judged<'_>) -> Readiness {
    if let Some(message) = judged.progress.untied.clone().filter(|_| judged.is_to_be_tied()) {
        return Readiness::stalled(reason::FINALIZER_REFUSED, message);
    }
    if let Some(message) = judged.progress.terms.unreadable.clone().filter(|_| !judged.phase.is_over()) {
        return Readiness::stalled(reason::UNREADABLE, message);
    }
    if let Some(readiness) = suspended(judged) {
        return readiness;
    }
    if let Some(refusal) = &judged.progress.refusal
        && judged.phase == Phase::Pending
    {
        let (reason, message) = (refusal.reason, refusal.message.clone());
        // A bridge that is not there yet may come with the next file of the same commit.
        return if matches!(reason, reason::BRIDGE_NOT_FOUND | reason::PROGRESSING) {
            Readiness::reconciling(reason, message, reason == reason::BRIDGE_NOT_FOUND)
        } else {
            Readiness::stalled(reason, message)
        };
    }
    if let Some(message) = judged.left_behind.clone() {
        return Readiness::stalled(reason::LEFT_BEHIND, message);
    }
    let problem = judged.progress.problem.as_ref().map(|problem| &*problem.message);
    match judged.phase {
        Phase::Ended if judged.draft.opened_at.is_some() => {
            Readiness::ready("Ended", "the meeting is over and its slot is shut")
        }
        Phase::Ended => Readiness::ready(WINDOW_PASSED, "its window had passed before its door was to be opened"),
        Phase::Missed => Readiness::stalled(reason::MISSED, "the window passed without the door being opened"),
        Phase::Closing => Readiness::under_way(reason::RESET_PENDING, problem, "the slot is being shut"),
        Phase::Pending => Readiness::progressing(reason::PROGRESSING, "a slot is being chosen"),
        Phase::Scheduled | Phase::Opening | Phase::Active => running_readiness(judged),
    }
}

/// Who suspends a meeting wants nothing to be done, and nothing is: that is as it should be, and nobody who waits for it
/// runs into a time-out. One whose bridge is suspended is to be opened or shut all the same when its time comes.
fn suspended(judged: &Judged<'_>) -> Option<Readiness> {
    let terms = &judged.progress.terms;
    if judged.phase.is_over() || !terms.is_suspended {
        return None;
    }
    if terms.spec.suspend {
        return Some(Readiness::ready(reason::SUSPENDED, "spec.suspend is true: it is neither opened nor shut"));
    }
    let message = "its bridge is suspended: it is neither opened nor shut";
    match judged.phase {
        Phase::Pending => None,
        Phase::Scheduled | Phase::Opening if judged.stage >= Stage::Inside => {
            Some(Readiness::stalled(reason::SUSPENDED, message))
        }
        Phase::Closing => Some(Readiness::stalled(reason::SUSPENDED, message)),
        _ => Some(Readiness::ready(reason::SUSPENDED, message)),
    }
}

/// Door and call are there, but not every way in.
fn unapplied(access: Option<(&'static str, String, bool)>) -> Readiness {
    let (reason, message, is_permanent) = access.unwrap_or_default();
    if is_permanent { Readiness::stalled(reason, message) } else { Readiness::progressing(reason, message) }
}

fn running_readiness(judged: &Judged<'_>) -> Readiness {
    if let Some(unwritten) = &judged.progress.unwritten {
        return Readiness::failing(unwritten.reason, &unwritten.message, unwritten.is_permanent);
    }
    if judged.progress.terms.bridge_leaves {
        return Readiness::progressing(reason::BRIDGE_NOT_FOUND, BRIDGE_LEAVES);
    }
    if judged.progress.obstacle == Some(Obstacle::SlotsPending) {
        return Readiness::progressing(reason::PROGRESSING, SLOTS_PENDING);
    }
    if judged.progress.moved_to.is_some() {
        return Readiness::progressing(reason::START_MOVED, START_MOVED);
    }
    let refused = judged.progress.unmet.as_ref().or(judged.progress.extension_refused.as_ref());
    if let Some(refusal) = refused.cloned() {
        let is_undecided = refusal.is_undecided();
        let Refusal { reason, message } = refusal;
        return if is_undecided {
            Readiness::progressing(reason, message)
        } else {
            Readiness::stalled(reason, message)
        };
    }
    let access = access::unready(judged);
    if judged.draft.opened_at.is_none()
        && let Some((reason, message, _)) = access.clone()
    {
        return Readiness::stalled(reason, message);
    }
    if judged.phase == Phase::Active && judged.stage == Stage::Inside && !judged.is_known_shut() {
        if let Some((_, message)) = tug_of_war(judged.progress).filter(|(shown, _)| *shown != Shown::Renamed) {
            return Readiness::stalled(reason::TUG_OF_WAR, message);
        }
        if judged.progress.obstacle == Some(Obstacle::CallBridgeLost) {
            let message = "the call bridge of the call is lost; running meetings are left as they are";
            return Readiness::stalled(reason::BRIDGE_LOST, message);
        }
        if judged.progress.obstacle == Some(Obstacle::CallUnwanted) {
            return Readiness::stalled(reason::ENDED_BY_OTHERS, CALL_UNWANTED);
        }
        if judged.draft.call.is_none() {
            let problem = judged.progress.problem.as_ref().map(|problem| &*problem.message);
            return Readiness::under_way(reason::BRIDGE_LOST, problem, "the call is being made again");
        }
        return match &judged.progress.problem {
            // A failed dialling is told by ParticipantsDialed; door and call are as they should be.
            Some(problem) if !matches!(problem.part, Part::Legs | Part::Access) => {
                Readiness::retrying(problem.reason, &problem.message)
            }
            _ if access.is_some() => unapplied(access),
            _ => Readiness::ready("Active", "the door is open and the call is there"),
        };
    }
    let trouble = door_trouble(judged)
        .or_else(|| judged.progress.problem.as_ref().map(|problem| (problem.reason, problem.message.clone())));
    match trouble {
        Some((reason, message)) if judged.progress.terms.is_observe_only => Readiness::stalled(reason, message),
        Some((reason, message)) if judged.stage == Stage::Inside || reason != reason::NOT_YET => {
            let is_permanent = judged.progress.problem.as_ref().is_some_and(|problem| problem.is_permanent);
            Readiness::failing(reason, message, is_permanent)
        }
        None if judged.stage == Stage::Inside => {
            Readiness::progressing(reason::PROGRESSING, "the door is being opened")
        }
        _ => Readiness::ready("Scheduled", "the meeting is booked and its slot is reserved"),
    }
}
