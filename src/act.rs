//! Act: carry out one step on the bridge. Before each write the fence is asked: nothing is begun after the shutdown.

use jiff::Timestamp;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::cms::{
    BulkSetId, CallId, CallLegProfileId, CallProfileId, Class, Client, CmsError, NewBulkSet, Opening, Priority, SpaceId,
};
use crate::plan::{bridge, meeting};

/// Whether writes may still be begun. Closed once, for good.
#[derive(Clone, Debug, Default)]
pub struct Fence(CancellationToken);

impl Fence {
    /// No write is begun from now on.
    pub fn shut(&self) {
        self.0.cancel();
    }

    /// May a write be begun?
    ///
    /// # Errors
    /// [`CmsError::Cancelled`] after [`Fence::shut`].
    pub fn check(&self) -> Result<(), CmsError> {
        if self.0.is_cancelled() { Err(CmsError::Cancelled) } else { Ok(()) }
    }
}

/// What a step of a meeting works on.
pub struct MeetingTarget<'a> {
    pub space: &'a SpaceId,
    pub call: Option<&'a CallId>,
    pub title: &'a str,
    pub placeholder: &'a str,
    pub mark: &'a str,
    pub passcode: Option<&'a SecretString>,
    pub secret: Option<&'a SecretString>,
    /// The instant for which the write is done: earlier ones go first at the gate.
    pub deadline: Timestamp,
}

/// What a step brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Done,
    Created(String),
}

/// Carries out one step of a meeting on the call bridge that it concerns.
///
/// # Errors
/// What the bridge or the gate says; [`CmsError::Cancelled`] after the shutdown.
pub async fn meeting_step(
    client: &Client,
    fence: &Fence,
    step: &meeting::Step,
    target: &MeetingTarget<'_>,
) -> Result<Effect, CmsError> {
    use meeting::Step;
    fence.check()?;
    let at = |class| Priority::new(class, target.deadline).urgent();
    match step {
        Step::OpenDoor | Step::MarkExtension => {
            let missing = || CmsError::MalformedReply { detail: "passcode or secret is not at hand".to_owned() };
            let opening = Opening {
                name: target.title.to_owned(),
                passcode: target.passcode.cloned().ok_or_else(missing)?,
                secret: target.secret.cloned().ok_or_else(missing)?,
                mark: Some(target.mark.to_owned()),
            };
            client.open_space(at(Class::Door), target.space, &opening).await?;
            Ok(Effect::Done)
        }
        // A closing may be what an opening in the same slot waits for, so it stands in the same line (craft.md 4.3 no. 4).
        Step::CloseDoor => {
            client.close_space(at(Class::Door), target.space, target.placeholder, true).await?;
            Ok(Effect::Done)
        }
        Step::CreateCall => {
            let id = client.create_call(at(Class::Call), target.space).await?;
            Ok(Effect::Created(id.to_string()))
        }
        Step::DeleteCall(call) => {
            client.delete_call(at(Class::Call), &call.id).await?;
            Ok(Effect::Done)
        }
        Step::Dial(party) => {
            let call = target.call.ok_or_else(|| CmsError::NotFound { element: "call".to_owned() })?;
            let id = client.create_call_leg(at(Class::Leg), call, party, None).await?;
            Ok(Effect::Created(id.to_string()))
        }
    }
}

/// Carries out one step of a bridge on the call bridge that it concerns; the id if something was created.
///
/// # Errors
/// What the bridge or the gate says; [`CmsError::Cancelled`] after the shutdown.
pub async fn bridge_step(
    client: &Client,
    fence: &Fence,
    step: &bridge::Step,
    spec: &crate::api::MeetingBridgeSpec,
    record: &bridge::Record,
    now: Timestamp,
) -> Result<Option<String>, CmsError> {
    use bridge::Step;
    fence.check()?;
    let at = Priority::new(Class::Provision, now);
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
                call_profile: ids.call.map(CallProfileId::from),
                call_leg_profile: ids.call_leg.map(CallLegProfileId::from),
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
            client.close_space(Priority::new(Class::Door, now), space, &placeholder, true).await?;
            Ok(None)
        }
        Step::DeleteCall(call) => client.delete_call(Priority::new(Class::Close, now), &call.id).await.map(|_| None),
        Step::DeleteSpace { space, .. } => client.delete_space(at, space).await.map(|_| None),
        Step::DeleteSet(id) => client.delete_bulk_set(at, &BulkSetId::from(id.as_str())).await.map(|_| None),
        Step::DeleteCallProfile(id) => {
            client.delete_call_profile(at, &CallProfileId::from(id.as_str())).await.map(|_| None)
        }
        Step::DeleteCallLegProfile(id) => {
            client.delete_call_leg_profile(at, &CallLegProfileId::from(id.as_str())).await.map(|_| None)
        }
    }
}
