use super::*;

#[test]
fn every_integer_has_a_known_format_and_fits_its_rust_type() {
    let text = serde_json::to_string(&crds()).unwrap();
    assert!(!text.contains("uint"), "the apiserver warns about these");
    let bridge = serde_json::to_value(MeetingBridge::crd()).unwrap();
    assert!(bridge.to_string().contains("uint32"), "schemars still derives them, so fit() is still needed");
}

#[test]
fn a_status_that_nobody_wrote_shows_a_generation_that_is_behind() {
    for crd in crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let status = &schema["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"], json!({ "observedGeneration": -1 }), "{}", crd.spec.names.kind);
        assert_eq!(status["nullable"], serde_json::Value::Null, "null would be stored as null");
    }
}
