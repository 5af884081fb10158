//! `meeting-controller validate`: checks manifests without a cluster, for pipelines.
//!
//! ```text
//! source.rs     bytes -> documents, as kubectl reads them
//!   |
//! kinds.rs      one object: schema (structure.rs), CEL rules, what the controller demands beyond them
//!   |
//! locate.rs     field path -> line
//! ```
//! report.rs says it, to people or machines. With `--live` (live.rs) a sound meeting, and each occurrence of a series, is also booked, as the controller would, in a copy of the cluster's bookings.
//! No value is ever printed that may be a secret: objects of other kinds are not looked into, and of our own only
//! values of enums, patterns and numbers are quoted.

mod kinds;
mod live;
mod locate;
mod path;
mod report;
pub(crate) mod source;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::Value;

use self::kinds::Kind;
use self::path::FieldPath;
pub use self::report::Format;
use self::report::{Level, Report};
use self::source::Document;
use super::crds::Error;
use crate::api::{self, MeetingSeries, ScheduledMeeting};
use crate::plan::window::Window;
pub use live::Live;
use live::Verdict;

/// Of so many occurrences of a series it is told that they get no slot.
const MOST_REFUSED: usize = 10;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong. Exit code 0.
    Valid,
    /// There are problems. Exit code 1.
    Invalid,
    /// A file or the cluster could not be read, whatever the others are like. Exit code 2.
    Unreadable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Valid => ExitCode::SUCCESS,
            Outcome::Invalid => ExitCode::from(1),
            Outcome::Unreadable => ExitCode::from(2),
        }
    }
}

/// How files are checked, and how it is told.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Ask this cluster as well.
    pub live: Option<&'a Live>,
    pub format: Format,
    /// Which meetings are over; none: nobody asks.
    pub now: Option<Timestamp>,
}

/// Checks the files and prints what is wrong to standard output.
pub fn run(files: &[PathBuf], options: Options<'_>) -> ExitCode {
    match validate(files, options, &mut io::stdout().lock()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            // If standard error is closed as well there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            Outcome::Unreadable.into()
        }
    }
}

/// Checks the files (`-` is standard input, a directory stands for the manifests in and below it) and writes what is wrong
/// to `out`.
///
/// # Errors
/// If `out` cannot be written to.
pub fn validate(files: &[PathBuf], options: Options<'_>, out: &mut dyn Write) -> Result<Outcome, Error> {
    let Options { live, format, now } = options;
    let mut check = Check { kinds: kinds::all()?, live, now, report: Report::new(format, out) };
    for file in files {
        check.path(file).map_err(Error::Output)?;
    }
    let notes = live.map(|live| live.notes.as_slice()).unwrap_or_default();
    check.report.finish(notes).map_err(Error::Output)
}

/// The series of a file, all of which must be sound.
///
/// # Errors
/// What is wrong with the first thing that is not right, and where.
pub fn series(file: &Path) -> Result<Vec<MeetingSeries>, String> {
    let (name, text) = read(file);
    let text = text.map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let kinds = kinds::all().map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for document in source::split(&text) {
        let document = document.map_err(|broken| format!("{name}:{}: {}", broken.line, broken.why))?;
        let value = source::parse(&document).map_err(|broken| format!("{name}:{}: {}", broken.line, broken.why))?;
        let Some(value) = value.filter(|value| value.get("kind").and_then(Value::as_str) == Some("MeetingSeries"))
        else {
            continue;
        };
        let known = kinds.iter().find(|kind| kind.name == "MeetingSeries");
        if let Some(problem) = known.and_then(|known| known.check(&value).into_iter().next()) {
            let place = Place { file: &name, document: &document, within: FieldPath::default() };
            let at = line(&place, &problem.path);
            return Err(format!(
                "{name}:{at}: {}: {}: {}",
                label("MeetingSeries", &value),
                problem.path,
                problem.message
            ));
        }
        found.push(serde_json::from_value(value).map_err(|error| format!("{name}:{}: {error}", document.line))?);
    }
    Ok(found)
}

/// The text of a file, and what the file is called.
fn read(path: &Path) -> (String, io::Result<String>) {
    if path == Path::new("-") {
        let mut text = String::new();
        return ("<stdin>".to_owned(), io::stdin().lock().read_to_string(&mut text).map(|_| text));
    }
    (path.display().to_string(), std::fs::read_to_string(path))
}

/// The namespaces that objects in the files name. What is wrong with the files is told when they are checked.
pub fn namespaces(files: &[PathBuf]) -> BTreeSet<String> {
    let texts = files.iter().flat_map(|file| manifests(file).unwrap_or_default());
    let texts = texts.filter_map(|file| std::fs::read_to_string(file).ok());
    let mut found = BTreeSet::new();
    for text in texts {
        for value in source::split(&text).into_iter().flatten().filter_map(|document| source::parse(&document).ok()?) {
            let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![value.clone()]);
            let of = |pointer| items.iter().filter_map(move |item| item.pointer(pointer)?.as_str()).map(str::to_owned);
            found.extend(of("/metadata/namespace").chain(of("/spec/bridgeRef/namespace")));
            found.extend(of("/spec/template/spec/bridgeRef/namespace"));
        }
    }
    found
}

/// The file, or the manifests in the directory and below it. What begins with a dot is left out, and so are links to
/// directories, which may lead round in a circle.
fn manifests(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.retain(|entry| !entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let extension = entry.extension().and_then(|extension| extension.to_str());
        if entry.is_dir() {
            if !entry.is_symlink() {
                files.extend(manifests(&entry)?);
            }
        } else if matches!(extension, Some("yaml" | "yml" | "json")) && entry.is_file() {
            files.push(entry);
        }
    }
    Ok(files)
}

struct Check<'a> {
    kinds: Vec<Kind>,
    live: Option<&'a Live>,
    now: Option<Timestamp>,
    report: Report<'a>,
}

/// Where an object stands.
struct Place<'a> {
    file: &'a str,
    document: &'a Document,
    /// The way to the object inside its document: empty, or an item of a List.
    within: FieldPath,
}

impl Check<'_> {
    fn path(&mut self, path: &Path) -> io::Result<()> {
        match manifests(path) {
            Err(error) => self.report.unreadable(&path.display().to_string(), &error),
            Ok(files) => files.iter().try_for_each(|file| self.file(file)),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let (name, text) = read(path);
        let text = match text {
            Ok(text) => text,
            Err(error) => return self.report.unreadable(&name, &error),
        };
        for document in source::split(&text) {
            let parsed = document.and_then(|document| Ok((source::parse(&document)?, document)));
            match parsed {
                Err(broken) => self.problem(&name, broken.line, None, &broken.why)?,
                Ok((None, _)) => {}
                Ok((Some(value), document)) => {
                    let place = Place { file: &name, document: &document, within: FieldPath::default() };
                    self.object(&place, &value)?;
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, place: &Place<'_>, object: &Value) -> io::Result<()> {
        let text = |key| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let why = "is no Kubernetes object; it needs apiVersion and kind";
            return self.problem(place.file, line(place, &FieldPath::default()), None, why);
        };
        let items = object.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List"));
        if let Some(items) = items {
            for (index, item) in items.iter().enumerate() {
                let within = FieldPath::default().field("items").item(index).under(&place.within);
                self.object(&Place { within, ..*place }, item)?;
            }
            return Ok(());
        }
        let known = self.kinds.iter().find(|known| known.name == kind);
        let problems = match known {
            Some(known) if known.api_version == version => known.check(object),
            Some(known) => {
                let message = format!("is not that of a {kind}; write {}", known.api_version);
                vec![structure::Problem { path: FieldPath::default().field("apiVersion"), message }]
            }
            None if version.split('/').next() == Some(api::GROUP) => {
                let names: Vec<&str> = self.kinds.iter().map(|known| known.name.as_str()).collect();
                let message = format!("is not a kind of {}; use {}", api::GROUP, names.join(" or "));
                vec![structure::Problem { path: FieldPath::default().field("kind"), message }]
            }
            None => {
                self.report.skipped(kind.escape_debug().to_string());
                return Ok(());
            }
        };
        self.report.checked();
        let mut lines: Vec<_> = problems.iter().map(|problem| (line(place, &problem.path), problem)).collect();
        lines.sort_by(|(a, first), (b, second)| (a, &first.path).cmp(&(b, &second.path)));
        for (line, problem) in lines {
            let field = Some(&problem.path).filter(|path| !path.steps().is_empty());
            let field = field.map(|path| format!("{path}: ")).unwrap_or_default();
            self.problem(place.file, line, Some(&label(kind, object)), &format!("{field}{}", problem.message))?;
        }
        // Only what is sound can be read.
        if !problems.is_empty() {
            return Ok(());
        }
        match (kind, self.live) {
            ("ScheduledMeeting", live) => {
                let Ok(meeting) = serde_json::from_value::<ScheduledMeeting>(object.clone()) else { return Ok(()) };
                match live {
                    Some(live) => self.book(place, live, &meeting),
                    None => self.told_if_past(place, &meeting),
                }
            }
            ("MeetingSeries", Some(live)) => serde_json::from_value(object.clone())
                .map_or(Ok(()), |series: MeetingSeries| self.book_series(place, live, &series)),
            _ => Ok(()),
        }
    }

    /// A start in the past is no mistake in git, where meetings stay, but may be one of who writes a new one.
    fn told_if_past(&mut self, place: &Place<'_>, meeting: &ScheduledMeeting) -> io::Result<()> {
        let window = Window::of(&meeting.spec, None);
        let Some(now) = self.now.filter(|now| window.starts_at <= *now) else { return Ok(()) };
        let said = if window.closes_at <= now {
            "its window has passed: applied now it is Ended at once (WindowPassed)"
        } else {
            "its start has passed: applied now it opens at once, late"
        };
        let object = label("ScheduledMeeting", &serde_json::json!({ "metadata": meeting.metadata }));
        let line = line(place, &FieldPath::default().field("spec").field("start"));
        self.report.tell(Level::Note, place.file, line, Some(&object), said)
    }

    /// Would its occurrences within the horizon get slots, after all that came before it?
    fn book_series(&mut self, place: &Place<'_>, live: &Live, series: &MeetingSeries) -> io::Result<()> {
        let object = label("MeetingSeries", &serde_json::json!({ "metadata": series.metadata }));
        let line = line(place, &FieldPath::default().field("spec").field("recurrence"));
        let judged = match live.judge_series(series, Timestamp::now()) {
            Ok(judged) => judged,
            Err(refusal) => {
                let message = format!("{}: {}", refusal.reason, refusal.message);
                return self.problem(place.file, line, Some(&object), &message);
            }
        };
        let (mut bridges, mut fit, mut refused) = (BTreeSet::new(), 0_usize, 0_usize);
        for (name, verdict) in &judged {
            match verdict {
                Verdict::Fits(booking) => {
                    fit += 1;
                    bridges.insert(booking.bridge.to_string());
                }
                Verdict::Refused(refusal) => {
                    refused += 1;
                    if refused <= MOST_REFUSED {
                        let message = format!("occurrence {name}: {}: {}", refusal.reason, refusal.message);
                        self.problem(place.file, line, Some(&object), &message)?;
                    }
                }
                Verdict::Nothing => {}
                Verdict::Unknown(why) => {
                    let said = format!("occurrence {name}: cannot be told: {why}");
                    self.report.tell(Level::Note, place.file, line, Some(&object), &said)?;
                }
            }
        }
        if refused > MOST_REFUSED {
            let message = format!("and {} more occurrences get no slot", refused - MOST_REFUSED);
            self.problem(place.file, line, Some(&object), &message)?;
        }
        let bridges: Vec<String> = bridges.into_iter().collect();
        let said = match fit {
            0 if judged.is_empty() => {
                "no occurrence is made now: it is suspended, or has none within its horizon".to_owned()
            }
            0 => return Ok(()),
            _ => format!(
                "{fit} of {} occurrences within the horizon get a slot, on {}",
                judged.len(),
                bridges.join(" and ")
            ),
        };
        self.report.tell(Level::Note, place.file, line, Some(&object), &said)
    }

    /// Would it get a slot, after all that came before it?
    fn book(&mut self, place: &Place<'_>, live: &Live, meeting: &ScheduledMeeting) -> io::Result<()> {
        let object = label("ScheduledMeeting", &serde_json::json!({ "metadata": meeting.metadata }));
        let line = line(place, &FieldPath::default().field("spec").field("start"));
        let said = match live.judge(meeting, Timestamp::now()) {
            Verdict::Refused(refusal) => {
                return self.problem(
                    place.file,
                    line,
                    Some(&object),
                    &format!("{}: {}", refusal.reason, refusal.message),
                );
            }
            Verdict::Fits(booking) => format!("gets slot {} of the bridge {}", booking.slot, booking.bridge),
            Verdict::Nothing => "nothing is booked: it is suspended, or its window has passed".to_owned(),
            Verdict::Unknown(why) => format!("cannot be told: {why}"),
        };
        self.report.tell(Level::Note, place.file, line, Some(&object), &said)
    }

    fn problem(&mut self, file: &str, line: usize, object: Option<&str>, message: &str) -> io::Result<()> {
        self.report.tell(Level::Error, file, line, object, message)
    }
}

/// The line of a field of the object, or of the innermost parent that has one.
fn line(place: &Place<'_>, path: &FieldPath) -> usize {
    locate::line_of(&place.document.text, place.document.line, path.under(&place.within).steps())
}

/// `Kind namespace/name`, for people.
fn label(kind: &str, object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().escape_debug();
    let (namespace, name) = (text("/metadata/namespace").to_string(), text("/metadata/name").to_string());
    match (namespace.as_str(), name.as_str()) {
        ("", "") => format!("{kind} without a name"),
        ("", name) => format!("{kind} {name}"),
        (namespace, name) => format!("{kind} {namespace}/{name}"),
    }
}
