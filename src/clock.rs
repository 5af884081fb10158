//! The wall clock, injected, so that no decision asks for the time by itself; and beside it what passes steadily.

use std::sync::OnceLock;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;

    /// What has passed since this process began, whatever is done to the wall clock. It stands still while the node is
    /// suspended, as every timer does.
    fn steady(&self) -> SignedDuration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
        SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX)
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    wall: Timestamp,
    steady: SignedDuration,
}

impl Reading {
    /// Now.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }

    /// How far the wall clock went ahead of what passed since an earlier reading.
    pub fn step_since(&self, earlier: &Self) -> SignedDuration {
        self.wall.duration_since(earlier.wall).saturating_sub(self.steady.saturating_sub(earlier.steady))
    }
}
