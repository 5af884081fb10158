//! Who is to be reconciled now, besides those whose object changed.

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::context::Stores;
use crate::api::names::ObjectKey;
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};

/// Wakes reconciles.
#[derive(Clone)]
pub struct Wakes {
    meetings: UnboundedSender<ObjectRef<ScheduledMeeting>>,
    bridges: UnboundedSender<ObjectRef<MeetingBridge>>,
    series: UnboundedSender<ObjectRef<MeetingSeries>>,
}

/// The other ends, for the loops.
pub struct Woken {
    pub meetings: UnboundedReceiver<ObjectRef<ScheduledMeeting>>,
    pub bridges: UnboundedReceiver<ObjectRef<MeetingBridge>>,
    pub series: UnboundedReceiver<ObjectRef<MeetingSeries>>,
}

impl Wakes {
    /// Both ends.
    pub fn new() -> (Self, Woken) {
        let (meetings, woken_meetings) = mpsc::unbounded_channel();
        let (bridges, woken_bridges) = mpsc::unbounded_channel();
        let (series, woken_series) = mpsc::unbounded_channel();
        let woken = Woken { meetings: woken_meetings, bridges: woken_bridges, series: woken_series };
        (Self { meetings, bridges, series }, woken)
    }

    /// Wakes meetings.
    pub fn meetings(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            // The receiver lives as long as the controller; after that nobody needs waking.
            let _ = self.meetings.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// Wakes every bridge and every meeting that there is.
    pub fn all(&self, stores: &Stores) {
        for bridge in stores.bridges.state() {
            self.bridge(&ObjectKey::of(bridge.as_ref()));
        }
        self.meetings(stores.meetings.state().iter().map(|meeting| ObjectKey::of(meeting.as_ref())));
    }

    /// Wakes series.
    pub fn series(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            let _ = self.series.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// Wakes every series that there is.
    pub fn all_series(&self, stores: &Stores) {
        self.series(stores.series.state().iter().map(|series| ObjectKey::of(series.as_ref())));
    }

    /// Wakes a bridge.
    pub fn bridge(&self, key: &ObjectKey) {
        let _ = self.bridges.send(ObjectRef::new(&key.name).within(&key.namespace));
    }
}
