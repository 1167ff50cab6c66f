//! Reads server-sent events from a byte stream. It knows `id`, `data` and comments; other fields are skipped.

/// Longest event: our events are a few hundred bytes, so anything near this is not a supervisor.
const EVENT_LIMIT_BYTES: usize = 1 << 20;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct ServerSentEvent {
    /// Its id, with which the stream can be continued.
    pub id: Option<String>,
    /// Its data, lines joined.
    pub data: String,
}

/// Collects bytes until events are whole.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
    id: Option<String>,
    data: Vec<String>,
    size: usize,
}

impl Reader {
    /// Takes the next bytes, gives the events that are complete now.
    ///
    /// # Errors
    /// When one event grows past the limit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerSentEvent>, String> {
        let mut events = Vec::new();
        // No line ends in what was there before, so each byte is looked at once.
        let mut looked_at = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(length) = self.pending[looked_at..].iter().position(|b| *b == b'\n') {
            let end = looked_at + length;
            let line = String::from_utf8_lossy(&self.pending[from..end]).into_owned();
            from = end + 1;
            looked_at = from;
            events.extend(self.take_line(line.trim_end_matches('\r')));
            self.check_size(0)?;
        }
        self.pending.drain(..from);
        self.check_size(self.pending.len())?;
        Ok(events)
    }

    fn check_size(&self, pending: usize) -> Result<(), String> {
        if self.size + pending > EVENT_LIMIT_BYTES {
            return Err(format!("an event is longer than {EVENT_LIMIT_BYTES} bytes"));
        }
        Ok(())
    }

    fn take_line(&mut self, line: &str) -> Option<ServerSentEvent> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.size = 0;
            return (!data.is_empty())
                .then(|| ServerSentEvent { id: self.id.clone(), data: data.join("\n") });
        }
        self.size += line.len();
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.data.push(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_bytes_arrive() {
        let wire =
            ": hello\n\nid: 7\r\nevent: step\ndata: {\"a\":\ndata: 1}\n\ndata: ü\n\n".as_bytes();
        let event =
            |id: &str, data: &str| ServerSentEvent { id: Some(id.into()), data: data.into() };
        let whole = Reader::default().push(wire).expect("short");
        assert_eq!(whole, [event("7", "{\"a\":\n1}"), event("7", "ü")]);

        let mut reader = Reader::default();
        let mut single = Vec::new();
        for byte in wire {
            single.extend(reader.push(&[*byte]).expect("short"));
        }
        assert_eq!(single, whole);
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut reader = Reader::default();
        let chunk = [b'x'; 1 << 16];
        assert!((0..32).any(|_| reader.push(&chunk).is_err()));
    }
}
