//! Decide: the order of the user, what was seen, and the time in; the next step out. PURE: no client, no clock, no
//! randomness in here; lints see to that.
//!
//! A pass over an object is a [`Subject`]: a value that is asked for the next thing to do, and told what came of it. The
//! one loop that asks and tells is `drive.rs`; the tests of the plans run the same loop against a model of a bridge.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod booking;
pub mod bridge;
pub mod calendar;
pub mod contest;
pub mod election;
pub mod failover;
#[cfg(test)]
mod faults;
pub mod meeting;
pub mod order;
pub mod ownership;
pub mod participants;
pub mod rounds;
pub mod series;
pub mod settings;
pub mod verdict;
pub mod version;
pub mod warning;
pub mod window;

use jiff::Timestamp;

use verdict::Verdict;

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<L, I, S, E> {
    /// Look first.
    Look(L),
    /// Store the intent in the object's status, before the write that it announces.
    Record(I),
    /// Then write.
    Do(S),
    /// Nothing more in this pass, and why.
    Rest(E),
}

/// A look or a write that did not succeed.
#[derive(Clone, Copy, Debug)]
pub enum Attempt<'a, L, S> {
    Look(&'a L),
    Do(&'a S),
}

/// Whether a pass goes on after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    GoOn,
    /// The call bridge was lost: what is known is taken anew, and the work goes on with another one.
    StartAnew,
    Stop,
}

/// When the status must be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Before the next write: a crash must not lose it.
    Now,
    /// At the end of the pass.
    Later,
}

/// A pass over one object, as a value.
pub trait Subject {
    /// What was seen.
    type Facts;
    /// What is known at the beginning without asking the bridge.
    type Survey;
    /// What changes by itself while the pass lasts: asked before every decision.
    type Around;
    type Look;
    /// What a look found.
    type Found;
    type Intent;
    type Step;
    /// What a step brought about.
    type Effect;
    /// Why there is nothing more to do.
    type End;

    /// How often the plan is asked in one pass at most: a bridge that does not do what it says must not keep us busy for
    /// ever.
    fn turn_limit(&self) -> usize;
    /// The pass begins, or begins anew after a call bridge was lost.
    fn begin(&mut self, facts: &mut Self::Facts, survey: Self::Survey, now: Timestamp);
    /// Works in what was seen since, and decides.
    fn next(
        &mut self,
        facts: &mut Self::Facts,
        around: &Self::Around,
        now: Timestamp,
    ) -> Next<Self::Look, Self::Intent, Self::Step, Self::End>;
    /// A look succeeded.
    fn absorb(&mut self, facts: &mut Self::Facts, look: &Self::Look, found: Self::Found);
    /// The intent is about to be stored.
    fn intend(&mut self, intent: &Self::Intent);
    /// A step was carried out; `at` is when.
    fn applied(&mut self, facts: &mut Self::Facts, step: &Self::Step, effect: Self::Effect, at: Timestamp) -> Store;
    /// A look or a step failed; `at` is when that was known, which a time-out is long after it was begun.
    fn failed(
        &mut self,
        facts: &mut Self::Facts,
        attempt: Attempt<'_, Self::Look, Self::Step>,
        verdict: Verdict,
        at: Timestamp,
    ) -> Flow;
    /// There is nothing more to do in this pass.
    fn rest(&mut self, facts: &mut Self::Facts, around: &Self::Around, end: Self::End);
    /// The limit of turns was reached.
    fn exhausted(&mut self);
}
