//! What lets people into a meeting. Never printed. PURE.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;

/// The secrets of one meeting, as long as it runs.
#[derive(Clone)]
pub struct JoinSecrets {
    /// Secret of the space.
    pub secret: SecretString,
    /// Passcode; None: not available.
    pub passcode: Option<SecretString>,
    /// Of the access methods, by name.
    pub methods: BTreeMap<String, MethodSecrets>,
}

impl JoinSecrets {
    /// Is every passcode at hand?
    pub fn is_whole(&self) -> bool {
        self.passcode.is_some() && self.methods.values().all(|method| method.passcode.is_some())
    }
}

impl fmt::Debug for JoinSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecrets")
    }
}

/// With what the door was last written in this process.
#[derive(Clone, Debug)]
pub struct WrittenDoor {
    pub title: String,
    pub passcode: SecretString,
    pub closes_at: Timestamp,
    /// How often in a row this process put the passcode back although nothing else was otherwise than it was written.
    pub vain_passcodes: u32,
}

/// Passcode and secret of one access method.
#[derive(Clone)]
pub struct MethodSecrets {
    /// Secret of its join link.
    pub secret: SecretString,
    /// Passcode; None: not available.
    pub passcode: Option<SecretString>,
}
