//! What the bridge shows about one meeting.

use jiff::Timestamp;

use super::Seen;
use super::calls::{OnLostBridge, OrphanCall, PlacedCall, SeenLegs};
use super::slots::ShownFields;
use crate::cms::{AccessMethod, Space};

/// The access methods of a space, each looked at alone.
#[derive(Clone, Debug, Default)]
pub struct SeenMethods {
    /// Those that carry a mark of ours, whichever meeting that names.
    pub ours: Vec<AccessMethod>,
    /// Everybody else's: never touched.
    pub others: Vec<AccessMethod>,
}

/// What the bridge shows about one meeting's slot.
#[derive(Clone, Debug, Default)]
pub struct MeetingFacts {
    /// The slot's space; `Known(None)`: the bridge says that it does not exist.
    pub space: Seen<Option<Space>>,
    /// It was not looked at yet, and a list shows it under the name that it has while nobody uses it.
    pub is_listed_as_free: bool,
    /// What looks at spaces of its bridge have shown.
    pub shown_fields: ShownFields,
    /// Its access methods, if they were looked at.
    pub methods: Seen<SeenMethods>,
    /// Calls on that space: on the call bridge of the meeting's call while it runs, on all of them when it is over.
    pub calls: Seen<Vec<PlacedCall>>,
    /// Legs of the meeting's call.
    pub legs: Seen<SeenLegs>,
    /// When the call bridge of the meeting's call was started, if that matters.
    pub booted: Seen<Option<Timestamp>>,
    /// Who is in through a call bridge that was lost.
    pub on_lost_bridge: Seen<OnLostBridge>,
    /// How many are in through other call bridges, as far as is known.
    pub remote_count: u32,
    /// Calls on the space on other call bridges, however they came there; nothing, if there is no other one.
    pub elsewhere: Seen<Vec<PlacedCall>>,
    /// Calls that were left on other call bridges.
    pub orphan_calls: Vec<OrphanCall>,
}
