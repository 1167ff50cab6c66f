//! How reports get to the supervisor: in order, not before their time, and whatever they are answered, until they are
//! taken.

use crate::check::{Check, Means};
use crate::context::{Ask, Kind, TestContext};
use crate::fakes::{FakeSupervisor, Reception, Try};
use crate::finding::{Stop, Tried};
use std::time::Duration;

const SECTION: &str = "sending-a-report";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "report-order",
        "the reports of a saga come in the order of its failures",
        "the first one names the cause; a later one that comes before it is taken for a failure of its own",
        SECTION,
        |context| Box::pin(order(context)),
    )
    .after(&["report-survives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-turned-away",
        "a report that is answered 401, 403 or 404 is sent again, under the same id",
        "a token runs out, an ingress loses its route: nobody would undo what failed meanwhile",
        SECTION,
        |context| Box::pin(turned_away(context)),
    )
    .after(&["report-survives"])
    .needs(&[Means::FailsWith, Means::Supervisor])
    .leaves("that a person is told of it"),
    Check::of_action(
        "report-not-now",
        "a report that is answered 500, 429, 410 or with a redirect is sent again, and the redirect is not followed",
        "whatever stands before the supervisor says such things, and none of them means that the report is durable",
        SECTION,
        |context| Box::pin(not_now(context)),
    )
    .after(&["report-survives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-retry-after",
        "a report is not sent again before the time that `Retry-After` names",
        "a supervisor that comes back would be pushed down again by everybody at once",
        SECTION,
        |context| Box::pin(retry_after(context)),
    )
    .after(&["report-survives"])
    .needs(&[Means::FailsWith, Means::Supervisor])
    .leaves("more than a second, and dates in `Retry-After`"),
    Check::of_action(
        "report-refused",
        "a report that the supervisor refuses as wrong is set aside: it is not repeated, and keeps no other back",
        "one report that nobody can take would keep all later ones from the supervisor",
        SECTION,
        |context| Box::pin(refused(context)),
    )
    .after(&["report-order"])
    .needs(&[Means::FailsWith, Means::Supervisor])
    .leaves("that a person is told of it"),
];

/// The tries to bring a report of a saga.
fn tries_of(supervisor: &FakeSupervisor, saga: &str) -> Vec<Try> {
    supervisor.tries().into_iter().filter(|one| one.event.subject == saga).collect()
}

/// Fails a request whose report is answered so before it is taken; gives the tries, the last of which was taken.
async fn taken_after(context: &TestContext, takes: Vec<Reception>, what: &str) -> Tried<Vec<Try>> {
    let supervisor = context.supervisor()?;
    supervisor.begin(takes);
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    let limit = context.stage.config.report_timeout;
    let taken = supervisor.told(|one| one.event.subject == ask.saga && one.is_taken());
    let taken = tokio::time::timeout(limit, taken).await;
    let tries = tries_of(supervisor, &ask.saga);
    let statuses: Vec<String> = tries.iter().map(|one| one.status.to_string()).collect();
    if !matches!(taken, Ok(Some(_))) {
        let came = format!("{} tries within {limit:?}: {}", tries.len(), statuses.join(", "));
        return Err(Stop::found(format!("{what} is sent again, until 202 or 200"), came));
    }
    let first = tries.first().map(|one| one.event.id.clone());
    match tries.iter().all(|one| Some(&one.event.id) == first.as_ref()) {
        true => Ok(tries),
        false => {
            let ids: Vec<&str> = tries.iter().map(|one| one.event.id.as_str()).collect();
            let expected = format!("{what} keeps its id when it is sent again");
            Err(Stop::found(expected, format!("ids {}", ids.join(", "))))
        }
    }
}

async fn turned_away(context: &TestContext) -> Tried {
    for status in [401, 403, 404] {
        let what = format!("a report that was answered {status}");
        taken_after(context, vec![Reception::status(status)], &what).await?;
    }
    Ok(())
}

async fn not_now(context: &TestContext) -> Tried {
    for status in [500, 429, 410, 307] {
        let what = format!("a report that was answered {status}");
        taken_after(context, vec![Reception::status(status)], &what).await?;
    }
    Ok(())
}

/// What the kit asks to wait, and how much of it a timer may be early.
const WAIT: Duration = Duration::from_secs(1);
const EARLY: Duration = Duration::from_millis(50);

async fn retry_after(context: &TestContext) -> Tried {
    let what = "a report that was answered 503 with `Retry-After: 1`";
    let tries = taken_after(context, vec![Reception::later(WAIT.as_secs())], what).await?;
    let [first, second, ..] = tries.as_slice() else { return Ok(()) };
    let waited = second.came.saturating_duration_since(first.answered);
    match waited + EARLY >= WAIT {
        true => Ok(()),
        false => {
            let expected = format!("{what} comes again a second later at the earliest");
            Err(Stop::found(expected, format!("after {waited:?}")))
        }
    }
}

/// A further failure in the saga, whose report is taken for the check to go on.
async fn reported(context: &TestContext, ask: &Ask) -> Tried {
    let answer = context.failed(ask).await?;
    context.report_of(ask, &answer).await.map(|_| ())
}

async fn order(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::HELD_IN_VAIN]);
    let first = context.ask(Kind::Fails);
    let failed = context.failed(&first).await?;
    let limit = context.stage.config.report_timeout;
    if tokio::time::timeout(limit, supervisor.holds()).await.is_err() {
        let expected = "the report of a failed request comes to `POST /v1/reports`";
        return Err(Stop::found(expected, format!("nothing within {limit:?}")));
    }
    // The first one is on its way, in vain; meanwhile there is a second one.
    let second = context.ask_in(&first.saga, Kind::Fails);
    let failed_too = context.failed(&second).await?;
    supervisor.let_go();
    let [one, other] = [
        context.report_of(&first, &failed).await?.id,
        context.report_of(&second, &failed_too).await?.id,
    ];
    let tries = tries_of(supervisor, &first.saga);
    let taken = |id: &str| tries.iter().position(|one| one.is_taken() && one.event.id == id);
    match taken(&one) < taken(&other) {
        true => Ok(()),
        false => {
            let ids: Vec<String> =
                tries.iter().map(|one| format!("`{}` → {}", one.event.id, one.status)).collect();
            let expected = "the report of the first failure is taken before that of the second";
            Err(Stop::found(expected, ids.join(", ")))
        }
    }
}

async fn refused(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::status(400)]);
    let first = context.ask(Kind::Fails);
    context.failed(&first).await?;
    let limit = context.stage.config.report_timeout;
    let refused = supervisor.told(|one| one.event.subject == first.saga && one.turned_away);
    let Ok(Some(refused)) = tokio::time::timeout(limit, refused).await else {
        let expected = "the report of a failed request comes to `POST /v1/reports`";
        return Err(Stop::found(expected, format!("nothing within {limit:?}")));
    };
    // What comes after it shows that it keeps nothing back; a third one gives it the time to come again.
    for _ in 0..2 {
        reported(context, &context.ask_in(&first.saga, Kind::Fails)).await?;
    }
    let tries = tries_of(supervisor, &first.saga);
    let again = tries.iter().filter(|one| one.event.id == refused.event.id).count();
    match again {
        1 => Ok(()),
        times => {
            let expected =
                "a report that was refused with 400 is not sent again before the next start";
            Err(Stop::found(expected, format!("it came {times} times")))
        }
    }
}
