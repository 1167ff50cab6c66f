//! Messages and letters that could not be taken, as people see them. They belong to no rulebook, so what any active one
//! calls secret is secret in them; and where that can't be told, because a body can't be read, nothing of it is shown.

use super::sight::Sight;
use crate::dispatch::redacted;
use crate::withheld::without_credentials;
use amends_api::{RejectedBody, RejectedHeader, RejectedMessage, RejectedView};
use amends_engine::Veil;
use amends_protocol::check_keys;
use amends_rulebook::SecretFields;
use amends_rulebook::secrets::MASK;
use amends_store::{ListedRejected, RejectedRow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A row of the list.
pub(crate) fn rejected(listed: ListedRejected, sight: &Sight) -> RejectedView {
    let ListedRejected { row, body_bytes } = listed;
    let detail = if sight.data { row.detail } else { row.code.title().to_owned() };
    RejectedView {
        id: amends_api::RejectedId::of_place(&row.id),
        way: row.way,
        place: row.place,
        source: row.source,
        event_id: row.event_id,
        saga_id: row.saga,
        code: row.code.as_str().to_owned(),
        detail,
        rejected_at: row.rejected_at,
        sent_at: row.sent_at,
        bytes: body_bytes,
        cut: row.cut,
    }
}

/// One of them, whole.
pub(crate) fn rejected_message(mut row: RejectedRow, sight: &Sight) -> RejectedMessage {
    row.detail = rejected_detail(&row, &sight.secrets);
    let read = readable(&row.body);
    let veil = Veil::of_json(sight.secrets.clone(), &read);
    let header = |(name, value): &(String, String)| RejectedHeader {
        name: name.clone(),
        value: shown_header(name, value, &veil, &sight.secrets),
    };
    let headers = row.headers.iter().map(header).collect();
    let body = shown_body(&row.body, read, &veil);
    let body_bytes = row.body.len() as u64;
    RejectedMessage { headers, body, summary: rejected(ListedRejected { row, body_bytes }, sight) }
}

/// What is wrong with a message, without what of it is secret.
pub(crate) fn rejected_detail(row: &RejectedRow, secrets: &SecretFields) -> String {
    let read = readable(&row.body);
    let mut detail = Some(row.detail.clone());
    Veil::of_json(secrets.clone(), &read).text(&mut detail);
    without_credentials(&detail.unwrap_or_default()).into_owned()
}

/// A body in which each member can be found.
fn readable(body: &[u8]) -> Option<Value> {
    check_keys(body).ok()?;
    let value: Value = serde_json::from_slice(body).ok()?;
    // Of a name that is there twice, one value would be looked through and the other shown.
    let again = serde_json::to_vec(&value).ok()?;
    (names(body) == names(&again)).then_some(value)
}

/// How many members there are: by the colons outside of texts.
fn names(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b':' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

fn shown_header(name: &str, value: &str, veil: &Veil, secrets: &SecretFields) -> String {
    let bare = name.to_ascii_lowercase();
    let bare = bare.strip_prefix("ce-").or_else(|| bare.strip_prefix("ce_")).unwrap_or(&bare);
    if secrets.touched_by(bare).is_some() {
        return MASK.to_owned();
    }
    let mut shown = Some(value.to_owned());
    veil.text(&mut shown);
    let shown = without_credentials(&shown.unwrap_or_default()).into_owned();
    let told = redacted(json!({ name: shown }));
    told[name].as_str().unwrap_or_default().to_owned()
}

fn shown_body(body: &[u8], read: Option<Value>, veil: &Veil) -> RejectedBody {
    if veil.is_clear() {
        return match std::str::from_utf8(body) {
            Ok(text) => RejectedBody::Text(without_credentials(text).into_owned()),
            Err(_) => RejectedBody::Base64(STANDARD.encode(body)),
        };
    }
    let Some(mut value) = read else {
        return RejectedBody::Withheld(
            "it can't be read as JSON, and active rulebooks have secret fields: nobody can say where in it they stand; \
             read it at the broker"
                .to_owned(),
        );
    };
    veil.json(&mut value);
    hide_what_is_packed(&mut value);
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    RejectedBody::Text(without_credentials(&text).into_owned())
}

/// JSON within a text, and data in base64, may hold anything.
fn hide_what_is_packed(value: &mut Value) {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => *text = MASK.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(hide_what_is_packed),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            if name == "data_base64" {
                *value = MASK.into();
            } else {
                hide_what_is_packed(value);
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::RejectedWay;
    use amends_protocol::{ProblemCode, Timestamp};
    use amends_rulebook::Rulebook;

    const CARD: &str = "4111-1111-1111-1111";
    const BOOK: &str = r#"
rulebook: shop
services:
  payment: { url: "http://127.0.0.1:1", actions: { pay: { compensation: refund } } }
reports:
  payment/declined: { data: { card: { type: text, secret: true }, amount: { type: decimal } } }
rules:
  - { on: payment/declined, compensate: [payment.pay] }
"#;

    fn row(body: &str) -> RejectedRow {
        RejectedRow {
            id: "nats/REPORTS/1".to_owned(),
            way: RejectedWay::Nats,
            place: "message 1".to_owned(),
            source: Some("payment".to_owned()),
            event_id: None,
            saga: None,
            code: ProblemCode::InvalidReport,
            detail: format!("`data.code` is `{CARD}`"),
            headers: [
                ("Authorization", "Bearer 0123456789abcdef"),
                ("ce-card", "4000"),
                ("note", CARD),
                ("trace", "t-1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            body: body.as_bytes().to_vec(),
            cut: false,
            rejected_at: Timestamp(0),
            sent_at: None,
        }
    }

    fn secrets() -> SecretFields {
        Rulebook::from_yaml(BOOK).expect("a valid rulebook").secrets().clone()
    }

    fn shown(body: &str) -> RejectedMessage {
        rejected_message(row(body), &Sight::from(secrets()))
    }

    #[test]
    fn a_secret_field_is_hidden_wherever_the_message_repeats_it() {
        let body =
            json!({ "id": CARD, "data": { "code": CARD, "data": { "card": CARD, "amount": 7 } } });
        let message = shown(&body.to_string());
        let text = serde_json::to_string(&message).expect("JSON");
        assert!(!text.contains("4111") && !text.contains("4000"), "{text}");
        assert!(!text.contains("0123456789abcdef"), "{text}");
        assert!(text.contains("t-1") && text.contains("amount"), "the rest is shown: {text}");
    }

    #[test]
    fn what_can_not_be_looked_through_is_not_shown() {
        let packed = STANDARD.encode(format!("{{\"card\":\"{CARD}\"}}"));
        for body in [
            format!("{{\"data\":{{\"card\":\"{CARD}\""),
            format!("{{\"data\":{{\"card\":\"{CARD}\",\"card\":null}}}}"),
            format!("card={CARD}"),
            json!({ "data": format!("{{\"card\":\"{CARD}\"}}") }).to_string(),
            json!({ "data_base64": packed }).to_string(),
            format!("{}{CARD}{}", "[".repeat(200), "]".repeat(200)),
        ] {
            let message = RejectedMessage { headers: Vec::new(), ..shown(&body) };
            let mut told = message.clone();
            told.summary.detail.clear();
            let text = serde_json::to_string(&told).expect("JSON");
            assert!(!text.contains("4111") && !text.contains(&packed), "{body}: {text}");
        }
    }

    #[test]
    fn without_secret_fields_a_body_is_shown_as_it_came() {
        let of = |body: &[u8]| {
            let row = RejectedRow { body: body.to_vec(), ..row("") };
            rejected_message(row, &Sight::from(SecretFields::default())).body
        };
        assert_eq!(of(b"{\"a\": 1,"), RejectedBody::Text("{\"a\": 1,".to_owned()));
        assert_eq!(of(&[0xff, 0x00]), RejectedBody::Base64("/wA=".to_owned()));
    }

    #[test]
    fn without_read_data_only_the_kind_of_fault_is_told() {
        let sight = Sight { data: false, ..Sight::from(SecretFields::default()) };
        let view = rejected(ListedRejected { row: row("{}"), body_bytes: 2 }, &sight);
        assert_eq!(view.detail, "The report is malformed");
    }
}
