//! A whole business: its services as processes, and their supervisor, wired together in one folder. It places single
//! orders and says when everything has come to rest; which orders, and what goes wrong, others decide.

use crate::addresses::Addresses;
use crate::broker::{Broker, BrokerKind};
use crate::business::Business;
use crate::cases::{self, Cases};
use crate::client::{Client, NoAnswer};
use crate::database::{Database, StoreKind};
use crate::fleet::{Fleet, Launch};
use crate::gateway::Gateway;
use crate::invariants::Findings;
use crate::process::{Role, ServiceProcess};
use crate::secured::{ADMIN, CUSTOMER, Secured};
use crate::workload::PlannedOrder;
use amends_api::CaseState;
use amends_protocol::headers;
use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// The port of the first service in a rulebook; the others follow in the order of the business.
pub(crate) const FIRST_WRITTEN_PORT: u16 = 7101;
/// How long a customer waits for an answer: longer than the first service waits for those that it calls.
const CUSTOMER_LIMIT: Duration = Duration::from_secs(150);
/// How long a customer asks for an answer before giving up: longer than a few restarts of the first service take.
const PLACE_LIMIT: Duration = Duration::from_secs(300);
/// The pause before a customer asks again; it doubles up to [`LONGEST_PAUSE`], so that nobody waits long for a service
/// that is back.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// Mishaps that are kept until somebody asks. One is enough to spoil a run; these are enough to see what kind it was.
const MISHAPS_LIMIT: usize = 100;
/// How often the shop is asked whether it has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A running business.
pub struct Shop {
    business: &'static Business,
    folder: PathBuf,
    /// Customers order with it.
    customer: Client,
    /// Asks the supervisor.
    reader: Client,
    secured: Option<Secured>,
    services: BTreeMap<&'static str, Arc<ServiceProcess>>,
    gateways: BTreeMap<&'static str, Gateway>,
    supervisors: Fleet,
    broker: Option<Broker>,
    database: Option<Arc<Database>>,
    mishaps: Mutex<mpsc::Receiver<String>>,
}

/// What a business has besides its services and their supervisor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// A gateway before every service: customers, services and supervisor know no other address.
    pub gateways: bool,
    /// TLS everywhere, and nobody is let in who isn't known.
    pub secure: bool,
    /// A broker, to which the services publish their reports.
    pub broker: Option<BrokerKind>,
    /// Where the supervisor keeps its cases.
    pub store: StoreKind,
    /// How many supervisors share them, in PostgreSQL; 0 and 1 are one alone.
    pub nodes: u32,
}

/// How a customer saw an order end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 200: the order is placed.
    Placed,
    /// The service said no, with this status.
    Refused(u16),
    /// However often the customer asked, the connection broke or nothing came in time: the customer knows nothing.
    NoAnswer,
}

/// What was still going on when patience ran out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unrest {
    /// Cases that are open.
    pub open_cases: u64,
    /// Requests that are neither done nor given up, reports in outboxes, and errands, by service; messages that wait at
    /// a broker, and letters between nodes.
    pub busy: BTreeMap<String, u64>,
}

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases open", self.open_cases)?;
        for (service, count) in &self.busy {
            write!(f, ", {service} busy with {count}")?;
        }
        Ok(())
    }
}

impl Shop {
    /// Starts everything in `folder`, with what the plan needs in stock. `rulebook` is the text of a rulebook that
    /// names the services as that of the business does.
    ///
    /// # Errors
    /// When a process doesn't come up or the folder can't be written.
    pub async fn open(
        exe: &Path,
        folder: &Path,
        (business, rulebook): (&'static Business, &str),
        plan: &[PlannedOrder],
    ) -> anyhow::Result<Self> {
        Self::open_with(exe, folder, (business, rulebook), plan, Extras::default()).await
    }

    /// The same with more.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is no port for a gateway, no certificate can be made, or the broker's program
    /// is missing.
    pub async fn open_with(
        exe: &Path,
        folder: &Path,
        (business, rulebook): (&'static Business, &str),
        plan: &[PlannedOrder],
        extras: Extras,
    ) -> anyhow::Result<Self> {
        let secured = match extras.secure {
            true => Some(Secured::make(folder, business)?),
            false => None,
        };
        let (mishap, mishaps) = mpsc::channel(MISHAPS_LIMIT);
        let mut services = BTreeMap::new();
        let mut gateways = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        let mut introductions = Vec::new();
        let mut text = rulebook.to_owned();
        for (service, port) in business.services.iter().zip(FIRST_WRITTEN_PORT..) {
            let name = service.name;
            let supply = service.supply.as_ref().map_or(0, |supply| (supply.needed)(plan));
            let role =
                Role { business: business.name, service: name, supply, secure: extras.secure };
            let (service, introduction) =
                ServiceProcess::start(role, exe, folder, mishap.clone()).await?;
            let mut url = service.url();
            if extras.gateways {
                let gateway = Gateway::before(&url, secured.as_ref()).await?;
                gateway.url().clone_into(&mut url);
                gateways.insert(name, gateway);
            }
            text = text.replace(&format!("http://127.0.0.1:{port}"), &url);
            addresses.insert(name.to_owned(), url);
            introductions.push((Arc::clone(&service), introduction));
            services.insert(name, service);
        }
        let rules = folder.join(format!("{}.yaml", business.name));
        std::fs::write(&rules, text)
            .with_context(|| format!("cannot write `{}`", rules.display()))?;
        let names: Vec<_> = business.names().collect();
        let broker = match extras.broker {
            Some(kind) => Some(Broker::start(kind, exe, folder, &names).await?),
            None => None,
        };
        let configured = broker.as_ref().map(|broker| broker.configuration().to_owned());
        let configuration = configured.or_else(|| secured.as_ref().map(Secured::configuration));
        let database = Database::of(extras.store, folder).await?;
        let launch = Launch { exe, folder, rules: &rules, configuration };
        let supervisors = Fleet::start(launch, database.as_deref(), extras.nodes).await?;
        let broker_address = broker.as_ref().map(Broker::address);
        let supervisor = supervisors.url();
        let addresses = Addresses { supervisor, services: addresses, broker: broker_address };
        for (service, introduction) in introductions {
            service.introduce(introduction, &addresses).await?;
        }
        let (customer, reader) = clients(secured.as_ref())?;
        Ok(Self {
            business,
            folder: folder.to_owned(),
            customer,
            reader,
            secured,
            services,
            gateways,
            supervisors,
            broker,
            database,
            mishaps: Mutex::new(mishaps),
        })
    }

    /// What runs here.
    #[must_use]
    pub fn business(&self) -> &'static Business {
        self.business
    }

    /// One of the services.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn service(&self, name: &str) -> anyhow::Result<&Arc<ServiceProcess>> {
        self.services.get(name).with_context(|| format!("there is no service `{name}`"))
    }

    /// The gateways before the services, by service; none if it was opened without.
    pub(crate) fn gateways(&self) -> &BTreeMap<&'static str, Gateway> {
        &self.gateways
    }

    /// Where the databases and logs are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What keeps others out; none if it was opened without.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Where the console is, and how a person gets in.
    pub(crate) fn console(&self) -> anyhow::Result<String> {
        let url = self.supervisors.url();
        let Some(secured) = &self.secured else { return Ok(format!("{url}/")) };
        let (token, authority) = (secured.token(ADMIN)?, secured.authority());
        Ok(format!(
            "{url}/ (log in with the token {token}; a browser believes its certificate once it has {})",
            authority.display()
        ))
    }

    /// The supervisor, or the several that share its work.
    #[must_use]
    pub fn supervisors(&self) -> &Fleet {
        &self.supervisors
    }

    /// Looks who of several supervisors holds what, until it is dropped.
    pub(crate) async fn watch_nodes(&self) -> std::convert::Infallible {
        self.supervisors.watch(&self.reader).await
    }

    /// The broker that reports go by; none if it was opened without.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// The database that the supervisor keeps its cases in; none if that is a file.
    pub(crate) fn database(&self) -> Option<&Arc<Database>> {
        self.database.as_ref()
    }

    /// Places an order as its customer would: again and again under the same saga id and request id, as long as nobody
    /// answers or the answer is that the same may succeed later.
    ///
    /// # Errors
    /// When the first service has not opened its door for five minutes.
    pub async fn place(&self, order: &PlannedOrder) -> anyhow::Result<Ending> {
        let (service, action) = self.business.entry;
        let first = match self.gateways.get(service) {
            Some(gateway) => gateway.url().to_owned(),
            None => self.service(service)?.url(),
        };
        let url = format!("{first}/{action}");
        let request = format!("{}-{action}", order.id);
        let sent = [(headers::SAGA_ID, order.id.as_str()), (headers::REQUEST_ID, request.as_str())];
        let deadline = Instant::now() + PLACE_LIMIT;
        let mut pause = FIRST_PAUSE;
        loop {
            let result = self.customer.post(&url, &sent, &order.form, CUSTOMER_LIMIT).await;
            let too_late = Instant::now() >= deadline;
            match result {
                Ok(answer) if answer.status.is_success() => return Ok(Ending::Placed),
                Ok(answer) if too_late || !answer.may_change() => {
                    return Ok(Ending::Refused(answer.status.as_u16()));
                }
                Err(NoAnswer::Lost(_)) if too_late => return Ok(Ending::NoAnswer),
                Err(NoAnswer::NotSent(why)) if too_late => {
                    bail!("the {service} service doesn't open its door: {why}")
                }
                Ok(_) | Err(NoAnswer::Lost(_) | NoAnswer::NotSent(_)) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until nothing is going on any more: no open case, no unfinished request, no report on its way or at a
    /// broker, no errand.
    ///
    /// # Errors
    /// When the supervisor can't be asked or a database can't be read. Running out of patience is not an error but
    /// [`Unrest`].
    pub async fn rest(&self, patience: Duration) -> anyhow::Result<Result<(), Unrest>> {
        let deadline = Instant::now() + patience;
        loop {
            // In this order: a report leaves its outbox only when its case is open, or when it is at the broker or a
            // letter between nodes, which it leaves only when its case is open. Looked at twice, because a case that
            // has just settled may have put an action back to work.
            let mut unrest = self.look()?;
            if unrest.busy.is_empty() {
                unrest.busy.extend(self.at_the_broker().await);
            }
            if unrest.busy.is_empty() {
                let letters = self.supervisors.letters(&self.reader).await;
                unrest.busy.extend((letters > 0).then(|| ("letters".to_owned(), letters)));
            }
            if unrest.busy.is_empty() {
                unrest.open_cases = self.open_cases().await?;
            }
            if unrest == Unrest::default() {
                unrest = self.look()?;
            }
            if unrest == Unrest::default() {
                return Ok(Ok(()));
            }
            if Instant::now() >= deadline {
                unrest.open_cases = self.open_cases().await?;
                return Ok(Err(unrest));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many cases go on by themselves.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub async fn open_cases(&self) -> anyhow::Result<u64> {
        Ok(self.case_states().await?.get(&CaseState::Open).copied().unwrap_or(0))
    }

    /// How many cases are in which state.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub async fn case_states(&self) -> anyhow::Result<BTreeMap<CaseState, u64>> {
        Ok(cases::read_overview(&self.reader, &self.supervisors.url()).await?.cases)
    }

    /// Every case, from the supervisor's API.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub async fn cases(&self) -> anyhow::Result<Cases> {
        cases::read_cases(&self.reader, &self.supervisors.url()).await
    }

    /// Judges the services' databases against the plan.
    ///
    /// # Errors
    /// When a database can't be read.
    pub fn judge(&self, plan: &[PlannedOrder]) -> anyhow::Result<Findings> {
        let judged = self.business.judge(&self.folder, plan);
        judged.context("the services' databases cannot be read")
    }

    /// What went wrong that nobody planned, since it was asked last.
    pub async fn mishaps(&self) -> Vec<String> {
        let mut mishaps = self.mishaps.lock().await;
        std::iter::from_fn(|| mishaps.try_recv().ok()).collect()
    }

    /// Ends all processes.
    pub async fn close(self) {
        for service in self.services.values() {
            service.end().await;
        }
        self.supervisors.end().await;
        if let Some(broker) = &self.broker {
            broker.process().kill().await;
        }
        if let Some(database) = &self.database {
            database.kill().await;
        }
    }

    /// The broker, and how many messages wait there; one if it doesn't say.
    async fn at_the_broker(&self) -> Option<(String, u64)> {
        let broker = self.broker.as_ref()?;
        let waiting = broker.waiting().await.unwrap_or(1);
        (waiting > 0).then(|| (broker.kind().to_string(), waiting))
    }

    /// What the services' databases say is still to be done.
    fn look(&self) -> anyhow::Result<Unrest> {
        let mut busy = BTreeMap::new();
        for service in self.business.services {
            let (name, process) = (service.name, self.service(service.name)?);
            let count = unfinished(&process.database(), service.runs_errands)
                .with_context(|| format!("the database of the {name} service cannot be read"))?;
            if count > 0 {
                busy.insert(name.to_owned(), count);
            }
        }
        Ok(Unrest { open_cases: 0, busy })
    }
}

/// With what customers order, and with what the supervisor is asked.
fn clients(secured: Option<&Secured>) -> anyhow::Result<(Client, Client)> {
    let Some(secured) = secured else { return Ok(Default::default()) };
    let customer = Client::with_certificates(&secured.certificates(CUSTOMER))?;
    let reader = customer.clone().with_token(&secured.token(CUSTOMER)?)?;
    Ok((customer, reader))
}

/// Requests under way, reports on their way, and errands to run.
fn unfinished(database: &Path, has_errands: bool) -> rusqlite::Result<u64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let errands =
        if has_errands { "SELECT count(*) FROM errands WHERE state = 'open'" } else { "SELECT 0" };
    let count: i64 = connection.query_row(
        &format!(
            "SELECT (SELECT count(*) FROM amends_requests WHERE state = 'started')
                  + (SELECT count(*) FROM amends_outbox WHERE state = 'pending') + ({errands})"
        ),
        [],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}
