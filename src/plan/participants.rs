//! Where each participant of a meeting is, and who is to be dialled now (R64-R68). Pure.

use jiff::{SignedDuration, Timestamp};

use crate::api::ScheduledMeetingSpec;
use crate::api::meeting::{Dial, ParticipantSpec, ParticipantState, ParticipantStatus};
use crate::api::values::Instant;
use crate::cms::{Address, Direction, LegId, LegState};

/// A leg that is still listed after this long has been answered: SIP gives up ringing well before. Used only where no
/// look at the single leg has told its state, so that a burst of meetings does not cost a request per leg.
pub const LONGEST_RING: SignedDuration = SignedDuration::from_secs(75);

/// A leg as the last looks show it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenLeg {
    pub id: LegId,
    pub remote_party: String,
    pub original_remote_party: Option<String>,
    /// From a look at the single leg, if there was one; lists do not carry it.
    pub state: Option<LegState>,
    pub direction: Option<Direction>,
    /// It has a display name.
    pub named: bool,
    /// Its name was empty and then filled while we watched: it was answered (cms-api.md section 13 no. 16).
    pub answered: bool,
}

/// The legs of one call at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenLegs {
    /// When the look began; what was done later is not in it.
    pub at: Timestamp,
    pub legs: Vec<SeenLeg>,
}

/// Who is in a meeting through a call bridge that was lost, as another one of the cluster knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elsewhere {
    pub legs: Vec<SeenLeg>,
    /// Call bridges that are back and still have a call of this meeting: who is missing there has left.
    pub standing: Vec<Address>,
}

/// The address without scheme and parameters, in lower case: `sip:Desk@x;transport=tls` is `desk@x`.
fn plain(address: &str) -> String {
    let address = address.trim();
    let bare = address.split_once(':').filter(|(scheme, _)| matches!(*scheme, "sip" | "sips" | "tel"));
    let rest = bare.map_or(address, |(_, rest)| rest);
    rest.split(';').next().unwrap_or(rest).to_ascii_lowercase()
}

impl SeenLeg {
    /// Is this the leg that dialling `remote_party` makes? The original address decides where the bridge keeps it
    /// (2.3 and later); older bridges show only the current one, which may have gained parameters.
    pub fn is_to(&self, remote_party: &str) -> bool {
        if self.direction == Some(Direction::Incoming) {
            return false;
        }
        let wanted = plain(remote_party);
        let dialled = self.original_remote_party.as_deref().filter(|party| !party.is_empty());
        plain(dialled.unwrap_or(&self.remote_party)) == wanted
    }

    fn is_connected(&self, since: Option<Timestamp>, at: Timestamp) -> bool {
        match &self.state {
            Some(LegState::Connected | LegState::OnHold) => true,
            _ if self.answered => true,
            _ => since.is_some_and(|since| at.duration_since(since) > LONGEST_RING),
        }
    }
}

fn fresh(participant: &ParticipantSpec) -> ParticipantStatus {
    ParticipantStatus {
        remote_party: participant.remote_party.clone(),
        state: ParticipantState::Waiting,
        attempts: 0,
        leg_id: None,
        reason: None,
        last_attempt_at: None,
        call_bridge: None,
    }
}

/// The participants of the spec, in its order, as the last status and the last looks show them.
///
/// Someone who never connected is failed or waiting for the next try; someone who was connected and left is left alone.
pub fn update(
    spec: &ScheduledMeetingSpec,
    old: &[ParticipantStatus],
    seen: Option<&SeenLegs>,
    elsewhere: Option<&Elsewhere>,
    outgoing: bool,
) -> Vec<ParticipantStatus> {
    spec.participants
        .iter()
        .map(|participant| {
            let before = old.iter().find(|p| p.remote_party == participant.remote_party);
            let mut now = before.cloned().unwrap_or_else(|| fresh(participant));
            if let Some(seen) = seen {
                apply_look(participant, &mut now, seen);
            }
            if let Some(elsewhere) = elsewhere {
                apply_elsewhere(participant, &mut now, elsewhere);
            }
            if participant.dial == Dial::Out && !outgoing && now.leg_id.is_none() && !was_in(now.state) {
                now.state = ParticipantState::NotDialed;
                now.reason = Some("OutgoingDialingDisabled".to_owned());
            } else if now.state == ParticipantState::NotDialed {
                now.state = ParticipantState::Waiting;
                now.reason = None;
            }
            now
        })
        .collect()
}

fn was_in(state: ParticipantState) -> bool {
    matches!(state, ParticipantState::Connected | ParticipantState::Left)
}

/// Is this the leg of the participant?
fn is_leg_of(participant: &ParticipantSpec, leg: &SeenLeg) -> bool {
    match participant.dial {
        Dial::Out => leg.is_to(&participant.remote_party),
        // Who dials in shows up with the address they call from.
        Dial::In => plain(&leg.remote_party) == plain(&participant.remote_party),
    }
}

fn apply_look(participant: &ParticipantSpec, now: &mut ParticipantStatus, seen: &SeenLegs) {
    let of_us = |leg: &&SeenLeg| now.leg_id.as_deref() == Some(leg.id.as_str()) || is_leg_of(participant, leg);
    if let Some(leg) = seen.legs.iter().find(of_us) {
        now.leg_id = Some(leg.id.to_string());
        now.call_bridge = None;
        if participant.dial == Dial::Out && now.attempts == 0 {
            // Dialled by us, but the record of it was lost: adopt.
            now.attempts = 1;
            now.last_attempt_at = Some(Instant(seen.at));
        }
        let since = now.last_attempt_at.map(|at| at.0);
        let connected = participant.dial == Dial::In || leg.is_connected(since, seen.at);
        if connected || now.state != ParticipantState::Connected {
            now.state = if connected { ParticipantState::Connected } else { ParticipantState::Ringing };
        }
        now.reason = None;
        return;
    }
    if now.call_bridge.is_some() {
        return; // Their leg was on another call bridge, of which this look tells nothing.
    }
    if now.last_attempt_at.is_some_and(|at| at.0 >= seen.at) {
        return; // The look began before the leg was made and says nothing about it.
    }
    match now.state {
        ParticipantState::Connected => {
            now.state = ParticipantState::Left;
            now.leg_id = None;
        }
        ParticipantState::Ringing => {
            now.leg_id = None;
            if now.attempts > participant.retry.limit {
                now.state = ParticipantState::Failed;
                now.reason = Some("NoAnswer".to_owned());
            } else {
                now.state = ParticipantState::Waiting;
            }
        }
        _ => {}
    }
}

/// Somebody whose call bridge was lost is still in, or was cut off and is dialled again; if that call bridge is back and
/// still has the call, who is missing has left.
fn apply_elsewhere(participant: &ParticipantSpec, now: &mut ParticipantStatus, elsewhere: &Elsewhere) {
    let Some(host) = now.call_bridge.clone() else { return };
    if let Some(leg) = elsewhere.legs.iter().find(|leg| is_leg_of(participant, leg)) {
        match &leg.state {
            Some(LegState::Connected | LegState::OnHold) => now.state = ParticipantState::Connected,
            Some(_) => now.state = ParticipantState::Ringing,
            None => {} // As it was before.
        }
        return;
    }
    now.call_bridge = None;
    if now.state == ParticipantState::Connected && elsewhere.standing.iter().any(|at| at.to_string() == host) {
        now.state = ParticipantState::Left;
    } else {
        start_over(now);
    }
}

/// Is it still open whether somebody is in through a call bridge that was lost?
pub fn is_anybody_elsewhere(statuses: &[ParticipantStatus]) -> bool {
    statuses.iter().any(|status| status.call_bridge.is_some())
}

/// When this participant is to be dialled next, or None if they are not.
fn due(participant: &ParticipantSpec, status: &ParticipantStatus, starts_at: Timestamp) -> Option<Timestamp> {
    if participant.dial != Dial::Out || status.state != ParticipantState::Waiting {
        return None;
    }
    if status.attempts > participant.retry.limit {
        return None;
    }
    let retry =
        status.last_attempt_at.map(|at| at.0.checked_add(participant.retry.backoff.signed()).unwrap_or(Timestamp::MAX));
    Some(retry.map_or(starts_at, |at| at.max(starts_at)))
}

/// Who is to be dialled now, in the order of the spec.
pub fn to_dial<'a>(
    spec: &'a ScheduledMeetingSpec,
    statuses: &[ParticipantStatus],
    starts_at: Timestamp,
    now: Timestamp,
) -> Option<&'a ParticipantSpec> {
    spec.participants.iter().find(|participant| {
        statuses
            .iter()
            .find(|status| status.remote_party == participant.remote_party)
            .and_then(|status| due(participant, status, starts_at))
            .is_some_and(|at| at <= now)
    })
}

/// The next instant after `now` at which somebody is to be dialled.
pub fn next_dial(
    spec: &ScheduledMeetingSpec,
    statuses: &[ParticipantStatus],
    starts_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    spec.participants
        .iter()
        .filter_map(|participant| {
            let status = statuses.iter().find(|status| status.remote_party == participant.remote_party)?;
            due(participant, status, starts_at)
        })
        .filter(|at| *at > now)
        .min()
}

fn start_over(status: &mut ParticipantStatus) {
    status.state = ParticipantState::Waiting;
    status.attempts = 0;
    status.leg_id = None;
    status.last_attempt_at = None;
}

/// After the call itself was lost: whoever was cut off is dialled again, whoever had left or failed is not (R68). If
/// its call bridge was `lost`, nobody knows yet who was cut off: the bridge may be well and only out of our reach.
pub fn after_call_lost(statuses: &mut [ParticipantStatus], lost: Option<&str>) {
    for status in statuses {
        if !matches!(status.state, ParticipantState::Connected | ParticipantState::Ringing) {
            continue;
        }
        match lost {
            Some(host) => {
                status.leg_id = None;
                status.call_bridge.get_or_insert_with(|| host.to_owned());
            }
            // Those who were elsewhere before are there still.
            None if status.call_bridge.is_none() => start_over(status),
            None => {}
        }
    }
}

/// The empty call on a call bridge that had been lost was deleted: who was in through it has left, who only rang there is
/// dialled again.
pub fn after_stray_gone(statuses: &mut [ParticipantStatus], host: &Address) {
    let host = host.to_string();
    for status in statuses.iter_mut().filter(|status| status.call_bridge.as_ref() == Some(&host)) {
        status.call_bridge = None;
        if status.state == ParticipantState::Connected {
            (status.state, status.leg_id) = (ParticipantState::Left, None);
        } else {
            start_over(status);
        }
    }
}

#[cfg(test)]
mod tests;
