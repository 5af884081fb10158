//! The subcommands that work offline: no cluster, no bridge, no settings; `validate` asks a cluster if it is told to.

use std::io::{self, ErrorKind, Write};

pub mod compat;
pub mod crds;
pub mod occurrences;
mod reference;
mod schema;
pub mod validate;

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
