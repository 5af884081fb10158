//! What becomes of a try to dial somebody, and of who is taken out. PURE.

use jiff::Timestamp;

use super::progress::Progress;
use super::step::Part;
use crate::api::meeting::{ParticipantState, ParticipantStatus};
use crate::api::values::Instant;
use crate::cms::{CmsError, ErrorClass};
use crate::facts::Seen;
use crate::facts::meeting::MeetingFacts;
use crate::plan::{Flow, participants};

impl Progress {
    pub(super) fn dial_failed(
        &mut self,
        facts: &mut MeetingFacts,
        party: &str,
        (error, may_be_done): (CmsError, bool),
        at: Timestamp,
    ) -> Flow {
        if error.is_not_found() && !self.tried.doubted_call {
            self.doubt_call(facts);
            return Flow::GoOn;
        }
        if may_be_done {
            // It may ring: the try counts until a look tells that it does not.
            self.note_dialled(party, None, at);
            // One without a name was accepted all the same.
            if let Some(status) = self.participant(party).filter(|_| error != CmsError::AmbiguousCreate) {
                status.reason = Some(error.reason().to_owned());
            }
            if self.is_sent_again(&error) {
                facts.legs = Seen::Unknown;
                self.tried.call_is_new = false;
                return Flow::GoOn;
            }
            self.fail(Part::Legs, error);
            return Flow::Stop;
        }
        if self.refuse_layout(party, &error) {
            return Flow::GoOn;
        }
        match error {
            // The call is there, and still: the list shows it longer than it is, or something in front of the bridge answers.
            CmsError::LimitReached { .. } | CmsError::NotFound { .. } => {
                self.refuse_party(party, error.word(), at, false);
                Flow::GoOn
            }
            CmsError::Busy => {
                self.refuse_party(party, error.word(), at, true);
                self.fail(Part::Legs, error);
                Flow::Stop
            }
            _ if error.is_wordless() => {
                self.put_off_party(party, error.word(), at);
                Flow::GoOn
            }
            _ if matches!(error.class(), ErrorClass::Invalid | ErrorClass::Conflict) => {
                self.reject_party(party, &error, at);
                Flow::GoOn
            }
            _ => {
                self.fail(Part::Legs, error);
                Flow::Stop
            }
        }
    }

    /// Refused for now: those behind are dialled all the same.
    fn refuse_party(&mut self, party: &str, why: &str, at: Timestamp, at_once: bool) {
        if let Some(status) = self.participant(party) {
            participants::in_vain(status, why, at, at_once);
        }
    }

    /// Whatever answered did not say what is wrong with it: that is one try.
    fn put_off_party(&mut self, party: &str, why: &str, at: Timestamp) {
        let Some(spec) = self.terms.participant(party).cloned() else { return };
        if let Some(status) = self.participant(party) {
            status.attempts = status.attempts.saturating_add(1);
            (status.leg_id, status.reason) = (None, Some(why.to_owned()));
            status.last_attempt_at = Some(Instant(at));
            participants::used_up(status, &spec, why);
        }
    }

    /// The leg of somebody who was taken out of the spec is gone.
    pub(super) fn forget_removed(&mut self, facts: &mut MeetingFacts, party: &str, leg: &str) {
        let is_it = |p: &ParticipantStatus| p.state == ParticipantState::Removed && p.remote_party == party;
        self.draft.participants.retain(|status| !is_it(status));
        if let Seen::Known(seen) = &mut facts.legs {
            seen.legs.retain(|seen| seen.id.as_str() != leg);
        }
        self.tried.dialled = true;
    }

    pub(super) fn participant(&mut self, party: &str) -> Option<&mut ParticipantStatus> {
        self.draft.participants.iter_mut().find(|status| status.remote_party == party)
    }

    pub(super) fn note_dialled(&mut self, party: &str, leg: Option<String>, at: Timestamp) {
        self.tried.dialled = true;
        if let Some(status) = self.participant(party) {
            status.attempts = status.attempts.saturating_add(1);
            status.state = ParticipantState::Ringing;
            if leg.is_some() {
                status.vain_tries = 0;
            }
            status.leg_id = leg;
            participants::forget_reason(status);
            status.last_attempt_at = Some(Instant(at));
        }
    }

    fn reject_party(&mut self, party: &str, error: &CmsError, at: Timestamp) {
        if let Some(status) = self.participant(party) {
            status.attempts = status.attempts.saturating_add(1);
            status.state = ParticipantState::Failed;
            status.reason = Some(error.word().to_owned());
            status.last_attempt_at = Some(Instant(at));
        }
    }
}
