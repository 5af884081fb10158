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
        return Readiness::Stalled { reason: reason::FINALIZER_REFUSED, message };
    }
    if let Some(message) = judged.progress.terms.unreadable.clone().filter(|_| !judged.phase.is_over()) {
        return Readiness::Stalled { reason: reason::UNREADABLE, message };
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
            Readiness::Reconciling { reason, message, retrying: reason == reason::BRIDGE_NOT_FOUND }
        } else {
            Readiness::Stalled { reason, message }
        };
    }
    if let Some(message) = judged.left_behind.clone() {
        return Readiness::Stalled { reason: reason::LEFT_BEHIND, message };
    }
    match judged.phase {
        Phase::Ended if judged.draft.opened_at.is_some() => {
            Readiness::Ready { reason: "Ended", message: "the meeting is over and its slot is shut".into() }
        }
        Phase::Ended => Readiness::Ready {
            reason: WINDOW_PASSED,
            message: "its window had passed before its door was to be opened".into(),
        },
        Phase::Missed => Readiness::Stalled {
            reason: reason::MISSED,
            message: "the window passed without the door being opened".into(),
        },
        Phase::Closing => {
            let message =
                judged.progress.problem.as_ref().map_or("the slot is being shut".into(), |p| p.message.clone());
            Readiness::Reconciling {
                reason: reason::RESET_PENDING,
                message,
                retrying: judged.progress.problem.is_some(),
            }
        }
        Phase::Pending => Readiness::Reconciling {
            reason: reason::PROGRESSING,
            message: "a slot is being chosen".into(),
            retrying: false,
        },
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
        let message = "spec.suspend is true: it is neither opened nor shut".into();
        return Some(Readiness::Ready { reason: reason::SUSPENDED, message });
    }
    let message = "its bridge is suspended: it is neither opened nor shut".into();
    match judged.phase {
        Phase::Pending => None,
        Phase::Scheduled | Phase::Opening if judged.stage >= Stage::Inside => {
            Some(Readiness::Stalled { reason: reason::SUSPENDED, message })
        }
        Phase::Closing => Some(Readiness::Stalled { reason: reason::SUSPENDED, message }),
        _ => Some(Readiness::Ready { reason: reason::SUSPENDED, message }),
    }
}

/// Door and call are there, but not every way in.
fn unapplied(access: Option<(&'static str, String, bool)>) -> Readiness {
    let (reason, message, is_permanent) = access.unwrap_or_default();
    if is_permanent {
        Readiness::Stalled { reason, message }
    } else {
        Readiness::Reconciling { reason, message, retrying: false }
    }
}

fn running_readiness(judged: &Judged<'_>) -> Readiness {
    if let Some(unwritten) = &judged.progress.unwritten {
        let (reason, message) = (unwritten.reason, unwritten.message.clone());
        return if unwritten.is_permanent {
            Readiness::Stalled { reason, message }
        } else {
            Readiness::Reconciling { reason, message, retrying: true }
        };
    }
    if judged.progress.terms.bridge_leaves {
        let message = BRIDGE_LEAVES.to_owned();
        return Readiness::Reconciling { reason: reason::BRIDGE_NOT_FOUND, message, retrying: false };
    }
    if judged.progress.obstacle == Some(Obstacle::SlotsPending) {
        let message = SLOTS_PENDING.to_owned();
        return Readiness::Reconciling { reason: reason::PROGRESSING, message, retrying: false };
    }
    if judged.progress.moved_to.is_some() {
        let message = START_MOVED.to_owned();
        return Readiness::Reconciling { reason: reason::START_MOVED, message, retrying: false };
    }
    let refused = judged.progress.unmet.as_ref().or(judged.progress.extension_refused.as_ref());
    if let Some(Refusal { reason, message }) = refused.cloned() {
        return Readiness::Stalled { reason, message };
    }
    let access = access::unready(judged);
    if judged.draft.opened_at.is_none()
        && let Some((reason, message, _)) = access.clone()
    {
        return Readiness::Stalled { reason, message };
    }
    if judged.phase == Phase::Active && judged.stage == Stage::Inside && !judged.is_known_shut() {
        if let Some((_, message)) = tug_of_war(judged.progress).filter(|(shown, _)| *shown != Shown::Renamed) {
            return Readiness::Stalled { reason: reason::TUG_OF_WAR, message };
        }
        if judged.progress.obstacle == Some(Obstacle::CallBridgeLost) {
            let message = "the call bridge of the call is lost; running meetings are left as they are".to_owned();
            return Readiness::Stalled { reason: reason::BRIDGE_LOST, message };
        }
        if judged.progress.obstacle == Some(Obstacle::CallUnwanted) {
            return Readiness::Stalled { reason: reason::ENDED_BY_OTHERS, message: CALL_UNWANTED.to_owned() };
        }
        if judged.draft.call.is_none() {
            let message =
                judged.progress.problem.as_ref().map_or("the call is being made again".into(), |p| p.message.clone());
            let retrying = judged.progress.problem.is_some();
            return Readiness::Reconciling { reason: reason::BRIDGE_LOST, message, retrying };
        }
        return match &judged.progress.problem {
            // A failed dialling is told by ParticipantsDialed; door and call are as they should be.
            Some(problem) if !matches!(problem.part, Part::Legs | Part::Access) => {
                Readiness::Reconciling { reason: problem.reason, message: problem.message.clone(), retrying: true }
            }
            _ if access.is_some() => unapplied(access),
            _ => Readiness::Ready { reason: "Active", message: "the door is open and the call is there".into() },
        };
    }
    let trouble = door_trouble(judged)
        .or_else(|| judged.progress.problem.as_ref().map(|problem| (problem.reason, problem.message.clone())));
    match trouble {
        Some((reason, message)) if judged.progress.terms.is_observe_only => Readiness::Stalled { reason, message },
        Some((reason, message)) if judged.stage == Stage::Inside || reason != reason::NOT_YET => {
            let permanent = judged.progress.problem.as_ref().is_some_and(|problem| problem.is_permanent);
            if permanent {
                Readiness::Stalled { reason, message }
            } else {
                Readiness::Reconciling { reason, message, retrying: true }
            }
        }
        None if judged.stage == Stage::Inside => Readiness::Reconciling {
            reason: reason::PROGRESSING,
            message: "the door is being opened".into(),
            retrying: false,
        },
        _ => Readiness::Ready { reason: "Scheduled", message: "the meeting is booked and its slot is reserved".into() },
    }
}
