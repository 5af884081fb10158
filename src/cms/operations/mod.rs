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

/// The last segment of a `Location`, whatever stands before it (R40, `cms-protocol.md` 1.3). One that is a part of the path
/// that was posted to names the collection, or what it is below, and no new object.
fn created_id(location: Option<&str>, posted_to: &str) -> Result<String, CmsError> {
    let mut segments = ["api", "v1"].into_iter().chain(posted_to.split('/'));
    let mut is_older = |id: &str| segments.any(|segment| segment.eq_ignore_ascii_case(id));
    let path = location.unwrap_or_default().trim();
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((_, id)) if decode::is_id(id) && !is_older(id) => Ok(id.to_owned()),
        _ => Err(CmsError::AmbiguousCreate),
    }
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
        let node = self.get(at, operation, object(collection, id)?, T::ITEM).await?;
        T::decode(&node).map_err(unusable)
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

    async fn put(&self, at: Priority, operation: &'static str, path: String, body: Form) -> Result<(), CmsError> {
        let request = Request { operation, method: Method::PUT, path, query: Form::new(), body };
        self.send(at, request).await.map(drop)
    }

    /// Removes one object. `Ok(false)`: it was not there, which is as good (`cms-protocol.md` 13, quirk 13).
    async fn delete(
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
        match self.send(at, request).await {
            Ok(_) => Ok(true),
            Err(CmsError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
