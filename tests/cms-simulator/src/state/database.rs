//! What all bridges share (cms-protocol.md section 9): every object with a table in `schema`, the names they hold, and
//! whether the database has a primary.

use std::collections::HashMap;

use tokio::time::Instant;

use super::names::{Names, Wish};
use super::record::{Fields, Record, Stale, Table};
use crate::ids::Id;
use crate::schema::Kind;

/// A deleted record that peers still see.
#[derive(Debug)]
struct Ghost {
    kind: Kind,
    record: Record,
    writer: usize,
    until: Instant,
}

/// The shared database.
#[derive(Debug)]
pub struct Database {
    tables: HashMap<Kind, Table<Record>>,
    none: Table<Record>,
    children: HashMap<(Kind, Id), Vec<Id>>,
    made_from: HashMap<Id, Vec<Id>>,
    ghosts: Vec<Ghost>,
    /// Addresses and call ids.
    pub names: Names,
    /// /system/profiles.
    pub system_profiles: Fields,
    /// Whether writes can be stored.
    pub primary: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            tables: HashMap::new(),
            none: Table::default(),
            children: HashMap::new(),
            made_from: HashMap::new(),
            ghosts: Vec::new(),
            names: Names::default(),
            system_profiles: Fields::default(),
            primary: true,
        }
    }
}

impl Database {
    /// All records of a kind.
    pub fn table(&self, kind: Kind) -> &Table<Record> {
        self.tables.get(&kind).unwrap_or(&self.none)
    }

    /// One record.
    pub fn get(&self, kind: Kind, id: &str) -> Option<&Record> {
        self.table(kind).get(id)
    }

    /// One record, to change it.
    pub fn get_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Record> {
        self.tables.get_mut(&kind).and_then(|table| table.get_mut(id))
    }

    /// One attribute of a record.
    pub fn value(&self, kind: Kind, id: Option<&str>, field: &str) -> Option<&str> {
        id.and_then(|id| self.get(kind, id)).and_then(|record| record.fields.get(field))
    }

    /// Adds a record.
    pub fn insert(&mut self, kind: Kind, record: Record) {
        if let Some(parent) = &record.parent {
            self.children.entry((kind, parent.clone())).or_default().push(record.id.clone());
        }
        if let Some(set) = &record.origin {
            self.made_from.entry(set.clone()).or_default().push(record.id.clone());
        }
        self.tables.entry(kind).or_default().insert(record.id.clone(), record);
    }

    /// Removes a record; `late` keeps it visible for the other bridges until then.
    pub fn remove(&mut self, kind: Kind, id: &str, late: Option<(usize, Instant)>) -> Option<Record> {
        let record = self.tables.get_mut(&kind)?.remove(id)?;
        if let Some(siblings) = record.parent.as_ref().and_then(|p| self.children.get_mut(&(kind, p.clone()))) {
            siblings.retain(|sibling| *sibling != record.id);
        }
        if let Some(made) = record.origin.as_ref().and_then(|set| self.made_from.get_mut(set)) {
            made.retain(|space| *space != record.id);
        }
        self.names.release(&record.id);
        if let Some((writer, until)) = late {
            self.ghosts.push(Ghost { kind, record: record.clone(), writer, until });
        }
        Some(record)
    }

    /// Ids of the objects nested in another.
    pub fn children(&self, kind: Kind, parent: &Id) -> &[Id] {
        self.children.get(&(kind, parent.clone())).map(Vec::as_slice).unwrap_or_default()
    }

    /// Ids of the spaces that a bulk set made.
    pub fn made_from(&self, set: &str) -> &[Id] {
        self.made_from.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes all spaces that a bulk set made out of its list at once, before they are removed one by one (a removal
    /// from the list for each would be quadratic).
    pub fn take_made_from(&mut self, set: &str) -> Vec<Id> {
        self.made_from.remove(set).unwrap_or_default()
    }

    /// Deleted records that a bridge still sees.
    pub fn ghosts(&self, kind: Kind, bridge: usize, now: Instant) -> impl Iterator<Item = &Record> {
        self.ghosts.iter().filter(move |g| g.kind == kind && g.writer != bridge && now < g.until).map(|g| &g.record)
    }

    /// Marks what peers see of a record until a write has reached them.
    pub fn mark_stale(&mut self, kind: Kind, id: &str, writer: usize, until: Instant, before: Option<Fields>) {
        let now = Instant::now();
        self.ghosts.retain(|ghost| now < ghost.until);
        if let Some(record) = self.get_mut(kind, id) {
            record.stale = Some(Box::new(Stale { writer, until, before }));
        }
    }

    /// The tenant group in which a space's call id must be unique; empty without tenant.
    pub fn tenant_group(&self, tenant: Option<&str>) -> &str {
        self.value(Kind::Tenant, tenant, "tenantGroup").unwrap_or_default()
    }

    /// The space of an id, an address (with or without domain) or a call id of whatever tenant group; with every way in by that, which is the space
    /// itself or an access method, and the passcode of each.
    pub fn find_space(&self, text: &str) -> Option<(Id, Vec<(Id, String)>)> {
        if let Some(record) = self.get(Kind::CoSpace, &text.to_lowercase()) {
            let passcode = record.fields.get("passcode").unwrap_or_default().to_owned();
            return Some((record.id.clone(), vec![(record.id.clone(), passcode)]));
        }
        let user = text.strip_prefix("sip:").unwrap_or(text);
        let user = user.split('@').next().unwrap_or(user);
        let groups = self.table(Kind::TenantGroup).iter().map(|group| &*group.id);
        let call_ids = std::iter::once("").chain(groups).map(|group| Wish::call_id(group, text));
        std::iter::once(Wish::uri(user)).chain(call_ids).find_map(|wish| {
            let found: Vec<_> = self.names.ways_in(&wish).collect();
            let (id, ..) = found.first()?;
            let ways = found.iter().map(|(_, holder, passcode)| ((*holder).clone(), (*passcode).to_owned()));
            Some(((*id).clone(), ways.collect()))
        })
    }

    /// The full address of a user part: the domain is that of the first inbound rule that leads to spaces, by priority;
    /// `cms.test` without any.
    pub fn full_uri(&self, user: &str) -> String {
        let rules = self.table(Kind::InboundRule).iter().filter(|rule| rule.fields.is_true("resolveTocoSpaces"));
        let first = rules.max_by_key(|rule| rule.fields.number("priority"));
        let domain = first.and_then(|rule| rule.fields.get("domain")).unwrap_or("cms.test");
        format!("{user}@{domain}")
    }
}
