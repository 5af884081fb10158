//! Reading form bodies and query strings as tolerantly as the real server does (cms-protocol.md 1.2, 1.6):
//! a leading `&`, empty values, raw spaces, raw `$`, `+`, any case of parameter names, any Content-Type.

/// The decoded pairs of a body or a query string, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    /// Decodes a form. Never fails: a broken percent escape is kept as it stands, because the real server reads
    /// "the body as a form whatever the header says".
    pub fn parse(raw: &[u8]) -> Self {
        let mut pairs = Vec::new();
        for piece in raw.split(|b| *b == b'&') {
            if piece.is_empty() {
                continue;
            }
            let cut = piece.iter().position(|b| *b == b'=').unwrap_or(piece.len());
            let (name, rest) = piece.split_at(cut);
            let value = rest.get(1..).unwrap_or_default();
            pairs.push((decode(name), decode(value)));
        }
        Self(pairs)
    }

    /// The last value given for a name, compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// As [`Pairs::get`], but an empty value counts as not given.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A copy fit for a journal: passcodes and secrets are masked, unless empty (an empty value is no secret, and a
    /// test must be able to see that a passcode was cleared).
    pub fn masked(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(name, value)| {
                let secret = name.eq_ignore_ascii_case("passcode") || name.eq_ignore_ascii_case("secret");
                let shown = if secret && !value.is_empty() { "*****".to_owned() } else { value.clone() };
                (name.clone(), shown)
            })
            .collect()
    }
}

fn decode(raw: &[u8]) -> String {
    if !raw.iter().any(|b| matches!(b, b'%' | b'+')) {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let spaced: Vec<u8> = raw.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(raw: &str) -> Vec<(String, String)> {
        Pairs::parse(raw.as_bytes()).0
    }

    #[test]
    fn the_tms_put_body_is_read() {
        let body = "&nonMemberAccess=true&passcode=&name=Tim Kratzke Acano&secret=86db1bdd";
        let expected =
            [("nonMemberAccess", "true"), ("passcode", ""), ("name", "Tim Kratzke Acano"), ("secret", "86db1bdd")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs(body), expected);
    }

    #[test]
    fn encodings_are_equal() {
        assert_eq!(pairs("a=x+y%24index%24"), pairs("a=x y$index$"));
        assert_eq!(pairs("a=%zz"), vec![("a".to_owned(), "%zz".to_owned())]);
        assert_eq!(pairs("&&a"), vec![("a".to_owned(), String::new())]);
        assert_eq!(pairs("a=b=c"), vec![("a".to_owned(), "b=c".to_owned())]);
    }

    #[test]
    fn names_ignore_case_and_the_last_wins() {
        let p = Pairs::parse(b"Name=one&name=two&Passcode=1234&secret=");
        assert_eq!(p.get("NAME"), Some("two"));
        assert_eq!(p.masked()[2].1, "*****");
        assert_eq!(p.masked()[3].1, "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(raw: Vec<u8>) {
            let _ = Pairs::parse(&raw);
        }
    }
}
