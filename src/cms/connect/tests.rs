use super::*;

#[test]
fn of_the_addresses_of_a_name_only_those_are_used_that_a_bridge_may_have() {
    let egress = Egress::default();
    let found = |texts: &[&str]| {
        let addresses = texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect();
        permitted(addresses, &egress).map_err(CmsError::from)
    };
    let one = vec![SocketAddr::new("10.0.0.7".parse().unwrap(), 443)];
    assert_eq!(found(&["169.254.169.254", "10.0.0.7", "::1"]), Ok(one));
    assert_eq!(found(&["127.0.0.1", "fd00:ec2::254"]), Err(CmsError::AddressRefused));
    assert_eq!(found(&[]), Err(CmsError::DnsFailure));
}
