//! Lists that come in pages and may change while they are read.
//!
//! The rules of `cms-protocol.md` 3.1: the page size is the bridge's secret, so step by what was received; stop at the total,
//! at an empty page, or when a page brings nothing new. Pages are no snapshot. When a call ends while the list of calls
//! is read, all later ones move up and one slips through between two pages, and a leg that is missed is rung twice. So
//! each page begins with the last item of the page before, as an anchor: if it is not there, the list moved, and it is
//! read once more. If it never rests, all readings are joined: an item too many is found out by looking at it, a missing
//! one is not.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::decode::{self, Record};
use super::error::CmsError;
use super::form::Form;
use super::http::{Client, Request};
use super::model::Listing;
use super::priority::Priority;
use super::room;
use super::xml::Node;

/// More pages than any real list has, even one item at a time: a bridge that never ends a list must not hold us.
const MAX_PAGES: u32 = 20_000;

/// What the replies to one list may have in all, for each item that it may have: more than any of them needs.
const BYTES_PER_ITEM: usize = 1024;

/// No list may take more than this, however many items it may have.
const MAX_BYTES: usize = 32 << 20;

/// From this size on only a few lists are read at one time, whatever bridges they come from.
const LARGE: usize = 1 << 20;

/// A list that takes longer is as good as none: whoever waits for it gives up.
const LONGEST: Duration = Duration::from_secs(60);

/// How often a list that moves is read: this often in any case, and a little more while items are known to be missing.
const PASSES: u32 = 2;
const MAX_PASSES: u32 = 4;

/// From this size on a page gives one place away for the anchor. Smaller pages are watched by total and repetitions.
const ANCHOR_FROM: u64 = 4;

/// What one list operation asks for.
#[derive(Clone)]
pub(super) struct ListRequest<'a> {
    pub operation: &'static str,
    pub path: String,
    /// Filters; empty ones are not sent.
    pub filters: &'a [(&'static str, &'a str)],
}

impl ListRequest<'_> {
    /// Which list it is.
    fn key(&self) -> String {
        self.filters.iter().fold(self.path.clone(), |key, (name, value)| format!("{key}\n{name}={value}"))
    }
}

/// How often a list is read that shows fewer items than it counts.
const READINGS: u32 = 3;

/// Of so many lists it is remembered what they keep back. Those of single calls come and go with them.
const MOST_KEPT_BACK: usize = 1000;

/// For so long it is believed. What a list leaves out then may be another item than the one that it always leaves out.
const KEPT_BACK_FOR: Duration = Duration::from_secs(600);

/// How many items lists of a call bridge keep back, as two readings in a row have shown, and when: one that always counts
/// more than it shows is not read twice for ever.
#[derive(Default)]
pub(super) struct KeptBack(Mutex<HashMap<String, (u64, Instant)>>);

impl KeptBack {
    /// Did this list keep back just as many when it was read before?
    fn is_as_before(&self, list: &str, missing: u64) -> bool {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(list).is_some_and(|(before, at)| *before == missing && at.elapsed() < KEPT_BACK_FOR)
    }

    /// The bridge was started anew: nothing is known.
    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What a list keeps back; None: nothing, or nobody knows.
    fn note(&self, list: String, missing: Option<u64>) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(missing) = missing else {
            lists.remove(&list);
            return;
        };
        if lists.len() >= MOST_KEPT_BACK {
            // They are read twice once more, and that is all.
            lists.clear();
        }
        lists.insert(list, (missing, Instant::now()));
    }
}

impl Client {
    /// The bridge was started anew, perhaps as another version: what its lists keep back is to be found out again.
    pub fn forget_kept_back(&self) {
        self.kept_back().forget();
    }

    /// Reads a list by which something counts as gone: whoever took a call that is left out for one that has ended would ring
    /// people twice. One that shows fewer items than it counts is read again. It is whole if it shows them all, or keeps back
    /// just as many as before: then it shows all that it ever will (the rule for spaces, `plan/bridge/outcomes.rs`). What was
    /// proven so is remembered for a while, and believed at once the next time; another number is not. If it never is whole, all readings
    /// are joined. What was read counts, whatever becomes of a further reading; and all of them are done in the time of one.
    pub(super) async fn whole_list<T: Record>(
        &self,
        at: Priority,
        asked: ListRequest<'_>,
    ) -> Result<Listing<T>, CmsError> {
        let (begun, list) = (Instant::now(), asked.key());
        let mut joined = self.list::<T>(at, asked.clone()).await?;
        if joined.unshown().is_some_and(|missing| missing > 0 && self.kept_back().is_as_before(&list, missing)) {
            return Ok(joined);
        }
        let mut proven = None;
        for _ in 1..READINGS {
            let Some(before) = joined.unshown().filter(|missing| *missing > 0) else { break };
            let again = tokio::time::timeout_at(begun + LONGEST, self.list::<T>(at, asked.clone())).await;
            let Ok(Ok(mut again)) = again else { break };
            let missing = again.unshown();
            if missing == Some(0) {
                joined = again;
                break;
            }
            let shown: HashSet<String> = again.items.iter().map(|item| item.key().to_owned()).collect();
            again.items.extend(joined.items.into_iter().filter(|item| !shown.contains(item.key())));
            joined = again;
            if missing == Some(before) {
                proven = missing;
                break;
            }
        }
        self.kept_back().note(list, proven);
        Ok(joined)
    }

    /// Reads a list.
    pub(super) async fn list<T: Record>(&self, at: Priority, asked: ListRequest<'_>) -> Result<Listing<T>, CmsError> {
        let mut reading = Reading::default();
        let begun = Instant::now();
        let mut place = None;
        loop {
            if reading.is_large() && place.is_none() {
                place = tokio::time::timeout(LONGEST, room::for_large_list()).await.map_err(|_| CmsError::Timeout)?;
            }
            if begun.elapsed() > LONGEST {
                return Err(CmsError::Timeout);
            }
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
            reading.weigh(page.size)?;
            if reading.absorb(&page.root, asked.operation)? == Next::Done {
                self.observer().listed(asked.operation, reading.pages);
                return Ok(reading.into_listing());
            }
        }
    }
}

fn endless() -> CmsError {
    CmsError::MalformedReply { detail: "the list does not end, or has more items than any real one".to_owned() }
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
    /// What the replies of this pass had together.
    bytes: usize,
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
            bytes: 0,
            pass: 1,
            moved: false,
            skipped: 0,
        }
    }
}

impl<T: Record> Reading<T> {
    /// Will it need so much memory that not many may be read at one time?
    fn is_large(&self) -> bool {
        self.bytes > LARGE
    }

    /// Counts the size of a reply.
    fn weigh(&mut self, bytes: usize) -> Result<(), CmsError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > T::MOST.saturating_mul(BYTES_PER_ITEM).min(MAX_BYTES) { Err(endless()) } else { Ok(()) }
    }

    fn absorb(&mut self, page: &Node, operation: &'static str) -> Result<Next, CmsError> {
        self.pages += 1;
        if self.pages > MAX_PAGES {
            return Err(endless());
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
        if self.items.len().max(self.earlier.len()) > T::MOST || self.skipped > T::MOST {
            return Err(endless());
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
        (self.offset, self.bytes) = (0, 0);
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
mod tests;
