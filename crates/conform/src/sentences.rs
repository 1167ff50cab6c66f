//! The protocol, sentence by sentence: which checks hold a participant to it, and which sentences nobody can see from
//! outside. What is here stands on the page word for word; a test compares.

use Holds::{By, Nobody};

/// What a participant must do, in the page's own words.
#[derive(Clone, Copy, Debug)]
pub struct Sentence {
    /// The section of the page.
    pub section: &'static str,
    /// As it stands there.
    pub words: &'static str,
    /// Who looks whether it is kept.
    pub holds: Holds,
}

/// Who holds a participant to a sentence.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// These checks.
    By(&'static [&'static str]),
    /// No check, for this reason.
    Nobody(&'static str),
}

impl Sentence {
    /// Those that no check looks at, with the reason.
    pub fn unseen() -> impl Iterator<Item = (&'static Sentence, &'static str)> {
        SENTENCES.iter().filter_map(|sentence| match sentence.holds {
            Nobody(why) => Some((sentence, why)),
            By(_) => None,
        })
    }
}

const fn held(section: &'static str, words: &'static str, by: &'static [&'static str]) -> Sentence {
    Sentence { section, words, holds: By(by) }
}

const fn unseen(section: &'static str, words: &'static str, why: &'static str) -> Sentence {
    Sentence { section, words, holds: Nobody(why) }
}

const EVERYWHERE: &str = "what-holds-everywhere";
const CONTEXT: &str = "saga-context";
const FORWARD: &str = "forward-requests";
const WRITES: &str = "what-to-write-and-when";
const PROOF: &str = "what-the-answer-to-a-call-proves";
const LIFE: &str = "the-life-of-a-request";
const SEVERAL: &str = "several-processes";
const REPORTS: &str = "reports";
const EVIDENCE: &str = "evidence";
const SENDING: &str = "sending-a-report";
const STEPS: &str = "steps";
const VERBS: &str = "what-each-verb-means";
const ANSWERS: &str = "how-the-supervisor-reads-an-answer";
const DEFINITE: &str = "definite-answers";
const SLOW: &str = "slow-steps";
const HISTORY: &str = "history";
const SIGNATURES: &str = "signatures";
const TIMES: &str = "times-and-bounds";

/// Every sentence that asks something of a participant, in the order of the page. One to a line, to be read as a table.
#[rustfmt::skip]
pub const SENTENCES: &[Sentence] = &[
    held(EVERYWHERE, "absent rather than `null`, and `null` is read as absent", &["step-nulls"]),
    held(EVERYWHERE, "unknown ones are ignored, by both sides", &["step-unknown-fields"]),
    held(EVERYWHERE, "1 to 128 bytes of printable ASCII without spaces; case counts", &["context-opaque-saga", "context-malformed-saga", "context-malformed-request", "history-malformed-saga"]),
    held(EVERYWHERE, "never followed, never sent", &["call-redirect", "report-not-now"]),
    held(EVERYWHERE, "percent-encoded as one segment, decoded once", &["context-opaque-saga"]),
    held(EVERYWHERE, "space, `\"`, `%` and all outside of printable ASCII percent-encoded, decoded once", &["report-subject"]),
    held(CONTEXT, "a new saga in its place would cut the link", &["context-malformed-saga"]),
    held(CONTEXT, "the same whenever this request is repeated", &["forward-repeat", "call-request-id"]),
    held(CONTEXT, "other members are passed on, at least 64 of them and 8,192 bytes", &["call-context", "call-baggage"]),
    held(CONTEXT, "optional: the action that makes the call, as `service.action`", &["call-context", "report-content"]),
    held(CONTEXT, "W3C Trace Context, passed on", &["call-trace", "context-malformed-trace"]),
    held(CONTEXT, "`Saga-Id` wins over `baggage`, which intermediaries may change.", &["context-header-wins"]),
    held(CONTEXT, "If only `baggage` has the saga, it counts.", &["context-baggage"]),
    held(CONTEXT, "An answer repeats `Saga-Id` and `Request-Id`.", &["forward-names", "failure-names-request"]),
    held(CONTEXT, "**Request ids of calls are derived, not made up.**", &["call-request-id"]),
    held(CONTEXT, "1 for the first call of this request to that action, 2 for the second, and so on", &["call-ordinal"]),
    unseen(CONTEXT, "Another derivation works too, if it is as stable and as unlikely to collide.", "how unlikely ids are to collide shows in no small number of them"),
    held(FORWARD, "does it: 200 with the result", &["forward-works"]),
    held(FORWARD, "begins a saga, makes an id, and tells them in the answer; or 400 `invalid-request`, if sagas don't begin here", &["context-begins"]),
    held(FORWARD, "the first answer again, success or failure, with the same `Amends-Report`", &["forward-repeat", "failure-repeat"]),
    held(FORWARD, "409 `in-progress`, `Retry-After: 1`", &["forward-running", "forward-at-once"]),
    held(FORWARD, "the same id, other contents, other action or other saga", &["forward-key-reused", "forward-other-action"]),
    held(FORWARD, "anything of an action that was compensated in this saga, or anything new of one whose compensation was refused", &["fence-late-request", "fence-repeat", "fence-repeat-failure", "fence-new-request", "refuse-fences"]),
    held(FORWARD, "a problem `action-failed` with the status of your choice, and `Amends-Report`", &["failure-is-problem", "failure-has-no-effect", "failure-names-report"]),
    unseen(FORWARD, "a problem `effect-unknown`, and `Amends-Report`", "no request is known whose effect is in doubt: how one comes about is the service's own affair"),
    unseen(FORWARD, "A request that a fence turns away makes **no report**", "that nothing comes can be judged by what must come after it, and nothing does in a fenced saga"),
    held(FORWARD, "One that is turned away at its end, after a refusal, stays as `unknown` in History", &["refuse-turned-away"]),
    held(FORWARD, "white space and the order of members are not compared", &["forward-same-contents", "forward-member-order"]),
    held(FORWARD, "Of the headers none counts", &["forward-other-headers"]),
    held(WRITES, "*Before the work*, commit a row", &["history-started", "restart-crashed"]),
    held(WRITES, "*Before each call* to another service, commit a row of the call", &["call-started", "restart-call"]),
    held(WRITES, "Make no call any more when the own row is not `started` or the fence is up.", &["call-after-fence"]),
    held(WRITES, "*After it*, write down what the answer proves (below).", &["call-succeeded", "call-failed"]),
    held(WRITES, "check that the own row is still `started` and no fence is up", &["compensate-running", "refuse-running"]),
    unseen(WRITES, "apply the effect, mark the row `succeeded` with its answer", "that the two are one transaction would show only if a kill fell between them"),
    held(WRITES, "put the report into an outbox", &["failure-does-not-wait", "restart-report"]),
    held(WRITES, "A row that is `started`, and that no living process works on, was left behind by one that died.", &["restart-keeps", "restart-crashed"]),
    held(WRITES, "mark it `unknown` and report it, with the code `crashed`", &["restart-crashed"]),
    held(PROOF, "a problem `internal` or `effect-unknown`", &["call-unknown", "call-type-decides"]),
    held(PROOF, "ask again under the same id; `unknown` if you stop asking", &["call-in-progress"]),
    held(PROOF, "any other problem of a type in [problems.md](problems.md), e.g. `action-failed`", &["call-failed", "call-type-decides"]),
    held(PROOF, "any other 4xx, except 408", &["call-refused", "call-time-out"]),
    held(PROOF, "anything else, no answer, a broken connection, a timeout", &["call-unknown", "call-redirect"]),
    held(PROOF, "A call that succeeded once stays `succeeded`, whatever a repetition is answered.", &["call-stays-succeeded"]),
    held(LIFE, "nothing leads from `compensated` or `fenced` to an effect", &["fence-repeat", "retry-fenced", "retry-fenced-failure"]),
    held(LIFE, "nothing takes effect while the fence is up", &["fence-late-request", "compensate-running", "refuse-running", "refuse-retry", "retry-unknown-fenced"]),
    unseen(SEVERAL, "**Transactions of one saga come one after the other.**", "the kit talks to one address, behind which it sees one participant"),
    unseen(SEVERAL, "**Whoever works is known to live.**", "the kit kills the participant as a whole"),
    unseen(SEVERAL, "**Who was taken for dead commits nothing.**", "nobody can stop a process from outside for just so long"),
    held(REPORTS, "A report is a [CloudEvent]", &["report-arrives", "report-envelope"]),
    held(REPORTS, "the service's name in the rulebook, or a URI that ends in it after `/` or `:`", &["report-envelope"]),
    held(REPORTS, "unique per source, and the same whenever the report is sent again", &["report-survives"]),
    held(REPORTS, "the kind of failure; with the service it picks the rule.", &["report-content"]),
    held(REPORTS, "the `Amends-Report` headers of failed answers to your calls", &["call-cause"]),
    held(REPORTS, "your own requests in this saga that are not undone, then your calls", &["report-history", "report-undone", "call-failed"]),
    unseen(REPORTS, "business fields for the rulebook's conditions and placeholders. No secrets", "which fields a rulebook needs, and what is secret, only their owner knows"),
    held(EVIDENCE, "States in `history` are `started`, `succeeded`, `failed` (took no effect, and you can prove it) and `unknown` (may have taken effect).", &["report-history", "call-unknown"]),
    held(EVIDENCE, "A call that nobody waits for any more is `unknown`, not `started`.", &["restart-call", "call-unknown"]),
    held(SENDING, "keep it, tell a person loudly, and try it once more at the next start", &["report-refused", "restart-refused-report"]),
    held(SENDING, "tell a person, and send it again, with backoff", &["report-turned-away"]),
    held(SENDING, "send it again, with backoff, for ever; `Retry-After` is a lower bound", &["report-survives", "report-not-now", "report-retry-after"]),
    held(SENDING, "Send from the outbox, in order within a saga, and don't let your caller wait for it.", &["report-order", "failure-does-not-wait"]),
    held(STEPS, "the step id, in quotes; take it without them too.", &["step-key-bare"]),
    held(STEPS, "If you get another than the body's `stepId`, answer 422 `key-reused`", &["step-key"]),
    held(STEPS, "if path and body disagree, answer 400", &["step-path"]),
    held(STEPS, "a hint, never a limit", &["compensate-every-request"]),
    held(STEPS, "Remember the outcome by step id, and give it again", &["compensate-repeat", "restart-step"]),
    held(STEPS, "after a refusal, a 409, a 503 or any other failure the same step is tried anew", &["refuse-keeps"]),
    held(STEPS, "If a step id comes with another saga, verb or action, answer 422 `key-reused`.", &["step-id-reused", "step-id-other-verb"]),
    held(VERBS, "undo *every* request of this action in this saga, and let none take effect from now on", &["compensate-undoes", "compensate-every-request", "compensate-other-action"]),
    held(VERBS, "The fence stays for ever, also when there was nothing to undo, and also of an action that has no undo of its own", &["compensate-nothing", "fence-without-undo", "restart-fence", "fence-other-saga", "fence-other-action"]),
    held(VERBS, "Don't wait for a request that is still running: put up the fence and answer", &["compensate-running"]),
    held(VERBS, "If you refuse, undo nothing, leave the requests as they are for the next attempt, and put up the fence all the same", &["refuse-is-problem", "refuse-keeps", "refuse-whole", "refuse-repeat", "refuse-fences"]),
    held(VERBS, "A running request fails when it wants to commit, and is `unknown` then.", &["refuse-running", "refuse-turned-away"]),
    held(VERBS, "No `retry` runs.", &["refuse-retry"]),
    held(VERBS, "run the stored request again, under its own request id, with the same ids for its calls", &["retry-runs-again", "call-request-id"]),
    held(VERBS, "the latest that did not succeed, one of `requestIds` before others", &["retry-latest", "retry-named"]),
    held(VERBS, "if exactly one is named and it succeeded meanwhile, that one, and there is nothing to run", &["retry-named-succeeded", "retry-succeeded"]),
    held(VERBS, "A failure of a retry makes no new report", &["retry-fails-again"]),
    unseen(VERBS, "unless no report tells of the request yet", "it takes a retry within the moments between a crash and the look for what it left"),
    held(VERBS, "send the message, once per saga", &["notify-once", "notify-at-once"]),
    held(VERBS, "`already_compensated` (another step had done it)", &["compensate-other-step", "compensate-at-once"]),
    held(VERBS, "`nothing_to_compensate` (the fence is up all the same)", &["compensate-nothing", "compensate-failed", "fence-late-request"]),
    held(VERBS, "The empty list says that there were none", &["compensate-tells-calls"]),
    unseen(ANSWERS, "Use `refused` only for what will never work", "whether something will ever work only the service knows"),
    held(DEFINITE, "an unknown action or notice 404 `not-found`", &["step-unknown-action", "notify-unknown"]),
    held(DEFINITE, "a `retry` of a request that never came 404 (it may still come), of a fenced one 422 `refused`, of one that failed again 503 `unavailable`", &["retry-unknown", "retry-fenced", "retry-fails-again", "retry-running"]),
    held(DEFINITE, "a body that is no step 400 `invalid-request`, one that is too large 413; a wrong method 405; a wrong signature 401 `unauthorized`", &["step-malformed", "step-too-large", "step-method", "signature-missing"]),
    held(SLOW, "The body is that of a 200, and the `proof` that came with the step", &["step-accepted"]),
    unseen(SLOW, "Keep the proof with the step until its outcome is taken, and log it nowhere.", "the kit reads no logs, and kills no step that was taken with 202"),
    held(HISTORY, "An unknown saga is an empty list.", &["history-unknown-saga"]),
    held(HISTORY, "An entry without `service` is a request that the answering service received, in the order of arrival; one with `service` is a call that it made.", &["history-succeeded", "history-order", "call-succeeded"]),
    held(HISTORY, "until a page has no `next`", &["history-pages"]),
    held(HISTORY, "it took no effect, provably", &["history-failed"]),
    held(HISTORY, "it took effect and was undone", &["history-compensated"]),
    held(SIGNATURES, "Without a signature, coupon does nothing", &["signature-missing", "signature-history"]),
    held(SIGNATURES, "The signed bytes are `{webhook-id}.{webhook-timestamp}.{body}`", &["signature-wrong", "signature-other-body"]),
    held(SIGNATURES, "One that fits is enough", &["signature-rotation"]),
    held(SIGNATURES, "Ignore those that begin otherwise.", &["signature-version"]),
    unseen(SIGNATURES, "Compare in constant time", "times of answers over a network tell nothing of single bytes"),
    held(SIGNATURES, "refuse timestamps that are more than 5 minutes off", &["signature-old"]),
    unseen(TIMES, "Cut before you send.", "no check makes a saga of a thousand requests"),
    unseen(TIMES, "A step id as long as the saga's History", "nobody waits for days"),
];

#[cfg(test)]
mod tests {
    use super::{Holds, SENTENCES};
    use crate::CHECKS;
    use std::collections::BTreeSet;

    #[test]
    fn every_sentence_stands_in_its_section_of_the_page() {
        let page = include_str!("../../../docs/reference/protocol.md");
        let anchor = |heading: &str| {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            words.chars().filter(kept).collect::<String>().replace(' ', "-")
        };
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (mut sections, mut now) = (Vec::<(String, String)>::new(), String::new());
        for line in page.lines() {
            match line.starts_with("## ") || line.starts_with("### ") || line.starts_with("#### ") {
                true => now = anchor(line),
                false => sections.push((now.clone(), line.to_owned())),
            }
        }
        for sentence in SENTENCES {
            let own = sections.iter().filter(|(section, _)| section == sentence.section);
            let text: Vec<&str> = own.map(|(_, line)| line.as_str()).collect();
            let words = in_one_line(sentence.words);
            assert!(
                in_one_line(&text.join(" ")).contains(&words),
                "the section `{}` does not say: {words}",
                sentence.section
            );
        }
    }

    #[test]
    fn every_check_holds_a_sentence() {
        let named: BTreeSet<&str> = SENTENCES
            .iter()
            .filter_map(|sentence| match sentence.holds {
                Holds::By(checks) => Some(checks),
                Holds::Nobody(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(named, all);
    }
}
