//! Tickets: what is wrong with an object, and what to do, from its conditions and the one list of reasons.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::Resource;
use serde::Serialize;

use super::{Ink, Style, moment, plain};
use crate::api::conditions::{self, ReasonDoc, types};
use crate::api::names::ObjectKey;
use crate::api::values::Instant;
use crate::api::{Condition, MeetingBridge, ScheduledMeeting, find};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// The object is not Ready because of it.
    Error,
    /// Nothing is blocked.
    Warning,
    /// Not known yet.
    Info,
}

/// Something that somebody should know, or do something about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    pub severity: Severity,
    pub object: String,
    pub condition: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub remedy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
}

/// The tickets of a bridge, those that block it first.
pub fn of_bridge(bridge: &MeetingBridge) -> Vec<Ticket> {
    let status = bridge.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let object = format!("mb {}", ObjectKey::of(bridge));
    tickets(&object, (bridge.meta().generation, observed), conditions, conditions::bridge::TABLE)
}

/// The tickets of a meeting, those that block it first.
pub fn of_meeting(meeting: &ScheduledMeeting) -> Vec<Ticket> {
    let status = meeting.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let object = format!("mtg {}", ObjectKey::of(meeting));
    tickets(&object, (meeting.meta().generation, observed), conditions, conditions::meeting::TABLE)
}

fn tickets(
    object: &str,
    (generation, observed): (Option<i64>, Option<i64>),
    conditions: &[Condition],
    table: &[ReasonDoc],
) -> Vec<Ticket> {
    let mut found: Vec<Ticket> = unseen(object, generation, observed).into_iter().collect();
    let ready = find(conditions, types::READY);
    let blocking = ready.filter(|ready| ready.status == "False");
    let is_told = |ready: &Condition| {
        let same = |other: &Condition| other.reason == ready.reason && other.status == ready.status;
        conditions.iter().any(|other| !is_summary(&other.type_) && same(other))
    };
    for condition in conditions {
        let remedy = remedy(table, condition);
        let severity = match (condition.type_.as_str(), condition.status.as_str()) {
            (types::READY, "False") if !is_told(condition) => Severity::Error,
            (types::READY, "Unknown") if !is_told(condition) => Severity::Info,
            (kind, _) if is_summary(kind) => continue,
            (types::FAILED_OVER | types::INSECURE_TLS, "True") => Severity::Warning,
            (types::FAILED_OVER | types::INSECURE_TLS, _) | (_, "True") => continue,
            (_, "False") if blocking.is_some_and(|ready| ready.reason == condition.reason) => Severity::Error,
            // It is not time yet, or it comes by itself.
            _ if matches!(remedy, "Nothing." | "Wait.") => continue,
            (_, "False") => Severity::Warning,
            _ => Severity::Info,
        };
        found.push(Ticket {
            severity,
            object: object.to_owned(),
            condition: condition.type_.to_string(),
            status: condition.status.to_string(),
            reason: condition.reason.to_string(),
            message: condition.message.to_string(),
            remedy: remedy.to_owned(),
            since: Some(Instant(condition.last_transition_time.0)),
        });
    }
    found.sort_by_key(|ticket| ticket.severity);
    // Several conditions may have one cause: it is told once.
    found.dedup_by(|b, a| (&a.reason, &a.message) == (&b.reason, &b.message));
    found
}

/// These tell again what another condition says.
fn is_summary(kind: &str) -> bool {
    matches!(kind, types::READY | types::RECONCILING | types::STALLED)
}

/// What to do, by the one list of reasons.
pub fn remedy(table: &[ReasonDoc], condition: &Condition) -> &'static str {
    let of_reason = || table.iter().filter(|row| condition.reason == row.reason);
    let exact = of_reason().find(|row| condition.type_ == row.condition);
    exact.or_else(|| of_reason().next()).map_or("", |row| row.remedy)
}

/// A status that judges an older spec, or none at all.
fn unseen(object: &str, generation: Option<i64>, observed: Option<i64>) -> Option<Ticket> {
    let message = match observed {
        Some(observed) if Some(observed) >= generation => return None,
        Some(observed) if observed > 0 => {
            format!("The status judges generation {observed}, the object is at {}.", generation.unwrap_or_default())
        }
        _ => "No controller has looked at it yet.".to_owned(),
    };
    Some(Ticket {
        severity: Severity::Info,
        object: object.to_owned(),
        condition: types::READY.to_owned(),
        status: "Unknown".to_owned(),
        reason: "NotObserved".to_owned(),
        message,
        remedy: "Wait; if it stays, see whether a controller runs that looks after this namespace.".to_owned(),
        since: None,
    })
}

impl Ticket {
    /// How it is painted, and its word.
    pub fn mark(&self) -> (Ink, &'static str) {
        match self.severity {
            Severity::Error => (Ink::Bad, "ERROR"),
            Severity::Warning => (Ink::Warn, "WARNING"),
            Severity::Info => (Ink::Dim, "INFO"),
        }
    }

    /// What is so, with which object, since when.
    pub fn headline(&self, zone: &TimeZone) -> String {
        let since = self.since.filter(|since| since.0 > Timestamp::UNIX_EPOCH);
        let since = since.map(|since| format!(", since {}", moment(since.0, zone))).unwrap_or_default();
        let is = format!("{}={} {}", self.condition, self.status, self.reason);
        format!("{}: {}{since}", self.object, plain(&is))
    }
}

/// The tickets, as people read them.
pub fn text(tickets: &[Ticket], style: Style, zone: &TimeZone) -> String {
    let mut shown = String::new();
    for ticket in tickets {
        let (ink, word) = ticket.mark();
        shown.push_str(&format!("  {} {}\n", style.paint(ink, word), ticket.headline(zone)));
        for line in [ticket.message.as_str(), &format!("Do: {}", ticket.remedy)] {
            if !matches!(line, "" | "Do: ") {
                shown.push_str(&format!("      {}\n", plain(line)));
            }
        }
    }
    shown
}
