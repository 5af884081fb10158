//! The subcommands that work offline: no cluster, no bridge, no settings; `validate` asks a cluster if it is told to.

pub mod compat;
pub mod crds;
pub mod occurrences;
mod reference;
mod schema;
pub mod validate;
