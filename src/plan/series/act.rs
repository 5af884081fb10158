//! What is done to the occurrences of a series.

use kube::ResourceExt;

use super::order::Order;
use crate::api::ScheduledMeeting;

/// What is done to an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    Make,
    Change,
    Remove,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Act {
    /// A new occurrence.
    Make(Order),
    /// One that has not begun and that nobody edited is to be otherwise.
    Change(Order),
    /// One that an older series of the name left behind is of this one from now on, and stays as it is.
    Adopt(Order),
    /// One that the rule does not have any more, or that is over for long.
    Remove(Removal),
}

/// One that is to go, as it was seen.
#[derive(Clone, Debug)]
pub struct Removal {
    pub name: String,
    pub uid: Option<String>,
    pub version: Option<String>,
    /// It has taken place: nobody waits for it to go.
    pub is_over: bool,
}

impl Act {
    pub(super) fn sort(&self) -> Sort {
        match self {
            Self::Make(_) => Sort::Make,
            Self::Change(_) | Self::Adopt(_) => Sort::Change,
            Self::Remove(_) => Sort::Remove,
        }
    }

    /// The occurrence that is written.
    pub(super) fn written(&self) -> Option<&str> {
        match self {
            Self::Make(order) | Self::Change(order) | Self::Adopt(order) => Some(&order.name),
            Self::Remove(_) => None,
        }
    }
}

pub(super) fn remove(meeting: &ScheduledMeeting, is_over: bool) -> Act {
    let (uid, version) = (meeting.uid(), meeting.resource_version());
    Act::Remove(Removal { name: meeting.name_any(), uid, version, is_over })
}
