//! A meeting in progress, as a value: what is wanted, how far it has come, and what was tried. The plan reads it, looks
//! are absorbed into it, steps change it, and the new status is built from it.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::access::WrittenMethods;
use super::lives::{has_new_life, was_never_due, without_life};
use super::secrets::{JoinSecrets, WrittenDoor};
use super::step::{Obstacle, Part};
use super::terms::Terms;
use super::warning::Told;
use crate::api::access::MOST_ACCESS_METHODS;
use crate::api::bridge::ProfileIds;
use crate::api::conditions::meeting as reason;
use crate::api::marks::Marks;
use crate::api::meeting::{CallBinding, ParticipantState, Phase};
use crate::api::names::RECONCILE_ANNOTATION;
use crate::api::values::Instant;
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingStatus};
use crate::cms::{Address, CallAt, CallId, CmsError, Space, SpaceId};
use crate::facts::meeting::MeetingFacts;
use crate::facts::slots::ShownFields;
use crate::plan::booking::{Moved, Refusal, moved};
use crate::plan::participants;
use crate::plan::verdict::Pause;
use crate::plan::window::{PREPARE_LEAD, Stage, Window};
use kube::ResourceExt;

/// How often a call that somebody ended is made again, unless the meeting is edited.
const CALLS_MADE_AGAIN: u32 = 2;

/// Where the door of a meeting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody meant to open it yet.
    Untouched,
    /// The intent to open it is stored: a crash or a lost reply may have left it open.
    Intended,
    /// It was opened, and that is recorded.
    Open,
    /// It was shut in this pass; that is not proven yet.
    Shut,
    /// It is proven shut, or there never was anything to shut.
    Released,
}

impl Door {
    /// May it be open on the bridge?
    pub fn may_be_open(self) -> bool {
        match self {
            Self::Intended | Self::Open | Self::Shut => true,
            Self::Untouched | Self::Released => false,
        }
    }
}

/// What is known at the beginning of a pass without asking the bridge.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The call bridge of the recorded call if it still is one and is not lost, else the active one.
    pub call_bridge: Address,
    /// The call bridge of the recorded call, if it is lost or the meeting is to go elsewhere.
    pub lost: Option<Address>,
    /// It is not lost: its meetings are moved before it goes into maintenance.
    pub is_evacuated: bool,
    pub facts: MeetingFacts,
}

/// What changes by itself while a pass lasts.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Another meeting still holds the slot (it is being closed).
    pub slot_busy: bool,
    /// The cluster's database takes no writes.
    pub database_lost: bool,
    /// There are meetings whose end is overdue after trouble: openings step aside.
    pub overdue_first: bool,
    /// What is wrong with the active call bridge, if anything is.
    pub active_error: Option<CmsError>,
}

/// What was tried in this pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The call was made by us in this pass, so it has no legs but those we made.
    pub call_is_new: bool,
    /// The recorded call is gone, and it is not known yet whether its call bridge was started anew.
    pub wants_boot: bool,
    /// The recorded call was seen on the slot's space, or made there: what a status says may come from anywhere.
    pub seen_call: Option<CallId>,
    /// The bridge does not tell of the recorded call by itself: its lists are asked.
    pub call_untold: bool,
    /// The call that the status recorded was lost in this pass.
    pub call_was_lost: bool,
    /// Somebody ended it, as far as can be told.
    pub call_was_ended: bool,
    /// Which call that was.
    pub ended_call: Option<CallId>,
    /// The space was shut in this pass; a look that does not show it is followed by a pause.
    pub was_shut: bool,
    /// Calls that were deleted in this pass: the same.
    pub deleted: Vec<CallAt>,
    /// Somebody was dialled, or may have been, or was disconnected: the legs are looked at soon.
    pub dialled: bool,
    /// Writes whose connection broke.
    pub broken_writes: u32,
    /// The bridge said that something does not exist, and the calls were looked at because of it.
    pub doubted_call: bool,
    /// All legs were gone at one time, and the calls were looked at because of it.
    pub was_emptied: bool,
    /// Calls that the bridge would not delete: a look tells whether they are still there.
    pub doubted_deletions: Vec<CallId>,
    /// The bridge said that the space which is to be shut does not exist.
    pub doubted_space: bool,
    /// The space was looked at because it is to be shut.
    pub mark_seen: bool,
    /// The legs of the call were looked at.
    pub legs_seen: bool,
    /// The bridge does not know a profile that the space was to be told: it is told none.
    pub without_profiles: bool,
    /// What was shown to everybody in the calls.
    pub told: Told,
    /// Something about the access methods failed: the rest of the meeting goes on, and the next pass tries again.
    pub gave_up_methods: bool,
    /// The bridge refused what is new of an open door: the same.
    pub gave_up_rewriting: bool,
    /// It refused to end the leg of somebody who was taken out of the spec: the same.
    pub gave_up_hanging_up: bool,
    /// The bridge said that an access method is not there, and they were looked at because of it.
    pub doubted_methods: bool,
}

/// A look or a step that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub part: Part,
    pub reason: &'static str,
    pub message: String,
    /// Only a user can mend it.
    pub is_permanent: bool,
}

/// Something that metrics, logs or others want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// The door was opened, so many seconds after its instant.
    Opened { latency: f64 },
    /// An open door was put back after a change by hand.
    Repaired,
    /// The door was written with what the spec and the Secrets say now.
    Written,
    /// Access methods were looked at or written.
    Methods,
    /// A participant was dialled.
    Dialled,
    /// A call was made again after its call bridge was lost.
    Recreated { at: Timestamp, lost: Address },
    /// The bridge keeps passcodes to itself.
    PasscodeHidden,
    /// The bridge says that the slot's space does not exist.
    SpaceGone,
    /// The bridge says that a profile does not exist which the space was to be told.
    ProfileGone,
}

/// A meeting in progress.
#[derive(Clone, Debug)]
pub struct Progress {
    pub terms: Terms,
    /// The new status, as far as it is known. Conditions and phase are filled in by `status/`.
    pub draft: ScheduledMeetingStatus,
    /// The window that was agreed upon.
    pub window: Window,
    pub door: Door,
    /// It is to be shut before its time.
    pub leaving: bool,
    /// Why it was given up although its door may be open.
    pub left_behind: Option<&'static str>,
    /// Its start was moved away while the door may be open: the window that comes after this one.
    pub moved_to: Option<Window>,
    /// Nobody ever waited for its door: when it was made, or edited, its window had passed already.
    pub never_due: bool,
    /// Its start was moved away and nobody is in, so the door is shut now.
    pub vacated: bool,
    pub secrets: Option<JoinSecrets>,
    /// Why the join details are not in their Secret.
    pub unwritten: Option<Problem>,
    /// Their Secret says what lets people in nevertheless.
    pub secrets_stored: bool,
    pub written: Option<WrittenDoor>,
    /// What this process knows of the access methods; None: it has not looked yet.
    pub written_methods: Option<WrittenMethods>,
    /// Access methods of this meeting whose passcode one of somebody else in the slot has.
    pub taken_methods: Vec<String>,
    /// When the pass began the status told of access methods.
    pub had_methods: bool,
    /// The profiles that the last look at the space showed.
    pub shown_profiles: Option<ProfileIds>,
    /// What looks at spaces of this bridge have shown.
    pub shown_fields: ShownFields,
    /// The call bridge that the meeting's call is on, or will be.
    pub call_bridge: Option<Address>,
    /// The call bridge that was lost with the meeting's call.
    pub lost_call_bridge: Option<Address>,
    /// Another meeting had the slot already when this one was to be shut.
    pub taken_over: bool,
    /// Created, Adopted or Recreated, when the call was found or made in this pass.
    pub call_origin: Option<&'static str>,
    pub tried: Tried,
    /// Why it does not have our finalizer, or cannot get rid of it.
    pub untied: Option<String>,
    /// Why there is no slot.
    pub refusal: Option<Refusal>,
    /// Why what an edit asks for is not to be had: what was booked before stands.
    pub unmet: Option<Refusal>,
    /// Why the time that was asked for in addition is not to be had.
    pub extension_refused: Option<Refusal>,
    pub obstacle: Option<Obstacle>,
    pub problem: Option<Problem>,
    pub pause: Option<Pause>,
    pub notes: Vec<Note>,
    /// The end as it was stored before this pass.
    pub(super) stored_end: Option<Timestamp>,
    /// The spec was edited since the last pass.
    pub(super) is_edited: bool,
    /// Somebody asks for another try.
    pub(super) is_asked: bool,
}

impl Progress {
    /// Takes up a meeting where its status left it. A meeting that is over has a new life if an edit moved its end.
    pub fn resume(meeting: &ScheduledMeeting, marks: &Marks, now: Timestamp) -> Self {
        let mut draft = meeting.status.clone().unwrap_or_default();
        let asked = Window::asked(&meeting.spec, &draft);
        let mut phase = draft.phase.unwrap_or_default();
        if phase.is_over() && has_new_life(meeting, &draft, asked, now) {
            (draft, phase) = (without_life(draft), Phase::Pending);
        }
        if draft.extended_until.is_some_and(|until| until.0 > asked.closes_at) {
            (draft.extended_until, draft.extended_from) = (None, None);
        }
        let is_edited = meeting.metadata.generation != draft.observed_generation;
        if is_edited {
            // Who edits the meeting wants it to go on.
            (draft.calls_ended, draft.door_repairs) = (0, None);
        }
        let requested = meeting.annotations().get(RECONCILE_ANNOTATION).cloned();
        let is_asked = draft.last_handled_reconcile_at != requested;
        if is_asked {
            draft.door_repairs = None;
        }
        draft.last_handled_reconcile_at = requested;
        let door = match phase {
            phase if phase.is_over() => Door::Released,
            phase if phase.is_live() && draft.opened_at.is_some() => Door::Open,
            phase if phase.is_live() => Door::Intended,
            _ => Door::Untouched,
        };
        // What was not to be had is asked for again, as long as it could be, until the door is opened for what was booked
        // before.
        let is_tried_again = !door.may_be_open() && asked.stage(now) != Stage::Over;
        let window = if is_tried_again { asked } else { Window::of_meeting(&meeting.spec, &draft) };
        let terms = Terms::new(meeting, marks);
        let mut progress = Self {
            window,
            door,
            leaving: terms.is_deleting,
            left_behind: None,
            moved_to: None,
            never_due: was_never_due(meeting, &draft, asked, now),
            vacated: false,
            stored_end: draft.window.map(|window| window.closes_at.0),
            is_edited,
            is_asked,
            had_methods: !draft.access_methods.is_empty(),
            terms,
            draft,
            secrets: None,
            unwritten: None,
            secrets_stored: false,
            written: None,
            written_methods: None,
            taken_methods: Vec::new(),
            shown_profiles: None,
            shown_fields: ShownFields::default(),
            call_bridge: None,
            lost_call_bridge: None,
            taken_over: false,
            call_origin: None,
            tried: Tried::default(),
            untied: None,
            refusal: None,
            extension_refused: None,
            unmet: None,
            obstacle: None,
            problem: None,
            pause: None,
            notes: Vec::new(),
        };
        if is_edited {
            progress.forget_refused_layouts();
        }
        if window == asked {
            progress.take_move(phase, now);
        } else {
            progress.keep_start();
        }
        progress
    }

    /// Takes up a meeting whose start was moved away, once its slot is proven shut: only what its conditions said is left
    /// of the life before.
    pub fn anew(meeting: &ScheduledMeeting, marks: &Marks, now: Timestamp) -> Self {
        let status = meeting.status.clone().map(without_life);
        Self::resume(&ScheduledMeeting { status, ..meeting.clone() }, marks, now)
    }

    /// What cannot be read is not booked. What is booked keeps its slot and is shut at its end, no more.
    pub fn must_be_read_first(&mut self) -> bool {
        let Some(message) = self.terms.unreadable.clone() else { return false };
        if self.draft.slot.is_none() {
            self.refuse(Refusal { reason: reason::UNREADABLE, message });
        }
        true
    }

    /// Without our finalizer nothing is booked, because it could vanish unseen. What is booked goes on.
    pub fn must_be_tied_first(&mut self) -> bool {
        let Some(message) = self.untied.clone().filter(|_| self.draft.slot.is_none()) else { return false };
        self.refuse(Refusal { reason: reason::FINALIZER_REFUSED, message });
        true
    }

    /// Is the old window done with, and another one asked for?
    pub fn begins_anew(&self) -> bool {
        self.moved_to.is_some() && self.door == Door::Released && !self.leaving && self.left_behind.is_none()
    }

    /// The start may have been moved away from a window that was agreed upon.
    fn take_move(&mut self, phase: Phase, now: Timestamp) {
        let Some(stored) = self.draft.window.map(Window::from).filter(|_| self.door.may_be_open()) else { return };
        let was_opened = self.draft.opened_at.is_some();
        match moved(stored, self.window, was_opened, now) {
            Moved::EndOnly => {}
            Moved::BeforeOpening => self.door = Door::Untouched,
            Moved::Away => {
                self.moved_to = Some(std::mem::replace(&mut self.window, stored));
                // Where the door was never seen open nobody is in; where its closing has begun it is ended.
                self.vacated = !was_opened || phase == Phase::Closing;
            }
        }
    }

    /// Where `now` stands in the window. A door that was opened stays open to the end, wherever the clock steps.
    pub fn stage(&self, now: Timestamp) -> Stage {
        let stage = self.window.stage(now);
        if self.door == Door::Open { stage.max(Stage::Inside) } else { stage }
    }

    /// Takes in what the bridge says on which it is booked. One that only has a booking on a bridge that goes is booked
    /// anew; one whose door may be open is shut.
    pub fn take_bridge(&mut self, bridge: Option<&MeetingBridge>) {
        let slot = self.draft.slot.as_ref().map_or(0, |slot| slot.number);
        if let Some(bridge) = bridge {
            self.terms.take_bridge(bridge, slot);
        }
        self.leaving = self.terms.is_deleting || (self.door.may_be_open() && self.terms.bridge_leaves);
    }

    /// Is the door to be shut now, or should it have been?
    pub fn is_closing(&self, now: Timestamp) -> bool {
        // What was proven shut is over, whatever the clock says later.
        self.leaving || self.vacated || self.door == Door::Released || self.window.stage(now) == Stage::Over
    }

    /// Since when a look at the space is believed. Before the door is opened: since it is being prepared, or for a while.
    /// Another scheduler may have come into the slot after our last meeting there, and its call would be ended.
    pub fn believes_since(&self, now: Timestamp) -> Timestamp {
        if self.draft.opened_at.is_some() {
            return Timestamp::MIN;
        }
        let opens = self.window.opens_at.max(now.checked_sub(PREPARE_LEAD).unwrap_or(Timestamp::MIN));
        opens.checked_sub(PREPARE_LEAD).unwrap_or(Timestamp::MIN)
    }

    /// The space of the slot, once known.
    pub fn space(&self) -> Option<SpaceId> {
        self.draft.slot.as_ref()?.space_id.as_deref().map(SpaceId::from)
    }

    /// The call that the status records.
    pub fn recorded_call(&self) -> Option<CallAt> {
        self.draft.call.as_deref().and_then(CallBinding::at)
    }

    /// The recorded call if it is on the call bridge that is asked. One on an address that is no call bridge any more
    /// counts only if it is found again.
    pub fn call_here(&self) -> Option<CallAt> {
        self.recorded_call().filter(|call| self.call_bridge.as_ref() == Some(&call.call_bridge))
    }

    /// Somebody ends the call whenever it is there: that is what is wanted, and it is not made again.
    pub fn is_call_unwanted(&self) -> bool {
        self.draft.calls_ended > CALLS_MADE_AGAIN
    }

    /// The recorded call was lost with its call bridge, and nothing is to be done about it.
    pub fn is_left_alone(&self) -> bool {
        let recorded = self.recorded_call().map(|call| call.call_bridge);
        recorded.is_some() && recorded == self.lost_call_bridge
    }

    pub(super) fn passcode(&self) -> Option<&SecretString> {
        self.secrets.as_ref()?.passcode.as_ref()
    }

    pub(super) fn secret(&self) -> Option<&SecretString> {
        self.secrets.as_ref().map(|secrets| &secrets.secret)
    }

    /// Is this space, as a look at it alone shows it, opened by us for this meeting? By its mark; where a bridge shows none,
    /// by the secret, which nobody else knows.
    pub(super) fn is_ours(&self, space: &Space) -> bool {
        let Some(mark) = space.cdr_tag.as_deref().filter(|mark| !mark.is_empty()) else {
            return self.secret().is_some_and(|secret| space.secret.is_some() && space.has_secret(secret));
        };
        mark == self.terms.mark
    }

    /// Title, passcode, end or settings changed since this process last wrote the door (R60, R70).
    pub fn must_rewrite(&self) -> bool {
        if self.must_reapply() {
            return true;
        }
        let (Some(written), Some(passcode)) = (&self.written, self.passcode()) else {
            // After a restart only a later end is known to be new; the rest shows at the next look at the space.
            return self.door == Door::Open && self.stored_end.is_some_and(|end| end < self.window.closes_at);
        };
        written.title != self.terms.spec.title
            || written.passcode.expose_secret() != passcode.expose_secret()
            || written.closes_at < self.window.closes_at
    }

    /// The draft as it goes into the status now.
    pub fn final_draft(&self, now: Timestamp) -> ScheduledMeetingStatus {
        let mut draft = self.draft.clone();
        let outgoing = self.terms.allows_outgoing;
        draft.participants = participants::update(&self.terms.spec, &draft.participants, None, None, outgoing);
        draft.access_methods.truncate(MOST_ACCESS_METHODS);
        if self.is_closing(now) && self.door == Door::Released {
            draft.call = None;
            draft.participants.retain(|status| status.state != ParticipantState::Removed);
            draft.join_secret_name = None;
            (draft.participant_count, draft.door_repairs, draft.settings) = (None, None, None);
            draft.access_methods.clear();
            draft.ended_at = draft.ended_at.or(Some(Instant::shown(now)));
            // One that was never booked is over by what was asked for.
            draft.window = draft.window.filter(|_| draft.slot.is_some()).or(Some(self.window.into()));
        }
        draft
    }

    /// The next instant at which something is to be done, if nothing happens before; None: it is over and done.
    pub fn next_instant(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_closing(now) && self.door == Door::Released {
            return None;
        }
        let (spec, starts_at) = (&self.terms.spec, self.window.starts_at);
        let dial = participants::next_dial(spec, &self.draft.participants, starts_at, now);
        let dial = dial.filter(|_| self.draft.call.is_some());
        let begins = self.moved_to.map(|window| window.opens_at).filter(|at| *at > now);
        let others = [self.door_due_at(now), self.method_due_at(now), self.next_warning(now)];
        let others = others.into_iter().flatten().chain(dial).chain(begins);
        self.window.next_instant(spec, now).into_iter().chain(others).min()
    }
}
