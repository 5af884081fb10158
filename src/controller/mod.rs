//! Wiring: the watches, the reconcile functions, what they share.

mod backoff;
pub(crate) mod bookings;
mod bridge;
mod catch_up;
mod clock_steps;
mod context;
mod events;
mod join_secret;
mod kube_calls;
mod lead;
mod lifecycle;
mod meeting;
mod memory;
mod merge;
mod passes;
mod plan_command;
mod run;
mod secrets_cache;
mod series;
mod streams;
mod wakes;
mod watchdog;
mod watches;

pub use lead::{Candidacy, Timing};
pub use plan_command::plan_bridge;
pub use run::Controller;
pub use watchdog::Watchdog;
