//! What can be looked up and written for a meeting, and what each step is: one table, asked by driver, gate and status.

use jiff::{SignedDuration, Timestamp};

use super::warning::Notice;
use crate::cms::{AccessMethodId, Address, CallAt, Class, Space};
use crate::facts::calls::{OnLostBridge, PlacedCall, SeenLegs};
use crate::facts::meeting::SeenMethods;
use crate::plan::warning::TRUE_FOR;
use crate::plan::window::Window;

/// An end that comes later than this is overdue: something was in the way.
const OVERDUE: SignedDuration = SignedDuration::from_secs(1);

/// What must be looked up before anything can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// The slot's space, to know that it is there and nobody else's.
    Space,
    /// The access methods of the space, before one is made, and before the slot counts as shut.
    Methods,
    /// The calls on the space, before one is made.
    Calls,
    /// When the call bridge was started: whether that is why the call is gone.
    Boot,
    /// The recorded call, to know that it is on the slot's space before it is ended.
    RecordedCall,
    /// The legs of the call, before somebody is dialled.
    Legs,
    /// Who is still in through the call bridge that was lost, before somebody is dialled again.
    OnLostBridge,
    /// The calls on the space on the other call bridges, before everybody in the meeting is told something.
    Elsewhere,
    /// The slot's space, to know whose it is by its mark before it is shut.
    Mark,
    /// Space and calls on every call bridge, newer than our last write: proof that the slot is shut.
    Release,
}

/// What a look found.
#[derive(Clone, Debug)]
pub enum Found {
    Space(Option<Space>),
    Methods(SeenMethods),
    Calls(Vec<PlacedCall>),
    Boot(Option<Timestamp>),
    /// The call that the list did not show.
    StillThere(PlacedCall),
    /// The recorded call, if it is there and on no other space.
    RecordedCall(Option<CallAt>),
    Legs(SeenLegs),
    OnLostBridge(OnLostBridge),
    /// And the call bridges that did not tell.
    Elsewhere {
        calls: Vec<PlacedCall>,
        silent: Vec<Address>,
    },
    Release {
        space: Option<Space>,
        calls: Vec<PlacedCall>,
    },
    /// There was nothing to ask about.
    Nothing,
}

/// What goes into the status before the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The door may be open from now on.
    Open,
    /// The space may have the profiles of the settings from now on, and this is what it had before.
    Settings,
    /// Access methods may be there from now on.
    Methods,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open the door, or put back what was changed by hand.
    OpenDoor,
    /// Tell the bridge that the meeting was extended: the same write again (R70).
    MarkExtension,
    /// Make the access method of this name.
    CreateMethod(String),
    /// Put right the one of this name.
    UpdateMethod { name: String, id: AccessMethodId },
    /// Take one of ours away.
    DeleteMethod(AccessMethodId),
    /// Make the call.
    CreateCall,
    /// Dial one participant.
    Dial(String),
    /// End the leg of somebody who was taken out of the spec.
    HangUp { party: String, leg: String },
    /// Show everybody in a call a text, or take it away.
    Tell { call: CallAt, notice: Notice },
    /// Shut the door.
    CloseDoor,
    /// End a call on the space.
    DeleteCall(CallAt),
}

/// Which part of the work a step or a look belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Door,
    Access,
    Call,
    Legs,
    Release,
}

/// On which call bridge a step is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Any: the database of the cluster holds it, so the active one is asked.
    Any,
    /// The one that has the meeting's call, or is to get it.
    OfMeeting,
    /// The one that has this call.
    OfCall(&'a CallAt),
}

impl Step {
    /// Which part of the work it belongs to.
    pub fn part(&self) -> Part {
        match self {
            Self::OpenDoor | Self::MarkExtension => Part::Door,
            Self::CreateMethod(_) | Self::UpdateMethod { .. } | Self::DeleteMethod(_) => Part::Access,
            Self::CreateCall => Part::Call,
            Self::Dial(_) | Self::HangUp { .. } | Self::Tell { .. } => Part::Legs,
            Self::CloseDoor | Self::DeleteCall(_) => Part::Release,
        }
    }

    /// Its class at the gate. A closing may be what an opening in the same slot waits for, so it stands in the same line.
    pub fn class(&self) -> Class {
        match self {
            Self::OpenDoor | Self::MarkExtension | Self::CloseDoor => Class::Door,
            Self::CreateMethod(_)
            | Self::UpdateMethod { .. }
            | Self::DeleteMethod(_)
            | Self::CreateCall
            | Self::DeleteCall(_) => Class::Call,
            Self::Dial(_) | Self::HangUp { .. } => Class::Leg,
            Self::Tell { .. } => Class::Notice,
        }
    }

    /// What the database holds can be changed on any call bridge, a call only where it is.
    pub fn place(&self) -> Place<'_> {
        match self {
            Self::OpenDoor
            | Self::MarkExtension
            | Self::CloseDoor
            | Self::CreateMethod(_)
            | Self::UpdateMethod { .. }
            | Self::DeleteMethod(_) => Place::Any,
            Self::CreateCall | Self::Dial(_) | Self::HangUp { .. } => Place::OfMeeting,
            Self::DeleteCall(call) | Self::Tell { call, .. } => Place::OfCall(call),
        }
    }

    /// Does it let people in, or call them?
    pub fn lets_in(&self) -> bool {
        match self {
            Self::OpenDoor
            | Self::MarkExtension
            | Self::CreateMethod(_)
            | Self::UpdateMethod { .. }
            | Self::CreateCall
            | Self::Dial(_) => true,
            Self::CloseDoor | Self::DeleteMethod(_) | Self::DeleteCall(_) | Self::HangUp { .. } | Self::Tell { .. } => {
                false
            }
        }
    }

    /// Does it go to the database that the cluster shares?
    pub fn needs_database(&self) -> bool {
        matches!(self.place(), Place::Any) || matches!(self, Self::CreateCall)
    }

    /// Until when it makes sense: what is told later is not true any more.
    pub fn is_worth_it_until(&self, window: &Window) -> Timestamp {
        match self {
            Self::Tell { notice: Notice::Left(minutes), .. } => {
                let at = window.closes_at.checked_sub(SignedDuration::from_mins((*minutes).into()));
                at.and_then(|at| at.checked_add(TRUE_FOR)).unwrap_or(window.closes_at)
            }
            step if step.lets_in() => window.closes_at,
            _ => Timestamp::MAX,
        }
    }

    /// The instant for which it is done: earlier ones go first at the gate, and what is overdue before everything else.
    pub fn deadline(&self, window: &Window, now: Timestamp) -> Timestamp {
        match self {
            Self::CloseDoor if now.duration_since(window.closes_at) > OVERDUE => Timestamp::MIN,
            Self::CloseDoor | Self::DeleteMethod(_) | Self::DeleteCall(_) => window.closes_at.min(now),
            Self::Dial(_) | Self::HangUp { .. } => window.starts_at,
            Self::Tell { .. } => now,
            Self::OpenDoor
            | Self::MarkExtension
            | Self::CreateMethod(_)
            | Self::UpdateMethod { .. }
            | Self::CreateCall => window.opens_at,
        }
    }
}

impl Look {
    /// Which part of the work it belongs to.
    pub fn part(self) -> Part {
        match self {
            Self::Space => Part::Door,
            Self::Methods => Part::Access,
            Self::Calls | Self::Boot => Part::Call,
            Self::Legs | Self::OnLostBridge | Self::Elsewhere => Part::Legs,
            Self::Mark | Self::RecordedCall | Self::Release => Part::Release,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OpenDoor => f.write_str("open the space"),
            Self::MarkExtension => f.write_str("mark the extension on the space"),
            Self::CreateMethod(name) => write!(f, "create the access method {name}"),
            Self::UpdateMethod { name, .. } => write!(f, "put right the access method {name}"),
            Self::DeleteMethod(_) => f.write_str("delete an access method"),
            Self::CreateCall => f.write_str("create the call"),
            Self::Dial(party) => write!(f, "dial {party}"),
            Self::HangUp { party, .. } => write!(f, "end the leg of {party}, who was taken out of the spec"),
            Self::Tell { notice: Notice::Left(minutes), .. } => write!(f, "warn of the end in {minutes} min"),
            Self::Tell { notice: Notice::TakenAway, .. } => f.write_str("take the warning of the end away"),
            Self::CloseDoor => f.write_str("shut the space and give it a new secret"),
            Self::DeleteCall(_) => f.write_str("delete the call"),
        }
    }
}

/// What a step brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Done,
    /// Nothing was sent: its turn has not come within the time that there is for it.
    PutOff,
    /// A call, on this call bridge.
    CallCreated(CallAt),
    /// An access method with this id.
    MethodCreated(AccessMethodId),
    /// A leg with this id.
    LegCreated(String),
}

/// Why nothing can be done although something should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The slot's space does not exist.
    SpaceMissing,
    /// The bridge is still making its slots.
    SlotsPending,
    /// Somebody else opened or renamed the slot.
    Foreign,
    /// The passcode's Secret or key is missing.
    PasscodeUnavailable,
    /// Two ways in have the same passcode.
    PasscodesEqual,
    /// Guests are to wait for a host, and the bridge is too old for that.
    AccessUnsupported,
    /// The join details cannot be written, which come before the door.
    DetailsUnwritten,
    /// The meeting before has not released the slot yet.
    SlotBusy,
    /// A setting that keeps people out of something is not there yet, so nobody is let in.
    SettingsMissing,
    /// The call's bridge was lost and the meeting is left as it is.
    CallBridgeLost,
    /// Somebody ended the call again and again.
    CallUnwanted,
    /// Suspended.
    Suspended,
    /// The bridge has managementPolicy Observe.
    ObserveOnly,
    /// After trouble, what is overdue is shut before anything is opened.
    OverdueFirst,
    /// The cluster's database takes no writes, and this part of the work needs one.
    DatabaseDown(Part),
}

/// Why there is nothing more to do in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is as it should be now.
    Settled,
    /// The slot is proven shut, or there never was anything to shut.
    Released,
    /// Another meeting of ours has the slot already, so there is nothing left to shut.
    TakenOver,
    /// Nothing can be done although something should be.
    Blocked(Obstacle),
    /// What was shut or deleted is shown as it was before.
    Unproven,
}
