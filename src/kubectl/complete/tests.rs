use std::ffi::OsStr;

use clap::{CommandFactory, Parser};

use super::super::args::{Cli, Command, Output};
use super::super::is_plugin;
use super::{known_words, man};
use crate::kubectl::args::ManArgs;

#[test]
fn the_command_line_is_sound_and_spelled_as_kubectls() {
    Cli::command().debug_assert();
    let words = "kubectl-meetings extend review 1h30m -n team --context c -o json --wait --timeout 2m";
    let cli = Cli::parse_from(words.split(' '));
    assert_eq!((cli.access.namespace.as_deref(), cli.access.output), (Some("team"), Some(Output::Json)));
    assert!(
        matches!(cli.command, Command::Extend(args) if args.by.as_secs() == 5400 && args.wait.timeout.as_secs() == 120)
    );
    for wrong in [
        "extend review 15",
        "extend review -- -15m",
        "extend review 0s",
        "status core -A",
        "calendar --days 0",
        "calendar --week --days 3",
    ] {
        let words = format!("kubectl-meetings {wrong}");
        assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{wrong}");
    }
}

#[test]
fn the_plugin_is_known_by_its_name() {
    let rows =
        [("kubectl-meetings", true), ("/usr/bin/kubectl-meetings", true), ("meeting-controller", false), ("", false)];
    for (name, is) in rows {
        assert_eq!(is_plugin(OsStr::new(name)), is, "{name}");
    }
}

/// One page for each command, and every command completes.
#[test]
fn completions_and_man_pages_know_every_command() {
    let dir = std::env::temp_dir().join(format!("kubectl-meetings-man-{}", std::process::id()));
    assert!(man(&ManArgs { dir: Some(dir.clone()) }).is_ok());
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "kubectl-meetings", &mut script);
    let script = String::from_utf8(script).unwrap();
    let commands: Vec<String> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands {
        assert!(script.contains(&format!("meetings,{command})")), "{command}\n{script}");
        let page = std::fs::read_to_string(dir.join(format!("kubectl-meetings-{command}.1"))).expect(&command);
        assert!(page.contains("NAME"), "{page}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_word_that_is_begun_is_known() {
    let words = |typed: &str, begun: &str| {
        let typed: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
        known_words(&typed, begun)
    };
    assert!(words("", "").iter().any(|word| word == "calendar"));
    assert!(words("-n team", "ca").iter().any(|word| word == "calendar"));
    let flags = words("extend review", "--");
    assert!(["--wait", "--namespace"].iter().all(|flag| flags.iter().any(|word| word == flag)), "{flags:?}");
    assert!(!flags.iter().any(|flag| flag == "--show") && words("extend", "").is_empty());
}
