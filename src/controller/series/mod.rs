//! One pass over one MeetingSeries: find its occurrences, decide, write, report.

mod index;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;

pub use index::Occurrences;

use super::backoff;
use super::context::{Context, Kind};
use super::kube_calls::KubeError;
use super::lifecycle;
use crate::api::conditions::series as reason;
use crate::api::names::{ObjectKey, SERIES_FIELD_MANAGER};
use crate::api::reading::Read;
use crate::api::{Compact, MeetingSeries, ScheduledMeeting};
use crate::plan::series::{Act, Order, Progress};
use crate::plan::window;
use crate::status::series::{build, news};

/// How long until something that the apiserver refused is tried again.
const REFUSED_AGAIN: Duration = Duration::from_secs(120);

/// Reconciles one series.
///
/// It has no finalizer: on its way out there is nothing to do, since the garbage collector deletes its occurrences, and
/// each of these shuts its own door.
///
/// # Errors
/// What the apiserver says. What it refuses is told in the status instead.
pub async fn reconcile(stored: Arc<MeetingSeries>, ctx: Arc<Context>) -> Result<Action, KubeError> {
    let series = MeetingSeries::own_writes(&ctx).newest(stored);
    if lifecycle::is_deleting(series.as_ref()) {
        return Ok(Action::await_change());
    }
    let now = ctx.clock.now();
    let mut progress = Progress::resume(&series, now);
    let acts = progress.decide(&find_all(&ctx, &progress));
    for act in acts {
        if !carry_out(&ctx, &mut progress, act).await? {
            break;
        }
    }
    let old = series.status.clone().unwrap_or_default();
    let status = build(&progress, &old, series.metadata.generation, now);
    let told = news(&old, &status).map(|(reason, note)| (reason.to_owned(), note.to_owned()));
    let written = lifecycle::store(&ctx, series.as_ref(), status).await?;
    if let Some((reason, note)) = told {
        ctx.events.tell(&written, EventType::Warning, &reason, "Schedule", note);
    }
    let again = progress.trouble.as_ref().map(|_| backoff::jittered(REFUSED_AGAIN));
    let sleep = progress.next_instant().map(|at| window::sleep(now, at));
    Ok(sleep.into_iter().chain(again).min().map_or_else(Action::await_change, Action::requeue))
}

/// The newest copy of every meeting that matters to a series, by name.
fn find_all(ctx: &Context, progress: &Progress<'_>) -> BTreeMap<String, Arc<ScheduledMeeting>> {
    let key = ObjectKey::of(progress.series);
    let known = ctx.occurrences.of(&key);
    let names = progress.names();
    let names = names.into_iter().chain(known.keys().cloned());
    let found = names.filter_map(|name| {
        let stored = ctx.stores.meetings.get(&ObjectRef::new(&name).within(&key.namespace));
        let newest = stored.map(|stored| ScheduledMeeting::own_writes(ctx).newest(stored));
        let newest = newest.or_else(|| known.get(&name).cloned().flatten())?;
        Some((name, newest))
    });
    found.collect()
}

/// Carries out one act. False: the apiserver refuses, and would refuse the others as well.
async fn carry_out(ctx: &Context, progress: &mut Progress<'_>, act: Act) -> Result<bool, KubeError> {
    let namespace = progress.series.namespace().unwrap_or_default();
    match act {
        Act::Make(order) => match apply(ctx, &namespace, &order).await {
            Ok(made) => {
                ctx.occurrences.made(&ObjectKey::of(progress.series), &made);
                progress.done(&order);
            }
            // One of that name is there, made by whomever since the store was filled, or by us before a crash.
            Err(error) if error.is_conflict() => {
                if let Some(there) = look(ctx, &namespace, &order.name).await? {
                    progress.taken(&order, &there);
                }
            }
            Err(error) => return refused(progress, &order, error),
        },
        Act::Change(order) => match apply(ctx, &namespace, &order).await {
            Ok(changed) => {
                ScheduledMeeting::own_writes(ctx).note(&ctx.stores.meetings, &changed);
                progress.done(&order);
            }
            // Somebody else wrote or deleted it meanwhile: the watch shows that, and it is decided anew.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return refused(progress, &order, error),
        },
        Act::Remove { name, uid, version } => {
            let (name, namespace) = (Some(name), Some(namespace));
            let of = ObjectMeta { name, namespace, uid, resource_version: version, ..ObjectMeta::default() };
            match ctx.kube.when(false).delete::<ScheduledMeeting>("delete ScheduledMeeting", &of).await {
                Err(error) if !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
    }
    Ok(true)
}

/// What the apiserver refuses is told; anything else ends the pass.
fn refused(progress: &mut Progress<'_>, order: &Order, error: KubeError) -> Result<bool, KubeError> {
    if !error.is_refusal() {
        return Err(error);
    }
    let (namespace, name) = (progress.series.namespace(), progress.series.name_any());
    tracing::error!(namespace, name, occurrence = order.name, %error, "the apiserver refuses an occurrence");
    progress.refused(order, reason::CREATION_REFUSED, format!("{}: {error}", order.name));
    Ok(false)
}

/// Writes an occurrence by server-side apply. The body is guarded by the version that was seen. Fields that others have are
/// taken: they were handed back to the series.
async fn apply(ctx: &Context, namespace: &str, order: &Order) -> Result<ScheduledMeeting, KubeError> {
    let api: Api<Read<ScheduledMeeting>> = ctx.kube.api(namespace);
    let params = PatchParams::apply(SERIES_FIELD_MANAGER).force();
    let patch = Patch::Apply(&order.body);
    let written = ctx.kube.when(false).write("apply ScheduledMeeting", api.patch(&order.name, &params, &patch)).await?;
    let mut written = written.0;
    written.metadata.managed_fields = None;
    written.compact();
    Ok(written)
}

/// The meeting of this name, from the apiserver itself: by a list of one, for which the rights are there.
async fn look(ctx: &Context, namespace: &str, name: &str) -> Result<Option<ScheduledMeeting>, KubeError> {
    let api: Api<Read<ScheduledMeeting>> = ctx.kube.api(namespace);
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = ctx.kube.bounded("list one ScheduledMeeting", api.list(&params)).await?;
    Ok(found.items.into_iter().next().map(|read| read.0))
}
