//! A Kubernetes controller that schedules meetings on Cisco Meeting Server.
//!
//! ```text
//! api/      what the user says                 (MeetingBridge, ScheduledMeeting)
//!   |
//! cluster/  look: what the bridge shows        (I/O, read only; through cms/)
//!   |
//! plan/     decide: the next step              (pure)
//!   |
//! act.rs    act: one write                     (through cms/)
//!   |
//! status/   report: conditions and facts       (pure; written by controller/ only if different)
//! ```
//! `controller/` wires these together for each object; `cms/` is how to talk to a call bridge.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod act;
pub mod admin;
pub mod api;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod cms;
pub mod config;
pub mod controller;
pub mod facts;
pub mod metrics;
pub mod plan;
pub mod status;
