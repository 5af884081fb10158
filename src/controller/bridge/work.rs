//! The work of a pass on the bridge: ask the plan, look or write, work the outcome in, ask again.

use std::sync::Arc;

use kube::api::Api;

use super::super::context::Context;
use super::super::kube_calls::KubeError;
use super::super::retry;
use super::pass::{Pass, signed};
use crate::act;
use crate::api::MeetingBridge;
use crate::api::bridge::{ClusterStatus, MemberStatus};
use crate::cms::{Address, BulkSyncId, Class, CmsError, Priority};
use crate::metrics::BridgeLabels;
use crate::observe::link::{Link, reading};
use crate::observe::sweep;
use crate::plan::bridge::{self as plan, Bridge, Look, Next, Obstacle, Record, Step, World, profile_matches};
use crate::plan::meeting::Seen;
use crate::plan::pool::Pool;

/// A pass ends after this many steps; the next one goes on.
const STEP_LIMIT: usize = 400;

/// A failed sync is tried again after this long.
const SYNC_RETRY: std::time::Duration = std::time::Duration::from_secs(30);

impl Pass<'_> {
    /// Asks the plan until it is settled, blocked, or something failed.
    pub(super) async fn converge(&mut self, api: &Api<MeetingBridge>) -> Result<(), KubeError> {
        let Some(link) = self.link.clone() else { return Ok(()) };
        self.retry_failed_sync(&link);
        if self.is_cluster_known() {
            link.memory().world.cluster = Seen::Known(());
        }
        let mut pretended = Vec::new();
        for _ in 0..STEP_LIMIT {
            let (record, world) = self.facts(&link, &pretended);
            match self.next(&record, &world) {
                Next::Settled => {
                    self.settled = !self.is_deleting();
                    self.removed = self.is_deleting();
                    return Ok(());
                }
                Next::Blocked(obstacle) => {
                    self.settled = obstacle == Obstacle::Draining;
                    if matches!(obstacle, Obstacle::Sync(_)) {
                        self.retry = Some(SYNC_RETRY);
                    }
                    self.obstacle = Some(obstacle);
                    return Ok(());
                }
                Next::AwaitSync => {
                    self.await_sync(&link);
                    return Ok(());
                }
                Next::Look(look) if self.is_observing() && is_about_own_doing(&look) => return Ok(()),
                Next::Look(look) => {
                    if let Err(error) = self.look(&link, look).await {
                        self.failed(&error);
                        return Ok(());
                    }
                }
                Next::Record(intent) if self.is_observing() => pretended.push(Pretended::Intent(intent)),
                Next::Record(intent) => {
                    plan::record_intent(&mut self.record, &intent);
                    match intent {
                        plan::Intent::Profiles => self.profiles_untried = true,
                        plan::Intent::Set(_) => self.sets_untried = true,
                    }
                    self.write_status(api).await?;
                }
                Next::Do(step) if self.is_observing() => {
                    self.plan.push(step.to_string());
                    if matches!(step, Step::StartSync { .. } | Step::StartRemoval { .. }) {
                        // What comes of a sync cannot be known without one.
                        return Ok(());
                    }
                    pretended.push(Pretended::Step(step));
                }
                Next::Do(step) => {
                    if let Err(error) = self.step(&link, &step).await {
                        self.step_failed(&link, &step, &error);
                        return Ok(());
                    }
                    if changes_record(&step) {
                        self.write_status(api).await?;
                    }
                }
            }
        }
        self.retry = Some(retry::jittered(std::time::Duration::from_secs(5)));
        Ok(())
    }

    /// Record and world as they are, with what is only pretended worked in.
    fn facts(&self, link: &Link, pretended: &[Pretended]) -> (Record, World) {
        let (mut record, mut world) = (self.record.clone(), link.memory().world.clone());
        for what in pretended {
            match what {
                Pretended::Intent(intent) => plan::record_intent(&mut record, intent),
                Pretended::Step(step) => {
                    let created = changes_record(step).then(|| "planned".to_owned());
                    plan::apply(&mut record, &mut world, step, created);
                }
            }
        }
        (record, world)
    }

    fn is_cluster_known(&self) -> bool {
        let asked = self.link.as_ref().is_some_and(|link| {
            let served = link.memory().schedule.served.clone();
            let handled = self.bridge.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
            served.is_some() && served != handled
        });
        !asked && self.bridge.status.as_ref().is_some_and(|status| status.cluster.is_some())
    }

    fn next(&self, record: &Record, world: &World) -> Next {
        let mut held = self.ctx.ledger.held(&self.key);
        for number in self.ctx.ledger.expected_marks(&self.key, self.now(), world.pool.known()) {
            held.entry(number).or_default();
        }
        let bridge = Bridge {
            spec: &self.bridge.spec,
            record,
            held: &held,
            deleting: self.is_deleting(),
            profiles_untried: self.profiles_untried || self.is_observing(),
            sets_untried: self.sets_untried || self.is_observing(),
        };
        plan::next(&bridge, world)
    }

    fn retry_failed_sync(&mut self, link: &Link) {
        let now = self.now();
        let mut memory = link.memory();
        if memory.world.sync_failure.is_some() && memory.schedule.retry.is_none_or(|at| at <= now) {
            plan::retry_sync(&mut self.record, &mut memory.world);
            memory.schedule.retry = now.checked_add(signed(SYNC_RETRY)).ok();
        }
        // A sync under way is asked about once a pass.
        memory.world.sync = Seen::Unknown;
    }

    /// 1.5 s, then growing to 5 s (R49): a sync of a few spaces is done by the first look. Meetings being closed before a
    /// removal are waited for the same way.
    fn await_sync(&mut self, link: &Link) {
        let polls = self.ctx.count_failure(&format!("sync/{}/{}", link.key.0, link.key.1));
        let wait = std::time::Duration::from_millis(1500).saturating_mul(polls).min(std::time::Duration::from_secs(5));
        self.retry = Some(wait);
    }

    /// One read of an idle bridge: the status, and slot after slot (requirements.md section 6: at most one a minute).
    pub(super) async fn idle_read(&mut self, link: &Arc<Link>, turn: u64) -> Result<(), CmsError> {
        let now = self.now();
        match turn % 4 {
            0 => self.look_system(link).await?,
            1 => sweep::sweep_calls(link, now).await?,
            _ => {
                let space = {
                    let memory = link.memory();
                    let Seen::Known(pool) = &memory.world.pool else { return Ok(()) };
                    let count = pool.iter().count().max(1);
                    let index = usize::try_from(turn / 4 * 2 + turn % 4).unwrap_or(0) % count;
                    pool.iter().nth(index).map(|(_, space)| space.id.clone())
                };
                if let Some(space) = space {
                    link.look_space(&space, reading(now), now).await?;
                }
            }
        }
        Ok(())
    }

    async fn look_system(&mut self, link: &Link) -> Result<(), CmsError> {
        let now = self.now();
        let system = link.client().system_status(reading(now)).await?;
        let labels = BridgeLabels { bridge: format!("{}/{}", self.key.0, self.key.1) };
        let metrics = &self.ctx.metrics;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.call_legs.get_or_create(&labels).set(number(system.call_legs_active));
        metrics.uptime.get_or_create(&labels).set(number(system.uptime_seconds));
        if let Some(time) = system.cdr_time {
            metrics.clock_skew.get_or_create(&labels).set(time.duration_since(now).as_secs());
        }
        let mut memory = link.memory();
        memory.world.version = Seen::Known(system.software_version.clone());
        let restarted = memory.system.as_ref().is_some_and(|(_, old)| old.uptime_seconds > system.uptime_seconds);
        memory.system = Some((now, system));
        if restarted {
            tracing::warn!(
                namespace = self.key.0,
                name = self.key.1,
                "the call bridge was restarted: its calls are gone"
            );
            memory.world.calls = Seen::Unknown;
            memory.calls = None;
            memory.legs = None;
            memory.schedule.sweep = Some(now);
        }
        Ok(())
    }

    async fn look(&mut self, link: &Arc<Link>, look: Look) -> Result<(), CmsError> {
        let now = self.now();
        let client = link.client();
        let at = Priority::new(Class::Provision, now);
        match look {
            Look::System => self.look_system(link).await?,
            Look::Cluster => {
                let cluster = self.read_cluster(link).await?;
                self.bridge.status.get_or_insert_default().cluster = Some(cluster);
                link.memory().world.cluster = Seen::Known(());
            }
            Look::LostCallProfile => {
                let version = link.memory().world.version.known().cloned().unwrap_or_default();
                let want = self.bridge.spec.profiles.call.pairs_for(&version);
                let mut found = None;
                for id in client.unreferenced_call_profiles(at).await? {
                    let fields = client.call_profile(at, &id).await?;
                    if profile_matches(&want, &fields) && want.iter().all(|(k, _)| has_field(&fields, k)) {
                        found = Some((id, fields));
                        break;
                    }
                }
                self.record.profiles.get_or_insert_default().call = found.as_ref().map(|(id, _)| id.to_string());
                link.memory().world.call_profile = Seen::Known(found.map(|(_, fields)| fields));
            }
            Look::LostCallLegProfile => {
                let want = self.bridge.spec.profiles.call_leg.pairs();
                let mut found = None;
                for id in client.unreferenced_call_leg_profiles(at).await? {
                    let fields = client.call_leg_profile(at, &id).await?;
                    if profile_matches(&want, &fields) && want.iter().all(|(k, _)| has_field(&fields, k)) {
                        found = Some((id, fields));
                        break;
                    }
                }
                self.record.profiles.get_or_insert_default().call_leg = found.as_ref().map(|(id, _)| id.to_string());
                link.memory().world.call_leg_profile = Seen::Known(found.map(|(_, fields)| fields));
            }
            Look::LostSet(range) => self.look_lost_set(link, &range).await?,
            Look::Slots | Look::AllSpaces => {
                let complete = look == Look::AllSpaces;
                let prefix = &self.bridge.spec.slots.name_prefix;
                let listing = client.spaces(at, (!complete).then_some(prefix.as_str())).await?;
                let range = plan::numbers(&self.bridge.spec).ok();
                let mut memory = link.memory();
                memory.space_pages = listing.pages;
                // A list of everything adds to what the list of placeholder names showed.
                let known = memory.world.pool.known().cloned().filter(|_| complete);
                let mut pool = known.unwrap_or_else(|| Pool::new(prefix));
                pool.take_list(listing.items, range.as_ref(), complete);
                memory.world.pool = Seen::Known(pool);
            }
            Look::Space(id) => {
                link.look_space(&id, at, now).await?;
            }
            Look::Sync(id) => {
                let status = match client.bulk_sync(at, &BulkSyncId::from(id.as_str())).await {
                    Ok(sync) => sync.status,
                    // Finished syncs may not be kept (cms-api.md 6.5): the list of spaces tells what came of it.
                    Err(error) if error.is_not_found() => crate::cms::SyncStatus::Complete,
                    Err(error) => return Err(error),
                };
                let deleting = self.is_deleting();
                plan::apply_sync(&mut self.record, &mut link.memory().world, status, deleting);
                if self.record.sets.iter().all(|set| set.sync_id.is_none()) {
                    self.ctx.clear_failures(&format!("sync/{}/{}", link.key.0, link.key.1));
                }
            }
            Look::Offender => self.look_offender(link).await?,
        }
        Ok(())
    }

    async fn read_cluster(&self, link: &Link) -> Result<ClusterStatus, CmsError> {
        let client = link.client();
        let at = reading(self.now());
        let primary: &Address = client.address();
        let mut members = Vec::new();
        for listed in client.call_bridges(at).await? {
            let member = match client.call_bridge(at, &listed.id).await {
                Ok(member) => member,
                Err(error) if error.is_not_found() => listed,
                Err(error) => return Err(error),
            };
            let address = member.address.clone().filter(|address| !address.is_empty());
            let is_primary = address
                .as_deref()
                .and_then(|text| Address::from_bridge_table(text).ok())
                .is_some_and(|a| a == *primary);
            members.push(MemberStatus {
                id: member.id.to_string(),
                name: member.name,
                address,
                sip_domain: member.sip_domain.filter(|domain| !domain.is_empty()),
                primary: is_primary,
            });
        }
        members.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        let cluster_id = link.memory().system.as_ref().and_then(|(_, system)| system.cluster_id.clone());
        Ok(ClusterStatus { cluster_id, members })
    }

    /// A bulk parameter set with exactly our content: made by us, the reply was lost.
    async fn look_lost_set(&mut self, link: &Link, range: &std::ops::RangeInclusive<u32>) -> Result<(), CmsError> {
        let client = link.client();
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

    /// Which space has one of the numbers that the failed sync wanted?
    async fn look_offender(&mut self, link: &Link) -> Result<(), CmsError> {
        let wanted = self.record.sets.iter().find(|set| !set.synced).map(|set| set.start_index..=set.end_index);
        let spaces = link.client().spaces(Priority::new(Class::Provision, self.now()), None).await?;
        let takes = |value: &Option<String>| {
            let number = value.as_deref().and_then(|text| text.parse::<u32>().ok());
            number.filter(|number| wanted.as_ref().is_some_and(|range| range.contains(number)))
        };
        let offender = spaces.items.iter().find_map(|space| {
            let number = takes(&space.uri).or_else(|| takes(&space.secondary_uri)).or_else(|| takes(&space.call_id))?;
            Some(format!("number {number} belongs to the space \"{}\"", space.name))
        });
        if let Some((_, who)) = &mut link.memory().world.sync_failure {
            *who =
                Some(offender.unwrap_or_else(|| "no space has it; look at IVRs, users and access methods".to_owned()));
        }
        Ok(())
    }

    async fn step(&mut self, link: &Link, step: &Step) -> Result<(), CmsError> {
        let now = self.now();
        let client = link.client();
        let created = act::bridge_step(&client, &self.ctx.fence, step, &self.bridge.spec, &self.record, now).await?;
        tracing::info!(namespace = self.key.0, name = self.key.1, step = %step, "done");
        if let Step::ShutSlot { space, .. } = step {
            link.touch(space, self.now());
        }
        let mut memory = link.memory();
        plan::apply(&mut self.record, &mut memory.world, step, created);
        if matches!(step, Step::StartSync { .. } | Step::StartRemoval { .. }) {
            // The first look at the sync comes after a pause: it never is complete at once.
            memory.world.sync = Seen::Known(crate::cms::SyncStatus::Pending);
        }
        Ok(())
    }

    fn step_failed(&mut self, link: &Link, step: &Step, error: &CmsError) {
        let mut memory = link.memory();
        let world = &mut memory.world;
        match step {
            // The profile that we know is gone: make another.
            Step::UpdateCallProfile(..) if error.is_not_found() => world.call_profile = Seen::Known(None),
            Step::UpdateCallLegProfile(..) if error.is_not_found() => world.call_leg_profile = Seen::Known(None),
            Step::StartSync { set } | Step::StartRemoval { set } if error.is_not_found() => {
                self.record.sets.retain(|known| known.id.as_ref() != Some(set));
            }
            Step::ShutSlot { number, .. } if error.is_not_found() => {
                if let Seen::Known(pool) = &mut world.pool {
                    pool.remove(*number);
                }
            }
            _ => {}
        }
        drop(memory);
        if error.may_have_taken_effect() {
            self.profiles_untried = false;
            self.sets_untried = false;
        }
        self.failed(error);
    }
}

fn has_field(fields: &crate::cms::Fields, name: &str) -> bool {
    fields.keys().any(|key| key.eq_ignore_ascii_case(name))
}

fn is_about_own_doing(look: &Look) -> bool {
    matches!(look, Look::LostCallProfile | Look::LostCallLegProfile | Look::LostSet(_) | Look::Sync(_))
}

fn changes_record(step: &Step) -> bool {
    match step {
        Step::CreateCallProfile(_)
        | Step::CreateCallLegProfile(_)
        | Step::CreateSet(_)
        | Step::StartSync { .. }
        | Step::StartRemoval { .. }
        | Step::DeleteSet(_)
        | Step::DeleteCallProfile(_)
        | Step::DeleteCallLegProfile(_) => true,
        Step::UpdateCallProfile(..)
        | Step::UpdateCallLegProfile(..)
        | Step::ShutSlot { .. }
        | Step::DeleteCall(_)
        | Step::DeleteSpace { .. } => false,
    }
}

/// What an observing pass imagines to have done.
enum Pretended {
    Intent(plan::Intent),
    Step(Step),
}

/// What would be done to a bridge, in order, for the command line: the same plan, nothing written.
///
/// # Errors
/// What the bridge says.
pub async fn simulate(ctx: &Arc<Context>, bridge: &MeetingBridge) -> Result<Vec<String>, String> {
    let mut observed = bridge.clone();
    observed.spec.management_policy = crate::api::bridge::ManagementPolicy::Observe;
    let mut pass = Pass::new(ctx, &observed);
    let api: Api<MeetingBridge> = Api::namespaced(ctx.client.clone(), &pass.key.0.clone());
    pass.run(&api).await.map_err(|error| error.to_string())?;
    if let Some(problem) = &pass.problem {
        return Err(format!("{}: {}", problem.reason, problem.message));
    }
    if let Some(Obstacle::DialNumbers(missing)) = &pass.obstacle {
        pass.plan.push(format!("blocked: {} not set", missing.join(", ")));
    }
    Ok(std::mem::take(&mut pass.plan))
}
