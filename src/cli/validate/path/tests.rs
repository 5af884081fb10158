use super::*;

#[test]
fn reads_what_it_writes() {
    let path = FieldPath::default().field("spec").field("participants").item(2).field("retry");
    assert_eq!(path.to_string(), "spec.participants[2].retry");
    assert_eq!(FieldPath::parse("spec.participants[2].retry"), path);
    assert_eq!(FieldPath::parse(""), FieldPath::default());
}
