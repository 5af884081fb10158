//! Calls, call legs and participants (`cms-protocol.md` section 7). Their ids are those of one call bridge only.

use super::super::error::CmsError;
use super::super::form::Form;
use super::super::http::Client;
use super::super::model::{
    Call, CallId, CallLeg, LegId, Listing, Message, NewLeg, Participant, ParticipantId, Rank, SpaceId,
};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::object;

/// `POST calls` (R62).
pub(in super::super) fn call_body(space: &SpaceId) -> Form {
    Form::new().with("coSpace", space.as_str())
}

/// `POST calls/{id}/callLegs` (R64).
pub(in super::super) fn leg_body(new: &NewLeg) -> Form {
    Form::new()
        .with("remoteParty", &new.remote_party)
        .with_some("dtmfSequence", new.dtmf.as_deref())
        .with_some("nameLabelOverride", new.label.as_deref())
        .with_some("defaultLayout", new.layout)
}

/// `PUT calls/{id}` with a text for everybody in the call. An empty one takes it away.
pub(in super::super) fn message_body(message: Option<&Message>) -> Form {
    let Some(message) = message else { return Form::new().with("messageText", "") };
    Form::new()
        .with("messageText", &message.text)
        .with("messagePosition", message.position)
        .with("messageDuration", &message.seconds.to_string())
}

impl Client {
    /// `GET calls`, of one space if given. On a busy bridge the filter saves pages; check the space again, as a bridge
    /// that does not know the filter would show all calls.
    pub async fn calls(&self, at: Priority, space: Option<&SpaceId>) -> Result<Listing<Call>, CmsError> {
        let filters = [("coSpaceFilter", space.map_or("", SpaceId::as_str))];
        self.whole_list(at, ListRequest { operation: "calls", path: "/calls".to_owned(), filters: &filters }).await
    }

    /// `POST calls`: makes a call on the space, on the call bridge that is asked (R62). Look for one first: it is not
    /// known whether a space that has a call gets a second one.
    pub async fn create_call(&self, at: Priority, space: &SpaceId) -> Result<CallId, CmsError> {
        self.create(at, "create_call", "/calls".to_owned(), call_body(space)).await.map(CallId::from)
    }

    /// `GET calls/{id}`.
    pub async fn call(&self, at: Priority, id: &CallId) -> Result<Call, CmsError> {
        self.get_one(at, "call", "calls", id.as_str()).await
    }

    /// `PUT calls/{id}`: shows everybody who is in the call on this call bridge a text, or takes it away. 2.1 and later.
    pub async fn show_message(&self, at: Priority, id: &CallId, message: Option<&Message>) -> Result<(), CmsError> {
        self.put::<Call>(at, "show_message", "calls", id.as_str(), message_body(message)).await
    }

    /// `DELETE calls/{id}`: everybody on this call bridge is dropped. `Ok(false)` if it was not there.
    pub async fn delete_call(&self, at: Priority, id: &CallId) -> Result<bool, CmsError> {
        self.delete::<Call>(at, "delete_call", "calls", id.as_str()).await
    }

    /// `GET callLegs`: all legs of this call bridge.
    pub async fn call_legs(&self, at: Priority) -> Result<Listing<CallLeg>, CmsError> {
        self.whole_list(at, ListRequest { operation: "call_legs", path: "/callLegs".to_owned(), filters: &[] }).await
    }

    /// `GET calls/{id}/callLegs`: the legs of one call on this call bridge.
    pub async fn call_legs_of(&self, at: Priority, call: &CallId) -> Result<Listing<CallLeg>, CmsError> {
        let path = format!("{}/callLegs", object("calls", call.as_str())?);
        let told = self.whole_list(at, ListRequest { operation: "call_legs_of", path, filters: &[] }).await;
        self.settle::<Call, _>(at, "calls", call.as_str(), told, None).await
    }

    /// `GET callLegs/{id}`: with state, direction and owner.
    pub async fn call_leg(&self, at: Priority, id: &LegId) -> Result<CallLeg, CmsError> {
        self.get_one(at, "call_leg", "callLegs", id.as_str()).await
    }

    /// `POST calls/{id}/callLegs`: rings somebody (R64). Succeeds before anything is known of the far end.
    ///
    /// # Errors
    /// See [`CmsError`]; [`CmsError::LimitReached`] if the call is full.
    pub async fn create_call_leg(&self, at: Priority, call: &CallId, new: &NewLeg) -> Result<LegId, CmsError> {
        let path = format!("{}/callLegs", object("calls", call.as_str())?);
        self.create(at, "create_call_leg", path, leg_body(new)).await.map(LegId::from)
    }

    /// `POST calls/{id}/participants`: rings somebody who gets a rank in layouts, which a leg cannot have. In a cluster
    /// the call bridge that is to dial must be named, because any of them may be chosen otherwise.
    ///
    /// # Errors
    /// See [`CmsError`]; [`CmsError::LimitReached`] if the call is full.
    pub async fn create_participant(
        &self,
        at: Priority,
        call: &CallId,
        new: &NewLeg,
        rank: &Rank,
    ) -> Result<ParticipantId, CmsError> {
        let path = format!("{}/participants", object("calls", call.as_str())?);
        let body = leg_body(new)
            .with("importance", &rank.importance.to_string())
            .with_some("callBridge", rank.call_bridge.as_deref());
        self.create(at, "create_participant", path, body).await.map(ParticipantId::from)
    }

    /// `DELETE callLegs/{id}`: hangs up. `Ok(false)` if it was not there.
    pub async fn delete_call_leg(&self, at: Priority, id: &LegId) -> Result<bool, CmsError> {
        self.delete::<CallLeg>(at, "delete_call_leg", "callLegs", id.as_str()).await
    }

    /// `GET participants`: those of every call that this call bridge takes part in, wherever they are connected (R67).
    pub async fn participants(&self, at: Priority) -> Result<Listing<Participant>, CmsError> {
        self.whole_list(at, ListRequest { operation: "participants", path: "/participants".to_owned(), filters: &[] })
            .await
    }

    /// `GET calls/{id}/participants`.
    pub async fn participants_of(&self, at: Priority, call: &CallId) -> Result<Listing<Participant>, CmsError> {
        let path = format!("{}/participants", object("calls", call.as_str())?);
        let told = self.whole_list(at, ListRequest { operation: "participants_of", path, filters: &[] }).await;
        self.settle::<Call, _>(at, "calls", call.as_str(), told, None).await
    }

    /// `GET participants/{id}`: with address and state.
    pub async fn participant(&self, at: Priority, id: &ParticipantId) -> Result<Participant, CmsError> {
        self.get_one(at, "participant", "participants", id.as_str()).await
    }
}
