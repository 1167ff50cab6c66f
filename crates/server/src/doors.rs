//! Those who came to the wrong node: what they brought was left for the right one, and they wait for its word for a
//! moment. Without it they are told that it was taken, which is true.

use amends_engine::{Answer, LetterId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long somebody waits for the word of another node.
const WAIT: Duration = Duration::from_secs(1);

/// Those who wait, by what they left. Each is a request under way, so there are no more than those.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    replies: FxHashMap<LetterId, oneshot::Sender<Answer>>,
    /// Until when, by the monotonic clock; in the order in which they came.
    until: VecDeque<(Duration, LetterId)>,
}

impl Doors {
    /// Somebody waits from now on.
    pub(crate) fn open(&self, letter: LetterId, reply: oneshot::Sender<Answer>, now: Duration) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.replies.insert(letter, reply);
        waiting.until.push_back((now + WAIT, letter));
    }

    /// The owner's word has come. Says whether somebody was still waiting for it.
    pub(crate) fn answered(&self, letter: LetterId, answer: Answer) -> bool {
        let reply = self.0.lock().unwrap_or_else(PoisonError::into_inner).replies.remove(&letter);
        reply.is_some_and(|reply| reply.send(answer).is_ok())
    }

    /// Nobody waits any longer.
    pub(crate) fn close_all(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (letter, reply) in all.replies {
            let _ = reply.send(Answer::Posted(letter)); // the one who asked has gone away
        }
    }

    /// Those who have waited for long enough wait no longer.
    pub(crate) fn close_old(&self, now: Duration) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((until, letter)) = waiting.until.front().copied()
            && until <= now
        {
            waiting.until.pop_front();
            if let Some(reply) = waiting.replies.remove(&letter) {
                let _ = reply.send(Answer::Posted(letter)); // as above
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::CaseId;

    #[test]
    fn whoever_waits_hears_the_owners_word_or_after_a_second_that_it_was_taken() {
        let (doors, now) = (Doors::default(), Duration::from_secs(9));
        let mut waiting = Vec::new();
        for n in 1..=3 {
            let (reply, answer) = oneshot::channel();
            doors.open(LetterId(n), reply, now + Duration::from_millis(n as u64));
            waiting.push(answer);
        }
        let word = Answer::Received { case: CaseId(641), duplicate: false };
        assert!(doors.answered(LetterId(2), word.clone()));
        assert!(!doors.answered(LetterId(9), Answer::Done), "nobody waits for it");
        doors.close_old(now + WAIT + Duration::from_millis(2));
        assert_eq!(waiting[0].try_recv(), Ok(Answer::Posted(LetterId(1))));
        assert_eq!(waiting[1].try_recv(), Ok(word));
        assert!(waiting[2].try_recv().is_err(), "it has waited for less");
        doors.close_old(now + WAIT * 2);
        assert_eq!(waiting[2].try_recv(), Ok(Answer::Posted(LetterId(3))));
        assert!(!doors.answered(LetterId(3), Answer::Done), "it came too late");
    }
}
