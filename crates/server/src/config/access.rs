//! Who is let in.

use super::value::Reader;
use crate::access::{AccessOptions, FixedToken, Networks, Required};
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
                Ok(grants) => tokens.push(FixedToken { name, file, grants }),
            },
        }
    }
    tokens
}
