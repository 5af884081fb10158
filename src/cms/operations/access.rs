//! Access methods of a space: further ways in (`cms-protocol.md` 6.2).

use secrecy::ExposeSecret;

use super::super::error::CmsError;
use super::super::form::Form;
use super::super::http::Client;
use super::super::model::{AccessMethod, AccessMethodId, NewAccessMethod, SpaceId};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::object;

/// The same fields make one and put one right; an empty profile unsets.
pub(in super::super) fn access_method_body(new: &NewAccessMethod) -> Form {
    Form::new()
        .with("uri", &new.number)
        .with("callId", &new.number)
        .with("passcode", new.passcode.expose_secret())
        .with("name", &new.name)
        .with("secret", new.secret.expose_secret())
}

/// The collection below a space, without the slash in front.
fn collection(space: &SpaceId) -> Result<String, CmsError> {
    let space = object("coSpaces", space.as_str())?;
    Ok(format!("{}/accessMethods", space.trim_start_matches('/')))
}

impl Client {
    /// `GET coSpaces/{id}/accessMethods`: without names and secrets.
    pub async fn access_methods(&self, at: Priority, space: &SpaceId) -> Result<Vec<AccessMethod>, CmsError> {
        let path = format!("/{}", collection(space)?);
        Ok(self.list(at, ListRequest { operation: "access_methods", path, filters: &[] }).await?.items)
    }

    /// `GET coSpaces/{id}/accessMethods/{id}`: the only way to see its name.
    pub async fn access_method(
        &self,
        at: Priority,
        space: &SpaceId,
        id: &AccessMethodId,
    ) -> Result<AccessMethod, CmsError> {
        self.get_one(at, "access_method", &collection(space)?, id.as_str()).await
    }

    /// `POST coSpaces/{id}/accessMethods`.
    pub async fn create_access_method(
        &self,
        at: Priority,
        space: &SpaceId,
        new: &NewAccessMethod,
    ) -> Result<AccessMethodId, CmsError> {
        let body = access_method_body(new).with_some("callLegProfile", new.call_leg_profile.as_deref());
        let path = format!("/{}", collection(space)?);
        self.create(at, "create_access_method", path, body).await.map(AccessMethodId::from)
    }

    /// `PUT coSpaces/{id}/accessMethods/{id}` with everything that it is to be.
    pub async fn update_access_method(
        &self,
        at: Priority,
        space: &SpaceId,
        id: &AccessMethodId,
        new: &NewAccessMethod,
    ) -> Result<(), CmsError> {
        let profile = new.call_leg_profile.as_deref().unwrap_or_default();
        let body = access_method_body(new).with("callLegProfile", profile);
        self.put::<AccessMethod>(at, "update_access_method", &collection(space)?, id.as_str(), body).await
    }

    /// `DELETE coSpaces/{id}/accessMethods/{id}`; `Ok(false)` if it was not there, or its space is not.
    pub async fn delete_access_method(
        &self,
        at: Priority,
        space: &SpaceId,
        id: &AccessMethodId,
    ) -> Result<bool, CmsError> {
        match collection(space) {
            Ok(collection) => self.delete::<AccessMethod>(at, "delete_access_method", &collection, id.as_str()).await,
            Err(_) => Ok(false),
        }
    }
}
