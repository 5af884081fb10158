//! The invitation of a meeting: `invite.ics` for calendars (RFC 5545, RFC 5546 for METHOD and SEQUENCE), `invite.txt` for
//! people. No I/O.

use std::fmt::Write;

use icalendar::{Calendar, Component, Event, EventLike};
use jiff::Timestamp;
use uuid::Uuid;

use crate::plan::window::Window;

/// SEQUENCE counts seconds from 2020 on: as an INTEGER (RFC 5545 section 3.3.8) that is enough until 2088.
const EPOCH: i64 = 1_577_836_800;

/// What an invitation says.
pub struct Invite<'a> {
    /// What tells this meeting from all others, in this life and the next: its mark.
    pub mark: &'a str,
    pub title: &'a str,
    /// When it is, as agreed upon.
    pub window: Window,
    pub number: u32,
    pub uri: Option<&'a str>,
    pub link: Option<&'a str>,
    pub passcode: Option<&'a str>,
}

/// Which edition of an invitation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edition {
    /// Greater than that of every edition before (SEQUENCE).
    sequence: u32,
    /// When it was written (DTSTAMP).
    written: Timestamp,
}

impl Invite<'_> {
    /// The calendar file, and a further edition if it does not say what `before` said.
    pub fn calendar(&self, before: Option<&str>, now: Timestamp) -> String {
        let known = before.and_then(edition_of);
        if let Some(edition) = known
            && let Some(before) = before.filter(|before| **before == self.written(edition))
        {
            return before.to_owned();
        }
        // Of a meeting that was deleted and made again, or restored, nothing else tells which editions there were.
        let since = now.as_second().saturating_sub(EPOCH).clamp(0, i32::MAX.into());
        let next = known.map_or(0, |edition| edition.sequence.saturating_add(1));
        let sequence = next.max(u32::try_from(since).unwrap_or_default());
        self.written(Edition { sequence, written: now })
    }

    fn written(&self, edition: Edition) -> String {
        let window = &self.window;
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.mark.as_bytes());
        let mut event = Event::new();
        event
            .uid(&format!("{uid}@meeting-controller.dev"))
            .sequence(edition.sequence)
            .add_property("DTSTAMP", utc(edition.written))
            .add_property("DTSTART", utc(window.starts_at))
            .add_property("DTEND", utc(window.closes_at))
            .add_property("STATUS", "CONFIRMED")
            .summary(self.title)
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
        let window = &self.window;
        let mut text = format!("{}\n\n", self.title);
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
