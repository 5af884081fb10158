//! Leader election: the Lease in Kubernetes, by the rules of `plan/election.rs`. I/O: the Lease, and the clock.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::names::FIELD_MANAGER;
use crate::fence::Fence;
use crate::plan::election::{Claim, Election, Moment, NOBODY, Next, Record, Written};

pub use crate::plan::election::Timing;

/// Which Lease decides who leads, and who stands for election.
#[derive(Clone)]
pub struct Candidacy {
    /// A client of its own without retries: they would hide how long there was no answer.
    pub client: Client,
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Ours alone, among all processes there ever are.
    pub identity: String,
    pub timing: Timing,
}

/// One process that stands for election.
pub struct Lead {
    api: Api<Lease>,
    candidacy: Candidacy,
    origin: Instant,
    election: Election,
    /// The record as it was last seen or written.
    last: LeaseSpec,
    /// The Lease that was last seen. A write names it: without that the apiserver makes a Lease that was removed anew.
    uid: Option<String>,
    /// The trouble that was last told, so that it is told once.
    trouble: Option<String>,
}

impl Lead {
    /// Nothing is sent.
    pub fn new(candidacy: Candidacy) -> Self {
        let api = Api::namespaced(candidacy.client.clone(), &candidacy.namespace);
        let election = Election::new(&candidacy.identity, candidacy.timing);
        Self { api, candidacy, origin: Instant::now(), election, last: LeaseSpec::default(), uid: None, trouble: None }
    }

    fn now(&self) -> Moment {
        self.origin.elapsed()
    }

    /// Stands for election, then leads: `elected` is told, and `fence` is open as long as it is certain that nobody
    /// else leads. Returns when the term is over. May be dropped at any time.
    pub async fn serve(&mut self, fence: &Fence, elected: &CancellationToken) {
        self.election.stand_again();
        loop {
            match self.election.next(self.now()) {
                Next::Wait(moment) => sleep_until(self.origin + moment).await,
                call => self.call(call).await,
            }
            if self.election.is_over(self.now()) {
                return;
            }
            if let Some(moment) = self.election.leads_until() {
                if !fence.hold_until(self.origin + moment) {
                    return;
                }
                elected.cancel();
            }
        }
    }

    async fn call(&mut self, call: Next) {
        let sent = self.now();
        self.election.begin(&call, sent);
        match call {
            Next::Read => {
                let answer = limited(self.limit(), self.api.get_opt(&self.candidacy.name)).await;
                if let Some(lease) = self.heard(answer) {
                    self.saw(lease);
                }
            }
            Next::Create => {
                let nobody = self.lease(self.spec(NOBODY, true), None);
                let answer = limited(self.limit(), self.api.create(&params(), &nobody)).await;
                if let Some(lease) = self.heard(answer) {
                    self.saw(Some(lease));
                }
            }
            Next::Write(claim) => self.claim(&claim, sent).await,
            Next::Wait(_) => {}
        }
    }

    async fn claim(&mut self, claim: &Claim, sent: Moment) {
        let spec = self.spec(&self.candidacy.identity, claim.is_transition);
        let lease = self.lease(spec, Some(claim.based_on.clone()));
        let answer = limited(self.limit(), self.api.replace(&self.candidacy.name, &params(), &lease)).await;
        let is_refused = matches!(answer, Err(Failed::Refused));
        let outcome = match self.heard(answer) {
            Some(lease) => {
                let version = lease.resource_version().unwrap_or_default();
                self.last = lease.spec.unwrap_or_default();
                Written::Done(version)
            }
            None if is_refused => Written::Refused,
            None => Written::Unknown,
        };
        self.election.wrote(outcome, sent, self.now());
    }

    fn saw(&mut self, lease: Option<Lease>) {
        let record = lease.map(|lease| {
            self.uid = lease.uid();
            let version = lease.resource_version().unwrap_or_default();
            self.last = lease.spec.unwrap_or_default();
            let seconds = self.last.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let holder = self.last.holder_identity.clone().unwrap_or_default();
            Record { version, holder, lease: Duration::from_secs(seconds.unwrap_or_default()) }
        });
        self.election.read(record, self.now());
    }

    fn limit(&self) -> Duration {
        self.candidacy.timing.call_limit()
    }

    /// None: no answer, or a bad one.
    fn heard<T>(&mut self, answer: Result<T, Failed>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.trouble = None;
                Some(answer)
            }
            Err(Failed::Refused) => None,
            Err(Failed::Unknown(trouble)) => {
                if self.trouble.as_ref() != Some(&trouble) {
                    let (namespace, name) = (&self.candidacy.namespace, &self.candidacy.name);
                    tracing::warn!(namespace, name, error = trouble, "the Lease cannot be read or written");
                    self.trouble = Some(trouble);
                }
                None
            }
        }
    }

    /// The record to write. Its times are for people.
    fn spec(&self, holder: &str, is_transition: bool) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let seconds = self.candidacy.timing.lease.as_secs_f64().ceil() as i32;
        let transitions = self.last.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds.max(1)),
            acquire_time: if is_transition { now.clone() } else { self.last.acquire_time.clone() },
            renew_time: now,
            lease_transitions: Some(transitions.saturating_add(i32::from(is_transition))),
            ..LeaseSpec::default()
        }
    }

    fn lease(&self, spec: LeaseSpec, version: Option<String>) -> Lease {
        let metadata = ObjectMeta {
            name: Some(self.candidacy.name.clone()),
            namespace: Some(self.candidacy.namespace.clone()),
            uid: self.uid.clone().filter(|_| version.is_some()),
            resource_version: version,
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Lets the lease go, so that the next one need not wait: nothing of ours is under way any more. If it fails, the
    /// next one waits for the length of the lease.
    pub async fn release(&mut self) {
        // The version may be in doubt, and a renewal of ours on its way.
        for _ in 0..2 {
            let answer = limited(self.limit(), self.api.get_opt(&self.candidacy.name)).await;
            let Some(Some(lease)) = self.heard(answer) else { return };
            let version = lease.resource_version();
            self.uid = lease.uid();
            self.last = lease.spec.unwrap_or_default();
            if self.last.holder_identity.as_deref() != Some(self.candidacy.identity.as_str()) {
                return;
            }
            let free = self.lease(LeaseSpec { acquire_time: None, ..self.spec("", false) }, version);
            let answer = limited(self.limit(), self.api.replace(&self.candidacy.name, &params(), &free)).await;
            if self.heard(answer).is_some() {
                tracing::info!("the lease is released");
                return;
            }
        }
    }
}

/// A call that did not do what it was to do.
enum Failed {
    /// Somebody else was faster.
    Refused,
    /// No answer, or another one; nobody knows what was done.
    Unknown(String),
}

async fn limited<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Err(Failed::Refused),
        Ok(Err(error)) => Err(Failed::Unknown(error.to_string())),
        Err(_) => Err(Failed::Unknown("no answer in time".to_owned())),
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}
