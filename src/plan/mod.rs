//! Decide: spec, observation and time in, the next step out. PURE: no client, no clock, no randomness in here.

pub mod bridge;
pub mod cluster;
pub mod failover;
pub mod meeting;
pub mod participants;
pub mod pool;
pub mod profiles;
pub mod removal;
pub mod slots;
pub mod version;
pub mod window;
