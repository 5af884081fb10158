use super::*;

#[test]
fn every_reason_is_camel_case_and_documented() {
    for doc in bridge::TABLE.iter().chain(meeting::TABLE).chain(series::TABLE) {
        assert!(doc.reason.chars().all(|c| c.is_ascii_alphanumeric()), "{}", doc.reason);
        assert!(doc.reason.starts_with(|c: char| c.is_ascii_uppercase()), "{}", doc.reason);
        assert!(!doc.meaning.is_empty() && !doc.remedy.is_empty(), "{}", doc.reason);
    }
}
