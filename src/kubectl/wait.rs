//! Waits until the controller has done something, by a watch, and says how it comes along.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};

use super::edit::Standing;
use super::print;
use super::reach::{Kind, Reach, Trouble, label, trouble};

/// Waits until it is done.
///
/// # Errors
/// If it cannot be done, is not done in time, or the object goes.
pub async fn wait<K: Kind + Clone + Debug + Send + 'static>(
    reach: &Reach,
    name: &str,
    timeout: Duration,
    standing: impl Fn(&K) -> Standing,
) -> Result<(), Trouble> {
    let object = || label::<K>(&reach.namespace, name);
    let mut last = String::new();
    let watching = until(reach, name, &mut last, standing);
    match tokio::time::timeout(timeout, watching).await {
        Ok(result) => result,
        Err(_) => {
            let reason = format!("it is not done after {timeout:?}; it is {last}");
            let kind = K::plural(&());
            let remedy =
                format!("wait longer (--timeout), or see `kubectl -n {} describe {kind} {name}`", reach.namespace);
            Err(Trouble::new(object(), reason, remedy))
        }
    }
}

async fn until<K: Kind + Clone + Debug + Send + 'static>(
    reach: &Reach,
    name: &str,
    last: &mut String,
    standing: impl Fn(&K) -> Standing,
) -> Result<(), Trouble> {
    let object = || label::<K>(&reach.namespace, name);
    let gone = || Trouble::new(object(), "it was deleted meanwhile", "nothing; see who deleted it");
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(reach.api::<K>(&reach.namespace), config).default_backoff().boxed();
    let mut is_there = true;
    while let Some(event) = events.next().await {
        let seen = match event {
            Ok(Event::Apply(seen) | Event::InitApply(seen)) => seen,
            Ok(Event::Init) => {
                is_there = false;
                continue;
            }
            Ok(Event::InitDone) if is_there => continue,
            Ok(Event::InitDone | Event::Delete(_)) => return Err(gone()),
            Err(error) => match refused(&error) {
                Some(error) => return Err(trouble::<K>(error, "watch", &reach.namespace, name)),
                None => continue,
            },
        };
        is_there = true;
        match standing(&seen) {
            Standing::Done => return Ok(()),
            Standing::Failed(reason, remedy) => return Err(Trouble::new(object(), reason, remedy)),
            Standing::Going(line) if line != *last => {
                print::note(&format!("waiting: {line}"));
                *last = line;
            }
            Standing::Going(_) => {}
        }
    }
    Err(gone())
}

/// What will be the same at the next try.
fn refused(error: &watcher::Error) -> Option<&kube::Error> {
    let (watcher::Error::InitialListFailed(inner) | watcher::Error::WatchStartFailed(inner)) = error else {
        return None;
    };
    matches!(inner, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404)).then_some(inner)
}
