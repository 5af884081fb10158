//! Shell completions and man pages, made from the command line itself.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionArgs, ManArgs};
use super::print;
use super::reach::Trouble;

/// The completion script of a shell.
///
/// # Errors
/// If it cannot be written.
pub fn completion(args: &CompletionArgs) -> Result<(), Trouble> {
    let mut script = Vec::new();
    // kubectl calls the plugin by the name of its file; so does the shell.
    clap_complete::generate(args.shell, &mut Cli::command(), "kubectl-meetings", &mut script);
    print::out(&String::from_utf8_lossy(&script))
}

/// The man page, or one for each command in a directory.
///
/// # Errors
/// If they cannot be written.
pub fn man(args: &ManArgs) -> Result<(), Trouble> {
    let command = Cli::command().bin_name("kubectl-meetings").disable_help_subcommand(true);
    if let Some(dir) = &args.dir {
        let broken = |error: std::io::Error| broken(dir, &error);
        std::fs::create_dir_all(dir).map_err(broken)?;
        return clap_mangen::generate_to(command, dir).map_err(broken);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| broken(Path::new("-"), &error))?;
    print::out(&String::from_utf8_lossy(&page))
}

fn broken(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(path.display().to_string(), error.to_string(), "choose a directory that you may write to")
}

#[cfg(test)]
mod tests;
