//! A report as a person gives it: a file, flags, or both. A CloudEvent and the bare fields are understood.

use crate::failure::{Failure, Outcome};
use amends_protocol::causes::of_json;
use amends_protocol::{Evidence, REPORT_TYPE, Report, ReportData, SagaId, Timestamp};
use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest report file: the supervisor takes no longer one.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// What the report says; flags win over the file.
#[derive(Debug, clap::Args)]
pub struct ReportArguments {
    /// A report as JSON: a CloudEvent, or {"source", "sagaId", "code", …}; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The reporting service
    #[arg(long, value_name = "SERVICE")]
    source: Option<String>,
    /// The saga
    #[arg(long, value_name = "SAGA")]
    saga: Option<String>,
    /// The report's code, e.g. report-1
    #[arg(long)]
    code: Option<String>,
    /// The action that failed, without the service
    #[arg(long)]
    action: Option<String>,
    /// The action with which the saga began
    #[arg(long, value_name = "SERVICE.ACTION")]
    entry: Option<String>,
    /// The action that called the one that failed
    #[arg(long, value_name = "SERVICE.ACTION")]
    caller: Option<String>,
    /// A message for people
    #[arg(long)]
    message: Option<String>,
    /// A business field: KEY=TEXT is a text exactly as written, KEY:=JSON a number, true, null, a list or an object.
    /// Repeatable
    #[arg(long, value_name = "KEY=TEXT|KEY:=JSON")]
    data: Vec<String>,
    /// What happened or may have happened: SERVICE.ACTION=STATE with started, succeeded, failed or unknown, and the
    /// request's id behind a colon if it is known. Repeatable
    #[arg(long, value_name = "SERVICE.ACTION=STATE[:REQUEST]")]
    history: Vec<String>,
    /// Id of the report that this one follows from. Repeatable
    #[arg(long, value_name = "ID")]
    caused_by: Vec<String>,
    /// The report's own id [default: a new one]
    #[arg(long)]
    id: Option<String>,
}

/// The fields of a file, before anything is required of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Bare {
    source: Option<String>,
    id: Option<String>,
    saga_id: Option<String>,
    time: Option<Timestamp>,
    traceparent: Option<String>,
    code: Option<String>,
    action: Option<String>,
    request_id: Option<String>,
    entry: Option<String>,
    caller: Option<String>,
    message: Option<String>,
    caused_by: Vec<String>,
    history: Vec<Evidence>,
    data: Map<String, Value>,
}

impl ReportArguments {
    /// Puts file and flags together; what is still missing is asked for. `saga` stands in when none is given.
    pub fn read(&self, saga: Option<&str>) -> Outcome<Report> {
        let mut bare = match &self.file {
            Some(path) => parse(&read_text(path)?)
                .with_context(|| format!("cannot read `{}`", path.display()))?,
            None => Bare::default(),
        };
        let over = |to: &mut Option<String>, from: &Option<String>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        over(&mut bare.source, &self.source);
        over(&mut bare.saga_id, &self.saga);
        over(&mut bare.code, &self.code);
        over(&mut bare.action, &self.action);
        over(&mut bare.entry, &self.entry);
        over(&mut bare.caller, &self.caller);
        over(&mut bare.message, &self.message);
        over(&mut bare.id, &self.id);
        bare.caused_by.extend(self.caused_by.iter().cloned());
        for pair in &self.data {
            let (key, value) = key_value(pair)?;
            bare.data.insert(key, value);
        }
        for pair in &self.history {
            bare.history.push(evidence(pair)?);
        }
        bare.into_report(saga)
    }
}

impl Bare {
    fn into_report(self, saga: Option<&str>) -> Outcome<Report> {
        let missing = |what: &str, flag: &str| {
            Failure::Usage(format!("the report has no {what}; give it in the file or with {flag}"))
        };
        let saga_text =
            self.saga_id.as_deref().or(saga).ok_or_else(|| missing("saga id", "--saga"))?;
        Ok(Report {
            id: self.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            source: self.source.ok_or_else(|| missing("source", "--source"))?,
            saga_id: SagaId::new(saga_text).map_err(|e| Failure::Usage(e.to_string()))?,
            time: self.time,
            traceparent: self.traceparent,
            data: ReportData {
                code: self.code.ok_or_else(|| missing("code", "--code"))?,
                action: self.action,
                request_id: self.request_id,
                entry: self.entry,
                caller: self.caller,
                message: self.message,
                caused_by: self.caused_by,
                history: self.history,
                data: self.data,
            },
        })
    }
}

/// The report as a structured CloudEvent.
pub fn cloud_event(report: &Report) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "type": REPORT_TYPE,
        "id": report.id,
        "source": report.source,
        "subject": report.saga_id,
        "datacontenttype": "application/json",
        "data": report.data,
    });
    if let Some(time) = report.time {
        event["time"] = json!(time);
    }
    if let Some(traceparent) = &report.traceparent {
        event["traceparent"] = json!(traceparent);
    }
    event
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut limited: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock().take(FILE_LIMIT_BYTES + 1))
    } else {
        let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Box::new(file.take(FILE_LIMIT_BYTES + 1))
    };
    limited
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    if text.len() as u64 > FILE_LIMIT_BYTES {
        return Err(anyhow!(
            "`{}` is longer than {FILE_LIMIT_BYTES} bytes; that is no report",
            path.display()
        ));
    }
    Ok(text)
}

fn parse(text: &str) -> anyhow::Result<Bare> {
    let value: Value = serde_json::from_str(text).context("it is not JSON")?;
    if value.get("specversion").is_none() {
        return serde_json::from_value(value)
            .map_err(|e| anyhow!(of_json(&e)))
            .context("it is neither a CloudEvent nor the bare fields of a report");
    }
    #[derive(Deserialize)]
    struct Envelope {
        id: Option<String>,
        source: Option<String>,
        #[serde(rename = "type")]
        kind: String,
        subject: Option<String>,
        time: Option<Timestamp>,
        traceparent: Option<String>,
        data: ReportData,
    }
    let event: Envelope = serde_json::from_value(value)
        .map_err(|e| anyhow!(of_json(&e)))
        .context("it is not a CloudEvent with a report in it")?;
    if event.kind != REPORT_TYPE {
        return Err(anyhow!("its `type` is `{}`, a report's is `{REPORT_TYPE}`", event.kind));
    }
    let data = event.data;
    Ok(Bare {
        source: event.source,
        id: event.id,
        saga_id: event.subject,
        time: event.time,
        traceparent: event.traceparent,
        code: Some(data.code),
        action: data.action,
        request_id: data.request_id,
        entry: data.entry,
        caller: data.caller,
        message: data.message,
        caused_by: data.caused_by,
        history: data.history,
        data: data.data,
    })
}

/// `id=0012` is a text, exactly as it stands; `amount:=12.50` is JSON: a number, `true`, `null`, a list, an object.
pub fn key_value(pair: &str) -> Outcome<(String, Value)> {
    let wrong = |why: String| Failure::Usage(format!("--data `{pair}`: {why}"));
    let usage = "write KEY=TEXT, e.g. `paymentId=77950e8`, or KEY:=JSON, e.g. `amount:=12.50`";
    let (key, value) = pair.split_once('=').ok_or_else(|| wrong(usage.to_owned()))?;
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => {
            let json = serde_json::from_str(value).map_err(|e| {
                wrong(format!("what follows `:=` is not JSON: {e}; with `=` it is a text"))
            })?;
            (key, json)
        }
        None => (key, Value::from(value)),
    };
    if key.is_empty() { Err(wrong(usage.to_owned())) } else { Ok((key.to_owned(), value)) }
}

fn evidence(pair: &str) -> Outcome<Evidence> {
    let wrong = |why: String| Failure::Usage(format!("--history `{pair}`: {why}"));
    let (name, state) = pair.split_once('=').ok_or_else(|| {
        wrong("write SERVICE.ACTION=STATE, e.g. `coupon.redeem=succeeded`".to_owned())
    })?;
    let name: amends_protocol::ActionName = name.parse().map_err(|e| wrong(format!("{e}")))?;
    // A person may not know the request's id, and the participant protocol means every request of the action anyway.
    let (state, request) = state.split_once(':').unwrap_or((state, "by-hand"));
    let state = state.parse().map_err(|e| wrong(format!("{e}")))?;
    if request.is_empty() {
        return Err(wrong("the request's id behind `:` is empty".to_owned()));
    }
    Ok(Evidence::new(&*name.service, &*name.action, request, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::HistoryState;

    fn arguments() -> ReportArguments {
        ReportArguments {
            file: None,
            source: Some("payment".into()),
            saga: Some("o-1".into()),
            code: Some("report-1".into()),
            action: None,
            entry: None,
            caller: None,
            message: None,
            data: Vec::new(),
            history: Vec::new(),
            caused_by: Vec::new(),
            id: None,
        }
    }

    #[test]
    fn flags_alone_make_a_report_with_an_id_of_its_own() {
        let mut given = arguments();
        given.data =
            ["amount:=12.50", "name=Ann", "id=77950e8", "b:=true", "url:=\"a=b\"", "q=a:=b"]
                .map(str::to_owned)
                .into();
        given.history = vec!["coupon.redeem=unknown".into(), "pay.charge=failed:pi_1".into()];
        let (one, two) = (given.read(None).expect("complete"), given.read(None).expect("complete"));
        assert_ne!(one.id, two.id);
        assert_eq!(
            Value::from(one.data.data),
            serde_json::from_str::<Value>(
                r#"{"amount":12.50,"name":"Ann","id":"77950e8","b":true,"url":"a=b","q":"a:=b"}"#
            )
            .expect("JSON")
        );
        assert_eq!(one.data.history[0].state, HistoryState::Unknown);
        assert_eq!(one.data.history[1].state, HistoryState::Failed);
        assert_eq!(one.data.history[1].request_id.as_deref(), Some("pi_1"));
    }

    #[test]
    fn a_cloud_event_and_the_bare_fields_say_the_same() {
        let bare = r#"{"source": "payment", "id": "r-1", "sagaId": "o-1", "code": "report-1", "data": {"a": 1}}"#;
        let bare = parse(bare).expect("bare").into_report(None).expect("complete");
        let event = cloud_event(&bare).to_string();
        assert_eq!(parse(&event).expect("event").into_report(None).expect("complete"), bare);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let mut given = arguments();
        given.code = None;
        let text = given.read(None).expect_err("no code").lines().join("\n");
        assert!(text.contains("--code"), "{text}");
        let text = format!("{:#}", parse(r#"{"sagaid": "o-1"}"#).expect_err("unknown field"));
        assert!(text.contains("sagaid") && text.contains("sagaId"), "{text}");
        for wrong in ["=1", ":=1", "a", "a:=", "a:=Ann"] {
            let text = key_value(wrong).expect_err(wrong).lines().join("\n");
            assert!(text.contains("--data") && text.contains(wrong), "{text}");
        }
    }
}
