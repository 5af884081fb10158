//! What GitOps tools say of every version of an object: kstatus for Flux, health.lua and the actions for Argo CD.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use control_plane::tools;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use meeting_controller::api::{MeetingBridge, MeetingSeries, ScheduledMeeting};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::kit::*;

/// The ConfigMap that is to be applied, relative to the root of the repository.
pub const ARGOCD_CM: &str = "deploy/gitops/argocd/argocd-cm.yaml";

/// Everything that a watch shows of the three kinds, one version after the other.
pub struct Versions {
    seen: Arc<Mutex<Vec<Value>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Versions {
    pub fn of(arena: &Arena) -> Self {
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kinds = [
            ApiResource::erase::<MeetingBridge>(&()),
            ApiResource::erase::<ScheduledMeeting>(&()),
            ApiResource::erase::<MeetingSeries>(&()),
        ];
        let watch = |kind: ApiResource| {
            let api: Api<DynamicObject> = Api::namespaced_with(arena.client.clone(), &arena.namespace, &kind);
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut events =
                    watcher::watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
                while let Some(object) = events.next().await {
                    let Ok(mut object) = object else { continue };
                    object.metadata.managed_fields = None;
                    object.types =
                        Some(kube::core::TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
                    seen.lock().unwrap().push(serde_json::to_value(&object).unwrap());
                }
            })
        };
        let tasks = kinds.map(watch).into();
        Self { seen, tasks }
    }

    pub fn all(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What is said about each of these objects; with an action of Argo CD, what it makes of each as well.
pub async fn verdicts(objects: &[Value], action: Option<&str>) -> Vec<Value> {
    let program = tools::verdicts().await.expect("verdicts is built");
    let mut child = Command::new(program)
        .arg(root().join(ARGOCD_CM))
        .args(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("verdicts runs");
    // It reads all before it writes, and the pipe ends with this statement.
    serde_json::to_writer(child.stdin.take().unwrap(), objects).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "it says why on stderr");
    let verdicts: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verdicts.len(), objects.len());
    verdicts
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The texts at a pointer in each of these.
pub fn texts(values: &[Value], pointer: &str) -> BTreeSet<String> {
    values.iter().filter_map(|value| value.pointer(pointer)?.as_str()).map(str::to_owned).collect()
}
