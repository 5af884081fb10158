use super::*;
use proptest::prelude::*;

#[test]
fn reads_hosts_and_ports() {
    for (text, host, port) in [
        ("cms.example.com", "cms.example.com", 443),
        ("CMS.example.com:445", "cms.example.com", 445),
        ("192.0.2.7:8443", "192.0.2.7", 8443),
        ("[2001:DB8::1]", "2001:db8::1", 443),
        ("[::1]:9443", "::1", 9443),
        ("localhost:1", "localhost", 1),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address, "{text}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (text, why) in [
        ("", InvalidAddress::Empty),
        ("https://cms", InvalidAddress::Scheme),
        ("cms/api/v1", InvalidAddress::Path),
        ("user:pw@cms", InvalidAddress::UserInfo),
        ("cms:0", InvalidAddress::Port),
        ("cms:65536", InvalidAddress::Port),
        ("cms:+1", InvalidAddress::Port),
        ("cms:", InvalidAddress::Port),
        ("2001:db8::1", InvalidAddress::Ipv6),
        ("[2001:db8::1", InvalidAddress::Ipv6),
        ("[cms]:443", InvalidAddress::Ipv6),
        ("[::1]443", InvalidAddress::Ipv6),
        ("cms example", InvalidAddress::Host),
        ("bücher.example", InvalidAddress::Host),
        ("10.1", InvalidAddress::Host),
        ("0x7f.1", InvalidAddress::Host),
        ("a..b", InvalidAddress::Host),
        ("-a.b", InvalidAddress::Host),
    ] {
        assert_eq!(text.parse::<Address>(), Err(why), "{text}");
    }
}

#[test]
fn reads_the_bridges_own_table() {
    let address = Address::from_bridge_table("https://14.80.99.227:445/").unwrap();
    assert_eq!(address.to_string(), "14.80.99.227:445");
    assert_eq!(Address::from_bridge_table("core2.example.com").unwrap().to_string(), "core2.example.com");
    assert!(Address::from_bridge_table("http://core2").is_err());
    assert!(Address::from_bridge_table("").is_err());
}

proptest! {
    #[test]
    fn never_panics_and_reads_back(text in "\\PC{0,40}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
        let _ = Address::from_bridge_table(&text);
    }
}
