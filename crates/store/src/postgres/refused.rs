//! Letters that their owner has refused become rows for people, in the commit that deletes them.

use super::session::{Session, database};
use crate::{
    RejectedRow, StoreError,
    rejected::{KIND, place_of_letter},
    tables::{rejected, written::WRITING},
};
use amends_api::RejectedWay;
use amends_engine::RefusedLetter;
use amends_protocol::Timestamp;

/// What the store knows of a letter, and the saga of the case that it names.
const LEFT: &str = "
    SELECT sender, (extract(epoch FROM sent_at) * 1000)::bigint, (SELECT saga FROM cases WHERE id = $2)
    FROM inbox WHERE id = $1::uuid";

/// Who left a letter, if that was written down; when; the saga of its case.
type Left = (Option<String>, i64, Option<String>);

/// Keeps a letter that was refused, as long as it is there.
pub(super) fn keep(session: &Session, refused: &RefusedLetter) -> Result<(), StoreError> {
    let case = refused.about.case.map(|case| case.0.cast_signed());
    let left = session.run(async |line| {
        let ask = sqlx::query_as::<_, Left>(LEFT).bind(refused.letter.id.to_string());
        ask.bind(case).fetch_optional(line).await
    });
    let left = left.map_err(database(WRITING))?;
    rejected::insert(session, &row(refused, left)).map(drop)
}

fn row(refused: &RefusedLetter, left: Option<Left>) -> RejectedRow {
    let RefusedLetter { letter, about, code, detail, at } = refused;
    let (node, sent_at, saga) = left.map_or_else(Default::default, |(node, sent_at, saga)| {
        (node, Some(Timestamp(sent_at)), saga)
    });
    let of_node = node.as_ref().map(|node| format!(" of node `{node}`")).unwrap_or_default();
    let headers = [(KIND, letter.kind.as_str().to_owned()), ("letter", letter.id.to_string())];
    let headers = headers.into_iter().chain(node.map(|node| ("node", node)));
    RejectedRow {
        id: place_of_letter(letter.id),
        way: RejectedWay::Node,
        place: format!("letter {}{of_node}: {}", letter.id, about.what),
        source: about.source.clone(),
        event_id: about.event_id.clone(),
        saga: about.saga.as_ref().map(ToString::to_string).or(saga),
        code: *code,
        detail: detail.clone(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
        body: letter.body.clone().into_bytes(),
        cut: false,
        rejected_at: *at,
        sent_at,
    }
}
