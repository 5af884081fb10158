//! Queries and other odd nodes (cms-protocol.md 6.2, 8, 11).

use std::time::Duration;

use tokio::time::Instant;

use super::lists::page;
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{Kind, Version};
use crate::state::names::Wish;
use crate::state::{Cluster, Token};

/// The tenant that a query names.
fn tenant(ctx: &Ctx<'_>, cluster: &Cluster) -> Result<Option<Id>, Refusal> {
    let Some(id) = ctx.body.non_empty("tenant") else { return Ok(None) };
    let missing = Refusal::Missing(Kind::Tenant.spec().missing);
    cluster.db.get(Kind::Tenant, &id.trim().to_lowercase()).map(|record| Some(record.id.clone())).ok_or(missing)
}

fn tenant_of<'a>(cluster: &'a Cluster, space: &str) -> Option<&'a str> {
    cluster.db.value(Kind::CoSpace, Some(space), "tenant")
}

fn user_part(uri: &str) -> &str {
    uri.split('@').next().unwrap_or(uri)
}

/// POST accessQuery: how the uri or callId of a space or access method is reached, within a tenant if one is given: the
/// full SIP address and the web address. Without web bridge there is no web address.
pub fn access(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let tenant = tenant(ctx, cluster)?;
    let asked = ctx.body.non_empty("uri").map(user_part);
    let wish = match (asked, ctx.body.non_empty("callId")) {
        (Some(uri), _) => Wish::uri(uri),
        (None, Some(call_id)) => Wish::call_id(cluster.db.tenant_group(tenant.as_deref()), call_id.trim()),
        (None, None) => return Err(Refusal::parameter("uri")),
    };
    let mut ways = cluster.db.names.ways_in(&wish);
    let way = ways.find(|(space, ..)| tenant.is_none() || tenant_of(cluster, space) == tenant.as_deref());
    let record = |id: &Id| cluster.db.get(Kind::CoSpace, id).or_else(|| cluster.db.get(Kind::AccessMethod, id));
    let fields = way.and_then(|(_, holder, _)| record(holder)).map(|record| &record.fields);
    let uri = fields.and_then(|fields| {
        let mut uris = ["uri", "secondaryUri"].into_iter().filter_map(|name| fields.get(name));
        uris.find(|uri| asked.is_none() || Wish::uri(uri).name == wish.name)
    });
    let bridge = cluster.db.table(Kind::WebBridge).iter().find_map(|b| b.fields.get("url"));
    let web = fields.zip(bridge).and_then(|(fields, url)| {
        let (call_id, secret) = (fields.get("callId")?, fields.get("secret")?);
        let url = url.trim_end_matches('/');
        // Join links of section 8: 2.x and 3.x differ.
        Some(if cluster.version >= Version(3, 0) {
            format!("{url}/meeting/{call_id}?secret={secret}")
        } else {
            format!("{url}/invited.sf?id={call_id}&secret={secret}")
        })
    });
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("accessQuery", &[], |xml| {
            if let Some(uri) = uri {
                xml.leaf("uri", &cluster.db.full_uri(uri));
            }
            if let Some(web) = &web {
                xml.leaf("webAddress", web);
            }
        });
    })))
}

/// POST uriUsageQuery: who of a tenant, or of none, uses an address. The element name of a space is ours (8, `?`).
pub fn uri_usage(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let tenant = tenant(ctx, cluster)?;
    let uri = ctx.body.non_empty("uri").ok_or_else(|| Refusal::parameter("uri"))?;
    let wish = Wish::uri(user_part(uri));
    let mut spaces = cluster.db.names.ways_in(&wish).map(|(space, ..)| space);
    let space = spaces.find(|space| tenant_of(cluster, space) == tenant.as_deref());
    let users = cluster.db.table(Kind::User).iter();
    let mut users = users.filter(|user| user.fields.get("tenant") == tenant.as_deref());
    let user = users.find(|user| user.fields.get("userJid") == Some(uri));
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("uriUsageQuery", &[], |xml| {
            if let Some(space) = space {
                xml.leaf("coSpaceId", space);
            }
            if let Some(user) = user {
                xml.leaf("userId", &user.id);
            }
        });
    })))
}

/// POST authTokens (11): a token for the events socket, good for a while and for one use. The socket itself is not
/// part of the simulator.
pub fn auth_token(ctx: &Ctx<'_>, cluster: &mut Cluster) -> Answer {
    let now = Instant::now();
    cluster.tokens.retain(|_, token| now < token.until);
    let token = cluster.ids.secret();
    let until = now + Duration::from_millis(cluster.switches.token_life_ms);
    cluster.tokens.insert(token.clone(), Token { bridge: ctx.bridge, until });
    Ok(Reply { token: Some(token), ..Reply::default() })
}

/// The status for a client of the events socket: 401 without a good token, else 501, because the simulator has no
/// events. The token is used up, unless the switch allows many uses.
pub fn events(cluster: &mut Cluster, bridge: usize, token: &str) -> u16 {
    let good = cluster.tokens.get(token).is_some_and(|t| t.bridge == bridge && Instant::now() < t.until);
    if !good {
        return 401;
    }
    if cluster.switches.token_single_use {
        cluster.tokens.remove(token);
    }
    501
}

/// GET /coSpaces/<id>/meetingEntryDetail (2.1).
pub fn entry_detail(cluster: &Cluster, id: &Id) -> Answer {
    let missing = Refusal::Missing(Kind::CoSpace.spec().missing);
    let fields = &cluster.db.get(Kind::CoSpace, id).ok_or(missing)?.fields;
    let body = document(cluster, |xml| {
        xml.element("meetingEntryDetail", &[], |xml| {
            xml.leaf("coSpace", id);
            if let Some(uri) = fields.get("uri") {
                xml.leaf("uri", &cluster.db.full_uri(uri));
            }
            if let Some(call_id) = fields.get("callId") {
                xml.leaf("callId", call_id);
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}

/// GET /webBridges/<id>/status (2.2): a web bridge without an address is unused, any other is fine.
pub fn web_bridge_status(cluster: &Cluster, id: &Id) -> Answer {
    let missing = Refusal::Missing(Kind::WebBridge.spec().missing);
    let fields = &cluster.db.get(Kind::WebBridge, id).ok_or(missing)?.fields;
    let state = if fields.get("url").is_some() { "success" } else { "unused" };
    let body = document(cluster, |xml| xml.element("webBridge", &[("id", id)], |xml| xml.leaf("status", state)));
    Ok(Reply::xml(body).about(id))
}

/// GET /users/<id>/usercoSpaces: the spaces that a user is a member of.
pub fn memberships(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let missing = Refusal::Missing(Kind::User.spec().missing);
    let jid = cluster.db.get(Kind::User, id).ok_or(missing)?.fields.get("userJid");
    let rows = cluster.db.table(Kind::CoSpaceUser).iter().filter(|member| member.fields.get("userJid") == jid);
    let spaces: Vec<&Id> = rows.filter_map(|member| member.parent.as_ref()).collect();
    let page = page(ctx, cluster, "usercoSpaces", spaces, |space| space)?;
    let body = document(cluster, |xml| {
        xml.element("userCoSpaces", &[("total", &page.total)], |xml| {
            for space in &page.items {
                xml.element("userCoSpace", &[("id", space)], |xml| xml.leaf("coSpaceId", space));
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}
