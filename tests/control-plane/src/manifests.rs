//! Applies YAML files, for CRDs and RBAC rules that have to be there before a test starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use serde::Deserialize as _;

use crate::Error;

/// How long a new CRD may take until it is served.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);

struct Manifest {
    file: PathBuf,
    object: DynamicObject,
}

impl Manifest {
    fn error(&self, reason: impl std::fmt::Display) -> Error {
        let kind = self.object.types.as_ref().map_or("object", |types| types.kind.as_str());
        let name = self.object.metadata.name.as_deref().unwrap_or("without a name");
        Error::Manifest { file: self.file.clone(), reason: format!("{kind} {name}: {reason}") }
    }

    /// What others may need comes first.
    fn rank(&self) -> u8 {
        match self.object.types.as_ref().map(|types| types.kind.as_str()) {
            Some("Namespace" | "CustomResourceDefinition") => 0,
            _ => 1,
        }
    }
}

/// Applies (server-side, by force) all objects of a YAML file, or of the `.yaml` and `.yml` files of a directory.
/// Namespaces and CRDs go first, and CRDs are waited for. Returns how many objects there were.
///
/// Objects of a namespaced kind that name no namespace go to `namespace`.
///
/// # Errors
/// If a file cannot be read or parsed, or the API server refuses an object.
pub async fn apply(client: &kube::Client, path: &Path, namespace: &str) -> Result<usize, Error> {
    let mut manifests = Vec::new();
    for file in files(path)? {
        manifests.extend(parse(&file)?);
    }
    manifests.sort_by_key(Manifest::rank);
    for manifest in &manifests {
        apply_one(client, manifest, namespace).await?;
    }
    Ok(manifests.len())
}

/// The YAML files at `path`, in the order of their names.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(Error::io("list", path))? {
        let file = entry.map_err(Error::io("list", path))?.path();
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn parse(file: &Path) -> Result<Vec<Manifest>, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io("read", file))?;
    let error = |error: &dyn std::fmt::Display| Error::Manifest { file: file.into(), reason: error.to_string() };
    let mut manifests = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = serde_yaml::Value::deserialize(document).map_err(|reason| error(&reason))?;
        // A file may end with `---`, or hold only comments.
        if !value.is_null() {
            let object = serde_yaml::from_value(value).map_err(|reason| error(&reason))?;
            manifests.push(Manifest { file: file.into(), object });
        }
    }
    Ok(manifests)
}

async fn apply_one(client: &kube::Client, manifest: &Manifest, namespace: &str) -> Result<(), Error> {
    let object = &manifest.object;
    let types = object.types.as_ref().ok_or_else(|| manifest.error("apiVersion and kind are missing"))?;
    let name = object.metadata.name.as_deref().ok_or_else(|| manifest.error("metadata.name is missing"))?;
    let kind = GroupVersionKind::try_from(types).map_err(|reason| manifest.error(reason))?;
    let (resource, capabilities) = pinned_kind(client, &kind).await.map_err(|reason| manifest.error(reason))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    let params = PatchParams::apply("control-plane").force();
    api.patch(name, &params, &Patch::Apply(object)).await.map_err(|reason| manifest.error(reason))?;
    if types.kind == "CustomResourceDefinition" {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        tokio::time::timeout(ESTABLISH_TIMEOUT, await_condition(api, name, is_crd_established()))
            .await
            .map_err(|_| manifest.error(format!("not established after {} s", ESTABLISH_TIMEOUT.as_secs())))?
            .map_err(|reason| manifest.error(reason))?;
    }
    Ok(())
}
