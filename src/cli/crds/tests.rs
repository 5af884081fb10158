use super::*;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

#[test]
fn the_same_types_give_the_same_files() {
    assert_eq!(render().unwrap(), render().unwrap());
}

#[test]
fn the_committed_files_are_up_to_date() {
    if let Err(error) = write(Path::new(COMMITTED), true) {
        panic!("{error}");
    }
}

/// A chart can only carry what is below it, so it has a copy.
#[test]
fn the_chart_carries_the_same_crds() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/chart/files/crds");
    for (name, text) in render().unwrap().iter().filter(|(name, _)| name.ends_with(".yaml")) {
        let carried = std::fs::read_to_string(chart.join(name)).unwrap();
        assert!(carried == *text, "run: just crds (or: cp crds/*.yaml deploy/chart/files/crds/)");
    }
}

#[test]
fn what_is_written_is_what_is_checked_and_drift_names_file_and_command() {
    let dir = std::env::temp_dir().join(format!("meeting-controller-crds-{}", std::process::id()));
    let missing = write(&dir, true).unwrap_err().to_string();
    assert!(missing.contains("meetingbridges.yaml is missing"), "{missing}");
    write(&dir, false).unwrap();
    write(&dir, true).unwrap();
    std::fs::write(dir.join("scheduledmeetings.yaml"), "edited by hand").unwrap();
    let drift = write(&dir, true).unwrap_err().to_string();
    assert!(drift.contains("scheduledmeetings.yaml does not match"), "{drift}");
    assert!(drift.contains("cargo run -- crds --dir"), "{drift}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_yaml_reads_back_as_the_crd() {
    for (crd, (name, text)) in api::crds().iter().zip(render().unwrap()) {
        assert_eq!(name, format!("{}.yaml", crd.spec.names.plural));
        let back: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            serde_yaml::from_str(&text).unwrap();
        assert_eq!(&back, crd);
        assert!(!text.contains(".0\n"), "bounds are written as integers");
    }
}
