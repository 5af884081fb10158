//! What was seen on a bridge, as plain values. PURE: nothing in here asks a bridge, decides, or reads a clock.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod bridge;
pub mod calls;
pub mod meeting;
mod shown;
pub mod slots;
mod stuck;

/// A fact about the bridge that may not have been looked up yet.
#[derive(Clone, Debug, Default)]
pub enum Seen<T> {
    /// Not looked up, or older than our last write.
    #[default]
    Unknown,
    /// As looked up.
    Known(T),
}

impl<T> Seen<T> {
    /// The fact, if it was looked up.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Unknown => None,
            Self::Known(value) => Some(value),
        }
    }
}
