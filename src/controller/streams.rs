//! The watches. Each has its own back-off and counts its own errors; only good items reach a controller, so one failing
//! watch delays nobody else (decision 0011), and an object that cannot be read does not stop the others.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Resource, ResourceExt, core::PartialObjectMeta};
use serde::de::DeserializeOwned;

use super::merge::{Within, merged};
use crate::api::names::ObjectKey;
use crate::api::reading::{Read, StandIn};
use crate::api::{Compact, unreadable};
use crate::metrics::{KindLabels, Metrics};

/// The longest pause of a watch after an error: the apiserver is back before that is long ago.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What all watches have, each for its own kind.
#[derive(Clone)]
pub struct About {
    pub kind: &'static str,
    /// The apiserver ends a watch after this time.
    pub limit: Duration,
    pub metrics: Arc<Metrics>,
}

impl About {
    /// A watch is ended by the apiserver after the limit and taken up again where it was. If even that does not come, five
    /// seconds later, the connection is dead: nobody told us, and nothing has come by it.
    pub fn config(&self) -> watcher::Config {
        let seconds = u32::try_from(self.limit.as_secs().max(1)).unwrap_or(u32::MAX);
        watcher::Config::default().page_size(100).timeout(seconds)
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        let kind = self.kind;
        self.metrics.pulses.tried(kind);
        self.metrics.watch_errors.get_or_create(&KindLabels { kind }).inc();
        tracing::warn!(kind, %error, "watch failed; it is tried again");
    }
}

/// The back-off of kube, cut at [`LONGEST_PAUSE`].
#[derive(Default)]
struct Brief(DefaultBackoff);

impl Iterator for Brief {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Brief {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The apiserver has too much to do: a list would be more of it.
fn is_overload(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => matches!(error, kube::Error::Api(status) if status.code == 429),
        watcher::Error::WatchError(status) => status.code == 429,
        watcher::Error::NoResourceVersion => false,
    }
}

/// A watch that never ends. One that failed begins with a list again, as does one that shows no sign of life: while the
/// apiserver was away its database may have been put back to an older state, and a watch that is taken up at a version
/// which is still to come shows nothing until then, without an error (kubernetes#107457).
fn unbroken<T>(
    about: About,
    begin: impl Fn() -> BoxStream<'static, watcher::Result<Event<T>>> + Send + 'static,
) -> impl Stream<Item = Event<T>> + Send
where
    T: Send + 'static,
{
    let told = about.clone();
    let watches = futures::stream::unfold((about, begin(), begin), |(about, mut watch, begin)| async move {
        loop {
            match tokio::time::timeout(about.limit, watch.next()).await {
                Ok(item) => {
                    let item = item?;
                    if item.as_ref().is_err_and(|error| !is_overload(error)) {
                        watch = begin();
                    }
                    return Some((item, (about, watch, begin)));
                }
                Err(_) if about.metrics.pulses.silence(about.kind) > about.limit.saturating_mul(2) => {
                    about.failed(&"no sign of life");
                    watch = begin();
                }
                Err(_) => {}
            }
        }
    });
    watches.backoff(Brief::default()).filter_map(move |item| {
        let good = item.map_err(|error| told.failed(&error)).ok();
        std::future::ready(good)
    })
}

/// What is watched, and how: everything, or each of some namespaces.
pub type Watched<K> = Vec<(Within, Api<K>, watcher::Config)>;

/// Watches objects of a kind, for this store. What cannot be read stands in for itself.
pub fn objects<K>(
    watched: Watched<Read<K>>,
    about: About,
    store: Store<K>,
    hear: impl FnMut(&Within, &Event<K>) + Send + 'static,
) -> impl Stream<Item = Event<K>>
where
    K: StandIn + Compact + Clone + Debug + Send + Sync + 'static,
{
    let kind = about.kind;
    let watches = watched.into_iter().map(|(within, api, config)| {
        let known = store.clone();
        let watch = unbroken(about.clone(), move || watcher(api.clone(), config.clone()).boxed())
            .map(move |event| match event {
                Event::Apply(read) => Event::Apply(taken(read, kind, &known)),
                Event::InitApply(read) => Event::InitApply(taken(read, kind, &known)),
                Event::Delete(read) => Event::Delete(taken(read, kind, &known)),
                Event::Init => Event::Init,
                Event::InitDone => Event::InitDone,
            })
            .boxed();
        (within, watch)
    });
    merged(watches.collect(), store, hear)
}

fn taken<K>(read: Read<K>, kind: &'static str, store: &Store<K>) -> K
where
    K: StandIn + Compact + Clone,
{
    let known = store.get(&ObjectRef::from_obj(&read.0));
    let mut object = read.or_known(known.as_deref());
    if let Some(error) = unreadable(&object) {
        tracing::error!(kind, namespace = object.namespace(), name = object.name_any(), error, "what it has is kept");
    }
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    object.compact();
    object
}

/// Watches the metadata of a kind without keeping it: `hear` is told what each watch shows.
pub async fn heard<K>(
    watched: Watched<PartialObjectMeta<K>>,
    about: About,
    mut hear: impl FnMut(&Within, &Event<PartialObjectMeta<K>>),
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync,
{
    let watches = watched.into_iter().map(|(within, api, config)| {
        unbroken(about.clone(), move || watcher(api.clone(), config.clone()).boxed())
            .map(move |event| (within.clone(), event))
            .boxed()
    });
    let told = select_all(watches).for_each(|(within, event)| {
        hear(&within, &event);
        std::future::ready(())
    });
    told.await;
}

/// Watches the metadata of a kind only: names, labels and versions, never what is inside. Tells which objects changed, and of a
/// list all at once.
pub fn metadata<K>(
    watched: Watched<PartialObjectMeta<K>>,
    about: About,
    writer: Writer<PartialObjectMeta<K>>,
) -> impl Stream<Item = BTreeSet<ObjectKey>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync,
{
    let watches = watched.into_iter().map(|(within, api, config)| {
        let watch = unbroken(about.clone(), move || watcher(api.clone(), config.clone()).boxed())
            .map(|event| {
                event.modify(|object: &mut PartialObjectMeta<K>| {
                    object.metadata.managed_fields = None;
                    object.annotations_mut().clear();
                })
            })
            .boxed();
        (within, watch)
    });
    let events = merged(watches.collect(), writer.as_reader(), |_, _| {});
    let mut listed = BTreeSet::new();
    kube::runtime::reflector(writer, events.map(Ok::<_, watcher::Error>)).filter_map(move |event| {
        let told = event.map(|event| once_stored(&mut listed, &event)).unwrap_or_default();
        std::future::ready((!told.is_empty()).then_some(told))
    })
}

/// Which objects an event tells of that the store has taken. What a list shows waits until the list is there: before that the
/// store has nothing of it, and whoever is woken reads the store.
fn once_stored<K: Resource<DynamicType = ()>>(
    listed: &mut BTreeSet<ObjectKey>,
    event: &Event<K>,
) -> BTreeSet<ObjectKey> {
    match event {
        Event::Init => BTreeSet::new(),
        Event::InitApply(object) => {
            listed.insert(ObjectKey::of(object));
            BTreeSet::new()
        }
        Event::InitDone => std::mem::take(listed),
        Event::Apply(object) | Event::Delete(object) => [ObjectKey::of(object)].into(),
    }
}

#[cfg(test)]
mod tests;
