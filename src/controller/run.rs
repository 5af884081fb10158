//! The controller as a whole: stores, watches, both loops, orderly shutdown.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller as Loop, PredicateConfig, WatchStreamExt};
use kube::{Client, Resource, ResourceExt};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::bookings::Ledger;
use super::context::{Context, Parts, Settings};
use super::kube_calls::KubeError;
use super::watchdog::Pulse;
use super::{bridge, meeting, streams};
use crate::act::Fence;
use crate::api::names::{FAILBACK_ANNOTATION, FORCE_DELETE_ANNOTATION, JOIN_LABEL, RECONCILE_ANNOTATION};
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::clock::Clock;
use crate::cluster::BridgeKey;
use crate::metrics::{Metrics, ReconcileLabels};

/// Pause of an object whose reconcile panicked; the others go on.
const PANIC_PAUSE: Duration = Duration::from_secs(60);

/// Meetings that are looked after at one time. Those that are due are fewer; at a start it keeps the others out of the
/// loop's table, which never shrinks again. (Seven eighths of a power of two fill such a table without growing it.)
const MEETINGS_AT_ONCE: u16 = 1792;

/// Why a pass over an object ended badly.
#[derive(Debug, Error)]
pub enum RunError {
    /// The apiserver refused, or could not be reached.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// A bug of ours.
    #[error("the pass panicked: {0}")]
    Panic(String),
}

/// A controller that is ready to run.
pub struct Controller {
    client: Client,
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
    shutdown: CancellationToken,
    ready: watch::Sender<bool>,
    scope: Option<String>,
}

impl Controller {
    /// Puts a controller together; nothing is sent.
    pub fn new(
        client: Client,
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Self {
        let (pulse, ready) = (Arc::default(), watch::Sender::new(false));
        Self { client, settings, clock, metrics, pulse, shutdown, ready, scope: None }
    }

    /// Looks after the objects of one namespace only; a Role there is enough then.
    #[must_use]
    pub fn within(self, namespace: Option<String>) -> Self {
        Self { scope: namespace, ..self }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Becomes true once both stores are filled.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Tells what is stuck.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Runs until the shutdown is asked for and the current requests are done.
    pub async fn run(self) {
        let (wake_meeting, meeting_wakes) = mpsc::unbounded_channel();
        let (wake_bridge, bridge_wakes) = mpsc::unbounded_channel();
        let (bridges, bridge_writer) = reflector::store::<MeetingBridge>();
        let (meetings, meeting_writer) = reflector::store::<ScheduledMeeting>();
        let (namespaces, namespace_writer) = reflector::store::<PartialObjectMeta<Namespace>>();
        let (secret_meta, secret_writer) = reflector::store::<PartialObjectMeta<Secret>>();
        let (config_map_meta, config_map_writer) = reflector::store::<PartialObjectMeta<ConfigMap>>();
        let fence = Fence::default();
        let ledger = Arc::new(Ledger::default());
        let ctx = Arc::new(Context::new(Parts {
            client: self.client.clone(),
            clock: Arc::clone(&self.clock),
            settings: self.settings.clone(),
            bridges: bridges.clone(),
            meetings: meetings.clone(),
            namespaces,
            secret_meta: secret_meta.clone(),
            config_map_meta: config_map_meta.clone(),
            ledger,
            metrics: Arc::clone(&self.metrics),
            pulse: Arc::clone(&self.pulse),
            wake_meeting,
            wake_bridge,
            fence: fence.clone(),
        }));

        let metrics = Arc::clone(&self.metrics);
        let side = self.sides(&ctx, secret_writer, config_map_writer, namespace_writer);
        let bridge_events = streams::objects::<MeetingBridge>(self.api(), "MeetingBridge", Arc::clone(&metrics));
        let meeting_events = streams::objects::<ScheduledMeeting>(self.api(), "ScheduledMeeting", metrics);
        let index = Arc::clone(&ctx);
        let meeting_events = meeting_events.inspect(move |event| index_meeting(&index, event));
        let index = Arc::clone(&ctx);
        let mut judged = BTreeMap::new();
        let bridge_events = bridge_events.inspect(move |event| index_bridge(&index, &mut judged, event));

        // Both stores and the versions of Secrets are there before the first pass: half a picture leads to wrong bookings.
        let filled = wait_filled(bridges.clone(), meetings.clone(), secret_meta, config_map_meta, self.ready.clone());
        let gate = filled.boxed().shared();
        let bridge_loop = drive(
            Loop::for_stream(triggers(bridge_events, bridge_writer, Arc::clone(&ctx)), bridges)
                .reconcile_on(received(bridge_wakes)),
            Arc::clone(&ctx),
            "MeetingBridge",
            gate.clone(),
            self.shutdown.clone(),
            bridge::reconcile,
            bridge::on_error,
        );
        let meeting_loop = drive(
            Loop::for_stream(triggers(meeting_events, meeting_writer, Arc::clone(&ctx)), meetings)
                .with_config(Config::default().concurrency(MEETINGS_AT_ONCE))
                .reconcile_on(received(meeting_wakes)),
            Arc::clone(&ctx),
            "ScheduledMeeting",
            gate.clone(),
            self.shutdown.clone(),
            meeting::reconcile,
            meeting::on_error,
        );
        let stop = async {
            self.shutdown.cancelled().await;
            fence.shut();
        };
        let loops = async { tokio::join!(bridge_loop, meeting_loop) };
        tokio::pin!(loops);
        // Driven here as well: with no objects there is no pass that would.
        let background = async { tokio::join!(side, stop, gate) };
        tokio::select! {
            _ = &mut loops => {}
            _ = background => { loops.await; }
        }
    }
}

impl Controller {
    /// The watches of what others own: Secrets and ConfigMaps by their metadata, labels of namespaces.
    fn sides(
        &self,
        ctx: &Arc<Context>,
        secret_writer: Writer<PartialObjectMeta<Secret>>,
        config_map_writer: Writer<PartialObjectMeta<ConfigMap>>,
        namespace_writer: Writer<PartialObjectMeta<Namespace>>,
    ) -> impl Future<Output = ()> + use<> {
        let not_ours = format!("!{JOIN_LABEL}");
        let metrics = || Arc::clone(&self.metrics);
        let secrets = streams::metadata::<Secret>(self.api(), "Secret", Some(not_ours), secret_writer, metrics());
        let maps = streams::metadata::<ConfigMap>(self.api(), "ConfigMap", None, config_map_writer, metrics());
        // Within one namespace no other one can book, so their labels do not matter, and no right to list them is needed.
        let spaces = if self.scope.is_none() {
            let api = Api::all(self.client.clone());
            streams::metadata::<Namespace>(api, "Namespace", None, namespace_writer, metrics()).left_stream()
        } else {
            futures::stream::pending().right_stream()
        };
        watch_sides(Arc::clone(ctx), secrets, maps, spaces)
    }
}

fn received<T: Send + 'static>(mut wakes: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::poll_fn(move |cx| wakes.poll_recv(cx))
}

/// What makes a change worth a pass: the spec, the finalizers, the mark of deletion, our annotations, and a status that
/// is gone. Not our own status writes.
fn relevant<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = object.meta();
    (meta.generation, &meta.finalizers, meta.deletion_timestamp.is_some(), &meta.labels).hash(&mut hasher);
    for annotation in [RECONCILE_ANNOTATION, FAILBACK_ANNOTATION, FORCE_DELETE_ANNOTATION] {
        object.annotations().get(annotation).hash(&mut hasher);
    }
    Some(hasher.finish())
}

fn triggers<K>(
    events: impl Stream<Item = Event<K>> + Send + 'static,
    writer: Writer<K>,
    ctx: Arc<Context>,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    kube::runtime::reflector(writer, events.map(Ok))
        .applied_objects()
        .inspect_ok(move |object| ctx.store_has(object))
        .predicate_filter(relevant::<K>, PredicateConfig::default())
}

fn index_meeting(ctx: &Context, event: &Event<ScheduledMeeting>) {
    match event {
        Event::Apply(meeting) | Event::InitApply(meeting) => ctx.ledger.observe(meeting),
        Event::Delete(meeting) => {
            ctx.ledger.forget(meeting);
            ctx.forget(&meeting.uid().unwrap_or_default());
            for (namespace, name) in ctx.ledger.pending_names() {
                ctx.wake_meeting(&namespace, &name);
            }
        }
        Event::Init | Event::InitDone => {}
    }
}

/// `judged` holds what was relevant about each bridge when its meetings last looked at it.
fn index_bridge(ctx: &Context, judged: &mut BTreeMap<BridgeKey, Option<u64>>, event: &Event<MeetingBridge>) {
    match event {
        Event::Apply(bridge) | Event::InitApply(bridge) => {
            let (key, now) = (meeting::key_of(bridge), relevant(bridge));
            if judged.insert(key.clone(), now).is_some_and(|before| before != now) {
                // Its switches hold for the meetings that are booked on it as well.
                for (namespace, name) in ctx.ledger.names_on(&key, ctx.clock.now()) {
                    ctx.wake_meeting(&namespace, &name);
                }
            }
            ctx.ledger.bridges_changed();
            for (namespace, name) in ctx.ledger.pending_names() {
                ctx.wake_meeting(&namespace, &name);
            }
        }
        Event::Delete(bridge) => {
            judged.remove(&meeting::key_of(bridge));
            ctx.forget(&bridge.uid().unwrap_or_default());
            for (namespace, name) in ctx.ledger.names_on(&meeting::key_of(bridge), ctx.clock.now()) {
                ctx.wake_meeting(&namespace, &name);
            }
        }
        Event::Init | Event::InitDone => {}
    }
}

/// Wakes those who depend on a Secret, a ConfigMap or the labels of a namespace.
async fn watch_sides(
    ctx: Arc<Context>,
    secrets: impl Stream<Item = PartialObjectMeta<Secret>>,
    config_maps: impl Stream<Item = PartialObjectMeta<ConfigMap>>,
    namespaces: impl Stream<Item = PartialObjectMeta<Namespace>>,
) {
    let by_secret = secrets.for_each(|secret| {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        for bridge in ctx.bridges.state() {
            let tls = bridge.spec.tls.ca_bundle_ref.as_ref().map(|reference| &reference.name);
            let uses = bridge.spec.credentials().any(|secret| secret.name == name) || tls == Some(&name);
            if uses && bridge.namespace().as_deref() == Some(&namespace) {
                ctx.wake_bridge(&meeting::key_of(&bridge));
            }
        }
        for meeting in ctx.meetings.state() {
            let uses = meeting.spec.passcode_secret_ref.as_ref().is_some_and(|reference| reference.name == name);
            if uses && meeting.namespace().as_deref() == Some(&namespace) {
                ctx.forget_passcode(&meeting.uid().unwrap_or_default());
                ctx.wake_meeting(&namespace, &meeting.name_any());
            }
        }
        std::future::ready(())
    });
    let by_config_map = config_maps.for_each(|map| {
        let (namespace, name) = (map.namespace(), map.name_any());
        for bridge in ctx.bridges.state() {
            let uses = bridge.spec.tls.ca_bundle_ref.as_ref().is_some_and(|reference| reference.name == name);
            if uses && bridge.namespace() == namespace {
                ctx.wake_bridge(&meeting::key_of(&bridge));
            }
        }
        std::future::ready(())
    });
    let by_namespace = namespaces.for_each(|_| {
        ctx.ledger.bridges_changed();
        for (namespace, name) in ctx.ledger.pending_names() {
            ctx.wake_meeting(&namespace, &name);
        }
        std::future::ready(())
    });
    tokio::join!(by_secret, by_config_map, by_namespace);
}

async fn wait_filled(
    bridges: Store<MeetingBridge>,
    meetings: Store<ScheduledMeeting>,
    secrets: Store<PartialObjectMeta<Secret>>,
    config_maps: Store<PartialObjectMeta<ConfigMap>>,
    ready: watch::Sender<bool>,
) {
    let all = async {
        // An error means that the writer is gone, and with it the whole controller.
        let _ = tokio::join!(bridges.wait_until_ready(), meetings.wait_until_ready());
        // Without rights on Secrets the bridges say so themselves; meetings must not wait for it for ever.
        let side = async { tokio::join!(secrets.wait_until_ready(), config_maps.wait_until_ready()) };
        let _ = tokio::time::timeout(Duration::from_secs(10), side).await;
    };
    all.await;
    tracing::info!("stores are filled");
    ready.send_replace(true);
}

/// One loop: every pass waits for the stores, is isolated against panics, and is counted.
async fn drive<K, Reconcile, Pass, OnError, Filled>(
    controller: Loop<K>,
    ctx: Arc<Context>,
    kind: &'static str,
    filled: futures::future::Shared<Filled>,
    shutdown: CancellationToken,
    reconcile: Reconcile,
    on_error: OnError,
) where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + serde::de::DeserializeOwned + 'static,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Pass + Clone + Send + Sync + 'static,
    Pass: Future<Output = Result<Action, KubeError>> + Send + 'static,
    OnError: Fn(Arc<K>, &KubeError, &Context) -> Action + Send + Sync + 'static,
    Filled: Future<Output = ()> + Send + 'static,
{
    let pass = move |object: Arc<K>, ctx: Arc<Context>| {
        let (reconcile, filled) = (reconcile.clone(), filled.clone());
        async move {
            filled.await;
            let _beat = ctx.pulse.begin(kind);
            // Every line of a pass, down to the requests to the bridge, names its object.
            let span = tracing::info_span!("reconcile", kind, namespace = object.namespace(), name = object.name_any());
            match AssertUnwindSafe(reconcile(object, ctx).instrument(span)).catch_unwind().await {
                Ok(result) => result.map_err(RunError::from),
                Err(panic) => Err(RunError::Panic(text_of(panic.as_ref()))),
            }
        }
    };
    let policy = move |object: Arc<K>, error: &RunError, ctx: Arc<Context>| match error {
        RunError::Kube(error) => on_error(object, error, &ctx),
        RunError::Panic(text) => {
            tracing::error!(kind, namespace = object.namespace(), name = object.name_any(), text, "pass panicked");
            Action::requeue(PANIC_PAUSE)
        }
    };
    let metrics = Arc::clone(&ctx.metrics);
    controller
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(pass, policy, ctx)
        .for_each(|result| {
            let outcome = match &result {
                Ok(_) => "ok",
                // The timer of an object that was deleted meanwhile.
                Err(kube::runtime::controller::Error::ObjectNotFound(_)) => "gone",
                Err(kube::runtime::controller::Error::ReconcilerFailed(RunError::Panic(_), _)) => "panic",
                Err(_) => "error",
            };
            metrics.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
            std::future::ready(())
        })
        .await;
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}
