//! The order of the user, as far as it can change while a write waits for its turn at the gate. PURE.

use kube::Resource;

/// Which order a pass carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    uid: Option<String>,
    generation: i64,
    is_leaving: bool,
}

impl Order {
    /// The order that this object is.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self {
            uid: meta.uid.clone(),
            generation: meta.generation.unwrap_or_default(),
            is_leaving: meta.deletion_timestamp.is_some(),
        }
    }

    /// Was something else ordered since, as this look at the object shows? A watch that is behind is no reason to wait.
    pub fn is_superseded_by(&self, shown: &Self) -> bool {
        shown.uid != self.uid || shown.generation > self.generation || (shown.is_leaving && !self.is_leaving)
    }
}

#[cfg(test)]
mod tests;
