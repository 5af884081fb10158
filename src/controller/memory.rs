//! What we know of the objects of a kind beyond what the watch shows.
//!
//! - **What we wrote ourselves**, until the watch shows it: the stores lag behind our own writes, and a decision on an older
//!   object would be made twice (decision 0010).
//! - **What is not stored yet**: what passes have found out or done. Who was dialled how often, who left, which call there is,
//!   that the slot is shut; which profiles and sets were made on a bridge, and which sync was begun. The next pass goes on from
//!   it, so that nobody is rung again, and nothing is looked for that we know, because the apiserver is away. We are the only
//!   writer of the status, so it is newer than what is stored; it is kept from before the write until the write has succeeded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::core::object::HasStatus;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

use super::merge::Within;

/// An object that is newer than what the watch shows.
struct Ours<K> {
    object: Arc<K>,
    /// It was read anew while the store showed this version, and holds against that one even if it has a lower version
    /// itself: the apiserver's database was restored.
    instead_of: Option<u64>,
    /// The list that is read now may have begun before it.
    is_of_this_list: bool,
}

impl<K: Resource> Ours<K> {
    fn is_newer(&self, stored: &K) -> bool {
        let version = version_of(stored);
        version_of(self.object.as_ref()) > version || self.instead_of == Some(version)
    }

    fn is_within(&self, within: &Within) -> bool {
        within.is_none() || self.object.meta().namespace == *within
    }
}

/// Both by UID.
struct Known<K: HasStatus> {
    written: BTreeMap<String, Ours<K>>,
    unsaved: BTreeMap<String, K::Status>,
}

/// What is known of the objects of one kind.
pub struct Memory<K: HasStatus>(Mutex<Known<K>>);

impl<K: HasStatus> Default for Memory<K> {
    fn default() -> Self {
        Self(Mutex::new(Known { written: BTreeMap::new(), unsaved: BTreeMap::new() }))
    }
}

/// Resource versions compare as numbers (KEP-5504); one that does not counts as oldest.
pub fn version_of<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl<K: HasStatus<Status: Clone> + Resource<DynamicType = ()> + Clone> Memory<K> {
    fn lock(&self) -> MutexGuard<'_, Known<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newer one of the stored object and what we wrote.
    pub fn newest(&self, stored: Arc<K>) -> Arc<K> {
        let Some(uid) = stored.uid() else { return stored };
        let written = &mut self.lock().written;
        match written.get(&uid) {
            Some(ours) if ours.is_newer(&stored) => Arc::clone(&ours.object),
            Some(_) => {
                written.remove(&uid);
                stored
            }
            None => stored,
        }
    }

    /// The newest one of this copy, what the store shows by now, and what we wrote. A pass may have waited since it was given
    /// its copy, and what we wrote is not kept any more once the store shows it. What was read anew holds against both.
    pub fn newest_of(&self, store: &Store<K>, given: Arc<K>) -> Arc<K> {
        let shown = store.get(&ObjectRef::from_obj(given.as_ref())).filter(|shown| shown.uid() == given.uid());
        let is_newer = |shown: &Arc<K>| version_of(shown.as_ref()) > version_of(given.as_ref());
        self.newest(shown.filter(is_newer).unwrap_or(given))
    }

    /// Keeps what we wrote until the store shows it, if it does not already: the watch is often faster than the reply.
    pub fn note(&self, store: &Store<K>, object: &K) {
        let shown = store.get(&ObjectRef::from_obj(object)).map(|shown| version_of(shown.as_ref()));
        let Some(uid) = object.uid() else { return };
        let written = &mut self.lock().written;
        let instead_of = written.get(&uid).and_then(|ours| ours.instead_of).filter(|version| Some(*version) == shown);
        if instead_of.is_some() || shown.is_none_or(|shown| shown < version_of(object)) {
            written.insert(uid, Ours { object: Arc::new(object.clone()), instead_of, is_of_this_list: true });
        }
    }

    /// Keeps what was read anew, because a write met a conflict: the watch is behind, whatever the versions say.
    pub fn believe(&self, store: &Store<K>, object: &K) {
        let instead_of = store.get(&ObjectRef::from_obj(object)).map(|shown| version_of(shown.as_ref()));
        if let Some(uid) = object.uid().filter(|_| instead_of != Some(version_of(object))) {
            let ours = Ours { object: Arc::new(object.clone()), instead_of, is_of_this_list: true };
            self.lock().written.insert(uid, ours);
        }
    }

    /// Keeps what a list shows, which the store has only when the list is there. What we wrote since the list was begun may be newer
    /// than that.
    pub fn believe_listed(&self, store: &Store<K>, object: &K) {
        let is_newer = |ours: &Ours<K>| ours.is_of_this_list && version_of(ours.object.as_ref()) > version_of(object);
        let is_known = object.uid().is_some_and(|uid| self.lock().written.get(&uid).is_some_and(is_newer));
        if !is_known {
            self.believe(store, object);
        }
    }

    /// The watch shows this version: what we wrote up to it need not be kept, once the store has it. A list that is being
    /// read is not in the store yet.
    pub fn store_has(&self, store: &Store<K>, object: &K) {
        let is_there = |shown: Arc<K>| shown.uid() == object.uid() && version_of(shown.as_ref()) == version_of(object);
        let Some(uid) = object.uid().filter(|_| store.get(&ObjectRef::from_obj(object)).is_some_and(is_there)) else {
            return;
        };
        let written = &mut self.lock().written;
        if written.get(&uid).is_some_and(|ours| !ours.is_newer(object)) {
            written.remove(&uid);
        }
    }

    /// A list of these is begun: what was written before is in it.
    pub fn list_begins(&self, within: &Within) {
        self.lock()
            .written
            .values_mut()
            .filter(|ours| ours.is_within(within))
            .for_each(|ours| ours.is_of_this_list = false);
    }

    /// The list is there, and is believed even if versions went back.
    pub fn list_is_there(&self, within: &Within) {
        self.lock().written.retain(|_, ours| ours.is_of_this_list || !ours.is_within(within));
    }

    /// Keeps a status until it is stored.
    pub fn keep(&self, uid: &str, status: K::Status) {
        self.lock().unsaved.insert(uid.to_owned(), status);
    }

    /// The status is stored, or nobody waits for that any longer.
    pub fn saved(&self, uid: &str) {
        self.lock().unsaved.remove(uid);
    }

    /// Is there a status that is not stored yet?
    pub fn has_unsaved(&self, uid: &str) -> bool {
        self.lock().unsaved.contains_key(uid)
    }

    /// The object as we know it: with what is not stored yet.
    pub fn known<'a>(&self, object: &'a K) -> Cow<'a, K> {
        let Some(status) = object.uid().and_then(|uid| self.lock().unsaved.get(&uid).cloned()) else {
            return Cow::Borrowed(object);
        };
        let mut known = object.clone();
        *known.status_mut() = Some(status);
        Cow::Owned(known)
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        let mut known = self.lock();
        known.written.remove(uid);
        known.unsaved.remove(uid);
    }
}

#[cfg(test)]
mod tests;
