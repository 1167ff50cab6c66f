//! Headers that a person wants every request to have, e.g. for a proxy in front of the supervisor.

use crate::failure::{Failure, Outcome};
use amends_protocol::headers::AMENDS_ACTOR;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that say who somebody is: they are kept as a token is.
const SECRET: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];

/// Headers of HTTP itself: what is said of them here would contradict what is sent.
const OF_HTTP: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
];

/// Reads lines `Name: value`. An error tells of no value.
pub fn parse(lines: &[String]) -> Outcome<HeaderMap> {
    let mut all = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Failure::Usage("a header is written `Name: value`, and one has no colon".to_owned())
        })?;
        let shown = name.trim();
        let name: HeaderName = shown.parse().map_err(|_| {
            Failure::Usage("the name of a header is no name of a header".to_owned())
        })?;
        if name.as_str() == AMENDS_ACTOR.to_ascii_lowercase() {
            let why = format!("`{shown}` is said by --actor, and counts only from a trusted proxy");
            return Err(Failure::Usage(why));
        }
        if OF_HTTP.contains(&name) {
            return Err(Failure::Usage(format!(
                "the header `{shown}` is set by the program itself"
            )));
        }
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
            Failure::Usage(format!("the value of the header `{shown}` can't be sent"))
        })?;
        value.set_sensitive(true);
        if all.insert(&name, value).is_some() {
            return Err(Failure::Usage(format!("the header `{shown}` is said twice")));
        }
    }
    Ok(all)
}

/// Whether a line says who somebody is.
pub fn is_secret(line: &str) -> bool {
    line.split(':').next().is_some_and(|name| is_secret_name(name.trim()))
}

/// A line without its value, if that is secret.
pub fn shown(line: &str) -> String {
    match line.split_once(':') {
        Some((name, _)) if is_secret(line) => format!("{}: …", name.trim()),
        _ => line.to_owned(),
    }
}

/// Whether one of them says who somebody is.
pub fn any_secret(all: &HeaderMap) -> bool {
    all.keys().any(|name| is_secret_name(name.as_str()))
}

fn is_secret_name(name: &str) -> bool {
    SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &[&str]) -> Outcome<HeaderMap> {
        parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let all = parsed(&["X-Team: ops: night", "authorization:Basic a2lt"]).expect("headers");
        assert_eq!(all["x-team"], "ops: night");
        assert_eq!(all["authorization"], "Basic a2lt");
        assert!(any_secret(&all) && all["authorization"].is_sensitive());
        assert!(!any_secret(&parsed(&["X-Team: ops"]).expect("headers")));
    }

    #[test]
    fn what_would_contradict_the_request_is_refused_without_its_value() {
        for bad in [
            &["s3cr3t"][..],
            &["a b: s3cr3t"],
            &["Host: s3cr3t"],
            &["content-length: s3cr3t"],
            &["Transfer-Encoding: s3cr3t"],
            &["Amends-Actor: s3cr3t"],
            &["X: s3cr3t\r\nY: z"],
            &["Authorization: s3cr3t", "authorization: s3cr3t"],
        ] {
            let why = parsed(bad).expect_err("refused").lines().join(" ");
            assert!(!why.contains("s3cr3t"), "{why}");
        }
    }
}
