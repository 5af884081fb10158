//! What a request is for, and when: its place in the queue of the [gate](super::gate).

use jiff::Timestamp;

/// What a request is for. Lower ones go first.
///
/// A look that a write depends on has the class of the write. A closing that an opening in the same slot waits for is
/// a `Door` with the opening's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Opening a space, or changing one that is open.
    Door,
    /// Making a call.
    Call,
    /// Dialling a participant.
    Leg,
    /// Shutting a space, ending its call.
    Close,
    /// A text for people in a call: it delays nobody's door.
    Notice,
    /// Making slots and profiles.
    Provision,
    /// Sweeps and status reads.
    Read,
}

/// Where a request stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    pub class: Class,
    /// Among requests of one class the earlier deadline goes first.
    pub deadline: Timestamp,
    /// The deadline is due: an open circuit does not hold this request back.
    pub urgent: bool,
}

impl Priority {
    /// Not urgent.
    pub fn new(class: Class, deadline: Timestamp) -> Self {
        Self { class, deadline, urgent: false }
    }

    /// The same, let through an open circuit as its trial.
    #[must_use]
    pub fn urgent(self) -> Self {
        Self { urgent: true, ..self }
    }
}
