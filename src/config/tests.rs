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
