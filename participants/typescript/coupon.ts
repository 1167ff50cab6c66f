// A coupon service that takes part in compensation: docs/reference/protocol.md in one file, on SQLite or PostgreSQL. It
// is the twin of ../python/coupon.py. In this order: the business, the tables, the two databases, requests that come,
// calls to others, reports, steps of the supervisor, what goes on beside them, the wire. To make it yours, replace the
// business and keep the rest. What belongs together is one transaction, and is written by its `tx`.
import { createHash, createHmac, randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import pg from "pg";

const { COUPON_LISTEN = "127.0.0.1:7103", SIGNING_KEYS = "", UNDO_TAKES_S = "0", LEASE_S = "10" } = process.env;
const { COUPON_DATABASE = "coupon.sqlite" } = process.env; // a file, or postgres://…
const { SUPERVISOR_URL = "http://127.0.0.1:7100", PRINTER_URL = "http://127.0.0.1:7199" } = process.env;
const { SUPERVISOR_TOKEN_FILE } = process.env;
const BROKER = process.env.REPORTS_TO ? await import("./broker.ts") : undefined; // takes reports, if there is one
const KEYS = SIGNING_KEYS.split(" ").filter(Boolean).map((key) => Buffer.from(key.replace(/^whsec_/, ""), "base64"));
if (!KEYS.every(({ length }) => length >= 24 && length <= 64)) throw new Error("a key has 24 to 64 bytes");
const NAME = "coupon"; // as the rulebook calls this service
const UNDO_TAKES_MS = Number(UNDO_TAKES_S) * 1_000; // what is slow is answered 202, and its outcome told later
const LEASE = Number(LEASE_S); // a process that has not shown itself for so many seconds counts as dead
const [POST_MS, HOLD_S] = [5_000, 15]; // time for one request; who tells the supervisor something holds it so long
const RELAYS = 8; // requests to the supervisor at once: a slow one holds no other saga's report up
const [BODY_LIMIT, CLOCK_TOLERANCE_S] = [1 << 20, 300]; // a request is kept whole; the second is Standard Webhooks'
const ENTRIES = 1_000; // of a report, of an answer, and of a page of History
const ME = randomUUID(); // this process
const RUNNING = new Set<string>(), UNDOING = new Set<string>(), RELAYED = new Set<Promise<void>>(); // it has in hand

type Body = Record<string, unknown>;
type Value = string | number | null;
type Row = Record<"id" | "seq" | "saga" | "service" | "action" | "state" | "verb" | "worker", string>
  & Record<"fingerprint" | "body" | "context" | "event", string> & Record<"runs" | "status" | "tries" | "part", number>
  & Record<"answer" | "report" | "outcome" | "url" | "proof", string | null>;
interface Sql {
  all(sql: string, ...values: Value[]): Promise<Row[]>;
  one(sql: string, ...values: Value[]): Promise<Row | undefined>;
}
interface Database extends Sql {
  transaction<T>(saga: string, work: (tx: Sql) => Promise<T>): Promise<T>;
}
type Effect = (tx: Sql) => Promise<unknown>;
type Action = { run: (request: Row, body: Body) => Promise<Effect>; undo?: (tx: Sql, saga: string) => Promise<void> };

// ---- The business ---------------------------------------------------------------------------------------------------
const BUSINESS_TABLES = `
CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT, cash INTEGER);
CREATE TABLE IF NOT EXISTS texts (saga TEXT, text TEXT);
`;

/** Uses a coupon, and has copies printed. Calls come first; what is returned runs in the transaction of History. */
async function redeem(request: Row, { coupon: given, copies = [], cash }: Body): Promise<Effect> {
  const coupon = checked(given);
  for (const [index, number] of (Array.isArray(copies) ? copies : [copies]).entries()) {
    await call(request, PRINTER_URL, "printer", "print", { copies: number }, index + 1);
  }
  return async (tx) => {
    const insert = "INSERT INTO redeemed VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING coupon";
    const isFree = await tx.one(insert, coupon, request.saga, Number(cash === true));
    if (!isFree) throw new Problem("action-failed", `\`${coupon}\` is used already`, 422, "used", { coupon });
    return { redeemed: coupon };
  };
}

/** Undoes every `redeem` of a saga. */
async function restore(tx: Sql, saga: string): Promise<void> {
  const cash = await tx.one("SELECT 1 FROM redeemed WHERE saga = ? AND cash = 1", saga);
  if (cash) throw new Problem("refused", "the coupon was paid out in cash; ask the customer for it");
  await tx.one("DELETE FROM redeemed WHERE saga = ?", saga);
}

/** Says what a coupon is worth. It changes nothing, so nothing undoes it; a compensation bars it all the same. */
async function appraise(_request: Row, { coupon: given }: Body): Promise<Effect> {
  const coupon = checked(given);
  return async () => ({ coupon, worth: 5 });
}
function checked(coupon: unknown): string {
  if (isId(coupon)) return coupon;
  throw new Problem("action-failed", "`coupon` is missing or malformed", 400, "no-coupon");
}

const ACTIONS = new Map<string, Action>([["redeem", { run: redeem, undo: restore }], ["appraise", { run: appraise }]]);
const apologize = (tx: Sql, saga: string) => tx.one("INSERT INTO texts VALUES (?, 'Sorry!')", saga);
const NOTICES = new Map([["send-apology", apologize]]);

const app = new Hono();
app.use(bodyLimit({ maxSize: BODY_LIMIT, onError: () => Promise.reject(new Problem("too-large", "1 MiB")) }));
app.get("/:table{redeemed|texts}/:saga", async (c) => {
  const found = await db.all(`SELECT * FROM ${c.req.param("table")} WHERE saga = ?`, c.req.param("saga"));
  return c.json({ count: found.length });
});

// ---- The tables -----------------------------------------------------------------------------------------------------
const TABLES = `${BUSINESS_TABLES}
-- The processes that work here. Whoever is not in it, or is past its time, counts as dead.
CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, alive_until DOUBLE PRECISION NOT NULL);
-- History: every request that came. 'runs' counts how often it was started; who holds a lower number has lost it.
CREATE TABLE IF NOT EXISTS requests (seq SERIAL_KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, action TEXT NOT NULL,
  fingerprint TEXT NOT NULL, body TEXT NOT NULL, context TEXT NOT NULL, state TEXT NOT NULL, worker TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 1, status INTEGER, answer TEXT, report TEXT);
CREATE INDEX IF NOT EXISTS requests_by_saga ON requests (saga, action);
-- History: every call that was made, 'request' by which request that came.
CREATE TABLE IF NOT EXISTS calls (seq SERIAL_KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, request TEXT NOT NULL,
  service TEXT NOT NULL, action TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_saga ON calls (saga);
-- Nothing of the action takes effect in the saga any more.
CREATE TABLE IF NOT EXISTS fences (saga TEXT, action TEXT, PRIMARY KEY (saga, action));
-- What the supervisor asked for, and how it ended.
CREATE TABLE IF NOT EXISTS steps (id TEXT PRIMARY KEY, saga TEXT NOT NULL, verb TEXT NOT NULL, action TEXT NOT NULL,
  outcome TEXT);
-- Steps that were answered 202: without an outcome while 'worker' is at work on them, then with one that is to be told.
CREATE TABLE IF NOT EXISTS owed (id TEXT PRIMARY KEY, saga TEXT NOT NULL, action TEXT NOT NULL, worker TEXT NOT NULL,
  url TEXT, proof TEXT, outcome TEXT, due DOUBLE PRECISION NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0);
-- Reports on their way to the supervisor. 'due': not before; ahead while somebody tries. 'refused': why, for good.
CREATE TABLE IF NOT EXISTS outbox (seq SERIAL_KEY, id TEXT NOT NULL, saga TEXT NOT NULL, event TEXT NOT NULL,
  due DOUBLE PRECISION NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, refused TEXT);
CREATE INDEX IF NOT EXISTS outbox_by_saga ON outbox (saga, seq);
`;

// ---- The databases: statements are the same for both, `now_s()` is the one clock of all processes -------------------
/** One file, for one process at a time: it is locked, so whoever worked on it before is dead. */
function sqlite(path: string): Database {
  const file = new DatabaseSync(path);
  file.function("now_s", () => Date.now() / 1_000);
  const how = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
  file.exec(`${how} ${TABLES.replaceAll("SERIAL_KEY", "INTEGER PRIMARY KEY")} DELETE FROM workers;`);
  const run = (text: string, values: Value[]) => file.prepare(text).all(...values) as unknown as Row[];
  const sql = statements(async (text, values) => run(text, values));
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };
  return {
    ...statements((text, values) => inTurn(async () => run(text, values))),
    transaction: (_saga, work) => inTurn(async () => {
      file.exec("BEGIN IMMEDIATE");
      try {
        const done = await work(sql);
        file.exec("COMMIT");
        return done;
      } finally {
        if (file.isTransaction) file.exec("ROLLBACK");
      }
    }),
  };
}

/** A database, for any number of processes. */
async function postgres(url: string): Promise<Database> {
  const limits = { lock_timeout: 10_000, idle_in_transaction_session_timeout: 30_000 };
  const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: POST_MS, ...limits });
  pool.on("error", (error) => shout(`a connection to the database broke: ${error}`));
  const on = (client: pg.Pool | pg.PoolClient) => statements(async (text, values) => {
    let number = 0;
    return (await client.query(text.replace(/\?/g, () => `$${++number}`), values)).rows;
  });
  /** Transactions of one saga come one after the other. INVARIANT: the lock is its first statement, and each later one
   * sees what whoever held it before has committed. So a commit sees the fence, or the fence sees the commit. */
  const transaction = async <T>(saga: string, work: (tx: Sql) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    try {
      await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [saga]);
      const done = await work(on(client));
      await client.query("COMMIT");
      client.release();
      return done;
    } catch (error) {
      client.release(await client.query("ROLLBACK").then(() => false, () => true)); // what can't be is closed
      throw error;
    }
  };
  const now = `CREATE OR REPLACE FUNCTION now_s() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS
    'SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION';`;
  const tables = TABLES.replaceAll("SERIAL_KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
  await transaction("the tables", (tx) => tx.all(now + tables));
  return { ...on(pool), transaction };
}

function statements(all: (sql: string, values: Value[]) => Promise<Row[]>): Sql {
  return { all: (sql, ...values) => all(sql, values), one: async (sql, ...values) => (await all(sql, values))[0] };
}
const isPostgres = /^postgres(ql)?:\/\//.test(COUPON_DATABASE);
const db = isPostgres ? await postgres(COUPON_DATABASE) : sqlite(COUPON_DATABASE);
const LIVING = "SELECT worker FROM workers WHERE alive_until > now_s()";

// ---- Requests -------------------------------------------------------------------------------------------------------
/** Takes a request into History and runs it, or answers it from there. */
app.post("/:action", async (c) => {
  const [action, text] = [c.req.param("action"), await readText(c)];
  const context = readContext(c, `${NAME}.${action}`);
  const [saga, id, found] = [context["Saga-Id"]!, context["Request-Id"]!, ACTIONS.get(action)];
  c.header("Saga-Id", saga);
  c.header("Request-Id", id);
  if (!found) throw new Problem("not-found", `\`${NAME}\` has no action \`${action}\``);
  const fingerprint = digest(JSON.stringify([saga, action, readJson(text)], inOrder));
  const row = await holding(async (hold) => {
    const [row, isNew] = await db.transaction(saga, async (tx) => {
      const [row, isNew] = await take(tx, id, saga, action, fingerprint, text, JSON.stringify(context));
      if (row.answer === null) await refuseIfFenced(tx, saga, action);
      if (row.answer === null && !isNew) throw new Problem("in-progress", "it is still running; ask again");
      if (isNew) hold(id);
      return [row, isNew] as const;
    });
    return isNew ? await run(row, found.run) : row;
  });
  if (row.report) c.header("Amends-Report", row.report);
  return answer(c, JSON.parse(row.answer!), row.status);
});

/** The row of a request, and whether it is new. What came before under its id must have been the same. */
async function take(tx: Sql, id: string, saga: string, action: string, ...[fingerprint, body, context]: string[]) {
  const fresh = await tx.one(`INSERT INTO requests (id, saga, action, fingerprint, body, context, worker, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'started') ON CONFLICT DO NOTHING RETURNING *`,
    id, saga, action, fingerprint!, body!, context!, ME);
  const row = fresh ?? (await tx.one("SELECT * FROM requests WHERE id = ?", id))!;
  if (row.fingerprint !== fingerprint) throw new Problem("key-reused", "this id came before with something else");
  return [row, fresh !== undefined] as const;
}
async function refuseIfFenced(tx: Sql, saga: string, action: string, kind = "saga-fenced"): Promise<void> {
  const fence = await tx.one("SELECT 1 FROM fences WHERE saga = ? AND action = ?", saga, action);
  if (fence) throw new Problem(kind, `\`${action}\` is being undone in saga \`${saga}\`; start a new one to try again`);
}

/** Requests that `work` holds are in the hands of this process until it ends, whatever becomes of it. */
async function holding<T>(work: (hold: (id: string) => void) => Promise<T>): Promise<T> {
  const held: string[] = [];
  try {
    return await work((id) => (held.push(id), RUNNING.add(id)));
  } finally {
    for (const id of held) RUNNING.delete(id);
  }
}

/** Runs a request that is `started` and held. Its effect and its end are one transaction, or its failure and its
 * report. Who has lost the request writes nothing; its caller is answered what came of it elsewhere. */
async function run(row: Row, action: Action["run"]): Promise<Row> {
  try {
    const effect = await action(row, JSON.parse(row.body));
    return await db.transaction(row.saga, async (tx) => end(tx, row, "succeeded", 200, await effect(tx)));
  } catch (error) {
    if (error instanceof Lost) return decidedElsewhere(row);
    if (!(error instanceof Problem)) console.error(error);
    const problem = error instanceof Problem ? error : new Problem("effect-unknown", `${error}`, 500, "panicked");
    if (problem.about.kind === "saga-fenced") throw problem; // it was undone meanwhile
    const state = problem.about.kind === "action-failed" ? "failed" : "unknown";
    const failed = db.transaction(row.saga, async (tx) => {
      const ended = await end(tx, row, state, problem.body.status, problem.body, row.report ?? randomUUID());
      if (!row.report) await publish(tx, ended, problem); // a retry that fails again is no new failure
      return ended;
    });
    return failed.catch((error) => (error instanceof Lost ? decidedElsewhere(row) : Promise.reject(error)));
  }
}

/** INVARIANT: in the transaction of the effect, no fence is up, and the run that ends is still the one that counts. */
async function end(tx: Sql, row: Row, state: string, status: number, body: unknown, report: string | null = null) {
  await refuseIfFenced(tx, row.saga, row.action);
  const ended = await tx.one(`UPDATE requests SET state = ?, status = ?, answer = ?, report = ?
    WHERE id = ? AND runs = ? AND state = 'started' RETURNING *`,
    state, status, JSON.stringify(body), report, row.id, row.runs);
  if (!ended) throw new Lost();
  return ended;
}
async function decidedElsewhere({ id }: Row): Promise<Row> {
  const decided = (await db.one("SELECT * FROM requests WHERE id = ?", id))!;
  if (decided.answer === null) throw new Problem("in-progress", "another process runs it now");
  return decided;
}

/** Whether a living process is at work on it. */
async function isInHand(tx: Sql, { id, worker }: Row, inHand: Set<string>): Promise<boolean> {
  if (worker === ME) return inHand.has(id);
  return (await tx.one(`SELECT 1 FROM workers WHERE worker = ? AND worker IN (${LIVING})`, worker)) !== undefined;
}

// ---- Calls ----------------------------------------------------------------------------------------------------------
/** Calls another service: written down before it is sent, and again when it is known what the answer proves. */
async function call(request: Row, url: string, service: string, action: string, body: Body, ordinal = 1) {
  const parts = [request.id, `${service}.${action}`, `${ordinal}`]; // the same id whenever this request runs again
  const key = digest(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("")).slice(0, 32);
  await db.transaction(request.saga, async (tx) => {
    await refuseIfFenced(tx, request.saga, request.action); // so the answer to a compensation tells of every call
    const own = "SELECT 1 FROM requests WHERE id = ? AND runs = ? AND state = 'started'";
    if (!(await tx.one(own, request.id, request.runs))) throw new Lost();
    await tx.one(`INSERT INTO calls (id, saga, request, service, action, state) VALUES (?, ?, ?, ?, ?, 'started')
      ON CONFLICT (id) DO UPDATE SET state = 'started' WHERE calls.state <> 'succeeded'`,
      key, request.saga, request.id, service, action);
  });
  const own = { "Request-Id": key, "Amends-Caller": `${NAME}.${request.action}`, "Content-Type": "application/json" };
  const ask = () => post(`${url}/${action}`, { ...JSON.parse(request.context), ...own }, JSON.stringify(body));
  let said = await ask();
  for (const pauseMs of [500, 1_000, 2_000]) {
    if (problemKind(said) !== "in-progress") break;
    await sleep(pauseMs); // its first try is still running; it is asked again under the same id
    said = await ask();
  }
  const state = proves(said);
  await db.one("UPDATE calls SET state = ? WHERE id = ? AND state <> 'succeeded'", state, key);
  if (state === "succeeded") return said.text;
  const causes = said.headers.get("Amends-Report")?.split(", ").filter(isId) ?? [];
  const detail = `\`${service}.${action}\` ${state}: ${said.text.slice(0, 500)}`;
  throw new Problem("action-failed", detail, 502, "downstream", {}, causes);
}

/** Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did. */
function proves(said: Said): "succeeded" | "failed" | "unknown" {
  const [kind, { ok, status }] = [problemKind(said), said];
  if (ok) return "succeeded";
  if (kind === "in-progress" || kind === "internal" || kind === "effect-unknown") return "unknown";
  return kind || (status >= 400 && status < 500 && status !== 408) ? "failed" : "unknown";
}

// ---- History and reports --------------------------------------------------------------------------------------------
/** Rows of History: the requests that came, then the calls that were made, those with `service`. */
function entries(tx: Sql, saga: string, which = "0 = 0", after = [0, 0], limit = 100 * ENTRIES): Promise<Row[]> {
  const history = `SELECT 0 AS part, seq, saga, '' AS service, action, id, state FROM requests
    UNION ALL SELECT 1, seq, saga, service, action, id, state FROM calls`;
  return tx.all(`SELECT * FROM (${history}) AS history WHERE saga = ? AND (part, seq) > (?, ?) AND ${which}
    ORDER BY part, seq LIMIT ?`, saga, ...after, limit);
}

/** Rows as others see them. Of more than may be told, one of each action and state comes first, then what may have
 * taken effect. `own` is the service of a request that came; it goes without saying in a History of ours. */
function shown(rows: Row[], own?: string) {
  const firsts = new Map(rows.toReversed().map((row) => [`${row.service} ${row.action} ${row.state}`, row]));
  const first = new Set(firsts.values());
  const rank = (row: Row) => (first.has(row) ? 0 : row.state === "failed" ? 2 : 1);
  const told = rows.length <= ENTRIES ? rows : rows.toSorted((a, b) => rank(a) - rank(b)).slice(0, ENTRIES);
  return told.map((row) => {
    const service = row.service || own;
    return { ...(service && { service }), action: row.action, requestId: row.id, state: row.state };
  });
}
const callsThatMayStand = async (saga: string) => shown(await entries(db, saga, "part = 1 AND state <> 'failed'"));

app.get("/amends/v1/history/:saga", async (c) => {
  checkSignature(c, Buffer.alloc(0));
  const [saga, after] = [c.req.param("saga"), c.req.query("after") ?? "0.0"];
  if (!isId(saga)) throw new Problem("invalid-request", "a saga id is 1 to 128 of printable ASCII without spaces");
  if (!/^[01]\.[0-9]{1,15}$/.test(after)) throw new Problem("invalid-request", "`after` is the `next` of a page");
  c.header("Saga-Id", saga);
  const rows = await entries(db, saga, "0 = 0", after.split(".").map(Number), ENTRIES + 1);
  const last = rows.length > ENTRIES ? rows[ENTRIES - 1] : undefined;
  const next = last && { next: `${last.part}.${last.seq}` };
  return c.json({ sagaId: saga, entries: shown(rows.slice(0, ENTRIES)), ...next });
});

/** Puts a report into the outbox, with all that is known here of its saga. */
async function publish(tx: Sql, row: Row, { message, body: { code }, about }: Problem): Promise<void> {
  const { baggage, traceparent, tracestate, "Amends-Caller": caller } = JSON.parse(row.context);
  const entry = members(baggage).get("amends-entry");
  const names = { ...(isFullName(entry) && { entry }), ...(isFullName(caller) && { caller }) };
  const told = {
    code, action: row.action, requestId: row.id, message: message.slice(0, 2_000).toWellFormed(), data: about.data,
    causedBy: about.causedBy.slice(0, 64), ...names,
    history: shown(await entries(tx, row.saga, "state NOT IN ('compensated', 'fenced')"), NAME),
  };
  const event = { specversion: "1.0", type: "dev.amends.report.v1", source: NAME, id: row.report, subject: row.saga };
  const text = JSON.stringify({ ...event, traceparent, tracestate, time: new Date(), data: told });
  await tx.one("INSERT INTO outbox (id, saga, event) VALUES (?, ?, ?)", row.report, row.saga, text);
}

// ---- Steps ----------------------------------------------------------------------------------------------------------
/** Carries out what the supervisor asks for, once, or says again how that ended. */
app.all("/amends/v1/:verb{compensate|retry|notify}/:action", async (c) => {
  if (c.req.method !== "POST") throw new Problem("method-not-allowed", "a step is a POST");
  const [verb, action, text] = [c.req.param("verb"), c.req.param("action"), Buffer.from(await c.req.arrayBuffer())];
  checkSignature(c, text);
  const can = verb === "notify" ? NOTICES : ACTIONS;
  if (!can.has(action)) throw new Problem("not-found", `\`${NAME}\` cannot ${verb} \`${action}\``);
  const asks = readJson(text.toString());
  const { sagaId: saga, stepId: key, caseId, action: named } = asks;
  const isStep = isId(saga) && isId(key) && isId(caseId) && named === `${NAME}.${action}`;
  if (!isStep) throw new Problem("invalid-request", "the body is not a step, or not the one that the path names");
  const header = c.req.header("Idempotency-Key")?.replace(/^"|"$/g, "") ?? key;
  if (header !== key) throw new Problem("key-reused", "`Idempotency-Key` must be the `stepId`");
  c.header("Saga-Id", saga);
  const row = await db.transaction(saga, async (tx) => {
    const insert = "INSERT INTO steps (id, saga, verb, action) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
    await tx.one(insert, key, saga, verb, action);
    const row = (await tx.one("SELECT * FROM steps WHERE id = ?", key))!;
    const isSame = row.saga === saga && row.verb === verb && row.action === action;
    if (!isSame) throw new Problem("key-reused", "this step id came before with another saga, verb or action");
    if (verb === "compensate") await fence(tx, saga, action);
    return row;
  });
  try {
    const outcome = row.outcome ?? (await carryOut(row, asks));
    const history = await callsThatMayStand(saga);
    return outcome ? c.json({ outcome, history }) : c.json({ history }, 202);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return answer(c, { ...error.body, history: await callsThatMayStand(saga) }); // welcome in every answer
  }
});

/** Gives the outcome; none of what is slow. */
async function carryOut(step: Row, { callback, requestIds }: Body): Promise<string | null> {
  const { id, saga, verb, action } = step;
  if (verb === "compensate" && ACTIONS.get(action)!.undo && UNDO_TAKES_MS > 0) return owe(step, callback);
  if (verb === "retry") await retry(saga, action, requestIds);
  return db.transaction(saga, async (tx) => {
    const ended = (await tx.one("SELECT * FROM steps WHERE id = ?", id))!.outcome; // by the same step, asked at once
    const work = { compensate, notify, retry: async () => "retried" }[verb]!;
    const outcome = ended ?? (await work(tx, saga, action));
    await tx.one("UPDATE steps SET outcome = ? WHERE id = ?", outcome, id);
    return outcome;
  });
}

/** Bars the action for ever. What is at work can't commit any more, and nobody will know how far it came. */
async function fence(tx: Sql, saga: string, action: string): Promise<void> {
  await tx.one("INSERT INTO fences VALUES (?, ?) ON CONFLICT DO NOTHING", saga, action);
  const lost = "UPDATE requests SET state = 'unknown' WHERE saga = ? AND action = ? AND state = 'started'";
  await tx.one(lost, saga, action);
}

/** Undoes every request of the action in the saga. If that is refused, all is rolled back but the fence. */
async function compensate(tx: Sql, saga: string, action: string): Promise<string> {
  const { undo } = ACTIONS.get(action)!;
  const rows = await tx.all("SELECT * FROM requests WHERE saga = ? AND action = ?", saga, action);
  const states = undo ? rows.map((row) => row.state) : []; // what has no undo changes nothing
  if (states.includes("succeeded")) await undo!(tx, saga);
  const undone = "CASE WHEN state IN ('succeeded', 'compensated') THEN 'compensated' ELSE 'fenced' END";
  const state = undo ? undone : "'fenced'";
  await tx.one(`UPDATE requests SET answer = NULL, state = ${state} WHERE saga = ? AND action = ?`, saga, action);
  if (states.includes("succeeded")) return "compensated";
  return states.includes("compensated") ? "already_compensated" : "nothing_to_compensate";
}

/** Takes a slow step, once; one that was refused is tried again. What it comes to is owed to the supervisor. */
async function owe({ id, saga, action }: Row, callback: unknown): Promise<null> {
  const { url, proof } = (callback ?? {}) as Body;
  const text = (value: unknown) => (typeof value === "string" && /^[!-~]+$/.test(value) ? value : null);
  const address = /^https?:/.test(String(url)) ? text(url) : null;
  const owed = await db.one(`INSERT INTO owed (id, saga, action, worker, url, proof) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET outcome = NULL, worker = excluded.worker WHERE owed.outcome = 'refused' RETURNING *`,
    id, saga, action, ME, address, text(proof));
  if (owed) begin(finish(owed));
  return null;
}

/** Ends a slow step. The effect, the outcome and the word that is owed are one transaction. */
async function finish({ id, saga, action }: Row): Promise<void> {
  UNDOING.add(id);
  const end = "UPDATE owed SET outcome = ?, due = 0, tries = 0 WHERE id = ? AND outcome IS NULL RETURNING id";
  try {
    await sleep(UNDO_TAKES_MS);
    await db.transaction(saga, async (tx) => {
      const outcome = await compensate(tx, saga, action);
      if (!(await tx.one(end, outcome, id))) throw new Lost(); // another process has ended it
      await tx.one("UPDATE steps SET outcome = ? WHERE id = ?", outcome, id);
    });
  } catch (error) {
    if (error instanceof Problem) await db.one(end, "refused", id);
    else if (!(error instanceof Lost)) throw error;
  } finally {
    UNDOING.delete(id);
  }
}

/** Runs a request again: the latest that did not succeed, one that the step names before others. */
async function retry(saga: string, action: string, requestIds: unknown): Promise<void> {
  const named: unknown[] = Array.isArray(requestIds) ? requestIds : [];
  const ended = await holding(async (hold) => {
    const row = await db.transaction(saga, async (tx) => {
      const which = "SELECT * FROM requests WHERE saga = ? AND action = ? ORDER BY seq DESC";
      const rows = await tx.all(which, saga, action);
      const open = rows.filter((row) => row.state !== "succeeded");
      const meant = open.find((row) => named.includes(row.id)) ?? rows.find((row) => `${named}` === row.id);
      const row = meant ?? open[0] ?? rows[0];
      if (row?.state === "succeeded") return undefined;
      await refuseIfFenced(tx, saga, action, "refused");
      if (!row) throw new Problem("not-found", `no request of \`${action}\` is known in saga \`${saga}\``);
      const isRunning = row.state === "started" && (await isInHand(tx, row, RUNNING));
      if (isRunning) throw new Problem("in-progress", "the request is still running");
      hold(row.id);
      return takeOver(tx, row);
    });
    return row && run(row, ACTIONS.get(action)!.run);
  });
  if (ended && ended.state !== "succeeded") throw new Problem("unavailable", `it failed again: ${ended.answer}`);
}

/** Sends a message, once per saga. */
async function notify(tx: Sql, saga: string, notice: string): Promise<string> {
  const sent = "SELECT 1 FROM steps WHERE saga = ? AND verb = 'notify' AND action = ? AND outcome IS NOT NULL";
  if (!(await tx.one(sent, saga, notice))) await NOTICES.get(notice)!(tx, saga);
  return "notified";
}

// ---- What goes on beside them ---------------------------------------------------------------------------------------
/** Makes a request ours that nobody runs any more; none if somebody else was first. Nobody waits for its calls. */
async function takeOver(tx: Sql, { id, runs, state }: Row): Promise<Row | undefined> {
  await tx.one("UPDATE calls SET state = 'unknown' WHERE request = ? AND state = 'started'", id);
  return tx.one(`UPDATE requests SET state = 'started', answer = NULL, worker = ?, runs = runs + 1
    WHERE id = ? AND runs = ? AND state = ? RETURNING *`, ME, id, runs, state);
}

/** Shows this process as alive, and ends what others left behind when they died. */
async function stayAlive(): Promise<void> {
  await db.one(`INSERT INTO workers VALUES (?, now_s() + ?)
    ON CONFLICT (worker) DO UPDATE SET alive_until = excluded.alive_until`, ME, LEASE);
  const abandoned = `(worker = ? OR worker NOT IN (${LIVING}))`; // of ours, what this process does not know it has
  for (const left of await db.all(`SELECT * FROM requests WHERE state = 'started' AND ${abandoned}`, ME)) {
    if (await isInHand(db, left, RUNNING)) continue;
    const ended = holding(async (hold) => {
      hold(left.id);
      const row = await db.transaction(left.saga, (tx) => takeOver(tx, left));
      if (row) await run(row, () => Promise.reject(new Problem("effect-unknown", STOPPED, 500, "crashed")));
    });
    await ended.catch((error) => (error instanceof Problem ? undefined : Promise.reject(error))); // undone just now
  }
  for (const left of await db.all(`SELECT * FROM owed WHERE outcome IS NULL AND ${abandoned}`, ME)) {
    if (await isInHand(db, left, UNDOING)) continue;
    const take = "UPDATE owed SET worker = ? WHERE id = ? AND worker = ? AND outcome IS NULL RETURNING *";
    const row = await db.one(take, ME, left.id, left.worker);
    if (row) begin(finish(row));
  }
  await db.one(`UPDATE calls SET state = 'unknown' WHERE state = 'started' AND request IN (SELECT id FROM requests
    WHERE worker NOT IN (${LIVING}))`); // of requests that were undone meanwhile
  await db.one("DELETE FROM workers WHERE alive_until < now_s() - 3600");
}
const STOPPED = "the service stopped while it worked on this request";

/** Takes to the supervisor what is due: reports, in order within their saga, and outcomes of slow steps. */
async function relay(): Promise<void> {
  const report = `refused IS NULL AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.saga = outbox.saga
    AND earlier.seq < outbox.seq AND earlier.refused IS NULL)`;
  const kinds = [["outbox", "seq", report, tellReport], ["owed", "id", "outcome IS NOT NULL", tellOutcome]] as const;
  for (const [table, key, which, tell] of kinds) {
    // Who takes a row holds it: the outer `due` is judged again if another process has just changed it.
    const due = `SELECT ${key} FROM ${table} WHERE due <= now_s() AND ${which} ORDER BY due, ${key} LIMIT ?`;
    const hold = `UPDATE ${table} SET due = now_s() + ?, tries = tries + 1`;
    const take = `${hold} WHERE due <= now_s() AND ${key} IN (${due}) RETURNING *`;
    for (const row of await db.all(take, HOLD_S, RELAYS - RELAYED.size)) {
      const told = begin(tell(row)).finally(() => RELAYED.delete(told));
      RELAYED.add(told);
    }
  }
}
/** The same with the token that the supervisor knows us by, read anew each time so that it can be renewed. */
function known(headers: Record<string, string>): Record<string, string> {
  if (!SUPERVISOR_TOKEN_FILE) return headers;
  return { ...headers, Authorization: `Bearer ${readFileSync(SUPERVISOR_TOKEN_FILE, "utf8").trim()}` };
}
async function tellReport({ id, seq, saga, event, tries }: Row): Promise<void> {
  const headers = known({ "Content-Type": "application/cloudevents+json" });
  const taking = BROKER ? BROKER.publish(NAME, saga, id, event) : post(`${SUPERVISOR_URL}/v1/reports`, headers, event);
  const said = await taking;
  const what = `report \`${id}\` of saga \`${saga}\`: ${said.status} ${said.text.slice(0, 500)}`;
  if (said.status === 200 || said.status === 202) {
    await db.one("DELETE FROM outbox WHERE seq = ?", seq);
  } else if ([400, 413, 415, 422].includes(said.status)) {
    shout(`THE SUPERVISOR REFUSED A REPORT, AND NOBODY ACTS ON IT; the next start tries it once more: ${what}`);
    await db.one("UPDATE outbox SET refused = ? WHERE seq = ?", `${said.status} ${said.text.slice(0, 500)}`, seq);
  } else {
    const isLost = [401, 403, 404].includes(said.status);
    if (isLost) shout(`REPORTS DO NOT GET THROUGH; check where they go: ${what}`);
    await db.one("UPDATE outbox SET due = now_s() + ? WHERE seq = ?", pauseS(tries, said), seq);
  }
}
async function tellOutcome({ id, url, proof, outcome, tries }: Row): Promise<void> {
  const address = url ?? `${SUPERVISOR_URL}/v1/steps/${encodeURIComponent(id)}/outcome`;
  const told = JSON.stringify({ outcome, ...(proof && { proof }) });
  const headers = { "Content-Type": "application/json" };
  const isOwn = address.startsWith(`${SUPERVISOR_URL}/`); // nobody else is shown the token
  const said = await post(address, isOwn ? known(headers) : headers, told);
  const { ok, status, text } = said;
  const isRefused = status >= 400 && status < 500 && ![401, 429].includes(status) && problemKind(said) !== undefined;
  if (isRefused) shout(`the outcome of step \`${id}\` is not taken: ${status} ${text.slice(0, 500)}`);
  if (ok || isRefused) await db.one("DELETE FROM owed WHERE id = ? AND outcome = ?", id, outcome);
  else await db.one("UPDATE owed SET due = now_s() + ? WHERE id = ?", pauseS(tries, said), id);
}

/** Doubles up to 5 s. What the other side wishes, in seconds or as a date, is a lower bound, up to a minute. */
function pauseS(tries: number, { headers }: Said): number {
  const wish = headers.get("Retry-After")?.trim() ?? "0";
  const wishS = /^[0-9]+$/.test(wish) ? Number(wish) : (Date.parse(wish) - Date.now()) / 1_000 || 0;
  return Math.min(Math.max(wishS, Math.min(0.1 * 2 ** tries, 5)), 60);
}

/** Does it again and again; what fails, for want of its database perhaps, is told and tried again. */
async function repeat(work: () => Promise<void>, everyMs: number): Promise<never> {
  for (;;) {
    await begin(work());
    await sleep(everyMs);
  }
}
const begin = (work: Promise<void>) => work.catch((error: unknown) => console.error(error));
const shout = (text: string) => console.error(`${NAME}: ${text}`);

// ---- The wire -------------------------------------------------------------------------------------------------------
const PROBLEM = "https://amends.dev/problems/";
const STATUS: Record<string, number> = {
  "invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
  "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422, "internal": 500,
  "effect-unknown": 500, "unavailable": 503 };
const TRACE = /^(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

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

/** Another process has taken over what this one was at work on, and decides. */
class Lost extends Error {}

app.onError((error, c) => {
  if (error instanceof Problem) return answer(c, error.body);
  // Perhaps the database went away in the middle of a commit: nobody knows what was done.
  console.error(error);
  return answer(c, new Problem("internal", `${error.name}; see the log`).body);
});
function answer(c: Context, body: Body, status = body["status"]) {
  const kind = Number(status) < 300 ? "application/json" : "application/problem+json";
  if (body["retryable"]) c.header("Retry-After", "1");
  return c.body(JSON.stringify(body), status as 200, { "Content-Type": kind });
}
const isId = (id: unknown): id is string => typeof id === "string" && /^[!-~]{1,128}$/.test(id); // of whatever
const isFullName = (name = "") => /^[!-~]{1,128}\.[!-~]{1,128}$/.test(name); // of an action: `service.action`
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

/** What is no UTF-8 is refused: it would be written down as something else. */
async function readText(c: Context): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await c.req.arrayBuffer());
  } catch (error) {
    throw error instanceof TypeError ? new Problem("invalid-request", "the body is not UTF-8") : error;
  }
}
function readJson(text: string): Body {
  try {
    const body: unknown = JSON.parse(text);
    if (body instanceof Object && !Array.isArray(body)) return body as Body;
  } catch {} // told below
  throw new Problem("invalid-request", "the body is not a JSON object");
}

/** White space and the order of members are no contents (RFC 8785). */
const inOrder = (_key: string, value: unknown) => value instanceof Object && !Array.isArray(value)
  ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))) : value;

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
 * link. Whoever gets a request without a saga begins one, and is its entry; without a trace, it begins one as well. */
function readContext(c: Context, action: string): Record<string, string> {
  const printable = (text = "") => (/^[\t -~]*$/.test(text) ? text : "");
  const came = printable(c.req.header("baggage"));
  const [given, named] = [c.req.header("Saga-Id"), members(came).get("saga-id")]; // intermediaries may change baggage
  const id = c.req.header("Request-Id") ?? randomUUID();
  const saga = given ?? named ?? id;
  if (!isId(id) || !isId(saga)) throw new Problem("invalid-request", "a saga or request id is malformed");
  const begins = given === undefined && named === undefined ? [`amends-entry=${action}`] : [];
  const passed = came.split(",").map((member) => member.trim());
  const others = passed.filter((member) => !["saga-id", ""].includes(member.split("=")[0]!.trim()));
  const baggage = [`saga-id=${encodeURIComponent(saga)}`, ...begins, ...others].join();
  const { traceparent = "", tracestate, "amends-caller": caller } = c.req.header();
  const goesOn = { traceparent, ...(printable(tracestate) && { tracestate }) };
  const fresh = { traceparent: `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01` };
  const trace = TRACE.test(traceparent) ? goesOn : fresh;
  const said = { "Saga-Id": saga, "Request-Id": id, baggage, ...trace };
  return { ...said, ...(isFullName(caller) && { "Amends-Caller": caller! }) };
}

/** Standard Webhooks: one of our keys signed these bytes, lately. Without keys nothing is checked. */
function checkSignature(c: Context, body: Buffer): void {
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => c.req.header(`webhook-${name}`) ?? "");
  const isRecent = /^[0-9]{1,15}$/.test(at!) && Math.abs(Date.now() / 1_000 - Number(at)) <= CLOCK_TOLERANCE_S;
  const sign = (key: Buffer) => createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
  const expected = KEYS.map((key) => digest(`v1,${sign(key)}`)); // how long it takes to compare these tells nothing
  const fits = isRecent && given!.split(" ").some((one) => expected.includes(digest(one)));
  if (KEYS.length > 0 && !fits) throw new Problem("unauthorized", "none of our keys signed this lately");
}

/** One POST. Status 0 if no whole answer came; the request may have come all the same. */
async function post(url: string, headers: Record<string, string>, body: string) {
  try {
    const signal = AbortSignal.timeout(POST_MS);
    const answer = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    return { ok: answer.ok, status: answer.status, headers: answer.headers, text: await answer.text() };
  } catch (error) {
    return { ok: false, status: 0, headers: new Headers(), text: `no answer: ${(error as Error).cause ?? error}` };
  }
}
type Said = Awaited<ReturnType<typeof post>>;

/** Which problem of the protocol an answer is, if it is one. */
function problemKind({ headers, text }: Said): string | undefined {
  const media = headers.get("Content-Type")?.split(";")[0]!.trim().toLowerCase();
  if (media !== "application/problem+json") return undefined;
  try {
    const { type } = readJson(text);
    return String(type).startsWith(PROBLEM) ? String(type).slice(PROBLEM.length) : undefined;
  } catch {
    return undefined;
  }
}

await db.one("UPDATE outbox SET refused = NULL, due = 0 WHERE refused IS NOT NULL"); // the supervisor may have learned
await stayAlive();
const [, hostname, port] = /^(.*):([0-9]+)$/.exec(COUPON_LISTEN)!; // port 0 takes a free one
const serverOptions = { maxHeaderSize: 1 << 15 }; // baggage alone may have 8 KiB
const server = serve({ fetch: app.fetch, hostname, port: Number(port), serverOptions }, ({ address, port }) =>
  console.log(`listens on http://${address}:${port}`));
void repeat(stayAlive, LEASE * 250);
void repeat(relay, 100);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => server.close(async () => { // answers what is in hand
    await db.one("DELETE FROM workers WHERE worker = ?", ME); // the others need not wait for the lease to run out
    process.exit();
  }));
}
