//! Look: what the bridge shows, read only. I/O, but no decisions: those are in `plan/`.

pub mod ask;
pub mod endpoint;
pub mod link;
pub mod looks;
pub mod sweep;
