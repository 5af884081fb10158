//! When the object of a meeting that is over goes by itself (`ttlSecondsAfterFinished`).

use jiff::Timestamp;

use super::terms::Terms;
use crate::api::conditions::types;
use crate::api::meeting::Phase;
use crate::api::{ScheduledMeetingStatus, is_true};

/// The instant from which the object is not needed any more; None: it stays until somebody deletes it.
///
/// Only what was held and is proven shut goes. A missed meeting is red until somebody acts, and one whose door nobody shut
/// says so. One that was applied when its window had passed stays as well: it may still be in git, where it came from after
/// it was tidied up, and would come back each time.
pub fn goes_at(terms: &Terms, status: &ScheduledMeetingStatus) -> Option<Timestamp> {
    let was_held = status.phase == Some(Phase::Ended) && status.opened_at.is_some();
    let is_done = was_held && is_true(&status.conditions, types::SLOT_RELEASED) && status.join_secret_name.is_none();
    let is_kept = terms.is_suspended || terms.is_deleting || terms.unreadable.is_some();
    let ended = status.ended_at.filter(|_| is_done && !is_kept)?;
    // So far away that the calendar does not have it is never.
    ended.0.checked_add(terms.stays_for?).ok()
}

#[cfg(test)]
mod tests;
