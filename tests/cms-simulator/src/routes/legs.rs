//! /callLegs and /calls/<id>/callLegs (cms-protocol.md 7.2, 7.3).

use super::calls;
use super::lists::{contains, page};
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Field, Kind, LEG_FIELDS, LEG_OWN_FIELDS};
use crate::state::Cluster;
use crate::state::bridge::{Bridge, Leg, LegState};
use crate::state::calls::NewLeg;
use crate::state::log::DialOutcome;
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
    if cluster.version >= crate::schema::Version(2, 3) {
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
            xml.leaf("type", if leg.link.is_some() { "acano" } else { "sip" });
            if leg.link.is_some() {
                xml.leaf("subtype", "distributionLink");
            }
            xml.leaf("direction", leg.direction.word());
            xml.element("configuration", &[], |xml| {
                for field in LEG_OWN_FIELDS.iter().chain(LEG_FIELDS).filter(|f| f.shown) {
                    if let Some(value) = leg.fields.get(field.name) {
                        xml.leaf(field.name, value);
                    }
                }
            });
            xml.element("status", &[], |xml| status(leg, xml));
        });
    });
    Ok(Reply::xml(body).about(id))
}

fn status(leg: &Leg, xml: &mut Xml) {
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
        xml.leaf("layout", leg.fields.get("chosenLayout").unwrap_or("allEqual"));
    }
}

/// The checked attributes of a new leg and whom it dials.
pub fn new_leg(cluster: &Cluster, body: &Pairs, more: &'static [Field]) -> Result<NewLeg, Refusal> {
    // `layout` is an old alias of defaultLayout (7.2).
    let mut pairs = body.clone();
    for (name, _) in &mut pairs.0 {
        if name.eq_ignore_ascii_case("layout") {
            "defaultLayout".clone_into(name);
        }
    }
    let changes = take(cluster, &[LEG_OWN_FIELDS, LEG_FIELDS, more], &pairs, Phase::Create)?;
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
    let id = place(ctx.bridge, cluster, call, new_leg(cluster, ctx.body, &[])?)?;
    Ok(Reply::created(format!("/api/v1/callLegs/{id}"), id))
}

/// Adds a leg to a call of a bridge if no limit is reached, the one synchronous failure (7.2).
pub fn place(bridge: usize, cluster: &mut Cluster, call: &Id, new: NewLeg) -> Result<Id, Refusal> {
    let state = cluster.bridges.get(bridge).and_then(|b| b.calls.get(call)).ok_or(calls::MISSING)?;
    let people = cluster.people_in(&state.correlator);
    if let Some(limit) = cluster.limit_reached(bridge, state.space.as_deref(), people) {
        return Err(Refusal::Rule(limit));
    }
    cluster.add_leg(bridge, call, new).ok_or(calls::MISSING)
}

/// PUT of one leg.
pub fn modify(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    find(ctx, cluster, id)?;
    let mut pairs = ctx.body.clone();
    for (name, _) in &mut pairs.0 {
        if name.eq_ignore_ascii_case("layout") {
            "chosenLayout".clone_into(name);
        }
    }
    let changes = take(cluster, &[LEG_OWN_FIELDS, LEG_FIELDS], &pairs, Phase::Modify)?;
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

/// GET of the chain of profiles that gives a leg its settings (5.2). Scope names are ours.
pub fn trace(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    find(ctx, cluster, id)?;
    let body = document(cluster, |xml| {
        xml.element("callLegProfileTrace", &[], |xml| {
            for (scope, profile) in cluster.leg_profile_chain(ctx.bridge, id) {
                xml.element("callLegProfile", &[("id", &profile), ("scope", scope)], |_| {});
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}
