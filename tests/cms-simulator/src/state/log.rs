//! What happened, for assertions and for the checker: dials, lives of calls, door movements, syncs.

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::Id;

/// Who did something to a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// A request on this bridge.
    Api(usize),
    /// A hand edit through the library, the control API or a fault.
    Hand,
}

/// How a dial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DialOutcome {
    /// Not decided yet.
    Pending,
    /// The far end answered.
    Answered,
    /// `remoteBusy`.
    Busy,
    /// `ringingTimeout`.
    NoAnswer,
    /// `unknownDestination`.
    Unknown,
    /// `remoteRejected`.
    Rejected,
    /// Taken back before it was decided.
    Cancelled,
}

/// One ring.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dial {
    /// When the leg was made.
    pub at: Timestamp,
    pub bridge: usize,
    /// The space of the call, if it has one.
    pub space: Option<String>,
    pub call: String,
    pub leg: String,
    /// As the client wrote it.
    pub remote_party: String,
    /// The keys that the far end got, in the order in which they were pressed.
    pub dtmf: Vec<String>,
    pub outcome: DialOutcome,
    /// When the far end answered.
    pub answered: Option<Timestamp>,
    /// When the leg ended; none while it lives.
    pub ended: Option<Timestamp>,
    /// Why it ended: a reason of section 10.
    pub reason: Option<&'static str>,
}

/// The life of one call object.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallSpan {
    pub bridge: usize,
    pub call: String,
    pub space: Option<String>,
    pub correlator: String,
    /// Made by POST.
    pub by_api: bool,
    pub began: Timestamp,
    /// None while it lives.
    pub ended: Option<Timestamp>,
    /// A reason of section 10, or `bridgeLost`.
    pub reason: Option<&'static str>,
}

/// The door of a space moved, or its space vanished.
#[derive(Debug, Clone)]
pub struct DoorEvent {
    pub at: Timestamp,
    pub space: Id,
    /// New value of `nonMemberAccess`.
    pub open: bool,
    /// The secret after the write.
    pub secret: Option<String>,
    pub actor: Actor,
}

/// A bulk sync that removed or replaced spaces.
#[derive(Debug, Clone)]
pub struct SyncEvent {
    /// When it touched the spaces.
    pub at: Timestamp,
    pub sync: Id,
    pub set: Id,
    /// Spaces of the set that were open or had a call, and which of both.
    pub busy: Vec<(Id, &'static str)>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Log {
    pub dials: Vec<Dial>,
    pub calls: Vec<CallSpan>,
    pub doors: Vec<DoorEvent>,
    pub syncs: Vec<SyncEvent>,
}
