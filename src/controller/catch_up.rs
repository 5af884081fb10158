//! Before the first pass of a leader: what it watched may be behind, because its watch was broken, or is slow. It would
//! open what was deleted, shut what was extended, and ring who has left.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use kube::Resource;
use kube::api::{Api, ListParams};
use kube::runtime::reflector::Store;
use serde::de::DeserializeOwned;

use super::context::Context;
use super::memory::version_of;
use crate::api::names::ObjectKey;

/// A watch that is silent does not keep a leader from beginning.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries, and between two looks at the store.
const PAUSE: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(20);

/// Waits until the store shows at least what there is now, within this namespace or all.
pub async fn catch_up<K>(ctx: &Context, api: Api<K>, namespace: Option<&str>, store: &Store<K>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + 'static,
{
    let listed = loop {
        match ctx.kube.when(false).bounded("list before leading", api.list_metadata(&ListParams::default())).await {
            Ok(listed) => break listed,
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "a leader cannot begin"),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let listed_at = listed.metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or_default();
    let there: BTreeMap<_, _> = listed.items.iter().map(|item| (ObjectKey::of(item), version_of(item))).collect();
    let is_caught_up = || {
        let stored = store.state();
        let within = stored.iter().filter(|item| namespace.is_none() || item.meta().namespace.as_deref() == namespace);
        let stored: BTreeMap<_, _> =
            within.map(|item| (ObjectKey::of(item.as_ref()), version_of(item.as_ref()))).collect();
        let is_new = there.iter().all(|(key, version)| stored.get(key).is_some_and(|stored| stored >= version));
        new_or_there(&stored, &there, listed_at) && is_new
    };
    let waiting = async {
        while !is_caught_up() {
            tokio::time::sleep(GLANCE).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        tracing::warn!(kind = %K::kind(&()), "the watch is behind");
    }
}

/// Nothing is stored that was deleted before the list.
fn new_or_there(stored: &BTreeMap<ObjectKey, u64>, there: &BTreeMap<ObjectKey, u64>, listed_at: u64) -> bool {
    stored.iter().all(|(key, version)| there.contains_key(key) || *version > listed_at)
}
