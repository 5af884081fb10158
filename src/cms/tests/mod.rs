//! Tests of the client against a tiny scripted server over real TLS, and of the parts that need no server. The
//! behaviour of a whole bridge is tested elsewhere, against the simulator.

use crate::cms::CmsError;

mod bodies;
mod http;
mod replies;
pub(crate) mod server;
mod tls;

/// Our own pause after this failure.
pub fn pause_after(cause: CmsError) -> CmsError {
    CmsError::CircuitOpen { until: tokio::time::Instant::now(), cause: Box::new(cause) }
}

/// Our own pause after a 401.
pub fn pause_after_401() -> CmsError {
    CmsError::AuthBlocked { until: tokio::time::Instant::now() }
}
