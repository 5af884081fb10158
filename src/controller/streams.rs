//! The watches. Each has its own back-off and counts its own errors; only good items reach a controller, so one failing
//! watch delays nobody else (decision 0011), and one undecodable object does not stop the others.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Resource, ResourceExt, core::PartialObjectMeta};
use serde::de::DeserializeOwned;

use crate::api::Compact;
use crate::metrics::{KindLabels, Metrics};

/// The longest pause of a watch after an error: the apiserver is back before that is long ago.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

/// A watch is ended by the apiserver after `limit` and taken up again where it was. If even that does not come, five
/// seconds later, the connection is dead: nobody told us, and nothing has come by it.
fn config(limit: Duration) -> watcher::Config {
    let seconds = u32::try_from(limit.as_secs().max(1)).unwrap_or(u32::MAX);
    watcher::Config::default().page_size(100).timeout(seconds)
}

fn count(metrics: &Metrics, kind: &'static str, error: &watcher::Error) {
    metrics.watch_errors.get_or_create(&KindLabels { kind }).inc();
    tracing::warn!(kind, %error, "watch failed; it is tried again");
}

/// Watches objects of a kind. What does not decode is logged and left out.
pub fn objects<K>(
    api: Api<DeserializeGuard<K>>,
    kind: &'static str,
    limit: Duration,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = Event<K>>
where
    K: Resource<DynamicType = ()> + Compact + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config(limit)).backoff(Brief::default()).filter_map(move |event| {
        let metrics = Arc::clone(&metrics);
        async move {
            match event {
                Ok(Event::Apply(guard)) => decoded(guard, kind).map(Event::Apply),
                Ok(Event::InitApply(guard)) => decoded(guard, kind).map(Event::InitApply),
                Ok(Event::Delete(guard)) => decoded(guard, kind).map(Event::Delete),
                Ok(Event::Init) => Some(Event::Init),
                Ok(Event::InitDone) => Some(Event::InitDone),
                Err(error) => {
                    count(&metrics, kind, &error);
                    None
                }
            }
        }
    })
}

fn decoded<K: Resource<DynamicType = ()> + Compact>(guard: DeserializeGuard<K>, kind: &'static str) -> Option<K> {
    match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
            object.compact();
            Some(object)
        }
        Err(invalid) => {
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            tracing::error!(kind, namespace, name, error = %invalid.error, "object cannot be read; it is left out");
            None
        }
    }
}

/// Watches the metadata of a kind only: names, labels and versions, never what is inside.
pub fn metadata<K>(
    api: Api<PartialObjectMeta<K>>,
    kind: &'static str,
    selector: Option<String>,
    limit: Duration,
    writer: Writer<PartialObjectMeta<K>>,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync,
{
    let config = selector.iter().fold(config(limit), |config, selector| config.labels(selector));
    let stream = watcher(api, config).backoff(Brief::default()).filter_map(move |event| {
        let metrics = Arc::clone(&metrics);
        async move {
            match event {
                Ok(event) => Some(event.modify(|object| {
                    object.metadata.managed_fields = None;
                    object.annotations_mut().clear();
                })),
                Err(error) => {
                    count(&metrics, kind, &error);
                    None
                }
            }
        }
    });
    kube::runtime::reflector(writer, stream.map(Ok::<_, watcher::Error>))
        .touched_objects()
        .filter_map(|object| async move { object.ok() })
}
