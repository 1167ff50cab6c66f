//! Messages that our library can't read, because their headers are no text or say what a server's own messages say: it
//! drops the connection or takes them for the server's word, and so we are never brought them. Each is brought again
//! and again, and in the end is the first that is not acknowledged. There it is found by a question that shows any
//! bytes.

use super::place::place;
use crate::ingest::delivery::{Delivery, Intake, Verdict};
use crate::ingest::fault::invalid;
use amends_protocol::Timestamp;
use amends_store::Store;
use async_nats::HeaderName;
use async_nats::jetstream::{self, consumer::Info};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

/// The first line of headers that no server has written.
const FIRST_LINE: &str = "NATS/1.0";

/// What the server holds, as it answers a question for one message.
#[derive(Deserialize)]
struct Shown {
    message: Option<Held>,
}

/// A message as it lies in its stream; bytes are base64.
#[derive(Deserialize)]
struct Held {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

/// Finds them.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// The last message before the first that was not acknowledged, when somebody looked last.
    floor: Option<u64>,
}

impl Unreadable {
    /// Puts those aside that can't be read, from the first message on that has waited for an acknowledgement since the
    /// last look.
    pub(super) async fn look<S: Store>(
        &mut self,
        intake: &Intake<S>,
        context: &jetstream::Context,
        info: &Info,
    ) {
        let floor = info.ack_floor.stream_sequence;
        let is_in_doubt = info.num_ack_pending > 0 && self.floor.replace(floor) == Some(floor);
        let mut next = is_in_doubt.then_some(floor + 1);
        while let Some(sequence) = next {
            next = put_aside(intake, context, info, sequence).await;
        }
    }
}

/// Puts the first message from there on aside if it can't be read; gives the number of the next one then.
async fn put_aside<S: Store>(
    intake: &Intake<S>,
    context: &jetstream::Context,
    info: &Info,
    from: u64,
) -> Option<u64> {
    let subject = format!("STREAM.MSG.GET.{}", info.stream_name);
    let next = json!({ "seq": from, "next_by_subj": ">" });
    let shown: Shown = context.request(subject, &next).await.ok()?;
    let held = shown.message.filter(|held| held.seq <= info.delivered.stream_sequence)?;
    let bytes = |text: &str| STANDARD.decode(text).unwrap_or_default();
    let headers = bytes(&held.hdrs);
    let why = readable(&headers).err()?;
    let (stream, sequence) = (info.stream_name.as_str(), held.seq);
    let published = Timestamp::parse(&held.time).unwrap_or(Timestamp(0));
    let delivery = Delivery {
        headers: vec![("(as they came)".to_owned(), headers)],
        body: bytes(&held.data),
        ..place(stream, sequence, published, &held.subject)
    };
    let detail =
        format!("its headers can't be read: {why}; have them be lines of text, `name: value`");
    if intake.put_aside(&delivery, invalid(detail)).await != Verdict::Rejected {
        return None;
    }
    // As the subject of an acknowledgement is made: how often it was brought, and where it lies.
    let ack = format!("$JS.ACK.{stream}.{}.1.{sequence}.{sequence}.0.0", info.name);
    if let Err(error) = context.client().publish(ack, "+ACK".into()).await {
        tracing::debug!(%error, "NATS is not told; the message comes again");
    }
    Some(sequence + 1)
}

/// Whether our library can read these headers as those of a message.
fn readable(headers: &[u8]) -> Result<(), &'static str> {
    if headers.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(headers).map_err(|_| "they are not UTF-8")?;
    let mut lines = text.lines().peekable();
    if lines.next().map(str::trim_end) != Some(FIRST_LINE) {
        return Err("they begin with more than `NATS/1.0`, as only a server's own do");
    }
    while let Some(line) = lines.next() {
        let name = line.split_once(':').map(|(name, _)| name.parse::<HeaderName>());
        if !line.is_empty() && !matches!(name, Some(Ok(_))) {
            return Err("a line of them is not `name: value`");
        }
        // Lines that begin with a space go on with it.
        while lines.next_if(|line| line.starts_with(char::is_whitespace)).is_some() {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_of_text_below_their_version() {
        for good in ["", "NATS/1.0\r\n\r\n", "NATS/1.0\r\na: b\r\n c\r\nNats-Msg-Id:x\r\n\r\n"] {
            assert_eq!(readable(good.as_bytes()), Ok(()), "{good:?}");
        }
        for (bad, says) in [
            (&b"NATS/1.0\r\na: \xff\r\n\r\n"[..], "UTF-8"),
            (b"NATS/1.0 503\r\n\r\n", "server's own"),
            (b"HTTP/1.1\r\n\r\n", "server's own"),
            (b"NATS/1.0\r\nno colon\r\n\r\n", "name: value"),
            ("NATS/1.0\r\nnäme: b\r\n\r\n".as_bytes(), "name: value"),
            (b"NATS/1.0\r\n a: b\r\n\r\n", "name: value"),
        ] {
            let why = readable(bad).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
    }
}
