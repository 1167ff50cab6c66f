//! Who can be reached: the supervisor and each service, and whether their clocks agree with this machine's.

use super::Finding;
use crate::client::{Client, read_date};
use crate::failure::Failure;
use crate::moment::{now, span};
use amends_api::{Overview, Page, QuarantineView, RejectedView, RulebookView, ServiceView};
use amends_protocol::Timestamp;
use amends_server::dispatch::Probe;
use std::time::Duration;

/// How long one of them may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Difference of clocks that nobody notices: `Date` has whole seconds, and the way takes time too.
const SAME_MS: u64 = 3_000;
/// Difference from which signatures are refused: the tolerance that libraries of Standard Webhooks use.
const REFUSED_MS: u64 = 300_000;

/// Asks all of them, the supervisor if it is known how, services by its way out. Services come from the supervisor if
/// it answers, else from the rulebook files.
pub(super) async fn look(
    client: Option<&Client>,
    of_files: Vec<(String, String)>,
    way_out: &Probe,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut services = of_files;
    if let Some(client) = client {
        found.push(supervisor(client).await);
        found.extend(super::access::who(client).await);
        found.extend(quarantine(client).await);
        found.extend(rejected(client).await);
        found.extend(rulebooks(client).await);
        found.extend(bridges(client).await);
        if let Ok(views) = client.get::<Vec<ServiceView>>("/v1/services").await {
            services = views.into_iter().filter_map(|v| Some((v.name, v.url?))).collect();
        }
    }
    for (name, url) in services {
        found.push(service(&name, &url, way_out).await);
    }
    found
}

async fn supervisor(client: &Client) -> Finding {
    let check = "supervisor";
    match client.probe("/readyz", LIMIT).await {
        Ok((200, date)) => clocks(check, "it is ready", date),
        Ok((status, _)) => Finding::fail(
            check,
            format!("it answers {status} and is not ready"),
            "its log and `/readyz?verbose` say why",
        ),
        Err(Failure::Unreachable { url, why }) => Finding::warn(
            check,
            format!("none answers at `{url}`: {why}"),
            "start `amends serve`, or name another address with --url, AMENDS_URL or a context",
        ),
        Err(other) => Finding::fail(check, other.lines().join(" "), "check --url"),
    }
}

/// What can't be worked on. Nothing is said if the supervisor can't be asked.
async fn quarantine(client: &Client) -> Vec<Finding> {
    let Ok(found) = client.get::<QuarantineView>("/v1/quarantine").await else { return Vec::new() };
    let check = "quarantine";
    let mut findings = Vec::new();
    if let Some(first) = found.cases.first() {
        let text = format!(
            "{} cases can't be worked on; the first is {}: {}: {}",
            found.cases.len(),
            first.case_id,
            first.broken.row,
            first.broken.why
        );
        let help = "`amends quarantine` lists them; repair or discard each";
        findings.push(Finding::fail(check, text, help));
    }
    findings.extend(found.rows.iter().map(|broken| {
        let text = format!("{} can't be read: {}", broken.row, broken.why);
        let help = "activate a version that can be read, or set the service's pause or limits anew";
        Finding::fail(check, text, help)
    }));
    if findings.is_empty() {
        findings.push(Finding::ok(check, "every stored row that was read can be used"));
    }
    findings
}

/// Messages of brokers that nobody has looked at. Nothing is said if there are none, or the supervisor can't be asked.
async fn rejected(client: &Client) -> Option<Finding> {
    let found = client.get::<Page<RejectedView>>("/v1/reports/rejected?limit=1").await.ok()?;
    let newest = found.items.first()?;
    let text = format!(
        "messages of a broker could not be taken as reports; the newest is {}: {}",
        newest.id, newest.detail
    );
    let help =
        "`amends report rejected` lists them; mend what is wrong, then have them read once more";
    Some(Finding::fail("rejected reports", text, help))
}

/// Whether what is active is what the files say. Nothing is said if the supervisor can't be asked.
async fn rulebooks(client: &Client) -> Vec<Finding> {
    let views: Vec<RulebookView> = client.get("/v1/rulebooks").await.unwrap_or_default();
    views.iter().filter_map(file_of).collect()
}

/// Whose reports nobody answers. Nothing is said if the supervisor can't be asked.
async fn bridges(client: &Client) -> Vec<Finding> {
    let Ok(overview) = client.get::<Overview>("/v1/overview").await else { return Vec::new() };
    let unheard = overview.ways.into_iter().flat_map(|way| way.unheard);
    let help = "give a rulebook what is missing, or mend the bridge; `amends kafka try` and `amends nats try` show what it makes";
    unheard.map(|why| Finding::warn("bridges", why, help)).collect()
}

fn file_of(book: &RulebookView) -> Option<Finding> {
    let check = format!("rulebook {}", book.name);
    if let Some(first) = book.rejected.first() {
        return Some(Finding::fail(
            &check,
            format!("its file is not used: {}:{}: {}", first.file, first.line, first.message),
            "mend the file; the version that was active before stays until then",
        ));
    }
    book.differs_from_file.then(|| {
        Finding::warn(
            &check,
            "the active version differs from its file",
            "somebody activated another one; write into the file what shall hold",
        )
    })
}

async fn service(name: &str, url: &str, way_out: &Probe) -> Finding {
    let check = format!("service {name}");
    match way_out.look(url, LIMIT).await {
        // Any answer shows that somebody is there; which one is no affair of ours.
        Ok((status, date)) => {
            let seen = format!("`{url}` answers ({status})");
            clocks(&check, &seen, date.as_deref().and_then(read_date))
        }
        Err(why) => Finding::fail(
            &check,
            format!("`{url}` does not answer: {why}"),
            "start it, or correct its `url` in the rulebook; its steps wait meanwhile",
        ),
    }
}

/// Whether a clock, as the header `Date` tells it, agrees with ours.
fn clocks(check: &str, seen: &str, date: Option<Timestamp>) -> Finding {
    let Some(date) = date else {
        return Finding::ok(check, format!("{seen}; it tells no time"));
    };
    let now = now();
    let apart = now.ms_since(date).max(date.ms_since(now));
    let way = if date > now { "ahead" } else { "behind" };
    let text = format!("{seen}; its clock is {} {way}", span(apart));
    let help = "set both clocks by NTP; signatures and deadlines go by them";
    match apart {
        ..SAME_MS => Finding::ok(check, seen),
        SAME_MS..REFUSED_MS => Finding::warn(check, text, help),
        REFUSED_MS.. => Finding::fail(check, text, help),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_that_disagree_are_told_by_how_much() {
        let verdict = |ms: i64| clocks("x", "it answers", Some(Timestamp(now().0 - ms)));
        assert_eq!(verdict(1_000).verdict, Verdict::Ok);
        let slow = verdict(60_500);
        assert_eq!(slow.verdict, Verdict::Warn);
        assert!(slow.text.contains("1m") && slow.text.contains("behind"), "{}", slow.text);
        assert_eq!(verdict(-3_600_000).verdict, Verdict::Fail);
        assert_eq!(clocks("x", "it answers", None).verdict, Verdict::Ok);
    }
}
