//! What a status remembers of repairs: how often something of ours on the bridge was put back, because others changed it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Instant;
use crate::cms::ProfileKind;

/// So many repairs in a row are a tug-of-war; more are not counted.
pub const MOST_REPAIRS: u32 = 3;

/// Most things whose repairs a bridge remembers, as the schema has it.
pub const MOST_CONTESTS: usize = 32;

/// How often something was put back, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repairs {
    /// How often it was put back with less than 30 minutes in between; counted up to 3.
    #[schemars(range(min = 1, max = 3))]
    pub count: u32,
    /// When it was put back last.
    pub last_at: Instant,
    /// What a look showed since. Nothing: nobody looked yet. AsWanted. Renamed: only name or mark, which is left so.
    /// Shut: others shut it again, which is left so. OtherKeys, OtherProfiles: others changed those again.
    pub shown: Shown,
    /// Who changed it, as far as the change tells. Unknown. Scheduler: it was made a free slot, as Cisco TMS does.
    /// Installation: it has the mark of another installation of this controller.
    pub by: Rival,
}

/// What a look showed since something was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Shown {
    /// Nobody looked yet.
    Nothing,
    /// It is as wanted.
    AsWanted,
    /// Only its name or mark is another one again, which is left so.
    Renamed,
    /// Others shut it again, and it is left shut.
    Shut,
    /// Others gave it another passcode or secret again; that is put back, but not at once.
    OtherKeys,
    /// Others gave it other profiles than those of its settings again; protection is put back, but not at once.
    OtherProfiles,
}

/// Who changed it, as far as the change tells. Unknown. Scheduler: it was made a free slot, as Cisco TMS does.
/// Installation: it has the mark of another installation of this controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rival {
    /// Anybody.
    Unknown,
    /// It was made a free slot, as Cisco TMS and other schedulers do.
    Scheduler,
    /// It carries the mark of another installation of this controller.
    Installation,
}

/// Repairs of one thing of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contest {
    /// CallProfile, CallLegProfile: a profile of the slots. FreeSlot: one was opened, and shut again. Spaces: slots
    /// were deleted, and made again.
    pub thing: Contested,
    /// The number of the slot, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// How often, and what became of it.
    pub repairs: Repairs,
}

/// What others may change again and again on a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Contested {
    CallProfile,
    CallLegProfile,
    /// A slot that no meeting holds: it was opened, and shut again.
    FreeSlot,
    /// Slots were deleted, and made again.
    Spaces,
}

impl From<ProfileKind> for Contested {
    fn from(kind: ProfileKind) -> Self {
        match kind {
            ProfileKind::Call => Self::CallProfile,
            ProfileKind::CallLeg => Self::CallLegProfile,
        }
    }
}
