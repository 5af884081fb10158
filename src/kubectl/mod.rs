//! `kubectl meetings`: the binary as a plugin of kubectl, with the rights of whoever calls it.
//!
//! `show/` and `edit.rs` are pure: what is shown and what is changed, from objects. `reach.rs` is the way to the
//! apiserver; `commands.rs` (looking), `change.rs` and `board/` (the web page) put the two together.

pub mod args;
mod board;
mod change;
mod commands;
mod complete;
mod edit;
mod print;
mod reach;
mod show;
mod wait;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

pub use args::{Access, Cli, Output};
pub use complete::candidates;
pub use reach::{Reach, Trouble};

/// Is the program called by this name the plugin? kubectl looks for `kubectl-meetings` on the PATH.
pub fn is_plugin(program: &OsStr) -> bool {
    Path::new(program).file_stem().is_some_and(|name| name == "kubectl-meetings")
}

/// Is it called by kubectl's completion? That looks for `kubectl_complete-meetings` on the PATH.
pub fn is_completer(program: &OsStr) -> bool {
    Path::new(program).file_stem().is_some_and(|name| name == "kubectl_complete-meetings")
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> ExitCode {
    match commands::run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            print::note(&format!("error: {trouble}"));
            ExitCode::FAILURE
        }
    }
}
