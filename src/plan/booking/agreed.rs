//! What becomes of the window of a meeting that has a booking already: by an edit, by the controller's own extension, or
//! because what an edit asks for is not to be had. PURE.

use jiff::Timestamp;
use kube::ResourceExt;

use super::{Bridges, Refusal, accepts, admits};
use crate::api::conditions::meeting as reason;
use crate::api::names::ObjectKey;
use crate::api::values::Instant;
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::plan::meeting::Progress;
use crate::plan::window::Window;

/// What an edit of the window means for a meeting whose door may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The window that is asked for has begun as well: only the end moves (R70).
    EndOnly,
    /// Nothing was sent yet: it is booked anew.
    BeforeOpening,
    /// What is asked for is another window, which starts later. The two are never one: this one is ended first.
    Away,
}

/// Compares the window that was agreed upon with the one that is asked for. People who are in when the later one begins
/// stay in; but a window that begins only after the end of the other one is always another meeting. A door that is open
/// early stays open if only that is not asked for any more: the start is where it was.
pub fn moved(agreed: Window, asked: Window, was_opened: bool, now: Timestamp) -> Moved {
    if asked.opens_at != agreed.opens_at && !was_opened && now < agreed.opens_at {
        return Moved::BeforeOpening;
    }
    let has_begun = asked.opens_at <= now && asked.opens_at < agreed.closes_at;
    let is_later = asked.opens_at > agreed.opens_at && asked.starts_at > agreed.starts_at;
    if is_later && !has_begun { Moved::Away } else { Moved::EndOnly }
}

/// The window that is to be agreed upon for a meeting whose door may be open; None: the one that it has stands.
///
/// The door was opened at the old instant; only the end can still move (R70).
pub fn window_to_agree(progress: &Progress) -> Option<Window> {
    let may_move = progress.door.may_be_open() && progress.moved_to.is_none() && progress.unmet.is_none();
    let stored = Window::from(progress.draft.window.filter(|_| may_move)?);
    let wanted = Window { opens_at: stored.opens_at, ..progress.window };
    (wanted != stored).then_some(wanted)
}

/// Agrees on the window of a meeting whose door may be open: what was asked for, or the old end if the slot is somebody
/// else's in the added time or the bridge is closed to it now; and one more automatic extension, if it is time for it.
/// `change` moves the booking of a slot, or tells who has it.
pub fn agree(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    progress: &mut Progress,
    bridge: Option<&MeetingBridge>,
    now: Timestamp,
    change: impl Fn(&ObjectKey, u32, Window) -> Result<(), Option<ObjectKey>>,
) {
    let Some((key, slot)) = progress.booked() else { return };
    let change = |wanted: Window| change(&key, slot, wanted);
    let agreed = agreement(bridges, meeting, progress, bridge, change);
    progress.agree(agreed);
    if let Some(longer) = extension(progress, now) {
        match bridge.map_or(Ok(()), |bridge| may_extend(bridges, meeting, bridge)) {
            // If somebody else has the slot by then, the end stands.
            Ok(()) if change(longer).is_ok() => progress.extended(longer),
            Ok(()) => {}
            Err(refusal) => progress.extension_refused = Some(refusal),
        }
    }
}

/// What becomes of the window that is asked for while the door may be open: nobody else is to have the slot in it, and to
/// more time both sides consent anew. `change` moves the booking, or tells who has the slot.
pub fn agreement(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    bridge: Option<&MeetingBridge>,
    change: impl FnOnce(Window) -> Result<(), Option<ObjectKey>>,
) -> Option<(Window, Result<(), Refusal>)> {
    let wanted = window_to_agree(progress)?;
    let is_longer = progress.draft.window.is_some_and(|stored| stored.closes_at.0 < wanted.closes_at);
    let consent = bridge.filter(|_| is_longer).map_or(Ok(()), |bridge| may_extend(bridges, meeting, bridge));
    let conflict =
        |holder: Option<ObjectKey>| extension_conflict(holder.as_ref(), &meeting.namespace().unwrap_or_default());
    Some((wanted, consent.and_then(|()| change(wanted).map_err(conflict))))
}

/// Do both sides consent to what a meeting has on its bridge? As for a new booking, but an edit of bridgeRef concerns the
/// next booking only. None: that is not known yet.
pub(super) fn consent(bridges: &dyn Bridges, meeting: &ScheduledMeeting, bridge: &MeetingBridge) -> Option<bool> {
    let is_accepted = meeting.spec.bridge_ref.is_some() || accepts(bridges, meeting, bridge);
    if is_accepted { admits(bridges, bridge, &meeting.namespace().unwrap_or_default()) } else { Some(false) }
}

/// May the time of a running meeting be extended on its bridge? Both sides must consent to that.
pub(super) fn may_extend(
    bridges: &dyn Bridges,
    meeting: &ScheduledMeeting,
    bridge: &MeetingBridge,
) -> Result<(), Refusal> {
    let why = match consent(bridges, meeting, bridge) {
        Some(true) => return Ok(()),
        Some(false) => "is not open to this meeting any more (allowedNamespaces, bridgeSelector or a grant changed)",
        None => "may not be open to this meeting any more: the labels of its namespace could not be read so far",
    };
    let message = format!("the bridge {} {why}; the old end stands", ObjectKey::of(bridge));
    Err(Refusal { reason: reason::EXTENSION_NOT_ALLOWED, message })
}

/// The slot is booked for somebody else in the added time. Only a meeting of the same namespace is named.
pub fn extension_conflict(holder: Option<&ObjectKey>, namespace: &str) -> Refusal {
    let known = holder.filter(|holder| holder.namespace == namespace);
    let holder = known.map_or_else(|| "another booking".to_owned(), ToString::to_string);
    let message = format!("the slot belongs to {holder} in the added time; the old end stands");
    Refusal { reason: reason::EXTENSION_CONFLICT, message }
}

/// The window with one more automatic extension, if it is time for it: somebody is in the meeting shortly before its end
/// (R70).
pub(super) fn extension(progress: &Progress, now: Timestamp) -> Option<Window> {
    let spec = &progress.terms.spec;
    let is_due = progress.window.extends_at(spec).is_some_and(|at| at <= now);
    let is_wanted = progress.draft.participant_count.is_some_and(|count| count > 0)
        && progress.draft.opened_at.is_some()
        && progress.extension_refused.is_none()
        && progress.moved_to.is_none()
        && progress.unmet.is_none()
        && !progress.terms.is_suspended;
    let closes_at = progress.window.extended(spec).filter(|_| is_due && is_wanted)?;
    Some(Window { closes_at, ..progress.window })
}

impl Progress {
    /// What an edit asks for is not to be had, so what was booked before stands as it was, and this is why.
    pub fn keep(&mut self, refusal: Refusal) {
        let Some(booked) = self.draft.window.map(Window::from) else { return };
        let asked = std::mem::replace(&mut self.window, booked);
        self.draft.refused_window = (asked != booked).then(|| asked.into());
        self.unmet = Some(refusal);
    }

    /// Its door may be open, and the start that was asked for meanwhile was not to be had.
    pub(in crate::plan) fn keep_start(&mut self) {
        let message = "the start that was asked for could not be booked; the meeting is held as it was booked before";
        self.unmet = Some(Refusal { reason: reason::NO_FREE_SLOT, message: message.to_owned() });
    }

    /// What became of the window that was asked for: agreed, or refused; then the old end stands.
    pub fn agree(&mut self, wanted: Option<(Window, Result<(), Refusal>)>) {
        let is_agreed_upon = self.door.may_be_open() && self.unmet.is_none();
        let Some(stored) = self.draft.window.filter(|_| is_agreed_upon) else { return };
        let asked = std::mem::replace(&mut self.window, stored.into());
        self.draft.refused_window = None;
        match wanted {
            None => {}
            Some((wanted, Ok(()))) => {
                self.window = wanted;
                self.draft.window = Some(wanted.into());
            }
            Some((_, Err(refusal))) => {
                self.draft.refused_window = Some(asked.into());
                self.extension_refused = Some(refusal);
            }
        }
    }

    /// The meeting was extended by itself.
    pub fn extended(&mut self, longer: Window) {
        self.window = longer;
        self.draft.window = Some(longer.into());
        self.draft.extended_until = Some(Instant(longer.closes_at));
        self.draft.extended_from = Some(Instant(Window::of(&self.terms.spec, None).closes_at));
    }
}
