//! What can happen to a write, for the properties of both plans.

use proptest::prelude::*;

use crate::cms::CmsError;

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It is done, but the process dies before anything is noted.
    Crash,
    /// The process dies before it is sent.
    CrashBefore,
    /// It is done, but the reply does not come in time.
    LostReply,
    /// It is done, and the connection breaks before the reply.
    BrokenReply,
    /// The connection breaks before it is done.
    BrokenBefore,
    /// It ceases to be wanted while it waits for its turn.
    Superseded,
}

impl Fault {
    /// The process dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::Crash | Self::CrashBefore)
    }

    /// How it fails although nothing was done.
    pub fn before(self) -> Option<CmsError> {
        match self {
            Self::CrashBefore => Some(CmsError::Cancelled),
            Self::BrokenBefore => Some(CmsError::ConnectionLost),
            Self::Superseded => Some(CmsError::Superseded),
            Self::None | Self::Crash | Self::LostReply | Self::BrokenReply => None,
        }
    }

    /// How it fails although it was done.
    pub fn after(self) -> Option<CmsError> {
        match self {
            Self::Crash | Self::LostReply => Some(CmsError::Timeout),
            Self::BrokenReply => Some(CmsError::ConnectionLost),
            Self::None | Self::CrashBefore | Self::BrokenBefore | Self::Superseded => None,
        }
    }
}

/// So many writes that succeed for each fault of every kind.
pub fn any_fault(successes: u32) -> impl Strategy<Value = Fault> {
    prop_oneof![
        successes => Just(Fault::None),
        1 => Just(Fault::Crash),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::LostReply),
        1 => Just(Fault::BrokenReply),
        1 => Just(Fault::BrokenBefore),
        1 => Just(Fault::Superseded),
    ]
}
