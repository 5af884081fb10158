//! The invitation of a meeting: `invite.ics` for calendars (RFC 5545, RFC 5546 for METHOD and SEQUENCE), `invite.txt` for
//! people. No I/O.

use std::fmt::Write;

use icalendar::{Calendar, Component, Event, EventLike};
use jiff::Timestamp;
use uuid::Uuid;

use crate::api::ScheduledMeetingSpec;
use crate::plan::window::Window;

/// What an invitation says.
pub struct Invite<'a> {
    /// What tells this meeting from all others, in this life and the next: its mark.
    pub mark: &'a str,
    pub spec: &'a ScheduledMeetingSpec,
    pub number: u32,
    pub uri: Option<&'a str>,
    pub link: Option<&'a str>,
    pub passcode: Option<&'a str>,
}

/// Which edition of an invitation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edition {
    /// Counts edits (SEQUENCE).
    sequence: u32,
    /// When it was written (DTSTAMP).
    written: Timestamp,
}

impl Invite<'_> {
    /// The calendar file, and a further edition if it does not say what `before` said.
    pub fn calendar(&self, before: Option<&str>, generation: Option<i64>, now: Timestamp) -> String {
        let known = before.and_then(edition_of);
        if let Some(edition) = known
            && let Some(before) = before.filter(|before| **before == self.written(edition))
        {
            return before.to_owned();
        }
        // An object that was restored counts its generations from 1 again.
        let edits = generation.and_then(|generation| u32::try_from(generation.saturating_sub(1)).ok()).unwrap_or(0);
        let next = known.map_or(0, |edition| edition.sequence.saturating_add(1));
        self.written(Edition { sequence: edits.max(next), written: now })
    }

    fn written(&self, edition: Edition) -> String {
        let window = Window::of(self.spec, None);
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.mark.as_bytes());
        let mut event = Event::new();
        event
            .uid(&format!("{uid}@meeting-controller.dev"))
            .sequence(edition.sequence)
            .add_property("DTSTAMP", utc(edition.written))
            .add_property("DTSTART", utc(window.starts_at))
            .add_property("DTEND", utc(window.closes_at))
            .add_property("STATUS", "CONFIRMED")
            .summary(&self.spec.title)
            .description(&self.how_to_join())
            .location(&self.uri.map_or_else(|| self.number.to_string(), str::to_owned));
        if let Some(link) = self.link {
            event.add_property("URL", link);
        }
        let mut calendar = Calendar::empty();
        calendar
            .append_property(("VERSION", "2.0"))
            .append_property(("PRODID", "-//meeting-controller.dev//meeting-controller//EN"))
            .append_property(("CALSCALE", "GREGORIAN"))
            .append_property(("METHOD", "PUBLISH"))
            .push(event);
        calendar.to_string()
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let window = Window::of(self.spec, None);
        let mut text = format!("{}\n\n", self.spec.title);
        let is_one_day = utc(window.starts_at).get(..8) == utc(window.closes_at).get(..8);
        let form = if is_one_day { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        let (start, end) = (window.starts_at.strftime("%Y-%m-%d %H:%M"), window.closes_at.strftime(form));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "When: {start} to {end} UTC");
        if window.opens_at < window.starts_at {
            let _ = writeln!(text, "Open from: {} UTC", window.opens_at.strftime("%Y-%m-%d %H:%M"));
        }
        text + &self.how_to_join()
    }

    fn how_to_join(&self) -> String {
        let number = self.number.to_string();
        let passcode = self.passcode.filter(|passcode| !passcode.is_empty());
        let lines = [
            ("Link", self.link),
            ("Dial", self.uri),
            ("Meeting number", Some(number.as_str())),
            ("Passcode", passcode),
        ];
        let said = lines.into_iter().filter_map(|(word, value)| Some(format!("{word}: {}\n", value?)));
        said.collect()
    }
}

/// A date with time in UTC (RFC 5545 section 3.3.5, form 2).
fn utc(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The edition of a file that was written by [`Invite::written`]; None: it is none of these.
fn edition_of(calendar: &str) -> Option<Edition> {
    let value = |key: &str| calendar.lines().find_map(|line| line.trim_end().strip_prefix(key)?.strip_prefix(':'));
    let written = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", value("DTSTAMP")?).ok()?.to_datetime().ok()?;
    let written = written.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Edition { sequence: value("SEQUENCE")?.parse().ok()?, written })
}

#[cfg(test)]
mod tests;
