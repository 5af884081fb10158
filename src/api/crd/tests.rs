use super::*;

#[test]
fn every_integer_has_a_known_format_and_fits_its_rust_type() {
    let text = serde_json::to_string(&crds()).unwrap();
    let formats = text.split("\"format\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let odd: Vec<&str> = formats.filter(|name| !["date-time", "int32", "int64"].contains(name)).collect();
    assert!(odd.is_empty(), "the apiserver warns about {odd:?}");
    let derived = |crd: CustomResourceDefinition| serde_json::to_string(&crd).unwrap();
    let still = derived(MeetingBridge::crd()).contains("uint32") && derived(MeetingSeries::crd()).contains("\"int8");
    assert!(still, "schemars still derives them, so fit() is still needed");
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
