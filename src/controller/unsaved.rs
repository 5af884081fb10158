//! What passes over meetings have found out and could not store yet: who was dialled how often, who left, which call there
//! is, that the slot is shut. The next pass goes on from it, so that nobody is rung again because the apiserver is away.
//!
//! We are the only writer of the status, so what is kept here is newer than what is stored. It is kept from before the
//! write until the write has succeeded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;

use crate::api::{ScheduledMeeting, ScheduledMeetingStatus};

/// Statuses that are not stored yet, by UID of the meeting.
#[derive(Default)]
pub struct Unsaved(Mutex<BTreeMap<String, ScheduledMeetingStatus>>);

impl Unsaved {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ScheduledMeetingStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a status until it is stored.
    pub fn keep(&self, uid: &str, status: ScheduledMeetingStatus) {
        self.lock().insert(uid.to_owned(), status);
    }

    /// It is stored, or the meeting is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Is there anything that is not stored yet?
    pub fn has(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    /// The meeting as we know it: with what is not stored yet.
    pub fn known<'a>(&self, meeting: &'a ScheduledMeeting) -> Cow<'a, ScheduledMeeting> {
        let status = meeting.uid().and_then(|uid| self.lock().get(&uid).cloned());
        match status {
            Some(status) => Cow::Owned(ScheduledMeeting { status: Some(status), ..meeting.clone() }),
            None => Cow::Borrowed(meeting),
        }
    }
}
