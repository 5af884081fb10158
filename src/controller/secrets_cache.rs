//! The join secrets of meetings that run or are about to, so that a door can be opened without the apiserver. Never
//! printed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::meeting::{JoinSecrets, WrittenDoor, WrittenMethods};

#[derive(Clone, Default)]
struct Entry {
    secrets: Option<JoinSecrets>,
    /// With what the door was last written in this process.
    written: Option<WrittenDoor>,
    /// What this process knows of the access methods on the bridge.
    methods: Option<WrittenMethods>,
}

/// Join secrets by UID of the meeting.
#[derive(Default)]
pub struct SecretsCache(Mutex<BTreeMap<String, Entry>>);

impl SecretsCache {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secrets at hand, and with what the door was last written.
    pub fn get(&self, uid: &str) -> (Option<JoinSecrets>, Option<WrittenDoor>) {
        let entry = self.lock().get(uid).cloned().unwrap_or_default();
        (entry.secrets, entry.written)
    }

    /// Keeps the secrets at hand.
    pub fn keep(&self, uid: &str, secrets: JoinSecrets) {
        self.lock().entry(uid.to_owned()).or_default().secrets = Some(secrets);
    }

    /// The door was written with this.
    pub fn note_written(&self, uid: &str, written: WrittenDoor) {
        self.lock().entry(uid.to_owned()).or_default().written = Some(written);
    }

    /// What is known of the access methods on the bridge.
    pub fn methods(&self, uid: &str) -> Option<WrittenMethods> {
        self.lock().get(uid).and_then(|entry| entry.methods.clone())
    }

    /// The access methods were looked at or written.
    pub fn note_methods(&self, uid: &str, methods: Option<WrittenMethods>) {
        self.lock().entry(uid.to_owned()).or_default().methods = methods;
    }

    /// A passcode's Secret changed: they are read again.
    pub fn forget_passcode(&self, uid: &str) {
        if let Some(secrets) = self.lock().get_mut(uid).and_then(|entry| entry.secrets.as_mut()) {
            secrets.passcode = None;
            secrets.methods.values_mut().for_each(|method| method.passcode = None);
        }
    }

    /// Forgets the secrets of a meeting.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
