//! Identifiers: lower-case GUIDs, numeric call ids and secrets (cms-protocol.md 1.7), all from one seeded generator so that
//! two runs with the same requests in the same order give the same ids.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::wire::base64;

/// An object id. Shared text, because an id is held by indexes, views and logs at once.
pub type Id = Arc<str>;

/// The one source of random values in a simulator.
#[derive(Debug)]
pub struct IdSource(StdRng);

impl IdSource {
    /// A generator that always yields the same values for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A fresh version-4 GUID, 36 lower-case characters.
    pub fn guid(&mut self) -> Id {
        let mut bytes = [0u8; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string().into()
    }

    /// A fresh secret: 16 random bytes as 22 characters of URL-safe base64.
    pub fn secret(&mut self) -> String {
        let mut bytes = [0u8; 16];
        self.0.fill_bytes(&mut bytes);
        base64::url_safe(&bytes)
    }

    /// A fresh numeric call id of nine digits, which may begin with 0.
    pub fn call_id(&mut self) -> String {
        format!("{:09}", self.0.random_range(0..1_000_000_000u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let mut a = IdSource::new(7);
        let mut b = IdSource::new(7);
        assert_eq!(a.guid(), b.guid());
        assert_eq!(a.secret(), b.secret());
        assert_eq!(a.guid().len(), 36);
        assert_eq!(a.secret().len(), 22);
        assert_eq!(a.call_id().len(), 9);
        assert_ne!(IdSource::new(8).guid(), IdSource::new(7).guid());
    }
}
