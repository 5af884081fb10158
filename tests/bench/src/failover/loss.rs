//! The ways to lose a call bridge.

use std::fmt;

use clap::ValueEnum;
use cms_simulator::{Fault, FaultKind, Handle};

/// A way to lose a call bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Loss {
    /// Its process is gone and so are its calls.
    Stopped,
    /// It is out of our reach; its calls go on.
    Cut,
    /// It accepts connections and says nothing; its calls go on.
    Blackholed,
    /// Its certificate is a stranger's; its calls go on.
    Tls,
    /// It rejects the credentials.
    Unauthorized,
    /// It answers every request with 503.
    Unavailable,
}

impl Loss {
    pub const ALL: [Self; 6] =
        [Self::Stopped, Self::Cut, Self::Blackholed, Self::Tls, Self::Unauthorized, Self::Unavailable];

    /// Takes the primary away.
    pub fn strike(self, sim: &Handle) {
        match self {
            Self::Stopped => sim.stop_bridge(0),
            Self::Cut => sim.cut_bridge(0),
            Self::Blackholed => sim.blackhole_bridge(0),
            Self::Tls => sim.break_tls(0),
            Self::Unauthorized => {
                sim.add_fault(Fault::new(FaultKind::Unauthorized).bridge(0));
            }
            Self::Unavailable => {
                sim.add_fault(Fault::new(FaultKind::Unavailable).bridge(0));
            }
        }
    }

    /// Do its calls go on while it is lost?
    pub fn leaves_calls(self) -> bool {
        self != Self::Stopped
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Cut => "cut",
            Self::Blackholed => "blackholed",
            Self::Tls => "tls",
            Self::Unauthorized => "401",
            Self::Unavailable => "503",
        })
    }
}
