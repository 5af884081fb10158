//! Notices that the wall clock was set, or that the node slept. Timers know neither: they count what passes steadily, and
//! not in a suspended node. So whoever sleeps towards an instant is woken, all by one timer (decision 0012).

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::runtime::reflector::Store;

use super::context::Context;
use crate::api::MeetingBridge;
use crate::api::names::ObjectKey;
use crate::clock::Reading;

/// How often both clocks are compared; so much later a door can be after a step.
const INTERVAL: Duration = Duration::from_millis(250);

/// A smaller step is left to the timers: they come nearer in halves and read the wall clock again.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(200);

/// Compares the clocks for ever.
pub async fn watch(ctx: Arc<Context>, bridges: Store<MeetingBridge>) {
    let mut last = Reading::of(ctx.clock.as_ref());
    loop {
        tokio::time::sleep(INTERVAL).await;
        let reading = Reading::of(ctx.clock.as_ref());
        let step = reading.step_since(&last);
        last = reading;
        if step.abs() <= TOLERANCE {
            continue;
        }
        tracing::warn!(seconds = step.as_secs_f64(), "the wall clock stepped, or the node slept: everybody is woken");
        let bridges: Vec<_> = bridges.state().iter().map(|bridge| ObjectKey::of(bridge.as_ref())).collect();
        bridges.iter().filter_map(|key| ctx.clusters.get(key)).for_each(|cluster| cluster.clock_stepped());
        ctx.wakes.meetings(ctx.bookings.not_over(ctx.clock.now()));
        bridges.iter().for_each(|key| ctx.wakes.bridge(key));
        ctx.wakes.all_series(&ctx.stores);
    }
}
