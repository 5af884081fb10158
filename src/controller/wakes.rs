//! Who is to be reconciled now, besides those whose object changed.

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::context::Stores;
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, ScheduledMeeting};

/// Wakes reconciles.
#[derive(Clone)]
pub struct Wakes {
    meetings: UnboundedSender<ObjectRef<ScheduledMeeting>>,
    bridges: UnboundedSender<ObjectRef<MeetingBridge>>,
}

/// The other ends, for the two loops.
pub struct Woken {
    pub meetings: UnboundedReceiver<ObjectRef<ScheduledMeeting>>,
    pub bridges: UnboundedReceiver<ObjectRef<MeetingBridge>>,
}

impl Wakes {
    /// Both ends.
    pub fn new() -> (Self, Woken) {
        let ((meetings, woken_meetings), (bridges, woken_bridges)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (Self { meetings, bridges }, Woken { meetings: woken_meetings, bridges: woken_bridges })
    }

    /// Wakes meetings.
    pub fn meetings(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            // The receiver lives as long as the controller; after that nobody needs waking.
            let _ = self.meetings.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// Wakes everybody that there is.
    pub fn all(&self, stores: &Stores) {
        for bridge in stores.bridges.state() {
            self.bridge(&ObjectKey::of(bridge.as_ref()));
        }
        self.meetings(stores.meetings.state().iter().map(|meeting| ObjectKey::of(meeting.as_ref())));
    }

    /// Wakes a bridge.
    pub fn bridge(&self, key: &ObjectKey) {
        let _ = self.bridges.send(ObjectRef::new(&key.name).within(&key.namespace));
    }
}
