use super::*;

#[test]
fn what_a_list_shows_is_told_when_the_store_has_it() {
    let mut waiting = Vec::new();
    let events =
        [Event::Init, Event::InitApply(1), Event::Init, Event::InitApply(1), Event::InitApply(2), Event::InitDone];
    let told: Vec<Vec<i32>> = events.into_iter().map(|event| once_stored(&mut waiting, event)).collect();
    assert_eq!(told.concat(), [1, 1, 2]);
    assert!(told.iter().take(5).all(Vec::is_empty));
    assert_eq!(once_stored(&mut waiting, Event::Apply(3)), [3]);
    assert_eq!(once_stored(&mut waiting, Event::Delete(4)), [4]);
}
