use jiff::civil::date;

use super::*;

fn shown(name: &str, at: DateTime) -> (String, DateTime) {
    let zone = zone(name).unwrap();
    let moment = moment(&zone, at).unwrap();
    (moment.to_string(), local(&zone, moment))
}

/// Argo Events, KEDA and others failed where the image had no zone data.
#[test]
fn zones_are_known_without_any_file() {
    for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Etc/GMT+5", "US/Pacific"]
    {
        assert!(zone(name).is_some(), "{name}");
    }
    for name in ["", "Europe/Atlantis", "CEST", "../../etc/passwd", "+01:00"] {
        assert!(zone(name).is_none(), "{name}");
    }
}

#[test]
fn wall_time_stays_over_the_change_of_clocks() {
    let winter = date(2026, 10, 26).at(9, 0, 0, 0);
    assert_eq!(shown("Europe/Berlin", winter).0, "2026-10-26T08:00:00Z");
    let summer = date(2026, 10, 23).at(9, 0, 0, 0);
    assert_eq!(shown("Europe/Berlin", summer).0, "2026-10-23T07:00:00Z");
}

#[test]
fn in_the_spring_gap_the_offset_from_before_counts() {
    let gap = date(2027, 3, 28).at(2, 30, 0, 0);
    assert_eq!(shown("Europe/Berlin", gap), ("2027-03-28T01:30:00Z".to_owned(), date(2027, 3, 28).at(3, 30, 0, 0)));
    // Lord Howe goes half an hour forward only.
    let half = date(2026, 10, 4).at(2, 15, 0, 0);
    assert_eq!(shown("Australia/Lord_Howe", half).1, date(2026, 10, 4).at(2, 45, 0, 0));
}

#[test]
fn in_the_autumn_fold_the_first_of_the_two_counts() {
    let fold = date(2026, 10, 25).at(2, 30, 0, 0);
    assert_eq!(shown("Europe/Berlin", fold).0, "2026-10-25T00:30:00Z");
}

#[test]
fn a_day_that_a_zone_leaves_out_has_no_moment() {
    let samoa = zone("Pacific/Apia").unwrap();
    assert_eq!(moment(&samoa, date(2011, 12, 30).at(9, 0, 0, 0)), None);
    assert!(moment(&samoa, date(2011, 12, 29).at(9, 0, 0, 0)) < moment(&samoa, date(2011, 12, 31).at(9, 0, 0, 0)));
}
