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
use serde_json::Value;

use super::backoff;
use super::context::{Context, Kind};
use super::kube_calls::KubeError;
use super::lifecycle;
use crate::api::names::{ObjectKey, SERIES_FIELD_MANAGER};
use crate::api::reading::Read;
use crate::api::{Compact, MeetingSeries, ScheduledMeeting};
use crate::plan::series::{Act, Order, Progress, Removal, Sort};
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
    let series = ctx.series.newest(stored);
    if lifecycle::is_deleting(series.as_ref()) {
        return Ok(Action::await_change());
    }
    let now = ctx.clock.now();
    let resumed = Arc::clone(&series);
    let progress = reckoned(move || Progress::resume(&resumed, now)).await;
    // Here, where the watch is heard as well: elsewhere one could fall between the index and the store.
    let found = find_all(&ctx, &progress);
    let (mut progress, acts) = reckoned(move || {
        let mut progress = progress;
        let acts = progress.decide(&found);
        (progress, acts)
    })
    .await;
    let mut soon = None;
    for act in acts {
        if !progress.is_vain(&act) {
            soon = carry_out(&ctx, &mut progress, act).await?.or(soon);
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
    let soon = after_error(&ctx, &series, soon.as_ref());
    let sleep = progress.next_instant().map(|at| window::sleep(now, at));
    Ok(sleep.into_iter().chain(again).chain(soon).min().map_or_else(Action::await_change, Action::requeue))
}

/// Reckons on another thread: doors and the lease are polled in the task in which this is awaited, and no rule of a tenant
/// is to stand before them.
async fn reckoned<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is on its way down, and this pass with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// When a pass that met somebody else's write, or an apiserver that fails, comes round again. The watch need not wake it:
/// what it tells may be nothing that a series wants to hear of, or may have been told before.
fn after_error(ctx: &Context, series: &MeetingSeries, error: Option<&KubeError>) -> Option<Duration> {
    let key = format!("{}/occurrences", series.uid().unwrap_or_default());
    if error.is_none() {
        ctx.backoff.clear(&key);
    }
    error.map(|error| backoff::after_apiserver(error, ctx.backoff.count(&key)))
}

/// The newest copy of every meeting that matters to a series, by name.
fn find_all(ctx: &Context, progress: &Progress) -> BTreeMap<String, Arc<ScheduledMeeting>> {
    let key = ObjectKey::of(progress.series.as_ref());
    let known = ctx.occurrences.of(&key);
    let names = progress.names();
    let names = names.into_iter().chain(known.keys().cloned());
    let found = names.filter_map(|name| {
        let stored = ctx.stores.meetings.get(&ObjectRef::new(&name).within(&key.namespace));
        let newest = stored.map(|stored| ctx.meetings.newest(stored));
        let newest = newest.or_else(|| known.get(&name).cloned().flatten())?;
        Some((name, newest))
    });
    found.collect()
}

/// Carries out one act. Returns what the apiserver said if somebody else was faster, or if it fails: it is not done, and
/// soon decided anew.
async fn carry_out(ctx: &Context, progress: &mut Progress, act: Act) -> Result<Option<KubeError>, KubeError> {
    let namespace = progress.series.namespace().unwrap_or_default();
    match act {
        Act::Make(order) => match apply(ctx, &namespace, &order).await {
            Ok(made) => {
                // Its slot may be open already, and nobody is to shut it before the watch tells of the meeting.
                made.wrote(ctx);
                ctx.occurrences.made(&ObjectKey::of(progress.series.as_ref()), &made);
                progress.done(Sort::Make, &order);
            }
            // One of that name is there, made by whomever since the store was filled, or by us before a crash. Or there is
            // none: the quota was counted by somebody else in that moment.
            Err(error) if error.is_conflict() => {
                let there = match look_again(ctx, progress, &order.name).await {
                    Ok(there) => there,
                    Err(error) => return refused(progress, Sort::Make, &order, error),
                };
                if there.as_ref().is_none_or(|there| progress.taken(&order, there)) {
                    progress.outdated.insert(order.name);
                    return Ok(Some(error));
                }
            }
            Err(error) => return refused(progress, Sort::Make, &order, error),
        },
        Act::Change(order) => match change(ctx, &namespace, &order).await {
            Ok(changed) => {
                ctx.meetings.note(&ctx.stores.meetings, &changed);
                progress.done(Sort::Change, &order);
            }
            Err(error) => return not_changed(ctx, progress, order, error).await,
        },
        Act::Adopt(order) => match adopt(ctx, &namespace, &order).await {
            Ok(adopted) => {
                ctx.meetings.note(&ctx.stores.meetings, &adopted);
                progress.adopted();
            }
            Err(error) => return not_changed(ctx, progress, order, error).await,
        },
        Act::Remove(removal) => {
            let Removal { name, uid, version, is_over } = removal;
            let (of_name, namespace) = (Some(name.clone()), Some(namespace));
            let of = ObjectMeta { name: of_name, namespace, uid, resource_version: version, ..ObjectMeta::default() };
            match ctx.kube.when(false).delete::<ScheduledMeeting>("delete ScheduledMeeting", &of).await {
                Ok(()) => progress.removed(),
                Err(error) if error.is_conflict() => {
                    look_again(ctx, progress, &name).await?;
                    if !is_over {
                        progress.outdated.insert(name);
                    }
                    return Ok(Some(error));
                }
                Err(error) => {
                    let (words, error) = refusal(progress, &name, error)?;
                    progress.troubled(Sort::Remove, &name, &words);
                    return Ok(error);
                }
            }
        }
    }
    Ok(None)
}

/// One that is there was not written.
async fn not_changed(
    ctx: &Context,
    progress: &mut Progress,
    order: Order,
    error: KubeError,
) -> Result<Option<KubeError>, KubeError> {
    // Somebody else wrote or deleted it meanwhile.
    if error.is_conflict() || error.is_not_found() {
        look_again(ctx, progress, &order.name).await?;
        progress.outdated.insert(order.name);
        return Ok(Some(error));
    }
    refused(progress, Sort::Change, &order, error)
}

/// What the apiserver refuses is told, and so is that it fails.
fn refused(
    progress: &mut Progress,
    sort: Sort,
    order: &Order,
    error: KubeError,
) -> Result<Option<KubeError>, KubeError> {
    let (words, error) = refusal(progress, &order.name, error)?;
    progress.refused(sort, order, &words);
    Ok(error)
}

/// The words of the apiserver; and the error, if it is one that is over soon: then nothing more is tried in this pass.
fn refusal(
    progress: &mut Progress,
    occurrence: &str,
    error: KubeError,
) -> Result<(String, Option<KubeError>), KubeError> {
    if !error.is_trouble() {
        return Err(error);
    }
    let (namespace, name) = (progress.series.namespace(), progress.series.name_any());
    tracing::error!(namespace, name, occurrence, %error, "the apiserver does not do what is to be done to an occurrence");
    let words = error.to_string();
    if error.is_refusal() {
        return Ok((words, None));
    }
    progress.give_up();
    Ok((words, Some(error)))
}

/// Writes over an occurrence, so that nobody takes our own write for somebody's edit.
async fn change(ctx: &Context, namespace: &str, order: &Order) -> Result<ScheduledMeeting, KubeError> {
    let written = apply(ctx, namespace, order).await?;
    match order.corrected(&written) {
        None => Ok(written),
        Some(again) => apply(ctx, namespace, &again).await,
    }
}

/// Writes an occurrence by server-side apply. The body is guarded by the version that was seen. Fields that others have are
/// taken: they were handed back to the series.
async fn apply(ctx: &Context, namespace: &str, order: &Order) -> Result<ScheduledMeeting, KubeError> {
    let params = PatchParams::apply(SERIES_FIELD_MANAGER).force();
    write(ctx, namespace, &order.name, &params, Patch::Apply(&order.body)).await
}

/// Takes one over as it is. By a merge: applied without its spec, what the series before applied of it would go.
async fn adopt(ctx: &Context, namespace: &str, order: &Order) -> Result<ScheduledMeeting, KubeError> {
    let params = PatchParams { field_manager: Some(SERIES_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    write(ctx, namespace, &order.name, &params, Patch::Merge(&order.body)).await
}

async fn write(
    ctx: &Context,
    namespace: &str,
    name: &str,
    params: &PatchParams,
    patch: Patch<&Value>,
) -> Result<ScheduledMeeting, KubeError> {
    let api: Api<Read<ScheduledMeeting>> = ctx.kube.api(namespace);
    let what = if matches!(patch, Patch::Apply(_)) { "apply ScheduledMeeting" } else { "patch ScheduledMeeting" };
    let written = ctx.kube.when(false).write(what, api.patch(name, params, &patch)).await?;
    let mut written = written.0;
    written.metadata.managed_fields = None;
    written.compact();
    Ok(written)
}

/// The meeting of this name, from the apiserver itself: a conflict proves that we know an old one, and the watch may be
/// silent. By a list of one, for which the rights are there. The next pass goes on from it.
async fn look_again(ctx: &Context, progress: &Progress, name: &str) -> Result<Option<ScheduledMeeting>, KubeError> {
    let key = ObjectKey::of(progress.series.as_ref());
    let api: Api<Read<ScheduledMeeting>> = ctx.kube.api(&key.namespace);
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = ctx.kube.when(false).bounded("list one ScheduledMeeting", api.list(&params)).await?;
    let Some(found) = found.items.into_iter().next() else {
        ctx.occurrences.missed(&key, name);
        return Ok(None);
    };
    let known = ctx.stores.meetings.get(&ObjectRef::new(name).within(&key.namespace));
    let mut there = found.or_known(known.as_deref());
    there.metadata.managed_fields = None;
    there.compact();
    if known.is_some() {
        there.wrote(ctx);
        ctx.meetings.believe(&ctx.stores.meetings, &there);
    } else {
        ctx.occurrences.looked_at(&key, &there);
    }
    Ok(Some(there))
}

#[cfg(test)]
mod tests;
