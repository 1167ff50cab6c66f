"""The supervisor's steps: `compensate`, `retry` and `notify`, each carried out once however often it is asked for.

Every decision is made in one transaction with what it writes. Decides nothing about which steps there are.
"""
import json, sqlite3

import wire
from amends import entries
from wire import NAME, Problem


def step(at, verb, action, headers, body, said):
    """Carries out what the supervisor asks for, or says again how that ended."""
    wire.check_signature(at.keys, headers, body)
    work = {"compensate": compensate, "retry": retry, "notify": notify}.get(verb)
    if not work or action not in (at.notices if verb == "notify" else at.actions):
        raise Problem("not-found", f"`{at.name}` has no `{action}` to {verb}; correct the rulebook")
    asked = wire.read_json(body)
    saga, key, case, named = (str(asked.get(name, "")) for name in ("sagaId", "stepId", "caseId", "action"))
    if not all(map(NAME.fullmatch, (saga, key, case))) or named != f"{at.name}.{action}":
        raise Problem("invalid-request", "the body is not a step, or not the one that the path names")
    said["Saga-Id"] = saga
    if headers.get("idempotency-key", key).strip().strip('"') != key:
        raise Problem("key-reused", "`Idempotency-Key` and `stepId` must be the same")
    with at.lock, at.db:
        known = at.one("SELECT saga, verb, action, outcome FROM steps WHERE id = ?", key)
        if known and tuple(known)[:3] != (saga, verb, action):
            raise Problem("key-reused", "this step asked for something else before")
        outcome = known["outcome"] if known else work(at, saga, action, asked)
        if isinstance(outcome, str):
            remember(at, key, saga, verb, action, outcome)
    if isinstance(outcome, Problem):  # refused; of the transaction, the fence is kept
        raise outcome
    if isinstance(outcome, sqlite3.Row):  # the request to run again
        run_again(at, outcome)
        outcome = "retried"
        with at.lock, at.db:
            remember(at, key, saga, verb, action, outcome)
    with at.lock:
        calls = at.all("SELECT * FROM history WHERE saga = ? AND service <> '' AND state <> 'failed'", saga)
    return 200, json.dumps({"outcome": outcome, "history": entries(calls)}), {}


def remember(at, *step):
    at.one("INSERT OR IGNORE INTO steps (id, saga, verb, action, outcome) VALUES (?, ?, ?, ?, ?)", *step)


def compensate(at, saga, action, _asked):
    """Undoes every request of the action in the saga and puts up the fence. A refusal leaves only the fence."""
    these, of = "service = '' AND saga = ? AND action = ?", (saga, action)
    at.one("INSERT OR IGNORE INTO fences VALUES (?, ?)", *of)
    states = [row["state"] for row in at.all(f"SELECT state FROM history WHERE {these}", *of)]
    at.one("SAVEPOINT undo")
    try:
        if "succeeded" in states:
            at.undos[action](at.db, saga)
    except Problem as refusal:
        at.one("ROLLBACK TO undo")
        # What is at work can't commit any more, and nobody will know how far it came.
        at.one(f"UPDATE history SET state = 'unknown' WHERE {these} AND state = 'started'", *of)
        return refusal
    undone = "iif(state IN ('succeeded', 'compensated'), 'compensated', 'fenced')"
    at.one(f"UPDATE history SET answer = NULL, state = {undone} WHERE {these}", *of)
    if "succeeded" in states:
        return "compensated"
    return "already_compensated" if "compensated" in states else "nothing_to_compensate"


def retry(at, saga, action, asked):
    """The request to run again: the latest that did not succeed, one that the step names before others."""
    row = at.one("SELECT * FROM history WHERE service = '' AND saga = ? AND action = ? ORDER BY state = 'succeeded',"
                 " id IN (SELECT value FROM json_each(?)) DESC, seq DESC LIMIT 1",
                 saga, action, json.dumps(asked.get("requestIds", [])))
    if row and row["state"] == "succeeded":
        return "retried"
    if at.is_fenced(saga, action):
        raise Problem("refused", f"saga `{saga}` is being undone here, so nothing runs again")
    if not row:
        raise Problem("not-found", f"no request of `{action}` is known in saga `{saga}`")
    if row["id"] in at.running:
        raise Problem("in-progress", "the request is still running")
    at.running.add(row["id"])
    return at.one("UPDATE history SET state = 'started', answer = NULL WHERE seq = ? RETURNING *", row["seq"])


def run_again(at, row):
    """A failure of a retry is the answer to the step, and makes no new report."""
    try:
        status, answer, _ = at.run(row, at.actions[row["action"]], reporting=False)
    except Problem as problem:  # a compensation came first
        raise Problem("refused", str(problem))
    if status != 200:
        raise Problem("unavailable", "it failed again: " + json.loads(answer)["detail"])


def notify(at, saga, notice, _asked):
    """Sends a message, once per saga."""
    if not at.one("SELECT 1 FROM steps WHERE saga = ? AND verb = 'notify' AND action = ?", saga, notice):
        at.notices[notice](at.db, saga)
    return "notified"
