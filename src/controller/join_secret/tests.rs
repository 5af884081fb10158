use super::*;

#[test]
fn links_have_the_form_of_the_version() {
    let mut details =
        Details { number: 7, uri: None, web_bridge_uri: None, software_version: Some("2.9.5".to_owned()) };
    assert_eq!(
        link("https://join.example.com:443/", &details, "s"),
        "https://join.example.com:443/invited.sf?id=7&secret=s"
    );
    details.software_version = Some("3.1".to_owned());
    assert_eq!(link("https://join.example.com", &details, "s"), "https://join.example.com/meeting/7?secret=s");
}

#[test]
fn random_digits_are_digits() {
    let passcode = random_digits(8);
    assert!(passcode.len() == 8 && passcode.bytes().all(|b| b.is_ascii_digit()));
}
