//! The bridge itself and its cluster.

use super::super::decode;
use super::super::error::{CmsError, ErrorClass};
use super::super::http::Client;
use super::super::model::{CallBridgeId, ClusterMember, Database, Listing, SystemStatus};
use super::super::paging::ListRequest;
use super::super::priority::Priority;
use super::unusable;

impl Client {
    /// `GET system/status` (R44).
    ///
    /// # Errors
    /// [`CmsError::NotACms`] if what answers is something else.
    pub async fn system_status(&self, at: Priority) -> Result<SystemStatus, CmsError> {
        let status = self.get(at, "system_status", "/system/status".to_owned(), "status").await;
        match status {
            Ok(node) => decode::system_status(&node).map_err(unusable),
            // Every call bridge has this node, so whatever answers like this is another kind of server.
            Err(CmsError::NotFound { .. }) => Err(CmsError::NotACms),
            Err(error) => Err(error),
        }
    }

    /// `GET callBridges` (R47): every member of the cluster, including the one that is asked; none if it is alone.
    pub async fn call_bridges(&self, at: Priority) -> Result<Listing<ClusterMember>, CmsError> {
        let asked = ListRequest { operation: "call_bridges", path: "/callBridges".to_owned(), filters: &[] };
        self.list(at, asked).await
    }

    /// `GET callBridges/{id}` (R47).
    pub async fn call_bridge(&self, at: Priority, id: &CallBridgeId) -> Result<ClusterMember, CmsError> {
        self.get_one(at, "call_bridge", "callBridges", id.as_str()).await
    }

    /// What was told by a node that not every bridge has. `None`: this one does not have it, by the word of the API, or by that
    /// of the framework behind it, which may look like anything. Whoever answers as a call bridge all the same is one.
    ///
    /// # Errors
    /// Whatever else was told instead: no connection, refused credentials, busy, a gateway, a server that failed, a reply that
    /// is cut off.
    pub async fn unless_unknown<T>(&self, at: Priority, told: Result<T, CmsError>) -> Result<Option<T>, CmsError> {
        let error = match told {
            Ok(told) => return Ok(Some(told)),
            Err(error) => error,
        };
        let may_be_framework = match &error {
            CmsError::NotACms | CmsError::HttpError { status: 400..=499 | 501 } => true,
            CmsError::Rejected { status, .. } if *status >= 500 => false,
            error if matches!(error.class(), ErrorClass::NotFound | ErrorClass::Invalid) => return Ok(None),
            _ => false,
        };
        if may_be_framework && self.system_status(at).await.is_ok() { Ok(None) } else { Err(error) }
    }

    /// The name under which this call bridge stands in the cluster's table; `None` if it has none, or does not tell: not
    /// every bridge has this node, and not every user may read it. The only way for a bridge to be found in its own table
    /// (`cms-protocol.md` 4.3).
    pub async fn cluster_unique_name(&self, at: Priority) -> Result<Option<String>, CmsError> {
        let path = "/system/configuration/cluster".to_owned();
        let told = match self.get(at, "cluster_configuration", path, "cluster").await {
            Err(CmsError::Forbidden) => return Ok(None),
            // Another document: it is only a name, and is asked for again.
            Err(CmsError::MalformedReply { .. }) if self.system_status(at).await.is_ok() => return Ok(None),
            told => self.unless_unknown(at, told).await?,
        };
        let name = told.and_then(|node| node.text_of("uniqueName").map(str::to_owned));
        Ok(name.filter(|name| !name.trim().is_empty()))
    }

    /// `GET system/database`: whether there is a primary node.
    pub async fn database(&self, at: Priority) -> Result<Database, CmsError> {
        let node = self.get(at, "database", "/system/database".to_owned(), "database").await?;
        Ok(decode::database(&node))
    }
}
