//! Records (bags of attributes with an id) and ordered tables with lookup by id.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use crate::ids::Id;

/// The set attributes of an object. An unset attribute is not in here.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    values: Vec<(&'static str, String)>,
    /// Those whose value is the server's default, because nobody ever set them.
    defaulted: Vec<&'static str>,
}

/// Who set a value makes no difference.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Fields {}

impl Fields {
    /// The value of an attribute, by its canonical name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a boolean attribute is set and true.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A numeric attribute.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| value.parse().ok())
    }

    /// Sets (or, with none, unsets) an attribute and says whether that changed anything.
    pub fn set(&mut self, name: &'static str, value: Option<String>) -> bool {
        self.defaulted.retain(|key| *key != name);
        let position = self.values.iter().position(|(key, _)| *key == name);
        match (position.and_then(|p| self.values.get_mut(p)), value) {
            (Some((_, old)), Some(new)) => {
                let changed = *old != new;
                *old = new;
                changed
            }
            (Some(_), None) => {
                self.values.retain(|(key, _)| *key != name);
                true
            }
            (None, Some(new)) => {
                self.values.push((name, new));
                true
            }
            (None, None) => false,
        }
    }

    /// Gives an attribute that nobody set the server's default.
    pub fn set_default(&mut self, name: &'static str, value: Option<&str>) {
        if self.get(name).is_none() && value.is_some() {
            self.set(name, value.map(str::to_owned));
            self.defaulted.push(name);
        }
    }

    /// Whether nobody ever set this attribute.
    pub fn is_defaulted(&self, name: &str) -> bool {
        self.defaulted.contains(&name)
    }

    /// All set attributes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

/// What other bridges still see of a record that was just written (switch `propagation_ms`).
#[derive(Debug, Clone)]
pub struct Stale {
    /// The bridge that wrote and sees the new state at once.
    pub writer: usize,
    /// Until when the others see the old state.
    pub until: Instant,
    /// The old state; none if the record did not exist.
    pub before: Option<Fields>,
}

/// One object.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// The object it is nested in.
    pub parent: Option<Id>,
    /// Its attributes.
    pub fields: Fields,
    /// The bulk set a space was made from (6.5); invisible in the API.
    pub origin: Option<Id>,
    /// Old state that peers still see.
    pub stale: Option<Box<Stale>>,
}

impl Record {
    /// A record without origin.
    pub fn new(id: Id, parent: Option<Id>, fields: Fields) -> Self {
        Self { id, parent, fields, origin: None, stale: None }
    }

    /// The attributes as one bridge sees them now; none if it does not see the object yet.
    pub fn seen_by(&self, bridge: usize, now: Instant) -> Option<&Fields> {
        match &self.stale {
            Some(stale) if stale.writer != bridge && now < stale.until => stale.before.as_ref(),
            _ => Some(&self.fields),
        }
    }
}

/// Rows in the order of their creation.
#[derive(Debug)]
pub struct Table<T> {
    rows: BTreeMap<u64, T>,
    by_id: HashMap<Id, u64>,
    next: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), by_id: HashMap::new(), next: 0 }
    }
}

impl<T> Table<T> {
    /// Adds a row at the end.
    pub fn insert(&mut self, id: Id, row: T) {
        self.next += 1;
        self.by_id.insert(id, self.next);
        self.rows.insert(self.next, row);
    }

    /// The row with this id.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.by_id.get(id).and_then(|key| self.rows.get(key))
    }

    /// The row with this id, to change it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.by_id.get(id).and_then(|key| self.rows.get_mut(key))
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        self.by_id.remove(id).and_then(|key| self.rows.remove(&key))
    }

    /// All rows, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }

    /// All rows, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.values_mut()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Empties the table and returns its rows.
    pub fn drain(&mut self) -> Vec<T> {
        self.by_id.clear();
        std::mem::take(&mut self.rows).into_values().collect()
    }
}
