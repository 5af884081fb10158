//! Finalizers, annotations, field manager and the mark on the bridge: every name we put on something.

use std::fmt;

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

/// Label by which the owner of a Secret allows that it is sent to a bridge; asked for with `--require-secret-label`.
pub const USE_LABEL: &str = "meeting-controller.dev/use";

/// Its value on the Secret of a `credentialsSecretRef`.
pub const USE_CREDENTIALS: &str = "credentials";

/// Its value on the Secret of a `passcodeSecretRef`.
pub const USE_PASSCODE: &str = "passcode";

/// The name of the Secret with the join details of a meeting.
///
/// Object names end at 253 characters; a longer meeting name is shortened and kept unique by its hash.
pub fn join_secret_name(meeting: &str) -> String {
    const SUFFIX: &str = "-join";
    const LIMIT: usize = 253;
    if meeting.len() + SUFFIX.len() <= LIMIT {
        return format!("{meeting}{SUFFIX}");
    }
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, meeting.as_bytes()).simple().to_string();
    let keep = LIMIT - SUFFIX.len() - hash.len() - 1;
    // Object names are ASCII, so cutting by characters cuts by bytes.
    let head: String = meeting.chars().take(keep).collect();
    format!("{head}-{hash}{SUFFIX}")
}

#[cfg(test)]
mod tests;
