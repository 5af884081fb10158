//! /callLegs and /calls/<id>/callLegs (cms-protocol.md 7.2, 7.3).

use super::calls;
use super::lists::{contains, page};
use super::objects::write_fields;
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Field, Kind, LEG_FIELDS, LEG_OWN_FIELDS, Version};
use crate::state::Cluster;
use crate::state::bridge::{Bridge, Leg, LegState};
use crate::state::calls::NewLeg;
use crate::state::log::DialOutcome;
use crate::state::record::Fields;
use crate::wire::form::Pairs;
use crate::wire::xml::Xml;

const MISSING: Refusal = Refusal::Missing("callLegDoesNotExist");

fn bridge<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster) -> Result<&'a Bridge, Refusal> {
    cluster.bridges.get(ctx.bridge).ok_or(Refusal::Unavailable)
}

fn find<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster, id: &str) -> Result<&'a Leg, Refusal> {
    bridge(ctx, cluster)?.legs.get(id).ok_or(MISSING)
}

/// GET of the legs of the bridge, of one call, or of one participant.
pub fn list(ctx: &Ctx<'_>, cluster: &Cluster, call: Option<&Id>, participant: Option<&Id>) -> Answer {
    let b = bridge(ctx, cluster)?;
    let legs: Vec<&Leg> = match (call, participant) {
        (Some(call), _) => calls::find(ctx, cluster, call)?.legs.iter().filter_map(|l| b.legs.get(l)).collect(),
        (None, Some(participant)) => {
            // Those of another bridge have their legs there (7.4).
            super::participants::find(ctx, cluster, participant)?;
            b.leg_of_participant.get(participant).and_then(|leg| b.legs.get(leg)).into_iter().collect()
        }
        (None, None) => b.legs.iter().collect(),
    };
    let legs = legs.into_iter().filter(|leg| passes(ctx, cluster, b, leg)).collect();
    let page = page(ctx, cluster, "callLegs", legs, |leg| &leg.id)?;
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("callLegs", &[("total", &page.total)], |xml| {
            for leg in &page.items {
                xml.element("callLeg", &[("id", &leg.id)], |xml| head(cluster, b, leg, xml));
            }
        });
    })))
}

/// The filters of 3.2 that the simulator's legs can differ by. `alarms` restricts to legs with media alarms, of which
/// there are none; layouts and stream counts are not simulated, so those filters pass everything.
fn passes(ctx: &Ctx<'_>, cluster: &Cluster, b: &Bridge, leg: &Leg) -> bool {
    let query = ctx.query;
    let text = query
        .non_empty("filter")
        .is_none_or(|part| contains(cluster, &leg.name, part) || contains(cluster, &leg.remote_party, part));
    let participant = query.non_empty("participantFilter").is_none_or(|id| id.eq_ignore_ascii_case(&leg.participant));
    let tenant = query
        .non_empty("tenantFilter")
        .is_none_or(|id| tenant_of(cluster, b, leg).is_some_and(|tenant| tenant.eq_ignore_ascii_case(id)));
    let owner = query
        .non_empty("ownerIdSet")
        .is_none_or(|wanted| wanted.eq_ignore_ascii_case("true") == leg.fields.get("ownerId").is_some());
    text && participant && tenant && owner && query.non_empty("alarms").is_none()
}

fn tenant_of<'a>(cluster: &'a Cluster, b: &Bridge, leg: &Leg) -> Option<&'a str> {
    let space = b.calls.get(&leg.call).and_then(|call| call.space.as_deref());
    cluster.db.value(Kind::CoSpace, space, "tenant")
}

fn head(cluster: &Cluster, b: &Bridge, leg: &Leg, xml: &mut Xml) {
    xml.leaf("name", leg.fields.get("nameLabelOverride").unwrap_or(&leg.name));
    xml.leaf("remoteParty", &leg.remote_party);
    if cluster.version >= Version(2, 3) {
        xml.leaf("originalRemoteParty", &leg.original);
    }
    xml.leaf("call", &leg.call);
    if let Some(tenant) = tenant_of(cluster, b, leg) {
        xml.leaf("tenant", tenant);
    }
}

/// GET of one leg.
pub fn single(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let b = bridge(ctx, cluster)?;
    let leg = find(ctx, cluster, id)?;
    let body = document(cluster, |xml| {
        xml.element("callLeg", &[("id", id)], |xml| {
            head(cluster, b, leg, xml);
            xml.leaf("localAddress", &local_address(cluster, b, leg));
            xml.leaf("type", if leg.link.is_some() { "acano" } else { "sip" });
            if leg.link.is_some() {
                xml.leaf("subtype", "distributionLink");
            }
            xml.leaf("direction", leg.direction.word());
            if cluster.version >= Version(2, 6) {
                xml.leaf("canMove", "false");
            }
            xml.element("configuration", &[], |xml| {
                for field in LEG_OWN_FIELDS.iter().chain(LEG_FIELDS).filter(|f| f.shown) {
                    if let Some(value) = leg.fields.get(field.name) {
                        xml.leaf(field.name, value);
                    }
                }
            });
            let layout = leg.fields.get("chosenLayout").map(str::to_owned);
            let layout = layout.or_else(|| cluster.leg_setting(ctx.bridge, id, "defaultLayout"));
            xml.element("status", &[], |xml| status(leg, layout.as_deref().unwrap_or("allEqual"), xml));
        });
    });
    Ok(Reply::xml(body).about(id))
}

/// What the far end sees as ours: the address of the space, or the number of a call without one. The form is ours.
fn local_address(cluster: &Cluster, b: &Bridge, leg: &Leg) -> String {
    let space = b.calls.get(&leg.call).and_then(|call| call.space.as_deref());
    let value = |name| cluster.db.value(Kind::CoSpace, space, name);
    cluster.db.full_uri(value("uri").or_else(|| value("callId")).unwrap_or(&leg.call))
}

fn status(leg: &Leg, layout: &str, xml: &mut Xml) {
    xml.leaf("state", leg.state.word());
    if let Some(connected) = leg.connected {
        xml.show("durationSeconds", connected.elapsed().as_secs());
    }
    xml.leaf("direction", leg.direction.word());
    xml.leaf("sipCallId", &leg.sip_call_id);
    xml.show("deactivated", leg.is_deactivated());
    // The trace falls back to clear signalling and says "unencrypted call legs now present" (2.3).
    xml.leaf("encryptedMedia", "false");
    xml.show("unencryptedMedia", leg.state == LegState::Connected);
    if leg.state == LegState::Connected {
        xml.leaf("layout", layout);
    }
}

/// The parameters of a leg or participant: `layout` is an old alias of defaultLayout, which wins over it (7.2).
pub fn parameters(body: &Pairs) -> Pairs {
    let is_old = |name: &str| name.eq_ignore_ascii_case("layout");
    let mut pairs = body.clone();
    if body.get("defaultLayout").is_some() {
        pairs.0.retain(|(name, _)| !is_old(name));
    }
    for (name, _) in pairs.0.iter_mut().filter(|(name, _)| is_old(name)) {
        "defaultLayout".clone_into(name);
    }
    pairs
}

/// The checked attributes of a new leg and whom it dials.
pub fn new_leg(cluster: &Cluster, body: &Pairs, more: &'static [Field]) -> Result<NewLeg, Refusal> {
    let changes = take(cluster, &[LEG_OWN_FIELDS, LEG_FIELDS, more], &parameters(body), Phase::Create)?;
    let mut new = NewLeg { outgoing: true, ..NewLeg::default() };
    for (field, value) in changes {
        if field.name == "remoteParty" {
            new.remote_party = value.unwrap_or_default();
        } else {
            new.fields.set(field.name, value);
        }
    }
    Ok(new)
}

/// POST to a call: answers before anything rings (2.3).
pub fn create(ctx: &Ctx<'_>, cluster: &mut Cluster, call: &Id) -> Answer {
    let state = calls::find(ctx, cluster, call)?;
    let new = new_leg(cluster, ctx.body, &[])?;
    check_limits(ctx.bridge, cluster, state.space.as_deref(), &state.correlator)?;
    let id = cluster.add_leg(ctx.bridge, call, new).ok_or(calls::MISSING)?;
    Ok(Reply::created(format!("/api/v1/callLegs/{id}"), id))
}

/// Whether one more may come into a call on a bridge: the one synchronous failure (7.2).
pub fn check_limits(bridge: usize, cluster: &Cluster, space: Option<&str>, correlator: &str) -> Result<(), Refusal> {
    match cluster.limit_reached(bridge, space, cluster.people_in(correlator)) {
        Some(limit) => Err(Refusal::Rule(limit)),
        None => Ok(()),
    }
}

/// PUT of one leg.
pub fn modify(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    find(ctx, cluster, id)?;
    let changes = take(cluster, &[LEG_OWN_FIELDS, LEG_FIELDS], &parameters(ctx.body), Phase::Modify)?;
    Ok(Reply::done(apply(ctx.bridge, cluster, id, changes).ok_or(MISSING)?, id))
}

/// Writes attributes of a leg or participant; a DTMF sequence is sent, not kept. None: there is no such leg.
pub fn apply(bridge: usize, cluster: &mut Cluster, id: &str, changes: crate::state::spaces::Changes) -> Option<bool> {
    let mut effect = false;
    for (field, value) in changes {
        let leg = cluster.bridges.get_mut(bridge)?.legs.get_mut(id)?;
        match value {
            Some(keys) if field.name == "dtmfSequence" => {
                effect = true;
                cluster.press_keys(bridge, id, keys);
            }
            value => effect |= leg.fields.set(field.name, value),
        }
    }
    Some(effect)
}

/// DELETE of one leg: hangs up. Links between bridges cannot be hung up.
pub fn delete(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    if find(ctx, cluster, id)?.link.is_some() {
        return Err(Refusal::Rule("callLegCannotBeDeleted"));
    }
    cluster.end_leg(ctx.bridge, id, "apiInitiatedTeardown", DialOutcome::Cancelled);
    Ok(Reply::done(true, id))
}

/// POST of a key frame request or PUT of a camera command (7.2): nothing that can be read back.
pub fn command(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    find(ctx, cluster, id)?;
    let words: &[(&str, &[&str])] =
        &[("pan", &["left", "right"]), ("tilt", &["up", "down"]), ("zoom", &["in", "out"]), ("focus", &["in", "out"])];
    for (name, allowed) in words {
        if let Some(value) = ctx.body.non_empty(name)
            && !allowed.contains(&value)
        {
            return Err(Refusal::parameter(name));
        }
    }
    Ok(Reply::done(false, id))
}

/// GET of the chain of profiles that gives a leg its settings (5.2): one section for each level that has a say.
pub fn trace(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let leg = find(ctx, cluster, id)?;
    let chain = cluster.leg_profile_chain(ctx.bridge, id).into_iter();
    let mut levels: Vec<(&str, Option<String>, Fields)> = chain
        .map(|(scope, profile)| {
            let fields = cluster.db.get(Kind::CallLegProfile, &profile).map(|record| record.fields.clone());
            (scope, Some(profile), fields.unwrap_or_default())
        })
        .collect();
    let own = LEG_FIELDS.iter().filter_map(|field| Some((field.name, leg.fields.get(field.name)?)));
    for (name, value) in own {
        if levels.last().is_none_or(|(scope, ..)| *scope != "callLeg") {
            levels.push(("callLeg", None, Fields::default()));
        }
        if let Some((.., fields)) = levels.last_mut() {
            fields.set(name, Some(value.to_owned()));
        }
    }
    let body = document(cluster, |xml| {
        xml.element("callLegProfileTrace", &[("callLeg", id)], |xml| {
            for (scope, profile, fields) in &levels {
                let id: Vec<_> = profile.iter().map(|profile| ("id", profile.as_str())).collect();
                xml.element("profile", &[("scope", scope)], |xml| {
                    let write = |xml: &mut Xml| write_fields(cluster, Kind::CallLegProfile, fields, false, xml);
                    xml.element("callLegProfile", &id, write);
                });
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}
