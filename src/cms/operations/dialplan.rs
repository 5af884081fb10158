//! The dial plan, and who uses a number (`cms-api.md` section 8).

use std::fmt;

use reqwest::Method;

use super::super::decode;
use super::super::error::CmsError;
use super::super::failure;
use super::super::form::Form;
use super::super::gate::Priority;
use super::super::http::{Client, Request};
use super::super::model::{InboundDialRule, Listing, OutboundDialRule};
use super::super::paging::ListRequest;

/// What uses a URI on the bridge already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriOwner {
    /// The element's name as the bridge spells it, for example `userId` or `coSpaceId`.
    pub kind: String,
    /// The object's id.
    pub id: String,
}

impl fmt::Display for UriOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

impl Client {
    /// `POST uriUsageQuery` (from 2.3 on): what uses this URI, `None` if nothing does. Changes nothing on the bridge.
    ///
    /// # Errors
    /// See [`CmsError`]; [`CmsError::NotFound`] on older bridges.
    pub async fn uri_usage(&self, at: Priority, uri: &str) -> Result<Option<UriOwner>, CmsError> {
        let request = Request {
            operation: "uri_usage",
            method: Method::POST,
            path: "/uriUsageQuery".to_owned(),
            query: Form::new(),
            body: Form::new().with("uri", uri),
        };
        let node = self.read(at, request, "uriUsageQuery").await?;
        // Which elements there can be is known only in part, so any that names something will do.
        let used = node.children().iter().find(|child| !child.is("uri") && !child.text().trim().is_empty());
        Ok(used.map(|child| {
            let id = child.text().trim();
            let id = if decode::is_id(id) { id } else { "unprintable" };
            UriOwner { kind: failure::word(child.name()), id: id.to_owned() }
        }))
    }

    /// `GET outboundDialPlanRules`: where calls to a domain go (R65).
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn outbound_dial_rules(&self, at: Priority) -> Result<Listing<OutboundDialRule>, CmsError> {
        let path = "/outboundDialPlanRules".to_owned();
        self.list(at, ListRequest { operation: "outbound_dial_rules", path, filters: &[] }).await
    }

    /// `GET inboundDialPlanRules`: which domains reach a space.
    ///
    /// # Errors
    /// See [`CmsError`].
    pub async fn inbound_dial_rules(&self, at: Priority) -> Result<Listing<InboundDialRule>, CmsError> {
        let path = "/inboundDialPlanRules".to_owned();
        self.list(at, ListRequest { operation: "inbound_dial_rules", path, filters: &[] }).await
    }
}
