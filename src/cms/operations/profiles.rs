//! Call profiles and call leg profiles (R45, R46, `cms-protocol.md` section 5).
//!
//! A call profile has no name: after a lost reply it can only be found among the unreferenced ones by its content.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::decode::{self, CallLegProfileItem, CallProfileItem, Record};
use super::super::error::CmsError;
use super::super::form::Form;
use super::super::http::Client;
use super::super::model::{Fields, Listing};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::{gone, may_be_gone, object};

/// Which kind of profile (`cms-protocol.md` section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProfileKind {
    Call,
    CallLeg,
}

impl ProfileKind {
    pub const ALL: [Self; 2] = [Self::Call, Self::CallLeg];
}

impl fmt::Display for ProfileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call profile",
            Self::CallLeg => "call leg profile",
        })
    }
}

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
    async fn fields_of<T: Record>(&self, at: Priority, operation: &'static str, id: &str) -> Result<Fields, CmsError> {
        let error = match self.get(at, operation, object(T::LIST, id)?, T::ITEM).await {
            Ok(node) => return Ok(decode::fields(&node)),
            Err(error) if may_be_gone(&error) => error,
            Err(error) => return Err(error),
        };
        let listed = self.may_be_listed::<T>(at, T::LIST, id).await;
        match self.unless_unknown(at, listed).await {
            Ok(None) => Ok(Fields::default()),
            Ok(Some(false)) => Err(gone()),
            Ok(Some(true)) | Err(_) => Err(error),
        }
    }

    /// `POST callProfiles` or `callLegProfiles` with these fields in this order.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn create_profile(
        &self,
        at: Priority,
        kind: ProfileKind,
        fields: &[(String, String)],
    ) -> Result<String, CmsError> {
        let (operation, path) = match kind {
            ProfileKind::Call => ("create_call_profile", "/callProfiles"),
            ProfileKind::CallLeg => ("create_call_leg_profile", "/callLegProfiles"),
        };
        self.create(at, operation, path.to_owned(), Form::new().with_all(fields)).await
    }

    /// `GET callProfiles/{id}` or `callLegProfiles/{id}`: the fields as the bridge shows them.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn profile(&self, at: Priority, kind: ProfileKind, id: &str) -> Result<Fields, CmsError> {
        match kind {
            ProfileKind::Call => self.fields_of::<CallProfileItem>(at, "call_profile", id).await,
            ProfileKind::CallLeg => self.fields_of::<CallLegProfileItem>(at, "call_leg_profile", id).await,
        }
    }

    /// `PUT callProfiles/{id}` or `callLegProfiles/{id}`: fields that are not named stay as they are, empty ones are unset.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn update_profile(
        &self,
        at: Priority,
        kind: ProfileKind,
        id: &str,
        fields: &[(String, String)],
    ) -> Result<(), CmsError> {
        let body = Form::new().with_all(fields);
        match kind {
            ProfileKind::Call => {
                self.put::<CallProfileItem>(at, "update_call_profile", CallProfileItem::LIST, id, body).await
            }
            ProfileKind::CallLeg => {
                self.put::<CallLegProfileItem>(at, "update_call_leg_profile", CallLegProfileItem::LIST, id, body).await
            }
        }
    }

    /// `DELETE callProfiles/{id}` or `callLegProfiles/{id}`; `Ok(false)` if it was not there.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn delete_profile(&self, at: Priority, kind: ProfileKind, id: &str) -> Result<bool, CmsError> {
        match kind {
            ProfileKind::Call => {
                self.delete::<CallProfileItem>(at, "delete_call_profile", CallProfileItem::LIST, id).await
            }
            ProfileKind::CallLeg => {
                self.delete::<CallLegProfileItem>(at, "delete_call_leg_profile", CallLegProfileItem::LIST, id).await
            }
        }
    }

    /// The ids of the profiles that something refers to, or nothing: there one is that a lost reply left behind (R45). A bridge
    /// that does not know the filter shows all of them.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn profiles_by(
        &self,
        at: Priority,
        kind: ProfileKind,
        usage: Usage,
    ) -> Result<Listing<String>, CmsError> {
        let filters = &usage.filter();
        match kind {
            ProfileKind::Call => {
                let (operation, path) = ("call_profiles_by_usage", "/callProfiles".to_owned());
                let listed = self.list::<CallProfileItem>(at, ListRequest { operation, path, filters }).await?;
                Ok(listed.map(|item| item.0.to_string()))
            }
            ProfileKind::CallLeg => {
                let (operation, path) = ("call_leg_profiles_by_usage", "/callLegProfiles".to_owned());
                let listed = self.list::<CallLegProfileItem>(at, ListRequest { operation, path, filters }).await?;
                Ok(listed.map(|item| item.0.to_string()))
            }
        }
    }

    /// The id of every call leg profile, with its name if the list shows it.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn call_leg_profiles(&self, at: Priority) -> Result<Vec<(String, Option<String>)>, CmsError> {
        let asked = ListRequest { operation: "call_leg_profiles", path: "/callLegProfiles".to_owned(), filters: &[] };
        let found = self.list::<CallLegProfileItem>(at, asked).await?;
        Ok(found.into_iter().map(|item| (item.0.to_string(), item.1)).collect())
    }
}
