//! What both reconcile functions share: stores, clusters, ledger, clock, settings, triggers, metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use secrecy::SecretString;
use tokio::sync::mpsc::UnboundedSender;

use super::bookings::{Ledger, version_of};
use super::watchdog::Pulse;
use crate::act::Fence;
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::clock::Clock;
use crate::cluster::{BridgeKey, Cluster};
use crate::cms::Limits;
use crate::metrics::Metrics;

/// Calls to the apiserver at one time.
const KUBE_CALLS: usize = 32;

/// Passes over meetings at one time; those that are due do not wait for a place.
const PASSES: usize = 64;

/// How the controller behaves in time; from flags (config.rs).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between connection-level probes of a bridge with a live or imminent meeting.
    pub probe_busy: Duration,
    /// Between connection-level probes of an idle bridge.
    pub probe_idle: Duration,
    /// Between probes of a call bridge that failed, until it is clear whether it is lost.
    pub probe_doubtful: Duration,
    /// Between sweeps of a bridge with live meetings.
    pub sweep: Duration,
    /// Between reads of a bridge without.
    pub idle_read: Duration,
    /// Until a bulk sync that failed is tried again.
    pub sync_retry: Duration,
    /// Requests in flight per call bridge.
    pub in_flight: usize,
    /// Time limits and sizes of requests to a bridge.
    pub limits: Limits,
    /// Bound on every request to the apiserver.
    pub kube_timeout: Duration,
    /// How long a deletion waits for a bridge that does not answer.
    pub deletion_deadline: Duration,
}

impl Settings {
    /// How long is waited for the bridge's word on its database, when something else failed.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(2).min(self.limits.request)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe_busy: Duration::from_secs(5),
            probe_idle: Duration::from_secs(25),
            probe_doubtful: Duration::from_secs(1),
            sweep: Duration::from_secs(15),
            idle_read: Duration::from_secs(60),
            sync_retry: Duration::from_secs(30),
            in_flight: 8,
            limits: Limits::default(),
            kube_timeout: Duration::from_secs(15),
            deletion_deadline: Duration::from_secs(300),
        }
    }
}

/// The secrets of one meeting, as long as it runs. Never printed.
#[derive(Clone)]
pub struct JoinSecrets {
    /// Secret of the space.
    pub secret: SecretString,
    /// Passcode; None: not available.
    pub passcode: Option<SecretString>,
    /// Title, passcode and end with which the door was last written in this process.
    pub written: Option<(String, SecretString, Timestamp)>,
}

/// What both reconcile functions share.
pub struct Context {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub bridges: Store<MeetingBridge>,
    pub meetings: Store<ScheduledMeeting>,
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    pub secret_meta: Store<PartialObjectMeta<Secret>>,
    pub config_map_meta: Store<PartialObjectMeta<ConfigMap>>,
    pub ledger: Arc<Ledger>,
    pub fence: Fence,
    pub metrics: Arc<Metrics>,
    pub pulse: Arc<Pulse>,
    pub recorder: Recorder,
    pub wake_meeting: UnboundedSender<ObjectRef<ScheduledMeeting>>,
    pub wake_bridge: UnboundedSender<ObjectRef<MeetingBridge>>,
    clusters: Mutex<BTreeMap<BridgeKey, Arc<Cluster>>>,
    secrets: Mutex<BTreeMap<String, JoinSecrets>>,
    failures: Mutex<BTreeMap<String, u32>>,
    written: Mutex<Written>,
    /// Calls to the apiserver at one time: thousands of objects at start must not all call at once.
    pub kube_permits: tokio::sync::Semaphore,
    /// Places for passes over meetings; those that are due need none.
    pub passes: tokio::sync::Semaphore,
}

#[derive(Default)]
struct Written {
    bridges: BTreeMap<String, Arc<MeetingBridge>>,
    meetings: BTreeMap<String, Arc<ScheduledMeeting>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything a context is made of.
pub struct Parts {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub bridges: Store<MeetingBridge>,
    pub meetings: Store<ScheduledMeeting>,
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    pub secret_meta: Store<PartialObjectMeta<Secret>>,
    pub config_map_meta: Store<PartialObjectMeta<ConfigMap>>,
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
    pub pulse: Arc<Pulse>,
    pub wake_meeting: UnboundedSender<ObjectRef<ScheduledMeeting>>,
    pub wake_bridge: UnboundedSender<ObjectRef<MeetingBridge>>,
    pub fence: Fence,
}

impl Context {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let recorder = Recorder::new(parts.client.clone(), crate::api::names::FIELD_MANAGER.into());
        Self {
            client: parts.client,
            clock: parts.clock,
            settings: parts.settings,
            bridges: parts.bridges,
            meetings: parts.meetings,
            namespaces: parts.namespaces,
            secret_meta: parts.secret_meta,
            config_map_meta: parts.config_map_meta,
            ledger: parts.ledger,
            fence: parts.fence,
            metrics: parts.metrics,
            pulse: parts.pulse,
            recorder,
            wake_meeting: parts.wake_meeting,
            wake_bridge: parts.wake_bridge,
            clusters: Mutex::default(),
            secrets: Mutex::default(),
            failures: Mutex::default(),
            written: Mutex::default(),
            kube_permits: tokio::sync::Semaphore::new(KUBE_CALLS),
            passes: tokio::sync::Semaphore::new(PASSES),
        }
    }

    /// The cluster to a bridge, once its own reconcile has made it.
    pub fn cluster(&self, key: &BridgeKey) -> Option<Arc<Cluster>> {
        lock(&self.clusters).get(key).cloned()
    }

    /// Keeps a new cluster.
    pub fn keep_cluster(&self, cluster: Arc<Cluster>) {
        lock(&self.clusters).insert(cluster.key.clone(), cluster);
    }

    /// Drops the cluster to a bridge that is gone.
    pub fn drop_cluster(&self, key: &BridgeKey) {
        lock(&self.clusters).remove(key);
    }

    /// The bridge object.
    pub fn bridge(&self, key: &BridgeKey) -> Option<Arc<MeetingBridge>> {
        let stored = self.bridges.get(&ObjectRef::new(&key.1).within(&key.0))?;
        Some(self.newest_bridge(stored))
    }

    /// Wakes the reconcile of a meeting.
    pub fn wake_meeting(&self, namespace: &str, name: &str) {
        // The receiver lives as long as the controller; after that nobody needs waking.
        let _ = self.wake_meeting.send(ObjectRef::new(name).within(namespace));
    }

    /// Wakes the reconcile of a bridge.
    pub fn wake_bridge(&self, key: &BridgeKey) {
        let _ = self.wake_bridge.send(ObjectRef::new(&key.1).within(&key.0));
    }

    /// Secrets of a meeting that are at hand.
    pub fn secrets(&self, uid: &str) -> Option<JoinSecrets> {
        lock(&self.secrets).get(uid).cloned()
    }

    /// Keeps the secrets of a meeting at hand.
    pub fn keep_secrets(&self, uid: &str, secrets: JoinSecrets) {
        lock(&self.secrets).insert(uid.to_owned(), secrets);
    }

    /// The passcode's Secret changed: it is read again.
    pub fn forget_passcode(&self, uid: &str) {
        if let Some(secrets) = lock(&self.secrets).get_mut(uid) {
            secrets.passcode = None;
        }
    }

    /// Forgets the secrets of a meeting.
    pub fn drop_secrets(&self, uid: &str) {
        lock(&self.secrets).remove(uid);
    }

    /// Counts a failure in a row of one object; returns how many there are now.
    pub fn count_failure(&self, uid: &str) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// The object succeeded.
    pub fn clear_failures(&self, uid: &str) {
        lock(&self.failures).remove(uid);
    }

    /// The newer one of the stored object and what we wrote ourselves: the store lags behind our own writes
    /// (craft.md 5.3 no. 12).
    pub fn newest_meeting(&self, stored: Arc<ScheduledMeeting>) -> Arc<ScheduledMeeting> {
        newest(&mut lock(&self.written).meetings, stored)
    }

    /// Keeps what we wrote until the store shows it, if it does not already: the watch is often faster than the reply.
    pub fn note_meeting(&self, object: &ScheduledMeeting) {
        self.ledger.observe(object);
        note(&mut lock(&self.written).meetings, &self.meetings, object);
    }

    /// The watch shows this version: what we wrote up to it need not be kept.
    pub fn store_has<K: Resource>(&self, object: &K) {
        let Some(uid) = object.uid() else { return };
        let seen = version_of(object);
        let mut written = lock(&self.written);
        if written.meetings.get(&uid).is_some_and(|ours| version_of(ours.as_ref()) <= seen) {
            written.meetings.remove(&uid);
        }
        if written.bridges.get(&uid).is_some_and(|ours| version_of(ours.as_ref()) <= seen) {
            written.bridges.remove(&uid);
        }
    }

    /// As [`Context::newest_meeting`].
    pub fn newest_bridge(&self, stored: Arc<MeetingBridge>) -> Arc<MeetingBridge> {
        newest(&mut lock(&self.written).bridges, stored)
    }

    /// As [`Context::note_meeting`].
    pub fn note_bridge(&self, object: &MeetingBridge) {
        note(&mut lock(&self.written).bridges, &self.bridges, object);
    }

    /// Forgets everything about an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.drop_secrets(uid);
        self.clear_failures(uid);
        let mut written = lock(&self.written);
        written.meetings.remove(uid);
        written.bridges.remove(uid);
    }

    /// Publishes an event; a failure is logged and nothing else: events are for people.
    pub async fn event<K>(&self, object: &K, kind: EventType, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: Some(note.chars().take(900).collect()),
            secondary: None,
        };
        let reference = object.object_ref(&());
        let published = self.recorder.publish(&event, &reference);
        match tokio::time::timeout(self.settings.kube_timeout, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, reason, "event not published"),
            Err(_) => tracing::debug!(reason, "event not published in time"),
        }
    }
}

fn note<K>(written: &mut BTreeMap<String, Arc<K>>, store: &Store<K>, object: &K)
where
    K: Resource<DynamicType = ()> + Clone,
{
    let is_shown =
        store.get(&ObjectRef::from_obj(object)).is_some_and(|shown| version_of(shown.as_ref()) >= version_of(object));
    if let Some(uid) = object.uid().filter(|_| !is_shown) {
        written.insert(uid, Arc::new(object.clone()));
    }
}

fn newest<K: Resource>(written: &mut BTreeMap<String, Arc<K>>, stored: Arc<K>) -> Arc<K> {
    let Some(uid) = stored.uid() else { return stored };
    match written.get(&uid) {
        Some(ours) if version_of(ours.as_ref()) > version_of(stored.as_ref()) => Arc::clone(ours),
        Some(_) => {
            written.remove(&uid);
            stored
        }
        None => stored,
    }
}
