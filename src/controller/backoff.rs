//! How long to wait: one table for every pause, with full jitter where many wait for the same, never past an instant that
//! matters.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;

use super::kube_calls::KubeError;
use crate::cms::{CmsError, ErrorClass};
use crate::plan::verdict::Pause;

const BASE: Duration = Duration::from_secs(1);

/// Failures in a row, by UID of the object.
#[derive(Default)]
pub struct Backoff(Mutex<BTreeMap<String, Failures>>);

/// The failures of one object.
#[derive(Default)]
struct Failures {
    /// In a row, whatever they are.
    count: u32,
    /// The last reason that was logged or could have been, and how often in a row.
    told: Option<(&'static str, u32)>,
}

impl Backoff {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure; returns how many there are in a row now.
    pub fn count(&self, uid: &str) -> u32 {
        let mut failures = self.lock();
        let count = &mut failures.entry(uid.to_owned()).or_default().count;
        *count = count.saturating_add(1);
        *count
    }

    /// Is this failure worth a line of the log? The first of its kind is, then the second, fourth, eighth ...: five hundred
    /// meetings on a dead bridge say the same each few seconds.
    pub fn is_worth_a_line(&self, uid: &str, reason: &'static str) -> bool {
        let mut failures = self.lock();
        match &mut failures.entry(uid.to_owned()).or_default().told {
            Some((before, times)) if *before == reason => {
                *times = times.saturating_add(1);
                times.is_power_of_two()
            }
            told => {
                *told = Some((reason, 1));
                true
            }
        }
    }

    /// The object is gone, and with it whatever was counted for a part of it (`uid/part`).
    pub fn forget(&self, uid: &str) {
        self.lock()
            .retain(|key, _| key.strip_prefix(uid).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/')));
    }

    /// The object succeeded.
    pub fn clear(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// How long a pause lasts. `is_due`: something is to be done now (an open window).
    pub fn wait(&self, uid: &str, pause: &Pause, is_due: bool) -> Duration {
        match pause {
            Pause::None => Duration::ZERO,
            Pause::Failed(error) => after(error, self.count(uid), is_due),
            // Its own reconcile makes the connection and wakes us.
            Pause::NotConnected => Duration::from_secs(2),
            Pause::SlotsUnknown => Duration::from_millis(500),
            Pause::SpaceMissing => jittered(Duration::from_secs(2)),
            Pause::Unwritten => jittered(Duration::from_secs(if is_due { 10 } else { 60 })),
            Pause::Blocked => jittered(Duration::from_secs(5)),
            Pause::OverdueFirst => Duration::from_millis(100),
            // 0.3 s, then growing: most bridges show at once what they did.
            Pause::Unproven => {
                Duration::from_millis(150).saturating_mul(1 << self.count(uid).min(6)).min(LONGEST_UNPROVEN)
            }
            Pause::TooManyTurns => jittered(Duration::from_secs(10)),
        }
    }
}

/// The longest pause of what is not due. A slot may have been left open on a bridge that is silent, busy or behind a page
/// for people: it is shut soon after the bridge is itself again. Nobody tells us when that is.
const LONGEST: Duration = Duration::from_secs(15);

/// The longest pause before something is shut or deleted again that is shown as it was before.
const LONGEST_UNPROVEN: Duration = Duration::from_secs(5);

/// The longest pause of what the bridge itself refused for what it is: asking again changes little.
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

/// The longest pause before something is made again of which the bridge does not say what it is. Where it cannot be looked
/// for either, each try leaves one behind.
const LONGEST_UNNAMED: Duration = Duration::from_secs(15 * 60);

/// The wait after the n-th failure in a row. `is_due` caps it when something is to be done now.
pub fn after(error: &CmsError, failures: u32, is_due: bool) -> Duration {
    if let Some(known) = error.retry_after() {
        let cap = if is_due { Duration::from_secs(2) } else { LONGEST };
        // An auth block is lifted by the Secret's change, which wakes us; the rest is a pause of seconds.
        return if matches!(error.class(), ErrorClass::Auth) { known } else { known.min(cap) }.max(BASE / 4);
    }
    let longest = match error.class() {
        // No account is locked by what it may not do, and nobody tells us when it may.
        ErrorClass::Auth if *error == CmsError::Forbidden => LONGEST_REFUSED,
        ErrorClass::Auth => return Duration::from_secs(15 * 60),
        ErrorClass::Invalid | ErrorClass::Conflict if error.is_of_bridge() => LONGEST_REFUSED,
        // Load and licences change by the minute.
        _ if is_due && matches!(error, CmsError::LimitReached { .. }) => Duration::from_secs(10),
        // A first failure in an open window is often a connection that the bridge closed meanwhile.
        _ if is_due && failures <= 1 => Duration::from_millis(300),
        _ if is_due => Duration::from_secs(5),
        _ if *error == CmsError::AmbiguousCreate => LONGEST_UNNAMED,
        _ => LONGEST,
    };
    jittered(BASE.saturating_mul(1 << failures.min(10)).min(longest))
}

/// After the n-th failure in a row of the apiserver.
pub fn after_apiserver(error: &KubeError, failures: u32) -> Duration {
    if error.is_conflict() && failures <= 1 {
        // What is there now was read anew.
        return Duration::from_millis(50);
    }
    // It will refuse again until somebody changes something.
    let longest = if error.is_refusal() { Duration::from_secs(120) } else { Duration::from_secs(1 << failures.min(4)) };
    jittered(longest)
}

/// Between a quarter of a second and `longest`, evenly.
pub fn jittered(longest: Duration) -> Duration {
    let floor = Duration::from_millis(250);
    if longest <= floor {
        return floor;
    }
    rand::rng().random_range(floor..=longest)
}

#[cfg(test)]
mod tests;
