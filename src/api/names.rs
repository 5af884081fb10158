//! Finalizers, annotations, field manager and the mark on the bridge: every name we put on something.

use std::fmt;

use jiff::civil::DateTime;
use kube::ResourceExt;
use uuid::Uuid;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }

    /// The key with this namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who we are towards the apiserver (field manager, event reporter).
pub const FIELD_MANAGER: &str = "meeting-controller";

/// Holds a meeting until its slot is shut again (R77).
pub const MEETING_FINALIZER: &str = "meeting-controller.dev/slot-release";

/// Holds a bridge until what it made is removed (R54).
pub const BRIDGE_FINALIZER: &str = "meeting-controller.dev/bridge-cleanup";

/// Any new value asks for one full look now (R31); the handled value is echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "meeting-controller.dev/reconcile-requested-at";

/// Any new value asks for the return to the first good call bridge now, whatever the failback policy (R28); the handled
/// value is echoed in `status.lastHandledFailbackAt`.
pub const FAILBACK_ANNOTATION: &str = "meeting-controller.dev/failback-requested-at";

/// `"true"` lets a deletion go at once, whatever is left behind on the bridge.
pub const FORCE_DELETE_ANNOTATION: &str = "meeting-controller.dev/force-delete";

/// Label on every join Secret, so that they can be found and excluded.
pub const JOIN_LABEL: &str = "meeting-controller.dev/join";

/// On every join Secret: from what of others it was made (`controller/join_secret/made.rs`).
pub const MADE_FROM_ANNOTATION: &str = "meeting-controller.dev/made-from";

/// Label by which the owner of a Secret allows that it is sent to a bridge; asked for with `--require-secret-label`.
pub const USE_LABEL: &str = "meeting-controller.dev/use";

/// Its value on the Secret of a `credentialsSecretRef`.
pub const USE_CREDENTIALS: &str = "credentials";

/// Its value on the Secret of a `passcodeSecretRef`.
pub const USE_PASSCODE: &str = "passcode";

/// Who we are when we write the occurrences of a series: another one than for status and finalizers, so that
/// `kubectl get --show-managed-fields` tells which fields come from the template.
pub const SERIES_FIELD_MANAGER: &str = "meeting-controller-series";

/// Label on every occurrence of a series: the name of the series, or what is left of a long one.
pub const SERIES_LABEL: &str = "meeting-controller.dev/series";

/// On every occurrence of a series: the generation and the content that we last wrote (`plan/series/order.rs`).
pub const SERIES_APPLIED_ANNOTATION: &str = "meeting-controller.dev/series-applied";

/// Longest name of an object.
const NAME_LIMIT: usize = 253;

/// Longest value of a label.
const LABEL_LIMIT: usize = 63;

/// The name of the Secret with the join details of a meeting.
///
/// Object names end at 253 characters; a longer meeting name is shortened and kept unique by its hash.
pub fn join_secret_name(meeting: &str) -> String {
    bounded(meeting, "-join", NAME_LIMIT)
}

/// The name of an occurrence of a series, from the date and time at which the rule has it: `weekly-20261207t0900`. It
/// stays when the occurrence is moved, and when the rules of its time zone change.
pub fn occurrence_name(series: &str, at: DateTime) -> String {
    bounded(series, &at.strftime("-%Y%m%dt%H%M").to_string(), NAME_LIMIT)
}

/// The date and time in the name of an occurrence, and what stands before it.
pub fn of_occurrence_name(name: &str) -> Option<(&str, DateTime)> {
    let (series, at) = name.rsplit_once('-')?;
    Some((series, DateTime::strptime("%Y%m%dt%H%M", at).ok()?))
}

/// The value of [`SERIES_LABEL`] on the occurrences of a series.
pub fn series_label(series: &str) -> String {
    bounded(series, "", LABEL_LIMIT)
}

/// Name and suffix; a name that is too long is shortened and kept unique by its hash.
fn bounded(name: &str, suffix: &str, limit: usize) -> String {
    if name.len() + suffix.len() <= limit {
        return format!("{name}{suffix}");
    }
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).simple().to_string();
    let keep = limit.saturating_sub(suffix.len() + hash.len() + 1);
    // Object names are ASCII, so cutting by characters cuts by bytes.
    let head: String = name.chars().take(keep).collect();
    // A label of a DNS name neither ends nor begins with a hyphen.
    format!("{}-{hash}{suffix}", head.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests;
