//! One look for many: questions about spaces or calls that wait at the same time are answered by one list.
//!
//! A look *begins* when the gate gives it its turn, and serves everybody who asked before that moment. So a caller that
//! asks after its own write always gets a fact that is newer than the write, and in a burst (500 meetings at the full
//! hour) hundreds of callers share one list (craft.md 4.3 no. 4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::cms::{Client, CmsError, Priority};

/// Looks up all the given keys; leaves out those of which nothing is known.
pub type Look<K, T> =
    Arc<dyn Fn(Vec<K>, Priority) -> BoxFuture<'static, Result<BTreeMap<K, T>, CmsError>> + Send + Sync>;

struct Waiting<K, T> {
    key: K,
    at: Priority,
    answer: oneshot::Sender<Result<Option<T>, CmsError>>,
}

struct Queue<K, T> {
    waiting: Vec<Waiting<K, T>>,
    running: bool,
}

/// Collects questions about spaces or calls (`K`) and answers them in batches.
pub struct SharedLook<K, T> {
    queue: Mutex<Queue<K, T>>,
}

impl<K, T> Default for SharedLook<K, T> {
    fn default() -> Self {
        Self { queue: Mutex::new(Queue { waiting: Vec::new(), running: false }) }
    }
}

impl<K, T> SharedLook<K, T>
where
    K: Clone + Ord + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn lock(&self) -> MutexGuard<'_, Queue<K, T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about one of them.
    ///
    /// # Errors
    /// What the gate or the look failed with.
    pub async fn ask(
        self: &Arc<Self>,
        client: &Client,
        key: K,
        at: Priority,
        look: Look<K, T>,
    ) -> Result<Option<T>, CmsError> {
        let (answer, asked) = oneshot::channel();
        let start = {
            let mut queue = self.lock();
            queue.waiting.push(Waiting { key, at, answer });
            !std::mem::replace(&mut queue.running, true)
        };
        if start {
            tokio::spawn(Arc::clone(self).run(client.clone(), look));
        }
        asked.await.unwrap_or(Err(CmsError::Cancelled))
    }

    /// Answers batch after batch until nobody waits.
    async fn run(self: Arc<Self>, client: Client, look: Look<K, T>) {
        loop {
            let Some(at) = self.next_turn() else { return };
            // Waiting for the turn lets more questions gather; the look itself queues again for each of its pages.
            let turn = client.gate().acquire(at).await;
            let batch = std::mem::take(&mut self.lock().waiting);
            let answers = match turn {
                Ok(permit) => {
                    drop(permit);
                    look(batch.iter().map(|waiting| waiting.key.clone()).collect(), at).await
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
    }

    /// The priority of the most urgent question, or None (and the runner ends) when there is none.
    fn next_turn(&self) -> Option<Priority> {
        let mut queue = self.lock();
        let first = queue.waiting.iter().map(|waiting| waiting.at).min_by_key(|at| (at.class, at.deadline));
        queue.running = first.is_some();
        first
    }
}
