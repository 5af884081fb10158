//! Wiring: the watches, the two reconcile functions, what they share.

pub mod bridge;
pub mod context;
pub mod kube_calls;
pub mod ledger;
pub mod meeting;
mod offline;
pub mod pulse;
mod retry;
mod run;
mod streams;

pub use offline::plan_bridge;
pub use run::{Controller, RunError};
