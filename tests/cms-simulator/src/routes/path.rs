//! Paths to nodes: any case, an optional trailing slash (cms-protocol.md 1.6), canonical case in what we report.

use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Kind, TOP_LEVEL};

/// A place in the tree under `/api/v1/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A collection, with the space it is nested in.
    List(Kind, Option<Id>),
    /// An object, with the space it is nested in.
    Item(Kind, Option<Id>, Id),
    /// `<profiles>/<id>/usage` (5.2).
    Usage(Kind, Id),
    MeetingEntryDetail(Id),
    Calls,
    Call(Id),
    LegsOfCall(Id),
    ParticipantsOfCall(Id),
    AllParticipantsOfCall(Id),
    CallLegs,
    CallLeg(Id),
    LegTrace(Id),
    KeyFrame(Id),
    CameraControl(Id),
    Participants,
    Participant(Id),
    LegsOfParticipant(Id),
    MembershipsOfUser(Id),
    WebBridgeStatus(Id),
    Status,
    Alarms,
    Database,
    Load,
    Licensing,
    ClusterLicensing,
    ClusterConfiguration,
    SystemProfiles,
    OldCdrReceiver,
    AccessQuery,
    UriUsageQuery,
    AuthTokens,
    /// The events socket outside `/api/` (section 11).
    Events,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it names.
    pub node: Node,
    /// Template for journals and faults, e.g. `coSpaces/{id}`.
    pub route: String,
    /// The path in canonical case.
    pub canonical: String,
    /// It says `callegs`, as the guide does in two places.
    pub is_guides_spelling: bool,
}

const SYSTEM: &[(&str, Node)] = &[
    ("status", Node::Status),
    ("alarms", Node::Alarms),
    ("database", Node::Database),
    ("load", Node::Load),
    ("licensing", Node::Licensing),
    ("profiles", Node::SystemProfiles),
    ("cdrReceiver", Node::OldCdrReceiver),
    ("cdrReceivers", Node::List(Kind::CdrReceiver, None)),
];

const SINGLE: &[(&str, Node)] = &[
    ("calls", Node::Calls),
    ("callLegs", Node::CallLegs),
    ("participants", Node::Participants),
    ("accessQuery", Node::AccessQuery),
    ("uriUsageQuery", Node::UriUsageQuery),
    ("authTokens", Node::AuthTokens),
    ("clusterLicensing", Node::ClusterLicensing),
];

/// The guide's misprint.
const GUIDES_LEGS: &str = "callegs";

fn word(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

fn find(table: &'static [(&'static str, Node)], segment: &str) -> Option<(&'static str, Node)> {
    table.iter().find(|(name, _)| word(segment, name)).map(|(name, node)| (*name, node.clone()))
}

/// Reads a request path.
pub fn parse(path: &str) -> Result<Target, Refusal> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<&str> = decoded.split('/').filter(|s| !s.is_empty()).collect();
    if let ["events", "v1"] = segments.as_slice() {
        return Ok(Target {
            node: Node::Events,
            route: "events".to_owned(),
            canonical: "/events/v1".to_owned(),
            is_guides_spelling: false,
        });
    }
    let is_guides_spelling = segments.iter().any(|segment| word(segment, GUIDES_LEGS));
    let segments: Vec<&str> =
        segments.into_iter().map(|segment| if word(segment, GUIDES_LEGS) { "callLegs" } else { segment }).collect();
    let rest = match segments.as_slice() {
        [api, version, rest @ ..] if word(api, "api") && word(version, "v1") => rest,
        [api, version, ..] if word(api, "api") && version.starts_with(['v', 'V']) => return Err(Refusal::Version),
        _ => return Err(Refusal::Unrecognised),
    };
    let mut trail = Trail::default();
    let node = match rest {
        [system, rest @ ..] if word(system, "system") => {
            trail.fixed("system");
            system_node(&mut trail, rest)
        }
        rest => top_node(&mut trail, rest),
    };
    let node = node.ok_or(Refusal::Unrecognised)?;
    Ok(Target { node, route: trail.route, canonical: format!("/api/v1/{}", trail.canonical), is_guides_spelling })
}

/// The template and the canonical path as they grow.
#[derive(Default)]
struct Trail {
    route: String,
    canonical: String,
}

impl Trail {
    fn push(&mut self, route: &str, canonical: &str) {
        for (text, part) in [(&mut self.route, route), (&mut self.canonical, canonical)] {
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(part);
        }
    }

    fn fixed(&mut self, name: &str) {
        self.push(name, name);
    }

    /// An id; GUIDs are lower case on the wire (1.7), so upper case is taken as the same.
    fn id(&mut self, segment: &str) -> Id {
        let id = segment.to_lowercase();
        self.push("{id}", &id);
        id.into()
    }
}

fn system_node(trail: &mut Trail, rest: &[&str]) -> Option<Node> {
    match rest {
        [name] => {
            let (name, node) = find(SYSTEM, name)?;
            trail.fixed(name);
            Some(node)
        }
        [configuration, cluster] if word(configuration, "configuration") && word(cluster, "cluster") => {
            trail.fixed("configuration/cluster");
            Some(Node::ClusterConfiguration)
        }
        [receivers, id] if word(receivers, "cdrReceivers") => {
            trail.fixed("cdrReceivers");
            Some(Node::Item(Kind::CdrReceiver, None, trail.id(id)))
        }
        _ => None,
    }
}

fn top_node(trail: &mut Trail, rest: &[&str]) -> Option<Node> {
    let (first, rest) = rest.split_first()?;
    if let Some((name, node)) = find(SINGLE, first) {
        trail.fixed(name);
        return live_node(trail, node, rest);
    }
    let kind = *TOP_LEVEL.iter().find(|kind| word(first, kind.spec().plural))?;
    trail.fixed(kind.spec().plural);
    let Some((id, rest)) = rest.split_first() else { return Some(Node::List(kind, None)) };
    let id = trail.id(id);
    let Some((sub, rest)) = rest.split_first() else { return Some(Node::Item(kind, None, id)) };
    let nested = [Kind::AccessMethod, Kind::CoSpaceUser].into_iter().find(|k| word(sub, k.spec().plural));
    match (kind, nested, rest) {
        (Kind::CoSpace, Some(nested), []) => {
            trail.fixed(nested.spec().plural);
            Some(Node::List(nested, Some(id)))
        }
        (Kind::CoSpace, Some(nested), [child]) => {
            trail.fixed(nested.spec().plural);
            let child = trail.id(child);
            Some(Node::Item(nested, Some(id), child))
        }
        (Kind::CoSpace, None, []) if word(sub, "meetingEntryDetail") => {
            trail.fixed("meetingEntryDetail");
            Some(Node::MeetingEntryDetail(id))
        }
        (Kind::User, None, []) if word(sub, "usercoSpaces") => {
            trail.fixed("usercoSpaces");
            Some(Node::MembershipsOfUser(id))
        }
        (Kind::WebBridge, None, []) if word(sub, "status") => {
            trail.fixed("status");
            Some(Node::WebBridgeStatus(id))
        }
        (kind, None, []) if kind.spec().usage && word(sub, "usage") => {
            trail.fixed("usage");
            Some(Node::Usage(kind, id))
        }
        _ => None,
    }
}

/// calls, callLegs, participants and what hangs below them.
fn live_node(trail: &mut Trail, node: Node, rest: &[&str]) -> Option<Node> {
    let Some((id, rest)) = rest.split_first() else { return Some(node) };
    if !matches!(node, Node::Calls | Node::CallLegs | Node::Participants) {
        return None;
    }
    let id = trail.id(id);
    let (name, found) = match (&node, rest) {
        (Node::Calls, []) => return Some(Node::Call(id)),
        (Node::CallLegs, []) => return Some(Node::CallLeg(id)),
        (Node::Participants, []) => return Some(Node::Participant(id)),
        (Node::Calls, [sub]) if word(sub, "callLegs") => ("callLegs", Node::LegsOfCall(id)),
        (Node::Calls, [sub]) if word(sub, "participants") => ("participants", Node::ParticipantsOfCall(id)),
        (Node::Calls, [sub, "*"]) if word(sub, "participants") => ("participants/*", Node::AllParticipantsOfCall(id)),
        (Node::CallLegs, [sub]) if word(sub, "callLegProfileTrace") => ("callLegProfileTrace", Node::LegTrace(id)),
        (Node::CallLegs, [sub]) if word(sub, "generateKeyframe") => ("generateKeyframe", Node::KeyFrame(id)),
        (Node::CallLegs, [sub]) if word(sub, "cameraControl") => ("cameraControl", Node::CameraControl(id)),
        (Node::Participants, [sub]) if word(sub, "callLegs") => ("callLegs", Node::LegsOfParticipant(id)),
        _ => return None,
    };
    trail.fixed(name);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> String {
        parse(path).map(|t| t.route).unwrap_or_else(|e| format!("{e:?}"))
    }

    #[test]
    fn any_case_and_trailing_slash() {
        assert_eq!(route("/api/v1/cospaces/ABC"), "coSpaces/{id}");
        assert_eq!(parse("/API/v1/COSPACES/ABC/").unwrap().canonical, "/api/v1/coSpaces/abc");
        assert_eq!(route("/api/v1/calls/1/calllegs"), "calls/{id}/callLegs");
        assert_eq!(route("/api/v1/calls/1/callegs"), "calls/{id}/callLegs");
        assert_eq!(parse("/api/v1/Callegs").unwrap().canonical, "/api/v1/callLegs");
        assert!(parse("/api/v1/Callegs").unwrap().is_guides_spelling);
        assert_eq!(route("/api/v1/coSpaceBulkParameterSets"), "cospaceBulkParameterSets");
        assert_eq!(route("/api/v1/system/configuration/cluster"), "system/configuration/cluster");
        assert_eq!(route("/api/v1/coSpaces/1/accessMethods/2"), "coSpaces/{id}/accessMethods/{id}");
        assert_eq!(route("/api/v1/calls/1/participants/*"), "calls/{id}/participants/*");
    }

    #[test]
    fn wrong_paths() {
        // Quirk 19: PsCms posts to the singular name and fails.
        assert_eq!(route("/api/v1/coSpaceBulkParameterSet"), "Unrecognised");
        assert_eq!(route("/api/v1/"), "Unrecognised");
        assert_eq!(route("/api/v1/tenants/1/usage"), "Unrecognised");
        assert_eq!(route("/api/v2/calls"), "Version");
        assert_eq!(route("/"), "Unrecognised");
    }
}
