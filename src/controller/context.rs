//! What the reconcile functions share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::core::object::HasStatus;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::bookings::Bookings;
use super::events::Events;
use super::join_secret::MadeFrom;
use super::kube_calls::{Calls, KubeApi};
use super::memory::Memory;
use super::secrets_cache::SecretsCache;
use super::series::Occurrences;
use super::wakes::Wakes;
use super::watchdog::Watchdog;
use crate::api::names::{ObjectKey, USE_LABEL};
use crate::api::reading::StandIn;
use crate::api::{Compact, MeetingBridge, MeetingSeries, ScheduledMeeting, ScheduledMeetingStatus, unreadable};
use crate::clock::Clock;
use crate::cluster::{Cluster, Env};
use crate::config::settings::Settings;
use crate::metrics::{Census, Metrics};
use crate::plan::booking::key_of;
use crate::plan::settings::Asked;
use crate::plan::window::{Stage, Window};

/// Passes over meetings at one time; those that are due do not wait for a place.
const PLACES: usize = 64;

/// So long what was left open is not shut because the series are not read yet.
const SERIES_PATIENCE: Duration = Duration::from_secs(10);

/// What the watches show.
pub struct Stores {
    pub bridges: Store<MeetingBridge>,
    pub meetings: Store<ScheduledMeeting>,
    pub series: Store<MeetingSeries>,
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    pub secrets: Store<PartialObjectMeta<Secret>>,
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
}

#[derive(Default)]
struct KnownClusters {
    live: BTreeMap<ObjectKey, Arc<Cluster>>,
    /// Since when it was tried in vain to connect one for the first time.
    tried: BTreeMap<ObjectKey, Instant>,
}

/// The live clusters, by their MeetingBridge.
#[derive(Default)]
pub struct Clusters(Mutex<KnownClusters>);

impl Clusters {
    fn lock(&self) -> MutexGuard<'_, KnownClusters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster behind a bridge, once its own reconcile has connected it.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Cluster>> {
        self.lock().live.get(key).cloned()
    }

    /// For how long it was tried in vain to connect this one.
    pub fn tried_for(&self, key: &ObjectKey) -> Duration {
        self.lock().tried.entry(key.clone()).or_insert_with(Instant::now).elapsed()
    }

    /// Keeps a new one.
    pub fn keep(&self, cluster: Arc<Cluster>) {
        let mut known = self.lock();
        known.tried.remove(cluster.key());
        known.live.insert(cluster.key().clone(), cluster);
    }

    /// The bridge is gone.
    pub fn forget(&self, key: &ObjectKey) {
        let mut known = self.lock();
        known.tried.remove(key);
        known.live.remove(key);
    }
}

/// What the reconcile functions share.
pub struct Context {
    pub kube: KubeApi,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub stores: Stores,
    pub bookings: Bookings,
    pub occurrences: Occurrences,
    pub meetings: Memory<ScheduledMeeting>,
    pub bridges: Memory<MeetingBridge>,
    pub series: Memory<MeetingSeries>,
    pub clusters: Clusters,
    pub secrets: SecretsCache,
    pub made_from: MadeFrom,
    pub backoff: Backoff,
    pub wakes: Wakes,
    pub metrics: Arc<Metrics>,
    pub watchdog: Arc<Watchdog>,
    /// Work in the background; waited for at the shutdown.
    pub tasks: TaskTracker,
    /// Places for passes over meetings; those that are due need none.
    pub places: Semaphore,
    begun: Instant,
}

impl Context {
    /// An object is gone, and what was known of it.
    pub fn forget<K: Kind>(&self, uid: &str) {
        self.backoff.forget(uid);
        K::memory(self).forget(uid);
    }

    /// A meeting is gone, and with it its secrets.
    pub fn forget_meeting(&self, uid: &str) {
        self.forget::<ScheduledMeeting>(uid);
        self.secrets.forget(uid);
        self.made_from.forget(uid);
    }

    /// A bridge is gone: neither its cluster nor its metrics stay.
    pub fn forget_bridge(&self, key: &ObjectKey) {
        self.clusters.forget(key);
        self.metrics.forget_bridge(key);
    }

    /// The same of its object, and who hangs on it is woken.
    pub fn bridge_is_gone(&self, key: &ObjectKey, uid: &str) {
        self.forget::<MeetingBridge>(uid);
        self.forget_bridge(key);
        self.wakes.meetings(self.bookings.ahead(key, self.clock.now()));
        // Its cluster may have been what another one waits for.
        self.stores.bridges.state().iter().for_each(|other| self.wakes.bridge(&ObjectKey::of(other.as_ref())));
    }

    /// A context in which nothing has happened yet.
    pub fn new(
        kube: KubeApi,
        clock: Arc<dyn Clock>,
        settings: Settings,
        stores: Stores,
        wakes: Wakes,
        metrics: Arc<Metrics>,
        watchdog: Arc<Watchdog>,
    ) -> Self {
        let (events, publishing) = Events::new(kube.client(), settings.kube_timeout, Arc::clone(&metrics));
        let tasks = TaskTracker::new();
        tasks.spawn(publishing);
        Self {
            events,
            kube,
            clock,
            settings,
            stores,
            bookings: Bookings::default(),
            occurrences: Occurrences::default(),
            meetings: Memory::default(),
            bridges: Memory::default(),
            series: Memory::default(),
            clusters: Clusters::default(),
            secrets: SecretsCache::default(),
            made_from: MadeFrom::default(),
            backoff: Backoff::default(),
            wakes,
            metrics,
            watchdog,
            tasks,
            places: Semaphore::new(PLACES),
            begun: Instant::now(),
        }
    }

    /// Counts the meetings, as long as this process leads and this context is in use.
    pub fn census(self: &Arc<Self>) -> Box<dyn Fn() -> Option<Census> + Send + Sync> {
        let context = Arc::downgrade(self);
        Box::new(move || {
            let ctx = context.upgrade().filter(|ctx| ctx.metrics.leader.get() == 1)?;
            let mut census = ctx.bookings.census(ctx.clock.now());
            let unreadable = [
                ctx.unreadable::<ScheduledMeeting>(),
                ctx.unreadable::<MeetingBridge>(),
                ctx.unreadable::<MeetingSeries>(),
            ];
            census.unreadable.extend(unreadable);
            ctx.stores.series.state().iter().for_each(|series| census.count_series(series));
            Some(census)
        })
    }

    /// How many objects of a kind cannot be read.
    fn unreadable<K: Kind + 'static>(&self) -> (&'static str, i64) {
        let odd = K::store(self).state().iter().filter(|object| unreadable(object.as_ref()).is_some()).count();
        (K::NAME, i64::try_from(odd).unwrap_or(i64::MAX))
    }

    /// Are the series not read yet, of which an occurrence may run? They are waited for, but not for ever: where their CRD is
    /// missing they never come.
    pub fn may_lack_series(&self) -> bool {
        self.begun.elapsed() < SERIES_PATIENCE && self.stores.series.wait_until_ready().now_or_never().is_none()
    }

    /// What a new cluster needs of its surroundings.
    pub fn cluster_env(&self, key: &ObjectKey) -> Env {
        let (wakes, key) = (self.wakes.clone(), key.clone());
        Env {
            clock: Arc::clone(&self.clock),
            settings: self.settings.clone(),
            metrics: Arc::clone(&self.metrics),
            tasks: self.tasks.clone(),
            wake: Arc::new(move || wakes.bridge(&key)),
        }
    }

    /// The calls to the apiserver for an object: one that is due waits for no other one.
    pub fn calls_for<K: Kind>(&self, object: &K) -> Calls<'_> {
        self.kube.when(object.is_due(self.clock.now()))
    }

    /// The newest copy of a bridge.
    pub fn bridge(&self, key: &ObjectKey) -> Option<Arc<MeetingBridge>> {
        let stored = self.stores.bridges.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        Some(self.bridges.newest(stored))
    }

    /// What a meeting wants for its settings, as we know it: with what is not stored yet.
    pub fn asked(&self, key: &ObjectKey) -> Option<Asked> {
        let stored = self.stores.meetings.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        let newest = self.meetings.newest(stored);
        Asked::of(&self.meetings.known(&newest))
    }

    /// May what is in this Secret be sent to a bridge? Whoever names it may be somebody else than its owner, who says so by
    /// a label where that is asked for.
    pub fn may_send(&self, secret: &Secret, purpose: &str) -> bool {
        let allowed = secret.metadata.labels.as_ref().and_then(|labels| labels.get(USE_LABEL));
        !self.settings.require_secret_label || allowed.is_some_and(|allowed| allowed == purpose)
    }

    /// Wakes those who wait for a slot.
    pub fn wake_pending(&self) {
        self.wakes.meetings(self.bookings.pending());
    }
}

/// What the life cycle of an object needs to know of its kind.
pub trait Kind: StandIn + HasStatus<Status: PartialEq + Clone> + Compact + Clone {
    /// Its name in metrics and logs.
    const NAME: &'static str;

    fn memory(ctx: &Context) -> &Memory<Self>;
    fn store(ctx: &Context) -> &Store<Self>;
    /// We wrote it, and the watch does not show that yet.
    fn wrote(&self, _ctx: &Context) {}
    /// It is gone: nothing of it is kept, and who waits for what it had is woken.
    fn is_gone(&self, ctx: &Context) {
        ctx.forget::<Self>(&self.meta().uid.clone().unwrap_or_default());
    }
    /// Something is to be done for it now: it waits for no place among others.
    fn is_due(&self, _now: Timestamp) -> bool {
        false
    }
    /// The longest pause after the apiserver refused something: what else hangs on its passes does not wait for that.
    fn longest_pause(&self) -> Duration {
        Duration::MAX
    }
    /// The next instant after this one that must not be slept past.
    fn next_instant(&self, _after: Timestamp) -> Option<Timestamp> {
        None
    }
}

/// A kind that is held until its deletion is done with.
pub trait Tied: Kind {
    /// Our finalizer on it.
    const FINALIZER: &'static str;
}

impl Tied for ScheduledMeeting {
    const FINALIZER: &'static str = crate::api::names::MEETING_FINALIZER;
}

impl Tied for MeetingBridge {
    const FINALIZER: &'static str = crate::api::names::BRIDGE_FINALIZER;
}

impl Kind for ScheduledMeeting {
    const NAME: &'static str = "ScheduledMeeting";

    fn memory(ctx: &Context) -> &Memory<Self> {
        &ctx.meetings
    }
    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.stores.meetings
    }
    fn wrote(&self, ctx: &Context) {
        ctx.bookings.take_object(&ctx.meetings.known(self));
    }
    fn is_gone(&self, ctx: &Context) {
        ctx.bookings.forget(self);
        ctx.forget_meeting(&self.uid().unwrap_or_default());
        ctx.wake_pending();
        // What it left open is shut by its bridge.
        if let Some(bridge) = self.status.as_ref().and_then(|status| status.bridge.as_ref()) {
            ctx.wakes.bridge(&key_of(bridge));
        }
    }
    fn is_due(&self, now: Timestamp) -> bool {
        let none = ScheduledMeetingStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let is_live = status.phase.unwrap_or_default().is_live();
        is_live || matches!(Window::of_meeting(&self.spec, status).stage(now), Stage::Preparing | Stage::Inside)
    }
    fn next_instant(&self, after: Timestamp) -> Option<Timestamp> {
        let status = self.status.clone().unwrap_or_default();
        let agreed = status.window.map(Window::from);
        let windows = agreed.into_iter().chain([Window::of_meeting(&self.spec, &status)]);
        windows.filter_map(|window| window.next_instant(&self.spec, after)).min()
    }
}

impl Kind for MeetingSeries {
    const NAME: &'static str = "MeetingSeries";

    fn memory(ctx: &Context) -> &Memory<Self> {
        &ctx.series
    }
    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.stores.series
    }
}

impl Kind for MeetingBridge {
    const NAME: &'static str = "MeetingBridge";

    fn memory(ctx: &Context) -> &Memory<Self> {
        &ctx.bridges
    }
    fn store(ctx: &Context) -> &Store<Self> {
        &ctx.stores.bridges
    }
    fn is_gone(&self, ctx: &Context) {
        let (key, uid) = (ObjectKey::of(self), self.uid().unwrap_or_default());
        match ctx.stores.bridges.get(&ObjectRef::from_obj(self)) {
            // Its cluster is that of the one which was made again.
            Some(other) if other.uid() != self.uid() => ctx.forget::<Self>(&uid),
            _ => ctx.bridge_is_gone(&key, &uid),
        }
    }
    /// Its passes look after its call bridges, and after everybody who is in a meeting there.
    fn longest_pause(&self) -> Duration {
        Duration::from_secs(10)
    }
}
