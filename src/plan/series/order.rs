//! What is written for an occurrence, and how it is told later whether somebody edited it.
//!
//! What we write says, in an annotation, which generation the object has after it: 1 when it is new, one more if its spec
//! changes. The write is guarded by the version that was seen, so that is exact. A higher generation is somebody's edit,
//! of whatever kind: a field that was set, changed or removed, by whichever road. (Managed fields tell the first two only,
//! and would have to be kept for each meeting.) Beside it stands a digest of what was wanted, so that it is not written
//! again because a webhook or a newer schema completed it.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use uuid::Uuid;

use super::schedule::Planned;
use crate::api::meeting::ScheduledMeetingSpec;
use crate::api::names::{SERIES_APPLIED_ANNOTATION, SERIES_LABEL, series_label};
use crate::api::values::Instant;
use crate::api::{MeetingSeries, ScheduledMeeting};

/// No object has this version: a write that is guarded by it makes a new one, or is refused.
const NO_VERSION: &str = "1";

/// What we wrote last: the generation that the object had after it, and the digest of what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    generation: i64,
    digest: String,
}

impl Applied {
    /// As the occurrence says it.
    pub fn of(meeting: &ScheduledMeeting) -> Option<Self> {
        let (generation, digest) = meeting.annotations().get(SERIES_APPLIED_ANNOTATION)?.split_once('-')?;
        Some(Self { generation: generation.parse().ok()?, digest: digest.to_owned() })
    }
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.generation, self.digest)
    }
}

/// Did somebody else write its spec since we did? Without the annotation it is handed back to the series.
pub fn is_edited(meeting: &ScheduledMeeting) -> bool {
    Applied::of(meeting).is_some_and(|applied| meeting.metadata.generation.unwrap_or_default() > applied.generation)
}

/// An occurrence as it is to be.
#[derive(Clone, Debug)]
pub struct Order {
    pub at: DateTime,
    pub name: String,
    /// For server-side apply, or, where it is only taken over, for a merge; guarded by the version that was seen.
    pub body: Value,
}

impl Order {
    /// The same once more, if what was written has another generation than was foretold: fields went with it which this
    /// version does not know, and nobody else edited it, as both writes are guarded.
    pub fn corrected(&self, written: &ScheduledMeeting) -> Option<Self> {
        let generation = written.metadata.generation?;
        let applied = Applied::of(written).filter(|applied| applied.generation != generation)?;
        let mut order = self.clone();
        let metadata = order.body.get_mut("metadata")?.as_object_mut()?;
        metadata.insert("resourceVersion".to_owned(), written.resource_version()?.into());
        let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
        let annotation = Applied { generation, ..applied }.to_string();
        annotations.insert(SERIES_APPLIED_ANNOTATION.to_owned(), annotation.into());
        Some(order)
    }
}

/// What an occurrence is to be, whatever is there.
pub struct Wanted {
    spec: ScheduledMeetingSpec,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    digest: String,
}

impl Wanted {
    /// By the template and the exception.
    pub fn new(series: &MeetingSeries, planned: &Planned) -> Self {
        let template = &series.spec.template;
        let mut spec = template.spec.at(Instant(planned.start), planned.duration);
        if let Some(exception) = &planned.exception {
            spec.title = exception.title.clone().unwrap_or(spec.title);
            spec.participants = exception.participants.clone().unwrap_or(spec.participants);
        }
        let metadata = template.metadata.clone().unwrap_or_default();
        let (mut labels, annotations) = (metadata.labels, metadata.annotations);
        labels.insert(SERIES_LABEL.to_owned(), series_label(&series.name_any()));
        let whole = json!({ "labels": labels, "annotations": annotations, "spec": spec }).to_string();
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_URL, whole.as_bytes()).simple().to_string();
        Self { spec, labels, annotations, digest: digest.chars().take(16).collect() }
    }

    /// Is it to be written over what is there? Also where the annotation is ahead, because a webhook took a change back.
    pub fn differs(&self, series: &MeetingSeries, found: &ScheduledMeeting) -> bool {
        let generation = found.metadata.generation.unwrap_or_default();
        let is_written = |applied: Applied| applied.digest == self.digest && applied.generation == generation;
        !is_ours(series, found) || !Applied::of(found).is_some_and(is_written)
    }

    /// The write that makes it so, over what is there.
    pub fn order(self, series: &MeetingSeries, at: DateTime, name: &str, found: Option<&ScheduledMeeting>) -> Order {
        let is_digest = |applied: Applied| applied.digest == self.digest;
        let generation = match found {
            None => 1,
            // A change of the spec was taken back, or there is none.
            Some(found) if found.spec == self.spec || Applied::of(found).is_some_and(is_digest) => {
                found.metadata.generation.unwrap_or_default()
            }
            Some(found) => found.metadata.generation.unwrap_or_default().saturating_add(1),
        };
        let mut annotations = self.annotations;
        let applied = Applied { generation, digest: self.digest };
        annotations.insert(SERIES_APPLIED_ANNOTATION.to_owned(), applied.to_string());
        let version = found.and_then(ResourceExt::resource_version).unwrap_or_else(|| NO_VERSION.to_owned());
        let mut metadata = json!({
            "name": name,
            "namespace": series.namespace(),
            "resourceVersion": version,
            "labels": self.labels,
            "annotations": annotations,
            "ownerReferences": series.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        });
        // One that went meanwhile is not made again.
        if let (Some(fields), Some(uid)) = (metadata.as_object_mut(), found.and_then(ResourceExt::uid)) {
            fields.insert("uid".to_owned(), uid.into());
        }
        let body = json!({
            "apiVersion": ScheduledMeeting::api_version(&()),
            "kind": ScheduledMeeting::kind(&()),
            "metadata": metadata,
            "spec": self.spec,
        });
        Order { at, name: name.to_owned(), body }
    }
}

/// Is this the meeting of this series?
pub fn is_ours(series: &MeetingSeries, meeting: &ScheduledMeeting) -> bool {
    let uid = series.uid();
    let mut owners = meeting.owner_references().iter().filter(|owner| owner.controller == Some(true));
    owners.any(|owner| Some(&owner.uid) == uid.as_ref())
}

/// May the series take it over: it was one of a series of this name, and nobody controls it now (a series that was deleted
/// with `--cascade=orphan`)?
pub fn may_be_adopted(series: &MeetingSeries, meeting: &ScheduledMeeting) -> bool {
    let is_free = meeting.owner_references().iter().all(|owner| owner.controller != Some(true));
    is_free
        && meeting.labels().get(SERIES_LABEL) == Some(&series_label(&series.name_any()))
        && meeting.annotations().contains_key(SERIES_APPLIED_ANNOTATION)
}

/// Is it of a series that had this name before and is gone? Its meetings go after it, which the garbage collector sees to.
pub fn is_of_forerunner(series: &MeetingSeries, meeting: &ScheduledMeeting) -> bool {
    let mut owners = meeting.owner_references().iter().filter(|owner| owner.controller == Some(true));
    owners.any(|owner| {
        let group = owner.api_version.split_once('/').map(|(group, _)| group);
        group == Some(&*MeetingSeries::group(&()))
            && owner.kind == MeetingSeries::kind(&())
            && owner.name == series.name_any()
            && Some(&owner.uid) != series.uid().as_ref()
    })
}

/// The write that only takes it over: whose spec it is and what was written last stay as they are.
pub fn adoption(series: &MeetingSeries, at: DateTime, meeting: &ScheduledMeeting) -> Order {
    let owners = meeting.owner_references().iter().cloned().chain(series.controller_owner_ref(&()));
    let body = json!({ "metadata": {
        "uid": meeting.uid(),
        "resourceVersion": meeting.resource_version(),
        "ownerReferences": owners.collect::<Vec<_>>(),
    } });
    Order { at, name: meeting.name_any(), body }
}

#[cfg(test)]
mod tests;
