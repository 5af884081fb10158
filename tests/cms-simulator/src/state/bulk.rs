//! Bulk syncs (cms-protocol.md 6.4, 6.5): asynchronous, and a second sync of a set **deletes and recreates** its spaces.

use std::time::Duration;

use tokio::time::Instant;

use super::Cluster;
use super::log::{Actor, SyncEvent};
use super::spaces::Changes;
use super::wall;
use crate::ids::Id;
use crate::refusal::Refusal;
use crate::schema::Kind;
use crate::switches::SyncConflict;
use crate::timers::Event;

/// A template of 6.4 taken apart: text before and after `$index$`, and whether there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    head: String,
    tail: Option<String>,
}

impl Template {
    /// Reads a template: at most one `$index$`; `\\` stands for `\` and `\$` for `$`; any other `$` or `\` is illegal.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![String::new()];
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("$index$") {
                parts.push(String::new());
                rest = after;
                continue;
            }
            let (plain, after) = match c {
                '\\' => {
                    let escaped = rest.chars().nth(1).filter(|c| matches!(c, '\\' | '$'))?;
                    (escaped, rest.get(2..)?)
                }
                '$' => return None,
                c => (c, rest.get(c.len_utf8()..)?),
            };
            parts.last_mut()?.push(plain);
            rest = after;
        }
        let mut parts = parts.into_iter();
        let template = Self { head: parts.next()?, tail: parts.next() };
        parts.next().is_none().then_some(template)
    }

    /// The text for one index; none if it comes out empty.
    pub fn expand(&self, index: u64) -> Option<String> {
        let text = match &self.tail {
            Some(tail) => format!("{}{index}{tail}", self.head),
            None => self.head.clone(),
        };
        (!text.is_empty()).then_some(text)
    }
}

/// The set as it was when the sync ran.
struct Plan {
    start: u64,
    end: u64,
    uri: Option<Template>,
    name: Option<Template>,
    call_id: Option<Template>,
    fixed: Vec<(&'static str, String)>,
}

impl Plan {
    fn changes(&self, index: u64) -> Changes {
        let spec = Kind::CoSpace.spec();
        let expand = |template: &Option<Template>| template.as_ref().and_then(|t| t.expand(index));
        let own = [("uri", expand(&self.uri)), ("name", expand(&self.name)), ("callId", expand(&self.call_id))];
        let fixed = self.fixed.iter().map(|(name, value)| (*name, Some(value.clone())));
        own.into_iter().chain(fixed).filter_map(|(name, value)| Some((spec.field(name)?, Some(value?)))).collect()
    }
}

impl Cluster {
    fn plan(&self, set: &str) -> Option<Plan> {
        let fields = &self.db.get(Kind::BulkSet, set)?.fields;
        let template = |name: &str| fields.get(name).and_then(Template::parse);
        let mut kept = vec!["tenant", "callProfile", "callBrandingProfile", "nonMemberAccess"];
        if self.switches.bulk_call_leg_profile {
            kept.push("callLegProfile");
        }
        Some(Plan {
            // A missing index makes the range invalid, as a start after the end does.
            start: fields.number("startIndex").unwrap_or(1),
            end: fields.number("endIndex").unwrap_or(0),
            uri: template("coSpaceUriMapping"),
            name: template("coSpaceNameMapping"),
            call_id: template("coSpaceCallIdMapping"),
            fixed: kept.into_iter().filter_map(|n| fields.get(n).map(|v| (n, v.to_owned()))).collect(),
        })
    }

    /// Queues a sync that was just created.
    pub fn queue_sync(&mut self, sync: &Id) {
        let runs = Instant::now() + Duration::from_millis(self.switches.sync_pending_ms);
        self.timers.push(runs, Event::SyncRuns(sync.clone()));
    }

    fn set_sync_status(&mut self, sync: &str, status: &str) {
        if let Some(record) = self.db.get_mut(Kind::BulkSync, sync) {
            record.fields.set("status", Some(status.to_owned()));
        }
    }

    fn set_of_sync(&self, sync: &str) -> Option<(Id, bool)> {
        let fields = &self.db.get(Kind::BulkSync, sync)?.fields;
        Some((fields.get("cospaceBulkParameterSet")?.into(), fields.is_true("removeAll")))
    }

    /// `pending` becomes `running`.
    pub fn sync_runs(&mut self, sync: &Id) {
        let Some((set, remove_all)) = self.set_of_sync(sync) else { return };
        self.set_sync_status(sync, "running");
        if self.forced_syncs.get(sync).is_some_and(|state| state == "running") {
            return;
        }
        // A range that cannot be made is told at once.
        let possible = self.plan(&set).filter(|plan| self.range_problem(plan).is_none());
        let count = possible.as_ref().filter(|_| !remove_all).map_or(0, |plan| plan.end - plan.start);
        if self.switches.sync_removes_first
            && !self.forced_syncs.contains_key(sync)
            && self.db.primary
            && (possible.is_some() || remove_all)
        {
            self.log_sync(sync, &set);
            self.remove_made(&set);
        }
        let length = Duration::from_millis(self.switches.sync_running_ms)
            + Duration::from_micros(count.saturating_mul(self.switches.sync_per_space_us));
        self.timers.push(Instant::now() + length, Event::SyncEnds(sync.clone()));
    }

    /// The sync does its work and reaches its final state.
    pub fn sync_ends(&mut self, sync: &Id) {
        let Some((set, remove_all)) = self.set_of_sync(sync) else { return };
        let status = match self.forced_syncs.remove(sync) {
            Some(forced) => forced,
            None if !self.db.primary => "failed".to_owned(),
            None => self.run_sync(sync, &set, remove_all).to_owned(),
        };
        self.set_sync_status(sync, &status);
    }

    fn range_problem(&self, plan: &Plan) -> Option<&'static str> {
        if plan.start > plan.end {
            return Some("failedIndexRangeInvalid");
        }
        (plan.end - plan.start >= self.switches.bulk_range_max).then_some("failedIndexRangeTooGreat")
    }

    fn run_sync(&mut self, sync: &Id, set: &Id, remove_all: bool) -> &'static str {
        let Some(plan) = self.plan(set) else { return "failedNoSuchParameterSet" };
        if remove_all {
            self.log_sync(sync, set);
            self.remove_made(set);
            return "complete";
        }
        if let Some(problem) = self.range_problem(&plan) {
            return problem;
        }
        if self.switches.sync_conflict == SyncConflict::NothingChanged
            && let Some(conflict) = self.foreseen_conflict(set, &plan)
        {
            return conflict;
        }
        self.log_sync(sync, set);
        self.remove_made(set);
        for index in plan.start..=plan.end {
            match self.create_space(Actor::Hand, &plan.changes(index), Some(set)) {
                Ok(_) => {}
                Err(Refusal::Rule("duplicateCoSpaceUri")) => return "failedCoSpaceUriConflict",
                Err(Refusal::Rule("duplicateCoSpaceId")) => return "failedCallIdConflict",
                Err(_) => return "failed",
            }
        }
        "complete"
    }

    /// A name of the range that a space outside the set holds, or that the range would hold twice.
    fn foreseen_conflict(&self, set: &Id, plan: &Plan) -> Option<&'static str> {
        use super::names::Wish;
        let own = |space: &Id| self.db.get(Kind::CoSpace, space).is_some_and(|r| r.origin.as_ref() == Some(set));
        let many = plan.end > plan.start;
        let twice = |t: &Option<Template>| t.as_ref().is_some_and(|t| many && t.tail.is_none() && !t.head.is_empty());
        if twice(&plan.uri) {
            return Some("failedCoSpaceUriConflict");
        }
        if twice(&plan.call_id) {
            return Some("failedCallIdConflict");
        }
        let tenant = plan.fixed.iter().find(|(name, _)| *name == "tenant").map(|(_, id)| id.as_str());
        let group = self.db.tenant_group(tenant);
        (plan.start..=plan.end).find_map(|index| {
            let taken = |wish: Wish| self.db.names.ways_in(&wish).any(|(space, ..)| !own(space));
            let uri = plan.uri.as_ref().and_then(|t| t.expand(index)).is_some_and(|u| taken(Wish::uri(&u)));
            let id = plan.call_id.as_ref().and_then(|t| t.expand(index));
            let id = id.is_some_and(|id| taken(Wish::call_id(group, &id)));
            match (uri, id) {
                (true, _) => Some("failedCoSpaceUriConflict"),
                (false, true) => Some("failedCallIdConflict"),
                _ => None,
            }
        })
    }

    /// Removes every space that a set made, renamed or open or not (6.5).
    pub fn remove_made(&mut self, set: &Id) {
        for space in self.db.take_made_from(set) {
            self.delete_space(Actor::Hand, &space);
        }
    }

    fn log_sync(&mut self, sync: &Id, set: &Id) {
        let made = self.db.made_from(set);
        let mut busy = Vec::new();
        for space in made {
            let open = self.db.get(Kind::CoSpace, space).is_some_and(|r| r.fields.is_true("nonMemberAccess"));
            if open {
                busy.push((space.clone(), "is open"));
            }
            if self.bridges.iter().any(|bridge| bridge.calls_of(space).next().is_some()) {
                busy.push((space.clone(), "has a call"));
            }
        }
        self.log.syncs.push(SyncEvent { at: wall(), sync: sync.clone(), set: set.clone(), busy });
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn expand(text: &str) -> Option<String> {
        Template::parse(text).and_then(|t| t.expand(7))
    }

    #[test]
    fn templates() {
        assert_eq!(expand("$index$").as_deref(), Some("7"));
        assert_eq!(expand("TMS_Scheduled_Meeting_$index$").as_deref(), Some("TMS_Scheduled_Meeting_7"));
        assert_eq!(expand(r"a\$b\\$index$c").as_deref(), Some(r"a$b\7c"));
        assert_eq!(expand("ä$index$ö").as_deref(), Some("ä7ö"));
        assert_eq!(expand(""), None);
        for bad in ["$index$$index$", "$", "$Index$", r"\x", "\\"] {
            assert_eq!(Template::parse(bad), None, "{bad}");
        }
    }
}
