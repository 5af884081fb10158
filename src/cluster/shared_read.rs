//! One look for many: questions about spaces or calls that wait at the same time are answered by one list.
//!
//! A look *begins* when the gate gives it its turn, and serves everybody who asked before that moment. So a caller that
//! asks after its own write always gets a fact that is newer than the write, and in a burst (500 meetings at the full
//! hour) hundreds of callers share one list (decision 0013).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::TaskTracker;

use crate::cms::{Client, CmsError, Permit, Priority};
use crate::traces::Here;

/// Looks up all the given keys; leaves out those of which nothing is known.
pub(super) type Reader<K, T> =
    Arc<dyn Fn(Vec<K>, Priority) -> BoxFuture<'static, Result<BTreeMap<K, T>, CmsError>> + Send + Sync>;

struct Waiting<K, T> {
    key: K,
    at: Priority,
    /// The pass that asks.
    pass: Option<Here>,
    answer: oneshot::Sender<Result<Option<T>, CmsError>>,
}

struct Queue<K, T> {
    waiting: Vec<Waiting<K, T>>,
    is_served: bool,
}

/// Collects questions about spaces or calls (`K`) and answers them in batches.
pub(super) struct SharedRead<K, T> {
    queue: Mutex<Queue<K, T>>,
    /// Somebody asked.
    asked: Notify,
}

impl<K, T> Default for SharedRead<K, T> {
    fn default() -> Self {
        Self { queue: Mutex::new(Queue { waiting: Vec::new(), is_served: false }), asked: Notify::new() }
    }
}

impl<K, T> SharedRead<K, T> {
    fn lock(&self) -> MutexGuard<'_, Queue<K, T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a queue; whatever ends it, a panic included, nobody waits for an answer that cannot come any more.
struct Serving<K, T> {
    shared: Arc<SharedRead<K, T>>,
    /// Nobody waits any more, and another one may serve the queue by now.
    is_over: bool,
}

impl<K, T> Drop for Serving<K, T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut queue = self.shared.lock();
        queue.is_served = false;
        // Dropped without an answer: the callers hear that it was cancelled.
        queue.waiting.clear();
    }
}

impl<K, T> SharedRead<K, T>
where
    K: Clone + Ord + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Asks about one of them.
    ///
    /// # Errors
    /// What the gate or the look failed with.
    pub(super) async fn ask(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        client: &Client,
        key: K,
        at: Priority,
        read: Reader<K, T>,
    ) -> Result<Option<T>, CmsError> {
        let (answer, asked) = oneshot::channel();
        let is_first = {
            let mut queue = self.lock();
            queue.waiting.push(Waiting { key, at, pass: Here::current(), answer });
            !std::mem::replace(&mut queue.is_served, true)
        };
        self.asked.notify_one();
        if is_first {
            tasks.spawn(serve(Serving { shared: Arc::clone(self), is_over: false }, client.clone(), read));
        }
        asked.await.unwrap_or(Err(CmsError::Cancelled))
    }

    /// The priority of the most urgent question; None: nobody waits, and the queue is not served any more.
    fn next_turn(&self) -> Option<Priority> {
        let mut queue = self.lock();
        let first = most_urgent(&queue.waiting);
        queue.is_served = first.is_some();
        first
    }

    /// Waits at the gate for those who ask, and moves up there when somebody asks who is more urgent: a door does not wait
    /// behind what a sweep waits behind.
    async fn turn(&self, client: &Client, mut at: Priority) -> Result<Permit, CmsError> {
        loop {
            let turn = client.gate().acquire(at);
            let mut turn = std::pin::pin!(turn);
            loop {
                tokio::select! {
                    biased;
                    permit = &mut turn => return permit,
                    () = self.asked.notified() => {}
                }
                let now = most_urgent(&self.lock().waiting).unwrap_or(at);
                if now != at {
                    at = now;
                    break;
                }
            }
        }
    }
}

/// The earliest of their deadlines in the first of their classes; urgent if any of them is.
fn most_urgent<K, T>(waiting: &[Waiting<K, T>]) -> Option<Priority> {
    let first = waiting.iter().map(|waiting| waiting.at).min_by_key(|at| (at.class, at.deadline))?;
    Some(Priority { urgent: waiting.iter().any(|waiting| waiting.at.urgent), ..first })
}

/// Answers batch after batch until nobody waits.
async fn serve<K, T>(mut serving: Serving<K, T>, client: Client, read: Reader<K, T>)
where
    K: Clone + Ord + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    while let Some(at) = serving.shared.next_turn() {
        // Waiting for the turn lets more questions gather; the look itself queues again for each of its pages.
        let turn = serving.shared.turn(&client, at).await;
        let batch = std::mem::take(&mut serving.shared.lock().waiting);
        let at = most_urgent(&batch).unwrap_or(at);
        let answers = match turn {
            Ok(permit) => {
                drop(permit);
                let passes = Here::of_all(batch.iter().filter_map(|waiting| waiting.pass.clone()));
                Here::scope(passes, read(batch.iter().map(|waiting| waiting.key.clone()).collect(), at)).await
            }
            Err(error) => Err(error),
        };
        for waiting in batch {
            let answer = match &answers {
                Ok(facts) => Ok(facts.get(&waiting.key).cloned()),
                Err(error) => Err(error.clone()),
            };
            // Nobody is left to hear it: the caller was cancelled.
            let _ = waiting.answer.send(answer);
        }
    }
    serving.is_over = true;
}

#[cfg(test)]
mod tests;
