"""A coupon service that takes part in compensation: docs/reference/protocol.md in one file, on SQLite or PostgreSQL.

In this order: the business, the tables, the two databases, requests that come, calls to others, reports, steps of the
supervisor, what goes on beside them, the wire. To make it yours, replace the business and keep the rest. What belongs
together is one transaction; nothing else of this process runs meanwhile, since nothing in it waits for the network."""
import asyncio, base64, contextlib, email.utils, hashlib, hmac, json, os, re, secrets, signal, sqlite3, sys, time
import importlib, traceback, uuid
from urllib.parse import quote, unquote
from aiohttp import ClientError, ClientTimeout, request as exchange, web
from multidict import CIMultiDict  # comes with aiohttp

NAME = "coupon"  # as the rulebook calls this service
HOST, _, PORT = os.environ.get("COUPON_LISTEN", "127.0.0.1:7103").rpartition(":")  # port 0 takes a free one
DATABASE = os.environ.get("COUPON_DATABASE", "coupon.sqlite")  # a file, or postgres://…
SUPERVISOR = os.environ.get("SUPERVISOR_URL", "http://127.0.0.1:7100")
BROKER = importlib.import_module("broker") if os.environ.get("REPORTS_TO") else None  # takes reports, if there is one
TOKEN_FILE = os.environ.get("SUPERVISOR_TOKEN_FILE")
PRINTER = os.environ.get("PRINTER_URL", "http://127.0.0.1:7199")
KEYS = [base64.b64decode(key.removeprefix("whsec_")) for key in os.environ.get("SIGNING_KEYS", "").split()]
if not all(24 <= len(key) <= 64 for key in KEYS): sys.exit("SIGNING_KEYS: a key is whsec_ and base64 of 24 to 64 bytes")
UNDO_TAKES_S = float(os.environ.get("UNDO_TAKES_S", "0"))  # what is slow is answered 202, and its outcome told later
LEASE_S = float(os.environ.get("LEASE_S", "10"))  # a process that has not shown itself for so long counts as dead
POST_S, HOLD_S = 5, 15  # time for one request to others; who tells the supervisor something keeps others off it so long
RELAYS = 8  # requests to the supervisor at once: a slow one holds no other saga's report up
BODY_LIMIT, CLOCK_TOLERANCE_S = 1 << 20, 300  # a request is kept whole; the second is that of Standard Webhooks
ENTRIES = 1_000  # of a report, of an answer, and of a page of History
ME = str(uuid.uuid4())  # this process
RUNNING, UNDOING, RELAYED, TASKS = set(), set(), set(), set()  # what it has in hand
ROUTES = web.RouteTableDef()

# ---- The business ----------------------------------------------------------------------------------------------------
BUSINESS_TABLES = """
CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT, cash INTEGER);
CREATE TABLE IF NOT EXISTS texts (saga TEXT, text TEXT);
"""

async def redeem(request, body):
    """Uses a coupon, and has copies printed. Calls come first; what is returned runs in the transaction of History."""
    coupon = coupon_of(body)
    copies = body.get("copies") or []
    for ordinal, number in enumerate(copies if isinstance(copies, list) else [copies], 1):
        await call(request, PRINTER, "printer", "print", {"copies": number}, ordinal)
    def effect():
        new = "INSERT INTO redeemed VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING coupon"
        is_free = one(new, coupon, request["saga"], int(body.get("cash") is True))
        demand(is_free, "action-failed", f"coupon `{coupon}` is used already", code="used", coupon=coupon)
        return {"redeemed": coupon}
    return effect

async def appraise(request, body):
    """Says what a coupon is worth. It changes nothing, so nothing undoes it; a compensation bars it all the same."""
    coupon = coupon_of(body)
    return lambda: {"coupon": coupon, "worth": 5}

def coupon_of(body):
    demand(is_id(body.get("coupon")), "action-failed", "`coupon` is missing or malformed", 400, "no-coupon")
    return body["coupon"]

def restore(saga):
    """Undoes every `redeem` of a saga."""
    demand(not one("SELECT 1 FROM redeemed WHERE saga = ? AND cash = 1", saga), "refused", "it was paid out in cash")
    one("DELETE FROM redeemed WHERE saga = ?", saga)

ACTIONS, UNDO = {"redeem": redeem, "appraise": appraise}, {"redeem": restore}
NOTICES = {"send-apology": lambda saga: one("INSERT INTO texts VALUES (?, 'Your coupon was not used. Sorry!')", saga)}

@ROUTES.get("/{table:redeemed|texts}/{saga}")
async def count(asked):
    table, saga = asked.match_info["table"], asked.match_info["saga"]
    return 200, dict(one(f"SELECT count(*) AS count FROM {table} WHERE saga = ?", saga))

# ---- The tables ------------------------------------------------------------------------------------------------------
TABLES = BUSINESS_TABLES + """
-- The processes that work here. Whoever is not in it, or is past its time, counts as dead.
CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, alive_until DOUBLE PRECISION NOT NULL);
-- History: every request that came. `runs` counts how often it was started; who holds a lower number has lost it.
CREATE TABLE IF NOT EXISTS requests (seq SERIAL_KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, action TEXT NOT NULL,
  fingerprint TEXT NOT NULL, body TEXT NOT NULL, context TEXT NOT NULL, state TEXT NOT NULL, worker TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 1, status INTEGER, answer TEXT, report TEXT);
CREATE INDEX IF NOT EXISTS requests_by_saga ON requests (saga, action);
-- History: every call that was made, `request` by which request that came.
CREATE TABLE IF NOT EXISTS calls (seq SERIAL_KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, request TEXT NOT NULL,
  service TEXT NOT NULL, action TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_saga ON calls (saga);
-- Nothing of the action takes effect in the saga any more.
CREATE TABLE IF NOT EXISTS fences (saga TEXT, action TEXT, PRIMARY KEY (saga, action));
-- What the supervisor asked for, and how it ended.
CREATE TABLE IF NOT EXISTS steps (id TEXT PRIMARY KEY, saga TEXT NOT NULL, verb TEXT NOT NULL, action TEXT NOT NULL,
  outcome TEXT);
-- Steps that were answered 202: without an outcome while `worker` is at work on them, then with one that is to be told.
CREATE TABLE IF NOT EXISTS owed (id TEXT PRIMARY KEY, saga TEXT NOT NULL, action TEXT NOT NULL, worker TEXT NOT NULL,
  url TEXT, proof TEXT, outcome TEXT, due DOUBLE PRECISION NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0);
-- Reports on their way to the supervisor. `due`: not before; ahead while somebody tries. `refused`: why, for good.
CREATE TABLE IF NOT EXISTS outbox (seq SERIAL_KEY, id TEXT NOT NULL, saga TEXT NOT NULL, event TEXT NOT NULL,
  due DOUBLE PRECISION NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, refused TEXT);
CREATE INDEX IF NOT EXISTS outbox_by_saga ON outbox (saga, seq);
"""

# ---- The databases: statements are the same for both, `now_s()` is the one clock of all processes --------------------
class Sqlite:
    """One file, for one process at a time: it is locked, so whoever worked on it before is dead."""
    def __init__(self, path):
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.create_function("now_s", 0, time.time)
        how = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        tables = TABLES.replace("SERIAL_KEY", "INTEGER PRIMARY KEY")
        self.connection.executescript(f"{how} {tables} DELETE FROM workers;")

    @contextlib.contextmanager
    def transaction(self, saga):
        with self.connection:  # commits, or rolls back
            self.connection.execute("BEGIN IMMEDIATE")
            yield

    def rows(self, sql, *values):
        return self.connection.execute(sql, values).fetchall()

class Postgres:
    """A database, for any number of processes."""
    def __init__(self, url):
        self.url, self.connection = url, None
        now = ("CREATE OR REPLACE FUNCTION now_s() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS"
               " 'SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION';")
        with self.transaction("the tables"):
            key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            self.connection.execute(now + TABLES.replace("SERIAL_KEY", key))

    def connect(self):
        import psycopg
        if self.connection is None or self.connection.closed:
            how = {"autocommit": True, "connect_timeout": POST_S, "row_factory": psycopg.rows.dict_row}
            self.connection = psycopg.connect(self.url, **how)
            self.connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            self.connection.execute("SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'")
        return self.connection

    @contextlib.contextmanager
    def transaction(self, saga):
        """Transactions of one saga come one after the other. INVARIANT: the lock is its first statement, and each later
        one sees what whoever held it before has committed. So a commit sees the fence, or the fence sees the commit."""
        with self.connect().transaction():
            self.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", saga)
            yield

    def rows(self, sql, *values):
        done = self.connect().execute(sql.replace("?", "%s"), values)
        return done.fetchall() if done.description else []

def one(sql, *values):
    return next(iter(DB.rows(sql, *values)), None)

DB = (Postgres if re.match("postgres(ql)?://", DATABASE) else Sqlite)(DATABASE)
LIVING = "SELECT worker FROM workers WHERE alive_until > now_s()"

# ---- Requests --------------------------------------------------------------------------------------------------------
@ROUTES.post("/{action}")
async def forward(asked):
    """Takes a request into History and runs it, or answers it from there."""
    action, text = asked.match_info["action"], await asked.read()
    context = read_context(asked.headers, f"{NAME}.{action}")
    saga, request_id = context["Saga-Id"], context["Request-Id"]
    asked["said"] = {"Saga-Id": saga, "Request-Id": request_id}
    demand(action in ACTIONS, "not-found", f"`{NAME}` has no action `{action}`")
    fingerprint = hashlib.sha256(canonical([saga, action, read_json(text)])).hexdigest()
    with DB.transaction(saga):
        row, is_new = take(request_id, saga, action, fingerprint, text.decode(), json.dumps(context))
        if row["answer"] is None:
            refuse_if_fenced(saga, action)
            demand(is_new, "in-progress", "it is still running; ask again with the same request id")
    row = await run(row, ACTIONS[action]) if is_new else row
    asked["said"] |= {"Amends-Report": row["report"]} if row["report"] else {}
    return row["status"], json.loads(row["answer"])

def take(request_id, saga, action, fingerprint, body, context):
    """The row of a request, and whether it is new. What came before under its id must have been the same."""
    new = one("INSERT INTO requests (id, saga, action, fingerprint, body, context, worker, state)"
              " VALUES (?, ?, ?, ?, ?, ?, ?, 'started') ON CONFLICT DO NOTHING RETURNING *",
              request_id, saga, action, fingerprint, body, context, ME)
    row = new or one("SELECT * FROM requests WHERE id = ?", request_id)
    demand(row["fingerprint"] == fingerprint, "key-reused", "this id came before with another saga, action or body")
    return row, new is not None

def refuse_if_fenced(saga, action, kind="saga-fenced"):
    fence = one("SELECT 1 FROM fences WHERE saga = ? AND action = ?", saga, action)
    demand(not fence, kind, f"`{action}` is being undone in saga `{saga}`; start a new one to try again")

async def run(row, action):
    """Runs a request that is `started` and ours. Its effect and its end are one transaction, or its failure and its
    report. Who has lost the request writes nothing; its caller is answered what came of it elsewhere."""
    RUNNING.add(row["id"])
    try:
        try:
            effect = await action(row, json.loads(row["body"]))
            with DB.transaction(row["saga"]):
                return end(row, "succeeded", 200, effect())
        except (Problem, Lost) as error: problem = error
        except Exception as error:
            traceback.print_exc()
            problem = Problem("effect-unknown", repr(error), code="panicked")
        if isinstance(problem, Lost) or problem.kind == "saga-fenced": raise problem
        state = "failed" if problem.kind == "action-failed" else "unknown"
        with DB.transaction(row["saga"]):
            ended = end(row, state, problem.status, problem.body, row["report"] or str(uuid.uuid4()))
            if not row["report"]: publish(ended, problem)  # a retry that fails again is no new failure
            return ended
    except Lost:
        decided = one("SELECT * FROM requests WHERE id = ?", row["id"])
        demand(decided["answer"] is not None, "in-progress", "another process runs it now")
        return decided
    finally:
        RUNNING.discard(row["id"])

def end(row, state, status, body, report=None):
    """INVARIANT: in the transaction of the effect, no fence is up, and the run is still the one that counts."""
    refuse_if_fenced(row["saga"], row["action"])
    ended = one("UPDATE requests SET state = ?, status = ?, answer = ?, report = ?"
                " WHERE id = ? AND runs = ? AND state = 'started' RETURNING *",
                state, status, json.dumps(body), report, row["id"], row["runs"])
    if ended is None: raise Lost
    return ended

def is_in_hand(row, in_hand):
    """Whether a living process is at work on it."""
    if row["worker"] == ME: return row["id"] in in_hand
    return one(f"SELECT 1 FROM workers WHERE worker = ? AND worker IN ({LIVING})", row["worker"]) is not None

# ---- Calls -----------------------------------------------------------------------------------------------------------
async def call(request, url, service, action, body, ordinal=1):
    """Calls another service: written down before it is sent, and again when it is known what the answer proves."""
    parts = (request["id"], f"{service}.{action}", str(ordinal))  # the same id whenever this request runs again
    key = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]
    with DB.transaction(request["saga"]):
        refuse_if_fenced(request["saga"], request["action"])  # so the answer to a compensation tells of every call
        own = "SELECT 1 FROM requests WHERE id = ? AND runs = ? AND state = 'started'"
        if not one(own, request["id"], request["runs"]): raise Lost
        one("INSERT INTO calls (id, saga, request, service, action, state) VALUES (?, ?, ?, ?, ?, 'started')"
            " ON CONFLICT (id) DO UPDATE SET state = 'started' WHERE calls.state <> 'succeeded'",
            key, request["saga"], request["id"], service, action)
    own = {"Request-Id": key, "Amends-Caller": f"{NAME}.{request['action']}", "Content-Type": "application/json"}
    for pause_s in (0.5, 1, 2, None):
        status, said, text = await post(f"{url}/{action}", json.loads(request["context"]) | own, json.dumps(body))
        if pause_s is None or problem_kind(said, text) != "in-progress": break
        await asyncio.sleep(pause_s)  # its first try is still running; it is asked again under the same id
    state = proves(status, said, text)
    with DB.transaction(request["saga"]):
        one("UPDATE calls SET state = ? WHERE id = ? AND state <> 'succeeded'", state, key)
    if state == "succeeded": return text
    causes = [cause for header in said.getall("Amends-Report", []) for cause in header.split(", ") if is_id(cause)]
    raise Problem("action-failed", f"`{service}.{action}` {state}: {text[:500]}", 502, "downstream", causes)

def proves(status, said, text):
    """Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did."""
    if 200 <= status < 300: return "succeeded"
    kind = problem_kind(said, text)
    if kind in ("in-progress", "internal", "effect-unknown"): return "unknown"
    return "failed" if kind or (400 <= status < 500 and status != 408) else "unknown"

# ---- History and reports ---------------------------------------------------------------------------------------------
def entries(saga, which="0 = 0", after=(0, 0), limit=100 * ENTRIES):
    """Rows of History: the requests that came, then the calls that were made, those with `service`."""
    history = ("SELECT 0 AS part, seq, saga, '' AS service, action, id, state FROM requests"
               " UNION ALL SELECT 1, seq, saga, service, action, id, state FROM calls")
    return DB.rows(f"SELECT * FROM ({history}) AS history WHERE saga = ? AND (part, seq) > (?, ?) AND {which}"
                   " ORDER BY part, seq LIMIT ?", saga, *after, limit)

def shown(rows, own=None):
    """Rows as others see them. Of more than may be told, one of each action and state comes first, then what may have
    taken effect. `own` is the service of a request that came; it goes without saying in a History of ours."""
    seen = {}
    rank = lambda row: (seen.setdefault((row["service"], row["action"], row["state"]), row["id"]) != row["id"],
                        row["state"] == "failed")
    told = rows if len(rows) <= ENTRIES else sorted(rows, key=rank)[:ENTRIES]
    return [({"service": row["service"] or own} if row["service"] or own else {})
            | {"action": row["action"], "requestId": row["id"], "state": row["state"]} for row in told]

def calls_that_may_stand(saga):
    return shown(entries(saga, "part = 1 AND state <> 'failed'"))

@ROUTES.get("/amends/v1/history/{saga}")
async def show(asked):
    check_signature(asked.headers, b"")
    saga, after = asked.match_info["saga"], asked.query.get("after", "0.0")
    demand(is_id(saga), "invalid-request", "a saga id is 1 to 128 of printable ASCII without spaces")
    demand(re.fullmatch(r"[01]\.[0-9]{1,18}", after), "invalid-request", "`after` is the `next` of a page")
    asked["said"] = {"Saga-Id": saga}
    rows = entries(saga, after=[int(number) for number in after.split(".")], limit=ENTRIES + 1)
    page, last = rows[:ENTRIES], rows[ENTRIES - 1] if len(rows) > ENTRIES else None
    more = {"next": f"{last['part']}.{last['seq']}"} if last else {}
    return 200, {"sagaId": saga, "entries": shown(page)} | more

def publish(row, problem):
    """Puts a report into the outbox, with all that is known here of its saga."""
    context = json.loads(row["context"])
    trace = {name: context[name] for name in ("traceparent", "tracestate") if name in context}
    names = {"entry": members(context["baggage"]).get("amends-entry"), "caller": context.get("Amends-Caller")}
    data = {"code": problem.body["code"], "action": row["action"], "requestId": row["id"], "data": problem.data,
            "message": str(problem)[:2000], "causedBy": problem.caused_by[:64],
            "history": shown(entries(row["saga"], "state NOT IN ('compensated', 'fenced')"), own=NAME),
            **{name: value for name, value in names.items() if is_full_name(value)}}
    event = {"specversion": "1.0", "type": "dev.amends.report.v1", "source": NAME, "id": row["report"], **trace,
             "subject": row["saga"], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": data}
    one("INSERT INTO outbox (id, saga, event) VALUES (?, ?, ?)", row["report"], row["saga"], json.dumps(event))

# ---- Steps -----------------------------------------------------------------------------------------------------------
@ROUTES.post("/amends/v1/{verb:compensate|retry|notify}/{action}")
async def step(asked):
    """Carries out what the supervisor asks for, once, or says again how that ended."""
    text, verb, action = await asked.read(), asked.match_info["verb"], asked.match_info["action"]
    check_signature(asked.headers, text)
    demand(action in (NOTICES if verb == "notify" else ACTIONS), "not-found", f"`{NAME}` cannot {verb} `{action}`")
    asks = read_json(text)
    saga, key = asks.get("sagaId"), asks.get("stepId")
    is_step = all(map(is_id, (saga, key, asks.get("caseId")))) and asks.get("action") == f"{NAME}.{action}"
    demand(is_step, "invalid-request", "the body is not a step, or not the one that the path names")
    demand(asked.headers.get("Idempotency-Key", key).strip('"') == key, "key-reused", "it must be the `stepId`")
    asked["said"] = {"Saga-Id": saga}
    with DB.transaction(saga):
        new = "INSERT INTO steps (id, saga, verb, action) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        one(new, key, saga, verb, action)
        row = one("SELECT * FROM steps WHERE id = ?", key)
        is_same = (row["saga"], row["verb"], row["action"]) == (saga, verb, action)
        demand(is_same, "key-reused", "this step id came before with another saga, verb or action")
        if verb == "compensate": fence(saga, action)
    try:
        outcome = row["outcome"] or await carry_out(row, asks)
    except Problem as problem:
        problem.body["history"] = calls_that_may_stand(saga)  # welcome in every answer
        raise
    said = {"outcome": outcome} if outcome else {}
    return 200 if outcome else 202, said | {"history": calls_that_may_stand(saga)}

async def carry_out(step, asks):
    """Gives the outcome; none of what is slow."""
    key, saga, verb, action = step["id"], step["saga"], step["verb"], step["action"]
    if verb == "compensate" and action in UNDO and UNDO_TAKES_S: return owe(step, asks.get("callback"))
    if verb == "retry": await retry(saga, action, asks.get("requestIds"))
    with DB.transaction(saga):
        ended = one("SELECT outcome FROM steps WHERE id = ?", key)["outcome"]  # by the same step, asked twice at once
        outcome = ended or VERBS[verb](saga, action)
        one("UPDATE steps SET outcome = ? WHERE id = ?", outcome, key)
    return outcome

def fence(saga, action):
    """Bars the action for ever. What is at work can't commit any more, and nobody will know how far it came."""
    one("INSERT INTO fences VALUES (?, ?) ON CONFLICT DO NOTHING", saga, action)
    one("UPDATE requests SET state = 'unknown' WHERE saga = ? AND action = ? AND state = 'started'", saga, action)

def compensate(saga, action):
    """Undoes every request of the action in the saga. If that is refused, all is rolled back but the fence."""
    rows = DB.rows("SELECT state FROM requests WHERE saga = ? AND action = ?", saga, action)
    states = {row["state"] for row in rows} if action in UNDO else set()  # what has no undo changes nothing
    if "succeeded" in states: UNDO[action](saga)
    undone = "CASE WHEN state IN ('succeeded', 'compensated') THEN 'compensated' ELSE 'fenced' END"
    undone = undone if action in UNDO else "'fenced'"
    one(f"UPDATE requests SET answer = NULL, state = {undone} WHERE saga = ? AND action = ?", saga, action)
    if "succeeded" in states: return "compensated"
    return "already_compensated" if "compensated" in states else "nothing_to_compensate"

def owe(step, callback):
    """Takes a slow step, once; one that was refused is tried again. What it comes to is owed to the supervisor."""
    given = {name: value for name, value in (callback or {}).items() if isinstance(value, str)}
    url, proof = given.get("url", ""), given.get("proof")
    url = url if re.fullmatch("https?://[!-~]+", url) else None
    owed = one("INSERT INTO owed (id, saga, action, worker, url, proof) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO"
               " UPDATE SET outcome = NULL, worker = excluded.worker WHERE owed.outcome = 'refused' RETURNING *",
               step["id"], step["saga"], step["action"], ME, url, proof)
    if owed: begin(finish(owed))

async def finish(owed):
    """Ends a slow step. The effect, the outcome and the word that is owed are one transaction."""
    key, saga, action = owed["id"], owed["saga"], owed["action"]
    UNDOING.add(key)
    try:
        await asyncio.sleep(UNDO_TAKES_S)
        told = "UPDATE owed SET outcome = ?, due = 0, tries = 0 WHERE id = ? AND outcome IS NULL RETURNING id"
        try:
            with DB.transaction(saga):
                outcome = compensate(saga, action)
                if not one(told, outcome, key): raise Lost  # another process has ended it
                one("UPDATE steps SET outcome = ? WHERE id = ?", outcome, key)
        except Problem:
            one(told, "refused", key)
        except Lost:
            pass
    finally:
        UNDOING.discard(key)

async def retry(saga, action, named):
    """Runs a request again: the latest that did not succeed, one that the step names before others."""
    named = named if isinstance(named, list) else []
    with DB.transaction(saga):
        rows = DB.rows("SELECT * FROM requests WHERE saga = ? AND action = ? ORDER BY seq DESC", saga, action)
        open_rows = [row for row in rows if row["state"] != "succeeded"]
        meant = [row for row in open_rows if row["id"] in named] or [row for row in rows if [row["id"]] == named]
        row = next(iter(meant + open_rows + rows), None)
        if row and row["state"] == "succeeded": return
        refuse_if_fenced(saga, action, "refused")
        demand(row, "not-found", f"no request of `{action}` is known in saga `{saga}`")
        is_running = row["state"] == "started" and is_in_hand(row, RUNNING)
        demand(not is_running, "in-progress", "the request is still running")
        row = take_over(row)
    ended = await run(row, ACTIONS[action])
    demand(ended["state"] == "succeeded", "unavailable", f"it failed again: {ended['answer']}")

def notify(saga, notice):
    """Sends a message, once per saga."""
    is_sent = "SELECT 1 FROM steps WHERE saga = ? AND verb = 'notify' AND action = ? AND outcome IS NOT NULL"
    if not one(is_sent, saga, notice): NOTICES[notice](saga)
    return "notified"

VERBS = {"compensate": compensate, "retry": lambda *_: "retried", "notify": notify}

# ---- What goes on beside them ----------------------------------------------------------------------------------------
def take_over(row):
    """Makes a request ours that nobody runs any more; none if somebody else was first. Nobody waits for its calls."""
    one("UPDATE calls SET state = 'unknown' WHERE request = ? AND state = 'started'", row["id"])
    return one("UPDATE requests SET state = 'started', answer = NULL, worker = ?, runs = runs + 1"
               " WHERE id = ? AND runs = ? AND state = ? RETURNING *", ME, row["id"], row["runs"], row["state"])

async def stay_alive():
    """Shows this process as alive, and ends what others left behind when they died."""
    show_alive = ("INSERT INTO workers VALUES (?, now_s() + ?) ON CONFLICT (worker) DO UPDATE SET"
                  " alive_until = excluded.alive_until")
    one(show_alive, ME, LEASE_S)
    abandoned = f"(worker = ? OR worker NOT IN ({LIVING}))"  # of ours, what this process does not know it has
    for row in DB.rows(f"SELECT * FROM requests WHERE state = 'started' AND {abandoned}", ME):
        if is_in_hand(row, RUNNING): continue
        with DB.transaction(row["saga"]):
            row = take_over(row)
        with contextlib.suppress(Problem):  # it is being undone just now
            if row: await run(row, crashed)
    for row in DB.rows(f"SELECT * FROM owed WHERE outcome IS NULL AND {abandoned}", ME):
        if is_in_hand(row, UNDOING): continue
        taken = "UPDATE owed SET worker = ? WHERE id = ? AND worker = ? AND outcome IS NULL RETURNING *"
        if row := one(taken, ME, row["id"], row["worker"]): begin(finish(row))
    one("UPDATE calls SET state = 'unknown' WHERE state = 'started' AND request IN (SELECT id FROM requests"
        f" WHERE worker NOT IN ({LIVING}))")  # of requests that were undone meanwhile
    one("DELETE FROM workers WHERE alive_until < now_s() - 3600")

async def crashed(*_):
    raise Problem("effect-unknown", "the service stopped while it worked on this request", code="crashed")

async def relay():
    """Takes to the supervisor what is due: reports, in order within their saga, and outcomes of slow steps."""
    report = ("refused IS NULL AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.saga = outbox.saga"
              " AND earlier.seq < outbox.seq AND earlier.refused IS NULL)")
    outcome = "outcome IS NOT NULL"
    for table, key, which, tell in (("outbox", "seq", report, tell_report), ("owed", "id", outcome, tell_outcome)):
        # Who takes a row holds it: the outer `due` is judged again if another process has just changed it.
        due = f"SELECT {key} FROM {table} WHERE due <= now_s() AND {which} ORDER BY due, {key} LIMIT ?"
        hold = f"UPDATE {table} SET due = now_s() + ?, tries = tries + 1"
        take = f"{hold} WHERE due <= now_s() AND {key} IN ({due}) RETURNING *"
        for row in DB.rows(take, HOLD_S, RELAYS - len(RELAYED)):
            RELAYED.add(task := begin(tell(row)))
            task.add_done_callback(RELAYED.discard)

def known(headers):
    """The same with the token that the supervisor knows us by, read anew each time so that it can be renewed."""
    if not TOKEN_FILE: return headers
    with open(TOKEN_FILE) as file: return headers | {"Authorization": f"Bearer {file.read().strip()}"}

async def tell_report(report):
    if BROKER: status, said, text = await BROKER.publish(NAME, report["saga"], report["id"], report["event"])
    else:
        headers = known({"Content-Type": "application/cloudevents+json"})
        status, said, text = await post(f"{SUPERVISOR}/v1/reports", headers, report["event"])
    what = f"report `{report['id']}` of saga `{report['saga']}`: {status} {text[:500]}"
    if status in (200, 202):
        one("DELETE FROM outbox WHERE seq = ?", report["seq"])
    elif status in (400, 413, 415, 422):
        shout(f"THE SUPERVISOR REFUSED A REPORT, AND NOBODY ACTS ON IT; the next start tries it once more: {what}")
        one("UPDATE outbox SET refused = ? WHERE seq = ?", f"{status} {text[:500]}", report["seq"])
    else:
        if status in (401, 403, 404): shout(f"REPORTS DO NOT GET THROUGH; check where they go: {what}")
        one("UPDATE outbox SET due = now_s() + ? WHERE seq = ?", pause_s(report["tries"], said), report["seq"])

async def tell_outcome(owed):
    url = owed["url"] or f"{SUPERVISOR}/v1/steps/{quote(owed['id'], '')}/outcome"
    told = {"outcome": owed["outcome"]} | ({"proof": owed["proof"]} if owed["proof"] else {})
    headers = {"Content-Type": "application/json"}
    if url.startswith(f"{SUPERVISOR}/"): headers = known(headers)  # nobody else is shown the token
    status, said, text = await post(url, headers, json.dumps(told))
    is_refused = 400 <= status < 500 and status not in (401, 429) and problem_kind(said, text) is not None
    if is_refused: shout(f"the outcome of step `{owed['id']}` is not taken: {status} {text[:500]}")
    if is_refused or 200 <= status < 300:
        one("DELETE FROM owed WHERE id = ? AND outcome = ?", owed["id"], owed["outcome"])
    else:
        one("UPDATE owed SET due = now_s() + ? WHERE id = ?", pause_s(owed["tries"], said), owed["id"])

def pause_s(tries, said):
    """Doubles up to 5 s. What the other side wishes, in seconds or as a date, is a lower bound, up to a minute."""
    wish = said.get("Retry-After", "0").strip()
    with contextlib.suppress(ValueError):
        wish_s = float(wish) if wish.isdecimal() else email.utils.parsedate_to_datetime(wish).timestamp() - time.time()
        return min(max(wish_s, min(0.1 * 2 ** min(tries, 9), 5)), 60)
    return 5

async def repeat(work, every_s):
    """Does it again and again; what fails, for want of its database perhaps, is told and tried again."""
    while True:
        try:
            await work()
        except Exception:
            traceback.print_exc()
        await asyncio.sleep(every_s)

def begin(work):
    task = asyncio.create_task(work)
    TASKS.add(task)  # else nobody would hold it, and it could be dropped half-way
    task.add_done_callback(TASKS.discard)
    return task

def shout(text):
    print(f"{NAME}: {text}", file=sys.stderr, flush=True)

# ---- The wire --------------------------------------------------------------------------------------------------------
PROBLEM = "https://amends.dev/problems/"
STATUS = {"invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
          "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422,
          "effect-unknown": 500, "internal": 500, "unavailable": 503}
TRACE = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

class Problem(Exception):
    """An answer that is no success (RFC 9457); of a failed action, also its report. Rolls its transaction back."""
    def __init__(self, kind, detail, status=None, code=None, caused_by=(), **data):
        super().__init__(detail)
        self.kind, self.status, self.caused_by, self.data = kind, status or STATUS[kind], list(caused_by), data
        self.body = {"type": PROBLEM + kind, "title": kind.replace("-", " "), "status": self.status, "detail": detail,
                     "code": code or kind, "retryable": kind in ("in-progress", "unavailable")}

class Lost(Exception):
    """Another process has taken over what this one was at work on, and decides."""

def demand(condition, *told, **data):
    if not condition: raise Problem(*told, **data)

def is_id(value):  # of a saga, request, step or report
    return isinstance(value, str) and re.fullmatch("[!-~]{1,128}", value) is not None

def is_full_name(value):  # of an action: `service.action`
    return value is not None and re.fullmatch(r"[!-~]{1,128}\.[!-~]{1,128}", value) is not None

@web.middleware
async def answering(asked, handler):
    asked["said"] = {}  # headers of the answer, whichever it will be
    try:
        status, body = await handler(asked)
    except (Problem, web.HTTPException) as error:
        ours = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}.get(error.status, "invalid-request")
        problem = error if isinstance(error, Problem) else Problem(ours, error.reason)
        status, body = problem.status, problem.body
    except Exception as error:  # the database is away, perhaps in the middle of a commit: nobody knows what was done
        traceback.print_exc()
        problem = Problem("internal", f"{type(error).__name__}; see the log")
        status, body = problem.status, problem.body
    headers = asked["said"] | ({"Retry-After": "1"} if body.get("retryable") else {})
    kind = "application/json" if status < 300 else "application/problem+json"
    return web.json_response(body, status=status, headers=headers, content_type=kind)

def read_json(text):
    with contextlib.suppress(ValueError, RecursionError):
        text = text.decode() if isinstance(text, bytes) else text
        if isinstance(body := json.loads(text, parse_float=number, parse_constant=number), dict): return body
    raise Problem("invalid-request", "the body is not a JSON object")

def number(text):
    value = float(text)
    if not abs(value) < float("inf"): raise ValueError("no number of JSON")
    return int(value) if value.is_integer() else value  # 1.0 is 1

def canonical(contents):
    """The same bytes however the same contents were written: white space and the order of members are none."""
    return json.dumps(contents, sort_keys=True, separators=(",", ":")).encode()

def members(baggage):
    """The members of W3C Baggage by name, decoded; of a name that comes twice, the first."""
    found = [member.partition("=") for member in reversed(baggage.split(","))]
    return {name.strip(): unquote(value.partition(";")[0].strip()) for name, _, value in found}

def read_context(headers, action):
    """Saga, request id, who called, and what every call passes on. A malformed saga is refused: a new one would cut the
    link. Whoever gets a request without a saga begins one, and is its entry; without a trace, it begins one as well."""
    def joined(name): return ",".join(value for value in headers.getall(name, []) if re.fullmatch("[ -~\t]*", value))
    baggage = joined("baggage")
    named, request_id = members(baggage), headers.get("Request-Id", str(uuid.uuid4()))
    saga = headers.get("Saga-Id", named.get("saga-id"))  # intermediaries may change baggage
    others = [one.strip() for one in baggage.split(",") if one.partition("=")[0].strip() not in ("saga-id", "")]
    if saga is None: saga, others = request_id, [f"amends-entry={action}", *others]
    demand(is_id(request_id) and is_id(saga), "invalid-request", "a saga or request id is malformed")
    trace = {name: joined(name) for name in ("traceparent", "tracestate") if joined(name)}
    if not TRACE.fullmatch(trace.get("traceparent", "")):
        trace = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    caller = {"Amends-Caller": headers["Amends-Caller"]} if is_full_name(headers.get("Amends-Caller")) else {}
    baggage = ",".join([f"saga-id={quote(saga, '')}", *others])
    return {"Saga-Id": saga, "Request-Id": request_id, "baggage": baggage} | trace | caller

def check_signature(headers, body):
    """Standard Webhooks: one of our keys signed these bytes, lately. Without keys nothing is checked."""
    sent_id, sent_at, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    lately = re.fullmatch("[0-9]{1,15}", sent_at) and abs(time.time() - int(sent_at)) <= CLOCK_TOLERANCE_S
    signed = f"{sent_id}.{sent_at}.".encode() + body
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in KEYS]
    fits = any(hmac.compare_digest(one, other.encode()) for one in expected for other in given.split())
    demand(not KEYS or (lately and fits), "unauthorized", "none of our keys signed this; compare keys and clocks")

async def post(url, headers, body):
    """One POST: status, headers, text. Status 0 if no whole answer came; the request may have come all the same."""
    try:
        how = {"headers": headers, "data": body, "allow_redirects": False, "timeout": ClientTimeout(POST_S)}
        async with exchange("POST", url, **how) as said:
            return said.status, said.headers, await said.text(errors="replace")
    except (ClientError, asyncio.TimeoutError) as error:
        return 0, CIMultiDict(), f"no answer: {error!r}"

def problem_kind(said, text):
    """Which problem of the protocol an answer is, if it is one."""
    if said.get("Content-Type", "").partition(";")[0].strip().lower() != "application/problem+json": return None
    with contextlib.suppress(Problem):
        kind = str(read_json(text).get("type"))
        return kind.removeprefix(PROBLEM) if kind.startswith(PROBLEM) else None

async def main():
    one("UPDATE outbox SET refused = NULL, due = 0 WHERE refused IS NOT NULL")  # the supervisor may have learned
    await stay_alive()
    app = web.Application(middlewares=[answering], client_max_size=BODY_LIMIT)
    app.add_routes(ROUTES)
    runner = web.AppRunner(app, max_field_size=1 << 15)  # baggage alone may have 8 KiB
    await runner.setup()
    await web.TCPSite(runner, HOST, int(PORT)).start()
    print("listens on http://{}:{}".format(*runner.addresses[0]), flush=True)
    begin(repeat(stay_alive, LEASE_S / 4))
    begin(repeat(relay, 0.1))
    ends = asyncio.Event()
    for asked_to_end in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(asked_to_end, ends.set)
    await ends.wait()
    await runner.cleanup()  # answers what is in hand
    one("DELETE FROM workers WHERE worker = ?", ME)  # the others need not wait for the lease to run out

asyncio.run(main())
