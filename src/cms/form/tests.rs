use super::*;
use proptest::prelude::*;

/// An independent decoder, as strict as a server may be.
fn decode(encoded: &str) -> Vec<(String, String)> {
    let plain = |text: &str| {
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(&text.replace('+', " ")).collect();
        String::from_utf8(bytes).unwrap()
    };
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (plain(name), plain(value))
        })
        .collect()
}

proptest! {
    #[test]
    fn every_form_reads_back(pairs in prop::collection::vec((".{1,12}", ".{0,24}"), 0..8)) {
        let form = Form::new().with_all(&pairs);
        prop_assert!(form.encoded().is_ascii());
        prop_assert!(form.encoded().bytes().all(|b| b.is_ascii_graphic()));
        prop_assert_eq!(decode(form.encoded()), pairs);
    }

    #[test]
    fn an_escaped_template_reads_back_literally(text in ".{0,24}") {
        // The template grammar read by hand: a backslash takes the next character literally.
        let escaped = escape_template(&text);
        let mut plain = String::new();
        let mut chars = escaped.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => plain.push(chars.next().unwrap()),
                '$' => panic!("a bare $ in {escaped}"),
                c => plain.push(c),
            }
        }
        prop_assert_eq!(plain, text);
    }
}

#[test]
fn the_guides_raw_characters_stay_raw() {
    let form = Form::new().with("remoteParty", "desk.ex90@tkratzke.local").with("m", "$index$").with("n", "a b");
    assert_eq!(form.encoded(), "remoteParty=desk.ex90@tkratzke.local&m=$index$&n=a+b");
}

#[test]
fn separators_and_foreign_letters_are_escaped() {
    assert_eq!(Form::new().with("name", "R&D=100%+ü;#").encoded(), "name=R%26D%3D100%25%2B%C3%BC%3B%23");
}

#[test]
fn debug_shows_no_value() {
    assert_eq!(format!("{:?}", Form::new().with("passcode", "4711")), "Form(13 bytes)");
}
