//! Events about a meeting, and who is woken by what became of it.

use kube::ResourceExt;
use kube::runtime::events::EventType;

use super::Site;
use crate::api::conditions::{meeting as reason, types};
use crate::api::meeting::{ParticipantState, Phase};
use crate::api::{ScheduledMeeting, ScheduledMeetingStatus, find};
use crate::controller::context::Context;
use crate::metrics::RefusalLabels;
use crate::plan::booking::{Refusal, key_of};
use crate::plan::meeting::Progress;

/// Events after the status was written. `before` is the meeting as the apiserver had it.
pub fn announce(ctx: &Context, before: &ScheduledMeeting, written: &ScheduledMeeting, progress: &Progress) {
    let old = before.status.as_ref();
    let Some(new) = &written.status else { return };
    let (phase, old_phase) = (new.phase.unwrap_or_default(), old.and_then(|status| status.phase).unwrap_or_default());
    let number = new.slot.as_ref().map_or(0, |slot| slot.number);
    let normal = |reason, action, note| ctx.events.tell(written, EventType::Normal, reason, action, note);
    if old.is_none_or(|status| status.opened_at.is_none()) && new.opened_at.is_some() {
        normal("Opened", "Open", format!("slot {number} is open"));
    }
    announce_failover(ctx, old, written, new, progress);
    let unread = progress.terms.unreadable.clone().filter(|_| !phase.is_over());
    let unwritten = progress.unwritten.as_ref().map(|why| (why.reason, "Book", why.message.clone()));
    if let Some((why, action, note)) = unread.map(|why| (reason::UNREADABLE, "Read", why)).or(unwritten) {
        let before = find(old.map(|status| status.conditions.as_slice()).unwrap_or_default(), types::READY);
        if before.is_none_or(|condition| condition.reason != why) {
            ctx.events.tell(written, EventType::Warning, why, action, note);
        }
    }
    tell_refusals(ctx, old, written, progress);
    tell_failures(ctx, old, written, new);
    let extended = |status: &ScheduledMeetingStatus| status.extended_until.map(|until| until.0);
    if let Some(until) = extended(new).filter(|until| old.and_then(extended).is_none_or(|before| before < *until)) {
        normal("Extended", "Extend", format!("somebody is in it: it ends at {until}"));
    }
    if phase == old_phase {
        return;
    }
    match phase {
        Phase::Ended | Phase::Missed if let Some(why) = progress.left_behind => {
            left_behind(ctx, written, "Close", why);
        }
        // Nobody waited for it, so nobody is told.
        Phase::Ended if new.opened_at.is_none() => {}
        Phase::Ended => normal("Ended", "Close", format!("slot {number} is shut and has a new secret")),
        Phase::Missed => {
            ctx.metrics.missed.inc();
            let note = "the window passed without the door being opened".to_owned();
            ctx.events.tell(written, EventType::Warning, "Missed", "Open", note);
        }
        _ => {}
    }
    let is_moved = old_phase.is_live() && matches!(phase, Phase::Pending | Phase::Scheduled);
    if is_moved && old.is_some_and(|status| status.opened_at.is_some()) && new.opened_at.is_none() {
        normal("Moved", "Close", "the slot was shut, and the meeting is booked anew for its new start".to_owned());
    }
}

/// A booking, an edit of one, or more time that is not to be had, each when it is new.
fn tell_refusals(ctx: &Context, old: Option<&ScheduledMeetingStatus>, written: &ScheduledMeeting, progress: &Progress) {
    let conditions = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_new = |kind: &str, refusal: &Refusal| {
        let before = find(conditions, kind).filter(|condition| condition.status == "False");
        before.is_none_or(|condition| condition.reason != refusal.reason)
    };
    let tell = |refusal: &Refusal, action| {
        ctx.events.tell(written, EventType::Warning, refusal.reason, action, refusal.message.clone());
    };
    let refusal = progress.refusal.as_ref().or(progress.unmet.as_ref());
    if let Some(refusal) = refusal.filter(|refusal| refusal.reason != reason::PROGRESSING)
        && is_new(types::ACCEPTED, refusal)
    {
        ctx.metrics.refused.get_or_create(&RefusalLabels { reason: refusal.reason }).inc();
        // One that cannot be read has its own event.
        if refusal.reason != reason::UNREADABLE {
            tell(refusal, "Book");
        }
    }
    if let Some(refusal) = progress.extension_refused.as_ref().filter(|refusal| is_new(types::SLOT_RESERVED, refusal)) {
        tell(refusal, "Extend");
    }
}

/// Participants who could not be reached, each when it is new.
fn tell_failures(
    ctx: &Context,
    old: Option<&ScheduledMeetingStatus>,
    written: &ScheduledMeeting,
    new: &ScheduledMeetingStatus,
) {
    let participants = old.map(|status| status.participants.as_slice()).unwrap_or_default();
    let had_failed =
        |party: &str| participants.iter().any(|p| p.remote_party == party && p.state == ParticipantState::Failed);
    let failed = new.participants.iter().filter(|p| p.state == ParticipantState::Failed);
    let newly: Vec<String> = failed
        .filter(|p| !had_failed(&p.remote_party))
        .map(|p| format!("{} ({})", p.remote_party, p.reason.as_deref().unwrap_or_default()))
        .collect();
    if !newly.is_empty() {
        ctx.metrics.failed_participants.inc_by(u64::try_from(newly.len()).unwrap_or_default());
        let note = format!("not reached: {}", newly.join(", "));
        ctx.events.tell(written, EventType::Warning, "ParticipantsFailed", "Dial", note);
    }
}

/// Wakes those who are concerned by what a pass came to. `before` is the meeting as it was known at its beginning.
pub fn wake(ctx: &Context, before: &ScheduledMeeting, after: &ScheduledMeeting, site: &Site) {
    let phase =
        |meeting: &ScheduledMeeting| meeting.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
    let (old, new) = (phase(before), phase(after));
    let is_moved = old.is_live() && matches!(new, Phase::Pending | Phase::Scheduled);
    if (new.is_over() && !old.is_over()) || is_moved {
        wake_waiting(ctx, before);
    }
    // The bridge sweeps a meeting as long as it has a call.
    let has_call = |meeting: &ScheduledMeeting| meeting.status.as_ref().is_some_and(|status| status.call.is_some());
    // It removes the profiles that nobody uses any more.
    let settings = |meeting: &ScheduledMeeting| {
        meeting
            .status
            .as_ref()
            .map(|status| (status.settings.clone(), status.access_methods.clone()))
            .unwrap_or_default()
    };
    if (new.is_live() != old.is_live() || has_call(before) != has_call(after) || settings(before) != settings(after))
        && let Some(cluster) = &site.cluster
    {
        ctx.wakes.bridge(cluster.key());
    }
}

fn announce_failover(
    ctx: &Context,
    old: Option<&ScheduledMeetingStatus>,
    written: &ScheduledMeeting,
    new: &ScheduledMeetingStatus,
    progress: &Progress,
) {
    let conditions = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let was_told = find(conditions, types::CALL_PRESENT).is_some_and(|known| known.reason == reason::BRIDGE_LOST);
    if let Some(lost) = progress.lost_call_bridge.as_ref().filter(|_| !was_told) {
        let note = format!("the call bridge {lost} was lost with the call");
        ctx.events.tell(written, EventType::Warning, "CallBridgeLost", "Failover", note);
    }
    if progress.call_origin == Some(reason::RECREATED) {
        let at = new.call.as_ref().map_or("", |call| call.call_bridge.as_str());
        let dialled = new.participants.iter().filter(|p| p.state == ParticipantState::Ringing).count();
        let still_in = new.participants.iter().filter(|p| p.call_bridge.is_some()).count();
        let note = format!("the call was made again on {at}: {dialled} dialled again, {still_in} still in");
        ctx.events.tell(written, EventType::Normal, "CallRecreated", "Failover", note);
    }
}

/// The object goes although its bridge has not confirmed that the slot is shut.
pub fn left_behind(ctx: &Context, meeting: &ScheduledMeeting, action: &'static str, why: &str) {
    let note = format!("{why}; its slot is shut by its mark as soon as a MeetingBridge does so");
    tracing::warn!(namespace = meeting.namespace(), name = meeting.name_any(), note, "left behind");
    ctx.events.tell(meeting, EventType::Warning, "LeftBehind", action, note);
}

/// The join Secret could not be removed.
pub fn join_secret_stays(ctx: &Context, meeting: &ScheduledMeeting, what_follows: &str) {
    let note = format!("the join Secret could not be removed; {what_follows}");
    ctx.events.tell(meeting, EventType::Warning, "JoinSecretStays", "Close", note);
}

/// Wakes those who wait for what this meeting gave up: the next one in the slot, and those without any.
pub fn wake_waiting(ctx: &Context, meeting: &ScheduledMeeting) {
    let status = meeting.status.as_ref();
    let bridge = status.and_then(|status| status.bridge.as_ref()).map(key_of);
    let slot = status.and_then(|status| status.slot.as_ref()).map(|slot| slot.number);
    if let (Some(bridge), Some(slot)) = (bridge, slot) {
        ctx.wakes.meetings(ctx.bookings.waiting_for(&bridge, slot));
    }
    ctx.wake_pending();
}
