//! Every call to the apiserver, bounded in time; status writes guarded by the resource version.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::api::Compact;
use crate::api::names::FIELD_MANAGER;
use crate::api::reading::{Read, StandIn};
use crate::fence::Fence;
use crate::metrics::{CallLabels, KindLabels, Metrics};

/// Calls at one time: thousands of objects at start must not all call at once.
const CALLS_AT_ONCE: usize = 32;

/// A call to the apiserver that did not succeed.
#[derive(Debug, Error)]
pub enum KubeError {
    /// The apiserver did not answer in time.
    #[error("{what}: no answer from the apiserver within {limit:?}")]
    Timeout { what: &'static str, limit: Duration },
    /// Not sent: another controller may lead.
    #[error("{what}: not sent, because another controller may lead")]
    Fenced { what: &'static str },
    /// The apiserver refused, or could not be reached.
    #[error("{what}: {}", words(.source))]
    Api { what: &'static str, source: Box<kube::Error> },
}

/// What went wrong, without the dump that kube adds.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl KubeError {
    /// The apiserver's own words, if it answered.
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } | Self::Fenced { .. } => None,
        }
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// An object of this name exists.
    pub fn is_already_there(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Somebody else was faster: read again and decide again.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409) && !self.is_already_there()
    }

    /// The apiserver said no, and will say so again until somebody changes a right, a quota, a policy or the schema.
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.code, 400 | 403 | 405 | 413 | 422))
    }

    /// The apiserver refuses or fails, and what it says is worth telling: no conflict, which the next pass ends, nothing
    /// about an object that is gone, and no word of ours that we do not lead.
    pub fn is_trouble(&self) -> bool {
        !self.is_conflict() && !self.is_not_found() && !matches!(self, Self::Fenced { .. })
    }

    /// How it is counted.
    fn outcome(&self) -> &'static str {
        match self.status() {
            _ if self.is_refusal() => "refused",
            Some(status) if status.code == 409 => "conflict",
            Some(status) if status.code == 404 => "notFound",
            Some(_) => "failed",
            None if matches!(self, Self::Timeout { .. }) => "timeout",
            None => "unreachable",
        }
    }
}

/// The apiserver, as reconciles use it.
pub struct KubeApi {
    client: Client,
    fence: Fence,
    limit: Duration,
    permits: Semaphore,
    metrics: Arc<Metrics>,
}

/// Calls to the apiserver, and whether they are for something that is to be done now.
pub struct Calls<'a> {
    kube: &'a KubeApi,
    is_due: bool,
    limit: Duration,
}

impl Calls<'_> {
    /// The same with a shorter limit, if it is one.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: limit.min(self.limit), ..self }
    }

    /// Waits for a call no longer than the limit. Waiting for a place is part of it: an apiserver that is silent holds no pass
    /// for longer than one limit. What is due needs none: others may wait for a webhook that hangs for them.
    pub async fn bounded<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        let limit = self.limit;
        let placed = async {
            // The semaphore is never closed.
            let _place = if self.is_due { None } else { Some(self.kube.permits.acquire().await) };
            call.await
        };
        let error = match tokio::time::timeout(limit, placed).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(source)) => KubeError::Api { what, source: Box::new(source) },
            Err(_) => KubeError::Timeout { what, limit },
        };
        let labels = CallLabels { call: what, outcome: error.outcome() };
        self.kube.metrics.apiserver_errors.get_or_create(&labels).inc();
        Err(error)
    }

    /// The same for a write: it is not begun, and given up, if another controller may have taken over meanwhile.
    pub async fn write<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        tokio::select! {
            biased;
            () = self.kube.fence.lost() => Err(KubeError::Fenced { what }),
            result = self.bounded(what, call) => result,
        }
    }

    /// Deletes the object with this name, if it still is the one with this UID and version.
    ///
    /// # Errors
    /// [`KubeError`]; a conflict means that it changed. One that is gone already is fine.
    pub async fn delete<K>(&self, what: &'static str, of: &ObjectMeta) -> Result<(), KubeError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = self.kube.api(of.namespace.as_deref().unwrap_or_default());
        let guard = Preconditions { uid: of.uid.clone(), resource_version: of.resource_version.clone() };
        let (name, params) = (of.name.as_deref().unwrap_or_default(), DeleteParams::default().preconditions(guard));
        match self.write(what, api.delete(name, &params)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds or removes our finalizer by a patch guarded by the resource version; never adds to an object on its way out.
    ///
    /// # Errors
    /// [`KubeError`]; a conflict means that the object changed since it was read.
    pub async fn set_finalizer<K>(&self, object: &K, finalizer: &str, is_wanted: bool) -> Result<Option<K>, KubeError>
    where
        K: StandIn + Resource<Scope = NamespaceResourceScope> + Compact + Clone + std::fmt::Debug,
    {
        let is_present = object.finalizers().iter().any(|name| name == finalizer);
        if is_present == is_wanted || (is_wanted && object.meta().deletion_timestamp.is_some()) {
            return Ok(None);
        }
        let others = object.finalizers().iter().map(String::as_str).filter(|name| *name != finalizer);
        let finalizers: Vec<&str> = others.chain(is_wanted.then_some(finalizer)).collect();
        let patch = serde_json::json!({
            "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers }
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api: Api<Read<K>> = self.kube.api(&object.namespace().unwrap_or_default());
        let (name, patch) = (object.name_any(), Patch::Merge(&patch));
        let patched = api.patch(&name, &params, &patch);
        let patched = self.write("patch finalizers", patched).await?;
        let mut patched = patched.or_known(Some(object));
        patched.compact();
        Ok(Some(patched))
    }

    /// Replaces the status; the resource version we read guards it, so a stale writer loses instead of winning
    /// (decision 0010).
    ///
    /// # Errors
    /// [`KubeError`]; a conflict means that the object changed since it was read.
    pub async fn replace_status<K>(&self, kind: &'static str, object: &K) -> Result<K, KubeError>
    where
        K: StandIn + Resource<Scope = NamespaceResourceScope> + Serialize + Clone + std::fmt::Debug,
    {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api: Api<Read<K>> = self.kube.api(&object.namespace().unwrap_or_default());
        let (name, whole) = (object.name_any(), Read(object.clone()));
        let writing = api.replace_status(&name, &params, &whole);
        let written = self.write("replace status", writing).await?;
        self.kube.metrics.status_writes.get_or_create(&KindLabels { kind }).inc();
        Ok(written.or_known(Some(object)))
    }
}

impl KubeApi {
    /// Nothing is sent.
    pub fn new(client: Client, fence: Fence, limit: Duration, metrics: Arc<Metrics>) -> Self {
        Self { client, fence, limit, permits: Semaphore::new(CALLS_AT_ONCE), metrics }
    }

    /// The right to write.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The client itself, for events.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The calls for something that is to be done now, or not: what is due waits for no place.
    pub fn when(&self, is_due: bool) -> Calls<'_> {
        Calls { kube: self, is_due, limit: self.limit }
    }
}
