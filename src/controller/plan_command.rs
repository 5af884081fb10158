//! The plan for one bridge without a running controller, for `meeting-controller plan`: the same pass, nothing written.

use std::sync::Arc;

use kube::Client;
use kube::api::{Api, ListParams};
use kube::runtime::reflector;

use super::bridge::simulate;
use super::context::{Context, Stores};
use super::kube_calls::KubeApi;
use super::wakes::Wakes;
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::clock::SystemClock;
use crate::config::settings::Settings;
use crate::fence::Fence;
use crate::metrics::Metrics;

/// What would be done to the bridge, in order.
///
/// # Errors
/// A text that names the trouble with the bridge or the apiserver.
pub async fn plan_bridge(client: Client, settings: Settings, bridge: &MeetingBridge) -> Result<Vec<String>, String> {
    let meetings: Api<ScheduledMeeting> = Api::all(client.clone());
    let listed = meetings.list(&ListParams::default()).await.map_err(|error| format!("ScheduledMeetings: {error}"))?;
    let stores = Stores {
        bridges: reflector::store().0,
        meetings: reflector::store().0,
        series: reflector::store().0,
        namespaces: reflector::store().0,
        secrets: reflector::store().0,
        config_maps: reflector::store().0,
    };
    let (wakes, _woken) = Wakes::new();
    let metrics = Arc::new(Metrics::default());
    let ctx = Arc::new(Context::new(
        KubeApi::new(client, Fence::default(), settings.kube_timeout, Arc::clone(&metrics)),
        Arc::new(SystemClock),
        settings,
        stores,
        wakes,
        metrics,
        Arc::default(),
    ));
    // Slots that meetings hold are not missing and not to be shut.
    for meeting in &listed {
        ctx.bookings.take_object(meeting);
    }
    // Belt and braces: an observing pass plans no writes, and a shut fence lets none through.
    ctx.kube.fence().shut();
    simulate(&ctx, bridge).await
}
