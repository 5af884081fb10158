//! One loop over the objects of a kind: every pass is bounded, isolated against panics, and counted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt};
use kube::ResourceExt;
use kube::runtime::Controller as Loop;
use kube::runtime::controller::Action;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::backoff;
use super::context::Context;
use super::kube_calls::KubeError;
use super::lifecycle::{self, Managed};
use crate::metrics::{KindLabels, ReconcileLabels};

/// The longest pass: all its waits are bounded by far less, and it ends well before the watchdog has the process restarted.
const LONGEST_PASS: Duration = Duration::from_secs(8 * 60);

/// The longest wait after a pass that took too long.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Pause of an object whose reconcile panicked; the others go on.
const PANIC_PAUSE: Duration = Duration::from_secs(60);

/// Why a pass over an object ended badly.
#[derive(Debug, Error)]
enum RunError {
    /// The apiserver refused, or could not be reached; how long to wait.
    #[error("{0}")]
    Kube(KubeError, Duration),
    /// A bridge that answers everything, but slowly.
    #[error("the pass took too long")]
    TooLong,
    /// A bug of ours.
    #[error("the pass panicked: {0}")]
    Panic(String),
}

/// When a loop may begin, and when it is to end.
#[derive(Clone)]
pub struct Gate {
    pub filled: Shared<BoxFuture<'static, ()>>,
    pub shutdown: CancellationToken,
}

/// One loop: every pass waits for the stores, is isolated against panics, and is counted.
pub async fn run_loop<K, Reconcile, Pass>(controller: Loop<K>, ctx: Arc<Context>, gate: Gate, reconcile: Reconcile)
where
    K: Managed + Send + Sync + 'static,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Pass + Clone + Send + Sync + 'static,
    Pass: Future<Output = Result<Action, KubeError>> + Send + 'static,
{
    let kind = K::NAME;
    let Gate { filled, shutdown } = gate;
    let pass = move |object: Arc<K>, ctx: Arc<Context>| {
        let (reconcile, filled) = (reconcile.clone(), filled.clone());
        async move {
            filled.await;
            let _guard = ctx.watchdog.begin(kind);
            // Every line of a pass, down to the requests to the bridge, names its object.
            let span = tracing::info_span!("reconcile", kind, namespace = object.namespace(), name = object.name_any());
            let (taken, began, start) = (Arc::clone(&object), ctx.clock.now(), Instant::now());
            let pass = AssertUnwindSafe(reconcile(object, Arc::clone(&ctx)).instrument(span)).catch_unwind();
            let result = in_bounds(pass).await;
            let took = start.elapsed().as_secs_f64();
            ctx.metrics.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(took);
            let outcome = match result {
                Ok(Ok(Ok(action))) => {
                    lifecycle::after_success(&ctx, taken.as_ref());
                    Ok(action)
                }
                Ok(Ok(Err(error))) => {
                    let wait = lifecycle::after_error(&ctx, taken.as_ref(), &error, began).await;
                    Err(RunError::Kube(error, wait))
                }
                Err(_) => Err(RunError::TooLong),
                Ok(Err(panic)) => Err(RunError::Panic(text_of(panic.as_ref()))),
            };
            lifecycle::after_pass(&ctx, taken.as_ref());
            outcome
        }
    };
    let policy = move |object: Arc<K>, error: &RunError, _: Arc<Context>| match error {
        RunError::Kube(_, wait) => Action::requeue(*wait),
        RunError::TooLong => {
            tracing::error!(kind, namespace = object.namespace(), name = object.name_any(), "pass took too long");
            Action::requeue(backoff::jittered(LONGEST_PAUSE))
        }
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

/// A pass that takes too long is given up as by a crash, which loses nothing: what was done is found by the looks of the
/// next one.
async fn in_bounds<T>(pass: impl Future<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
    tokio::time::timeout(LONGEST_PASS, pass).await
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

#[cfg(test)]
mod tests;
