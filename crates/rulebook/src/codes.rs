//! Every kind of mistake, once. `docs/reference/diagnostics.md` has an entry for each (a test compares the two).

use crate::Severity;

/// A kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// Its stable name.
    pub code: &'static str,
    /// Whether it withholds the rulebook.
    pub severity: Severity,
    /// What it means, in one line.
    pub summary: &'static str,
}

macro_rules! codes {
    ($($severity:ident $name:ident = $text:literal: $summary:literal;)+) => {
        $(pub(crate) const $name: &str = $text;)+

        /// Every kind of mistake.
        pub const CODES: &[CodeInfo] = &[$(CodeInfo { code: $text, severity: Severity::$severity, summary: $summary }),+];
    };
}

codes! {
    // The text itself.
    Error YAML_SYNTAX = "yaml-syntax": "the text is not YAML";
    Error YAML_FEATURE = "yaml-feature": "a part of YAML that rulebooks leave out: anchors, aliases, tags, several documents";
    Error TOO_LARGE = "too-large": "a file, its nesting or the number of mistakes is beyond the limit";
    Error DUPLICATE_KEY = "duplicate-key": "a key stands twice in one mapping";
    Error UNKNOWN_KEY = "unknown-key": "a key that means nothing here";
    Error MISSING_KEY = "missing-key": "a key that must be there is not";
    Error WRONG_TYPE = "wrong-type": "a text where a list should be, and the like";
    // Single values.
    Error INVALID_NAME = "invalid-name": "a name with characters that names don't have";
    Error INVALID_WORD = "invalid-word": "not one of the words that can stand here";
    Error INVALID_NUMBER = "invalid-number": "not a number, or out of its range";
    Error INVALID_DURATION = "invalid-duration": "not a length of time such as `10s`";
    Error INVALID_URL = "invalid-url": "not an address such as `http://payment:8080`";
    Error INVALID_PATTERN = "invalid-pattern": "`on` is not `service/code`, `service/prefix*`, `service/*` or `*/*`";
    // Files.
    Error IMPORT_FAILED = "import-failed": "a manifest cannot be read, or is imported twice";
    Error NOT_A_RULEBOOK = "not-a-rulebook": "a manifest where a rulebook should be";
    // Services and actions.
    Error DUPLICATE_SERVICE = "duplicate-service": "a service is declared twice";
    Error DUPLICATE_REPORT = "duplicate-report": "a report is declared twice";
    Error UNKNOWN_SERVICE = "unknown-service": "no such service";
    Error UNKNOWN_ACTION = "unknown-action": "no such action";
    Error UNKNOWN_TAG = "unknown-tag": "no action has the tag";
    Error NO_UNDO = "no-undo": "an action says nothing of what can be done about it";
    Error CLASH_OF_CLASSES = "clash-of-classes": "an action says two things of itself that exclude each other";
    Error CALL_CYCLE = "call-cycle": "actions call each other in a circle";
    Error MISSING_URL = "missing-url": "a service has actions to ask for and no address";
    Error BAD_RETRY_POLICY = "bad-retry-policy": "a retry policy that contradicts itself";
    Error CONTRADICTORY_REPORT = "contradictory-report": "a report is declared with a call both made and not made";
    Warning NOT_CALLED = "not-called": "a report is declared with a call that its action doesn't make";
    // Endpoints.
    Error BAD_ENDPOINT = "bad-endpoint": "method, path or header of a mapped request cannot be sent";
    Error INVALID_STATUS = "invalid-status": "not a status such as 204 or `2xx`";
    Error AMBIGUOUS_STATUS = "ambiguous-status": "one status with two meanings";
    Error UNKNOWN_PLACEHOLDER = "unknown-placeholder": "not a placeholder, or braces without their partner";
    Warning UNUSED_ENDPOINT = "unused-endpoint": "a mapped request for a verb that is never asked of the action";
    // Rules.
    Error EMPTY_RULE = "empty-rule": "a rule that asks for nothing";
    Error EMPTY_STAGE = "empty-stage": "a `then` that asks for nothing";
    Error NOT_COMPENSABLE = "not-compensable": "`compensate` names an action that cannot be undone";
    Error NOT_RETRIABLE = "not-retriable": "`retry` names something that cannot be run again";
    Error NOT_A_NOTICE = "not-a-notice": "`notify` names something that is no message";
    Error RETRY_IN_BACKWARD_RULE = "retry-in-backward-rule": "a rule both undoes and runs again";
    Error GIVE_UP_WITHOUT_RETRY = "give-up-without-retry": "`give_up` where nothing is retried";
    Error CONTRADICTORY_CONDITIONS = "contradictory-conditions": "conditions that no report can meet";
    Error OVERLAPPING_RULES = "overlapping-rules": "two rules of equal rank that can both answer one report";
    Error CONDITIONS_TOO_ENTANGLED = "conditions-too-entangled": "too many rules of one pattern to compare each with each";
    Warning UNDECLARED_REPORT = "undeclared-report": "a rule for a report that its service doesn't declare";
    Warning NO_DEFAULT_RULE = "no-default-rule": "no rule for `*/*`, so reports can stay unanswered";
    // Several rulebooks.
    Error DUPLICATE_RULEBOOK = "duplicate-rulebook": "two rulebooks of one name";
    Error SERVICE_IN_TWO_RULEBOOKS = "service-in-two-rulebooks": "a service belongs to two rulebooks";
}

/// The severity of a code.
pub(crate) fn severity(code: &str) -> Severity {
    CODES.iter().find(|c| c.code == code).map_or(Severity::Error, |c| c.severity)
}
