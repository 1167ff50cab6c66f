// A coupon service that takes part in compensation: docs/reference/protocol.md for one process with one SQLite file.
// What belongs together is one `transaction`; nothing else runs meanwhile. The twin of ../python/coupon.py.
import { createHash, createHmac, randomUUID } from "node:crypto";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
const { COUPON_LISTEN = "127.0.0.1:7103", COUPON_DATABASE = "coupon.sqlite", SIGNING_KEYS = "" } = process.env;
const { SUPERVISOR_URL = "http://127.0.0.1:7100", PRINTER_URL = "http://127.0.0.1:7199" } = process.env;
const KEYS = SIGNING_KEYS.split(" ").filter(Boolean).map((key) => Buffer.from(key.replace(/^whsec_/, ""), "base64"));
const [BODY_LIMIT, CLOCK_TOLERANCE_S] = [1 << 20, 300]; // a request is kept whole; the second is Standard Webhooks'
const UNDO_TAKES_MS = Number(process.env["UNDO_TAKES_S"] ?? 0) * 1_000; // what is slow is answered 202, and told later
const CLOUD_EVENT = { "Content-Type": "application/cloudevents+json" };
const OWN = "service = '' AND saga = ? AND action = ?"; // the requests of an action that came in a saga
const isId = (id: unknown): id is string => typeof id === "string" && /^[!-~]{1,128}$/.test(id); // of whatever
const isFullName = (name = "") => /^[!-~]{1,128}\.[!-~]{1,128}$/.test(name); // of an action: `service.action`
const TRACE = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/;
const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const PROBLEM = "https://amends.dev/problems/";
const STATUS: Record<string, number> = {
  "invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
  "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422, "internal": 500,
  "effect-unknown": 500, "unavailable": 503 };
type Body = Record<string, unknown>;
type Row = Record<"service" | "action" | "id" | "saga" | "state" | "fingerprint" | "body" | "context" | "event", string>
  & { seq: number; status: number; answer: string | null; report: string | null };
type Owed = Record<"step" | "saga" | "action" | "outcome", string> & { proof: string | null };
type Action = (request: Row, body: Body) => Promise<() => unknown>;
const db = new DatabaseSync(COUPON_DATABASE);
db.exec(`
PRAGMA locking_mode = EXCLUSIVE;  -- a second process would take the running requests of the first for abandoned ones
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;        -- what was committed survives a power cut
-- History: 'service' is '' for requests that came, the verb for steps of the supervisor, else whom we called. Without
-- an answer it runs, or was undone. A step 'compensate', even if refused, is the tombstone of its action in its saga.
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
`);
const all = (sql: string, ...values: SQLInputValue[]) => db.prepare(sql).all(...values) as unknown as Row[];
const one = (sql: string, ...values: SQLInputValue[]) => all(sql, ...values)[0];
function transaction<T>(work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const done = work();
    db.exec("COMMIT");
    return done;
  } finally {
    if (db.isTransaction) db.exec("ROLLBACK");
  }
}

/** An answer that is no success (RFC 9457); of a failed action, also its report. Rolls its transaction back. */
class Problem extends Error {
  readonly body;
  readonly about;
  constructor(kind: string, detail: string, status = STATUS[kind]!, code = kind, data = {}, causedBy: string[] = []) {
    super(detail);
    const retryable = kind === "in-progress" || kind === "unavailable";
    this.body = { type: PROBLEM + kind, title: kind.replaceAll("-", " "), status, detail, code, retryable };
    this.about = { kind, data, causedBy };
  }
}

/** Uses a coupon, and has copies printed. Calls come first; what is returned runs in the transaction of History. */
async function redeem(request: Row, { coupon, copies, cash }: Body) {
  if (typeof coupon !== "string") throw new Problem("action-failed", "`coupon` is missing", 400, "no-coupon");
  if (copies !== undefined) await call(request, PRINTER_URL, "printer", "print", { copies });
  return () => {
    const insert = "INSERT OR IGNORE INTO redeemed VALUES (?, ?, ?) RETURNING coupon";
    const isFree = one(insert, coupon, request.saga, Number(cash === true));
    if (!isFree) throw new Problem("action-failed", `\`${coupon}\` is used already`, 422, "used", { coupon });
    return { redeemed: coupon };
  };
}
function restore(saga: string): void {
  const cash = one("SELECT 1 FROM redeemed WHERE saga = ? AND cash", saga);
  if (cash) throw new Problem("refused", "the coupon was paid out in cash; ask the customer for it");
  one("DELETE FROM redeemed WHERE saga = ?", saga);
}
const ACTIONS = new Map([["redeem", { run: redeem, undo: restore }]]);
const NOTICES = new Map([["send-apology", (saga: string) => one("INSERT INTO texts VALUES (?, 'Sorry!')", saga)]]);
const app = new Hono();
app.use(bodyLimit({ maxSize: BODY_LIMIT, onError: () => Promise.reject(new Problem("too-large", "1 MiB")) }));
app.onError((error, c) => {
  const other = new Problem(/^(Syntax|URI)Error$/.test(error.name) ? "invalid-request" : "internal", `${error}`);
  return answer(c, error instanceof Problem ? error.body : other.body);
});
app.get("/:table{redeemed|texts}/:saga", (c) =>
  c.json(one(`SELECT count(*) AS count FROM ${c.req.param("table")} WHERE saga = ?`, c.req.param("saga"))));
app.post("/:action", async (c) => {
  const [name, body] = [c.req.param("action"), readJson(await c.req.text())];
  const context = readContext(c, `coupon.${name}`);
  const [saga, id, action] = [context["Saga-Id"]!, context["Request-Id"]!, ACTIONS.get(name)];
  for (const name of ["Saga-Id", "Request-Id"]) c.header(name, context[name]);
  if (!action) throw new Problem("not-found", `there is no action \`${name}\``);
  const [taken, isNew] = take("", id, saga, name, JSON.stringify(body, inOrder), JSON.stringify(context));
  const row = isNew ? await run(taken, action.run) : taken;
  if (row.report) c.header("Amends-Report", row.report);
  return answer(c, JSON.parse(row.answer!), row.status);
});
function take(service: string, key: string, saga: string, action: string, body = "", context = ""): [Row, boolean] {
  const fingerprint = digest(`${saga} ${action} ${body}`);
  return transaction(() => {
    const fresh = one(`INSERT INTO history (service, id, saga, action, body, context, fingerprint, state)
      VALUES (?, ?, ?, ?, ?, ?, ?, 'started') ON CONFLICT DO NOTHING RETURNING *`,
      service, key, saga, action, body, context, fingerprint);
    const row = fresh ?? one("SELECT * FROM history WHERE service = ? AND id = ?", service, key)!;
    if (row.fingerprint !== fingerprint) throw new Problem("key-reused", "this id came before with something else");
    if (service === "" && !row.answer) refuseIfFenced(saga, action);
    if (service === "" && !row.answer && !fresh) throw new Problem("in-progress", "it is still running; ask again");
    const lost = `UPDATE history SET state = 'unknown' WHERE ${OWN} AND state = 'started'`;
    if (service === "compensate") one(lost, saga, action); // what is at work can't commit any more
    return [row, fresh !== undefined];
  });
}
function refuseIfFenced(saga: string, action: string, kind = "saga-fenced"): void {
  const fence = one("SELECT 1 FROM history WHERE service = 'compensate' AND saga = ? AND action = ?", saga, action);
  if (fence) throw new Problem(kind, `saga \`${saga}\` is being undone here; start a new one to try again`);
}

/** Runs a started request. Its effect and its History row are one transaction, or its failure and its report. */
async function run(row: Row, action: Action): Promise<Row> {
  try {
    const effect = await action(row, JSON.parse(row.body));
    return transaction(() => end(row, "succeeded", 200, effect()));
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem("effect-unknown", `${error}`, 500, "panicked");
    if (problem.about.kind === "saga-fenced") throw problem; // it was undone meanwhile
    const state = problem.about.kind === "action-failed" ? "failed" : "unknown";
    return transaction(() => {
      const ended = end(row, state, problem.body.status, problem.body, row.report ?? randomUUID());
      if (!row.report) publish(ended, problem); // a retry that fails again is no new failure
      return ended;
    });
  }
}
function end(row: Row, state: string, status: number, body: unknown, report: string | null = null): Row {
  refuseIfFenced(row.saga, row.action); // INVARIANT: in the transaction of the effect
  const update = "UPDATE history SET state = ?, status = ?, answer = ?, report = ? WHERE seq = ? RETURNING *";
  return one(update, state, status, JSON.stringify(body), report, row.seq)!;
}

/** Calls another service: written down before it is sent, and again when it is known what the answer proves. */
async function call(request: Row, url: string, service: string, action: string, body: Body, ordinal = 1) {
  const parts = [request.id, `${service}.${action}`, `${ordinal}`]; // the same id whenever this request runs again
  const key = digest(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("")).slice(0, 32);
  transaction(() => {
    refuseIfFenced(request.saga, request.action); // so the answer to a compensation tells of every call
    one(`INSERT INTO history (service, action, id, saga, state) VALUES (?, ?, ?, ?, 'started') ON CONFLICT DO
      UPDATE SET state = 'started' WHERE state <> 'succeeded'`, service, action, key, request.saga);
  });
  const own = { "Request-Id": key, "Amends-Caller": `coupon.${request.action}` };
  const headers = { ...JSON.parse(request.context), ...own };
  const answer = await post(`${url}/${action}`, headers, JSON.stringify(body));
  const state = proves(answer);
  one("UPDATE history SET state = ? WHERE service = ? AND id = ? AND state <> 'succeeded'", state, service, key);
  if (state === "succeeded") return answer.text;
  const causes = answer.headers.get("Amends-Report")?.split(", ") ?? [];
  throw new Problem("action-failed", `${service}: ${answer.text.slice(0, 500)}`, 502, "downstream", {}, causes);
}

/** Rows of History as others see them: the requests that came, then the calls that were made, with `service`. */
function entries(where: string, ...values: string[]) {
  const rows = all(`SELECT * FROM history WHERE service NOT IN ('compensate', 'retry', 'notify') AND ${where}
    ORDER BY service <> '', seq LIMIT 1000`, ...values);
  return rows.map(({ service, action, id, state }) => ({ ...(service && { service }), action, requestId: id, state }));
}
app.get("/amends/v1/history/:saga", (c) => {
  checkSignature(c, Buffer.alloc(0));
  const saga = c.req.param("saga");
  if (!isId(saga)) throw new Problem("invalid-request", "a saga id is 1 to 128 of printable ASCII without spaces");
  return c.json({ sagaId: saga, entries: entries("saga = ?", saga) });
});
function publish({ action, id, saga, report, context }: Row, { message, body: { code }, about }: Problem) {
  const { causedBy, data } = about;
  const known = entries("saga = ? AND state NOT IN ('compensated', 'fenced')", saga);
  const [text, history] = [message.slice(0, 2_000).toWellFormed(), known.map((one) => ({ service: "coupon", ...one }))];
  const { baggage, "Amends-Caller": caller } = JSON.parse(context);
  const entry = members(baggage).get("amends-entry");
  const names = { ...(isFullName(entry) && { entry }), ...(isFullName(caller) && { caller }) };
  const told = { code, action, requestId: id, message: text, causedBy, data, history, ...names };
  const event = { specversion: "1.0", type: "dev.amends.report.v1", source: "coupon", id: report, subject: saga };
  one("INSERT INTO outbox (event) VALUES (?)", JSON.stringify({ ...event, time: new Date(), data: told }));
}
async function relay(): Promise<never> {
  for (let pauseMs = 100; ; await sleep(pauseMs)) {
    const report = one("SELECT * FROM outbox WHERE state = 'pending' ORDER BY seq");
    const answer = report && (await post(`${SUPERVISOR_URL}/v1/reports`, CLOUD_EVENT, report.event));
    const isSettled = answer && [200, 202, 400, 413, 415, 422].includes(answer.status); // any other: not now
    if (isSettled) one("UPDATE outbox SET state = ? WHERE seq = ?", answer.ok ? "sent" : answer.text, report!.seq);
    const waits = isSettled ? false : report || (await callBack());
    pauseMs = isSettled ? 0 : waits ? Math.min(2 * pauseMs + 100, 5_000) : 100;
  }
}

/** Tells outcomes of steps that were answered 202, each until the supervisor has it; gives one that waits. */
async function callBack(): Promise<Owed | undefined> {
  const next = "SELECT * FROM owed WHERE state = 'pending' AND outcome IS NOT NULL ORDER BY rowid";
  for (let owed = owing(next); owed; owed = owing(next)) {
    const url = `${SUPERVISOR_URL}/v1/steps/${encodeURIComponent(owed.step)}/outcome`;
    const told = { outcome: owed.outcome, ...(owed.proof && { proof: owed.proof }) };
    const { ok, status, text } = await post(url, { "Content-Type": "application/json" }, JSON.stringify(told));
    const isFinal = ok || (status >= 400 && status < 500 && status !== 429 && text.includes(PROBLEM));
    if (!isFinal) return owed;
    one("UPDATE owed SET state = ? WHERE step = ? AND outcome = ?", ok ? "sent" : text, owed.step, owed.outcome);
  }
  return undefined;
}
app.all("/amends/v1/:verb{compensate|retry|notify}/:action", async (c) => {
  if (c.req.method !== "POST") throw new Problem("method-not-allowed", "a step is a POST");
  const [verb, action, text] = [c.req.param("verb"), c.req.param("action"), Buffer.from(await c.req.arrayBuffer())];
  checkSignature(c, text);
  if (!(verb === "notify" ? NOTICES : ACTIONS).has(action)) throw new Problem("not-found", `I can't ${verb} ${action}`);
  const { sagaId: saga, stepId: key, caseId, action: named, requestIds = [], callback } = readJson(text.toString());
  const isStep = isId(saga) && isId(key) && isId(caseId) && named === `coupon.${action}`;
  if (!isStep) throw new Problem("invalid-request", "the body is not a step, or not the one that the path names");
  const header = c.req.header("Idempotency-Key")?.replace(/^"|"$/g, "") ?? key;
  if (header !== key) throw new Problem("key-reused", "`Idempotency-Key` must be the `stepId`");
  const [row] = take(verb, key, saga, action);
  if (verb === "compensate" && UNDO_TAKES_MS > 0 && !row.answer) {
    owe(key, saga, action, (callback as { proof?: string } | null)?.proof ?? null);
    return c.json({}, 202);
  }
  const retried = verb === "retry" && !row.answer && (await retry(saga, action, requestIds));
  const work = () => row.answer || retried || (verb === "compensate" ? compensate : notify)(saga, action);
  const update = "UPDATE history SET answer = ?, state = 'succeeded' WHERE seq = ? RETURNING *";
  const { answer: outcome } = transaction(() => one(update, work(), row.seq)!);
  return c.json({ outcome, history: entries("saga = ? AND service <> '' AND state <> 'failed'", saga) });
});

/** Takes a slow step, once; one that was refused is tried again. What it comes to is owed to the supervisor. */
function owe(step: string, saga: string, action: string, proof: string | null): void {
  const owed = owing(`INSERT INTO owed (step, saga, action, proof) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET outcome = NULL, state = 'pending' WHERE outcome = 'refused' RETURNING *`, step, saga, action, proof);
  if (owed) void finish(owed);
}
const owing = (sql: string, ...values: SQLInputValue[]) => one(sql, ...values) as unknown as Owed | undefined;

/** Ends a slow step. The effect, the outcome and the word that is owed are one transaction. */
async function finish({ step, saga, action }: Owed): Promise<void> {
  await sleep(UNDO_TAKES_MS);
  const end = "UPDATE owed SET outcome = ? WHERE step = ?";
  try {
    transaction(() => {
      const outcome = compensate(saga, action);
      one("UPDATE history SET answer = ?, state = 'succeeded' WHERE service = 'compensate' AND id = ?", outcome, step);
      one(end, outcome, step);
    });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    one(end, "refused", step);
  }
}

/** Undoes every request of the action in the saga. If that is refused, its step stays without an answer. */
function compensate(saga: string, action: string): string {
  const states = all(`SELECT * FROM history WHERE ${OWN}`, saga, action).map((row) => row.state);
  if (states.includes("succeeded")) ACTIONS.get(action)!.undo(saga);
  const undone = "iif(state IN ('succeeded', 'compensated'), 'compensated', 'fenced')";
  one(`UPDATE history SET answer = NULL, state = ${undone} WHERE ${OWN}`, saga, action);
  if (states.includes("succeeded")) return "compensated";
  return states.includes("compensated") ? "already_compensated" : "nothing_to_compensate";
}

/** Runs a request again: the latest that did not succeed, one that the step names before others. */
async function retry(saga: string, action: string, named: unknown): Promise<string> {
  const row = one(`SELECT * FROM history WHERE ${OWN} ORDER BY state = 'succeeded',
    id IN (SELECT value FROM json_each(?)) DESC, seq DESC`, saga, action, JSON.stringify(named));
  if (row?.state === "succeeded") return "retried";
  refuseIfFenced(saga, action, "refused");
  if (!row) throw new Problem("not-found", `no request of \`${action}\` is known in saga \`${saga}\``);
  if (row.state === "started") throw new Problem("in-progress", "the request is still running");
  const again = one("UPDATE history SET state = 'started', answer = NULL WHERE seq = ? RETURNING *", row.seq)!;
  const ended = await run(again, ACTIONS.get(action)!.run);
  if (ended.state !== "succeeded") throw new Problem("unavailable", `it failed again: ${ended.answer}`);
  return "retried";
}
function notify(saga: string, notice: string): string {
  const sent = "SELECT * FROM history WHERE service = 'notify' AND saga = ? AND action = ? AND state = 'succeeded'";
  if (!one(sent, saga, notice)) NOTICES.get(notice)!(saga); // once per saga
  return "notified";
}
function answer(c: Context, body: Body, status = body["status"]) {
  const kind = Number(status) < 300 ? "application/json" : "application/problem+json";
  if (body["retryable"]) c.header("Retry-After", "1");
  return c.body(JSON.stringify(body), status as 200, { "Content-Type": kind });
}
function readJson(text: string): Body {
  const body: unknown = JSON.parse(text); // what is no JSON is answered by `onError`
  if (body instanceof Object && !Array.isArray(body)) return body as Body;
  throw new Problem("invalid-request", "the body is not a JSON object");
}
const inOrder = (_key: string, value: unknown) =>
  value instanceof Object && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value;

/** The members of W3C Baggage by name, decoded; of a name that comes twice, the first. */
function members(baggage: string): Map<string, string> {
  const pairs = baggage.split(",").map((member) => member.split("=").map((part) => part.trim()));
  return new Map(pairs.reverse().map(([name = "", value = ""]) => [name, decode(value.split(";")[0]!.trim())]));
}
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody else's member, of which nothing is wanted
  }
}

/** Saga, request id, who called, and what every call passes on. A malformed saga is refused: a new one would cut the
 * link. Whoever gets a request without a saga begins one, and is its entry. */
function readContext(c: Context, action: string): Record<string, string> {
  const came = c.req.header("baggage") ?? "";
  const [named, id] = [members(came).get("saga-id"), c.req.header("Request-Id") ?? randomUUID()];
  const [saga, begins] = [c.req.header("Saga-Id") ?? named ?? id, !c.req.header("Saga-Id") && named === undefined];
  const passed = came.split(",").map((member) => member.trim());
  const others = passed.filter((member) => !["saga-id", ""].includes(member.split("=")[0]!.trim()));
  if (!isId(id) || !isId(saga)) throw new Problem("invalid-request", "a saga or request id is malformed");
  const baggage = [`saga-id=${encodeURIComponent(saga)}`, ...(begins ? [`amends-entry=${action}`] : []), ...others];
  const { traceparent = "", tracestate, "amends-caller": caller } = c.req.header();
  const trace = TRACE.test(traceparent) ? { traceparent, ...(tracestate && { tracestate }) } : {};
  const said = { ...trace, ...(caller && { "Amends-Caller": caller }) };
  return { "Saga-Id": saga, "Request-Id": id, "Content-Type": "application/json", baggage: baggage.join(), ...said };
}

/** Standard Webhooks: one of our keys signed these bytes, lately. Without keys nothing is checked. */
function checkSignature(c: Context, body: Buffer): void {
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => c.req.header(`webhook-${name}`) ?? "");
  const isRecent = /^[0-9]{1,15}$/.test(at!) && Math.abs(Date.now() / 1_000 - Number(at)) <= CLOCK_TOLERANCE_S;
  const sign = (key: Buffer) => createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
  const expected = KEYS.map((key) => digest(`v1,${sign(key)}`)); // how long it takes to compare these tells nothing
  const fits = isRecent && given!.split(" ").some((one) => expected.includes(digest(one)));
  if (KEYS.length > 0 && !fits) throw new Problem("unauthorized", "none of our keys has signed this lately");
}
async function post(url: string, headers: Record<string, string>, body: string) {
  try {
    const signal = AbortSignal.timeout(5_000);
    const answer = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    return { ok: answer.ok, status: answer.status, headers: answer.headers, text: await answer.text() };
  } catch (error) {
    return { ok: false, status: 0, headers: new Headers(), text: `no answer: ${(error as Error).cause ?? error}` };
  }
}

/** Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did. */
function proves({ ok, status, headers, text }: Awaited<ReturnType<typeof post>>) {
  const isProblem = headers.get("Content-Type")?.startsWith("application/problem+json");
  const kind = isProblem && Object.keys(STATUS).find((kind) => text.includes(`"${PROBLEM}${kind}"`));
  if (ok) return "succeeded";
  if (kind === "in-progress" || kind === "internal" || kind === "effect-unknown") return "unknown";
  return kind || (status >= 400 && status < 500 && status !== 408) ? "failed" : "unknown";
}

const crash = new Problem("effect-unknown", "the service stopped while it worked on this request", 500, "crashed");
const left = all("SELECT * FROM history WHERE service = '' AND state = 'started'"); // by a process that died
for (const row of left) await run(row, () => Promise.reject(crash));
for (const row of all("SELECT * FROM owed WHERE outcome IS NULL")) void finish(row as unknown as Owed);
const [hostname, port] = COUPON_LISTEN.split(":"); // port 0 takes a free one
serve({ fetch: app.fetch, hostname, port: Number(port) }, ({ address, port }) =>
  console.log(`listens on http://${address}:${port}`));
await relay();
