//! What the loop reaches out with for a bridge: its cluster, and the apiserver for what must be remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::act;
use crate::api::{MeetingBridge, MeetingSeries};
use crate::cluster::{CallBridge, Cluster, Source, in_time};
use crate::cms::{
    Address, BulkSetId, BulkSyncId, Class, CmsError, Fields, Priority, SpaceId, SyncStatus, if_there, is_same_id,
};
use crate::controller::context::Context;
use crate::controller::kube_calls::KubeError;
use crate::drive::Reach;
use crate::facts::bridge::BridgeFacts;
use crate::facts::slots::SlotSpaces;
use crate::plan::bridge::{Around, BridgeProgress, Found, Look, Step};
use crate::plan::order::Order;
use crate::plan::ownership;
use crate::plan::series::yet_to_be_made;
use crate::plan::settings::{demand, may_be_for_settings};
use crate::plan::verdict::Verdict;

use super::{Site, report, save};

pub struct BridgeReach<'a> {
    ctx: &'a Arc<Context>,
    cluster: &'a Arc<Cluster>,
    bridge: &'a mut MeetingBridge,
    site: &'a Site,
}

impl<'a> BridgeReach<'a> {
    /// Nothing is sent.
    pub fn new(
        ctx: &'a Arc<Context>,
        cluster: &'a Arc<Cluster>,
        bridge: &'a mut MeetingBridge,
        site: &'a Site,
    ) -> Self {
        Self { ctx, cluster, bridge, site }
    }

    async fn judge(&self, at: &Arc<CallBridge>, error: CmsError) -> Verdict {
        self.cluster.judge(at, error, Source::Monitor).await
    }

    /// Is the step still wanted when its turn comes? The order may have changed while it waited, or a meeting may have come
    /// into a slot that is to be cleared.
    fn still_wants(&self, step: &Step) -> impl Fn() -> bool + Send + Sync + 'static {
        let (ctx, order, stored) = (Arc::clone(self.ctx), Order::of(self.bridge), ObjectRef::from_obj(self.bridge));
        let key = self.cluster.key().clone();
        let held = step.clears().then(|| ctx.bookings.held(&key));
        move || {
            let shown = ctx.stores.bridges.get(&stored).map(|stored| Order::of(stored.as_ref()));
            let is_current = shown.is_some_and(|shown| !order.is_superseded_by(&shown));
            let is_free = |held| ctx.bookings.held(&key).keys().all(|number| BTreeMap::contains_key(held, number));
            is_current && held.as_ref().is_none_or(is_free)
        }
    }

    /// Slots that nobody holds and that carry the mark of an occurrence which its series has yet to make: it came back just
    /// now, and the meeting runs.
    fn awaited_by_series(&self, held: &BTreeMap<u32, Option<SpaceId>>, now: Timestamp) -> Vec<u32> {
        let (ctx, marks) = (self.ctx, &self.ctx.settings.marks);
        let marked = |slots: &SlotSpaces| -> Vec<(u32, String)> {
            let free = slots.iter().filter(|(number, _)| !held.contains_key(number));
            free.filter_map(|(number, space)| Some((number, space.cdr_tag.clone().filter(|tag| marks.is_ours(tag))?)))
                .collect()
        };
        let mut marked = self.cluster.with_slots(marked).unwrap_or_default();
        marked.retain(|(_, mark)| {
            let is_awaited = |stored: Arc<MeetingSeries>| {
                let (namespace, name) = (stored.namespace().unwrap_or_default(), stored.name_any());
                // A long one is a hash.
                let may_be = mark.contains(&format!("{namespace}/{name}-")) || mark.contains('#');
                let series = ctx.series.newest(stored);
                may_be && yet_to_be_made(&series, now).iter().any(|name| marks.of(&namespace, name) == *mark)
            };
            ctx.stores.series.state().into_iter().any(is_awaited)
        });
        marked.into_iter().map(|(number, _)| number).collect()
    }

    async fn ask(&self, progress: &BridgeProgress, look: &Look, now: Timestamp) -> Result<Found, CmsError> {
        let (cluster, spec) = (self.cluster, &progress.spec);
        let client = cluster.active().client();
        let at = Priority::new(Class::Provision, now);
        let prefix = &spec.slots.name_prefix;
        let profile = |found: Result<Fields, CmsError>| Ok(Found::Profile(if_there(found)?));
        let of_settings = &progress.record.settings;
        let is_of_settings = |id: &str| of_settings.iter().any(|known| is_same_id(known.id.as_deref(), Some(id)));
        match look {
            Look::System => Ok(Found::System(cluster.read_system(&cluster.active()).await?.software_version)),
            Look::Cluster => {
                let primary: Option<Address> = spec.address.parse().ok();
                Ok(Found::Cluster(cluster.read_members(primary.as_ref()).await?))
            }
            Look::LostProfile(kind) => {
                let version = cluster.with_facts(|facts| facts.version.known().cloned()).unwrap_or_default();
                let want = spec.profiles.pairs(*kind, &version);
                let may_be = |id: &str, fields: &Fields| !is_of_settings(id) && !may_be_for_settings(&want, fields);
                Ok(Found::LostProfile(cluster.find_profile(*kind, &want, may_be).await?))
            }
            Look::Profile(kind, id) => profile(client.profile(at, *kind, id).await),
            Look::LostSettingsProfile(wanted) => {
                let known = progress.record.profile_ids();
                Ok(Found::Lost(cluster.find_settings_profile(wanted, &known).await?))
            }
            Look::SettingsProfile(known) => {
                let id = known.id.as_deref().unwrap_or_default();
                profile(client.profile(at, known.kind, id).await)
            }
            Look::LostSet(range) => {
                let known =
                    progress.record.sets.iter().filter_map(|set| set.id.as_deref().map(BulkSetId::from)).collect();
                Ok(Found::Lost(cluster.find_set(range, prefix, &known).await?))
            }
            Look::LostSync(set) => Ok(Found::Lost(cluster.find_sync(set).await?)),
            Look::Slots | Look::AllSpaces => {
                let named = (*look == Look::Slots).then_some(prefix.as_str());
                let listing = cluster.list_spaces(named, at).await?;
                Ok(Found::Spaces { unshown: listing.unshown(), items: listing.items })
            }
            Look::Space(id) => Ok(Found::Space(cluster.read_space(id, at, now).await?.map(Box::new))),
            Look::AccessMethods(id) => {
                let seen = cluster.read_access_methods(id, &self.ctx.settings.marks, at).await?;
                Ok(Found::AccessMethods(seen.ours.into_iter().map(|method| method.id).collect()))
            }
            Look::Sync(id) => {
                let sync = if_there(client.bulk_sync(at, &BulkSyncId::from(id.as_str())).await)?;
                // Finished syncs may not be kept (cms-protocol.md 6.5): the list of spaces tells what came of it.
                Ok(Found::Sync(sync.map_or(SyncStatus::Complete, |sync| sync.status)))
            }
        }
    }
}

impl Reach<BridgeProgress> for BridgeReach<'_> {
    type Abort = KubeError;

    fn now(&self) -> Timestamp {
        self.ctx.clock.now()
    }

    fn survey(&mut self, _progress: &BridgeProgress, _now: Timestamp) {}

    fn around(&mut self, progress: &BridgeProgress, now: Timestamp) -> Around {
        let (ctx, key) = (self.ctx, self.cluster.key());
        let mut held = ctx.bookings.held(key);
        let expected = self.cluster.with_slots(|slots| {
            let mut expected = ctx.bookings.expected_marks(key, now, slots, &ctx.settings.marks);
            expected.extend(ctx.bookings.held_elsewhere(key, slots));
            expected
        });
        for number in expected.unwrap_or_default() {
            held.entry(number).or_default();
        }
        for number in self.awaited_by_series(&held, now) {
            held.entry(number).or_default();
        }
        // With our own last writes: of two that come to one cluster at one time, one sees the other.
        let newest = |stored| ctx.bridges.newest(stored);
        let others: Vec<_> = ctx.stores.bridges.state().into_iter().map(newest).collect();
        let owner = ownership::owner(self.bridge, progress.cluster.as_ref(), others.iter().map(AsRef::as_ref));
        // The version that the meetings see, too: what they want is named by it.
        let system = self.bridge.status.as_ref().and_then(|status| status.system.as_ref());
        let version = system.map(|system| system.software_version.clone()).unwrap_or_default();
        let due = ctx.bookings.due(key, now);
        let mut settings =
            demand(self.bridge, &progress.record.settings, &version, due.iter().filter_map(|key| ctx.asked(key)));
        settings.has_unread = !progress.record.settings.is_empty() && ctx.bookings.has_unread(key, now);
        let grace = SignedDuration::try_from(ctx.settings.restore_grace).unwrap_or_default();
        let made_at = self.bridge.metadata.creation_timestamp.as_ref();
        let may_be_restored =
            made_at.is_some_and(|made_at| now.duration_since(made_at.0).abs() < grace) || ctx.may_lack_series();
        Around { held, owner, settings, may_be_restored }
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut BridgeFacts) -> T) -> T {
        self.cluster.with_facts(use_facts)
    }

    async fn look(&mut self, progress: &BridgeProgress, look: &Look, now: Timestamp) -> Result<Found, Verdict> {
        let active = self.cluster.active();
        match in_time(self.ask(progress, look, now)).await {
            Ok(found) => Ok(found),
            Err(error) => Err(self.judge(&active, error).await),
        }
    }

    async fn act(
        &mut self,
        progress: &BridgeProgress,
        step: &Step,
        now: Timestamp,
    ) -> Result<(Option<String>, Timestamp), Verdict> {
        // What the database holds can be changed on any call bridge, a call only where it is.
        let of_call = step.call().and_then(|call| self.cluster.call_bridge(&call.call_bridge));
        let at = of_call.unwrap_or_else(|| self.cluster.active());
        let client = at.client().only_while(self.still_wants(step));
        let untaken = self.cluster.with_facts(|facts| facts.untaken_profiles.clone());
        let result = act::bridge_step(&client, step, &progress.spec, &progress.record, &untaken, now).await;
        let done = self.ctx.clock.now();
        match result {
            Ok(created) => {
                let key = self.cluster.key();
                tracing::info!(namespace = key.namespace, name = key.name, step = %step, "done");
                if let Step::ShutSlot { space, .. } = step {
                    self.cluster.note_write(space, done);
                }
                if let Step::DeleteCall(call) = step {
                    at.forget_call(&call.id);
                }
                if step.starts_sync() {
                    self.cluster.sync_begins();
                }
                Ok((created, done))
            }
            Err(CmsError::Superseded) => Err(Verdict::Retry(CmsError::Superseded)),
            Err(error) => Err(self.judge(&at, error).await),
        }
    }

    async fn record(&mut self, progress: &BridgeProgress) -> Result<(), KubeError> {
        let status = report::status(self.ctx, self.bridge, progress, self.site);
        if !progress.is_only_meant {
            // It is done. An intent that cannot be stored is none.
            self.ctx.bridges.keep(&self.bridge.uid().unwrap_or_default(), status.clone());
        }
        *self.bridge = save(self.ctx, self.bridge, status).await?;
        Ok(())
    }
}
