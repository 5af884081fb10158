//! The checker: rules that must hold over the journal and the logs after any scenario (CONTRIBUTING.md).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::Id;
use crate::journal::{EntryKind, JournalEntry};
use crate::routes::objects::references;
use crate::schema::Kind;
use crate::sim::Handle;
use crate::state::Cluster;
use crate::state::log::{Actor, CallSpan, Dial, DoorEvent, SyncEvent};

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Two live legs or rings to one address on one space at the same time.
    DoubleRing,
    /// Two live calls of one space on one bridge.
    DoubleCall,
    /// A write to a space that is not ours.
    ForeignWrite,
    /// A sync of a set while a space of it is open or has a call.
    BusySync,
    /// Two openings of a space with the same secret.
    SecretNotRotated,
    /// A space is open and has no call for too long.
    OpenWithoutCall,
    /// A space is shut and keeps a call for too long.
    ShutWithCall,
    /// Too many requests in a row answered with 401.
    Hammering401,
    /// A write that changed nothing.
    NeedlessWrite,
    /// A change of a profile that is somebody else's.
    ForeignProfile,
    /// A profile that a client made and that nothing refers to any more.
    ProfileLeft,
    /// An access method of ours on a space that is shut.
    AccessMethodLeft,
    /// A request that was carried out, and that another bridge may not take, or that hardly does what was meant.
    Oddity,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A broken promise.
    Error,
}

/// A broken rule.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    pub rule: Rule,
    pub severity: Severity,
    /// When it was broken.
    pub at: Timestamp,
    pub bridge: Option<usize>,
    pub space: Option<String>,
    /// Sequence numbers of the journal entries concerned.
    pub entries: Vec<u64>,
    /// One sentence.
    pub message: String,
}

/// What is expected of the clients of a scenario.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Call ids (or uris, for a space without call id) of the spaces that may be written to.
    pub own_numbers: BTreeSet<String>,
    /// Beginnings of such numbers.
    pub own_prefixes: Vec<String>,
    /// Ids of such spaces. With all three empty, the rule about foreign writes is off, and every space is ours.
    pub own_spaces: BTreeSet<String>,
    /// How long a space may be open without a call; none: not checked.
    pub call_within: Option<Duration>,
    /// How long a shut space may keep a call; none: not checked.
    pub end_within: Option<Duration>,
    /// Most 401 in a row on one bridge. A first request without credentials counts as well.
    pub max_unauthorized: usize,
    /// Report writes that changed nothing, as information.
    pub needless_writes: bool,
    /// Ids of profiles that nobody of ours may change or remove.
    pub foreign_profiles: BTreeSet<String>,
    /// Report profiles that were made since the journal was cleared and that nothing refers to.
    pub no_idle_profiles: bool,
    /// What the name of an access method begins with that is ours: on a space that is shut, none may be left.
    pub own_access_methods: String,
}

impl Default for Expectation {
    fn default() -> Self {
        Self {
            own_numbers: BTreeSet::new(),
            own_prefixes: Vec::new(),
            own_spaces: BTreeSet::new(),
            call_within: None,
            end_within: None,
            max_unauthorized: 3,
            needless_writes: true,
            foreign_profiles: BTreeSet::new(),
            no_idle_profiles: false,
            own_access_methods: "meeting-controller".to_owned(),
        }
    }
}

impl Expectation {
    fn restricts(&self) -> bool {
        !(self.own_numbers.is_empty() && self.own_prefixes.is_empty() && self.own_spaces.is_empty())
    }

    fn owns(&self, space: &str, number: Option<&str>) -> bool {
        let by_number = number.is_some_and(|n| {
            self.own_numbers.contains(n) || self.own_prefixes.iter().any(|prefix| n.starts_with(prefix.as_str()))
        });
        !self.restricts() || by_number || self.own_spaces.contains(space)
    }
}

/// What the checker judges: a copy, so that a scenario can go on.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The journal since its last clear.
    pub journal: Vec<JournalEntry>,
    /// Every ring ever made.
    pub dials: Vec<Dial>,
    /// Every call ever made.
    pub calls: Vec<CallSpan>,
    doors: Vec<DoorEvent>,
    syncs: Vec<SyncEvent>,
    /// Number of each space that is there now.
    numbers: HashMap<Id, String>,
    /// Call and call leg profiles that nothing refers to now.
    idle_profiles: BTreeSet<String>,
    /// Names of the access methods of each space that is shut now.
    shut_methods: Vec<(Id, String)>,
    /// When the copy was made.
    now: Timestamp,
}

impl Evidence {
    /// Copies what is needed out of the state.
    pub fn new(journal: Vec<JournalEntry>, cluster: &Cluster) -> Self {
        let spaces = cluster.db.table(Kind::CoSpace);
        let number = |r: &crate::state::record::Record| {
            r.fields.get("callId").or_else(|| r.fields.get("uri")).map(str::to_owned)
        };
        Self {
            journal,
            dials: cluster.log.dials.clone(),
            calls: cluster.log.calls.clone(),
            doors: cluster.log.doors.clone(),
            syncs: cluster.log.syncs.clone(),
            numbers: spaces.iter().filter_map(|r| Some((r.id.clone(), number(r)?))).collect(),
            idle_profiles: idle_profiles(cluster),
            shut_methods: shut_methods(cluster),
            now: Timestamp::now(),
        }
    }
}

fn idle_profiles(cluster: &Cluster) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in [Kind::CallProfile, Kind::CallLegProfile] {
        let used = references(cluster, kind);
        let ids = cluster.db.table(kind).iter().map(|record| &record.id);
        found.extend(ids.filter(|id| !used.contains(*id)).map(ToString::to_string));
    }
    found
}

fn shut_methods(cluster: &Cluster) -> Vec<(Id, String)> {
    let methods = cluster.db.table(Kind::AccessMethod).iter();
    let of_shut = methods.filter_map(|method| {
        let space = cluster.db.get(Kind::CoSpace, method.parent.as_ref()?)?;
        let name = method.fields.get("name").unwrap_or_default().to_owned();
        (!space.fields.is_true("nonMemberAccess")).then(|| (space.id.clone(), name))
    });
    of_shut.collect()
}

/// Whoever knows its passcode gets in with the next meeting.
fn methods_left(evidence: &Evidence, expected: &Expectation, found: &mut Vec<Violation>) {
    let is_ours = |(_, name): &&(Id, String)| name.starts_with(&expected.own_access_methods);
    for (space, name) in evidence.shut_methods.iter().filter(is_ours) {
        let message = format!("the access method {name} was left on space {space}, which is shut");
        let about = violation(Rule::AccessMethodLeft, evidence.now, message);
        found.push(Violation { space: Some(space.to_string()), ..about });
    }
}

fn is_profile(entry: &JournalEntry) -> bool {
    ["callProfiles", "callLegProfiles"].iter().any(|collection| entry.route.starts_with(collection))
}

fn profiles(evidence: &Evidence, expected: &Expectation, found: &mut Vec<Violation>) {
    let requests = evidence.journal.iter().filter(|e| e.kind == EntryKind::Request && e.effect && is_profile(e));
    for entry in requests {
        let Some(id) = &entry.object_id else { continue };
        let mut complain = |rule, message| {
            found.push(Violation { entries: vec![entry.seq], ..violation(rule, entry.at, message) });
        };
        if entry.method != "POST" && expected.foreign_profiles.contains(id) {
            complain(Rule::ForeignProfile, format!("{} {} changed the foreign profile {id}", entry.method, entry.path));
        }
        if entry.method == "POST" && expected.no_idle_profiles && evidence.idle_profiles.contains(id) {
            complain(Rule::ProfileLeft, format!("the profile {id} of {} was left behind", entry.path));
        }
    }
}

/// Checks a simulator as it is now.
pub fn check(sim: &Handle, expected: &Expectation) -> Vec<Violation> {
    check_evidence(&sim.evidence(), expected)
}

/// Checks a copy. Sorted by time.
pub fn check_evidence(evidence: &Evidence, expected: &Expectation) -> Vec<Violation> {
    let mut found = Vec::new();
    double_rings(evidence, &mut found);
    double_calls(evidence, &mut found);
    writes(evidence, expected, &mut found);
    busy_syncs(evidence, &mut found);
    secrets(evidence, &mut found);
    doors(evidence, expected, &mut found);
    hammering(evidence, expected, &mut found);
    profiles(evidence, expected, &mut found);
    methods_left(evidence, expected, &mut found);
    oddities(evidence, &mut found);
    found.sort_by_key(|violation| violation.at);
    found
}

fn violation(rule: Rule, at: Timestamp, message: String) -> Violation {
    Violation { rule, severity: Severity::Error, at, bridge: None, space: None, entries: Vec::new(), message }
}

/// Pairs of items of one group whose times overlap: each item is compared with the last to end before it.
fn overlaps<'a, T>(
    items: impl Iterator<Item = &'a T>,
    key: impl Fn(&T) -> Option<(String, usize)>,
    times: impl Fn(&T) -> (Timestamp, Option<Timestamp>),
) -> Vec<(&'a T, &'a T)> {
    let mut last: HashMap<(String, usize), &T> = HashMap::new();
    let mut found = Vec::new();
    for item in items {
        let Some(key) = key(item) else { continue };
        let (began, ended) = times(item);
        if let Some(other) = last.get(&key)
            && times(other).1.is_none_or(|end| end > began)
        {
            found.push((*other, item));
        }
        let later = last.get(&key).is_none_or(|other| match (times(other).1, ended) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(a), Some(b)) => b >= a,
        });
        if later {
            last.insert(key, item);
        }
    }
    found
}

fn double_rings(evidence: &Evidence, found: &mut Vec<Violation>) {
    let key = |dial: &Dial| {
        let space = dial.space.as_ref()?;
        Some((format!("{space} {}", crate::dial::normal(&dial.remote_party)), 0))
    };
    for (first, second) in overlaps(evidence.dials.iter(), key, |dial| (dial.at, dial.ended)) {
        found.push(Violation {
            bridge: Some(second.bridge),
            space: second.space.clone(),
            ..violation(
                Rule::DoubleRing,
                second.at,
                format!(
                    "{} was dialled on bridge {} while the leg made on bridge {} at {} was alive",
                    second.remote_party, second.bridge, first.bridge, first.at
                ),
            )
        });
    }
}

fn double_calls(evidence: &Evidence, found: &mut Vec<Violation>) {
    let key = |call: &CallSpan| Some((call.space.clone()?, call.bridge));
    for (first, second) in overlaps(evidence.calls.iter(), key, |call| (call.began, call.ended)) {
        found.push(Violation {
            bridge: Some(second.bridge),
            space: second.space.clone(),
            ..violation(
                Rule::DoubleCall,
                second.began,
                format!("call {} was made while call {} was alive on the same space", second.call, first.call),
            )
        });
    }
}

fn writes(evidence: &Evidence, expected: &Expectation, found: &mut Vec<Violation>) {
    let is_write = |entry: &&JournalEntry| !matches!(entry.method.as_str(), "GET" | "HEAD");
    for entry in evidence.journal.iter().filter(|e| e.kind == EntryKind::Request).filter(is_write) {
        let about = |rule, severity, message| Violation {
            severity,
            bridge: Some(entry.bridge),
            space: entry.space.clone(),
            entries: vec![entry.seq],
            ..violation(rule, entry.at, message)
        };
        if let Some(space) = entry.space.as_deref().filter(|_| entry.effect)
            && !expected.owns(space, entry.space_number.as_deref())
        {
            let number = entry.space_number.as_deref().unwrap_or("without number");
            let message = format!("{} {} changed the foreign space {space} ({number})", entry.method, entry.path);
            found.push(about(Rule::ForeignWrite, Severity::Error, message));
        }
        let query = matches!(entry.route.as_str(), "accessQuery" | "uriUsageQuery" | "authTokens");
        if expected.needless_writes && entry.status == Some(200) && !entry.effect && !query {
            let message = format!("{} {} changed nothing", entry.method, entry.path);
            found.push(about(Rule::NeedlessWrite, Severity::Info, message));
        }
    }
}

fn busy_syncs(evidence: &Evidence, found: &mut Vec<Violation>) {
    for sync in &evidence.syncs {
        for (space, why) in &sync.busy {
            found.push(Violation {
                space: Some(space.to_string()),
                ..violation(
                    Rule::BusySync,
                    sync.at,
                    format!("sync {} of set {} removed space {space}, which {why}", sync.sync, sync.set),
                )
            });
        }
    }
}

/// Only openings with a closing by the API in between are compared: a door that a hand shut and a client opened again
/// belongs to one meeting, which keeps its secret.
fn secrets(evidence: &Evidence, found: &mut Vec<Violation>) {
    let mut last: HashMap<&Id, (Option<&str>, bool)> = HashMap::new();
    for door in &evidence.doors {
        let by_api = matches!(door.actor, Actor::Api(_));
        if !door.open {
            if let Some((_, closed)) = last.get_mut(&door.space) {
                *closed |= by_api;
            }
            continue;
        }
        if !by_api {
            continue;
        }
        let secret = door.secret.as_deref();
        if let Some((before, true)) = last.get(&door.space)
            && *before == secret
        {
            found.push(Violation {
                space: Some(door.space.to_string()),
                ..violation(
                    Rule::SecretNotRotated,
                    door.at,
                    format!("space {} was opened with the secret of its last opening", door.space),
                )
            });
        }
        last.insert(&door.space, (secret, false));
    }
}

/// From when to when a space was open or shut; the last interval has no end.
fn intervals(evidence: &Evidence, open: bool) -> Vec<(&Id, Timestamp, Option<Timestamp>)> {
    let mut running: HashMap<&Id, Timestamp> = HashMap::new();
    let mut found = Vec::new();
    for door in &evidence.doors {
        if door.open == open {
            running.entry(&door.space).or_insert(door.at);
        } else if let Some(began) = running.remove(&door.space) {
            found.push((&door.space, began, Some(door.at)));
        }
    }
    found.extend(running.into_iter().map(|(space, began)| (space, began, None)));
    found
}

fn doors(evidence: &Evidence, expected: &Expectation, found: &mut Vec<Violation>) {
    let ours = |space: &Id| expected.owns(space, evidence.numbers.get(space).map(String::as_str));
    let mut calls: HashMap<&str, Vec<(Timestamp, Timestamp)>> = HashMap::new();
    for call in &evidence.calls {
        if let Some(space) = &call.space {
            calls.entry(space).or_default().push((call.began, call.ended.unwrap_or(evidence.now)));
        }
    }
    let longer =
        |from: Timestamp, to: Timestamp, limit: Duration| to.duration_since(from).unsigned_abs() > limit && to > from;
    if let Some(limit) = expected.call_within {
        for (space, began, ended) in intervals(evidence, true).into_iter().filter(|(space, ..)| ours(space)) {
            let end = ended.unwrap_or(evidence.now);
            let mut covered = began;
            let spans = calls.get(&**space).map(Vec::as_slice).unwrap_or_default();
            let gaps = spans.iter().copied().chain([(end, end)]).filter(|(_, stop)| *stop >= began);
            for (start, stop) in gaps {
                let gap_end = start.min(end);
                if longer(covered, gap_end, limit) {
                    let message = format!("space {space} was open without a call from {covered} to {gap_end}");
                    found.push(Violation {
                        space: Some(space.to_string()),
                        ..violation(Rule::OpenWithoutCall, covered, message)
                    });
                }
                covered = covered.max(stop);
            }
        }
    }
    if let Some(limit) = expected.end_within {
        for (space, began, ended) in intervals(evidence, false).into_iter().filter(|(space, ..)| ours(space)) {
            let end = ended.unwrap_or(evidence.now);
            for (start, stop) in calls.get(&**space).into_iter().flatten() {
                let (from, to) = ((*start).max(began), (*stop).min(end));
                if longer(from, to, limit) {
                    let message = format!("space {space} was shut and kept a call from {from} to {to}");
                    found.push(Violation {
                        space: Some(space.to_string()),
                        ..violation(Rule::ShutWithCall, from, message)
                    });
                }
            }
        }
    }
}

fn oddities(evidence: &Evidence, found: &mut Vec<Violation>) {
    for entry in &evidence.journal {
        let Some(remark) = &entry.remark else { continue };
        let message = format!("{} {}: {remark}", entry.method, entry.path);
        let odd = violation(Rule::Oddity, entry.at, message);
        let (severity, entries) = (Severity::Info, vec![entry.seq]);
        found.push(Violation { severity, bridge: Some(entry.bridge), space: entry.space.clone(), entries, ..odd });
    }
}

fn hammering(evidence: &Evidence, expected: &Expectation, found: &mut Vec<Violation>) {
    let mut rows: HashMap<usize, Vec<u64>> = HashMap::new();
    for entry in evidence.journal.iter().filter(|e| e.kind == EntryKind::Request) {
        let row = rows.entry(entry.bridge).or_default();
        match entry.status {
            Some(401) => row.push(entry.seq),
            Some(_) => row.clear(),
            None => {}
        }
        // Reported once per row, when it becomes too long.
        if entry.status == Some(401) && row.len() == expected.max_unauthorized + 1 {
            found.push(Violation {
                bridge: Some(entry.bridge),
                entries: row.clone(),
                ..violation(Rule::Hammering401, entry.at, format!("{} requests in a row were answered 401", row.len()))
            });
        }
    }
}
