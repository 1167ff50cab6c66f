//! Services that show a JWT of an issuer which the configuration knows, as Kubernetes gives them to its pods: no secret
//! has to be handed out. Who may do what comes from the token's claims.

use super::algorithm::Algorithm;
use super::grants::{GrantRule, by_rules};
use super::key_source::{KeySource, KeysPlace};
use super::refused::Refused;
use super::token::{Claims, Expected, NAME_LIMIT, Purpose, Unverified};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::WebClient;
use amends_api::access::{Principal, PrincipalKind};
use amends_protocol::Timestamp;

/// An issuer of tokens for services.
#[derive(Clone, Debug)]
pub(crate) struct JwtIssuer {
    /// Its name in the configuration: what the names of its services begin with.
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: KeysPlace,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) rules: Vec<GrantRule>,
}

/// All issuers, with their keys.
pub(crate) struct Machines {
    issuers: Vec<(JwtIssuer, KeySource)>,
}

impl Machines {
    /// Asks nobody yet.
    pub(crate) fn new(issuers: &[JwtIssuer], client: &WebClient) -> Self {
        let with_keys = |issuer: &JwtIssuer| {
            (issuer.clone(), KeySource::new(issuer.keys.clone(), client.clone()))
        };
        Self { issuers: issuers.iter().map(with_keys).collect() }
    }

    /// Whether any issuer is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Who shows this token, and until when it holds.
    ///
    /// # Errors
    /// It is not believed.
    pub(crate) async fn principal(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<(Principal, Option<Timestamp>), Refused> {
        let token = Unverified::read(token)?;
        let said = token.said_issuer().ok_or(Refused::Claim("iss"))?;
        let known = self.issuers.iter().find(|(issuer, _)| issuer.issuer == said);
        let (issuer, source) = known.ok_or(Refused::UnknownIssuer)?;
        let keys = source.for_token(token.seal(), SystemClock.monotonic()).await?;
        let claims = token.verified(&keys, &issuer.algorithms)?;
        issuer.judge(&claims, now)
    }
}

impl JwtIssuer {
    /// Who claims this.
    fn judge(
        &self,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<(Principal, Option<Timestamp>), Refused> {
        let expected =
            Expected { purpose: Purpose::Access, issuer: &self.issuer, audiences: &self.audiences };
        claims.check(expected, now)?;
        let name = format!("service:{}/{}", self.name, claims.subject()?);
        if name.len() > NAME_LIMIT || name.contains(|c: char| c.is_control()) {
            return Err(Refused::Claim("sub"));
        }
        let grants = by_rules(&self.rules, claims);
        let principal = Principal { name, kind: PrincipalKind::Service, grants };
        Ok((principal, claims.expires().map(|seconds| Timestamp(seconds.saturating_mul(1_000)))))
    }
}
