//! What a failed request means. The one judge (`cluster/judge.rs`) says it; conditions, pauses, news and wake-ups follow.

use crate::cms::CmsError;

/// The judge's word on a failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call bridge is lost, and another one does its work: the same is asked there.
    Moved,
    /// Its failures do not prove yet that it is lost, and others of its cluster are good: the next probe tells.
    InDoubt(CmsError),
    /// The cluster's database takes no writes; another call bridge would not do better. A request that was answered by
    /// nobody may have had its effect all the same.
    DatabaseDown { may_have_taken_effect: bool },
    /// It cannot be done now, and may be done later on the same call bridge.
    Retry(CmsError),
    /// The call bridge is well, and this is its answer: repeating the request changes nothing.
    Answered(CmsError),
}

impl Verdict {
    /// The failure, for conditions and pauses.
    pub fn into_error(self) -> CmsError {
        match self {
            Self::Moved => CmsError::Abandoned,
            Self::DatabaseDown { .. } => CmsError::DatabaseNotReady,
            Self::InDoubt(error) | Self::Retry(error) | Self::Answered(error) => error,
        }
    }

    /// Was nothing sent because it ceased to be wanted while it waited?
    pub fn is_superseded(&self) -> bool {
        *self == Self::Retry(CmsError::Superseded)
    }

    /// May what was asked for have happened? Then it must be looked for before it is asked for again.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Moved => true,
            Self::DatabaseDown { may_have_taken_effect } => *may_have_taken_effect,
            Self::InDoubt(error) | Self::Retry(error) | Self::Answered(error) => error.may_have_taken_effect(),
        }
    }
}

/// How long to wait before the next try. What each is in seconds stands in `controller/backoff.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// At once: the ground has changed.
    None,
    /// A request failed; grows with the failures in a row.
    Failed(CmsError),
    /// There is no connection to the bridge yet.
    NotConnected,
    /// Which spaces the slots have is not known yet.
    SlotsUnknown,
    /// The space of the slot is not there yet.
    SpaceMissing,
    /// The join details could not be written.
    Unwritten,
    /// Something stands in the way that others may take away.
    Blocked,
    /// Meetings whose end is overdue come first.
    OverdueFirst,
    /// What was written does not show yet.
    Unproven,
    /// The pass did not come to an end.
    TooManyTurns,
}
