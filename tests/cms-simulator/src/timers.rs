//! Everything that happens later (a leg rings, a sync ends) waits in one heap, so that one task serves any number of
//! meetings and equal times keep their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

use crate::ids::Id;
use crate::state::log::DialOutcome;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The far end of a leg starts to ring.
    Ring(usize, Id),
    /// The far end answers.
    Answer(usize, Id),
    /// The dial fails.
    Fail(usize, Id, Failure),
    /// The far end hangs up.
    HangUp(usize, Id),
    /// The leg reached its `maxCallDurationTime`.
    TooLong(usize, Id),
    /// A bulk sync starts to run.
    SyncRuns(Id),
    /// A bulk sync ends.
    SyncEnds(Id),
}

/// How a dial fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    Busy,
    NoAnswer,
    Unknown,
    Rejected,
}

impl Failure {
    /// The outcome in the log and the leg's end reason (section 10).
    pub fn outcome(self) -> (DialOutcome, &'static str) {
        match self {
            Self::Busy => (DialOutcome::Busy, "remoteBusy"),
            Self::NoAnswer => (DialOutcome::NoAnswer, "ringingTimeout"),
            Self::Unknown => (DialOutcome::Unknown, "unknownDestination"),
            Self::Rejected => (DialOutcome::Rejected, "remoteRejected"),
        }
    }
}

/// The heap.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    counter: u64,
    /// Set by a push; the owner wakes the timer task and clears it.
    pub dirty: bool,
}

impl Timers {
    /// Adds an event.
    pub fn push(&mut self, at: Instant, event: Event) {
        self.counter += 1;
        self.heap.push(Reverse((at, self.counter, event)));
        self.dirty = true;
    }

    /// Takes the next event that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Event> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, event))| event)
    }

    /// When the next event is due.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }
}
