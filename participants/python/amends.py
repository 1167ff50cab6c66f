"""History and reports: what a service owes the pattern whenever it is asked to do something.

Keeps docs/reference/protocol.md for one process that owns one SQLite file. Knows no business (see coupon.py), no steps
(see steps.py) and no HTTP (see wire.py).
"""
import base64, hashlib, json, pathlib, sqlite3, sys, threading, time, traceback, uuid

import wire
from wire import NAME, Problem

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5  # between two tries of a report: a supervisor that returns is told soon
LONGEST_RETRY_AFTER_S = 60  # a wrong one must not silence the service for a day


class Failure(Exception):
    """An action failed: rolled back, answered to its caller, reported. `unsure`: it may have had an effect."""
    def __init__(self, code, message, status=422, unsure=False, caused_by=(), **data):
        super().__init__(message)
        self.code, self.status, self.unsure, self.caused_by, self.data = code, status, unsure, caused_by, data


class Request:
    """What an action sees: its saga, its own id, and the way to call other services."""
    def __init__(self, participant, row):
        self.at, self.row, self.id, self.saga, self.calls = participant, row, row["id"], row["saga"], []

    def call(self, url, service, action, body):
        """Calls another service: written down before it is sent, and again when it is known what the answer proves."""
        name, at = f"{service}.{action}", self.at
        self.calls.append(name)
        parts = (self.id, name, str(self.calls.count(name)))  # the same id whenever this request runs again
        call_id = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]
        with at.lock, at.db:
            # INVARIANT: no call begins after a compensation, so the answer to that tells of every call.
            if not at.one("SELECT 1 FROM history WHERE seq = ? AND state = 'started'", self.row["seq"]):
                raise fenced(self.saga)
            at.one("INSERT INTO history (service, action, id, saga, state) VALUES (?, ?, ?, ?, 'started') ON CONFLICT"
                   " DO UPDATE SET state = 'started' WHERE state <> 'succeeded'", service, action, call_id, self.saga)
        headers = wire.write_context(self.saga, call_id, json.loads(self.row["context"]))
        state, reports, text, value = wire.call(f"{url}/{action}", headers, json.dumps(body))
        with at.lock, at.db:
            at.one("UPDATE history SET state = ? WHERE service = ? AND id = ? AND state <> 'succeeded'",
                   state, service, call_id)
        if state != "succeeded":
            raise Failure("downstream", f"`{name}` {state}: {text[:500]}", 502, caused_by=reports, service=service)
        return value


class Participant:
    """One service's History, and all that is asked of it."""
    def __init__(self, name, database, schema, actions, undos, notices, views, supervisor, keys):
        self.name, self.actions, self.undos, self.notices, self.views = name, actions, undos, notices, views
        self.supervisor, self.keys = supervisor, [base64.b64decode(key.removeprefix("whsec_")) for key in keys]
        self.db = sqlite3.connect(database, isolation_level="IMMEDIATE", check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(pathlib.Path(__file__).parent.with_name("history.sql").read_text() + schema)
        # `with self.lock, self.db` is a transaction: one at a time, all or nothing, on the disk when it ends.
        self.lock, self.running, self.outbox_filled = threading.Lock(), set(), threading.Event()
        with self.lock, self.db:
            self.one("UPDATE outbox SET state = 'pending' WHERE state = 'dead'")
            left = self.all("SELECT * FROM history WHERE service = '' AND state = 'started'")
        for row in left:  # by a process that died: nobody knows how far it came
            self.run(row, crashed, reporting=not row["report"])
        threading.Thread(target=self.relay, daemon=True).start()

    def one(self, sql, *values):
        return self.db.execute(sql, values).fetchone()

    def all(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def is_fenced(self, saga, action):
        return self.one("SELECT 1 FROM fences WHERE saga = ? AND action = ?", saga, action)

    def forward(self, action, headers, body, said):
        """Takes a request into History and runs it, or answers it from there."""
        saga, request_id, context = wire.read_context(headers)
        if action not in self.actions:
            raise Problem("not-found", f"`{self.name}` has no action `{action}`")
        body = json.dumps(wire.read_json(body), sort_keys=True)
        fingerprint = hashlib.sha256(f"{action} {body}".encode()).hexdigest()
        with self.lock, self.db:
            row = self.one("SELECT * FROM history WHERE service = '' AND id = ?", request_id)
            saga = saga or (row["saga"] if row else str(uuid.uuid4()))
            said |= {"Saga-Id": saga, "Request-Id": request_id}
            if row and (row["saga"], row["fingerprint"]) != (saga, fingerprint):
                raise Problem("key-reused", "this request id came before with another saga, action or body")
            if row and row["answer"]:
                return row["status"], row["answer"], {"Amends-Report": row["report"]} if row["report"] else {}
            if row and row["state"] == "started":
                raise Problem("in-progress", "it is still running; ask again with the same request id")
            if row or self.is_fenced(saga, action):
                raise fenced(saga)
            row = self.one("INSERT INTO history (service, action, id, saga, state, fingerprint, body, context)"
                           " VALUES ('', ?, ?, ?, 'started', ?, ?, ?) RETURNING *",
                           action, request_id, saga, fingerprint, body, json.dumps(context))
            self.running.add(request_id)
        return self.run(row, self.actions[action])

    def run(self, row, action, reporting=True):
        """Runs a started request. Its effect and its History row are one transaction, or its failure and its report."""
        try:
            effect = action(Request(self, row), json.loads(row["body"]))
            with self.lock, self.db:
                answer = json.dumps(effect(self.db))
                self.end(row, "succeeded", 200, answer, None)
            return 200, answer, {}
        except Problem:
            raise
        except Exception as error:
            failure = error if isinstance(error, Failure) else panicked(error)
            kind, state = ("effect-unknown", "unknown") if failure.unsure else ("action-failed", "failed")
            answer = Problem(kind, str(failure), failure.status, failure.code)
            report = str(uuid.uuid4()) if reporting else row["report"]
            with self.lock, self.db:
                self.end(row, state, answer.status, answer.body, report)
                if reporting:
                    self.publish(row, failure, report)
            self.outbox_filled.set()
            return answer.status, answer.body, {"Amends-Report": report} if report else {}
        finally:
            self.running.discard(row["id"])

    def end(self, row, *ending):
        # INVARIANT: this stands in the transaction of the effect, and who was undone meanwhile ends no other way.
        if not self.one("UPDATE history SET state = ?, status = ?, answer = ?, report = ?"
                        " WHERE seq = ? AND state = 'started' RETURNING seq", *ending, row["seq"]):
            raise fenced(row["saga"])

    def publish(self, row, failure, report):
        """Puts a report into the outbox. Of a long history, one entry of each kind and what may have had an effect."""
        found = self.all("SELECT seq, service, action, id, iif(service <> '' AND state = 'started', 'unknown', state)"
                         " AS state FROM history WHERE saga = ? AND state NOT IN ('compensated', 'fenced') ORDER BY"
                         " row_number() OVER (PARTITION BY service, action, state) > 1, state = 'failed' LIMIT 1000",
                         row["saga"])
        data = {"code": failure.code, "action": row["action"], "requestId": row["id"], "message": str(failure)[:2000],
                "causedBy": [report for report in failure.caused_by if NAME.fullmatch(report)], "data": failure.data,
                "history": [{"service": self.name, **entry} for entry in entries(found)]}
        headers = {"ce-specversion": "1.0", "ce-type": "dev.amends.report.v1", "ce-source": self.name, "ce-id": report,
                   "ce-subject": row["saga"].replace("%", "%25").replace('"', "%22"),
                   "ce-time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **json.loads(row["context"])["trace"]}
        self.one("INSERT INTO outbox (headers, data) VALUES (?, ?)", json.dumps(headers), json.dumps(data))

    def relay(self):
        """Sends reports, in order, for as long as it takes."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                pause = self.send_next(pause)
            except sqlite3.Error:
                traceback.print_exc()
                time.sleep(LONGEST_PAUSE_S)

    def send_next(self, pause):
        """Tries one report and gives the pause after a failure. One that is wrong in itself waits for a person."""
        self.outbox_filled.clear()
        with self.lock:
            report = self.one("SELECT * FROM outbox WHERE state = 'pending' ORDER BY seq LIMIT 1")
        if not report:
            self.outbox_filled.wait()
            return FIRST_PAUSE_S
        headers = json.loads(report["headers"])
        status, said, text = wire.post(f"{self.supervisor}/v1/reports", headers, report["data"])
        taken, dead = status in (200, 202), status in (400, 413, 415, 422)
        if not taken:
            print(f"report {headers['ce-id']} is not taken: {status} {text[:500]}", file=sys.stderr)
        if taken or dead:
            with self.lock, self.db:
                self.one("UPDATE outbox SET state = ? WHERE seq = ?", "sent" if taken else "dead", report["seq"])
            return FIRST_PAUSE_S
        asked = said.get("Retry-After", "")
        time.sleep(max(pause, min(int(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else 0))
        return min(pause * 2, LONGEST_PAUSE_S)

    def show(self, saga, headers, said):
        """History: the requests that came, then the calls that were made."""
        wire.check_signature(self.keys, headers, b"")
        if not NAME.fullmatch(saga):
            raise Problem("invalid-request", "that is no saga id: 1 to 128 of printable ASCII without spaces")
        said["Saga-Id"] = saga
        with self.lock:
            found = self.all("SELECT * FROM history WHERE saga = ?", saga)
        return 200, json.dumps({"sagaId": saga, "entries": entries(found)}), {}

    def view(self, view, saga):
        with self.lock:
            return 200, json.dumps(self.views[view](self.db, saga)), {}


def entries(rows):
    """Rows of History as others see them: the requests that came have no `service`."""
    rows = sorted(rows, key=lambda row: (row["service"] != "", row["seq"]))
    return [{**({"service": row["service"]} if row["service"] else {}), "action": row["action"],
             "requestId": row["id"], "state": row["state"]} for row in rows]


def fenced(saga):
    return Problem("saga-fenced", f"saga `{saga}` is being undone here; start a new one to try again")


def panicked(error):
    traceback.print_exception(error)
    return Failure("panicked", repr(error), 500, unsure=True)


def crashed(_request, _body):
    raise Failure("crashed", "the service stopped while it worked on this request", 500, unsure=True)
