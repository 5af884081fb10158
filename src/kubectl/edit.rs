//! PURE: what `extend` and `end` change in a spec, whether it will stay so, and when it is done.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::reach::{Got, Trouble, label};
use super::show::ticket;
use crate::api::conditions::{self, types};
use crate::api::meeting::Phase;
use crate::api::values::Instant;
use crate::api::{Condition, ScheduledMeeting, find};
use crate::plan::window::Window;

/// Who changes fields here, as the apiserver remembers it.
pub const FIELD_MANAGER: &str = "kubectl-meetings";

/// A new end of a meeting, as one JSON patch. It holds only if the times are still those that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub patch: Value,
    pub was: Timestamp,
    pub until: Timestamp,
}

/// The agreed end, so much later.
///
/// # Errors
/// If the meeting is over, or on its way out.
pub fn extend(meeting: &Got<ScheduledMeeting>, by: Duration, now: Timestamp) -> Result<Edit, Trouble> {
    let was = closes_at(&meeting.read);
    if now >= was || is_over(&meeting.read) {
        return Err(refused(
            meeting,
            format!("it is over since {was}"),
            "book a new one; the slot may be somebody else's",
        ));
    }
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    let until = was.checked_add(by).map_err(|error| refused(meeting, error.to_string(), "extend it by less"))?;
    edit(meeting, was, until)
}

/// The next second as its end.
///
/// # Errors
/// If the meeting has not begun, is over, or on its way out.
pub fn end(meeting: &Got<ScheduledMeeting>, now: Timestamp) -> Result<Edit, Trouble> {
    let (start, was) = (starts_at(&meeting.read), closes_at(&meeting.read));
    let until = Timestamp::from_second(now.as_second() + 1).unwrap_or(now);
    if until <= start {
        let remedy = format!("cancel it: kubectl delete mtg {}", meeting.read.name_any());
        return Err(refused(meeting, format!("it does not begin before {start}"), &remedy));
    }
    if until >= was || is_over(&meeting.read) {
        return Err(refused(meeting, format!("it is over since {was}"), "nothing"));
    }
    edit(meeting, was, until)
}

fn is_over(meeting: &ScheduledMeeting) -> bool {
    meeting.status.as_ref().and_then(|status| status.phase).is_some_and(Phase::is_over)
}

/// The end that holds: with automatic extensions, and without what was refused.
fn closes_at(meeting: &ScheduledMeeting) -> Timestamp {
    let none = Default::default();
    let status = meeting.status.as_ref().unwrap_or(&none);
    let agreed = status.window.filter(|_| status.refused_window.is_some());
    agreed.map_or_else(|| Window::of_meeting(&meeting.spec, status), Window::from).closes_at
}

/// The start that holds: not one that was refused.
fn starts_at(meeting: &ScheduledMeeting) -> Timestamp {
    let none = Default::default();
    Window::of_meeting(&meeting.spec, meeting.status.as_ref().unwrap_or(&none)).starts_at
}

fn refused(meeting: &Got<ScheduledMeeting>, reason: String, remedy: &str) -> Trouble {
    Trouble::new(name(&meeting.read), reason, remedy)
}

/// The meeting's kind, namespace and name.
pub fn name(meeting: &ScheduledMeeting) -> String {
    label::<ScheduledMeeting>(&meeting.namespace().unwrap_or_default(), &meeting.name_any())
}

/// The patch. The spec has either `end` or `duration`, and keeps the one that it has.
fn edit(meeting: &Got<ScheduledMeeting>, was: Timestamp, until: Timestamp) -> Result<Edit, Trouble> {
    if meeting.raw.metadata.deletion_timestamp.is_some() {
        return Err(refused(meeting, "it is being deleted".to_owned(), "nothing: its door is shut with it"));
    }
    let stored = |field: &str| meeting.raw.data.pointer(&format!("/spec/{field}")).cloned();
    let start = starts_at(&meeting.read);
    let (field, old, new) = match (stored("end"), stored("duration")) {
        (Some(old), _) => ("end", old, json!(Instant(until))),
        (None, Some(old)) => ("duration", old, json!(span(until.duration_since(start)))),
        (None, None) => {
            return Err(refused(
                meeting,
                "it has no end".to_owned(),
                "give it spec.end or spec.duration: kubectl edit",
            ));
        }
    };
    let path = format!("/spec/{field}");
    let mut patch = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": meeting.raw.metadata.uid }),
        json!({ "op": "test", "path": "/spec/start", "value": stored("start") }),
        json!({ "op": "test", "path": path, "value": old }),
        json!({ "op": "replace", "path": path, "value": new }),
    ];
    if start != meeting.read.spec.start.0 {
        // It is held as it was booked before, and whoever changes its end means that meeting.
        patch.push(json!({ "op": "replace", "path": "/spec/start", "value": Instant(start) }));
    }
    Ok(Edit { patch: patch.into(), was, until })
}

/// A length as the API has it: 1h30m, 45m, 20s.
fn span(length: SignedDuration) -> String {
    let millis = length.as_millis().max(1);
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (millis % 1000, "ms")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// Who will set the end of the meeting again: everybody who has set it, but for us, and for tools that set it once.
pub fn keepers(managed: &[ManagedFieldsEntry]) -> BTreeSet<&str> {
    const ONCE: &[&str] = &[FIELD_MANAGER, "kubectl-edit", "kubectl-patch", "kubectl-create", "kubectl-replace"];
    let sets = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let has = |path: &str| fields.is_some_and(|fields| fields.pointer(path).is_some());
        has("/f:spec/f:end") || has("/f:spec/f:duration")
    };
    let lasts = |entry: &&ManagedFieldsEntry| {
        let applied = entry.operation.as_deref() == Some("Apply");
        applied || entry.manager.as_deref().is_some_and(|manager| !ONCE.contains(&manager))
    };
    managed.iter().filter(sets).filter(lasts).filter_map(|entry| entry.manager.as_deref()).collect()
}

/// Where something that is waited for stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Under way, and how.
    Going(String),
    Done,
    /// It will not come: reason and remedy.
    Failed(String, String),
}

/// Phase and Ready, in a line.
pub fn line(phase: &str, conditions: &[Condition]) -> String {
    let ready = find(conditions, types::READY).map(|ready| format!(", Ready={} ({})", ready.status, ready.reason));
    format!("{phase}{}", ready.unwrap_or_default())
}

/// The same of a meeting.
pub fn meeting_line(meeting: &ScheduledMeeting) -> String {
    let none = Default::default();
    let status = meeting.status.as_ref().unwrap_or(&none);
    line(&format!("{:?}", status.phase.unwrap_or_default()), &status.conditions)
}

/// Is the meeting booked until then?
pub fn extended(meeting: &ScheduledMeeting, generation: Option<i64>, until: Timestamp) -> Standing {
    let Some(status) = meeting.status.as_ref().filter(|status| status.observed_generation >= generation) else {
        return Standing::Going(meeting_line(meeting));
    };
    if status.window.is_some_and(|window| window.closes_at.0 >= until) {
        return Standing::Done;
    }
    let refused = [types::ACCEPTED, types::SLOT_RESERVED]
        .iter()
        .find_map(|kind| find(&status.conditions, kind).filter(|condition| condition.status == "False"));
    match refused {
        Some(no) => {
            let remedy = ticket::remedy(conditions::meeting::TABLE, no);
            Standing::Failed(format!("{}: {}", no.reason, no.message), remedy.to_owned())
        }
        None => Standing::Going(meeting_line(meeting)),
    }
}

/// Is the meeting proven to be over?
pub fn ended(meeting: &ScheduledMeeting, generation: Option<i64>) -> Standing {
    let seen = meeting.status.as_ref().is_some_and(|status| status.observed_generation >= generation);
    if seen && is_over(meeting) { Standing::Done } else { Standing::Going(meeting_line(meeting)) }
}

#[cfg(test)]
mod tests;
