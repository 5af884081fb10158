use super::*;
use crate::api;

#[test]
fn every_field_reason_and_metric_has_its_row_and_its_description() {
    let page = text(&api::crds()).unwrap();
    for field in [
        "`spec.slots.namePrefix`",
        "`spec.failover.alternates[].address`",
        "`spec.participants[].retry.backoff`",
        "`status.conditions[].type`",
    ] {
        assert!(page.contains(field), "{field}");
    }
    for doc in conditions::bridge::TABLE.iter().chain(conditions::meeting::TABLE) {
        assert!(page.contains(doc.meaning), "{}", doc.reason);
    }
    for doc in metrics::TABLE {
        assert!(page.contains(doc.name), "{}", doc.name);
    }
    let bare: Vec<&str> = page.lines().filter(|line| line.starts_with("| `spec.") && line.ends_with("|  |")).collect();
    assert_eq!(bare, Vec::<&str>::new(), "a field without description");
}

#[test]
fn rows_have_as_many_cells_as_the_head() {
    let page = text(&api::crds()).unwrap();
    let mut expected = 0;
    for line in page.lines() {
        let cells = line.replace(r"\|", "").matches('|').count();
        if line.starts_with("| ") && expected != 0 {
            assert_eq!(cells, expected, "{line}");
        }
        expected = if line.starts_with('|') { cells } else { 0 };
    }
}
