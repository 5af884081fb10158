//! Act: carry out one step on the bridge.

use std::collections::BTreeSet;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::api::MeetingBridgeSpec;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::cluster::CallBridge;
use crate::cms::{
    BulkSetId, CallId, CallLegProfileId, CallProfileId, Client, CmsError, LegId, Message, NewAccessMethod, NewBulkSet,
    NewLeg, Opening, Priority, SpaceId, SpaceProfiles,
};
use crate::plan::bridge::{Record, Step as BridgeStep};
use crate::plan::meeting::{Effect, Notice, Step, Terms};

/// What a step of a meeting works on.
pub struct MeetingTarget<'a> {
    pub space: &'a SpaceId,
    pub call: Option<&'a CallId>,
    pub terms: &'a Terms,
    pub passcode: Option<&'a SecretString>,
    pub secret: Option<&'a SecretString>,
    /// What an access method is to be.
    pub method: Option<NewAccessMethod>,
    /// Whoever is dialled gets no layout, because the bridge does not take the one that the spec says.
    pub layout_refused: bool,
    /// The profiles that the space is told with its door.
    pub profiles: SpaceProfiles,
    /// The instant for which the write is done: earlier ones go first at the gate.
    pub deadline: Timestamp,
}

/// Carries out one step of a meeting on this call bridge, by this client of it.
///
/// # Errors
/// What the bridge or the gate says; [`CmsError::Cancelled`] if the right to write is gone,
/// [`CmsError::Superseded`] if the step is not wanted any more.
pub async fn meeting_step(
    call_bridge: &CallBridge,
    client: &Client,
    step: &Step,
    target: &MeetingTarget<'_>,
) -> Result<Effect, CmsError> {
    let at = Priority::new(step.class(), target.deadline).urgent();
    match step {
        Step::OpenDoor | Step::MarkExtension => {
            let missing = || CmsError::MalformedReply { detail: "passcode or secret is not at hand".to_owned() };
            let opening = Opening {
                name: target.terms.spec.title.clone(),
                passcode: target.passcode.cloned().ok_or_else(missing)?,
                secret: target.secret.cloned().ok_or_else(missing)?,
                mark: Some(target.terms.mark.clone()),
                profiles: target.profiles.clone(),
            };
            client.open_space(at, target.space, &opening).await?;
            Ok(Effect::Done)
        }
        Step::CloseDoor => {
            client.close_space(at, target.space, &target.terms.placeholder, &target.profiles).await?;
            Ok(Effect::Done)
        }
        Step::CreateMethod(_) | Step::UpdateMethod { .. } => {
            let missing = || CmsError::MalformedReply { detail: "passcode or secret is not at hand".to_owned() };
            let method = target.method.as_ref().ok_or_else(missing)?;
            if let Step::UpdateMethod { id, .. } = step {
                client.update_access_method(at, target.space, id, method).await?;
                return Ok(Effect::Done);
            }
            Ok(Effect::MethodCreated(client.create_access_method(at, target.space, method).await?))
        }
        Step::DeleteMethod(id) => {
            client.delete_access_method(at, target.space, id).await?;
            Ok(Effect::Done)
        }
        Step::CreateCall => {
            let id = client.create_call(at, target.space).await?;
            Ok(Effect::CallCreated(call_bridge.place(&id)))
        }
        Step::DeleteCall(call) => {
            client.delete_call(at, &call.id).await?;
            Ok(Effect::Done)
        }
        Step::Dial(party) => {
            let call = target.call.ok_or_else(|| CmsError::NotFound { element: "call".to_owned() })?;
            let new = target.terms.leg_to(party);
            let new = NewLeg { layout: new.layout.filter(|_| !target.layout_refused), ..new };
            let Some(rank) = target.terms.rank_of(party, call_bridge.address()) else {
                let id = client.create_call_leg(at, call, &new).await?;
                return Ok(Effect::LegCreated(id.to_string()));
            };
            // Only a participant has an importance. Its leg is found by its address, as after a lost reply.
            client.create_participant(at, call, &new, &rank).await?;
            Ok(Effect::Done)
        }
        Step::Tell { call, notice } => {
            // Not let through an open circuit as its trial: it is not worth that.
            let at = Priority::new(step.class(), target.deadline);
            client.show_message(at, &call.id, message(target.terms, *notice).as_ref()).await?;
            Ok(Effect::Done)
        }
        Step::HangUp { leg, .. } => {
            client.delete_call_leg(at, &LegId::from(leg.as_str())).await?;
            Ok(Effect::Done)
        }
    }
}

/// What everybody in a call is to read. None: nothing any more.
fn message(terms: &Terms, notice: Notice) -> Option<Message> {
    let asked = terms.warning()?;
    match notice {
        Notice::Left(minutes) => Some(Message {
            text: asked.text_with(minutes),
            position: asked.position.wire(),
            seconds: asked.duration_seconds,
        }),
        Notice::TakenAway => None,
    }
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
        Step::CreateCallProfile(pairs) => Ok(Some(client.create_call_profile(at, pairs).await?.to_string())),
        Step::CreateCallLegProfile(pairs) => Ok(Some(client.create_call_leg_profile(at, pairs).await?.to_string())),
        Step::UpdateCallProfile(id, pairs) => {
            client.update_call_profile(at, &CallProfileId::from(id.as_str()), pairs).await?;
            Ok(None)
        }
        Step::UpdateCallLegProfile(id, pairs) => {
            client.update_call_leg_profile(at, &CallLegProfileId::from(id.as_str()), pairs).await?;
            Ok(None)
        }
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
        Step::DeleteCallProfile(id) => {
            client.delete_call_profile(at, &CallProfileId::from(id.as_str())).await.map(|_| None)
        }
        Step::DeleteCallLegProfile(id) => {
            client.delete_call_leg_profile(at, &CallLegProfileId::from(id.as_str())).await.map(|_| None)
        }
        Step::CreateSettingsProfile(profile)
        | Step::UpdateSettingsProfile(profile)
        | Step::DeleteSettingsProfile(profile) => settings_step(client, at, step, profile).await,
    }
}

/// The same for a profile for settings of meetings.
async fn settings_step(
    client: &Client,
    at: Priority,
    step: &BridgeStep,
    profile: &SettingsProfile,
) -> Result<Option<String>, CmsError> {
    let (id, pairs) = (profile.id.as_deref().unwrap_or_default(), profile.pairs());
    let (of_call, of_leg) = (CallProfileId::from(id), CallLegProfileId::from(id));
    match (step, profile.kind) {
        (BridgeStep::CreateSettingsProfile(_), ProfileKind::Call) => {
            return Ok(Some(client.create_call_profile(at, &pairs).await?.to_string()));
        }
        (BridgeStep::CreateSettingsProfile(_), ProfileKind::CallLeg) => {
            return Ok(Some(client.create_call_leg_profile(at, &pairs).await?.to_string()));
        }
        (BridgeStep::DeleteSettingsProfile(_), ProfileKind::Call) => {
            _ = client.delete_call_profile(at, &of_call).await?
        }
        (BridgeStep::DeleteSettingsProfile(_), ProfileKind::CallLeg) => {
            _ = client.delete_call_leg_profile(at, &of_leg).await?;
        }
        (_, ProfileKind::Call) => client.update_call_profile(at, &of_call, &pairs).await?,
        (_, ProfileKind::CallLeg) => client.update_call_leg_profile(at, &of_leg, &pairs).await?,
    }
    Ok(None)
}
