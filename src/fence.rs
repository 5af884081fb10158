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
enum Held {
    #[default]
    ForEver,
    Until(Instant),
    NotYet,
}

#[derive(Clone, Copy, Debug, Default)]
struct Right {
    is_shut: bool,
    held: Held,
}

impl Right {
    fn is_lost(self) -> bool {
        match self.held {
            Held::ForEver => false,
            Held::Until(moment) => Instant::now() >= moment,
            Held::NotYet => true,
        }
    }
}

/// The right to write. Clones are the same right.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<watch::Sender<Right>>);

impl Fence {
    /// A right that nobody gave yet.
    pub fn not_yet() -> Self {
        Self(Arc::new(watch::Sender::new(Right { is_shut: false, held: Held::NotYet })))
    }

    /// It is certain until then, if not for longer. False: too late, it was lost before.
    pub fn hold_until(&self, moment: Instant) -> bool {
        self.0.send_if_modified(|right| {
            right.held = match right.held {
                Held::Until(_) if right.is_lost() => return false,
                Held::Until(until) => Held::Until(until.max(moment)),
                Held::NotYet => Held::Until(moment),
                Held::ForEver => Held::ForEver,
            };
            true
        })
    }

    /// No write to a bridge is begun from now on.
    pub fn shut(&self) {
        self.0.send_modify(|right| right.is_shut = true);
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
                let _ = match right.held {
                    Held::Until(moment) => timeout_at(moment, changes.changed()).await.is_ok(),
                    Held::ForEver | Held::NotYet => changes.changed().await.is_ok(),
                };
            }
        };
        let mut told = pin!(told);
        // A timer fires only when the runtime gets round to it; after a freeze others may be first.
        poll_fn(|cx| if is_over(*self.0.borrow()) { std::task::Poll::Ready(()) } else { told.as_mut().poll(cx) }).await;
    }
}

#[cfg(test)]
mod tests;
