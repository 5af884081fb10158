use super::super::model::Call;
use super::super::xml::{self, Bounds};
use super::*;
use proptest::prelude::*;

fn page(total: Option<usize>, ids: &[String]) -> Node {
    let total = total.map(|total| format!(" total=\"{total}\"")).unwrap_or_default();
    let items: String = ids.iter().map(|id| format!("<call id=\"{id}\"/>")).collect();
    xml::parse(format!("<calls{total}>{items}</calls>").as_bytes(), Bounds::default()).unwrap()
}

/// Reads a list from a bridge that gives pages of `ceiling` of what `list` holds at each request.
fn read(ceiling: usize, with_total: bool, mut list: impl FnMut(u32) -> Vec<String>) -> Listing<Call> {
    let mut reading = Reading::<Call>::default();
    loop {
        let now = list(reading.pages + 1);
        let offset = usize::try_from(reading.offset).unwrap();
        let items: Vec<_> = now.iter().skip(offset).take(ceiling).cloned().collect();
        if reading.absorb(&page(with_total.then_some(now.len()), &items), "test").unwrap() == Next::Done {
            return reading.into_listing();
        }
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn ids(listing: Listing<Call>) -> Vec<String> {
    listing.into_iter().map(|call| call.id.to_string()).collect()
}

#[test]
fn an_empty_list_takes_one_page() {
    assert_eq!(read(10, true, |_| numbers(0..25)).unshown(), Some(0));
    assert_eq!(read(10, false, |_| numbers(0..25)).unshown(), Some(0));
    let listing = read(10, true, |_| Vec::new());
    assert_eq!((listing.pages, listing.total, listing.consistent), (1, Some(0), true));
}

#[test]
fn a_list_that_fits_takes_one_page() {
    assert_eq!(read(10, true, |_| numbers(0..10)).pages, 1);
    assert_eq!(read(10, true, |_| numbers(0..11)).pages, 2);
    // 10, then one of each page is the anchor: 9 + 9 + 9 ...
    assert_eq!(read(10, true, |_| numbers(0..100)).pages, 11);
    assert_eq!(read(2, true, |_| numbers(0..10)).pages, 5);
}

#[test]
fn an_item_removed_from_an_earlier_page_hides_none() {
    // After the first page item 0 goes: all others move up, and item 3 would be missed.
    let listing = read(3, true, |request| if request == 1 { numbers(0..7) } else { numbers(1..7) });
    assert!(listing.consistent);
    assert_eq!(ids(listing), numbers(1..7));
}

#[test]
fn one_goes_in_front_while_another_comes_at_the_end() {
    // The total stays, nothing comes twice, and without an anchor item 5 would be missed unseen.
    let listing = read(5, true, |request| if request == 1 { numbers(0..10) } else { numbers(1..11) });
    assert!(listing.consistent);
    assert_eq!(ids(listing), numbers(1..11));
}

#[test]
fn what_comes_at_the_end_costs_no_second_reading() {
    let listing = read(5, true, |request| numbers(0..10 + request as usize));
    assert!(listing.consistent);
    assert_eq!(listing.pages, 3);
    assert_eq!(ids(listing), numbers(0..13));
}

#[test]
fn an_item_added_in_front_is_found() {
    let mut longer = vec!["new".to_owned()];
    longer.extend(numbers(0..6));
    let listing = read(3, true, |request| if request == 1 { numbers(0..6) } else { longer.clone() });
    assert!(listing.consistent);
    assert_eq!(ids(listing), longer);
}

#[test]
fn a_list_that_never_rests_is_read_twice_and_joined() {
    let listing = read(2, true, |request| numbers(request as usize..request as usize + 6 + request as usize));
    assert!(!listing.consistent && listing.unshown().is_none());
    let found = ids(listing);
    let distinct: HashSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len());
    assert!(found.contains(&"1".to_owned()), "what only the first pass saw: {found:?}");
}

#[test]
fn a_bridge_that_ignores_the_offset_ends() {
    let mut reading = Reading::<Call>::default();
    let mut pages = 0;
    while reading.absorb(&page(Some(100), &numbers(0..10)), "test").unwrap() == Next::Page {
        pages += 1;
        assert!(pages < 10);
    }
    assert_eq!(ids(reading.into_listing()), numbers(0..10));
}

/// New ids for ever, whatever is asked: our memory must not be what ends it.
#[test]
fn a_list_that_never_ends_is_given_up() {
    let mut reading = Reading::<Call>::default();
    let mut first = 0;
    let given_up = loop {
        let next = reading.absorb(&page(None, &numbers(first..first + 1000)), "test");
        first += 1000;
        if !matches!(next, Ok(Next::Page)) {
            break next;
        }
    };
    assert_eq!(given_up, Err(endless()));
    assert!(first <= Call::MOST + 1000 && reading.items.len() <= Call::MOST + 1000);
    // Few, but each of them as large as can be.
    let mut reading = Reading::<Call>::default();
    assert!(reading.weigh(MAX_BYTES / 2).is_ok());
    assert_eq!(reading.weigh(MAX_BYTES / 2 + 1), Err(endless()));
}

#[test]
fn a_total_that_is_too_large_ends_at_the_empty_page() {
    let mut reading = Reading::<Call>::default();
    assert_eq!(reading.absorb(&page(Some(9), &numbers(0..2)), "test"), Ok(Next::Page));
    assert_eq!(reading.absorb(&page(Some(9), &[]), "test"), Ok(Next::Done));
    let listing = reading.into_listing();
    assert!(listing.consistent);
    assert_eq!(listing.unshown(), Some(7));
}

#[test]
fn a_bad_item_is_left_out_and_the_rest_kept() {
    let mut reading = Reading::<Call>::default();
    let bad = vec!["..".to_owned()];
    assert_eq!(reading.absorb(&page(Some(3), &numbers(0..1)), "test"), Ok(Next::Page));
    assert_eq!(reading.absorb(&page(Some(3), &bad), "test"), Ok(Next::Page));
    assert_eq!(reading.absorb(&page(Some(3), &numbers(2..3)), "test"), Ok(Next::Done));
    let listing = reading.into_listing();
    assert_eq!((listing.skipped, listing.unshown()), (1, Some(1)));
    assert_eq!(ids(listing), ["0", "2"]);
}

#[test]
fn an_endless_list_is_an_error() {
    let mut reading = Reading::<Call>::default();
    let mut next = Ok(Next::Page);
    for n in 0..=MAX_PAGES as usize {
        next = reading.absorb(&page(Some(usize::MAX >> 1), &numbers(n..n + 1)), "test");
    }
    assert_eq!(next.unwrap_err().label(), "malformed_reply");
}

/// What a list leaves out later may be another item than the one that it always leaves out.
#[tokio::test(start_paused = true)]
async fn what_a_list_keeps_back_is_believed_for_a_while() {
    let known = KeptBack::default();
    known.note("/calls".to_owned(), Some(1));
    assert!(known.is_as_before("/calls", 1) && !known.is_as_before("/calls", 2) && !known.is_as_before("/callLegs", 1));
    tokio::time::advance(KEPT_BACK_FOR).await;
    assert!(!known.is_as_before("/calls", 1));
}

proptest! {
    #[test]
    fn a_resting_list_is_read_whole(len in 0usize..80, ceiling in 1usize..30, with_total: bool) {
        let listing = read(ceiling, with_total, |_| numbers(0..len));
        prop_assert!(listing.consistent);
        prop_assert_eq!(ids(listing), numbers(0..len));
    }

    #[test]
    fn a_list_that_changes_once_loses_nothing_that_stays(
        len in 1usize..60, ceiling in 1usize..12, when in 1u32..12, cut in 0usize..60, added in 0usize..3,
    ) {
        // One change of length, after which the list rests: whatever is there at the end must be found.
        let before = numbers(0..len);
        let mut after = before.clone();
        if added == 0 {
            after.remove(cut % len);
        }
        for n in 0..added {
            after.insert((cut + n) % after.len(), format!("n{n}"));
        }
        let mut last = before.clone();
        let listing = read(ceiling, true, |request| {
            last = if request <= when { before.clone() } else { after.clone() };
            last.clone()
        });
        let found: HashSet<_> = ids(listing).into_iter().collect();
        prop_assert!(last.iter().all(|id| found.contains(id)));
    }

    #[test]
    fn what_is_there_all_the_time_is_found_in_a_list_that_rolls(
        len in 1usize..60, ceiling in 4usize..12, moves in prop::collection::vec(0usize..3, 0..3),
    ) {
        // Calls end at the front and begin at the end, a few times; then the list rests.
        let mut front = 0;
        let listing = read(ceiling, true, |request| {
            front += moves.get(request as usize).copied().unwrap_or(0);
            numbers(front..front + len)
        });
        let found: HashSet<_> = ids(listing).into_iter().collect();
        let most: usize = moves.iter().sum();
        prop_assert!(numbers(most..len).iter().all(|id| found.contains(id)));
    }
}
