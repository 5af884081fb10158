//! The status of a ScheduledMeeting.

use jiff::Timestamp;

use super::{Conditions, Verdict};
use crate::api::ScheduledMeetingStatus;
use crate::api::conditions::{kind, meeting as reason};
use crate::api::meeting::{Dial, ParticipantState, Phase};
use crate::plan::meeting::Obstacle;
use crate::plan::window::{Stage, Window};

/// Why a meeting has no slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// Which part of the work failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Door,
    Call,
    Legs,
    Release,
}

/// A step or look that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub part: Part,
    pub reason: &'static str,
    pub message: String,
    /// Only a user can mend it.
    pub permanent: bool,
}

/// What one pass over a meeting found and did.
pub struct Outcome<'a> {
    pub spec: &'a crate::api::ScheduledMeetingSpec,
    /// The facts so far: bridge, slot, window, call, participants, times. Conditions and phase are filled in here.
    pub facts: ScheduledMeetingStatus,
    pub window: Window,
    pub leaving: bool,
    pub refusal: Option<Refusal>,
    /// Who has the slot in the time that was asked for in addition.
    pub extension_conflict: Option<String>,
    pub obstacle: Option<Obstacle>,
    pub problem: Option<Problem>,
    /// The call bridge that was lost with the call.
    pub lost_bridge: Option<String>,
    /// Created, Adopted or Recreated, when the call was found or made in this pass.
    pub call_origin: Option<&'static str>,
    /// The door may be open: the intent to open is recorded or the door was opened.
    pub may_be_open: bool,
    /// The slot is proven shut, or was never used.
    pub released: bool,
    /// The bridge has managementPolicy Observe.
    pub observe_only: bool,
}

/// The new status: facts, phase, conditions.
pub fn build(
    outcome: &Outcome<'_>,
    old: &ScheduledMeetingStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> ScheduledMeetingStatus {
    let stage = outcome.window.stage(now);
    let phase = phase(outcome, stage, old.phase);
    let mut conditions = Conditions::new(&old.conditions, generation, now);
    acceptance(outcome, &mut conditions);
    door(outcome, stage, phase, &mut conditions);
    call(outcome, stage, phase, old, &mut conditions);
    dialling(outcome, stage, phase, &mut conditions);
    release(outcome, phase, &mut conditions);
    let verdict = verdict(outcome, stage, phase);
    let mut status = outcome.facts.clone();
    status.observed_generation = generation;
    status.phase = Some(phase);
    status.conditions = conditions.finish(&verdict);
    status
}

fn phase(outcome: &Outcome<'_>, stage: Stage, old: Option<Phase>) -> Phase {
    let facts = &outcome.facts;
    if outcome.leaving || stage == Stage::Over {
        return match (facts.opened_at.is_some() || outcome.may_be_open, outcome.released) {
            (true, true) if facts.opened_at.is_none() => Phase::Missed,
            (true, true) => Phase::Ended,
            (true, false) => Phase::Closing,
            (false, _) => Phase::Missed,
        };
    }
    if outcome.refusal.is_some() || facts.slot.is_none() {
        return Phase::Pending;
    }
    match stage {
        Stage::Before => Phase::Scheduled,
        // A meeting that lost its call goes on all the same: its door is open.
        _ if facts.opened_at.is_some() && (facts.call.is_some() || old == Some(Phase::Active)) => Phase::Active,
        _ if outcome.may_be_open => Phase::Opening,
        _ => Phase::Scheduled,
    }
}

fn acceptance(outcome: &Outcome<'_>, conditions: &mut Conditions<'_>) {
    let facts = &outcome.facts;
    let refused = outcome.refusal.as_ref().map(|refusal| (refusal.reason, refusal.message.clone()));
    let bridge = facts.bridge.as_ref().map(|b| format!("{}/{}", b.namespace, b.name)).unwrap_or_default();
    conditions.judge(kind::ACCEPTED, ("Accepted", &format!("booked on the bridge {bridge}")), refused.clone());
    if let Some(holder) = &outcome.extension_conflict {
        let message = format!("the slot belongs to {holder} in the added time; the old end stands");
        conditions.set(kind::SLOT_RESERVED, Some(false), reason::EXTENSION_CONFLICT, message);
        return;
    }
    match &facts.slot {
        Some(slot) if refused.is_none() => {
            conditions.set(kind::SLOT_RESERVED, Some(true), "Reserved", format!("slot {} is reserved", slot.number));
        }
        _ => {
            let under_way = refused.as_ref().is_some_and(|(reason, _)| *reason == reason::PROGRESSING);
            let why = if under_way { reason::PROGRESSING } else { reason::NO_FREE_SLOT };
            let message = refused.map_or_else(|| "no slot yet".to_owned(), |(_, message)| message);
            conditions.set(kind::SLOT_RESERVED, Some(false), why, message);
        }
    }
}

/// Reason and message of what stands in the way of opening the door.
fn door_trouble(outcome: &Outcome<'_>) -> Option<(&'static str, String)> {
    if outcome.observe_only {
        return Some((
            reason::OBSERVE_ONLY,
            "the bridge has managementPolicy Observe; nothing is written there".into(),
        ));
    }
    if let Some(obstacle) = outcome.obstacle {
        return Some(match obstacle {
            Obstacle::SpaceMissing => {
                (reason::SPACE_MISSING, "the slot's space does not exist on the bridge; it is made again".into())
            }
            Obstacle::Foreign => (
                reason::SPACE_MISSING,
                "somebody else opened or renamed the slot; another slot is taken as soon as one is free".into(),
            ),
            Obstacle::PasscodeUnavailable => (
                reason::PASSCODE_UNAVAILABLE,
                "the Secret of passcodeSecretRef, or its key, is missing; create it and the door opens".into(),
            ),
            Obstacle::SlotBusy => (reason::NOT_YET, "the meeting before is still being closed".into()),
            Obstacle::CallBridgeLost => return None, // The door is as it should be.
            Obstacle::Suspended => (reason::NOT_YET, "suspended".into()),
        });
    }
    let problem = outcome.problem.as_ref().filter(|problem| problem.part == Part::Door)?;
    Some((problem.reason, problem.message.clone()))
}

fn door(outcome: &Outcome<'_>, stage: Stage, phase: Phase, conditions: &mut Conditions<'_>) {
    let set = |conditions: &mut Conditions<'_>, value: bool, reason: &str, message: &str| {
        conditions.set(kind::SPACE_OPEN, Some(value), reason, message);
    };
    match phase {
        Phase::Ended => set(conditions, false, reason::CLOSED, "the meeting is over"),
        Phase::Missed => {
            let trouble = door_trouble(outcome).map_or_else(|| "never opened".to_owned(), |(_, message)| message);
            set(conditions, false, reason::CLOSED, &trouble);
        }
        Phase::Closing if outcome.facts.opened_at.is_some() => {
            set(conditions, true, "Open", "the meeting is over and the door is being shut");
        }
        _ if outcome.facts.opened_at.is_some() => {
            set(conditions, true, "Open", "anybody who knows number and passcode may join");
        }
        _ => match door_trouble(outcome) {
            Some((reason, message)) => set(conditions, false, reason, &message),
            None if stage == Stage::Inside => set(conditions, false, reason::NOT_YET, "the door is being opened"),
            None => set(conditions, false, reason::NOT_YET, "the window has not begun"),
        },
    }
}

fn call(
    outcome: &Outcome<'_>,
    stage: Stage,
    phase: Phase,
    old: &ScheduledMeetingStatus,
    conditions: &mut Conditions<'_>,
) {
    let trouble = outcome.problem.as_ref().filter(|problem| problem.part == Part::Call);
    if matches!(phase, Phase::Ended | Phase::Missed) {
        conditions.set(kind::CALL_PRESENT, Some(false), reason::ENDED, "the meeting is over");
    } else if let Some(message) = call_trouble(outcome, old) {
        conditions.set(kind::CALL_PRESENT, Some(false), reason::BRIDGE_LOST, message);
    } else if let Some(call) = &outcome.facts.call {
        let kept = super::find(&old.conditions, kind::CALL_PRESENT).filter(|c| c.status == "True");
        let how = outcome.call_origin.or_else(|| kept.map(|c| c.reason.as_str()));
        let message = format!("the call is on {}", call.call_bridge);
        conditions.set(kind::CALL_PRESENT, Some(true), how.unwrap_or(reason::ADOPTED), message);
    } else if let Some(problem) = trouble {
        conditions.set(kind::CALL_PRESENT, Some(false), reason::CALL_FAILED, problem.message.as_str());
    } else {
        let message = if stage == Stage::Inside { "the call is being made" } else { "the window has not begun" };
        conditions.set(kind::CALL_PRESENT, Some(false), reason::NOT_YET, message);
    }
}

/// The call's bridge was lost: left as it is, or no other one could make the call yet.
fn call_trouble(outcome: &Outcome<'_>, old: &ScheduledMeetingStatus) -> Option<String> {
    if outcome.obstacle == Some(Obstacle::CallBridgeLost) {
        let lost = outcome.lost_bridge.as_deref().unwrap_or("of the call");
        return Some(format!("the call bridge {lost} is lost; running meetings are left as they are"));
    }
    let before = super::find(&old.conditions, kind::CALL_PRESENT).filter(|c| c.reason == reason::BRIDGE_LOST);
    let lost = outcome.lost_bridge.is_some() || before.is_some();
    (lost && outcome.facts.call.is_none()).then(|| match (&outcome.lost_bridge, before) {
        (Some(lost), _) => format!("the call bridge {lost} was lost with the call, which is to be made again"),
        (None, before) => before.map(|condition| condition.message.to_string()).unwrap_or_default(),
    })
}

fn dialling(outcome: &Outcome<'_>, stage: Stage, phase: Phase, conditions: &mut Conditions<'_>) {
    use ParticipantState::{Connected, Failed, Left, NotDialed};
    let dialled: Vec<_> = outcome
        .spec
        .participants
        .iter()
        .filter(|participant| participant.dial == Dial::Out)
        .filter_map(|participant| {
            outcome.facts.participants.iter().find(|status| status.remote_party == participant.remote_party)
        })
        .collect();
    let parties = |state: ParticipantState| -> String {
        let named: Vec<&str> =
            dialled.iter().filter(|p| p.state == state).map(|p| p.remote_party.as_str()).take(5).collect();
        named.join(", ")
    };
    let mut set = |value, reason: &str, message: String| {
        conditions.set(kind::PARTICIPANTS_DIALED, Some(value), reason, message);
    };
    if dialled.is_empty() {
        set(true, "NobodyToDial", "no participant is to be dialled".to_owned());
    } else if dialled.iter().any(|participant| participant.state == NotDialed) {
        let message = "scheduling.allowOutgoingSIP of the bridge is false: nobody is dialled".to_owned();
        set(false, reason::OUTGOING_DIALING_DISABLED, message);
    } else if stage < Stage::Inside || (outcome.facts.call.is_none() && !matches!(phase, Phase::Ended | Phase::Missed))
    {
        set(false, reason::NOT_YET, "dialling starts with the meeting".to_owned());
    } else if dialled.iter().any(|participant| participant.state == Failed) {
        set(false, reason::SOME_FAILED, format!("every try failed for {}", parties(Failed)));
    } else if dialled.iter().all(|participant| matches!(participant.state, Connected | Left)) {
        set(true, "AllConnected", "everybody who was to be dialled was connected".to_owned());
    } else if matches!(phase, Phase::Ended | Phase::Missed) {
        set(false, reason::SOME_FAILED, "the meeting ended before everybody was connected".to_owned());
    } else if dialled.iter().all(|participant| participant.attempts == 0) {
        set(false, reason::NOT_YET, "dialling starts with the meeting".to_owned());
    } else {
        set(false, reason::DIALING, "somebody is being dialled, or will be again".to_owned());
    }
}

fn release(outcome: &Outcome<'_>, phase: Phase, conditions: &mut Conditions<'_>) {
    let mut set = |value, reason: &str, message: &str| {
        conditions.set(kind::SLOT_RELEASED, Some(value), reason, message);
    };
    match phase {
        Phase::Ended => set(true, "Released", "the slot is proven shut and has a new secret"),
        Phase::Missed => set(true, "NeverOpened", "the slot was not used"),
        Phase::Closing => {
            let message = outcome.problem.as_ref().map_or("the slot is being shut", |problem| problem.message.as_str());
            set(false, reason::RESET_PENDING, message);
        }
        _ => set(false, reason::NOT_YET, "the meeting is not over"),
    }
}

fn verdict(outcome: &Outcome<'_>, stage: Stage, phase: Phase) -> Verdict {
    if let Some(refusal) = &outcome.refusal
        && phase == Phase::Pending
    {
        let (reason, message) = (refusal.reason, refusal.message.clone());
        // A bridge that is not there yet may come with the next file of the same commit.
        return if matches!(reason, reason::BRIDGE_NOT_FOUND | reason::PROGRESSING) {
            Verdict::Reconciling { reason, message, retrying: reason == reason::BRIDGE_NOT_FOUND }
        } else {
            Verdict::Stalled { reason, message }
        };
    }
    if outcome.obstacle == Some(Obstacle::Suspended) {
        return Verdict::Paused { reason: reason::SUSPENDED, message: "the meeting or its bridge is suspended".into() };
    }
    match phase {
        Phase::Ended => Verdict::Ready { reason: "Ended", message: "the meeting is over and its slot is shut".into() },
        Phase::Missed => Verdict::Stalled {
            reason: reason::MISSED,
            message: "the window passed without the door being opened".into(),
        },
        Phase::Closing => {
            let message = outcome.problem.as_ref().map_or("the slot is being shut".into(), |p| p.message.clone());
            Verdict::Reconciling { reason: reason::RESET_PENDING, message, retrying: outcome.problem.is_some() }
        }
        Phase::Pending => Verdict::Reconciling {
            reason: reason::PROGRESSING,
            message: "a slot is being chosen".into(),
            retrying: false,
        },
        Phase::Scheduled | Phase::Opening | Phase::Active => running_verdict(outcome, stage, phase),
    }
}

fn running_verdict(outcome: &Outcome<'_>, stage: Stage, phase: Phase) -> Verdict {
    if let Some(holder) = &outcome.extension_conflict {
        let message = format!("the slot belongs to {holder} in the added time; the old end stands");
        return Verdict::Stalled { reason: reason::EXTENSION_CONFLICT, message };
    }
    if phase == Phase::Active && stage == Stage::Inside {
        if outcome.obstacle == Some(Obstacle::CallBridgeLost) {
            let message = "the call bridge of the call is lost; running meetings are left as they are".to_owned();
            return Verdict::Stalled { reason: reason::BRIDGE_LOST, message };
        }
        if outcome.facts.call.is_none() {
            let message = outcome.problem.as_ref().map_or("the call is being made again".into(), |p| p.message.clone());
            let retrying = outcome.problem.is_some();
            return Verdict::Reconciling { reason: reason::BRIDGE_LOST, message, retrying };
        }
        return match &outcome.problem {
            // A failed dialling is told by ParticipantsDialed; door and call are as they should be.
            Some(problem) if problem.part != Part::Legs => {
                Verdict::Reconciling { reason: problem.reason, message: problem.message.clone(), retrying: true }
            }
            _ => Verdict::Ready { reason: "Active", message: "the door is open and the call is there".into() },
        };
    }
    let trouble = door_trouble(outcome)
        .or_else(|| outcome.problem.as_ref().map(|problem| (problem.reason, problem.message.clone())));
    match trouble {
        Some((reason, message)) if outcome.observe_only => Verdict::Stalled { reason, message },
        Some((reason, message)) if stage == Stage::Inside || reason != reason::NOT_YET => {
            let permanent = outcome.problem.as_ref().is_some_and(|problem| problem.permanent);
            if permanent {
                Verdict::Stalled { reason, message }
            } else {
                Verdict::Reconciling { reason, message, retrying: true }
            }
        }
        None if stage == Stage::Inside => Verdict::Reconciling {
            reason: reason::PROGRESSING,
            message: "the door is being opened".into(),
            retrying: false,
        },
        _ => Verdict::Ready { reason: "Scheduled", message: "the meeting is booked and its slot is reserved".into() },
    }
}
