//! What to do next for one meeting. PURE: the same facts always give the same step.
//!
//! The plan is asked again after every look and every write, with the outcome worked into the facts. So there is no list
//! of steps that a crash could cut in two: whatever was done before, the next step follows from what is there.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::api::ScheduledMeetingSpec;
use crate::api::meeting::ParticipantStatus;
use crate::cms::{Address, Call, CallAt, Space};
use crate::plan::participants::{self, Elsewhere, SeenLegs};
use crate::plan::window::{Stage, Window};

/// A fact about the bridge that may not have been looked up yet.
#[derive(Clone, Debug, Default)]
pub enum Seen<T> {
    /// Not looked up, or older than our last write.
    #[default]
    Unknown,
    /// As looked up.
    Known(T),
}

impl<T> Seen<T> {
    /// The fact, if it was looked up.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Unknown => None,
            Self::Known(value) => Some(value),
        }
    }
}

/// Ages of calls are told in whole seconds.
const LEFTOVER_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// A call, and the call bridge that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedCall {
    pub call_bridge: Address,
    pub call: Call,
    /// When it began, if it was asked.
    pub began: Option<Timestamp>,
}

impl PlacedCall {
    /// Where it is.
    pub fn at(&self) -> CallAt {
        CallAt { call_bridge: self.call_bridge.clone(), id: self.call.id.clone() }
    }

    /// Did it begin before this instant, at which the door of a meeting was to open? Then it is not that meeting's: the
    /// door was shut, so the meeting before left it on a call bridge that was lost.
    pub fn is_older_than(&self, opens_at: Timestamp) -> bool {
        self.began.is_some_and(|began| opens_at.duration_since(began) > LEFTOVER_SLACK)
    }
}

/// A call on another call bridge than the meeting's: left there when that bridge was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub call: PlacedCall,
    /// Nobody is in it.
    pub empty: bool,
}

/// What the bridge shows about one meeting's slot.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The slot's space; `Known(None)`: the bridge says that it does not exist.
    pub space: Seen<Option<Space>>,
    /// Calls on that space: on the call bridge of the meeting's call while it runs, on all of them when it is over.
    pub calls: Seen<Vec<PlacedCall>>,
    /// Legs of the meeting's call.
    pub legs: Seen<SeenLegs>,
    /// Who is in through a call bridge that was lost.
    pub elsewhere: Seen<Elsewhere>,
    /// How many are in through other call bridges, as far as is known.
    pub remote: u32,
    /// Calls that were left on other call bridges.
    pub strays: Vec<Stray>,
}

/// What the meeting is, where its status says it stands, and what its bridge allows.
pub struct Meeting<'a> {
    pub spec: &'a ScheduledMeetingSpec,
    pub window: Window,
    /// Our mark for this meeting (`cdrTag`).
    pub mark: &'a str,
    /// Name of the slot's space while no meeting holds it.
    pub placeholder: &'a str,
    /// The object is being deleted, or its bridge is.
    pub leaving: bool,
    /// Nothing may be written: suspended.
    pub suspended: bool,
    /// The intent to open was recorded, so the door may be open.
    pub may_be_open: bool,
    /// The door was opened and that is recorded.
    pub opened: bool,
    /// The door was proven shut and that is recorded.
    pub released: bool,
    /// Another meeting still holds the slot (it is being closed).
    pub slot_busy: bool,
    /// The end was moved later since the door was last written (R70).
    pub extended: bool,
    /// Passcode to set; None: it is not available and the door stays shut.
    pub passcode: Option<&'a SecretString>,
    /// The space's secret; None: not stored yet.
    pub secret: Option<&'a SecretString>,
    /// Dialling out is allowed on this bridge.
    pub outgoing: bool,
    /// Participants as the last look shows them ([`participants::update`]).
    pub participants: &'a [ParticipantStatus],
    /// The call that the status records, unless its call bridge was lost.
    pub call: Option<&'a CallAt>,
    /// The call's bridge was lost, and running meetings are to be left as they are (R29).
    pub left_alone: bool,
    /// The door was shut in this pass.
    pub shut_now: bool,
    /// The call of this meeting was made by us in this pass, so it has no legs but those we made.
    pub call_is_new: bool,
}

/// What must be looked up before anything can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The slot's space, to know that it is there and nobody else's.
    Space,
    /// The calls on the space, before one is made.
    Calls,
    /// The legs of the call, before somebody is dialled.
    Legs,
    /// Who is still in through the call bridge that was lost, before somebody is dialled again.
    Elsewhere,
    /// Space and calls on every call bridge, newer than our last write: proof that the slot is shut.
    Release,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open the door, or put back what was changed by hand.
    OpenDoor,
    /// Tell the bridge that the meeting was extended: the same write again (R70).
    MarkExtension,
    /// Make the call.
    CreateCall,
    /// Dial one participant.
    Dial(String),
    /// Shut the door.
    CloseDoor,
    /// End a call on the space.
    DeleteCall(CallAt),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OpenDoor => f.write_str("open the space"),
            Self::MarkExtension => f.write_str("mark the extension on the space"),
            Self::CreateCall => f.write_str("create the call"),
            Self::Dial(party) => write!(f, "dial {party}"),
            Self::CloseDoor => f.write_str("shut the space and give it a new secret"),
            Self::DeleteCall(_) => f.write_str("delete the call"),
        }
    }
}

/// Why nothing can be done although something should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The slot's space does not exist.
    SpaceMissing,
    /// Somebody else opened or renamed the slot.
    Foreign,
    /// The passcode's Secret or key is missing.
    PasscodeUnavailable,
    /// The meeting before has not released the slot yet.
    SlotBusy,
    /// The call's bridge was lost and the meeting is left as it is.
    CallBridgeLost,
    /// Suspended.
    Suspended,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look first.
    Look(Look),
    /// Then write.
    Do(Step),
    /// Nothing can be done although something should be.
    Blocked(Obstacle),
    /// Everything is as it should be now.
    Settled,
}

/// Is this space, as a list or a single look shows it, somebody else's?
///
/// A space with our own mark is never foreign, whichever meeting it names: a slot of a meeting that ended while the
/// bridge was away is shut by the sweep. Otherwise a changed name, or an open door, is somebody else's doing (R57).
pub fn is_foreign(space: &Space, placeholder: &str) -> bool {
    if space.cdr_tag.as_deref().is_some_and(crate::api::names::is_mark) {
        return false;
    }
    let has_detail = space.non_member_access.is_some();
    let open = space.non_member_access == Some(true);
    // A list carries no mark: a changed name alone is only suspicious, and the caller looks at the space itself.
    open || (has_detail && space.name != placeholder)
}

/// Does the look at this space leave open whose it is? Then the single object must be looked at.
pub fn is_doubtful(space: &Space, placeholder: &str) -> bool {
    space.non_member_access.is_none() && space.name != placeholder
}

/// The next thing to do for this meeting.
pub fn next(meeting: &Meeting<'_>, world: &World, now: Timestamp) -> Next {
    let over = meeting.leaving || meeting.window.stage(now) == Stage::Over;
    if meeting.suspended && !meeting.leaving {
        let done = over && (meeting.released || !meeting.may_be_open);
        return if done { Next::Settled } else { Next::Blocked(Obstacle::Suspended) };
    }
    if over { closing(meeting, world) } else { opening(meeting, world, now) }
}

fn opening(meeting: &Meeting<'_>, world: &World, now: Timestamp) -> Next {
    match meeting.window.stage(now) {
        Stage::Before => return Next::Settled,
        Stage::Preparing => return preparing(meeting, world),
        Stage::Inside | Stage::Over => {}
    }
    if let Some(next) = door(meeting, world) {
        return next;
    }
    if meeting.left_alone {
        return Next::Blocked(Obstacle::CallBridgeLost);
    }
    if let Some(next) = call(meeting, world) {
        return next;
    }
    if let Some(next) = dialling(meeting, world, now) {
        return next;
    }
    // With a call of its own the meeting needs no empty one that was left behind; people of an earlier meeting must not
    // hear this one.
    let unwanted = |stray: &&Stray| stray.empty || stray.call.is_older_than(meeting.window.opens_at);
    let stray = world.strays.iter().find(unwanted).filter(|_| meeting.call.is_some());
    stray.map_or(Next::Settled, |stray| Next::Do(Step::DeleteCall(stray.call.at())))
}

/// Seconds before the instant: everything that can go wrong is found out now.
fn preparing(meeting: &Meeting<'_>, world: &World) -> Next {
    if meeting.passcode.is_none() {
        return Next::Blocked(Obstacle::PasscodeUnavailable);
    }
    match &world.space {
        Seen::Unknown => Next::Look(Look::Space),
        Seen::Known(None) => Next::Blocked(Obstacle::SpaceMissing),
        // The meeting before may still be in the slot; that is not foreign.
        Seen::Known(Some(space)) if !meeting.slot_busy && is_foreign(space, meeting.placeholder) => {
            Next::Blocked(Obstacle::Foreign)
        }
        Seen::Known(Some(_)) => Next::Settled,
    }
}

fn door(meeting: &Meeting<'_>, world: &World) -> Option<Next> {
    let (Some(passcode), Some(secret)) = (meeting.passcode, meeting.secret) else {
        // An open door stays as it is while a Secret is missing; a shut one stays shut.
        return (!meeting.opened).then_some(Next::Blocked(Obstacle::PasscodeUnavailable));
    };
    if meeting.slot_busy {
        return Some(Next::Blocked(Obstacle::SlotBusy));
    }
    match &world.space {
        Seen::Unknown if !meeting.opened => Some(Next::Look(Look::Space)),
        Seen::Unknown if meeting.extended => Some(Next::Do(Step::MarkExtension)),
        Seen::Unknown => None,
        Seen::Known(None) => Some(Next::Blocked(Obstacle::SpaceMissing)),
        Seen::Known(Some(space)) => {
            let ours = space.cdr_tag.as_deref() == Some(meeting.mark);
            if !meeting.opened {
                // Even if it is open already (a lost reply, a crash): the same write again gives the record its instant.
                return Some(first_opening(meeting, world, space, ours));
            }
            if meeting.extended {
                return Some(Next::Do(Step::MarkExtension));
            }
            let as_wanted = ours
                && space.non_member_access == Some(true)
                && space.name == meeting.spec.title
                && space.has_passcode(passcode)
                && space.has_secret(secret);
            // A list item tells nothing about the door: believe the record until a look at the space says otherwise.
            let unknown = space.non_member_access.is_none();
            (!as_wanted && !unknown).then_some(Next::Do(Step::OpenDoor))
        }
    }
}

/// The slot may still be open for a meeting that is gone (deleted while the bridge was away). Its people must not get
/// into this one: its calls go first, and the mark, which tells of them after a crash, goes last, with the door.
fn first_opening(meeting: &Meeting<'_>, world: &World, space: &Space, ours: bool) -> Next {
    if !ours && is_foreign(space, meeting.placeholder) {
        return Next::Blocked(Obstacle::Foreign);
    }
    let left_open = !ours && space.cdr_tag.as_deref().is_some_and(crate::api::names::is_mark);
    if left_open || (meeting.shut_now && !ours) {
        match &world.calls {
            Seen::Unknown => return Next::Look(Look::Calls),
            Seen::Known(calls) if !calls.is_empty() => return delete_first(calls),
            Seen::Known(_) if left_open => return Next::Do(Step::CloseDoor),
            Seen::Known(_) => {}
        }
    }
    Next::Do(Step::OpenDoor)
}

fn call(meeting: &Meeting<'_>, world: &World) -> Option<Next> {
    match &world.calls {
        Seen::Unknown if meeting.call.is_some() => None,
        Seen::Unknown => Some(Next::Look(Look::Calls)),
        Seen::Known(calls) => {
            let recorded = |placed: &PlacedCall| meeting.call.is_some_and(|call| call.id == placed.call.id);
            let of_earlier = |placed: &&PlacedCall| placed.is_older_than(meeting.window.opens_at) && !recorded(placed);
            match calls.iter().find(of_earlier) {
                Some(placed) => Some(Next::Do(Step::DeleteCall(placed.at()))),
                None => calls.is_empty().then_some(Next::Do(Step::CreateCall)),
            }
        }
    }
}

/// The call that is this meeting's: the recorded one if it is still there, else the first by id.
/// Ids are unique wherever they are, so a call bridge that got another address still has the recorded one. What an
/// earlier meeting left is nobody's.
pub fn pick_call<'a>(
    calls: &'a [PlacedCall],
    recorded: Option<&CallAt>,
    opens_at: Timestamp,
) -> Option<&'a PlacedCall> {
    let known = calls.iter().find(|placed| recorded.is_some_and(|call| call.id == placed.call.id));
    let new = calls.iter().filter(|placed| !placed.is_older_than(opens_at));
    known.or_else(|| new.min_by(|a, b| a.call.id.cmp(&b.call.id)))
}

fn dialling(meeting: &Meeting<'_>, world: &World, now: Timestamp) -> Option<Next> {
    if !meeting.outgoing {
        return None;
    }
    if participants::is_anybody_elsewhere(meeting.participants) && matches!(world.elsewhere, Seen::Unknown) {
        return Some(Next::Look(Look::Elsewhere));
    }
    let party = participants::to_dial(meeting.spec, meeting.participants, meeting.window.starts_at, now)?;
    // Every try needs a look, unless the call is brand new: the one before may ring and its record be lost.
    if !meeting.call_is_new && matches!(world.legs, Seen::Unknown) {
        return Some(Next::Look(Look::Legs));
    }
    Some(Next::Do(Step::Dial(party.remote_party.clone())))
}

fn closing(meeting: &Meeting<'_>, world: &World) -> Next {
    if meeting.released || !meeting.may_be_open {
        return Next::Settled;
    }
    if !meeting.shut_now {
        return Next::Do(Step::CloseDoor);
    }
    let (space, calls) = match (&world.space, &world.calls) {
        (Seen::Known(space), Seen::Known(calls)) => (space, calls),
        (_, Seen::Known(calls)) if !calls.is_empty() => return delete_first(calls),
        _ => {
            // The recorded call goes at once; whatever else is on the space shows in the read-back.
            return meeting.call.map_or(Next::Look(Look::Release), |call| Next::Do(Step::DeleteCall(call.clone())));
        }
    };
    if !calls.is_empty() {
        return delete_first(calls);
    }
    match space {
        Some(space) if space.non_member_access == Some(true) || space.name != meeting.placeholder => {
            Next::Do(Step::CloseDoor)
        }
        _ => Next::Settled,
    }
}

fn delete_first(calls: &[PlacedCall]) -> Next {
    calls.iter().map(PlacedCall::at).min().map_or(Next::Settled, |call| Next::Do(Step::DeleteCall(call)))
}

#[cfg(test)]
mod tests;
