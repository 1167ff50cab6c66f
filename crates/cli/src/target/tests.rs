//! Who is asked, and as whom: which of several sayings counts, and what is never sent where.

use super::*;
use std::collections::BTreeMap;

const TOKEN: &str = "amends_env_s3cr3t";

/// A context with an address and a token of its own.
fn context(url: &str, token: Option<&str>) -> Context {
    let token = token.map(|text| Token::new(text).expect("a token"));
    Context { url: url.to_owned(), token, ..Context::default() }
}

fn contexts(current: Option<&str>) -> Contexts {
    let all = [
        ("prod", context("https://prod.example", Some("amends_prod_s3cr3t"))),
        ("dev", context("https://dev.example", Some("amends_dev_s3cr3t"))),
        ("bare", context("https://bare.example", None)),
    ];
    Contexts {
        current: current.map(str::to_owned),
        contexts: all.map(|(name, context)| (name.to_owned(), context)).into(),
    }
}

fn resolve(said: &Said, environment: &[(&str, &str)], current: Option<&str>) -> Outcome<Target> {
    let set: BTreeMap<&str, &str> = environment.iter().copied().collect();
    let variable = |name: &str| set.get(name).map(|text| (*text).to_owned());
    Target::resolve(said, &variable, || Ok(contexts(current)))
}

/// Address and token of what comes of it.
fn found(said: &Said, environment: &[(&str, &str)], current: Option<&str>) -> (String, String) {
    let target = resolve(said, environment, current).expect("it fits together");
    let token = target
        .token
        .map_or("none".to_owned(), |(source, _)| source.read().expect("it can be read").shown());
    (target.address.as_str().to_owned(), token)
}

fn refused(said: &Said, environment: &[(&str, &str)], current: Option<&str>) -> String {
    match resolve(said, environment, current) {
        Err(Failure::Usage(why)) => why,
        other => panic!("it must be refused: {other:?}"),
    }
}

fn url(url: &str) -> Said {
    Said { url: Some(url.to_owned()), ..Said::default() }
}

fn named(context: &str) -> Said {
    Said { context: Some(context.to_owned()), ..Said::default() }
}

/// The pair that [`found`] gives.
fn pair(address: &str, token: &str) -> (String, String) {
    (address.to_owned(), token.to_owned())
}

#[test]
fn the_line_stands_above_the_environment_and_that_above_the_context_in_use() {
    let all = [("AMENDS_URL", "https://env.example"), ("AMENDS_CONTEXT", "dev")];
    let line = url("https://line.example");
    assert_eq!(found(&line, &all, Some("prod")).0, "https://line.example");
    assert_eq!(found(&named("bare"), &all, Some("prod")).0, "https://bare.example");
    assert_eq!(found(&Said::default(), &all, Some("prod")).0, "https://env.example");
    assert_eq!(found(&Said::default(), &all[1..], Some("prod")).0, "https://dev.example");
    assert_eq!(found(&Said::default(), &[], Some("prod")).0, "https://prod.example");
    assert_eq!(found(&Said::default(), &[], None), pair(DEFAULT_URL, "none"));
}

#[test]
fn a_contexts_token_goes_to_no_other_address() {
    let elsewhere = url("https://evil.example");
    assert_eq!(found(&elsewhere, &[], Some("prod")), pair("https://evil.example", "none"));
    let set = [("AMENDS_URL", "https://evil.example")];
    assert_eq!(found(&Said::default(), &set, Some("prod")).1, "none");
    let both = Said { url: elsewhere.url, ..named("prod") };
    assert!(refused(&both, &[], None).contains("exclude each other"));
    assert_eq!(found(&named("bare"), &[], Some("prod")).1, "none");
}

#[test]
fn a_context_named_on_the_line_keeps_its_own_token() {
    let set = [("AMENDS_TOKEN", TOKEN)];
    assert_eq!(found(&named("prod"), &set, None), pair("https://prod.example", "amends_prod_…"));
    assert_eq!(found(&named("bare"), &set, None).1, "amends_env_…");
    assert_eq!(found(&Said::default(), &set, Some("prod")).1, "amends_env_…");
}

#[test]
fn a_token_file_of_the_line_stands_above_all_and_is_said_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "amends_file_s3cr3t\n").expect("ours");
    let said = Said { token_file: Some(path.clone()), ..named("prod") };
    let target = resolve(&said, &[("AMENDS_TOKEN", TOKEN)], None).expect("it fits together");
    let (source, said_by) = target.token.expect("a token");
    let shown = Credential { token: source.read().expect("readable"), said_by }.shown();
    assert!(shown.contains("amends_file_…") && shown.contains("--token-file"), "{shown}");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(found(&Said::default(), &[("AMENDS_TOKEN_FILE", path)], None).1, "amends_file_…");
}

#[test]
fn two_tokens_are_an_error_and_none_of_them_is_told() {
    let set = [("AMENDS_TOKEN", TOKEN), ("AMENDS_TOKEN_FILE", "/x")];
    assert!(refused(&Said::default(), &set, None).contains("unset one"));
    let header = vec!["Authorization: Basic s3cr3t".to_owned()];
    let said = Said { headers: header, ..Said::default() };
    let why = refused(&said, &set[..1], None);
    assert!(why.contains("only one of them") && !why.contains("s3cr3t"), "{why}");
    let why = refused(&Said::default(), &[("AMENDS_TOKEN", "two s3cr3t")], None);
    assert!(why.contains("AMENDS_TOKEN") && !why.contains("s3cr3t"), "{why}");
}

#[test]
fn a_secret_goes_over_plain_http_only_where_that_is_wanted() {
    let set = [("AMENDS_TOKEN", TOKEN)];
    let open = url("http://amends.internal:7100");
    assert!(refused(&open, &set, None).contains("--insecure-http"));
    let basic = Said { headers: vec!["authorization: Basic s3cr3t".to_owned()], ..open.clone() };
    assert!(refused(&basic, &[], None).contains("plain http"));
    let cookie = Said { headers: vec!["Cookie: s3cr3t".to_owned()], ..open.clone() };
    assert!(refused(&cookie, &[], None).contains("plain http"));
    assert_eq!(found(&open, &[], None).1, "none", "without a secret nothing is lost");
    let wanted = Said { insecure_http: true, ..open };
    assert_eq!(found(&wanted, &set, None).1, "amends_env_…");
    assert_eq!(found(&url("http://127.0.0.1:7100"), &set, None).1, "amends_env_…");
}

#[test]
fn a_certificate_has_its_key_and_needs_https() {
    let said = |cert: Option<&str>, key: Option<&str>, address: &str| Said {
        cert: cert.map(PathBuf::from),
        key: key.map(PathBuf::from),
        ..url(address)
    };
    let secure = "https://amends.example";
    let both = resolve(&said(Some("c.pem"), Some("k.pem"), secure), &[], None).expect("whole");
    assert_eq!(both.tls.identity, Some(("c.pem".into(), "k.pem".into())));
    let one = resolve(&said(Some("both.pem"), None, secure), &[], None).expect("one file");
    assert_eq!(one.tls.identity, Some(("both.pem".into(), "both.pem".into())));
    assert!(refused(&said(None, Some("k.pem"), secure), &[], None).contains("certificate"));
    let plain = said(Some("c.pem"), Some("k.pem"), "http://127.0.0.1:7100");
    assert!(refused(&plain, &[], None).contains("https"));
    let set = [("AMENDS_CA", "ca.pem"), ("AMENDS_CERT", "e.pem"), ("AMENDS_KEY", "e.key")];
    let of_both = resolve(&said(Some("c.pem"), None, secure), &set, None).expect("whole");
    assert_eq!(of_both.tls.ca, Some("ca.pem".into()));
    assert_eq!(of_both.tls.identity, Some(("c.pem".into(), "c.pem".into())), "never half of each");
}

#[test]
fn a_context_that_is_not_there_is_told_with_those_that_are() {
    let why = refused(&named("nowhere"), &[], None);
    assert!(why.contains("`nowhere`") && why.contains("`prod`"), "{why}");
    assert!(refused(&Said::default(), &[("AMENDS_CONTEXT", "gone")], None).contains("`gone`"));
}
