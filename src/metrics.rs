//! Metrics, in the text formats of Prometheus and of OpenMetrics. No meeting names as labels: their number is not bounded.

mod process;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::api::conditions::types;
use crate::api::names::ObjectKey;
use crate::api::series::OccurrenceState;
use crate::api::{MeetingSeries, is_true};
use crate::cms::{Observer, Sample};
use crate::pulse::Pulses;
use crate::traces;
use table::help;
pub use table::{MetricDoc, TABLE};

/// One request to a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub struct RequestLabels {
    pub namespace: String,
    pub name: String,
    pub operation: &'static str,
    pub outcome: &'static str,
}

/// One bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BridgeLabels {
    pub namespace: String,
    pub name: String,
}

impl From<&ObjectKey> for BridgeLabels {
    fn from(key: &ObjectKey) -> Self {
        Self { namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

/// One call bridge of a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallBridgeLabels {
    pub namespace: String,
    pub name: String,
    pub call_bridge: String,
}

impl CallBridgeLabels {
    fn new(key: &ObjectKey, call_bridge: &str) -> Self {
        Self { namespace: key.namespace.clone(), name: key.name.clone(), call_bridge: call_bridge.to_owned() }
    }
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

/// Why a booking was refused: a reason of the table of conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    pub reason: &'static str,
}

/// A phase of meetings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabels {
    pub phase: &'static str,
}

/// Whether series are ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReadyLabels {
    pub ready: &'static str,
}

/// What became of occurrences of series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    pub state: &'static str,
}

/// The meetings and series that are there, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub by_phase: BTreeMap<&'static str, i64>,
    pub late: i64,
    pub overdue: i64,
    /// By kind.
    pub unreadable: BTreeMap<&'static str, i64>,
    /// Series, by whether they are ready.
    pub series: BTreeMap<&'static str, i64>,
    /// The occurrences that they list, by state.
    pub occurrences: BTreeMap<&'static str, i64>,
}

impl Census {
    /// Nobody is there.
    pub fn empty() -> Self {
        Self {
            series: ["True", "False"].map(|ready| (ready, 0)).into(),
            occurrences: OccurrenceState::ALL.map(|state| (state.name(), 0)).into(),
            ..Self::default()
        }
    }

    /// Counts a series and its occurrences.
    pub fn count_series(&mut self, series: &MeetingSeries) {
        let status = series.status.as_ref();
        let is_ready = status.is_some_and(|status| is_true(&status.conditions, types::READY));
        *self.series.entry(if is_ready { "True" } else { "False" }).or_default() += 1;
        for occurrence in status.into_iter().flat_map(|status| &status.occurrences) {
            *self.occurrences.entry(occurrence.state.name()).or_default() += 1;
        }
    }
}

type Counting = Box<dyn Fn() -> Option<Census> + Send + Sync>;

/// A gauge for each bridge.
pub type BridgeGauge = Family<BridgeLabels, Gauge<i64, AtomicI64>>;
type CallBridgeGauge = Family<CallBridgeLabels, Gauge<i64, AtomicI64>>;

/// Every metric.
pub struct Metrics {
    registry: Registry,
    /// What is served of each bridge, to be taken back with it.
    served: Mutex<BTreeMap<ObjectKey, Served>>,
    /// Counts the meetings when somebody asks.
    census: Mutex<Option<Counting>>,
    pub requests: Family<RequestLabels, Counter>,
    request_seconds: Family<BridgeLabels, Histogram>,
    gate_seconds: Family<BridgeLabels, Histogram>,
    pub reconciles: Family<ReconcileLabels, Counter>,
    pub reconcile_seconds: Family<KindLabels, Histogram>,
    pub status_writes: Family<KindLabels, Counter>,
    pub watch_errors: Family<KindLabels, Counter>,
    watch_age: Family<KindLabels, Gauge>,
    unreadable: Family<KindLabels, Gauge>,
    pub pulses: Arc<Pulses>,
    pub apiserver_errors: Family<CallLabels, Counter>,
    pub open_latency: Histogram,
    pub close_latency: Histogram,
    meetings: Family<PhaseLabels, Gauge>,
    series: Family<ReadyLabels, Gauge>,
    occurrences: Family<StateLabels, Gauge>,
    late: Gauge,
    overdue: Gauge,
    pub missed: Counter,
    pub refused: Family<RefusalLabels, Counter>,
    pub failed_participants: Counter,
    pub dials: Counter,
    pub door_repairs: Counter,
    /// 1 while this process leads, or is alone.
    pub leader: Gauge,
    /// How often it became the leader.
    pub elections: Counter,
    pub bridge_up: BridgeGauge,
    pub credentials_refused: BridgeGauge,
    pub new_credentials_refused: BridgeGauge,
    pub credentials_changed: BridgeGauge,
    call_bridge_up: CallBridgeGauge,
    certificate_expiry: CallBridgeGauge,
    pub failovers: Family<BridgeLabels, Counter>,
    pub failed_over: BridgeGauge,
    pub recovery: Histogram,
    pub slots: BridgeGauge,
    pub slots_free: BridgeGauge,
    pub slots_foreign: BridgeGauge,
    pub call_legs: BridgeGauge,
    pub uptime: BridgeGauge,
    pub clock_skew: BridgeGauge,
}

/// Of requests and passes.
fn short() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

/// Of what may last as long as an outage.
fn long() -> Histogram {
    Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            served: Mutex::default(),
            census: Mutex::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(short),
            gate_seconds: Family::new_with_constructor(short),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(short),
            status_writes: Family::default(),
            watch_errors: Family::default(),
            watch_age: Family::default(),
            unreadable: Family::default(),
            pulses: Arc::default(),
            apiserver_errors: Family::default(),
            open_latency: long(),
            close_latency: long(),
            meetings: Family::default(),
            series: Family::default(),
            occurrences: Family::default(),
            late: Gauge::default(),
            overdue: Gauge::default(),
            missed: Counter::default(),
            refused: Family::default(),
            failed_participants: Counter::default(),
            dials: Counter::default(),
            door_repairs: Counter::default(),
            leader: Gauge::default(),
            elections: Counter::default(),
            bridge_up: Family::default(),
            credentials_refused: Family::default(),
            new_credentials_refused: Family::default(),
            credentials_changed: Family::default(),
            call_bridge_up: Family::default(),
            certificate_expiry: Family::default(),
            failovers: Family::default(),
            failed_over: Family::default(),
            recovery: long(),
            slots: Family::default(),
            slots_free: Family::default(),
            slots_foreign: Family::default(),
            call_legs: Family::default(),
            uptime: Family::default(),
            clock_skew: Family::default(),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        metrics.register(registry.sub_registry_with_prefix(PREFIX));
        Self { registry, ..metrics }
    }
}

const PREFIX: &str = "meeting_controller";

impl Metrics {
    fn register(&self, r: &mut Registry) {
        counter(r, "bridge_requests", &self.requests);
        seconds(r, "bridge_request_duration", &self.request_seconds);
        seconds(r, "bridge_gate_wait", &self.gate_seconds);
        counter(r, "reconcile", &self.reconciles);
        seconds(r, "reconcile_duration", &self.reconcile_seconds);
        counter(r, "status_writes", &self.status_writes);
        counter(r, "watch_errors", &self.watch_errors);
        seconds(r, "watch_age", &self.watch_age);
        gauge(r, "unreadable_objects", &self.unreadable);
        counter(r, "apiserver_errors", &self.apiserver_errors);
        seconds(r, "open_latency", &self.open_latency);
        seconds(r, "close_latency", &self.close_latency);
        gauge(r, "meetings", &self.meetings);
        gauge(r, "series", &self.series);
        gauge(r, "series_occurrences", &self.occurrences);
        gauge(r, "meetings_late", &self.late);
        gauge(r, "meetings_overdue", &self.overdue);
        counter(r, "meetings_missed", &self.missed);
        counter(r, "bookings_refused", &self.refused);
        counter(r, "participants_failed", &self.failed_participants);
        counter(r, "dials", &self.dials);
        counter(r, "door_repairs", &self.door_repairs);
        gauge(r, "leader", &self.leader);
        counter(r, "elections", &self.elections);
        gauge(r, "bridge_up", &self.bridge_up);
        gauge(r, "bridge_credentials_refused", &self.credentials_refused);
        gauge(r, "bridge_new_credentials_refused", &self.new_credentials_refused);
        seconds(r, "bridge_credentials_changed_timestamp", &self.credentials_changed);
        gauge(r, "call_bridge_up", &self.call_bridge_up);
        seconds(r, "call_bridge_certificate_expiry_timestamp", &self.certificate_expiry);
        counter(r, "failovers", &self.failovers);
        gauge(r, "bridge_failed_over", &self.failed_over);
        seconds(r, "call_recovery", &self.recovery);
        gauge(r, "slots", &self.slots);
        gauge(r, "slots_free", &self.slots_free);
        gauge(r, "slots_foreign", &self.slots_foreign);
        gauge(r, "bridge_call_legs", &self.call_legs);
        seconds(r, "bridge_uptime", &self.uptime);
        seconds(r, "bridge_clock_skew", &self.clock_skew);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", help(&full("build", "_info")), version);
    }

    fn of_bridges(&self) -> [&BridgeGauge; 11] {
        [
            &self.bridge_up,
            &self.credentials_refused,
            &self.new_credentials_refused,
            &self.credentials_changed,
            &self.failed_over,
            &self.slots,
            &self.slots_free,
            &self.slots_foreign,
            &self.call_legs,
            &self.uptime,
            &self.clock_skew,
        ]
    }

    fn of_call_bridges(&self) -> [&CallBridgeGauge; 2] {
        [&self.call_bridge_up, &self.certificate_expiry]
    }

    /// What the bridges look like and how many meetings there are is another process's business from now on.
    pub fn resign(&self) {
        self.leader.set(0);
        self.count_by(None);
        self.pulses.forget();
        self.of_bridges().into_iter().for_each(Family::clear);
        self.of_call_bridges().into_iter().for_each(Family::clear);
    }

    /// Who counts the meetings; None while that is another process's business.
    pub fn count_by(&self, counting: Option<Counting>) {
        *self.census.lock().unwrap_or_else(PoisonError::into_inner) = counting;
    }

    /// The text of OpenMetrics.
    pub fn text(&self) -> String {
        self.look_round();
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// The older text of Prometheus, `text/plain; version=0.0.4`, which everything can read.
    pub fn plain_text(&self) -> String {
        self.look_round();
        let mut text = String::new();
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }

    /// What is counted or measured when somebody asks.
    fn look_round(&self) {
        self.watch_age.clear();
        for (kind, age) in self.pulses.ages() {
            self.watch_age.get_or_create(&KindLabels { kind }).set(age.as_secs().try_into().unwrap_or(i64::MAX));
        }
        let census = self.census.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|count| count());
        let Some(census) = census else {
            self.meetings.clear();
            self.series.clear();
            self.occurrences.clear();
            self.unreadable.clear();
            self.late.set(0);
            self.overdue.set(0);
            return;
        };
        for (phase, number) in &census.by_phase {
            self.meetings.get_or_create(&PhaseLabels { phase }).set(*number);
        }
        for (ready, number) in &census.series {
            self.series.get_or_create(&ReadyLabels { ready }).set(*number);
        }
        for (state, number) in &census.occurrences {
            self.occurrences.get_or_create(&StateLabels { state }).set(*number);
        }
        for (kind, number) in &census.unreadable {
            self.unreadable.get_or_create(&KindLabels { kind }).set(*number);
        }
        self.late.set(census.late);
        self.overdue.set(census.overdue);
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows which call bridges of a bridge are good; those that it has no more are taken back.
    pub fn show_call_bridges(&self, bridge: &ObjectKey, good: &BTreeMap<String, bool>) {
        let mut served = self.served();
        let before = &mut served.entry(bridge.clone()).or_default().call_bridges;
        for gone in before.iter().filter(|address| !good.contains_key(*address)) {
            let labels = CallBridgeLabels::new(bridge, gone);
            for family in self.of_call_bridges() {
                family.remove(&labels);
            }
        }
        *before = good.keys().cloned().collect();
        for (address, is_good) in good {
            self.call_bridge_up.get_or_create(&CallBridgeLabels::new(bridge, address)).set(i64::from(*is_good));
        }
    }

    /// Shows until when the certificates of call bridges are good, in seconds since 1970. Only for call bridges that are
    /// shown: those go away with their bridge.
    pub fn show_expiry(&self, bridge: &ObjectKey, expiry: impl IntoIterator<Item = (String, i64)>) {
        let served = self.served();
        let Some(known) = served.get(bridge) else { return };
        for (address, at) in expiry.into_iter().filter(|(address, _)| known.call_bridges.contains(address)) {
            self.certificate_expiry.get_or_create(&CallBridgeLabels::new(bridge, &address)).set(at);
        }
    }

    /// Takes back every series of a bridge that is gone: it must raise no alert for ever.
    pub fn forget_bridge(&self, bridge: &ObjectKey) {
        self.show_call_bridges(bridge, &BTreeMap::new());
        for labels in self.served().remove(bridge).unwrap_or_default().requests {
            self.requests.remove(&labels);
        }
        let labels = BridgeLabels::from(bridge);
        self.request_seconds.remove(&labels);
        self.gate_seconds.remove(&labels);
        self.failovers.remove(&labels);
        for family in self.of_bridges() {
            family.remove(&labels);
        }
    }
}

fn full(name: &str, suffix: &str) -> String {
    format!("{PREFIX}_{name}{suffix}")
}

fn counter(registry: &mut Registry, name: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help(&full(name, "_total")), metric.clone());
}

fn gauge(registry: &mut Registry, name: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help(&full(name, "")), metric.clone());
}

fn seconds(registry: &mut Registry, name: &str, metric: &(impl Metric + Clone)) {
    registry.register_with_unit(name, help(&full(name, "_seconds")), Unit::Seconds, metric.clone());
}

/// What is served of one bridge besides the families that have one series for each.
#[derive(Default)]
struct Served {
    /// Bounded: operations and outcomes are of a fixed few.
    requests: BTreeSet<RequestLabels>,
    call_bridges: BTreeSet<String>,
}

/// Reports the requests of one bridge, also to the traces.
pub struct BridgeObserver {
    metrics: Arc<Metrics>,
    bridge: ObjectKey,
}

impl BridgeObserver {
    /// The bridge is there from now on.
    pub fn new(metrics: Arc<Metrics>, bridge: ObjectKey) -> Self {
        metrics.served().entry(bridge.clone()).or_default();
        Self { metrics, bridge }
    }
}

impl Observer for BridgeObserver {
    fn request(&self, sample: &Sample<'_>) {
        traces::request(&self.bridge, sample);
        let ObjectKey { namespace, name } = self.bridge.clone();
        let labels = RequestLabels { namespace, name, operation: sample.operation, outcome: sample.outcome };
        {
            let mut served = self.metrics.served();
            // A request that ends after its bridge is gone is not counted.
            let Some(of_bridge) = served.get_mut(&self.bridge) else { return };
            if !of_bridge.requests.contains(&labels) {
                of_bridge.requests.insert(labels.clone());
            }
            self.metrics.requests.get_or_create(&labels).inc();
        }
        let bridge = BridgeLabels::from(&self.bridge);
        self.metrics.gate_seconds.get_or_create(&bridge).observe(sample.waited.as_secs_f64());
        if sample.took > Duration::ZERO {
            self.metrics.request_seconds.get_or_create(&bridge).observe(sample.took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests;
