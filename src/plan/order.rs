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
mod tests {
    use super::*;

    fn order(uid: &str, generation: i64, is_leaving: bool) -> Order {
        Order { uid: Some(uid.to_owned()), generation, is_leaving }
    }

    #[test]
    fn an_edit_a_deletion_and_another_object_supersede_an_order_and_an_older_look_does_not() {
        let mine = order("a", 2, false);
        assert!(!mine.is_superseded_by(&mine.clone()));
        assert!(!mine.is_superseded_by(&order("a", 1, false)), "the watch is behind");
        assert!(mine.is_superseded_by(&order("a", 3, false)));
        assert!(mine.is_superseded_by(&order("a", 2, true)));
        assert!(mine.is_superseded_by(&order("b", 2, false)));
        assert!(!order("a", 2, true).is_superseded_by(&order("a", 2, true)), "what leaves is still to be shut");
    }
}
