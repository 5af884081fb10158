use super::*;

fn certificate(year: i32) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(vec!["cms.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 2, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn the_end_of_the_validity_is_read_in_both_ways_of_writing_it() {
    for year in [1999, 2031, 2049, 2050, 2075] {
        assert_eq!(expiry(&certificate(year)).unwrap().to_string(), format!("{year}-02-03T00:00:00Z"));
    }
}

#[test]
fn whatever_is_cut_off_or_broken_is_no_certificate_and_no_panic() {
    let der = certificate(2031);
    for length in 0..der.len() {
        assert_eq!(expiry(&der[..length]), None, "{length}");
    }
    for index in 0..der.len() {
        let mut broken = der.clone();
        broken[index] ^= 0xff;
        let _ = expiry(&broken);
    }
}
