//! A long History is told page by page: `next` of one is `after` of the request for the next one.
//!
//! What is told is requests in the order of arrival, then calls in the order in which they were made; both only grow
//! at their ends. So the number of entries that were told is a place to go on from: a request that comes meanwhile has
//! some calls told twice, and nothing is left out.

use amends_protocol::{EVIDENCE_LIMIT, HistoryAnswer, HistoryEntry, SagaId};

/// Most entries of a page. Supervisors of before read no more than these anyway.
const PAGE_ENTRIES: usize = EVIDENCE_LIMIT;
/// Most JSON of a page's entries, in bytes: with what is around it less than a supervisor reads of an answer.
const PAGE_BYTES: usize = 900 << 10;

/// How many entries have been told, by `after` of the query.
///
/// # Errors
/// It is none that a page of ours gave.
pub(crate) fn told_before(query: Option<&str>) -> Result<usize, String> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    match pairs.find(|(name, _)| *name == "after") {
        None => Ok(0),
        Some((_, text)) => text.parse().map_err(|_| {
            "`after` is the `next` of a page of this History, as it stands there".to_owned()
        }),
    }
}

/// The page that begins behind so many entries.
pub(crate) fn page(saga: SagaId, mut entries: Vec<HistoryEntry>, from: usize) -> HistoryAnswer {
    let all = entries.len();
    let mut rest = entries.split_off(from.min(all));
    let mut bytes = 0;
    let mut fits = |entry: &HistoryEntry| {
        bytes += serde_json::to_vec(entry).map_or(0, |json| json.len() + 1);
        bytes <= PAGE_BYTES
    };
    // One at least, or there would be no end.
    let count = rest.iter().take(PAGE_ENTRIES).take_while(|entry| fits(entry)).count().max(1);
    rest.truncate(count);
    let told = from.saturating_add(rest.len());
    let next = (told < all).then(|| told.to_string());
    HistoryAnswer { saga_id: saga, entries: rest, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::HistoryState;
    use serde_json::{Map, json};

    fn entries(count: usize, data: usize) -> Vec<HistoryEntry> {
        let entry = |n: usize| HistoryEntry {
            service: None,
            action: "pay".to_owned(),
            request_id: Some(format!("r-{n}")),
            state: HistoryState::Succeeded,
            data: match data {
                0 => Map::new(),
                size => Map::from_iter([("text".to_owned(), json!("x".repeat(size)))]),
            },
        };
        (0..count).map(entry).collect()
    }

    fn saga() -> SagaId {
        SagaId::new("o-1").expect("a saga id")
    }

    /// All pages, as somebody reads them who follows `next`.
    fn pages(all: &[HistoryEntry]) -> Vec<HistoryAnswer> {
        let mut pages: Vec<HistoryAnswer> = Vec::new();
        let mut query = None;
        loop {
            let from = told_before(query.as_deref()).expect("our own");
            pages.push(page(saga(), all.to_vec(), from));
            match &pages[pages.len() - 1].next {
                Some(next) => query = Some(format!("after={next}")),
                None => return pages,
            }
        }
    }

    #[test]
    fn a_short_history_is_one_page_and_a_long_one_is_told_whole() {
        for (count, data, wanted) in
            [(0, 0, 1), (1, 0, 1), (PAGE_ENTRIES, 0, 1), (PAGE_ENTRIES + 1, 0, 2), (500, 4_000, 3)]
        {
            let all = entries(count, data);
            let pages = pages(&all);
            assert_eq!(pages.len(), wanted, "{count} entries");
            let told: Vec<_> = pages.iter().flat_map(|page| page.entries.clone()).collect();
            assert_eq!(told, all);
            for page in pages {
                let json = serde_json::to_vec(&page).expect("JSON");
                assert!(json.len() < 1 << 20, "{} bytes", json.len());
            }
        }
    }

    #[test]
    fn behind_the_end_there_is_nothing_and_what_is_no_place_is_refused() {
        let behind = page(saga(), entries(3, 0), 7);
        assert_eq!((behind.entries.len(), behind.next), (0, None));
        assert_eq!(told_before(Some("x=1")), Ok(0));
        assert_eq!(told_before(Some("x=1&after=12")), Ok(12));
        for wrong in ["after=", "after=-1", "after=x"] {
            assert!(told_before(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
