//! `validate --live`: would these meetings get a slot? The cluster is read with the user's own rights, and the code that
//! books in the controller books here, into an index that nobody else sees.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

use crate::api::bridge::SlotState;
use crate::api::conditions::series as reason;
use crate::api::names::ObjectKey;
use crate::api::series::OccurrenceState;
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting, unreadable};
use crate::controller::bookings::Bookings;
use crate::kubectl::{Access, Reach, Trouble};
use crate::plan::booking::{self, Booking, Bridges, Refusal};
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
        let window = Window::of(&meeting.spec, None);
        if window.stage(now) == Stage::Over || meeting.spec.suspend || stored.is_some_and(|it| unreadable(it).is_some())
        {
            return Verdict::Nothing;
        }
        let booked = stored.and_then(|stored| stored.status.as_ref()?.bridge.as_ref()).map(booking::key_of);
        let offers = match booking::offers(self, &meeting, booked.as_ref()) {
            Ok(offers) => offers,
            Err(refusal) if self.depends_on_labels(&meeting) => {
                let why = "the bridge admits namespaces by their labels, which you may not read";
                return Verdict::Unknown(format!("{} ({why})", refusal.message));
            }
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let offers_of = |other: &ScheduledMeeting| booking::offers(self, other, None).unwrap_or_default();
        match self.bookings.book(&meeting, window, &offers, &offers_of, now) {
            Ok(booking) => Verdict::Fits(booking),
            Err(refusal) => Verdict::Refused(refusal),
        }
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
        let ordered = progress.decide(&found).into_iter().filter_map(|act| match act {
            Act::Make(order) | Act::Change(order) => Some((order.name, serde_json::from_value(order.body).ok()?)),
            Act::Remove(_) => None,
        });
        let ordered: BTreeMap<String, ScheduledMeeting> = ordered.collect();
        let mut entries: Vec<_> = progress.entries.values().collect();
        entries.sort_by(|one, other| (one.start, &one.name).cmp(&(other.start, &other.name)));
        let verdict = |entry: &Entry| match entry.state {
            OccurrenceState::Skipped | OccurrenceState::Deleted => None,
            OccurrenceState::NameTaken => {
                let message = "a ScheduledMeeting of this name is somebody else's".to_owned();
                Some(Verdict::Refused(Refusal { reason: reason::NAME_TAKEN, message }))
            }
            _ => {
                let meeting = ordered.get(&entry.name).or_else(|| found.get(&entry.name).map(Arc::as_ref))?;
                Some(self.judge(meeting, now))
            }
        };
        Ok(entries.into_iter().filter_map(|entry| Some((entry.name.clone(), verdict(entry)?))).collect())
    }

    fn depends_on_labels(&self, meeting: &ScheduledMeeting) -> bool {
        let known = meeting.namespace().is_some_and(|namespace| self.labels.contains_key(&namespace));
        let selects = |bridge: &Arc<MeetingBridge>| bridge.spec.allowed_namespaces.selector.is_some();
        !known && self.bridges.iter().any(selects)
    }
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
        self.labels.get(namespace).cloned()
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

    fn marked_slot(&self, _: &ObjectKey, _: &str) -> Option<u32> {
        None
    }

    fn space(&self, _: &ObjectKey, _: u32) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests;
