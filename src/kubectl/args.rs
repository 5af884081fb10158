//! The command line of the plugin. What kubectl has as well is spelled as kubectl spells it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

/// Look at bridges and meetings, and change what runs, with your own rights.
#[derive(Debug, Parser)]
#[command(name = "kubectl-meetings", bin_name = "kubectl meetings", version, about)]
pub struct Cli {
    #[command(flatten)]
    pub access: Access,
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, as whom, and how the answer looks.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Access {
    /// Namespace; default: that of the context.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; default: the current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig; default: that of the context.
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig; default: that of the context.
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Path of the kubeconfig; default: $KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Act as this user (impersonation).
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Act as a member of this group; may be given more than once.
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// For machines instead of people.
    #[arg(short, long, global = true, value_enum)]
    pub output: Option<Output>,
    /// Colours; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
}

/// A format for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Json,
    Yaml,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a bridge: tickets with what to do, the system, the cluster, the bookings of the next seven days.
    Status(StatusArgs),
    /// Draw a week of bookings, slot by slot.
    Calendar(CalendarArgs),
    /// Show bridges, tickets and the week's slots on a web page of this machine, as they change.
    Board(BoardArgs),
    /// Show how to join a meeting: number, URI, link, passcode.
    Join(JoinArgs),
    /// Let a meeting end later. One edit of its spec.
    Extend(ExtendArgs),
    /// End a meeting now: its door is shut and its call ended. One edit of its spec.
    End(EndArgs),
    /// Ask for the return to the first good call bridge of a bridge.
    Failback(FailbackArgs),
    /// Ask for a full look at a bridge or a meeting now.
    Refresh(RefreshArgs),
    /// Let a bridge or a meeting go whose deletion waits for the bridge. What is left there, open doors too, stays.
    ForceDelete(ForceDeleteArgs),
    /// Print the completion script of a shell.
    Completion(CompletionArgs),
    /// Print the man page, or write one for each command.
    Man(ManArgs),
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the MeetingBridge; default: every one of the namespace.
    #[arg(conflicts_with = "all_namespaces")]
    pub name: Option<String>,
    /// The bridges of every namespace.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `calendar`.
#[derive(Debug, Args)]
pub struct CalendarArgs {
    /// Name of the MeetingBridge; default: every one of the namespace.
    #[arg(conflicts_with = "all_namespaces")]
    pub name: Option<String>,
    /// The bridges of every namespace.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// First day, such as 2026-11-23; default: Monday of this week.
    #[arg(long, value_name = "DATE")]
    pub from: Option<Date>,
    /// This week, from Monday on: what is shown if nothing is said.
    #[arg(long, conflicts_with_all = ["from", "days"])]
    pub week: bool,
    /// How many days.
    #[arg(long, default_value = "7", value_parser = clap::value_parser!(u8).range(1..=31))]
    pub days: u8,
    /// Width in characters; default: that of the terminal ($COLUMNS), or 80.
    #[arg(long, env = "COLUMNS", hide_env = true)]
    pub width: Option<usize>,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `board`.
#[derive(Debug, Args)]
pub struct BoardArgs {
    /// The bridges of every namespace.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Port of the page, on the loopback address; default: any that is free.
    #[arg(long, default_value = "0", hide_default_value = true)]
    pub port: u16,
    /// Open the page in the browser. Its address is then on a command line, which other users of this machine may see.
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Name of the ScheduledMeeting.
    pub name: String,
    /// Show the passcode and the whole link. Without it nobody who looks over your shoulder can get in.
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `extend`.
#[derive(Debug, Args)]
pub struct ExtendArgs {
    /// Name of the ScheduledMeeting.
    pub name: String,
    /// By how much, such as 15m.
    #[arg(value_parser = length)]
    pub by: Duration,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `end`.
#[derive(Debug, Args)]
pub struct EndArgs {
    /// Name of the ScheduledMeeting.
    pub name: String,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub zone: ZoneArgs,
}

/// Flags of `failback`.
#[derive(Debug, Args)]
pub struct FailbackArgs {
    /// Name of the MeetingBridge.
    pub name: String,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Flags of `refresh`.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// Name of a MeetingBridge, ScheduledMeeting or MeetingSeries; if several have it: mb/NAME, mtg/NAME or mts/NAME.
    pub name: String,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Flags of `force-delete`.
#[derive(Debug, Args)]
pub struct ForceDeleteArgs {
    /// Name of a MeetingBridge or a ScheduledMeeting; if both have it: mb/NAME or mtg/NAME.
    pub name: String,
}

/// Flags of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// In which time zone.
#[derive(Debug, Args)]
pub struct ZoneArgs {
    /// Time zone, such as Europe/Berlin or UTC; default: that of this machine ($TZ).
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// Flags of what changes something.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait until the controller has done it.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "1m", value_parser = length)]
    pub timeout: Duration,
}

/// A length of time as the API has it: 15m, 1h30m.
pub fn length(text: &str) -> Result<Duration, String> {
    let span: kube::core::Duration = text.parse().map_err(|error| format!("{error}; write it like 15m or 1h30m"))?;
    let length = Duration::from(span);
    if span.is_negative() || length.is_zero() {
        return Err("must be more than nothing; write it like 15m or 1h30m".to_owned());
    }
    Ok(length)
}
