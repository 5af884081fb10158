use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Node, XmlError> {
    parse(text.as_bytes(), Bounds::default())
}

#[test]
fn reads_every_layout_of_the_same_document() {
    let plain = read("<calls total=\"0\"></calls>").unwrap();
    for text in [
        "<calls total=\"0\"/>",
        "<calls total='0' />",
        "<?xml version=\"1.0\"?><calls total=\"0\"></calls>",
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<calls total=\"0\"></calls>\n",
        "<!-- x --><calls total=\"&#48;\"></calls><!-- y -->",
    ] {
        assert_eq!(read(text).as_ref(), Ok(&plain), "{text}");
    }
}

#[test]
fn names_in_any_case_and_with_prefixes() {
    let node = read("<a:CoSpace ID='1'><NAME>x</NAME></a:CoSpace>").unwrap();
    assert!(node.is("coSpace"));
    assert_eq!((node.attribute("id"), node.text_of("name"), node.text_of("uri")), (Some("1"), Some("x"), None));
}

#[test]
fn entities_and_raw_text() {
    let node = read("<n>a&apos;b&amp;c&lt;d&#x41;&#66;&unknown;&lonely <![CDATA[<x>&]]></n>").unwrap();
    assert_eq!(node.text(), "a'b&c<dAB&unknown;&lonely <x>&");
    assert_eq!(read("<n a='&nope;&amp;'/>").unwrap().attribute("a"), Some("&nope;&amp;"));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced() {
    let node = parse(b"<n>caf\xe9</n>", Bounds::default()).unwrap();
    assert_eq!(node.text(), "caf\u{fffd}");
}

#[test]
fn faults_have_names() {
    for (text, fault) in [
        ("", XmlError::Empty),
        (" \n", XmlError::Empty),
        ("404 page not found", XmlError::NotXml),
        ("{\"json\": 1}", XmlError::NotXml),
        ("<!DOCTYPE html><html></html>", XmlError::DocType),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>", XmlError::DocType),
        ("<a><b></a>", XmlError::Broken),
        ("<a><b>", XmlError::Broken),
        ("<a>", XmlError::Broken),
        ("<a/><b/>", XmlError::Broken),
        ("<a/>tail", XmlError::Broken),
    ] {
        assert_eq!(read(text), Err(fault), "{text}");
    }
}

#[test]
fn bounds_hold() {
    let bounds = Bounds { bytes: 100, depth: 3, nodes: 5 };
    assert_eq!(parse(&[b' '; 101], bounds), Err(XmlError::TooLarge));
    assert!(parse(b"<a><b><c/></b></a>", bounds).is_ok());
    assert_eq!(parse(b"<a><b><c><d/></c></b></a>", bounds), Err(XmlError::TooDeep));
    assert_eq!(parse(b"<a><b/><b/><b/><b x=''/></a>", bounds), Err(XmlError::TooMany));
    let deep = "<a>".repeat(1_000_000);
    assert_eq!(read(&deep), Err(XmlError::TooDeep));
    let wide = format!("<a>{}</a>", "<b/>".repeat(400_000));
    assert_eq!(read(&wide).err(), Some(XmlError::TooMany));
}

/// Documents that look like XML, so that the interesting branches are reached.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "<[a-c]{1,2}( [a-c]=['\"][^'\"]{0,4}['\"])?/?>",
        "</[a-c]{1,2}>",
        "&(amp|apos|#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{1,4});?",
        "<!\\[CDATA\\[.{0,4}\\]\\]>",
        "<!--.{0,4}-->",
        "<\\?xml.{0,8}\\?>",
        "<!DOCTYPE.{0,8}>",
        ".{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn size(node: &Node) -> (usize, usize) {
    node.children().iter().map(size).fold((1, node.text.len()), |(n, t), (m, u)| (n + m, t + u))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        if let Ok(node) = parse(&bytes, Bounds::default()) {
            let (nodes, text) = size(&node);
            // Each replaced byte takes three.
            prop_assert!(nodes <= bytes.len() && text <= 3 * bytes.len());
        }
    }

    #[test]
    fn markup_never_panics_and_stays_bounded(text in markup()) {
        if let Ok(node) = read(&text) {
            let (nodes, length) = size(&node);
            prop_assert!(nodes <= text.len() && length <= text.len());
        }
    }

    #[test]
    fn any_text_survives_escaping(text in "[^\u{0}-\u{1f}\u{7f}-\u{9f}\u{2028}]{0,40}") {
        let document = format!("<n>{}</n>", quick_xml::escape::escape(text.as_str()));
        let node = read(&document).unwrap();
        prop_assert_eq!(node.text(), text);
    }

    #[test]
    fn every_cut_of_a_document_is_an_error(cut in 1usize..62) {
        let whole = "<calls total=\"1\"><call id=\"a\"><name>n&amp;m</name></call></calls>";
        prop_assert!(read(&whole[..cut]).is_err());
    }
}
