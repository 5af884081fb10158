//! What looks and steps brought about, or failed with, worked into the progress of a meeting.

use jiff::Timestamp;

use super::progress::{Around, Door, Note, Progress, Survey};
use super::secrets::WrittenDoor;
use super::settings;
use super::step::{Effect, End, Found, Intent, Look, Obstacle, Part, Step};
use super::warning::Notice;
use crate::api::values::Instant;
use crate::cms::{CallAt, CmsError, ErrorClass};
use crate::facts::Seen;
use crate::facts::meeting::MeetingFacts;
use crate::plan::verdict::{Pause, Verdict};
use crate::plan::{Attempt, Flow, Store, Subject, participants};

/// Turns of a pass besides one for each participant of the spec and of the status.
const TURN_LIMIT: usize = 24;

/// Call bridges of a cluster, each of which may have a call in which something is told.
const MOST_CALLS: usize = 25;
/// Turns more for access methods: each may have to be removed, looked for and made.
const TURNS_OF_METHODS: usize = 24;

/// Does the bridge refuse what was asked for?
fn is_refusal(error: &CmsError) -> bool {
    matches!(error.class(), ErrorClass::NotFound | ErrorClass::Conflict | ErrorClass::Invalid)
}

/// Writes of one pass that are sent again at once because their connection broke.
const BROKEN_WRITES: u32 = 2;

impl Subject for Progress {
    type Facts = MeetingFacts;
    type Survey = Survey;
    type Around = Around;
    type Look = Look;
    type Found = Found;
    type Intent = Intent;
    type Step = Step;
    type Effect = Effect;
    type End = End;

    fn turn_limit(&self) -> usize {
        let told = if self.terms.is_warning_asked() { MOST_CALLS } else { 0 };
        let methods = if self.may_have_methods() { TURNS_OF_METHODS } else { 0 };
        TURN_LIMIT + told + methods + self.terms.spec.participants.len() + self.draft.participants.len()
    }

    fn begin(&mut self, facts: &mut MeetingFacts, survey: Survey, now: Timestamp) {
        self.take_survey(facts, survey, now);
    }

    fn next(&mut self, facts: &mut MeetingFacts, around: &Around, now: Timestamp) -> super::Next {
        if let Seen::Known(Some(space)) = &facts.space {
            self.shown_profiles = Some(settings::shown(space));
        }
        self.note_seen_call(facts);
        self.digest(facts, now);
        self.note_vacancy(facts);
        self.note_door(facts, now);
        self.note_passed_warning(now);
        super::next(self, facts, around, now)
    }

    fn absorb(&mut self, facts: &mut MeetingFacts, look: &Look, found: Found) {
        self.tried.mark_seen |= matches!(look, Look::Mark | Look::Release);
        self.tried.legs_seen |= *look == Look::Legs;
        match found {
            Found::Space(space) => facts.space = Seen::Known(space),
            Found::Methods(seen) => {
                let seen = self.understood(seen);
                self.take_methods(facts, &seen);
                facts.methods = Seen::Known(seen);
            }
            Found::Calls(calls) => facts.calls = Seen::Known(calls),
            Found::Boot(at) => facts.booted = Seen::Known(at),
            Found::StillThere(call) => {
                if let Seen::Known(calls) = &mut facts.calls {
                    calls.push(call);
                }
            }
            Found::RecordedCall(Some(call)) => self.tried.seen_call = Some(call.id),
            Found::RecordedCall(None) => self.draft.call = None,
            Found::Legs(legs) => facts.legs = Seen::Known(legs),
            Found::Elsewhere { calls, silent } => {
                facts.elsewhere = Seen::Known(calls);
                self.tried.told.silent = silent;
            }
            Found::OnLostBridge(people) => facts.on_lost_bridge = Seen::Known(people),
            Found::Release { space, calls } => {
                facts.space = Seen::Known(space);
                facts.calls = Seen::Known(calls);
            }
            Found::Nothing => self.tried.call_untold |= *look == Look::RecordedCall,
        }
    }

    fn intend(&mut self, intent: &Intent) {
        match intent {
            Intent::Open => self.door = Door::Intended,
            Intent::Settings | Intent::Methods => {}
        }
        self.intend_settings();
        self.intend_methods();
    }

    fn applied(&mut self, facts: &mut MeetingFacts, step: &Step, effect: Effect, at: Timestamp) -> Store {
        match step {
            Step::OpenDoor | Step::MarkExtension => {
                if *step == Step::OpenDoor && self.draft.opened_at.is_some() {
                    self.note_repair(facts, at);
                }
                (facts.space, facts.is_listed_as_free) = (Seen::Unknown, false);
                self.tried.call_was_ended = false;
                self.door_written(step, at);
            }
            Step::CloseDoor => {
                (self.door, self.tried.was_shut) = (Door::Shut, true);
                facts.space = Seen::Unknown;
                // Somebody may have joined until the door was shut: the calls are looked at again.
                facts.calls = Seen::Unknown;
            }
            Step::CreateMethod(name) => {
                if let Effect::MethodCreated(id) = &effect {
                    self.method_made(facts, name, id, at);
                }
                facts.space = Seen::Unknown;
            }
            Step::UpdateMethod { name, id } => self.method_written(facts, name, id),
            Step::DeleteMethod(id) => {
                let is_closing = self.is_closing(at);
                self.method_deleted(facts, id, is_closing);
            }
            Step::CreateCall => {
                if let Effect::CallCreated(call) = effect {
                    self.call_created(&call, at);
                    (facts.calls, facts.legs) = (Seen::Unknown, Seen::Unknown);
                }
            }
            Step::DeleteCall(call) => {
                let mut orphans = facts.orphan_calls.iter().filter(|orphan| orphan.call.at() == *call);
                let was_evacuated = orphans.any(|orphan| orphan.is_evacuated);
                if matches!(self.door, Door::Intended | Door::Open) {
                    // It was left behind and nobody of this meeting is in it any more, or is to be.
                    participants::after_orphan_gone(&mut self.draft.participants, &call.call_bridge, was_evacuated);
                }
                if self.draft.call.as_ref().is_some_and(|known| call.id.as_str().eq_ignore_ascii_case(&known.id)) {
                    self.draft.call = None;
                }
                self.tried.deleted.push(call.clone());
                facts.orphan_calls.retain(|orphan| orphan.call.at() != *call);
                facts.calls = Seen::Unknown;
            }
            Step::HangUp { party, leg } => self.forget_removed(facts, party, leg),
            Step::Tell { .. } if effect == Effect::PutOff => self.put_off(),
            Step::Tell { call, notice } => self.told(call, *notice, at),
            Step::Dial(party) => {
                self.notes.push(Note::Dialled);
                let leg = match effect {
                    Effect::LegCreated(id) => Some(id),
                    Effect::Done | Effect::PutOff | Effect::CallCreated(_) | Effect::MethodCreated(_) => None,
                };
                self.note_dialled(party, leg, at);
            }
        }
        Store::Later
    }

    fn failed(
        &mut self,
        facts: &mut MeetingFacts,
        attempt: Attempt<'_, Look, Step>,
        verdict: Verdict,
        at: Timestamp,
    ) -> Flow {
        match attempt {
            Attempt::Look(_) if verdict == Verdict::Moved => Flow::StartAnew,
            Attempt::Look(Look::Legs)
                if matches!(&verdict, Verdict::Answered(error) if error.is_not_found()) && !self.tried.doubted_call =>
            {
                self.doubt_call(facts);
                Flow::GoOn
            }
            // The door is open, and the rest of the meeting does not wait.
            Attempt::Look(Look::Methods) if self.draft.opened_at.is_some() && self.door == Door::Open => {
                self.give_up_methods(verdict.into_error())
            }
            Attempt::Look(Look::Methods) if self.is_opening(at) => {
                self.fail(Part::Door, verdict.into_error());
                Flow::Stop
            }
            Attempt::Look(look) => {
                self.fail(look.part(), verdict.into_error());
                Flow::Stop
            }
            // While it waited the meeting ended, or was edited or deleted: the next pass takes that up.
            Attempt::Do(step) if verdict.is_superseded() => {
                if let Step::Tell { call, notice } = step {
                    self.telling_interrupted(call, *notice);
                }
                self.pause = Some(Pause::None);
                Flow::Stop
            }
            Attempt::Do(step) if verdict == Verdict::Moved => {
                if let Step::Dial(party) = step {
                    // Whether it rings there nobody knows; the others of the cluster are asked before the next try.
                    self.note_dialled(party, None, at);
                }
                Flow::StartAnew
            }
            Attempt::Do(step) => {
                let may_be_done = verdict.may_have_taken_effect();
                self.step_failed(facts, step, (verdict.into_error(), may_be_done), at)
            }
        }
    }

    fn rest(&mut self, _facts: &mut MeetingFacts, around: &Around, end: End) {
        match end {
            End::Settled => {}
            End::Released => self.door = Door::Released,
            End::TakenOver => {
                (self.door, self.taken_over, self.draft.call) = (Door::Released, true, None);
            }
            End::Unproven => self.pause = Some(Pause::Unproven),
            End::Blocked(Obstacle::OverdueFirst) => match &around.active_error {
                Some(error) => self.fail(Part::Door, error.clone()),
                None => self.pause = Some(Pause::OverdueFirst),
            },
            End::Blocked(Obstacle::DatabaseDown(part)) => self.fail(part, CmsError::DatabaseNotReady),
            End::Blocked(obstacle) => {
                self.obstacle = Some(obstacle);
                match obstacle {
                    // Nothing that a pass could wait for: the object changes, or the door is only told about.
                    Obstacle::Suspended
                    | Obstacle::ObserveOnly
                    | Obstacle::CallUnwanted
                    | Obstacle::DetailsUnwritten => {}
                    _ => self.pause = Some(Pause::Blocked),
                }
            }
        }
    }

    fn exhausted(&mut self) {
        self.pause = Some(Pause::TooManyTurns);
    }
}

impl Progress {
    fn door_written(&mut self, step: &Step, at: Timestamp) {
        if self.draft.opened_at.is_none() {
            // A meeting that was booked after its instant is late only from then on.
            let due = self.window.opens_at.max(self.terms.created_at.unwrap_or(self.window.opens_at));
            let latency = at.duration_since(due).as_secs_f64().max(0.0);
            self.draft.opened_at = Some(Instant::shown(at));
            self.draft.open_latency = Some(format!("{latency:.3}s"));
            self.notes.push(Note::Opened { latency });
        } else if *step == Step::OpenDoor {
            self.notes.push(Note::Repaired);
        }
        self.door = Door::Open;
        self.note_profiles();
        if let Some(passcode) = self.passcode().cloned() {
            let (title, closes_at) = (self.terms.spec.title.clone(), self.window.closes_at);
            let vain_passcodes = self.written.as_ref().map_or(0, |written| written.vain_passcodes);
            self.written = Some(WrittenDoor { title, passcode, closes_at, vain_passcodes });
            self.notes.push(Note::Written);
        }
    }

    /// The bridge says that something is not there. Whether it is the call a look decides: a proxy or a profile that is
    /// gone say the same. Once in a pass, as a list may still show a call that is gone.
    pub(super) fn doubt_call(&mut self, facts: &mut MeetingFacts) {
        self.tried.doubted_call = true;
        (facts.calls, facts.legs) = (Seen::Unknown, Seen::Unknown);
    }

    /// With the failure comes whether what was asked for may have happened.
    fn step_failed(
        &mut self,
        facts: &mut MeetingFacts,
        step: &Step,
        (error, may_be_done): (CmsError, bool),
        at: Timestamp,
    ) -> Flow {
        match step {
            Step::Dial(party) => return self.dial_failed(facts, party, (error, may_be_done), at),
            Step::Tell { call, notice } => return self.telling_failed(facts, call, *notice, &error),
            // They have left by themselves.
            Step::HangUp { party, leg } if error.is_not_found() => {
                self.forget_removed(facts, party, leg);
                return Flow::GoOn;
            }
            Step::HangUp { .. } if self.is_sent_again(&error) => {
                facts.legs = Seen::Unknown;
                return Flow::GoOn;
            }
            // Who is to be rung does not wait for that.
            Step::HangUp { .. } if is_refusal(&error) => {
                self.tried.gave_up_hanging_up = true;
                self.fail(step.part(), error);
                return Flow::GoOn;
            }
            // The door comes first: what becomes of the profiles is the bridge's own pass to see to.
            Step::OpenDoor | Step::MarkExtension | Step::CloseDoor
                if settings::is_about_profile(&error) && !self.tried.without_profiles =>
            {
                self.tried.without_profiles = true;
                self.notes.push(Note::ProfileGone);
                return Flow::GoOn;
            }
            Step::CreateMethod(_) | Step::UpdateMethod { .. } | Step::DeleteMethod(_) => {
                return self.method_failed(facts, step, error, at);
            }
            // A reply says that there is nothing to shut; what proves it is the look that follows.
            Step::CloseDoor if error.is_not_found() && !self.tried.doubted_space => {
                self.notes.push(Note::SpaceGone);
                (self.tried.doubted_space, self.door) = (true, Door::Shut);
                (facts.space, facts.calls) = (Seen::Unknown, Seen::Unknown);
                return Flow::GoOn;
            }
            // It may have ended by itself, whatever the bridge says to that: the calls are looked at before the slot is given
            // back. One that is still there then is in the way.
            Step::DeleteCall(call) if is_refusal(&error) && !self.tried.doubted_deletions.contains(&call.id) => {
                self.tried.doubted_deletions.push(call.id.clone());
                if self.is_closing(at) && self.recorded_call().is_some_and(|known| known == *call) {
                    self.draft.call = None;
                }
                facts.calls = Seen::Unknown;
                return Flow::GoOn;
            }
            Step::OpenDoor | Step::MarkExtension | Step::CreateCall if error.is_not_found() => {
                self.notes.push(Note::SpaceGone);
            }
            // What is new of an open door is tried again; nobody is kept waiting for it.
            Step::OpenDoor | Step::MarkExtension if self.draft.opened_at.is_some() && is_refusal(&error) => {
                self.tried.gave_up_rewriting = true;
                self.fail(step.part(), error);
                return Flow::GoOn;
            }
            // A second call must not be made; everything else may be written twice.
            Step::CreateCall if self.is_sent_again(&error) => {
                (facts.calls, facts.legs) = (Seen::Unknown, Seen::Unknown);
                return Flow::GoOn;
            }
            Step::OpenDoor | Step::MarkExtension | Step::CloseDoor | Step::DeleteCall(_)
                if self.is_sent_again(&error) =>
            {
                return Flow::GoOn;
            }
            _ => {}
        }
        self.fail(step.part(), error);
        Flow::Stop
    }

    /// Told once, and never tried again: later it would not be true. If the call is gone there may be another one.
    fn telling_failed(&mut self, facts: &mut MeetingFacts, call: &CallAt, notice: Notice, error: &CmsError) -> Flow {
        if self.is_sent_again(error) {
            return Flow::GoOn;
        }
        let is_own = self.call_here().as_ref() == Some(call);
        if error.is_not_found() && is_own && !self.tried.doubted_call {
            self.doubt_call(facts);
            return Flow::GoOn;
        }
        let is_gone = error.is_not_found() && !is_own;
        self.not_told(call, notice, (!is_gone).then(|| error.to_string()))
    }

    /// A door that is not open yet stays shut: what is left of an earlier meeting would let its people in. Everything else
    /// of a meeting goes on.
    fn method_failed(&mut self, facts: &mut MeetingFacts, step: &Step, error: CmsError, at: Timestamp) -> Flow {
        if self.is_sent_again(&error) {
            if !matches!(step, Step::DeleteMethod(_)) {
                facts.methods = Seen::Unknown;
            }
            return Flow::GoOn;
        }
        if self.is_opening(at) {
            self.fail(Part::Door, error);
            return Flow::Stop;
        }
        if settings::is_about_profile(&error) {
            self.notes.push(Note::ProfileGone);
        } else if error.is_not_found() && !self.tried.doubted_methods {
            self.tried.doubted_methods = true;
            facts.methods = Seen::Unknown;
            return Flow::GoOn;
        }
        // It may have been done all the same: the next pass looks.
        facts.methods = Seen::Unknown;
        self.forget_written_methods();
        self.notes.push(Note::Methods);
        self.give_up_methods(error)
    }

    /// The door is to be opened and is not open yet.
    fn is_opening(&self, now: Timestamp) -> bool {
        self.draft.opened_at.is_none() && !self.is_closing(now)
    }

    fn give_up_methods(&mut self, error: CmsError) -> Flow {
        self.tried.gave_up_methods = true;
        self.fail(Part::Access, error);
        Flow::GoOn
    }

    /// A connection that broke is most often one that the bridge had closed meanwhile: the write is sent again at once, on
    /// a new one. Twice in a pass is enough.
    pub(super) fn is_sent_again(&mut self, error: &CmsError) -> bool {
        if *error != CmsError::ConnectionLost {
            return false;
        }
        self.tried.broken_writes += 1;
        self.tried.broken_writes <= BROKEN_WRITES
    }
}
