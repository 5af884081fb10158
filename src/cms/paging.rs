//! Lists that come in pages and may change while they are read.
//!
//! The rules of `cms-api.md` 3.1: the page size is the bridge's secret, so step by what was received; stop at the total,
//! at an empty page, or when a page brings nothing new. Pages are no snapshot: if the total changed or an item came twice,
//! the list moved under us and an item may have slipped through, so it is read once more. If the second
//! reading is disturbed too, both are joined: an item too many is found out by looking at it, a missing one is not.

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

/// How often a list that moves is read.
const MAX_PASSES: u32 = 2;

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
    /// What the pass before found; used only if this one was disturbed as well.
    earlier: Vec<T>,
    /// Keys of this pass: one that comes twice shows that the list moved.
    seen: HashSet<String>,
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
        if self.offset > 0 && total != self.total {
            self.moved = true;
        }
        self.total = total;
        let (mut received, mut fresh) = (0u64, false);
        for item in page.all(T::ITEM) {
            received += 1;
            match T::decode(item) {
                Ok(item) => fresh |= self.keep(item),
                Err(why) => {
                    self.skipped += 1;
                    // It may well be the only item of its page; without a total it must not keep us going for ever.
                    fresh |= total.is_some();
                    tracing::warn!(operation, item = T::ITEM, %why, "an item of a list is left out");
                }
            }
        }
        self.offset += received;
        let complete = match total {
            Some(total) => self.offset >= total,
            None => false,
        };
        if !complete && received > 0 && fresh {
            return Ok(Next::Page);
        }
        if self.moved && self.pass < MAX_PASSES {
            self.pass += 1;
            self.moved = false;
            self.offset = 0;
            self.skipped = 0;
            self.seen.clear();
            self.earlier = std::mem::take(&mut self.items);
            return Ok(Next::Page);
        }
        Ok(Next::Done)
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

    fn into_listing(mut self) -> Listing<T> {
        if self.moved {
            let seen = self.seen;
            self.items.extend(self.earlier.into_iter().filter(|item| !seen.contains(item.key())));
        }
        Listing {
            items: self.items,
            pages: self.pages,
            total: self.total,
            skipped: self.skipped,
            consistent: !self.moved,
        }
    }
}
