//! What the user says: the kinds, their conditions, and every name the controller puts on an object. No I/O.

pub mod access;
pub mod bridge;
mod bridge_status;
pub mod condition;
pub mod conditions;
mod crd;
pub mod marks;
pub mod meeting;
pub mod names;
mod participants;
pub mod profiles;
pub mod reading;
pub mod repairs;
pub mod series;
pub mod settings;
pub mod values;
pub mod warning;
mod weekdays;

pub use bridge::{MeetingBridge, MeetingBridgeSpec, MeetingBridgeStatus};
pub use condition::{Condition, find, is_true};
pub use crd::crds;
pub use meeting::{ScheduledMeeting, ScheduledMeetingSpec, ScheduledMeetingStatus};
pub use reading::{is_blind, unreadable};
pub use series::{MeetingSeries, MeetingSeriesSpec, MeetingSeriesStatus};
pub use weekdays::{DayRule, WeekDay};

/// The generation that a status shows which nobody has written: the schema's default.
const UNJUDGED: i64 = -1;

/// What is done to every object that is read, before it is kept.
///
/// It gives back the room that reading it left unused: lists grow by doubling, and ten thousand meetings with room for four
/// participants and one in it are megabytes. And the default of the schema is no status.
pub trait Compact {
    /// Does it.
    fn compact(&mut self);
}

/// Is this the observedGeneration of a status that nobody has written?
fn is_unjudged(observed: Option<i64>) -> bool {
    observed == Some(UNJUDGED)
}

/// API group of the kinds.
pub const GROUP: &str = "meeting-controller.dev";
