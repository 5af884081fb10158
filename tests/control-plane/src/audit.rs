//! The API server's audit log, for tests of who asked for what.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// The audit policy: metadata of every request, once it is answered (and, for watches, once it started).
pub(crate) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// A request that the API server has answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "RawEvent")]
#[non_exhaustive]
pub struct AuditEvent {
    /// When the request came in.
    pub time: jiff::Timestamp,
    /// Who asked, for example `system:serviceaccount:default:controller`.
    pub user: String,
    /// For example `get`, `list`, `watch`, `patch`.
    pub verb: String,
    /// For example `meetings`; empty for requests such as `/readyz`.
    pub resource: String,
    /// For example `status`; empty if there is none.
    pub subresource: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The API version, for example `v1`.
    pub version: String,
    /// Empty for what is not in a namespace, and for lists over all namespaces.
    pub namespace: String,
    /// Empty for lists and for objects whose name the server chose.
    pub name: String,
    /// The HTTP status code.
    pub code: u16,
    /// Always `ResponseComplete`.
    pub stage: String,
    /// The path and the query.
    pub uri: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// `allow` or `forbid`.
    pub decision: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    user: RawUser,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: RawObject,
    #[serde(default)]
    response_status: RawStatus,
    request_received_timestamp: jiff::Timestamp,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawUser {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawObject {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
    api_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    code: u16,
}

impl From<RawEvent> for AuditEvent {
    fn from(mut raw: RawEvent) -> Self {
        Self {
            time: raw.request_received_timestamp,
            user: raw.user.username,
            verb: raw.verb,
            resource: raw.object_ref.resource,
            subresource: raw.object_ref.subresource,
            group: raw.object_ref.api_group,
            version: raw.object_ref.api_version,
            namespace: raw.object_ref.namespace,
            name: raw.object_ref.name,
            code: raw.response_status.code,
            stage: raw.stage,
            uri: raw.request_uri,
            user_agent: raw.user_agent,
            decision: raw.annotations.remove("authorization.k8s.io/decision").unwrap_or_default(),
        }
    }
}

/// The answered requests that are logged from byte `position` on.
///
/// The API server may be writing the last line right now; a line that does not end yet is left for the next time.
pub(crate) fn read(file: &Path, position: u64) -> Result<Vec<AuditEvent>, Error> {
    let mut events = Vec::new();
    let mut start = position;
    for line in read_bytes(file, position)?.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            break;
        }
        let event: AuditEvent = serde_json::from_slice(line).map_err(|source| Error::AuditLine {
            file: file.to_owned(),
            position: start,
            source,
        })?;
        start += line.len() as u64;
        if event.stage == "ResponseComplete" {
            events.push(event);
        }
    }
    Ok(events)
}

/// Where the last whole line ends.
pub(crate) fn end(file: &Path) -> Result<u64, Error> {
    let bytes = read_bytes(file, 0)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last as u64 + 1))
}

fn read_bytes(file: &Path, position: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut log = File::open(file).map_err(Error::io("open", file))?;
    log.seek(SeekFrom::Start(position)).map_err(Error::io("read", file))?;
    log.read_to_end(&mut bytes).map_err(Error::io("read", file))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/a/deployments/b/scale","verb":"patch","user":{"username":"alice","groups":["g"]},"sourceIPs":["127.0.0.1"],"userAgent":"test","objectRef":{"resource":"deployments","namespace":"a","name":"b","apiGroup":"apps","apiVersion":"v1","subresource":"scale"},"responseStatus":{"metadata":{},"code":403},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.678901Z","annotations":{"authorization.k8s.io/decision":"forbid"}}"#;

    #[test]
    fn whole_lines_of_answered_requests_are_read_from_a_position_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        let started = LINE.replace("ResponseComplete", "ResponseStarted");
        std::fs::write(&file, format!("{LINE}\n{started}\n{LINE}\n{}", &LINE[..40])).unwrap();
        let events = read(&file, 0).unwrap();
        assert_eq!(events.len(), 2);
        let event = &events[0];
        assert_eq!((event.user.as_str(), event.verb.as_str(), event.code), ("alice", "patch", 403));
        assert_eq!((event.group.as_str(), event.resource.as_str()), ("apps", "deployments"));
        assert_eq!((event.subresource.as_str(), event.namespace.as_str(), event.name.as_str()), ("scale", "a", "b"));
        assert_eq!(event.decision, "forbid");
        assert_eq!(read(&file, LINE.len() as u64 + 1).unwrap().len(), 1);
        assert!(read(&file, end(&file).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        std::fs::write(&file, format!("{LINE}\nnonsense\n")).unwrap();
        let message = read(&file, 0).unwrap_err().to_string();
        assert!(message.contains(&format!("byte {}", LINE.len() + 1)), "{message}");
    }
}
