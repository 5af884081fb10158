//! What each metric means: served as its help, printed in the reference, and checked against what is served.

/// Name, type, labels and help of one metric.
pub struct MetricDoc {
    pub name: &'static str,
    /// As the text format for Prometheus calls it.
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn doc(name: &'static str, kind: &'static str, labels: &'static [&'static str], help: &'static str) -> MetricDoc {
    MetricDoc { name, kind, labels, help }
}

const BRIDGE: &[&str] = &["namespace", "name"];
const CALL_BRIDGE: &[&str] = &["namespace", "name", "call_bridge"];

/// Every metric.
pub const TABLE: &[MetricDoc] = &[
    doc(
        "meeting_controller_bridge_requests_total",
        "counter",
        &["namespace", "name", "operation", "outcome"],
        "Requests to a bridge, by operation and outcome",
    ),
    doc(
        "meeting_controller_bridge_request_duration_seconds",
        "histogram",
        BRIDGE,
        "From sending a request to the end of its reply",
    ),
    doc(
        "meeting_controller_bridge_gate_wait_seconds",
        "histogram",
        BRIDGE,
        "Wait for a turn at the gate of a call bridge",
    ),
    doc(
        "meeting_controller_reconcile_total",
        "counter",
        &["kind", "outcome"],
        "Passes over an object, by kind and outcome",
    ),
    doc("meeting_controller_reconcile_duration_seconds", "histogram", &["kind"], "How long a pass took, by kind"),
    doc("meeting_controller_status_writes_total", "counter", &["kind"], "Status writes, by kind"),
    doc("meeting_controller_watch_errors_total", "counter", &["kind"], "Errors of a watch, by kind"),
    doc(
        "meeting_controller_watch_age_seconds",
        "gauge",
        &["kind"],
        "Time since the apiserver was last heard on a watch: event, bookmark, reconnect; by kind",
    ),
    doc(
        "meeting_controller_unreadable_objects",
        "gauge",
        &["kind"],
        "Objects that this version cannot read, by kind; served by the leader",
    ),
    doc(
        "meeting_controller_apiserver_errors_total",
        "counter",
        &["call", "outcome"],
        "Calls to the apiserver that failed, by call and outcome",
    ),
    doc(
        "meeting_controller_open_latency_seconds",
        "histogram",
        &[],
        "From a meeting's instant until its door was open",
    ),
    doc(
        "meeting_controller_close_latency_seconds",
        "histogram",
        &[],
        "From a meeting's end until its slot was proven shut",
    ),
    doc("meeting_controller_meetings", "gauge", &["phase"], "Meetings by phase; served by the leader"),
    doc("meeting_controller_series", "gauge", &["ready"], "Series, by whether they are ready; served by the leader"),
    doc(
        "meeting_controller_series_occurrences",
        "gauge",
        &["state"],
        "Occurrences that series list, by what became of them; served by the leader",
    ),
    doc(
        "meeting_controller_meetings_late",
        "gauge",
        &[],
        "Meetings within their window whose door is not open; served by the leader",
    ),
    doc(
        "meeting_controller_meetings_overdue",
        "gauge",
        &[],
        "Meetings past their end whose slot is not proven shut; served by the leader",
    ),
    doc(
        "meeting_controller_meetings_missed_total",
        "counter",
        &[],
        "Meetings whose window passed without the door being opened",
    ),
    doc(
        "meeting_controller_bookings_refused_total",
        "counter",
        &["reason"],
        "Meetings that were refused, by reason; again if the reason changes",
    ),
    doc(
        "meeting_controller_participants_failed_total",
        "counter",
        &[],
        "Participants for whom every try to dial failed",
    ),
    doc("meeting_controller_dials_total", "counter", &[], "Participants dialled"),
    doc("meeting_controller_door_repairs_total", "counter", &[], "Open doors put back after a change by hand"),
    doc("meeting_controller_leader", "gauge", &[], "1 while this process leads, or is alone; 0 on standby"),
    doc("meeting_controller_elections_total", "counter", &[], "How often this process became the leader"),
    doc("meeting_controller_bridge_up", "gauge", BRIDGE, "1 if the bridge answered the last probe"),
    doc(
        "meeting_controller_bridge_credentials_refused",
        "gauge",
        BRIDGE,
        "1 while the bridge refuses the credentials or they are missing",
    ),
    doc(
        "meeting_controller_bridge_new_credentials_refused",
        "gauge",
        BRIDGE,
        "1 while a call bridge refuses what its Secret holds now, and is used with the credentials before, which a restart loses",
    ),
    doc(
        "meeting_controller_call_bridge_up",
        "gauge",
        CALL_BRIDGE,
        "1 if the call bridge answered when it was last asked, by address",
    ),
    doc(
        "meeting_controller_failovers_total",
        "counter",
        BRIDGE,
        "Moves to another call bridge because the one before was lost",
    ),
    doc(
        "meeting_controller_bridge_failed_over",
        "gauge",
        BRIDGE,
        "1 while another call bridge does the work of the primary",
    ),
    doc(
        "meeting_controller_call_recovery_seconds",
        "histogram",
        &[],
        "From the first failure of a call bridge until a meeting had its call on another one",
    ),
    doc(
        "meeting_controller_call_bridge_certificate_expiry_timestamp_seconds",
        "gauge",
        CALL_BRIDGE,
        "When the certificate that the call bridge last showed expires",
    ),
    doc(
        "meeting_controller_bridge_credentials_changed_timestamp_seconds",
        "gauge",
        BRIDGE,
        "When the Secret with the credentials of the bridge was last written",
    ),
    doc("meeting_controller_slots", "gauge", BRIDGE, "Slots that the bridge has"),
    doc("meeting_controller_slots_free", "gauge", BRIDGE, "Slots that are free now"),
    doc("meeting_controller_slots_foreign", "gauge", BRIDGE, "Slots that somebody else opened or renamed"),
    doc("meeting_controller_bridge_call_legs", "gauge", BRIDGE, "Active call legs at the last look"),
    doc("meeting_controller_bridge_uptime_seconds", "gauge", BRIDGE, "Uptime of the call bridge at the last look"),
    doc(
        "meeting_controller_bridge_clock_skew_seconds",
        "gauge",
        BRIDGE,
        "Clock of the bridge minus ours at the last look",
    ),
    doc("meeting_controller_build_info", "gauge", &["version"], "Always 1; its label is the version of the controller"),
    doc("process_cpu_seconds_total", "counter", &[], "Processor time used, user and system"),
    doc("process_resident_memory_bytes", "gauge", &[], "Memory in use"),
    doc("process_open_fds", "gauge", &[], "Open file descriptors"),
    doc("process_max_fds", "gauge", &[], "Most file descriptors that may be open"),
    doc("process_start_time_seconds", "gauge", &[], "When the process was started"),
];

/// The help of a metric.
pub(super) fn help(name: &str) -> &'static str {
    TABLE.iter().find(|doc| doc.name == name).map_or("", |doc| doc.help)
}
