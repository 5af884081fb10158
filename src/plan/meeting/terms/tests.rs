use super::cut;

#[test]
fn a_label_ends_with_a_whole_character() {
    assert_eq!(cut("Zürich", 2), "Z");
    assert_eq!(cut("Zürich", 3), "Zü");
    assert_eq!(cut("Zürich", 50), "Zürich");
    assert_eq!(cut("a b", 2), "a");
}
