//! The trivial participant: answers every step at once, and tells the load generator which saga it was.

use crate::tally::Tally;
use crate::wire::Connection;
use std::sync::Arc;
use tokio::net::TcpListener;

pub const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 25\r\n\r\n\
{\"outcome\":\"compensated\"}";

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, tally: Arc<Tally>) {
    while let Ok((stream, _)) = listener.accept().await {
        let tally = Arc::clone(&tally);
        tokio::spawn(async move {
            if let Ok(mut connection) = Connection::new(stream) {
                while let Ok(Some(request)) = connection.read().await {
                    if connection.send(ANSWER).await.is_err() {
                        break;
                    }
                    if let Some(saga) = saga_number(&request.body) {
                        tally.compensated(saga);
                    }
                }
            }
        });
    }
}

/// The number in `"sagaId":"bench-<number>"`.
pub fn saga_number(body: &[u8]) -> Option<usize> {
    let mark = b"\"sagaId\":\"bench-";
    let at = body.windows(mark.len()).position(|w| w == mark)? + mark.len();
    let digits = body[at..].iter().take_while(|b| b.is_ascii_digit());
    digits.map(|b| usize::from(b - b'0')).fold(None, |n, d| Some(n.unwrap_or(0) * 10 + d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).expect("text");
        assert_eq!(text.split_once("\r\n\r\n").expect("a body").1.len(), 25);
    }

    #[test]
    fn sagas_are_found_in_requests() {
        assert_eq!(saga_number(br#"{"sagaId":"bench-1207","caseId":"c-1"}"#), Some(1207));
        assert_eq!(saga_number(b"{}"), None);
    }
}
