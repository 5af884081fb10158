use serde_json::json;

use super::*;

fn words(recurrence: serde_json::Value) -> String {
    let spec = json!({ "start": "2026-12-07T09:00:00", "timeZone": "Europe/Berlin", "duration": "1h",
                       "recurrence": recurrence, "template": { "spec": { "title": "t" } } });
    of(&serde_json::from_value(spec).unwrap())
}

#[test]
fn a_rule_reads_as_people_say_it() {
    for (rule, wanted) in [
        (json!({ "frequency": "Daily" }), "every day at 09:00"),
        (json!({ "frequency": "Weekly" }), "every week on MO at 09:00"),
        (
            json!({ "frequency": "Weekly", "interval": 2, "byDay": ["MO", "WE"], "count": 10 }),
            "every 2 weeks on MO, WE at 09:00, 10 times",
        ),
        (json!({ "frequency": "Monthly" }), "every month on day 7 at 09:00"),
        (json!({ "frequency": "Monthly", "byDay": ["-1FR"] }), "every month on -1FR at 09:00"),
        (
            json!({ "frequency": "Monthly", "byDay": ["MO", "TU"], "bySetPos": [-1], "until": "2027-06-30T12:00:00" }),
            "every month on MO, TU, of these -1 at 09:00, until 2027-06-30",
        ),
        (json!({ "frequency": "Yearly" }), "every year on 7 Dec at 09:00"),
        (json!({ "frequency": "Yearly", "byMonth": [1, 7] }), "every year in Jan, Jul on day 7 at 09:00"),
        (
            json!({ "frequency": "Yearly", "byMonth": [3], "byMonthDay": [1, -1] }),
            "every year in Mar on day 1, -1 at 09:00",
        ),
    ] {
        assert_eq!(words(rule), wanted);
    }
}
