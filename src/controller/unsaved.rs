//! What passes have found out or done and could not store yet: who was dialled how often, who left, which call there is,
//! that the slot is shut; which profiles and sets were made on a bridge, and which sync was begun. The next pass goes on from
//! it, so that nobody is rung again, and nothing is looked for that we know, because the apiserver is away.
//!
//! We are the only writer of the status, so what is kept here is newer than what is stored. It is kept from before the
//! write until the write has succeeded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use kube::core::object::HasStatus;

/// Statuses of a kind that are not stored yet, by UID of the object.
pub struct Unsaved<K: HasStatus>(Mutex<BTreeMap<String, K::Status>>);

impl<K: HasStatus> Default for Unsaved<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: HasStatus<Status: Clone> + ResourceExt + Clone> Unsaved<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, K::Status>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a status until it is stored.
    pub fn keep(&self, uid: &str, status: K::Status) {
        self.lock().insert(uid.to_owned(), status);
    }

    /// It is stored, or the object is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Is there anything that is not stored yet?
    pub fn has(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    /// The object as we know it: with what is not stored yet.
    pub fn known<'a>(&self, object: &'a K) -> Cow<'a, K> {
        let Some(status) = object.uid().and_then(|uid| self.lock().get(&uid).cloned()) else {
            return Cow::Borrowed(object);
        };
        let mut known = object.clone();
        *known.status_mut() = Some(status);
        Cow::Owned(known)
    }
}
