//! When the join Secret of a meeting is made and read. What is in it: `controller/join_secret.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use super::Site;
use crate::api::ScheduledMeeting;
use crate::api::conditions::meeting as reason;
use crate::api::meeting::SlotBinding;
use crate::api::names::join_secret_name;
use crate::cluster::{Cluster, in_time};
use crate::cms::{Class, CmsError, Priority, SpaceId};
use crate::controller::context::Context;
use crate::controller::join_secret::{self, Adopted, Details, Unwritten, WebLinks};
use crate::plan::meeting::{Door, JoinSecrets, Part, Problem, Progress};
use crate::plan::verdict::Pause;
use crate::plan::window::{Stage, Window};

/// The join Secret is there from acceptance on, so that invitations can be written; near its time its secrets are at hand.
/// If it cannot be, the progress says why.
pub async fn prepare(ctx: &Context, meeting: &ScheduledMeeting, progress: &mut Progress, site: &Site, now: Timestamp) {
    let uid = meeting.uid().unwrap_or_default();
    let is_soon = progress.stage(now) >= Stage::Preparing;
    let (at_hand, written) = ctx.secrets.get(&uid);
    progress.written = written;
    progress.know_methods(ctx.secrets.methods(&uid));
    let is_changed = progress.draft.join_secret_name.is_none()
        || meeting.status.as_ref().is_none_or(|status| {
            let shown = |slot: &Option<SlotBinding>| slot.as_ref().map(|slot| (slot.number, slot.uri.clone()));
            let is_same_slot = shown(&status.slot) == shown(&progress.draft.slot);
            let invited = |status| Window::invited(&meeting.spec, status);
            let is_same_time = invited(status) == invited(&progress.draft);
            !is_same_slot || !is_same_time || status.observed_generation != meeting.metadata.generation
        });
    let is_stale = !is_changed && join_secret::is_stale(ctx, meeting, site.bridge.as_deref());
    let at_hand = at_hand.filter(JoinSecrets::is_whole);
    if at_hand.is_some() && !is_changed && !is_stale {
        progress.secrets = at_hand;
        return;
    }
    if !is_changed && !is_stale && !is_soon {
        return;
    }
    let name = progress.draft.join_secret_name.clone();
    make(ctx, meeting, progress, site).await;
    if is_stale && at_hand.is_some() && progress.unwritten.as_ref().is_some_and(|why| !why.is_permanent) {
        // A link or an invitation is old, and the apiserver is away: no door waits for that.
        (progress.secrets, progress.draft.join_secret_name, progress.unwritten) = (at_hand, name, None);
    }
    if !is_soon {
        // They are read again when the meeting is near; until then they need not be in memory.
        ctx.secrets.forget(&uid);
    }
}

/// Makes or reads the join Secret. If that fails, an open door is looked after with the secrets at hand.
pub async fn make(ctx: &Context, meeting: &ScheduledMeeting, progress: &mut Progress, site: &Site) {
    let Some(slot) = progress.draft.slot.clone() else { return };
    let details = Details {
        mark: progress.terms.mark.clone(),
        number: slot.number,
        uri: slot.uri,
        window: Window::invited(&meeting.spec, &progress.draft),
        web: site.bridge.as_deref().and_then(WebLinks::of),
    };
    let name = join_secret_name(&meeting.name_any());
    let kept = async {
        let found = join_secret::find(ctx, meeting).await?;
        let at_hand = ctx.secrets.get(&meeting.uid().unwrap_or_default()).0;
        let is_known = join_secret::is_whole(meeting, found.as_ref()) || at_hand.is_some_and(|known| known.is_whole());
        let adopted = if is_known { None } else { marked_space(ctx, progress, site).await? };
        join_secret::ensure(ctx, meeting, &details, found, adopted.as_ref()).await
    };
    match kept.await {
        Ok(secrets) => {
            progress.secrets = Some(secrets);
            progress.unwritten = None;
            progress.draft.join_secret_name = Some(name);
        }
        Err(why) => {
            progress.details_unwritten(explain(&name, &why));
            progress.secrets_stored = matches!(why, Unwritten::Outdated(..));
            progress.secrets = match why {
                Unwritten::Outdated(secrets, _) => Some(secrets),
                _ => ctx.secrets.get(&meeting.uid().unwrap_or_default()).0,
            };
        }
    }
}

/// It lost its booking before its door was touched: nobody is to be invited to a number that may be somebody else's. If that
/// cannot be written it is tried again after a while.
pub async fn withdraw(ctx: &Context, meeting: &ScheduledMeeting, progress: &mut Progress) {
    let is_lost = progress.draft.slot.is_none() && progress.door == Door::Untouched;
    // Where a write failed before, the status names none.
    let may_be_there = progress.draft.join_secret_name.is_some() || join_secret::is_inviting(ctx, meeting);
    if !is_lost || !may_be_there || join_secret::is_withdrawn(ctx, meeting) {
        return;
    }
    let name = join_secret_name(&meeting.name_any());
    match join_secret::withdraw(ctx, meeting).await {
        Ok(true) => {}
        Ok(false) | Err(Unwritten::Taken) => progress.draft.join_secret_name = None,
        Err(why) => {
            let (namespace, why) = (meeting.namespace(), explain(&name, &why).message);
            tracing::warn!(namespace, name, why, "the join Secret invites to a slot that is lost");
            progress.pause = Some(Pause::Unwritten);
        }
    }
}

fn explain(name: &str, why: &Unwritten) -> Problem {
    let (reason, message, is_permanent) = match why {
        Unwritten::Taken => {
            let message = format!(
                "the Secret {name} is not this meeting's; delete or rename it, or give the meeting another name"
            );
            (reason::JOIN_SECRET_CONFLICT, message, true)
        }
        Unwritten::Lost => {
            let message = format!("the Secret {name} is gone, and the bridge cannot be asked what it said");
            (reason::JOIN_SECRET_UNAVAILABLE, message, false)
        }
        Unwritten::Outdated(_, error) => {
            let message = format!(
                "{error} (Secret {name}: people get in, but links and invitation are old; change the policy or rights that \
                 refuse it, or delete the Secret if it is immutable)"
            );
            (reason::JOIN_SECRET_REFUSED, message, true)
        }
        Unwritten::Kube(error) if error.is_refusal() => {
            let message = format!("{error} (Secret {name}; change the quota, policy or rights that refuse it)");
            (reason::JOIN_SECRET_REFUSED, message, true)
        }
        Unwritten::Kube(error) => {
            let message = format!("the Secret {name} cannot be read or written: {error}");
            (reason::JOIN_SECRET_UNAVAILABLE, message, false)
        }
    };
    Problem { part: Part::Door, reason, message, is_permanent }
}

/// The slot's space if it carries our mark already: the meeting runs, and its objects were restored. It is looked at, by
/// itself: a Secret that is made anew where people are in changes the door, and every link is dead.
async fn marked_space(ctx: &Context, progress: &Progress, site: &Site) -> Result<Option<Adopted>, Unwritten> {
    let now = ctx.clock.now();
    let (Some(slot), Stage::Inside) = (&progress.draft.slot, progress.stage(now)) else { return Ok(None) };
    let recorded = slot.space_id.as_deref().map(SpaceId::from);
    let shown = match &site.cluster {
        Some(cluster) => match cluster.space_of_slot(slot.number, recorded.as_ref()).or(recorded) {
            Some(space) => adopt(cluster, progress, &space, now).await.ok(),
            None => Some(None),
        },
        None => None,
    };
    match shown {
        Some(adopted) => Ok(adopted),
        None if progress.door.may_be_open() => Err(Unwritten::Lost),
        None => Ok(None),
    }
}

async fn adopt(
    cluster: &Cluster,
    progress: &Progress,
    id: &SpaceId,
    now: Timestamp,
) -> Result<Option<Adopted>, CmsError> {
    let at = Priority::new(Class::Door, progress.window.opens_at).urgent();
    let shown = cluster.read_space(id, at, now).await?;
    let Some(space) = shown.filter(|space| space.cdr_tag.as_deref() == Some(&progress.terms.mark)) else {
        return Ok(None);
    };
    let mut methods = BTreeMap::new();
    if !progress.terms.spec.access_methods.is_empty() && !progress.lacks_access_methods() {
        let seen = in_time(cluster.read_access_methods(id, &progress.terms.marks, at)).await?;
        methods = progress.secrets_shown(seen);
    }
    Ok(Some(Adopted { space, methods }))
}
