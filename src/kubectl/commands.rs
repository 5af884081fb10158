//! What each command asks for, and what it answers.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::args::{CalendarArgs, Cli, Command, JoinArgs, StatusArgs, ZoneArgs};
use super::reach::{Reach, Trouble, label};
use super::show::bridge::Screen;
use super::show::calendar::{Calendar, Frame};
use super::show::join::Join;
use super::show::ticket;
use super::{board, change, complete, print};
use crate::api::names::join_secret_name;
use crate::api::{MeetingBridge, ScheduledMeeting};

/// Does what the command line says.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn run(cli: &Cli) -> Result<(), Trouble> {
    match &cli.command {
        Command::Status(args) => status(cli, args).await,
        Command::Calendar(args) => calendar(cli, args).await,
        Command::Board(args) => board::run(cli, args).await,
        Command::Join(args) => join(cli, args).await,
        Command::Extend(args) => change::extend(cli, args).await,
        Command::End(args) => change::end(cli, args).await,
        Command::Failback(args) => change::failback(cli, args).await,
        Command::Refresh(args) => change::refresh(cli, args).await,
        Command::ForceDelete(args) => change::force_delete(cli, args).await,
        Command::Completion(args) => complete::completion(args),
        Command::Man(args) => complete::man(args),
    }
}

/// The zone that is wanted.
///
/// # Errors
/// If it is not known.
pub fn zone(args: &ZoneArgs) -> Result<TimeZone, Trouble> {
    let Some(name) = &args.tz else { return Ok(TimeZone::system()) };
    let unknown = |error: jiff::Error| {
        Trouble::new(format!("--tz {name}"), error.to_string(), "name it like Europe/Berlin, or UTC")
    };
    TimeZone::get(name).map_err(unknown)
}

/// The bridges that are meant, and the meetings that the user may see.
async fn look(
    reach: &Reach,
    name: Option<&str>,
    everywhere: bool,
) -> Result<(Vec<MeetingBridge>, Vec<ScheduledMeeting>), Trouble> {
    let scope = (!everywhere).then_some(reach.namespace.as_str());
    let bridges = match name {
        Some(name) => vec![reach.get::<MeetingBridge>(&reach.namespace, name).await?.read],
        None => reach.list(scope).await?,
    };
    if bridges.is_empty() {
        let place = scope.map_or_else(String::new, |namespace| format!(" in {namespace} namespace"));
        print::note(&format!("No MeetingBridge found{place}."));
        return Ok((bridges, Vec::new()));
    }
    // A bridge may have meetings of every namespace; who may not see those sees their own.
    let meetings = match reach.list(None).await {
        Err(_) if !everywhere => {
            let namespace = &reach.namespace;
            let own = reach.list(Some(namespace)).await?;
            print::note(&format!("note: you see the meetings of namespace {namespace}; you may not list the others"));
            own
        }
        listed => listed?,
    };
    Ok((bridges, meetings))
}

async fn status(cli: &Cli, args: &StatusArgs) -> Result<(), Trouble> {
    let zone = zone(&args.zone)?;
    let reach = Reach::new(&cli.access).await?;
    let (bridges, meetings) = look(&reach, args.name.as_deref(), args.all_namespaces).await?;
    let now = Timestamp::now();
    let screens: Vec<Screen> = bridges.iter().map(|bridge| Screen::of(bridge, &meetings, now)).collect();
    print::answer(&cli.access, &screens, |style| {
        screens.iter().map(|screen| screen.text(style, &zone)).collect::<Vec<_>>().join("\n")
    })
}

async fn calendar(cli: &Cli, args: &CalendarArgs) -> Result<(), Trouble> {
    let zone = zone(&args.zone)?;
    let now = Timestamp::now();
    let frame = Frame {
        from: args.from.unwrap_or_else(|| Frame::monday(now, &zone)),
        days: args.days,
        zone,
        now,
        width: args.width.unwrap_or(80),
    };
    let reach = Reach::new(&cli.access).await?;
    let (bridges, meetings) = look(&reach, args.name.as_deref(), args.all_namespaces).await?;
    let drawn: Result<Vec<Calendar>, String> =
        bridges.iter().map(|bridge| Calendar::of(bridge, &meetings, &frame)).collect();
    let drawn = drawn.map_err(|error| Trouble::new("--from", error, "choose an earlier day"))?;
    print::answer(&cli.access, &drawn, |style| {
        drawn.iter().map(|calendar| calendar.text(style)).collect::<Vec<_>>().join("\n")
    })
}

async fn join(cli: &Cli, args: &JoinArgs) -> Result<(), Trouble> {
    let zone = zone(&args.zone)?;
    let reach = Reach::new(&cli.access).await?;
    let meeting = reach.get::<ScheduledMeeting>(&reach.namespace, &args.name).await?.read;
    let named = meeting.status.as_ref().and_then(|status| status.join_secret_name.clone());
    let name = named.unwrap_or_else(|| join_secret_name(&meeting.name_any()));
    let secret = reach.find::<Secret>(&reach.namespace, &name).await?;
    let owned =
        secret.filter(|secret| secret.read.owner_references().iter().any(|o| Some(&o.uid) == meeting.uid().as_ref()));
    let Some(secret) = owned else {
        return Err(no_way_in(&meeting, &reach.namespace, &name));
    };
    let join = Join::of(&meeting, &secret.read, args.show);
    print::answer(&cli.access, &join, |style| join.text(style, &zone))
}

/// Why there is no join Secret.
fn no_way_in(meeting: &ScheduledMeeting, namespace: &str, secret: &str) -> Trouble {
    let object = label::<ScheduledMeeting>(namespace, &meeting.name_any());
    let phase = meeting.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
    let missing = format!("it has no join Secret {secret}; it is {phase:?}");
    if phase.is_over() {
        return Trouble::new(object, missing, "book it again: the meeting is over");
    }
    match ticket::of_meeting(meeting).first() {
        Some(ticket) => {
            Trouble::new(object, format!("{missing}. {}: {}", ticket.reason, ticket.message), &ticket.remedy)
        }
        None => Trouble::new(object, missing, "wait: the controller writes it when the meeting has its slot"),
    }
}
