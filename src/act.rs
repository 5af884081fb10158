//! Act: carry out one step on the bridge.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::MeetingBridgeSpec;
use crate::api::settings::ProfileKind;
use crate::cluster::CallBridge;
use crate::cms::{
    BulkSetId, CallLegProfileId, CallProfileId, Client, CmsError, NewBulkSet, Priority, SpaceId, SpaceProfiles,
};
use crate::plan::bridge::{Record, Step as BridgeStep};
use crate::plan::meeting::{Effect, Step, Write};

/// Carries out one step of a meeting on this call bridge, by this client of it. `deadline` is the instant for which the
/// write is done: earlier ones go first at the gate.
///
/// # Errors
/// What the bridge or the gate says; [`CmsError::Cancelled`] if the right to write is gone,
/// [`CmsError::Superseded`] if the step is not wanted any more.
pub async fn meeting_step(
    call_bridge: &CallBridge,
    client: &Client,
    (step, write): (&Step, Write),
    space: &SpaceId,
    deadline: Timestamp,
) -> Result<Effect, CmsError> {
    let at = Priority::new(step.class(), deadline).urgent();
    match write {
        Write::Open(opening) => client.open_space(at, space, &opening).await?,
        Write::Close { placeholder, profiles } => client.close_space(at, space, &placeholder, &profiles).await?,
        Write::CreateMethod(method) => {
            return client.create_access_method(at, space, &method).await.map(Effect::MethodCreated);
        }
        Write::UpdateMethod(id, method) => client.update_access_method(at, space, &id, &method).await?,
        Write::DeleteMethod(id) => _ = client.delete_access_method(at, space, &id).await?,
        Write::CreateCall => {
            let id = client.create_call(at, space).await?;
            return Ok(Effect::CallCreated(call_bridge.place(&id)));
        }
        Write::DeleteCall(call) => _ = client.delete_call(at, &call).await?,
        Write::Dial { call, leg, rank: None } => {
            let id = client.create_call_leg(at, &call, &leg).await?;
            return Ok(Effect::LegCreated(id.to_string()));
        }
        // Its leg is found by its address, as after a lost reply.
        Write::Dial { call, leg, rank: Some(rank) } => _ = client.create_participant(at, &call, &leg, &rank).await?,
        Write::HangUp(leg) => _ = client.delete_call_leg(at, &leg).await?,
        Write::Tell(call, message) => {
            // Not let through an open circuit as its trial: it is not worth that.
            let at = Priority::new(step.class(), deadline);
            client.show_message(at, &call, message.as_ref()).await?;
        }
    }
    Ok(Effect::Done)
}

/// Carries out one step of a bridge by the client of a call bridge; the id if something was created. `untaken` are profiles
/// that the bridge does not take in a bulk parameter set.
///
/// # Errors
/// What the bridge or the gate says; [`CmsError::Cancelled`] if the right to write is gone,
/// [`CmsError::Superseded`] if the step is not wanted any more.
pub async fn bridge_step(
    client: &Client,
    step: &BridgeStep,
    spec: &MeetingBridgeSpec,
    record: &Record,
    untaken: &BTreeSet<ProfileKind>,
    now: Timestamp,
) -> Result<Option<String>, CmsError> {
    use BridgeStep as Step;
    let at = Priority::new(step.class(), now);
    match step {
        Step::CreateProfile(kind, pairs) => client.create_profile(at, *kind, pairs).await.map(Some),
        Step::UpdateProfile(kind, id, pairs) => client.update_profile(at, *kind, id, pairs).await.map(|()| None),
        Step::CreateSet(range) => {
            let ids = record.profiles.clone().unwrap_or_default();
            let new = NewBulkSet {
                start: u64::from(*range.start()),
                end: u64::from(*range.end()),
                name_prefix: spec.slots.name_prefix.clone(),
                call_profile: ids.call.filter(|_| !untaken.contains(&ProfileKind::Call)).map(CallProfileId::from),
                call_leg_profile: ids
                    .call_leg
                    .filter(|_| !untaken.contains(&ProfileKind::CallLeg))
                    .map(CallLegProfileId::from),
            };
            Ok(Some(client.create_bulk_set(at, &new).await?.to_string()))
        }
        Step::StartSync { set } | Step::StartRemoval { set } => {
            let remove_all = matches!(step, Step::StartRemoval { .. });
            let sync = client.start_bulk_sync(at, &BulkSetId::from(set.as_str()), remove_all).await?;
            Ok(Some(sync.to_string()))
        }
        Step::AttachProfiles { space, .. } => {
            let ids = record.profiles.clone().unwrap_or_default();
            let (call, leg) = (ids.call.map(CallProfileId::from), ids.call_leg.map(CallLegProfileId::from));
            client.attach_profiles(at, space, call.as_ref(), leg.as_ref()).await?;
            Ok(None)
        }
        Step::ShutSlot { number, space } => {
            let placeholder = format!("{}{number}", spec.slots.name_prefix);
            client.close_space(at, space, &placeholder, &SpaceProfiles::default()).await?;
            Ok(None)
        }
        Step::DeleteAccessMethod { space, method, .. } => {
            client.delete_access_method(at, space, method).await.map(|_| None)
        }
        Step::DeleteCall(call) => client.delete_call(at, &call.id).await.map(|_| None),
        Step::DeleteSpace { space, .. } => client.delete_space(at, space).await.map(|_| None),
        Step::DeleteSet(id) | Step::MergeSet { set: id, .. } => {
            client.delete_bulk_set(at, &BulkSetId::from(id.as_str())).await.map(|_| None)
        }
        Step::DeleteProfile(kind, id) => client.delete_profile(at, *kind, id).await.map(|_| None),
        Step::CreateSettingsProfile(profile) => {
            client.create_profile(at, profile.kind, &profile.pairs()).await.map(Some)
        }
        Step::UpdateSettingsProfile(profile) => {
            let id = profile.id.as_deref().unwrap_or_default();
            client.update_profile(at, profile.kind, id, &profile.pairs()).await.map(|()| None)
        }
        Step::DeleteSettingsProfile(profile) => {
            client.delete_profile(at, profile.kind, profile.id.as_deref().unwrap_or_default()).await.map(|_| None)
        }
    }
}
