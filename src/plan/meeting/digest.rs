//! What was seen of call and participants, worked into the progress of a meeting.

use jiff::Timestamp;

use super::progress::{Note, Progress, Survey};
use crate::api::conditions::meeting as reason;
use crate::api::meeting::{CallBinding, ParticipantState, ParticipantStatus};
use crate::api::values::Instant;
use crate::cms::{CallAt, CallId};
use crate::facts::Seen;
use crate::facts::calls::PlacedCall;
use crate::facts::meeting::MeetingFacts;
use crate::plan::participants;

/// Whether the meeting has another call now than the one whose legs were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeenLegsAre {
    OfThisCall,
    OfAnother,
}

/// The call that is this meeting's: the recorded one if it is still there, else the first by id.
/// Ids are unique wherever they are, so a call bridge that got another address still has the recorded one. What an
/// earlier meeting left is nobody's.
pub fn pick_call<'a>(
    calls: &'a [PlacedCall],
    recorded: Option<&CallAt>,
    opens_at: Timestamp,
) -> Option<&'a PlacedCall> {
    let known = calls.iter().find(|placed| recorded.is_some_and(|call| call.id == placed.call.id));
    let new = calls.iter().filter(|placed| !placed.is_older_than(opens_at));
    known.or_else(|| new.min_by(|a, b| a.call.id.cmp(&b.call.id)))
}

impl Progress {
    /// Takes up the work with what is known without asking. The call of a call bridge that is lost is given up, unless
    /// running meetings are to be left as they are.
    pub(super) fn take_survey(&mut self, facts: &mut MeetingFacts, survey: Survey, now: Timestamp) {
        self.call_bridge = Some(survey.call_bridge);
        self.tried.mark_seen = false;
        self.tried.legs_seen = false;
        self.tried.wants_boot = false;
        self.tried.call_was_ended = false;
        self.tried.was_emptied = false;
        if survey.lost.is_some() {
            self.lost_call_bridge = survey.lost;
        }
        self.shown_fields = survey.facts.shown_fields;
        let is_closing = self.is_closing(now);
        // To evacuate is an order; what becomes of meetings when a call bridge is lost is another question.
        let is_left = (self.terms.leaves_running && !survey.is_evacuated) || self.terms.is_suspended;
        if self.is_left_alone() && !self.terms.is_observe_only && (is_closing || !is_left) {
            if let Some(lost) = self.lost_call_bridge.as_ref().filter(|_| !is_closing) {
                participants::after_call_lost(&mut self.draft.participants, Some(&lost.to_string()));
            }
            self.draft.call = None;
            (self.tried.call_was_lost, self.tried.call_is_new) = (true, false);
        }
        // A call that is left alone is on a bridge that cannot be asked, and no other one tells anything about it.
        *facts = if self.is_left_alone() { MeetingFacts::default() } else { survey.facts };
    }

    /// Is the recorded call among those that were seen on the space?
    pub(super) fn note_seen_call(&mut self, facts: &MeetingFacts) {
        let recorded = self.call_here();
        let seen = facts.calls.known().into_iter().flatten().find(|placed| recorded.as_ref() == Some(&placed.at()));
        if let Some(seen) = seen {
            self.tried.seen_call = Some(seen.call.id.clone());
        }
    }

    /// Works what was seen of call and legs into the draft.
    pub(super) fn digest(&mut self, facts: &mut MeetingFacts, now: Timestamp) {
        let is_closing = self.is_closing(now);
        let were_in = participants::connected(&self.draft.participants);
        if let Seen::Known(calls) = &facts.calls
            && !is_closing
            && self.digest_calls(calls, &facts.booted, now) == SeenLegsAre::OfAnother
        {
            facts.legs = Seen::Unknown;
        }
        if self.tried.wants_boot {
            // Why the legs are gone is not known yet.
            return;
        }
        let seen = facts.legs.known().filter(|_| self.draft.call.is_some() && !is_closing);
        if seen.is_some_and(|seen| seen.legs.is_empty()) && self.is_anybody_in() && !self.tried.was_emptied {
            // Have they left, or did their call go, which the list before may not have shown? Who was cut off is rung again.
            self.tried.was_emptied = true;
            facts.calls = Seen::Unknown;
            return;
        }
        let elsewhere = facts.on_lost_bridge.known().filter(|_| !is_closing);
        let old = std::mem::take(&mut self.draft.participants);
        let outgoing = self.terms.allows_outgoing;
        self.draft.participants = participants::update(&self.terms.spec, &old, seen, elsewhere, outgoing);
        if now < self.window.starts_at {
            participants::before_start(&self.terms.spec, &were_in, &mut self.draft.participants);
        }
        if let Some(seen) = seen {
            let statuses = &self.draft.participants;
            let ringing = statuses.iter().filter(|p| p.state == ParticipantState::Ringing);
            let ringing = ringing.filter(|p| {
                seen.legs
                    .iter()
                    .any(|leg| p.leg_id.as_deref().is_some_and(|id| leg.id.as_str().eq_ignore_ascii_case(id)))
            });
            let count = seen.legs.len().saturating_sub(ringing.count());
            let is_still_in =
                |p: &&ParticipantStatus| p.call_bridge.is_some() && p.state == ParticipantState::Connected;
            // Those who are still in through a lost call bridge are counted by the bridge, too, if it counts at all.
            let still_in = statuses.iter().filter(is_still_in).count();
            let remote = usize::try_from(facts.remote_count).unwrap_or(0);
            self.draft.participant_count = u32::try_from(count + still_in.max(remote)).ok();
        }
    }

    fn is_anybody_in(&self) -> bool {
        let is_in = |p: &ParticipantStatus| p.state == ParticipantState::Connected && p.call_bridge.is_none();
        !self.tried.call_is_new && self.draft.participants.iter().any(is_in)
    }

    /// Is nobody in a meeting whose start was moved away, as a look of this pass shows?
    pub(super) fn note_vacancy(&mut self, facts: &MeetingFacts) {
        if self.moved_to.is_none() || self.is_left_alone() {
            return;
        }
        let is_empty = match self.call_here() {
            Some(_) => self.tried.legs_seen && facts.legs.known().is_some() && self.draft.participant_count == Some(0),
            None => facts.calls.known().is_some_and(Vec::is_empty),
        };
        self.vacated |= is_empty && facts.orphan_calls.iter().all(|orphan| orphan.is_empty);
    }

    /// Works the calls on the space, at the call bridge of the meeting, into the record of its call.
    fn digest_calls(&mut self, calls: &[PlacedCall], booted: &Seen<Option<Timestamp>>, now: Timestamp) -> SeenLegsAre {
        let recorded = self.recorded_call();
        let is_elsewhere = |call: &&CallAt| self.call_bridge.as_ref() != Some(&call.call_bridge);
        let elsewhere = recorded.as_ref().filter(is_elsewhere).map(|call| call.call_bridge.to_string());
        let picked = pick_call(calls, recorded.as_ref(), self.window.opens_at);
        let is_gone = recorded.as_ref().is_some_and(|call| picked.is_none_or(|placed| placed.call.id != call.id));
        // Of a call that this pass made, and of one on a call bridge that is given up, it is known what became of it.
        let is_known = self.tried.call_is_new || elsewhere.is_some() || self.terms.is_suspended;
        self.tried.wants_boot = is_gone && !is_known && matches!(booted, Seen::Unknown);
        if self.tried.wants_boot {
            return SeenLegsAre::OfThisCall;
        }
        match picked {
            Some(placed) if recorded.as_ref() != Some(&placed.at()) => {
                let is_same = recorded.as_ref().is_some_and(|call| call.id == placed.call.id);
                if recorded.is_some() && !is_same && !self.tried.call_is_new {
                    self.call_ended(elsewhere.as_deref(), booted.known().copied().flatten());
                }
                if !is_same {
                    self.call_origin = Some(match (self.tried.call_is_new, self.tried.call_was_lost) {
                        (true, true) => reason::RECREATED,
                        (true, false) => reason::CREATED,
                        (false, _) => reason::ADOPTED,
                    });
                }
                let was_adopted = self.draft.call.as_ref().is_some_and(|binding| binding.adopted);
                let adopted = if is_same { was_adopted } else { self.call_origin == Some(reason::ADOPTED) };
                let since = self.draft.call.as_ref().and_then(|binding| binding.since).filter(|_| is_same);
                self.bind_call(&placed.at(), placed.call.correlator.clone(), adopted, since.map_or(now, |at| at.0));
                if !is_same && recorded.is_some() { SeenLegsAre::OfAnother } else { SeenLegsAre::OfThisCall }
            }
            Some(placed) => {
                if let Some(binding) = &mut self.draft.call
                    && binding.correlator.is_none()
                {
                    binding.correlator.clone_from(&placed.call.correlator);
                }
                SeenLegsAre::OfThisCall
            }
            None if recorded.is_some() => {
                self.call_ended(elsewhere.as_deref(), booted.known().copied().flatten());
                self.draft.call = None;
                SeenLegsAre::OfAnother
            }
            None => SeenLegsAre::OfThisCall,
        }
    }

    /// The recorded call is not there any more. One that we made stays when it is empty, so somebody ended it, unless its
    /// call bridge is known to have been started since. One that somebody made by joining ends with its last leg: if no
    /// more than one was in, he left.
    fn call_ended(&mut self, elsewhere: Option<&str>, booted: Option<Timestamp>) {
        self.tried.call_was_lost = true;
        if elsewhere.is_some() {
            participants::after_call_lost(&mut self.draft.participants, elsewhere);
            return;
        }
        let was_restarted = self.was_restarted(booted);
        let binding = self.draft.call.as_ref();
        self.tried.ended_call = binding.map(|binding| CallId::from(binding.id.as_str()));
        let was_adopted = binding.is_some_and(|binding| binding.adopted);
        let have_left = was_adopted && !was_restarted && self.draft.participant_count.unwrap_or_default() <= 1;
        let was_ended = !have_left && !was_restarted;
        self.tried.call_was_ended |= was_ended;
        self.draft.calls_ended = self.draft.calls_ended.saturating_add(u32::from(was_ended));
        if have_left || self.is_call_unwanted() {
            participants::after_all_left(&mut self.draft.participants);
        } else {
            participants::after_call_lost(&mut self.draft.participants, None);
        }
        self.draft.participant_count = None;
    }

    /// Was the call bridge started since the recorded call began?
    pub fn was_restarted(&self, booted: Option<Timestamp>) -> bool {
        let since = self.draft.call.as_ref().and_then(|binding| binding.since).or(self.draft.opened_at);
        booted.zip(since).is_some_and(|(booted, since)| booted > since.0)
    }

    /// A call was made.
    pub(super) fn call_created(&mut self, call: &CallAt, at: Timestamp) {
        // A bridge may hand out the one that was there all the time: then it has legs.
        self.tried.call_is_new = self.tried.ended_call.as_ref() != Some(&call.id);
        self.tried.seen_call = Some(call.id.clone());
        let was_lost = self.tried.call_was_lost;
        self.call_origin = Some(if was_lost { reason::RECREATED } else { reason::CREATED });
        self.bind_call(call, None, false, at);
        if let Some(lost) = self.lost_call_bridge.clone() {
            self.notes.push(Note::Recreated { at, lost });
        }
    }

    fn bind_call(&mut self, call: &CallAt, correlator: Option<String>, adopted: bool, since: Timestamp) {
        let (id, call_bridge) = (call.id.to_string(), call.call_bridge.to_string());
        self.draft.call =
            Some(Box::new(CallBinding { id, call_bridge, correlator, adopted, since: Some(Instant::shown(since)) }));
    }
}
