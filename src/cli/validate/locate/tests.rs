use super::super::path::FieldPath;
use super::*;

const TEXT: &str = "\
# a comment
kind: X
spec:
  note: |
    title: not this one
  title: this one
  participants:
  - remoteParty: a
    retry:
      limit: 1
  -
    remoteParty: b
  flow: {a: 1, b: 2}
status: {}";

fn line(path: &str) -> usize {
    line_of(TEXT, 101, FieldPath::parse(path).steps())
}

#[test]
fn finds_keys_items_and_the_nearest_parent() {
    assert_eq!(line(""), 102);
    assert_eq!(line("spec.title"), 106);
    assert_eq!(line("spec.participants[0].remoteParty"), 108);
    assert_eq!(line("spec.participants[0].retry.limit"), 110);
    assert_eq!(line("spec.participants[1]"), 111);
    assert_eq!(line("spec.participants[1].remoteParty"), 112);
    assert_eq!(line("spec.participants[2]"), 107, "no such item: the list");
    assert_eq!(line("spec.flow.b"), 113, "flow style: the key that holds it");
    assert_eq!(line("spec.absent"), 103);
}
