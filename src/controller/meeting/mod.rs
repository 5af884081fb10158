//! One pass over one ScheduledMeeting: book, look, decide, act, report.

mod book;
mod news;
mod reach;
mod secrets;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::backoff;
use super::context::{Context, Kind};
use super::kube_calls::KubeError;
use super::lifecycle::Taken;
use super::{join_secret, lifecycle};
use crate::api::meeting::Phase;
use crate::api::names::{ObjectKey, join_secret_name};
use crate::api::{MeetingBridge, ScheduledMeeting, ScheduledMeetingStatus, is_blind};
use crate::cluster::Cluster;
use crate::drive::drive;
use crate::plan::booking::{Refusal, agree, is_out_of_turn, key_of};
use crate::plan::meeting::{Door, Note, Obstacle, Progress, goes_at};
use crate::plan::verdict::Pause;
use crate::plan::window::{self, Stage};
use crate::status::meeting::build;
use reach::MeetingReach;

/// How long a meeting without a place waits before it asks again.
const LONGEST_QUEUE: Duration = Duration::from_secs(2);

/// The longest pause before a finalizer that cannot be changed is tried again.
const FINALIZER_AGAIN: Duration = Duration::from_secs(30);

/// A status write is given this long at least, even if an instant is near.
const SHORTEST_WRITE: Duration = Duration::from_secs(1);

/// After so long at the latest it is asked again whether an object may go that is kept for a while.
const TIDY_AGAIN: Duration = Duration::from_secs(3600);

/// Reconciles one meeting.
///
/// Of thousands of meetings at a start, or booked at once, only some are looked after at one time: a pass holds far more
/// memory than an entry in the queue. A meeting that is due, or whose door may be open, does not wait for a place.
///
/// # Errors
/// What the apiserver says; trouble with the bridge is told in the status instead.
pub async fn reconcile(stored: Arc<ScheduledMeeting>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    // What is due takes no place either, so that a bridge that hangs keeps none from the others.
    let _place = if stored.is_due(ctx.clock.now()) {
        None
    } else if let Ok(place) = ctx.places.try_acquire() {
        Some(place)
    } else {
        // Back into the queue: one that waited here would hold up those that are due.
        return Ok(Action::requeue(backoff::jittered(LONGEST_QUEUE)));
    };
    Box::pin(look_after(stored, &ctx)).await
}

/// The bridge that a meeting is booked on, as far as it is there and connected.
#[derive(Default)]
pub(super) struct Site {
    pub(super) bridge: Option<Arc<MeetingBridge>>,
    pub(super) cluster: Option<Arc<Cluster>>,
}

impl Site {
    /// The site that the status names.
    fn of(ctx: &Context, progress: &mut Progress) -> Self {
        let Some(key) = progress.draft.bridge.as_ref().map(key_of) else { return Self::default() };
        let site = Self { bridge: ctx.bridge(&key), cluster: ctx.clusters.get(&key) };
        progress.take_bridge(site.bridge.as_deref());
        site
    }

    /// Is nothing known of what the bridge's object says?
    fn is_blind(&self) -> bool {
        self.bridge.as_deref().is_some_and(is_blind)
    }
}

async fn look_after(stored: Arc<ScheduledMeeting>, ctx: &Arc<Context>) -> Result<Action, KubeError> {
    let Some(Taken { object: stored, untied }) = lifecycle::take(ctx, stored).await? else {
        return Ok(Action::await_change());
    };
    let mut meeting = ctx.meetings.known(&stored).into_owned();
    let now = ctx.clock.now();
    let mut progress = Progress::resume(&meeting, &ctx.settings.marks, now);
    progress.untied = untied;
    let mut site = Site::of(ctx, &mut progress);
    // The window is agreed upon before anything else, from memory alone: there is one road to close, and no request to
    // the apiserver stands before the write that shuts the door.
    if !site.is_blind() {
        let uid = meeting.uid().unwrap_or_default();
        let change = |bridge: &ObjectKey, slot, wanted| ctx.bookings.change_window(&uid, bridge, slot, wanted);
        agree(ctx.as_ref(), &meeting, &mut progress, site.bridge.as_deref(), now, change);
    }
    live(ctx, &mut meeting, &mut progress, &mut site, now).await?;
    if progress.begins_anew() {
        // The start was moved away: secret, passcode and whatever else was of the life before goes.
        // If the apiserver refuses that, it is told, and the next life goes on with what the Secret says.
        if remove_join_secret(ctx, &meeting).await.is_err() {
            news::join_secret_stays(ctx, &meeting, "at the new start its link opens the meeting again");
        }
        let (booked, untied) = (progress.booked(), progress.untied.take());
        progress = Progress::anew(&meeting, &ctx.settings.marks, now);
        progress.untied = untied;
        book::carry_over(ctx, &meeting, booked, progress.window);
        site = Site::default();
        live(ctx, &mut meeting, &mut progress, &mut site, now).await?;
    }
    finish(ctx, &stored, meeting, progress, &site).await
}

/// Closes, or books and opens, whatever it is time for.
async fn live(
    ctx: &Arc<Context>,
    meeting: &mut ScheduledMeeting,
    progress: &mut Progress,
    site: &mut Site,
    now: Timestamp,
) -> Result<(), KubeError> {
    if progress.is_closing(now) {
        return close(ctx, meeting, progress, site).await;
    }
    if site.is_blind() {
        // Its bridge is not gone: it keeps what it has booked there.
        progress.not_connected(true);
        return Ok(());
    }
    if progress.must_be_read_first() || progress.must_be_tied_first() {
        return Ok(());
    }
    if book::ensure(ctx, meeting, progress, site, now) {
        secrets::prepare(ctx, meeting, progress, site, now).await;
        if progress.stage(now) != Stage::Before {
            open(ctx, meeting, progress, site).await?;
        }
    } else if !may_be_booked(meeting, progress) {
        secrets::withdraw(ctx, meeting, progress).await;
    }
    Ok(())
}

/// Is it not known yet what it has? One that was restored may run, so nobody is told that it is lost.
fn may_be_booked(meeting: &ScheduledMeeting, progress: &Progress) -> bool {
    let had_slot = meeting.status.as_ref().is_some_and(|status| status.slot.is_some());
    !had_slot && progress.refusal.as_ref().is_some_and(Refusal::is_undecided)
}

/// From the moment of preparing on: stores the intent, opens the door, makes the call, dials.
async fn open(
    ctx: &Arc<Context>,
    meeting: &mut ScheduledMeeting,
    progress: &mut Progress,
    site: &mut Site,
) -> Result<(), KubeError> {
    run(ctx, meeting, progress, site).await?;
    if is_slot_lost(ctx, progress) && book::rebook(ctx, meeting, progress, site) {
        secrets::make(ctx, meeting, progress, site).await;
        progress.pause = Some(Pause::None);
    }
    Ok(())
}

/// Is the slot somebody else's, or kept by a meeting that was to be over long ago, before anything of this one was in it?
fn is_slot_lost(ctx: &Context, progress: &Progress) -> bool {
    let was_opened = progress.draft.opened_at.is_some() || !matches!(progress.door, Door::Untouched | Door::Intended);
    let is_stuck = || {
        let is_it = |(bridge, slot)| ctx.bookings.stuck(&bridge, ctx.clock.now()).contains(&slot);
        progress.booked().is_some_and(is_it)
    };
    match progress.obstacle {
        Some(Obstacle::Foreign) => !was_opened,
        Some(Obstacle::SlotBusy) => !was_opened && is_stuck(),
        _ => false,
    }
}

/// Shuts the door, ends the call, and proves it.
async fn close(
    ctx: &Arc<Context>,
    meeting: &mut ScheduledMeeting,
    progress: &mut Progress,
    site: &Site,
) -> Result<(), KubeError> {
    // Without its bridge object there is nobody to ask and nothing to wait for; where is only observed nothing is written.
    if progress.door.may_be_open() {
        progress.left_behind = match &site.bridge {
            None => Some("its MeetingBridge is gone, and nobody shut the door"),
            Some(_) if progress.terms.is_observe_only => Some("the bridge is only observed, and nobody shut the door"),
            Some(_) => None,
        };
    }
    if !progress.door.may_be_open() || progress.left_behind.is_some() {
        progress.door = Door::Released;
        return Ok(());
    }
    (progress.secrets, progress.written) = ctx.secrets.get(&meeting.uid().unwrap_or_default());
    run(ctx, meeting, progress, site).await?;
    if progress.door == Door::Released {
        let late = ctx.clock.now().duration_since(progress.window.closes_at).as_secs_f64().max(0.0);
        ctx.metrics.close_latency.observe(late);
        ctx.backoff.clear(&meeting.uid().unwrap_or_default());
    }
    Ok(())
}

/// Drives the meeting on its bridge.
async fn run(
    ctx: &Arc<Context>,
    meeting: &mut ScheduledMeeting,
    progress: &mut Progress,
    site: &Site,
) -> Result<(), KubeError> {
    let Some(cluster) = &site.cluster else {
        progress.not_connected(site.bridge.is_some());
        return Ok(());
    };
    let trace = trace::of_pass(ctx, meeting, progress, ctx.clock.now());
    let pass = Box::pin(async {
        if !book::find_space(progress, cluster, site.bridge.as_deref(), ctx.clock.now()).await {
            return Ok(());
        }
        let mut reach = MeetingReach::new(ctx, cluster, meeting);
        let result = drive(progress, &mut reach).await;
        reach.settle(progress);
        result
    });
    match trace {
        Some(trace) => trace.pass(pass).await,
        None => pass.await,
    }
}

/// Tells who wants to know, stores the status, and says when to come round again. `stored` is the meeting as the
/// apiserver has it.
async fn finish(
    ctx: &Arc<Context>,
    stored: &ScheduledMeeting,
    meeting: ScheduledMeeting,
    mut progress: Progress,
    site: &Site,
) -> Result<Action, KubeError> {
    let now = ctx.clock.now();
    let uid = meeting.uid().unwrap_or_default();
    let old = meeting.status.clone().unwrap_or_default();
    let mut status = build(&progress, &old, meeting.metadata.generation, now);
    if progress.terms.is_deleting && (progress.door == Door::Released || lifecycle::may_go(ctx, &meeting)) {
        trace::conclude(ctx, &meeting, &old, &status, now);
        progress.untied = let_go(ctx, &meeting, &progress, status).await?;
        if progress.untied.is_none() {
            return Ok(Action::await_change());
        }
        status = build(&progress, &old, meeting.metadata.generation, now);
    }
    trace::conclude(ctx, &meeting, &old, &status, now);
    let mut wait = next_wake(ctx, &uid, &progress, now);
    let was_over = stored.status.as_ref().and_then(|status| status.phase).is_some_and(Phase::is_over);
    let is_over = status.phase.is_some_and(Phase::is_over);
    let mut stays = None;
    // No door opens without one; while it cannot be written the status does not name it.
    let had_join_secret = old.join_secret_name.is_some() || (!was_over && old.opened_at.is_some());
    if is_over && had_join_secret {
        if !was_over {
            // Whoever is next in the slot does not wait for the removal.
            news::wake(ctx, &meeting, &learn(ctx, &meeting, status.clone()), site);
        }
        // The status that is over names it no more, so it goes first: whoever dies in between closes once more.
        let tries = format!("{uid}/join-secret");
        stays = remove_join_secret(ctx, &meeting).await.err();
        if let Some(error) = &stays {
            status.join_secret_name = Some(join_secret_name(&meeting.name_any()));
            wait = Some(backoff::after_apiserver(error, ctx.backoff.count(&tries)));
        } else {
            ctx.backoff.clear(&tries);
        }
    }
    let written = save(ctx, &meeting, &progress, status, site).await?;
    news::announce(ctx, stored, &written, &progress);
    if stays.is_some() && !was_over {
        news::join_secret_stays(ctx, &written, "its link is dead, and removal is tried again");
    }
    let tidied = tidy(ctx, &written, &progress, now).await?;
    Ok(wait.into_iter().chain(tidied).min().map_or_else(Action::await_change, Action::requeue))
}

/// Deletes the object of a meeting that is over, if that was asked for, or says when to come for it.
async fn tidy(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    now: Timestamp,
) -> Result<Option<Duration>, KubeError> {
    let Some(at) = meeting.status.as_ref().and_then(|status| goes_at(&progress.terms, status)) else { return Ok(None) };
    if at > now {
        // Nothing hangs on the second, and there may be thousands.
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        return Ok(Some(left.min(TIDY_AGAIN)));
    }
    tracing::info!(namespace = meeting.namespace(), name = meeting.name_any(), "it is over and goes, as was asked for");
    ctx.kube.when(false).delete::<ScheduledMeeting>("delete ScheduledMeeting", &meeting.metadata).await?;
    Ok(None)
}

/// Stores the status. The index of bookings and those who wait learn of it before, and the next pass knows it even if
/// this fails: whoever is next in the slot does not wait for the apiserver.
async fn save(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    status: ScheduledMeetingStatus,
    site: &Site,
) -> Result<ScheduledMeeting, KubeError> {
    let uid = meeting.uid().unwrap_or_default();
    if meeting.status.as_ref() == Some(&status) && !ctx.meetings.has_unsaved(&uid) {
        return Ok(meeting.clone());
    }
    let changed = learn(ctx, meeting, status);
    news::wake(ctx, meeting, &changed, site);
    if progress.refusal.as_ref().is_some_and(|refusal| is_out_of_turn(refusal.reason)) {
        // What was reserved for it in its turn is free again.
        ctx.wake_pending();
    }
    let now = ctx.clock.now();
    // A write that hangs must not make the meeting miss an instant; it is repeated after that.
    let next =
        progress.window.next_instant(&progress.terms.spec, now).into_iter().chain(progress.next_warning(now)).min();
    let next = next.map(|at| window::sleep(now, at));
    let within = next.map_or(Duration::MAX, |left| left.max(SHORTEST_WRITE));
    let written = lifecycle::write(ctx, &changed, within).await?;
    ctx.meetings.saved(&uid);
    Ok(written)
}

/// What is known now counts from now on, whether it can be stored or not.
fn learn(ctx: &Context, meeting: &ScheduledMeeting, status: ScheduledMeetingStatus) -> ScheduledMeeting {
    ctx.meetings.keep(&meeting.uid().unwrap_or_default(), status.clone());
    let changed = ScheduledMeeting { status: Some(status), ..meeting.clone() };
    ctx.bookings.take_object(&changed);
    changed
}

/// The object is deleted, and its slot is shut, or nobody waits for that any longer.
async fn let_go(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &Progress,
    status: ScheduledMeetingStatus,
) -> Result<Option<String>, KubeError> {
    let is_released = progress.door == Door::Released;
    if is_released {
        learn(ctx, meeting, status);
    }
    let unanswered = (!is_released).then_some("the bridge did not answer");
    if let Some(why) = progress.left_behind.or(unanswered) {
        news::left_behind(ctx, meeting, "Delete", why);
    }
    ctx.bookings.release(&meeting.uid().unwrap_or_default());
    news::wake_waiting(ctx, meeting);
    if let Some(bridge) = meeting.status.as_ref().filter(|status| has_profiles(status)).and_then(|s| s.bridge.as_ref())
    {
        ctx.wakes.bridge(&key_of(bridge));
    }
    // If this fails, its owner reference does the rest.
    let _ = remove_join_secret(ctx, meeting).await;
    lifecycle::let_go(ctx, meeting).await
}

/// Does it keep the bridge from removing profiles?
fn has_profiles(status: &ScheduledMeetingStatus) -> bool {
    status.settings.is_some() || !status.access_methods.is_empty()
}

/// Removes the join Secret of a meeting that is over: nobody's meeting waits for it.
async fn remove_join_secret(ctx: &Context, meeting: &ScheduledMeeting) -> Result<(), KubeError> {
    ctx.secrets.forget(&meeting.uid().unwrap_or_default());
    join_secret::remove(ctx, meeting).await.inspect_err(|error| {
        let (namespace, name) = (meeting.namespace(), meeting.name_any());
        tracing::warn!(namespace, name, %error, "the join Secret stays for now");
    })
}

/// When to come round again, if nothing happens before.
fn next_wake(ctx: &Context, uid: &str, progress: &Progress, now: Timestamp) -> Option<Duration> {
    let is_due = progress.stage(now) >= Stage::Inside;
    if progress.pause.is_none() {
        ctx.backoff.clear(uid);
    }
    let pause = progress.pause.as_ref().map(|pause| ctx.backoff.wait(uid, pause, is_due));
    // The finalizer is tried again.
    let pause = progress.untied.as_ref().map(|_| backoff::jittered(FINALIZER_AGAIN)).into_iter().chain(pause).min();
    if progress.is_closing(now) && progress.door == Door::Released {
        return None;
    }
    let sleep = progress.next_instant(now).map(|at| window::sleep(now, at));
    sleep.into_iter().chain(pause).min()
}

/// What metrics and caches want to know of a pass on the bridge.
fn take_notes(ctx: &Context, uid: &str, cluster: &Cluster, progress: &mut Progress) {
    for note in std::mem::take(&mut progress.notes) {
        match note {
            Note::Opened { latency } => {
                ctx.metrics.open_latency.observe(latency);
            }
            Note::Repaired => {
                ctx.metrics.door_repairs.inc();
            }
            Note::Written => {
                if let Some(written) = progress.written.clone() {
                    ctx.secrets.note_written(uid, written);
                }
            }
            Note::Methods => ctx.secrets.note_methods(uid, progress.written_methods.clone()),
            Note::Dialled => {
                ctx.metrics.dials.inc();
            }
            Note::Recreated { at, lost } => {
                if let Some(since) = cluster.health(&lost).failing_since() {
                    ctx.metrics.recovery.observe(at.duration_since(since).as_secs_f64().max(0.0));
                }
            }
            Note::ProfileGone => {
                let ids = progress.draft.settings.clone().unwrap_or_default();
                cluster.doubt_profiles([ids.applied, progress.profiles_told()]);
                cluster.doubt_profiles(progress.method_profiles());
                if progress.is_guarded() {
                    cluster.doubt_own_profiles();
                }
                ctx.wakes.bridge(cluster.key());
            }
            Note::PasscodeHidden => cluster.note_passcode_hidden(),
            Note::SpaceGone => {
                if let Some(space) = progress.space() {
                    cluster.note_space_gone(&space);
                    ctx.wakes.bridge(cluster.key());
                }
            }
        }
    }
}
