//! One method per request of the API. Paths have the documented spelling, bodies the guide's exact fields and order.
//!
//! Every method takes a [`Priority`](super::Priority) first, sends one request (lists: one per page), and repeats no
//! write. Errors are those of [`CmsError`]; a write that fails with
//! [`may_have_taken_effect`](CmsError::may_have_taken_effect) must be followed by a look before it is sent again.

pub(super) mod access;
pub(super) mod calls;
pub(super) mod profiles;
pub(super) mod spaces;
mod system;

use reqwest::Method;

use super::decode::{self, Record, Undecodable};
use super::error::CmsError;
use super::form::Form;
use super::http::{Client, Request};
use super::paging::ListRequest;
use super::priority::Priority;
use super::xml::Node;

/// The path of one object.
///
/// # Errors
/// An id that cannot be one of the bridge's: as good as not there. It is not sent, because an empty id would turn
/// the deletion of one object into a request about the whole collection.
fn object(collection: &str, id: &str) -> Result<String, CmsError> {
    if decode::is_id(id) {
        Ok(format!("/{collection}/{id}"))
    } else {
        Err(CmsError::NotFound { element: "impossibleId".to_owned() })
    }
}

/// The last segment of a `Location`, whatever stands before it (R40, `cms-protocol.md` 1.3). One that only repeats the path
/// that was posted to, or a part of it, names the collection, or what it is below, and no new object. A new id may well be
/// the same as one of those: where ids are numbers, each collection counts for itself.
fn created_id(location: Option<&str>, posted_to: &str) -> Result<String, CmsError> {
    let path = location.unwrap_or_default().trim();
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let Some((_, id)) = path.rsplit_once('/') else { return Err(CmsError::AmbiguousCreate) };
    let segments = |path: &str| -> Vec<String> {
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_ascii_lowercase).collect()
    };
    let (told, posted) = (segments(path), segments(posted_to));
    // Every other one is the name of a collection.
    let mut names = ["api", "v1"].into_iter().chain(posted.iter().step_by(2).map(String::as_str));
    let is_name = names.any(|name| name.eq_ignore_ascii_case(id));
    let is_repeated = (1..=posted.len()).any(|count| posted.get(..count).is_some_and(|part| told.ends_with(part)));
    let is_bare = told.len() == 1 && posted.contains(&id.to_ascii_lowercase());
    let is_new = decode::is_id(id) && !is_name && !is_repeated && !is_bare;
    if is_new { Ok(id.to_owned()) } else { Err(CmsError::AmbiguousCreate) }
}

/// May this refusal of a request about one object mean that it is not there, in the words of the framework behind the API?
/// So may that of something in between, which knows nothing: it is no proof.
fn may_be_gone(error: &CmsError) -> bool {
    match error {
        CmsError::NotACms | CmsError::Rejected { status: 404, .. } => true,
        CmsError::HttpError { status } => matches!(status, 400 | 404 | 405 | 410),
        _ => false,
    }
}

fn gone() -> CmsError {
    CmsError::NotFound { element: "notListed".to_owned() }
}

fn unusable(why: Undecodable) -> CmsError {
    CmsError::MalformedReply { detail: why.to_string() }
}

impl Client {
    async fn get(&self, at: Priority, operation: &'static str, path: String, root: &str) -> Result<Node, CmsError> {
        let request = Request { operation, method: Method::GET, path, query: Form::new(), body: Form::new() };
        Ok(self.read(at, request, root).await?.root)
    }

    /// Reads one object that has an id.
    async fn get_one<T: Record>(
        &self,
        at: Priority,
        operation: &'static str,
        collection: &str,
        id: &str,
    ) -> Result<T, CmsError> {
        let told = self.get(at, operation, object(collection, id)?, T::ITEM).await;
        let node = self.settle::<T, _>(at, collection, id, told, None).await?;
        T::decode(&node).map_err(unusable)
    }

    /// Where a refusal does not say whether the object is there, the list of its collection does (`cms-protocol.md` 3.3): one
    /// that stood still, is whole and does not have it is a proof. Without it the refusal stays what it is. `unlisted`: what
    /// one that answers as a call bridge has said by having no such list either, for kinds that not every bridge lists.
    async fn settle<T: Record, R>(
        &self,
        at: Priority,
        collection: &str,
        id: &str,
        told: Result<R, CmsError>,
        unlisted: Option<Result<R, CmsError>>,
    ) -> Result<R, CmsError> {
        let error = match told {
            Err(error) if may_be_gone(&error) => error,
            told => return told,
        };
        let listed = self.may_be_listed::<T>(at, collection, id).await;
        let listed = if unlisted.is_some() { self.unless_unknown(at, listed).await } else { listed.map(Some) };
        match listed {
            Ok(Some(false)) => Err(gone()),
            Ok(None) => unlisted.unwrap_or(Err(error)),
            Ok(Some(true)) | Err(_) => Err(error),
        }
    }

    /// May the collection have this object? False is a proof.
    async fn may_be_listed<T: Record>(&self, at: Priority, collection: &str, id: &str) -> Result<bool, CmsError> {
        let asked = ListRequest { operation: "settle", path: format!("/{collection}"), filters: &[] };
        let listed = self.list::<T>(at, asked).await?;
        Ok(listed.unshown() != Some(0) || listed.items.iter().any(|item| item.key().eq_ignore_ascii_case(id)))
    }

    async fn create(
        &self,
        at: Priority,
        operation: &'static str,
        path: String,
        body: Form,
    ) -> Result<String, CmsError> {
        let request = Request { operation, method: Method::POST, path: path.clone(), query: Form::new(), body };
        created_id(self.send(at, request).await?.location.as_deref(), &path)
    }

    /// Changes one object. Where a refusal does not say whether it is there, a look at it does: a list of thousands is not
    /// read as long as it shows.
    async fn put<T: Record>(
        &self,
        at: Priority,
        operation: &'static str,
        collection: &str,
        id: &str,
        body: Form,
    ) -> Result<(), CmsError> {
        let path = object(collection, id)?;
        let request = Request { operation, method: Method::PUT, path, query: Form::new(), body };
        match self.send(at, request).await {
            Err(error) if may_be_gone(&error) => match self.get_one::<T>(at, "settle", collection, id).await {
                Err(gone @ CmsError::NotFound { .. }) => Err(gone),
                _ => Err(error),
            },
            sent => sent.map(drop),
        }
    }

    /// Removes one object. `Ok(false)`: it was not there, which is as good (`cms-protocol.md` 13, quirk 13).
    async fn delete<T: Record>(
        &self,
        at: Priority,
        operation: &'static str,
        collection: &str,
        id: &str,
    ) -> Result<bool, CmsError> {
        let path = match object(collection, id) {
            Ok(path) => path,
            Err(_) => return Ok(false),
        };
        let request = Request { operation, method: Method::DELETE, path, query: Form::new(), body: Form::new() };
        let sent = self.send(at, request).await;
        match self.settle::<T, _>(at, collection, id, sent, None).await {
            Ok(_) => Ok(true),
            Err(CmsError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
