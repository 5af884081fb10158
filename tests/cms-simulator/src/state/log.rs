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
    #[allow(missing_docs)]
    pub bridge: usize,
    /// The space of the call, if it has one.
    pub space: Option<String>,
    #[allow(missing_docs)]
    pub call: String,
    #[allow(missing_docs)]
    pub leg: String,
    /// As the client wrote it.
    pub remote_party: String,
    #[allow(missing_docs)]
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
    #[allow(missing_docs)]
    pub bridge: usize,
    #[allow(missing_docs)]
    pub call: String,
    #[allow(missing_docs)]
    pub space: Option<String>,
    #[allow(missing_docs)]
    pub correlator: String,
    /// Made by POST.
    pub by_api: bool,
    #[allow(missing_docs)]
    pub began: Timestamp,
    /// None while it lives.
    pub ended: Option<Timestamp>,
    /// A reason of section 10, or `bridgeLost`.
    pub reason: Option<&'static str>,
}

/// The door of a space moved, or its space vanished.
#[derive(Debug, Clone)]
pub struct DoorEvent {
    #[allow(missing_docs)]
    pub at: Timestamp,
    #[allow(missing_docs)]
    pub space: Id,
    /// New value of `nonMemberAccess`.
    pub open: bool,
    /// The secret after the write.
    pub secret: Option<String>,
    #[allow(missing_docs)]
    pub actor: Actor,
}

/// A bulk sync that removed or replaced spaces.
#[derive(Debug, Clone)]
pub struct SyncEvent {
    /// When it touched the spaces.
    pub at: Timestamp,
    #[allow(missing_docs)]
    pub sync: Id,
    #[allow(missing_docs)]
    pub set: Id,
    /// Spaces of the set that were open or had a call, and which of both.
    pub busy: Vec<(Id, &'static str)>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Log {
    #[allow(missing_docs)]
    pub dials: Vec<Dial>,
    #[allow(missing_docs)]
    pub calls: Vec<CallSpan>,
    #[allow(missing_docs)]
    pub doors: Vec<DoorEvent>,
    #[allow(missing_docs)]
    pub syncs: Vec<SyncEvent>,
}
