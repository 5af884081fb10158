//! The page of `board`, as values that a browser only has to draw: texts as the terminal has them, places in a week from
//! 0 to 1. Join details have no place in it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::bridge::{CLUSTER_HEAD, Screen};
use super::calendar::{Calendar, Frame};
use super::ticket::Ticket;
use super::{Booking, Cell, Ink, bookings, in_order, moment, place, plain};
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, ScheduledMeeting};

/// Everything that is on the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    pub scope: String,
    pub now: String,
    pub time_zone: String,
    /// What whoever looks should know about what they see: what is old, what they may not see.
    pub notes: Vec<Note>,
    pub panels: Vec<Panel>,
    pub elsewhere: Elsewhere,
}

/// Something about the page itself.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    pub ink: Ink,
    pub text: String,
    pub remedy: String,
}

/// One bridge.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    bridge: String,
    display_name: String,
    state: Cell,
    tickets: Vec<TicketView>,
    system: Vec<(&'static str, Cell)>,
    cluster_head: [&'static str; 5],
    cluster: Vec<Vec<Cell>>,
    bookings: Option<String>,
    week: Option<Week>,
}

/// The meetings that are on no bridge of the page.
#[derive(Debug, Serialize)]
pub struct Elsewhere {
    tickets: Vec<TicketView>,
    bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
struct TicketView {
    ink: Ink,
    word: &'static str,
    headline: String,
    message: String,
    remedy: String,
}

/// The week of a bridge, from Monday in the reader's zone.
#[derive(Debug, Serialize)]
struct Week {
    days: Vec<Mark>,
    hours: Vec<Mark>,
    now: Option<f64>,
    /// The slots that are booked at some time of the week.
    slots: Vec<u32>,
    bars: Vec<Bar>,
}

/// A line across the slots.
#[derive(Debug, Serialize)]
struct Mark {
    at: f64,
    label: String,
}

/// A meeting in its slot.
#[derive(Debug, Serialize)]
struct Bar {
    meeting: String,
    title: String,
    slot: Option<u32>,
    phase: String,
    ink: Ink,
    when: String,
    count: Option<u32>,
    from: f64,
    to: f64,
    /// Where it starts: before that only the door is open.
    start: f64,
}

/// The part of the world that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub bridges: &'a [MeetingBridge],
    pub meetings: &'a [ScheduledMeeting],
    /// The namespace; none: all.
    pub namespace: Option<&'a str>,
}

impl Board {
    /// Of what is known at a moment, in a zone.
    pub fn of(sight: Sight<'_>, notes: Vec<Note>, now: Timestamp, zone: &TimeZone) -> Self {
        let frame = Frame { from: Frame::monday(now, zone), days: 7, zone: zone.clone(), now, width: 0 };
        let keys: Vec<ObjectKey> = sight.bridges.iter().map(ObjectKey::of).collect();
        let is_elsewhere = |meeting: &&ScheduledMeeting| {
            let is_in = sight.namespace.is_none_or(|own| ObjectKey::of(*meeting).namespace == own);
            is_in && place(meeting).is_none_or(|key| !keys.contains(&key))
        };
        let mut others = in_order(sight.meetings.iter().filter(is_elsewhere));
        others.retain(|booking| !booking.phase.is_over());
        let tickets = others.iter().flat_map(|booking| &booking.tickets);
        Self {
            scope: sight.namespace.map_or("all namespaces".to_owned(), |name| format!("namespace {name}")),
            now: moment(now, zone),
            time_zone: zone.iana_name().unwrap_or("local time").to_owned(),
            notes,
            panels: sight.bridges.iter().map(|bridge| Panel::of(bridge, sight.meetings, &frame)).collect(),
            elsewhere: Elsewhere {
                tickets: tickets.map(|ticket| TicketView::of(ticket, zone)).collect(),
                bars: others.iter().map(|booking| Bar::of(booking, zone, |_| 0.0)).collect(),
            },
        }
    }
}

impl Panel {
    fn of(bridge: &MeetingBridge, meetings: &[ScheduledMeeting], frame: &Frame) -> Self {
        let screen = Screen::of(bridge, meetings, frame.now);
        Self {
            state: screen.state(),
            tickets: screen.all_tickets().map(|ticket| TicketView::of(ticket, &frame.zone)).collect(),
            system: screen.system_rows(&frame.zone),
            cluster_head: CLUSTER_HEAD,
            cluster: screen.cluster_rows(),
            bookings: screen.bookings_line(&frame.zone),
            week: Week::of(bridge, meetings, frame),
            display_name: plain(&screen.display_name),
            bridge: screen.bridge,
        }
    }
}

impl TicketView {
    fn of(ticket: &Ticket, zone: &TimeZone) -> Self {
        let (ink, word) = ticket.mark();
        let (message, remedy) = (plain(&ticket.message), plain(&ticket.remedy));
        Self { ink, word, headline: ticket.headline(zone), message, remedy }
    }
}

impl Week {
    /// None beyond the end of what calendars have.
    fn of(bridge: &MeetingBridge, meetings: &[ScheduledMeeting], frame: &Frame) -> Option<Self> {
        // The days, as long as they are: 167 or 169 hours make a week where the clocks change.
        let calendar = Calendar::of(bridge, &[], frame).ok()?;
        let (begin, end) = (calendar.days.first()?.from.0, calendar.days.last()?.to.0);
        let length = end.duration_since(begin).as_secs_f64();
        let at = |time: Timestamp| (time.duration_since(begin).as_secs_f64() / length).clamp(0.0, 1.0);
        let mark = |time: Timestamp, form: &str| Mark {
            at: at(time),
            label: time.to_zoned(frame.zone.clone()).strftime(form).to_string(),
        };
        let hours = std::iter::successors(Some(begin), |at| at.checked_add(SignedDuration::from_hours(1)).ok());
        let mut all = bookings(bridge, meetings);
        all.retain(|booking| booking.is_within(begin, end));
        let mut slots: Vec<u32> = all.iter().filter_map(|booking| booking.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        Some(Self {
            days: calendar.days.iter().map(|day| mark(day.from.0, "%a %d %b")).collect(),
            hours: hours.take_while(|at| *at < end).map(|at| mark(at, "%H:%M")).collect(),
            now: (begin <= frame.now && frame.now < end).then(|| at(frame.now)),
            slots,
            bars: all.iter().map(|booking| Bar::of(booking, &frame.zone, at)).collect(),
        })
    }
}

impl Bar {
    fn of(booking: &Booking, zone: &TimeZone, at: impl Fn(Timestamp) -> f64) -> Self {
        Self {
            meeting: booking.meeting.clone(),
            title: plain(&booking.title),
            slot: booking.slot,
            phase: format!("{:?}", booking.phase),
            ink: booking.ink(),
            when: booking.when(zone),
            count: booking.participant_count,
            from: at(booking.opens_at.0),
            to: at(booking.closes_at.0),
            start: at(booking.starts_at.0),
        }
    }
}

/// What is told of a kind that is not as it is now.
pub fn stale(kind: &str, since: Option<Timestamp>, reason: &str, remedy: &str, zone: &TimeZone) -> Note {
    let text = match since {
        Some(since) => format!("{kind}: stale since {}. {}", moment(since, zone), plain(reason)),
        None => format!("{kind}: cannot be read. {}", plain(reason)),
    };
    Note { ink: if since.is_some() { Ink::Warn } else { Ink::Bad }, text, remedy: plain(remedy) }
}
