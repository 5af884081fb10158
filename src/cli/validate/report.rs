//! What a check says: a line each for people, one document for programs, or the commands by which GitHub marks the lines of a
//! pull request.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::Outcome;

/// How it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `file:line: Kind namespace/name: field: what is wrong; what to do`.
    #[default]
    Text,
    /// One JSON document with everything.
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Note,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    message: String,
}

/// What was found so far.
pub struct Report<'a> {
    format: Format,
    out: &'a mut dyn Write,
    findings: Vec<Finding>,
    checked: usize,
    problems: usize,
    unreadable: usize,
    /// How many objects of other kinds there were, by kind.
    skipped: BTreeMap<String, usize>,
}

impl<'a> Report<'a> {
    pub fn new(format: Format, out: &'a mut dyn Write) -> Self {
        let (findings, skipped) = (Vec::new(), BTreeMap::new());
        Self { format, out, findings, checked: 0, problems: 0, unreadable: 0, skipped }
    }

    pub fn checked(&mut self) {
        self.checked += 1;
    }

    pub fn skipped(&mut self, kind: String) {
        *self.skipped.entry(kind).or_default() += 1;
    }

    pub fn unreadable(&mut self, file: &str, error: &io::Error) -> io::Result<()> {
        self.unreadable += 1;
        let (level, message) = (Level::Error, format!("cannot be read: {error}"));
        self.say(Finding { level, file: file.to_owned(), line: None, object: None, message })
    }

    pub fn tell(
        &mut self,
        level: Level,
        file: &str,
        line: usize,
        object: Option<&str>,
        message: &str,
    ) -> io::Result<()> {
        if level == Level::Error {
            self.problems += 1;
        }
        let (object, message) = (object.map(str::to_owned), message.to_owned());
        self.say(Finding { level, file: file.to_owned(), line: Some(line), object, message })
    }

    fn say(&mut self, finding: Finding) -> io::Result<()> {
        let Finding { level, file, line, object, message } = &finding;
        let object = object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
        match self.format {
            Format::Json => {
                self.findings.push(finding);
                Ok(())
            }
            Format::Text => {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                writeln!(self.out, "{file}{line}: {object}{message}")
            }
            Format::Github => {
                let command = if *level == Level::Error { "error" } else { "notice" };
                let line = line.map(|line| format!(",line={line}")).unwrap_or_default();
                writeln!(
                    self.out,
                    "::{command} file={}{line}::{}",
                    escaped(file, true),
                    escaped(&(object + message), false)
                )
            }
        }
    }

    /// The end: how much was looked at. `notes` are about the whole.
    pub fn finish(self, notes: &[String]) -> io::Result<Outcome> {
        let skipped: Vec<String> = self.skipped.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let skipped =
            if skipped.is_empty() { String::new() } else { format!("; not looked at: {}", skipped.join(", ")) };
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let summary =
            format!("{} checked, {}{skipped}", plural(self.checked, "object"), plural(self.problems, "problem"));
        match self.format {
            Format::Json => {
                let whole = serde_json::json!({
                    "checked": self.checked, "problems": self.problems, "unreadable": self.unreadable,
                    "notLookedAt": self.skipped, "notes": notes, "findings": self.findings,
                });
                writeln!(self.out, "{whole:#}")?;
            }
            Format::Text => {
                for note in notes {
                    writeln!(self.out, "note: {note}")?;
                }
                writeln!(self.out, "{summary}")?;
            }
            Format::Github => {
                for note in notes {
                    writeln!(self.out, "::notice::{}", escaped(note, false))?;
                }
                // What is no command stands in the log only.
                writeln!(self.out, "{summary}")?;
            }
        }
        self.out.flush()?;
        Ok(match (self.unreadable, self.problems) {
            (0, 0) => Outcome::Valid,
            (0, _) => Outcome::Invalid,
            _ => Outcome::Unreadable,
        })
    }
}

/// As a workflow command has it: without that a text could begin a command of its own.
fn escaped(text: &str, is_property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if is_property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}
