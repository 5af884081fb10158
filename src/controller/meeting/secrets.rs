//! When the join Secret of a meeting is made, read and removed. What is in it: `controller/join_secret.rs`.

use jiff::Timestamp;
use kube::ResourceExt;

use super::Site;
use crate::api::ScheduledMeeting;
use crate::api::meeting::SlotBinding;
use crate::api::names::join_secret_name;
use crate::cms::Space;
use crate::controller::context::Context;
use crate::controller::join_secret::{self, Details};
use crate::controller::kube_calls::KubeError;
use crate::plan::meeting::Progress;
use crate::plan::window::Stage;

/// The join Secret is there from acceptance on, so that invitations can be written; near its time its secrets are at hand.
///
/// # Errors
/// The apiserver's.
pub async fn prepare(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &mut Progress,
    site: &Site,
    now: Timestamp,
) -> Result<(), KubeError> {
    let uid = meeting.uid().unwrap_or_default();
    let is_soon = progress.window.stage(now) >= Stage::Preparing;
    let (at_hand, written) = ctx.secrets.get(&uid);
    progress.written = written;
    let is_changed = meeting.status.as_ref().is_none_or(|status| {
        let shown = |slot: &Option<SlotBinding>| slot.as_ref().map(|slot| (slot.number, slot.uri.clone()));
        shown(&status.slot) != shown(&progress.draft.slot) || status.observed_generation != meeting.metadata.generation
    });
    if at_hand.as_ref().is_some_and(|secrets| secrets.passcode.is_some()) && !is_changed {
        progress.secrets = at_hand;
        return Ok(());
    }
    if progress.draft.join_secret_name.is_some() && !is_changed && !is_soon {
        return Ok(());
    }
    make(ctx, meeting, progress, site).await?;
    if !is_soon {
        // They are read again when the meeting is near; until then they need not be in memory.
        ctx.secrets.forget(&uid);
    }
    Ok(())
}

/// Makes or reads the join Secret.
///
/// # Errors
/// The apiserver's.
pub async fn make(
    ctx: &Context,
    meeting: &ScheduledMeeting,
    progress: &mut Progress,
    site: &Site,
) -> Result<(), KubeError> {
    let Some(slot) = progress.draft.slot.clone() else { return Ok(()) };
    let adopted = marked_space(ctx, progress, site, slot.number);
    let system = site.cluster.as_ref().and_then(|cluster| cluster.system());
    let details = Details {
        number: slot.number,
        uri: slot.uri,
        web_bridge_uri: site.bridge.as_ref().and_then(|bridge| bridge.spec.web_bridge_uri.clone()),
        software_version: system.map(|(_, system)| system.software_version),
    };
    progress.secrets = Some(join_secret::ensure(ctx, meeting, &details, adopted.as_ref()).await?);
    progress.draft.join_secret_name = Some(join_secret_name(&meeting.name_any()));
    Ok(())
}

/// The slot's space if it carries our mark already: the meeting runs, and its objects were restored.
fn marked_space(ctx: &Context, progress: &Progress, site: &Site, slot: u32) -> Option<Space> {
    let cluster = site.cluster.as_ref().filter(|_| progress.window.stage(ctx.clock.now()) == Stage::Inside)?;
    let space = cluster.with_slots(|slots| slots.space(slot).cloned())?;
    space.filter(|space| space.cdr_tag.as_deref() == Some(&progress.terms.mark))
}

/// Removes what a meeting that is over leaves behind in Kubernetes.
///
/// # Errors
/// The apiserver's.
pub async fn clean_up(ctx: &Context, meeting: &ScheduledMeeting) -> Result<(), KubeError> {
    ctx.secrets.forget(&meeting.uid().unwrap_or_default());
    let name = meeting.status.as_ref().and_then(|status| status.join_secret_name.as_ref());
    match name {
        Some(name) => join_secret::remove(ctx, meeting, name).await,
        None => Ok(()),
    }
}
