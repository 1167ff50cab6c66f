//! The stream of events as the CLI reads it.

use crate::sse::{Reader, ServerSentEvent};

/// Longer inputs are given in one piece only.
const BY_BYTES: usize = 4 << 10;

/// However the bytes arrive, the same events come out.
pub fn events(data: &[u8]) {
    let whole = read(&[data]);
    if data.len() <= BY_BYTES {
        let bytes: Vec<&[u8]> = data.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }
}

fn read(pieces: &[&[u8]]) -> Result<Vec<ServerSentEvent>, String> {
    let mut reader = Reader::default();
    let mut events = Vec::new();
    for piece in pieces {
        events.extend(reader.push(piece)?);
    }
    Ok(events)
}
