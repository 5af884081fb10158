//! Decide: spec, observation and time in, the next step out. PURE: no client, no clock, no randomness in here.

pub mod version;
