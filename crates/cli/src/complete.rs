//! What a shell offers for ids and names: those that the running supervisor has. Quick, and silent where it can't be
//! asked: nobody wants to wait for a key, or to read an error in the middle of a command line.

use crate::client::{Client, Query};
use crate::connection::{Connection, contexts};
use crate::failure::Outcome;
use crate::output::as_people_see_it;
use crate::target::token::TokenSource;
use amends_api::access::{SessionView, TokenView};
use amends_api::{
    BulkView, CaseSummary, ErasureView, GroupView, Page, QuarantineView, QuestionView,
    RejectedView, RulebookView, ServiceView, StepView,
};
use clap_complete::CompletionCandidate;
use std::ffi::OsStr;
use std::time::Duration;

/// Longest time between a key and its answer.
const LIMIT: Duration = Duration::from_millis(800);
/// Offered at most; more are no help.
const OFFERED: &str = "100";

/// Case ids, newest first; sagas where something else has been begun.
pub fn cases(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy().into_owned();
    ask(async |client| {
        let mut query = newest();
        if !"c-".starts_with(&*begun) && !begun.starts_with("c-") {
            query.push("q", &begun);
            let page: Page<CaseSummary> =
                client.get(&format!("/v1/cases{}", query.as_str())).await?;
            return Ok(offered(&begun, page.items, |case| {
                (case.saga_id.to_string(), case.sentence)
            }));
        }
        let page: Page<CaseSummary> = client.get(&format!("/v1/cases{}", query.as_str())).await?;
        Ok(offered(&begun, page.items, |case| (case.id.to_string(), case.sentence)))
    })
}

/// Steps that a person may want to act on, and their cases.
pub fn steps(begun: &OsStr) -> Vec<CompletionCandidate> {
    let step = list(begun, |client, query| async move {
        let path = format!("/v1/steps{}&state=stuck,due,shadow", query.as_str());
        let page: Page<StepView> = client.get(&path).await?;
        let named =
            |step: StepView| (step.id.to_string(), format!("{} {}", step.verb, step.action));
        Ok(page.items.into_iter().map(named).collect())
    });
    if step.is_empty() { cases(begun) } else { step }
}

/// Names of services.
pub fn services(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<ServiceView> = client.get("/v1/services").await?;
        Ok(all.into_iter().map(|one| (one.name, one.rulebook)).collect())
    })
}

/// Names of rulebooks.
pub fn rulebooks(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<RulebookView> = client.get("/v1/rulebooks").await?;
        let active = all.into_iter().filter(|book| book.active);
        Ok(active.map(|book| (book.name, format!("{} rules", book.rules))).collect())
    })
}

/// Ids of open questions.
pub fn questions(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, query| async move {
        let path = format!("/v1/questions{}", query.as_str());
        let page: Page<QuestionView> = client.get(&path).await?;
        Ok(page.items.into_iter().map(|one| (one.id.to_string(), one.sentence)).collect())
    })
}

/// Ids of groups of open work.
pub fn groups(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<GroupView> = client.get("/v1/groups").await?;
        Ok(all.into_iter().map(|group| (group.id, group.title)).collect())
    })
}

/// Ids of bulk acts.
pub fn bulk(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<BulkView> = client.get("/v1/bulk").await?;
        let named = |one: BulkView| Some((one.id?, format!("{} {}", one.act, one.reason)));
        Ok(all.into_iter().filter_map(named).collect())
    })
}

/// Names of contexts, which the person's own file has.
pub fn contexts_of_file(begun: &OsStr) -> Vec<CompletionCandidate> {
    let all = contexts().unwrap_or_default().contexts;
    offered(&begun.to_string_lossy(), all.into_iter().collect(), |(name, one)| (name, one.url))
}

/// Ids of tokens.
pub fn tokens(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<TokenView> = client.get("/v1/tokens").await?;
        Ok(all.into_iter().map(|one| (one.id, one.name)).collect())
    })
}

/// Ids of sessions.
pub fn sessions(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: Vec<SessionView> = client.get("/v1/sessions").await?;
        Ok(all.into_iter().map(|one| (one.id, one.name)).collect())
    })
}

/// Erasures, newest first.
pub fn erasures(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let page: Page<ErasureView> = client.get("/v1/erasures").await?;
        Ok(page.items.into_iter().map(|one| (one.id, one.reason)).collect())
    })
}

/// Cases in quarantine.
pub fn quarantined(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, _| async move {
        let all: QuarantineView = client.get("/v1/quarantine").await?;
        let named = all.cases.into_iter().map(|one| (one.case_id.to_string(), one.broken.why));
        Ok(named.collect())
    })
}

/// Ids of rejected messages.
pub fn rejected(begun: &OsStr) -> Vec<CompletionCandidate> {
    list(begun, |client, query| async move {
        let path = format!("/v1/reports/rejected{}", query.as_str());
        let page: Page<RejectedView> = client.get(&path).await?;
        Ok(page.items.into_iter().map(|one| (one.id.to_string(), one.detail)).collect())
    })
}

fn newest() -> Query {
    let mut query = Query::default();
    query.push("limit", OFFERED);
    query
}

/// Names with what they are, asked for with a query that bounds their number.
fn list<F: Future<Output = Outcome<Vec<(String, String)>>>>(
    begun: &OsStr,
    read: impl Fn(Client, Query) -> F,
) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy().into_owned();
    ask(async |client| Ok(offered(&begun, read(client, newest()).await?, |named| named)))
}

fn offered<T>(
    begun: &str,
    all: Vec<T>,
    named: impl Fn(T) -> (String, String),
) -> Vec<CompletionCandidate> {
    let fitting = all.into_iter().map(named).filter(|(name, _)| name.starts_with(begun));
    let offer = |(name, what): (String, String)| {
        CompletionCandidate::new(as_people_see_it(&name)).help(Some(as_people_see_it(&what).into()))
    };
    fitting.map(offer).collect()
}

/// Asks the supervisor that the command line, or else the environment, names.
fn ask(
    what: impl AsyncFnOnce(Client) -> Outcome<Vec<CompletionCandidate>>,
) -> Vec<CompletionCandidate> {
    let asked = async {
        let mut target = Connection::begun(std::env::args()).target()?;
        // A key must not open a password manager.
        target.token =
            target.token.filter(|(source, _)| !matches!(source, TokenSource::Command(_)));
        let client = Client::new(&target, None)?;
        match tokio::time::timeout(LIMIT, what(client)).await {
            Ok(found) => found,
            Err(_) => Ok(Vec::new()),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.ok().and_then(|runtime| runtime.block_on(asked).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_is_offered() {
        let all =
            vec![("payment".to_owned(), "a\nb".to_owned()), ("sms".to_owned(), String::new())];
        let found = offered("pay", all, |named| named);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get_value(), "payment");
    }
}
