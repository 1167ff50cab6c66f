//! Every operation of the API, as data.

use super::operation::{Answer, Body, Operation, get, post};
use super::parameters::{CASE_FILTER, CURSOR, EXPORT, LIMIT, QUESTION_FILTER, REASON, STEP_FILTER};

/// What operations are grouped by.
pub(super) const TAGS: &[(&str, &str)] = &[
    ("reports", "Failure events in."),
    ("cases", "What is known and done about one saga that had a report."),
    ("steps", "Single compensations, retries and notices."),
    ("bulk", "One act on many steps or cases, in a ramp."),
    ("sagas", "Sagas that announce themselves with a deadline."),
    ("rulebooks", "The predefined answers."),
    ("services", "Participants as the supervisor sees them."),
    ("watching", "Numbers, the audit, and what happens as it happens."),
    ("running", "Backups, probes and this document."),
    ("participants", "What services are sent."),
];

pub(super) const JSON: &str = "application/json";
const PLAIN: &str = "text/plain";
pub(super) const PROBLEM: &str = "application/problem+json";

/// One, or those of a batch in its order.
const RECEIPTS: &str = "ReportReceipt|[ReportReceipt]";

const MALFORMED: &str = "The report is malformed and will never be taken.";
const TOO_LARGE: &str = "The body is larger than the limit; it was not read.";
const UNSUPPORTED: &str = "The content type, or the type of the data, is none of those.";
const BATCH_MALFORMED: &str = "Some events are malformed and will never be taken; the others are taken. `events` has them in order; without `events` the body was no list, and nothing is taken.";
const BATCH_BUSY: &str = "Some events could not be taken now; the others are taken. Send the same batch again after `Retry-After`: they count as duplicates.";

const SOURCES: &[Body] = &[Body("application/yaml", "string"), Body(JSON, "RulebookSources")];

/// The API.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        bodies: &[
            Body("application/cloudevents+json", "ReportEvent"),
            Body(JSON, "ReportData"),
            Body("application/cloudevents-batch+json", "[ReportEvent]"),
        ],
        headers: &[
            ("ce-specversion", false, "`1.0`; like all `ce-` headers, in binary mode only."),
            ("ce-type", false, "`dev.amends.report.v1`."),
            ("ce-source", false, "The reporting service."),
            ("ce-id", false, "Unique per source."),
            ("ce-subject", false, "The saga id."),
            ("ce-time", false, "The service's clock, RFC 3339."),
        ],
        ..post(
            "/v1/reports",
            "reports",
            "report",
            "Takes a report, a CloudEvent in structured, binary or batched mode. It is durable once answered.",
            &[],
            &[
                Answer(
                    "202",
                    "Taken; `Location` is its case. A batch is answered with a list.",
                    JSON,
                    RECEIPTS,
                ),
                Answer("200", "It was known; nothing was doubled.", JSON, RECEIPTS),
                Answer("400", MALFORMED, PROBLEM, "Problem"),
                Answer("413", TOO_LARGE, PROBLEM, "Problem"),
                Answer("415", UNSUPPORTED, PROBLEM, "Problem"),
                Answer(
                    "429",
                    "Too much at once; send it again after `Retry-After`.",
                    PROBLEM,
                    "Problem",
                ),
                Answer("503", "Not now; send it again after `Retry-After`.", PROBLEM, "Problem"),
            ],
        )
    },
    Operation {
        method: "options",
        headers: &[("WebHook-Request-Origin", false, "Who asks for consent.")],
        ..get(
            "/v1/reports",
            "reports",
            "handshake",
            "The handshake of CloudEvents web hooks.",
            &[Answer("200", "`WebHook-Allowed-Origin` consents.", "", "")],
        )
    },
    Operation {
        headers: &[],
        ..post(
            "/v1/reports:batch",
            "reports",
            "reportBatch",
            "Takes up to 1,000 reports, each for itself.",
            &[Body("application/cloudevents-batch+json", "[ReportEvent]")],
            &[
                Answer("202", "All are taken, in the order of the batch.", JSON, "[ReportReceipt]"),
                Answer("200", "All were known.", JSON, "[ReportReceipt]"),
                Answer("400", BATCH_MALFORMED, PROBLEM, "BatchProblem"),
                Answer("413", TOO_LARGE, PROBLEM, "BatchProblem"),
                Answer("415", UNSUPPORTED, PROBLEM, "BatchProblem"),
                Answer("429", BATCH_BUSY, PROBLEM, "BatchProblem"),
                Answer("503", BATCH_BUSY, PROBLEM, "BatchProblem"),
            ],
        )
    },
    Operation {
        query: CASE_FILTER,
        ..get(
            "/v1/cases",
            "cases",
            "listCases",
            "Cases. A page may end before it is full; `searchedUntil` and `next` then say where to go on.",
            &[Answer("200", "A page.", JSON, "Page_CaseSummary")],
        )
    },
    Operation {
        query: EXPORT,
        ..get(
            "/v1/cases:export",
            "cases",
            "exportCases",
            "All cases that a filter finds, as a file: one JSON object per line, or CSV.",
            &[Answer("200", "The file.", "application/x-ndjson", "CaseSummary")],
        )
    },
    get(
        "/v1/cases/{id}",
        "cases",
        "showCase",
        "All that is known of a case.",
        &[Answer("200", "The case.", JSON, "CaseDetail")],
    ),
    get(
        "/v1/cases/{id}/proof",
        "cases",
        "proveCase",
        "What the case's closing word rests on: of each action that its saga may have reached, whether anything of it may stand, and who said so when. Complete in itself.",
        &[Answer("200", "The proof.", JSON, "CaseProof")],
    ),
    get(
        "/v1/cases/{id}/reports/{position}",
        "cases",
        "showReport",
        "One report of a case, whole. Positions count from 0, in the order of `reports`.",
        &[Answer("200", "The report.", JSON, "ReportView")],
    ),
    post(
        "/v1/cases/{id}/acts",
        "cases",
        "actOnCase",
        "An operator's act on a case.",
        &[Body(JSON, "CaseAct")],
        &[Answer("200", "Done; the case as it is now.", JSON, "CaseDetail")],
    ),
    Operation {
        query: STEP_FILTER,
        ..get(
            "/v1/steps",
            "steps",
            "listSteps",
            "Steps of the newest cases first.",
            &[Answer("200", "A page.", JSON, "Page_StepView")],
        )
    },
    post(
        "/v1/steps:act",
        "steps",
        "actOnSteps",
        "One act on many steps, by ids or by a filter; at most 10,000. A filter means the steps that it finds in `GET /v1/steps` and that may be acted on so; without state, outcome and group, those that are stuck, and for `retry` and `edit` those that wait for their next try.",
        &[Body(JSON, "BulkAct")],
        &[Answer("200", "What was done, or would be.", JSON, "BulkResult")],
    ),
    post(
        "/v1/bulk",
        "bulk",
        "makeBulk",
        "Freezes what a bulk act would touch, at most 10,000 steps (or cases), and shows it; nothing is done before it is started.",
        &[Body(JSON, "BulkWanted")],
        &[
            Answer("201", "Made, and kept as a preview.", JSON, "BulkView"),
            Answer("200", "A dry run; nothing is kept.", JSON, "BulkView"),
        ],
    ),
    get(
        "/v1/bulk",
        "bulk",
        "listBulks",
        "The newest 100 bulk acts, newest first.",
        &[Answer("200", "The bulk acts.", JSON, "[BulkView]")],
    ),
    get(
        "/v1/bulk/{id}",
        "bulk",
        "showBulk",
        "A bulk act and how far it has come.",
        &[Answer("200", "The bulk act.", JSON, "BulkView")],
    ),
    post(
        "/v1/bulk/{id}/start",
        "bulk",
        "startBulk",
        "Lets it go out in waves of 1, 5, 20, 100, then 500: the next one when every step of the last has its answer. It stops by itself when more than a fifth of a wave failed again, or a wave has no answer for two minutes.",
        &[Body(JSON, "BulkSteering")],
        &[Answer("200", "It is running.", JSON, "BulkView")],
    ),
    post(
        "/v1/bulk/{id}/stop",
        "bulk",
        "stopBulk",
        "Lets nothing more go; what is out comes to its end. It can be started again.",
        &[Body(JSON, "BulkSteering")],
        &[Answer("200", "It is stopped.", JSON, "BulkView")],
    ),
    get(
        "/v1/steps/{id}",
        "steps",
        "showStep",
        "A step with its tries.",
        &[Answer("200", "The step.", JSON, "StepView")],
    ),
    post(
        "/v1/steps/{id}/acts",
        "steps",
        "actOnStep",
        "An operator's act on a step.",
        &[Body(JSON, "StepAct")],
        &[Answer("200", "Done; the step as it is now.", JSON, "StepView")],
    ),
    Operation {
        headers: &[],
        ..post(
            "/v1/steps/{id}/outcome",
            "steps",
            "callBack",
            "A service tells how a step ended that it had taken with 202.",
            &[Body(JSON, "OutcomeCallback")],
            &[
                Answer("204", "Taken.", "", ""),
                Answer(
                    "202",
                    "Came without a proof while the step is being asked for: it counts if that request is answered 202.",
                    "",
                    "",
                ),
                Answer(
                    "403",
                    "The proof is wrong, or missing where the step was not taken with 202. Nothing has changed.",
                    PROBLEM,
                    "Problem",
                ),
                Answer(
                    "409",
                    "The step ended otherwise before, has never been sent, or can't end so.",
                    PROBLEM,
                    "Problem",
                ),
            ],
        )
    },
    Operation {
        headers: &[],
        ..post(
            "/v1/sagas",
            "sagas",
            "beginSaga",
            "Announces a saga. If it is neither ended nor reported by its deadline, `supervisor/deadline` is reported.",
            &[Body(JSON, "SagaBegin")],
            &[Answer("201", "Announced.", JSON, "SagaView")],
        )
    },
    get(
        "/v1/sagas/{id}",
        "sagas",
        "showSaga",
        "An announced saga.",
        &[Answer("200", "The saga.", JSON, "SagaView")],
    ),
    Operation {
        headers: &[],
        ..post(
            "/v1/sagas/{id}/end",
            "sagas",
            "endSaga",
            "A saga has ended, well or not: whoever began it calls nobody any more. Its case, if there is one, need not wait for that.",
            &[],
            &[Answer("204", "Noted.", "", "")],
        )
    },
    get(
        "/v1/rulebooks",
        "rulebooks",
        "listRulebooks",
        "Versions of rulebooks: the active ones, then the newest others; 64 in all.",
        &[Answer("200", "The versions.", JSON, "[RulebookView]")],
    ),
    Operation {
        query: &[REASON],
        headers: &[],
        ..post(
            "/v1/rulebooks:check",
            "rulebooks",
            "checkRulebook",
            "Checks a rulebook beside the active ones; stores nothing.",
            SOURCES,
            &[Answer("200", "What was found.", JSON, "RulebookCheck")],
        )
    },
    get(
        "/v1/rulebooks/{name}",
        "rulebooks",
        "showRulebook",
        "The active version.",
        &[Answer("200", "The version.", JSON, "RulebookView")],
    ),
    Operation {
        method: "put",
        query: &[REASON],
        ..post(
            "/v1/rulebooks/{name}",
            "rulebooks",
            "putRulebook",
            "Stores a version and makes it active for new cases. A rulebook with errors changes nothing.",
            SOURCES,
            &[Answer("200", "Active.", JSON, "RulebookView")],
        )
    },
    get(
        "/v1/rulebooks/{name}/questions",
        "rulebooks",
        "showRulebookQuestions",
        "What its newest 500 cases leave in doubt: how many each kind of question holds, and how many it would hold if it were not only noted.",
        &[Answer("200", "By kind.", JSON, "RulebookQuestions")],
    ),
    get(
        "/v1/rulebooks/{name}/versions/{hash}",
        "rulebooks",
        "showRulebookVersion",
        "One version, by content hash.",
        &[Answer("200", "The version.", JSON, "RulebookView")],
    ),
    get(
        "/v1/services",
        "services",
        "listServices",
        "Services of the active rulebooks.",
        &[Answer("200", "By name.", JSON, "[ServiceView]")],
    ),
    post(
        "/v1/services/{name}/pause",
        "services",
        "pauseService",
        "Sends nothing more to a service until it is resumed, over restarts too.",
        &[Body(JSON, "ReasonGiven")],
        &[Answer("200", "The service as it is now.", JSON, "ServiceView")],
    ),
    post(
        "/v1/services/{name}/resume",
        "services",
        "resumeService",
        "Sends again.",
        &[Body(JSON, "ReasonGiven")],
        &[Answer("200", "The service as it is now.", JSON, "ServiceView")],
    ),
    post(
        "/v1/services/{name}/limits",
        "services",
        "limitService",
        "Sets limits in place of the rulebook's, over restarts too; what is absent is the rulebook's again.",
        &[Body(JSON, "LimitsWanted")],
        &[Answer("200", "The service as it is now.", JSON, "ServiceView")],
    ),
    Operation {
        query: &[("case", "Of this case."), LIMIT, CURSOR],
        ..get(
            "/v1/acts",
            "watching",
            "listActs",
            "The audit, newest first.",
            &[Answer("200", "A page.", JSON, "Page_ActView")],
        )
    },
    get(
        "/v1/groups",
        "watching",
        "listGroups",
        "Open work by cause: what is wrong first, then by number. A group's id is a filter of lists and bulk acts.",
        &[Answer("200", "The groups.", JSON, "[GroupView]")],
    ),
    Operation {
        query: QUESTION_FILTER,
        ..get(
            "/v1/questions",
            "cases",
            "listQuestions",
            "What evidence leaves in doubt in cases that are not settled, newest case first.",
            &[Answer("200", "A page.", JSON, "Page_QuestionView")],
        )
    },
    get(
        "/v1/questions/{id}",
        "cases",
        "showQuestion",
        "An open question with the statements that it rests on.",
        &[Answer("200", "The question.", JSON, "QuestionView")],
    ),
    post(
        "/v1/questions/{id}/acts",
        "cases",
        "answerQuestion",
        "What a person says about an open question; it covers the statements that there are now.",
        &[Body(JSON, "QuestionAct")],
        &[Answer("200", "Taken; what is still open in its case.", JSON, "QuestionAnswered")],
    ),
    Operation {
        query: &[("rulebook", "Of this rulebook, by name.")],
        ..get(
            "/v1/strangers",
            "cases",
            "listStrangers",
            "Names that evidence tells of and a rulebook does not know, with what people have said of them and how many cases wait for each.",
            &[Answer("200", "The strangers, by rulebook and name.", JSON, "[StrangerView]")],
        )
    },
    post(
        "/v1/strangers/{rulebook}/{action}/acts",
        "cases",
        "actOnStranger",
        "What a person says of such a name, for all cases of its rulebook: ignore it, declare it later, or take that back.",
        &[Body(JSON, "StrangerAct")],
        &[Answer("200", "The strangers of the rulebook as they are now.", JSON, "[StrangerView]")],
    ),
    get(
        "/v1/quarantine",
        "cases",
        "listQuarantine",
        "Cases that can't be worked on, because a row can't be read or the store refuses their writes, and why.",
        &[Answer("200", "The cases, and rows of no case.", JSON, "QuarantineView")],
    ),
    Operation {
        query: &[("secrets", "`shown`: with the values of secret fields, too.")],
        ..get(
            "/v1/quarantine/{id}",
            "cases",
            "exportRawCase",
            "The rows of a case as they lie in the store, readable or not, without the values of secret fields.",
            &[Answer("200", "The rows.", JSON, "RawCaseView")],
        )
    },
    post(
        "/v1/quarantine/{id}/acts",
        "cases",
        "actOnQuarantined",
        "Repair a quarantined case with mended rows, which must read back, or discard it.",
        &[Body(JSON, "QuarantineAct")],
        &[Answer("200", "What is left in quarantine.", JSON, "QuarantineView")],
    ),
    get(
        "/v1/overview",
        "watching",
        "overview",
        "Numbers of everything: open work as it is now, the pace of the last hour, each service, what needs a person.",
        &[Answer("200", "The numbers.", JSON, "Overview")],
    ),
    Operation {
        query: &[
            ("case", "Of this case."),
            ("kind", "Kinds: report, step, case, walk, act, breaker, histories, rulebook."),
        ],
        headers: &[("Last-Event-ID", false, "Go on after this event, if it is still kept.")],
        ..get(
            "/v1/events",
            "watching",
            "events",
            "What happens, as server-sent events. An event `gap` says that some were missed.",
            &[Answer("200", "Each `data` is an event.", "text/event-stream", "EventView")],
        )
    },
    Operation {
        headers: &[("Amends-Actor", false, "Who asks, for the log; `api` if not given.")],
        ..post(
            "/v1/backups",
            "running",
            "makeBackup",
            "Copies the store into a new file of the supervisor's folder for backups, while work goes on.",
            &[Body(JSON, "BackupWanted")],
            &[Answer("201", "The copy is whole and durable.", JSON, "BackupView")],
        )
    },
    get("/v1", "running", "index", "What there is.", &[Answer("200", "Links.", JSON, "object")]),
    get(
        "/metrics",
        "running",
        "metrics",
        "Numbers for Prometheus, in the OpenMetrics text format.",
        &[Answer("200", "The numbers.", "application/openmetrics-text", "string")],
    ),
    get(
        "/livez",
        "running",
        "live",
        "Whether the process lives.",
        &[Answer("200", "It does.", PLAIN, "string")],
    ),
    Operation {
        query: &[("verbose", "List each check.")],
        ..get(
            "/readyz",
            "running",
            "ready",
            "Whether requests can be taken.",
            &[Answer("200", "They can.", PLAIN, "string")],
        )
    },
    Operation {
        query: &[("verbose", "List each check.")],
        ..get(
            "/healthz",
            "running",
            "healthy",
            "The same as `/readyz`.",
            &[Answer("200", "They can.", PLAIN, "string")],
        )
    },
    get(
        "/openapi.json",
        "running",
        "openapi",
        "This document.",
        &[Answer("200", "OpenAPI 3.1.", JSON, "object")],
    ),
];
