//! PURE: what people and machines get to see, made from objects. Nothing here asks anybody, or for the time.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod board;
pub mod bridge;
pub mod calendar;
pub mod join;
pub mod ticket;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::api::meeting::Phase;
use crate::api::names::ObjectKey;
use crate::api::values::Instant;
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::plan::window::Window;
use ticket::Ticket;

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

/// With colours, or without.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub colour: bool,
}

impl Style {
    /// The text in this ink.
    fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Warn => "33",
            Ink::Bad => "31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text of somebody else's without what a terminal would obey: control characters, and those that turn the direction.
pub fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// A cell of a table.
pub type Cell = (Ink, String);

/// A plain cell.
pub fn cell(text: impl Into<String>) -> Cell {
    (Ink::Plain, text.into())
}

/// Rows below a header, in columns that fit; the last one is as long as it is.
pub fn table(style: Style, header: &[&str], rows: &[Vec<Cell>]) -> String {
    let head: Vec<Cell> = header.iter().map(|title| (Ink::Dim, (*title).to_owned())).collect();
    let all: Vec<&Vec<Cell>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        let texts = all.iter().filter_map(|row| row.get(column));
        texts.map(|(_, text)| text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut shown = String::new();
    for row in all {
        let mut line = String::new();
        for (index, ((ink, text), width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&style.paint(*ink, text));
            if index + 1 < row.len() {
                line.push_str(&" ".repeat(width.saturating_sub(text.chars().count()) + 2));
            }
        }
        shown.push_str(&format!("  {}\n", line.trim_end()));
    }
    shown
}

/// Day and time in the zone of the reader.
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M").to_string()
}

/// Time in the zone of the reader; with the day, if it is another one than that.
pub fn time_on(at: Timestamp, day: &Zoned) -> String {
    let at = at.to_zoned(day.time_zone().clone());
    let form = if at.date() == day.date() { "%H:%M" } else { "%a %H:%M" };
    at.strftime(form).to_string()
}

/// A meeting with its window and slot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    pub meeting: String,
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    pub opens_at: Instant,
    pub starts_at: Instant,
    pub closes_at: Instant,
    pub phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant_count: Option<u32>,
    pub tickets: Vec<Ticket>,
    #[serde(skip)]
    window: Window,
}

impl Booking {
    /// Of a meeting: the window that was agreed upon, or else the one that is asked for.
    pub fn of(meeting: &ScheduledMeeting) -> Self {
        let none = Default::default();
        let status = meeting.status.as_ref().unwrap_or(&none);
        let window = status.window.map_or_else(|| Window::of_meeting(&meeting.spec, status), Window::from);
        Self {
            meeting: ObjectKey::of(meeting).to_string(),
            title: meeting.spec.title.clone(),
            slot: status.slot.as_ref().map(|slot| slot.number),
            uri: status.slot.as_ref().and_then(|slot| slot.uri.clone()),
            opens_at: Instant(window.opens_at),
            starts_at: Instant(window.starts_at),
            closes_at: Instant(window.closes_at),
            phase: status.phase.unwrap_or_default(),
            participant_count: status.participant_count,
            tickets: ticket::of_meeting(meeting),
            window,
        }
    }

    /// Does it hold its slot at some time from then until then?
    pub fn is_within(&self, from: Timestamp, to: Timestamp) -> bool {
        self.window.opens_at < to && from < self.window.closes_at
    }

    /// When, for people: the door is named if it opens before the start.
    pub fn when(&self, zone: &TimeZone) -> String {
        let day = self.starts_at.0.to_zoned(zone.clone());
        let when = format!("{} to {}", moment(self.starts_at.0, zone), time_on(self.closes_at.0, &day));
        if self.opens_at < self.starts_at {
            return format!("{when}, doors {}", time_on(self.opens_at.0, &day));
        }
        when
    }

    /// In which colour its phase is.
    pub fn ink(&self) -> Ink {
        match self.phase {
            Phase::Missed => Ink::Bad,
            Phase::Ended => Ink::Dim,
            _ if self.tickets.iter().any(|ticket| ticket.severity == ticket::Severity::Error) => Ink::Bad,
            Phase::Pending | Phase::Closing => Ink::Warn,
            Phase::Scheduled => Ink::Plain,
            Phase::Opening | Phase::Active => Ink::Good,
        }
    }
}

/// The bridge on which a meeting is booked, or else the one that it asks for.
pub fn place(meeting: &ScheduledMeeting) -> Option<ObjectKey> {
    let booked = meeting.status.as_ref().and_then(|status| status.bridge.as_ref());
    let where_booked = booked.map(|bridge| ObjectKey::new(&bridge.namespace, &bridge.name));
    where_booked.or_else(|| {
        let asked = meeting.spec.bridge_ref.as_ref()?;
        let own = ObjectKey::of(meeting).namespace;
        Some(ObjectKey::new(asked.namespace.clone().unwrap_or(own), &asked.name))
    })
}

/// The bookings on a bridge, in the order in which they begin: of meetings that are booked there, or ask for it.
pub fn bookings(bridge: &MeetingBridge, meetings: &[ScheduledMeeting]) -> Vec<Booking> {
    let key = ObjectKey::of(bridge);
    in_order(meetings.iter().filter(|meeting| place(meeting).as_ref() == Some(&key)))
}

fn in_order<'a>(meetings: impl Iterator<Item = &'a ScheduledMeeting>) -> Vec<Booking> {
    let mut found: Vec<Booking> = meetings.map(Booking::of).collect();
    found.sort_by(|a, b| (a.opens_at, a.slot, &a.meeting).cmp(&(b.opens_at, b.slot, &b.meeting)));
    found
}

#[cfg(test)]
pub mod tests;
