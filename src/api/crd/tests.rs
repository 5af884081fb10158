use super::*;

#[test]
fn every_integer_has_a_known_format_and_fits_its_rust_type() {
    let text = serde_json::to_string(&crds()).unwrap();
    assert!(!text.contains("uint"), "the apiserver warns about these");
    let bridge = serde_json::to_value(MeetingBridge::crd()).unwrap();
    assert!(bridge.to_string().contains("uint32"), "schemars still derives them, so fit() is still needed");
}
