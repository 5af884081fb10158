//! Where each participant of a meeting is, and who is to be dialled now (R64-R68). Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::ScheduledMeetingSpec;
use crate::api::meeting::{
    Dial, MOST_PARTICIPANTS, ParticipantSpec, ParticipantState, ParticipantStatus, RemovedParticipants,
};
use crate::api::values::Instant;
use crate::cms::{Address, LegState};
use crate::facts::calls::{OnLostBridge, SeenLeg, SeenLegs, plain_address};

/// Who rings for longer holds up nobody who is to be dialled: SIP gives up ringing well before.
const LONGEST_RING: SignedDuration = SignedDuration::from_secs(75);

/// The reason of a try whose connection broke.
const CONNECTION_LOST: &str = "ConnectionLost";

/// So long a bridge may take to make a leg for a try that it left without an answer.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// The reason of one who is dialled without the layout that the spec says, because the bridge does not take it.
pub const LAYOUT_REFUSED: &str = "LayoutRefused";

/// Tries in a row that are repeated at once when they were lost before they had an effect, or by the next pass when the
/// bridge was busy.
const AT_ONCE: u32 = 2;

/// Of those who were taken out of the spec, so many are remembered until their legs are ended.
const MOST_REMOVED: usize = 200;

/// The longest wait for somebody whom the bridge refuses for now, unless their back-off is longer.
const LONGEST_REFUSAL: SignedDuration = SignedDuration::from_mins(5);

fn fresh(participant: &ParticipantSpec) -> ParticipantStatus {
    ParticipantStatus {
        remote_party: participant.remote_party.clone(),
        state: ParticipantState::Waiting,
        attempts: 0,
        vain_tries: 0,
        leg_id: None,
        reason: None,
        last_attempt_at: None,
        call_bridge: None,
    }
}

/// The participants of the spec, in its order, as the last status and the last looks show them; behind them those that
/// were taken out of it and whose leg is to be ended.
///
/// Someone who never connected is failed or waiting for the next try; someone who was connected and left is left alone.
pub fn update(
    spec: &ScheduledMeetingSpec,
    old: &[ParticipantStatus],
    seen: Option<&SeenLegs>,
    on_lost_bridge: Option<&OnLostBridge>,
    outgoing: bool,
) -> Vec<ParticipantStatus> {
    // The schema allows no more, of spec and status; whoever is beyond would have no record, and be rung anew for ever.
    let mut statuses: Vec<ParticipantStatus> = spec
        .participants
        .iter()
        .take(MOST_PARTICIPANTS)
        .map(|participant| {
            let before = recorded(spec, participant, old);
            let mut now = before.unwrap_or_else(|| fresh(participant));
            if now.state == ParticipantState::Removed {
                // Put into the list again before the leg was ended: as one who rings, until a look tells.
                now.state = ParticipantState::Ringing;
            }
            if let Some(seen) = seen {
                apply_look(spec, participant, &mut now, seen);
            }
            if let Some(on_lost_bridge) = on_lost_bridge {
                apply_on_lost_bridge(spec, participant, &mut now, on_lost_bridge);
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
        .collect();
    share(spec, &mut statuses);
    if spec.removed_participants == RemovedParticipants::Disconnect {
        statuses.extend(removed(spec, old, seen));
    }
    statuses
}

/// What the last status says of somebody. One whose address was only spelt otherwise there is the same, unless he could not be
/// reached so: then it is another try.
fn recorded(
    spec: &ScheduledMeetingSpec,
    participant: &ParticipantSpec,
    old: &[ParticipantStatus],
) -> Option<ParticipantStatus> {
    use ParticipantState::{Connected, Left, Ringing};
    let party = &participant.remote_party;
    let is_renamed = |status: &&ParticipantStatus| {
        matches!(status.state, Connected | Left | Ringing)
            && plain_address(&status.remote_party) == plain_address(party)
            && !spec.participants.iter().any(|other| other.remote_party == status.remote_party)
    };
    let found = old.iter().find(|status| status.remote_party == *party).or_else(|| old.iter().find(is_renamed))?;
    Some(ParticipantStatus { remote_party: party.clone(), ..found.clone() })
}

/// Who is in the spec twice, in two spellings, is one endpoint: it is rung once, and both say the same.
fn share(spec: &ScheduledMeetingSpec, statuses: &mut [ParticipantStatus]) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (index, participant) in spec.participants.iter().enumerate().filter(|(_, party)| party.dial == Dial::Out) {
        let first = *first.entry(plain_address(&participant.remote_party)).or_insert(index);
        if let Some(known) = statuses.get(first).filter(|_| first != index).cloned()
            && let Some(status) = statuses.get_mut(index)
        {
            *status = ParticipantStatus { remote_party: status.remote_party.clone(), ..known };
        }
    }
}

/// Those who were taken out of the spec while the bridge may have a leg for them. What became of a leg that a lost call
/// bridge carries nobody can say, so it is left alone.
fn removed(spec: &ScheduledMeetingSpec, old: &[ParticipantStatus], seen: Option<&SeenLegs>) -> Vec<ParticipantStatus> {
    use ParticipantState::{Connected, Removed, Ringing};
    let is_wanted = |status: &&ParticipantStatus| {
        spec.participants.iter().any(|p| plain_address(&p.remote_party) == plain_address(&status.remote_party))
    };
    old.iter()
        .filter(|status| !is_wanted(status) && status.call_bridge.is_none())
        .filter(|status| matches!(status.state, Connected | Ringing | Removed))
        .filter_map(|status| {
            let mut now = ParticipantStatus { state: Removed, reason: None, ..status.clone() };
            // A look that began before the leg was made says nothing about it.
            if let Some(seen) = seen.filter(|seen| now.last_attempt_at.is_none_or(|at| at.0 < seen.at)) {
                now.leg_id = Some(leg_of_removed(status, seen)?.id.to_string());
            }
            Some(now)
        })
        .take(MOST_REMOVED)
        .collect()
}

fn leg_of_removed<'a>(status: &ParticipantStatus, seen: &'a SeenLegs) -> Option<&'a SeenLeg> {
    let is_known = |leg: &&SeenLeg| status.leg_id.as_deref().is_some_and(|id| leg.id.as_str().eq_ignore_ascii_case(id));
    seen.legs.iter().find(is_known).or_else(|| seen.legs.iter().find(|leg| leg.is_to(&status.remote_party)))
}

/// Somebody who was taken out of the spec and whose leg is to be ended.
pub fn to_disconnect(statuses: &[ParticipantStatus]) -> Option<&ParticipantStatus> {
    statuses.iter().find(|status| status.state == ParticipantState::Removed)
}

/// How many ring now. One that rings for very long does not hold up the others.
fn ringing(statuses: &[ParticipantStatus], now: Timestamp) -> impl Iterator<Item = Timestamp> {
    let ringing = statuses.iter().filter(|status| status.state == ParticipantState::Ringing);
    let until = |at: Instant| at.0.checked_add(LONGEST_RING).unwrap_or(Timestamp::MAX);
    ringing.filter_map(move |status| status.last_attempt_at.map(until)).filter(move |until| *until > now)
}

/// Do as many ring as may ring at one time?
fn is_paced(spec: &ScheduledMeetingSpec, statuses: &[ParticipantStatus], now: Timestamp) -> bool {
    let most = usize::try_from(spec.rings_at_once.max(1)).unwrap_or(usize::MAX);
    ringing(statuses, now).count() >= most
}

/// What went wrong before does not count any more. That a layout is not known stays.
pub fn forget_reason(status: &mut ParticipantStatus) {
    status.reason.take_if(|reason| reason != LAYOUT_REFUSED);
}

fn was_in(state: ParticipantState) -> bool {
    matches!(state, ParticipantState::Connected | ParticipantState::Left)
}

/// Is this the leg of the participant? One that only may be is nobody else's.
fn is_leg_of(spec: &ScheduledMeetingSpec, participant: &ParticipantSpec, leg: &SeenLeg) -> bool {
    let party = &participant.remote_party;
    match participant.dial {
        Dial::Out => {
            let is_others = || spec.participants.iter().any(|other| leg.is_to(&other.remote_party));
            // Who came in by himself is in, and is not rung (R64).
            let came_in = leg.is_incoming() && plain_address(&leg.remote_party) == plain_address(party);
            leg.is_to(party) || came_in || (leg.may_be_to(party) && !is_others())
        }
        // Who dials in shows up with the address they call from.
        Dial::In => plain_address(&leg.remote_party) == plain_address(&participant.remote_party),
    }
}

fn apply_look(
    spec: &ScheduledMeetingSpec,
    participant: &ParticipantSpec,
    now: &mut ParticipantStatus,
    seen: &SeenLegs,
) {
    let is_known = |leg: &SeenLeg| now.leg_id.as_deref().is_some_and(|id| leg.id.as_str().eq_ignore_ascii_case(id));
    let of_us = |leg: &&SeenLeg| is_known(leg) || is_leg_of(spec, participant, leg);
    if let Some(leg) = seen.legs.iter().find(of_us) {
        now.leg_id = Some(leg.id.to_string());
        (now.call_bridge, now.vain_tries) = (None, 0);
        if participant.dial == Dial::Out && now.attempts == 0 {
            // Dialled by us, but the record of it was lost: adopt.
            now.attempts = 1;
            now.last_attempt_at = Some(Instant(seen.at));
        }
        let connected = participant.dial == Dial::In || leg.is_incoming() || leg.is_connected();
        if connected || now.state != ParticipantState::Connected {
            now.state = if connected { ParticipantState::Connected } else { ParticipantState::Ringing };
        }
        forget_reason(now);
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
        ParticipantState::Ringing if may_be_late(now, seen.at) => {}
        ParticipantState::Ringing if may_be_lost(now) => {
            let why = now.reason.take().unwrap_or_default();
            if why == CONNECTION_LOST || now.vain_tries < AT_ONCE {
                // No reply came, and there is no leg: nobody was rung.
                now.attempts = now.attempts.saturating_sub(1);
                in_vain(now, &why, seen.at, true);
            } else {
                // Again and again: somebody may have been rung, and the leg be gone before any look.
                used_up(now, participant, &why);
            }
        }
        ParticipantState::Ringing => {
            now.leg_id = None;
            used_up(now, participant, "NoAnswer");
        }
        _ => {}
    }
}

/// The last try was left without an answer of the bridge, and no leg was seen since: why stands there then.
fn may_be_lost(status: &ParticipantStatus) -> bool {
    status.leg_id.is_none() && status.reason.as_deref().is_some_and(|reason| reason != LAYOUT_REFUSED)
}

/// Until when the leg of that try may still come. Where the connection broke, the bridge had closed it.
fn late_until(status: &ParticipantStatus) -> Option<Timestamp> {
    let may_come = status.state == ParticipantState::Ringing && may_be_lost(status);
    let tried = status.last_attempt_at.filter(|_| may_come && status.reason.as_deref() != Some(CONNECTION_LOST))?;
    Some(tried.0.checked_add(LATE).unwrap_or(Timestamp::MAX))
}

fn may_be_late(status: &ParticipantStatus, at: Timestamp) -> bool {
    late_until(status).is_some_and(|until| at < until)
}

/// A try came to nothing: there is another one, or it was the last.
pub fn used_up(status: &mut ParticipantStatus, participant: &ParticipantSpec, why: &str) {
    if status.attempts > participant.retry.limit {
        (status.state, status.reason) = (ParticipantState::Failed, Some(why.to_owned()));
    } else {
        status.state = ParticipantState::Waiting;
    }
}

/// Is it open whether somebody's last try reached the bridge, and could a look of now tell more than the last one?
pub fn is_any_unsure(statuses: &[ParticipantStatus], seen: Option<&SeenLegs>, now: Timestamp) -> bool {
    let is_told = |status: &ParticipantStatus| {
        let Some(seen) = seen else { return false };
        let is_before = status.last_attempt_at.is_some_and(|tried| seen.at <= tried.0);
        !is_before && late_until(status).is_none_or(|until| seen.at >= until || now < until)
    };
    let is_unsure = |status: &&ParticipantStatus| status.state == ParticipantState::Ringing && may_be_lost(status);
    statuses.iter().filter(is_unsure).any(|status| !is_told(status))
}

/// A try rang nobody: it is no attempt, and it is made again; `at_once` if it was only lost or met a busy bridge, but not for
/// ever, so that those behind have their turn.
pub fn in_vain(status: &mut ParticipantStatus, why: &str, at: Timestamp, at_once: bool) {
    status.vain_tries = status.vain_tries.saturating_add(1);
    status.state = ParticipantState::Waiting;
    (status.leg_id, status.reason) = (None, Some(why.to_owned()));
    let is_passing = at_once && status.vain_tries <= AT_ONCE;
    status.last_attempt_at = (!is_passing).then_some(Instant(at));
}

/// Somebody whose call bridge was lost is still in, or was cut off and is dialled again; if that call bridge is back and
/// still has the call, who is missing has left.
fn apply_on_lost_bridge(
    spec: &ScheduledMeetingSpec,
    participant: &ParticipantSpec,
    now: &mut ParticipantStatus,
    on_lost_bridge: &OnLostBridge,
) {
    let Some(host) = now.call_bridge.clone() else { return };
    if let Some(leg) = on_lost_bridge.legs.iter().find(|leg| is_leg_of(spec, participant, leg)) {
        match &leg.state {
            Some(LegState::Connected | LegState::OnHold) => now.state = ParticipantState::Connected,
            Some(_) => now.state = ParticipantState::Ringing,
            None => {} // As it was before.
        }
        return;
    }
    now.call_bridge = None;
    if now.state == ParticipantState::Connected
        && on_lost_bridge.recovered_with_call.iter().any(|at| at.to_string() == host)
    {
        now.state = ParticipantState::Left;
    } else {
        start_over(now);
    }
}

/// Is it still open whether somebody is in through a call bridge that was lost?
pub fn is_anybody_on_lost_bridge(statuses: &[ParticipantStatus]) -> bool {
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
    let backoff = participant.retry.pause();
    // Who is refused again and again is asked ever less often: nobody rings there, and the limit of tries does not end it.
    let pause = match i32::try_from(status.vain_tries).unwrap_or(i32::MAX) {
        0 | 1 => backoff,
        tries => backoff.checked_mul(tries).map_or(LONGEST_REFUSAL, |pause| pause.min(LONGEST_REFUSAL)).max(backoff),
    };
    let retry = status.last_attempt_at.map(|at| at.0.checked_add(pause).unwrap_or(Timestamp::MAX));
    Some(retry.map_or(starts_at, |at| at.max(starts_at)))
}

/// Who is to be dialled now: first those who were never rung, in the order of the spec, then those who are tried again.
/// Nobody while as many ring as may.
pub fn to_dial<'a>(
    spec: &'a ScheduledMeetingSpec,
    statuses: &[ParticipantStatus],
    starts_at: Timestamp,
    now: Timestamp,
) -> Option<&'a ParticipantSpec> {
    if is_paced(spec, statuses, now) {
        return None;
    }
    let status_of = |party: &ParticipantSpec| statuses.iter().find(|status| status.remote_party == party.remote_party);
    let is_due = |party: &&ParticipantSpec| {
        status_of(party).and_then(|status| due(party, status, starts_at)).is_some_and(|at| at <= now)
    };
    let is_new = |party: &&ParticipantSpec| status_of(party).is_some_and(|status| status.attempts == 0);
    let mut due = spec.participants.iter().filter(is_due);
    let first = due.clone().next();
    due.find(is_new).or(first)
}

/// The next instant after `now` at which somebody is to be dialled, or may be because somebody else has rung long enough, or
/// at which it shows that a try was lost.
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
        .chain(statuses.iter().filter_map(late_until))
        .filter(|at| *at > now)
        .chain(ringing(statuses, now).filter(|_| is_paced(spec, statuses, now)))
        .min()
}

fn start_over(status: &mut ParticipantStatus) {
    status.state = ParticipantState::Waiting;
    (status.attempts, status.vain_tries) = (0, 0);
    status.leg_id = None;
    forget_reason(status);
    status.last_attempt_at = None;
}

/// Who is in.
pub fn connected(statuses: &[ParticipantStatus]) -> BTreeSet<String> {
    let are_in = statuses.iter().filter(|status| status.state == ParticipantState::Connected);
    are_in.map(|status| status.remote_party.clone()).collect()
}

/// Who is seen to leave before the start has not left the meeting, which is yet to begin: it rings them then.
pub fn before_start(spec: &ScheduledMeetingSpec, were_in: &BTreeSet<String>, statuses: &mut [ParticipantStatus]) {
    let has_left = |status: &&mut ParticipantStatus| {
        status.state == ParticipantState::Left && were_in.contains(&status.remote_party)
    };
    for status in statuses.iter_mut().filter(has_left) {
        let is_rung = |participant: &ParticipantSpec| {
            participant.dial == Dial::Out && participant.remote_party == status.remote_party
        };
        if spec.participants.iter().any(is_rung) {
            start_over(status);
        }
    }
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
            // Those who were in through a lost bridge are there still.
            None if status.call_bridge.is_none() => start_over(status),
            None => {}
        }
    }
}

/// The call ended because the last one left it: nobody was cut off.
pub fn after_all_left(statuses: &mut [ParticipantStatus]) {
    for status in statuses.iter_mut().filter(|status| status.call_bridge.is_none()) {
        match status.state {
            ParticipantState::Connected => (status.state, status.leg_id) = (ParticipantState::Left, None),
            ParticipantState::Ringing => start_over(status),
            _ => {}
        }
    }
}

/// A call that had been left on another call bridge was deleted. If it was empty, who was in through it has left; if its
/// call bridge was evacuated, he is dialled again, as is who only rang there.
pub fn after_orphan_gone(statuses: &mut [ParticipantStatus], host: &Address, was_evacuated: bool) {
    let host = host.to_string();
    for status in statuses.iter_mut().filter(|status| status.call_bridge.as_ref() == Some(&host)) {
        status.call_bridge = None;
        if status.state == ParticipantState::Connected && !was_evacuated {
            (status.state, status.leg_id) = (ParticipantState::Left, None);
        } else {
            start_over(status);
        }
    }
}

#[cfg(test)]
mod tests;
