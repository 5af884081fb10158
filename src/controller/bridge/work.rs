//! The work of a pass on the bridge: ask the plan, look or write, work the outcome in, ask again.

use std::sync::Arc;

use kube::api::Api;

use super::super::backoff;
use super::super::context::Context;
use super::super::kube_calls::KubeError;
use super::pass::{Pass, signed};
use crate::act;
use crate::api::MeetingBridge;
use crate::cluster::call_bridge::CallBridge;
use crate::cluster::sweep;
use crate::cluster::{Cluster, reading};
use crate::cms::{CmsError, SyncStatus};
use crate::plan::bridge::{self as plan, Bridge, Look, Next, Obstacle, Record, Step, World};
use crate::plan::meeting::Seen;
use crate::plan::ownership;

/// A pass ends after this many steps; the next one goes on.
const STEP_LIMIT: usize = 400;

impl Pass<'_> {
    /// Asks the plan until it is settled, blocked, or something failed.
    pub(super) async fn converge(&mut self, api: &Api<MeetingBridge>) -> Result<(), KubeError> {
        let Some(cluster) = self.cluster.clone() else { return Ok(()) };
        self.revisit_sync(&cluster);
        if self.is_cluster_known() {
            cluster.memory().world.cluster = Seen::Known(());
        }
        let mut pretended = Vec::new();
        for _ in 0..STEP_LIMIT {
            let (record, world) = self.facts(&cluster, &pretended);
            match self.next(&record, &world) {
                Next::Settled => {
                    plan::settled(&mut cluster.memory().world);
                    self.settled = !self.is_deleting();
                    self.removed = self.is_deleting();
                    return Ok(());
                }
                Next::Blocked(obstacle) => {
                    self.settled = obstacle == Obstacle::Draining;
                    if matches!(obstacle, Obstacle::Sync(_)) {
                        self.pause_sync(&cluster, || self.ctx.settings.sync_retry);
                    }
                    self.obstacle = Some(obstacle);
                    return Ok(());
                }
                Next::AwaitSync => {
                    self.await_sync(&cluster);
                    return Ok(());
                }
                Next::Look(look) if self.is_observing() && is_about_own_doing(&look) => return Ok(()),
                Next::Look(look) => {
                    let call_bridge = cluster.active();
                    if let Err(error) = self.look(&cluster, look).await {
                        self.failed(&call_bridge, error).await;
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
                    let call_bridge = call_bridge_of(&cluster, &step);
                    if let Err(error) = self.step(&cluster, &call_bridge, &step).await {
                        self.step_failed(&cluster, &step, &error);
                        self.failed(&call_bridge, error).await;
                        return Ok(());
                    }
                    if changes_record(&step) {
                        self.write_status(api).await?;
                    }
                }
            }
        }
        self.retry = Some(backoff::jittered(std::time::Duration::from_secs(5)));
        Ok(())
    }

    /// Record and world as they are, with what is only pretended worked in.
    fn facts(&self, cluster: &Cluster, pretended: &[Pretended]) -> (Record, World) {
        let (mut record, mut world) = (self.record.clone(), cluster.world());
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
        let thorough = self.cluster.as_ref().is_some_and(|cluster| cluster.memory().world.thorough);
        !thorough && self.known_cluster.is_some()
    }

    fn next(&self, record: &Record, world: &World) -> Next {
        let mut held = self.ctx.ledger.held(&self.key);
        for number in self.ctx.ledger.expected_marks(&self.key, self.now(), world.pool.known()) {
            held.entry(number).or_default();
        }
        let others = self.ctx.bridges.state();
        let owner = ownership::owner(&self.bridge, others.iter().map(std::convert::AsRef::as_ref));
        let bridge = Bridge {
            spec: &self.bridge.spec,
            owner: owner.as_deref(),
            record,
            held: &held,
            deleting: self.is_deleting(),
            profiles_untried: self.profiles_untried || self.is_observing(),
            sets_untried: self.sets_untried || self.is_observing(),
        };
        plan::next(&bridge, world)
    }

    /// When its pause is over, a running sync is asked about and a failed one tried again; not before, whatever wakes us.
    fn revisit_sync(&mut self, cluster: &Cluster) {
        let now = self.now();
        let mut memory = cluster.memory();
        if memory.schedule.sync.is_some_and(|at| at > now) {
            return;
        }
        let failed = memory.world.sync_failure.is_some() && memory.schedule.sync.is_some();
        if memory.schedule.sync.take().is_some() && memory.world.settling > 0 {
            memory.world.settling -= 1;
            memory.world.pool = Seen::Unknown;
        }
        memory.world.sync = Seen::Unknown;
        if failed {
            plan::retry_sync(&mut self.record, &mut memory.world);
        }
    }

    /// 1.5 s, then growing to 5 s (R49): a sync of a few spaces is done by the first look. Meetings being closed before a
    /// removal are waited for the same way.
    fn await_sync(&mut self, cluster: &Cluster) {
        self.pause_sync(cluster, || {
            let polls = self.ctx.count_failure(&format!("sync/{}/{}", cluster.key.0, cluster.key.1));
            std::time::Duration::from_millis(1500).saturating_mul(polls).min(std::time::Duration::from_secs(5))
        });
    }

    fn pause_sync(&mut self, cluster: &Cluster, pause: impl FnOnce() -> std::time::Duration) {
        let now = self.now();
        let running = cluster.memory().schedule.sync.filter(|at| *at > now);
        let until = running.or_else(|| now.checked_add(signed(pause())).ok());
        cluster.memory().schedule.sync = until;
        self.retry = until.and_then(|at| std::time::Duration::try_from(at.duration_since(now)).ok());
    }

    /// One read of an idle bridge: the status, and slot after slot (requirements.md section 6: at most one a minute).
    /// Status and calls go round the call bridges.
    pub(super) async fn idle_read(
        &mut self,
        cluster: &Arc<Cluster>,
        turn: u64,
    ) -> Result<(), (Arc<CallBridge>, CmsError)> {
        let now = self.now();
        let usable = cluster.usable();
        // The status comes every eighth time, the calls every fourth.
        let step = if turn.is_multiple_of(4) { 8 } else { 4 };
        let round = usize::try_from(turn / step).unwrap_or(0) % usable.len().max(1);
        let one = usable.get(round).cloned().unwrap_or_else(|| cluster.active());
        let blame = |error| (Arc::clone(&one), error);
        let of_active = |error| (cluster.active(), error);
        let ids = self.record.profiles.clone().unwrap_or_default();
        match (turn % 32, ids.call, ids.call_leg) {
            // Now and then what seldom changes is looked at instead of the status.
            (4, Some(id), _) => return self.look(cluster, Look::CallProfile(id)).await.map_err(of_active),
            (12, _, Some(id)) => return self.look(cluster, Look::CallLegProfile(id)).await.map_err(of_active),
            (20, ..) => return self.look_members(cluster).await.map_err(of_active),
            _ => {}
        }
        match turn % 4 {
            0 => self.look_system(&one).await.map_err(blame)?,
            1 => sweep::sweep_calls(&one, now).await.map_err(blame)?,
            _ => {
                let space = {
                    let memory = cluster.memory();
                    let Seen::Known(pool) = &memory.world.pool else { return Ok(()) };
                    let count = pool.iter().count().max(1);
                    let index = usize::try_from(turn / 4 * 2 + turn % 4).unwrap_or(0) % count;
                    pool.iter().nth(index).map(|(_, space)| space.id.clone())
                };
                if let Some(space) = space {
                    cluster.look_space(&space, reading(now), now).await.map_err(of_active)?;
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self, cluster: &Cluster, call_bridge: &CallBridge, step: &Step) -> Result<(), CmsError> {
        let now = self.now();
        let client = call_bridge.client();
        let created = act::bridge_step(&client, &self.ctx.fence, step, &self.bridge.spec, &self.record, now).await?;
        tracing::info!(namespace = self.key.0, name = self.key.1, step = %step, "done");
        if let Step::ShutSlot { space, .. } = step {
            cluster.touch(space, self.now());
        }
        if let Step::DeleteCall(call) = step {
            call_bridge.forget_call(&call.id);
        }
        let mut memory = cluster.memory();
        plan::apply(&mut self.record, &mut memory.world, step, created);
        if matches!(step, Step::StartSync { .. } | Step::StartRemoval { .. }) {
            // The first look at the sync comes after a pause: it never is complete at once.
            memory.world.sync = Seen::Known(SyncStatus::Pending);
        }
        Ok(())
    }

    /// What a failed write tells about the world.
    fn step_failed(&mut self, cluster: &Cluster, step: &Step, error: &CmsError) {
        let mut memory = cluster.memory();
        let world = &mut memory.world;
        match step {
            // The one that the record names is gone, and another may have been made.
            Step::CreateCallProfile(_) if error.may_have_taken_effect() => {
                self.record.profiles.get_or_insert_default().call = None;
                world.call_profile = Seen::Unknown;
            }
            Step::CreateCallLegProfile(_) if error.may_have_taken_effect() => {
                self.record.profiles.get_or_insert_default().call_leg = None;
                world.call_leg_profile = Seen::Unknown;
            }
            // The profile that we know is gone: make another.
            Step::UpdateCallProfile(..) if error.is_not_found() => world.call_profile = Seen::Known(None),
            Step::UpdateCallLegProfile(..) if error.is_not_found() => world.call_leg_profile = Seen::Known(None),
            // One of the profiles is gone: find out which, and make another.
            Step::CreateSet(_) if error.is_not_found() => {
                (world.call_profile, world.call_leg_profile) = (Seen::Unknown, Seen::Unknown);
                world.thorough = true;
            }
            Step::StartSync { set } | Step::StartRemoval { set } if error.is_not_found() => {
                self.record.sets.retain(|known| known.id.as_ref() != Some(set));
            }
            Step::ShutSlot { number, .. } | Step::AttachProfiles { number, .. } if error.is_not_found() => {
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
    }
}

/// The call bridge that a step concerns: what the database holds can be changed on any, a call only where it is.
fn call_bridge_of(cluster: &Cluster, step: &Step) -> Arc<CallBridge> {
    let of_call = match step {
        Step::DeleteCall(call) => cluster.call_bridge(&call.call_bridge),
        _ => None,
    };
    of_call.unwrap_or_else(|| cluster.active())
}

fn is_about_own_doing(look: &Look) -> bool {
    matches!(
        look,
        Look::LostCallProfile | Look::LostCallLegProfile | Look::LostSet(_) | Look::LostSync(_) | Look::Sync(_)
    )
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
        | Step::AttachProfiles { .. }
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
