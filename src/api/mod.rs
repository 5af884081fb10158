//! What the user says: the two kinds, their conditions, and every name the controller puts on an object. No I/O.

pub mod bridge;
pub mod conditions;
pub mod meeting;
pub mod names;
pub mod profiles;
pub mod values;

pub use bridge::{MeetingBridge, MeetingBridgeSpec, MeetingBridgeStatus};
pub use meeting::{ScheduledMeeting, ScheduledMeetingSpec, ScheduledMeetingStatus};

use kube::CustomResourceExt;

/// API group of both kinds.
pub const GROUP: &str = "meeting-controller.dev";

/// Both CRDs, in the order in which they are printed and applied.
pub fn crds() -> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    vec![MeetingBridge::crd(), ScheduledMeeting::crd()]
}
