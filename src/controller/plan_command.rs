//! The plan for one bridge without a running controller, for `meeting-controller plan`: the same pass, nothing written.

use std::sync::Arc;

use kube::Client;
use kube::api::{Api, ListParams};
use kube::runtime::reflector;
use tokio::sync::mpsc;

use super::bookings::Ledger;
use super::bridge::simulate;
use super::context::{Context, Parts, Settings};
use crate::act::Fence;
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::clock::SystemClock;
use crate::metrics::Metrics;

/// What would be done to the bridge, in order.
///
/// # Errors
/// A text that names the trouble with the bridge or the apiserver.
pub async fn plan_bridge(client: Client, bridge: &MeetingBridge) -> Result<Vec<String>, String> {
    let ledger = Arc::new(Ledger::default());
    // Slots that meetings hold are not missing and not to be shut.
    let meetings: Api<ScheduledMeeting> = Api::all(client.clone());
    let listed = meetings.list(&ListParams::default()).await.map_err(|error| format!("ScheduledMeetings: {error}"))?;
    for meeting in &listed {
        ledger.observe(meeting);
    }
    let fence = Fence::default();
    // Belt and braces: an observing pass plans no writes, and a shut fence lets none through.
    fence.shut();
    let ctx = Arc::new(Context::new(Parts {
        client,
        clock: Arc::new(SystemClock),
        settings: Settings::default(),
        bridges: reflector::store().0,
        meetings: reflector::store().0,
        namespaces: reflector::store().0,
        secret_meta: reflector::store().0,
        config_map_meta: reflector::store().0,
        ledger,
        metrics: Arc::new(Metrics::default()),
        pulse: Arc::default(),
        wake_meeting: mpsc::unbounded_channel().0,
        wake_bridge: mpsc::unbounded_channel().0,
        fence,
    }));
    simulate(&ctx, bridge).await
}
