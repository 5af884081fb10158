//! Wiring: the watches, the two reconcile functions, what they share.

mod backoff;
pub mod bookings;
pub mod bridge;
pub mod context;
mod join_secret;
pub mod kube_calls;
pub mod meeting;
mod plan_command;
mod run;
mod streams;
pub mod watchdog;

pub use plan_command::plan_bridge;
pub use run::{Controller, RunError};
