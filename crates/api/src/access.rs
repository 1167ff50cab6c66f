//! Who may do what: scopes, grants, and the one function that judges. Denied is whatever is not granted.

use amends_protocol::{Timestamp, is_opaque_name, words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Most grants of one principal, and services of one `report:` scope: more than anybody needs, few enough to read.
pub const GRANTS_LIMIT: usize = 64;

/// What somebody is allowed, in words as people write them: `report:payment`, `read:data`, `act@food-order`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reports, sagas and late outcomes of these services: `report:payment,coupon`, or of all: `report:*`.
    Report(Reporters),
    /// Everything but business data.
    Read,
    /// Everything, business data included.
    ReadData,
    /// Acts on cases, steps, questions, services and rules.
    Act,
    /// New versions of rulebooks.
    Rules,
    /// Making and revoking tokens, for no more than one holds oneself.
    Tokens,
    /// Everything, also what touches the supervisor as a whole: backups, erasing, other people's sessions.
    Admin,
}

/// The services as which somebody may report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reporters {
    /// Each.
    All,
    /// These.
    Of(BTreeSet<String>),
}

/// A scope, perhaps for one rulebook only. As text `scope` or `scope@rulebook`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// What.
    pub scope: Scope,
    /// For what of this rulebook, by name; none: for all.
    pub rulebook: Option<String>,
}

/// A text that is no grant, with what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoGrant {
    text: String,
    why: String,
}

impl fmt::Display for NoGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no grant: {}", self.text, self.why)
    }
}

impl std::error::Error for NoGrant {}

const SCOPES: &str = "write `report:SERVICE[,SERVICE…]`, `report:*`, `read`, `read:data`, `act`, `rules`, `tokens` or `admin`; after `read`, `read:data`, `act` and `rules` perhaps `@RULEBOOK`";

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "read" => Self::Read,
            "read:data" => Self::ReadData,
            "act" => Self::Act,
            "rules" => Self::Rules,
            "tokens" => Self::Tokens,
            "admin" => Self::Admin,
            "report:*" => Self::Report(Reporters::All),
            _ => {
                let services = text.strip_prefix("report:").ok_or(SCOPES)?;
                let services = services.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
                if services.len() > GRANTS_LIMIT {
                    return Err(format!("at most {GRANTS_LIMIT} services stand in one grant"));
                }
                if let Some(wrong) = services.iter().find(|name| !is_service_name(name)) {
                    return Err(format!("`{wrong}` is no name of a service; {SCOPES}"));
                }
                Self::Report(Reporters::Of(services))
            }
        })
    }
}

fn is_service_name(name: &str) -> bool {
    is_opaque_name(name) && !name.contains(['*', '@'])
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report(Reporters::All) => f.write_str("report:*"),
            Self::Report(Reporters::Of(services)) => {
                f.write_str("report:")?;
                for (n, service) in services.iter().enumerate() {
                    if n > 0 {
                        f.write_str(",")?;
                    }
                    f.write_str(service)?;
                }
                Ok(())
            }
            Self::Read => f.write_str("read"),
            Self::ReadData => f.write_str("read:data"),
            Self::Act => f.write_str("act"),
            Self::Rules => f.write_str("rules"),
            Self::Tokens => f.write_str("tokens"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

impl Grant {
    /// For everything.
    #[must_use]
    pub const fn of(scope: Scope) -> Self {
        Self { scope, rulebook: None }
    }

    /// All that there is: what whoever comes may do while access is not controlled.
    #[must_use]
    pub fn everything() -> Vec<Self> {
        vec![Self::of(Scope::Admin), Self::of(Scope::Report(Reporters::All))]
    }
}

impl FromStr for Grant {
    type Err = NoGrant;

    fn from_str(text: &str) -> Result<Self, NoGrant> {
        let wrong = |why: String| NoGrant { text: text.to_owned(), why };
        let (scope, rulebook) = match text.split_once('@') {
            None => (text, None),
            Some((scope, rulebook)) => (scope, Some(rulebook)),
        };
        let scope: Scope = scope.parse().map_err(wrong)?;
        if let Some(rulebook) = rulebook {
            let narrows =
                matches!(scope, Scope::Read | Scope::ReadData | Scope::Act | Scope::Rules);
            if !narrows {
                return Err(wrong(format!(
                    "`{scope}` is for all rulebooks; leave out `@{rulebook}`"
                )));
            }
            if !is_opaque_name(rulebook) {
                return Err(wrong(format!("`{rulebook}` is no name of a rulebook; {SCOPES}")));
            }
        }
        Ok(Self { scope, rulebook: rulebook.map(str::to_owned) })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rulebook {
            None => self.scope.fmt(f),
            Some(rulebook) => write!(f, "{}@{rulebook}", self.scope),
        }
    }
}

impl Serialize for Grant {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

words! {
    /// How somebody is known.
    PrincipalKind, "kind of principal" {
        /// Access is not controlled: whoever comes.
        Anybody = "anybody",
        /// By a token of this supervisor.
        Token = "token",
        /// A service, by a certificate or a signed token of its platform.
        Service = "service",
        /// A person who has logged in.
        Person = "person",
    }
}

/// Somebody who asks, known beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// How the audit names them: `token:deployer`, `service:payment`, `person:ann@shop.example`.
    pub name: String,
    /// How they are known.
    pub kind: PrincipalKind,
    /// What they are allowed.
    pub grants: Vec<Grant>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// To report as this service; none: as any at all.
    Report(Option<&'a str>),
    /// To see what is no business data.
    Read,
    /// To see business data.
    ReadData,
    /// To act.
    Act,
    /// To change rules.
    Rules,
    /// To make and revoke tokens.
    Tokens,
    /// To do what touches the supervisor as a whole.
    Admin,
}

/// For what somebody wants to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within<'a> {
    /// For one rulebook at least; what is done is judged again when it is known for which.
    Somewhere,
    /// For what belongs to this rulebook.
    Rulebook(&'a str),
    /// For everything.
    Everywhere,
}

/// Whether somebody may. Nothing is allowed that no grant gives.
///
/// `read:data`, `act` and `rules` include `read` of the same rulebook; `tokens` includes `read` of everything; `admin`
/// includes all but reporting.
#[must_use]
pub fn may(principal: &Principal, right: Right<'_>, within: Within<'_>) -> bool {
    principal.grants.iter().any(|grant| gives(&grant.scope, right) && reaches(grant, within))
}

fn gives(scope: &Scope, right: Right<'_>) -> bool {
    match (scope, right) {
        (Scope::Report(reporters), Right::Report(service)) => match (reporters, service) {
            (Reporters::All, _) | (_, None) => true,
            (Reporters::Of(services), Some(service)) => services.contains(service),
        },
        (Scope::Report(_), _) | (_, Right::Report(_)) => false,
        (Scope::Admin, _) => true,
        (_, Right::Read) => true,
        (Scope::ReadData, Right::ReadData)
        | (Scope::Act, Right::Act)
        | (Scope::Rules, Right::Rules)
        | (Scope::Tokens, Right::Tokens) => true,
        _ => false,
    }
}

fn reaches(grant: &Grant, within: Within<'_>) -> bool {
    match (&grant.rulebook, within) {
        (None, _) | (_, Within::Somewhere) => true,
        (Some(own), Within::Rulebook(name)) => own == name,
        (Some(_), Within::Everywhere) => false,
    }
}

impl Principal {
    /// Whoever comes, while access is not controlled.
    #[must_use]
    pub fn anybody() -> Self {
        Self {
            name: "anybody".to_owned(),
            kind: PrincipalKind::Anybody,
            grants: Grant::everything(),
        }
    }

    /// The rulebooks for which they have a right, if it is for some only.
    #[must_use]
    pub fn only_for(&self, right: Right<'_>) -> Option<BTreeSet<&str>> {
        if may(self, right, Within::Everywhere) {
            return None;
        }
        let giving = self.grants.iter().filter(|grant| gives(&grant.scope, right));
        Some(giving.filter_map(|grant| grant.rulebook.as_deref()).collect())
    }

    /// Whether they hold all that a grant would give: nobody gives away more than they have.
    #[must_use]
    pub fn covers(&self, grant: &Grant) -> bool {
        let within = grant.rulebook.as_deref().map_or(Within::Everywhere, Within::Rulebook);
        match &grant.scope {
            Scope::Report(Reporters::All) => {
                let all = Grant::of(Scope::Report(Reporters::All));
                self.grants.contains(&all) || may(self, Right::Admin, Within::Everywhere)
            }
            Scope::Report(Reporters::Of(services)) => {
                may(self, Right::Admin, Within::Everywhere)
                    || services.iter().all(|s| may(self, Right::Report(Some(s)), within))
            }
            Scope::Read => may(self, Right::Read, within),
            Scope::ReadData => may(self, Right::ReadData, within),
            Scope::Act => may(self, Right::Act, within),
            Scope::Rules => may(self, Right::Rules, within),
            Scope::Tokens => may(self, Right::Tokens, within),
            Scope::Admin => may(self, Right::Admin, within),
        }
    }
}

/// The scope that gives a right, as people write it: for the sentence that says what is missing.
#[must_use]
pub fn scope_for(right: Right<'_>) -> String {
    match right {
        Right::Report(None) => "report:SERVICE".to_owned(),
        Right::Report(Some(service)) => format!("report:{service}"),
        Right::Read => "read".to_owned(),
        Right::ReadData => "read:data".to_owned(),
        Right::Act => "act".to_owned(),
        Right::Rules => "rules".to_owned(),
        Right::Tokens => "tokens".to_owned(),
        Right::Admin => "admin".to_owned(),
    }
}

/// Body of `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenWanted {
    /// Whose it is: 1 to 64 letters, digits, `.`, `-` and `_`. The audit says `token:` and this.
    pub name: String,
    /// What it allows; at least one, each no more than one holds oneself.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub grants: Vec<Grant>,
    /// How long it works, in seconds; absent: for 90 days. At most 10 years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// Whether every use is told loudly: for the hour in which the identity provider is down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Why it is made, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A token as it is listed: all but itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenView {
    /// The middle part of its text: `amends_<id>_…`.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it allows.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub grants: Vec<Grant>,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
    /// When it stops to work.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// When it was used last, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
    /// Whether every use is told loudly.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// A new token. Its text is told this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenMade {
    /// The token itself, for `Authorization: Bearer …`.
    pub token: String,
    /// All else.
    #[serde(flatten)]
    pub view: TokenView,
}

/// Who asks, as `GET /v1/whoami` tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// How the audit names them.
    pub name: String,
    /// How they are known.
    pub kind: PrincipalKind,
    /// What they are allowed.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub grants: Vec<Grant>,
    /// When the token or the session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
}

/// A session of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Its public id.
    pub id: String,
    /// Who has logged in.
    pub name: String,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub begun_at: Timestamp,
    /// When it was used last, to the minute.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_used_at: Timestamp,
    /// When it ends whatever happens; earlier if it is not used.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ends_at: Timestamp,
    /// The address from which it was begun, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The browser, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(grants: &[&str]) -> Principal {
        let grants = grants.iter().map(|text| text.parse().expect(text)).collect();
        Principal { name: "token:test".to_owned(), kind: PrincipalKind::Token, grants }
    }

    const RIGHTS: [Right<'static>; 6] =
        [Right::Read, Right::ReadData, Right::Act, Right::Rules, Right::Tokens, Right::Admin];

    #[test]
    fn what_is_not_granted_is_denied() {
        let nobody = principal(&[]);
        for right in RIGHTS.into_iter().chain([Right::Report(None), Right::Report(Some("payment"))])
        {
            for within in [Within::Somewhere, Within::Rulebook("food"), Within::Everywhere] {
                assert!(!may(&nobody, right, within), "{right:?} {within:?}");
            }
        }
    }

    #[test]
    fn each_scope_gives_its_right_and_what_that_needs() {
        let given = |scope: &str| {
            let who = principal(&[scope]);
            let all = RIGHTS.into_iter().filter(|right| may(&who, *right, Within::Everywhere));
            all.map(scope_for).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(given("read"), "read");
        assert_eq!(given("read:data"), "read read:data");
        assert_eq!(given("act"), "read act");
        assert_eq!(given("rules"), "read rules");
        assert_eq!(given("tokens"), "read tokens");
        assert_eq!(given("admin"), "read read:data act rules tokens admin");
        assert_eq!(given("report:*"), "");
        assert_eq!(given("act@food"), "", "not for everything");
    }

    #[test]
    fn a_service_reports_as_itself_only() {
        let payment = principal(&["report:payment,coupon"]);
        assert!(may(&payment, Right::Report(Some("payment")), Within::Everywhere));
        assert!(may(&payment, Right::Report(None), Within::Somewhere));
        for other in ["order", "paymen", "payment2", "PAYMENT", "", "*"] {
            assert!(!may(&payment, Right::Report(Some(other)), Within::Everywhere), "{other}");
        }
        assert!(!may(&principal(&["admin"]), Right::Report(Some("order")), Within::Everywhere));
        assert!(may(&principal(&["report:*"]), Right::Report(Some("order")), Within::Everywhere));
    }

    #[test]
    fn a_grant_for_one_rulebook_is_for_no_other() {
        let who = principal(&["act@food", "read:data@market"]);
        assert!(may(&who, Right::Act, Within::Rulebook("food")));
        assert!(may(&who, Right::Read, Within::Rulebook("food")));
        assert!(!may(&who, Right::Act, Within::Rulebook("market")));
        assert!(!may(&who, Right::ReadData, Within::Rulebook("food")));
        assert!(!may(&who, Right::Act, Within::Rulebook("food-2")));
        assert!(!may(&who, Right::Read, Within::Everywhere));
        assert_eq!(who.only_for(Right::Read), Some(BTreeSet::from(["food", "market"])));
        assert_eq!(principal(&["read"]).only_for(Right::Read), None);
    }

    #[test]
    fn nobody_gives_away_more_than_they_have() {
        let who = principal(&["tokens", "act@food", "report:payment"]);
        let gives = |grant: &str| who.covers(&grant.parse().expect(grant));
        for own in ["tokens", "read", "read@market", "act@food", "report:payment"] {
            assert!(gives(own), "{own}");
        }
        for more in ["act", "act@market", "read:data", "report:*", "report:order", "admin", "rules"]
        {
            assert!(!gives(more), "{more}");
        }
        assert!(principal(&["admin"]).covers(&"report:order".parse().expect("a grant")));
    }

    #[test]
    fn grants_are_written_as_they_are_read() {
        for text in
            ["report:*", "report:coupon,payment", "read", "read:data@food", "act@food", "admin"]
        {
            assert_eq!(text.parse::<Grant>().expect(text).to_string(), text);
        }
        for wrong in [
            "",
            "Read",
            "report:",
            "report",
            "report:a,",
            "report:**",
            "admin@food",
            "tokens@food",
            "report:a@food",
            "act@",
            "act@a b",
            "read:",
            "write",
            "report:a b",
        ] {
            assert!(wrong.parse::<Grant>().is_err(), "{wrong}");
        }
    }
}
