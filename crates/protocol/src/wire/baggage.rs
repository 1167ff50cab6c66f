//! Members of W3C Baggage: `key=value;properties`, separated by commas. Values are percent-encoded UTF-8.

use super::percent;

/// Writes one member.
#[must_use]
pub fn member(key: &str, value: &str) -> String {
    format!("{key}={}", percent::part(value))
}

/// The key of a member.
#[must_use]
pub fn key(member: &str) -> &str {
    member.split(['=', ';']).next().unwrap_or_default().trim()
}

/// The value of a member, decoded; none if it has none or it is not UTF-8.
#[must_use]
pub fn value(member: &str) -> Option<String> {
    let (_, value) = member.split_once('=')?;
    percent::decode(value.split(';').next()?.trim())
}

#[cfg(test)]
mod tests {
    use super::{key, member, value};

    #[test]
    fn a_member_is_read_as_it_was_written() {
        let written = member("saga-id", "order,1=é");
        assert_eq!(written, "saga-id=order%2C1%3D%C3%A9");
        assert_eq!((key(&written), value(&written).as_deref()), ("saga-id", Some("order,1=é")));
        let foreign = "tenant = a%20b ; p=1";
        assert_eq!((key(foreign), value(foreign).as_deref()), ("tenant", Some("a b")));
        assert_eq!(value("alone"), None);
    }
}
