//! Call profiles and call leg profiles (R45, R46, `cms-protocol.md` section 5).
//!
//! A call profile has no name: after a lost reply it can only be found among the unreferenced ones by its content.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::decode::{self, ProfileItem, Record};
use super::super::error::CmsError;
use super::super::form::Form;
use super::super::http::Client;
use super::super::model::{Fields, Listing};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::object;

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

/// The same for both kinds: `$Item` is what the list has of one, `$operation` what the operation is called.
macro_rules! by_kind {
    ($kind:expr, $call:literal, $call_leg:literal, |$Item:ident, $operation:ident| $what:expr) => {
        match $kind {
            ProfileKind::Call => {
                type $Item = ProfileItem<false>;
                let $operation = $call;
                $what
            }
            ProfileKind::CallLeg => {
                type $Item = ProfileItem<true>;
                let $operation = $call_leg;
                $what
            }
        }
    };
}

impl Client {
    /// `POST callProfiles` or `callLegProfiles` with these fields in this order.
    pub async fn create_profile(
        &self,
        at: Priority,
        kind: ProfileKind,
        fields: &[(String, String)],
    ) -> Result<String, CmsError> {
        let body = Form::new().with_all(fields);
        by_kind!(kind, "create_call_profile", "create_call_leg_profile", |Item, operation| {
            self.create(at, operation, format!("/{}", Item::LIST), body).await
        })
    }

    /// `GET callProfiles/{id}` or `callLegProfiles/{id}`: the fields as the bridge shows them. A bridge that neither shows one
    /// nor lists them shows no field of it: what is not shown is believed.
    pub async fn profile(&self, at: Priority, kind: ProfileKind, id: &str) -> Result<Fields, CmsError> {
        by_kind!(kind, "call_profile", "call_leg_profile", |Item, operation| {
            let told = self.get(at, operation, object(Item::LIST, id)?, Item::ITEM).await;
            let told = told.map(|node| decode::fields(&node));
            self.settle::<Item, _>(at, Item::LIST, id, told, Some(Ok(Fields::default()))).await
        })
    }

    /// `PUT callProfiles/{id}` or `callLegProfiles/{id}`: fields that are not named stay as they are, empty ones are unset.
    pub async fn update_profile(
        &self,
        at: Priority,
        kind: ProfileKind,
        id: &str,
        fields: &[(String, String)],
    ) -> Result<(), CmsError> {
        let body = Form::new().with_all(fields);
        by_kind!(kind, "update_call_profile", "update_call_leg_profile", |Item, operation| {
            self.put::<Item>(at, operation, Item::LIST, id, body).await
        })
    }

    /// `DELETE callProfiles/{id}` or `callLegProfiles/{id}`; `Ok(false)` if it was not there.
    pub async fn delete_profile(&self, at: Priority, kind: ProfileKind, id: &str) -> Result<bool, CmsError> {
        by_kind!(kind, "delete_call_profile", "delete_call_leg_profile", |Item, operation| {
            self.delete::<Item>(at, operation, Item::LIST, id).await
        })
    }

    /// The ids of the profiles that something refers to, or nothing: there one is that a lost reply left behind (R45). A bridge
    /// that does not know the filter shows all of them.
    pub async fn profiles_by(
        &self,
        at: Priority,
        kind: ProfileKind,
        usage: Usage,
    ) -> Result<Listing<String>, CmsError> {
        by_kind!(kind, "call_profiles_by_usage", "call_leg_profiles_by_usage", |Item, operation| {
            let asked = ListRequest { operation, path: format!("/{}", Item::LIST), filters: &usage.filter() };
            Ok(self.list::<Item>(at, asked).await?.map(|item| item.id))
        })
    }

    /// The id of every call leg profile, with its name if the list shows it.
    pub async fn call_leg_profiles(&self, at: Priority) -> Result<Vec<(String, Option<String>)>, CmsError> {
        let asked = ListRequest { operation: "call_leg_profiles", path: "/callLegProfiles".to_owned(), filters: &[] };
        let found = self.list::<ProfileItem<true>>(at, asked).await?;
        Ok(found.into_iter().map(|item| (item.id, item.name)).collect())
    }
}
