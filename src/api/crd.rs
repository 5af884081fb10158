//! The CRDs as they are applied: what schemars derives, made fit for the apiserver.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::json;

use super::{MeetingBridge, MeetingSeries, ScheduledMeeting, UNJUDGED};

/// With a CRD every object of its kind goes. So none is removed with what brought it: a Helm release, a Flux
/// Kustomization, an Argo CD Application. `kubectl delete crd` means it.
const KEPT: [(&str, &str); 3] = [
    ("argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
    ("helm.sh/resource-policy", "keep"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

/// The CRDs, in the order in which they are printed and applied.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![MeetingBridge::crd(), ScheduledMeeting::crd(), MeetingSeries::crd()];
    for crd in &mut crds {
        crd.annotations_mut().extend(KEPT.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let schemas = crds.iter_mut().flat_map(|crd| &mut crd.spec.versions).filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        fit(schema);
        if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            // Until we have looked at an object nobody is to take it for ready: to kstatus no status at all is as good as a
            // good one, and a generation that is behind is not. This is what flux does for its kinds.
            (status.default, status.nullable) = (Some(JSON(json!({ "observedGeneration": UNJUDGED }))), None);
        }
    }
    crds
}

/// Formats of Rust that the apiserver warns about at each apply, with the bounds they stand for. Without these the
/// apiserver would store a number that the controller cannot read back. Its own integers end at 2^63.
const OF_RUST: [(&str, f64, Option<f64>); 6] = [
    ("int8", -128.0, Some(127.0)),
    ("int16", -32_768.0, Some(32_767.0)),
    ("uint8", 0.0, Some(255.0)),
    ("uint16", 0.0, Some(65_535.0)),
    ("uint32", 0.0, Some(4_294_967_295.0)),
    ("uint64", 0.0, None),
];

/// Corrects a schema and everything below it.
fn fit(schema: &mut JSONSchemaProps) {
    if let Some((_, least, most)) = OF_RUST.iter().find(|(name, ..)| schema.format.as_deref() == Some(*name)) {
        schema.format = Some("int64".to_owned());
        (schema.minimum, schema.maximum) = (schema.minimum.or(Some(*least)), schema.maximum.or(*most));
    }
    // The apiserver refuses null for an enum even where it is nullable (and where the list has it). Not nullable, null
    // is taken as absent, which is what people mean by it.
    if schema.enum_.is_some() {
        schema.nullable = None;
    }
    for child in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        fit(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        fit(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        fit(values);
    }
}

#[cfg(test)]
mod tests;
