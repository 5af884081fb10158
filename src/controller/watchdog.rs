//! Which passes are under way, and since when. Every wait of a pass is bounded by far less than [`LONGEST_PASS`]; one
//! that lasts longer is stuck, and only a restart helps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A pass that lasts longer than this will never end.
const LONGEST_PASS: Duration = Duration::from_secs(15 * 60);

/// The passes under way, by their number.
#[derive(Default)]
pub struct Watchdog(Mutex<Passes>);

#[derive(Default)]
struct Passes {
    next: u64,
    under_way: BTreeMap<u64, (&'static str, Instant)>,
}

/// One pass under way; over when dropped.
pub struct PassGuard {
    watchdog: Arc<Watchdog>,
    number: u64,
}

impl Watchdog {
    fn lock(&self) -> MutexGuard<'_, Passes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pass over an object of this kind begins.
    pub fn begin(self: &Arc<Self>, kind: &'static str) -> PassGuard {
        let mut passes = self.lock();
        let number = passes.next;
        passes.next += 1;
        passes.under_way.insert(number, (kind, Instant::now()));
        PassGuard { watchdog: Arc::clone(self), number }
    }

    /// What is stuck, if anything is.
    pub fn stuck(&self) -> Option<String> {
        // Numbers are given in order: the first one is the oldest.
        let (kind, since) = self.lock().under_way.values().next().copied()?;
        let lasts = since.elapsed();
        (lasts > LONGEST_PASS).then(|| format!("a pass over a {kind} has not ended for {} s", lasts.as_secs()))
    }
}

impl Drop for PassGuard {
    fn drop(&mut self) {
        self.watchdog.lock().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
