//! The subcommands that work offline: no cluster, no bridge, no settings.

pub mod compat;
pub mod crds;
mod reference;
mod schema;
pub mod validate;
