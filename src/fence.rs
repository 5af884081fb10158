//! The right to write, as a value. It is asked right before every write, after every wait, because a right that was
//! there when the wait began may be gone when it ends. No I/O.
//!
//! It ends in two steps. **Shut**: no new write to a bridge is begun, what is on the wire is finished and recorded (the
//! orderly end). **Lost**: the time is over until which it was certain that nobody else has the right; what is on the
//! wire is given up, and nothing is recorded any more. The time is judged by the monotonic clock at the moment of asking,
//! so a process that was frozen finds it lost before anybody could have told it. Neither end is ever taken back: whoever
//! gets the right again has a new fence.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

#[derive(Clone, Copy, Debug, Default)]
struct Right {
    is_shut: bool,
    /// None: for ever.
    until: Option<Instant>,
}

impl Right {
    fn is_lost(self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// The right to write. Clones are the same right.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<watch::Sender<Right>>);

#[allow(dead_code)] // Until the lease is there.
impl Fence {
    /// A right that is lost at this moment, unless it is held on to.
    pub fn until(moment: Instant) -> Self {
        Self(Arc::new(watch::Sender::new(Right { is_shut: false, until: Some(moment) })))
    }

    /// It is certain for longer. False: too late, it was lost before.
    pub fn hold_until(&self, moment: Instant) -> bool {
        self.0.send_if_modified(|right| {
            let holds = !right.is_lost();
            if holds {
                right.until = right.until.map(|until| until.max(moment));
            }
            holds
        })
    }

    /// No write to a bridge is begun from now on.
    pub fn shut(&self) {
        self.0.send_modify(|right| right.is_shut = true);
    }

    /// May a write to a bridge be begun?
    pub fn is_open(&self) -> bool {
        let right = *self.0.borrow();
        !right.is_shut && !right.is_lost()
    }

    /// May somebody else have the right?
    pub fn is_lost(&self) -> bool {
        self.0.borrow().is_lost()
    }

    /// Waits until no write may be begun. First in a biased `select!`, it is asked each time before the rest goes on.
    pub async fn refused(&self) {
        self.ended(|right| right.is_shut || right.is_lost()).await;
    }

    /// Waits until what is on the wire must be given up; see [`Fence::refused`].
    pub async fn lost(&self) {
        self.ended(Right::is_lost).await;
    }

    async fn ended(&self, is_over: impl Fn(Right) -> bool) {
        let mut changes = self.0.subscribe();
        let told = async {
            loop {
                let right = *changes.borrow_and_update();
                if is_over(right) {
                    return;
                }
                // The sender is `self`, so it outlives this.
                let _ = match right.until {
                    Some(until) => timeout_at(until, changes.changed()).await.is_ok(),
                    None => changes.changed().await.is_ok(),
                };
            }
        };
        let mut told = pin!(told);
        // A timer fires only when the runtime gets round to it; after a freeze others may be first.
        poll_fn(|cx| if is_over(*self.0.borrow()) { std::task::Poll::Ready(()) } else { told.as_mut().poll(cx) }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn in_secs(secs: u64) -> Instant {
        Instant::now() + Duration::from_secs(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_without_end_is_only_shut() {
        let fence = Fence::default();
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert!(fence.is_open() && !fence.is_lost());
        fence.shut();
        fence.refused().await;
        assert!(!fence.is_open() && !fence.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_is_not_held_on_to_is_lost_and_stays_so() {
        let fence = Fence::until(in_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(fence.hold_until(in_secs(10)));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(fence.is_open());
        fence.lost().await;
        assert!(!fence.is_open() && fence.is_lost());
        assert!(!fence.hold_until(in_secs(10)), "too late");
        assert!(fence.is_lost());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_reply_that_comes_late_takes_nothing_away() {
        let fence = Fence::until(in_secs(10));
        assert!(fence.hold_until(in_secs(5)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(fence.is_open());
    }
}
