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

/// The SIP domain of a query's answer: the first inbound rule that leads to spaces, by priority.
fn sip_domain(cluster: &Cluster) -> String {
    cluster
        .db
        .table(Kind::InboundRule)
        .iter()
        .filter(|rule| rule.fields.is_true("resolveTocoSpaces"))
        .max_by_key(|rule| rule.fields.number("priority"))
        .and_then(|rule| rule.fields.get("domain"))
        .unwrap_or("cms.test")
        .to_owned()
}

/// POST accessQuery: full SIP address and web address of a space, by uri or callId. Without any inbound rule the
/// domain is `cms.test`; without web bridge there is no web address.
pub fn access(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let tenant = ctx.body.non_empty("tenant");
    let group = cluster.db.tenant_group(tenant);
    let wish = match (ctx.body.non_empty("uri"), ctx.body.non_empty("callId")) {
        (Some(uri), _) => Wish::uri(uri.split('@').next().unwrap_or(uri)),
        (None, Some(call_id)) => Wish::call_id(group, call_id.trim()),
        (None, None) => return Err(Refusal::parameter("uri")),
    };
    let space = cluster.db.names.find(&wish).next().map(|(id, _)| id.clone());
    let fields = space.as_ref().and_then(|id| cluster.db.get(Kind::CoSpace, id)).map(|record| &record.fields);
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
            if let Some(uri) = fields.and_then(|f| f.get("uri")) {
                xml.leaf("uri", &format!("{uri}@{}", sip_domain(cluster)));
            }
            if let Some(web) = &web {
                xml.leaf("webAddress", web);
            }
        });
    })))
}

/// POST uriUsageQuery (2.3): who uses an address. The element name of a space is ours (8, `?`).
pub fn uri_usage(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    if cluster.version < Version(2, 3) {
        return Err(Refusal::Unrecognised);
    }
    let uri = ctx.body.non_empty("uri").ok_or_else(|| Refusal::parameter("uri"))?;
    let space = cluster.db.space_of_uri(uri);
    let user = cluster.db.table(Kind::User).iter().find(|user| user.fields.get("userJid") == Some(uri));
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("uriUsageQuery", &[], |xml| {
            if let Some(space) = &space {
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
    if cluster.version < Version(2, 4) {
        return Err(Refusal::Unrecognised);
    }
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
    if cluster.version < Version(2, 1) {
        return Err(Refusal::Unrecognised);
    }
    let missing = Refusal::Missing(Kind::CoSpace.spec().missing);
    let fields = &cluster.db.get(Kind::CoSpace, id).ok_or(missing)?.fields;
    let body = document(cluster, |xml| {
        xml.element("meetingEntryDetail", &[], |xml| {
            for name in ["uri", "callId"] {
                if let Some(value) = fields.get(name) {
                    xml.leaf(name, value);
                }
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}

/// GET /webBridges/<id>/status (2.2): a web bridge without an address is unused, any other is fine.
pub fn web_bridge_status(cluster: &Cluster, id: &Id) -> Answer {
    if cluster.version < Version(2, 2) {
        return Err(Refusal::Unrecognised);
    }
    let missing = Refusal::Missing(Kind::WebBridge.spec().missing);
    let fields = &cluster.db.get(Kind::WebBridge, id).ok_or(missing)?.fields;
    let state = if fields.get("url").is_some() { "success" } else { "unused" };
    let body = document(cluster, |xml| xml.element("webBridge", &[("id", id)], |xml| xml.leaf("status", state)));
    Ok(Reply::xml(body).about(id))
}

/// GET /users/<id>/usercoSpaces: memberships of a user.
pub fn memberships(ctx: &Ctx<'_>, cluster: &Cluster, id: &Id) -> Answer {
    let missing = Refusal::Missing(Kind::User.spec().missing);
    let jid = cluster.db.get(Kind::User, id).ok_or(missing)?.fields.get("userJid");
    let rows = cluster.db.table(Kind::CoSpaceUser).iter().filter(|member| member.fields.get("userJid") == jid);
    let page = page(ctx, cluster, "usercoSpaces", rows.collect(), |member| &member.id)?;
    let body = document(cluster, |xml| {
        xml.element("userCoSpaces", &[("total", &page.total)], |xml| {
            for member in &page.items {
                xml.element("userCoSpace", &[("id", &member.id)], |xml| {
                    xml.leaf("coSpace", member.parent.as_deref().unwrap_or_default());
                });
            }
        });
    });
    Ok(Reply::xml(body).about(id))
}
