//! What a check has at hand: requests in fresh sagas, steps, History, the played supervisor and the played service;
//! and a memory of every exchange for the finding. Judges nothing by itself, except that what a check builds on went
//! well.

mod history;
mod look;
mod reports;
mod running;
mod steps;

pub(crate) use history::{Entry, History};

use crate::config::{ActionPlan, Config, NoticePlan};
use crate::fakes::{Downstream, FakeSupervisor, Past, Reply, SAGA_PREFIX};
use crate::finding::{Finding, Stop, Tried, told};
use crate::process::Process;
use crate::template::Values;
use crate::wire::{Client, Exchange, Sent};
use amends_protocol::headers;
use amends_protocol::wire::percent;
use serde_json::json;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Pause before a look is repeated, where nothing tells that it would be worth it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// With which action the sagas of this kit begin, which is also the caller of its requests.
pub(crate) const ENTRY: &str = "conform.begin";

/// Everything that the checks of one run share.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) supervisor: Option<FakeSupervisor>,
    pub(crate) downstream: Option<Downstream>,
    pub(crate) process: Option<Process>,
    pub(crate) past: Past,
    /// A name of this run, in everything that it makes.
    pub(crate) run: String,
    pub(crate) number: AtomicU64,
}

impl Environment {
    fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }
}

/// How a check is tried.
pub(crate) type Attempt = for<'a> fn(&'a TestContext) -> Trying<'a>;
pub(crate) type Trying<'a> = Pin<Box<dyn Future<Output = Tried> + Send + 'a>>;

/// What one check has at hand.
#[derive(Debug)]
pub(crate) struct TestContext {
    pub(crate) stage: Arc<Environment>,
    /// The action that it is tried on; of a check of the service or of a notice, the first one.
    pub(crate) action: Arc<ActionPlan>,
    pub(crate) notice: Option<Arc<NoticePlan>>,
    story: Mutex<Vec<String>>,
    sagas: Mutex<Vec<String>>,
}

/// Which of an action's bodies a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Fails,
    Refuses,
    Slow,
    Calls,
    /// Makes its call twice.
    Twice,
}

/// A forward request; repeated, it is the same to the byte.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) saga: String,
    pub(crate) request: String,
    pub(crate) sent: Sent,
    values: Values,
}

impl Ask {
    /// With a header set.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.sent.set(name, value);
        self
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.sent.headers.remove(name);
        self
    }
}

impl TestContext {
    pub(crate) fn new(
        stage: Arc<Environment>,
        action: Arc<ActionPlan>,
        notice: Option<Arc<NoticePlan>>,
    ) -> Self {
        Self { stage, action, notice, story: Mutex::default(), sagas: Mutex::default() }
    }

    /// Tries a check from its beginning to its end.
    pub(crate) async fn play(self, attempt: Attempt) -> Tried {
        if let Some(supervisor) = &self.stage.supervisor {
            supervisor.begin([]);
        }
        self.let_calls_be(Vec::new());
        let mut tried = attempt(&self).await;
        if let Err(Stop::Failed(finding)) = &mut tried {
            finding.story = std::mem::take(&mut *lock(&self.story));
            finding.help = self.help(finding);
        }
        self.let_calls_be(Vec::new());
        self.stage.past.add(std::mem::take(&mut *lock(&self.sagas)));
        tried
    }

    /// What would mend a finding that is about the configuration rather than the participant.
    fn help(&self, finding: &Finding) -> Option<&'static str> {
        let exchange = finding.exchange.as_ref()?;
        let turned_away = exchange.came.as_ref().is_ok_and(|answer| answer.status == 401);
        let of_supervisor = exchange.sent.path.starts_with("/amends/");
        let is_signed = exchange.sent.headers.contains_key(headers::WEBHOOK_SIGNATURE);
        match (turned_away && of_supervisor, is_signed) {
            (true, false) if self.stage.config.signer.is_none() => Some(
                "the participant demands signatures: add `signing: { env: … }` with its key to the configuration",
            ),
            (true, true) => Some(
                "compare the key of `signing` with the participant's, and the clocks of the two machines",
            ),
            _ => None,
        }
    }

    /// A saga that nobody has seen.
    pub(crate) fn saga(&self) -> String {
        let saga = format!("{SAGA_PREFIX}{}-{}", self.stage.run, self.stage.next());
        self.remember_saga(&saga);
        saga
    }

    /// Counts a saga among those of this check.
    pub(crate) fn remember_saga(&self, saga: &str) {
        lock(&self.sagas).push(saga.to_owned());
    }

    /// A request in a saga of its own.
    pub(crate) fn ask(&self, kind: Kind) -> Ask {
        let saga = self.saga();
        self.ask_in(&saga, kind)
    }

    /// A further request in a saga.
    pub(crate) fn ask_in(&self, saga: &str, kind: Kind) -> Ask {
        self.ask_of(&self.action, saga, kind)
    }

    /// A request of another action than the check's own.
    pub(crate) fn ask_of(&self, action: &ActionPlan, saga: &str, kind: Kind) -> Ask {
        let stage = &self.stage;
        let number = stage.next();
        let values = Values {
            unique: format!("{}{number}", stage.run),
            number: number_of(&stage.run).wrapping_add(number),
            saga: saga.to_owned(),
            request: format!("request-{}-{number}", stage.run),
            downstream: stage.downstream.as_ref().map_or_else(String::new, |d| d.url().to_owned()),
        };
        let plain = || &action.body;
        // A check names what it needs, so a body that is asked for is there.
        let body = match kind {
            Kind::Plain => plain(),
            Kind::Fails => action.fails_with.as_ref().map_or_else(plain, |fails| &fails.body),
            Kind::Refuses => action.refuses_with.as_ref().unwrap_or(&action.body),
            Kind::Slow => action.slow.as_ref().unwrap_or(&action.body),
            Kind::Calls => action.calls.as_ref().map_or_else(plain, |calls| &calls.body),
            Kind::Twice => {
                let twice = action.calls.as_ref().and_then(|calls| calls.twice.as_ref());
                twice.unwrap_or(&action.body)
            }
        };
        let path = action.path.fill_path(&values);
        let mut sent = Sent::json(action.method.clone(), path, &body.fill(&values));
        for (name, value) in &action.headers {
            if let Ok(value) = value.fill(&values).parse() {
                sent.headers.insert(name.clone(), value);
            }
        }
        sent.set(headers::SAGA_ID, saga);
        sent.set(headers::REQUEST_ID, &values.request);
        sent.set(
            headers::BAGGAGE,
            &format!(
                "{}={},shop=conform,{}={ENTRY}",
                headers::BAGGAGE_SAGA,
                encoded(saga),
                headers::BAGGAGE_ENTRY
            ),
        );
        sent.set(headers::AMENDS_CALLER, ENTRY);
        sent.set(headers::TRACEPARENT, &traceparent(number_of(&stage.run), number));
        Ask { saga: saga.to_owned(), request: values.request.clone(), sent, values }
    }

    /// Sends a request and waits for its end.
    pub(crate) async fn send(&self, ask: &Ask) -> Exchange {
        self.exchange(ask.sent.clone()).await
    }

    /// Sends a request that must succeed for the check to go on.
    pub(crate) async fn done(&self, ask: &Ask) -> Tried<Exchange> {
        let exchange = self.send(ask).await;
        exchange.succeeds("a request that succeeds")?;
        Ok(exchange)
    }

    /// Sends the request of `fails_with`, which must fail for the check to go on.
    pub(crate) async fn failed(&self, ask: &Ask) -> Tried<Exchange> {
        let exchange = self.send(ask).await;
        let expected = "the request of `fails_with` fails: an answer of 400 to 599";
        let answer = exchange.answered(expected)?;
        match (400..=599).contains(&answer.status) {
            true => Ok(exchange),
            false => Err(exchange.unlike(expected)),
        }
    }

    /// One exchange, remembered.
    pub(crate) async fn exchange(&self, sent: Sent) -> Exchange {
        let exchange = self.stage.client.exchange(sent).await;
        self.remember(&exchange);
        exchange
    }

    pub(crate) fn remember(&self, exchange: &Exchange) {
        lock(&self.story).push(told(exchange));
    }

    /// Sends several requests at the same time; the answers in the same order.
    pub(crate) async fn at_once(&self, all: Vec<Sent>) -> Vec<Exchange> {
        let sending = |sent| {
            let client = self.stage.client.clone();
            tokio::spawn(async move { client.exchange(sent).await })
        };
        let tasks: Vec<_> = all.into_iter().map(sending).collect();
        let mut exchanges = Vec::with_capacity(tasks.len());
        for task in tasks {
            // A task ends early only with the runtime.
            if let Ok(exchange) = task.await {
                self.remember(&exchange);
                exchanges.push(exchange);
            }
        }
        exchanges
    }

    /// What the next calls are answered; all later ones succeed.
    pub(crate) fn let_calls_be(&self, replies: Vec<Reply>) {
        let Some(downstream) = &self.stage.downstream else { return };
        let answer =
            self.action.calls.as_ref().map_or_else(|| json!({}), |calls| calls.answer.clone());
        downstream.begin(replies, answer);
    }

    /// An action other than the check's own that fits.
    pub(crate) fn other_action(&self, fits: impl Fn(&ActionPlan) -> bool) -> Tried<&ActionPlan> {
        let other = self.stage.config.other_than(&self.action, fits);
        other.ok_or_else(|| Stop::skipped("no second action is known", None))
    }

    /// The service that the participant calls.
    pub(crate) fn downstream(&self) -> Tried<&Downstream> {
        let lack =
            || Stop::skipped("the kit has no address at which the participant can call it", None);
        self.stage.downstream.as_ref().ok_or_else(lack)
    }

    /// Kills the participant without a last word, and starts it again.
    pub(crate) async fn crash(&self) -> Tried {
        let Some(process) = &self.stage.process else {
            return Err(Stop::skipped("the kit can't start the participant", None));
        };
        lock(&self.story).push("kill -9, and started again".to_owned());
        let expected = "the participant starts again after a `kill -9`";
        process.crash().await.map_err(|why| Stop::found(expected, why.to_string()))
    }

    /// Where the participant reports.
    pub(crate) fn supervisor(&self) -> Tried<&FakeSupervisor> {
        let lack =
            || Stop::skipped("the kit has no address at which the participant can report", None);
        self.stage.supervisor.as_ref().ok_or_else(lack)
    }
}
/// Lower-case hex to a number, small enough for every JSON reader.
fn number_of(run: &str) -> u64 {
    u64::from_str_radix(run, 16).unwrap_or(0) & 0xff_ffff_ffff
}

fn traceparent(run: u64, number: u64) -> String {
    format!("00-{run:016x}{:016x}-{:016x}-01", number + 1, number + 1)
}

fn encoded(text: &str) -> String {
    percent::part(text).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
