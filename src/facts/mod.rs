//! What was seen on a bridge. PURE.

pub mod slots;
