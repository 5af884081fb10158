use super::*;

#[test]
fn join_secret_name_is_a_valid_unique_object_name() {
    assert_eq!(join_secret_name("standup"), "standup-join");
    let long = join_secret_name(&"m".repeat(253));
    assert_eq!(long.len(), 253);
    assert_ne!(long, join_secret_name(&format!("{}x", "m".repeat(252))));
}
