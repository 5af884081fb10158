//! Events for people. No work waits for one: they go through a bounded queue to a task that publishes them one by one.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::api::names::FIELD_MANAGER;
use crate::metrics::{CallLabels, Metrics};

/// Longest text of an event.
const NOTE_LIMIT: usize = 900;

/// Events that wait at most; if the apiserver is silent, further ones are dropped and counted.
const QUEUE_LIMIT: usize = 2048;

type Told = (Event, ObjectReference);

/// Where events are handed in.
pub struct Events {
    queue: Sender<Told>,
    is_ending: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Events {
    /// The queue, and the task that empties it until [`Events::end`].
    pub fn new(client: Client, limit: Duration, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + use<>) {
        let (queue, told) = mpsc::channel(QUEUE_LIMIT);
        let is_ending = CancellationToken::new();
        let recorder = Recorder::new(client, FIELD_MANAGER.into());
        let publishing = publish(recorder, limit, told, is_ending.clone(), Arc::clone(&metrics));
        (Self { queue, is_ending, metrics }, publishing)
    }

    /// Tells people something about an object.
    pub fn tell<K>(&self, object: &K, kind: EventType, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: Some(note.chars().take(NOTE_LIMIT).collect()),
            secondary: None,
        };
        if self.queue.try_send((event, object.object_ref(&()))).is_err() {
            count(&self.metrics, "dropped");
        }
    }

    /// What is in the queue is still published; the task ends then.
    pub fn end(&self) {
        self.is_ending.cancel();
    }
}

fn count(metrics: &Metrics, outcome: &'static str) {
    metrics.apiserver_errors.get_or_create(&CallLabels { call: "create Event", outcome }).inc();
}

async fn publish(
    recorder: Recorder,
    limit: Duration,
    mut told: Receiver<Told>,
    is_ending: CancellationToken,
    metrics: Arc<Metrics>,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = told.recv() => next,
            () = is_ending.cancelled() => None,
        };
        let Some((event, about)) = next else { return };
        // A failure is counted and logged, and nothing else: the status says the same.
        match tokio::time::timeout(limit, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                count(&metrics, "failed");
                tracing::debug!(%error, reason = event.reason, "event not published");
            }
            Err(_) => {
                count(&metrics, "timeout");
                tracing::debug!(reason = event.reason, "event not published in time");
            }
        }
    }
}
