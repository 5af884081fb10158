//! What the bridge shows about itself, its profiles and its slots.

use std::collections::BTreeSet;

use super::Seen;
use super::calls::PlacedCall;
use super::slots::SlotSpaces;
use crate::cms::{Fields, SpaceId, SyncFailure, SyncStatus};

/// What the bridge shows.
#[derive(Clone, Debug, Default)]
pub struct BridgeFacts {
    /// Software version from `system/status`.
    pub version: Seen<String>,
    /// The table of call bridges was read.
    pub members: Seen<()>,
    /// Fields of the recorded profiles; `Known(None)`: the bridge does not have it.
    pub call_profile: Seen<Option<Fields>>,
    pub call_leg_profile: Seen<Option<Fields>>,
    /// The slots.
    pub slots: Seen<SlotSpaces>,
    /// Calls on any call bridge, as far as they were looked at.
    pub calls: Seen<Vec<PlacedCall>>,
    /// State of the sync that is under way.
    pub sync: Seen<SyncStatus>,
    /// How often the spaces may still be listed again before what a complete sync left out counts as missing: a write
    /// may show late (cms-protocol.md section 14).
    pub relists_left: u8,
    /// How the last sync failed, with the offender's name if it was found.
    pub sync_failure: Option<(SyncFailure, Option<String>)>,
    /// Slots that were told their profiles in this process, so that a bridge that does not show them is told once only.
    pub attached: BTreeSet<SpaceId>,
    /// A full look was asked for: profiles and free slots are looked at one by one, whatever a list shows.
    pub full_recheck: bool,
}

impl BridgeFacts {
    /// Nothing is known, and nothing is believed without a look at the single object.
    pub fn to_recheck() -> Self {
        Self { full_recheck: true, ..Self::default() }
    }
}
