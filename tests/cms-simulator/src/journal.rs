//! The journal: every request as it came and went, and every hand edit.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// A request on the wire.
    Request,
    /// An edit through the library, the control API or a fault.
    Hand,
}

/// One request or hand edit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Rising over the life of the simulator, from 1, also past `clear_journal`.
    pub seq: u64,
    pub kind: EntryKind,
    /// Number of the bridge that was asked, from 0.
    pub bridge: usize,
    /// Arrival of the whole request.
    pub at: Timestamp,
    /// When its reply was handed over or its connection ended; none while it is in flight.
    pub finished: Option<Timestamp>,
    pub method: String,
    /// The path in canonical case, without query.
    pub path: String,
    /// The query string as it came.
    pub query: String,
    /// Template such as `coSpaces/{id}`; `unknown` for a path that names nothing.
    pub route: String,
    /// Decoded form pairs; values of passcode and secret are masked unless empty.
    pub body: Vec<(String, String)>,
    /// Size of the body as it came, in bytes.
    pub body_size: usize,
    /// None if no status line was sent.
    pub status: Option<u16>,
    /// Size of the reply's body, in bytes.
    pub reply_size: usize,
    /// Element of failureDetails.
    pub failure: Option<String>,
    /// Whether stored state changed.
    pub effect: bool,
    /// Requests in flight on that bridge, this one included.
    pub in_flight: usize,
    /// The object created or addressed.
    pub object_id: Option<String>,
    /// The space concerned, if any.
    pub space: Option<String>,
    /// Call id (else uri) of that space before the request.
    pub space_number: Option<String>,
    /// Name of the fault that struck it.
    pub fault: Option<String>,
    /// What is odd about it, although it was carried out.
    pub remark: Option<String>,
}

/// How a request ended.
#[derive(Debug, Default)]
pub struct Outcome {
    pub status: Option<u16>,
    pub reply_size: usize,
    pub failure: Option<String>,
    pub effect: bool,
    pub object_id: Option<String>,
    pub space: Option<String>,
    pub space_number: Option<String>,
    pub fault: Option<String>,
    pub remark: Option<String>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<JournalEntry>,
    next: u64,
}

/// All entries since the last clear.
#[derive(Debug)]
pub struct Journal {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    limit: usize,
}

impl Journal {
    /// An empty journal that keeps at most so many entries.
    pub fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(0), limit: limit.max(1) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry, gives it its number, and wakes whoever waits.
    pub fn add(&self, mut entry: JournalEntry) -> u64 {
        let mut inner = self.lock();
        if inner.entries.len() >= self.limit {
            // A quarter at once, so that the cost of moving the rest is spread over many entries.
            let oldest = self.limit.div_ceil(4);
            inner.entries.drain(..oldest);
        }
        inner.next += 1;
        entry.seq = inner.next;
        inner.entries.push(entry);
        let seq = inner.next;
        drop(inner);
        self.wake();
        seq
    }

    /// Completes an entry.
    pub fn finish(&self, seq: u64, outcome: Outcome) {
        let mut inner = self.lock();
        if let Ok(position) = inner.entries.binary_search_by_key(&seq, |entry| entry.seq)
            && let Some(entry) = inner.entries.get_mut(position)
        {
            entry.finished = Some(Timestamp::now());
            entry.status = outcome.status;
            entry.reply_size = outcome.reply_size;
            entry.failure = outcome.failure;
            entry.effect = outcome.effect;
            entry.object_id = outcome.object_id;
            entry.space = outcome.space;
            entry.space_number = outcome.space_number;
            entry.fault = outcome.fault;
            entry.remark = outcome.remark;
        }
        drop(inner);
        self.wake();
    }

    /// Notes the effect of a request that will never be answered, while it still hangs.
    pub fn mark_effect(&self, seq: u64, effect: bool) {
        let mut inner = self.lock();
        if let Ok(position) = inner.entries.binary_search_by_key(&seq, |entry| entry.seq)
            && let Some(entry) = inner.entries.get_mut(position)
        {
            entry.effect = effect;
        }
        drop(inner);
        self.wake();
    }

    fn wake(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// A receiver that is woken at every new and every completed entry.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Looks at the entries without copying them.
    pub fn with<R>(&self, look: impl FnOnce(&[JournalEntry]) -> R) -> R {
        look(&self.lock().entries)
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> JournalEntry {
        JournalEntry {
            seq: 0,
            kind: EntryKind::Request,
            bridge: 0,
            at: Timestamp::UNIX_EPOCH,
            finished: None,
            method: "GET".to_owned(),
            path: String::new(),
            query: String::new(),
            route: String::new(),
            body: Vec::new(),
            body_size: 0,
            status: None,
            reply_size: 0,
            failure: None,
            effect: false,
            in_flight: 1,
            object_id: None,
            space: None,
            space_number: None,
            fault: None,
            remark: None,
        }
    }

    #[test]
    fn the_oldest_go_first() {
        let journal = Journal::new(8);
        for _ in 0..9 {
            journal.add(entry());
        }
        assert_eq!(journal.with(|all| all.iter().map(|e| e.seq).collect::<Vec<_>>()), [3, 4, 5, 6, 7, 8, 9]);
        journal.finish(1, Outcome::default());
        journal.finish(4, Outcome { status: Some(200), ..Outcome::default() });
        assert_eq!(journal.with(|all| all[1].status), Some(200));
    }
}
