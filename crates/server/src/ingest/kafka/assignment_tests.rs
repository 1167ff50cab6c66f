//! Who pauses, what waits, what is committed.

use super::*;

fn key(partition: i32) -> Key {
    ("reports".to_owned(), partition)
}

fn delivery(bytes: usize) -> Delivery {
    Delivery {
        place: String::new(),
        told: String::new(),
        channel: "reports".to_owned(),
        key: None,
        headers: Vec::new(),
        body: vec![0; bytes],
        sent_at: None,
    }
}

const TAKEN: Verdict = Verdict::Taken { duplicate: false };

/// A story: partitions 0 and 1 are ours.
struct Story {
    all: Assignment,
    now: Duration,
}

impl Story {
    fn new() -> Self {
        let mut all = Assignment::default();
        all.given([key(0), key(1)]);
        Self { all, now: Duration::ZERO }
    }

    fn comes(&mut self, partition: i32, offset: i64) -> Token {
        self.all.received(key(partition), offset, &delivery(100)).expect("it is ours")
    }

    fn ends(&mut self, token: Token, verdict: Verdict) {
        self.all.ended(token, delivery(100), verdict, self.now);
    }

    /// What pauses and what goes on, by number.
    fn pauses(&mut self) -> (Vec<i32>, Vec<i32>) {
        let (pause, resume) = self.all.pauses();
        let numbers = |keys: Vec<Key>| {
            let mut numbers: Vec<i32> = keys.into_iter().map(|(_, number)| number).collect();
            numbers.sort_unstable();
            numbers
        };
        (numbers(pause), numbers(resume))
    }

    fn asks(&mut self) -> Vec<(i32, i64)> {
        let keys = self.all.keys();
        let mut asks: Vec<(i32, i64)> =
            self.all.asks(&keys).into_iter().map(|((_, number), at)| (number, at)).collect();
        asks.sort_unstable();
        asks
    }
}

#[test]
fn a_partition_with_what_can_not_be_taken_pauses_and_others_go_on() {
    let mut story = Story::new();
    let (first, second, other) = (story.comes(0, 5), story.comes(0, 6), story.comes(1, 9));
    story.ends(first, Verdict::Again);
    story.ends(second, TAKEN);
    story.ends(other, TAKEN);
    assert_eq!(story.pauses(), (vec![0], vec![]));
    assert_eq!(story.asks(), [(0, 5), (1, 10)], "the sixth is done, the fifth is not");
    assert!(story.all.due(story.now).is_empty(), "it waits");
    story.now += Duration::from_millis(250);
    let again = story.all.due(story.now).pop().expect("due").0;
    assert_eq!(story.pauses(), (vec![], vec![]), "not while it is tried");
    story.ends(again, Verdict::Again);
    story.now += Duration::from_millis(250);
    assert!(story.all.due(story.now).is_empty(), "longer than before");
    assert_eq!(story.pauses(), (vec![], vec![]));
    story.now += Duration::from_millis(250);
    let again = story.all.due(story.now).pop().expect("due").0;
    story.ends(again, Verdict::Rejected);
    assert_eq!(story.pauses(), (vec![], vec![0]));
    assert_eq!(story.asks(), [(0, 7)]);
}

#[test]
fn what_is_given_while_nothing_can_be_taken_pauses_at_once() {
    let mut story = Story::new();
    let token = story.comes(0, 5);
    story.ends(token, Verdict::Again);
    story.all.given([key(2)]);
    assert_eq!(story.pauses(), (vec![0, 2], vec![]));
    story.now += Duration::from_secs(1);
    let again = story.all.due(story.now).pop().expect("due").0;
    story.ends(again, TAKEN);
    assert_eq!(story.pauses(), (vec![], vec![0, 2]));
}

#[test]
fn what_was_refused_and_went_to_another_holds_up_nothing() {
    let mut story = Story::new();
    let token = story.comes(0, 5);
    story.ends(token, Verdict::Again);
    story.all.given([key(2)]);
    assert_eq!(story.pauses(), (vec![0, 2], vec![]));
    story.all.taken_away(&[key(0)]);
    assert_eq!(story.pauses(), (vec![], vec![2]), "nobody would tell it that it may go on");
}

#[test]
fn what_is_taken_away_is_not_counted_any_more_and_not_mixed_up_with_what_comes_back() {
    let mut story = Story::new();
    let (old, waits) = (story.comes(0, 5), story.comes(0, 6));
    story.ends(waits, Verdict::Again);
    story.all.taken_away(&[key(0)]);
    assert!(story.all.received(key(0), 7, &delivery(1)).is_none(), "it is another's");
    assert!(story.all.due(story.now + Duration::from_secs(60)).is_empty(), "another tries it");
    story.all.given([key(0)]);
    let new = story.comes(0, 5);
    story.ends(old, TAKEN); // of before
    assert_eq!(story.asks(), [(0, 5)], "what came anew has not ended");
    story.ends(new, TAKEN);
    assert_eq!(story.asks(), [(0, 6)]);
    assert_eq!((story.all.in_hand, story.all.bytes, story.all.refused), (0, 0, 0));
}

#[test]
fn the_hand_is_bounded_by_number_and_by_bytes() {
    let mut story = Story::new();
    let tokens: Vec<Token> = (0..1_024).map(|offset| story.comes(1, offset)).collect();
    assert!(story.all.is_full());
    assert_eq!(story.pauses(), (vec![], vec![]), "it commonly passes at once");
    story.all.stalls();
    assert_eq!(story.pauses(), (vec![0, 1], vec![]));
    tokens.into_iter().for_each(|token| story.ends(token, TAKEN));
    assert_eq!(story.pauses(), (vec![], vec![0, 1]));
    let large = delivery(BYTES);
    let token = story.all.received(key(1), 2_000, &large).expect("ours");
    assert_eq!(story.pauses(), (vec![0, 1], vec![]));
    story.all.ended(token, large, TAKEN, story.now);
    assert_eq!(story.pauses(), (vec![], vec![0, 1]));
}

#[test]
fn no_more_is_in_hand_than_finds_room_when_it_ends() {
    let mut story = Story::new();
    let mut tokens = Vec::new();
    while story.all.has_room() {
        // Pausing may take a moment, and the library has read ahead.
        tokens.push(story.comes(0, tokens.len() as i64));
    }
    assert_eq!(tokens.len(), ROOM);
    story.all.stalls();
    assert_eq!(story.pauses(), (vec![0, 1], vec![]), "nothing more comes");
    for token in tokens {
        story.ends(token, TAKEN);
    }
    assert!(story.all.has_room());
    assert_eq!(story.pauses(), (vec![], vec![0, 1]));
}
