//! The warning before the end of a meeting: what is shown now, in which calls, and what is remembered of it. PURE.
//!
//! No intent is stored before: a message that is shown twice after a crash does no harm, and it goes by itself. Nothing
//! here fails a pass, because door, call and people come first.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Next;
use super::progress::{Door, Progress};
use super::step::{Look, Step};
use crate::api::values::Instant;
use crate::api::warning::EndWarningStatus;
use crate::cms::{Address, CallAt};
use crate::facts::Seen;
use crate::facts::meeting::MeetingFacts;
use crate::plan::Flow;
use crate::plan::verdict::Pause;
use crate::plan::warning::Warnings;

/// No warning is on the screen for longer than this, whatever the spec says now.
const LONGEST_SHOWN: SignedDuration = SignedDuration::from_secs(60);

/// The longest text of a failure that is kept.
const LONGEST_FAILURE: usize = 120;

const INTERRUPTED: &str = "the meeting, or what its bridge was asked before, changed in the midst of it";

const PASSED: &str = "its minute had passed when it could be shown: the controller, the bridge or the call was away";

/// What is told to everybody in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many minutes are left.
    Left(u32),
    /// Nothing any more: the end that was warned of is not the end.
    TakenAway,
}

/// What was told in this pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// It goes on for the other calls.
    notice: Option<Notice>,
    /// Those that are done with.
    calls: BTreeSet<CallAt>,
    /// What was on the screens when it was to be taken away, and whether it could not be taken away everywhere.
    on_screen: Option<EndWarningStatus>,
    stays: bool,
    /// The bridge has more urgent things to do: a later pass asks again whether it is still true.
    is_put_off: bool,
    /// Call bridges that did not tell which calls they have.
    pub(super) silent: Vec<Address>,
}

/// What is to be told, if anything is. The people of one meeting may be on several call bridges, each of which has a call
/// of its own.
pub(super) fn telling(progress: &Progress, facts: &MeetingFacts, now: Timestamp) -> Option<Next> {
    let notice = progress.notice(now).filter(|_| !progress.tried.told.is_put_off)?;
    let here = progress.call_here()?;
    let Seen::Known(elsewhere) = &facts.elsewhere else { return Some(Next::Look(Look::Elsewhere)) };
    let of_now = elsewhere.iter().filter(|placed| !placed.is_older_than(progress.window.opens_at));
    let mut calls = std::iter::once(here).chain(of_now.map(super::PlacedCall::at));
    let call = calls.find(|call| !progress.tried.told.calls.contains(call))?;
    Some(Next::Do(Step::Tell { call, notice }))
}

impl Progress {
    /// The warnings of this meeting, if anybody is to be warned.
    fn warnings(&self) -> Option<Warnings<'_>> {
        let asked = self.terms.warning()?;
        let opened_at = self.draft.opened_at?.0;
        Some(Warnings { asked, window: self.window, opened_at, done: self.draft.end_warning.as_ref() })
    }

    fn notice(&self, now: Timestamp) -> Option<Notice> {
        if self.tried.told.notice.is_some() {
            return self.tried.told.notice;
        }
        let due = self.warnings().and_then(|warnings| warnings.due(now)).map(Notice::Left);
        due.or_else(|| self.is_wrong_on_screen(now).then_some(Notice::TakenAway))
    }

    /// May a warning be on the screen that is about another end?
    fn is_wrong_on_screen(&self, now: Timestamp) -> bool {
        let Some(done) = &self.draft.end_warning else { return false };
        let length = self.terms.warning().map_or(LONGEST_SHOWN, |asked| asked.length());
        let is_shown = done.shown_at.is_some_and(|at| now.duration_since(at.0) < length);
        is_shown && done.end.0 != self.window.closes_at && !self.terms.is_suspended && !self.terms.is_observe_only
    }

    /// When the next warning is to be shown.
    pub fn next_warning(&self, now: Timestamp) -> Option<Timestamp> {
        self.warnings()?.next(now)
    }

    /// A warning whose minute has passed is not shown any more, and that is told. Of an end that is new nobody could have
    /// been warned before.
    pub(super) fn note_passed_warning(&mut self, now: Timestamp) {
        if self.door != Door::Open || self.is_wrong_on_screen(now) {
            return;
        }
        let Some(minutes) = self.warnings().and_then(|warnings| warnings.passed(now)) else { return };
        let is_new_end = self.is_edited || self.stored_end != Some(self.window.closes_at);
        let failed = (!is_new_end).then(|| PASSED.to_owned());
        self.draft.end_warning = Some(EndWarningStatus { end: self.ends(), minutes, shown_at: None, failed });
    }

    fn ends(&self) -> Instant {
        Instant(self.window.closes_at)
    }

    /// It was told in one call.
    pub(super) fn told(&mut self, call: &CallAt, notice: Notice, at: Timestamp) {
        self.note_told(call, notice, Some(at), None);
    }

    /// It could not be told in one call. None: somebody ended that call.
    pub(super) fn not_told(&mut self, call: &CallAt, notice: Notice, why: Option<String>) -> Flow {
        let why = why.map(|why| why.chars().take(LONGEST_FAILURE).collect());
        self.note_told(call, notice, None, why);
        Flow::GoOn
    }

    /// Its turn did not come within the time that the meeting has for it: people come first.
    pub(super) fn put_off(&mut self) {
        self.tried.told.is_put_off = true;
        self.pause.get_or_insert(Pause::None);
    }

    /// It was told in one call, and before the next one's turn came something else was wanted.
    pub(super) fn telling_interrupted(&mut self, call: &CallAt, notice: Notice) {
        if self.tried.told.notice.is_some() {
            self.note_told(call, notice, None, Some(INTERRUPTED.to_owned()));
        }
    }

    /// Why it may not be told everywhere, whatever comes of this call.
    fn is_told_in_part(&self) -> Option<String> {
        let first = self.tried.told.silent.first()?;
        Some(format!("{first} did not tell whether it has a call of this meeting"))
    }

    fn note_told(&mut self, call: &CallAt, notice: Notice, at: Option<Timestamp>, failed: Option<String>) {
        self.tried.told.notice = Some(notice);
        self.tried.told.calls.insert(call.clone());
        let failed = failed.or_else(|| self.is_told_in_part());
        let Notice::Left(minutes) = notice else {
            // What is still on a screen is kept in mind until it has gone by itself.
            let told = &mut self.tried.told;
            told.stays |= failed.is_some();
            told.on_screen = told.on_screen.take().or_else(|| self.draft.end_warning.take());
            self.draft.end_warning = told.on_screen.clone().filter(|_| told.stays);
            return;
        };
        let end = self.ends();
        let before = self.draft.end_warning.take().filter(|known| (known.end, known.minutes) == (end, minutes));
        let (was_shown, had_failed) = before.map(|known| (known.shown_at, known.failed)).unwrap_or_default();
        let shown_at = was_shown.or(at.map(Instant::shown));
        self.draft.end_warning = Some(EndWarningStatus { end, minutes, shown_at, failed: had_failed.or(failed) });
    }
}
