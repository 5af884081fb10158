//! Looks at the bridge: what each question of the plan asks, and what its answer changes in record and memory.

use std::sync::Arc;

use super::pass::Pass;
use crate::api::bridge::{ClusterStatus, MemberStatus};
use crate::cluster::call_bridge::CallBridge;
use crate::cluster::{Cluster, reading};
use crate::cms::{Address, BulkSyncId, CallLegProfileId, CallProfileId, Class, CmsError, Fields, Priority, SyncStatus};
use crate::facts::slots::Pool;
use crate::metrics::BridgeLabels;
use crate::plan::bridge::{self as plan, Look, profile_matches};
use crate::plan::meeting::Seen;

impl Pass<'_> {
    /// Looks something up and works it into record and memory.
    pub(super) async fn look(&mut self, cluster: &Arc<Cluster>, look: Look) -> Result<(), CmsError> {
        let now = self.now();
        let client = cluster.client();
        let at = Priority::new(Class::Provision, now);
        match look {
            Look::System => self.look_system(&cluster.active()).await?,
            Look::Cluster => {
                self.known_cluster = Some(self.read_cluster(cluster).await?);
                let mut memory = cluster.memory();
                memory.cluster.clone_from(&self.known_cluster);
                memory.world.cluster = Seen::Known(());
                drop(memory);
                if self.bridge.spec.failover.is_used() {
                    // Now it is known where the others are.
                    self.retry = Some(std::time::Duration::ZERO);
                }
            }
            Look::LostCallProfile => self.look_lost_call_profile(cluster).await?,
            Look::LostCallLegProfile => self.look_lost_call_leg_profile(cluster).await?,
            Look::CallProfile(id) => {
                let found = client.call_profile(at, &CallProfileId::from(id.as_str())).await;
                cluster.memory().world.call_profile = Seen::Known(if_there(found)?);
            }
            Look::CallLegProfile(id) => {
                let found = client.call_leg_profile(at, &CallLegProfileId::from(id.as_str())).await;
                cluster.memory().world.call_leg_profile = Seen::Known(if_there(found)?);
            }
            Look::LostSet(range) => self.look_lost_set(cluster, &range).await?,
            Look::LostSync(set) => self.look_lost_sync(cluster, &set).await?,
            Look::Slots | Look::AllSpaces => {
                let complete = look == Look::AllSpaces;
                let prefix = &self.bridge.spec.slots.name_prefix;
                let listing = client.spaces(at, (!complete).then_some(prefix.as_str())).await?;
                let range = plan::numbers(&self.bridge.spec).ok();
                let mut memory = cluster.memory();
                memory.space_pages = listing.pages;
                // A list of everything adds to what the list of placeholder names showed.
                let known = memory.world.pool.known().cloned().filter(|_| complete);
                let mut pool = known.unwrap_or_else(|| Pool::new(prefix));
                pool.take_list(listing.items, range.as_ref(), complete);
                memory.world.pool = Seen::Known(pool);
            }
            Look::Space(id) => {
                cluster.look_space(&id, at, now).await?;
            }
            Look::Sync(id) => {
                let status = match client.bulk_sync(at, &BulkSyncId::from(id.as_str())).await {
                    Ok(sync) => sync.status,
                    // Finished syncs may not be kept (cms-api.md 6.5): the list of spaces tells what came of it.
                    Err(error) if error.is_not_found() => SyncStatus::Complete,
                    Err(error) => return Err(error),
                };
                let deleting = self.is_deleting();
                plan::apply_sync(&mut self.record, &mut cluster.memory().world, status, deleting);
                if self.record.sets.iter().all(|set| set.sync_id.is_none()) {
                    self.ctx.clear_failures(&format!("sync/{}/{}", cluster.key.0, cluster.key.1));
                }
            }
            Look::Offender => self.look_offender(cluster).await?,
        }
        Ok(())
    }

    /// The status of the system of one call bridge; after its restart its calls are gone.
    pub(super) async fn look_system(&mut self, call_bridge: &CallBridge) -> Result<(), CmsError> {
        let Some(cluster) = self.cluster.clone() else { return Ok(()) };
        let now = self.now();
        let system = call_bridge.client().system_status(reading(now)).await?;
        let labels = BridgeLabels { bridge: self.label() };
        let metrics = &self.ctx.metrics;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.call_legs.get_or_create(&labels).set(number(system.call_legs_active));
        metrics.uptime.get_or_create(&labels).set(number(system.uptime_seconds));
        if let Some(time) = system.cdr_time {
            metrics.clock_skew.get_or_create(&labels).set(time.duration_since(now).as_secs());
        }
        if cluster.active().address() == call_bridge.address() {
            cluster.memory().world.version = Seen::Known(system.software_version.clone());
        }
        let before = call_bridge.local().system.replace((now, system.clone()));
        if before.is_some_and(|(_, old)| old.uptime_seconds > system.uptime_seconds) {
            tracing::warn!(
                namespace = self.key.0,
                name = self.key.1,
                call_bridge = %call_bridge.address(),
                "the call bridge was restarted: its calls are gone"
            );
            call_bridge.forget_calls();
            cluster.memory().schedule.sweep = Some(now);
        }
        Ok(())
    }

    /// A call profile with exactly our content that nothing refers to: made by us, the reply was lost.
    async fn look_lost_call_profile(&mut self, cluster: &Cluster) -> Result<(), CmsError> {
        let (client, at) = (cluster.client(), Priority::new(Class::Provision, self.now()));
        let version = cluster.memory().world.version.known().cloned().unwrap_or_default();
        let want = self.bridge.spec.profiles.call.pairs_for(&version);
        let mut found = None;
        for id in client.unreferenced_call_profiles(at).await? {
            let fields = client.call_profile(at, &id).await?;
            if is_exactly(&want, &fields) {
                found = Some((id, fields));
                break;
            }
        }
        self.record.profiles.get_or_insert_default().call = found.as_ref().map(|(id, _)| id.to_string());
        cluster.memory().world.call_profile = Seen::Known(found.map(|(_, fields)| fields));
        Ok(())
    }

    async fn look_lost_call_leg_profile(&mut self, cluster: &Cluster) -> Result<(), CmsError> {
        let (client, at) = (cluster.client(), Priority::new(Class::Provision, self.now()));
        let want = self.bridge.spec.profiles.call_leg.pairs();
        let mut found = None;
        for id in client.unreferenced_call_leg_profiles(at).await? {
            let fields = client.call_leg_profile(at, &id).await?;
            if is_exactly(&want, &fields) {
                found = Some((id, fields));
                break;
            }
        }
        self.record.profiles.get_or_insert_default().call_leg = found.as_ref().map(|(id, _)| id.to_string());
        cluster.memory().world.call_leg_profile = Seen::Known(found.map(|(_, fields)| fields));
        Ok(())
    }

    /// Are the call bridges of the cluster still the same? If not, they are read again.
    pub(super) async fn look_members(&mut self, cluster: &Cluster) -> Result<(), CmsError> {
        let listed = cluster.client().call_bridges(reading(self.now())).await?;
        let members = self.known_cluster.as_ref().map(|cluster| cluster.members.as_slice()).unwrap_or_default();
        let known = |id: &str| members.iter().any(|member| member.id == id);
        if listed.items.len() != members.len() || !listed.items.iter().all(|listed| known(listed.id.as_str())) {
            self.known_cluster = None;
            let mut memory = cluster.memory();
            (memory.cluster, memory.world.cluster) = (None, Seen::Unknown);
        }
        Ok(())
    }

    async fn read_cluster(&self, cluster: &Cluster) -> Result<ClusterStatus, CmsError> {
        let client = cluster.client();
        let at = reading(self.now());
        let primary: Option<Address> = self.bridge.spec.address.parse().ok();
        let mut members = Vec::new();
        for listed in client.call_bridges(at).await? {
            let member = match client.call_bridge(at, &listed.id).await {
                Ok(member) => member,
                Err(error) if error.is_not_found() => listed,
                Err(error) => return Err(error),
            };
            let address = member.address.clone().filter(|address| !address.is_empty());
            let mut member = MemberStatus {
                id: member.id.to_string(),
                name: member.name,
                address,
                sip_domain: member.sip_domain.filter(|domain| !domain.is_empty()),
                primary: false,
            };
            member.primary = primary.as_ref().is_some_and(|primary| member.is_at(primary));
            members.push(member);
        }
        // The table may name it otherwise than the spec (an IP address instead of a name): then it knows itself best.
        if !members.is_empty()
            && !members.iter().any(|member| member.primary)
            && primary.as_ref() == Some(client.address())
        {
            let name = client.cluster_unique_name(at).await?;
            for member in &mut members {
                member.primary = Some(&member.name) == name.as_ref();
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        let cluster_id = cluster.system().and_then(|(_, system)| system.cluster_id);
        Ok(ClusterStatus { cluster_id, members })
    }

    /// A bulk parameter set with exactly our content: made by us, the reply was lost.
    async fn look_lost_set(
        &mut self,
        cluster: &Cluster,
        range: &std::ops::RangeInclusive<u32>,
    ) -> Result<(), CmsError> {
        let client = cluster.client();
        let at = Priority::new(Class::Provision, self.now());
        let names = format!("{}$index$", self.bridge.spec.slots.name_prefix);
        let mut found = None;
        for listed in client.bulk_sets(at).await? {
            let bounds = (listed.start_index, listed.end_index);
            if bounds != (Some(u64::from(*range.start())), Some(u64::from(*range.end()))) {
                continue;
            }
            let set = client.bulk_set(at, &listed.id).await?;
            if set.name_mapping.as_deref() == Some(names.as_str()) {
                found = Some(set.id);
                break;
            }
        }
        let position = self.record.sets.iter().position(|set| set.start_index == *range.start() && set.id.is_none());
        match (position, found) {
            (Some(position), Some(id)) => {
                if let Some(set) = self.record.sets.get_mut(position) {
                    set.id = Some(id.to_string());
                }
            }
            (Some(position), None) if self.is_deleting() => {
                self.record.sets.remove(position);
            }
            _ => self.sets_untried = true,
        }
        Ok(())
    }

    /// A sync of this set that did not fail: begun by us, the reply was lost. A second one would make every space anew.
    async fn look_lost_sync(&mut self, cluster: &Cluster, set: &str) -> Result<(), CmsError> {
        let client = cluster.client();
        let at = Priority::new(Class::Provision, self.now());
        for listed in client.bulk_syncs(at).await? {
            if listed.set.as_ref().is_some_and(|of| of.as_str() != set) {
                continue;
            }
            let Some(sync) = if_there(client.bulk_sync(at, &listed.id).await)? else { continue };
            let ours = sync.set.as_ref().is_some_and(|of| of.as_str() == set);
            if ours && !matches!(sync.status, SyncStatus::Failed(_)) {
                let known = self.record.sets.iter_mut().find(|known| known.id.as_deref() == Some(set));
                if let Some(known) = known {
                    known.sync_id = Some(sync.id.to_string());
                }
                return Ok(());
            }
        }
        self.sets_untried = true;
        Ok(())
    }

    /// Which space has one of the numbers that the failed sync wanted?
    async fn look_offender(&mut self, cluster: &Cluster) -> Result<(), CmsError> {
        let wanted = self.record.sets.iter().find(|set| !set.synced).map(|set| set.start_index..=set.end_index);
        let spaces = cluster.client().spaces(Priority::new(Class::Provision, self.now()), None).await?;
        let takes = |value: &Option<String>| {
            let number = value.as_deref().and_then(|text| text.parse::<u32>().ok());
            number.filter(|number| wanted.as_ref().is_some_and(|range| range.contains(number)))
        };
        let offender = spaces.items.iter().find_map(|space| {
            let number = takes(&space.uri).or_else(|| takes(&space.secondary_uri)).or_else(|| takes(&space.call_id))?;
            Some(format!("number {number} belongs to the space \"{}\"", space.name))
        });
        if let Some((_, who)) = &mut cluster.memory().world.sync_failure {
            *who =
                Some(offender.unwrap_or_else(|| "no space has it; look at IVRs, users and access methods".to_owned()));
        }
        Ok(())
    }
}

/// What a look at one object found; None: it is not there.
fn if_there<T>(found: Result<T, CmsError>) -> Result<Option<T>, CmsError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every wanted field is there, with the wanted value.
fn is_exactly(want: &[(String, String)], fields: &Fields) -> bool {
    let shown = |name: &str| fields.keys().any(|key| key.eq_ignore_ascii_case(name));
    profile_matches(want, fields) && want.iter().all(|(name, _)| shown(name))
}
