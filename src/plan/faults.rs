//! What can happen to a write, for the properties of both plans.

use proptest::prelude::*;

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It is done, but the process dies before anything is noted.
    Crash,
    /// The process dies before it is sent.
    CrashBefore,
    /// It is done, but the reply is lost.
    LostReply,
}

impl Fault {
    /// The process dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::Crash | Self::CrashBefore)
    }
}

/// So many writes that succeed for each fault of every kind.
pub fn any_fault(successes: u32) -> impl Strategy<Value = Fault> {
    prop_oneof![
        successes => Just(Fault::None),
        1 => Just(Fault::Crash),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::LostReply),
    ]
}
