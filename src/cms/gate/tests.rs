//! The gate under a paused clock: order, limit, breaker, 401, and that no permit and no wake-up is ever lost.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::{Auth, Circuit, Ending};
use crate::cms::*;

/// What is to be seen of a gate from outside.
pub(in crate::cms) struct Snapshot {
    /// Requests on the wire.
    pub(in crate::cms) in_flight: usize,
    /// Requests that wait.
    pub(in crate::cms) queued: usize,
    /// Nothing is sent because the bridge cannot be reached.
    pub(in crate::cms) circuit_open: bool,
    /// Nothing is sent because the credentials are wrong.
    pub(in crate::cms) auth_blocked: bool,
}

impl Gate {
    /// The same with a circuit that opens after so many failures in a row.
    pub(in crate::cms) fn opens_after(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    pub(in crate::cms) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            in_flight: state.in_flight,
            queued: state.waiting.len(),
            circuit_open: matches!(state.circuit, Circuit::Open { .. }),
            auth_blocked: matches!(state.auth, Auth::Blocked { until } if Instant::now() < until),
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("trial", &self.trial).finish_non_exhaustive()
    }
}

fn gate(in_flight: usize) -> Arc<Gate> {
    Arc::new(Gate::new(in_flight, 7))
}

/// A gate whose credentials have worked once.
async fn proven(in_flight: usize) -> Arc<Gate> {
    let gate = gate(in_flight);
    gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Answered);
    gate
}

fn at(class: Class, second: i64) -> Priority {
    Priority::new(class, Timestamp::from_second(second).unwrap())
}

const DOWN: Ending = Ending::Unreachable(CmsError::ConnectTimeout);

async fn fail(gate: &Arc<Gate>, times: usize) {
    for _ in 0..times {
        gate.acquire(at(Class::Read, 0)).await.unwrap().finish(DOWN);
    }
}

/// Lets every task that can run, run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn serves_by_class_then_deadline_then_arrival() {
    let gate = proven(1).await;
    let first = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let wanted = [
        (Class::Read, 1, "sweep"),
        (Class::Leg, 5, "late leg"),
        (Class::Leg, 2, "leg"),
        (Class::Leg, 2, "second leg"),
        (Class::Call, 9, "call"),
        (Class::Close, 0, "close"),
        (Class::Door, 9, "late door"),
        (Class::Door, 3, "door"),
        (Class::Provision, 0, "slots"),
    ];
    let mut tasks = JoinSet::new();
    for (class, second, name) in wanted {
        let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
        tasks.spawn(async move {
            let permit = gate.acquire(at(class, second)).await.unwrap();
            order.lock().unwrap().push(name);
            sleep(Duration::from_millis(1)).await;
            permit.finish(Ending::Answered);
        });
        settle().await;
    }
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (1, 9));
    first.finish(Ending::Answered);
    tasks.join_all().await;
    assert_eq!(
        *order.lock().unwrap(),
        ["door", "late door", "call", "leg", "second leg", "late leg", "close", "slots", "sweep"]
    );
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_frees_its_place_and_a_dropped_permit_its_turn() {
    let gate = proven(1).await;
    let permit = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let waiting = {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.acquire(at(Class::Door, 0)).await.map(drop) })
    };
    settle().await;
    assert_eq!(gate.snapshot().queued, 1);
    waiting.abort();
    settle().await;
    assert_eq!(gate.snapshot().queued, 0);
    drop(permit);
    assert_eq!(gate.snapshot().in_flight, 0);
    gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Answered);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_granted_but_not_taken_goes_to_the_next() {
    let gate = proven(1).await;
    let permit = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let mut first = Box::pin(gate.acquire(at(Class::Door, 0)));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(gate.acquire(at(Class::Read, 0)));
    assert!(futures::poll!(&mut second).is_pending());
    // The first waiter is granted its turn, but its future is never polled again.
    permit.finish(Ending::Answered);
    drop(first);
    assert!(second.await.is_ok());
    assert_eq!(gate.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_never_worked_are_tried_by_one_request_alone() {
    let gate = gate(8);
    let trial = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let others: Vec<_> = (0..5)
        .map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.acquire(at(Class::Door, 0)).await.map(drop) })
        })
        .collect();
    settle().await;
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (1, 5));
    trial.finish(Ending::Unauthorized);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap_err().label(), "auth_blocked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_blocks_for_15_minutes_or_until_the_credentials_change() {
    let gate = proven(8).await;
    gate.bind_credentials("tms", "old");
    // They had worked: one more request confirms it.
    for _ in 0..2 {
        assert!(!gate.snapshot().auth_blocked);
        gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Unauthorized);
    }
    assert!(gate.snapshot().auth_blocked && !gate.trusts_credentials());
    let error = gate.acquire(at(Class::Door, 0).urgent()).await.unwrap_err();
    assert_eq!((error.label(), error.reason()), ("auth_blocked", "Unauthorized"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(900)));
    gate.bind_credentials("tms", "old");
    assert!(gate.acquire(at(Class::Read, 0)).await.is_err());
    gate.bind_credentials("tms", "new");
    let permit = gate.acquire(at(Class::Read, 0)).await.unwrap();
    permit.finish(Ending::Unauthorized);
    advance(Duration::from_secs(899)).await;
    assert!(gate.acquire(at(Class::Read, 0)).await.is_err());
    advance(Duration::from_secs(2)).await;
    assert!(gate.acquire(at(Class::Read, 0)).await.is_ok());
}

/// What was on the wire when the first 401 came says the same once more, and adds no try.
#[tokio::test(start_paused = true)]
async fn a_stray_401_is_confirmed_once_two_seconds_later_by_one_request_alone() {
    let gate = proven(8).await;
    let permits: Vec<_> = futures::future::join_all((0..4).map(|_| gate.acquire(at(Class::Read, 0)))).await;
    permits.into_iter().for_each(|permit| permit.unwrap().finish(Ending::Unauthorized));
    let waits = |class| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.acquire(at(class, 0)).await })
    };
    let (sweep, door) = (waits(Class::Read), waits(Class::Door));
    settle().await;
    assert!(gate.trusts_credentials() && gate.snapshot().in_flight == 0 && gate.snapshot().queued == 2);
    let begun = Instant::now();
    let confirming = door.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 2);
    settle().await;
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (1, 1), "one request alone");
    // A page of a proxy in between confirms nothing, and neither does a broken connection.
    confirming.finish(Ending::Unclear);
    let second = sweep.await.unwrap().unwrap();
    let other = waits(Class::Leg);
    settle().await;
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (1, 1), "still one alone");
    second.finish(Ending::Answered);
    drop(other.await.unwrap().unwrap());
    let all = futures::future::join_all((0..8).map(|_| gate.acquire(at(Class::Read, 0)))).await;
    assert!(all.iter().all(Result::is_ok), "proven again");
}

/// The status tells that they worked; a restart of the controller does not make one stray 401 a quarter of an hour.
#[tokio::test(start_paused = true)]
async fn credentials_that_worked_before_a_restart_are_confirmed_once_and_never_more() {
    let gate = gate(8);
    gate.worked_before();
    let first = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let waits = |class| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.acquire(at(class, 0)).await })
    };
    let (door, sweep) = (waits(Class::Door), waits(Class::Read));
    settle().await;
    assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (1, 2), "one request alone, as with new ones");
    first.finish(Ending::Unauthorized);
    assert!(gate.trusts_credentials() && gate.accepts_credentials().is_none());
    let begun = Instant::now();
    door.await.unwrap().unwrap().finish(Ending::Unauthorized);
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert!(matches!(sweep.await.unwrap(), Err(CmsError::AuthBlocked { .. })), "two tries, and no third one");
    assert_eq!(gate.accepts_credentials(), Some(false));
    // What was proven once counts no more after that.
    gate.worked_before();
    gate.reset_auth();
    gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Unauthorized);
    assert!(gate.snapshot().auth_blocked);
}

#[tokio::test(start_paused = true)]
async fn a_late_401_to_old_credentials_does_not_block_new_ones() {
    let gate = proven(8).await;
    let old = gate.acquire(at(Class::Read, 0)).await.unwrap();
    gate.reset_auth();
    old.finish(Ending::Unauthorized);
    assert!(gate.acquire(at(Class::Read, 0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_after_failures_in_a_row_only() {
    let gate = proven(8).await;
    fail(&gate, 2).await;
    gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Answered);
    fail(&gate, 2).await;
    assert!(!gate.snapshot().circuit_open);
    fail(&gate, 1).await;
    assert!(gate.snapshot().circuit_open);
    let error = gate.acquire(at(Class::Door, 0)).await.unwrap_err();
    assert_eq!((error.label(), error.reason()), ("circuit_open", "ConnectTimeout"));
    assert!(error.retry_after().unwrap() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn one_request_tries_and_the_others_wait_for_its_outcome() {
    let gate = proven(8).await;
    fail(&gate, 3).await;
    advance(Duration::from_secs(2)).await;
    let trial = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let waiting = {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.acquire(at(Class::Door, 0)).await.map(drop) })
    };
    settle().await;
    assert!(!waiting.is_finished());
    trial.finish(DOWN);
    assert_eq!(waiting.await.unwrap().unwrap_err().label(), "circuit_open");
    advance(Duration::from_secs(3)).await;
    gate.acquire(at(Class::Read, 0)).await.unwrap().finish(Ending::Answered);
    assert!(!gate.snapshot().circuit_open);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_tries_at_once() {
    let gate = proven(8).await;
    fail(&gate, 3).await;
    assert!(gate.acquire(at(Class::Door, 0)).await.is_err());
    let trial = gate.acquire(at(Class::Door, 0).urgent()).await.unwrap();
    trial.finish(Ending::Answered);
    assert!(gate.acquire(at(Class::Read, 0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_given_up_passes_the_turn_on() {
    let gate = proven(8).await;
    fail(&gate, 3).await;
    let trial = gate.acquire(at(Class::Door, 0).urgent()).await.unwrap();
    let next = {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { gate.acquire(at(Class::Door, 1).urgent()).await.map(drop) })
    };
    settle().await;
    drop(trial);
    assert!(next.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_succeeds_ends_the_pause() {
    let gate = proven(8).await;
    fail(&gate, 3).await;
    gate.note_reachable();
    assert!(gate.acquire(at(Class::Read, 0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_the_cap_and_depend_on_the_seed() {
    let pauses = |seed| async move {
        let gate = Arc::new(Gate::new(8, seed));
        let mut pauses = Vec::new();
        fail(&gate, 3).await;
        for _ in 0..12 {
            let error = gate.acquire(at(Class::Read, 0)).await.unwrap_err();
            pauses.push(error.retry_after().unwrap());
            gate.acquire(at(Class::Door, 0).urgent()).await.unwrap().finish(DOWN);
        }
        pauses
    };
    let one = pauses(1).await;
    for (trips, pause) in one.iter().enumerate() {
        let limit = Duration::from_secs(1 << trips.min(6)).min(Duration::from_secs(60));
        assert!(*pause <= limit, "{trips}: {pause:?}");
    }
    assert!(one.iter().any(|pause| *pause > Duration::from_secs(8)));
    assert_ne!(one, pauses(2).await);
    assert_eq!(one, pauses(1).await);
}

/// One request of a random run.
#[derive(Clone, Debug)]
struct Actor {
    class: Class,
    deadline: i64,
    urgent: bool,
    arrives: u64,
    takes: u64,
    patience: u64,
    verdict: Option<Ending>,
}

fn actor() -> impl Strategy<Value = Actor> {
    let classes = [Class::Door, Class::Call, Class::Leg, Class::Close, Class::Provision, Class::Read];
    let verdict = prop_oneof![
        6 => Just(Some(Ending::Answered)),
        3 => Just(Some(DOWN)),
        1 => Just(Some(Ending::Unauthorized)),
        2 => Just(None),
    ];
    (prop::sample::select(classes.to_vec()), 0i64..4, any::<bool>(), 0u64..40, 0u64..20, 1u64..400, verdict).prop_map(
        |(class, deadline, urgent, arrives, takes, patience, verdict)| Actor {
            class,
            deadline,
            urgent,
            arrives,
            takes,
            patience,
            verdict,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens, the limit holds, everybody gets an answer without anybody's help, and nothing is left over.
    #[test]
    fn no_turn_is_lost(actors in prop::collection::vec(actor(), 1..40), in_flight in 1usize..5, seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let gate = Arc::new(Gate::new(in_flight, seed));
            let mut tasks = JoinSet::new();
            for actor in actors {
                let gate = Arc::clone(&gate);
                tasks.spawn(async move {
                    sleep(Duration::from_millis(actor.arrives)).await;
                    let mut priority = at(actor.class, actor.deadline);
                    priority.urgent = actor.urgent;
                    let patience = Duration::from_millis(actor.patience);
                    if let Ok(Ok(permit)) = tokio::time::timeout(patience, gate.acquire(priority)).await {
                        assert!(gate.snapshot().in_flight <= in_flight);
                        sleep(Duration::from_millis(actor.takes)).await;
                        match actor.verdict {
                            Some(verdict) => permit.finish(verdict),
                            None => drop(permit),
                        }
                    }
                });
            }
            let begun = Instant::now();
            tasks.join_all().await;
            // Nobody waited out more than the sum of all: a lost wake-up would show as the longest patience.
            assert!(begun.elapsed() <= Duration::from_millis(40 + 400 + 20));
            assert_eq!((gate.snapshot().in_flight, gate.snapshot().queued), (0, 0));
        });
    }

    /// With one turn at a time and nobody failing, the order of service is exactly the order of the tickets, and nobody
    /// needs patience at all.
    #[test]
    fn service_is_sorted(actors in prop::collection::vec((0usize..6, 0i64..5), 1..40)) {
        let classes = [Class::Door, Class::Call, Class::Leg, Class::Close, Class::Provision, Class::Read];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let served = runtime.block_on(async {
            let gate = proven(1).await;
            let holder = gate.acquire(at(Class::Read, 0)).await.unwrap();
            let served = Arc::new(Mutex::new(Vec::new()));
            let mut tasks = JoinSet::new();
            for (arrival, (class, deadline)) in actors.iter().copied().enumerate() {
                let (gate, served) = (Arc::clone(&gate), Arc::clone(&served));
                tasks.spawn(async move {
                    let permit = gate.acquire(at(classes[class], deadline)).await.unwrap();
                    served.lock().unwrap().push((class, deadline, arrival));
                    permit.finish(Ending::Answered);
                });
            }
            while gate.snapshot().queued < actors.len() {
                tokio::task::yield_now().await;
            }
            holder.finish(Ending::Answered);
            tasks.join_all().await;
            served.lock().unwrap().clone()
        });
        let mut sorted = served.clone();
        sorted.sort_unstable();
        prop_assert_eq!(served.len(), actors.len());
        prop_assert_eq!(served, sorted);
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_a_bridge_tells_everybody_at_once_and_nobody_who_comes_later() {
    let gate = proven(1).await;
    let on_the_wire = gate.acquire(at(Class::Door, 0)).await.unwrap();
    let waits = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.acquire(at(Class::Door, 0)).await.map(drop) }
    });
    settle().await;
    gate.abandon();
    assert_eq!(waits.await.unwrap(), Err(CmsError::Abandoned));
    // It ends at once; the clock does not move while it is waited for.
    let before = Instant::now();
    on_the_wire.abandoned().await;
    assert_eq!(Instant::now(), before);
    drop(on_the_wire);
    let later = gate.acquire(at(Class::Read, 0)).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(60), later.abandoned()).await;
    assert!(told.is_err(), "a look whether it is back is not given up");
}
