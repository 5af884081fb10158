use super::*;

fn space(id: &str, name: &str, number: &str) -> Space {
    Space {
        id: id.into(),
        name: name.into(),
        uri: Some(number.into()),
        secondary_uri: None,
        call_id: Some(number.into()),
        non_member_access: None,
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
    }
}

fn detail(id: &str, name: &str, number: &str, open: bool, tag: Option<&str>) -> Space {
    Space { non_member_access: Some(open), cdr_tag: tag.map(str::to_owned), ..space(id, name, number) }
}

#[test]
fn only_spaces_with_the_number_as_uri_and_call_id_are_slots() {
    let mut pool = SlotSpaces::new("S_");
    let other = Space { call_id: Some("497540167".into()), ..space("x", "S_3", "3") };
    let padded = space("y", "S_4", "04");
    pool.take_list(
        vec![space("a", "S_1", "1"), other, padded, space("z", "S_9", "9")],
        |n| (1..=4).contains(&n),
        false,
    );
    assert_eq!(pool.iter().map(|(n, _)| n).collect::<Vec<_>>(), vec![1]);
    assert_eq!(pool.missing(&(1..=4)), vec![2, 3, 4]);
}

#[test]
fn a_renamed_or_opened_slot_is_foreign_unless_it_is_marked_or_held() {
    let mut pool = SlotSpaces::new("S_");
    pool.take_list(
        vec![
            detail("a", "S_1", "1", true, None),
            detail("b", "Party", "2", false, None),
            detail("c", "Ours", "3", true, Some("meeting-controller:ns/m")),
            detail("d", "S_4", "4", false, None),
        ],
        |n| (1..=4).contains(&n),
        true,
    );
    assert_eq!(pool.foreign(&BTreeSet::new()), BTreeSet::from([1, 2]));
    assert_eq!(pool.foreign(&BTreeSet::from([1])), BTreeSet::from([2]));
    assert_eq!(pool.left_open(&BTreeSet::new()).unwrap().0, 3);
    pool.set_shut(3);
    assert!(pool.left_open(&BTreeSet::new()).is_none());
}

#[test]
fn a_list_keeps_details_that_it_does_not_contradict() {
    let mut pool = SlotSpaces::new("S_");
    pool.take_list(vec![detail("a", "S_1", "1", true, None)], |n| (1..=2).contains(&n), false);
    pool.take_list(vec![space("a", "S_1", "1")], |n| (1..=2).contains(&n), false);
    assert_eq!(pool.space(1).unwrap().non_member_access, Some(true));
    pool.take_list(vec![space("a2", "S_1", "1")], |n| (1..=2).contains(&n), false);
    assert_eq!(pool.space(1).unwrap().non_member_access, None, "another space: its details are unknown");
}

#[test]
fn missing_numbers_become_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), vec![1..=3, 7..=7, 9..=10]);
    assert!(ranges(&[]).is_empty());
}
