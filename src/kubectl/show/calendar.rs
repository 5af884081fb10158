//! A week of bookings, slot by slot. Days are those of the reader's zone: one with 23 or 25 hours is as long as it is.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde::Serialize;

use super::{Booking, Cell, Ink, Style, bookings, cell, plain, table, time_on};
use crate::api::names::ObjectKey;
use crate::api::values::Instant;
use crate::api::{MeetingBridge, ScheduledMeeting};

/// Which days, and how they are read.
#[derive(Clone, Debug)]
pub struct Frame {
    pub from: Date,
    pub days: u8,
    pub zone: TimeZone,
    pub now: Timestamp,
    pub width: usize,
}

impl Frame {
    /// Monday of the week of this moment.
    pub fn monday(now: Timestamp, zone: &TimeZone) -> Date {
        let today = now.to_zoned(zone.clone()).date();
        if today.weekday() == Weekday::Monday {
            return today;
        }
        today.nth_weekday(-1, Weekday::Monday).unwrap_or(today)
    }
}

/// The bookings of one bridge.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Calendar {
    pub bridge: String,
    pub display_name: String,
    pub time_zone: String,
    pub days: Vec<Day>,
    #[serde(skip)]
    frame: Frame,
}

/// One day of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Day {
    pub date: Date,
    pub from: Instant,
    pub to: Instant,
    pub meetings: Vec<Booking>,
    #[serde(skip)]
    begin: Zoned,
}

const NAMES: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Calendar {
    /// Of a bridge, with the meetings that the user may see.
    ///
    /// # Errors
    /// If a day is beyond what a calendar has.
    pub fn of(bridge: &MeetingBridge, meetings: &[ScheduledMeeting], frame: &Frame) -> Result<Self, String> {
        let all = bookings(bridge, meetings);
        let begin = |date: Date| date.to_zoned(frame.zone.clone()).map_err(|error| error.to_string());
        let mut days = Vec::new();
        let mut date = frame.from;
        for _ in 0..frame.days {
            let next = date.checked_add(1.day()).map_err(|error| error.to_string())?;
            let (start, end) = (begin(date)?, begin(next)?.timestamp());
            let from = start.timestamp();
            let meetings = all.iter().filter(|booking| booking.is_within(from, end)).cloned().collect();
            days.push(Day { date, from: Instant(from), to: Instant(end), meetings, begin: start });
            date = next;
        }
        Ok(Self {
            bridge: ObjectKey::of(bridge).to_string(),
            display_name: bridge.spec.display_name.clone(),
            time_zone: frame.zone.iana_name().map_or_else(|| "local time".to_owned(), str::to_owned),
            days,
            frame: frame.clone(),
        })
    }

    /// As people read it.
    pub fn text(&self, style: Style) -> String {
        let name = style.paint(Ink::Bold, &self.bridge);
        let mut shown = format!("{name}  {}  ({})\n", plain(&self.display_name), self.time_zone);
        for day in &self.days {
            shown.push('\n');
            shown.push_str(&day.text(style, &self.frame));
        }
        shown
    }
}

/// How many minutes a column is, so that a day fits into this width.
fn minutes_a_column(width: usize) -> i64 {
    // Eight columns are before the day: "  slot 7 ".
    match width {
        108.. => 15,
        60.. => 30,
        _ => 60,
    }
}

impl Day {
    fn text(&self, style: Style, frame: &Frame) -> String {
        let is_today = frame.now.to_zoned(frame.zone.clone()).date() == self.date;
        let date = self.begin.strftime("%a %Y-%m-%d").to_string();
        let now = if is_today { format!("  now {}", time_on(frame.now, &self.begin)) } else { String::new() };
        let title = style.paint(if is_today { Ink::Bold } else { Ink::Plain }, &date);
        if self.meetings.is_empty() {
            return format!("{title}{now}  {}\n", style.paint(Ink::Dim, "nothing booked"));
        }
        let column = SignedDuration::from_mins(minutes_a_column(frame.width));
        let mut shown = format!("{title}{now}\n  {:<8}{}\n", "", style.paint(Ink::Dim, &self.hours(column)));
        let named: Vec<(char, &Booking)> = NAMES.chars().chain(std::iter::repeat('#')).zip(&self.meetings).collect();
        let slots: BTreeSet<u32> = self.meetings.iter().filter_map(|booking| booking.slot).collect();
        for slot in slots {
            let there: Vec<(char, &Booking)> = named.iter().filter(|(_, b)| b.slot == Some(slot)).copied().collect();
            shown.push_str(&format!("  {slot:<8}{}\n", self.row(column, &there, style)));
        }
        let legend = |(name, booking): &(char, &Booking)| -> Vec<Cell> {
            let (opens, starts) = (booking.opens_at.0, booking.starts_at.0);
            let doors = if opens < starts { format!("doors {}", time_on(opens, &self.begin)) } else { String::new() };
            vec![
                cell(name.to_string()),
                cell(format!("{}-{}", time_on(starts, &self.begin), time_on(booking.closes_at.0, &self.begin))),
                cell(doors),
                cell(booking.slot.map_or("no slot".to_owned(), |slot| format!("slot {slot}"))),
                (booking.ink(), format!("{:?}", booking.phase)),
                cell(booking.meeting.clone()),
                cell(plain(&booking.title)),
            ]
        };
        let rows: Vec<_> = named.iter().map(legend).collect();
        // Without a header: the rows name what they are.
        let legend = table(style, &[""; 7], &rows);
        shown + legend.split_once('\n').map_or("", |(_, rows)| rows)
    }

    /// The instants at which the columns begin.
    fn columns(&self, column: SignedDuration) -> impl Iterator<Item = Timestamp> {
        let (from, to) = (self.from.0, self.to.0);
        std::iter::successors(Some(from), move |at| at.checked_add(column).ok()).take_while(move |at| *at < to)
    }

    /// The hours of the wall clock over the columns.
    fn hours(&self, column: SignedDuration) -> String {
        let every = if column < SignedDuration::from_mins(30) { 1 } else { 3 };
        let mut shown = String::new();
        for (index, at) in self.columns(column).enumerate() {
            let at = at.to_zoned(self.begin.time_zone().clone());
            // Where a day has an hour twice, the two may not fit side by side.
            if at.minute() == 0 && at.hour() % every == 0 && shown.chars().count() <= index {
                shown = format!("{shown:<index$}{:02}", at.hour());
            }
        }
        shown
    }

    /// One slot: a letter where a meeting holds it, `*` where one column has several.
    fn row(&self, column: SignedDuration, bookings: &[(char, &Booking)], style: Style) -> String {
        let mut shown = String::new();
        for at in self.columns(column) {
            let until = at.checked_add(column).unwrap_or(at).min(self.to.0);
            let mut there = bookings.iter().filter(|(_, booking)| booking.is_within(at, until));
            shown.push_str(&match (there.next(), there.next()) {
                (None, _) => style.paint(Ink::Dim, "\u{b7}"),
                (Some((name, booking)), None) => style.paint(booking.ink(), &name.to_string()),
                (Some(_), Some(_)) => "*".to_owned(),
            });
        }
        shown
    }
}
