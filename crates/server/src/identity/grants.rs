//! What a claim grants: the rules for services, whose names may be part of a claim, and the roles of people.

use super::token::Claims;
use amends_api::access::Grant;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in a grant in place of the part of a claim that `*` stood for.
const PART: &str = "{*}";

/// Who has a claim, has grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantRule {
    claim: String,
    is: String,
    grants: Vec<String>,
}

/// Which claim tells a person's roles, and what each role may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) claim: String,
    pub(crate) grants: BTreeMap<String, Vec<Grant>>,
}

impl GrantRule {
    /// A rule of the configuration.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn new(claim: &str, is: &str, grants: &[String]) -> Result<Self, String> {
        if claim.is_empty() || is.is_empty() || grants.is_empty() {
            return Err("`claim`, `is` and `grants` must all be given".to_owned());
        }
        if is.matches('*').count() > 1 {
            return Err(format!("`{is}` has more than one `*`"));
        }
        if is == "*" {
            return Err("`*` alone is everybody; say what the claim begins or ends with".to_owned());
        }
        for grant in grants {
            if grant.contains(PART) && !is.contains('*') {
                return Err(format!("`{grant}` takes a part of the claim, and `{is}` has no `*`"));
            }
            // Any name will do for a look at the rest of it.
            grant.replace(PART, "a").parse::<Grant>().map_err(|why| why.to_string())?;
        }
        let (claim, is) = (claim.to_owned(), is.to_owned());
        Ok(Self { claim, is, grants: grants.to_vec() })
    }

    /// What it grants to whoever claims this.
    fn grants(&self, claims: &Claims) -> Vec<Grant> {
        let Some(value) = claims.get(&self.claim) else { return Vec::new() };
        texts(value)
            .filter_map(|text| self.matched(text))
            .flat_map(|part| self.with(part))
            .collect()
    }

    /// The part of a text that `*` stands for; empty if there is none.
    fn matched<'v>(&self, text: &'v str) -> Option<&'v str> {
        let Some((before, after)) = self.is.split_once('*') else {
            return (text == self.is).then_some("");
        };
        let part = text.strip_prefix(before)?.strip_suffix(after)?;
        is_name(part).then_some(part)
    }

    fn with(&self, part: &str) -> Vec<Grant> {
        self.grants.iter().filter_map(|grant| grant.replace(PART, part).parse().ok()).collect()
    }
}

/// What all rules grant together.
pub(super) fn by_rules(rules: &[GrantRule], claims: &Claims) -> Vec<Grant> {
    let mut all: Vec<Grant> = Vec::new();
    for grant in rules.iter().flat_map(|rule| rule.grants(claims)) {
        if !all.contains(&grant) {
            all.push(grant);
        }
    }
    all
}

impl Roles {
    /// What somebody's roles grant together; nothing without a role that is known.
    pub(super) fn of(&self, claims: &Claims) -> Vec<Grant> {
        let Some(value) = claims.get(&self.claim) else { return Vec::new() };
        let mut all: Vec<Grant> = Vec::new();
        for grant in texts(value).filter_map(|role| self.grants.get(role)).flatten() {
            if !all.contains(grant) {
                all.push(grant.clone());
            }
        }
        all
    }
}

/// The texts of a claim that is a text or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    all.iter().filter_map(Value::as_str)
}

/// A part of a claim becomes part of a grant: nothing in it may mean more than itself (`*`, `@`, `,`).
fn is_name(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && part.len() <= 128 && part.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(grants: Vec<Grant>) -> Vec<String> {
        grants.iter().map(ToString::to_string).collect()
    }

    fn of_pod(rule: &GrantRule, subject: &str) -> Vec<String> {
        let claims = Claims::made_up(json!({ "sub": subject, "groups": ["ops", "shop"] }));
        shown(by_rules(std::slice::from_ref(rule), &claims))
    }

    #[test]
    fn a_service_account_is_the_service_of_its_name() {
        let pods = "system:serviceaccount:shop:*";
        let rule = GrantRule::new("sub", pods, &["report:{*}".to_owned()]).expect("a rule");
        assert_eq!(of_pod(&rule, "system:serviceaccount:shop:payment"), ["report:payment"]);
        // Neither another namespace, nor a name that would mean more than itself.
        for subject in [
            "system:serviceaccount:other:payment",
            "system:serviceaccount:shop:*",
            "system:serviceaccount:shop:payment,order",
            "system:serviceaccount:shop:payment@other",
            "system:serviceaccount:shop:",
            "system:serviceaccount:shop:a:b",
            "x-system:serviceaccount:shop:payment",
        ] {
            assert!(of_pod(&rule, subject).is_empty(), "{subject}");
        }
    }

    #[test]
    fn a_claim_that_is_a_list_has_each_of_its_texts() {
        let rule = GrantRule::new("groups", "ops", &["act".to_owned()]).expect("a rule");
        assert_eq!(of_pod(&rule, "anybody"), ["act"]);
        let other = GrantRule::new("groups", "op", &["act".to_owned()]).expect("a rule");
        assert!(of_pod(&other, "anybody").is_empty(), "the whole text counts");
    }

    #[test]
    fn a_rule_that_would_grant_to_everybody_is_no_rule() {
        let act = ["act".to_owned()];
        for (claim, is, grants) in [
            ("sub", "*", &act[..]),
            ("sub", "a*b*c", &act[..]),
            ("sub", "", &act[..]),
            ("", "a", &act[..]),
            ("sub", "a", &[][..]),
            ("sub", "a", &["report:{*}".to_owned()][..]),
            ("sub", "a", &["nonsense".to_owned()][..]),
        ] {
            assert!(GrantRule::new(claim, is, grants).is_err(), "{claim} {is} {grants:?}");
        }
    }

    #[test]
    fn a_role_that_nobody_declared_grants_nothing() {
        let act: Grant = "act".parse().expect("a grant");
        let grants = BTreeMap::from([("operator".to_owned(), vec![act])]);
        let roles = Roles { claim: "/realm_access/roles".to_owned(), grants };
        let of = |claims: Value| shown(roles.of(&Claims::made_up(claims)));
        assert_eq!(of(json!({ "realm_access": { "roles": ["x", "operator"] } })), ["act"]);
        assert_eq!(of(json!({ "realm_access": { "roles": "operator" } })), ["act"]);
        for claims in [
            json!({}),
            json!({ "realm_access": { "roles": ["admin", "Operator", "operator "] } }),
            json!({ "realm_access": { "roles": { "operator": true } } }),
            json!({ "/realm_access/roles": ["operator"] }),
        ] {
            assert!(of(claims.clone()).is_empty(), "{claims}");
        }
    }
}
