//! Call profiles and call leg profiles (R45, R46, `cms-protocol.md` section 5).
//!
//! A call profile has no name: after a lost reply it can only be found among the unreferenced ones by its content.

use super::super::decode::{self, CallLegProfileItem, CallProfileItem, Record};
use super::super::error::CmsError;
use super::super::form::Form;
use super::super::http::Client;
use super::super::model::{CallLegProfileId, CallProfileId, Fields, Listing};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::{gone, may_be_gone, object};

/// Whether anything refers to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Referenced,
    Unreferenced,
}

impl Usage {
    fn filter(self) -> [(&'static str, &'static str); 1] {
        let word = match self {
            Self::Referenced => "referenced",
            Self::Unreferenced => "unreferenced",
        };
        [("usageFilter", word)]
    }
}

impl Client {
    /// The fields of a profile. A bridge that neither shows one nor lists them shows no field of it: what is not shown is
    /// believed.
    async fn profile<T: Record>(
        &self,
        at: Priority,
        operation: &'static str,
        collection: &str,
        id: &str,
    ) -> Result<Fields, CmsError> {
        let error = match self.get(at, operation, object(collection, id)?, T::ITEM).await {
            Ok(node) => return Ok(decode::fields(&node)),
            Err(error) if may_be_gone(&error) => error,
            Err(error) => return Err(error),
        };
        let listed = self.may_be_listed::<T>(at, collection, id).await;
        match self.unless_unknown(at, listed).await {
            Ok(None) => Ok(Fields::default()),
            Ok(Some(false)) => Err(gone()),
            Ok(Some(true)) | Err(_) => Err(error),
        }
    }

    /// `POST callProfiles` with these fields in this order.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn create_call_profile(
        &self,
        at: Priority,
        fields: &[(String, String)],
    ) -> Result<CallProfileId, CmsError> {
        let body = Form::new().with_all(fields);
        self.create(at, "create_call_profile", "/callProfiles".to_owned(), body).await.map(CallProfileId::from)
    }

    /// `GET callProfiles/{id}`: the fields as the bridge shows them.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_profile(&self, at: Priority, id: &CallProfileId) -> Result<Fields, CmsError> {
        self.profile::<CallProfileItem>(at, "call_profile", "callProfiles", id.as_str()).await
    }

    /// `PUT callProfiles/{id}`: fields that are not named stay as they are, empty ones are unset.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn update_call_profile(
        &self,
        at: Priority,
        id: &CallProfileId,
        fields: &[(String, String)],
    ) -> Result<(), CmsError> {
        let body = Form::new().with_all(fields);
        self.put::<CallProfileItem>(at, "update_call_profile", "callProfiles", id.as_str(), body).await
    }

    /// `DELETE callProfiles/{id}`; `Ok(false)` if it was not there.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn delete_call_profile(&self, at: Priority, id: &CallProfileId) -> Result<bool, CmsError> {
        self.delete::<CallProfileItem>(at, "delete_call_profile", "callProfiles", id.as_str()).await
    }

    /// The call profiles that something refers to, or nothing: there one is that a lost reply left behind (R45). A bridge
    /// that does not know the filter shows all of them.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_profiles_by(&self, at: Priority, usage: Usage) -> Result<Listing<CallProfileId>, CmsError> {
        let (operation, path) = ("call_profiles_by_usage", "/callProfiles".to_owned());
        let asked = ListRequest { operation, path, filters: &usage.filter() };
        Ok(self.list::<CallProfileItem>(at, asked).await?.map(|item| item.0))
    }

    /// `POST callLegProfiles` with these fields in this order.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn create_call_leg_profile(
        &self,
        at: Priority,
        fields: &[(String, String)],
    ) -> Result<CallLegProfileId, CmsError> {
        let body = Form::new().with_all(fields);
        self.create(at, "create_call_leg_profile", "/callLegProfiles".to_owned(), body)
            .await
            .map(CallLegProfileId::from)
    }

    /// `GET callLegProfiles/{id}`: the fields as the bridge shows them.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_leg_profile(&self, at: Priority, id: &CallLegProfileId) -> Result<Fields, CmsError> {
        self.profile::<CallLegProfileItem>(at, "call_leg_profile", "callLegProfiles", id.as_str()).await
    }

    /// `PUT callLegProfiles/{id}`: fields that are not named stay as they are, empty ones are unset.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn update_call_leg_profile(
        &self,
        at: Priority,
        id: &CallLegProfileId,
        fields: &[(String, String)],
    ) -> Result<(), CmsError> {
        let body = Form::new().with_all(fields);
        self.put::<CallLegProfileItem>(at, "update_call_leg_profile", "callLegProfiles", id.as_str(), body).await
    }

    /// `DELETE callLegProfiles/{id}`; `Ok(false)` if it was not there.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn delete_call_leg_profile(&self, at: Priority, id: &CallLegProfileId) -> Result<bool, CmsError> {
        self.delete::<CallLegProfileItem>(at, "delete_call_leg_profile", "callLegProfiles", id.as_str()).await
    }

    /// The same of call leg profiles.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_leg_profiles_by(
        &self,
        at: Priority,
        usage: Usage,
    ) -> Result<Listing<CallLegProfileId>, CmsError> {
        let (operation, path) = ("call_leg_profiles_by_usage", "/callLegProfiles".to_owned());
        let asked = ListRequest { operation, path, filters: &usage.filter() };
        Ok(self.list::<CallLegProfileItem>(at, asked).await?.map(|item| item.0))
    }

    /// Every call leg profile, with its name if the list shows it.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_leg_profiles(&self, at: Priority) -> Result<Vec<(CallLegProfileId, Option<String>)>, CmsError> {
        let asked = ListRequest { operation: "call_leg_profiles", path: "/callLegProfiles".to_owned(), filters: &[] };
        let found = self.list::<CallLegProfileItem>(at, asked).await?;
        Ok(found.into_iter().map(|item| (item.0, item.1)).collect())
    }
}
