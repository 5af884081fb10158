//! The engine for every collection that `schema` describes: list, single, create, modify, delete, usage.

use std::collections::HashSet;

use tokio::time::Instant;

use super::lists::{matches, page};
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Kind, TOP_LEVEL, Type, Version};
use crate::state::Cluster;
use crate::state::log::Actor;
use crate::state::record::{Fields, Record};
use crate::state::spaces::Changes;
use crate::switches::{UnknownSet, UsageFilter};
use crate::wire::form::Pairs;
use crate::wire::xml::Xml;

/// Most CDR receivers of a bridge (4.2).
fn max_cdr_receivers(cluster: &Cluster) -> usize {
    if cluster.version < Version(1, 9) { 2 } else { 4 }
}

/// The space a nested collection hangs under must exist.
fn check_parent(ctx: &Ctx<'_>, cluster: &Cluster, parent: Option<&Id>) -> Result<(), Refusal> {
    match parent {
        Some(space) => seen(ctx, cluster, Kind::CoSpace, space).map(|_| ()),
        None => Ok(()),
    }
}

/// An object as the asked bridge sees it.
fn seen<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster, kind: Kind, id: &str) -> Result<(&'a Record, &'a Fields), Refusal> {
    let now = Instant::now();
    let record = cluster.table(kind, ctx.bridge).get(id);
    let ghost = || cluster.db.ghosts(kind, ctx.bridge, now).find(|g| &*g.id == id).map(|g| (g, &g.fields));
    record
        .and_then(|record| record.seen_by(ctx.bridge, now).map(|fields| (record, fields)))
        .or_else(ghost)
        .ok_or(Refusal::Missing(kind.spec().missing))
}

/// An object that is nested in the right space.
fn seen_in<'a>(
    ctx: &Ctx<'_>,
    cluster: &'a Cluster,
    kind: Kind,
    parent: Option<&Id>,
    id: &str,
) -> Result<(&'a Record, &'a Fields), Refusal> {
    check_parent(ctx, cluster, parent)?;
    let found = seen(ctx, cluster, kind, id)?;
    if found.0.parent.as_ref() == parent { Ok(found) } else { Err(Refusal::Missing(kind.spec().missing)) }
}

/// GET of a collection.
pub fn list(ctx: &Ctx<'_>, cluster: &Cluster, kind: Kind, parent: Option<&Id>) -> Answer {
    check_parent(ctx, cluster, parent)?;
    let spec = kind.spec();
    let now = Instant::now();
    let (usage, asked) = (cluster.switches.usage_filter, ctx.query.non_empty("usageFilter").filter(|_| spec.usage));
    let referenced = match asked.filter(|_| usage != UsageFilter::Ignored) {
        Some(_) if usage == UsageFilter::Refused => return Err(Refusal::parameter("usageFilter")),
        Some(word) if word.eq_ignore_ascii_case("referenced") => Some((references(cluster, kind), true)),
        Some(word) if word.eq_ignore_ascii_case("unreferenced") => Some((references(cluster, kind), false)),
        Some(_) => return Err(Refusal::parameter("usageFilter")),
        None => None,
    };
    let table = cluster.table(kind, ctx.bridge);
    let rows: Box<dyn Iterator<Item = &Record>> = match parent {
        Some(parent) => Box::new(cluster.db.children(kind, parent).iter().filter_map(|id| table.get(id))),
        None => Box::new(table.iter()),
    };
    let items: Vec<(&Record, &Fields)> = rows
        .filter_map(|record| record.seen_by(ctx.bridge, now).map(|fields| (record, fields)))
        .chain(cluster.db.ghosts(kind, ctx.bridge, now).map(|ghost| (ghost, &ghost.fields)))
        .filter(|(record, fields)| {
            record.parent.as_ref() == parent
                && matches(ctx, cluster, fields, spec.filter, spec.exact)
                && referenced.as_ref().is_none_or(|(ids, wanted)| ids.contains(&record.id) == *wanted)
        })
        .collect();
    let page = page(ctx, cluster, spec.plural, items, |(record, _)| &record.id)?;
    let maximum = max_cdr_receivers(cluster).to_string();
    let mut attributes = vec![("total", page.total.as_str())];
    if kind == Kind::CdrReceiver {
        attributes.push(("maximum", &maximum));
    }
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element(spec.plural, &attributes, |xml| {
            for (record, fields) in &page.items {
                xml.element(spec.singular, &[("id", &record.id)], |xml| write_fields(cluster, kind, fields, true, xml));
            }
        });
    })))
}

/// GET of an object.
pub fn single(ctx: &Ctx<'_>, cluster: &Cluster, kind: Kind, parent: Option<&Id>, id: &Id) -> Answer {
    let (record, fields) = seen_in(ctx, cluster, kind, parent, id)?;
    let body = document(cluster, |xml| {
        xml.element(kind.spec().singular, &[("id", &record.id)], |xml| {
            write_fields(cluster, kind, fields, false, xml);
            let methods = cluster.db.children(Kind::AccessMethod, &record.id).len();
            if kind == Kind::CoSpace && methods > 0 && !is_kept_back(cluster, kind, "numAccessMethods") {
                xml.show("numAccessMethods", methods);
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}

pub fn write_fields(cluster: &Cluster, kind: Kind, fields: &Fields, in_list: bool, xml: &mut Xml) {
    let show_unset = cluster.switches.show_unset && !in_list;
    let hidden = |name| cluster.switches.hide_defaults && fields.is_defaulted(name);
    let all = kind.spec().fields.iter();
    let all: Vec<_> = if cluster.switches.fields_backwards { all.rev().collect() } else { all.collect() };
    for field in all {
        let shown = if in_list { field.listed } else { field.shown };
        let is_hidden = hidden(field.name) || is_kept_back(cluster, kind, field.name);
        if !shown || !field.known(cluster.version) || is_hidden {
            continue;
        }
        match fields.get(field.name) {
            Some(value) => xml.leaf(field.name, value),
            None if field.always || (show_unset && field.put) => xml.leaf(field.name, ""),
            None => {}
        }
    }
}

/// Whether the switch keeps this field of a space back.
fn is_kept_back(cluster: &Cluster, kind: Kind, name: &str) -> bool {
    kind == Kind::CoSpace && cluster.switches.space_hides.contains(name)
}

/// The CDR receiver's address may be called `url` on the way in (0.3).
fn body_of(ctx: &Ctx<'_>, kind: Kind) -> Pairs {
    let mut pairs = ctx.body.clone();
    if kind == Kind::CdrReceiver {
        for (name, _) in &mut pairs.0 {
            if name.eq_ignore_ascii_case("url") {
                "uri".clone_into(name);
            }
        }
    }
    pairs
}

/// A bridge may take a parameter of a profile, and drop it.
fn kept(cluster: &Cluster, kind: Kind, mut changes: Changes) -> Changes {
    if matches!(kind, Kind::CallProfile | Kind::CallLegProfile) {
        changes.retain(|(field, _)| !cluster.switches.profile_drops.contains(field.name));
    }
    changes
}

/// POST to a collection.
pub fn create(ctx: &Ctx<'_>, cluster: &mut Cluster, kind: Kind, parent: Option<&Id>) -> Answer {
    let spec = kind.spec();
    if !spec.post {
        return Err(Refusal::Rule("invalidOperation"));
    }
    check_parent(ctx, cluster, parent)?;
    let mut refused = cluster.switches.bulk_refused.iter().filter(|_| kind == Kind::BulkSet);
    if let Some(name) = refused.find(|name| ctx.body.get(name).is_some()) {
        return Err(Refusal::parameter(name));
    }
    let changes = kept(cluster, kind, take(cluster, &[spec.fields], &body_of(ctx, kind), Phase::Create)?);
    let actor = Actor::Api(ctx.bridge);
    let id = match (kind, parent) {
        (Kind::CoSpace, _) => cluster.create_space(actor, &changes, None)?,
        (Kind::AccessMethod, Some(space)) => cluster.create_method(actor, space, &changes)?,
        _ => {
            let mut fields = Fields::default();
            for (field, value) in changes {
                fields.set(field.name, value);
            }
            for field in spec
                .fields
                .iter()
                .filter(|f| f.known(cluster.version) && fields_lack(&fields, f.name))
                .collect::<Vec<_>>()
            {
                fields.set_default(field.name, field.default);
            }
            before_create(cluster, ctx, kind, &mut fields)?;
            let id = cluster.ids.guid();
            let record = Record::new(id.clone(), parent.cloned(), fields);
            match (kind, cluster.bridges.get_mut(ctx.bridge)) {
                (Kind::CdrReceiver, Some(bridge)) => bridge.cdr_receivers.insert(id.clone(), record),
                _ => cluster.db.insert(kind, record),
            }
            cluster.mark_written(kind, &id, actor, None);
            id
        }
    };
    if kind == Kind::BulkSync {
        if let Some(state) = ctx.sync_state {
            cluster.forced_syncs.insert(id.clone(), state.to_owned());
        }
        cluster.queue_sync(&id);
    }
    let remark = (kind == Kind::BulkSet).then(|| collision_of(cluster, &id)).flatten();
    Ok(Reply { remark, ..Reply::created(kind.location(parent, &id), id) })
}

/// What a bulk set of several spaces says of each of them alike; where `$index$` was lost to a shell, that is a mistake.
fn collision_of(cluster: &Cluster, set: &Id) -> Option<String> {
    let fields = &cluster.db.get(Kind::BulkSet, set)?.fields;
    if fields.number("startIndex")? >= fields.number("endIndex")? {
        return None;
    }
    let mappings = ["coSpaceUriMapping", "coSpaceNameMapping", "coSpaceCallIdMapping"];
    let is_fixed = |name: &&str| fields.get(name).is_some_and(|mapping| !mapping.contains("$index$"));
    let fixed: Vec<&str> = mappings.into_iter().filter(is_fixed).collect();
    if fixed.is_empty() {
        return None;
    }
    let remark = format!("{} without $index$: every space of the set gets the same", fixed.join(", "));
    tracing::warn!(%set, "{remark}");
    Some(remark)
}

fn fields_lack(fields: &Fields, name: &str) -> bool {
    fields.get(name).is_none()
}

/// Rules of single kinds for a new object.
fn before_create(cluster: &Cluster, ctx: &Ctx<'_>, kind: Kind, fields: &mut Fields) -> Result<(), Refusal> {
    match kind {
        Kind::CallBridge => unique_bridge_name(cluster, None, fields),
        Kind::CdrReceiver if cluster.table(kind, ctx.bridge).len() >= max_cdr_receivers(cluster) => {
            Err(Refusal::Rule("tooManyCdrReceivers"))
        }
        Kind::CoSpaceUser => {
            let jid = fields.get("userJid").unwrap_or_default();
            let user = cluster.db.table(Kind::User).iter().find(|user| user.fields.get("userJid") == Some(jid));
            fields.set("userId", user.map(|user| user.id.to_string()));
            Ok(())
        }
        Kind::BulkSync => {
            let set = fields.get("cospaceBulkParameterSet").unwrap_or_default().to_lowercase();
            let known = cluster.db.get(Kind::BulkSet, &set).is_some();
            if !known && cluster.switches.unknown_set == UnknownSet::Refused {
                return Err(Refusal::Missing(Kind::BulkSet.spec().missing));
            }
            fields.set("cospaceBulkParameterSet", Some(set));
            fields.set("status", Some("pending".to_owned()));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn unique_bridge_name(cluster: &Cluster, own: Option<&Id>, fields: &Fields) -> Result<(), Refusal> {
    let name = fields.get("name");
    let mut others = cluster.db.table(Kind::CallBridge).iter().filter(|bridge| Some(&bridge.id) != own);
    match others.any(|bridge| bridge.fields.get("name") == name) {
        true => Err(Refusal::Rule("duplicateCallBridgeName")),
        false => Ok(()),
    }
}

/// PUT of an object: what is left out stays, what is empty is unset (1.2).
pub fn modify(ctx: &Ctx<'_>, cluster: &mut Cluster, kind: Kind, parent: Option<&Id>, id: &Id) -> Answer {
    let spec = kind.spec();
    seen_in(ctx, cluster, kind, parent, id)?;
    if !spec.put {
        return Err(Refusal::Rule("invalidOperation"));
    }
    let changes = kept(cluster, kind, take(cluster, &[spec.fields], &body_of(ctx, kind), Phase::Modify)?);
    let actor = Actor::Api(ctx.bridge);
    let effect = match (kind, parent) {
        (Kind::CoSpace, _) => cluster.modify_space(actor, id, &changes)?,
        (Kind::AccessMethod, Some(space)) => cluster.modify_method(actor, space, id, &changes)?,
        _ => {
            let missing = Refusal::Missing(spec.missing);
            let before = cluster.table(kind, ctx.bridge).get(id).ok_or(missing)?.fields.clone();
            let mut after = before.clone();
            for (field, value) in changes {
                if value.is_none() && field.required {
                    return Err(Refusal::parameter(field.name));
                }
                after.set(field.name, value.or_else(|| field.default.map(str::to_owned)));
            }
            if kind == Kind::CallBridge {
                unique_bridge_name(cluster, Some(id), &after)?;
            }
            if kind == Kind::Tenant && before.get("tenantGroup") != after.get("tenantGroup") {
                cluster.move_tenants(std::slice::from_ref(id), after.get("tenantGroup").unwrap_or_default())?;
            }
            let changed = before != after;
            if let Some(record) = cluster.record_mut(kind, ctx.bridge, id) {
                record.fields = after;
            }
            if changed {
                cluster.mark_written(kind, id, actor, Some(before));
            }
            changed
        }
    };
    Ok(Reply::done(effect, id))
}

/// DELETE of an object.
pub fn delete(ctx: &Ctx<'_>, cluster: &mut Cluster, kind: Kind, parent: Option<&Id>, id: &Id) -> Answer {
    let spec = kind.spec();
    seen_in(ctx, cluster, kind, parent, id)?;
    if !spec.delete {
        return Err(Refusal::Rule("invalidOperation"));
    }
    let actor = Actor::Api(ctx.bridge);
    let removed = match kind {
        Kind::CoSpace => {
            // 6.1: spaces made by LDAP sync cannot be removed one by one.
            if cluster.db.get(kind, id).is_some_and(|r| r.fields.is_true("autoGenerated")) {
                return Err(Refusal::Rule("invalidOperation"));
            }
            cluster.delete_space(actor, id)
        }
        Kind::CdrReceiver => cluster.bridges.get_mut(ctx.bridge).and_then(|b| b.cdr_receivers.remove(id)).is_some(),
        _ => {
            // Spaces without tenant are one group as well.
            match kind {
                Kind::Tenant => cluster.move_tenants(std::slice::from_ref(id), "")?,
                Kind::TenantGroup => cluster.move_tenants(&tenants_in(cluster, id), "")?,
                Kind::BulkSet if cluster.switches.delete_set_removes_spaces => cluster.remove_made(id),
                _ => {}
            }
            let late = cluster.late_until(actor);
            let removed = cluster.db.remove(kind, id, late).is_some();
            unset_references(cluster, kind, id);
            removed
        }
    };
    if removed { Ok(Reply::done(true, id)) } else { Err(Refusal::Missing(spec.missing)) }
}

fn tenants_in(cluster: &Cluster, group: &Id) -> Vec<Id> {
    let tenants = cluster.db.table(Kind::Tenant).iter();
    tenants.filter(|t| t.fields.get("tenantGroup") == Some(&**group)).map(|t| t.id.clone()).collect()
}

/// Attributes of a kind that refer to another kind.
fn referring(kind: Kind, to: Kind) -> impl Iterator<Item = &'static str> {
    kind.spec().fields.iter().filter(move |field| field.ty == Type::Ref(to)).map(|field| field.name)
}

/// Kinds whose objects can refer to others.
fn referrers() -> impl Iterator<Item = Kind> {
    TOP_LEVEL.iter().copied().chain([Kind::AccessMethod, Kind::CoSpaceUser])
}

/// All ids of a kind that something refers to.
pub fn references(cluster: &Cluster, to: Kind) -> HashSet<Id> {
    let mut found = HashSet::new();
    for kind in referrers() {
        for field in referring(kind, to) {
            found.extend(cluster.db.table(kind).iter().filter_map(|r| r.fields.get(field)).map(Id::from));
        }
    }
    found.extend(cluster.db.system_profiles.iter().map(|(_, id)| Id::from(id)));
    found
}

/// Nothing says what becomes of references to a deleted object; a dangling id would be worse than none. Bulk sets keep
/// no reference to syncs, so only objects of the tables are touched.
fn unset_references(cluster: &mut Cluster, to: Kind, id: &Id) {
    for kind in referrers() {
        for field in referring(kind, to) {
            let users: Vec<Id> = cluster
                .db
                .table(kind)
                .iter()
                .filter(|record| record.fields.get(field) == Some(&**id))
                .map(|record| record.id.clone())
                .collect();
            for user in users {
                if let Some(record) = cluster.db.get_mut(kind, &user) {
                    record.fields.set(field, None);
                }
            }
        }
    }
    if to == Kind::CallLegProfile {
        for leg in cluster.bridges.iter_mut().flat_map(|b| b.legs.iter_mut()) {
            if leg.fields.get("callLegProfile") == Some(&**id) {
                leg.fields.set("callLegProfile", None);
            }
        }
    }
    let own: Vec<&'static str> =
        cluster.db.system_profiles.iter().filter(|(_, value)| **value == **id).map(|(name, _)| name).collect();
    for name in own {
        cluster.db.system_profiles.set(name, None);
    }
}

/// `GET /<profiles>/<id>/usage`: everything that refers to the profile. The blueprint prints `global` only; that the others
/// are named as in their own lists is ours.
pub fn usage(ctx: &Ctx<'_>, cluster: &Cluster, kind: Kind, id: &Id) -> Answer {
    seen(ctx, cluster, kind, id)?;
    let mut users: Vec<(&str, &Id)> = Vec::new();
    for user in referrers() {
        let fields: Vec<_> = referring(user, kind).collect();
        let records = cluster.db.table(user).iter();
        let records = records.filter(|r| fields.iter().any(|field| r.fields.get(field) == Some(&**id)));
        users.extend(records.map(|record| (user.spec().singular, &record.id)));
    }
    let is_global = cluster.db.system_profiles.iter().any(|(_, value)| *value == **id);
    let total = (users.len() + usize::from(is_global)).to_string();
    let name = format!("{}Usage", kind.spec().singular);
    let body = document(cluster, |xml| {
        xml.element(&name, &[("id", id), ("total", &total)], |xml| {
            if is_global {
                xml.element("global", &[], |_| {});
            }
            for (element, user) in &users {
                xml.element(element, &[("id", user)], |_| {});
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}
