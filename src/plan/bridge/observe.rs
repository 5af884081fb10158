//! What one who only observes would do: every step is thought out ahead, as if the ones before had been done. PURE.

use super::profiles::OwnProfiles;
use super::provisioning::numbers_of;
use super::{Around, BridgeProgress, End, Intent, Next, Step};
use crate::facts::bridge::BridgeFacts;

/// Steps that are thought out ahead.
const MOST_PLANNED: usize = 400;

/// What an observing pass imagines to have done.
#[derive(Clone, Debug)]
pub(super) enum Pretended {
    Intent(Intent),
    Step(Step),
}

impl BridgeProgress {
    /// Thinks on until something must be looked up, or all is thought out.
    pub(super) fn pretend_on(&mut self, facts: &BridgeFacts, around: &Around) -> Next {
        loop {
            match self.pretend(facts, around) {
                Next::Look(look) if look.is_about_own_doing() => return Next::Rest(End::PlanEnds),
                Next::Record(intent) => self.pretended.push(Pretended::Intent(intent)),
                Next::Do(step) => {
                    self.plan.push(step.to_string());
                    // What comes of a sync cannot be known without one.
                    if step.starts_sync() || self.plan.len() >= MOST_PLANNED {
                        return Next::Rest(End::PlanEnds);
                    }
                    self.pretended.push(Pretended::Step(step));
                }
                other => return other,
            }
        }
    }

    /// The next thing to do, if what is only pretended had been done.
    fn pretend(&self, facts: &BridgeFacts, around: &Around) -> Next {
        let (mut record, mut facts) = (self.record.clone(), facts.clone());
        for pretended in &self.pretended {
            match pretended {
                Pretended::Intent(intent) => record.intend(intent),
                Pretended::Step(step) => {
                    let created = step.changes_record().then(|| "planned".to_owned());
                    record.apply(&mut facts, step, created);
                }
            }
        }
        let untried_set = record.sets.iter().find(|set| set.id.is_none()).map(numbers_of);
        let own = OwnProfiles { untried: true, ..self.own.clone() };
        let imagined = Self { record, own, untried_set, ..self.clone() };
        super::next(&imagined, &facts, around)
    }
}
