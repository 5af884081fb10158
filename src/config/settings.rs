//! How the controller behaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::api::marks::Marks;
use crate::cms::{Egress, Limits};
use crate::traces::Traces;

/// How the controller behaves; from flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between connection-level probes of a bridge with a live or imminent meeting.
    pub probe_busy: Duration,
    /// Between connection-level probes of an idle bridge.
    pub probe_idle: Duration,
    /// Between probes of a call bridge that failed, until it is clear whether it is lost.
    pub probe_doubtful: Duration,
    /// Between sweeps of a bridge with live meetings.
    pub sweep: Duration,
    /// Between reads of a bridge without.
    pub idle_read: Duration,
    /// Until a bulk sync that failed is tried again.
    pub sync_retry: Duration,
    /// How long the meetings of a bridge whose object is new may be on their way: objects that are restored come one after the
    /// other.
    pub restore_grace: Duration,
    /// Requests in flight per call bridge.
    pub in_flight: usize,
    /// Time limits and sizes of requests to a bridge.
    pub limits: Limits,
    /// Limit of one request where there are other call bridges to go to.
    pub cluster_request: Duration,
    /// Which addresses bridges may have.
    pub egress: Arc<Egress>,
    /// Bound on every request to the apiserver.
    pub kube_timeout: Duration,
    /// How long a watch lasts before it is taken up again. One that is silent for longer is dead.
    pub watch_limit: Duration,
    /// How long a deletion waits for a bridge that does not answer.
    pub deletion_deadline: Duration,
    /// Namespaces whose bridges are offered to meetings of every namespace that name no bridge.
    pub shared_bridges_in: BTreeSet<String>,
    /// How the spaces of our meetings are marked.
    pub marks: Marks,
    /// Only Secrets whose label says so are sent to a bridge.
    pub require_secret_label: bool,
    /// Where traces go; None: nowhere.
    pub traces: Option<Arc<Traces>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe_busy: Duration::from_secs(5),
            probe_idle: Duration::from_secs(25),
            probe_doubtful: Duration::from_secs(1),
            sweep: Duration::from_secs(15),
            idle_read: Duration::from_secs(30),
            sync_retry: Duration::from_secs(30),
            restore_grace: Duration::from_secs(60),
            in_flight: 8,
            limits: Limits::default(),
            cluster_request: Duration::from_secs(3),
            egress: Arc::default(),
            kube_timeout: Duration::from_secs(15),
            watch_limit: Duration::from_secs(45),
            deletion_deadline: Duration::from_secs(300),
            shared_bridges_in: BTreeSet::new(),
            marks: Marks::default(),
            require_secret_label: false,
            traces: None,
        }
    }
}
