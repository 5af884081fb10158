//! What happens when a bridge dials somebody: outbound rules decide whether there is a way (cms-protocol.md 7.2, 8), a
//! script decides what the far end does. All of it after the reply to the POST.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ids::Id;
use crate::schema::Kind;
use crate::state::Cluster;
use crate::state::bridge::LegState;
use crate::timers::{Event, Failure};

/// What a far end does. Times count from its first ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum EndpointScript {
    /// Answers and stays.
    Answers {
        #[serde(with = "millis")]
        after: Duration,
    },
    /// `remoteBusy`.
    Busy {
        #[serde(with = "millis")]
        after: Duration,
    },
    /// `ringingTimeout`.
    NoAnswer {
        #[serde(with = "millis")]
        after: Duration,
    },
    /// `remoteRejected`.
    Rejects {
        #[serde(with = "millis")]
        after: Duration,
    },
    /// `unknownDestination`, without a ring.
    Unknown,
    /// Answers, and hangs up so long after that.
    HangsUp {
        #[serde(with = "millis", rename = "answerAfter")]
        answer_after: Duration,
        #[serde(with = "millis")]
        after: Duration,
    },
}

/// Durations as whole milliseconds in JSON.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// The form in which addresses are compared: no scheme, no parameters, lower case.
pub fn normal(remote_party: &str) -> String {
    let text = remote_party.trim();
    let text = text.strip_prefix("sips:").or_else(|| text.strip_prefix("sip:")).unwrap_or(text);
    text.split(';').next().unwrap_or(text).to_lowercase()
}

impl Cluster {
    /// Whether an outbound rule leads to an address (8): the domain of the rule is exact, `*` or `*.x`.
    fn has_route(&self, bridge: usize, address: &str) -> bool {
        let rules = self.db.table(Kind::OutboundRule);
        if rules.is_empty() {
            return !self.switches.outbound_rule_required;
        }
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let domain = domain.split(':').next().unwrap_or(domain);
        let Some(own) = self.bridges.get(bridge).map(|b| b.id.clone()) else { return false };
        let group = self.db.value(Kind::CallBridge, Some(&own), "callBridgeGroup");
        rules.iter().any(|rule| {
            let here = match rule.fields.get("scope") {
                Some("callBridge") => rule.fields.get("callBridge") == Some(&*own),
                Some("callBridgeGroup") => group.is_some() && rule.fields.get("callBridgeGroup") == group,
                _ => true,
            };
            let pattern = rule.fields.get("domain").unwrap_or_default().to_lowercase();
            let fits = match pattern.strip_prefix('*') {
                Some(tail) => domain.ends_with(tail),
                None => pattern == domain,
            };
            here && fits
        })
    }

    /// A new leg has left `initial`: it rings, or there is nobody to ring.
    pub fn leg_rings(&mut self, bridge: usize, id: &Id) {
        let Some(leg) = self.bridges.get_mut(bridge).and_then(|b| b.legs.get_mut(id)) else { return };
        let address = normal(&leg.original);
        let script = self
            .scripts
            .get(&address)
            .copied()
            .unwrap_or(EndpointScript::Answers { after: Duration::from_millis(self.switches.answer_after_ms) });
        if matches!(script, EndpointScript::Unknown) || !self.has_route(bridge, &address) {
            self.fail_leg(bridge, id, Failure::Unknown);
            return;
        }
        if let Some(leg) = self.bridges.get_mut(bridge).and_then(|b| b.legs.get_mut(id)) {
            leg.state = LegState::Ringing;
        }
        let (after, event) = match script {
            EndpointScript::Answers { after } | EndpointScript::HangsUp { answer_after: after, .. } => {
                (after, Event::Answer(bridge, id.clone()))
            }
            EndpointScript::Busy { after } => (after, Event::Fail(bridge, id.clone(), Failure::Busy)),
            EndpointScript::NoAnswer { after } => (after, Event::Fail(bridge, id.clone(), Failure::NoAnswer)),
            EndpointScript::Rejects { after } => (after, Event::Fail(bridge, id.clone(), Failure::Rejected)),
            EndpointScript::Unknown => return,
        };
        self.timers.push(Instant::now() + after, event);
    }

    /// The far end answers.
    pub fn leg_answers(&mut self, bridge: usize, id: &Id) {
        let Some(leg) = self.bridges.get(bridge).and_then(|b| b.legs.get(id)) else { return };
        let script = self.scripts.get(&normal(&leg.original)).copied();
        if self.connect_leg(bridge, id)
            && let Some(EndpointScript::HangsUp { after, .. }) = script
        {
            self.timers.push(Instant::now() + after, Event::HangUp(bridge, id.clone()));
        }
    }

    /// A dial comes to nothing: the leg is simply gone (7.3).
    pub fn fail_leg(&mut self, bridge: usize, id: &Id, failure: Failure) {
        let (outcome, reason) = failure.outcome();
        self.end_leg(bridge, id, reason, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn addresses_are_compared_bare() {
        assert_eq!(normal("sip:Desk@X.test;transport=tls"), "desk@x.test");
        assert_eq!(normal("desk@x.test"), "desk@x.test");
    }
}
