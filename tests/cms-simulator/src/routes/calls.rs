//! /calls (cms-protocol.md 7.1).

use super::lists::page;
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, calls_document, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{CALL_FIELDS, Kind, Version};
use crate::state::Cluster;
use crate::state::bridge::Call;
use crate::state::capture::Capture;
use crate::state::record::Fields;
use crate::switches::{DeleteCall, DeleteReason, SecondCall};

/// The answer for a call that this bridge does not have.
pub const MISSING: Refusal = Refusal::Missing("callDoesNotExist");

/// A call of the asked bridge.
pub fn find<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster, id: &str) -> Result<&'a Call, Refusal> {
    cluster.bridges.get(ctx.bridge).and_then(|b| b.calls.get(id)).ok_or(MISSING)
}

fn tenant_of<'a>(cluster: &'a Cluster, call: &Call) -> Option<&'a str> {
    cluster.db.value(Kind::CoSpace, call.space.as_deref(), "tenant")
}

/// GET of the list; the only body without a declaration.
pub fn list(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let Some(bridge) = cluster.bridges.get(ctx.bridge) else { return Err(Refusal::Unavailable) };
    let space = ctx.query.non_empty("coSpaceFilter").map(str::to_lowercase);
    let tenant = ctx.query.non_empty("tenantFilter").map(str::to_lowercase);
    let calls: Vec<&Call> = match &space {
        Some(space) => bridge.calls_of(space).collect(),
        None => bridge.calls.iter().collect(),
    };
    let calls = calls
        .into_iter()
        .filter(|call| tenant.as_deref().is_none_or(|wanted| tenant_of(cluster, call) == Some(wanted)))
        .collect();
    let page = page(ctx, cluster, "calls", calls, |call| &call.id)?;
    Ok(Reply::xml(calls_document(cluster, |xml| {
        xml.element("calls", &[("total", &page.total)], |xml| {
            for call in &page.items {
                xml.element("call", &[("id", &call.id)], |xml| {
                    xml.leaf("name", &call.name);
                    if let Some(space) = &call.space {
                        xml.leaf("coSpace", space);
                    }
                    xml.leaf("callCorrelator", &call.correlator);
                    if let Some(tenant) = tenant_of(cluster, call) {
                        xml.leaf("tenant", tenant);
                    }
                });
            }
        });
    })))
}

/// POST: makes the call on the bridge that got the request (section 9).
pub fn create(ctx: &Ctx<'_>, cluster: &mut Cluster) -> Answer {
    let changes = take_call(cluster, ctx, Phase::Create)?;
    let mut fields = Fields::default();
    for (field, value) in changes {
        if value.is_some() {
            fields.set(field.name, value);
        }
    }
    let (space, name) = match ctx.body.non_empty("coSpace") {
        Some(id) => {
            let id = id.trim().to_lowercase();
            let missing = Refusal::Missing(Kind::CoSpace.spec().missing);
            let record = cluster.db.get(Kind::CoSpace, &id).ok_or(missing)?;
            (Some(record.id.clone()), record.fields.get("name").unwrap_or_default().to_owned())
        }
        None => (None, ctx.body.non_empty("name").ok_or_else(|| Refusal::parameter("coSpace"))?.to_owned()),
    };
    for what in [Capture::Recording, Capture::Streaming] {
        let wanted = fields.is_true(if what == Capture::Recording { "recording" } else { "streaming" });
        cluster.check_capture(space.as_deref(), what, (false, wanted))?;
    }
    if let (Some(space), SecondCall::SameId) = (&space, cluster.switches.second_call) {
        let running = cluster.bridges.get(ctx.bridge).and_then(|b| b.calls_of(space).next()).map(|c| c.id.clone());
        if let Some(id) = running {
            let mut reply = Reply::created(format!("/api/v1/calls/{id}"), id.clone());
            // A call that people started stays once somebody asked for it by POST: that is a change.
            let call = cluster.bridges.get_mut(ctx.bridge).and_then(|b| b.calls.get_mut(&id));
            reply.effect = call.is_some_and(|call| !std::mem::replace(&mut call.by_api, true));
            return Ok(reply);
        }
    }
    let id = cluster.start_call(ctx.bridge, space.as_ref(), name, true, fields);
    Ok(Reply::created(format!("/api/v1/calls/{id}"), id))
}

/// `coSpace` and `name` are read by hand on creation; everywhere else they are unknown parameters.
fn take_call(cluster: &Cluster, ctx: &Ctx<'_>, phase: Phase) -> Result<crate::state::spaces::Changes, Refusal> {
    let mut pairs = ctx.body.clone();
    if phase == Phase::Create {
        let own = ["coSpace", "name", "callCorrelator"];
        pairs.0.retain(|(name, _)| !own.iter().any(|o| o.eq_ignore_ascii_case(name)));
    }
    let changes = take(cluster, &[CALL_FIELDS], &pairs, phase)?;
    let is_bad = |text: &String| text.parse::<u32>().is_err() && text != "permanent";
    if changes.iter().any(|(field, value)| field.name == "messageDuration" && value.as_ref().is_some_and(is_bad)) {
        return Err(Refusal::parameter("messageDuration"));
    }
    Ok(changes)
}

/// GET of one call.
pub fn single(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let call = find(ctx, cluster, id)?;
    let local = cluster
        .bridges
        .get(ctx.bridge)
        .map_or(0, |b| call.legs.iter().filter_map(|l| b.legs.get(l)).filter(|leg| leg.link.is_none()).count());
    let gone = cluster.vanished_for(ctx.bridge).filter(|gone| gone.correlator == call.correlator).count();
    let remote = cluster.people_in(&call.correlator).saturating_sub(local) + gone;
    let instances = cluster.bridges.iter().filter(|b| b.call_with(&call.correlator).is_some()).count();
    let owner = ["meetingScheduler", "ownerJid"]
        .into_iter()
        .find_map(|field| cluster.db.value(Kind::CoSpace, call.space.as_deref(), field));
    let body = document(cluster, |xml| {
        xml.element("call", &[("id", id)], |xml| {
            xml.leaf("name", &call.name);
            if cluster.version >= Version(2, 3) {
                xml.leaf("callType", if call.space.is_some() { "coSpace" } else { "adHoc" });
            }
            if let Some(space) = call.space.as_ref().filter(|_| !cluster.switches.call_hides_space) {
                xml.leaf("coSpace", space);
            }
            if let Some(owner) = owner.filter(|_| cluster.version >= Version(2, 2)) {
                xml.leaf("ownerName", owner);
            }
            xml.leaf("callCorrelator", &call.correlator);
            if let Some(tenant) = tenant_of(cluster, call) {
                xml.leaf("tenant", tenant);
            }
            xml.show("durationSeconds", call.started.elapsed().as_secs());
            xml.show("numCallLegs", call.legs.len());
            xml.show("maxCallLegs", call.max_legs);
            xml.show("numParticipantsLocal", local);
            if remote > 0 {
                xml.show("numParticipantsRemote", remote);
            }
            if instances > 1 {
                xml.show("numDistributedInstances", instances);
            }
            let message = call.message();
            for field in CALL_FIELDS.iter().filter(|f| f.known(cluster.version)) {
                if let Some(what) = Capture::of(field.name) {
                    let runs = cluster.is_captured(call, what);
                    xml.show(field.name, runs);
                    xml.show(what.status(), runs);
                    continue;
                }
                let Some(value) = call.fields.get(field.name) else { continue };
                match field.name {
                    "messageText" if message.is_none() => {}
                    _ => xml.leaf(field.name, value),
                }
                if let Some(left) = message.and_then(|m| m.remaining).filter(|_| field.name == "messageDuration") {
                    xml.show("messageTimeRemaining", left);
                }
            }
            if cluster.version >= Version(2, 4) {
                xml.leaf("endpointRecording", "false");
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}

/// PUT of one call.
pub fn modify(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    find(ctx, cluster, id)?;
    let changes = take_call(cluster, ctx, Phase::Modify)?;
    for (field, value) in &changes {
        let Some(what) = Capture::of(field.name) else { continue };
        let call = find(ctx, cluster, id)?;
        let wanted = value.as_deref() == Some("true");
        cluster.check_capture(call.space.as_deref(), what, (cluster.is_captured(call, what), wanted))?;
    }
    let call = cluster.bridges.get_mut(ctx.bridge).and_then(|b| b.calls.get_mut(id)).ok_or(MISSING)?;
    let mut effect = false;
    for (field, value) in changes {
        if field.name == "messageText" {
            // Told again it is shown as long again.
            effect |= value.is_some() || call.message().is_some();
            call.message_since = value.is_some().then(tokio::time::Instant::now);
        }
        effect |= call.fields.set(field.name, value.or_else(|| field.default.map(str::to_owned)));
    }
    Ok(Reply::done(effect, id))
}

/// DELETE of one call: everybody in it is dropped.
pub fn delete(ctx: &Ctx<'_>, cluster: &mut Cluster, id: &Id) -> Answer {
    let correlator = find(ctx, cluster, id)?.correlator.clone();
    let reason = match cluster.switches.delete_reason {
        DeleteReason::CallEnded => "callEnded",
        DeleteReason::ApiInitiatedTeardown => "apiInitiatedTeardown",
    };
    cluster.end_call(ctx.bridge, id, reason);
    if cluster.switches.delete_call == DeleteCall::AllInstances {
        for bridge in 0..cluster.bridges.len() {
            let others = cluster.bridges.get(bridge).and_then(|b| b.calls_of_correlator.get(&correlator)).cloned();
            for other in others.unwrap_or_default() {
                cluster.end_call(bridge, &other, reason);
            }
        }
    }
    Ok(Reply::done(true, id))
}
