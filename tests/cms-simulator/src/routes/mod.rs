//! From a parsed path and a verb to a handler, with the rules that hold for all of them: which nodes need the
//! database, and what they answer while it has no primary, or the bridge no way to it (cms-protocol.md section 9).

pub mod calls;
pub mod legs;
pub mod lists;
pub mod objects;
pub mod params;
pub mod participants;
pub mod path;
pub mod queries;
pub mod reply;
pub mod system;

use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Kind, Version};
use crate::state::Cluster;
use crate::switches::{ReadWithoutPrimary, WriteWithoutPrimary};
use path::Node;
use reply::{Answer, Ctx, Verb};

const NOT_ALLOWED: Refusal = Refusal::Rule("invalidOperation");

/// The first version that has a node.
fn since(node: &Node) -> Version {
    match node {
        Node::List(kind, _) | Node::Item(kind, ..) | Node::Usage(kind, _) => kind.spec().since,
        Node::Load | Node::MeetingEntryDetail(_) => Version(2, 1),
        Node::WebBridgeStatus(_) => Version(2, 2),
        Node::UriUsageQuery => Version(2, 3),
        Node::AuthTokens => Version(2, 4),
        Node::CameraControl(_) => Version(2, 9),
        Node::ClusterLicensing => Version(3, 0),
        _ => Version::FIRST,
    }
}

/// How a request uses the shared database.
enum Use {
    None,
    Read,
    Write,
}

fn database_use(node: &Node, verb: Verb) -> Use {
    match (node, verb) {
        (Node::List(Kind::CdrReceiver, _) | Node::Item(Kind::CdrReceiver, ..), _) => Use::None,
        (Node::List(..) | Node::Item(..) | Node::Usage(..) | Node::SystemProfiles, Verb::Get) => Use::Read,
        (Node::List(..) | Node::Item(..) | Node::SystemProfiles, _) => Use::Write,
        (
            Node::AccessQuery
            | Node::UriUsageQuery
            | Node::MeetingEntryDetail(_)
            | Node::MembershipsOfUser(_)
            | Node::WebBridgeStatus(_),
            _,
        ) => Use::Read,
        // Making a call or a leg looks up its space and profiles.
        (Node::Calls | Node::LegsOfCall(_) | Node::ParticipantsOfCall(_), Verb::Post) => Use::Read,
        _ => Use::None,
    }
}

fn check_database(ctx: &Ctx<'_>, cluster: &Cluster, node: &Node) -> Result<(), Refusal> {
    if cluster.database_loss(ctx.bridge).is_none() {
        return Ok(());
    }
    match database_use(node, ctx.verb) {
        Use::None => Ok(()),
        Use::Read => match cluster.switches.read_without_primary {
            ReadWithoutPrimary::Unavailable => Err(Refusal::Unavailable),
            ReadWithoutPrimary::Replica => Ok(()),
            ReadWithoutPrimary::Hang => Err(Refusal::Hang),
        },
        Use::Write => match cluster.switches.write_without_primary {
            WriteWithoutPrimary::Unavailable => Err(Refusal::Unavailable),
            WriteWithoutPrimary::DatabaseNotReady => Err(Refusal::Rule("databaseNotReady")),
            WriteWithoutPrimary::Hang => Err(Refusal::Hang),
        },
    }
}

/// The space that a request concerns, looked up before the request changes anything.
pub fn space_of(ctx: &Ctx<'_>, cluster: &Cluster, node: &Node) -> Option<Id> {
    let bridge = cluster.bridges.get(ctx.bridge)?;
    let of_call = |id: &str| bridge.calls.get(id).and_then(|call| call.space.clone());
    let of_leg = |id: &str| bridge.legs.get(id).and_then(|leg| of_call(&leg.call));
    match node {
        Node::Item(Kind::CoSpace, _, id) | Node::MeetingEntryDetail(id) => Some(id.clone()),
        Node::List(Kind::AccessMethod | Kind::CoSpaceUser, space) | Node::Item(_, space, _) => space.clone(),
        Node::Calls => ctx.body.non_empty("coSpace").map(|id| id.trim().to_lowercase().into()),
        Node::Call(id) | Node::LegsOfCall(id) | Node::ParticipantsOfCall(id) | Node::AllParticipantsOfCall(id) => {
            of_call(id)
        }
        Node::CallLeg(id) | Node::LegTrace(id) | Node::KeyFrame(id) | Node::CameraControl(id) => of_leg(id),
        Node::Participant(id) | Node::LegsOfParticipant(id) => {
            bridge.leg_of_participant.get(id).and_then(|leg| of_leg(leg))
        }
        _ => None,
    }
}

/// Carries a request out.
pub fn handle(ctx: &Ctx<'_>, cluster: &mut Cluster, node: &Node) -> Answer {
    let is_hidden = *node == Node::ClusterConfiguration && !cluster.switches.cluster_configuration;
    if cluster.version < since(node) || is_hidden {
        return Err(Refusal::Unrecognised);
    }
    check_database(ctx, cluster, node)?;
    match ctx.verb {
        Verb::Get => get(ctx, cluster, node),
        Verb::Post => post(ctx, cluster, node),
        Verb::Put => put(ctx, cluster, node),
        Verb::Delete => delete(ctx, cluster, node),
    }
}

fn get(ctx: &Ctx<'_>, cluster: &Cluster, node: &Node) -> Answer {
    match node {
        Node::List(kind, parent) => objects::list(ctx, cluster, *kind, parent.as_ref()),
        Node::Item(kind, parent, id) => objects::single(ctx, cluster, *kind, parent.as_ref(), id),
        Node::Usage(kind, id) => objects::usage(ctx, cluster, *kind, id),
        Node::MeetingEntryDetail(id) => queries::entry_detail(cluster, id),
        Node::WebBridgeStatus(id) => queries::web_bridge_status(cluster, id),
        Node::MembershipsOfUser(id) => queries::memberships(ctx, cluster, id),
        Node::Calls => calls::list(ctx, cluster),
        Node::Call(id) => calls::single(ctx, cluster, id),
        Node::LegsOfCall(id) => legs::list(ctx, cluster, Some(id), None),
        Node::CallLegs => legs::list(ctx, cluster, None, None),
        Node::LegsOfParticipant(id) => legs::list(ctx, cluster, None, Some(id)),
        Node::CallLeg(id) => legs::single(ctx, cluster, id),
        Node::LegTrace(id) => legs::trace(ctx, cluster, id),
        Node::ParticipantsOfCall(id) => participants::list(ctx, cluster, Some(id)),
        Node::Participants => participants::list(ctx, cluster, None),
        Node::Participant(id) => participants::single(ctx, cluster, id),
        Node::Status => system::status(ctx, cluster),
        Node::Alarms => system::alarms(ctx, cluster),
        Node::Database => system::database(ctx, cluster),
        Node::Load => system::load(ctx, cluster),
        Node::Licensing => system::licensing(cluster),
        Node::ClusterLicensing => system::cluster_licensing(cluster),
        Node::ClusterConfiguration => system::configuration(ctx, cluster),
        Node::SystemProfiles => system::profiles(cluster),
        Node::OldCdrReceiver => system::old_cdr_receiver(ctx, cluster),
        Node::KeyFrame(_)
        | Node::CameraControl(_)
        | Node::AllParticipantsOfCall(_)
        | Node::AccessQuery
        | Node::UriUsageQuery
        | Node::AuthTokens
        | Node::Events => Err(NOT_ALLOWED),
    }
}

fn post(ctx: &Ctx<'_>, cluster: &mut Cluster, node: &Node) -> Answer {
    match node {
        Node::List(kind, parent) => objects::create(ctx, cluster, *kind, parent.as_ref()),
        Node::Calls => calls::create(ctx, cluster),
        Node::LegsOfCall(id) => legs::create(ctx, cluster, id),
        Node::ParticipantsOfCall(id) => participants::create(ctx, cluster, id),
        Node::KeyFrame(id) => legs::command(ctx, cluster, id),
        Node::ClusterConfiguration => system::configure(ctx, cluster),
        Node::AccessQuery => queries::access(ctx, cluster),
        Node::UriUsageQuery => queries::uri_usage(ctx, cluster),
        Node::AuthTokens => queries::auth_token(ctx, cluster),
        _ => Err(NOT_ALLOWED),
    }
}

fn put(ctx: &Ctx<'_>, cluster: &mut Cluster, node: &Node) -> Answer {
    match node {
        Node::Item(kind, parent, id) => objects::modify(ctx, cluster, *kind, parent.as_ref(), id),
        Node::Call(id) => calls::modify(ctx, cluster, id),
        Node::CallLeg(id) => legs::modify(ctx, cluster, id),
        Node::CameraControl(id) => legs::command(ctx, cluster, id),
        Node::Participant(id) => participants::modify(ctx, cluster, id),
        Node::AllParticipantsOfCall(id) => participants::modify_all(ctx, cluster, id),
        Node::ClusterConfiguration => system::configure(ctx, cluster),
        Node::SystemProfiles => system::set_profiles(ctx, cluster),
        Node::OldCdrReceiver => system::set_old_cdr_receiver(ctx, cluster),
        _ => Err(NOT_ALLOWED),
    }
}

fn delete(ctx: &Ctx<'_>, cluster: &mut Cluster, node: &Node) -> Answer {
    match node {
        Node::Item(kind, parent, id) => objects::delete(ctx, cluster, *kind, parent.as_ref(), id),
        Node::Call(id) => calls::delete(ctx, cluster, id),
        Node::CallLeg(id) => legs::delete(ctx, cluster, id),
        Node::Participant(id) => participants::delete(ctx, cluster, id),
        _ => Err(NOT_ALLOWED),
    }
}
