//! The one loop, for both kinds and for the tests of the plans: ask for the next thing, look, record or act, and work
//! the outcome in. It has no opinion: what is next decides the plan, what a failure means the judge of the cluster.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::plan::verdict::Verdict;
use crate::plan::{Attempt, Flow, Next, Store, Subject};

/// What the loop reaches out with. The product's is a cluster of call bridges and the apiserver, the tests' is a model.
pub trait Reach<S: Subject> {
    /// Why a pass can end at any moment: the apiserver refused to store something.
    type Abort;

    fn now(&self) -> Timestamp;
    /// What is known without asking.
    fn survey(&mut self, subject: &S, now: Timestamp) -> S::Survey;
    /// What changes by itself.
    fn around(&mut self, subject: &S, now: Timestamp) -> S::Around;
    /// Lends out what was seen.
    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut S::Facts) -> T) -> T;
    /// Looks something up.
    fn look(
        &mut self,
        subject: &S,
        look: &S::Look,
        now: Timestamp,
    ) -> impl Future<Output = Result<S::Found, Verdict>> + Send;
    /// Carries out one step; tells when it was done.
    fn act(
        &mut self,
        subject: &S,
        step: &S::Step,
        now: Timestamp,
    ) -> impl Future<Output = Result<(S::Effect, Timestamp), Verdict>> + Send;
    /// Stores how far the subject has come.
    fn record(&mut self, subject: &S) -> impl Future<Output = Result<(), Self::Abort>> + Send;
}

/// After so long a pass stores how far it has come, and the next one goes on: a bridge that answers slowly must not hold
/// one until it is taken for stuck (`controller/watchdog.rs`).
const LONGEST: Duration = Duration::from_secs(120);

/// Asks the plan until there is nothing more to do in this pass.
///
/// # Errors
/// What [`Reach`] gives up with.
pub async fn drive<S, R>(subject: &mut S, reach: &mut R) -> Result<(), R::Abort>
where
    S: Subject,
    R: Reach<S>,
{
    begin(subject, reach);
    let begun = Instant::now();
    for _ in 0..subject.turn_limit() {
        if begun.elapsed() > LONGEST {
            break;
        }
        // One reading of the clock for one decision and what follows from it.
        let now = reach.now();
        let around = reach.around(subject, now);
        let flow = match reach.with_facts(|facts| subject.next(facts, &around, now)) {
            Next::Rest(end) => {
                reach.with_facts(|facts| subject.rest(facts, &around, end));
                return Ok(());
            }
            Next::Record(intent) => {
                subject.intend(&intent);
                reach.record(subject).await?;
                Flow::GoOn
            }
            Next::Look(look) => match reach.look(subject, &look, now).await {
                Ok(found) => {
                    reach.with_facts(|facts| subject.absorb(facts, &look, found));
                    Flow::GoOn
                }
                Err(verdict) => {
                    let at = reach.now();
                    reach.with_facts(|facts| subject.failed(facts, Attempt::Look(&look), verdict, at))
                }
            },
            Next::Do(step) => match reach.act(subject, &step, now).await {
                Ok((effect, at)) => {
                    if reach.with_facts(|facts| subject.applied(facts, &step, effect, at)) == Store::Now {
                        reach.record(subject).await?;
                    }
                    Flow::GoOn
                }
                Err(verdict) => {
                    let at = reach.now();
                    reach.with_facts(|facts| subject.failed(facts, Attempt::Do(&step), verdict, at))
                }
            },
        };
        match flow {
            Flow::GoOn => {}
            Flow::StartAnew => begin(subject, reach),
            Flow::Stop => return Ok(()),
        }
    }
    subject.exhausted();
    Ok(())
}

fn begin<S: Subject, R: Reach<S>>(subject: &mut S, reach: &mut R) {
    let now = reach.now();
    let survey = reach.survey(subject, now);
    reach.with_facts(|facts| subject.begin(facts, survey, now));
}

#[cfg(test)]
mod tests;
