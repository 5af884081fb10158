//! The client of a call bridge, made anew whenever something it is made from changes; and the trial of new credentials.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::secrets::{ca_bundle, credentials};
use super::{NotConnected, problem};
use crate::api::MeetingBridge;
use crate::api::bridge::CaBundleKind;
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::{ObjectKey, RECONCILE_ANNOTATION};
use crate::cluster::{CallBridge, Cluster, Untaken};
use crate::cms::{Address, Class, Client, Credentials, ErrorClass, Gate, Limits, Priority, TlsOptions};
use crate::controller::context::Context;
use crate::metrics::BridgeObserver;

/// So long a process that connects for the first time waits for the Secret of the call bridge that does the work.
const ACTIVE_PATIENCE: Duration = Duration::from_secs(60);

/// Where there are other call bridges to go to, a silent one is not waited for as long as the only one.
const CLUSTER_CONNECT: Duration = Duration::from_secs(2);

/// Makes the call bridges of one bridge.
pub(super) struct Maker<'a> {
    pub(super) ctx: &'a Context,
    pub(super) bridge: &'a MeetingBridge,
    pub(super) known: Option<&'a Cluster>,
}

impl Maker<'_> {
    /// Did this call bridge do the work when a process last looked, and has this one just begun to connect? A cluster that begins
    /// without it would take the work away from it, and make calls a second time that go on there.
    pub(super) fn waits_for(&self, address: &Address) -> bool {
        let active = self.bridge.status.as_ref().and_then(|status| status.active_call_bridge.as_ref()?.parse().ok());
        active.as_ref() == Some(address) && self.ctx.clusters.tried_for(&ObjectKey::of(self.bridge)) < ACTIVE_PATIENCE
    }

    /// The call bridge at an address: the known one if nothing changed, else one with a new client.
    pub(super) async fn call_bridge(&self, address: &Address, secret: &str) -> Result<Arc<CallBridge>, NotConnected> {
        let fingerprint = self.fingerprint(address, secret);
        let known = self.known.and_then(|cluster| cluster.call_bridge(address));
        let is_due = |call_bridge: &CallBridge| {
            let accepts = call_bridge.client().gate().accepts_credentials();
            call_bridge.untaken().is_some_and(|untaken| untaken.is_due(accepts, self.asked()))
        };
        if let Some(call_bridge) = known.as_ref().filter(|known| known.is_made_with(&fingerprint) && !is_due(known)) {
            return Ok(Arc::clone(call_bridge));
        }
        let is_leaving = self.bridge.metadata.deletion_timestamp.is_some();
        // Nothing changed: it is only tried again whether newer credentials are taken by now.
        let is_good = known.as_ref().is_some_and(|known| known.is_made_with(&fingerprint));
        match (known.clone(), self.make(address, secret, fingerprint, known).await) {
            // Its Secret or CA bundle went with it, or before it: what was used last serves until it is gone.
            (Some(call_bridge), Err(_)) if is_leaving || is_good => Ok(call_bridge),
            (_, made) => made,
        }
    }

    async fn make(
        &self,
        address: &Address,
        secret: &str,
        fingerprint: String,
        known: Option<Arc<CallBridge>>,
    ) -> Result<Arc<CallBridge>, NotConnected> {
        let (ctx, bridge) = (self.ctx, self.bridge);
        let (credentials, version) = credentials(ctx, bridge, secret).await?;
        let tls = TlsOptions {
            ca_bundle_pem: ca_bundle(ctx, bridge).await?,
            server_name: bridge.spec.tls.server_name.clone(),
            insecure_skip_verify: bridge.spec.tls.insecure_skip_verify,
        };
        let gate = known.as_ref().map_or_else(
            || Arc::new(Gate::new(ctx.settings.in_flight, rand::random()).with_fence(ctx.kube.fence().clone())),
            |call_bridge| Arc::clone(call_bridge.client().gate()),
        );
        let client = |credentials: Credentials, gate: Arc<Gate>| {
            let observer = Arc::new(BridgeObserver::new(Arc::clone(&ctx.metrics), ObjectKey::of(bridge)));
            let egress = Arc::clone(&ctx.settings.egress);
            Client::new(address.clone(), credentials, tls.clone(), self.limits(), egress, gate, observer)
                .map_err(|error| problem(types::REACHABLE, reason::TLS_FAILURE, error.to_string()))
        };
        let mut is_tried = false;
        if let Some(call_bridge) = known.as_ref().filter(|known| known.client().gate().trusts_credentials()) {
            let former = call_bridge.client().credentials().clone();
            // Whoever changes the Secret before the bridge is not to lose meetings by it.
            if !former.is_same(&credentials) {
                if let Some(untaken) =
                    self.untaken(call_bridge, (&credentials, &version), |words| client(words, own_gate())).await?
                {
                    call_bridge.keep_credentials(client(former, gate)?, fingerprint, untaken);
                    return Ok(Arc::clone(call_bridge));
                }
                is_tried = true;
            }
        }
        let client = client(credentials, gate)?;
        if is_tried || is_accepted(bridge, address, &version) {
            client.gate().worked_before();
        }
        let Some(call_bridge) = known else { return Ok(Arc::new(CallBridge::new(client, fingerprint, version))) };
        // The Secret may have been changed to the same words: the user asks for another try all the same. The version that was
        // read may be ahead of the one that the watch has told of; when that follows nothing is new.
        if !call_bridge.is_tried_with(&version) {
            client.gate().lift_block();
        }
        call_bridge.replace_client(client, fingerprint, version);
        if let Some(cluster) = self.known {
            cluster.forget_health(address);
        }
        Ok(call_bridge)
    }

    /// Tries new credentials with one request while those before work. None: the call bridge takes them.
    async fn untaken(
        &self,
        call_bridge: &CallBridge,
        (words, version): (&Credentials, &str),
        client: impl FnOnce(Credentials) -> Result<Client, NotConnected>,
    ) -> Result<Option<Untaken>, NotConnected> {
        let (accepts, asked) = (call_bridge.client().gate().accepts_credentials(), self.asked());
        let before = call_bridge.untaken().and_then(|before| before.renewed(words, version));
        let refusals = before.as_ref().map_or(0, |before| before.refusals);
        if let Some(before) = before.filter(|before| !before.is_due(accepts, asked)) {
            return Ok(Some(before));
        }
        let untaken = |refusals| Untaken {
            credentials: version.to_owned(),
            words: words.clone(),
            asked: asked.map(str::to_owned),
            refusals,
            tried_at: tokio::time::Instant::now(),
        };
        // The pass of the bridge does not wait for one that is known to be away.
        if accepts == Some(true) && self.known.is_some_and(|known| known.health(call_bridge.address()).is_down()) {
            return Ok(Some(untaken(refusals)));
        }
        let at = Priority::new(Class::Read, self.ctx.clock.now()).urgent();
        let Err(error) = client(words.clone())?.system_status(at).await else { return Ok(None) };
        tracing::warn!(call_bridge = %call_bridge.address(), %error, "new credentials are not taken; those before are used");
        Ok(Some(untaken(refusals.saturating_add(u32::from(error.class() == ErrorClass::Auth)))))
    }

    /// The annotation that asks for a full look.
    fn asked(&self) -> Option<&str> {
        self.bridge.annotations().get(RECONCILE_ANNOTATION).map(String::as_str)
    }

    fn limits(&self) -> Limits {
        let limits = self.ctx.settings.limits;
        if !self.bridge.spec.failover.is_used() {
            return limits;
        }
        let request = limits.request.min(self.ctx.settings.cluster_request);
        Limits { connect: limits.connect.min(CLUSTER_CONNECT), request, ..limits }
    }

    /// Changes with everything the connection is made from; Secrets and ConfigMaps count by their version.
    fn fingerprint(&self, address: &Address, secret: &str) -> String {
        let ctx = self.ctx;
        let namespace = self.bridge.namespace().unwrap_or_default();
        let tls = &self.bridge.spec.tls;
        let secret_version = |name: &str| {
            ctx.stores.secrets.get(&ObjectRef::new(name).within(&namespace)).and_then(|meta| meta.resource_version())
        };
        let ca = tls.ca_bundle_ref.as_ref().map(|reference| match reference.kind {
            CaBundleKind::Secret => (reference.clone(), secret_version(&reference.name)),
            CaBundleKind::ConfigMap => {
                let meta = ctx.stores.config_maps.get(&ObjectRef::new(&reference.name).within(&namespace));
                (reference.clone(), meta.and_then(|meta| meta.resource_version()))
            }
        });
        let (name, insecure) = (&tls.server_name, tls.insecure_skip_verify);
        format!(
            "{:?}",
            (address, secret, secret_version(secret), ca, name, insecure, self.bridge.spec.failover.is_used())
        )
    }
}

/// A gate for one request beside the others.
fn own_gate() -> Arc<Gate> {
    Arc::new(Gate::new(1, rand::random()))
}

/// Did this call bridge let us in with these very credentials when the controller ran last?
fn is_accepted(bridge: &MeetingBridge, address: &Address, version: &str) -> bool {
    let mut known = bridge.status.iter().flat_map(|status| &status.call_bridges);
    known.any(|known| known.address == address.to_string() && known.accepted_credentials.as_deref() == Some(version))
}

/// What is told of new credentials that call bridges do not take: every one that does not.
pub(super) fn refusals<'a>(call_bridges: impl Iterator<Item = &'a CallBridge>) -> Option<String> {
    let refusing = call_bridges.filter_map(|call_bridge| {
        let untaken = call_bridge.untaken().filter(|untaken| untaken.refusals > 0)?;
        let secret = untaken.credentials.split('/').next().unwrap_or_default();
        Some(format!("{} refuses what the Secret {secret} holds now", call_bridge.address()))
    });
    let refusing: Vec<String> = refusing.collect();
    (!refusing.is_empty()).then(|| {
        format!(
            "{}; the credentials before work there, and are used. Give the user there this password, and the role api, or put \
             the former ones back; the new ones are tried again after 15 minutes, when the Secret holds others, when \
             {RECONCILE_ANNOTATION} asks for it, and when the former ones work no more",
            refusing.join(", ")
        )
    })
}
