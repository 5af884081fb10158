//! How long to wait after a failure: full jitter that grows, and never sleeps past an instant that matters (design 3).

use std::time::Duration;

use rand::RngExt;

use crate::cms::{CmsError, ErrorClass};

const BASE: Duration = Duration::from_secs(1);

/// The wait after the n-th failure in a row. `due` caps it when something is to be done now (an open window).
pub fn after(error: &CmsError, failures: u32, due: bool) -> Duration {
    if let Some(known) = error.retry_after() {
        let cap = if due { Duration::from_secs(2) } else { Duration::from_secs(60) };
        // An auth block is lifted by the Secret's change, which wakes us; the rest is a pause of seconds.
        return if matches!(error.class(), ErrorClass::Auth) { known } else { known.min(cap) }.max(BASE / 4);
    }
    let longest = match error.class() {
        ErrorClass::Auth => return Duration::from_secs(15 * 60),
        ErrorClass::Invalid | ErrorClass::Conflict => Duration::from_secs(60),
        // A first failure in an open window is often a connection that the bridge closed meanwhile.
        _ if due && failures <= 1 => Duration::from_millis(300),
        _ if due => Duration::from_secs(5),
        _ => Duration::from_secs(60),
    };
    jittered(BASE.saturating_mul(1 << failures.min(10)).min(longest))
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
