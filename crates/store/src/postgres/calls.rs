//! Calls between nodes by `NOTIFY`, on two connections and a thread of their own: never within a commit, since those
//! that notify come one after the other in the whole server.

use super::{
    call_words::{read, word},
    talk::{self, Joining, PAYLOAD},
};
use crate::{Call, Heard, LetterAnswered, Partition};
use sqlx::{
    PgPool, Postgres,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgListener},
};
use std::{
    collections::BTreeSet,
    io,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{broadcast, mpsc},
    time::{sleep, timeout},
};

/// The channel of a database's nodes.
const CHANNEL: &str = "amends";
/// Time between two notifications of a node; what is called meanwhile goes together.
const BETWEEN: Duration = Duration::from_millis(5);
/// Calls that may wait to go out, and calls that a hearer may be behind; of more some are lost.
const WAITING: usize = 4_096;
/// Texts that may wait to be said, and that a hearer may be behind; of more some are lost.
const TEXTS: usize = 64;
/// Longest wait for the server to take one.
const LIMIT: Duration = Duration::from_secs(2);
/// Pause before the line is made anew.
const PAUSE: Duration = Duration::from_millis(500);
const SETTINGS: [(&str, &str); 5] = [
    ("search_path", "amends,pg_catalog"),
    // Nothing is kept: a call that a crash loses is one that nobody hears.
    ("synchronous_commit", "off"),
    ("statement_timeout", "2s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_user_timeout", "5000"),
];

/// The line of one node. It ends when this is dropped.
pub(super) struct Line {
    out: Option<(mpsc::Sender<Call>, mpsc::Sender<String>)>,
    heard: broadcast::Sender<Call>,
    said: broadcast::Sender<Heard>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Starts the thread, which connects.
    pub(super) fn start(connects: &PgConnectOptions) -> io::Result<Self> {
        let connects = connects.clone().options(SETTINGS);
        let (out, waiting) = mpsc::channel(WAITING);
        let (texts_out, texts) = mpsc::channel(TEXTS);
        let (heard, _) = broadcast::channel(WAITING);
        let (said, _) = broadcast::channel(TEXTS);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let hearing = (heard.clone(), said.clone());
        let thread = thread::Builder::new()
            .name("amends-calls".to_owned())
            .spawn(move || run(&runtime, connects, (waiting, texts), hearing))?;
        Ok(Self { out: Some((out, texts_out)), heard, said, thread: Some(thread) })
    }

    pub(super) fn call(&self, call: Call) {
        // Full: whoever would hear it looks by itself within a second.
        let _ = self.out.as_ref().map(|(out, _)| out.try_send(call));
    }

    pub(super) fn say(&self, text: String) {
        // Full: whoever waits for a word asks again, and what is missing among what is numbered is seen.
        let _ = self.out.as_ref().map(|(_, out)| out.try_send(text));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.said.subscribe()
    }

    pub(super) fn hear(&self) -> broadcast::Receiver<Call> {
        self.heard.subscribe()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.out = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    runtime: &Runtime,
    connects: PgConnectOptions,
    waiting: (mpsc::Receiver<Call>, mpsc::Receiver<String>),
    heard: (broadcast::Sender<Call>, broadcast::Sender<Heard>),
) {
    let _in = runtime.enter();
    let pool = || PoolOptions::<Postgres>::new().max_connections(1).acquire_timeout(LIMIT);
    let to_hear = pool().connect_lazy_with(connects.clone());
    let to_call = pool().connect_lazy_with(connects);
    runtime.spawn(hear(to_hear, heard));
    runtime.block_on(call_out(&to_call, waiting));
}

/// Until nobody can call any more.
async fn call_out(
    pool: &PgPool,
    (mut waiting, mut texts): (mpsc::Receiver<Call>, mpsc::Receiver<String>),
) {
    loop {
        let first = tokio::select! {
            biased;
            first = waiting.recv() => first,
            Some(text) = texts.recv() => {
                talk::say(pool, &text, LIMIT).await;
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut due = Due::default();
        due.add(first);
        while let Ok(more) = waiting.try_recv() {
            due.add(more);
        }
        for payload in due.payloads() {
            let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload);
            if let Ok(Err(error)) = timeout(LIMIT, notify.execute(pool)).await {
                tracing::debug!(%error, "a call to other nodes is lost; they look by themselves");
            }
        }
        sleep(BETWEEN).await;
    }
}

/// Hears for ever. Whenever the line is made, calls may have been lost before.
async fn hear(pool: PgPool, heard: (broadcast::Sender<Call>, broadcast::Sender<Heard>)) {
    loop {
        if let Err(error) = hear_on_a_line(&pool, &heard).await {
            tracing::debug!(%error, "the line on which other nodes call is made anew");
        }
        sleep(PAUSE).await;
    }
}

async fn hear_on_a_line(
    pool: &PgPool,
    (heard, said): &(broadcast::Sender<Call>, broadcast::Sender<Heard>),
) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all([CHANNEL, talk::CHANNEL]).await?;
    // Nobody may hear; that is no fault.
    let _ = heard.send(Call::Missed);
    let _ = said.send(Heard::Missed);
    let mut joining = Joining::default();
    while let Some(notification) = listener.try_recv().await? {
        if notification.channel() == talk::CHANNEL {
            if let Some(text) = joining.take(notification.payload()) {
                let _ = said.send(Heard::Said(text.into()));
            }
            continue;
        }
        for call in notification.payload().split(' ').filter_map(read) {
            let _ = heard.send(call);
        }
    }
    Ok(())
}

/// Calls that go out together: each once.
#[derive(Default)]
struct Due {
    letters: BTreeSet<u16>,
    answers: Vec<LetterAnswered>,
    leases: bool,
    settings: Option<u64>,
}

impl Due {
    fn add(&mut self, call: Call) {
        match call {
            Call::Letters(Partition(part)) => drop(self.letters.insert(part)),
            Call::Answered(answered) => self.answers.push(answered),
            Call::Settings(version) => self.settings = self.settings.max(Some(version)),
            Call::Leases => self.leases = true,
            // It is said by whoever notices.
            Call::Missed => {}
        }
    }

    /// Words with a blank in between, in as few texts as they fit into.
    fn payloads(self) -> Vec<String> {
        let letters = self.letters.into_iter().map(|part| Call::Letters(Partition(part)));
        let leases = self.leases.then_some(Call::Leases);
        let settings = self.settings.map(Call::Settings);
        let answers = self.answers.into_iter().map(Call::Answered);
        let mut payloads: Vec<String> = Vec::new();
        for word in
            letters.chain(leases).chain(settings).chain(answers).filter_map(|call| word(&call))
        {
            match payloads.last_mut().filter(|text| text.len() + word.len() < PAYLOAD) {
                Some(text) => {
                    text.push(' ');
                    text.push_str(&word);
                }
                None => payloads.push(word),
            }
        }
        payloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_engine::{Answer, LetterId};
    use amends_protocol::CaseId;

    #[test]
    fn calls_go_together_and_come_out_as_they_went_in() {
        let mut due = Due::default();
        let received = |n| Answer::Received { case: CaseId(n), duplicate: n == 1 };
        let answers: Vec<Call> = (0..250)
            .map(|n| LetterAnswered { letter: LetterId(n.into()), answer: received(n) })
            .map(Call::Answered)
            .collect();
        for call in [Call::Letters(Partition(12)), Call::Leases, Call::Letters(Partition(3))] {
            due.add(call.clone());
            due.add(call);
        }
        answers.iter().for_each(|call| due.add(call.clone()));
        [7, 9, 8].map(Call::Settings).into_iter().for_each(|call| due.add(call));
        let payloads = due.payloads();
        assert!(payloads.len() == 2 && payloads.iter().all(|text| text.len() < 8_000));
        let back: Vec<Call> =
            payloads.iter().flat_map(|text| text.split(' ').filter_map(read)).collect();
        let of_parts = [Call::Letters(Partition(3)), Call::Letters(Partition(12))];
        let first = [&of_parts[..], &[Call::Leases, Call::Settings(9)]].concat();
        assert_eq!(back, [&first[..], &answers].concat());
    }
}
