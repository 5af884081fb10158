//! Spaces one by one, and in ranges by bulk parameter set and bulk sync (`cms-protocol.md` section 6).

use secrecy::ExposeSecret;

use super::super::decode::Record;
use super::super::error::CmsError;
use super::super::form::{Form, escape_template};
use super::super::http::Client;
use super::super::model::{
    BulkSet, BulkSetId, BulkSync, BulkSyncId, CallLegProfileId, CallProfileId, Listing, NewBulkSet, Opening, Space,
    SpaceId, SpaceProfiles,
};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::{gone, object, unusable};

/// Stands for the number of a space in the mappings of a bulk parameter set.
const INDEX: &str = "$index$";

/// The mapping that names the spaces of a set by this prefix and their numbers.
pub fn name_mapping(prefix: &str) -> String {
    format!("{}{INDEX}", escape_template(prefix))
}

/// `PUT coSpaces/{id}` that opens (R58-R61): the guide's four fields in its order, then our mark.
pub(in super::super) fn opening_body(opening: &Opening) -> Form {
    Form::new()
        .with_bool("nonMemberAccess", true)
        .with("passcode", opening.passcode.expose_secret())
        .with("name", &opening.name)
        .with("secret", opening.secret.expose_secret())
        .with_some("cdrTag", opening.mark.as_deref())
        .with_some("callProfile", opening.profiles.call.as_deref())
        .with_some("callLegProfile", opening.profiles.call_leg.as_deref())
}

/// `PUT coSpaces/{id}` that shuts (R73): the guide's four fields in its order, then the removal of our mark, and the
/// profiles that the space had before, if it had others for a meeting.
pub(in super::super) fn closing_body(placeholder_name: &str, profiles: &SpaceProfiles) -> Form {
    Form::new()
        .with_bool("nonMemberAccess", false)
        .with("passcode", "")
        .with("name", placeholder_name)
        .with_bool("regenerateSecret", true)
        .with("cdrTag", "")
        .with_some("callProfile", profiles.call.as_deref())
        .with_some("callLegProfile", profiles.call_leg.as_deref())
}

/// `POST cospaceBulkParameterSets` (R48): the guide's eight fields in its order.
pub(in super::super) fn bulk_set_body(new: &NewBulkSet) -> Form {
    Form::new()
        .with("startIndex", &new.start.to_string())
        .with("endIndex", &new.end.to_string())
        .with("coSpaceUriMapping", INDEX)
        .with("coSpaceNameMapping", &name_mapping(&new.name_prefix))
        .with("coSpaceCallIdMapping", INDEX)
        .with_some("callProfile", new.call_profile.as_ref().map(CallProfileId::as_str))
        .with_some("callLegProfile", new.call_leg_profile.as_ref().map(CallLegProfileId::as_str))
        .with_bool("nonMemberAccess", false)
}

/// `POST cospaceBulkSyncs` (R49). `removeAll` only if set: TMS does not send it.
pub(in super::super) fn bulk_sync_body(set: &BulkSetId, remove_all: bool) -> Form {
    Form::new().with("cospaceBulkParameterSet", set.as_str()).with_some("removeAll", remove_all.then_some("true"))
}

impl Client {
    /// `GET coSpaces`. The filter is a search over name, uri and call id, not a comparison (`cms-protocol.md` 3.2): check again.
    pub async fn spaces(&self, at: Priority, filter: Option<&str>) -> Result<Listing<Space>, CmsError> {
        let filters = [("filter", filter.unwrap_or_default())];
        self.list(at, ListRequest { operation: "spaces", path: "/coSpaces".to_owned(), filters: &filters }).await
    }

    /// `GET coSpaces/{id}`: the only way to see whether a space is open (`cms-protocol.md` 13, quirk 5).
    pub async fn space(&self, at: Priority, id: &SpaceId) -> Result<Space, CmsError> {
        self.get_one(at, "space", "coSpaces", id.as_str()).await
    }

    /// Opens a space, or changes an open one: the same request (R58, R70).
    ///
    /// # Errors
    /// See [`CmsError`]; [`CmsError::PasscodeTooShort`] and [`CmsError::ParameterError`] are the user's to solve.
    pub async fn open_space(&self, at: Priority, id: &SpaceId, opening: &Opening) -> Result<(), CmsError> {
        self.put::<Space>(at, "open_space", "coSpaces", id.as_str(), opening_body(opening)).await
    }

    /// Shuts a space, gives it the placeholder name, and kills the join links that are known (R73).
    pub async fn close_space(
        &self,
        at: Priority,
        id: &SpaceId,
        placeholder_name: &str,
        profiles: &SpaceProfiles,
    ) -> Result<(), CmsError> {
        let body = closing_body(placeholder_name, profiles);
        self.put::<Space>(at, "close_space", "coSpaces", id.as_str(), body).await
    }

    /// `PUT coSpaces/{id}` with the profiles of the space and nothing else.
    pub async fn attach_profiles(
        &self,
        at: Priority,
        id: &SpaceId,
        call: Option<&CallProfileId>,
        call_leg: Option<&CallLegProfileId>,
    ) -> Result<(), CmsError> {
        let body = Form::new()
            .with_some("callProfile", call.map(CallProfileId::as_str))
            .with_some("callLegProfile", call_leg.map(CallLegProfileId::as_str));
        self.put::<Space>(at, "attach_profiles", "coSpaces", id.as_str(), body).await
    }

    /// `DELETE coSpaces/{id}`; `Ok(false)` if it was not there.
    pub async fn delete_space(&self, at: Priority, id: &SpaceId) -> Result<bool, CmsError> {
        self.delete::<Space>(at, "delete_space", "coSpaces", id.as_str()).await
    }

    /// `POST cospaceBulkParameterSets` (R48). Makes no space: that is the sync's work.
    pub async fn create_bulk_set(&self, at: Priority, new: &NewBulkSet) -> Result<BulkSetId, CmsError> {
        let path = "/cospaceBulkParameterSets".to_owned();
        self.create(at, "create_bulk_set", path, bulk_set_body(new)).await.map(BulkSetId::from)
    }

    /// `GET cospaceBulkParameterSets`: the items have only the indices.
    pub async fn bulk_sets(&self, at: Priority) -> Result<Listing<BulkSet>, CmsError> {
        let path = "/cospaceBulkParameterSets".to_owned();
        self.list(at, ListRequest { operation: "bulk_sets", path, filters: &[] }).await
    }

    /// `GET cospaceBulkParameterSets/{id}`.
    pub async fn bulk_set(&self, at: Priority, id: &BulkSetId) -> Result<BulkSet, CmsError> {
        self.get_one(at, "bulk_set", "cospaceBulkParameterSets", id.as_str()).await
    }

    /// `DELETE cospaceBulkParameterSets/{id}`; `Ok(false)` if it was not there. Not known to touch the spaces.
    pub async fn delete_bulk_set(&self, at: Priority, id: &BulkSetId) -> Result<bool, CmsError> {
        self.delete::<BulkSet>(at, "delete_bulk_set", "cospaceBulkParameterSets", id.as_str()).await
    }

    /// `POST cospaceBulkSyncs` (R49): **removes every space that this set has made**, then makes them anew unless
    /// `remove_all`. Never while one of them is in use (`cms-protocol.md` 6.5).
    pub async fn start_bulk_sync(
        &self,
        at: Priority,
        set: &BulkSetId,
        remove_all: bool,
    ) -> Result<BulkSyncId, CmsError> {
        let path = "/cospaceBulkSyncs".to_owned();
        self.create(at, "start_bulk_sync", path, bulk_sync_body(set, remove_all)).await.map(BulkSyncId::from)
    }

    /// `GET cospaceBulkSyncs/{id}`: how far it is. Not every bridge keeps one that is over, or has a list of them: then one
    /// that answers as a call bridge has said that it is gone.
    pub async fn bulk_sync(&self, at: Priority, id: &BulkSyncId) -> Result<BulkSync, CmsError> {
        let (collection, id) = ("cospaceBulkSyncs", id.as_str());
        let told = self.get(at, "bulk_sync", object(collection, id)?, BulkSync::ITEM).await;
        let node = self.settle::<BulkSync, _>(at, collection, id, told, Some(Err(gone()))).await?;
        BulkSync::decode(&node).map_err(unusable)
    }

    /// `GET cospaceBulkSyncs`: after a lost reply, to find the sync that was started.
    pub async fn bulk_syncs(&self, at: Priority) -> Result<Listing<BulkSync>, CmsError> {
        let path = "/cospaceBulkSyncs".to_owned();
        self.list(at, ListRequest { operation: "bulk_syncs", path, filters: &[] }).await
    }
}
