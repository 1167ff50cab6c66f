"""A coupon service that takes part in compensation: docs/reference/protocol.md for one process with one SQLite file.

What belongs together is one transaction (`with db`); nothing else runs meanwhile, since nothing in it waits."""
import asyncio, base64, contextlib, hashlib, hmac, json, os, re, sqlite3, time, uuid
from urllib.parse import quote, unquote
from aiohttp import ClientError, ClientTimeout, request as exchange, web

LISTEN = os.environ.get("COUPON_LISTEN", "127.0.0.1:7103").split(":")  # port 0 takes a free one
SUPERVISOR = os.environ.get("SUPERVISOR_URL", "http://127.0.0.1:7100")
PRINTER = os.environ.get("PRINTER_URL", "http://127.0.0.1:7199")
KEYS = [base64.b64decode(key.removeprefix("whsec_")) for key in os.environ.get("SIGNING_KEYS", "").split()]
UNDO_TAKES_S = float(os.environ.get("UNDO_TAKES_S", "0"))  # what is slow is answered 202, and its outcome told later
BODY_LIMIT, CLOCK_TOLERANCE_S = 1 << 20, 300  # a request is kept whole; the second is that of Standard Webhooks
OWN = "service = '' AND saga = ? AND action = ?"  # the requests of an action that came in a saga
ID = re.compile(r"[!-~]{1,128}")  # of a saga, request, step or report
FULL_NAME = re.compile(r"[!-~]{1,128}\.[!-~]{1,128}")  # of an action: `service.action`
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
PROBLEM = "https://amends.dev/problems/"
STATUS = {"invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
          "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422,
          "effect-unknown": 500, "internal": 500, "unavailable": 503}
NAME, ROUTES, WORK = "coupon", web.RouteTableDef(), set()

db = sqlite3.connect(os.environ.get("COUPON_DATABASE", "coupon.sqlite"), isolation_level="IMMEDIATE")
db.row_factory = sqlite3.Row
db.executescript("""
PRAGMA locking_mode = EXCLUSIVE;  -- a second process would take the running requests of the first for abandoned ones
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;        -- what was committed survives a power cut
-- History: `service` is '' for requests that came, the verb for steps of the supervisor, else whom we called. Without
-- an answer it runs, or was undone. A step `compensate`, even if refused, is the tombstone of its action in its saga.
CREATE TABLE IF NOT EXISTS history (seq INTEGER PRIMARY KEY, service TEXT, action TEXT, id TEXT, saga TEXT, state TEXT,
  fingerprint TEXT, body TEXT, context TEXT, status INTEGER, answer TEXT, report TEXT, UNIQUE (service, id));
CREATE INDEX IF NOT EXISTS history_by_saga ON history (saga, action);
-- Reports on their way to the supervisor, in order: pending, sent, or what it said when it would not take one.
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY, event TEXT, state TEXT DEFAULT 'pending');
-- Steps that were answered 202: without an outcome while they are worked on, then with one on its way as above.
CREATE TABLE IF NOT EXISTS owed (step TEXT PRIMARY KEY, saga TEXT, action TEXT, proof TEXT, outcome TEXT,
  state TEXT DEFAULT 'pending');
CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT, cash INTEGER);
CREATE TABLE IF NOT EXISTS texts (saga TEXT, text TEXT);
UPDATE history SET state = 'unknown' WHERE service <> '' AND state = 'started';  -- calls of a process that died
""")

def one(sql, *values):
    return db.execute(sql, values).fetchone()

class Problem(Exception):
    """An answer that is no success (RFC 9457); of a failed action, also its report. Rolls its transaction back."""
    def __init__(self, kind, detail, status=None, code=None, caused_by=(), **data):
        super().__init__(detail)
        self.kind, self.status, self.caused_by, self.data = kind, status or STATUS[kind], caused_by, data
        self.body = {"type": PROBLEM + kind, "title": kind.replace("-", " "), "status": self.status, "detail": detail,
                     "code": code or kind, "retryable": kind in ("in-progress", "unavailable")}

def demand(condition, *told, **data):
    if not condition: raise Problem(*told, **data)

async def redeem(request, body):
    """Uses a coupon, and has copies printed. Calls come first; what is returned runs in the transaction of History."""
    coupon = body.get("coupon")
    demand(isinstance(coupon, str), "action-failed", "`coupon` is missing", 400, "no-coupon")
    if "copies" in body: await call(request, PRINTER, "printer", "print", {"copies": body["copies"]})
    def effect():
        new = "INSERT OR IGNORE INTO redeemed VALUES (?, ?, ?) RETURNING coupon"
        is_free = one(new, coupon, request["saga"], bool(body.get("cash")))
        demand(is_free, "action-failed", f"coupon `{coupon}` is used already", code="used", coupon=coupon)
        return {"redeemed": coupon}
    return effect

def restore(saga):
    demand(not one("SELECT 1 FROM redeemed WHERE saga = ? AND cash", saga), "refused", "it was paid out in cash")
    one("DELETE FROM redeemed WHERE saga = ?", saga)

ACTIONS, UNDO = {"redeem": redeem}, {"redeem": restore}
NOTICES = {"send-apology": lambda saga: one("INSERT INTO texts VALUES (?, 'Your coupon was not used. Sorry!')", saga)}

@ROUTES.get("/{table:redeemed|texts}/{saga}")
async def count(asked):
    table, saga = asked.match_info["table"], asked.match_info["saga"]
    return 200, dict(one(f"SELECT count(*) AS count FROM {table} WHERE saga = ?", saga))

@ROUTES.post("/{action}")
async def forward(asked):
    """Takes a request into History and runs it, or answers it from there."""
    action, body = asked.match_info["action"], read_json(await asked.read())
    context = read_context(asked.headers, f"{NAME}.{action}")
    demand(action in ACTIONS, "not-found", f"`{NAME}` has no action `{action}`")
    saga, request_id = context["Saga-Id"], context["Request-Id"]
    asked["said"] = {"Saga-Id": saga, "Request-Id": request_id}
    with db:
        row, is_new = take("", request_id, saga, action, json.dumps(body, sort_keys=True), json.dumps(context))
        if not row["answer"]:
            refuse_if_fenced(saga, action)
            demand(is_new, "in-progress", "it is still running; ask again with the same request id")
    row = await run(row, ACTIONS[action]) if is_new else row
    asked["said"] |= {"Amends-Report": row["report"]} if row["report"] else {}
    return row["status"], json.loads(row["answer"])

def take(service, key, saga, action, body="", context=""):
    """The row of what came under this key, and whether it is new. What came before must have been the same."""
    fingerprint = hashlib.sha256(f"{saga} {action} {body}".encode()).hexdigest()
    new = one("INSERT INTO history (service, id, saga, action, body, context, fingerprint, state)"
              " VALUES (?, ?, ?, ?, ?, ?, ?, 'started') ON CONFLICT DO NOTHING RETURNING *",
              service, key, saga, action, body, context, fingerprint)
    row = new or one("SELECT * FROM history WHERE service = ? AND id = ?", service, key)
    demand(row["fingerprint"] == fingerprint, "key-reused", "this id came before with another saga, action or body")
    return row, new is not None

def refuse_if_fenced(saga, action, kind="saga-fenced"):
    fence = one("SELECT 1 FROM history WHERE service = 'compensate' AND saga = ? AND action = ?", saga, action)
    demand(not fence, kind, f"saga `{saga}` is being undone here; start a new one to try again")

async def run(row, action):
    """Runs a started request. Its effect and its History row are one transaction, or its failure and its report."""
    try:
        effect = await action(row, json.loads(row["body"]))
        with db:
            return end(row, "succeeded", 200, effect())
    except Exception as error:
        problem = error if isinstance(error, Problem) else Problem("effect-unknown", repr(error), code="panicked")
        if problem.kind == "saga-fenced": raise  # it was undone meanwhile
        state, report = "failed" if problem.kind == "action-failed" else "unknown", row["report"] or str(uuid.uuid4())
        with db:
            ended = end(row, state, problem.status, problem.body, report)
            if not row["report"]: publish(ended, problem)  # a retry that fails again is no new failure
        return ended

def end(row, state, status, body, report=None):
    refuse_if_fenced(row["saga"], row["action"])  # INVARIANT: in the transaction of the effect
    return one("UPDATE history SET state = ?, status = ?, answer = ?, report = ? WHERE seq = ? RETURNING *",
               state, status, json.dumps(body), report, row["seq"])

async def call(request, url, service, action, body, ordinal=1):
    """Calls another service: written down before it is sent, and again when it is known what the answer proves."""
    parts = (request["id"], f"{service}.{action}", str(ordinal))  # the same id whenever this request runs again
    key = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]
    with db:
        refuse_if_fenced(request["saga"], request["action"])  # so the answer to a compensation tells of every call
        one("INSERT INTO history (service, action, id, saga, state) VALUES (?, ?, ?, ?, 'started') ON CONFLICT DO"
            " UPDATE SET state = 'started' WHERE state <> 'succeeded'", service, action, key, request["saga"])
    own = {"Request-Id": key, "Amends-Caller": f"{NAME}.{request['action']}", "Content-Type": "application/json"}
    headers = json.loads(request["context"]) | own
    status, said, text = await post(f"{url}/{action}", headers, json.dumps(body))
    state = proves(status, said, text)
    with db:
        one("UPDATE history SET state = ? WHERE service = ? AND id = ? AND state <> 'succeeded'", state, service, key)
    if state == "succeeded": return text
    causes = [value for name, value in said.items() if name.lower() == "amends-report"]
    raise Problem("action-failed", f"`{service}.{action}` {state}: {text[:500]}", 502, "downstream", causes)

def entries(where, *values):
    """Rows of History as others see them: the requests that came, then the calls that were made, with `service`."""
    found = db.execute(f"SELECT * FROM history WHERE service NOT IN ('compensate', 'retry', 'notify') AND {where}"
                       " ORDER BY service <> '', seq LIMIT 1000", values)
    return [{"action": row["action"], "requestId": row["id"], "state": row["state"]}
            | ({"service": row["service"]} if row["service"] else {}) for row in found]

@ROUTES.get("/amends/v1/history/{saga}")
async def show(asked):
    check_signature(asked.headers, b"")
    saga = asked.match_info["saga"]
    demand(ID.fullmatch(saga), "invalid-request", "a saga id is 1 to 128 of printable ASCII without spaces")
    return 200, {"sagaId": saga, "entries": entries("saga = ?", saga)}

def publish(row, problem):
    """Puts a report into the outbox, with all that is known here of its saga."""
    known = entries("saga = ? AND state NOT IN ('compensated', 'fenced')", row["saga"])
    context = json.loads(row["context"])
    names = {"entry": members(context["baggage"]).get("amends-entry", ""), "caller": context.get("Amends-Caller", "")}
    data = {"code": problem.body["code"], "action": row["action"], "requestId": row["id"], "data": problem.data,
            "message": str(problem)[:2000], "causedBy": problem.caused_by,
            "history": [{"service": NAME} | entry for entry in known],
            **{name: value for name, value in names.items() if FULL_NAME.fullmatch(value)}}
    event = {"specversion": "1.0", "type": "dev.amends.report.v1", "source": NAME, "id": row["report"],
             "subject": row["saga"], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": data}
    one("INSERT INTO outbox (event) VALUES (?)", json.dumps(event))

async def relay():
    headers, pause_s = {"Content-Type": "application/cloudevents+json"}, 0.1
    while True:
        await asyncio.sleep(pause_s)
        while report := one("SELECT * FROM outbox WHERE state = 'pending' ORDER BY seq"):
            status, _, text = await post(f"{SUPERVISOR}/v1/reports", headers, report["event"])
            if status not in (200, 202, 400, 413, 415, 422): break  # not now; what is wrong itself waits for a person
            with db:
                one("UPDATE outbox SET state = ? WHERE seq = ?", "sent" if status < 300 else text, report["seq"])
        waits = report or await call_back()
        pause_s = min(2 * pause_s, 5) if waits else 0.1

async def call_back():
    """Tells outcomes of steps that were answered 202, each until the supervisor has it; gives one that waits."""
    while owed := one("SELECT * FROM owed WHERE state = 'pending' AND outcome IS NOT NULL ORDER BY rowid"):
        url, told = f"{SUPERVISOR}/v1/steps/{quote(owed['step'], '')}/outcome", {"outcome": owed["outcome"]}
        told |= {"proof": owed["proof"]} if owed["proof"] else {}
        status, _, text = await post(url, {"Content-Type": "application/json"}, json.dumps(told))
        is_final = 200 <= status < 300 or (400 <= status < 500 and status != 429 and PROBLEM in text)
        if not is_final: return owed
        with db:
            one("UPDATE owed SET state = ? WHERE step = ? AND outcome = ?",
                "sent" if status < 300 else text, owed["step"], owed["outcome"])

@ROUTES.post("/amends/v1/{verb:compensate|retry|notify}/{action}")
async def step(asked):
    """Carries out what the supervisor asks for, once, or says again how that ended."""
    text, verb, action = await asked.read(), asked.match_info["verb"], asked.match_info["action"]
    check_signature(asked.headers, text)
    demand(action in (NOTICES if verb == "notify" else ACTIONS), "not-found", f"`{NAME}` cannot {verb} `{action}`")
    asks = read_json(text)
    saga, key, case = (str(asks.get(name, "")) for name in ("sagaId", "stepId", "caseId"))
    is_step = all(map(ID.fullmatch, (saga, key, case))) and asks.get("action") == f"{NAME}.{action}"
    demand(is_step, "invalid-request", "the body is not a step, or not the one that the path names")
    demand(asked.headers.get("Idempotency-Key", key).strip('"') == key, "key-reused", "it must be the `stepId`")
    with db:
        row, _ = take(verb, key, saga, action)
        if verb == "compensate":  # what is at work can't commit any more, and nobody will know how far it came
            one(f"UPDATE history SET state = 'unknown' WHERE {OWN} AND state = 'started'", saga, action)
    if verb == "compensate" and UNDO_TAKES_S and not row["answer"]:
        owe(key, saga, action, (asks.get("callback") or {}).get("proof"))
        return 202, {}
    retried = verb == "retry" and not row["answer"] and await retry(saga, action, asks.get("requestIds", []))
    with db:
        outcome = row["answer"] or retried or (compensate if verb == "compensate" else notify)(saga, action)
        one("UPDATE history SET answer = ?, state = 'succeeded' WHERE seq = ?", outcome, row["seq"])
    return 200, {"outcome": outcome, "history": entries("saga = ? AND service <> '' AND state <> 'failed'", saga)}

def owe(step, saga, action, proof):
    """Takes a slow step, once; one that was refused is tried again. What it comes to is owed to the supervisor."""
    with db:
        owed = one("INSERT INTO owed (step, saga, action, proof) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                   " SET outcome = NULL, state = 'pending' WHERE outcome = 'refused' RETURNING *",
                   step, saga, action, proof)
    if owed: begin(finish(owed))

def begin(work):
    task = asyncio.create_task(work)
    WORK.add(task)  # else nobody would hold it, and it could be dropped half-way
    task.add_done_callback(WORK.discard)

async def finish(owed):
    """Ends a slow step. The effect, the outcome and the word that is owed are one transaction."""
    await asyncio.sleep(UNDO_TAKES_S)
    try:
        with db:
            outcome = compensate(owed["saga"], owed["action"])
            one("UPDATE history SET answer = ?, state = 'succeeded' WHERE service = 'compensate' AND id = ?",
                outcome, owed["step"])
            one("UPDATE owed SET outcome = ? WHERE step = ?", outcome, owed["step"])
    except Problem:
        with db:
            one("UPDATE owed SET outcome = 'refused' WHERE step = ?", owed["step"])

def compensate(saga, action):
    """Undoes every request of the action in the saga. If that is refused, its step stays without an answer."""
    states = [row["state"] for row in db.execute(f"SELECT state FROM history WHERE {OWN}", (saga, action))]
    if "succeeded" in states: UNDO[action](saga)
    undone = "iif(state IN ('succeeded', 'compensated'), 'compensated', 'fenced')"
    one(f"UPDATE history SET answer = NULL, state = {undone} WHERE {OWN}", saga, action)
    if "succeeded" in states: return "compensated"
    return "already_compensated" if "compensated" in states else "nothing_to_compensate"

async def retry(saga, action, named):
    """Runs a request again: the latest that did not succeed, one that the step names before others."""
    row = one(f"SELECT * FROM history WHERE {OWN} ORDER BY state = 'succeeded',"
              " id IN (SELECT value FROM json_each(?)) DESC, seq DESC", saga, action, json.dumps(named))
    if row and row["state"] == "succeeded": return "retried"
    refuse_if_fenced(saga, action, "refused")
    demand(row, "not-found", f"no request of `{action}` is known in saga `{saga}`")
    demand(row["state"] != "started", "in-progress", "the request is still running")
    with db:
        row = one("UPDATE history SET state = 'started', answer = NULL WHERE seq = ? RETURNING *", row["seq"])
    ended = await run(row, ACTIONS[action])
    demand(ended["state"] == "succeeded", "unavailable", f"it failed again: {ended['answer']}")
    return "retried"

def notify(saga, notice):
    """Sends a message, once per saga."""
    sent = "SELECT 1 FROM history WHERE service = 'notify' AND saga = ? AND action = ? AND state = 'succeeded'"
    if not one(sent, saga, notice): NOTICES[notice](saga)
    return "notified"

@web.middleware
async def answering(asked, handler):
    asked["said"] = {}  # headers of the answer, whichever it will be
    try:
        status, body = await handler(asked)
    except (Problem, web.HTTPException) as error:
        ours = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}.get(error.status, "invalid-request")
        problem = error if isinstance(error, Problem) else Problem(ours, error.reason)
        status, body = problem.status, problem.body
    headers = asked["said"] | ({"Retry-After": "1"} if body.get("retryable") else {})
    kind = "application/json" if status < 300 else "application/problem+json"
    return web.json_response(body, status=status, headers=headers, content_type=kind)

def read_json(text):
    with contextlib.suppress(ValueError):
        if isinstance(body := json.loads(text), dict): return body
    raise Problem("invalid-request", "the body is not a JSON object")

def members(baggage):
    """The members of W3C Baggage by name, decoded; of a name that comes twice, the first."""
    found = [member.partition("=") for member in reversed(baggage.split(","))]
    return {name.strip(): unquote(value.partition(";")[0].strip()) for name, _, value in found}

def read_context(headers, action):
    """Saga, request id, who called, and what every call passes on. A malformed saga is refused: a new one would cut the
    link. Whoever gets a request without a saga begins one, and is its entry."""
    baggage = ",".join(headers.getall("baggage", []))
    named, request_id = members(baggage), headers.get("Request-Id", str(uuid.uuid4()))
    saga = headers.get("Saga-Id", named.get("saga-id"))  # intermediaries may change baggage
    others = [one.strip() for one in baggage.split(",") if one.partition("=")[0].strip() not in ("saga-id", "")]
    if saga is None: saga, others = request_id, [f"amends-entry={action}", *others]
    demand(ID.fullmatch(request_id) and ID.fullmatch(saga), "invalid-request", "a saga or request id is malformed")
    traced = ("traceparent", "tracestate") if TRACE.match(headers.get("traceparent", "")) else ()
    return {"Saga-Id": saga, "Request-Id": request_id, "baggage": ",".join([f"saga-id={quote(saga, '')}", *others]),
            **{name: headers[name] for name in (*traced, "Amends-Caller") if name in headers}}

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
        how = {"headers": headers, "data": body, "allow_redirects": False, "timeout": ClientTimeout(5)}
        async with exchange("POST", url, **how) as said:
            return said.status, said.headers, await said.text(errors="replace")
    except (ClientError, asyncio.TimeoutError) as error:
        return 0, {}, f"no answer: {error!r}"

def proves(status, headers, text):
    """Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did."""
    is_problem = headers.get("Content-Type", "").startswith("application/problem+json")
    kind = is_problem and next((kind for kind in STATUS if f'"{PROBLEM}{kind}"' in text), None)
    if 200 <= status < 300: return "succeeded"
    if kind in ("in-progress", "internal", "effect-unknown"): return "unknown"
    return "failed" if kind or (400 <= status < 500 and status != 408) else "unknown"

async def main():
    async def crashed(*_):
        raise Problem("effect-unknown", "the service stopped while it worked on this request", code="crashed")
    for row in db.execute("SELECT * FROM history WHERE service = '' AND state = 'started'").fetchall():
        await run(row, crashed)  # left behind by a process that died: nobody knows how far it came
    for owed in db.execute("SELECT * FROM owed WHERE outcome IS NULL").fetchall():
        begin(finish(owed))
    app = web.Application(middlewares=[answering], client_max_size=BODY_LIMIT)
    app.add_routes(ROUTES)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, *LISTEN).start()
    print("listens on http://{}:{}".format(*runner.addresses[0]), flush=True)
    await relay()

asyncio.run(main())
