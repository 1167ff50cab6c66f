//! The proof that the kit finds what is wrong: a participant straight from the page passes, and with one defect exactly the
//! checks fail that are about it. Together the defects make every check fail once, so none is there for show.

mod paper;
mod rig;

use Defect as D;
use amends_conform::{CHECKS, Examination, Holds, SENTENCES, Sentence};
use futures_util::StreamExt;
use futures_util::stream;
use paper::{Answers, Defect, Participant};
use rig::{
    Ports, config, ended, examine, of_restarts, process, serve, serve_at, story, unused_address,
};
use std::collections::BTreeSet;

/// Runs that go on at the same time: most of one is waiting for the other side.
const AT_ONCE: usize = 8;

/// What a defect is found by. Where everything else would only repeat it (or take long to wait for what never comes),
/// `only` names the checks that are tried; then the kit is impatient.
struct Case {
    defect: Defect,
    found_by: &'static [&'static str],
    only: &'static [&'static str],
}

const fn case(defect: Defect, found_by: &'static [&'static str]) -> Case {
    Case { defect, found_by, only: &[] }
}

/// A defect that is looked for by one check alone.
const fn alone(defect: Defect, found_by: &'static [&'static str]) -> Case {
    Case { defect, found_by, only: found_by }
}

const CASES: &[Case] = &[
    case(D::DoesNothing, &["forward-works"]),
    case(D::NamesNothing, &["forward-names"]),
    case(D::EffectOnRepeat, &["forward-repeat", "forward-at-once", "retry-runs-again"]),
    case(D::AnswersRepeatAnew, &["forward-repeat", "forward-at-once"]),
    case(D::RunsDuplicates, &["forward-running"]),
    case(D::NoRetryAfter, &["forward-running"]),
    case(D::NoFingerprint, &["forward-key-reused"]),
    case(D::SagaNotCompared, &["forward-key-reused"]),
    case(D::ComparesBytes, &["forward-same-contents"]),
    case(D::ActionNotCompared, &["forward-other-action"]),
    case(D::ComparesOrder, &["forward-member-order"]),
    case(D::HeadersAreContents, &["forward-other-headers"]),
    case(D::MalformedRequestReplaced, &["context-malformed-request"]),
    case(D::BeginsNameless, &["context-begins"]),
    case(D::HeaderLoses, &["context-header-wins"]),
    case(D::BaggageIgnored, &["context-baggage"]),
    case(D::MalformedSagaStartsNew, &["context-malformed-saga"]),
    case(D::MalformedTraceRefused, &["context-malformed-trace"]),
    case(D::SagaOfLettersOnly, &["context-opaque-saga"]),
    case(D::UnknownSagaNotFound, &["history-unknown-saga"]),
    case(D::AnyTextIsASaga, &["history-malformed-saga"]),
    case(D::OwnWordForSucceeded, &["history-succeeded"]),
    case(D::FailureShownAsSuccess, &["history-failed"]),
    case(D::StartedNotShown, &["history-started"]),
    case(D::CompensationNotShown, &["history-compensated"]),
    case(D::HistoryOutOfOrder, &["history-order"]),
    alone(D::PagesForEver, &["history-pages"]),
    case(D::PlainProblem, &["failure-is-problem"]),
    case(D::NamesSuccessOnly, &["failure-names-request"]),
    case(D::FailureWithEffect, &["failure-has-no-effect", "retry-runs-again"]),
    alone(D::WaitsForSupervisor, &["failure-does-not-wait"]),
    alone(D::NeverReports, &["report-arrives"]),
    case(D::ForeignSource, &["report-envelope"]),
    case(D::ReportWithoutRequest, &["report-content"]),
    case(D::ReportWithoutEvidence, &["report-history"]),
    case(D::EvidenceInOwnWords, &["report-history"]),
    case(D::ReportNotNamed, &["failure-names-report"]),
    alone(D::GivesUp, &["report-survives"]),
    case(D::NewIdOnResend, &["report-survives"]),
    case(D::SubjectNotEncoded, &["report-subject"]),
    alone(D::DropsReportOn401, &["report-turned-away"]),
    alone(D::DropsReportOn403, &["report-turned-away"]),
    alone(D::DropsReportOn404, &["report-turned-away"]),
    alone(D::DropsReportOn500, &["report-not-now"]),
    alone(D::FollowsReportRedirect, &["report-not-now"]),
    case(D::NewestReportFirst, &["report-order"]),
    case(D::IgnoresRetryAfter, &["report-retry-after"]),
    case(D::RepeatsRefusedReport, &["report-refused"]),
    alone(D::RefusedReportBlocks, &["report-refused"]),
    case(D::ReportsUndone, &["report-undone"]),
    case(D::ReportOnRepeat, &["failure-repeat"]),
    case(D::LeavesEffect, &["compensate-undoes"]),
    case(D::StrictFields, &["step-unknown-fields"]),
    case(D::QuotedKeyOnly, &["step-key-bare"]),
    case(D::AnyAction, &["step-unknown-action"]),
    case(D::MalformedStepBreaks, &["step-malformed"]),
    case(D::PathUnchecked, &["step-path"]),
    case(D::KeyUnchecked, &["step-key"]),
    case(D::StepOfAnySaga, &["step-id-reused"]),
    case(D::StepOfAnyVerb, &["step-id-other-verb"]),
    case(D::NullIsAValue, &["step-nulls"]),
    case(D::NoBodyLimit, &["step-too-large"]),
    case(D::AnyMethod, &["step-method"]),
    case(D::ForgetsSteps, &["compensate-repeat"]),
    case(D::CompensatesTwice, &["compensate-other-step"]),
    alone(D::CompensationsRace, &["compensate-at-once"]),
    case(D::UndoesNamedOnly, &["compensate-every-request"]),
    case(D::CompensatesNothing, &["compensate-nothing", "fence-without-undo"]),
    case(D::CompensatesFailure, &["compensate-failed"]),
    case(D::UndoesWholeSaga, &["compensate-other-action"]),
    case(D::SaysNoCalls, &["compensate-tells-calls"]),
    case(D::SaysEndedCallsOnly, &["compensate-tells-calls"]),
    alone(D::WaitsForRunning, &["compensate-running"]),
    case(D::RunningNotFenced, &["compensate-running"]),
    case(D::NoFence, &["fence-late-request", "fence-new-request", "fence-without-undo"]),
    case(D::FenceNeedsRequest, &["fence-late-request", "fence-without-undo"]),
    case(D::FencesUndoablesOnly, &["fence-without-undo"]),
    case(D::ReplaysCompensated, &["fence-repeat"]),
    case(D::ReplaysFencedFailure, &["fence-repeat-failure"]),
    case(D::FencesWholeSaga, &["fence-other-action"]),
    alone(D::FencesAllSagas, &["fence-other-saga"]),
    case(D::RefusalBreaks, &["refuse-is-problem"]),
    case(D::RefusalRemembered, &["refuse-keeps"]),
    case(D::RefusalNotFenced, &["refuse-fences"]),
    case(D::HalfAnUndo, &["refuse-whole"]),
    case(D::RefusalChangesRows, &["refuse-whole"]),
    case(D::CommitsAfterRefusal, &["refuse-running"]),
    case(D::TurnedAwayStaysStarted, &["refuse-turned-away"]),
    case(D::RefusalFencesAnswered, &["refuse-repeat"]),
    case(D::RetriesAfterRefusal, &["refuse-retry"]),
    case(D::RetriesLatestOnly, &["retry-named"]),
    case(D::RetriesFirst, &["retry-latest"]),
    case(D::RetriesAnotherThanNamed, &["retry-named-succeeded"]),
    case(D::RetriesFencedFailure, &["retry-fenced-failure"]),
    case(D::UnknownRetryNotFound, &["retry-unknown-fenced"]),
    case(D::RetriesSuccess, &["retry-succeeded", "retry-runs-again"]),
    case(D::RefusesUnknownRetry, &["retry-unknown"]),
    case(D::RetriesCompensated, &["retry-fenced"]),
    case(D::ReportsRetry, &["retry-fails-again"]),
    case(D::FailedRetryIsFinal, &["retry-fails-again"]),
    case(D::ForgetsBody, &["retry-runs-again", "retry-fails-again"]),
    case(D::RetriesRunning, &["retry-running"]),
    case(D::NotifiesTwice, &["notify-once"]),
    alone(D::NoticesRace, &["notify-at-once"]),
    case(D::AnyNotice, &["notify-unknown"]),
    case(D::DropsSaga, &["call-context"]),
    case(D::DropsBaggage, &["call-context"]),
    case(D::DropsTrace, &["call-trace"]),
    case(D::NewCallId, &["call-request-id"]),
    case(D::CallsNotShown, &["call-started"]),
    case(D::StartedCallNotShown, &["call-started"]),
    case(D::CallUnderParentId, &["call-succeeded"]),
    case(D::EveryFailureUnknown, &["call-failed"]),
    case(D::BrokenCallFailed, &["call-unknown"]),
    case(D::NoCause, &["call-cause"]),
    case(D::BusyCallAnew, &["call-in-progress"]),
    case(D::KeepsFewBaggage, &["call-baggage"]),
    case(D::FirstBaggageLineOnly, &["call-baggage"]),
    case(D::OrdinalIgnored, &["call-ordinal"]),
    case(D::CallsAfterFence, &["call-after-fence"]),
    case(D::TimeoutStatusFailed, &["call-time-out"]),
    case(D::RedirectFailed, &["call-redirect"]),
    case(D::FollowsRedirects, &["call-redirect"]),
    case(D::StatusDecides, &["call-type-decides"]),
    case(D::PlainRefusalUnknown, &["call-refused"]),
    case(D::DowngradesToFailed, &["call-stays-succeeded"]),
    case(D::DowngradesToUnknown, &["call-stays-succeeded"]),
    case(D::StrictVersions, &["signature-version"]),
    case(D::AnyVersion, &["signature-version"]),
    case(D::UnsignedSteps, &["signature-missing"]),
    case(D::AnySignature, &["signature-wrong", "signature-other-body", "signature-history"]),
    case(D::OldSignature, &["signature-old"]),
    case(D::FirstSignatureOnly, &["signature-rotation"]),
    case(D::OpenHistory, &["signature-history"]),
];

/// Found only where steps are answered with 202.
const OF_LATER: &[(Answers, Case)] = &[
    (Answers::AtLocation, alone(D::AcceptedTwice, &["step-accepted"])),
    (Answers::ByCallback, alone(D::ForgetsProof, &["step-accepted"])),
];

/// Found only where the kit kills the participant and starts it again.
const OF_RESTARTS: &[Case] = &[
    case(D::ForgetsRequests, &["restart-keeps"]),
    case(D::ForgetsFences, &["restart-fence"]),
    case(D::ForgetsOutcomes, &["restart-step"]),
    case(D::ForgetsReports, &["restart-report"]),
    case(D::BuriesRefusedReports, &["restart-refused-report"]),
    case(D::NeverRecovers, &["restart-crashed"]),
    case(D::RecoversAsFailed, &["restart-crashed"]),
    case(D::RecoversSilently, &["restart-crashed"]),
    case(D::CrashedCallStarted, &["restart-call"]),
];

/// A participant in a process of its own, which the kit starts; of a faulty one the restarts alone are tried.
async fn try_process(defect: Option<Defect>) -> Examination {
    let ports = Ports::free().await;
    let folder = tempfile::tempdir().expect("a folder");
    let listen = unused_address().await;
    let file = folder.path().join("ledger.json");
    let name = defect.map_or(String::new(), |defect| format!("{defect:?}"));
    let env = [
        ("PAPER_LISTEN", listen.as_str()),
        ("PAPER_LEDGER", file.to_str().expect("UTF-8")),
        ("PAPER_SUPERVISOR", ports.supervisor.as_str()),
        ("PAPER_DEFECT", name.as_str()),
    ];
    let (only, times) = match defect {
        Some(_) => {
            let times = "timeouts: { answer: 5s, report: 2s, recovery: 2s }";
            (of_restarts().into_iter().collect(), times)
        }
        None => (Vec::new(), "timeouts: { answer: 30s, report: 30s, recovery: 30s }"),
    };
    let text = format!("{}{}{times}\n", ports.config(), process(PARTICIPANT, &env));
    examine(&format!("http://{listen}"), config(&text), ports.stands, &only).await
}

/// The test that is a participant where the kit starts this file's binary as one.
const PARTICIPANT: &str = "a_participant_in_a_process_of_its_own";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the participant that other tests start"]
async fn a_participant_in_a_process_of_its_own() {
    let Ok(listen) = std::env::var("PAPER_LISTEN") else { return };
    let given = |name: &str| std::env::var(name).expect("given with the address");
    let defect = Defect::ALL.iter().find(|one| format!("{one:?}") == given("PAPER_DEFECT"));
    let (file, supervisor) = (given("PAPER_LEDGER").into(), given("PAPER_SUPERVISOR"));
    let participant = Participant::on(Some(file), &supervisor, Answers::AtOnce, defect.copied());
    serve_at(&listen, participant.router()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_the_kit_starts_and_kills_passes_every_check() {
    let examination = try_process(None).await;
    assert!(examination.is_conformant(), "\n{}", story(&examination));
    assert_eq!(ended(&examination, "skipped"), BTreeSet::from(["step-accepted"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_outlive_its_process_is_found() {
    let looks = OF_RESTARTS
        .iter()
        .map(|case| async { wrongly_found(case, &try_process(Some(case.defect)).await) });
    let wrong: Vec<Option<String>> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn try_participant(answers: Answers, defect: Option<Defect>, only: &[&str]) -> Examination {
    let ports = Ports::free().await;
    let participant = Participant::new(&ports.supervisor, answers, defect);
    let (url, _server) = serve(participant.router()).await;
    // What takes its time when all is well gets it; what never comes is waited for where it is looked for alone.
    let times = match only {
        [] => "timeouts: { answer: 30s, report: 30s }",
        _ => "timeouts: { answer: 2s, report: 2s }",
    };
    let text = format!("{}{times}\n", ports.config());
    examine(&url, config(&text), ports.stands, only).await
}

/// What is wrong with how a defect was found, if anything.
async fn look_for(case: &Case, answers: Answers) -> Option<String> {
    wrongly_found(case, &try_participant(answers, Some(case.defect), case.only).await)
}

/// What of a run with a defect is not as it should be.
fn wrongly_found(case: &Case, examination: &Examination) -> Option<String> {
    let found: BTreeSet<&str> = ended(examination, "failed");
    let wanted: BTreeSet<&str> = case.found_by.iter().copied().collect();
    let wrong =
        || format!("{:?}: found by {found:?}, not {wanted:?}\n{}", case.defect, story(examination));
    (found != wanted).then(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_straight_from_the_page_passes_every_check() {
    let examination = try_participant(Answers::AtOnce, None, &[]).await;
    assert!(examination.is_conformant(), "\n{}", story(&examination));
    assert_eq!(ended(&examination, "skipped"), &of_restarts() | &BTreeSet::from(["step-accepted"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_defect_is_found_by_the_checks_that_are_about_it_and_by_no_other() {
    let looks = CASES.iter().map(|case| look_for(case, Answers::AtOnce));
    let wrong: Vec<Option<String>> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_answers_later_passes_every_check() {
    for answers in [Answers::AtLocation, Answers::ByCallback] {
        let examination = try_participant(answers, None, &[]).await;
        assert!(examination.is_conformant(), "{answers:?}\n{}", story(&examination));
        assert_eq!(ended(&examination, "skipped"), of_restarts(), "{answers:?}");
    }
    for (answers, case) in OF_LATER {
        assert_eq!(look_for(case, *answers).await, None);
    }
}

/// The page that is made of the sentences, the checks and the defects.
const PAGE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/internals/conformance-sentences.md");
const TABLE: &str = "| sentence | checks | planted defects |\n| --- | --- | --- |\n";

#[test]
fn the_page_of_sentences_shows_the_check_and_the_defects_of_each() {
    let cases: Vec<&Case> =
        CASES.iter().chain(OF_RESTARTS).chain(OF_LATER.iter().map(|(_, case)| case)).collect();
    let mut table = TABLE.to_owned();
    for Sentence { section, words, holds } in SENTENCES {
        let words = words.replace("](problems.md)", "](../reference/problems.md)");
        let words = words.replace("[CloudEvent]", "CloudEvent");
        let of = format!("[{section}](../reference/protocol.md#{section}): {words}");
        let row = match holds {
            Holds::Nobody(why) => format!("| {of} | none: {why} | |\n"),
            Holds::By(checks) => {
                let defects: Vec<String> = cases
                    .iter()
                    .filter(|case| case.found_by.iter().any(|check| checks.contains(check)))
                    .map(|case| format!("`{:?}`", case.defect))
                    .collect();
                format!("| {of} | `{}` | {} |\n", checks.join("`, `"), defects.join(", "))
            }
        };
        table.push_str(&row);
    }
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let (head, _) = page.split_once(TABLE).expect("the page has its table");
    let wanted = format!("{head}{table}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).expect("the page can be written");
        return;
    }
    assert!(page == wanted, "write it anew: UPDATE_DOCS=1 cargo test --test defects the_page_of");
}

#[test]
fn every_check_is_broken_by_a_defect_and_every_defect_is_looked_for() {
    let cases = || CASES.iter().chain(OF_RESTARTS).chain(OF_LATER.iter().map(|(_, case)| case));
    let broken: BTreeSet<&str> = cases().flat_map(|case| case.found_by).copied().collect();
    let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(broken, all);
    let looked_for: Vec<Defect> = cases().map(|case| case.defect).collect();
    for defect in Defect::ALL {
        assert!(looked_for.contains(defect), "{defect:?}");
    }
}
