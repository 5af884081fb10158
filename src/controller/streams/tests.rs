use k8s_openapi::api::core::v1::Namespace;

use super::*;

#[test]
fn what_a_list_shows_is_told_once_and_when_the_store_has_it() {
    let named =
        |name: &str| serde_json::from_value::<Namespace>(serde_json::json!({ "metadata": { "name": name } })).unwrap();
    let mut listed = BTreeSet::new();
    let mut told = |event: Event<Namespace>| -> Vec<String> {
        once_stored(&mut listed, &event).into_iter().map(|key| key.name).collect()
    };
    // A list that breaks off, and the next one.
    for event in [Event::Init, Event::InitApply(named("a")), Event::Init, Event::InitApply(named("a"))] {
        assert_eq!(told(event), Vec::<String>::new());
    }
    assert_eq!(told(Event::InitApply(named("b"))), Vec::<String>::new());
    assert_eq!(told(Event::InitDone), ["a", "b"]);
    assert_eq!(told(Event::Apply(named("c"))), ["c"]);
    assert_eq!(told(Event::Delete(named("a"))), ["a"]);
}
