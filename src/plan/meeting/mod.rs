//! What to do next for one meeting. PURE: the same facts always give the same step.
//!
//! The plan is asked again after every look and every write, with the outcome worked into [`Progress`] and facts. So
//! there is no list of steps that a crash could cut in two: whatever was done before, the next step follows from what is
//! there.

mod access;
mod contest;
mod dials;
mod digest;
mod effects;
mod layouts;
mod lives;
mod progress;
mod secrets;
mod settings;
mod step;
mod terms;
mod tidy;
mod trouble;
mod warning;
mod write;

use jiff::Timestamp;

pub use access::WrittenMethods;
#[cfg(test)]
use digest::pick_call;
pub use progress::{Around, Door, Note, Problem, Progress, Survey};
pub use secrets::{JoinSecrets, MethodSecrets, WrittenDoor};
pub use settings::{Made, SettingsTerms};
pub use step::{Effect, End, Found, Intent, Look, Obstacle, Part, Place, Step};
pub use terms::Terms;
pub use tidy::goes_at;
pub use write::Write;

use crate::api::marks::is_mark;
use crate::cms::Space;
use crate::facts::Seen;
use crate::facts::calls::{OrphanCall, PlacedCall};
use crate::facts::meeting::MeetingFacts;
use crate::facts::slots::{Standing, standing};
use crate::plan::participants;
use crate::plan::window::Stage;

/// The next thing to do for a meeting.
pub type Next = super::Next<Look, Intent, Step, End>;

fn blocked(obstacle: Obstacle) -> Next {
    Next::Rest(End::Blocked(obstacle))
}

/// The next thing to do for this meeting.
pub fn next(progress: &Progress, facts: &MeetingFacts, around: &Around, now: Timestamp) -> Next {
    let over = progress.is_closing(now);
    if progress.terms.is_suspended && !progress.leaving {
        let is_done = over && !progress.door.may_be_open();
        return if is_done { Next::Rest(End::Released) } else { blocked(Obstacle::Suspended) };
    }
    let wanted = match vacancy(progress, facts) {
        _ if over => closing(progress, facts),
        _ if progress.tried.wants_boot => Next::Look(Look::Boot),
        Some(look) => Next::Look(look),
        None => match opening(progress, facts, around, now) {
            Next::Do(step @ (Step::OpenDoor | Step::MarkExtension | Step::CloseDoor)) => {
                access::before_door(progress, facts).unwrap_or(Next::Do(step))
            }
            wanted => wanted,
        },
    };
    permitted(progress, around, wanted)
}

/// What stands in the way of a write, whatever it is.
fn permitted(progress: &Progress, around: &Around, wanted: Next) -> Next {
    match wanted {
        Next::Do(_) | Next::Record(_) if progress.terms.is_observe_only => blocked(Obstacle::ObserveOnly),
        // Booked when its time had begun: nothing is written to the bridge before the intent is stored.
        Next::Do(_) if progress.door == Door::Untouched => Next::Record(Intent::Open),
        // A call bridge may have come back in the midst of this pass, so this is asked right before the door.
        Next::Do(Step::OpenDoor) if around.overdue_first && progress.draft.opened_at.is_none() => {
            blocked(Obstacle::OverdueFirst)
        }
        Next::Do(Step::OpenDoor | Step::MarkExtension) if progress.must_record_settings() => {
            if progress.knows_before() { Next::Record(Intent::Settings) } else { Next::Look(Look::Space) }
        }
        Next::Do(step) if around.database_lost && step.needs_database() => blocked(Obstacle::DatabaseDown(step.part())),
        other => other,
    }
}

/// May a meeting whose own space is gone go on in this one, which a look shows under its number? If it carries our mark
/// for this very meeting, or is as free as a bulk sync makes it; everything else is somebody's.
pub fn may_go_on_in(space: &Space, terms: &Terms) -> bool {
    match standing(space, &terms.placeholder, &terms.marks) {
        Standing::Free => true,
        Standing::Marked => space.cdr_tag.as_ref() == Some(&terms.mark),
        Standing::Foreign => false,
    }
}

/// The start was moved away: before the door is shut because nobody is in, that must be seen now.
fn vacancy(progress: &Progress, facts: &MeetingFacts) -> Option<Look> {
    let is_seen_in = facts.legs.known().is_some() && progress.draft.participant_count > Some(0);
    if progress.moved_to.is_none() || progress.tried.legs_seen || is_seen_in || progress.is_left_alone() {
        return None;
    }
    match (progress.call_here(), &facts.calls) {
        (Some(_), _) if !progress.tried.doubted_call => Some(Look::Legs),
        (_, Seen::Unknown) => Some(Look::Calls),
        (Some(_), Seen::Known(_)) => Some(Look::Legs),
        (None, Seen::Known(_)) => None,
    }
}

fn opening(progress: &Progress, facts: &MeetingFacts, around: &Around, now: Timestamp) -> Next {
    match progress.stage(now) {
        Stage::Before => return Next::Rest(End::Settled),
        Stage::Preparing => return preparing(progress, facts, around),
        Stage::Inside | Stage::Over => {}
    }
    match door(progress, facts, around, now) {
        // What is new of an open door holds up nobody either, while nothing can be written.
        Some(rewrite @ Next::Do(_)) if around.database_lost && progress.draft.opened_at.is_some() => {
            match running(progress, facts, around, now) {
                Next::Rest(End::Settled) => rewrite,
                next => next,
            }
        }
        Some(next) => next,
        None => running(progress, facts, around, now),
    }
}

/// With an open door: access methods, the call, warnings, and who is dialled.
fn running(progress: &Progress, facts: &MeetingFacts, around: &Around, now: Timestamp) -> Next {
    // What cannot be written now holds up neither call nor dial.
    if let Some(next) = access::next(progress, facts, now).filter(|_| !around.database_lost) {
        return next;
    }
    if progress.is_left_alone() {
        return blocked(Obstacle::CallBridgeLost);
    }
    if progress.is_call_unwanted() && progress.draft.call.is_none() {
        return blocked(Obstacle::CallUnwanted);
    }
    if let Some(next) = call(progress, facts) {
        return next;
    }
    if let Some(next) = warning::telling(progress, facts, now) {
        return next;
    }
    if let Some(next) = disconnecting(progress, facts).or_else(|| dialling(progress, facts, now)) {
        return next;
    }
    // With a call of its own the meeting needs no empty one that was left behind; people of an earlier meeting must not
    // hear this one.
    let is_old = |orphan: &OrphanCall| orphan.call.is_older_than(progress.window.opens_at);
    let unwanted = |orphan: &&OrphanCall| orphan.is_empty || orphan.is_evacuated || is_old(orphan);
    let orphan = facts.orphan_calls.iter().find(unwanted).filter(|_| progress.call_here().is_some());
    orphan.map_or(Next::Rest(End::Settled), |orphan| Next::Do(Step::DeleteCall(orphan.call.at())))
}

/// Seconds before the instant: everything that can go wrong is found out now, then the intent is stored, and at the
/// instant itself only the write is left to do.
fn preparing(progress: &Progress, facts: &MeetingFacts, around: &Around) -> Next {
    if progress.lacks_details() {
        return blocked(Obstacle::DetailsUnwritten);
    }
    if progress.passcode().is_none() {
        return blocked(Obstacle::PasscodeUnavailable);
    }
    if let Some(obstacle) = progress.access_obstacle() {
        return blocked(obstacle);
    }
    match &facts.space {
        Seen::Unknown => Next::Look(Look::Space),
        Seen::Known(None) => blocked(Obstacle::SpaceMissing),
        // The meeting before may still be in the slot; that is not foreign.
        Seen::Known(Some(space)) if !around.slot_busy && progress.terms.is_foreign(space) => blocked(Obstacle::Foreign),
        Seen::Known(Some(_)) if progress.door == Door::Untouched => Next::Record(Intent::Open),
        Seen::Known(Some(_)) => Next::Rest(End::Settled),
    }
}

fn door(progress: &Progress, facts: &MeetingFacts, around: &Around, now: Timestamp) -> Option<Next> {
    let is_open = progress.draft.opened_at.is_some();
    if progress.lacks_details() && !is_open {
        return Some(blocked(Obstacle::DetailsUnwritten));
    }
    if progress.passcode().is_none() || progress.secret().is_none() {
        // An open door stays as it is while a Secret is missing; a shut one stays shut.
        return (!is_open).then_some(blocked(Obstacle::PasscodeUnavailable));
    }
    if let Some(obstacle) = progress.access_obstacle().filter(|_| !progress.lacks_access_methods() || !is_open) {
        // What is wrong with a way in keeps no open door from being looked after, unless the door's own passcode may be
        // what is wrong: the bridge would refuse it.
        if !is_open {
            return Some(blocked(obstacle));
        }
        if obstacle != Obstacle::PasscodeUnavailable && progress.has_new_passcode() {
            return None;
        }
    }
    if around.slot_busy {
        return Some(blocked(Obstacle::SlotBusy));
    }
    if !is_open && progress.lacks_protection() {
        return Some(blocked(Obstacle::SettingsMissing));
    }
    match &facts.space {
        Seen::Unknown if !is_open => Some(Next::Look(Look::Space)),
        // What is open is left so; what somebody shut is not opened without its protection.
        Seen::Unknown if progress.must_rewrite() && progress.lacks_protection() => Some(Next::Look(Look::Space)),
        Seen::Unknown if progress.must_rewrite() && !progress.tried.gave_up_rewriting => {
            Some(Next::Do(Step::MarkExtension))
        }
        // Whoever ended the call may have shut the door with it.
        Seen::Unknown if progress.tried.call_was_ended || facts.is_listed_as_free => Some(Next::Look(Look::Space)),
        Seen::Unknown => None,
        Seen::Known(None) => Some(blocked(Obstacle::SpaceMissing)),
        Seen::Known(Some(space)) => {
            if !is_open {
                // Even if it is open already (a lost reply, a crash): the same write again gives the record its instant.
                return Some(first_opening(progress, facts, space, progress.is_ours(space)));
            }
            if !progress.shown_fields.is_open(space) && progress.lacks_protection() {
                return Some(blocked(Obstacle::SettingsMissing));
            }
            if progress.tried.gave_up_rewriting {
                return None;
            }
            if progress.must_rewrite() {
                return Some(Next::Do(Step::MarkExtension));
            }
            progress.is_to_be_put_back(space, now).then_some(Next::Do(Step::OpenDoor))
        }
    }
}

/// The slot may still be open for a meeting that is gone (deleted while the bridge was away). Its people must not get
/// into this one: its calls go first, and the mark, which tells of them after a crash, goes last, with the door.
fn first_opening(progress: &Progress, facts: &MeetingFacts, space: &Space, is_ours: bool) -> Next {
    if !is_ours && progress.terms.is_foreign(space) {
        return blocked(Obstacle::Foreign);
    }
    let was_left_open = !is_ours && space.cdr_tag.as_deref().is_some_and(|tag| progress.terms.marks.is_ours(tag));
    if was_left_open || (progress.door == Door::Shut && !is_ours) {
        match &facts.calls {
            Seen::Unknown => return Next::Look(Look::Calls),
            Seen::Known(calls) if !calls.is_empty() => return delete_first(progress, calls),
            Seen::Known(_) if was_left_open => return shut(progress),
            Seen::Known(_) => {}
        }
    }
    Next::Do(Step::OpenDoor)
}

fn call(progress: &Progress, facts: &MeetingFacts) -> Option<Next> {
    let recorded = progress.call_here();
    match &facts.calls {
        Seen::Unknown if recorded.is_some() && !progress.tried.doubted_call && !progress.tried.was_emptied => None,
        Seen::Unknown => Some(Next::Look(Look::Calls)),
        Seen::Known(calls) => {
            let is_recorded = |placed: &PlacedCall| recorded.as_ref().is_some_and(|call| call.id == placed.call.id);
            let of_earlier =
                |placed: &&PlacedCall| placed.is_older_than(progress.window.opens_at) && !is_recorded(placed);
            match calls.iter().find(of_earlier) {
                Some(placed) => Some(delete_first(progress, std::slice::from_ref(placed))),
                None => calls.is_empty().then_some(Next::Do(Step::CreateCall)),
            }
        }
    }
}

/// Who was taken out of the spec goes, if the spec says so. Only a look of now tells which leg is theirs.
fn disconnecting(progress: &Progress, facts: &MeetingFacts) -> Option<Next> {
    let removed =
        participants::to_disconnect(&progress.draft.participants).filter(|_| !progress.tried.gave_up_hanging_up)?;
    if matches!(facts.legs, Seen::Unknown) {
        return Some(Next::Look(Look::Legs));
    }
    let (party, leg) = (removed.remote_party.clone(), removed.leg_id.clone()?);
    Some(Next::Do(Step::HangUp { party, leg }))
}

fn dialling(progress: &Progress, facts: &MeetingFacts, now: Timestamp) -> Option<Next> {
    // Whoever is invited for another time is not rung now.
    if !progress.terms.allows_outgoing || progress.moved_to.is_some() {
        return None;
    }
    let (spec, statuses) = (&progress.terms.spec, &progress.draft.participants);
    if participants::is_anybody_on_lost_bridge(statuses) && matches!(facts.on_lost_bridge, Seen::Unknown) {
        return Some(Next::Look(Look::OnLostBridge));
    }
    if participants::is_any_unsure(statuses, facts.legs.known(), now) {
        return Some(Next::Look(Look::Legs));
    }
    let party = participants::to_dial(spec, statuses, progress.window.starts_at, now)?;
    // Every try needs a look, unless the call is brand new: the one before may ring and its record be lost.
    if !progress.tried.call_is_new && matches!(facts.legs, Seen::Unknown) {
        return Some(Next::Look(Look::Legs));
    }
    Some(Next::Do(Step::Dial(party.remote_party.clone())))
}

fn closing(progress: &Progress, facts: &MeetingFacts) -> Next {
    match (progress.door, &facts.space) {
        (Door::Untouched | Door::Released, _) => return Next::Rest(End::Released),
        // Whoever was away for a while may come to shut a slot in which the next meeting sits already.
        (_, Seen::Known(Some(space))) if progress.tried.mark_seen && is_of_another(progress, space) => {
            return Next::Rest(End::TakenOver);
        }
        (_, Seen::Known(Some(space))) if progress.tried.mark_seen && is_strangers(progress, space) => {
            return Next::Rest(End::TakenOver);
        }
        (Door::Intended | Door::Open, Seen::Known(_)) if progress.tried.mark_seen => {
            return Next::Do(Step::CloseDoor);
        }
        (Door::Intended | Door::Open, _) => return Next::Look(Look::Mark),
        (Door::Shut, _) => {}
    }
    if let Some(next) = access::closing(progress) {
        return next;
    }
    let (space, calls) = match (&facts.space, &facts.calls) {
        (Seen::Known(space), Seen::Known(calls)) => (space, calls),
        (_, Seen::Known(calls)) if !calls.is_empty() => return delete_first(progress, calls),
        _ => {
            // The recorded call goes at once, also if a list leaves it out; whatever else is on the space shows in the
            // read-back.
            return match progress.call_here().filter(|_| !progress.tried.call_untold) {
                Some(call) if progress.tried.seen_call.as_ref() == Some(&call.id) => Next::Do(Step::DeleteCall(call)),
                Some(_) => Next::Look(Look::RecordedCall),
                None => Next::Look(Look::Release),
            };
        }
    };
    if !calls.is_empty() {
        return delete_first(progress, calls);
    }
    match space {
        Some(space) if progress.shown_fields.is_open(space) || space.name != progress.terms.placeholder => {
            shut(progress)
        }
        Some(space) => access::proof(progress, facts, space),
        // They went with it.
        None => Next::Rest(End::Released),
    }
}

/// Does the space carry the mark of another meeting, of ours or of another installation? One without a mark, or with what
/// is none, is still this meeting's: it has the slot, and somebody changed it by hand. So is one that was opened before the
/// installation had a name.
fn is_of_another(progress: &Progress, space: &Space) -> bool {
    space.cdr_tag.as_deref().is_some_and(is_mark) && !is_its_mark(progress, space)
}

fn is_its_mark(progress: &Progress, space: &Space) -> bool {
    let terms = &progress.terms;
    let mark = space.cdr_tag.as_deref();
    mark.is_some_and(|mark| mark == terms.mark || terms.earlier_mark.as_deref() == Some(mark))
}

/// Is somebody else in the slot? What we open carries our mark and our secret, and while it is open they are put back.
///
/// A door that was never opened as far as is recorded: without our mark or secret it is not ours; where neither is shown,
/// or this process does not know the secret, the title tells. One that was opened may have been shut by us before a crash, or
/// before a call could not be deleted, and taken by another scheduler since: then it is open, and has nothing of ours, not
/// even the name. A hand edit leaves something of ours, and what has its placeholder name is shut again.
fn is_strangers(progress: &Progress, space: &Space) -> bool {
    let has_our_secret = progress.secret().is_some_and(|secret| space.has_secret(secret));
    if has_our_secret || is_its_mark(progress, space) || !progress.terms.is_foreign(space) {
        return false;
    }
    if progress.draft.opened_at.is_none() {
        return progress.secret().is_some() || space.name != progress.terms.spec.title;
    }
    let written = progress.written.as_ref().map(|written| written.title.as_str());
    let ours = [Some(progress.terms.spec.title.as_str()), Some(progress.terms.placeholder.as_str()), written];
    // What was edited since may not have been written, and nobody here knows what was.
    let is_unknown = progress.is_edited && progress.secret().is_none();
    progress.shown_fields.is_open(space)
        && !is_unknown
        && !ours.into_iter().flatten().any(|title| is_called(&space.name, title))
}

/// Is this the name as the bridge may show it: without blanks around it, or cut off?
fn is_called(shown: &str, name: &str) -> bool {
    let (shown, name) = (shown.trim(), name.trim());
    shown == name || (!shown.is_empty() && name.starts_with(shown))
}

/// The calls are deleted, each once in a pass: a bridge may need a while to end one, and lists it until then.
fn delete_first(progress: &Progress, calls: &[PlacedCall]) -> Next {
    let first = calls.iter().map(PlacedCall::at).filter(|call| !progress.tried.deleted.contains(call)).min();
    first.map_or(Next::Rest(End::Unproven), |call| Next::Do(Step::DeleteCall(call)))
}

/// The space is shut, once in a pass: it may be shown as it was before for a while.
fn shut(progress: &Progress) -> Next {
    if progress.tried.was_shut { Next::Rest(End::Unproven) } else { Next::Do(Step::CloseDoor) }
}

#[cfg(test)]
mod tests;
