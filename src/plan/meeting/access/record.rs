//! What was seen and written of access methods, worked into the progress of a meeting.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;

use super::WrittenMethods;
use crate::api::access::{AccessMethodSpec, AccessMethodStatus, MOST_ACCESS_METHODS};
use crate::api::marks::Marks;
use crate::api::repairs::{Repairs, Rival};
use crate::cms::{AccessMethod, AccessMethodId};
use crate::facts::Seen;
use crate::facts::meeting::{MeetingFacts, SeenMethods};
use crate::plan::meeting::progress::{Note, Progress};

impl Progress {
    /// The intent is about to be stored: these may be on the bridge from now on.
    pub(in crate::plan::meeting) fn intend_methods(&mut self) {
        if self.lacks_access_methods() || self.terms.settings.is_none() {
            return;
        }
        for spec in &self.terms.spec.access_methods {
            if !self.draft.access_methods.iter().any(|entry| entry.name == spec.name) {
                let (name, role) = (spec.name.clone(), spec.role);
                // Its profile stays as long as it may be there.
                let call_leg_profile = self.profile_of(&name).flatten();
                self.draft.access_methods.push(AccessMethodStatus { name, role, id: None, call_leg_profile });
            }
        }
        self.draft.access_methods.truncate(MOST_ACCESS_METHODS);
    }

    /// What was made before the installation had a name is ours as well: its id is recorded, or its name says so.
    pub(in crate::plan::meeting) fn understood(&self, mut seen: SeenMethods) -> SeenMethods {
        let asked = self.terms.spec.access_methods.iter().map(|spec| &spec.name);
        let names: Vec<&String> = asked.chain(self.draft.access_methods.iter().map(|entry| &entry.name)).collect();
        let earlier = |name: &str| {
            let mark = self.terms.earlier_mark.as_ref()?;
            Some(Marks::default().of_access_method(mark, name))
        };
        for mut method in std::mem::take(&mut seen.others) {
            let recorded = self
                .draft
                .access_methods
                .iter()
                .find(|entry| entry.id.as_deref().is_some_and(|id| method.id.as_str().eq_ignore_ascii_case(id)));
            let named = || names.iter().find(|name| method.name.is_some() && method.name == earlier(name));
            if let Some(name) = recorded.map(|entry| &entry.name).or_else(|| named().copied()) {
                method.name = Some(self.on_bridge(name));
                seen.ours.push(method);
            } else {
                seen.others.push(method);
            }
        }
        seen.ours.sort_by(|one, other| one.id.cmp(&other.id));
        seen
    }

    /// The secrets of those of this meeting that are there, by their name in the spec.
    pub fn secrets_shown(&self, seen: SeenMethods) -> BTreeMap<String, SecretString> {
        let seen = self.understood(seen);
        let shown = |spec: &AccessMethodSpec| {
            let method = self.chosen(&seen, &self.on_bridge(&spec.name))?;
            Some((spec.name.clone(), method.secret.clone()?))
        };
        self.terms.spec.access_methods.iter().filter_map(shown).collect()
    }

    /// What this process knew when the pass began. Who edits the meeting, or asks for another try, has what was given up made
    /// again.
    pub fn know_methods(&mut self, written: Option<WrittenMethods>) {
        self.written_methods = written;
        if let Some(written) = &mut self.written_methods
            && (self.is_edited || self.is_asked)
            && !written.remade.is_empty()
        {
            written.remade.clear();
            self.notes.push(Note::Methods);
        }
    }

    /// It is not known any more what was written; how often others took it away is.
    pub(in crate::plan::meeting) fn forget_written_methods(&mut self) {
        if let Some(written) = &mut self.written_methods {
            written.methods.clear();
            written.excused = None;
        }
    }

    /// Each was looked at.
    pub(in crate::plan::meeting) fn take_methods(&mut self, facts: &MeetingFacts, seen: &SeenMethods) {
        let number = self.number();
        let asked = self.terms.spec.access_methods.clone();
        let is_there = |entry: &AccessMethodStatus, progress: &Self| {
            progress.chosen(seen, &progress.on_bridge(&entry.name)).is_some()
                || asked.iter().any(|spec| spec.name == entry.name)
        };
        let mut entries = std::mem::take(&mut self.draft.access_methods);
        entries.retain(|entry| is_there(entry, self));
        self.draft.access_methods = entries;
        let mut written = WrittenMethods { excused: None, ..self.written_methods.clone().unwrap_or_default() };
        for spec in &asked {
            let shown = self.chosen(seen, &self.on_bridge(&spec.name)).cloned();
            let is_as_wanted = match (&shown, self.wanted(spec)) {
                (Some(shown), Some(wanted)) => wanted.is_shown(shown, &number).then(|| wanted.written()),
                _ => None,
            };
            match is_as_wanted {
                Some(known) => _ = written.methods.insert(spec.name.clone(), known),
                None => _ = written.methods.remove(&spec.name),
            }
            let had_id = self.entry(&spec.name).is_some_and(|entry| entry.id.is_some());
            if had_id && shown.is_none() {
                written.deleted.insert(spec.name.clone());
            }
            self.note_method(spec, shown.as_ref());
        }
        self.taken_methods = self
            .wanted_methods()
            .iter()
            .filter(|wanted| self.is_taken(seen, wanted))
            .map(|wanted| wanted.spec.name.clone())
            .collect();
        written.excused = self.are_fewer(facts);
        self.written_methods = Some(written);
        self.notes.push(Note::Methods);
    }

    /// What the status tells of one: its id, while it is there.
    fn note_method(&mut self, spec: &AccessMethodSpec, shown: Option<&AccessMethod>) {
        let entry = self.draft.access_methods.iter_mut().find(|entry| entry.name == spec.name);
        match (entry, shown) {
            (Some(entry), shown) => {
                entry.id = shown.map(|method| method.id.to_string());
                entry.call_leg_profile =
                    shown.and_then(|method| method.call_leg_profile.as_ref()).map(ToString::to_string);
            }
            (None, Some(method)) => self.draft.access_methods.push(AccessMethodStatus {
                name: spec.name.clone(),
                role: spec.role,
                id: Some(method.id.to_string()),
                call_leg_profile: method.call_leg_profile.as_ref().map(ToString::to_string),
            }),
            (None, None) => {}
        }
    }

    /// One was made.
    pub(in crate::plan::meeting) fn method_made(
        &mut self,
        facts: &mut MeetingFacts,
        name: &str,
        id: &AccessMethodId,
        at: Timestamp,
    ) {
        self.method_written(facts, name, id);
        let written = self.written_methods.get_or_insert_default();
        if written.deleted.remove(name) {
            let before = written.remade.get(name).copied();
            written.remade.insert(name.to_owned(), Repairs::after(before, at, Rival::Unknown));
        }
    }

    /// One was made or changed.
    pub(in crate::plan::meeting) fn method_written(
        &mut self,
        facts: &mut MeetingFacts,
        name: &str,
        id: &AccessMethodId,
    ) {
        let Some((written, new)) =
            self.wanted_named(name).map(|wanted| wanted.written()).zip(self.method_to_write(name))
        else {
            return;
        };
        let role = self.terms.spec.access_methods.iter().find(|spec| spec.name == name).map(|spec| spec.role);
        if let Some(entry) = self.draft.access_methods.iter_mut().find(|entry| entry.name == name) {
            entry.id = Some(id.to_string());
            entry.call_leg_profile.clone_from(&written.profile);
            entry.role = role.unwrap_or(entry.role);
        }
        if let Seen::Known(seen) = &mut facts.methods {
            seen.ours.retain(|method| method.id != *id);
            seen.ours.push(AccessMethod {
                id: id.clone(),
                name: Some(new.name),
                call_id: Some(new.number),
                passcode: Some(new.passcode),
                secret: Some(new.secret),
                call_leg_profile: new.call_leg_profile.map(Into::into),
            });
        }
        self.written_methods.get_or_insert_default().methods.insert(name.to_owned(), written);
        self.notes.push(Note::Methods);
    }

    /// One of ours is gone.
    pub(in crate::plan::meeting) fn method_deleted(
        &mut self,
        facts: &mut MeetingFacts,
        id: &AccessMethodId,
        is_closing: bool,
    ) {
        if let Seen::Known(seen) = &mut facts.methods {
            seen.ours.retain(|method| method.id != *id);
        }
        if is_closing {
            // What was seen before our own write proves nothing.
            facts.methods = Seen::Unknown;
        }
        let asked = &self.terms.spec.access_methods;
        let gone: Vec<String> = self
            .draft
            .access_methods
            .iter()
            .filter(|entry| entry.id.as_deref().is_some_and(|known| id.as_str().eq_ignore_ascii_case(known)))
            .map(|entry| entry.name.clone())
            .collect();
        self.draft.access_methods.retain(|entry| {
            !gone.contains(&entry.name) || (!is_closing && asked.iter().any(|spec| spec.name == entry.name))
        });
        for entry in self.draft.access_methods.iter_mut().filter(|entry| gone.contains(&entry.name)) {
            (entry.id, entry.call_leg_profile) = (None, None);
        }
        if let Some(written) = &mut self.written_methods {
            written.methods.retain(|name, _| !gone.contains(name));
        }
        self.notes.push(Note::Methods);
    }

    /// The slot has another space now, and those of the one before went with it.
    pub fn forget_methods(&mut self) {
        for entry in &mut self.draft.access_methods {
            (entry.id, entry.call_leg_profile) = (None, None);
        }
        self.written_methods = None;
    }
}
