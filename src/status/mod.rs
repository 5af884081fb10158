//! Report: progress in, the new status out. The only place where conditions are made. PURE.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod bounds;
pub mod bridge;
pub mod check;
pub mod meeting;
pub mod series;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Condition;
use crate::api::conditions::types;

/// Longest message; longer ones are cut, so that no reply of a bridge can bloat a status.
const MESSAGE_LIMIT: usize = 1024;

/// What goes wrong with Ready, and who can mend it (kstatus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The world is as it should be now.
    Ready { reason: &'static str, message: String },
    /// Under way, or failing but tried again.
    Reconciling { reason: &'static str, message: String, retrying: bool },
    /// Only somebody else can mend it: a user, or an event outside.
    Stalled { reason: &'static str, message: String },
}

impl Readiness {
    pub fn ready(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Ready { reason, message: message.into() }
    }

    pub fn progressing(reason: &'static str, message: impl Into<String>) -> Self {
        Self::reconciling(reason, message, false)
    }

    pub fn retrying(reason: &'static str, message: impl Into<String>) -> Self {
        Self::reconciling(reason, message, true)
    }

    pub fn reconciling(reason: &'static str, message: impl Into<String>, retrying: bool) -> Self {
        Self::Reconciling { reason, message: message.into(), retrying }
    }

    pub fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Stalled { reason, message: message.into() }
    }

    /// Something fails, and trying again does not help, or may.
    pub fn failing(reason: &'static str, message: impl Into<String>, is_permanent: bool) -> Self {
        if is_permanent { Self::stalled(reason, message) } else { Self::retrying(reason, message) }
    }

    /// What is being done, or what keeps it from being done.
    pub fn under_way(reason: &'static str, trouble: Option<&str>, otherwise: &str) -> Self {
        Self::reconciling(reason, trouble.unwrap_or(otherwise), trouble.is_some())
    }
}

/// Collects the conditions of one status; transition times survive where the status of a condition does.
pub struct Conditions<'a> {
    old: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    new: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Starts from the conditions of the last status.
    pub fn new(old: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { old, generation, now, new: Vec::new() }
    }

    /// Sets one condition.
    pub fn set(&mut self, kind: &str, value: Option<bool>, reason: &str, message: impl Into<String>) {
        let status = match value {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let kept = self.old.iter().find(|old| old.type_ == kind && old.status == status);
        let mut message: String = message.into();
        if message.len() > MESSAGE_LIMIT {
            message = message.chars().take(MESSAGE_LIMIT / 4).chain("...".chars()).collect();
        }
        self.new.retain(|condition| condition.type_ != kind);
        self.new.push(Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: self.generation,
            last_transition_time: kept.map_or(Time(self.now), |old| old.last_transition_time.clone()),
        });
    }

    /// Sets a condition from a result: True with the first pair, or False with reason and message of the error.
    pub fn judge(&mut self, kind: &str, good: (&str, &str), bad: Option<(&str, String)>) {
        match bad {
            None => self.set(kind, Some(true), good.0, good.1),
            Some((reason, message)) => self.set(kind, Some(false), reason, message),
        }
    }

    /// Sets Ready, Reconciling and Stalled as kstatus wants them, and hands everything over, Ready first.
    pub fn finish(mut self, readiness: &Readiness) -> Vec<Condition> {
        match readiness {
            Readiness::Ready { reason, message } => self.set(types::READY, Some(true), reason, message.as_str()),
            Readiness::Reconciling { reason, message, retrying } => {
                self.set(types::READY, Some(false), reason, message.as_str());
                let why = if *retrying { "Retrying" } else { "Progressing" };
                self.set(types::RECONCILING, Some(true), why, message.as_str());
            }
            Readiness::Stalled { reason, message } => {
                self.set(types::READY, Some(false), reason, message.as_str());
                self.set(types::STALLED, Some(true), reason, message.as_str());
            }
        }
        let rank = |condition: &Condition| match condition.type_.as_str() {
            types::READY => 0,
            types::RECONCILING | types::STALLED => 1,
            _ => 2,
        };
        self.new.sort_by_key(rank);
        self.new
    }
}

#[cfg(test)]
mod tests;
