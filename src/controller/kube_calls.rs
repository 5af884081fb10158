//! Every call to the apiserver, bounded in time; status writes guarded by the resource version.

use std::future::Future;
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::context::Context;
use crate::api::names::FIELD_MANAGER;

/// A call to the apiserver that did not succeed.
#[derive(Debug, Error)]
pub enum KubeError {
    /// The apiserver did not answer in time.
    #[error("{what}: no answer from the apiserver within {limit:?}")]
    Timeout { what: &'static str, limit: Duration },
    /// The apiserver refused, or could not be reached.
    #[error("{what}: {source}")]
    Api { what: &'static str, source: Box<kube::Error> },
}

impl KubeError {
    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404))
    }

    /// Somebody else was faster: read again and decide again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 409))
    }
}

/// Waits for a call no longer than the settings allow.
///
/// # Errors
/// [`KubeError`].
pub async fn bounded<T>(
    ctx: &Context,
    what: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubeError> {
    let limit = ctx.settings.kube_timeout;
    // The semaphore is never closed; waiting for a place is not part of the limit.
    let _place = ctx.kube_permits.acquire().await;
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(KubeError::Api { what, source: Box::new(source) }),
        Err(_) => Err(KubeError::Timeout { what, limit }),
    }
}

/// Adds or removes our finalizer by a patch guarded by the resource version; never adds to an object on its way out.
///
/// # Errors
/// [`KubeError`]; a conflict means that the object changed since it was read.
pub async fn set_finalizer<K>(
    ctx: &Context,
    api: &Api<K>,
    object: &K,
    finalizer: &str,
    wanted: bool,
) -> Result<Option<K>, KubeError>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let present = object.finalizers().iter().any(|name| name == finalizer);
    if present == wanted || (wanted && object.meta().deletion_timestamp.is_some()) {
        return Ok(None);
    }
    let mut finalizers: Vec<&str> =
        object.finalizers().iter().map(String::as_str).filter(|name| *name != finalizer).collect();
    if wanted {
        finalizers.push(finalizer);
    }
    let patch = serde_json::json!({
        "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers }
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patched =
        bounded(ctx, "patch finalizers", api.patch(&object.name_any(), &params, &Patch::Merge(&patch))).await?;
    Ok(Some(patched))
}

/// Replaces the status; the resource version we read guards it, so a stale writer loses instead of winning
/// (craft.md 5.3 no. 14).
///
/// # Errors
/// [`KubeError`]; a conflict means that the object changed since it was read.
pub async fn replace_status<K>(ctx: &Context, api: &Api<K>, object: &K) -> Result<K, KubeError>
where
    K: Resource + Clone + DeserializeOwned + Serialize,
{
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    bounded(ctx, "replace status", api.replace_status(&object.name_any(), &params, object)).await
}
