//! /system and /clusterLicensing (cms-protocol.md 4.1, 4.2).

use super::lists::page;
use super::params::{Phase, take};
use super::reply::{Answer, Ctx, Reply, document};
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::{CLUSTER_CONFIGURATION, Field, Kind, SYSTEM_PROFILES, Version};
use crate::state::Cluster;
use crate::state::bridge::{Bridge, LegState};
use crate::state::record::{Fields, Record};
use crate::wire::xml::Xml;

/// Rates of one connected audio and video leg in bit/s; the figures are ours.
const AUDIO_BIT_RATE: u64 = 64_000;
const VIDEO_BIT_RATE: u64 = 2_000_000;

fn own<'a>(ctx: &Ctx<'_>, cluster: &'a Cluster) -> Result<&'a Bridge, Refusal> {
    cluster.bridges.get(ctx.bridge).ok_or(Refusal::Unavailable)
}

fn connected(bridge: &Bridge) -> u64 {
    bridge.legs.iter().filter(|leg| leg.state == LegState::Connected).count() as u64
}

/// GET /system/status: twelve fields in the order of 2.0 (518 bytes), later ones where 4.1 puts them.
pub fn status(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let bridge = own(ctx, cluster)?;
    let media = connected(bridge);
    let version = cluster.version;
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("status", &[], |xml| {
            if version >= Version(2, 6) {
                xml.leaf("hostId", &bridge.host_id);
            }
            xml.leaf("softwareVersion", &cluster.software_version);
            xml.show("uptimeSeconds", bridge.uptime());
            xml.leaf("cdrTime", &bridge.cdr_time());
            xml.show("activated", cluster.switches.activated);
            if version >= Version(2, 0) {
                xml.show("clusterEnabled", cluster.clustered);
            }
            if version >= Version(2, 2) {
                // No record is ever sent: the simulator does not push CDRs.
                xml.leaf("cdrCorrelatorIndex", "0");
            }
            if version >= Version(3, 0) {
                xml.leaf("clusterId", &cluster.cluster_id);
            }
            xml.show("callLegsActive", bridge.people_count());
            xml.show("callLegsMaxActive", bridge.legs_max);
            xml.show("callLegsCompleted", bridge.legs_completed);
            xml.show("audioBitRateOutgoing", media * AUDIO_BIT_RATE);
            xml.show("audioBitRateIncoming", media * AUDIO_BIT_RATE);
            xml.show("videoBitRateOutgoing", media * VIDEO_BIT_RATE);
            xml.show("videoBitRateIncoming", media * VIDEO_BIT_RATE);
        });
    })))
}

/// GET /system/alarms.
pub fn alarms(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let items = own(ctx, cluster)?.alarms.iter().collect();
    let page = page(ctx, cluster, "alarms", items, |alarm: &&crate::state::bridge::Alarm| &alarm.id)?;
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("alarms", &[("total", &page.total)], |xml| {
            for alarm in &page.items {
                xml.element("alarm", &[("id", &alarm.id)], |xml| {
                    xml.leaf("type", &alarm.kind);
                    xml.show("activeTimeSeconds", alarm.since.elapsed().as_secs());
                    if let Some(reason) = &alarm.reason {
                        xml.leaf("failureReason", reason);
                    }
                    if let Some((name, text)) = &alarm.child {
                        xml.leaf(name, text);
                    }
                });
            }
        });
    })))
}

/// GET /system/database as the asked bridge sees it. The reference gives names and attributes, the nesting of `node`
/// in `cluster` is ours.
pub fn database(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let primary = cluster.database_loss(ctx.bridge).is_none();
    let nodes = &cluster.database_nodes;
    let total = nodes.len().to_string();
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("database", &[("clustered", if cluster.clustered { "enabled" } else { "disabled" })], |xml| {
            if !cluster.clustered {
                return;
            }
            xml.element("cluster", &[], |xml| {
                xml.leaf("totalNodes", &total);
                if let Some(master) = nodes.first().filter(|_| primary) {
                    xml.leaf("nodeInUse", master);
                }
                for (position, host) in nodes.iter().enumerate() {
                    let master = position == 0 && primary;
                    // Without a primary the first node is the one that is lost.
                    let up = position > 0 || primary;
                    let behind = if up { "0" } else { "-1" };
                    let flag = |value: bool| if value { "true" } else { "false" };
                    let attributes = [
                        ("hostname", host.as_str()),
                        ("up", flag(up)),
                        ("syncBehind", behind),
                        ("master", flag(master)),
                    ];
                    xml.element("node", &attributes, |_| {});
                }
                if !primary {
                    xml.leaf("error", "no primary");
                }
            });
        });
    })))
}

/// GET /system/load (2.1).
pub fn load(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let units = connected(own(ctx, cluster)?) * cluster.switches.load_per_leg;
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("load", &[], |xml| xml.show("mediaProcessingLoad", units));
    })))
}

fn features(xml: &mut Xml, names: &[&str], expiry: &str) {
    xml.element("features", &[], |xml| {
        for name in names {
            xml.element(name, &[], |xml| {
                xml.leaf("status", "activated");
                xml.leaf("expiry", expiry);
            });
        }
    });
}

/// GET /system/licensing: everything is activated; the expiry is ours, its form is that of 1.7.
pub fn licensing(cluster: &Cluster) -> Answer {
    let mut names = vec!["callBridge"];
    if cluster.version >= Version(2, 4) {
        names.push("callBridgeNoEncryption");
    }
    names.extend(["webBridge", "turn", "ldap", "branding", "recording", "streaming", "personal", "shared"]);
    names.push("capacityUnits");
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("licensing", &[], |xml| features(xml, &names, "2099-Dec-31"));
    })))
}

/// GET /clusterLicensing (3.0): the expiry is at most 90 days ahead.
pub fn cluster_licensing(cluster: &Cluster) -> Answer {
    let now = jiff::Timestamp::now();
    let expiry = now.checked_add(jiff::SignedDuration::from_hours(24 * 90)).unwrap_or(now);
    let expiry = expiry.strftime("%Y-%b-%d").to_string();
    let names = ["callBridge", "callBridgeNoEncryption", "customizations", "recording"];
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element("clusterLicensing", &[], |xml| features(xml, &names, &expiry));
    })))
}

fn attributes(cluster: &Cluster, name: &str, table: &'static [Field], fields: &Fields) -> Answer {
    Ok(Reply::xml(document(cluster, |xml| {
        xml.element(name, &[], |xml| {
            for field in table.iter().filter(|f| f.known(cluster.version)) {
                if let Some(value) = fields.get(field.name) {
                    xml.leaf(field.name, value);
                }
            }
        });
    })))
}

/// GET /system/configuration/cluster, an object of one bridge.
pub fn configuration(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    attributes(cluster, "cluster", CLUSTER_CONFIGURATION, &own(ctx, cluster)?.configuration)
}

fn write(fields: &mut Fields, changes: crate::state::spaces::Changes) -> Reply {
    let mut effect = false;
    for (field, value) in changes {
        effect |= fields.set(field.name, value.or_else(|| field.default.map(str::to_owned)));
    }
    Reply { effect, ..Reply::default() }
}

/// PUT (or POST) of the same.
pub fn configure(ctx: &Ctx<'_>, cluster: &mut Cluster) -> Answer {
    let changes = take(cluster, &[CLUSTER_CONFIGURATION], ctx.body, Phase::Modify)?;
    let bridge = cluster.bridges.get_mut(ctx.bridge).ok_or(Refusal::Unavailable)?;
    Ok(write(&mut bridge.configuration, changes))
}

/// GET /system/profiles.
pub fn profiles(cluster: &Cluster) -> Answer {
    attributes(cluster, "profiles", SYSTEM_PROFILES, &cluster.db.system_profiles)
}

/// PUT of the same; an empty value unsets.
pub fn set_profiles(ctx: &Ctx<'_>, cluster: &mut Cluster) -> Answer {
    let changes = take(cluster, &[SYSTEM_PROFILES], ctx.body, Phase::Modify)?;
    Ok(write(&mut cluster.db.system_profiles, changes))
}

/// GET /system/cdrReceiver, the deprecated single node: the first of the receivers.
pub fn old_cdr_receiver(ctx: &Ctx<'_>, cluster: &Cluster) -> Answer {
    let first = cluster.table(Kind::CdrReceiver, ctx.bridge).iter().next();
    let uri = first.and_then(|r| r.fields.get("uri")).unwrap_or_default();
    Ok(Reply::xml(document(cluster, |xml| xml.element("cdrReceiver", &[], |xml| xml.leaf("uri", uri)))))
}

/// PUT of the same: an empty address removes it; without one nothing changes.
pub fn set_old_cdr_receiver(ctx: &Ctx<'_>, cluster: &mut Cluster) -> Answer {
    let Some(uri) = ctx.body.get("uri").or_else(|| ctx.body.get("url")).map(str::to_owned) else {
        return Ok(Reply::default());
    };
    let fresh = cluster.ids.guid();
    let bridge = cluster.bridges.get_mut(ctx.bridge).ok_or(Refusal::Unavailable)?;
    let first: Option<Id> = bridge.cdr_receivers.iter().next().map(|r| r.id.clone());
    let effect = match (first, uri.is_empty()) {
        (Some(id), true) => bridge.cdr_receivers.remove(&id).is_some(),
        (Some(id), false) => bridge.cdr_receivers.get_mut(&id).is_some_and(|r| r.fields.set("uri", Some(uri))),
        (None, true) => false,
        (None, false) => {
            let mut fields = Fields::default();
            fields.set("uri", Some(uri));
            bridge.cdr_receivers.insert(fresh.clone(), Record::new(fresh, None, fields));
            true
        }
    };
    Ok(Reply { effect, ..Reply::default() })
}
