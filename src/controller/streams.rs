//! The watches. Each has its own back-off and counts its own errors; only good items reach a controller, so one failing
//! watch delays nobody else (decision 0011), and one undecodable object does not stop the others.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt, core::PartialObjectMeta};
use serde::de::DeserializeOwned;

use crate::api::Compact;
use crate::metrics::{KindLabels, Metrics};

fn count(metrics: &Metrics, kind: &'static str, error: &watcher::Error) {
    metrics.watch_errors.get_or_create(&KindLabels { kind }).inc();
    tracing::warn!(kind, %error, "watch failed; it is tried again");
}

/// Watches objects of a kind. What does not decode is logged and left out.
pub fn objects<K>(
    api: Api<DeserializeGuard<K>>,
    kind: &'static str,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = Event<K>>
where
    K: Resource<DynamicType = ()> + Compact + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().page_size(100);
    watcher(api, config).default_backoff().filter_map(move |event| {
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
    writer: Writer<PartialObjectMeta<K>>,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync,
{
    let mut config = watcher::Config::default().page_size(100);
    if let Some(selector) = selector {
        config = config.labels(&selector);
    }
    let stream = watcher(api, config).default_backoff().filter_map(move |event| {
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
