//! Which requests go through a proxy. Pure; the environment is read by whoever asks for that.

use super::allowed::{HostPattern, Target};
use super::secrets::Secrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};

/// What the configuration writes for the proxies of the environment.
pub const OF_ENVIRONMENT: &str = "environment";

/// One proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub(super) at: Uri,
    /// The secret that holds `user:password`.
    pub(super) secret: Option<String>,
}

/// The proxies, and who is asked without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<HostPattern>,
}

impl Proxies {
    /// One for all, given by the configuration; an empty `at` is none.
    ///
    /// # Errors
    /// Says what is wrong with the address.
    pub fn of_configuration(at: &str, secret: &str) -> Result<Self, String> {
        if at.is_empty() {
            return Ok(Self::default());
        }
        let secret = (!secret.is_empty()).then(|| secret.to_owned());
        let proxy = Proxy { at: address(at)?, secret };
        Ok(Self { http: Some(proxy.clone()), https: Some(proxy), except: Vec::new() })
    }

    /// Those of the environment, as other programs read them: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, in
    /// small letters too.
    ///
    /// # Errors
    /// Says which variable is wrong, and how.
    pub fn of_environment(
        variable: impl Fn(&str) -> Option<String>,
        secret: &str,
    ) -> Result<Self, String> {
        let named = |name: &'static str| {
            let small = name.to_ascii_lowercase();
            let given = variable(&small).or_else(|| variable(name));
            given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let proxy = |name: &'static str| {
            let Some((name, text)) =
                [name, "ALL_PROXY"].iter().find_map(|name| Some((*name, named(name)?)))
            else {
                return Ok(None);
            };
            let at = address(&text).map_err(|why| format!("the environment's `{name}`: {why}"))?;
            let secret = (!secret.is_empty()).then(|| secret.to_owned());
            Ok::<_, String>(Some(Proxy { at, secret }))
        };
        let (http, https) = (proxy("HTTP_PROXY")?, proxy("HTTPS_PROXY")?);
        let mut except = Vec::new();
        for entry in named("NO_PROXY").unwrap_or_default().split(',') {
            // There, a name means those below it, too.
            let entry = entry.trim().trim_start_matches("*.").trim_start_matches('.');
            if entry.is_empty() {
                continue;
            }
            // Others may write there what only they understand.
            except.extend(HostPattern::read(entry));
            except.extend(HostPattern::read(&format!("*.{entry}")));
        }
        Ok(Self { http, https, except })
    }

    /// Besides, who is asked without a proxy.
    ///
    /// # Errors
    /// What is wrong with each entry that can't be read.
    pub fn except(mut self, list: &[String]) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        for text in list {
            match HostPattern::read(text) {
                Ok(pattern) => self.except.push(pattern),
                Err(why) => wrong.push(why),
            }
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    /// Whether there is one at all.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The proxies, each once.
    pub fn addresses(&self) -> impl Iterator<Item = &Uri> {
        let second = self.https.as_ref().filter(|second| Some(*second) != self.http.as_ref());
        self.http.iter().chain(second).map(|proxy| &proxy.at)
    }

    /// The one that a request goes through. No proxy leads back to this machine.
    pub(super) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let proxy = if secure { self.https.as_ref() } else { self.http.as_ref() }?;
        let target = Target::of(uri)?;
        let direct = target.is_here() || self.except.iter().any(|one| one.names(&target));
        (!direct).then_some(proxy)
    }

    /// Whether the secret of the proxies is there, and may go to them.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self, secrets: &Secrets) -> Result<(), String> {
        self.http
            .iter()
            .chain(&self.https)
            .try_for_each(|proxy| proxy.credentials(secrets).map(drop))
    }
}

impl Proxy {
    /// The value of `Proxy-Authorization`; none if the proxy asks nobody.
    pub(super) fn credentials(&self, secrets: &Secrets) -> Result<Option<HeaderValue>, String> {
        let Some(name) = &self.secret else { return Ok(None) };
        let host = self.at.authority().ok_or("the proxy has no host")?;
        let value = secrets.reveal(name, host)?;
        if !value.contains(':') {
            return Err(format!("the secret `{name}` of the proxy must be `user:password`"));
        }
        let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(value)))
            .map_err(|e| format!("the secret `{name}` can't be sent: {e}"))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

fn address(text: &str) -> Result<Uri, String> {
    // The usual form of `HTTPS_PROXY` may leave the scheme out.
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong =
        || "it must be the address of a proxy, as in `http://proxy.example:3128`".to_owned();
    let uri: Uri = whole.parse().map_err(|_| wrong())?;
    let known = uri.scheme() == Some(&Scheme::HTTP)
        || (cfg!(feature = "tls") && uri.scheme() == Some(&Scheme::HTTPS));
    if !known || uri.host().is_none_or(str::is_empty) || !matches!(uri.path(), "" | "/") {
        return Err(wrong());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it holds credentials; put `user:password` into a secret, and name that in `dispatch.proxy_secret`".to_owned());
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("an address")
    }

    fn through(proxies: &Proxies, text: &str) -> Option<String> {
        proxies.of(&uri(text)).map(|proxy| proxy.at.to_string())
    }

    #[test]
    fn everything_goes_through_the_proxy_but_what_is_excepted_and_this_machine() {
        let list =
            ["*.internal".to_owned(), "10.0.0.0/8".to_owned(), "near.example:8080".to_owned()];
        let proxies = Proxies::of_configuration("http://proxy.example:3128", "")
            .expect("an address")
            .except(&list)
            .expect("hosts");
        for far in ["https://api.stripe.com/x", "http://near.example/", "http://11.0.0.1/"] {
            assert_eq!(
                through(&proxies, far).as_deref(),
                Some("http://proxy.example:3128/"),
                "{far}"
            );
        }
        for near in [
            "http://pay.internal:8080",
            "http://10.9.8.7",
            "http://near.example:8080",
            "http://127.0.0.1:7100",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert_eq!(through(&proxies, near), None, "{near}");
        }
    }

    #[test]
    fn the_environment_is_read_as_other_programs_read_it() {
        let variables = |name: &str| {
            let value = match name {
                "https_proxy" => "proxy.example:3128",
                "HTTPS_PROXY" => "http://capitals.example",
                "NO_PROXY" => ".corp.example, near.example ,10.0.0.0/8,*.x y",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let proxies = Proxies::of_environment(variables, "").expect("addresses");
        let at = Some("http://proxy.example:3128/");
        assert_eq!(through(&proxies, "https://api.example").as_deref(), at);
        assert_eq!(through(&proxies, "http://api.example"), None, "no HTTP_PROXY");
        for near in ["https://a.corp.example", "https://near.example", "https://a.near.example"] {
            assert_eq!(through(&proxies, near), None, "{near}");
        }
        assert_eq!(through(&proxies, "https://10.1.1.1"), None);
        assert!(Proxies::of_environment(|_| None, "").expect("none").is_none());
    }

    #[test]
    fn credentials_are_secrets() {
        let why =
            Proxies::of_configuration("http://ann:pw@proxy.example", "").expect_err("refused");
        assert!(why.contains("dispatch.proxy_secret") && !why.contains("pw"), "{why}");
        let proxies = Proxies::of_configuration("http://proxy.example:3128", "corp").expect("one");
        let mut secrets = Secrets::default();
        assert!(proxies.check(&secrets).expect_err("none").contains("`corp`"));
        let hosts = || vec!["proxy.example:3128".to_owned()];
        secrets.add("corp", "no-colon", hosts()).expect("a secret");
        let why = proxies.check(&secrets).expect_err("no password");
        assert!(why.contains("user:password") && !why.contains("no-colon"), "{why}");
        secrets.add("corp", "ann:letmein", hosts()).expect("a secret");
        let proxy = proxies.of(&uri("http://far.example")).expect("a proxy");
        let sent = proxy.credentials(&secrets).expect("they may go").expect("a header");
        assert_eq!(sent, "Basic YW5uOmxldG1laW4=");
        assert!(!format!("{sent:?}").contains("YW5u"), "never shown");
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused() {
        for text in ["socks5://proxy.example", "http://", "http://proxy.example/path", "a b"] {
            let why = Proxies::of_configuration(text, "").expect_err(text);
            assert!(why.contains("http://proxy.example:3128"), "{text}: {why}");
        }
    }
}
