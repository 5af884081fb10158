//! One bridge on one screen: tickets, system, cluster, bookings.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::ticket::{self, Ticket};
use super::{Booking, Cell, Ink, Style, bookings, cell, moment, plain, table};
use crate::api::bridge::{BookingsStatus, CallBridgeStatus, ClusterStatus, SlotsStatus, SystemInfo};
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, ScheduledMeeting, find};

/// The titles of the columns of [`Screen::cluster_rows`].
pub const CLUSTER_HEAD: [&str; 5] = ["ADDRESS", "CALL BRIDGE", "ROLE", "ACTIVE", "STATE"];

/// What is known of a bridge.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Screen {
    pub bridge: String,
    pub display_name: String,
    pub address: String,
    pub phase: String,
    pub ready: String,
    pub tickets: Vec<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_call_bridge: Option<String>,
    pub call_bridges: Vec<CallBridgeStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<SlotsStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bookings: Option<BookingsStatus>,
    /// The meetings of the next seven days that the user may see.
    pub meetings: Vec<Booking>,
}

impl Screen {
    /// Of a bridge, with the meetings that the user may see.
    pub fn of(bridge: &MeetingBridge, meetings: &[ScheduledMeeting], now: Timestamp) -> Self {
        let status = bridge.status.clone().unwrap_or_default();
        let ready = find(&status.conditions, "Ready");
        let week = now.saturating_add((24 * 7).hours()).unwrap_or(now);
        let mut soon = bookings(bridge, meetings);
        soon.retain(|booking| booking.is_within(now, week) && !booking.phase.is_over());
        Self {
            bridge: ObjectKey::of(bridge).to_string(),
            display_name: bridge.spec.display_name.clone(),
            address: bridge.spec.address.clone(),
            phase: status.phase.unwrap_or_else(|| "Pending".to_owned()),
            ready: ready.map_or("Unknown".to_owned(), |ready| ready.status.to_string()),
            tickets: ticket::of_bridge(bridge),
            system: status.system,
            active_call_bridge: status.active_call_bridge,
            call_bridges: status.call_bridges,
            cluster: status.cluster,
            slots: status.slots,
            bookings: status.bookings,
            meetings: soon,
        }
    }

    /// As people read it.
    pub fn text(&self, style: Style, zone: &TimeZone) -> String {
        let name = style.paint(Ink::Bold, &self.bridge);
        let (ink, state) = self.state();
        let state = style.paint(ink, &state);
        let mut parts = vec![format!("{name}  {}  {state}\n", plain(&self.display_name))];
        let tickets: Vec<Ticket> = self.all_tickets().cloned().collect();
        let none = format!("  {}\n", style.paint(Ink::Good, "none"));
        let shown = if tickets.is_empty() { none } else { ticket::text(&tickets, style, zone) };
        parts.push(format!("{}\n{shown}", style.paint(Ink::Bold, "TICKETS")));
        parts.push(format!("{}\n{}", style.paint(Ink::Bold, "SYSTEM"), self.system_text(style, zone)));
        if let Some(cluster) = self.cluster_text(style) {
            parts.push(format!("{}\n{cluster}", style.paint(Ink::Bold, "CLUSTER")));
        }
        parts.push(format!("{}\n{}", style.paint(Ink::Bold, "BOOKINGS"), self.bookings_text(style, zone)));
        parts.join("\n")
    }

    /// Phase and readiness.
    pub fn state(&self) -> Cell {
        let ink = match self.ready.as_str() {
            "True" => Ink::Good,
            "False" => Ink::Bad,
            _ => Ink::Warn,
        };
        (ink, format!("{} (Ready={})", plain(&self.phase), plain(&self.ready)))
    }

    /// The tickets of the bridge, and of the meetings that are booked there.
    pub fn all_tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter().chain(self.meetings.iter().flat_map(|booking| &booking.tickets))
    }

    /// The system, line by line: what it is, how it is.
    pub fn system_rows(&self, zone: &TimeZone) -> Vec<(&'static str, Cell)> {
        let mut rows = vec![("Address", cell(plain(&self.address)))];
        if let Some(active) = self.active_call_bridge.as_ref().filter(|active| **active != self.address) {
            rows.push(("Active", (Ink::Warn, plain(active))));
        }
        if let Some(system) = &self.system {
            rows.push(("Software", cell(plain(&system.software_version))));
            if let Some(boot) = system.boot_time {
                rows.push(("Booted", cell(moment(boot.0, zone))));
            }
            match system.activated {
                Some(true) => rows.push(("Licence", cell("activated"))),
                Some(false) => rows.push(("Licence", (Ink::Bad, "not activated".to_owned()))),
                None => {}
            }
            let (active, most) = (system.call_legs_active, system.call_legs_max_active);
            let legs = format!("{active} now, {most} at most, {} completed", system.call_legs_completed);
            rows.push(("Call legs", cell(legs)));
        } else {
            rows.push(("Software", (Ink::Dim, "not known yet".to_owned())));
        }
        if let Some(slots) = &self.slots {
            let (total, free, used) = (slots.total, slots.free, slots.in_use);
            let foreign =
                if slots.foreign > 0 { format!(", {} somebody else's", slots.foreign) } else { String::new() };
            rows.push(("Slots", cell(format!("{total}: {free} free, {used} in use{foreign}"))));
        }
        rows
    }

    fn system_text(&self, style: Style, zone: &TimeZone) -> String {
        let line = |(title, (ink, text)): &(&str, Cell)| {
            format!("  {}{}\n", style.paint(Ink::Dim, &format!("{title:<11}")), style.paint(*ink, text))
        };
        self.system_rows(zone).iter().map(line).collect()
    }

    fn cluster_text(&self, style: Style) -> Option<String> {
        let rows = self.cluster_rows();
        (!rows.is_empty()).then(|| table(style, &CLUSTER_HEAD, &rows))
    }

    /// The call bridges, below [`CLUSTER_HEAD`]; none of a lone one.
    pub fn cluster_rows(&self) -> Vec<Vec<Cell>> {
        let none = ClusterStatus::default();
        let cluster = self.cluster.as_ref().unwrap_or(&none);
        if self.call_bridges.len() < 2 && cluster.members.is_empty() {
            return Vec::new();
        }
        let known = |id: Option<&str>| cluster.members.iter().find(|member| Some(member.id.as_str()) == id);
        let row = |bridge: &CallBridgeStatus| {
            let name = known(bridge.call_bridge_id.as_deref()).map_or("-", |member| member.name.as_str());
            let is_active = self.active_call_bridge.as_ref() == Some(&bridge.address);
            let state = match (bridge.reachable, &bridge.reason) {
                (_, Some(reason)) => (Ink::Bad, plain(reason)),
                (Some(true), None) => (Ink::Good, "reachable".to_owned()),
                (Some(false), None) => (Ink::Bad, "unreachable".to_owned()),
                (None, None) => (Ink::Dim, "not known yet".to_owned()),
            };
            let role = format!("{:?}", bridge.role);
            let active = if is_active { (Ink::Good, "active".to_owned()) } else { cell("-") };
            vec![cell(plain(&bridge.address)), cell(plain(name)), cell(role), active, state]
        };
        let mut rows: Vec<Vec<Cell>> = self.call_bridges.iter().map(row).collect();
        let is_listed = |id: &str| self.call_bridges.iter().any(|bridge| bridge.call_bridge_id.as_deref() == Some(id));
        let rest = cluster.members.iter().filter(|member| !is_listed(&member.id));
        rows.extend(rest.map(|member| {
            let address = member.address.as_deref().unwrap_or("-");
            vec![cell(plain(address)), cell(plain(&member.name)), cell("not used"), cell("-"), cell("-")]
        }));
        rows
    }

    /// How much is booked.
    pub fn bookings_line(&self, zone: &TimeZone) -> Option<String> {
        let sum = self.bookings.as_ref()?;
        let next = sum.next_start.map(|next| format!("; the next one {}", moment(next.0, zone))).unwrap_or_default();
        let (count, peak) = (sum.next_seven_days, sum.peak_concurrent);
        Some(format!("{count} start within seven days; at most {peak} at one time{next}"))
    }

    fn bookings_text(&self, style: Style, zone: &TimeZone) -> String {
        let mut shown = self.bookings_line(zone).map(|line| format!("  {line}\n")).unwrap_or_default();
        let total = self.slots.as_ref().map_or(0, |slots| slots.total);
        let days = self.bookings.iter().flat_map(|sum| &sum.days).filter(|day| total > 0 && day.peak >= total);
        shown.extend(days.map(|day| format!("  every slot is taken at {}\n", moment(day.from.0, zone))));
        if self.meetings.is_empty() {
            return format!("{shown}  {}\n", style.paint(Ink::Dim, "none that you may see in the next seven days"));
        }
        let row = |booking: &Booking| {
            let day = booking.starts_at.0.to_zoned(zone.clone());
            vec![
                cell(moment(booking.starts_at.0, zone)),
                cell(super::time_on(booking.closes_at.0, &day)),
                cell(booking.slot.map_or("-".to_owned(), |slot| slot.to_string())),
                (booking.ink(), format!("{:?}", booking.phase)),
                cell(booking.participant_count.map_or("-".to_owned(), |count| count.to_string())),
                cell(booking.meeting.clone()),
                cell(plain(&booking.title)),
            ]
        };
        let rows: Vec<_> = self.meetings.iter().map(row).collect();
        shown + &table(style, &["START", "END", "SLOT", "PHASE", "IN", "MEETING", "TITLE"], &rows)
    }
}
