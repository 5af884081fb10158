use jiff::Timestamp;

use super::*;

fn space(id: &str, name: &str, number: &str) -> Space {
    Space {
        id: id.into(),
        name: name.into(),
        uri: Some(number.into()),
        secondary_uri: None,
        call_id: Some(number.into()),
        tenant: None,
        non_member_access: None,
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
        access_methods: None,
    }
}

fn detail(id: &str, name: &str, number: &str, open: bool, tag: Option<&str>) -> Space {
    Space { non_member_access: Some(open), cdr_tag: tag.map(str::to_owned), ..space(id, name, number) }
}

#[test]
fn only_spaces_with_the_number_as_uri_and_call_id_are_slots() {
    let mut pool = SlotSpaces::new("S_", &Marks::default());
    let other = Space { call_id: Some("497540167".into()), ..space("x", "S_3", "3") };
    let padded = space("y", "S_4", "04");
    pool.take_list(
        vec![space("a", "S_1", "1"), other, padded, space("z", "S_9", "9")],
        |n| (1..=4).contains(&n),
        false,
    );
    assert_eq!(pool.iter().map(|(n, _)| n).collect::<Vec<_>>(), vec![1]);
    assert_eq!(pool.missing(&(1..=4)), vec![2, 4]);
    assert!(pool.is_taken(3), "nobody else can have it");
}

#[test]
fn whose_a_space_is_is_told_by_a_look_at_it_alone() {
    const OURS: &str = "meeting-controller:ns/m";
    let table = [
        ("S_1", Some(false), None, Standing::Free),
        ("S_1", Some(true), None, Standing::Foreign),
        ("Party", Some(false), None, Standing::Foreign),
        // A reply without the field: the bridge's default is open.
        ("S_1", None, None, Standing::Foreign),
        ("Party", None, None, Standing::Foreign),
        ("Party", Some(true), Some(OURS), Standing::Marked),
        ("Party", Some(true), Some("tms"), Standing::Foreign),
        ("Party", Some(true), Some("meeting-controller[other]:ns/m"), Standing::Foreign),
    ];
    for (name, open, tag, wanted) in table {
        let shown = Space { non_member_access: open, cdr_tag: tag.map(str::to_owned), ..space("a", name, "1") };
        assert_eq!(standing(&shown, "S_1", &Marks::default()), wanted, "{shown:?}");
    }
    let of_tenant = Space { tenant: Some("t".to_owned()), ..detail("a", "S_1", "1", false, None) };
    assert_eq!(standing(&of_tenant, "S_1", &Marks::default()), Standing::Foreign);
}

/// Slots 1 to 4, all listed and looked at.
fn looked_at(made: Vec<RangeInclusive<u32>>, shown: Vec<Space>) -> SlotSpaces {
    let mut pool = SlotSpaces::new("S_", &Marks::default());
    pool.made = made;
    pool.take_list(
        shown.iter().map(|space| Space { non_member_access: None, ..space.clone() }).collect(),
        is_slot,
        true,
    );
    for space in shown {
        pool.take_space(&space.id.clone(), Some(space));
    }
    pool
}

fn is_slot(number: u32) -> bool {
    (1..=4).contains(&number)
}

fn none() -> BTreeSet<u32> {
    BTreeSet::new()
}

#[test]
fn a_renamed_or_opened_slot_is_foreign_unless_it_is_marked_or_held() {
    let mut pool = looked_at(
        Vec::new(),
        vec![
            detail("a", "S_1", "1", true, None),
            detail("b", "Party", "2", false, None),
            detail("c", "Ours", "3", true, Some("meeting-controller:ns/m")),
            detail("d", "S_4", "4", false, None),
        ],
    );
    assert_eq!(pool.foreign(&none()), BTreeSet::from([1, 2]));
    assert_eq!(pool.foreign(&BTreeSet::from([1])), BTreeSet::from([2]));
    assert_eq!(pool.left_open(&none()).collect::<Vec<_>>(), [3]);
    pool.set_shut(3);
    assert_eq!(pool.left_open(&none()).count(), 0);
    pool.doubt(3);
    assert_eq!(pool.standing(3), Some(Standing::Foreign), "until a look shows it");
}

#[test]
fn a_field_that_a_bridge_never_shows_is_believed_of_spaces_that_we_made_only() {
    for (made, foreign) in [(Vec::new(), BTreeSet::from([1, 2])), (vec![1..=2], BTreeSet::from([2]))] {
        let pool = looked_at(made, vec![space("a", "S_1", "1"), space("b", "Party", "2")]);
        assert_eq!(pool.foreign(&none()), foreign);
        assert!(pool.doubtful(&none()).is_none(), "one look settles it");
    }
}

/// Some bridges leave out what is true by default. There a slot that was opened by hand shows nothing, and is not free.
#[test]
fn where_others_are_shown_to_be_shut_one_that_is_not_is_open() {
    let pool = looked_at(vec![1..=3], vec![detail("a", "S_1", "1", false, None), space("b", "S_2", "2")]);
    assert_eq!(pool.foreign(&none()), BTreeSet::from([2]));
    assert!(pool.shown_fields.is_open(pool.space(2).unwrap()) && !pool.shown_fields.is_open(pool.space(1).unwrap()));
}

#[test]
fn a_list_keeps_details_that_it_does_not_contradict() {
    let mut pool =
        looked_at(Vec::new(), vec![detail("a", "S_1", "1", true, None), detail("b", "S_2", "2", false, None)]);
    pool.take_list(vec![space("a", "S_1", "1"), space("b", "S_2", "2")], is_slot, false);
    assert_eq!(pool.space(1).unwrap().non_member_access, Some(true));
    assert_eq!(pool.foreign(&none()), BTreeSet::from([1]));
    // Not shown by the list of placeholder names any more: renamed or deleted.
    pool.take_list(vec![space("a", "S_1", "1")], is_slot, false);
    assert_eq!(pool.doubtful(&none()).unwrap().0, 2);
    assert_eq!(pool.foreign(&none()), BTreeSet::from([1, 2]), "what is in doubt is not used");
    assert!(!pool.is_read(&(1..=2), &none()));
    pool.take_space(&"b".into(), Some(detail("b", "S_2", "2", false, None)));
    assert!(pool.doubtful(&none()).is_none());
    // Somebody else's that has its placeholder name again is looked at before it is used.
    pool.take_space(&"a".into(), Some(detail("a", "Party", "1", true, None)));
    pool.take_list(vec![space("a", "S_1", "1"), space("b", "S_2", "2")], is_slot, false);
    assert_eq!(pool.doubtful(&none()).unwrap().0, 1);
}

/// A bridge whose lists show more than names and numbers: one of them finds what was opened, or got a mark, and kept its name.
#[test]
fn a_list_that_shows_a_slot_otherwise_than_the_last_look_brings_another_look() {
    let shown = || vec![detail("a", "S_1", "1", false, None), detail("b", "S_2", "2", false, None)];
    let mark = Some("meeting-controller:ns/m");
    for other in [detail("b", "S_2", "2", true, None), detail("b", "S_2", "2", false, mark)] {
        let mut pool = looked_at(Vec::new(), shown());
        pool.take_list(shown(), is_slot, false);
        assert!(pool.doubtful(&none()).is_none());
        pool.take_list(vec![space("a", "S_1", "1"), other.clone()], is_slot, false);
        assert_eq!(pool.doubtful(&none()).unwrap().0, 2, "{other:?}");
    }
}

#[test]
fn an_opened_slot_that_a_list_shows_under_its_placeholder_name_is_no_longer_as_we_left_it() {
    let mut pool = looked_at(Vec::new(), vec![detail("a", "S_1", "1", false, None)]);
    let list = |pool: &mut SlotSpaces, name: &str| pool.take_list(vec![space("a", name, "1")], is_slot, false);
    assert!(!pool.is_listed_as_free(&"a".into()), "a look says more");
    pool.set_opened(&"a".into(), "Board");
    assert!(!pool.is_listed_as_free(&"a".into()));
    list(&mut pool, "S_1");
    assert!(pool.is_listed_as_free(&"a".into()));
    // A process that has just begun has not looked at it yet.
    let mut fresh = SlotSpaces::new("S_", &Marks::default());
    list(&mut fresh, "S_1");
    assert!(fresh.is_listed_as_free(&"a".into()));
    list(&mut fresh, "Board");
    assert!(!fresh.is_listed_as_free(&"a".into()));
    // A list of placeholder names does not show an open one.
    pool.set_opened(&"a".into(), "Board");
    pool.take_list(Vec::new(), is_slot, false);
    assert!(!pool.is_listed_as_free(&"a".into()));
}

#[test]
fn a_number_that_is_shown_twice_is_the_known_ones_or_the_one_called_as_a_slot_is() {
    for turned in [false, true] {
        let mut twice = vec![space("x", "Party", "1"), space("a", "S_1", "1")];
        if turned {
            twice.reverse();
        }
        let mut pool = SlotSpaces::new("S_", &Marks::default());
        pool.take_list(twice.clone(), is_slot, true);
        assert_eq!(pool.space(1).unwrap().id.as_str(), "a");
        let mut pool = looked_at(Vec::new(), vec![detail("x", "Party", "1", true, Some("meeting-controller:ns/m"))]);
        pool.take_list(twice, is_slot, true);
        assert_eq!(pool.space(1).unwrap().id.as_str(), "x", "the one that is known");
    }
    // Nor does another space with its number, in a list that need not show it, take the place of the known one.
    let mut pool = looked_at(Vec::new(), vec![detail("a", "S_1", "1", false, None)]);
    pool.take_list(vec![space("b", "S_1", "1")], is_slot, false);
    assert_eq!(pool.doubtful(&none()).unwrap().1.id.as_str(), "a");
    let recorded = SpaceId::from("a");
    assert_eq!(pool.space_for(1, Some(&recorded)).unwrap(), recorded);
    pool.take_space(&recorded, None);
    assert!(pool.space_for(1, Some(&recorded)).is_none());
    pool.take_list(vec![space("b", "S_1", "1")], is_slot, true);
    assert_eq!(pool.space_for(1, Some(&recorded)).unwrap().as_str(), "b");
    assert_eq!(pool.space_for(1, Some(&"b".into())).unwrap().as_str(), "b");
}

#[test]
fn numbers_that_something_else_has_are_no_slots_until_it_gives_them_up() {
    let second = Space { secondary_uri: Some("2".into()), ..space("x", "Board room", "900") };
    let by_call_id = Space { uri: None, call_id: Some("3".into()), ..space("y", "Lobby", "3") };
    let of_tenant = Space { tenant: Some("t".into()), ..space("z", "S_4", "4") };
    let mut pool = SlotSpaces::new("S_", &Marks::default());
    pool.take_list(vec![space("a", "S_1", "1"), second.clone(), by_call_id, of_tenant], is_slot, true);
    pool.block(1);
    assert_eq!(pool.taken().map(|(number, _)| number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(pool.foreign(&none()), BTreeSet::from([2, 3, 4]));
    assert!(pool.missing(&(1..=4)).is_empty() && pool.is_read(&(1..=4), &none()));
    assert_eq!(pool.foreign_spaces(&none()).len(), 3);
    pool.take_space(&"x".into(), Some(second.clone()));
    assert!(pool.is_taken(2) && pool.complete);
    pool.take_space(&"x".into(), Some(Space { secondary_uri: None, ..second }));
    pool.take_space(&"z".into(), None);
    assert_eq!(pool.missing(&(1..=4)), [2, 4]);
    assert!(!pool.complete, "somebody else may have them by now");
    // A slot whose number was changed is none any more.
    pool.take_space(&"a".into(), Some(Space { call_id: Some("77".into()), ..detail("a", "S_1", "1", false, None) }));
    assert!(pool.space(1).is_none() && pool.is_taken(1));
}

#[test]
fn missing_numbers_become_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), vec![1..=3, 7..=7, 9..=10]);
    assert!(ranges(&[]).is_empty());
}

#[test]
fn a_look_that_shows_a_profile_tells_of_which_kind_the_bridge_shows_them() {
    let mut pool = SlotSpaces::new("S_", &Marks::default());
    pool.take_list(vec![space("a", "S_1", "1")], |_| true, true);
    pool.take_space(&"a".into(), Some(space("a", "S_1", "1")));
    assert_eq!(pool.shown_fields, ShownFields::default());
    let with_leg = Space { call_leg_profile: Some("leg".into()), ..space("a", "S_1", "1") };
    pool.take_space(&"a".into(), Some(with_leg));
    pool.take_space(&"a".into(), Some(space("a", "S_1", "1")));
    assert_eq!(pool.shown_fields, ShownFields { call_leg_profile: true, ..ShownFields::default() });
}

#[test]
fn a_slot_in_which_something_is_stuck_is_free_once_a_look_shows_nothing() {
    let mut pool = SlotSpaces::new("S_", &Marks::default());
    pool.take_list(vec![space("a", "S_1", "1")], |_| true, true);
    let with = |count: u32| Space { access_methods: Some(count), ..detail("a", "S_1", "1", false, None) };
    let stuck = |pool: &SlotSpaces| pool.stuck(&BTreeSet::new()).map(|(number, _)| number).collect::<Vec<_>>();
    pool.stuck.set(&"a".into(), StuckBy::Method, "why".to_owned(), Timestamp::UNIX_EPOCH);
    pool.take_space(&"a".into(), Some(with(1)));
    assert_eq!(stuck(&pool), [1]);
    pool.take_space(&"a".into(), Some(with(0)));
    assert_eq!(stuck(&pool), Vec::<u32>::new());
    // One that cannot be shut is stuck for as long as it is open for one of ours.
    pool.stuck.set(&"a".into(), StuckBy::Open, "why".to_owned(), Timestamp::UNIX_EPOCH);
    pool.take_space(&"a".into(), Some(detail("a", "S_1", "1", true, Some("meeting-controller:ns/m"))));
    assert_eq!(stuck(&pool), [1]);
    pool.take_space(&"a".into(), Some(with(0)));
    assert_eq!(stuck(&pool), Vec::<u32>::new());
}

/// Somebody gave a slot another number, or to a tenant: it is not booked any more, whatever a look showed before.
#[test]
fn a_slot_that_got_another_number_or_a_tenant_is_not_free() {
    let free = || vec![detail("a", "S_1", "1", false, None), detail("b", "S_2", "2", false, None)];
    let with_tenant = Space { tenant: Some("theirs".to_owned()), ..space("a", "S_1", "1") };
    for changed in [space("a", "S_1", "900"), with_tenant] {
        for complete in [true, false] {
            let mut pool = looked_at(Vec::new(), free());
            assert_eq!(pool.standing(1), Some(Standing::Free));
            pool.take_list(vec![changed.clone(), space("b", "S_2", "2")], is_slot, complete);
            let standings = (pool.standing(1), pool.standing(2));
            assert_eq!(standings, (Some(Standing::Foreign), Some(Standing::Free)), "{changed:?} {complete}");
        }
    }
}

/// The space of a running meeting was deleted, and somebody else's has its number.
#[test]
fn a_space_that_a_look_found_gone_stays_so_whatever_is_listed_next() {
    let mut pool = looked_at(Vec::new(), vec![detail("a", "S_1", "1", false, None)]);
    pool.take_space(&"a".into(), None);
    let theirs = || vec![space("b", "Board", "1")];
    for complete in [true, false, true] {
        pool.take_list(theirs(), is_slot, complete);
        assert_eq!(pool.space_for(1, Some(&"a".into())), Some("b".into()), "{complete}");
    }
    // A backup of the bridge was restored.
    pool.take_list(vec![space("a", "S_1", "1")], is_slot, true);
    assert_eq!(pool.space_for(1, Some(&"a".into())), Some("a".into()));
}
