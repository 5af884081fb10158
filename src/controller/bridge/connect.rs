//! The connections of a bridge: which call bridges it has, their credentials, CA bundle, clients. Each is made anew
//! whenever something it is made from changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;

use crate::api::MeetingBridge;
use crate::api::bridge::{Alternate, CaBundleKind, CallBridgeRole, FailbackPolicy, MaintenanceMode, MemberStatus};
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::{ObjectKey, USE_CREDENTIALS, USE_LABEL};
use crate::cluster::{CallBridge, Cluster, Untaken};
use crate::cms::{Address, Class, Client, Credentials, ErrorClass, Gate, GateConfig, Limits, Priority, TlsOptions};
use crate::controller::context::Context;
use crate::controller::kube_calls::KubeError;
use crate::metrics::{BridgeLabels, BridgeObserver};
use crate::plan::bridge::Problem;
use crate::plan::failover::{Membership, Policy};
use crate::status::bridge::UnusableAlternate;

/// Why there is no connection: trouble that a user can mend, or the apiserver's.
pub enum NotConnected {
    Problem(Problem),
    Kube(KubeError),
}

impl From<KubeError> for NotConnected {
    fn from(error: KubeError) -> Self {
        Self::Kube(error)
    }
}

fn problem(condition: &'static str, reason: &'static str, message: String) -> NotConnected {
    NotConnected::Problem(Problem { condition, reason, message })
}

/// Where there are other call bridges to go to, a silent one is not waited for as long as the only one.
const CLUSTER_CONNECT: Duration = Duration::from_secs(2);

/// A call bridge besides the primary that the spec asks for.
struct Wanted {
    name: String,
    address: Address,
    role: CallBridgeRole,
    /// The cluster itself names it as one of its own.
    is_member: bool,
    secret: String,
}

impl Wanted {
    fn membership(&self) -> Membership {
        if self.is_member { Membership::Member } else { Membership::Unproven }
    }
}

/// The connection of a bridge: its cluster, and the alternates that cannot be used.
pub struct Connected {
    pub cluster: Arc<Cluster>,
    pub unusable: Vec<UnusableAlternate>,
    /// Alternates whose address the cluster has not told yet.
    pub unresolved: Vec<String>,
    /// The spec names another cluster, but this is still the former one, at this address.
    pub former: Option<Address>,
    /// New credentials are refused where those before work, in words.
    pub refused: Option<String>,
}

/// The cluster of a bridge, with clients made from what the spec, the Secrets and the CA bundle say now, and the
/// alternates that cannot be used.
///
/// # Errors
/// [`NotConnected`].
pub async fn connect(ctx: &Context, bridge: &MeetingBridge) -> Result<Connected, NotConnected> {
    let key = ObjectKey::of(bridge);
    let address: Address = bridge
        .spec
        .address
        .parse()
        .map_err(|error| problem(types::REACHABLE, reason::DNS_FAILURE, format!("spec.address: {error}")))?;
    let known = ctx.clusters.get(&key);
    if let Some(cluster) = &known
        && let Some(former) = former_address(ctx, bridge, cluster, &address)
    {
        // With the clients that there are: new credentials are not for the former cluster.
        let cluster = Arc::clone(cluster);
        return Ok(Connected {
            cluster,
            unusable: Vec::new(),
            unresolved: Vec::new(),
            former: Some(former),
            refused: None,
        });
    }
    let maker = Maker { ctx, bridge, known: known.as_deref() };
    let primary = maker.call_bridge(&address, &bridge.spec.credentials_secret_ref.name).await?;
    let Others { wanted, mut unusable, unresolved } = others(bridge, &address);
    let mut call_bridges = vec![(Arc::clone(&primary), CallBridgeRole::Primary, Membership::Member)];
    for other in wanted {
        match maker.call_bridge(&other.address, &other.secret).await {
            Ok(call_bridge) => call_bridges.push((call_bridge, other.role, other.membership())),
            Err(NotConnected::Problem(problem)) => {
                let reason = reason::ALTERNATE_CREDENTIALS_INVALID;
                unusable.push(UnusableAlternate { name: other.name, reason, message: problem.message });
            }
            Err(error @ NotConnected::Kube(_)) => return Err(error),
        }
    }
    let refused = call_bridges.iter().find_map(|(call_bridge, ..)| refusal(call_bridge));
    let mut recorded = None;
    let cluster = match known {
        Some(cluster) => {
            if cluster.primary().is_some_and(|before| before.address() != &address) {
                cluster.forget();
            }
            cluster
        }
        None => {
            // A restart of the controller is no reason to move: what was active then had been proven.
            let status = bridge.status.as_ref().filter(|_| members_of(bridge).is_some());
            recorded = status.and_then(|status| status.active_call_bridge.as_ref()?.parse().ok());
            for (call_bridge, _, membership) in &mut call_bridges {
                if recorded.as_ref() == Some(call_bridge.address()) {
                    *membership = Membership::Member;
                }
            }
            let cluster = Arc::new(Cluster::new(key.clone(), ctx.cluster_env(&key), primary));
            ctx.clusters.keep(Arc::clone(&cluster));
            cluster
        }
    };
    cluster.arrange(call_bridges, policy(bridge), recorded.as_ref());
    unusable.extend(out_of_service(bridge, &cluster));
    if cluster.maintain(ctx.clock.now(), |at| maintenance(bridge, at)) {
        ctx.wakes.meetings(ctx.bookings.due(&key, ctx.clock.now()));
    }
    Ok(Connected { cluster, unusable, unresolved, former: None, refused })
}

/// What is told of new credentials that a call bridge does not take.
fn refusal(call_bridge: &CallBridge) -> Option<String> {
    let untaken = call_bridge.untaken().filter(|untaken| untaken.refusals > 0)?;
    let secret = untaken.credentials.split('/').next().unwrap_or_default();
    Some(format!(
        "{} refuses what the Secret {secret} holds now; the credentials before work, and are used. Give the user of the \
         bridge this password, and the role api, or put the former ones back; the new ones are tried again after 15 minutes, \
         when the Secret changes, and when the former ones work no more",
        call_bridge.address()
    ))
}

/// Does the spec mean this call bridge by this name or address?
fn is_meant(bridge: &MeetingBridge, name: &str, address: &Address) -> bool {
    let is_primary = |member: &&MemberStatus| member.primary && bridge.spec.address.parse().as_ref() == Ok(address);
    let mut members = members_of(bridge).unwrap_or_default().iter().filter(|member| member.name == name);
    name.parse().as_ref() == Ok(address) || members.any(|member| member.is_at(address) || is_primary(&member))
}

/// What the spec says of a call bridge; of several the strictest counts.
fn maintenance(bridge: &MeetingBridge, address: &Address) -> MaintenanceMode {
    let of_it = bridge.spec.maintenance.iter().filter(|entry| is_meant(bridge, &entry.call_bridge, address));
    of_it.map(|entry| entry.mode).max().unwrap_or_default()
}

/// What spec.maintenance names and is none of the call bridges that are used. Before the cluster's table was read a name
/// may still turn out to be one.
fn out_of_service(bridge: &MeetingBridge, cluster: &Cluster) -> Vec<UnusableAlternate> {
    let table = cluster.health_table();
    let is_known = |name: &str| table.iter().any(|known| is_meant(bridge, name, &known.address));
    let unknown = bridge.spec.maintenance.iter().filter(|entry| !is_known(&entry.call_bridge));
    let unknown = unknown.filter(|_| members_of(bridge).is_some()).map(|entry| UnusableAlternate {
        name: entry.call_bridge.clone(),
        reason: reason::MAINTENANCE_UNKNOWN,
        message: "spec.maintenance names it, but it is none of status.callBridges".to_owned(),
    });
    unknown.collect()
}

/// An edit of the address waits while meetings hold slots on the former cluster, so that these are shut where they are; a
/// deletion takes away there what was made there. One that does not answer is not waited for. Another address of the same
/// cluster is none of this.
fn former_address(ctx: &Context, bridge: &MeetingBridge, cluster: &Cluster, address: &Address) -> Option<Address> {
    let former = cluster.primary()?.address().clone();
    let is_same = former == *address || is_named(cluster.members().as_ref().map(|read| &*read.members), address);
    let is_needed = bridge.metadata.deletion_timestamp.is_some() || !ctx.bookings.held(cluster.key()).is_empty();
    (!is_same && is_needed && cluster.active_error().is_none()).then_some(former)
}

/// The call bridges that the cluster at the address of the spec names for itself; what was read elsewhere does not count.
fn members_of(bridge: &MeetingBridge) -> Option<&[MemberStatus]> {
    let cluster = bridge.status.as_ref()?.cluster.as_ref()?;
    cluster.is_of(&bridge.spec.address).then_some(cluster.members.as_slice())
}

fn policy(bridge: &MeetingBridge) -> Policy {
    let failover = &bridge.spec.failover;
    let automatic = failover.failback.policy == FailbackPolicy::Automatic;
    let failback = automatic.then(|| failover.failback.after.signed());
    Policy { threshold: failover.failure_threshold, failback }
}

/// The call bridges besides the primary, in their order, and the alternates that are none.
#[derive(Default)]
struct Others {
    wanted: Vec<Wanted>,
    unusable: Vec<UnusableAlternate>,
    unresolved: Vec<String>,
}

fn others(bridge: &MeetingBridge, primary: &Address) -> Others {
    let failover = &bridge.spec.failover;
    let own = &bridge.spec.credentials_secret_ref.name;
    let members = members_of(bridge);
    let mut others = Others::default();
    let mut seen = BTreeSet::from([primary.clone()]);
    for alternate in &failover.alternates {
        let name = alternate.address.clone().or_else(|| alternate.call_bridge.clone()).unwrap_or_default();
        match resolve(alternate, members, primary) {
            Ok(Some(address)) if seen.insert(address.clone()) => {
                let secret = alternate.credentials_secret_ref.as_ref().map_or(own, |secret| &secret.name).clone();
                let is_member = is_named(members, &address);
                others.wanted.push(Wanted { name, address, role: CallBridgeRole::Alternate, is_member, secret });
            }
            Ok(Some(_)) => {}
            Ok(None) => others.unresolved.push(name),
            Err((reason, message)) => others.unusable.push(UnusableAlternate { name, reason, message }),
        }
    }
    for member in members.unwrap_or_default().iter().filter(|member| failover.discover && !member.primary) {
        let address = member.address.as_deref().and_then(|text| Address::from_bridge_table(text).ok());
        if let Some(address) = address.filter(|address| seen.insert(address.clone())) {
            let (name, role) = (member.name.clone(), CallBridgeRole::Discovered);
            others.wanted.push(Wanted { name, address, role, is_member: true, secret: own.clone() });
        }
    }
    others
}

/// Does the cluster name this address for one of its call bridges, which is not the primary?
fn is_named(members: Option<&[MemberStatus]>, address: &Address) -> bool {
    members.unwrap_or_default().iter().any(|member| !member.primary && member.is_at(address))
}

/// The address of an alternate; None: it is found in the table of call bridges, which was not read yet.
fn resolve(
    alternate: &Alternate,
    members: Option<&[MemberStatus]>,
    primary: &Address,
) -> Result<Option<Address>, (&'static str, String)> {
    let foreign = |message: &str| Err((reason::ALTERNATE_NOT_IN_CLUSTER, message.to_owned()));
    let is_primary = || Err((reason::ALTERNATE_IS_PRIMARY, "it is the call bridge of spec.address itself".to_owned()));
    if let Some(text) = &alternate.address {
        return match text.parse::<Address>() {
            Ok(address) if address == *primary => is_primary(),
            Ok(address) => Ok(Some(address)),
            Err(error) => foreign(&error.to_string()),
        };
    }
    let (Some(name), Some(members)) = (&alternate.call_bridge, members) else { return Ok(None) };
    let Some(member) = members.iter().find(|member| member.name == *name) else {
        return foreign("the cluster has no call bridge of this name; status.cluster.members shows them");
    };
    if member.primary {
        return is_primary();
    }
    match member.address.as_deref().map(Address::from_bridge_table) {
        Some(Ok(address)) if address == *primary => is_primary(),
        Some(Ok(address)) => Ok(Some(address)),
        Some(Err(error)) => foreign(&format!("the cluster names an address that cannot be used: {error}")),
        None => foreign("the cluster names no address for this call bridge; give its address instead"),
    }
}

/// Makes the call bridges of one bridge.
struct Maker<'a> {
    ctx: &'a Context,
    bridge: &'a MeetingBridge,
    known: Option<&'a Cluster>,
}

impl Maker<'_> {
    /// The call bridge at an address: the known one if nothing changed, else one with a new client.
    async fn call_bridge(&self, address: &Address, secret: &str) -> Result<Arc<CallBridge>, NotConnected> {
        let fingerprint = self.fingerprint(address, secret);
        let known = self.known.and_then(|cluster| cluster.call_bridge(address));
        let is_due = |call_bridge: &CallBridge| {
            let accepts = call_bridge.client().gate().accepts_credentials();
            call_bridge.untaken().is_some_and(|untaken| untaken.is_due(accepts))
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
            || {
                let config = GateConfig { in_flight: ctx.settings.in_flight, ..GateConfig::default() };
                Arc::new(Gate::new(config, rand::random()).with_fence(ctx.kube.fence().clone()))
            },
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
                    self.untaken(call_bridge, &version, || client(credentials.clone(), own_gate())).await?
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
        version: &str,
        client: impl FnOnce() -> Result<Client, NotConnected>,
    ) -> Result<Option<Untaken>, NotConnected> {
        let accepts = call_bridge.client().gate().accepts_credentials();
        let before = call_bridge.untaken().filter(|before| before.credentials == version);
        let refusals = before.as_ref().map_or(0, |before| before.refusals);
        if let Some(before) = before.filter(|before| !before.is_due(accepts)) {
            return Ok(Some(before));
        }
        let untaken =
            |refusals| Untaken { credentials: version.to_owned(), refusals, tried_at: tokio::time::Instant::now() };
        // The pass of the bridge does not wait for one that is known to be away.
        if accepts == Some(true) && self.known.is_some_and(|known| known.health(call_bridge.address()).is_down()) {
            return Ok(Some(untaken(refusals)));
        }
        let at = Priority::new(Class::Read, self.ctx.clock.now()).urgent();
        let Err(error) = client()?.system_status(at).await else { return Ok(None) };
        tracing::warn!(call_bridge = %call_bridge.address(), %error, "new credentials are not taken; those before are used");
        Ok(Some(untaken(refusals.saturating_add(u32::from(error.class() == ErrorClass::Auth)))))
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
    Arc::new(Gate::new(GateConfig { in_flight: 1, ..GateConfig::default() }, rand::random()))
}

/// Did this call bridge let us in with these very credentials when the controller ran last?
fn is_accepted(bridge: &MeetingBridge, address: &Address, version: &str) -> bool {
    let mut known = bridge.status.iter().flat_map(|status| &status.call_bridges);
    known.any(|known| known.address == address.to_string() && known.accepted_credentials.as_deref() == Some(version))
}

/// The apiserver does not give us what is there, or may be.
fn unreadable(kind: &str, name: &str, error: KubeError) -> NotConnected {
    if !error.is_trouble() {
        return error.into();
    }
    let message = format!("the {kind} {name} cannot be read: {error}");
    problem(types::CREDENTIALS_VALID, reason::SECRET_UNREADABLE, message)
}

/// The credentials in a Secret, and what tells them from those that it held at another time.
async fn credentials(ctx: &Context, bridge: &MeetingBridge, name: &str) -> Result<(Credentials, String), NotConnected> {
    let api: Api<Secret> = ctx.kube.api(&bridge.namespace().unwrap_or_default());
    let found = ctx.kube.bounded("get Secret", api.get_opt(name)).await;
    let Some(secret) = found.map_err(|error| unreadable("Secret", name, error))? else {
        let message = format!("the Secret {name} of credentialsSecretRef does not exist");
        return Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message));
    };
    if !ctx.may_send(&secret, USE_CREDENTIALS) {
        let message =
            format!("the Secret {name} of credentialsSecretRef lacks the label {USE_LABEL}={USE_CREDENTIALS}");
        return Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_LABELLED, message));
    }
    let read = |key: &str| -> Result<String, NotConnected> {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let text = value.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            let message = format!("the Secret {name} has no usable key {key}");
            problem(types::CREDENTIALS_VALID, reason::KEY_MISSING, message)
        })
    };
    if name == bridge.spec.credentials_secret_ref.name
        && let Some(at) = last_written(&secret)
    {
        let labels = BridgeLabels::from(&ObjectKey::of(bridge));
        ctx.metrics.credentials_changed.get_or_create(&labels).set(at.as_second());
    }
    // What `kubectl create secret --from-file` leaves there: a line break at the end, a byte order mark of some editors.
    let trim = |text: String| text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']).to_owned();
    let password = SecretString::from(trim(read("password")?));
    let version = format!("{name}/{}", secret.resource_version().unwrap_or_default());
    Ok((Credentials { username: trim(read("username")?), password }, version))
}

/// When what is in the Secret was last written, by whoever did; passwords of a CMS grow old (cms-protocol.md 1.2).
fn last_written(secret: &Secret) -> Option<Timestamp> {
    let writers = secret.metadata.managed_fields.iter().flatten();
    let of_data =
        writers.filter(|writer| writer.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:data").is_some()));
    let written = of_data.filter_map(|writer| writer.time.as_ref()).map(|time| time.0).max();
    written.or(secret.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

async fn ca_bundle(ctx: &Context, bridge: &MeetingBridge) -> Result<Option<Vec<u8>>, NotConnected> {
    let Some(reference) = &bridge.spec.tls.ca_bundle_ref else { return Ok(None) };
    let namespace = bridge.namespace().unwrap_or_default();
    let (name, key) = (&reference.name, &reference.key);
    let found: Option<Option<Vec<u8>>> = match reference.kind {
        CaBundleKind::Secret => {
            let api: Api<Secret> = ctx.kube.api(&namespace);
            let found = ctx.kube.bounded("get Secret", api.get_opt(name)).await;
            let secret = found.map_err(|error| unreadable("Secret", name, error))?;
            secret.map(|secret| secret.data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
        }
        CaBundleKind::ConfigMap => {
            let api: Api<ConfigMap> = ctx.kube.api(&namespace);
            let found = ctx.kube.bounded("get ConfigMap", api.get_opt(name)).await;
            let map = found.map_err(|error| unreadable("ConfigMap", name, error))?;
            map.map(|map| {
                let text = map.data.unwrap_or_default().get(key).map(|text| text.clone().into_bytes());
                text.or_else(|| map.binary_data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
            })
        }
    };
    match found {
        None => {
            let message = format!("the {:?} {name} of tls.caBundleRef does not exist", reference.kind);
            Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message))
        }
        Some(None) => {
            let message = format!("the {:?} {name} of tls.caBundleRef has no key {key}", reference.kind);
            Err(problem(types::CREDENTIALS_VALID, reason::KEY_MISSING, message))
        }
        Some(Some(bytes)) => Ok(Some(bytes)),
    }
}
