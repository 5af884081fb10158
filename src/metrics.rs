//! Metrics, in the OpenMetrics text format. No meeting names as labels: their number is not bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::cms::{Observer, Sample};
use crate::pulse::Pulses;

/// One request to a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub struct RequestLabels {
    pub bridge: String,
    pub operation: String,
    pub outcome: String,
}

/// One bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BridgeLabels {
    pub bridge: String,
}

/// One call bridge of a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallBridgeLabels {
    pub bridge: String,
    pub call_bridge: String,
}

/// One kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    pub kind: &'static str,
}

/// One kind of object and how its reconcile ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    pub kind: &'static str,
    pub outcome: &'static str,
}

/// One call to the apiserver and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    pub call: &'static str,
    pub outcome: &'static str,
}

/// Name, help and type of one metric, for the README.
pub struct MetricDoc {
    pub name: &'static str,
    pub help: &'static str,
}

/// Every metric.
pub struct Metrics {
    registry: Registry,
    /// What is served of each bridge, to be taken back with it.
    served: Mutex<BTreeMap<String, Served>>,
    pub requests: Family<RequestLabels, Counter>,
    request_seconds: Family<BridgeLabels, Histogram>,
    gate_seconds: Family<BridgeLabels, Histogram>,
    pub reconciles: Family<ReconcileLabels, Counter>,
    pub status_writes: Family<KindLabels, Counter>,
    pub watch_errors: Family<KindLabels, Counter>,
    watch_age: Family<KindLabels, Gauge>,
    pub pulses: Arc<Pulses>,
    pub apiserver_errors: Family<CallLabels, Counter>,
    pub open_latency: Histogram,
    pub close_latency: Histogram,
    pub dials: Counter,
    pub door_repairs: Counter,
    /// 1 while this process leads, or is alone.
    pub leader: Gauge,
    /// How often it became the leader.
    pub elections: Counter,
    pub bridge_up: Family<BridgeLabels, Gauge>,
    pub call_bridge_up: Family<CallBridgeLabels, Gauge>,
    pub failovers: Family<BridgeLabels, Counter>,
    pub recovery: Histogram,
    pub slots_free: Family<BridgeLabels, Gauge>,
    pub slots_foreign: Family<BridgeLabels, Gauge>,
    pub call_legs: Family<BridgeLabels, Gauge>,
    pub uptime: Family<BridgeLabels, Gauge<i64, AtomicI64>>,
    pub clock_skew: Family<BridgeLabels, Gauge<i64, AtomicI64>>,
}

/// What each metric means; the README's table is checked against it.
pub const TABLE: &[MetricDoc] = &[
    MetricDoc {
        name: "meeting_controller_bridge_requests_total",
        help: "Requests to a bridge, by operation and outcome",
    },
    MetricDoc {
        name: "meeting_controller_bridge_request_duration_seconds",
        help: "From sending a request to the end of its reply",
    },
    MetricDoc {
        name: "meeting_controller_bridge_gate_wait_seconds",
        help: "Wait for a turn at the gate of a call bridge",
    },
    MetricDoc { name: "meeting_controller_reconcile_total", help: "Passes over an object, by kind and outcome" },
    MetricDoc { name: "meeting_controller_status_writes_total", help: "Status writes, by kind" },
    MetricDoc { name: "meeting_controller_watch_errors_total", help: "Errors of a watch, by kind" },
    MetricDoc {
        name: "meeting_controller_watch_age_seconds",
        help: "Time since the apiserver was last heard on a watch: event, bookmark, reconnect; by kind",
    },
    MetricDoc {
        name: "meeting_controller_apiserver_errors_total",
        help: "Calls to the apiserver that failed, by call and outcome",
    },
    MetricDoc {
        name: "meeting_controller_open_latency_seconds",
        help: "From a meeting's instant until its door was open",
    },
    MetricDoc {
        name: "meeting_controller_close_latency_seconds",
        help: "From a meeting's end until its slot was proven shut",
    },
    MetricDoc { name: "meeting_controller_dials_total", help: "Participants dialled" },
    MetricDoc { name: "meeting_controller_door_repairs_total", help: "Open doors put back after a change by hand" },
    MetricDoc { name: "meeting_controller_leader", help: "1 while this process leads, or is alone; 0 on standby" },
    MetricDoc { name: "meeting_controller_elections_total", help: "How often this process became the leader" },
    MetricDoc { name: "meeting_controller_bridge_up", help: "1 if the bridge answered the last probe" },
    MetricDoc {
        name: "meeting_controller_call_bridge_up",
        help: "1 if the call bridge answered when it was last asked, by address",
    },
    MetricDoc {
        name: "meeting_controller_failovers_total",
        help: "Moves to another call bridge because the one before was lost",
    },
    MetricDoc {
        name: "meeting_controller_call_recovery_seconds",
        help: "From the first failure of a call bridge until a meeting had its call on another one",
    },
    MetricDoc { name: "meeting_controller_slots_free", help: "Slots that are free now" },
    MetricDoc { name: "meeting_controller_slots_foreign", help: "Slots that somebody else opened or renamed" },
    MetricDoc { name: "meeting_controller_bridge_call_legs", help: "Active call legs at the last look" },
    MetricDoc { name: "meeting_controller_bridge_uptime_seconds", help: "Uptime of the call bridge at the last look" },
    MetricDoc {
        name: "meeting_controller_bridge_clock_skew_seconds",
        help: "Clock of the bridge minus ours at the last look",
    },
];

fn help(name: &str) -> &'static str {
    TABLE.iter().find(|doc| doc.name.contains(name)).map_or("", |doc| doc.help)
}

const LATENCY: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("meeting_controller");
        let histogram = || Histogram::new(LATENCY);
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            gate_seconds: Family::new_with_constructor(histogram),
            reconciles: Family::default(),
            status_writes: Family::default(),
            watch_errors: Family::default(),
            watch_age: Family::default(),
            pulses: Arc::default(),
            apiserver_errors: Family::default(),
            open_latency: histogram(),
            close_latency: histogram(),
            dials: Counter::default(),
            door_repairs: Counter::default(),
            leader: Gauge::default(),
            elections: Counter::default(),
            bridge_up: Family::default(),
            call_bridge_up: Family::default(),
            failovers: Family::default(),
            recovery: histogram(),
            slots_free: Family::default(),
            slots_foreign: Family::default(),
            call_legs: Family::default(),
            uptime: Family::default(),
            clock_skew: Family::default(),
            registry: Registry::default(),
            served: Mutex::default(),
        };
        let r = &mut registry;
        r.register("bridge_requests", help("bridge_requests"), metrics.requests.clone());
        let seconds = || Unit::Seconds;
        r.register_with_unit(
            "bridge_request_duration",
            help("request_duration"),
            seconds(),
            metrics.request_seconds.clone(),
        );
        r.register_with_unit("bridge_gate_wait", help("gate_wait"), seconds(), metrics.gate_seconds.clone());
        r.register("reconcile", help("reconcile"), metrics.reconciles.clone());
        r.register("status_writes", help("status_writes"), metrics.status_writes.clone());
        r.register("watch_errors", help("watch_errors"), metrics.watch_errors.clone());
        r.register_with_unit("watch_age", help("watch_age"), seconds(), metrics.watch_age.clone());
        r.register("apiserver_errors", help("apiserver_errors"), metrics.apiserver_errors.clone());
        r.register_with_unit("open_latency", help("open_latency"), seconds(), metrics.open_latency.clone());
        r.register_with_unit("close_latency", help("close_latency"), seconds(), metrics.close_latency.clone());
        r.register("dials", help("dials"), metrics.dials.clone());
        r.register("door_repairs", help("door_repairs"), metrics.door_repairs.clone());
        r.register("leader", help("controller_leader"), metrics.leader.clone());
        r.register("elections", help("elections"), metrics.elections.clone());
        r.register("bridge_up", help("bridge_up"), metrics.bridge_up.clone());
        r.register("call_bridge_up", help("call_bridge_up"), metrics.call_bridge_up.clone());
        r.register("failovers", help("failovers"), metrics.failovers.clone());
        r.register_with_unit("call_recovery", help("call_recovery"), seconds(), metrics.recovery.clone());
        r.register("slots_free", help("slots_free"), metrics.slots_free.clone());
        r.register("slots_foreign", help("slots_foreign"), metrics.slots_foreign.clone());
        r.register("bridge_call_legs", help("bridge_call_legs"), metrics.call_legs.clone());
        r.register_with_unit("bridge_uptime", help("bridge_uptime"), seconds(), metrics.uptime.clone());
        r.register_with_unit("bridge_clock_skew", help("clock_skew"), seconds(), metrics.clock_skew.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// What the bridges looked like is another process's business from now on.
    pub fn forget_bridges(&self) {
        self.bridge_up.clear();
        self.call_bridge_up.clear();
        self.slots_free.clear();
        self.slots_foreign.clear();
        self.call_legs.clear();
        self.uptime.clear();
        self.clock_skew.clear();
    }

    /// The text that `/metrics` serves.
    pub fn text(&self) -> String {
        self.watch_age.clear();
        for (kind, age) in self.pulses.ages() {
            self.watch_age.get_or_create(&KindLabels { kind }).set(age.as_secs().try_into().unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows which call bridges of a bridge are good; those that it has no more are taken back.
    pub fn show_call_bridges(&self, bridge: &str, good: &BTreeMap<String, bool>) {
        let labels =
            |call_bridge: &String| CallBridgeLabels { bridge: bridge.to_owned(), call_bridge: call_bridge.clone() };
        let mut served = self.served();
        let before = &mut served.entry(bridge.to_owned()).or_default().call_bridges;
        for gone in before.iter().filter(|address| !good.contains_key(*address)) {
            self.call_bridge_up.remove(&labels(gone));
        }
        *before = good.keys().cloned().collect();
        for (address, is_good) in good {
            self.call_bridge_up.get_or_create(&labels(address)).set(i64::from(*is_good));
        }
    }

    /// Takes back every series of a bridge that is gone: it must raise no alert for ever.
    pub fn forget_bridge(&self, bridge: &str) {
        self.show_call_bridges(bridge, &BTreeMap::new());
        for labels in self.served().remove(bridge).unwrap_or_default().requests {
            self.requests.remove(&labels);
        }
        let labels = BridgeLabels { bridge: bridge.to_owned() };
        self.request_seconds.remove(&labels);
        self.gate_seconds.remove(&labels);
        self.failovers.remove(&labels);
        for family in [&self.bridge_up, &self.slots_free, &self.slots_foreign, &self.call_legs] {
            family.remove(&labels);
        }
        for family in [&self.uptime, &self.clock_skew] {
            family.remove(&labels);
        }
    }
}

/// What is served of one bridge besides the families that have one series for each.
#[derive(Default)]
struct Served {
    /// Bounded: operations and outcomes are of a fixed few.
    requests: BTreeSet<RequestLabels>,
    call_bridges: BTreeSet<String>,
}

/// Reports the requests of one bridge.
pub struct BridgeObserver {
    metrics: Arc<Metrics>,
    bridge: String,
}

impl BridgeObserver {
    /// The bridge is there from now on.
    pub fn new(metrics: Arc<Metrics>, bridge: String) -> Self {
        metrics.served().entry(bridge.clone()).or_default();
        Self { metrics, bridge }
    }
}

impl Observer for BridgeObserver {
    fn request(&self, sample: &Sample) {
        let labels = RequestLabels {
            bridge: self.bridge.clone(),
            operation: sample.operation.to_owned(),
            outcome: sample.outcome.to_owned(),
        };
        {
            let mut served = self.metrics.served();
            // A request that ends after its bridge is gone is not counted.
            let Some(of_bridge) = served.get_mut(&self.bridge) else { return };
            if !of_bridge.requests.contains(&labels) {
                of_bridge.requests.insert(labels.clone());
            }
            self.metrics.requests.get_or_create(&labels).inc();
        }
        let bridge = BridgeLabels { bridge: self.bridge.clone() };
        self.metrics.gate_seconds.get_or_create(&bridge).observe(sample.waited.as_secs_f64());
        if sample.took > Duration::ZERO {
            self.metrics.request_seconds.get_or_create(&bridge).observe(sample.took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests;
