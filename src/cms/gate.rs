//! The one door to a call bridge: how many requests may be on the wire, in which order they go, and when none may go.
//! No I/O; time comes from `tokio::time`, chance from a seed.
//!
//! - **Order**: at most `in_flight` requests at a time; who waits is served by class (doors, then calls, then legs, ...
//!   sweeps), then deadline, then arrival. So a slow bridge delays the sweeps of itself, never a door (decision 0003).
//! - **Circuit breaker**: after some connection failures in a row nothing is sent for a random while that grows. Then
//!   *one* request tries; an urgent one may try at once. So a meeting instant is never slept past.
//! - **Abandoned**: when the call bridge is left for another one, whoever waits or has a request on the wire is told at
//!   once instead of at the end of a time limit.
//! - **401**: nothing is sent for 15 minutes, or until the credentials change, because the bridge may lock the account
//!   (R39, `cms-protocol.md` 1.1). Credentials that have not worked yet are tried by one request alone. Those that have
//!   worked, in this process or as far as the status tells, are given one more try first: everybody waits two seconds, then
//!   one request alone confirms the 401 or not.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::CmsError;
use super::priority::{Class, Priority};
use crate::fence::Fence;

/// Connection failures in a row that open the circuit.
const FAILURES: u32 = 3;

/// The longest first pause; doubled with every failed trial, up to the longest of all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long nothing is sent after a 401.
const AUTH_BLOCK: Duration = Duration::from_secs(15 * 60);

/// How long after a 401 to credentials that had worked one request tries them again.
const CONFIRM_AFTER: Duration = Duration::from_secs(2);

/// How a request ended, as far as the gate cares.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The bridge answered, whatever it said.
    Answered,
    /// There was an answer, but it says nothing about the credentials: it may not be the bridge's.
    Unclear,
    /// The bridge answered 401.
    Unauthorized,
    /// The bridge was not reached or did not reply. With the error, for those who are refused because of it.
    Unreachable(CmsError),
}

/// One per call bridge, shared by every client of that call bridge.
pub struct Gate {
    /// Requests on the wire at one time.
    in_flight: usize,
    /// Connection failures in a row that open the circuit.
    failures: u32,
    /// Writes pass only while it is open.
    fence: Fence,
    state: Mutex<State>,
}

struct State {
    in_flight: usize,
    arrivals: u64,
    waiting: BTreeMap<Ticket, Waiter>,
    circuit: Circuit,
    /// Counts the changes between closed and open: a request that began before the last change says nothing new.
    circuit_epoch: u64,
    auth: Auth,
    /// Counts changes of credentials: a late 401 to old ones must not block new ones.
    auth_epoch: u64,
    credentials: Option<u64>,
    /// Cancelled when the requests of this time are abandoned; those that come later have a new one.
    present: CancellationToken,
    rng: StdRng,
}

/// The place in the queue: the order of the fields is the order of service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    class: Class,
    deadline: Timestamp,
    arrival: u64,
}

struct Waiter {
    urgent: bool,
    answer: oneshot::Sender<Result<Permit, CmsError>>,
}

enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, cause: Box<CmsError>, trips: u32, trial: bool },
}

enum Auth {
    /// No answer with these credentials yet: one request at a time, so that a wrong password costs one attempt.
    /// `worked_before`: they did when this controller, or another one, ran last.
    Unproven {
        worked_before: bool,
    },
    Proven,
    /// They had worked and got a 401: nothing is sent until then, and then one request tells.
    Doubted {
        until: Instant,
    },
    Blocked {
        until: Instant,
    },
}

impl Auth {
    const UNTRIED: Self = Self::Unproven { worked_before: false };
}

/// Answers that are given after the lock is released.
type Answers = Vec<(oneshot::Sender<Result<Permit, CmsError>>, Result<Permit, CmsError>)>;

fn tell(answers: Answers) {
    for (to, answer) in answers {
        // A waiter that has just gone away hands its permit back here, by dropping it.
        drop(to.send(answer));
    }
}

impl Gate {
    /// A gate with nothing in flight. `seed` decides the random part of the pauses.
    pub fn new(in_flight: usize, seed: u64) -> Self {
        let state = State {
            in_flight: 0,
            arrivals: 0,
            waiting: BTreeMap::new(),
            circuit: Circuit::Closed { failures: 0 },
            circuit_epoch: 0,
            auth: Auth::UNTRIED,
            auth_epoch: 0,
            credentials: None,
            present: CancellationToken::new(),
            rng: StdRng::seed_from_u64(seed),
        };
        Self { in_flight: in_flight.max(1), failures: FAILURES, fence: Fence::default(), state: Mutex::new(state) }
    }

    /// The same, with a right to write that can end.
    #[must_use]
    pub fn with_fence(self, fence: Fence) -> Self {
        Self { fence, ..self }
    }

    /// The right to write.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Waits for a turn. Dropping the future gives the place up.
    ///
    /// # Errors
    /// [`CmsError::CircuitOpen`] and [`CmsError::AuthBlocked`], also while waiting.
    pub async fn acquire(self: &Arc<Self>, at: Priority) -> Result<Permit, CmsError> {
        let (answer, mut turn) = oneshot::channel();
        let ticket = {
            let mut state = self.lock();
            state.arrivals += 1;
            let ticket = Ticket { class: at.class, deadline: at.deadline, arrival: state.arrivals };
            state.waiting.insert(ticket, Waiter { urgent: at.urgent, answer });
            ticket
        };
        // From here on the place is given up by dropping, whether the turn has come or not: a permit that was
        // granted but not received is dropped inside the channel.
        let _place = Place { gate: self, ticket };
        self.serve();
        loop {
            match tokio::time::timeout(CONFIRM_AFTER, &mut turn).await {
                Ok(answer) => return answer.unwrap_or(Err(CmsError::Cancelled)),
                // Nothing ends with the pause after a 401 that would wake those who wait.
                Err(_) => self.serve(),
            }
        }
    }

    /// Whether a request that got a 401 is worth a second try: the credentials have worked, and nothing has confirmed yet
    /// that they do not any more.
    pub fn trusts_credentials(&self) -> bool {
        matches!(self.lock().auth, Auth::Proven | Auth::Doubted { .. })
    }

    /// Forgets a 401: the credentials are new.
    fn reset_auth(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            state.auth = Auth::UNTRIED;
            state.auth_epoch += 1;
        }
        self.serve();
    }

    /// Tells that the credentials had worked before this gate was made. What it has found out itself counts more.
    pub fn worked_before(&self) {
        if let Auth::Unproven { worked_before } = &mut self.lock().auth {
            *worked_before = true;
        }
    }

    /// Do the credentials work? None: nobody has tried, or it is in doubt.
    pub fn accepts_credentials(&self) -> Option<bool> {
        match self.lock().auth {
            Auth::Proven => Some(true),
            Auth::Blocked { .. } => Some(false),
            Auth::Unproven { .. } | Auth::Doubted { .. } => None,
        }
    }

    /// Ends a block after a 401 before its time: somebody asks for another try. What is proven stays so.
    pub fn lift_block(self: &Arc<Self>) {
        let is_blocked = matches!(self.lock().auth, Auth::Blocked { .. });
        if is_blocked {
            self.reset_auth();
        }
    }

    /// Tells which credentials are used from now on; others than before count as new ones. Only a hash is kept, made
    /// with a key of this process.
    pub fn bind_credentials(self: &Arc<Self>, username: &str, password: &str) {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = KEY.hash_one((username, password));
        let changed = {
            let mut state = self.lock();
            let before = state.credentials.replace(hash);
            before.is_some_and(|before| before != hash)
        };
        if changed {
            self.reset_auth();
        }
    }

    /// Tells everybody who waits or has a request on the wire to give it up: the call bridge was left for another one.
    pub fn abandon(&self) {
        let mut answers = Answers::new();
        {
            let mut state = self.lock();
            std::mem::take(&mut state.present).cancel();
            state.refuse(&mut answers, |_| true, &CmsError::Abandoned);
        }
        tell(answers);
    }

    /// A probe outside the gate reached the bridge: an open circuit need not wait any longer for its trial.
    pub fn note_reachable(&self) {
        if let Circuit::Open { until, .. } = &mut self.lock().circuit {
            *until = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and every state is valid by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives everybody an answer who can have one.
    fn serve(self: &Arc<Self>) {
        let mut answers = Answers::new();
        let now = Instant::now();
        {
            let mut state = self.lock();
            while self.step(&mut state, now, &mut answers) {}
        }
        tell(answers);
    }

    /// Answers one waiter, or all if they must be refused. False: nothing more to do for now.
    fn step(self: &Arc<Self>, state: &mut State, now: Instant, answers: &mut Answers) -> bool {
        if let Auth::Blocked { until } = state.auth {
            if now < until {
                state.refuse(answers, |_| true, &CmsError::AuthBlocked { until });
                return false;
            }
            state.auth = Auth::UNTRIED;
            state.auth_epoch += 1;
        }
        if matches!(state.auth, Auth::Doubted { until } if now < until) {
            return false;
        }
        let room = match state.auth {
            Auth::Unproven { .. } | Auth::Doubted { .. } => 1,
            Auth::Proven | Auth::Blocked { .. } => self.in_flight,
        };
        let mut is_trial = false;
        if let Circuit::Open { until, cause, trial, .. } = &state.circuit {
            if *trial {
                // Its outcome decides for all who wait.
                return false;
            }
            if now < *until {
                let why = CmsError::CircuitOpen { until: *until, cause: cause.clone() };
                state.refuse(answers, |waiter| !waiter.urgent, &why);
            }
            is_trial = true;
        }
        if state.in_flight >= room {
            return false;
        }
        let Some((_, waiter)) = state.waiting.pop_first() else { return false };
        if is_trial && let Circuit::Open { trial, .. } = &mut state.circuit {
            *trial = true;
        }
        state.in_flight += 1;
        let permit = Permit {
            gate: Arc::clone(self),
            circuit_epoch: state.circuit_epoch,
            auth_epoch: state.auth_epoch,
            present: state.present.clone(),
            trial: is_trial,
            verdict: None,
        };
        answers.push((waiter.answer, Ok(permit)));
        true
    }

    /// Takes a permit back, with what it learnt.
    fn release(self: &Arc<Self>, permit: &Permit) {
        let mut answers = Answers::new();
        {
            let mut state = self.lock();
            state.in_flight = state.in_flight.saturating_sub(1);
            if permit.trial
                && permit.circuit_epoch == state.circuit_epoch
                && let Circuit::Open { trial, .. } = &mut state.circuit
            {
                *trial = false;
            }
            match &permit.verdict {
                // Given up by its owner: it says nothing about the bridge.
                None => {}
                Some(Ending::Answered) => {
                    state.close_circuit();
                    if permit.auth_epoch == state.auth_epoch && !matches!(state.auth, Auth::Blocked { .. }) {
                        state.auth = Auth::Proven;
                    }
                }
                Some(Ending::Unclear) => state.close_circuit(),
                Some(Ending::Unauthorized) => {
                    state.close_circuit();
                    if permit.auth_epoch == state.auth_epoch {
                        self.doubt(&mut state);
                    }
                }
                Some(Ending::Unreachable(cause)) => {
                    self.count_failure(&mut state, permit, Box::new(cause.clone()), &mut answers);
                }
            }
        }
        tell(answers);
        self.serve();
    }

    /// A 401 to the credentials that are used now.
    fn doubt(&self, state: &mut State) {
        let now = Instant::now();
        state.auth = match state.auth {
            Auth::Proven | Auth::Unproven { worked_before: true } => {
                // What is on the wire now was sent before: its 401 is the same one.
                state.auth_epoch += 1;
                Auth::Doubted { until: now + CONFIRM_AFTER }
            }
            Auth::Unproven { worked_before: false } | Auth::Doubted { .. } | Auth::Blocked { .. } => {
                Auth::Blocked { until: now + AUTH_BLOCK }
            }
        };
    }

    fn count_failure(&self, state: &mut State, permit: &Permit, cause: Box<CmsError>, answers: &mut Answers) {
        if permit.circuit_epoch != state.circuit_epoch {
            return;
        }
        match state.circuit {
            Circuit::Closed { failures } if failures + 1 < self.failures => {
                state.circuit = Circuit::Closed { failures: failures + 1 };
            }
            Circuit::Closed { .. } => {
                state.circuit_epoch += 1;
                let until = self.pause(state, 0);
                state.circuit = Circuit::Open { until, cause, trips: 0, trial: false };
            }
            Circuit::Open { trips, .. } if permit.trial => {
                let trips = trips.saturating_add(1);
                let until = self.pause(state, trips);
                state.circuit = Circuit::Open { until, cause: cause.clone(), trips, trial: false };
                // Those who waited for the trial have their answer; none of them starts another one at once.
                state.refuse(answers, |_| true, &CmsError::CircuitOpen { until, cause });
            }
            Circuit::Open { .. } => {}
        }
    }

    /// Full jitter: anything between nothing and the doubled limit, so that many controllers do not come together.
    fn pause(&self, state: &mut State, trips: u32) -> Instant {
        let limit = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(trips)).min(LONGEST_PAUSE);
        Instant::now() + limit.mul_f64(state.rng.random_range(0.0..=1.0))
    }
}

impl State {
    fn close_circuit(&mut self) {
        if matches!(self.circuit, Circuit::Open { .. }) {
            self.circuit_epoch += 1;
        }
        self.circuit = Circuit::Closed { failures: 0 };
    }

    fn refuse(&mut self, answers: &mut Answers, whom: impl Fn(&Waiter) -> bool, why: &CmsError) {
        let gone = self.waiting.extract_if(.., |_, waiter| whom(waiter));
        answers.extend(gone.map(|(_, waiter)| (waiter.answer, Err(why.clone()))));
    }
}

/// Leaves the queue when the waiting future is dropped or done.
struct Place<'a> {
    gate: &'a Arc<Gate>,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.gate.lock().waiting.remove(&self.ticket);
        drop(left);
    }
}

/// The right to have one request on the wire. Dropped without a verdict it counts as given up.
pub struct Permit {
    gate: Arc<Gate>,
    circuit_epoch: u64,
    auth_epoch: u64,
    present: CancellationToken,
    trial: bool,
    verdict: Option<Ending>,
}

impl Permit {
    /// Waits until the request is to be given up ([`Gate::abandon`]).
    pub async fn abandoned(&self) {
        self.present.cancelled().await;
    }

    /// Hands the permit back with what was learnt.
    pub fn finish(mut self, verdict: Ending) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let gate = Arc::clone(&self.gate);
        gate.release(self);
    }
}

#[cfg(test)]
mod tests;
