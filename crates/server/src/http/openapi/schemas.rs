//! The schemas of the OpenAPI document, from the wire types.

use amends_api::{
    ActView, ActionProof, AnswerView, AttemptFigures, AttemptView, BackupView, BackupWanted,
    BulkAct, BulkCount, BulkDeed, BulkFailure, BulkProgress, BulkResult, BulkSample, BulkState,
    BulkSteering, BulkView, BulkWanted, CaseAct, CaseActName, CaseDetail, CaseProof, CaseState,
    CaseSummary, Cause, ClosedOn, DecisionView, DiagnosticView, EventView, GroupView, LimitsView,
    LimitsWanted, MayStand, MinuteView, Money, NoteView, Overview, Page, Progress, QuarantineAct,
    QuarantineView, QuarantinedView, QuestionAct, QuestionActName, QuestionAnswered,
    QuestionEffect, QuestionKind, QuestionView, QuestionsOfKind, RawCaseView, RawRowView,
    ReasonGiven, ReportView, RulebookCheck, RulebookQuestions, RulebookSources, RulebookView,
    ServiceView, SettleFigures, Source, SourceView, Statement, StatementView, StepAct, StepActName,
    StepStateName, StepView, StrangerAct, StrangerActName, StrangerDecisionView, StrangerView,
    StuckReason, TroubleView, UnreadableView, Verdict, WalkView,
};
use amends_protocol::{
    BatchProblem, Callback, EventReceipt, Evidence, HistoryAnswer, HistoryEntry, HistoryState,
    Outcome, OutcomeCallback, Problem, REPORT_TYPE, ReportData, ReportReceipt, ReportRef,
    SagaBegin, SagaView, StepAnswer, StepRequest, Verb,
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(
    Callback, ActionProof, ActView, AttemptFigures, AttemptView, BackupView, BackupWanted, BatchProblem, BulkAct, BulkCount, BulkDeed, BulkFailure, BulkProgress, BulkResult, BulkSample, BulkState, BulkSteering, BulkView, BulkWanted, CaseAct, CaseActName, CaseDetail, CaseProof,
    CaseState, CaseSummary, Cause, ClosedOn, DiagnosticView, EventReceipt, EventView, Evidence, DecisionView, GroupView, LimitsView, LimitsWanted, HistoryAnswer, HistoryEntry, HistoryState, MayStand, MinuteView, Money, NoteView, Outcome, OutcomeCallback, Overview, Page<ActView>,
    Page<CaseSummary>, Page<StepView>, Problem, Progress, QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, RawRowView, UnreadableView, ReasonGiven, ReportData, AnswerView, Page<QuestionView>, QuestionAct, QuestionActName, QuestionAnswered, QuestionEffect, QuestionKind, QuestionView, StatementView,
    ReportReceipt, ReportRef, ReportView, QuestionsOfKind, RulebookCheck, RulebookQuestions, RulebookSources, RulebookView, SagaBegin, SagaView,
    ServiceView, SettleFigures, Source, SourceView, Statement, StepAct, StepActName, StepAnswer, StepRequest, StepStateName, StepView, StrangerAct, StrangerActName, StrangerDecisionView, StrangerView, StuckReason, TroubleView, Verb, Verdict, WalkView,
)))]
struct Schemas;

/// All of them by name, with the CloudEvents envelope, which no wire type of ours has.
pub(super) fn all() -> Map<String, Value> {
    let document = serde_json::to_value(Schemas::openapi()).unwrap_or_default();
    let mut schemas = match document.pointer("/components/schemas") {
        Some(Value::Object(schemas)) => schemas.clone(),
        _ => Map::new(),
    };
    schemas.insert("ReportEvent".to_owned(), report_event());
    schemas
}

fn report_event() -> Value {
    json!({
        "type": "object",
        "description": "A report as a CloudEvent 1.0 in structured mode. Unknown attributes are ignored.",
        "required": ["specversion", "type", "source", "id", "subject", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "type": { "const": REPORT_TYPE },
            "source": { "type": "string", "maxLength": 512, "description": "The reporting service: its name, or a URI that ends in it." },
            "id": { "type": "string", "minLength": 1, "maxLength": 128, "description": "Unique per source; the same when it is sent again." },
            "subject": { "type": "string", "minLength": 1, "maxLength": 128, "description": "The saga id." },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "type": "string", "description": "`application/json`, if given." },
            "traceparent": { "type": "string", "description": "W3C trace context of the failure; an invalid one is ignored." },
            "data": { "$ref": "#/components/schemas/ReportData" }
        }
    })
}
