//! Base64 as two alphabets: the standard one (HTTP Basic) and the URL-safe one without padding
//! (generated space secrets, cms-protocol.md 1.7).

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for position in 0..=chunk.len() {
            let index = (word >> (18 - 6 * position)) & 0x3f;
            out.extend(alphabet.get(index as usize).map(|b| char::from(*b)));
        }
    }
    out
}

/// Standard alphabet without padding. Compare credentials only after cutting the padding off both sides.
pub fn standard_unpadded(bytes: &[u8]) -> String {
    encode(STANDARD, bytes)
}

/// URL-safe alphabet without padding: 16 bytes give the 22 characters of a generated secret.
pub fn url_safe(bytes: &[u8]) -> String {
    encode(URL_SAFE, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        assert_eq!(standard_unpadded(b""), "");
        assert_eq!(standard_unpadded(b"f"), "Zg");
        assert_eq!(standard_unpadded(b"fo"), "Zm8");
        assert_eq!(standard_unpadded(b"foobar"), "Zm9vYmFy");
        assert_eq!(url_safe(&[0xff; 16]).len(), 22);
        assert_eq!(url_safe(&[0xfb, 0xff]), "-_8");
    }
}
