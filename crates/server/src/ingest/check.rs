//! What a report must fulfil beyond its shape: names that can be keys everywhere, lists of bounded length, data that
//! read back.

use super::fault::{Fault, invalid};
use amends_engine::SUPERVISOR;
use amends_protocol::{
    CASE_EVIDENCE_DATA_LIMIT, EVIDENCE_LIMIT, Evidence, NAME_LIMIT, NAME_RULE,
    REPORT_CAUSES_LIMIT as CAUSES_LIMIT, REPORT_MESSAGE_LIMIT as MESSAGE_LIMIT,
    REPORT_SOURCE_LIMIT as SOURCE_LIMIT, Report, check_data, is_opaque_name,
};

/// Checks names and limits; `attribute` says how an attribute is called in this mode.
pub(super) fn report(report: &Report, attribute: &dyn Fn(&str) -> String) -> Result<(), Fault> {
    if !is_opaque_name(&report.id) {
        return Err(invalid(format!(
            "{} is `{}`; {NAME_RULE}",
            attribute("id"),
            shown(&report.id)
        )));
    }
    if report.source.len() > SOURCE_LIMIT || !report.source.bytes().all(|b| b.is_ascii_graphic()) {
        let what = format!("1 to {SOURCE_LIMIT} bytes of printable ASCII without spaces");
        return Err(invalid(format!(
            "{} is `{}`; it must be {what}",
            attribute("source"),
            shown(&report.source)
        )));
    }
    if !is_opaque_name(report.service()) {
        let detail = format!("{} `{}` names no service", attribute("source"), report.source);
        return Err(invalid(format!("{detail}; end it with the service's name")));
    }
    if report.service() == SUPERVISOR {
        let detail = format!("{} `{}` names `{SUPERVISOR}`", attribute("source"), report.source);
        let why = "that name is reserved for the supervisor's own reports";
        return Err(invalid(format!("{detail}; {why}, so end it with the service's name")));
    }
    let data = &report.data;
    if !is_opaque_name(&data.code) || data.code.contains(['/', '*']) {
        return Err(invalid(format!(
            "`data.code` is `{}`; {NAME_RULE}, `/` or `*`",
            shown(&data.code)
        )));
    }
    name("data.action", data.action.as_deref())?;
    name("data.requestId", data.request_id.as_deref())?;
    full_name("data.entry", data.entry.as_deref())?;
    full_name("data.caller", data.caller.as_deref())?;
    limit("data.message", "bytes", data.message.as_ref().map_or(0, String::len), MESSAGE_LIMIT)?;
    limit("data.causedBy", "entries", data.caused_by.len(), CAUSES_LIMIT)?;
    limit("data.history", "entries", data.history.len(), EVIDENCE_LIMIT)?;
    check_data("data.data", &data.data).map_err(|e| invalid(e.to_string()))?;
    for (n, cause) in data.caused_by.iter().enumerate() {
        name(&format!("data.causedBy[{n}]"), Some(cause))?;
    }
    data.history.iter().enumerate().try_for_each(|(n, entry)| evidence(n, entry))?;
    let bytes = data.history.iter().map(Evidence::data_bytes).sum();
    limit("data.history", "bytes of `data`", bytes, CASE_EVIDENCE_DATA_LIMIT)
}

fn evidence(n: usize, entry: &Evidence) -> Result<(), Fault> {
    entry.check().map_err(|bad| invalid(format!("`data.history[{n}].{}` {}", bad.field, bad.what)))
}

fn name(field: &str, text: Option<&str>) -> Result<(), Fault> {
    match text.filter(|text| !is_opaque_name(text)) {
        Some(text) => Err(invalid(format!("`{field}` is `{}`; {NAME_RULE}", shown(text)))),
        None => Ok(()),
    }
}

/// `service.action`.
fn full_name(field: &str, text: Option<&str>) -> Result<(), Fault> {
    let is_one = |text: &str| {
        let parts = text.split_once('.');
        parts.is_some_and(|(service, action)| is_opaque_name(service) && is_opaque_name(action))
    };
    match text.filter(|text| !is_one(text)) {
        Some(text) => {
            let shown = shown(text);
            Err(invalid(format!("`{field}` is `{shown}`; it must be written `service.action`")))
        }
        None => Ok(()),
    }
}

fn limit(field: &str, what: &str, length: usize, most: usize) -> Result<(), Fault> {
    if length > most {
        Err(invalid(format!("`{field}` has {length} {what}; at most {most} are taken")))
    } else {
        Ok(())
    }
}

/// Enough of a text to know it again.
fn shown(text: &str) -> String {
    text.chars().take(NAME_LIMIT).collect()
}
