//! What others do to the open door of a running meeting (`plan/contest.rs`).

use jiff::{SignedDuration, Timestamp};

use super::progress::{Note, Progress};
use crate::api::marks::is_mark;
use crate::api::repairs::{MOST_REPAIRS, Repairs, Rival, Shown};
use crate::cms::Space;
use crate::facts::Seen;
use crate::facts::meeting::MeetingFacts;
use crate::facts::slots::ShownFields;
use crate::plan::contest::{QUIET, SHUT_AGAIN};

impl Progress {
    /// How long it rests in a tug-of-war. Another passcode or secret lets strangers in, and other profiles may take away
    /// what protects: the right ones are put back for as long as it takes.
    fn rest(&self, shown: Shown) -> SignedDuration {
        match shown {
            Shown::OtherKeys => SHUT_AGAIN,
            Shown::OtherProfiles if self.is_protected() => SHUT_AGAIN,
            Shown::Nothing | Shown::AsWanted | Shown::Renamed | Shown::Shut | Shown::OtherProfiles => QUIET,
        }
    }

    /// What a look shows of the open door. None: a list item, which tells nothing about it, or we do not know how it is to
    /// be.
    fn shown(&self, space: &Space) -> Option<Shown> {
        self.shown_where(self.shown_fields, space)
    }

    /// The same on a bridge that can show this.
    fn shown_where(&self, can_show: ShownFields, space: &Space) -> Option<Shown> {
        let (passcode, secret) = (self.passcode()?, self.secret()?);
        let is_ours = space.cdr_tag.as_ref().map_or(!can_show.mark, |tag| *tag == self.terms.mark);
        // A secret that is not shown proves nothing on a bridge that shows none. Without a passcode strangers come in, so
        // that must be found out first.
        let has_secret = space.has_secret(secret) || (space.secret.is_none() && !can_show.secret);
        let is_hidden = space.passcode.is_none() && !can_show.passcode && can_show.hides_passcode;
        let has_passcode = space.has_passcode(passcode) || is_hidden;
        if space.non_member_access.is_none() && !can_show.shut {
            return None;
        }
        Some(match can_show.is_open(space) {
            false => Shown::Shut,
            true if !has_passcode || !has_secret => Shown::OtherKeys,
            true if self.has_other_profiles(space) => Shown::OtherProfiles,
            true if !is_ours || space.name != self.terms.spec.title => Shown::Renamed,
            true => Shown::AsWanted,
        })
    }

    /// This process put the right passcode back as often as in a tug-of-war, each time everything else was as it was
    /// written, and no look at any space of the bridge has ever shown a passcode: it does not show them.
    fn hides_passcode(&self, space: &Space, now: Timestamp) -> bool {
        let was_put_back = self.vain_passcodes() >= MOST_REPAIRS;
        // What is shown may be from before the last repair.
        let is_late = self.draft.door_repairs.and_then(|repairs| repairs.shows_at()).is_none_or(|at| now < at);
        was_put_back && !is_late && self.lacks_only_the_passcode(space)
    }

    fn vain_passcodes(&self) -> u32 {
        self.written.as_ref().map_or(0, |written| written.vain_passcodes)
    }

    /// Is everything as it was written, but for a passcode that is not shown, and never was on this bridge?
    fn lacks_only_the_passcode(&self, space: &Space) -> bool {
        let known = self.shown_fields;
        if space.passcode.is_some() || known.passcode || known.hides_passcode {
            return false;
        }
        let knowing = ShownFields { hides_passcode: true, ..known };
        self.shown(space) == Some(Shown::OtherKeys) && self.shown_where(knowing, space) == Some(Shown::AsWanted)
    }

    /// Was the open door changed, and is it time to put it back?
    pub(super) fn is_to_be_put_back(&self, space: &Space, now: Timestamp) -> bool {
        let changed = self.shown(space).filter(|shown| *shown != Shown::AsWanted);
        changed.is_some_and(|shown| self.draft.door_repairs.is_none_or(|repairs| repairs.is_due(self.rest(shown), now)))
    }

    /// Notes what is shown of a door that was put back before.
    pub(super) fn note_door(&mut self, facts: &MeetingFacts, now: Timestamp) {
        self.draft.door_repairs.take_if(|repairs| repairs.is_forgotten(now));
        let Seen::Known(Some(space)) = &facts.space else { return };
        if self.hides_passcode(space, now) {
            self.shown_fields.hides_passcode = true;
            self.draft.door_repairs = None;
            self.notes.push(Note::PasscodeHidden);
        }
        let Some(shown) = self.shown(space) else { return };
        let rest = self.rest(shown);
        if let Some(repairs) = &mut self.draft.door_repairs {
            repairs.see(shown, rest, now);
        }
    }

    /// The open door is put back; the facts are those from before.
    pub(super) fn note_repair(&mut self, facts: &MeetingFacts, at: Timestamp) {
        let space = facts.space.known().and_then(Option::as_ref);
        let is_vain = space.is_some_and(|space| self.lacks_only_the_passcode(space));
        let vain = if is_vain { self.vain_passcodes().saturating_add(1) } else { 0 };
        if let Some(written) = &mut self.written {
            written.vain_passcodes = vain;
        }
        let by = space.map_or(Rival::Unknown, |space| {
            let mark = space.cdr_tag.as_deref().filter(|mark| *mark != self.terms.mark);
            if mark.is_some_and(is_mark) {
                Rival::Installation
            } else if space.name == self.terms.placeholder {
                Rival::Scheduler
            } else {
                Rival::Unknown
            }
        });
        self.draft.door_repairs = Some(Repairs::after(self.draft.door_repairs, at, by));
    }

    /// When a door that was left as others made it is looked at again.
    pub(super) fn door_due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let repairs = self.draft.door_repairs.as_ref().filter(|repairs| repairs.shown != Shown::AsWanted)?;
        let is_unseen = repairs.shown == Shown::Nothing;
        let shows_at = repairs.shows_at().filter(|at| is_unseen && *at > now);
        let rest = if is_unseen { SHUT_AGAIN } else { self.rest(repairs.shown) };
        shows_at.or_else(|| repairs.due_at(rest).filter(|at| *at > now))
    }
}
