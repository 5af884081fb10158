//! The life of an object of either kind: finalizer, status, conflicts, deletion in bounded time. Written once for both.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::NamespaceResourceScope;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backoff;
use super::context::{Context, Kind};
use super::kube_calls::KubeError;
use crate::api::names::FORCE_DELETE_ANNOTATION;

/// An object that a reconcile works on.
pub trait Managed: 'static + Kind<Scope = NamespaceResourceScope> + DeserializeOwned + Serialize + Debug {}

impl<K> Managed for K where K: 'static + Kind<Scope = NamespaceResourceScope> + DeserializeOwned + Serialize + Debug {}

/// The newest copy of the object, with our finalizer. None: it is on its way out, and we have nothing to do with it any
/// more.
///
/// # Errors
/// [`KubeError`].
pub async fn take<K: Managed>(ctx: &Context, stored: Arc<K>) -> Result<Option<Arc<K>>, KubeError> {
    let newest = K::own_writes(ctx).newest(stored);
    let is_ours = newest.finalizers().iter().any(|name| name == K::FINALIZER);
    if is_deleting(newest.as_ref()) && !is_ours {
        return Ok(None);
    }
    match ctx.kube.set_finalizer(newest.as_ref(), K::FINALIZER, true).await? {
        Some(patched) => {
            note(ctx, &patched);
            Ok(Some(Arc::new(patched)))
        }
        None => Ok(Some(newest)),
    }
}

fn note<K: Managed>(ctx: &Context, object: &K) {
    object.wrote(ctx);
    K::own_writes(ctx).note(K::store(ctx), object);
}

/// Writes the status if it differs from the last one. Returns the object as it is now.
///
/// # Errors
/// [`KubeError`]; a conflict means that the object changed since it was read, and the decision must be made anew.
pub async fn store<K: Managed>(ctx: &Context, object: &K, status: K::Status) -> Result<K, KubeError> {
    if object.status() == Some(&status) {
        return Ok(object.clone());
    }
    let mut changed = object.clone();
    changed.set_status(status);
    let written = ctx.kube.replace_status(K::NAME, &changed).await?;
    note(ctx, &written);
    Ok(written)
}

/// Is the object being deleted?
pub fn is_deleting<K: Managed>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Did somebody ask for the deletion at once, whatever is left behind?
pub fn is_forced<K: Managed>(object: &K) -> bool {
    object.annotations().get(FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true")
}

/// May an object on its way out go although its bridge has not confirmed it? Forced, or after a bounded wait.
pub fn may_go<K: Managed>(ctx: &Context, object: &K) -> bool {
    let since = object.meta().deletion_timestamp.as_ref().map(|time| time.0);
    let patience = SignedDuration::try_from(ctx.settings.deletion_deadline).unwrap_or(SignedDuration::MAX);
    is_forced(object) || since.is_some_and(|since| ctx.clock.now().duration_since(since) > patience)
}

/// Lets it go.
///
/// # Errors
/// [`KubeError`].
pub async fn let_go<K: Managed>(ctx: &Context, object: &K) -> Result<Action, KubeError> {
    ctx.kube.set_finalizer(object, K::FINALIZER, false).await?;
    Ok(Action::await_change())
}

/// What to do when a pass ended with an error of the apiserver.
pub fn on_error<K: Managed>(object: Arc<K>, error: &KubeError, ctx: &Context) -> Action {
    if error.is_conflict() {
        // The object changed since we read it. The watch brings the new one and with it the next pass; should it be late,
        // this does.
        return Action::requeue(Duration::from_millis(500));
    }
    let failures = ctx.backoff.count(&object.uid().unwrap_or_default());
    tracing::warn!(namespace = object.namespace(), name = object.name_any(), %error, "reconcile failed");
    Action::requeue(backoff::after_apiserver(failures))
}
