//! Intake: which bridge and slot a meeting has, or why it has none (R32, R33, R37, R80).

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use kube::runtime::reflector::ObjectRef;

use crate::api::bridge::NamespacesFrom;
use crate::api::conditions::{kind, meeting as reason};
use crate::api::meeting::{BridgeBinding, Dial};
use crate::api::{MeetingBridge, ScheduledMeeting};
use crate::cluster::BridgeKey;
use crate::controller::bookings::{Booking, Offer};
use crate::controller::context::Context;
use crate::plan::bridge::numbers;
use crate::plan::meeting::Seen;
use crate::status::is_true;
use crate::status::meeting::Refusal;

/// Namespace and name of a bridge object.
pub fn key_of(bridge: &MeetingBridge) -> BridgeKey {
    (bridge.namespace().unwrap_or_default(), bridge.name_any())
}

impl From<&BridgeBinding> for ObjectRef<MeetingBridge> {
    fn from(binding: &BridgeBinding) -> Self {
        ObjectRef::new(&binding.name).within(&binding.namespace)
    }
}

fn selects(selector: &LabelSelector, labels: &std::collections::BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// May meetings of this namespace book on this bridge (R80)?
fn allows(ctx: &Context, bridge: &MeetingBridge, namespace: &str) -> bool {
    if bridge.namespace().as_deref() == Some(namespace) {
        return true;
    }
    let allowed = &bridge.spec.allowed_namespaces;
    match allowed.from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => {
            let Some(selector) = &allowed.selector else { return false };
            let namespace = ctx.namespaces.get(&ObjectRef::new(namespace));
            namespace.is_some_and(|namespace| selects(selector, namespace.labels()))
        }
    }
}

/// The slots that this bridge can offer, or why it can offer none.
fn offer(ctx: &Context, bridge: &MeetingBridge, meeting: &ScheduledMeeting) -> Result<Offer, Refusal> {
    let key = key_of(bridge);
    let namespace = meeting.namespace().unwrap_or_default();
    let name = format!("{}/{}", key.0, key.1);
    let refuse = |reason, message| Err(Refusal { reason, message });
    if bridge.metadata.deletion_timestamp.is_some() {
        return refuse(reason::BRIDGE_NOT_FOUND, format!("the bridge {name} is being deleted"));
    }
    if !allows(ctx, bridge, &namespace) {
        let message =
            format!("the bridge {name} does not allow meetings of the namespace {namespace} (allowedNamespaces)");
        return refuse(reason::BRIDGE_NOT_ALLOWED, message);
    }
    let conditions = bridge.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if crate::status::find(conditions, kind::ACCEPTED).is_some_and(|condition| condition.status == "False") {
        return refuse(
            reason::BRIDGE_NOT_ALLOWED,
            format!("the bridge {name} is not accepted itself; see its conditions"),
        );
    }
    if !bridge.spec.scheduling.allow_booking {
        return refuse(
            reason::BOOKING_DISABLED,
            format!("the bridge {name} takes no bookings (scheduling.allowBooking)"),
        );
    }
    let dials_in = meeting.spec.participants.iter().find(|participant| participant.dial == Dial::In);
    if let Some(participant) = dials_in.filter(|_| !bridge.spec.scheduling.allow_incoming_sip) {
        let message = format!(
            "{} dials in, but the bridge {name} allows no incoming SIP (scheduling.allowIncomingSIP)",
            participant.remote_party
        );
        return refuse(reason::INCOMING_DIALING_DISABLED, message);
    }
    let range = match numbers(&bridge.spec) {
        Ok(range) => range,
        Err(missing) => {
            let message = format!("the bridge {name} has no slots yet: {} missing", missing.join(", "));
            return refuse(reason::NO_FREE_SLOT, message);
        }
    };
    let quarantined = quarantined(ctx, &key);
    Ok(Offer { key, preference: bridge.spec.scheduling.preference, range, quarantined })
}

/// Slots of the bridge that are somebody else's.
fn quarantined(ctx: &Context, key: &BridgeKey) -> BTreeSet<u32> {
    let Some(cluster) = ctx.cluster(key) else { return BTreeSet::new() };
    let foreign =
        |held: &BTreeSet<u32>| cluster.memory().world.pool.known().map(|pool| pool.foreign(held)).unwrap_or_default();
    // Who holds what is asked only when something looks foreign, which is seldom.
    if foreign(&BTreeSet::new()).is_empty() {
        return BTreeSet::new();
    }
    foreign(&ctx.ledger.held(key).into_keys().collect())
}

/// The address of a slot; withheld when the bridge allows no incoming SIP (R33).
pub fn uri(bridge: &MeetingBridge, slot: u32) -> Option<String> {
    let domain = bridge.spec.slots.domain.as_ref().filter(|_| bridge.spec.scheduling.allow_incoming_sip)?;
    Some(format!("{slot}@{domain}"))
}

/// Is the bridge fit to be chosen when the meeting names none (R37)?
fn is_ready(bridge: &MeetingBridge) -> bool {
    bridge.status.as_ref().is_some_and(|status| is_true(&status.conditions, kind::READY))
}

/// Every bridge the meeting may have, or the best reason why there is none.
pub fn offers(ctx: &Context, meeting: &ScheduledMeeting) -> Result<Vec<Offer>, Refusal> {
    if let Some(reference) = &meeting.spec.bridge_ref {
        let namespace = reference.namespace.clone().or_else(|| meeting.namespace()).unwrap_or_default();
        let key = (namespace, reference.name.clone());
        let Some(bridge) = ctx.bridge(&key) else {
            let message = format!("the bridge {}/{} does not exist", key.0, key.1);
            return Err(Refusal { reason: reason::BRIDGE_NOT_FOUND, message });
        };
        return offer(ctx, &bridge, meeting).map(|offer| vec![offer]);
    }
    let mut good = Vec::new();
    let mut last = None;
    for bridge in ctx.bridges.state() {
        if let Some(selector) = &meeting.spec.bridge_selector
            && !selects(selector, bridge.labels())
        {
            continue;
        }
        if !is_ready(&bridge) {
            continue;
        }
        match offer(ctx, &bridge, meeting) {
            Ok(offer) => good.push(offer),
            // Not being allowed is the normal case with other teams' bridges; say something better if there is.
            Err(refusal) if refusal.reason != reason::BRIDGE_NOT_ALLOWED => last = Some(refusal),
            Err(_) => {}
        }
    }
    if good.is_empty() {
        return Err(last.unwrap_or_else(|| Refusal {
            reason: reason::BRIDGE_NOT_FOUND,
            message: "no bridge fits: none is ready, selected, and open to this namespace".to_owned(),
        }));
    }
    Ok(good)
}

/// Books bridge and slot.
pub fn book(ctx: &Context, meeting: &ScheduledMeeting) -> Result<Booking, Refusal> {
    let mine = offers(ctx, meeting)?;
    let offers_of = |other: &ScheduledMeeting| {
        if other.uid() == meeting.uid() { mine.clone() } else { offers(ctx, other).unwrap_or_default() }
    };
    ctx.ledger.book(meeting, &offers_of).ok_or_else(|| Refusal {
        reason: reason::NO_FREE_SLOT,
        message: "every slot is reserved during some part of the window".to_owned(),
    })
}

/// The slot that already carries this meeting's mark: its objects were restored without status while it ran.
pub fn marked_slot(ctx: &Context, key: &BridgeKey, mark: &str) -> Option<u32> {
    let cluster = ctx.cluster(key)?;
    let memory = cluster.memory();
    let Seen::Known(pool) = &memory.world.pool else { return None };
    pool.iter().find(|(_, space)| space.cdr_tag.as_deref() == Some(mark)).map(|(number, _)| number)
}
