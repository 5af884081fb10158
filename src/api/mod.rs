//! What the user says: the two kinds, their conditions, and every name the controller puts on an object. No I/O.

pub mod bridge;
mod bridge_status;
pub mod condition;
pub mod conditions;
mod crd;
pub mod meeting;
pub mod names;
pub mod profiles;
pub mod values;

pub use bridge::{MeetingBridge, MeetingBridgeSpec, MeetingBridgeStatus};
pub use condition::{Condition, find, is_true};
pub use crd::crds;
pub use meeting::{ScheduledMeeting, ScheduledMeetingSpec, ScheduledMeetingStatus};

/// An object that is kept for long gives back the room that reading it left unused: lists grow by doubling, and ten
/// thousand meetings with room for four participants and one in it are megabytes.
pub trait Compact {
    /// Gives it back.
    fn compact(&mut self);
}

/// API group of both kinds.
pub const GROUP: &str = "meeting-controller.dev";
