//! What belongs to one call bridge (cms-protocol.md section 9): calls, legs, participants, alarms, CDR receivers, its
//! cluster configuration, its clock and uptime.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::record::{Fields, Record, Table};
use crate::ids::Id;

/// A call instance on one bridge.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, valid on this bridge only.
    pub id: Id,
    /// Equal for all instances of one distributed call.
    pub correlator: Id,
    /// The space; none for an ad hoc call.
    pub space: Option<Id>,
    /// Name at the time of creation.
    pub name: String,
    /// Made by POST: stays until DELETE (7.1).
    pub by_api: bool,
    /// Start of the call.
    pub started: Instant,
    /// Most legs at one time.
    pub max_legs: usize,
    /// Attributes of `schema::CALL_FIELDS`.
    pub fields: Fields,
    /// Since when the text of `messageText` is shown, if there is one.
    pub message_since: Option<Instant>,
    /// Its legs on this bridge, links included.
    pub legs: Vec<Id>,
    /// Index into the log of calls.
    pub log: usize,
}

/// A text that everybody in a call reads now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub text: &'a str,
    /// Seconds that are left of it; none if it stays.
    pub remaining: Option<u64>,
}

impl Call {
    /// The text on the screen, as long as its `messageDuration` lasts (7.1).
    pub fn message(&self) -> Option<Message<'_>> {
        let shown_for = self.message_since?.elapsed();
        let text = self.fields.get("messageText")?;
        let Some(duration) = self.fields.number("messageDuration") else {
            return Some(Message { text, remaining: None });
        };
        let remaining = Duration::from_secs(duration).checked_sub(shown_for).filter(|left| !left.is_zero())?;
        Some(Message { text, remaining: Some(remaining.as_secs_f64().ceil() as u64) })
    }
}

/// `status/state` of a leg (7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LegState {
    /// Made, not yet ringing.
    Initial,
    /// The far end rings.
    Ringing,
    /// Media flows.
    Connected,
}

impl Leg {
    /// `status/deactivated`: waits for somebody who activates, unless that was set for this participant (7.4).
    pub fn is_deactivated(&self) -> bool {
        self.fields.get("deactivated").map_or(!self.is_active, |set| set == "true")
    }
}

impl LegState {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Ringing => "ringing",
            Self::Connected => "connected",
        }
    }
}

/// `direction` of a leg (7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Somebody dialled in.
    Incoming,
    /// The bridge dialled.
    Outgoing,
}

impl Direction {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// A call leg on one bridge, and the participant it belongs to (every leg here is a participant of its own).
#[derive(Debug, Clone)]
pub struct Leg {
    /// Its id.
    pub id: Id,
    /// The id of its participant.
    pub participant: Id,
    /// The call on the same bridge.
    pub call: Id,
    /// Display name, empty until connected (quirk 16).
    pub name: String,
    /// The far end, as it is shown.
    pub remote_party: String,
    /// The far end, as it was dialled.
    pub original: String,
    pub direction: Direction,
    /// The peer bridge of a `distributionLink`.
    pub link: Option<usize>,
    pub state: LegState,
    /// When it connected.
    pub connected: Option<Instant>,
    /// `ownerId`, `chosenLayout` and overridden profile attributes (7.3), importance and so on (7.4).
    pub fields: Fields,
    /// The access method by which somebody dialled in; none: the space itself, or the bridge dialled.
    pub access_method: Option<Id>,
    /// Not `deactivated`: needs no activation, or somebody who needs none is in.
    pub is_active: bool,
    /// Index into the log of dials, if the bridge dialled.
    pub dial: Option<usize>,
    /// `sipCallId`.
    pub sip_call_id: String,
}

/// Somebody whose bridge is gone, while its peers do not know it (switch `peer_loss_delay_ms`).
#[derive(Debug)]
pub struct Vanished {
    /// As it was at the end.
    pub leg: Leg,
    /// The bridge it was on.
    pub host: usize,
    /// The correlator and the space of its call.
    pub correlator: Id,
    pub space: Option<Id>,
    /// When the peers notice.
    pub until: Instant,
}

/// An entry of system/alarms.
#[derive(Debug, Clone)]
pub struct Alarm {
    pub id: Id,
    /// A type of 4.2.
    pub kind: String,
    /// A reason of 4.2.
    pub reason: Option<String>,
    /// Type-specific child element: its name and text.
    pub child: Option<(&'static str, String)>,
    /// Since when it is active.
    pub since: Instant,
}

/// One call bridge.
#[derive(Debug)]
pub struct Bridge {
    /// Id in /callBridges.
    pub id: Id,
    /// `hostId` of system/status.
    pub host_id: Id,
    /// Start of the process, moved back by the configured uptime.
    pub started: Instant,
    /// Uptime in seconds at `started`.
    pub uptime_base: u64,
    /// False after `stop_bridge`: the process is gone and so are its calls.
    pub running: bool,
    /// Whether this bridge reaches the database.
    pub database: bool,
    /// Seconds by which `cdrTime` is ahead of the true time.
    pub clock_skew: i64,
    pub calls: Table<Call>,
    /// Live calls of a space.
    pub calls_of_space: HashMap<Id, Vec<Id>>,
    /// Live calls of a correlator.
    pub calls_of_correlator: HashMap<Id, Vec<Id>>,
    pub legs: Table<Leg>,
    /// The leg of a participant.
    pub leg_of_participant: HashMap<Id, Id>,
    /// Counters of system/status.
    pub legs_max: u64,
    pub legs_completed: u64,
    pub cdr_receivers: Table<Record>,
    /// /system/configuration/cluster.
    pub configuration: Fields,
    pub alarms: Vec<Alarm>,
}

impl Bridge {
    /// A bridge that just started.
    pub fn new(id: Id, host_id: Id, uptime_base: u64) -> Self {
        Self {
            id,
            host_id,
            started: Instant::now(),
            uptime_base,
            running: true,
            database: true,
            clock_skew: 0,
            calls: Table::default(),
            calls_of_space: HashMap::new(),
            calls_of_correlator: HashMap::new(),
            legs: Table::default(),
            leg_of_participant: HashMap::new(),
            legs_max: 0,
            legs_completed: 0,
            cdr_receivers: Table::default(),
            configuration: Fields::default(),
            alarms: Vec::new(),
        }
    }

    /// `uptimeSeconds`.
    pub fn uptime(&self) -> u64 {
        self.uptime_base + self.started.elapsed().as_secs()
    }

    /// `cdrTime`, to the second.
    pub fn cdr_time(&self) -> String {
        let now = jiff::Timestamp::now();
        let skewed = now.checked_add(jiff::SignedDuration::from_secs(self.clock_skew)).unwrap_or(now);
        skewed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Its legs without the links to other bridges.
    pub fn people(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| leg.link.is_none())
    }

    /// How many they are; counters of legs do not count links (section 9).
    pub fn people_count(&self) -> usize {
        self.leg_of_participant.len()
    }

    /// The live calls of a space on this bridge.
    pub fn calls_of(&self, space: &str) -> impl Iterator<Item = &Call> {
        self.calls_of_space.get(space).into_iter().flatten().filter_map(|id| self.calls.get(id))
    }

    /// The first live call with a correlator.
    pub fn call_with(&self, correlator: &str) -> Option<&Call> {
        self.calls_of_correlator.get(correlator)?.first().and_then(|id| self.calls.get(id))
    }
}
