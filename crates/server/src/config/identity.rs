//! Who is believed about who somebody is: issuers of JWTs, the identity provider of people and their roles.

use super::layers::{JWT, ROLES};
use super::value::Reader;
use crate::identity::{
    Algorithm, GrantRule, IdentityOptions, JwtIssuer, KeysPlace, OidcOptions, Roles,
    check_key_file, is_loopback,
};
use amends_api::access::Grant;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// Algorithms of an issuer that names none: those that common issuers use.
const COMMON: [&str; 5] = ["RS256", "PS256", "ES256", "ES384", "EdDSA"];

/// `[access.jwt.NAME]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    issuer: String,
    audience: OneOrMore,
    jwks: String,
    jwks_secret: Option<String>,
    algorithms: Option<Vec<String>>,
    grants: Vec<GivenRule>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRule {
    claim: String,
    is: String,
    grants: Vec<String>,
}

pub(super) fn read(read: &mut Reader<'_>) -> IdentityOptions {
    IdentityOptions { issuers: issuers(read), people: people(read) }
}

/// The issuers of JWTs that services show.
fn issuers(read: &mut Reader<'_>) -> Vec<JwtIssuer> {
    let mut issuers: Vec<JwtIssuer> = Vec::new();
    for (key, given) in read.tables_of::<Given>(JWT) {
        let name = &key[JWT.len() + 1..];
        let taken = given.map_err(|why| vec![why]).and_then(|given| issuer(name, given));
        match taken {
            Ok(one) if issuers.iter().any(|known| known.issuer == one.issuer) => {
                read.mistake(&key, &format!("`{}` stands there under another name", one.issuer));
            }
            Ok(one) => issuers.push(one),
            Err(wrong) => wrong.iter().for_each(|why| read.mistake(&key, why)),
        }
    }
    issuers
}

fn issuer(name: &str, given: Given) -> Result<JwtIssuer, Vec<String>> {
    let mut wrong = Vec::new();
    if given.issuer.is_empty() {
        wrong.push("`issuer` is empty".to_owned());
    }
    let audiences = match given.audience {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(all) => all,
    };
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        wrong.push("`audience` must name for whom the tokens are, e.g. `amends`".to_owned());
    }
    let named = given.algorithms.unwrap_or_else(|| COMMON.map(str::to_owned).to_vec());
    let algorithms = algorithms(&named, &mut wrong);
    let keys = keys_place(&given.jwks, given.jwks_secret, &mut wrong);
    let mut rules = Vec::new();
    for rule in &given.grants {
        match GrantRule::new(&rule.claim, &rule.is, &rule.grants) {
            Ok(rule) => rules.push(rule),
            Err(why) => wrong.push(format!("`grants`: {why}")),
        }
    }
    let (name, issuer) = (name.to_owned(), given.issuer);
    match (keys, wrong.is_empty()) {
        (Some(keys), true) => Ok(JwtIssuer { name, issuer, audiences, keys, algorithms, rules }),
        _ => Err(wrong),
    }
}

fn keys_place(jwks: &str, secret: Option<String>, wrong: &mut Vec<String>) -> Option<KeysPlace> {
    if !jwks.contains("://") {
        if secret.is_some() {
            wrong.push("`jwks_secret` is for an address, and `jwks` is a file".to_owned());
        }
        let checked = check_key_file(jwks.as_ref());
        wrong.extend(checked.err());
        return Some(KeysPlace::File(jwks.into()));
    }
    match jwks.parse() {
        Ok(uri) if is_secure(jwks) => Some(KeysPlace::Address { uri, secret }),
        _ => {
            wrong.push("`jwks` must be a file or an `https` address".to_owned());
            None
        }
    }
}

fn algorithms(names: &[String], wrong: &mut Vec<String>) -> Vec<Algorithm> {
    if names.is_empty() {
        wrong.push("`algorithms` is empty; no token could be believed".to_owned());
    }
    let mut known = Vec::new();
    for name in names {
        match Algorithm::of_name(name) {
            Some(algorithm) => known.push(algorithm),
            None => {
                let all = Algorithm::ALL.map(|(_, name)| name).join(", ");
                wrong.push(format!("`{name}` is no algorithm that is taken; there are {all}"));
            }
        }
    }
    known
}

/// The identity provider of people, if one is named.
fn people(read: &mut Reader<'_>) -> Option<OidcOptions> {
    let issuer = read.text("access.oidc.issuer");
    let roles = roles(read);
    let public_url = read.text("alerts.public_url").trim_end_matches('/').to_owned();
    let client_secret =
        Some(read.text("access.oidc.client_secret")).filter(|name| !name.is_empty());
    let mut wrong = Vec::new();
    let algorithms = algorithms(&read.list("access.oidc.algorithms"), &mut wrong);
    wrong.iter().for_each(|why| read.mistake("access.oidc.algorithms", why));
    let options = OidcOptions {
        issuer,
        client_id: read.text("access.oidc.client_id"),
        client_secret,
        scopes: read.list("access.oidc.scopes"),
        algorithms,
        name_claim: read.text("access.oidc.name_claim"),
        roles: Roles { claim: read.text("access.oidc.roles_claim"), grants: roles },
        public_url,
    };
    if options.issuer.is_empty() {
        return None;
    }
    check_people(&options, read);
    Some(options)
}

fn check_people(options: &OidcOptions, read: &mut Reader<'_>) {
    if cfg!(not(feature = "tls")) {
        read.mistake(
            "access.oidc.issuer",
            "this build checks no signatures; build it with the feature `tls`",
        );
    }
    if !is_secure(&options.issuer) {
        read.mistake("access.oidc.issuer", "it must be an `https` address");
    }
    if !is_secure(&options.public_url) {
        read.mistake(
            "alerts.public_url",
            "people who log in come back to it: it must be the `https` address of the console",
        );
    }
    if options.client_id.is_empty() {
        read.mistake("access.oidc.client_id", "it must be the name that the provider gave to us");
    }
    if !options.scopes.iter().any(|scope| scope == "openid") {
        read.mistake("access.oidc.scopes", "`openid` must be among them");
    }
    if options.roles.grants.is_empty() {
        read.mistake(
            "access.oidc.issuer",
            "nobody could do anything: name at least one role in `[access.oidc.roles]`",
        );
    }
    for key in ["access.oidc.name_claim", "access.oidc.roles_claim"] {
        if read.text(key).is_empty() {
            read.mistake(key, "it must be a claim");
        }
    }
}

fn roles(read: &mut Reader<'_>) -> BTreeMap<String, Vec<Grant>> {
    let mut roles = BTreeMap::new();
    for (key, given) in read.lists_of(ROLES) {
        let Some(given) = given else {
            read.mistake(&key, "it must be a list of scopes, as in [\"read:data\", \"act\"]");
            continue;
        };
        let mut grants = Vec::new();
        for text in given {
            match text.parse() {
                Ok(grant) => grants.push(grant),
                Err(why) => read.mistake(&key, &format!("{why}")),
            }
        }
        roles.insert(key[ROLES.len() + 1..].to_owned(), grants);
    }
    roles
}

/// With TLS, or on this machine.
fn is_secure(address: &str) -> bool {
    let https = Url::parse(address).is_ok_and(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && is_plain && url.query().is_none() && url.fragment().is_none()
    });
    https || is_loopback(address)
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::super::{Config, Layers};
    use std::path::Path;

    const PEOPLE: &str = "
        [alerts]\npublic_url = 'https://amends.example/'
        [access.oidc]\nissuer = 'https://id.example'\nclient_id = 'amends'\nclient_secret = 'oidc'
        [access.oidc.roles]\noperators = ['read:data', 'act']\n'ann@shop.example' = ['admin']
        [secrets]\noidc = { env = 'PATH', hosts = ['id.example'] }
    ";

    const CLUSTER: &str = "
        [access.jwt.kubernetes]
        issuer = 'https://kubernetes.default.svc.cluster.local'
        audience = 'amends'
        jwks = 'https://kubernetes.default.svc/openid/v1/jwks'
        grants = [{ claim = 'sub', is = 'system:serviceaccount:shop:*', grants = ['report:{*}'] }]
    ";

    fn config(text: &str) -> Result<Config, String> {
        let mut layers = Layers::defaults();
        layers.file(Path::new("a.toml"), text).map_err(|e| e.to_string())?;
        Config::from_layers(&layers).map_err(|e| e.to_string())
    }

    #[test]
    fn nobody_is_believed_unless_the_configuration_says_so() {
        let config = Config::defaults();
        assert!(config.identity.issuers.is_empty() && config.identity.people.is_none());
    }

    #[test]
    fn people_and_services_are_believed_by_the_word_of_whom_it_names() {
        let config = config(&format!("{PEOPLE}{CLUSTER}")).expect("a configuration");
        let people = config.identity.people.expect("a provider");
        assert_eq!(people.public_url, "https://amends.example");
        assert_eq!(people.roles.grants.len(), 2);
        let [cluster] = &config.identity.issuers[..] else { panic!("one issuer") };
        assert_eq!(
            (cluster.name.as_str(), &cluster.audiences[..]),
            ("kubernetes", &["amends".to_owned()][..])
        );
        assert_eq!(cluster.algorithms.len(), super::COMMON.len());
    }

    #[test]
    fn what_would_believe_anybody_is_a_mistake() {
        for (of, from, to, told) in [
            (PEOPLE, "'https://id.example'", "'http://id.example'", "access.oidc.issuer"),
            (PEOPLE, "'https://id.example'", "'https://id.example?a=b'", "access.oidc.issuer"),
            (PEOPLE, "'https://id.example'", "'https://ann:pw@id.example'", "access.oidc.issuer"),
            (PEOPLE, "'https://amends.example/'", "'http://amends.example'", "alerts.public_url"),
            (PEOPLE, "'https://amends.example/'", "''", "alerts.public_url"),
            (PEOPLE, "client_id = 'amends'", "", "access.oidc.client_id"),
            (PEOPLE, "client_id = 'amends'", "client_id = 'a'\nalgorithms = ['HS256']", "HS256"),
            (PEOPLE, "client_id = 'amends'", "client_id = 'a'\nalgorithms = ['none']", "`none`"),
            (PEOPLE, "client_id = 'amends'", "client_id = 'a'\nscopes = ['email']", "openid"),
            (PEOPLE, "'read:data', 'act'", "'everything'", "access.oidc.roles.operators"),
            (PEOPLE, "= ['admin']", "= 'admin'", "list of scopes"),
            (CLUSTER, "audience = 'amends'", "audience = []", "audience"),
            (CLUSTER, "audience = 'amends'", "audience = ''", "audience"),
            (CLUSTER, "audience = 'amends'", "", "audience"),
            (CLUSTER, "jwks = 'https:", "jwks = 'http:", "jwks"),
            (
                CLUSTER,
                "jwks = 'https://kubernetes.default.svc/openid/v1/jwks'",
                "jwks = '/nowhere'",
                "/nowhere",
            ),
            (CLUSTER, "audience = 'amends'", "audience = 'amends'\nalgorithms = []", "algorithms"),
            (
                CLUSTER,
                "audience = 'amends'",
                "audience = 'amends'\nalgorithms = ['HS512']",
                "HS512",
            ),
            (CLUSTER, "audience = 'amends'", "audience = 'amends'\naudiences = 'x'", "audiences"),
            (CLUSTER, "'system:serviceaccount:shop:*'", "'*'", "everybody"),
        ] {
            let text = of.replace(from, to);
            assert_ne!(text, of, "{from}");
            let why = config(&text).expect_err(to);
            assert!(why.contains(told), "{to}: {why}");
        }
    }

    #[test]
    fn two_names_for_one_issuer_are_a_mistake() {
        let twice = format!("{CLUSTER}{}", CLUSTER.replace("jwt.kubernetes", "jwt.other"));
        assert!(config(&twice).is_err_and(|why| why.contains("another name")));
    }
}
