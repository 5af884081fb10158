//! Lists that come in pages and may change while they are read.
//!
//! The rules of `cms-api.md` 3.1: the page size is the bridge's secret, so step by what was received; stop at the total,
//! at an empty page, or when a page brings nothing new. Pages are no snapshot. When a call ends while the list of calls
//! is read, all later ones move up and one slips through between two pages, and a leg that is missed is rung twice. So
//! each page begins with the last item of the page before, as an anchor: if it is not there, the list moved, and it is
//! read once more. If it never rests, all readings are joined: an item too many is found out by looking at it, a missing
//! one is not.

use std::collections::HashSet;

use reqwest::Method;

use super::decode::{self, Record};
use super::error::CmsError;
use super::form::Form;
use super::gate::Priority;
use super::http::{Client, Request};
use super::model::Listing;
use super::xml::Node;

/// More pages than any real list has, even one item at a time: a bridge that never ends a list must not hold us.
const MAX_PAGES: u32 = 20_000;

/// How often a list that moves is read: this often in any case, and a little more while items are known to be missing.
const PASSES: u32 = 2;
const MAX_PASSES: u32 = 4;

/// From this size on a page gives one place away for the anchor. Smaller pages are watched by total and repetitions.
const ANCHOR_FROM: u64 = 4;

/// What one list operation asks for.
pub(super) struct ListRequest<'a> {
    pub operation: &'static str,
    pub path: String,
    /// Filters; empty ones are not sent.
    pub filters: &'a [(&'static str, &'a str)],
}

impl Client {
    /// Reads a whole list.
    pub(super) async fn list<T: Record>(&self, at: Priority, asked: ListRequest<'_>) -> Result<Listing<T>, CmsError> {
        let mut reading = Reading::default();
        loop {
            let page_size = self.limits().page_size;
            let mut query = asked
                .filters
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .fold(Form::new(), |query, (name, value)| query.with(name, value));
            // The first page needs no offset; without it the request is the one the guide shows.
            if reading.offset > 0 {
                query = query.with("offset", &reading.offset.to_string());
            }
            if page_size > 0 {
                query = query.with("limit", &page_size.to_string());
            }
            let request = Request {
                operation: asked.operation,
                method: Method::GET,
                path: asked.path.clone(),
                query,
                body: Form::new(),
            };
            let page = self.read(at, request, T::LIST).await?;
            if reading.absorb(&page, asked.operation)? == Next::Done {
                self.observer().listed(asked.operation, reading.pages);
                return Ok(reading.into_listing());
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Page,
    Done,
}

/// A list while it is read. Pure: pages in, listing out.
struct Reading<T> {
    items: Vec<T>,
    /// What the passes before found; used only if the last one was disturbed as well.
    earlier: Vec<T>,
    /// Keys of this pass: one that comes twice shows that the list moved.
    seen: HashSet<String>,
    /// The item that must come first on the next page.
    anchor: Option<String>,
    offset: u64,
    total: Option<u64>,
    pages: u32,
    pass: u32,
    moved: bool,
    skipped: usize,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            earlier: Vec::new(),
            seen: HashSet::new(),
            anchor: None,
            offset: 0,
            total: None,
            pages: 0,
            pass: 1,
            moved: false,
            skipped: 0,
        }
    }
}

impl<T: Record> Reading<T> {
    fn absorb(&mut self, page: &Node, operation: &'static str) -> Result<Next, CmsError> {
        self.pages += 1;
        if self.pages > MAX_PAGES {
            return Err(CmsError::MalformedReply { detail: "the list does not end".to_owned() });
        }
        let total = decode::total(page);
        let mut anchor = self.anchor.take();
        let anchored = anchor.is_some();
        if self.offset > 0 && !anchored && total != self.total {
            self.moved = true;
        }
        self.total = total;
        let (mut received, mut fresh, mut last) = (0u64, false, None);
        for item in page.all(T::ITEM) {
            received += 1;
            match T::decode(item) {
                Ok(item) => {
                    last = Some(item.key().to_owned());
                    // The anchor counts only in the first place.
                    if anchor.take().is_none_or(|anchor| anchor != item.key()) {
                        self.moved |= anchored && received == 1;
                        fresh |= self.keep(item);
                    }
                }
                Err(why) => {
                    anchor = None;
                    last = None;
                    self.skipped += 1;
                    // It may well be the only item of its page; without a total it must not keep us going for ever.
                    fresh |= total.is_some();
                    tracing::warn!(operation, item = T::ITEM, %why, "an item of a list is left out");
                }
            }
        }
        // Without anything in the place of the anchor the list became shorter, perhaps in front of what was read.
        self.moved |= anchored && received == 0;
        self.offset += received;
        if total.is_none_or(|total| self.offset < total) && fresh {
            if received >= ANCHOR_FROM && last.is_some() {
                self.anchor = last;
                self.offset -= 1;
            }
            return Ok(Next::Page);
        }
        Ok(self.end_of_pass())
    }

    fn end_of_pass(&mut self) -> Next {
        if !self.moved {
            return Next::Done;
        }
        let seen = std::mem::take(&mut self.seen);
        let items = std::mem::take(&mut self.items);
        self.earlier.retain(|item| !seen.contains(item.key()));
        self.earlier.splice(0..0, items);
        let missing = self.total.is_some_and(|total| (self.earlier.len() as u64) < total);
        if self.pass >= MAX_PASSES || (self.pass >= PASSES && !missing) {
            return Next::Done;
        }
        self.pass += 1;
        self.moved = false;
        self.offset = 0;
        self.skipped = 0;
        Next::Page
    }

    /// Keeps an item. False: this pass had it already.
    fn keep(&mut self, item: T) -> bool {
        let new = self.seen.insert(item.key().to_owned());
        if new {
            self.items.push(item);
        } else {
            self.moved = true;
        }
        new
    }

    fn into_listing(self) -> Listing<T> {
        Listing {
            items: if self.moved { self.earlier } else { self.items },
            pages: self.pages,
            total: self.total,
            skipped: self.skipped,
            consistent: !self.moved,
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(!listing.consistent);
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

    #[test]
    fn a_total_that_is_too_large_ends_at_the_empty_page() {
        let mut reading = Reading::<Call>::default();
        assert_eq!(reading.absorb(&page(Some(9), &numbers(0..2)), "test"), Ok(Next::Page));
        assert_eq!(reading.absorb(&page(Some(9), &[]), "test"), Ok(Next::Done));
        assert!(reading.into_listing().consistent);
    }

    #[test]
    fn a_bad_item_is_left_out_and_the_rest_kept() {
        let mut reading = Reading::<Call>::default();
        let bad = vec!["..".to_owned()];
        assert_eq!(reading.absorb(&page(Some(3), &numbers(0..1)), "test"), Ok(Next::Page));
        assert_eq!(reading.absorb(&page(Some(3), &bad), "test"), Ok(Next::Page));
        assert_eq!(reading.absorb(&page(Some(3), &numbers(2..3)), "test"), Ok(Next::Done));
        let listing = reading.into_listing();
        assert_eq!(listing.skipped, 1);
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
}
