//! How to join a meeting, from the meeting and its join Secret. The space's secret is only ever shown within the link.

use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;

use super::{Booking, Ink, Style, moment, plain, time_on};
use crate::api::ScheduledMeeting;
use crate::api::access::{AccessMethodSpec, AccessRole};

/// What whoever is invited needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    #[serde(flatten)]
    pub booking: Booking,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    pub needs_passcode: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passcode: Option<String>,
    /// Further ways in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_methods: Vec<WayIn>,
}

/// A way in by the same number and another passcode.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WayIn {
    pub name: String,
    pub role: AccessRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passcode: Option<String>,
}

/// In the place of what is not shown.
const HIDDEN: &str = "***";

impl Join {
    /// Of a meeting and its join Secret; `show`: with what lets people in.
    pub fn of(meeting: &ScheduledMeeting, secret: &Secret, show: bool) -> Self {
        let entry = |key: &str| {
            let bytes = secret.data.as_ref()?.get(key)?;
            Some(String::from_utf8_lossy(&bytes.0).into_owned()).filter(|text| !text.is_empty())
        };
        let mut booking = Booking::of(meeting);
        booking.uri = entry("uri");
        let hide = |link: String| match link.split_once("secret=") {
            Some((start, _)) if !show => format!("{start}secret={HIDDEN}"),
            _ => link,
        };
        let passcode = entry("passcode");
        let way_in = |method: &AccessMethodSpec| WayIn {
            name: method.name.clone(),
            role: method.role,
            link: entry(&format!("access.{}.link", method.name)).map(hide),
            passcode: entry(&format!("access.{}.passcode", method.name)).filter(|_| show),
        };
        Self {
            access_methods: meeting.spec.access_methods.iter().map(way_in).collect(),
            booking,
            number: entry("number"),
            link: entry("link").map(hide),
            needs_passcode: passcode.is_some(),
            passcode: passcode.filter(|_| show),
        }
    }

    /// As people read it.
    pub fn text(&self, style: Style, zone: &TimeZone) -> String {
        let booking = &self.booking;
        let day = booking.starts_at.0.to_zoned(zone.clone());
        let time_zone = zone.iana_name().unwrap_or("local time");
        let when =
            format!("{} to {} ({time_zone})", moment(booking.starts_at.0, zone), time_on(booking.closes_at.0, &day));
        let passcode = match (&self.passcode, self.needs_passcode) {
            (Some(passcode), _) => plain(passcode),
            (None, true) => format!("{HIDDEN} (--show shows it)"),
            (None, false) => "none".to_owned(),
        };
        let phase = style.paint(booking.ink(), &format!("{:?}", booking.phase));
        let mut shown = format!("{}  {}  {phase}\n", style.paint(Ink::Bold, &booking.meeting), plain(&booking.title));
        let mut line = |title: &str, text: &str| {
            shown.push_str(&format!("  {}{text}\n", style.paint(Ink::Dim, &format!("{title:<10}"))));
        };
        line("When", &when);
        if booking.opens_at < booking.starts_at {
            line("Doors", &time_on(booking.opens_at.0, &day));
        }
        for (title, text) in [("Number", &self.number), ("URI", &booking.uri), ("Link", &self.link)] {
            if let Some(text) = text {
                line(title, &plain(text));
            }
        }
        line("Passcode", &passcode);
        for way in &self.access_methods {
            let passcode = way.passcode.as_deref().map_or_else(|| HIDDEN.to_owned(), plain);
            let link = way.link.as_deref().map(|link| format!(", {}", plain(link))).unwrap_or_default();
            line(way.role.name(), &format!("{}: passcode {passcode}{link}", plain(&way.name)));
        }
        shown
    }
}
