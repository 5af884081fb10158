//! A Kubernetes controller that schedules meetings on Cisco Meeting Server.
//!
//! ```text
//! api/      what the user says                    (MeetingBridge, ScheduledMeeting)
//!   |
//! facts/    what was seen                         (pure)
//!   |
//! plan/     decide: the next thing to do          (pure; a pass in progress is a value)
//!   |
//! drive.rs  the loop: next -> look, record, act -> absorb
//!   |         looks and steps through cluster/ and act.rs, which talk to call bridges through cms/
//! status/   report: progress -> new status        (pure; written by controller/ only if different)
//! ```
//! `controller/` wires these together for each object; `kubectl/` is the plugin for users.
//! docs/architecture.md tells the whole story.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod act;
pub mod admin;
pub mod api;
pub mod cli;
pub mod clock;
mod cluster;
mod cms;
pub mod config;
pub mod controller;
mod drive;
mod facts;
mod fence;
pub mod kubectl;
pub mod metrics;
mod plan;
mod pulse;
mod status;
pub mod traces;
mod yaml;

/// For the tests of other crates, and nothing else.
#[doc(hidden)]
pub mod testing {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;

    use crate::cms::Egress;
    pub use crate::cms::fuzzing;
    use crate::config::settings::Settings;
    pub use crate::status::check::violations;

    /// The defaults, for bridges that are simulated on this host, and whose meetings come before them.
    pub fn settings() -> Settings {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let egress = Arc::new(Egress::default().allow([here.into()]));
        Settings { egress, restore_grace: Duration::ZERO, ..Settings::default() }
    }
}
