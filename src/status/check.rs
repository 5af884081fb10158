//! The rules that a status keeps at every moment, as a function that tests run on every object they touch. The idea is
//! that of flux's condition checker; the rules are kstatus's and our own (decision 0004).

use crate::api::conditions::{bridge, meeting, series, types};
use crate::api::{Condition, find, is_true};

/// Conditions that are present only while True.
const ABNORMAL: &[&str] = &[types::RECONCILING, types::STALLED, types::INSECURE_TLS, types::FAILED_OVER];

/// What is wrong with these conditions; empty if nothing is. `observed` is status.observedGeneration.
pub fn violations(conditions: &[Condition], generation: Option<i64>, observed: Option<i64>) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |text: String| found.push(text);
    let Some(ready) = find(conditions, types::READY) else {
        return vec!["Ready is missing".to_owned()];
    };
    for (index, condition) in conditions.iter().enumerate() {
        let kind = &condition.type_;
        if conditions.iter().skip(index + 1).any(|other| other.type_ == *kind) {
            complain(format!("{kind} is there twice"));
        }
        if !matches!(condition.status.as_str(), "True" | "False" | "Unknown") {
            complain(format!("{kind} has the status {}", condition.status));
        }
        let camel = condition.reason.chars().all(|c| c.is_ascii_alphanumeric())
            && condition.reason.starts_with(|c: char| c.is_ascii_uppercase());
        if !camel {
            complain(format!("{kind} has the reason {:?}", condition.reason));
        }
        if condition.observed_generation != observed {
            complain(format!("{kind} judges another generation than the status"));
        }
        if condition.message.len() > 1024 {
            complain(format!("{kind} has a message of {} bytes", condition.message.len()));
        }
        if ABNORMAL.contains(&kind.as_str()) && condition.status != "True" {
            complain(format!("{kind} is to be removed instead of {}", condition.status));
        }
        if condition.status == "False" && !is_documented(kind, &condition.reason) {
            complain(format!("{kind}=False has the undocumented reason {}", condition.reason));
        }
    }
    let (reconciling, stalled) = (is_true(conditions, types::RECONCILING), is_true(conditions, types::STALLED));
    if reconciling && stalled {
        complain("Reconciling and Stalled exclude each other".to_owned());
    }
    if ready.status == "True" && (reconciling || stalled) {
        complain("Ready is True beside Reconciling or Stalled".to_owned());
    }
    if ready.status == "False" && !reconciling && !stalled {
        complain(format!("Ready is False ({}) and nobody says who acts next", ready.reason));
    }
    if ready.status == "True" && (observed.is_none() || observed > generation) {
        complain(format!("Ready is True for generation {observed:?} of {generation:?}"));
    }
    found
}

/// Ready=False repeats the reason of the condition that blocks it.
fn is_documented(condition: &str, reason: &str) -> bool {
    bridge::TABLE
        .iter()
        .chain(meeting::TABLE)
        .chain(series::TABLE)
        .any(|doc| doc.reason == reason && (doc.condition == condition || condition == types::READY))
}

#[cfg(test)]
mod tests;
