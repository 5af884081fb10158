//! Calls that were left on a call bridge while it could not be reached, or while we were away: how old each is, and who is
//! in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{CallBridge, Cluster, Source, SweepTarget, in_time, reading};
use crate::cms::{CallId, CmsError, SpaceId};

/// Most calls, and most legs, that one inspection looks at one by one; the next one goes on.
const MOST_UNKNOWN: usize = 50;

impl Cluster {
    /// Looks at call bridges that were away, and at those with calls that were left there, as often as is swept. Returns
    /// the spaces of which something else is shown than before.
    pub(super) async fn inspect_due(self: &Arc<Self>, live: &[SweepTarget], now: Timestamp) -> Vec<SpaceId> {
        // As long as nobody knows which spaces are ours there is nothing to look for.
        let Some(ours) = self.with_slots(|slots| slots.iter().map(|(_, space)| space.id.clone()).collect()) else {
            return Vec::new();
        };
        let is_swept = self.cache().schedule.sweep_at.is_none_or(|at| at <= now);
        let mut was_inspected = false;
        for call_bridge in self.usable() {
            let is_elsewhere =
                |live: &&SweepTarget| live.call.as_ref().is_some_and(|call| call.call_bridge != *call_bridge.address());
            let mut elsewhere = live.iter().filter(is_elsewhere);
            let is_wanted = call_bridge.local().wants_inspection
                || (is_swept && elsewhere.any(|live| call_bridge.has_call_on(&live.space)));
            if !is_wanted {
                continue;
            }
            was_inspected = true;
            // It was away, and may have been started anew, from a backup even.
            let was_away = call_bridge.local().wants_inspection && call_bridge.system().is_some();
            let inspection = async {
                if was_away {
                    self.read_system(&call_bridge).await?;
                }
                call_bridge.inspect(live, &ours, now).await
            };
            if let Err(error) = in_time(inspection).await {
                self.judge(&call_bridge, error, Source::Aside).await;
            }
        }
        if was_inspected { self.take_changed(live) } else { Vec::new() }
    }
}

impl CallBridge {
    /// Looks for calls on our spaces, and who is in them. `live` are the meetings whose calls are known.
    async fn inspect(&self, live: &[SweepTarget], ours: &BTreeSet<SpaceId>, now: Timestamp) -> Result<(), CmsError> {
        self.sweep_calls(now).await?;
        let known = self.known_calls().unwrap_or_default();
        let is_ours = |space: &Option<SpaceId>| space.as_ref().is_some_and(|space| ours.contains(space));
        let calls: Vec<CallId> =
            known.into_iter().filter(|placed| is_ours(&placed.call.space)).map(|placed| placed.call.id).collect();
        if calls.is_empty() {
            self.local().legs = Some((now, BTreeMap::new()));
        } else {
            let listing = self.client().call_legs(reading(now)).await?;
            self.take_legs(listing.items, now);
            // Of those that nobody knows: how old each is, and which of its legs are people.
            let is_known =
                |id: &&CallId| live.iter().any(|live| live.call.as_ref().is_some_and(|call| call.id == **id));
            let unknown: BTreeSet<&CallId> = calls.iter().filter(|id| !is_known(id)).take(MOST_UNKNOWN).collect();
            for call in &unknown {
                self.read_age(call, reading(now), now).await?;
            }
            for leg in self.unsure_legs(&unknown).into_iter().take(MOST_UNKNOWN) {
                self.read_leg(&leg, now).await?;
            }
        }
        self.local().wants_inspection = false;
        Ok(())
    }
}
