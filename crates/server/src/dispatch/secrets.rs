//! Secrets that rulebooks name and never hold: each goes to the hosts that it is for, and is shown nowhere.

use http::uri::Authority;
use std::collections::BTreeMap;
use std::fmt;

/// Shortest secret, in bytes: a shorter one would be found in ordinary words when it is taken out of a text.
const SHORTEST: usize = 8;
/// Longest secret, in bytes.
const LONGEST: usize = 8_192;

/// Secrets by the name that rulebooks use.
#[derive(Clone, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
    /// Their names stand in place of their values.
    masked: bool,
}

#[derive(Clone)]
struct Secret {
    value: String,
    hosts: Vec<String>,
}

impl Secrets {
    /// Takes one; `hosts` (`host` or `host:port`) are the only ones that it goes to.
    ///
    /// # Errors
    /// Says what is wrong, without the value.
    pub fn add(&mut self, name: &str, value: &str, hosts: Vec<String>) -> Result<(), String> {
        if !(SHORTEST..=LONGEST).contains(&value.len()) {
            let is = value.len();
            return Err(format!("it has {is} bytes; a secret has {SHORTEST} to {LONGEST}"));
        }
        if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("it must be one line of printable ASCII".to_owned());
        }
        if hosts.is_empty() {
            return Err("`hosts` must name the hosts that it may go to".to_owned());
        }
        self.by_name.insert(name.to_owned(), Secret { value: value.to_owned(), hosts });
        Ok(())
    }

    /// For requests that are shown: names stand in place of values.
    pub(super) fn masked() -> Self {
        Self { by_name: BTreeMap::new(), masked: true }
    }

    /// The value for a request to this host.
    ///
    /// # Errors
    /// There is no such secret, or it may not go there.
    pub(super) fn reveal(&self, name: &str, host: &Authority) -> Result<String, String> {
        if self.masked {
            return Ok(format!("{{secret.{name}}}"));
        }
        let Some(secret) = self.by_name.get(name) else {
            return Err(format!(
                "there is no secret `{name}`; add it to `secrets` of the configuration"
            ));
        };
        if !secret.hosts.iter().any(|allowed| super::route::names(allowed, host)) {
            return Err(format!(
                "the secret `{name}` may not go to `{host}`; if it should, add that to `secrets.{name}.hosts` of the configuration"
            ));
        }
        Ok(secret.value.clone())
    }

    /// A text of a service without the secrets that it may have sent back.
    pub(super) fn hide(&self, text: String) -> String {
        self.by_name.iter().fold(text, |text, (name, secret)| {
            if text.contains(&secret.value) {
                text.replace(&secret.value, &format!("{{secret.{name}}}"))
            } else {
                text
            }
        })
    }
}

/// Names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Authority {
        text.parse().expect("a host")
    }

    #[test]
    fn a_secret_goes_to_its_hosts_alone_and_is_never_shown() {
        let mut secrets = Secrets::default();
        let hosts = || vec!["pay.example".to_owned(), "bank.example:8443".to_owned()];
        secrets.add("pay", "sk_live_4711", hosts()).expect("a secret");
        for to in ["pay.example", "PAY.example:443", "bank.example:8443"] {
            assert_eq!(secrets.reveal("pay", &host(to)).as_deref(), Ok("sk_live_4711"), "{to}");
        }
        for to in ["evil.example", "pay.example.evil", "bank.example"] {
            let why = secrets.reveal("pay", &host(to)).expect_err(to);
            assert!(why.contains(to) && why.contains("secrets.pay.hosts"), "{why}");
        }
        assert!(secrets.reveal("other", &host("pay.example")).is_err());
        assert!(!format!("{secrets:?}").contains("4711"));
        let said = "no such key: sk_live_4711".to_owned();
        assert_eq!(secrets.hide(said), "no such key: {secret.pay}");
        let shown = Secrets::masked().reveal("pay", &host("pay.example"));
        assert_eq!(shown.as_deref(), Ok("{secret.pay}"));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let mut secrets = Secrets::default();
        for (value, hosts) in [
            ("short", vec!["a".to_owned()]),
            ("two\nlines of it", vec!["a".to_owned()]),
            ("long enough", vec![]),
        ] {
            let why = secrets.add("x", value, hosts).expect_err(value);
            assert!(!why.contains(value), "{why}");
        }
    }
}
