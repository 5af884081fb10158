//! `meeting-controller occurrences`: when the series of a file take place, before anything is applied. No I/O but the file:
//! what plans a series in the controller plans it here, with a horizon that reaches as far as is asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::Serialize;

use super::validate;
use crate::api::MeetingSeries;
use crate::api::series::OccurrenceState;
use crate::api::values::Span;
use crate::kubectl::Output;
use crate::plan::series::Progress;
use crate::yaml;

/// No zone is further from UTC: what is on a day somewhere is within this of the same day there.
const ZONE_SLACK: SignedDuration = SignedDuration::from_hours(50);

/// A series, and when it takes place.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub name: String,
    pub time_zone: String,
    /// The rule in words.
    pub schedule: String,
    pub occurrences: Vec<Occurrence>,
    /// Exceptions that fit none of them, within the time that was asked for or later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched_exceptions: Vec<DateTime>,
}

/// One occurrence.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Occurrence {
    /// The local time at which the rule has it.
    pub occurrence: DateTime,
    /// What clocks in the zone show when it begins.
    pub local_start: DateTime,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Its ScheduledMeeting.
    pub name: String,
    /// An exception leaves it out.
    pub skipped: bool,
}

/// Prints the occurrences of every series of a file, both days included.
///
/// # Errors
/// What is wrong with the file, or with a series in it, and where.
pub fn print(file: &Path, from: Option<Date>, until: Date, output: Option<Output>) -> Result<(), String> {
    let series = validate::series(file)?;
    if series.is_empty() {
        return Err(format!("{}: there is no MeetingSeries in it", file.display()));
    }
    let all: Vec<Listed> = series.iter().map(|series| list(series, from, until)).collect::<Result<_, _>>()?;
    let text = match output {
        None => all.iter().map(text).collect(),
        Some(Output::Json) => serde_json::to_string_pretty(&all).map_err(|error| error.to_string())? + "\n",
        Some(Output::Yaml) => yaml::to_string(&all).map_err(|error| error.to_string())?,
    };
    super::print(&text).map_err(|error| format!("cannot write to standard output: {error}"))
}

/// The occurrences from one day to another one.
///
/// # Errors
/// Why the series has no schedule.
pub fn list(series: &MeetingSeries, from: Option<Date>, until: Date) -> Result<Listed, String> {
    let name = series.name_any();
    let from = from.unwrap_or_else(|| series.spec.start.0.date());
    let at =
        |day: Date| day.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp()).map_err(|error| error.to_string());
    let (first, last) = (at(from)?, at(until)?);
    let now = first.checked_sub(ZONE_SLACK).unwrap_or(Timestamp::MIN);
    let ahead = last.duration_since(first).saturating_add(ZONE_SLACK).saturating_add(ZONE_SLACK);
    let mut asked = series.clone();
    // All that there are, however many the cluster would be given at a time.
    asked.spec.horizon = Span::from_secs(ahead.as_secs().max(0).unsigned_abs());
    (asked.spec.max_ahead, asked.spec.suspend, asked.status, asked.metadata.uid) = (u32::MAX, false, None, None);
    let mut progress = Progress::resume(&Arc::new(asked), now);
    if let Some(refusal) = progress.refusal() {
        return Err(format!("MeetingSeries {name}: {}: {}", refusal.reason, refusal.message));
    }
    progress.decide(&BTreeMap::new());
    let mut occurrences = Vec::new();
    for (occurrence, entry) in &progress.entries {
        let Some(local_start) = progress.local(entry.start) else { continue };
        if (from..=until).contains(&local_start.date()) {
            let (name, skipped) = (entry.name.clone(), entry.state == OccurrenceState::Skipped);
            let (start, end) = (entry.start, entry.end);
            occurrences.push(Occurrence { occurrence: *occurrence, local_start, start, end, name, skipped });
        }
    }
    occurrences.sort_by_key(|occurrence| (occurrence.start, occurrence.occurrence));
    let schedule = progress.words().unwrap_or_default();
    let unmatched_exceptions = progress.unmatched().to_vec();
    Ok(Listed { name, time_zone: series.spec.time_zone.clone(), schedule, occurrences, unmatched_exceptions })
}

/// For people: the day, what clocks show, how far they are from UTC, how long, and what is special.
fn text(listed: &Listed) -> String {
    let taking_place = listed.occurrences.iter().filter(|occurrence| !occurrence.skipped).count();
    let mut text = format!("{}: {}, {}: {taking_place} occurrences\n", listed.name, listed.schedule, listed.time_zone);
    for occurrence in &listed.occurrences {
        let Occurrence { local_start, start, end, name, .. } = occurrence;
        let (begins, ends) = (local_start.strftime("%a %Y-%m-%d %H:%M"), end.duration_since(*start));
        let special = match occurrence {
            Occurrence { skipped: true, .. } => "skipped".to_owned(),
            Occurrence { occurrence: by_rule, .. } if by_rule != local_start => {
                format!(
                    "instead of {}",
                    by_rule.strftime(if by_rule.time() == Time::midnight() { "%F" } else { "%F %H:%M" })
                )
            }
            _ => String::new(),
        };
        let line = format!("  {begins}  {start}  {ends:#}  {name}  {special}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for exception in &listed.unmatched_exceptions {
        let _ = writeln!(text, "  no occurrence at {exception}: the exception for it has no effect");
    }
    text
}

#[cfg(test)]
mod tests;
