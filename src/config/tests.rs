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
fn leaders_are_elected_only_if_asked_for() {
    let election = |flags: &[&str]| {
        let Command::Run(args) = Cli::parse_from(["meeting-controller", "run"].iter().chain(flags)).command else {
            unreachable!()
        };
        args.election
    };
    assert!(!election(&[]).leader_elect && !election(&["--leader-elect=false"]).leader_elect);
    assert!(election(&["--leader-elect"]).leader_elect && election(&["--leader-elect=true"]).leader_elect);
    assert_eq!(election(&[]).lease_name(None), "meeting-controller");
    assert_eq!(election(&[]).lease_name(Some("team")), "meeting-controller-team");
    assert_eq!(election(&["--lease-name", "x"]).lease_name(Some("team")), "x");
    assert!(election(&[]).timing().is_ok());
    assert!(election(&["--renew-deadline", "15s"]).timing().unwrap_err().contains("lease duration"));
}
