//! The connections of a bridge: which call bridges it has. Their clients: `client.rs`; credentials and CA bundle:
//! `secrets.rs`.

mod client;
mod secrets;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::MeetingBridge;
use crate::api::bridge::{Alternate, CallBridgeRole, FailbackPolicy, MaintenanceMode, MemberStatus};
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::ObjectKey;
use crate::cluster::{CallBridge, Cluster};
use crate::cms::Address;
use crate::controller::context::Context;
use crate::controller::kube_calls::KubeError;
use crate::plan::bridge::Problem;
use crate::plan::failover::{Membership, Policy};
use crate::status::bridge::UnusableAlternate;
use client::{Maker, refusals};

/// Why there is no connection: trouble that a user can mend, or the apiserver's.
pub enum NotConnected {
    Problem(Problem),
    /// The same, but nobody has to mend it: the apiserver fails for now.
    Passing(Problem),
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
        let (call_bridge, problem) = connect_other(&maker, &other).await?;
        call_bridges.extend(call_bridge.map(|call_bridge| (call_bridge, other.role, other.membership())));
        unusable.extend(problem.map(|message| UnusableAlternate {
            name: other.name,
            reason: reason::ALTERNATE_CREDENTIALS_INVALID,
            message,
        }));
    }
    let refused = refusals(call_bridges.iter().map(|(call_bridge, ..)| call_bridge.as_ref()));
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

/// A call bridge besides the primary, and why it has no credentials of now. One that is in use goes on with those before, as the
/// primary does: it may be the active one, and meetings may run there.
async fn connect_other(
    maker: &Maker<'_>,
    other: &Wanted,
) -> Result<(Option<Arc<CallBridge>>, Option<String>), NotConnected> {
    let before = maker.known.and_then(|cluster| cluster.call_bridge(&other.address));
    match (maker.call_bridge(&other.address, &other.secret).await, before) {
        (Ok(call_bridge), _) => Ok((Some(call_bridge), None)),
        (Err(error @ NotConnected::Kube(_)), _) => Err(error),
        // A cluster does not begin without the one that was active, with the calls of running meetings, for a moment's trouble.
        (Err(error @ NotConnected::Passing(_)), None) if maker.known.is_none() && maker.waits_for(&other.address) => {
            Err(error)
        }
        (Err(NotConnected::Problem(problem) | NotConnected::Passing(problem)), None) => {
            Ok((None, Some(problem.message)))
        }
        (Err(NotConnected::Problem(problem) | NotConnected::Passing(problem)), Some(before)) => {
            Ok((Some(before), Some(format!("{}; the credentials before are used", problem.message))))
        }
    }
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
