//! Every kind of mistake, once. `docs/reference/diagnostics.md` has an entry for each (a test compares the two).

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rulebook cannot be used.
    Error,
    /// The rulebook can be used, but probably says something else than was meant.
    Warning,
    /// Nothing is wrong; it could be said better, or cheaper.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// Its stable name.
    pub code: &'static str,
    /// Whether it withholds the rulebook.
    pub severity: Severity,
    /// What it means, in one line.
    pub summary: &'static str,
    /// Who finds it.
    pub found_by: FoundBy,
}

/// Who finds a kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// [`crate::load`] and [`crate::check_together`]: whether the rulebook can be read and means one thing.
    Load,
    /// The check of the workbench: whether what it asks for leaves nothing behind.
    Check,
    /// The check of the workbench, if its severity is set; otherwise it is not looked for.
    CheckIfAsked,
    /// [`crate::check_activation`]: whether the open cases can go on.
    Activation,
}

macro_rules! codes {
    ($($by:ident $severity:ident $name:ident = $text:literal: $summary:literal;)+) => {
        $(#[doc = $summary] pub const $name: &str = $text;)+

        /// Every kind of mistake.
        pub const CODES: &[CodeInfo] = &[$(CodeInfo { code: $text, severity: Severity::$severity, summary: $summary, found_by: FoundBy::$by }),+];
    };
}

codes! {
    // The text itself.
    Load Error YAML_SYNTAX = "yaml-syntax": "the text is not YAML";
    Load Error YAML_FEATURE = "yaml-feature": "a part of YAML that rulebooks leave out: anchors, aliases, tags, several documents";
    Load Error TOO_LARGE = "too-large": "a file, its nesting or the number of mistakes is beyond the limit";
    Load Error DUPLICATE_KEY = "duplicate-key": "a key stands twice in one mapping";
    Load Error UNKNOWN_KEY = "unknown-key": "a key that means nothing here";
    Load Error MISSING_KEY = "missing-key": "a key that must be there is not";
    Load Error WRONG_TYPE = "wrong-type": "a text where a list should be, and the like";
    // Single values.
    Load Error INVALID_NAME = "invalid-name": "a name with characters that names don't have";
    Load Error INVALID_WORD = "invalid-word": "not one of the words that can stand here";
    Load Error INVALID_NUMBER = "invalid-number": "not a number, or out of its range";
    Load Error INVALID_DURATION = "invalid-duration": "not a length of time such as `10s`";
    Load Error INVALID_URL = "invalid-url": "not an address such as `http://payment:8080`";
    Load Warning UNQUOTED_VALUE = "unquoted-value": "a value that YAML readers understand in different ways";
    Load Warning WORD_AS_NAME = "word-as-name": "`none` and the like where the name of an operation stands";
    Load Error MISSING_QUOTES = "missing-quotes": "a placeholder or a pattern that needs quotes and has none";
    Load Note LISTED_TWICE = "listed-twice": "an entry stands twice in one list";
    Load Note IDLE_SETTING = "idle-setting": "a setting that does nothing where it stands";
    Load Warning WAIT_TOO_SHORT = "wait-too-short": "a time to wait that is over before anything can have come";
    Load Error INVALID_PATTERN = "invalid-pattern": "`on` is not `service/code`, `service/prefix*`, `service/*` or `*/*`";
    // Files.
    Load Error UNREADABLE_FILE = "unreadable-file": "a file that is not there, may not be read, or is no UTF-8";
    Load Error IMPORT_FAILED = "import-failed": "a manifest cannot be read, or is imported twice";
    Load Warning IMPORT_OUTSIDE = "import-outside": "a manifest outside of the rulebook's folder";
    Load Error NOT_A_RULEBOOK = "not-a-rulebook": "a manifest where a rulebook should be";
    // Services and actions.
    Load Error DUPLICATE_SERVICE = "duplicate-service": "a service is declared twice";
    Load Error DUPLICATE_REPORT = "duplicate-report": "a report is declared twice";
    Load Error UNKNOWN_SERVICE = "unknown-service": "no such service";
    Load Error UNKNOWN_ACTION = "unknown-action": "no such action";
    Load Error UNKNOWN_TAG = "unknown-tag": "no action has the tag";
    Load Error NO_UNDO = "no-undo": "an action says nothing of what can be done about it";
    Load Error CLASH_OF_CLASSES = "clash-of-classes": "an action says two things of itself that exclude each other";
    Load Error BAD_CALL = "bad-call": "an item of `calls` that cannot mean anything";
    Load Error UNFENCED_EVENT = "unfenced-event": "a message to a service that puts up no fence, without `within`";
    Load Error SILENT_CALLER = "silent-caller": "a caller of whose failure nobody hears, beside one that tolerates it";
    Load Error CALL_CYCLE = "call-cycle": "actions call each other in a circle";
    Load Error MISSING_URL = "missing-url": "a service has actions to ask for and no address";
    Load Error BAD_RETRY_POLICY = "bad-retry-policy": "a retry policy that contradicts itself";
    Load Warning AGE_TOO_SHORT = "age-too-short": "a step is too old before one attempt must have ended";
    Load Error CONTRADICTORY_REPORT = "contradictory-report": "a report is declared with a call both made and not made";
    Load Warning NOT_CALLED = "not-called": "a report is declared with a call that its action doesn't make";
    Load Error NO_SUCH_WAY = "no-such-way": "a report names a way on which nothing is called, or several";
    Load Error BAD_ROLE = "bad-role": "a role or a currency that a business field can't have";
    // Endpoints.
    Load Error BAD_ENDPOINT = "bad-endpoint": "method, path or header of a mapped request cannot be sent";
    Load Warning UNSENT_HEADER = "unsent-header": "a mapped header that says who sends the request, which is not the rulebook's to say";
    Load Error SECRET_IN_ADDRESS = "secret-in-address": "a secret field stands in the path or the query of a mapped request";
    Load Error INVALID_STATUS = "invalid-status": "not a status such as 204 or `2xx`";
    Load Error AMBIGUOUS_STATUS = "ambiguous-status": "one status with two meanings";
    Load Error UNKNOWN_PLACEHOLDER = "unknown-placeholder": "not a placeholder, or braces without their partner";
    Load Warning FOREIGN_PLACEHOLDER = "foreign-placeholder": "a placeholder as other tools write it, of which a part is sent as it stands";
    Load Warning UNUSED_ENDPOINT = "unused-endpoint": "a mapped request for a verb that is never asked of the action";
    // Rules.
    Load Error EMPTY_RULE = "empty-rule": "a rule that asks for nothing";
    Load Error EMPTY_STAGE = "empty-stage": "a `then` that asks for nothing";
    Load Error NOT_COMPENSABLE = "not-compensable": "`compensate` names an action that cannot be undone";
    Load Error NOT_RETRIABLE = "not-retriable": "`retry` names something that cannot be run again";
    Load Error NOT_A_NOTICE = "not-a-notice": "`notify` names something that is no message";
    Load Error RETRY_IN_BACKWARD_RULE = "retry-in-backward-rule": "a rule both undoes and runs again";
    Load Error GIVE_UP_WITHOUT_RETRY = "give-up-without-retry": "`give_up` where nothing is retried";
    Load Error CONTRADICTORY_CONDITIONS = "contradictory-conditions": "conditions that no report can meet";
    Load Error OVERLAPPING_RULES = "overlapping-rules": "two rules of equal rank that can both answer one report";
    Load Error WRONG_DATA_TYPE = "wrong-data-type": "a condition compares a field with what its type can't be";
    Load Error CONDITIONS_TOO_ENTANGLED = "conditions-too-entangled": "too many rules of one pattern to compare each with each";
    Load Warning UNDECLARED_REPORT = "undeclared-report": "a rule for a report that its service doesn't declare";
    Load Warning NO_DEFAULT_RULE = "no-default-rule": "no rule for `*/*`, so reports can stay unanswered";
    // What the rules ask for, against what each failure needs.
    Check Error UNDER_COMPENSATION = "under-compensation": "a rule leaves behind what a failure needs undone";
    Check Note OVER_COMPENSATION = "over-compensation": "a rule asks for what cannot have happened by then";
    Check Warning UNDOES_WHAT_IS_KEPT = "undoes-what-is-kept": "a rule undoes what its report says stays";
    Check Note SHADOW_RULE = "shadow-rule": "a rule that only watches";
    Check Error REPORT_WITHOUT_RULE = "report-without-rule": "a declared report that no rule answers";
    Check Warning GAP_IN_CONDITIONS = "gap-in-conditions": "conditions that some reports fall between";
    Check Warning SHADOWED_RULE = "shadowed-rule": "a rule that never answers anything";
    Check Warning WRONG_ORDER = "wrong-order": "something is undone before what was built on it";
    Check Warning UNSUPPLIED_FIELD = "unsupplied-field": "a request needs a field that the report doesn't carry";
    Check Note REQUEST_NAMES_NOTHING = "request-names-nothing": "a mapped request that says only in its headers what it is about";
    Check Note UNMAPPED_SUCCESS = "unmapped-success": "a mapped request of which no answer is said to be `done`";
    Check Warning SWAPPED_ANSWERS = "swapped-answers": "a mapped request whose `done` and `nothing` look swapped";
    Check Warning SECRET_WRITTEN_OUT = "secret-written-out": "a secret stands in the rulebook";
    Check Warning UNSERVED_VERB = "unserved-verb": "a mapped action is asked for something that it maps no request for";
    Check Warning GET_THAT_CHANGES = "get-that-changes": "a mapped `GET` that is to change something";
    Check Note ACCEPTED_WITHOUT_POLL = "accepted-without-poll": "an answer counts as accepted, and nothing says how to look what came of it";
    Check Warning SECRET_IN_CLEAR = "secret-in-clear": "a secret is sent without TLS to a public name";
    Check Note UNDECLARED_FIELD = "undeclared-field": "a request needs a field that no report is said to carry";
    Check Warning MIXED_TYPES = "mixed-types": "one field is compared as a text and as a number";
    Check Note SHARED_ADDRESS = "shared-address": "two services have one address";
    Check Note CREEPING_LIST = "creeping-list": "a long list of actions that a set would say";
    CheckIfAsked Warning RULE_WITHOUT_OWNER = "rule-without-owner": "a rule without `owner`";
    CheckIfAsked Warning RULE_WITHOUT_WHY = "rule-without-why": "a rule without `why`";
    CheckIfAsked Warning RULE_WITHOUT_TEST = "rule-without-test": "a rule that no test reaches";
    Check Note NOT_PROVED = "not-proved": "too many failures to play all of them";
    Check Warning NOT_FULLY_CHECKED = "not-fully-checked": "the rulebook is too entangled to check all of it";
    // What the services declare, taken together.
    Check Warning COMPENSATION_CYCLE = "compensation-cycle": "three actions or more that undo each other in a circle";
    Check Warning IRREVERSIBLE_FIRST = "irreversible-first": "what cannot be undone is called before what can fail";
    Check Warning SECOND_PIVOT = "second-pivot": "a pivot behind another pivot";
    Check Note UNSAID_PAST = "unsaid-past": "something can fail behind a pivot, and no rule says what is done then with what came before it";
    Check Warning ENDLESS_RETRY = "endless-retry": "a retry that nothing ever ends";
    Check Warning NO_GIVE_UP = "no-give-up": "a retry in place of undoing that doesn't say what comes when it fails for good";
    Check Warning GIVE_UP_TOO_LATE = "give-up-too-late": "a limit in `give_up` that the retry policy reaches before";
    Check Warning GIVE_UP_TOO_SOON = "give-up-too-soon": "a retry is given up before its first attempt must have ended";
    Check Note DEAD_ACTION = "dead-action": "an action that nothing calls, reports or names";
    Check Warning RETRY_OUTLIVES_HISTORY = "retry-outlives-history": "a step is tried for longer than its service remembers";
    // Putting a rulebook in the place of another.
    Activation Error DROPPED_COMPENSATION = "dropped-compensation": "open cases need a step that the new rulebook cannot ask for";
    // Several rulebooks.
    Load Error DUPLICATE_RULEBOOK = "duplicate-rulebook": "two rulebooks of one name";
    Load Error SERVICE_IN_TWO_RULEBOOKS = "service-in-two-rulebooks": "a service belongs to two rulebooks";
}

/// The severity of a code.
pub(crate) fn severity(code: &str) -> Severity {
    CODES.iter().find(|c| c.code == code).map_or(Severity::Error, |c| c.severity)
}
