//! Who is let in.

use super::value::Reader;
use crate::access::{AccessOptions, CertificateGrants, FixedToken, Networks, Required};
use amends_api::access::{GRANTS_LIMIT, Grant};
use std::time::Duration;

pub(super) fn read(read: &mut Reader<'_>) -> AccessOptions {
    let required = read.text("access.required").parse().unwrap_or_else(|()| {
        read.mistake("access.required", "it must be `auto`, `on` or `off`");
        Required::Auto
    });
    let list = read.list("access.trusted_proxies");
    let trusted_proxies = Networks::read(&list).unwrap_or_else(|wrong| {
        wrong.iter().for_each(|why| read.mistake("access.trusted_proxies", why));
        Networks::default()
    });
    let options = AccessOptions {
        required,
        trusted_proxies,
        behind_proxy: read.flag("access.behind_proxy"),
        insecure: read.flag("access.insecure"),
        certificates: certificates(read),
        tokens: tokens(read),
        session_idle: read.duration("access.session_idle"),
        session_end: read.duration("access.session_end"),
    };
    for (key, length) in
        [("access.session_idle", options.session_idle), ("access.session_end", options.session_end)]
    {
        if length < Duration::from_secs(60) {
            read.mistake(key, "it must be 1m or more");
        }
    }
    options
}

/// What the names of certificates allow.
fn certificates(read: &mut Reader<'_>) -> CertificateGrants {
    let mut certificates = CertificateGrants::default();
    for (key, given) in read.lists_of(super::layers::CERTIFICATES) {
        let name = key.strip_prefix(super::layers::CERTIFICATES).and_then(|n| n.strip_prefix('.'));
        let texts = match given {
            Some(texts) if (1..=GRANTS_LIMIT).contains(&texts.len()) => texts,
            _ => {
                let why = format!(
                    "it must be a list of 1 to {GRANTS_LIMIT} grants, as in `[\"report:payment\"]`"
                );
                read.mistake(&key, &why);
                continue;
            }
        };
        let grants = texts.iter().map(|text| text.parse::<Grant>()).collect::<Result<Vec<_>, _>>();
        let grants = grants.map_err(|wrong| wrong.to_string());
        let added = grants.and_then(|grants| certificates.add(name.unwrap_or_default(), grants));
        if let Err(why) = added {
            read.mistake(&key, &why);
        }
    }
    certificates
}

fn tokens(read: &mut Reader<'_>) -> Vec<FixedToken> {
    let mut tokens = Vec::new();
    for (key, given) in read.tokens_of(super::layers::TOKENS) {
        let name = key.rsplit('.').next().unwrap_or_default().to_owned();
        let read_grants = |texts: &[String]| {
            texts.iter().map(|text| text.parse::<Grant>()).collect::<Result<Vec<_>, _>>()
        };
        match given {
            Err(why) => read.mistake_of_secret(&key, &why),
            Ok((_, grants)) if grants.is_empty() || grants.len() > GRANTS_LIMIT => {
                read.mistake_of_secret(&key, &format!("give it 1 to {GRANTS_LIMIT} `grants`"));
            }
            Ok((file, texts)) => match read_grants(&texts) {
                Err(wrong) => read.mistake_of_secret(&key, &wrong.to_string()),
                Ok(grants) => {
                    read.holds_a_secret(&file);
                    tokens.push(FixedToken { name, file, grants });
                }
            },
        }
    }
    tokens
}
