//! `validate --live`: would these meetings get a slot? The cluster is read with the user's own rights, and the code that
//! books in the controller books here, into an index that nobody else sees.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

use crate::api::bridge::SlotState;
use crate::api::conditions::{meeting as meeting_reason, series as reason};
use crate::api::marks::Marks;
use crate::api::names::ObjectKey;
use crate::api::series::OccurrenceState;
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting, unreadable};
use crate::controller::bookings::Bookings;
use crate::kubectl::{Access, Reach, Trouble};
use crate::plan::booking::{self, Booking, Bridges, Refusal};
use crate::plan::meeting;
use crate::plan::series::{Act, Entry, Progress};
use crate::plan::window::{Stage, Window};

/// What the cluster has, as far as the user may see it.
#[derive(Default)]
pub struct Live {
    /// Where objects are that name no namespace.
    namespace: String,
    bridges: Vec<Arc<MeetingBridge>>,
    /// By namespace and name.
    meetings: BTreeMap<ObjectKey, ScheduledMeeting>,
    /// The same of series: they know which of their occurrences somebody deleted.
    series: BTreeMap<ObjectKey, MeetingSeries>,
    /// Labels of namespaces; those that may not be read are not there.
    labels: BTreeMap<String, BTreeMap<String, String>>,
    shared: BTreeSet<String>,
    bookings: Bookings,
    /// What could not be seen, and what that means.
    pub notes: Vec<String>,
}

/// What would become of a meeting.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would get this slot.
    Fits(Booking),
    /// It would get none, for this reason.
    Refused(Refusal),
    /// It is over, or must not be looked at: nothing would be booked.
    Nothing,
    /// What decides it may not be read.
    Unknown(String),
}

impl Live {
    /// Reads what is there. `namespaces` are those of the manifests: what may not be listed everywhere is listed there.
    ///
    /// # Errors
    /// If the cluster cannot be reached, or not even these namespaces may be read.
    pub async fn read(
        access: &Access,
        namespaces: BTreeSet<String>,
        shared: BTreeSet<String>,
    ) -> Result<Self, Trouble> {
        let reach = Reach::new(access).await?;
        let mut live = Self { namespace: reach.namespace.clone(), shared, ..Self::default() };
        let mut within = namespaces;
        within.insert(live.namespace.clone());
        within.extend(live.shared.iter().cloned());
        match reach.list::<MeetingBridge>(None).await {
            Ok(all) => live.bridges = all.into_iter().map(Arc::new).collect(),
            Err(_) => {
                for namespace in &within {
                    live.bridges.extend(reach.list::<MeetingBridge>(Some(namespace)).await?.into_iter().map(Arc::new));
                }
                live.notes.push("bridges of other namespaces cannot be seen with your rights".to_owned());
            }
        }
        let meetings = match reach.list::<ScheduledMeeting>(None).await {
            Ok(all) => all,
            Err(_) => {
                let mut seen = Vec::new();
                for namespace in &within {
                    seen.extend(reach.list::<ScheduledMeeting>(Some(namespace)).await?);
                }
                live.notes.push(
                    "meetings of other namespaces cannot be seen with your rights: bridges that they use may be fuller \
                     than it seems here"
                        .to_owned(),
                );
                seen
            }
        };
        for namespace in &within {
            // Who may not read it has no answer where labels decide, and is told so then.
            if let Ok(found) = reach.cluster_wide::<Namespace>(namespace).await {
                live.labels.insert(namespace.clone(), found.labels().clone());
            }
        }
        for namespace in &within {
            // Who may not read them is told about occurrences that were deleted by hand as about new ones.
            let series = reach.list::<MeetingSeries>(Some(namespace)).await.unwrap_or_default();
            live.series.extend(series.into_iter().map(|series| (ObjectKey::of(&series), series)));
        }
        live.take(meetings);
        Ok(live)
    }

    /// Books what is booked already.
    fn take(&mut self, meetings: Vec<ScheduledMeeting>) {
        for meeting in &meetings {
            self.bookings.take_object(meeting);
        }
        self.meetings.extend(meetings.into_iter().map(|meeting| (ObjectKey::of(&meeting), meeting)));
    }

    /// What would become of a manifest if it were applied now, after those that were asked about before.
    pub fn judge(&self, manifest: &ScheduledMeeting, now: Timestamp) -> Verdict {
        let mut meeting = manifest.clone();
        meeting.metadata.namespace.get_or_insert_with(|| self.namespace.clone());
        let key = ObjectKey::of(&meeting);
        let stored = self.meetings.get(&key);
        // An edit keeps its place; what is new comes after everything that is there.
        meeting.metadata.uid = Some(stored.and_then(ResourceExt::uid).unwrap_or_else(|| format!("new {key}")));
        meeting.metadata.creation_timestamp = stored.and_then(|stored| stored.metadata.creation_timestamp.clone());
        meeting.status = stored.and_then(|stored| stored.status.clone());
        let window = Window::asked(&meeting.spec, &meeting.status.clone().unwrap_or_default());
        if window.stage(now) == Stage::Over || meeting.spec.suspend || stored.is_some_and(|it| unreadable(it).is_some())
        {
            return Verdict::Nothing;
        }
        if let Some(verdict) = self.running(&meeting, now) {
            return verdict;
        }
        let booked = stored.and_then(|stored| stored.status.as_ref()?.bridge.as_ref()).map(booking::key_of);
        let offers = match booking::offers(self, &meeting, booked.as_ref()) {
            Ok(offers) => offers,
            Err(refusal) => return self.unless_unknown(&meeting, refusal),
        };
        let offers_of = |other: &ScheduledMeeting| booking::offers(self, other, None).unwrap_or_default();
        match self.bookings.book(&meeting, window, &offers, &offers_of, now) {
            Ok(booking) => Verdict::Fits(booking),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// What would become of one that runs: it stays in its slot, and an edit moves its end. None: it does not run, or its start
    /// is moved away and it is booked anew.
    fn running(&self, meeting: &ScheduledMeeting, now: Timestamp) -> Option<Verdict> {
        let progress = meeting::Progress::resume(meeting, &Marks::default(), now);
        if !progress.door.may_be_open() || progress.moved_to.is_some() {
            return None;
        }
        if let Some(unmet) = progress.unmet {
            return Some(Verdict::Refused(unmet));
        }
        let ((bridge, slot), uid) = (progress.booked()?, meeting.uid()?);
        let change = |wanted: Window| self.bookings.change_window(&uid, &bridge, slot, wanted);
        let agreed = booking::agreement(self, meeting, &progress, self.find(&bridge).as_deref(), change);
        let (window, agreed) = agreed.unwrap_or((progress.window, Ok(())));
        Some(match agreed {
            Ok(()) => Verdict::Fits(Booking { bridge, slot, window }),
            Err(refusal) if refusal.reason == meeting_reason::EXTENSION_NOT_ALLOWED => {
                self.unless_unknown(meeting, refusal)
            }
            Err(refusal) => Verdict::Refused(refusal),
        })
    }

    /// It is refused, unless labels decide that may not be read.
    fn unless_unknown(&self, meeting: &ScheduledMeeting, refusal: Refusal) -> Verdict {
        if !self.depends_on_labels(meeting) {
            return Verdict::Refused(refusal);
        }
        let why = "the bridge admits namespaces by their labels, which you may not read";
        Verdict::Unknown(format!("{} ({why})", refusal.message))
    }

    /// What would become of each occurrence of a series within its horizon, by name, if it were applied now.
    ///
    /// # Errors
    /// Why it has no occurrences at all.
    pub fn judge_series(&self, manifest: &MeetingSeries, now: Timestamp) -> Result<Vec<(String, Verdict)>, Refusal> {
        let mut series = manifest.clone();
        series.metadata.namespace.get_or_insert_with(|| self.namespace.clone());
        let key = ObjectKey::of(&series);
        if let Some(stored) = self.series.get(&key) {
            series.metadata.uid.clone_from(&stored.metadata.uid);
            series.status.clone_from(&stored.status);
        }
        let of_namespace = self.meetings.iter().filter(|(key, _)| Some(&key.namespace) == series.namespace().as_ref());
        let found: BTreeMap<String, Arc<ScheduledMeeting>> =
            of_namespace.map(|(key, meeting)| (key.name.clone(), Arc::new(meeting.clone()))).collect();
        let mut progress = Progress::resume(&Arc::new(series), now);
        if let Some(refusal) = progress.refusal() {
            return Err(Refusal { reason: refusal.reason, message: refusal.message.clone() });
        }
        let mut ordered: BTreeMap<String, ScheduledMeeting> = BTreeMap::new();
        for act in progress.decide(&found) {
            match act {
                Act::Make(order) | Act::Change(order) => {
                    ordered.extend(serde_json::from_value(order.body).ok().map(|meeting| (order.name, meeting)));
                }
                // What goes makes room, before anything else is done.
                Act::Remove(removal) => found.get(&removal.name).into_iter().for_each(|it| self.bookings.forget(it)),
                Act::Adopt(_) => {}
            }
        }
        let mut entries: Vec<_> = progress.entries.values().collect();
        entries.sort_by(|one, other| (one.start, &one.name).cmp(&(other.start, &other.name)));
        let wanted = |entry: &Entry| ordered.get(&entry.name).or_else(|| found.get(&entry.name).map(Arc::as_ref));
        let verdict = |entry: &Entry| match entry.state {
            OccurrenceState::Skipped | OccurrenceState::Deleted => None,
            OccurrenceState::NameTaken => {
                let message = "a ScheduledMeeting of this name is somebody else's".to_owned();
                Some(Verdict::Refused(Refusal { reason: reason::NAME_TAKEN, message }))
            }
            _ => Some(self.judge(wanted(entry)?, now)),
        };
        let mut verdicts: Vec<_> = entries.iter().filter_map(|entry| Some((*entry, verdict(entry)?))).collect();
        // Whoever is moved makes room where it was: as in the controller, those that were refused ask again then.
        let mut is_room_made = true;
        while std::mem::take(&mut is_room_made) {
            let refused = verdicts.iter_mut().filter(|(_, verdict)| matches!(verdict, Verdict::Refused(_)));
            for (entry, verdict) in refused.filter(|(entry, _)| entry.state != OccurrenceState::NameTaken) {
                let Some(meeting) = wanted(entry) else { continue };
                *verdict = self.judge(meeting, now);
                is_room_made |= matches!(verdict, Verdict::Fits(_));
            }
        }
        Ok(verdicts.into_iter().map(|(entry, verdict)| (entry.name.clone(), verdict)).collect())
    }

    fn depends_on_labels(&self, meeting: &ScheduledMeeting) -> bool {
        let known = meeting.namespace().is_some_and(|namespace| self.labels.contains_key(&namespace));
        !known && self.bridges.iter().any(is_by_labels)
    }
}

/// Does the bridge admit namespaces by their labels?
fn is_by_labels(bridge: &Arc<MeetingBridge>) -> bool {
    bridge.spec.allowed_namespaces.selector.is_some()
}

impl Bridges for Live {
    fn find(&self, key: &ObjectKey) -> Option<Arc<MeetingBridge>> {
        self.bridges.iter().find(|bridge| ObjectKey::of(bridge.as_ref()) == *key).cloned()
    }

    fn all(&self) -> Vec<Arc<MeetingBridge>> {
        self.bridges.clone()
    }

    fn is_shared(&self, namespace: &str) -> bool {
        self.shared.contains(namespace)
    }

    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let known = self.labels.get(namespace).cloned();
        // Where no bridge asks for them nothing hangs on them.
        known.or_else(|| (!self.bridges.iter().any(is_by_labels)).then(BTreeMap::new))
    }

    fn quarantined(&self, key: &ObjectKey) -> BTreeSet<u32> {
        let bridge = self.find(key);
        let slots = bridge.as_ref().and_then(|bridge| bridge.status.as_ref()?.slots.as_ref());
        let entries = slots.map(|slots| slots.entries.as_slice()).unwrap_or_default();
        entries.iter().filter(|entry| entry.state == SlotState::Foreign).map(|entry| entry.number).collect()
    }

    fn is_taken(&self, _: &ObjectKey, _: u32) -> bool {
        false
    }

    fn are_slots_read(&self, _: &ObjectKey, _: &RangeInclusive<u32>) -> bool {
        true
    }

    fn has_unread(&self, _: &ObjectKey) -> bool {
        false
    }

    fn marked_slot(&self, _: &ObjectKey, _: &str) -> Option<u32> {
        None
    }

    fn space(&self, _: &ObjectKey, _: u32) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests;
