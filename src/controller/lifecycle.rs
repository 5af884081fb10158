//! The life of an object of any kind: finalizer, status, conflicts, deletion in bounded time. Written once for all.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::runtime::reflector::ObjectRef;
use serde::Serialize;

use super::backoff;
use super::context::{Context, Kind, Tied};
use super::kube_calls::KubeError;
use crate::api::names::FORCE_DELETE_ANNOTATION;
use crate::api::reading::Read;
use crate::plan::window;

/// An object that a reconcile works on.
pub trait Managed: 'static + Kind<Scope = NamespaceResourceScope> + Serialize + Debug {}

impl<K> Managed for K where K: 'static + Kind<Scope = NamespaceResourceScope> + Serialize + Debug {}

/// An object that is ours to look after.
pub struct Taken<K> {
    pub object: Arc<K>,
    /// Why it does not have our finalizer, if it has not: it may vanish before we have cleaned up.
    pub untied: Option<String>,
}

/// The newest copy of the object, with our finalizer. None: it is on its way out, and we have nothing to do with it any
/// more.
pub async fn take<K: Managed + Tied>(ctx: &Context, stored: Arc<K>) -> Result<Option<Taken<K>>, KubeError> {
    let newest = K::memory(ctx).newest_of(K::store(ctx), stored);
    let is_ours = newest.finalizers().iter().any(|name| name == K::FINALIZER);
    if is_deleting(newest.as_ref()) && !is_ours {
        return Ok(None);
    }
    match ctx.calls_for(newest.as_ref()).set_finalizer(newest.as_ref(), K::FINALIZER, true).await {
        Ok(Some(patched)) => {
            note(ctx, &patched);
            Ok(Some(Taken { object: Arc::new(patched), untied: None }))
        }
        Ok(None) => Ok(Some(Taken { object: newest, untied: None })),
        Err(error) => Ok(Some(Taken { untied: Some(refused(newest.as_ref(), error)?), object: newest })),
    }
}

/// That the finalizer cannot be changed, for the status. A conflict only means that the object must be read anew.
fn refused<K: Managed>(object: &K, error: KubeError) -> Result<String, KubeError> {
    if !error.is_trouble() {
        return Err(error);
    }
    tracing::error!(namespace = object.namespace(), name = object.name_any(), %error, "the finalizer cannot be changed");
    Ok(format!("the apiserver does not let our finalizer be changed: {error}"))
}

fn note<K: Managed>(ctx: &Context, object: &K) {
    object.wrote(ctx);
    K::memory(ctx).note(K::store(ctx), object);
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
    *changed.status_mut() = Some(status);
    write(ctx, &changed, Duration::MAX).await
}

/// Writes the status within this time. Returns the object as it is now.
///
/// # Errors
/// As [`store`].
pub async fn write<K: Managed>(ctx: &Context, object: &K, within: Duration) -> Result<K, KubeError> {
    let written = ctx.calls_for(object).within(within).replace_status(K::NAME, object).await?;
    note(ctx, &written);
    Ok(written)
}

/// After each pass: the object may have been deleted while it went on. What the pass has learnt of it since is nobody's, and
/// must not keep its slot.
pub fn after_pass<K: Managed>(ctx: &Context, object: &K) {
    let shown = K::store(ctx).get(&ObjectRef::from_obj(object));
    if shown.is_none_or(|shown| shown.uid() != object.uid()) {
        object.is_gone(ctx);
    }
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
    is_forced(object) || is_leaving_for(ctx, object, ctx.settings.deletion_deadline)
}

/// Was its deletion asked for longer ago than this?
pub fn is_leaving_for<K: Managed>(ctx: &Context, object: &K, patience: Duration) -> bool {
    let since = object.meta().deletion_timestamp.as_ref().map(|time| time.0);
    let patience = SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX);
    since.is_some_and(|since| ctx.clock.now().duration_since(since) > patience)
}

/// Lets it go. Returns why that is not possible, for the status.
pub async fn let_go<K: Managed + Tied>(ctx: &Context, object: &K) -> Result<Option<String>, KubeError> {
    match ctx.calls_for(object).set_finalizer(object, K::FINALIZER, false).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => refused(object, error).map(Some),
    }
}

/// After a pass that began at `began` and that the apiserver ended: how long to wait. Never past an instant of the
/// object; if one has come meanwhile, not at all.
pub async fn after_error<K: Managed>(ctx: &Context, object: &K, error: &KubeError, began: Timestamp) -> Duration {
    let failures = ctx.backoff.count(&trouble_key(object));
    let (namespace, name) = (object.namespace(), object.name_any());
    if error.is_conflict() {
        tracing::debug!(namespace, name, failures, %error, "the object changed meanwhile; it is read anew");
        reread(ctx, object).await;
    } else if error.is_refusal() {
        tracing::error!(namespace, name, failures, %error, "the apiserver refuses what has to be written");
    } else {
        tracing::warn!(namespace, name, failures, %error, "reconcile failed");
    }
    let pause = backoff::after_apiserver(error, failures).min(object.longest_pause());
    let now = ctx.clock.now();
    match object.next_instant(began) {
        Some(at) if at <= now => Duration::ZERO,
        Some(at) => pause.min(window::sleep(now, at)),
        None => pause,
    }
}

/// The apiserver did all that was asked of it.
pub fn after_success<K: Managed>(ctx: &Context, object: &K) {
    ctx.backoff.clear(&trouble_key(object));
}

/// Troubles with the apiserver are counted apart from those with the bridge.
fn trouble_key<K: Managed>(object: &K) -> String {
    format!("{}/apiserver", object.uid().unwrap_or_default())
}

/// Reads an object anew after a conflict, which proves that we know an old one: the watch may be silent. By a list of one,
/// for which the rights are there.
async fn reread<K: Managed>(ctx: &Context, object: &K) {
    let api: Api<Read<K>> = ctx.kube.api(&object.namespace().unwrap_or_default());
    let params = ListParams::default().fields(&format!("metadata.name={}", object.name_any()));
    let Ok(found) = ctx.kube.when(false).bounded("read anew", api.list(&params)).await else { return };
    let mut found = found.items.into_iter().map(|read| read.or_known(Some(object)));
    if let Some(newest) = found.find(|found| found.uid() == object.uid()) {
        newest.wrote(ctx);
        K::memory(ctx).believe(K::store(ctx), &newest);
    }
}
