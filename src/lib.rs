//! A Kubernetes controller that schedules meetings on Cisco Meeting Server.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod api;
pub mod plan;
