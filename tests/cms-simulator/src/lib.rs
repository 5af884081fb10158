//! A faithful, stateful simulator of a Cisco Meeting Server cluster.
//!
//! It speaks the REST API `/api/v1/` of N call bridges over HTTPS, as told in docs/`cms-protocol.md` (section
//! numbers in these docs are its sections), keeps the state that is shared by a cluster's database apart from the
//! state of each bridge, dials scripted endpoints, suffers faults on demand, and keeps a journal that a checker
//! judges. Every unknown of the real server is a [`Switches`] field.
//!
//! Where to find what: `wire` bytes, `schema` tables of objects and attributes, `state` the cluster behind one mutex
//! (database, bridges, calls, bulk syncs, logs), `routes` the nodes of the API, `http` and `server` one request and
//! one listener, `dial` and `timers` what happens later, `faults`, `journal`, [`check`], `control` the JSON API, `sim`
//! the face of the library.
//!
//! Not simulated: pushed CDRs (receivers can be registered, nothing is sent), the events socket (tokens are checked,
//! then 501), media, IVRs, recorders and streamers, LDAP, layouts, messages, diagnostics, invitations.
//!
//! ```no_run
//! # async fn example() -> Result<(), cms_simulator::StartError> {
//! use cms_simulator::{Config, Simulator};
//! let sim = Simulator::start(Config { bridges: 2, ..Config::default() }).await?;
//! println!("https://{}/api/v1/ trusts {}", sim.address(0), sim.ca_pem());
//! # Ok(()) }
//! ```

mod args;
mod auth;
pub mod check;
mod config;
mod control;
mod dial;
mod faults;
mod habits;
mod http;
mod ids;
mod journal;
mod people;
mod refusal;
mod routes;
mod schema;
mod server;
mod shared;
mod sim;
mod state;
mod switches;
mod timers;
mod tls;
mod views;
mod wire;

#[cfg(test)]
mod tests;

pub use args::Args;
pub use config::Config;
pub use dial::EndpointScript;
pub use faults::{Action, ActiveFault, Fault, FaultId, FaultKind};
pub use ids::Id;
pub use journal::{EntryKind, JournalEntry};
pub use people::{JoinError, Joined};
pub use refusal::Refusal;
pub use sim::{Handle, Simulator, StartError, Stats, TimedOut};
pub use state::bridge::{Direction, LegState};
pub use state::log::{CallSpan, Dial, DialOutcome};
pub use switches::*;
pub use views::{AccessMethodView, CallView, LegView, SpaceView};
