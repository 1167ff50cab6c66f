//! What an identity provider says of itself (OpenID Connect Discovery). Pure.

use http::Uri;
use serde::Deserialize;
use url::{Host, Url};

/// Longest document, in bytes: common ones have ten thousand.
pub(super) const METADATA_LIMIT: usize = 256 << 10;

/// A provider's own word about itself, checked.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Uri,
    pub(super) keys: Uri,
    pub(super) end_session: Option<Url>,
    /// The client's secret goes into the body: it takes no other way.
    pub(super) secret_in_body: bool,
    /// Its answers say whose they are (RFC 9207).
    pub(super) names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Reads the document of an issuer.
    ///
    /// # Errors
    /// It is another issuer's, or leads where no secret should go.
    pub(super) fn read(text: &[u8], issuer: &str) -> Result<Self, String> {
        let said: Document = serde_json::from_slice(text).map_err(|e| {
            format!("its discovery can't be read: {}", amends_protocol::causes::of_json(&e))
        })?;
        if said.issuer != issuer {
            return Err(format!(
                "its discovery is of another issuer; `access.oidc.issuer` must be exactly what stands in `issuer` of {}/.well-known/openid-configuration",
                issuer.trim_end_matches('/')
            ));
        }
        let challenges = said.code_challenge_methods_supported;
        if challenges.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err("it does not know PKCE with `S256`".to_owned());
        }
        let plain_is_fine = is_loopback(issuer);
        let checked = |name: &str, text: &str| checked(name, text, plain_is_fine);
        let uri = |name: &str, text: &str| {
            let url = checked(name, text)?;
            url.as_str().parse::<Uri>().map_err(|e| format!("its `{name}` is no address: {e}"))
        };
        let methods = said.token_endpoint_auth_methods_supported;
        let knows = |method: &str| methods.iter().any(|known| known == method);
        Ok(Self {
            authorization: checked("authorization_endpoint", &said.authorization_endpoint)?,
            token: uri("token_endpoint", &said.token_endpoint)?,
            keys: uri("jwks_uri", &said.jwks_uri)?,
            end_session: match &said.end_session_endpoint {
                Some(at) => Some(checked("end_session_endpoint", at)?),
                None => None,
            },
            secret_in_body: knows("client_secret_post") && !knows("client_secret_basic"),
            names_itself: said.authorization_response_iss_parameter_supported,
        })
    }
}

/// An address of the provider: without TLS only on this machine, as in a test.
fn checked(name: &str, text: &str, plain_is_fine: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("its `{name}` is no address: {e}"))?;
    let is_safe = url.scheme() == "https" || (plain_is_fine && is_loopback(text));
    if !is_safe {
        return Err(format!("its `{name}` is no `https` address"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(format!("its `{name}` has more in it than an address should"));
    }
    Ok(url)
}

/// Whether an address is on this machine, without TLS.
pub(crate) fn is_loopback(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && near
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example/realms/shop";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://keys.example/keys",
        })
    }

    fn with(name: &str, value: Value) -> Result<Metadata, String> {
        let mut document = document();
        document[name] = value;
        Metadata::read(document.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn a_provider_tells_where_it_is() {
        let read = Metadata::read(document().to_string().as_bytes(), ISSUER).expect("metadata");
        assert_eq!(read.keys, "https://keys.example/keys");
        assert!(!read.secret_in_body && !read.names_itself && read.end_session.is_none());
        let body = with("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
        assert!(body.expect("metadata").secret_in_body);
        let both = json!(["client_secret_post", "client_secret_basic"]);
        let both = with("token_endpoint_auth_methods_supported", both);
        assert!(!both.expect("metadata").secret_in_body);
    }

    #[test]
    fn a_document_of_another_issuer_is_refused() {
        for issuer in [
            "https://evil.example",
            "https://id.example/realms/shop/",
            "https://ID.example/realms/shop",
        ] {
            let told = with("issuer", json!(issuer)).unwrap_err();
            assert!(told.contains("another issuer"), "{told}");
        }
    }

    #[test]
    fn no_code_and_no_secret_goes_out_without_tls() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"]
        {
            for address in [
                "http://id.example/x",
                // This machine's own, but the issuer is elsewhere.
                "http://127.0.0.1/x",
                "https://ann:secret@id.example/x",
                "https://id.example/x#part",
                "ftp://id.example/x",
                "/x",
            ] {
                assert!(with(name, json!(address)).is_err(), "{name} {address}");
            }
        }
    }

    #[test]
    fn a_provider_without_pkce_is_refused() {
        assert!(with("code_challenge_methods_supported", json!(["plain"])).is_err());
        assert!(with("code_challenge_methods_supported", json!(["plain", "S256"])).is_ok());
    }
}
