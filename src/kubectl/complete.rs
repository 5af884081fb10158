//! Shell completions and man pages, made from the command line itself.

use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use kube::ResourceExt;

use super::args::{Access, Cli, CompletionArgs, ManArgs};
use super::print;
use super::reach::{Kind, Reach, Trouble};
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};

/// The completion script of a shell.
pub fn completion(args: &CompletionArgs) -> Result<(), Trouble> {
    let mut script = Vec::new();
    // kubectl calls the plugin by the name of its file; so does the shell.
    clap_complete::generate(args.shell, &mut Cli::command(), "kubectl-meetings", &mut script);
    print::out(&String::from_utf8_lossy(&script))
}

/// The man page, or one for each command in a directory.
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

/// What kubectl's own completion asks for, under the name kubectl_complete-meetings: the words so far, the last one begun;
/// a candidate a line, and `:4`, which is: no names of files.
pub async fn candidates(words: &[String]) -> Result<(), String> {
    let (begun, typed) = words.split_last().map_or(("", &[] as &[String]), |(begun, typed)| (begun.as_str(), typed));
    let mut all = known_words(typed, begun);
    if all.is_empty() && !begun.starts_with('-') {
        // Whoever presses a key waits for it, and is told nothing else.
        let names = tokio::time::timeout(Duration::from_secs(2), names(typed)).await;
        all = names.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default();
    }
    let lines: String = all.iter().filter(|word| word.starts_with(begun)).map(|word| format!("{word}\n")).collect();
    print::out(&format!("{lines}:4\n")).map_err(|trouble| trouble.to_string())
}

/// The command that was typed, if one was.
fn typed_command(typed: &[String]) -> Option<clap::Command> {
    typed.iter().find_map(|word| Cli::command().find_subcommand(word).cloned())
}

/// Commands before there is one, after it its flags.
fn known_words(typed: &[String], begun: &str) -> Vec<String> {
    let Some(command) = typed_command(typed) else {
        return Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    };
    if !begun.starts_with('-') {
        return Vec::new();
    }
    let cli = Cli::command();
    let flags = cli.get_arguments().chain(command.get_arguments()).filter_map(clap::Arg::get_long);
    flags.map(|flag| format!("--{flag}")).collect()
}

/// The names of the objects that the command takes.
async fn names(typed: &[String]) -> Result<Vec<String>, Trouble> {
    let Some(command) = typed_command(typed) else { return Ok(Vec::new()) };
    let words = std::iter::once("kubectl-meetings").chain(typed.iter().map(String::as_str));
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words);
    let access = matches.and_then(|matches| Access::from_arg_matches(&matches));
    let reach = Reach::new(&access.map_err(|error| Trouble::new("the words", error.to_string(), "go on"))?).await?;
    let with = |kind: &'static str, names: Vec<String>| names.into_iter().map(move |name| format!("{kind}/{name}"));
    match command.get_name() {
        "status" | "calendar" | "failback" => names_of::<MeetingBridge>(&reach).await,
        "join" | "extend" | "end" => names_of::<ScheduledMeeting>(&reach).await,
        "force-delete" => {
            let (bridges, meetings) =
                (names_of::<MeetingBridge>(&reach).await?, names_of::<ScheduledMeeting>(&reach).await?);
            Ok(with("mb", bridges).chain(with("mtg", meetings)).collect())
        }
        "refresh" => {
            let (bridges, meetings) =
                (names_of::<MeetingBridge>(&reach).await?, names_of::<ScheduledMeeting>(&reach).await?);
            // Who may read the other kinds only has their names all the same.
            let series = names_of::<MeetingSeries>(&reach).await.unwrap_or_default();
            Ok(with("mb", bridges).chain(with("mtg", meetings)).chain(with("mts", series)).collect())
        }
        _ => Ok(Vec::new()),
    }
}

async fn names_of<K: Kind + Clone + std::fmt::Debug>(reach: &Reach) -> Result<Vec<String>, Trouble> {
    Ok(reach.list::<K>(Some(&reach.namespace)).await?.iter().map(ResourceExt::name_any).collect())
}

fn broken(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(path.display().to_string(), error.to_string(), "choose a directory that you may write to")
}

#[cfg(test)]
mod tests;
