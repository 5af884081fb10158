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
