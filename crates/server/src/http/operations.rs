//! The operations of the API: the place of each, its handler, and what only people can say of it. The rest is told by
//! the types of the handler.

use super::openapi::{Operation, delete, get, options, post, put};
use super::{
    access, acts, backups, bulk, cases, doubts, erasures, events, export, groups, letters, metrics,
    nodes, overview, probes, quarantine, questions, rejected, reports, rule_holds, rulebooks,
    sagas, services, steps, strangers,
};
use amends_protocol::ProblemCode::{Conflict, NotFound, Overloaded, RulebookInvalid, Unproven};
use amends_store::Store;

const MALFORMED: &str = "The report is malformed and will never be taken. Of a batch, some events are malformed and the others are taken: `events` has them in order; without `events` the body was no list, and nothing is taken.";
const BUSY: &str = "Not now; send the same again after `Retry-After`: what was taken of a batch counts as a duplicate then.";
const UNSUPPORTED: &str = "The content type, or the type of the data, is none of those.";

/// The API.
pub(super) fn operations<S: Store>() -> Vec<Operation<S>> {
    [of_reports(), of_cases(), of_questions(), of_steps(), of_bulk(), of_sagas(), of_rulebooks()]
        .into_iter()
        .chain([of_services(), of_nodes(), watching(), of_access(), erasing(), running()])
        .flatten()
        .collect()
}

fn of_reports<S: Store>() -> Vec<Operation<S>> {
    vec![
        post("/v1/reports", reports::receive::<S>)
            .named(
                "report",
                "reports",
                "Takes a report, a CloudEvent in structured, binary or batched mode. It is durable once answered.",
            )
            .says(202, "Taken; `Location` is its case. A batch is answered with a list.")
            .says(200, "It was known; nothing was doubled.")
            .says(400, MALFORMED)
            .says(415, UNSUPPORTED)
            .says(429, BUSY)
            .says(503, BUSY),
        consent("/v1/reports", "handshake"),
        post("/v1/reports:batch", reports::receive_batch::<S>)
            .named("reportBatch", "reports", "Takes up to 1,000 reports, each for itself.")
            .says(202, "All are taken, in the order of the batch.")
            .says(200, "All were known.")
            .says(400, MALFORMED)
            .says(415, UNSUPPORTED)
            .says(429, BUSY)
            .says(503, BUSY),
        consent("/v1/reports:batch", "handshakeOfBatches"),
        get("/v1/letters/{id}", letters::show::<S>)
            .named(
                "showLetter",
                "reports",
                "What became of what one node has left for another, by the `letter` of its receipt.",
            )
            .says(200, "Whether it waits, was refused, or is gone."),
        get("/v1/reports/rejected", rejected::list::<S>)
            .named(
                "listRejectedReports",
                "reports",
                "Messages of brokers that could not be taken as reports, and what one node had taken in and another refused, newest first, and why.",
            )
            .says(200, "A page."),
        get("/v1/reports/rejected/{id}", rejected::show::<S>)
            .named(
                "showRejectedReport",
                "reports",
                "One of them, with headers and body, without the values of secret fields.",
            )
            .says(200, "The message."),
        post("/v1/reports/rejected/{id}/acts", rejected::act::<S>)
            .named(
                "actOnRejectedReport",
                "reports",
                "Have it read once more, with the configuration and the rulebooks of now, or discard it.",
            )
            .says(200, "It was taken, or is discarded; it lies here no more.")
            .says(409, "It can't be taken still: it stays, with what is wrong now.")
            .fails(&[Conflict, Overloaded]),
    ]
}

fn consent<S: Store>(path: &'static str, id: &'static str) -> Operation<S> {
    options(path, reports::handshake)
        .named(id, "reports", "The handshake of CloudEvents web hooks.")
        .says(200, "`WebHook-Allowed-Origin` consents.")
}

fn of_cases<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/cases", cases::list::<S>)
            .named(
                "listCases",
                "cases",
                "Cases. A page may end before it is full; `searchedUntil` and `next` then say where to go on.",
            )
            .says(200, "A page.")
            .fails(&[NotFound]),
        get("/v1/cases:export", export::cases::<S>)
            .named(
                "exportCases",
                "cases",
                "All cases that a filter finds, as a file: one JSON object per line, or CSV.",
            )
            .says(200, "The file.")
            .fails(&[NotFound]),
        get("/v1/cases/{id}", cases::show::<S>)
            .named("showCase", "cases", "All that is known of a case.")
            .says(200, "The case.")
            .fails(&[Conflict]),
        get("/v1/cases/{id}/proof", cases::proof::<S>)
            .named(
                "proveCase",
                "cases",
                "What the case's closing word rests on: of each action that its saga may have reached, whether anything of it may stand, and who said so when. Complete in itself.",
            )
            .says(200, "The proof.")
            .fails(&[Conflict]),
        get("/v1/cases/{id}/reports/{position}", cases::report::<S>)
            .named(
                "showReport",
                "cases",
                "One report of a case, whole. Positions count from 0, in the order of `reports`.",
            )
            .says(200, "The report.")
            .fails(&[Conflict]),
        post("/v1/cases/{id}/acts", cases::act::<S>)
            .named("actOnCase", "cases", "An operator's act on a case.")
            .says(200, "Done; the case as it is now.")
            .fails(&[Conflict]),
        get("/v1/quarantine", quarantine::list::<S>)
            .named(
                "listQuarantine",
                "cases",
                "Cases that can't be worked on, because a row can't be read or the store refuses their writes, and why.",
            )
            .says(200, "The cases, and rows of no case."),
        get("/v1/quarantine/{id}", quarantine::export::<S>)
            .named(
                "exportRawCase",
                "cases",
                "The rows of a case as they lie in the store, readable or not, without the values of secret fields.",
            )
            .says(200, "The rows."),
        post("/v1/quarantine/{id}/acts", quarantine::act::<S>)
            .named(
                "actOnQuarantined",
                "cases",
                "Repair a quarantined case with mended rows, which must read back, or discard it.",
            )
            .says(200, "What is left in quarantine.")
            .fails(&[Conflict]),
    ]
}

fn of_questions<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/questions", questions::list::<S>)
            .named(
                "listQuestions",
                "cases",
                "What evidence leaves in doubt in cases that are not settled, newest case first.",
            )
            .says(200, "A page."),
        get("/v1/questions/{id}", questions::show::<S>)
            .named(
                "showQuestion",
                "cases",
                "An open question with the statements that it rests on.",
            )
            .says(200, "The question.")
            .fails(&[Conflict]),
        post("/v1/questions/{id}/acts", questions::act::<S>)
            .named(
                "answerQuestion",
                "cases",
                "What a person says about an open question; it covers the statements that there are now.",
            )
            .says(200, "Taken; what is still open in its case.")
            .fails(&[Conflict]),
        get("/v1/strangers", strangers::list::<S>)
            .named(
                "listStrangers",
                "cases",
                "Names that evidence tells of and a rulebook does not know, with what people have said of them and how many cases wait for each.",
            )
            .says(200, "The strangers, by rulebook and name."),
        post("/v1/strangers/{rulebook}/{action}/acts", strangers::act::<S>)
            .named(
                "actOnStranger",
                "cases",
                "What a person says of such a name, for all cases of its rulebook: ignore it, declare it later, or take that back.",
            )
            .says(200, "The strangers of the rulebook as they are now.")
            .fails(&[Conflict]),
    ]
}

fn of_steps<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/steps", steps::list::<S>)
            .named("listSteps", "steps", "Steps of the newest cases first.")
            .says(200, "A page.")
            .fails(&[NotFound]),
        post("/v1/steps:act", steps::act_on_many::<S>)
            .named(
                "actOnSteps",
                "steps",
                "One act on many steps, by ids or by a filter; at most 10,000. A filter means the steps that it finds in `GET /v1/steps` and that may be acted on so; without state, outcome and group, those that are stuck, and for `retry` and `edit` those that wait for their next try.",
            )
            .says(200, "What was done, or would be.")
            .fails(&[NotFound]),
        get("/v1/steps/{id}", steps::show::<S>)
            .named("showStep", "steps", "A step with its tries.")
            .says(200, "The step.")
            .fails(&[Conflict]),
        post("/v1/steps/{id}/acts", steps::act::<S>)
            .named("actOnStep", "steps", "An operator's act on a step.")
            .says(200, "Done; the step as it is now.")
            .fails(&[Conflict]),
        post("/v1/steps/{id}/outcome", steps::call_back::<S>)
            .named(
                "callBack",
                "steps",
                "A service tells how a step ended that it had taken with 202.",
            )
            .fails(&[Unproven, Conflict])
            .says(204, "Taken.")
            .says(
                202,
                "Came without a proof while the step is being asked for: it counts if that request is answered 202.",
            )
            .says(
                403,
                "The proof is wrong, or missing where the step was not taken with 202. Nothing has changed.",
            )
            .says(409, "The step ended otherwise before, has never been sent, or can't end so."),
    ]
}

fn of_bulk<S: Store>() -> Vec<Operation<S>> {
    vec![
        post("/v1/bulk", bulk::make::<S>)
            .named(
                "makeBulk",
                "bulk",
                "Freezes what a bulk act would touch, at most 10,000 steps (or cases), and shows it; nothing is done before it is started.",
            )
            .says(201, "Made, and kept as a preview.")
            .says(200, "A dry run; nothing is kept.")
            .fails(&[NotFound, Conflict]),
        get("/v1/bulk", bulk::list::<S>)
            .named("listBulks", "bulk", "The newest 100 bulk acts, newest first.")
            .says(200, "The bulk acts."),
        get("/v1/bulk/{id}", bulk::show::<S>)
            .named("showBulk", "bulk", "A bulk act and how far it has come.")
            .says(200, "The bulk act."),
        post("/v1/bulk/{id}/start", bulk::start::<S>)
            .named(
                "startBulk",
                "bulk",
                "Lets it go out in waves of 1, 5, 20, 100, then 500: the next one when every step of the last has its answer. It stops by itself when more than a fifth of a wave failed again, or a wave has no answer for two minutes.",
            )
            .says(200, "It is running.")
            .fails(&[Conflict]),
        post("/v1/bulk/{id}/stop", bulk::stop::<S>)
            .named(
                "stopBulk",
                "bulk",
                "Lets nothing more go; what is out comes to its end. It can be started again.",
            )
            .says(200, "It is stopped.")
            .fails(&[Conflict]),
    ]
}

fn of_sagas<S: Store>() -> Vec<Operation<S>> {
    vec![
        post("/v1/sagas", sagas::begin::<S>)
            .named(
                "beginSaga",
                "sagas",
                "Announces a saga. If it is neither ended nor reported by its deadline, `supervisor/deadline` is reported.",
            )
            .says(201, "Announced.")
            .fails(&[Conflict]),
        get("/v1/sagas/{id}", sagas::show::<S>)
            .named("showSaga", "sagas", "An announced saga.")
            .says(200, "The saga."),
        post("/v1/sagas/{id}/end", sagas::end::<S>)
            .named(
                "endSaga",
                "sagas",
                "A saga has ended, well or not: whoever began it calls nobody any more. Its case, if there is one, need not wait for that.",
            )
            .says(204, "Noted.")
            .fails(&[Conflict, Overloaded]),
    ]
}

fn of_rulebooks<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/rulebooks", rulebooks::list::<S>)
            .named(
                "listRulebooks",
                "rulebooks",
                "Versions of rulebooks: the active ones, then the newest others; 64 in all.",
            )
            .says(200, "The versions.")
            .fails(&[Overloaded]),
        post("/v1/rulebooks:check", rulebooks::check::<S>)
            .named(
                "checkRulebook",
                "rulebooks",
                "Checks a rulebook beside the active ones; stores nothing.",
            )
            .says(200, "What was found."),
        get("/v1/rulebooks/{name}", rulebooks::show::<S>)
            .named("showRulebook", "rulebooks", "The active version.")
            .says(200, "The version.")
            .fails(&[Overloaded]),
        put("/v1/rulebooks/{name}", rulebooks::put::<S>)
            .named(
                "putRulebook",
                "rulebooks",
                "Stores a version and makes it active for new cases. A rulebook with errors changes nothing.",
            )
            .says(200, "Active.")
            .fails(&[RulebookInvalid, Conflict]),
        get("/v1/rulebooks/{name}/verdict", rulebooks::verdict::<S>)
            .named(
                "showRulebookVerdict",
                "rulebooks",
                "What `amends rules check` says of the active version: at once what can be seen, and whole once every failure has been played.",
            )
            .says(200, "The verdict.")
            .fails(&[Overloaded]),
        get("/v1/rulebooks/{name}/hold", rule_holds::list::<S>)
            .named(
                "listRuleHolds",
                "rulebooks",
                "What operators hold of a rulebook, whatever the version: that is planned and shown, and waits.",
            )
            .says(200, "The holds."),
        put("/v1/rulebooks/{name}/hold", rule_holds::hold::<S>)
            .named(
                "holdRule",
                "rulebooks",
                "Hold a rulebook or one of its rules: nothing that it asks for is sent until it is released.",
            )
            .says(200, "What is held of the rulebook now.")
            .fails(&[Conflict, NotFound, Overloaded]),
        delete("/v1/rulebooks/{name}/hold", rule_holds::release::<S>)
            .named("releaseRule", "rulebooks", "Release what is held: what waited is sent.")
            .says(200, "What is held of the rulebook now.")
            .fails(&[Conflict, NotFound, Overloaded]),
        get("/v1/rulebooks/{name}/questions", doubts::show::<S>)
            .named(
                "showRulebookQuestions",
                "rulebooks",
                "What its newest 500 cases leave in doubt: how many each kind of question holds, and how many it would hold if it were not only noted.",
            )
            .says(200, "By kind.")
            .fails(&[Overloaded]),
        get("/v1/rulebooks/{name}/versions/{hash}", rulebooks::version::<S>)
            .named("showRulebookVersion", "rulebooks", "One version, by content hash.")
            .says(200, "The version.")
            .fails(&[Overloaded]),
    ]
}

fn of_services<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/services", services::list::<S>)
            .named("listServices", "services", "Services of the active rulebooks.")
            .says(200, "By name."),
        post("/v1/services/{name}/pause", services::pause::<S>)
            .named(
                "pauseService",
                "services",
                "Sends nothing more to a service until it is resumed, over restarts too.",
            )
            .says(200, "The service as it is now."),
        post("/v1/services/{name}/resume", services::resume::<S>)
            .named("resumeService", "services", "Sends again.")
            .says(200, "The service as it is now."),
        post("/v1/services/{name}/limits", services::limit::<S>)
            .named(
                "limitService",
                "services",
                "Sets limits in place of the rulebook's, over restarts too; what is absent is the rulebook's again.",
            )
            .says(200, "The service as it is now."),
    ]
}

fn of_nodes<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/nodes", nodes::list::<S>)
            .named(
                "listNodes",
                "nodes",
                "The nodes that share the store, and what each holds. Read from the database, so every node answers alike.",
            )
            .says(200, "By name."),
        post("/v1/nodes/{name}/drain", nodes::drain::<S>)
            .named(
                "drainNode",
                "nodes",
                "Has a node give what it holds to the others, in order. It does so by itself: `state` becomes `drained` once it holds nothing.",
            )
            .says(200, "The node as it is now.")
            .fails(&[Conflict]),
        post("/v1/nodes/{name}/resume", nodes::resume::<S>)
            .named("resumeNode", "nodes", "Lets a node that was drained take its share again.")
            .says(200, "The node as it is now.")
            .fails(&[Conflict]),
    ]
}

fn watching<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/acts", acts::list::<S>)
            .named("listActs", "watching", "The audit, newest first.")
            .says(200, "A page."),
        get("/v1/acts/head", acts::head::<S>)
            .named(
                "auditHead",
                "watching",
                "Number and digest of the audit's last entry: kept elsewhere, they find out later whether it was changed.",
            )
            .says(200, "The end of the chain."),
        get("/v1/groups", groups::list::<S>)
            .named(
                "listGroups",
                "watching",
                "Open work by cause: what is wrong first, then by number. A group's id is a filter of lists and bulk acts.",
            )
            .says(200, "The groups."),
        get("/v1/overview", overview::show::<S>)
            .named(
                "overview",
                "watching",
                "Numbers of everything: open work as it is now, the pace of the last hour, each service, what needs a person.",
            )
            .says(200, "The numbers."),
        get("/v1/events", events::stream::<S>)
            .named(
                "events",
                "watching",
                "What happens, as server-sent events. An event `gap` says that some were missed.",
            )
            .says(200, "Each `data` is an event."),
        get("/metrics", metrics::scrape::<S>)
            .named(
                "metrics",
                "running",
                "Numbers for Prometheus, in the OpenMetrics text format.",
            )
            .says(200, "The numbers."),
    ]
}

fn of_access<S: Store>() -> Vec<Operation<S>> {
    vec![
        get("/v1/whoami", access::who_am_i)
            .named("whoAmI", "access", "Who asks, as the audit names them, and what they may.")
            .says(200, "You."),
        get("/v1/tokens", access::tokens::<S>)
            .named("listTokens", "access", "All tokens, the newest first, without what is shown.")
            .says(200, "The tokens."),
        post("/v1/tokens", access::make_token::<S>)
            .named(
                "makeToken",
                "access",
                "Makes a token for no more than one holds oneself. Its text is told this once.",
            )
            .says(201, "Made.")
            .fails(&[Conflict, Overloaded]),
        get("/v1/tokens/{id}", access::token::<S>)
            .named("showToken", "access", "A token, without what is shown.")
            .says(200, "The token."),
        delete("/v1/tokens/{id}", access::revoke_token::<S>)
            .named(
                "revokeToken",
                "access",
                "A token works no more, and the sessions that it began are over.",
            )
            .says(200, "The token as it is now.")
            .fails(&[Overloaded]),
        get("/v1/sessions", access::sessions::<S>)
            .named("listSessions", "access", "One's own sessions; all of them for who administers.")
            .says(200, "The sessions, the last used first."),
        delete("/v1/sessions/{id}", access::end_session::<S>)
            .named("endSession", "access", "A session is over at once.")
            .says(204, "Over.")
            .fails(&[Overloaded]),
    ]
}

fn erasing<S: Store>() -> Vec<Operation<S>> {
    vec![
        post("/v1/erasures", erasures::make::<S>)
            .named(
                "erase",
                "erasures",
                "Lets the business data of sagas go for good, named or found by the value of a declared field. What was done and when stays, with digests of what went.",
            )
            .says(201, "Done, or remembered where a case is not settled.")
            .says(200, "A dry run: what would go.")
            .fails(&[NotFound, Conflict, Overloaded]),
        get("/v1/erasures", erasures::list::<S>)
            .named("listErasures", "erasures", "Erasures, the newest first.")
            .says(200, "A page."),
        get("/v1/erasures/{id}", erasures::show::<S>)
            .named("showErasure", "erasures", "An erasure, and what became of each of its sagas.")
            .says(200, "The erasure."),
        post("/v1/erasures/{id}/confirm", erasures::confirm::<S>)
            .named(
                "confirmErased",
                "erasures",
                "Whether what somebody has is what went, by its digest. Changes nothing.",
            )
            .says(200, "Whether it is."),
    ]
}

fn running<S: Store>() -> Vec<Operation<S>> {
    vec![
        post("/v1/backups", backups::make::<S>)
            .named(
                "makeBackup",
                "running",
                "Copies the store into a new file of the supervisor's folder for backups, while work goes on.",
            )
            .says(201, "The copy is whole and durable.")
            .fails(&[NotFound, Conflict]),
        get("/v1", probes::index)
            .named("index", "running", "What there is.")
            .says(200, "Links."),
        get("/livez", probes::live::<S>)
            .named("live", "running", "Whether the process lives.")
            .says(200, "It does."),
        get("/readyz", probes::ready::<S>)
            .named("ready", "running", "Whether requests can be taken.")
            .says(200, "They can."),
        get("/healthz", probes::ready::<S>)
            .named("healthy", "running", "The same as `/readyz`.")
            .says(200, "They can."),
    ]
}
