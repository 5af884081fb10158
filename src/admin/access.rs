//! Who may read /metrics: whoever the apiserver knows and lets. It is asked by TokenReview and SubjectAccessReview.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// How long an answer of the apiserver counts: two scrapes in most places.
const MEMORY: Duration = Duration::from_secs(60);

/// The answers that are kept. Nobody but Prometheus should ask; a flood of tokens is not to fill the memory.
const REMEMBERED: usize = 64;

/// Questions to the apiserver at one time, and how long one may take with its wait.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the apiserver, and remembers the answers for a while.
pub struct Access {
    client: Client,
    known: Mutex<HashMap<String, (Instant, StatusCode)>>,
    asking: Semaphore,
}

impl Access {
    /// Asks with this client, whose account needs what the ClusterRole system:auth-delegator has.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default(), asking: Semaphore::new(AT_ONCE) }
    }

    /// 200 for somebody who may read, 403 for somebody who may not, 401 for nobody who is known.
    pub(super) async fn judge(&self, headers: &HeaderMap) -> StatusCode {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = given.and_then(|value| value.split_once(' ')) else {
            return StatusCode::UNAUTHORIZED;
        };
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return StatusCode::UNAUTHORIZED;
        }
        if let Some(status) = self.remembered(token) {
            return status;
        }
        let asked = timeout(PATIENCE, async {
            let _turn = self.asking.acquire().await.ok();
            match self.remembered(token) {
                Some(status) => Ok(status),
                None => self.ask(token).await,
            }
        });
        match asked.await {
            Ok(Ok(status)) => self.remember(token, status),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the apiserver does not say who may read /metrics");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn remembered(&self, token: &str) -> Option<StatusCode> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(token).filter(|(at, _)| at.elapsed() < MEMORY).map(|(_, status)| *status)
    }

    fn remember(&self, token: &str, status: StatusCode) -> StatusCode {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < MEMORY);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(token.to_owned(), (Instant::now(), status));
        status
    }

    async fn ask(&self, token: &str) -> kube::Result<StatusCode> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let said = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?.status;
        let known = said.filter(|status| status.authenticated == Some(true)).and_then(|status| status.user);
        let Some(UserInfo { username, groups, uid, extra }) = known else { return Ok(StatusCode::UNAUTHORIZED) };
        let wanted = NonResourceAttributes { path: Some("/metrics".to_owned()), verb: Some("get".to_owned()) };
        let spec = SubjectAccessReviewSpec {
            user: username,
            groups,
            uid,
            extra,
            non_resource_attributes: Some(wanted),
            resource_attributes: None,
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let said = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?.status;
        Ok(if said.is_some_and(|status| status.allowed) { StatusCode::OK } else { StatusCode::FORBIDDEN })
    }
}
