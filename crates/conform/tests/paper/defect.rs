//! Every way in which this participant can be wrong, one at a time.

macro_rules! defects {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// One mistake that a participant may make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Defect { $($(#[$meta])* $name),+ }

        impl Defect {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

defects! {
    // Forward requests.
    /// A request that succeeds takes no effect.
    DoesNothing,
    /// Answers don't say which saga and request they belong to.
    NamesNothing,
    /// A repeated request takes effect once more.
    EffectOnRepeat,
    /// A repeated request gets an answer of its own.
    AnswersRepeatAnew,
    /// A request that comes again while it waits for another service runs a second time.
    RunsDuplicates,
    /// "Still running" without a word on when to ask again.
    NoRetryAfter,
    /// The contents of a request are not compared.
    NoFingerprint,
    /// The saga of a repeated request is not compared.
    SagaNotCompared,
    /// The bytes of a request are compared, not what they say.
    ComparesBytes,
    /// The action of a repeated request is not compared.
    ActionNotCompared,
    /// Members in another order are other contents.
    ComparesOrder,
    /// The trace of a request belongs to its contents.
    HeadersAreContents,
    // Saga context.
    /// A malformed request id is replaced by a new one.
    MalformedRequestReplaced,
    /// A request without a saga begins one, and nobody is told which.
    BeginsNameless,
    /// `baggage` wins over `Saga-Id`.
    HeaderLoses,
    /// `baggage` is not read.
    BaggageIgnored,
    /// A malformed saga id is replaced by a new one.
    MalformedSagaStartsNew,
    /// A malformed trace is an error.
    MalformedTraceRefused,
    /// Saga ids with more than letters, digits and `-` are refused.
    SagaOfLettersOnly,
    // History.
    /// A saga that nobody has seen is 404.
    UnknownSagaNotFound,
    /// Whatever stands in the path is a saga.
    AnyTextIsASaga,
    /// `done` instead of `succeeded`.
    OwnWordForSucceeded,
    /// A failed request is shown as `succeeded`.
    FailureShownAsSuccess,
    /// A request is shown when it has ended.
    StartedNotShown,
    /// A compensated request is still shown as `succeeded`.
    CompensationNotShown,
    /// The latest request is told first.
    HistoryOutOfOrder,
    /// Each page of a History leads to another one.
    PagesForEver,
    // Failures and reports.
    /// Failures are problems of no type.
    PlainProblem,
    /// Failed answers don't say which saga and request they belong to.
    NamesSuccessOnly,
    /// The effect is there although the request failed.
    FailureWithEffect,
    /// The answer waits until the supervisor has the report.
    WaitsForSupervisor,
    /// Reports are never sent.
    NeverReports,
    /// The report's source is another service.
    ForeignSource,
    /// The report does not name its request.
    ReportWithoutRequest,
    /// The report's evidence lacks the service's own request.
    ReportWithoutEvidence,
    /// The report's evidence knows a state that the protocol doesn't.
    EvidenceInOwnWords,
    /// A failed answer does not name its report.
    ReportNotNamed,
    /// A report that was not taken is forgotten.
    GivesUp,
    /// A report that is sent again has another id.
    NewIdOnResend,
    /// The subject is written into the header as it is.
    SubjectNotEncoded,
    /// A report that is answered 401 is forgotten.
    DropsReportOn401,
    /// A report that is answered 403 is forgotten.
    DropsReportOn403,
    /// A report that is answered 404 is forgotten.
    DropsReportOn404,
    /// A report that is answered 500 is forgotten.
    DropsReportOn500,
    /// Who is sent elsewhere with a report goes there.
    FollowsReportRedirect,
    /// The latest report is sent first.
    NewestReportFirst,
    /// `Retry-After` is not read.
    IgnoresRetryAfter,
    /// A report that was refused comes again.
    RepeatsRefusedReport,
    /// A report that was refused keeps all later ones back.
    RefusedReportBlocks,
    /// A report tells of requests that are undone.
    ReportsUndone,
    /// A repeated failed request makes a further report.
    ReportOnRepeat,
    // Steps.
    /// Nothing is undone.
    LeavesEffect,
    /// A step that was taken with 202 is done again when it is asked for again.
    AcceptedTwice,
    /// A late answer does not carry the step's proof.
    ForgetsProof,
    /// Unknown fields of a step are an error.
    StrictFields,
    /// A key without quotes is an error.
    QuotedKeyOnly,
    /// Steps on unknown actions are done.
    AnyAction,
    /// A malformed step is an internal error.
    MalformedStepBreaks,
    /// The path of a step is not compared with its body.
    PathUnchecked,
    /// The key of a step is not compared with its id.
    KeyUnchecked,
    /// A step id means the same step in every saga.
    StepOfAnySaga,
    /// A step id means the same step with every verb.
    StepOfAnyVerb,
    /// `null` is a value that is not allowed.
    NullIsAValue,
    /// Bodies of any length are read.
    NoBodyLimit,
    /// Steps come by any method.
    AnyMethod,
    // Compensation and fence.
    /// The outcome of a step is not remembered.
    ForgetsSteps,
    /// Another step undoes again.
    CompensatesTwice,
    /// Two compensations at once both undo.
    CompensationsRace,
    /// Only the requests that the step names are undone.
    UndoesNamedOnly,
    /// Where nothing was, it says `compensated`.
    CompensatesNothing,
    /// A failed request counts as undone.
    CompensatesFailure,
    /// The requests of all actions in the saga are undone.
    UndoesWholeSaga,
    /// The answer to a compensation says that nobody was called.
    SaysNoCalls,
    /// The answer to a compensation tells of calls that have ended.
    SaysEndedCallsOnly,
    /// A compensation waits for the request that runs.
    WaitsForRunning,
    /// A running request commits after it was compensated.
    RunningNotFenced,
    /// No fence is put up.
    NoFence,
    /// A fence is put up only where there was a request.
    FenceNeedsRequest,
    /// A compensated request is answered with its old success.
    ReplaysCompensated,
    /// An action without an undo is not fenced.
    FencesUndoablesOnly,
    /// The fence of one saga is one of all.
    FencesAllSagas,
    /// The fence of one action is one of the whole saga.
    FencesWholeSaga,
    /// A failed request is answered with its old failure after its compensation.
    ReplaysFencedFailure,
    /// A refused compensation is an internal error.
    RefusalBreaks,
    /// A refused compensation is remembered as done.
    RefusalRemembered,
    /// No fence after a refused compensation.
    RefusalNotFenced,
    /// What can be undone is undone before the rest is refused.
    HalfAnUndo,
    /// A refusal fences the failed requests.
    RefusalChangesRows,
    /// A request that runs while its compensation is refused commits.
    CommitsAfterRefusal,
    /// A request that the fence of a refusal turned away stays `started`.
    TurnedAwayStaysStarted,
    /// A finished request is refused after a refusal.
    RefusalFencesAnswered,
    /// A failed request runs again after a refusal.
    RetriesAfterRefusal,
    // Retry and notify.
    /// A retry runs the latest request, whichever it names.
    RetriesLatestOnly,
    /// A retry that names none runs the earliest failed request.
    RetriesFirst,
    /// A retry runs another request than the one that it names, if that one has succeeded.
    RetriesAnotherThanNamed,
    /// A retry says `retried` of a failed request that was fenced.
    RetriesFencedFailure,
    /// A retry of what never came is 404, also behind a fence.
    UnknownRetryNotFound,
    /// A retry runs what had succeeded.
    RetriesSuccess,
    /// A retry of what never came is refused.
    RefusesUnknownRetry,
    /// A retry runs what was compensated.
    RetriesCompensated,
    /// A retry that fails makes a new report.
    ReportsRetry,
    /// A retry that fails is refused for good.
    FailedRetryIsFinal,
    /// A retry runs with an empty body.
    ForgetsBody,
    /// A retry runs what is running.
    RetriesRunning,
    /// A notice goes out with every step.
    NotifiesTwice,
    /// Two notices at once both go out.
    NoticesRace,
    /// Unknown notices go out.
    AnyNotice,
    // Calls.
    /// Calls don't name the saga.
    DropsSaga,
    /// Calls don't pass `baggage` on.
    DropsBaggage,
    /// Calls don't pass the trace on.
    DropsTrace,
    /// A call of a run has an id of its own.
    NewCallId,
    /// Calls are not in History.
    CallsNotShown,
    /// Calls are in History once they are answered.
    StartedCallNotShown,
    /// Calls are in History under the id of the request that made them.
    CallUnderParentId,
    /// Every failed call is `unknown`.
    EveryFailureUnknown,
    /// A broken connection counts as `failed`.
    BrokenCallFailed,
    /// The report of the failed call is not named.
    NoCause,
    /// A call that is still running is asked again under another id.
    BusyCallAnew,
    /// The first sixteen members of `baggage` are passed on.
    KeepsFewBaggage,
    /// Only the first line of `baggage` is read.
    FirstBaggageLineOnly,
    /// All calls of a request to an action have one id.
    OrdinalIgnored,
    /// A request goes on calling after its compensation.
    CallsAfterFence,
    /// 408 counts as `failed`.
    TimeoutStatusFailed,
    /// A redirect counts as `failed`.
    RedirectFailed,
    /// A redirect is followed.
    FollowsRedirects,
    /// The status alone decides what a problem proves.
    StatusDecides,
    /// A 4xx that is no problem of ours counts as `unknown`.
    PlainRefusalUnknown,
    /// A call that succeeded becomes `failed` by a later answer.
    DowngradesToFailed,
    /// A call that succeeded becomes `unknown` by a later silence.
    DowngradesToUnknown,
    // Restarts.
    /// Requests are gone after a restart, and their effects are not.
    ForgetsRequests,
    /// Fences are gone after a restart.
    ForgetsFences,
    /// Outcomes of steps are gone after a restart.
    ForgetsOutcomes,
    /// Reports on their way are gone after a restart.
    ForgetsReports,
    /// A report that was refused is not tried again after a restart.
    BuriesRefusedReports,
    /// What a dead process left behind stays `started`.
    NeverRecovers,
    /// What a dead process left behind counts as `failed`.
    RecoversAsFailed,
    /// What a dead process left behind is not reported.
    RecoversSilently,
    /// A call of a dead process is still `started`.
    CrashedCallStarted,
    // Signatures.
    /// A signature of another version beside the right one is an error.
    StrictVersions,
    /// The version of a signature is not looked at.
    AnyVersion,
    /// Steps without a signature are done.
    UnsignedSteps,
    /// Signatures are not compared.
    AnySignature,
    /// Old signatures are good.
    OldSignature,
    /// Only the first signature counts.
    FirstSignatureOnly,
    /// History is open to all.
    OpenHistory,
}
