//! The controller as a whole: stores, watches, the loops, orderly shutdown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Shared, join_all};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::Controller as Loop;
use kube::runtime::controller::Config;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::{Client, Resource};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::catch_up::catch_up;
use super::context::{Context, Stores};
use super::kube_calls::KubeApi;
use super::lead::{Candidacy, Lead};
use super::lifecycle::Managed;
use super::passes::{Gate, run_loop};
use super::streams::{About, Watched};
use super::wakes::{Wakes, Woken};
use super::watchdog::Watchdog;
use super::{bridge, clock_steps, join_secret, meeting, series, streams, watches};
use crate::api::names::JOIN_LABEL;
use crate::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::fence::Fence;
use crate::metrics::Metrics;
use crate::pulse::listen;

/// How long the shutdown waits for looks that run in the background: they write nothing.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(1);

/// How long the first pass waits for the versions of Secrets and ConfigMaps and for the labels of namespaces: without rights
/// on them whoever needs them says so himself, and the others must not wait for ever.
const OTHERS_PATIENCE: Duration = Duration::from_secs(10);

/// Meetings that are looked after at one time. Those that are due are fewer; at a start it keeps the others out of the
/// loop's table, which never shrinks again. (Seven eighths of a power of two fill such a table without growing it.)
const MEETINGS_AT_ONCE: u16 = 1792;

/// Join Secrets that are listed at once.
const JOIN_SECRETS_A_PAGE: u32 = 500;

/// Series that are looked after at one time. Each makes its occurrences one after the other, and what is due goes first.
const SERIES_AT_ONCE: u16 = 8;

/// The ends of the stores that the watches fill.
struct Writers {
    bridges: Writer<MeetingBridge>,
    meetings: Writer<ScheduledMeeting>,
    series: Writer<MeetingSeries>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
    secrets: Writer<PartialObjectMeta<Secret>>,
    config_maps: Writer<PartialObjectMeta<ConfigMap>>,
}

fn stores() -> (Stores, Writers) {
    let (bridges, bridge_writer) = reflector::store();
    let (meetings, meeting_writer) = reflector::store();
    let (series, series_writer) = reflector::store();
    let (namespaces, namespace_writer) = reflector::store();
    let (secrets, secret_writer) = reflector::store();
    let (config_maps, config_map_writer) = reflector::store();
    let writers = Writers {
        bridges: bridge_writer,
        meetings: meeting_writer,
        series: series_writer,
        namespaces: namespace_writer,
        secrets: secret_writer,
        config_maps: config_map_writer,
    };
    (Stores { bridges, meetings, series, namespaces, secrets, config_maps }, writers)
}

/// A controller that is ready to run.
pub struct Controller {
    client: Client,
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    watchdog: Arc<Watchdog>,
    shutdown: CancellationToken,
    ready: watch::Sender<bool>,
    /// The namespaces that are looked after; none: all.
    scope: BTreeSet<String>,
    candidacy: Option<Candidacy>,
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
        let (watchdog, ready) = (Arc::default(), watch::Sender::new(false));
        Self { client, settings, clock, metrics, watchdog, shutdown, ready, scope: BTreeSet::new(), candidacy: None }
    }

    /// Looks after the objects of these namespaces only; a Role in each is enough then.
    #[must_use]
    pub fn within(self, namespaces: impl IntoIterator<Item = String>) -> Self {
        Self { scope: namespaces.into_iter().collect(), ..self }
    }

    /// Shares the work with others: only the one that leads does anything but watch.
    #[must_use]
    pub fn stands(self, candidacy: Option<Candidacy>) -> Self {
        Self { candidacy, ..self }
    }

    /// What is looked at, each with its namespace, or with none for all.
    fn apis<K>(&self, client: &Client) -> Vec<(Option<&str>, Api<K>)>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        if self.scope.is_empty() {
            return vec![(None, Api::all(client.clone()))];
        }
        self.scope.iter().map(|name| (Some(name.as_str()), Api::namespaced(client.clone(), name))).collect()
    }

    /// Waits until a store shows at least what there is now.
    async fn caught_up<K>(&self, ctx: &Context, store: &Store<K>)
    where
        K: Managed + serde::de::DeserializeOwned,
    {
        let apis = self.apis(&self.client).into_iter();
        join_all(apis.map(|(namespace, api)| catch_up(ctx, api, namespace, store))).await;
    }

    /// A client for the watch of a kind, which is there from now on.
    fn watch(&self, kind: &'static str) -> (Client, About) {
        let metrics = Arc::clone(&self.metrics);
        metrics.pulses.heard(kind);
        let client = listen(self.client.clone(), kind, Arc::clone(&metrics.pulses));
        (client, About { kind, limit: self.settings.watch_limit, metrics })
    }

    /// The watches of a kind, with this selector of labels.
    fn watched<K>(&self, client: &Client, about: &About, selector: Option<&str>) -> Watched<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        let config = selector.iter().fold(about.config(), |config, selector| config.labels(selector));
        let apis = self.apis(client).into_iter();
        apis.map(|(within, api)| (within.map(str::to_owned), api, config.clone())).collect()
    }

    /// Becomes true once both stores are filled.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Tells what is stuck.
    pub fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.watchdog)
    }

    /// Runs until the shutdown is asked for and the current requests are done. With others it stands for election, again
    /// after each term; every term begins with nothing but what is read from Kubernetes.
    pub async fn run(mut self) {
        let Some(candidacy) = self.candidacy.take() else {
            self.metrics.leader.set(1);
            let started = CancellationToken::new();
            started.cancel();
            self.work(Fence::default(), &started, None).await;
            return;
        };
        let mut lead = Lead::new(candidacy);
        while !self.shutdown.is_cancelled() {
            self.term(&mut lead).await;
        }
    }

    /// Standby, then leader, until the lease is lost or the shutdown is done.
    async fn term(&self, lead: &mut Lead) {
        let (fence, elected, started) = (Fence::not_yet(), CancellationToken::new(), CancellationToken::new());
        let lost = async {
            elected.cancelled().await;
            tracing::info!("this process leads");
            self.metrics.elections.inc();
            self.metrics.leader.set(1);
            fence.lost().await;
        };
        let is_done = tokio::select! {
            biased;
            () = lost => false,
            () = lead.serve(&fence, &elected) => false,
            () = self.work(fence.clone(), &started, Some(&elected)) => true,
        };
        // Dropped with the rest of the work are the passes, wherever they were.
        self.metrics.resign();
        if !is_done {
            tracing::warn!("the lease is lost: this process does nothing until it leads again");
        } else if elected.is_cancelled() {
            lead.release().await;
        }
    }

    /// Fills the stores, and does what there is to do from `started` on: at once, or when it is elected.
    async fn work(&self, fence: Fence, started: &CancellationToken, elected: Option<&CancellationToken>) {
        self.ready.send_replace(false);
        let (stores, writers) = stores();
        let (bridges, meetings, series) = (stores.bridges.clone(), stores.meetings.clone(), stores.series.clone());
        let (wakes, woken) = Wakes::new();
        // Both stores, the versions of Secrets and the labels of namespaces are there before the first pass: half a picture
        // leads to wrong bookings.
        let filled = wait_filled(&stores, self.ready.clone()).shared();
        let (limit, metrics) = (self.settings.kube_timeout, Arc::clone(&self.metrics));
        let ctx = Arc::new(Context::new(
            KubeApi::new(self.client.clone(), fence, limit, metrics),
            Arc::clone(&self.clock),
            self.settings.clone(),
            stores,
            wakes,
            Arc::clone(&self.metrics),
            Arc::clone(&self.watchdog),
        ));
        self.metrics.count_by(Some(ctx.census()));
        let Woken { meetings: woken_meetings, bridges: woken_bridges, series: woken_series } = woken;
        let others = self.others(&ctx, writers.secrets, writers.config_maps, writers.namespaces);
        let joins = self.join_secrets(&ctx, filled.clone());
        let changed = watches::triggers(self.bridges(&ctx), writers.bridges, Arc::clone(&ctx));
        let bridge_loop = Loop::for_stream(futures::stream::pending(), bridges)
            .reconcile_on(after(started.clone(), changed))
            .reconcile_on(after(started.clone(), received(woken_bridges)));
        let changed = watches::triggers(self.meetings(&ctx), writers.meetings, Arc::clone(&ctx));
        let meeting_loop = Loop::for_stream(futures::stream::pending(), meetings)
            .reconcile_on(after(started.clone(), changed))
            .with_config(Config::default().concurrency(MEETINGS_AT_ONCE))
            .reconcile_on(after(started.clone(), received(woken_meetings)));
        let series_started = elected.map_or_else(|| started.clone(), |_| CancellationToken::new());
        let series_filled = filled_by(series.clone());
        let changed = watches::triggers(self.series(&ctx), writers.series, Arc::clone(&ctx));
        let series_loop = Loop::for_stream(futures::stream::pending(), series)
            .reconcile_on(after(series_started.clone(), changed))
            .with_config(Config::default().concurrency(SERIES_AT_ONCE))
            .reconcile_on(after(series_started.clone(), received(woken_series)));
        let begin = async {
            filled.clone().await;
            if let Some(elected) = elected {
                elected.cancelled().await;
                tokio::join!(self.caught_up(&ctx, &ctx.stores.bridges), self.caught_up(&ctx, &ctx.stores.meetings),);
                started.cancel();
                // What changed before was only watched.
                ctx.wakes.all(&ctx.stores);
                // Nobody waits for series: their CRD may come later than this version does.
                series_filled.clone().await;
                self.caught_up(&ctx, &ctx.stores.series).await;
                series_started.cancel();
                ctx.wakes.all_series(&ctx.stores);
            }
        };
        let gate = Gate { filled: filled.clone(), shutdown: self.shutdown.clone() };
        let bridge_loop = run_loop(bridge_loop, Arc::clone(&ctx), gate.clone(), bridge::reconcile);
        let meeting_loop = run_loop(meeting_loop, Arc::clone(&ctx), gate.clone(), meeting::reconcile);
        let series_loop = run_loop(series_loop, Arc::clone(&ctx), gate, series::reconcile);
        let stop = async {
            self.shutdown.cancelled().await;
            ctx.kube.fence().shut();
        };
        let series_loop = self.unless_stopped(series_loop, series_filled.clone());
        let loops = async { tokio::join!(bridge_loop, meeting_loop, series_loop) };
        tokio::pin!(loops);
        // Driven here as well: with no objects there is no pass that would.
        let clock = clock_steps::watch(Arc::clone(&ctx), ctx.stores.bridges.clone());
        let background = async { tokio::join!(others, joins, stop, begin, clock) };
        tokio::select! {
            _ = &mut loops => {}
            () = self.stopped_before(filled.clone()) => {}
            _ = background => { loops.await; }
        }
        ctx.events.end();
        if elected.is_some() {
            // Somebody waits for the lease.
            return;
        }
        ctx.tasks.close();
        let _ = tokio::time::timeout(BACKGROUND_PATIENCE, ctx.tasks.wait()).await;
    }

    /// What begins only when a store is filled, which may never be.
    async fn unless_stopped(&self, work: impl Future<Output = ()>, filled: Shared<BoxFuture<'static, ()>>) {
        tokio::select! {
            biased;
            () = work => {}
            () = self.stopped_before(filled) => {}
        }
    }

    /// The shutdown before the stores are filled: until then the loops of kube begin nothing, and do not end either.
    async fn stopped_before(&self, filled: Shared<BoxFuture<'static, ()>>) {
        tokio::select! {
            biased;
            () = filled => std::future::pending().await,
            () = self.shutdown.cancelled() => {}
        }
    }

    fn bridges(&self, ctx: &Arc<Context>) -> impl Stream<Item = Event<MeetingBridge>> + use<> {
        let (index, mut known) = (Arc::clone(ctx), watches::Bridges::default());
        let (client, about) = self.watch("MeetingBridge");
        let hear = move |within: &_, event: &_| watches::index_bridge(&index, within, &mut known, event);
        streams::objects(self.watched(&client, &about, None), about, ctx.stores.bridges.clone(), hear)
    }

    fn meetings(&self, ctx: &Arc<Context>) -> impl Stream<Item = Event<ScheduledMeeting>> + use<> {
        let (index, mut listed) = (Arc::clone(ctx), BTreeMap::new());
        let (client, about) = self.watch("ScheduledMeeting");
        let hear = move |within: &_, event: &_| watches::index_meeting(&index, within, &mut listed, event);
        streams::objects(self.watched(&client, &about, None), about, ctx.stores.meetings.clone(), hear)
    }

    fn series(&self, ctx: &Arc<Context>) -> impl Stream<Item = Event<MeetingSeries>> + use<> {
        let (heard, mut known) = (Arc::clone(ctx), watches::Series::default());
        let (client, about) = self.watch("MeetingSeries");
        let hear = move |within: &_, event: &_| watches::hear_series(&heard, within, &mut known, event);
        streams::objects(self.watched(&client, &about, None), about, ctx.stores.series.clone(), hear)
    }

    /// The watches of what others own: Secrets and ConfigMaps by their metadata, labels of namespaces.
    fn others(
        &self,
        ctx: &Arc<Context>,
        secret_writer: Writer<PartialObjectMeta<Secret>>,
        config_map_writer: Writer<PartialObjectMeta<ConfigMap>>,
        namespace_writer: Writer<PartialObjectMeta<Namespace>>,
    ) -> impl Future<Output = ()> + use<> {
        let not_ours = format!("!{JOIN_LABEL}");
        let (client, about) = self.watch("Secret");
        let secrets = streams::metadata(self.watched(&client, &about, Some(&not_ours)), about, secret_writer);
        let (client, about) = self.watch("ConfigMap");
        let maps = streams::metadata(self.watched(&client, &about, None), about, config_map_writer);
        // Within one namespace no other one can book, so their labels do not matter, and no right to list them is needed.
        // Of several each is watched by its name, so that the right to these is enough.
        let namespaces = if self.scope.len() == 1 {
            futures::stream::pending().right_stream()
        } else {
            let (client, about) = self.watch("Namespace");
            let one = |name: &String| about.config().fields(&format!("metadata.name={name}"));
            let mut configs: Vec<_> = self.scope.iter().map(one).collect();
            if configs.is_empty() {
                configs.push(about.config());
            }
            let watched = configs.into_iter().map(|config| (None, Api::all(client.clone()), config)).collect();
            streams::metadata(watched, about, namespace_writer).left_stream()
        };
        watches::watch_others(Arc::clone(ctx), secrets, maps, namespaces)
    }

    /// The watch of the join Secrets by their metadata. What they are compared with is there before.
    async fn join_secrets(&self, ctx: &Context, filled: Shared<BoxFuture<'static, ()>>) {
        filled.await;
        let (client, about) = self.watch("JoinSecret");
        let ours = format!("{JOIN_LABEL}=true");
        let mut watched = self.watched(&client, &about, Some(&ours));
        // As many as there are meetings, and a few hundred bytes each.
        watched.iter_mut().for_each(|(_, _, config)| config.page_size = Some(JOIN_SECRETS_A_PAGE));
        let mut listed: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        let hear = |within: &_, event: &_| {
            join_secret::hear(ctx, within, listed.entry(within.clone()).or_default(), event);
        };
        streams::heard(watched, about, hear).await;
    }
}

/// What comes before the work has started is dropped: the stores have it.
fn after<T>(started: CancellationToken, items: impl Stream<Item = T>) -> impl Stream<Item = T> {
    items.filter(move |_| std::future::ready(started.is_cancelled()))
}

fn received<T: Send + 'static>(mut wakes: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::poll_fn(move |cx| wakes.poll_recv(cx))
}

fn wait_filled(stores: &Stores, ready: watch::Sender<bool>) -> BoxFuture<'static, ()> {
    let (bridges, meetings) = (stores.bridges.clone(), stores.meetings.clone());
    let (secrets, config_maps): (Store<_>, Store<_>) = (stores.secrets.clone(), stores.config_maps.clone());
    let namespaces = stores.namespaces.clone();
    async move {
        // An error means that the writer is gone, and with it the whole controller.
        let _ = tokio::join!(bridges.wait_until_ready(), meetings.wait_until_ready());
        // Where namespaces are not watched, nobody waits for them.
        let others = async {
            tokio::join!(secrets.wait_until_ready(), config_maps.wait_until_ready(), namespaces.wait_until_ready())
        };
        let _ = tokio::time::timeout(OTHERS_PATIENCE, others).await;
        tracing::info!("stores are filled");
        ready.send_replace(true);
    }
    .boxed()
}

/// Comes true once a store has its first list.
fn filled_by<K>(store: Store<K>) -> Shared<BoxFuture<'static, ()>>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    async move {
        // An error means that the writer is gone, and with it the whole controller.
        let _ = store.wait_until_ready().await;
    }
    .boxed()
    .shared()
}
