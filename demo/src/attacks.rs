//! The end of a run with `--secure`: what must not succeed is tried, and how it was answered is told. It harms nobody:
//! all of it is refused, or the run has failed.

use crate::cases::Cases;
use crate::client::{Answer, Client, NoAnswer};
use crate::secured::{CUSTOMER, STRANGER, Secured};
use crate::serving;
use crate::shop::Shop;
use crate::tls::acceptor;
use amends_protocol::REPORT_TYPE;
use amends_service::Certificates;
use anyhow::{Context, ensure};
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Time for one.
const LIMIT: Duration = Duration::from_secs(10);

/// Something that must not succeed, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attack {
    /// What was tried.
    pub what: String,
    /// Whether it was refused as it has to be.
    pub refused: bool,
    /// How it was answered.
    pub answer: String,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.refused { "refused" } else { "NOT REFUSED" };
        write!(f, "{word}: {} ({})", self.what, self.answer)
    }
}

/// How something has to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// By this answer.
    Status(u16),
    /// There is none: whoever asks is not heard, or doesn't ask.
    NoAnswer,
}

impl Attack {
    fn judged(what: String, refusal: Refusal, came: Result<Answer, NoAnswer>) -> Self {
        let refused = match (&came, refusal) {
            (Ok(answer), Refusal::Status(status)) => answer.status.as_u16() == status,
            (Err(_), Refusal::NoAnswer) => true,
            (Ok(_), Refusal::NoAnswer) | (Err(_), Refusal::Status(_)) => false,
        };
        let answer = match came {
            Ok(answer) => match answer.body["detail"].as_str() {
                Some(detail) => format!("{}: {detail}", answer.status.as_u16()),
                None => answer.status.to_string(),
            },
            Err(none) => none.to_string(),
        };
        Self { what, refused, answer }
    }

    /// What to say of one that was not refused.
    pub(crate) fn told_if_it_got_through(&self) -> Option<String> {
        (!self.refused).then(|| format!("an attack was {self}"))
    }
}

/// Tries everything against a shop whose run is over.
///
/// # Errors
/// When nothing can be tried, or what is right isn't answered: then a refusal would prove nothing.
pub(crate) async fn try_all(shop: &Shop, cases: &Cases) -> anyhow::Result<Vec<Attack>> {
    let Some(secured) = shop.secured() else { return Ok(Vec::new()) };
    let mut names = shop.business().names();
    let (Some(owner), Some(other)) = (names.next(), names.next()) else { return Ok(Vec::new()) };
    let steps = cases.0.iter().flat_map(|case| &case.plan);
    let step = steps
        .map(|step| (step.id.to_string(), step.action.service.to_string()))
        .find(|(_, service)| service != other);
    let field = Field {
        supervisor: shop.supervisors().url(),
        service: shop.service(owner)?.url(),
        owner,
        other,
        step,
        secured,
    };
    field.control().await?;
    let mut attacks = field.by_token().await?;
    attacks.extend(field.by_certificate().await?);
    Ok(attacks)
}

/// What is attacked.
struct Field<'s> {
    supervisor: String,
    /// The address of `owner`.
    service: String,
    owner: &'static str,
    /// Another service, whose token is misused.
    other: &'static str,
    /// A step, and its service, which is not the other one.
    step: Option<(String, String)>,
    secured: &'s Secured,
}

impl Field<'_> {
    /// That both answer whoever is right.
    async fn control(&self) -> anyhow::Result<()> {
        let reader = self.customer()?.with_token(&self.secured.token(CUSTOMER)?)?;
        for url in [format!("{}/v1/overview", self.supervisor), format!("{}/healthz", self.service)]
        {
            let answer = reader.get(&url, LIMIT).await.context("nobody is there to be attacked")?;
            ensure!(
                answer.status.is_success(),
                "`{url}` answers even what is right with {}",
                answer.status
            );
        }
        Ok(())
    }

    /// With a certificate that is believed, and a token that is wrong for it.
    async fn by_token(&self) -> anyhow::Result<Vec<Attack>> {
        let nobody = self.customer()?;
        let with = |token: &str| nobody.clone().with_token(token);
        let thief = with(&self.secured.token(self.other)?)?;
        let reader = with(&self.secured.token(CUSTOMER)?)?;
        let (supervisor, owner, other) = (&self.supervisor, self.owner, self.other);
        let mut attacks = vec![
            Attack::judged(
                format!("a report of `{owner}` without a token"),
                Refusal::Status(401),
                self.report(&nobody, supervisor).await,
            ),
            Attack::judged(
                format!("a report of `{owner}` with a token that nobody gave out"),
                Refusal::Status(401),
                self.report(&with(&"0".repeat(64))?, supervisor).await,
            ),
            Attack::judged(
                format!("a report of `{owner}` with the token of `{other}`"),
                Refusal::Status(403),
                self.report(&thief, supervisor).await,
            ),
            Attack::judged(
                format!("a look at the cases with the token of `{other}`"),
                Refusal::Status(403),
                thief.get(&format!("{supervisor}/v1/cases"), LIMIT).await,
            ),
            Attack::judged(
                format!("a pause of `{owner}` with a token that only reads"),
                Refusal::Status(403),
                self.pause(&reader).await,
            ),
        ];
        if let Some((step, service)) = &self.step {
            let url = format!("{supervisor}/v1/steps/{step}/outcome");
            let said = thief.post(&url, &[], &json!({"outcome": "compensated"}), LIMIT).await;
            let what = format!("the outcome of a step of `{service}` with the token of `{other}`");
            attacks.push(Attack::judged(what, Refusal::Status(403), said));
        }
        Ok(attacks)
    }

    /// Without the certificate that whoever comes must show, or with another authority's.
    async fn by_certificate(&self) -> anyhow::Result<Vec<Attack>> {
        let authorities = Some(self.secured.authority());
        let own = self.secured.certificates(STRANGER).own;
        let unknown = Certificates { authorities: authorities.clone(), own: None };
        let unknown = Client::with_certificates(&unknown)?;
        let stranger = Client::with_certificates(&Certificates { authorities, own })?;
        let stranger = stranger.with_token(&self.secured.token(self.owner)?)?;
        let plain = Client::default().with_token(&self.secured.token(self.owner)?)?;
        let in_clear = |url: &str| url.replacen("https://", "http://", 1);
        let (supervisor, owner) = (&self.supervisor, self.owner);
        Ok(vec![
            Attack::judged(
                format!("a report with the token of `{owner}` and another authority's certificate"),
                Refusal::NoAnswer,
                self.report(&stranger, supervisor).await,
            ),
            Attack::judged(
                format!("a report of `{owner}` in clear text"),
                Refusal::Status(400),
                self.report(&plain, &in_clear(supervisor)).await,
            ),
            Attack::judged(
                format!("a compensation asked of `{owner}` without a certificate"),
                Refusal::NoAnswer,
                self.compensate(&unknown, &self.service).await,
            ),
            Attack::judged(
                format!("a compensation asked of `{owner}` with another authority's certificate"),
                Refusal::NoAnswer,
                self.compensate(&stranger, &self.service).await,
            ),
            Attack::judged(
                format!("a compensation asked of `{owner}` in clear text"),
                Refusal::NoAnswer,
                self.compensate(&plain, &in_clear(&self.service)).await,
            ),
            self.impostor().await?,
        ])
    }

    /// Somebody in the place of the supervisor, with another authority's certificate: whoever comes to it turns back.
    async fn impostor(&self) -> anyhow::Result<Attack> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for an impostor")?;
        let url = format!("https://{}", listener.local_addr()?);
        let (_stop, stopped) = watch::channel(false);
        let takes_all = |_: Request<Incoming>| async {
            let mut taken = Response::new(Body::empty());
            *taken.status_mut() = http::StatusCode::ACCEPTED;
            Ok::<_, Infallible>(taken)
        };
        let tls = acceptor(self.secured, STRANGER)?;
        tokio::spawn(serving::serve(listener, Some(tls), takes_all, stopped));
        let owner = Client::with_certificates(&self.secured.certificates(self.owner))?;
        let owner = owner.with_token(&self.secured.token(self.owner)?)?;
        Ok(Attack::judged(
            "an impostor in the place of the supervisor, with another authority's certificate"
                .to_owned(),
            Refusal::NoAnswer,
            self.report(&owner, &url).await,
        ))
    }

    fn customer(&self) -> anyhow::Result<Client> {
        Client::with_certificates(&self.secured.certificates(CUSTOMER))
    }

    async fn report(&self, as_whom: &Client, supervisor: &str) -> Result<Answer, NoAnswer> {
        let envelope = [
            ("ce-specversion", "1.0"),
            ("ce-type", REPORT_TYPE),
            ("ce-source", self.owner),
            ("ce-id", "attack"),
            ("ce-subject", "attack"),
        ];
        let url = format!("{supervisor}/v1/reports");
        as_whom.post(&url, &envelope, &json!({"code": "attack"}), LIMIT).await
    }

    async fn pause(&self, as_whom: &Client) -> Result<Answer, NoAnswer> {
        let url = format!("{}/v1/services/{}/pause", self.supervisor, self.owner);
        as_whom.post(&url, &[], &json!({"reason": "attack"}), LIMIT).await
    }

    async fn compensate(&self, as_whom: &Client, service: &str) -> Result<Answer, NoAnswer> {
        let url = format!("{service}/amends/v1/compensate/attack");
        as_whom.post(&url, &[("saga-id", "attack")], &json!({}), LIMIT).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::food::FOOD_ORDER;
    use http::{HeaderMap, StatusCode};
    use serde_json::Value;

    fn is_refused(refusal: Refusal, came: Result<u16, ()>) -> bool {
        let answer = |status| Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Value::Null,
        };
        let came = came.map(answer).map_err(|()| NoAnswer::Lost("closed".to_owned()));
        Attack::judged(String::new(), refusal, came).refused
    }

    #[test]
    fn only_the_refusal_that_is_due_counts_as_one() {
        assert!(is_refused(Refusal::Status(403), Ok(403)));
        assert!(is_refused(Refusal::NoAnswer, Err(())));
        for other in [Ok(202), Ok(401), Ok(503), Err(())] {
            assert!(!is_refused(Refusal::Status(403), other), "{other:?}");
        }
        assert!(!is_refused(Refusal::NoAnswer, Ok(403)), "it was heard");
    }

    #[tokio::test]
    async fn where_everybody_is_let_in_every_attack_gets_through_and_is_told() {
        let run = tempfile::tempdir().expect("a folder");
        let secured = Secured::make(run.path(), &FOOD_ORDER).expect("made");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let open = format!("http://{}", listener.local_addr().expect("bound"));
        let (_stop, stopped) = watch::channel(false);
        let takes_all =
            |_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(Body::empty())) };
        tokio::spawn(serving::serve(listener, None, takes_all, stopped));
        let field = Field {
            supervisor: open.clone(),
            service: open,
            owner: "order",
            other: "payment",
            step: Some(("s-1".to_owned(), "order".to_owned())),
            secured: &secured,
        };
        field.control().await.expect("somebody answers");
        let mut attacks = field.by_token().await.expect("tried");
        attacks.extend(field.by_certificate().await.expect("tried"));
        assert_eq!(attacks.len(), 12);
        let (impostor, others) = attacks.split_last().expect("some");
        assert!(impostor.refused, "nobody fell for it: {impostor}");
        for attack in others {
            let told = attack.told_if_it_got_through().expect("not refused");
            assert!(told.contains("NOT REFUSED") && told.contains(&attack.what), "{told}");
        }
    }

    #[tokio::test]
    async fn where_nobody_is_nothing_is_proved() {
        let run = tempfile::tempdir().expect("a folder");
        let secured = Secured::make(run.path(), &FOOD_ORDER).expect("made");
        let nobody = "http://127.0.0.1:9".to_owned();
        let field = Field {
            supervisor: nobody.clone(),
            service: nobody,
            owner: "order",
            other: "payment",
            step: None,
            secured: &secured,
        };
        field.control().await.expect_err("nobody answers");
    }
}
