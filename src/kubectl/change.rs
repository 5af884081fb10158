//! The commands that change something: one PATCH each, with a field manager of our own.

use std::fmt::Debug;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::args::{Cli, EndArgs, ExtendArgs, FailbackArgs, ForceDeleteArgs, RefreshArgs, WaitArgs, ZoneArgs};
use super::commands::zone;
use super::edit::{self, Edit, FIELD_MANAGER, Standing};
use super::print;
use super::reach::{Got, Kind, Reach, Trouble, label, trouble};
use super::show::{moment, time_on};
use super::wait::wait;
use crate::api::names::{FAILBACK_ANNOTATION, FORCE_DELETE_ANNOTATION, RECONCILE_ANNOTATION};
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};

/// Moves the end of a meeting to later.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn extend(cli: &Cli, args: &ExtendArgs) -> Result<(), Trouble> {
    let reach = Reach::new(&cli.access).await?;
    let meeting = reach.get::<ScheduledMeeting>(&reach.namespace, &args.name).await?;
    let edit = edit::extend(&meeting, args.by, Timestamp::now())?;
    let patched = move_end(cli, &reach, &meeting, &edit, &args.zone).await?;
    let standing = |meeting: &ScheduledMeeting| edit::extended(meeting, patched.metadata.generation, edit.until);
    finish(cli, &reach, patched.clone(), &args.wait, standing).await
}

/// Ends a meeting now.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn end(cli: &Cli, args: &EndArgs) -> Result<(), Trouble> {
    let reach = Reach::new(&cli.access).await?;
    let meeting = reach.get::<ScheduledMeeting>(&reach.namespace, &args.name).await?;
    let edit = edit::end(&meeting, Timestamp::now())?;
    let patched = move_end(cli, &reach, &meeting, &edit, &args.zone).await?;
    let standing = |meeting: &ScheduledMeeting| edit::ended(meeting, patched.metadata.generation);
    finish(cli, &reach, patched.clone(), &args.wait, standing).await
}

async fn move_end(
    cli: &Cli,
    reach: &Reach,
    meeting: &Got<ScheduledMeeting>,
    edit: &Edit,
    zone_args: &ZoneArgs,
) -> Result<DynamicObject, Trouble> {
    let zone = zone(zone_args)?;
    let object = edit::name(&meeting.read);
    let patch = serde_json::from_value(edit.patch.clone())
        .map_err(|error| Trouble::new(&object, error.to_string(), "report this"))?;
    let name = meeting.read.name_any();
    let patched = patch_with::<ScheduledMeeting>(reach, &name, &Patch::Json::<()>(patch)).await;
    let patched = patched.map_err(|error| match &error {
        // A refusal of the schema or a rule names what is invalid; this one is the patch's own.
        kube::Error::Api(status) if status.code == 422 && status.message.starts_with("the server rejected") => {
            let remedy = format!("see `kubectl -n {} get mtg {name}`, and try again", reach.namespace);
            Trouble::new(&object, "somebody else changed its times meanwhile", remedy)
        }
        error => trouble::<ScheduledMeeting>(error, "patch", &reach.namespace, &name),
    })?;
    let keepers: Vec<&str> = edit::keepers(meeting.read.managed_fields()).into_iter().collect();
    if !keepers.is_empty() {
        print::note(&format!(
            "warning: the end is also set by {}. If the meeting comes from git or a file, change it there as well: \
             what stands there wins at the next apply.",
            keepers.join(" and ")
        ));
    }
    if cli.access.output.is_none() {
        let day = edit.until.to_zoned(zone.clone());
        let (until, was) = (moment(edit.until, &zone), time_on(edit.was, &day));
        print::out(&format!("scheduledmeeting/{name} ends {until} instead of {was}\n"))?;
    }
    Ok(patched)
}

/// Asks for the return to the primary.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn failback(cli: &Cli, args: &FailbackArgs) -> Result<(), Trouble> {
    let reach = Reach::new(&cli.access).await?;
    let handled =
        |bridge: &MeetingBridge| bridge.status.as_ref().and_then(|status| status.last_handled_failback_at.clone());
    let line = |bridge: &MeetingBridge| {
        let active = bridge.status.as_ref().and_then(|status| status.active_call_bridge.clone());
        format!("active call bridge {}", active.unwrap_or_else(|| "not known".to_owned()))
    };
    ask(cli, &reach, &args.name, FAILBACK_ANNOTATION, &args.wait, handled, line).await
}

/// A kind of which a full look can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    Bridge,
    Meeting,
    Series,
}

impl Looked {
    /// By the word before the name.
    fn named(word: &str) -> Option<Self> {
        match word {
            "mb" | "meetingbridge" | "meetingbridges" => Some(Self::Bridge),
            "mtg" | "scheduledmeeting" | "scheduledmeetings" => Some(Self::Meeting),
            "mts" | "meetingseries" => Some(Self::Series),
            _ => None,
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Bridge => "mb",
            Self::Meeting => "mtg",
            Self::Series => "mts",
        }
    }
}

/// Asks for a full look at a bridge, a meeting or a series.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn refresh(cli: &Cli, args: &RefreshArgs) -> Result<(), Trouble> {
    let reach = Reach::new(&cli.access).await?;
    let (looked, name) = meant(&reach, &args.name).await?;
    match looked {
        Looked::Bridge => {
            let handled = |bridge: &MeetingBridge| bridge.status.as_ref()?.last_handled_reconcile_at.clone();
            let line = |bridge: &MeetingBridge| {
                let status = bridge.status.clone().unwrap_or_default();
                edit::line(status.phase.as_deref().unwrap_or("Pending"), &status.conditions)
            };
            ask(cli, &reach, name, RECONCILE_ANNOTATION, &args.wait, handled, line).await
        }
        Looked::Meeting => {
            let handled = |meeting: &ScheduledMeeting| meeting.status.as_ref()?.last_handled_reconcile_at.clone();
            ask(cli, &reach, name, RECONCILE_ANNOTATION, &args.wait, handled, edit::meeting_line).await
        }
        Looked::Series => {
            let handled = |series: &MeetingSeries| series.status.as_ref()?.last_handled_reconcile_at.clone();
            let line = |series: &MeetingSeries| {
                let status = series.status.clone().unwrap_or_default();
                edit::line(&format!("{} occurrences", status.occurrences.len()), &status.conditions)
            };
            ask(cli, &reach, name, RECONCILE_ANNOTATION, &args.wait, handled, line).await
        }
    }
}

/// Lets an object go that waits for its bridge. Only one that is being deleted: this verb takes no booking away.
///
/// # Errors
/// What went wrong, with what, and what to do.
pub async fn force_delete(cli: &Cli, args: &ForceDeleteArgs) -> Result<(), Trouble> {
    let reach = Reach::new(&cli.access).await?;
    match meant(&reach, &args.name).await? {
        (Looked::Bridge, name) => let_go::<MeetingBridge>(cli, &reach, name).await,
        (Looked::Meeting, name) => let_go::<ScheduledMeeting>(cli, &reach, name).await,
        (Looked::Series, name) => {
            let remedy = format!("`kubectl -n {} delete mts {name}`; its occurrences go with it", reach.namespace);
            Err(Trouble::new(format!("mts/{name}"), "a series waits for no bridge", remedy))
        }
    }
}

async fn let_go<K: Kind>(cli: &Cli, reach: &Reach, name: &str) -> Result<(), Trouble> {
    let found = reach.get::<K>(&reach.namespace, name).await?.raw;
    let plural = K::plural(&());
    if found.metadata.deletion_timestamp.is_none() {
        let remedy =
            format!("`kubectl -n {} delete {plural} {name}`; wait, and come back if it hangs", reach.namespace);
        return Err(Trouble::new(label::<K>(&reach.namespace, name), "it is not being deleted", remedy));
    }
    // Of this very object: another one of its name is refused.
    let metadata = json!({ "uid": found.metadata.uid, "annotations": { FORCE_DELETE_ANNOTATION: "true" } });
    let patched = patch_with::<K>(reach, name, &Patch::Merge(json!({ "metadata": metadata }))).await;
    let patched = patched.map_err(|error| trouble::<K>(&error, "patch", &reach.namespace, name))?;
    if cli.access.output.is_some() {
        return print::answer(&cli.access, &patched, |_| String::new());
    }
    let kind = K::kind(&()).to_lowercase();
    print::out(&format!("{kind}/{name} is let go; what is left on the bridge is yours to look after\n"))
}

/// The kind and the name that are meant by `mb/NAME` or NAME.
async fn meant<'a>(reach: &Reach, word: &'a str) -> Result<(Looked, &'a str), Trouble> {
    let (kind, name) = word.split_once('/').unwrap_or(("", word));
    match Looked::named(kind) {
        Some(looked) => Ok((looked, name)),
        None if kind.is_empty() => Ok((which(reach, name).await?, name)),
        None => {
            let remedy = format!("write mb/{name}, mtg/{name} or mts/{name}");
            Err(Trouble::new(kind, "this kind is not known", remedy))
        }
    }
}

/// What is meant by a name alone. Who may not read series means none of them.
async fn which(reach: &Reach, name: &str) -> Result<Looked, Trouble> {
    let found = [
        (Looked::Bridge, find::<MeetingBridge>(reach, name).await?),
        (Looked::Meeting, find::<ScheduledMeeting>(reach, name).await?),
        (Looked::Series, find::<MeetingSeries>(reach, name).await.unwrap_or(false)),
    ];
    let found: Vec<Looked> = found.into_iter().filter(|(_, is_there)| *is_there).map(|(looked, _)| looked).collect();
    match found.as_slice() {
        // That there is none is told when it is asked.
        [] => Ok(Looked::Meeting),
        [one] => Ok(*one),
        several => {
            let words: Vec<String> = several.iter().map(|looked| format!("{}/{name}", looked.short())).collect();
            let remedy = format!("say which: {}", words.join(" or "));
            Err(Trouble::new(name, "objects of several kinds have this name", remedy))
        }
    }
}

async fn find<K: Kind>(reach: &Reach, name: &str) -> Result<bool, Trouble> {
    Ok(reach.find::<K>(&reach.namespace, name).await?.is_some())
}

/// Sets an annotation to a new value, which asks for something once; the status echoes it when it is done.
async fn ask<K: Kind + Clone + Debug + Send + 'static>(
    cli: &Cli,
    reach: &Reach,
    name: &str,
    annotation: &str,
    args: &WaitArgs,
    handled: impl Fn(&K) -> Option<String>,
    line: impl Fn(&K) -> String,
) -> Result<(), Trouble> {
    let asked = Timestamp::now().to_string();
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { annotation: asked } } }));
    let patched = patch_with::<K>(reach, name, &patch).await;
    let patched = patched.map_err(|error| trouble::<K>(&error, "patch", &reach.namespace, name))?;
    if cli.access.output.is_none() {
        print::out(&format!("{}/{name} asked\n", K::kind(&()).to_lowercase()))?;
    }
    let standing = |object: &K| {
        if handled(object).as_ref() == Some(&asked) { Standing::Done } else { Standing::Going(line(object)) }
    };
    finish(cli, reach, patched, args, standing).await
}

async fn patch_with<K: Kind>(
    reach: &Reach,
    name: &str,
    patch: &Patch<impl serde::Serialize + Debug>,
) -> Result<DynamicObject, kube::Error> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    reach.raw::<K>(&reach.namespace).patch(name, &params, patch).await
}

/// Waits, if that is wanted, and shows the object as it is then to machines.
async fn finish<K: Kind + Clone + Debug + Send + 'static>(
    cli: &Cli,
    reach: &Reach,
    patched: DynamicObject,
    args: &WaitArgs,
    standing: impl Fn(&K) -> Standing,
) -> Result<(), Trouble> {
    let name = patched.name_any();
    let mut shown = patched;
    if args.wait {
        wait(reach, &name, args.timeout, standing).await?;
        if cli.access.output.is_none() {
            return print::out(&format!("{}/{name} done\n", K::kind(&()).to_lowercase()));
        }
        shown = reach.get::<K>(&reach.namespace, &name).await?.raw;
    }
    if cli.access.output.is_none() { Ok(()) } else { print::answer(&cli.access, &shown, |_| String::new()) }
}
