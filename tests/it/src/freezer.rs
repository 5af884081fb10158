//! A replica that can be frozen: all that it does has one thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::runtime::{Builder, Runtime};

use crate::kit::*;
use crate::leader::SHORT;

pub struct Freezer {
    runtime: Option<Runtime>,
    is_frozen: Arc<AtomicBool>,
}

impl Freezer {
    pub fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime: Some(runtime), is_frozen: Arc::default() }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// Starts a replica in here; its client goes through `layer`.
    pub async fn replica(&self, arena: &Arena, name: &str, layer: impl FnOnce(Client) -> Client) -> Running {
        let Plane::Shared(plane) = arena.plane else { unreachable!() };
        let connect = || async { self.runtime().spawn(async { plane.client().await.unwrap() }).await.unwrap() };
        let candidacy = arena.candidacy(connect().await, name, SHORT);
        let (prepared, controller) =
            arena.controller_as(layer(connect().await), Some(arena.namespace.clone()), Some(candidacy));
        prepared.run_by(self.runtime().spawn(controller.run()))
    }

    /// Nothing of it goes on, as in a process that is stopped, until it is thawed.
    pub fn freeze(&self) {
        self.is_frozen.store(true, Ordering::SeqCst);
        let is_frozen = Arc::clone(&self.is_frozen);
        self.runtime().spawn(async move {
            while is_frozen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }

    pub fn thaw(&self) {
        self.is_frozen.store(false, Ordering::SeqCst);
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
