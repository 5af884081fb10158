//! The manifests of `deploy/examples/` and its `series/`, with what only this machine knows put in: address, CA, password,
//! times.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use meeting_controller::api::names::occurrence_name;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::stage::{Stage, workspace};

/// Namespace for manifests that name none.
const NAMESPACE: &str = "default";

/// Applies the examples in the order of their file names. Returns namespace/name of the meetings, and of the first
/// occurrence of the series.
pub async fn apply(stage: &Stage, start_in: u32, length: u32) -> Result<Vec<String>, String> {
    let mut meetings = Vec::new();
    let mut bridges = 0;
    let first = Timestamp::now()
        .checked_add(SignedDuration::from_secs(i64::from(start_in)))
        .and_then(|first| first.round(Unit::Second))
        .map_err(|error| format!("start: {error}"))?;
    for file in files()? {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = Value::deserialize(document).map_err(|error| format!("{}: {error}", file.display()))?;
            if value.is_null() {
                continue;
            }
            let is_bridge = value.get("kind").and_then(Value::as_str) == Some("MeetingBridge");
            let value = fill_in(stage, value, bridges, first, length)?;
            bridges += usize::from(is_bridge);
            let (kind, name) = submit(stage, &value).await.map_err(|error| format!("{}: {error}", file.display()))?;
            println!("applied {kind} {name}");
            match kind.as_str() {
                "ScheduledMeeting" => meetings.push(name),
                "MeetingSeries" => {
                    meetings.push(occurrence_name(&name, TimeZone::UTC.to_datetime(first)));
                }
                _ => {}
            }
        }
    }
    println!();
    Ok(meetings)
}

fn files() -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for folder in ["deploy/examples", "deploy/examples/series"] {
        files.extend(files_of(workspace(folder))?);
    }
    Ok(files)
}

fn files_of(folder: PathBuf) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| path.file_name().is_none_or(|name| name != "kustomization.yaml"))
        .collect();
    files.sort();
    Ok(files)
}

/// Each MeetingBridge has a simulator of its own: two objects for one cluster would be refused.
fn fill_in(stage: &Stage, mut value: Value, bridge: usize, first: Timestamp, length: u32) -> Result<Value, String> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let spec = value.pointer_mut("/spec").and_then(Value::as_object_mut);
    match (kind.as_str(), spec) {
        ("MeetingBridge", Some(spec)) => {
            let sim = stage.sims.get(bridge).ok_or("more MeetingBridges than simulators")?;
            spec.insert("address".to_owned(), json!(sim.address(0)));
            // The certificate of the simulator names 127.0.0.1.
            if let Some(tls) = spec.get_mut("tls").and_then(Value::as_object_mut) {
                tls.remove("serverName");
            }
        }
        ("ScheduledMeeting", Some(spec)) => {
            spec.insert("start".to_owned(), json!(first.to_string()));
            spec.remove("end");
            spec.insert("duration".to_owned(), json!(format!("{length}s")));
            if spec.contains_key("earlyJoin") {
                spec.insert("earlyJoin".to_owned(), json!("4s"));
            }
            spec.remove("extension");
        }
        ("MeetingSeries", Some(spec)) => fill_in_series(spec, first, length),
        ("Secret", _) => fill_in_secret(stage, &mut value),
        ("ConfigMap", _) => {
            if let Some(data) = value.pointer_mut("/data").and_then(Value::as_object_mut)
                && data.contains_key("ca.crt")
            {
                let bundle: Vec<&str> = stage.sims.iter().map(|sim| sim.ca_pem()).collect();
                data.insert("ca.crt".to_owned(), json!(bundle.join("\n")));
            }
        }
        _ => {}
    }
    Ok(value)
}

/// Its first occurrence is today. The zone is UTC, in which no local time is there twice whenever this is run.
fn fill_in_series(spec: &mut Map<String, Value>, first: Timestamp, length: u32) {
    spec.insert("start".to_owned(), json!(TimeZone::UTC.to_datetime(first).to_string()));
    spec.insert("timeZone".to_owned(), json!("UTC"));
    spec.insert("duration".to_owned(), json!(format!("{length}s")));
    spec.remove("exceptions");
    if let Some(recurrence) = spec.get_mut("recurrence").and_then(Value::as_object_mut) {
        recurrence.remove("byDay");
        recurrence.remove("until");
    }
    if let Some(template) = spec.get_mut("template").and_then(|template| template.get_mut("spec"))
        && let Some(template) = template.as_object_mut()
    {
        template.insert("earlyJoin".to_owned(), json!("4s"));
    }
}

fn fill_in_secret(stage: &Stage, value: &mut Value) {
    if let Some(data) = value.pointer_mut("/stringData").and_then(Value::as_object_mut)
        && data.contains_key("username")
    {
        for sim in &stage.sims {
            data.insert("username".to_owned(), json!(sim.username()));
            data.insert("password".to_owned(), json!(sim.password()));
        }
    }
}

async fn submit(stage: &Stage, value: &Value) -> Result<(String, String), String> {
    let object: DynamicObject = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let types = object.types.clone().ok_or("a manifest without apiVersion and kind")?;
    let gvk = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    let (resource, capabilities) =
        pinned_kind(&stage.client, &gvk).await.map_err(|error| format!("{}: {error}", types.kind))?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned());
    let namespaced = matches!(capabilities.scope, kube::discovery::Scope::Namespaced);
    let api: Api<DynamicObject> = if namespaced {
        Api::namespaced_with(stage.client.clone(), &namespace, &resource)
    } else {
        Api::all_with(stage.client.clone(), &resource)
    };
    let params = PatchParams::apply("playground").force();
    api.patch(&name, &params, &Patch::Apply(&object)).await.map_err(|error| error.to_string())?;
    let shown = if namespaced { format!("{namespace}/{name}") } else { name };
    Ok((types.kind, shown))
}
