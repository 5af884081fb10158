//! The subcommands that work offline.
