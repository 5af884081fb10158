//! Which meetings are occurrences of which series, so that a pass does not search among all, and who is woken by a change
//! of one. It holds nothing that is not in the objects, but what we made and the watch does not show yet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::{Resource, ResourceExt};

use crate::api::conditions::types;
use crate::api::names::{ObjectKey, SERIES_APPLIED_ANNOTATION, of_occurrence_name};
use crate::api::{MeetingSeries, ScheduledMeeting, find};
use crate::controller::merge::Within;

/// One occurrence.
struct Known {
    /// What a series wants to hear of it, as it was heard last.
    heard: u64,
    /// It is there, and the store does not have it yet: we made it, or looked at it.
    made: Option<Arc<ScheduledMeeting>>,
    /// The list in which it was seen last, or while which it was made.
    list: u64,
    /// That list shows it: the store has it once the list is there.
    is_listed: bool,
}

#[derive(Default)]
struct Index {
    series: BTreeMap<ObjectKey, BTreeMap<String, Known>>,
    lists: BTreeMap<Within, u64>,
    /// Series that want to hear of what the list that is being read shows.
    waiting: BTreeMap<Within, BTreeSet<ObjectKey>>,
}

impl Index {
    fn list(&self, namespace: &str) -> u64 {
        list_of(&self.lists, namespace)
    }
}

/// Number of the list that was begun last of what is in this namespace.
fn list_of(lists: &BTreeMap<Within, u64>, namespace: &str) -> u64 {
    let of = |within: &Within| lists.get(within).copied().unwrap_or_default();
    of(&None) + of(&Some(namespace.to_owned()))
}

/// The occurrences of every series.
#[derive(Default)]
pub struct Occurrences(Mutex<Index>);

/// The series of a meeting: its controller; or, if nobody controls it, the one whose occurrence it is or could be by name.
fn series_of(meeting: &ScheduledMeeting) -> Option<ObjectKey> {
    let namespace = meeting.namespace().unwrap_or_default();
    let owner = meeting.owner_references().iter().find(|owner| owner.controller == Some(true));
    match owner {
        Some(owner) if owner.kind == MeetingSeries::kind(&()) => Some(ObjectKey::new(namespace, owner.name.clone())),
        _ => of_occurrence_name(&meeting.name_any()).map(|(series, _)| ObjectKey::new(namespace, series)),
    }
}

/// What a series wants to hear of: edits, deletion, whether it is booked or over. Not how it runs.
fn news(meeting: &ScheduledMeeting) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (meta, status) = (&meeting.metadata, meeting.status.as_ref());
    (&meta.uid, meta.generation, meta.deletion_timestamp.is_some()).hash(&mut hasher);
    meeting.annotations().get(SERIES_APPLIED_ANNOTATION).hash(&mut hasher);
    meta.owner_references.iter().flatten().for_each(|owner| owner.uid.hash(&mut hasher));
    let accepted = status.and_then(|status| find(&status.conditions, types::ACCEPTED));
    accepted.map(|told| (&told.status, &told.reason)).hash(&mut hasher);
    // A refused one is held as it was booked before, or not any more.
    status.is_some_and(|status| status.slot.is_some()).hash(&mut hasher);
    let phase = status.and_then(|status| status.phase).unwrap_or_default();
    (status.and_then(|status| status.observed_generation), phase.is_over()).hash(&mut hasher);
    hasher.finish()
}

impl Occurrences {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list that is being read shows it. The store takes a list when it is complete: until then a pass would see what was
    /// there before, so what we made is kept, and whoever wants to hear of it is woken by [`Occurrences::list_is_there`].
    pub fn listed(&self, within: &Within, meeting: &ScheduledMeeting) {
        let Some(series) = series_of(meeting) else { return };
        let mut index = self.lock();
        let (heard, list) = (news(meeting), index.list(&series.namespace));
        let all = index.series.entry(series.clone()).or_default();
        let before = all.remove(&meeting.name_any());
        let is_news = before.as_ref().is_none_or(|before| before.heard != heard);
        let made = before.and_then(|before| before.made).map(|_| Arc::new(meeting.clone()));
        all.insert(meeting.name_any(), Known { heard, made, list, is_listed: true });
        if is_news {
            index.waiting.entry(within.clone()).or_default().insert(series);
        }
    }

    /// The watch shows it. Returns the series that wants to hear of it.
    pub fn seen(&self, meeting: &ScheduledMeeting) -> Option<ObjectKey> {
        let series = series_of(meeting)?;
        let mut index = self.lock();
        let (heard, list) = (news(meeting), index.list(&series.namespace));
        let all = index.series.entry(series.clone()).or_default();
        let before = all.insert(meeting.name_any(), Known { heard, made: None, list, is_listed: false });
        before.is_none_or(|before| before.heard != heard).then_some(series)
    }

    /// The watch says that it is gone. Returns its series.
    pub fn gone(&self, meeting: &ScheduledMeeting) -> Option<ObjectKey> {
        let series = series_of(meeting)?;
        let mut index = self.lock();
        if let Some(all) = index.series.get_mut(&series) {
            all.remove(&meeting.name_any());
            if all.is_empty() {
                index.series.remove(&series);
            }
        }
        Some(series)
    }

    /// We wrote it: it is there, although the watch does not show it yet.
    pub fn made(&self, series: &ObjectKey, meeting: &ScheduledMeeting) {
        let mut index = self.lock();
        let (heard, list) = (news(meeting), index.list(&series.namespace));
        let all = index.series.entry(series.clone()).or_default();
        // What the watch shows already is not made up for.
        let made = Some(Arc::new(meeting.clone()));
        all.entry(meeting.name_any()).or_insert(Known { heard, made, list, is_listed: false });
    }

    /// We looked at one that the store does not have: a pass goes on from what is there.
    pub fn looked_at(&self, series: &ObjectKey, meeting: &ScheduledMeeting) {
        if series_of(meeting).as_ref() != Some(series) {
            return;
        }
        let mut index = self.lock();
        let (heard, list) = (news(meeting), index.list(&series.namespace));
        let all = index.series.entry(series.clone()).or_default();
        let made = Some(Arc::new(meeting.clone()));
        match all.get_mut(&meeting.name_any()) {
            Some(known) => known.made = made,
            None => drop(all.insert(meeting.name_any(), Known { heard, made, list, is_listed: false })),
        }
    }

    /// We looked, and there is none of this name.
    pub fn missed(&self, series: &ObjectKey, name: &str) {
        if let Some(known) = self.lock().series.get_mut(series).and_then(|all| all.get_mut(name)) {
            known.made = None;
        }
    }

    /// The names of the occurrences of a series, with what the watch does not show yet.
    pub fn of(&self, series: &ObjectKey) -> BTreeMap<String, Option<Arc<ScheduledMeeting>>> {
        let index = self.lock();
        let known = index.series.get(series).into_iter().flatten();
        known.map(|(name, known)| (name.clone(), known.made.clone())).collect()
    }

    /// A list of these is begun.
    pub fn list_begins(&self, within: &Within) {
        *self.lock().lists.entry(within.clone()).or_default() += 1;
    }

    /// The list is there: what was not in it is gone. Returns the series that want to hear of it.
    pub fn list_is_there(&self, within: &Within) -> BTreeSet<ObjectKey> {
        let mut index = self.lock();
        let Index { series: all_series, lists, waiting } = &mut *index;
        let mut woken = waiting.remove(within).unwrap_or_default();
        for (series, all) in all_series.iter_mut() {
            if within.as_ref().is_some_and(|within| *within != series.namespace) {
                continue;
            }
            let before = all.len();
            let list = list_of(lists, &series.namespace);
            all.retain(|_, known| known.list == list);
            all.values_mut().filter(|known| known.is_listed).for_each(|known| known.made = None);
            if all.len() != before {
                woken.insert(series.clone());
            }
        }
        all_series.retain(|_, all| !all.is_empty());
        woken
    }
}

#[cfg(test)]
mod tests;
