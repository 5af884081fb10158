//! Objects that this version cannot read, because a newer one or another schema let them in. Each stands in for itself:
//! with what can be read of its status, so that it keeps what it has booked, and marked, so that nothing is begun for it.

use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::meeting::ParticipantStatus;
use super::{MeetingBridge, MeetingSeries, ScheduledMeeting, ScheduledMeetingStatus};

/// Why it cannot be read. In memory only: nobody else sees it, and what others write there is dropped.
const WHY: &str = "meeting-controller.dev/unreadable";

/// The fields of its status that cannot be read, as JSON. They are written back as they came.
const UNREAD: &str = "meeting-controller.dev/unread-status";

/// When a meeting is on of whose time nothing is known.
const NEVER: &str = "2999-12-30T00:00:00Z";

/// Why this version cannot read the object, if it cannot.
pub fn unreadable(object: &impl ResourceExt) -> Option<&str> {
    object.annotations().get(WHY).map(String::as_str)
}

/// A bridge of whose spec nothing is known; the schema wants an address.
pub fn is_blind(bridge: &MeetingBridge) -> bool {
    bridge.spec.address.is_empty()
}

/// A kind of which an object can stand in for itself.
pub trait StandIn: Resource<DynamicType = ()> + DeserializeOwned + HasStatus<Status: DeserializeOwned> {
    /// A spec that can be read, for one with this status.
    fn spec_for(spec: &Value, status: Option<Self::Status>) -> Value;

    /// It was known before with this spec.
    fn keep_spec(&mut self, _known: &Self) {}
}

impl StandIn for ScheduledMeeting {
    /// What was agreed, or nothing that will ever begin.
    fn spec_for(spec: &Value, status: Option<ScheduledMeetingStatus>) -> Value {
        let status = status.unwrap_or_default();
        let party = |known: &ParticipantStatus| json!({ "remoteParty": known.remote_party });
        let participants: Vec<Value> = status.participants.iter().map(party).collect();
        let suspend = spec.get("suspend").and_then(Value::as_bool).unwrap_or_default();
        let (start, end, early) =
            status.window.map_or((json!(NEVER), json!(NEVER), std::time::Duration::ZERO), |window| {
                let early = window.starts_at.0.duration_since(window.opens_at.0);
                (json!(window.starts_at), json!(window.closes_at), early.try_into().unwrap_or_default())
            });
        json!({ "title": "unreadable", "start": start, "end": end, "earlyJoin": kube::core::Duration::from(early),
                "participants": participants, "suspend": suspend })
    }
}

impl StandIn for MeetingBridge {
    fn spec_for(_: &Value, _: Option<Self::Status>) -> Value {
        json!({ "address": "", "credentialsSecretRef": { "name": "" } })
    }

    /// As long as this process knows how to reach it, its meetings are looked after.
    fn keep_spec(&mut self, known: &Self) {
        self.spec = known.spec.clone();
    }
}

impl StandIn for MeetingSeries {
    /// Any that can be read: nothing is done by it.
    fn spec_for(_: &Value, _: Option<Self::Status>) -> Value {
        json!({ "start": "2999-12-30T00:00:00", "timeZone": "UTC", "duration": "1h",
                "recurrence": { "frequency": "Daily" }, "template": { "spec": { "title": "unreadable" } } })
    }
}

/// An object, read or standing in for itself.
#[derive(Clone, Debug)]
pub struct Read<K>(pub K);

impl<K: StandIn> Read<K> {
    /// The object, if it cannot be read with what was known of it.
    pub fn or_known(self, known: Option<&K>) -> K {
        let mut object = self.0;
        let is_same = |known: &&K| known.meta().uid == object.meta().uid;
        if let Some(known) = known.filter(is_same).filter(|_| unreadable(&object).is_some()) {
            object.keep_spec(known);
        }
        object
    }
}

impl<'de, K: StandIn> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text: a tree of each object of a long list would cost more memory than all that is kept of them.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let read = serde_json::from_str(text.get()).map(unmarked);
        read.or_else(|_| odd(text.get())).map(Self).map_err(D::Error::custom)
    }
}

/// Without the marks of one that stands in for itself, whoever set them.
fn unmarked<K: StandIn>(mut object: K) -> K {
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.retain(|name, _| name != WHY && name != UNREAD);
    }
    object
}

fn odd<K: StandIn>(text: &str) -> Result<K, serde_json::Error> {
    let whole: Value = serde_json::from_str(text)?;
    // Once more, since what is wrong with a tree is told without line and column.
    K::deserialize(&whole).map(unmarked).or_else(|why| stand_in(&whole, &why))
}

fn stand_in<K: StandIn>(whole: &Value, why: &serde_json::Error) -> Result<K, serde_json::Error> {
    let of = |name: &str| whole.get(name).cloned().unwrap_or_default();
    let status = of("status").as_object().cloned();
    let is_read =
        |(name, value): &(String, Value)| serde_json::from_value::<K::Status>(json!({ name.as_str(): value })).is_ok();
    let (read, unread): (Map<_, _>, Map<_, _>) = status.clone().unwrap_or_default().into_iter().partition(is_read);
    let status = status.map(|_| read);
    let known = status.clone().map(Value::Object).map(serde_json::from_value).transpose()?;
    let mut object: K = serde_json::from_value(json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": of("metadata"),
        "spec": K::spec_for(&of("spec"), known), "status": status
    }))?;
    let annotations = object.annotations_mut();
    annotations.insert(WHY.to_owned(), format!("this version of the controller cannot read the object: {why}"));
    annotations.insert(UNREAD.to_owned(), Value::Object(unread).to_string());
    Ok(object)
}

impl<K: StandIn + Serialize> Serialize for Read<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let Some(unread) = self.0.annotations().get(UNREAD) else { return self.0.serialize(serializer) };
        let unread: Map<String, Value> = serde_json::from_str(unread).map_err(S::Error::custom)?;
        let mut whole = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        if let Some(annotations) = whole.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| name != WHY && name != UNREAD);
        }
        if let Some(status) = whole.get_mut("status").and_then(Value::as_object_mut) {
            // What was found out meanwhile stands.
            for (name, value) in unread {
                status.entry(name).or_insert(value);
            }
        }
        whole.serialize(serializer)
    }
}

impl<K: Resource> Resource for Read<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::kind(of)
    }
    fn group(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::group(of)
    }
    fn version(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::version(of)
    }
    fn plural(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::plural(of)
    }
    fn meta(&self) -> &kube::api::ObjectMeta {
        self.0.meta()
    }
    fn meta_mut(&mut self) -> &mut kube::api::ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests;
