//! Who leads. PURE: what was seen of the Lease and when, in; what to do next, out.
//!
//! Times are readings of this process's monotonic clock. Those of other machines are never looked at: what the record
//! says about time is for people, but for the length of the lease. Five rules keep two from leading at one time:
//!
//! 1. A lease is taken only after this process has *seen* it unchanged for its whole length, or if its holder let it go.
//!    One that is not there may have been removed under its holder; so it is made in nobody's name, and waited for like
//!    any other.
//! 2. Every other write is based on the version that was seen; the apiserver refuses it if there is a newer one.
//! 3. Who leads believes in it until the renew deadline, counted from when the last write that succeeded was **sent**.
//!    A reply that comes late makes nothing longer, and a write whose reply was lost counts for nothing.
//! 4. The renew deadline is shorter than the lease. The difference is for what is on the wire, and for clocks that run
//!    at different speeds.
//! 5. A record that is older than the one seen before comes from a database that was put back. Who had it then, or that
//!    nobody did, says nothing about who leads now; whoever does not lead waits for it as for any other one. That there was
//!    none in between changes nothing about that.

use std::time::Duration;

/// A reading of the monotonic clock.
pub type Moment = Duration;

/// Longest lease that is believed: a record that somebody wrote by hand must not keep everybody out for ever.
const LONGEST: Duration = Duration::from_secs(600);

/// Holder of a Lease that was just made.
pub const NOBODY: &str = "nobody";

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After so long without a change anybody may take the lease.
    pub lease: Duration,
    /// After so long without a renewal the leader steps down.
    pub renew: Duration,
    /// Between two looks or renewals.
    pub retry: Duration,
}

impl Timing {
    /// Do the lengths fit together?
    ///
    /// # Errors
    /// What does not.
    pub fn check(self) -> Result<Self, String> {
        if self.renew.mul_f64(1.25) > self.lease {
            return Err("the lease duration must be at least 1.25 times the renew deadline".to_owned());
        }
        if self.retry * 2 > self.renew {
            return Err("the renew deadline must be at least twice the retry period".to_owned());
        }
        Ok(self)
    }

    /// Limit of one call to the apiserver: two must fit into the renew deadline.
    pub fn call_limit(self) -> Duration {
        self.renew / 2
    }
}

/// The Lease, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Changes with every write.
    pub version: String,
    /// Empty: nobody.
    pub holder: String,
    pub lease: Duration,
}

/// A write of the Lease in our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The version that is to be replaced.
    pub based_on: String,
    /// Somebody else, or nobody, had it before.
    pub is_transition: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Read,
    /// Make the Lease, in the name of [`NOBODY`].
    Create,
    Write(Claim),
    Wait(Moment),
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The Lease is ours, in this version.
    Done(String),
    /// There is another version than the one that the write was based on, or none.
    Refused,
    /// Nobody knows: no answer, or one that says nothing.
    Unknown,
}

#[derive(Clone, Debug)]
struct Sighting {
    /// None: there is no Lease.
    record: Option<Record>,
    /// Since when nothing else was seen.
    since: Moment,
    /// A write of ours may have changed it: look again before the next one.
    in_doubt: bool,
    /// It is older than what was seen before.
    is_put_back: bool,
}

/// Versions compare as numbers (Kubernetes enhancement 5504); what does not is never older.
fn is_older(record: &Record, than: &Record) -> bool {
    let number = |record: &Record| record.version.parse::<u64>().ok();
    number(record).zip(number(than)).is_some_and(|(version, than)| version < than)
}

/// One process that stands for election.
#[derive(Clone, Debug)]
pub struct Election {
    id: String,
    timing: Timing,
    seen: Option<Sighting>,
    /// The newest that was seen, or written by us since: what is older was put back, however often that happens.
    newest: Option<Record>,
    /// When the next call may be made.
    next_call: Moment,
    /// When the last write that succeeded was sent.
    renewed: Option<Moment>,
    /// It led and does not any more.
    is_over: bool,
}

impl Election {
    /// Nothing was seen yet.
    pub fn new(id: &str, timing: Timing) -> Self {
        let (id, next_call) = (id.to_owned(), Moment::ZERO);
        Self { id, timing, seen: None, newest: None, next_call, renewed: None, is_over: false }
    }

    /// The term is over and nothing of it is left: stands as anybody else again.
    pub fn stand_again(&mut self) {
        (self.renewed, self.is_over) = (None, false);
        if let Some(seen) = &mut self.seen {
            seen.in_doubt = true;
        }
    }

    /// Until when it is certain that nobody else leads. None: we do not.
    pub fn leads_until(&self) -> Option<Moment> {
        self.renewed.filter(|_| !self.is_over).map(|sent| sent + self.timing.renew)
    }

    /// Has it led, and does not any more?
    pub fn is_over(&self, now: Moment) -> bool {
        self.is_over || self.leads_until().is_some_and(|until| now >= until)
    }

    /// The next thing to do.
    pub fn next(&self, now: Moment) -> Next {
        if now < self.next_call {
            return Next::Wait(self.next_call);
        }
        match &self.seen {
            Some(seen @ Sighting { record: Some(record), in_doubt: false, .. }) => {
                self.claim(record, seen, now).map_or(Next::Read, Next::Write)
            }
            Some(Sighting { record: None, in_doubt: false, .. }) => Next::Create,
            _ => Next::Read,
        }
    }

    /// What may be written over this record now, if anything.
    fn claim(&self, record: &Record, seen: &Sighting, now: Moment) -> Option<Claim> {
        let is_ours = record.holder == self.id;
        let length = self.timing.lease.max(record.lease.min(LONGEST));
        let leads = self.leads_until().is_some_and(|until| now < until);
        let is_believed = !seen.is_put_back || (is_ours && leads);
        let is_free = is_believed && (is_ours || record.holder.is_empty());
        let claim = Claim { based_on: record.version.clone(), is_transition: !is_ours };
        (is_free || now.saturating_sub(seen.since) >= length).then_some(claim)
    }

    /// A call is about to be made. A write whose outcome is never told stays in doubt.
    pub fn begin(&mut self, call: &Next, now: Moment) {
        // Who waits for a lease that is handed over looks twice as often as the leader renews.
        self.next_call = now + if self.renewed.is_some() { self.timing.retry } else { self.timing.retry / 2 };
        if let (Next::Write(_) | Next::Create, Some(seen)) = (call, &mut self.seen) {
            seen.in_doubt = true;
        }
    }

    /// The Lease was read, or made; `now` is when the answer was there. None: there is none.
    pub fn read(&mut self, record: Option<Record>, now: Moment) {
        let wait = self.next_call;
        let is_ours = record.as_ref().is_some_and(|record| record.holder == self.id);
        if self.renewed.is_some() && !is_ours {
            self.is_over = true;
        }
        let before = self.seen.take();
        self.seen = Some(match before {
            Some(seen) if seen.record == record => Sighting { in_doubt: false, ..seen },
            _ => {
                let newest = self.newest.as_ref();
                let is_put_back = record.as_ref().zip(newest).is_some_and(|(record, newest)| is_older(record, newest));
                if !is_put_back && record.is_some() {
                    self.newest.clone_from(&record);
                }
                Sighting { record, since: now, in_doubt: false, is_put_back }
            }
        });
        // What can be had is taken at once, and so is renewed what we had lost the trace of.
        self.next_call = now;
        if self.next(now) == Next::Read {
            self.next_call = wait;
        }
    }

    /// A write that was sent at `sent` ended.
    pub fn wrote(&mut self, outcome: Written, sent: Moment, now: Moment) {
        match outcome {
            Written::Done(version) => {
                self.next_call = self.next_call.max(sent + self.timing.retry);
                let record = Record { version, holder: self.id.clone(), lease: self.timing.lease };
                self.newest = Some(record.clone());
                self.seen = Some(Sighting { record: Some(record), since: now, in_doubt: false, is_put_back: false });
                self.renewed = Some(sent);
            }
            // It is in doubt since it was begun. Who leads must know soon.
            Written::Refused | Written::Unknown if self.renewed.is_some() => {
                self.next_call = self.next_call.min(now + self.timing.retry / 4);
            }
            Written::Refused | Written::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests;
