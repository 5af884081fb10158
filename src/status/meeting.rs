//! The status of a ScheduledMeeting.

mod access;
mod readiness;
mod settings;
mod warning;

use jiff::Timestamp;

use super::Conditions;
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::{Dial, ParticipantState, ParticipantStatus, Phase};
use crate::api::repairs::{Rival, Shown};
use crate::api::{ScheduledMeetingStatus, find};
use crate::plan::meeting::{Door, Obstacle, Part, Progress};
use crate::plan::window::Stage;

const CALL_UNWANTED: &str = "somebody ended the call again and again; it is not made again unless the spec is edited";
const WINDOW_PASSED: &str = "WindowPassed";
const START_MOVED: &str = "the start was moved while people are in: the window agreed before stands until they have left \
                           or it ends, then the new one is booked";
const BRIDGE_LEAVES: &str =
    "its bridge is being deleted; when that is gone, the meeting is booked anew where it may be";
const SLOTS_PENDING: &str = "the bridge is still making its slots";

/// What others do to the open door again and again, and what is done about it.
fn tug_of_war(progress: &Progress) -> Option<(Shown, String)> {
    let repairs = progress.draft.door_repairs.as_ref()?;
    let what = match repairs.shown {
        Shown::Nothing | Shown::AsWanted => return None,
        Shown::Renamed => "the door is open, but others change its name or mark again and again, which is left so",
        Shown::Shut => "others shut the door again and again; it is left shut",
        Shown::OtherKeys => {
            "others change passcode or secret again and again; the right ones are put back once a minute at most"
        }
        Shown::OtherProfiles => {
            "others give it other profiles than its settings ask for again and again; what protects is put back once a \
             minute at most"
        }
    };
    let who = match repairs.by {
        Rival::Unknown => "look for Cisco TMS, another installation or a script that uses this slot",
        Rival::Scheduler => "it is made a free slot, as Cisco TMS and other schedulers do",
        Rival::Installation => "it carries the mark of another installation of meeting-controller",
    };
    let remedy =
        "stop that, then edit this object or ask it to reconcile; otherwise it is tried again after 30 minutes";
    Some((repairs.shown, format!("{what}; {who}; {remedy}")))
}

/// What the conditions are judged by.
struct Judged<'a> {
    progress: &'a Progress,
    /// The status as it will be, without phase and conditions.
    draft: &'a ScheduledMeetingStatus,
    stage: Stage,
    phase: Phase,
    /// Why nobody shut the door at the end, now or when it ended.
    left_behind: Option<String>,
    now: Timestamp,
}

impl Judged<'_> {
    /// Without our finalizer it may vanish unseen. Nobody minds that once it is over, except who wants to delete it.
    fn is_to_be_tied(&self) -> bool {
        !self.phase.is_over() || self.progress.terms.is_deleting
    }

    /// The space that was opened is gone, or somebody shut it and it stays so.
    fn is_known_shut(&self) -> bool {
        matches!(self.progress.obstacle, Some(Obstacle::SpaceMissing | Obstacle::Foreign | Obstacle::SettingsMissing))
    }

    /// It is over, and nothing was ever done for it.
    fn was_never_booked(&self) -> bool {
        self.phase.is_over() && self.draft.bridge.is_none() && self.progress.refusal.is_none()
    }
}

/// The new status: the draft, phase, conditions.
pub fn build(
    progress: &Progress,
    old: &ScheduledMeetingStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> ScheduledMeetingStatus {
    let draft = progress.final_draft(now);
    let stage = progress.stage(now);
    let phase = phase(progress, &draft, stage, old.phase, progress.is_closing(now));
    let before = find(&old.conditions, types::SLOT_RELEASED).filter(|_| old.phase.is_some_and(Phase::is_over));
    let left_before = before.filter(|told| told.reason == reason::LEFT_BEHIND).map(|told| told.message.to_string());
    let left_behind = progress.left_behind.map(str::to_owned).or(left_before).filter(|_| phase.is_over());
    let judged = Judged { progress, draft: &draft, stage, phase, left_behind, now };
    let mut conditions = Conditions::new(&old.conditions, generation, now);
    acceptance(&judged, &mut conditions);
    door(&judged, &mut conditions);
    call(&judged, old, &mut conditions);
    dialling(&judged, &mut conditions);
    settings::tell(&judged, &mut conditions);
    warning::tell(&judged, &mut conditions);
    access::tell(&judged, &mut conditions);
    release(&judged, &mut conditions);
    let readiness = readiness::of(&judged);
    let mut status = draft;
    status.observed_generation = generation;
    status.phase = Some(phase);
    status.conditions = conditions.finish(&readiness);
    status
}

fn phase(
    progress: &Progress,
    draft: &ScheduledMeetingStatus,
    stage: Stage,
    old: Option<Phase>,
    is_closing: bool,
) -> Phase {
    let was_opened = draft.opened_at.is_some();
    if is_closing {
        // Nor does anybody wait for one that was suspended to its end.
        let was_due = !progress.never_due && (!progress.terms.spec.suspend || old == Some(Phase::Missed));
        return match progress.door {
            Door::Released if was_opened => Phase::Ended,
            Door::Untouched | Door::Released if was_due => Phase::Missed,
            Door::Untouched | Door::Released => Phase::Ended,
            Door::Intended | Door::Open | Door::Shut => Phase::Closing,
        };
    }
    if progress.refusal.is_some() || draft.slot.is_none() {
        return Phase::Pending;
    }
    match stage {
        Stage::Before => Phase::Scheduled,
        // A meeting that lost its call goes on all the same: its door is open.
        _ if was_opened && (draft.call.is_some() || old == Some(Phase::Active)) => Phase::Active,
        _ if progress.door.may_be_open() => Phase::Opening,
        _ => Phase::Scheduled,
    }
}

fn acceptance(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    let draft = judged.draft;
    if judged.was_never_booked() {
        for kind in [types::ACCEPTED, types::SLOT_RESERVED] {
            // Why it was refused to the end stays there to read.
            match find(conditions.old, kind).filter(|told| told.status == "False").cloned() {
                Some(told) => conditions.set(kind, Some(false), &told.reason, told.message.as_str()),
                None => conditions.set(kind, None, WINDOW_PASSED, "it was never booked: its window has passed"),
            }
        }
        return;
    }
    let refused = judged.progress.refusal.as_ref().map(|refusal| (refusal.reason, refusal.message.clone()));
    let bridge = draft.bridge.as_ref().map(|b| format!("{}/{}", b.namespace, b.name)).unwrap_or_default();
    let unmet = judged.progress.unmet.as_ref().map(|unmet| {
        let agreed = draft.window.map(|window| format!(", from {} to {}", window.starts_at.0, window.closes_at.0));
        (unmet.reason, format!("{}; what was booked before stands{}", unmet.message, agreed.unwrap_or_default()))
    });
    let untold = refused.clone().or(unmet);
    conditions.judge(types::ACCEPTED, ("Accepted", &format!("booked on the bridge {bridge}")), untold);
    if let Some(refusal) = &judged.progress.extension_refused {
        conditions.set(types::SLOT_RESERVED, Some(false), refusal.reason, refusal.message.as_str());
        return;
    }
    if judged.progress.moved_to.is_some() && !judged.progress.vacated {
        conditions.set(types::SLOT_RESERVED, Some(false), reason::START_MOVED, START_MOVED);
        return;
    }
    match &draft.slot {
        Some(slot) if refused.is_none() => {
            conditions.set(types::SLOT_RESERVED, Some(true), "Reserved", format!("slot {} is reserved", slot.number));
        }
        _ => {
            let under_way = refused.as_ref().is_some_and(|(reason, _)| *reason == reason::PROGRESSING);
            let why = if under_way { reason::PROGRESSING } else { reason::NO_FREE_SLOT };
            let message = refused.map_or_else(|| "no slot yet".to_owned(), |(_, message)| message);
            conditions.set(types::SLOT_RESERVED, Some(false), why, message);
        }
    }
}

/// Reason and message of what stands in the way of opening the door.
fn door_trouble(judged: &Judged<'_>) -> Option<(&'static str, String)> {
    if judged.progress.terms.is_observe_only {
        return Some((
            reason::OBSERVE_ONLY,
            "the bridge has managementPolicy Observe; nothing is written there".into(),
        ));
    }
    if let Some(unwritten) = &judged.progress.unwritten {
        return Some((unwritten.reason, unwritten.message.clone()));
    }
    if judged.progress.terms.bridge_leaves {
        return Some((reason::NOT_YET, BRIDGE_LEAVES.to_owned()));
    }
    if let Some(obstacle) = judged.progress.obstacle {
        return Some(match obstacle {
            Obstacle::SpaceMissing => {
                (reason::SPACE_MISSING, "the slot's space does not exist on the bridge; it is made again".into())
            }
            Obstacle::Foreign if judged.draft.opened_at.is_some() => (
                reason::SPACE_MISSING,
                "the slot's space is gone and somebody else's has its number; free that number on the bridge, and the \
                 slot is made again and opened"
                    .into(),
            ),
            Obstacle::Foreign => (
                reason::SPACE_MISSING,
                "somebody else opened or renamed the slot; another slot is taken as soon as one is free".into(),
            ),
            Obstacle::PasscodeUnavailable => (reason::PASSCODE_UNAVAILABLE, access::no_passcode(judged)),
            Obstacle::PasscodesEqual => (reason::PASSCODES_EQUAL, access::PASSCODES_EQUAL.into()),
            Obstacle::AccessUnsupported => (reason::ACCESS_UNSUPPORTED, access::unsupported(judged)),
            Obstacle::SettingsMissing => (reason::SETTINGS_MISSING, settings::missing(judged)),
            Obstacle::SlotBusy => (reason::NOT_YET, "the meeting before is still being closed".into()),
            Obstacle::CallBridgeLost | Obstacle::CallUnwanted => return None, // The door is as it should be.
            Obstacle::Suspended => (reason::NOT_YET, "suspended".into()),
            Obstacle::SlotsPending => (reason::NOT_YET, SLOTS_PENDING.into()),
            // Told by the problem, or nothing that people need to know.
            Obstacle::DetailsUnwritten | Obstacle::OverdueFirst | Obstacle::DatabaseDown(_) | Obstacle::ObserveOnly => {
                return None;
            }
        });
    }
    let problem = judged.progress.problem.as_ref().filter(|problem| problem.part == Part::Door)?;
    Some((problem.reason, problem.message.clone()))
}

fn door(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    let set = |conditions: &mut Conditions<'_>, value: bool, reason: &str, message: &str| {
        conditions.set(types::SPACE_OPEN, Some(value), reason, message);
    };
    if let Some(why) = &judged.left_behind {
        conditions.set(types::SPACE_OPEN, None, reason::LEFT_BEHIND, why.as_str());
        return;
    }
    match judged.phase {
        Phase::Ended => set(conditions, false, reason::CLOSED, "the meeting is over"),
        Phase::Missed => {
            let trouble = door_trouble(judged).map_or_else(|| "never opened".to_owned(), |(_, message)| message);
            set(conditions, false, reason::CLOSED, &trouble);
        }
        Phase::Closing if judged.draft.opened_at.is_some() => {
            set(conditions, true, "Open", "the meeting is over and the door is being shut");
        }
        _ if judged.draft.opened_at.is_some() && !judged.is_known_shut() => match tug_of_war(judged.progress) {
            Some((shown, message)) => set(conditions, shown == Shown::Renamed, reason::TUG_OF_WAR, &message),
            None => set(conditions, true, "Open", "anybody who knows number and passcode may join"),
        },
        _ => match door_trouble(judged) {
            Some((reason, message)) => set(conditions, false, reason, &message),
            None if judged.stage == Stage::Inside => {
                set(conditions, false, reason::NOT_YET, "the door is being opened")
            }
            None => set(conditions, false, reason::NOT_YET, "the window has not begun"),
        },
    }
}

fn call(judged: &Judged<'_>, old: &ScheduledMeetingStatus, conditions: &mut Conditions<'_>) {
    let trouble = judged.progress.problem.as_ref().filter(|problem| problem.part == Part::Call);
    if let Some(why) = &judged.left_behind {
        conditions.set(types::CALL_PRESENT, None, reason::LEFT_BEHIND, why.as_str());
    } else if matches!(judged.phase, Phase::Ended | Phase::Missed) {
        conditions.set(types::CALL_PRESENT, Some(false), reason::ENDED, "the meeting is over");
    } else if judged.progress.obstacle == Some(Obstacle::CallUnwanted) {
        conditions.set(types::CALL_PRESENT, Some(false), reason::ENDED_BY_OTHERS, CALL_UNWANTED);
    } else if let Some(message) = call_trouble(judged, old) {
        conditions.set(types::CALL_PRESENT, Some(false), reason::BRIDGE_LOST, message);
    } else if let Some(call) = &judged.draft.call {
        let kept = find(&old.conditions, types::CALL_PRESENT).filter(|c| c.status == "True");
        let how = judged.progress.call_origin.or_else(|| kept.map(|c| c.reason.as_str()));
        let message = format!("the call is on {}", call.call_bridge);
        conditions.set(types::CALL_PRESENT, Some(true), how.unwrap_or(reason::ADOPTED), message);
    } else if let Some(problem) = trouble {
        conditions.set(types::CALL_PRESENT, Some(false), reason::CALL_FAILED, problem.message.as_str());
    } else {
        let message = if judged.stage == Stage::Inside { "the call is being made" } else { "the window has not begun" };
        conditions.set(types::CALL_PRESENT, Some(false), reason::NOT_YET, message);
    }
}

/// The call's bridge was lost: left as it is, or no other one could make the call yet.
fn call_trouble(judged: &Judged<'_>, old: &ScheduledMeetingStatus) -> Option<String> {
    if judged.progress.obstacle == Some(Obstacle::CallBridgeLost) {
        let lost = judged.progress.lost_call_bridge.as_ref().map_or("of the call".to_owned(), ToString::to_string);
        return Some(format!("the call bridge {lost} is lost; running meetings are left as they are"));
    }
    let before = find(&old.conditions, types::CALL_PRESENT).filter(|c| c.reason == reason::BRIDGE_LOST);
    let lost = judged.progress.lost_call_bridge.is_some() || before.is_some();
    (lost && judged.draft.call.is_none()).then(|| match (&judged.progress.lost_call_bridge, before) {
        (Some(lost), _) => format!("the call bridge {lost} was lost with the call, which is to be made again"),
        (None, before) => before.map(|condition| condition.message.to_string()).unwrap_or_default(),
    })
}

fn dialling(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    use ParticipantState::{Connected, Failed, Left, NotDialed};
    if judged.progress.terms.unreadable.is_some() {
        let message = "who is to be dialled cannot be read";
        return conditions.set(types::PARTICIPANTS_DIALED, None, reason::UNREADABLE, message);
    }
    let dialled: Vec<_> = judged
        .progress
        .terms
        .spec
        .participants
        .iter()
        .filter(|participant| participant.dial == Dial::Out)
        .filter_map(|participant| {
            judged.draft.participants.iter().find(|status| status.remote_party == participant.remote_party)
        })
        .collect();
    let parties = |state: ParticipantState| -> String {
        let named: Vec<&str> =
            dialled.iter().filter(|p| p.state == state).map(|p| p.remote_party.as_str()).take(5).collect();
        named.join(", ")
    };
    let mut set = |value, reason: &str, message: String| {
        conditions.set(types::PARTICIPANTS_DIALED, Some(value), reason, message);
    };
    if dialled.is_empty() {
        set(true, "NobodyToDial", "no participant is to be dialled".to_owned());
    } else if dialled.iter().any(|participant| participant.state == NotDialed) {
        let message = "scheduling.allowOutgoingSIP of the bridge is false: nobody is dialled".to_owned();
        set(false, reason::OUTGOING_DIALING_DISABLED, message);
    } else if judged.stage < Stage::Inside
        || (judged.draft.call.is_none() && !matches!(judged.phase, Phase::Ended | Phase::Missed))
    {
        set(false, reason::NOT_YET, "dialling starts with the meeting".to_owned());
    } else if dialled.iter().any(|participant| participant.state == Failed) {
        set(false, reason::SOME_FAILED, format!("every try failed for {}", parties(Failed)));
    } else if dialled.iter().all(|participant| matches!(participant.state, Connected | Left)) {
        set(true, "AllConnected", "everybody who was to be dialled was connected".to_owned());
    } else if matches!(judged.phase, Phase::Ended | Phase::Missed) {
        set(false, reason::SOME_FAILED, "the meeting ended before everybody was connected".to_owned());
    } else if dialled.iter().all(|participant| participant.attempts == 0 && participant.vain_tries == 0) {
        set(false, reason::NOT_YET, "dialling starts with the meeting".to_owned());
    } else if let Some(why) = refused_for_now(&dialled) {
        set(false, reason::DIALING, format!("the bridge refuses some for now and is asked again: {why}"));
    } else {
        set(false, reason::DIALING, "somebody is being dialled, or will be again".to_owned());
    }
}

/// Who waits because the last try rang nobody, with the bridge's word for it.
fn refused_for_now(dialled: &[&ParticipantStatus]) -> Option<String> {
    let waiting = dialled.iter().filter(|p| p.state == ParticipantState::Waiting && p.vain_tries > 0);
    let named: Vec<String> = waiting
        .take(5)
        .map(|p| format!("{} ({})", p.remote_party, p.reason.as_deref().unwrap_or("no reason")))
        .collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn release(judged: &Judged<'_>, conditions: &mut Conditions<'_>) {
    let mut set = |value, reason: &str, message: &str| {
        conditions.set(types::SLOT_RELEASED, Some(value), reason, message);
    };
    // Nothing is looked at again after the end, so what was found out then stands.
    let was_taken = judged.draft.conditions.iter().any(|known| known.reason == reason::TAKEN_OVER);
    if let Some(why) = &judged.left_behind {
        return set(false, reason::LEFT_BEHIND, why);
    }
    match judged.phase {
        Phase::Ended if judged.progress.taken_over || was_taken => {
            set(true, reason::TAKEN_OVER, "another meeting had the slot already, so it was left as it was");
        }
        Phase::Ended if judged.draft.opened_at.is_some() => {
            set(true, "Released", "the slot is proven shut and has a new secret");
        }
        Phase::Ended | Phase::Missed => set(true, "NeverOpened", "the slot was not used"),
        Phase::Closing => {
            let message =
                judged.progress.problem.as_ref().map_or("the slot is being shut", |problem| problem.message.as_str());
            set(false, reason::RESET_PENDING, message);
        }
        _ => set(false, reason::NOT_YET, "the meeting is not over"),
    }
}

#[cfg(test)]
mod tests;
