//! `validate` and the apiserver are of one mind about what people write into YAML.

use std::io::Write as _;

use meeting_controller::cli::validate::{Options, Outcome, validate};

use crate::kit::*;
use crate::meetings::lone;

/// One and the same meeting but for one value, as it may be written.
fn document(field: &str, value: &str) -> String {
    let with = |name: &str, usual: &str| if name == field { value.to_owned() } else { usual.to_owned() };
    format!(
        "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\nmetadata:\n  name: m\nspec:\n  title: {}\n  \
         start: \"2030-01-01T10:00:00Z\"\n  duration: {}\n  suspend: {}\n  participants:\n    - remoteParty: a@x\n      \
         retry:\n        limit: {}\n",
        with("title", "T"),
        with("duration", "1h"),
        with("suspend", "false"),
        with("limit", "3"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validate_says_what_the_apiserver_says() {
    let arena = Arena::quiet("manifests", lone(), quick()).await;
    let values = [
        "yes",
        "Yes",
        "no",
        "NO",
        "on",
        "Off",
        "y",
        "n",
        "true",
        "\"yes\"",
        "'off'",
        "yEs",
        "012",
        "0700",
        "08",
        "007",
        "1_0",
        "0x1F",
        "0b11",
        "0o17",
        "1e1",
        "1.5",
        "-1",
        "\"12\"",
        "~",
        "null",
        "\"\"",
        "12:30",
        "2026-01-01",
        "1h",
        "[a]",
        "{a: b}",
    ];
    let path = format!("/apis/meeting-controller.dev/v1alpha1/namespaces/{}/scheduledmeetings", arena.namespace);
    let mut other = Vec::new();
    let mut tried = 0;
    for field in ["title", "duration", "suspend", "limit"] {
        for value in values {
            let text = document(field, value);
            let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
                .header("content-type", "application/yaml")
                .body(text.clone().into_bytes())
                .unwrap();
            let accepted = match arena.client.request_text(request).await {
                Ok(_) => true,
                Err(kube::Error::Api(_)) => false,
                Err(error) => panic!("{error}"),
            };
            let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let mut out = Vec::new();
            let outcome = validate(&[file.path().to_owned()], Options::default(), &mut out).unwrap();
            if (outcome == Outcome::Valid) != accepted {
                other.push(format!("{field}: {value}: accepted {accepted}, {}", String::from_utf8_lossy(&out)));
            }
            tried += 1;
        }
    }
    assert!(other.is_empty(), "{} of {tried} differ: {other:#?}", other.len());
    arena.finish().await;
}
