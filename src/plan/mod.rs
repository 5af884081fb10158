//! Decide: spec, observation and time in, the next step out. PURE: no client, no clock, no randomness in here.

pub mod bridge;
pub mod calendar;
pub mod failover;
pub mod meeting;
pub mod ownership;
pub mod participants;
pub mod version;
pub mod window;
