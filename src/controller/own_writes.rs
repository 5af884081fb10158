//! What we wrote ourselves, until the watch shows it: the stores lag behind our own writes, and a decision on an older
//! object would be made twice (decision 0010).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

/// Our own last writes of one kind, by UID.
pub struct OwnWrites<K>(Mutex<BTreeMap<String, Arc<K>>>);

impl<K> Default for OwnWrites<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Resource versions compare as numbers (KEP-5504); one that does not counts as oldest.
pub fn version_of<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl<K: Resource<DynamicType = ()> + Clone> OwnWrites<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newer one of the stored object and what we wrote.
    pub fn newest(&self, stored: Arc<K>) -> Arc<K> {
        let Some(uid) = stored.uid() else { return stored };
        let mut written = self.lock();
        match written.get(&uid) {
            Some(ours) if version_of(ours.as_ref()) > version_of(stored.as_ref()) => Arc::clone(ours),
            Some(_) => {
                written.remove(&uid);
                stored
            }
            None => stored,
        }
    }

    /// Keeps what we wrote until the store shows it, if it does not already: the watch is often faster than the reply.
    pub fn note(&self, store: &Store<K>, object: &K) {
        let shown = store.get(&ObjectRef::from_obj(object));
        let is_shown = shown.is_some_and(|shown| version_of(shown.as_ref()) >= version_of(object));
        if let Some(uid) = object.uid().filter(|_| !is_shown) {
            self.lock().insert(uid, Arc::new(object.clone()));
        }
    }

    /// The watch shows this version: what we wrote up to it need not be kept.
    pub fn store_has(&self, object: &K) {
        let Some(uid) = object.uid() else { return };
        let mut written = self.lock();
        if written.get(&uid).is_some_and(|ours| version_of(ours.as_ref()) <= version_of(object)) {
            written.remove(&uid);
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
