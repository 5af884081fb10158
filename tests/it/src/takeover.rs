//! The crash sweep with two replicas (`sweep.rs`): at each request the one that leads dies, or stops in order, or stands
//! still and comes back when the other one leads, or its Lease is stolen; or a reply is lost, and who waited for it dies or
//! stands still with it. The same end, one call, one ring, and what came back has written nothing. `SWEEP=all cargo test -p it
//! takeover::` runs the full set.

use crate::freezer::Freezer;
use crate::kit::Arena;
use crate::leader::{SHORT, arena_with, until};
use crate::strike::{Counter, Moment};
use crate::sweep::{Blow, Outcome, Scenario, aim, each, fell, survive};

/// What becomes of the one that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is killed, and its lease runs out.
    Dies,
    /// It is asked to stop, and lets its lease go.
    Stops,
    /// It is frozen until the other one leads.
    Freezes,
    /// Somebody takes its lease and lets it run out; then either of the two leads.
    IsRobbed,
}

/// Waits until the blow falls. A reply that is lost on its way strikes who leads as well: it dies with it.
async fn falls(arena: &Arena, counter: &Counter, blow: Option<Blow>) {
    let deadly = match blow {
        Some(Blow::Reply(index)) => Some(Blow::Bridge(index, Moment::Lost)),
        Some(Blow::KubeReply(index)) => Some(Blow::Kube(index, Moment::Lost)),
        other => other,
    };
    fell(arena, counter, deadly).await;
}

async fn run(scenario: &Scenario, what: Option<(Fate, Blow)>) -> Outcome {
    let arena = arena_with(&format!("takeover-{}", scenario.name), (scenario.config)()).await;
    let (freezer, counter) = (Freezer::new(), Counter::new());
    let first = freezer.replica(&arena, "a", |client| counter.client(client)).await;
    until("a leads", || first.leads()).await;
    let second = arena.replica("b", SHORT).await;
    (scenario.prepare)(&arena).await;
    let blow = what.map(|(_, blow)| blow);
    aim(&arena, &counter, blow);
    let mut act = (scenario.act)(&arena);
    let struck = tokio::select! {
        () = &mut act => false,
        () = falls(&arena, &counter, blow) => true,
    };
    let fate = what.map(|(fate, _)| fate).filter(|_| struck);
    // Who is still there, and how many writes it had sent if it may not send any more.
    let taken_over = async {
        match fate {
            Some(Fate::Dies) => first.kill().await,
            Some(Fate::IsRobbed) => {
                arena.steal().await;
                until("a knows", || !first.leads()).await;
                return Some((first, None));
            }
            Some(Fate::Freezes) => {
                freezer.freeze();
                until("b leads", || second.leads()).await;
                let written = counter.writes();
                freezer.thaw();
                until("a knows", || !first.leads()).await;
                return Some((first, Some(written)));
            }
            Some(Fate::Stops) | None => first.stop().await,
        }
        None
    };
    let back = if struck {
        let taken_over = async {
            let back = taken_over.await;
            let leads_again = || back.as_ref().is_some_and(|(first, written)| written.is_none() && first.leads());
            until("somebody leads", || second.leads() || leads_again()).await;
            arena.sim.clear_faults();
            back
        };
        tokio::join!(taken_over, act).0
    } else {
        taken_over.await
    };
    arena.assert_rules(1..=8);
    let counts = (arena.sim.journal().len(), counter.count());
    second.stop().await;
    if let Some((first, written)) = back {
        assert!(written.is_none_or(|written| counter.writes() == written), "who came back wrote something");
        first.stop().await;
    }
    (counts.0, counts.1, struck)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_over_at_whichever_request_the_end_is_the_same() {
    const EITHER: [Moment; 2] = [Moment::Before, Moment::After];
    let kinds = |bridge: usize, kube: usize| {
        let during = &[Moment::During][..];
        let lost: Vec<Blow> = (0..bridge).map(Blow::Reply).chain((0..kube).map(Blow::KubeReply)).collect();
        let lost = [Fate::Dies, Fate::Freezes].map(|fate| lost.iter().map(|blow| (fate, *blow)).collect());
        [(Fate::Dies, &EITHER[..]), (Fate::Freezes, &EITHER[..]), (Fate::Stops, during), (Fate::IsRobbed, during)]
            .into_iter()
            .map(|(fate, moments)| {
                let both = [each(bridge, moments, Blow::Bridge), each(kube, moments, Blow::Kube)];
                both.concat().into_iter().map(|blow| (fate, blow)).collect()
            })
            .chain(lost)
            .collect()
    };
    survive(run, kinds, 1).await;
}
