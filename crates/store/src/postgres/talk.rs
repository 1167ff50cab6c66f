//! Texts that nodes say to each other, by `NOTIFY`: a long one in pieces, in one transaction. So the pieces arrive one
//! behind the other, and all nodes hear all texts in one order, that of the commits. They are kept in no table.

use crate::SAID_LIMIT;
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of one notification; the server takes fewer than 8,000.
pub(super) const PAYLOAD: usize = 7_000;
/// Where they are said.
pub(super) const CHANNEL: &str = "amends_talk";

/// Says one, or gives up after so long.
pub(super) async fn say(pool: &PgPool, text: &str, limit: Duration) {
    if text.len() > SAID_LIMIT {
        tracing::warn!(
            bytes = text.len(),
            "what this node has to tell the others is too long, and is not told"
        );
        return;
    }
    let sql = "SELECT pg_notify($1, piece) FROM unnest($2::text[]) AS piece";
    let said = sqlx::query(sql).bind(CHANNEL).bind(pieces(text));
    if let Ok(Err(error)) = timeout(limit, said.execute(pool)).await {
        tracing::debug!(%error, "what this node has to tell the others is lost");
    }
}

/// `2/5 …` is the third of five pieces. Two that are alike would be one notification.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PAYLOAD));
        pieces.push(piece);
        rest = behind;
    }
    let of = pieces.len();
    pieces.iter().enumerate().map(|(n, piece)| format!("{n}/{of} {piece}")).collect()
}

/// Puts pieces together again.
#[derive(Default)]
pub(super) struct Joining {
    text: String,
    next: usize,
}

impl Joining {
    /// The whole text, if this is its last piece. What is no piece, or has none before it, is passed over.
    pub(super) fn take(&mut self, piece: &str) -> Option<String> {
        let (place, piece) = piece.split_once(' ')?;
        let (n, of) = place.split_once('/')?;
        let (n, of): (usize, usize) = (n.parse().ok()?, of.parse().ok()?);
        if n == 0 {
            *self = Self::default();
        }
        if n != self.next || self.text.len() + piece.len() > SAID_LIMIT {
            *self = Self { next: usize::MAX, ..Self::default() };
            return None;
        }
        self.text.push_str(piece);
        self.next += 1;
        (self.next == of).then(|| std::mem::take(self).text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_comes_in_pieces_that_make_it_again() {
        let text = "häuser und bäume ".repeat(2_000);
        let pieces = pieces(&text);
        assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.len() < 8_000));
        let mut joining = Joining::default();
        let whole = |joining: &mut Joining, pieces: &[String]| {
            pieces.iter().filter_map(|piece| joining.take(piece)).collect::<Vec<_>>()
        };
        assert_eq!(whole(&mut joining, &pieces), [text.as_str()]);
        assert_eq!(whole(&mut joining, &pieces[1..]), [] as [&str; 0], "the first one is missing");
        assert_eq!(whole(&mut joining, &[&pieces[..1], &pieces[2..]].concat()), [] as [&str; 0]);
        assert_eq!(whole(&mut joining, &pieces), [text.as_str()], "the next one is whole");
        for wrong in ["", "1", "a/b c", "0/0", "7/5 x", "0/18446744073709551616 x"] {
            assert_eq!(joining.take(wrong), None, "{wrong}");
        }
    }
}
