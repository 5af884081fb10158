//! What is learnt of each request besides its reply.

use std::time::Duration;

use super::address::Address;

/// What metrics and traces learn of one request. The query is left out, because filters may name people.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The operation's name: one of a fixed few.
    pub operation: &'static str,
    pub method: &'static str,
    /// Below `/api/v1`, with the ids.
    pub path: &'a str,
    pub call_bridge: &'a Address,
    /// Of the reply, if there was one.
    pub status: Option<u16>,
    /// `ok`, or the label of the error.
    pub outcome: &'static str,
    /// The wait at the gate.
    pub waited: Duration,
    /// From sending to the end of the reply; zero if nothing was sent.
    pub took: Duration,
}

/// Where a client reports what it does. Called on the request's own task: must not block.
pub trait Observer: Send + Sync {
    /// One request has ended.
    fn request(&self, sample: &Sample<'_>);

    /// A list was read with so many requests.
    fn listed(&self, operation: &'static str, pages: u32) {
        let _ = (operation, pages);
    }
}

/// Reports nothing.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

#[cfg(test)]
impl Observer for NoObserver {
    fn request(&self, _sample: &Sample<'_>) {}
}
