use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_is_no_bridge_is_refused_however_it_is_written() {
    let refused = [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0.0.0.0",
        "64:ff9b::169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    ];
    for address in refused {
        assert!(!Egress::default().permits(ip(address)), "{address}");
    }
    let permitted = [
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "203.0.113.7",
        "1.0.0.0",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "223.255.255.255",
        "240.0.0.1",
        "fd00::1",
        "fd00:ec1::254",
        "fec0::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::",
    ];
    for address in permitted {
        assert!(Egress::default().permits(ip(address)), "{address}");
    }
}

#[test]
fn what_is_allowed_is_that_and_no_more() {
    let egress = Egress::default().allow(["127.0.0.1/32".parse().unwrap(), "fe80::/64".parse().unwrap()]);
    for (address, is_permitted) in [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("127.0.0.2", false),
        ("::1", false),
        ("fe80::7", true),
        ("fe80:0:0:1::7", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(egress.permits(ip(address)), is_permitted, "{address}");
    }
}

#[test]
fn the_own_apiserver_is_refused_unless_allowed() {
    let egress = Egress::default().refuse([ip("10.96.0.1")]);
    assert!(!egress.permits(ip("10.96.0.1")) && !egress.permits(ip("::ffff:10.96.0.1")));
    assert!(egress.permits(ip("10.96.0.2")));
    assert!(egress.allow(["10.96.0.0/12".parse().unwrap()]).permits(ip("10.96.0.1")));
}

#[test]
fn a_proxy_is_used_for_everything_but_the_exceptions() {
    let egress =
        Egress::default().through("http://tms:hunter2@proxy.test:3128", ".intern.test, 10.0.0.0/8, cms.test").unwrap();
    for (address, is_proxied) in [
        ("other.test", true),
        ("192.0.2.7:445", true),
        ("[2001:db8::7]:445", true),
        ("cms.test:445", false),
        ("a.intern.test", false),
        ("10.1.2.3", false),
    ] {
        let proxy = egress.proxy_for(&address.parse().unwrap());
        assert_eq!(
            proxy.map(|proxy| proxy.uri().to_string()),
            is_proxied.then(|| "http://proxy.test:3128/".to_owned())
        );
    }
    assert!(!format!("{egress:?}").contains("hunter2"));
    assert!(Egress::default().proxy_for(&"cms.test".parse().unwrap()).is_none());
    for bad in ["", "proxy:3128", "https://proxy.test", "socks5://proxy.test", "http://", "http:// proxy"] {
        assert_eq!(Egress::default().through(bad, "").err(), Some(InvalidProxy), "{bad}");
    }
}
