//! Cases as a file: `GET /v1/cases:export`, NDJSON or CSV, page by page, so that its size costs no memory. A reader that
//! is slow slows nothing but itself.

use super::filters::{Asked, OfCases, OfGroup, questions};
use super::openapi::{Answered, Told};
use super::parameters::Text;
use super::secrets::{found_cases, may_search};
use super::{ApiError, App};
use crate::access::Caller;
use crate::clock::{Clock, SystemClock};
use amends_api::plain::escaped_json;
use amends_api::{CaseSummary, Money, csv};
use amends_protocol::ProblemCode;
use amends_store::{CaseFilter, PAGE_LIMIT, PageRequest, Store, StoreError};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

questions! {
    /// How a file is written.
    pub(crate) struct Written {
        /// One JSON object per line, or CSV.
        format: Option<Format>,
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Ndjson,
    Csv,
}

impl Format {
    const ALL: [Self; 2] = [Self::Ndjson, Self::Csv];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

impl Text for Format {
    fn read(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("unknown format `{text}`; one of: {all}")
        })
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "enum": Self::ALL.map(Self::as_str), "default": Self::default().as_str() })
    }
}

/// The columns of CSV, in their order.
const COLUMNS: &str = "id,saga_id,state,closed_on,rulebook,report,message,opened_at,updated_at,settled_at,sentence,customer,key,amounts,quarantined\r\n";

/// `GET /v1/cases:export`
pub(crate) async fn cases<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked((of, group, written)): Asked<(OfCases, OfGroup, Written)>,
) -> Result<CasesFile, ApiError> {
    let mut filter = of.filter(SystemClock.now());
    may_search(&caller, &filter)?;
    let format = written.format.unwrap_or_default();
    if let Some(group) = group.id() {
        filter.members = Some(app.supervisor.members(group).await?.cases);
    }
    let rows = Rows {
        _turn: app.long_read()?,
        app,
        caller,
        filter,
        format,
        next: Some(PageRequest::first(PAGE_LIMIT)),
        first: true,
    };
    let body = stream::try_unfold(rows, |mut rows| async move {
        Ok::<_, StoreError>(rows.page().await?.map(|bytes| (bytes, rows)))
    });
    Ok(CasesFile { format, body: Body::from_stream(body) })
}

/// Cases as a file.
pub(crate) struct CasesFile {
    format: Format,
    body: Body,
}

impl IntoResponse for CasesFile {
    fn into_response(self) -> Response {
        let mut answer = self.body.into_response();
        let (headers, kind) = (answer.headers_mut(), self.format.content_type());
        let name = format!("attachment; filename=\"cases.{}\"", self.format.as_str());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let attachment = HeaderValue::from_str(&name).ok();
        headers.extend(attachment.map(|v| (header::CONTENT_DISPOSITION, v)));
        answer
    }
}

impl Answered for CasesFile {
    fn told(told: &mut Told) {
        let case = told.schema::<CaseSummary>();
        let lines = json!({
            "type": "string", "description": "Lines of JSON, each as `x-line` says.", "x-line": case,
        });
        told.answer(200, Format::Ndjson.content_type(), lines);
        told.answer(200, "text/csv", json!({ "type": "string" }));
        told.answer_header(200, "Content-Disposition", "The name of the file.");
        told.problems(&[ProblemCode::Overloaded]);
    }
}

struct Rows<S: Store> {
    /// Until the last row is written, or the client has gone.
    _turn: OwnedSemaphorePermit,
    app: App<S>,
    caller: Caller,
    filter: CaseFilter,
    format: Format,
    next: Option<PageRequest>,
    first: bool,
}

impl<S: Store> Rows<S> {
    /// The next rows; none at the end. A page may be empty because its search was cut short.
    async fn page(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(request) = self.next.take() else { return Ok(None) };
        let mut page = found_cases(&self.app, &self.caller, self.filter.clone(), request).await?;
        self.next = page
            .next
            .take()
            .map(|cursor| PageRequest { cursor: Some(cursor), ..PageRequest::first(PAGE_LIMIT) });
        let mut out = String::new();
        if std::mem::take(&mut self.first) && self.format == Format::Csv {
            out.push_str(COLUMNS);
        }
        for case in page.items {
            match self.format {
                Format::Ndjson => {
                    out.push_str(&escaped_json(&serde_json::to_string(&case).unwrap_or_default()));
                    out.push('\n');
                }
                Format::Csv => out.push_str(&row(&case)),
            }
        }
        Ok(Some(out.into()))
    }
}

fn row(case: &CaseSummary) -> String {
    let optional = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let cells = [
        case.id.to_string(),
        case.saga_id.to_string(),
        case.state.to_string(),
        optional(case.closed_on.map(|closed| closed.as_str())),
        optional(case.rulebook.as_deref()),
        case.report.clone(),
        optional(case.message.as_deref()),
        case.opened_at.to_string(),
        case.updated_at.to_string(),
        case.settled_at.map_or(String::new(), |at| at.to_string()),
        case.sentence.clone(),
        optional(case.customer.as_deref()),
        optional(case.key.as_deref()),
        amounts(&case.amounts),
        if case.quarantined { "yes" } else { "" }.to_owned(),
    ];
    csv::row(cells)
}

/// Exact, for programs and for a spreadsheet: `12.50 EUR; 30 USD`.
fn amounts(amounts: &[Money]) -> String {
    let all = amounts.iter().map(|money| format!("{} {}", money.amount, money.currency));
    all.collect::<Vec<_>>().join("; ")
}
