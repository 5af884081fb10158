//! /participants (cms-protocol.md 7.4): every bridge of a distributed call knows all its participants; those of another
//! bridge carry `callBridge`.

use super::calls;
use super::legs::{apply, check_limits, new_leg, parameters};
use super::lists::{contains, page};
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Kind, LEG_FIELDS, LEG_OWN_FIELDS, PARTICIPANT_FIELDS, Version};
use crate::state::Cluster;
use crate::state::bridge::Leg;
use crate::state::log::DialOutcome;
use crate::state::record::Fields;
use crate::switches::ParticipantScope;

/// The reference has no element of this name in 3.4; it is formed like its siblings.
const MISSING: Refusal = Refusal::Missing("participantDoesNotExist");

/// A participant as one bridge sees it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    leg: &'a Leg,
    /// The bridge that hosts it.
    host: usize,
    /// The call on the bridge that was asked (on the host, if the asked bridge has none).
    call: &'a Id,
    space: Option<&'a Id>,
}

/// All participants that a bridge sees, its own first and last those of whose end it does not know yet.
fn visible<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster) -> Vec<Seen<'a>> {
    let Some(own) = cluster.bridges.get(ctx.bridge) else { return Vec::new() };
    let everybody = cluster.switches.participant_scope == ParticipantScope::WholeCluster;
    let order = std::iter::once(ctx.bridge).chain((0..cluster.bridges.len()).filter(|b| *b != ctx.bridge));
    let live = order.filter_map(|host| Some((host, cluster.bridges.get(host)?))).flat_map(|(host, b)| {
        b.people().filter_map(move |leg| {
            let call = b.calls.get(&leg.call)?;
            Some((leg, host, &call.correlator, call.space.as_ref()))
        })
    });
    let gone = cluster.vanished_for(ctx.bridge).map(|v| (&v.leg, v.host, &v.correlator, v.space.as_ref()));
    live.chain(gone)
        .filter_map(|(leg, host, correlator, space)| {
            let instance = || own.call_with(correlator).map(|c| &c.id);
            let here = if host == ctx.bridge { Some(&leg.call) } else { instance() };
            let call = here.or_else(|| everybody.then_some(&leg.call))?;
            Some(Seen { leg, host, call, space })
        })
        .collect()
}

/// GET of the participants of the bridge or of one call.
pub fn list(ctx: &Ctx<'_>, cluster: &Cluster, call: Option<&Id>) -> Answer {
    if let Some(call) = call {
        calls::find(ctx, cluster, call)?;
    }
    let query = ctx.query;
    let items: Vec<Seen<'_>> = visible(ctx, cluster)
        .into_iter()
        .filter(|p| {
            let host = cluster.bridges.get(p.host).map(|b| &*b.id).unwrap_or_default();
            call.is_none_or(|id| id == p.call)
                && query.non_empty("filter").is_none_or(|part| {
                    contains(cluster, &p.leg.name, part) || contains(cluster, &p.leg.remote_party, part)
                })
                && query
                    .non_empty("tenantFilter")
                    .is_none_or(|id| tenant(cluster, p).is_some_and(|tenant| tenant.eq_ignore_ascii_case(id)))
                && query.non_empty("callBridgeFilter").is_none_or(|id| id.eq_ignore_ascii_case(host))
        })
        .collect();
    let page = page(ctx, cluster, "participants", items, |p| &p.leg.participant)?;
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("participants", &[("total", &page.total)], |xml| {
            for p in &page.items {
                xml.element("participant", &[("id", &p.leg.participant)], |xml| {
                    xml.leaf("name", p.leg.fields.get("nameLabelOverride").unwrap_or(&p.leg.name));
                    xml.leaf("call", p.call);
                    if let Some(tenant) = tenant(cluster, p) {
                        xml.leaf("tenant", tenant);
                    }
                    if let Some(host) = cluster.bridges.get(p.host).filter(|_| p.host != ctx.bridge) {
                        xml.leaf("callBridge", &host.id);
                    }
                });
            }
        });
    })))
}

fn tenant<'a>(cluster: &'a Cluster, p: &Seen<'_>) -> Option<&'a str> {
    cluster.db.value(Kind::CoSpace, p.space.map(|s| &**s), "tenant")
}

/// A participant that the asked bridge sees.
pub fn find<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster, id: &str) -> Result<Seen<'a>, Refusal> {
    visible(ctx, cluster).into_iter().find(|p| &*p.leg.participant == id).ok_or(MISSING)
}

/// GET of one participant.
pub fn single(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let p = find(ctx, cluster, id)?;
    let local = p.host == ctx.bridge;
    let body = document(cluster, |xml| {
        xml.element("participant", &[("id", id)], |xml| {
            xml.leaf("call", p.call);
            if let Some(tenant) = tenant(cluster, &p) {
                xml.leaf("tenant", tenant);
            }
            if local {
                xml.show("numCallLegs", 1);
            } else if let Some(host) = cluster.bridges.get(p.host) {
                xml.leaf("callBridge", &host.id);
            }
            xml.leaf("name", p.leg.fields.get("nameLabelOverride").unwrap_or(&p.leg.name));
            xml.leaf("uri", &p.leg.remote_party);
            if cluster.version >= Version(2, 3) {
                xml.leaf("originalUri", &p.leg.original);
            }
            xml.show("isActivator", cluster.is_activator(p.host, &p.leg.id));
            if cluster.version >= Version(2, 6) {
                xml.leaf("canMove", "false");
            }
            xml.element("configuration", &[], |xml| {
                for name in ["importance", "nameLabelOverride", "defaultLayout", "layoutTemplate"] {
                    if let Some(value) = p.leg.fields.get(name) {
                        xml.leaf(name, value);
                    }
                }
            });
            xml.element("status", &[], |xml| xml.leaf("state", p.leg.state.word()));
        });
    });
    Ok(Reply::xml(body).about(id))
}

/// POST to a call: as a leg, but it may be placed on another bridge.
pub fn create(ctx: &Ctx<'_>, cluster: &mut Cluster, call: &Id) -> Answer {
    let state = calls::find(ctx, cluster, call)?;
    let (correlator, space, name) = (state.correlator.clone(), state.space.clone(), state.name.clone());
    let mut new = new_leg(cluster, ctx.body, PARTICIPANT_FIELDS)?;
    let host = placement(ctx, cluster, &new.fields)?;
    new.fields.set("callBridge", None);
    new.fields.set("callBridgeGroup", None);
    check_limits(host, cluster, space.as_deref(), &correlator)?;
    let there = cluster.bridges.get(host).and_then(|b| b.call_with(&correlator)).map(|c| c.id.clone());
    let there = there
        .unwrap_or_else(|| cluster.start_instance(host, correlator, space.as_ref(), name, false, Fields::default()));
    let leg = cluster.add_leg(host, &there, new).ok_or(MISSING)?;
    let participant = cluster.bridges.get(host).and_then(|b| b.legs.get(&leg)).map(|l| l.participant.clone());
    let participant = participant.ok_or(MISSING)?;
    Ok(Reply::created(format!("/api/v1/participants/{participant}"), participant))
}

/// The bridge that `callBridge` or `callBridgeGroup` asks for; the asked one without either.
fn placement(ctx: &Ctx<'_>, cluster: &Cluster, fields: &Fields) -> Result<usize, Refusal> {
    let up = |bridge: &usize| cluster.bridges.get(*bridge).is_some_and(|b| b.running);
    if let Some(id) = fields.get("callBridge") {
        return cluster.bridge_of_id(id).filter(up).ok_or(Refusal::Rule("callBridgeUnavailable"));
    }
    let Some(group) = fields.get("callBridgeGroup") else { return Ok(ctx.bridge) };
    if cluster.db.value(Kind::CallBridgeGroup, Some(group), "loadBalanceOutgoingCalls") != Some("true") {
        return Err(Refusal::Rule("loadBalancingDisabled"));
    }
    let members = cluster.db.table(Kind::CallBridge).iter().filter(|b| b.fields.get("callBridgeGroup") == Some(group));
    members
        .filter_map(|b| cluster.bridge_of_id(&b.id))
        .filter(up)
        // The least loaded member, the first of equals.
        .min_by_key(|b| cluster.bridges.get(*b).map_or(0, |b| b.legs.len()))
        .ok_or(Refusal::Rule("callBridgeGroupUnavailable"))
}

/// PUT of one participant; one that another bridge hosts cannot be changed here (3.4).
pub fn modify(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    let p = find(ctx, cluster, id)?;
    if p.host != ctx.bridge {
        return Err(Refusal::Rule("participantCannotBeModified"));
    }
    let leg = p.leg.id.clone();
    let tables = [PARTICIPANT_FIELDS, LEG_OWN_FIELDS, LEG_FIELDS];
    let changes = take(cluster, &tables, &parameters(ctx.body), Phase::Modify)?;
    Ok(Reply::done(apply(ctx.bridge, cluster, &leg, changes).ok_or(MISSING)?, id))
}

/// PUT of all or some participants of a call: `filterIds` with `mode` exclude (default) or selected.
pub fn modify_all(ctx: &Ctx<'_>, cluster: &mut Cluster, call: &Id) -> Answer {
    let legs = calls::find(ctx, cluster, call)?.legs.clone();
    let ids: Vec<String> = ctx
        .body
        .get("filterIds")
        .unwrap_or_default()
        .split(',')
        .map(|id| id.trim().to_lowercase())
        .filter(|id| !id.is_empty())
        .collect();
    // 20 is the documented maximum (section 12).
    if ids.len() > 20 {
        return Err(Refusal::parameter("filterIds"));
    }
    let selected = match ctx.body.non_empty("mode") {
        None | Some("exclude") => false,
        Some("selected") => true,
        Some(_) => return Err(Refusal::parameter("mode")),
    };
    let mut pairs = parameters(ctx.body);
    pairs.0.retain(|(name, _)| !["filterIds", "mode"].iter().any(|own| own.eq_ignore_ascii_case(name)));
    let changes = take(cluster, &[PARTICIPANT_FIELDS, LEG_OWN_FIELDS, LEG_FIELDS], &pairs, Phase::Modify)?;
    let mut effect = false;
    for leg in legs {
        let Some(known) = cluster.bridges.get(ctx.bridge).and_then(|b| b.legs.get(&leg)) else { continue };
        if known.link.is_none() && ids.iter().any(|id| **id == *known.participant) == selected {
            effect |= apply(ctx.bridge, cluster, &leg, changes.clone()).unwrap_or(false);
        }
    }
    Ok(Reply::done(effect, call))
}

/// DELETE of one participant; remote ones cannot be dropped here.
pub fn delete(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    let p = find(ctx, cluster, id)?;
    if p.host != ctx.bridge {
        return Err(Refusal::Rule("participantCannotBeDeleted"));
    }
    let leg = p.leg.id.clone();
    cluster.end_leg(ctx.bridge, &leg, "apiInitiatedTeardown", DialOutcome::Cancelled);
    Ok(Reply::done(true, id))
}
