//! One control plane for all tests of a process.

use tokio::sync::OnceCell;

use crate::{ControlPlane, Error, Options};

/// Also holds a failure, so that the other tests need not wait for the same failure again.
static SHARED: OnceCell<Result<ControlPlane, Error>> = OnceCell::const_new();

/// The control plane of this process, with the CRDs of this workspace, started on the first call.
///
/// Statics are never dropped; the components end because this process ends.
///
/// # Panics
/// If it cannot be started, with the reason; a test can do nothing else.
pub async fn shared() -> &'static ControlPlane {
    match try_shared().await {
        Ok(control_plane) => control_plane,
        #[expect(clippy::panic, reason = "only tests call this, and they would all have to unwrap")]
        Err(error) => panic!("the control plane cannot be started: {error}"),
    }
}

/// Like [`shared`], for callers that handle the failure.
///
/// # Errors
/// See [`ControlPlane::start`]. The start is not tried again.
pub async fn try_shared() -> Result<&'static ControlPlane, &'static Error> {
    SHARED.get_or_init(|| ControlPlane::start(Options::with_workspace_crds())).await.as_ref()
}
