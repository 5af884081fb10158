//! The memory that replies may take, whatever all bridges of all tenants send at one time. No I/O.
//!
//! Every reply takes a place from its first byte until it is made use of. A usual one is small; those that grow beyond that
//! wait for one of a few large places. So no bridge can fill our memory, and who answers as bridges do waits for nobody.

use std::sync::LazyLock;

use tokio::sync::{Semaphore, SemaphorePermit};

/// A page of fifty items has half of that.
pub const SMALL_REPLY: usize = 64 << 10;

/// 16 MiB of small replies.
const SMALL_PLACES: usize = 256;

/// Each up to the limit for one reply, and some times that while it is parsed.
const LARGE_PLACES: usize = 2;

static SMALL: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(SMALL_PLACES));
static LARGE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LARGE_PLACES));

/// Lists of more than a thousand items or so that are read at one time.
const LARGE_LISTS: usize = 2;

static LISTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LARGE_LISTS));

/// A place for a long list, held until it is read to its end.
pub async fn for_large_list() -> Option<SemaphorePermit<'static>> {
    LISTS.acquire().await.ok()
}

/// The bytes of a reply in their place.
pub struct Body {
    pub bytes: Vec<u8>,
    pub room: Room,
}

/// The place of one reply; given back when dropped.
pub struct Room {
    /// None: the semaphore is closed, which it never is.
    _small: Option<SemaphorePermit<'static>>,
    large: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// A place for a usual reply.
    pub async fn small() -> Self {
        Self { _small: SMALL.acquire().await.ok(), large: None }
    }

    /// The same for a large one.
    pub async fn grow(self) -> Self {
        Self { large: LARGE.acquire().await.ok(), ..self }
    }

    /// Is it one for a large reply?
    pub fn is_large(&self) -> bool {
        self.large.is_some()
    }
}

#[cfg(test)]
mod tests;
