//! Which case is meant: people know it by its own id, or by the saga's.

use crate::client::{Client, Query};
use crate::failure::{Failure, Outcome};
use amends_api::{CaseSummary, Page};
use amends_protocol::{CaseId, Problem, ProblemCode, SagaId};
use std::str::FromStr;

/// A case as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichCase {
    Case(CaseId),
    Saga(SagaId),
}

impl FromStr for WhichCase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A saga that is called like a case is found by `cases list --saga`.
        if let Ok(case) = text.parse() {
            return Ok(Self::Case(case));
        }
        let saga = text.parse().map(Self::Saga);
        saga.map_err(|why| format!("`{text}` is neither a case id (`c-17`) nor a saga id: {why}"))
    }
}

impl WhichCase {
    /// The case's id; of a saga, the supervisor is asked.
    pub async fn id(&self, client: &Client) -> Outcome<CaseId> {
        let saga = match self {
            Self::Case(case) => return Ok(*case),
            Self::Saga(saga) => saga,
        };
        let mut query = Query::default();
        query.push("saga", saga.as_str());
        let found: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        found.items.first().map(|case| case.id).ok_or_else(|| {
            let detail = format!("there is no case of saga `{saga}`");
            Failure::Problem(Box::new(Problem::new(ProblemCode::NotFound, detail)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_its_id_or_by_its_saga() {
        assert_eq!("c-17".parse(), Ok(WhichCase::Case(CaseId(17))));
        let saga = SagaId::new("order-4711").expect("valid");
        assert_eq!("order-4711".parse(), Ok(WhichCase::Saga(saga)));
        let wrong = "two words".parse::<WhichCase>().expect_err("no saga id has blanks");
        assert!(wrong.contains("`c-17`") && wrong.contains("two words"), "{wrong}");
    }
}
