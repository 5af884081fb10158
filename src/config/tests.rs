use super::*;
use clap::CommandFactory;

#[test]
fn the_flags_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn spans_need_a_unit_and_a_sensible_length() {
    assert_eq!(seconds("1m30s"), Ok(Duration::from_secs(90)));
    assert!(seconds("15").unwrap_err().contains("15s"));
    assert!(seconds("-3s").is_err() && seconds("1ms").is_err());
}

#[test]
fn the_limit_of_a_request_is_shorter_where_there_are_others_to_go_to_unless_it_is_set() {
    let limits = |flags: &[&str]| {
        let Command::Run(args) = Cli::parse_from(["meeting-controller", "run"].iter().chain(flags)).command else {
            unreachable!()
        };
        let settings = args.settings().unwrap();
        (settings.limits.request.as_secs(), settings.cluster_request.as_secs())
    };
    assert_eq!(limits(&[]), (10, 3));
    assert_eq!(limits(&["--request-timeout", "5s"]), (5, 5));
    assert_eq!(limits(&["--request-timeout", "10s"]), (10, 10));
    assert_eq!(limits(&["--request-timeout", "2s"]), (2, 2));
}

#[test]
fn leaders_are_elected_only_if_asked_for() {
    let run_args = |flags: &[&str]| {
        let Command::Run(args) = Cli::parse_from(["meeting-controller", "run"].iter().chain(flags)).command else {
            unreachable!()
        };
        args
    };
    let election = |flags: &[&str]| run_args(flags).election;
    assert!(!election(&[]).leader_elect && !election(&["--leader-elect=false"]).leader_elect);
    assert!(election(&["--leader-elect"]).leader_elect && election(&["--leader-elect=true"]).leader_elect);
    let name = |args: &[&str]| {
        let args = run_args(args);
        args.election.lease_name(&args.scope())
    };
    assert_eq!(name(&[]), "meeting-controller");
    assert_eq!(name(&["--namespace", "team"]), "meeting-controller-team");
    // Whatever their order.
    for list in ["b,a", "a, b,", "a,b,a"] {
        assert_eq!(name(&["--namespaces", list]), "meeting-controller-a.b", "{list}");
    }
    assert_eq!(name(&["--namespaces", "team", "--lease-name", "x"]), "x");
    assert!(election(&[]).timing().is_ok());
    assert!(election(&["--renew-deadline", "15s"]).timing().unwrap_err().contains("lease duration"));
}

#[test]
fn loopback_is_nobodys_bridge_but_outside_of_a_pod() {
    let args = EgressArgs { allow_address: Vec::new(), bridge_proxy: None, bridge_no_proxy: String::new() };
    let permits = |apiserver: Option<&str>, address: &str| {
        args.egress_where(apiserver).unwrap().permits(address.parse().unwrap())
    };
    for loopback in ["127.0.0.1", "127.8.8.8", "::1"] {
        assert!(permits(None, loopback), "{loopback}: the machine of whoever started it");
        assert!(!permits(Some("10.96.0.1"), loopback), "{loopback}: what runs beside the controller in its pod");
        assert!(!permits(Some("kubernetes.default"), loopback), "{loopback}");
    }
    for special in ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"] {
        assert!(!permits(None, special) && !permits(Some("10.96.0.1"), special), "{special}");
    }
    assert!(!permits(Some("10.96.0.1"), "10.96.0.1"), "the API server's own");
}
