// History and reports: what a service owes the pattern whenever it is asked to do something.
//
// Keeps docs/reference/protocol.md for one process that owns one SQLite file. Knows no business (see coupon.ts), no
// steps (see steps.ts) and no HTTP (see wire.ts).
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import * as wire from "./wire.ts";
import { type Answer, type Headers, Problem, isName } from "./wire.ts";

const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [100, 5_000]; // between two tries of a report: a supervisor is told soon
const LONGEST_RETRY_AFTER_S = 60; // a wrong one must not silence the service for a day

export type Body = Record<string, unknown>;
export type Context = { trace: Headers; baggage: string[] };
export type Effect = (db: DatabaseSync) => unknown;
/** What an action sees: its saga, its own id, and the way to call other services. */
export type Request = {
  saga: string;
  id: string;
  call(url: string, service: string, action: string, body: Body): Promise<unknown>;
};
type Action = (request: Request, body: Body) => Effect | Promise<Effect>;
type Undo = (db: DatabaseSync, saga: string) => void;
type Business = {
  name: string;
  schema: string;
  actions: Record<string, { run: Action; undo: Undo }>;
  notices: Record<string, Undo>;
  views: Record<string, (db: DatabaseSync, saga: string) => unknown>;
};
export type Row = {
  seq: number; service: string; action: string; id: string; saga: string; state: string;
  fingerprint: string; body: string; context: string; status: number; answer: string | null; report: string | null;
};

/** An action failed: rolled back, answered to its caller, reported. `unsure`: it may have had an effect. */
export class Failure extends Error {
  readonly told: { code: string; status?: number; unsure?: boolean; causedBy?: string | undefined; data?: Body };

  constructor(message: string, told: Failure["told"]) {
    super(message);
    this.told = told;
  }
}

/** One service's History, and all that is asked of it. */
export class Participant {
  readonly business: Business;
  readonly db: DatabaseSync;
  readonly #supervisor: string;
  readonly keys: Buffer[];
  readonly running = new Set<string>();
  #wakeRelay = () => {};

  constructor(business: Business, database: string, supervisor: string, keys: string[]) {
    this.business = business;
    this.db = new DatabaseSync(database, { timeout: 5_000 });
    this.db.exec(readFileSync(new URL("../history.sql", import.meta.url), "utf8") + business.schema);
    this.#supervisor = supervisor;
    this.keys = keys.map((key) => Buffer.from(key.replace(/^whsec_/, ""), "base64"));
  }

  /** Reports what a process that died left behind, for nobody knows how far it came. Goes before all else. */
  async start(): Promise<void> {
    this.one("UPDATE outbox SET state = 'pending' WHERE state = 'dead'");
    for (const row of this.all("SELECT * FROM history WHERE service = '' AND state = 'started'")) {
      await this.run(row, crashed, row.report === null);
    }
    void this.#relay();
  }

  one<T = Row>(sql: string, ...values: (string | number | null)[]): T | undefined {
    return this.db.prepare(sql).get(...values) as T | undefined;
  }

  all(sql: string, ...values: (string | number | null)[]): Row[] {
    return this.db.prepare(sql).all(...values) as Row[];
  }

  /** All or nothing, on the disk when it ends. Nothing else runs meanwhile, since nothing in it can wait. */
  transaction<T>(work: () => T): T {
    this.db.exec("BEGIN IMMEDIATE");
    try {
      const done = work();
      this.db.exec("COMMIT");
      return done;
    } catch (error) {
      if (this.db.isTransaction) this.db.exec("ROLLBACK");
      throw error;
    }
  }

  isFenced(saga: string, action: string): boolean {
    return this.one("SELECT * FROM fences WHERE saga = ? AND action = ?", saga, action) !== undefined;
  }

  /** Takes a request into History and runs it, or answers it from there. */
  async forward(action: string, headers: IncomingHttpHeaders, text: Buffer, said: Headers): Promise<Answer> {
    const { saga: given, requestId, context } = wire.readContext(headers);
    const found = Object.hasOwn(this.business.actions, action) ? this.business.actions[action] : undefined;
    if (!found) throw new Problem("not-found", `\`${this.business.name}\` has no action \`${action}\``);
    const body = JSON.stringify(wire.readJson(text), inOrder);
    const fingerprint = createHash("sha256").update(`${action} ${body}`).digest("hex");
    const taken = this.transaction((): Answer | Row => {
      const row = this.one("SELECT * FROM history WHERE service = '' AND id = ?", requestId);
      const saga = given ?? row?.saga ?? randomUUID();
      Object.assign(said, { "Saga-Id": saga, "Request-Id": requestId });
      if (row && (row.saga !== saga || row.fingerprint !== fingerprint)) {
        throw new Problem("key-reused", "this request id came before with another saga, action or body");
      }
      if (row?.answer) return { status: row.status, text: row.answer, headers: naming(row.report) };
      if (row?.state === "started") {
        throw new Problem("in-progress", "it is still running; ask again with the same request id");
      }
      if (row || this.isFenced(saga, action)) throw fenced(saga);
      return this.one(
        `INSERT INTO history (service, action, id, saga, state, fingerprint, body, context)
         VALUES ('', ?, ?, ?, 'started', ?, ?, ?) RETURNING *`,
        action, requestId, saga, fingerprint, body, JSON.stringify(context),
      )!;
    });
    return "seq" in taken ? this.run(taken, found.run, true) : taken;
  }

  #request(row: Row): Request {
    const made: string[] = [];
    const call: Request["call"] = (url, service, action, body) => {
      const name = `${service}.${action}`;
      made.push(name);
      const ordinal = made.filter((one) => one === name).length; // so the id is the same whenever this runs again
      const parts = [row.id, name, `${ordinal}`].map((part) => `${Buffer.byteLength(part)}:${part}`);
      const id = createHash("sha256").update(parts.join("")).digest("hex").slice(0, 32);
      return this.#call(row, id, url, service, action, body);
    };
    return { saga: row.saga, id: row.id, call };
  }

  /** Calls another service: written down before it is sent, and again when it is known what the answer proves. */
  async #call(row: Row, id: string, url: string, service: string, action: string, body: Body): Promise<unknown> {
    this.transaction(() => {
      // INVARIANT: no call begins after a compensation, so the answer to that tells of every call.
      if (!this.one("SELECT * FROM history WHERE seq = ? AND state = 'started'", row.seq)) throw fenced(row.saga);
      this.one(
        `INSERT INTO history (service, action, id, saga, state) VALUES (?, ?, ?, ?, 'started')
         ON CONFLICT DO UPDATE SET state = 'started' WHERE state <> 'succeeded'`,
        service, action, id, row.saga,
      );
    });
    const headers = wire.writeContext(row.saga, id, JSON.parse(row.context));
    const { state, report, text, value } = await wire.call(`${url}/${action}`, headers, JSON.stringify(body));
    const update = "UPDATE history SET state = ? WHERE service = ? AND id = ? AND state <> 'succeeded'";
    this.one(update, state, service, id);
    if (state === "succeeded") return value;
    const detail = `\`${service}.${action}\` ${state}: ${text.slice(0, 500)}`;
    throw new Failure(detail, { code: "downstream", status: 502, causedBy: report, data: { service } });
  }

  /** Runs a started request. Its effect and its History row are one transaction, or its failure and its report. */
  async run(row: Row, action: Action, reporting: boolean): Promise<Answer> {
    this.running.add(row.id); // before anything else can look
    try {
      const effect = await action(this.#request(row), JSON.parse(row.body));
      return this.transaction(() => {
        const text = JSON.stringify(effect(this.db));
        this.#end(row, "succeeded", 200, text, null);
        return { status: 200, text, headers: {} };
      });
    } catch (error) {
      if (error instanceof Problem) throw error;
      const failure = error instanceof Failure ? error : panicked(error);
      const { code, status: asked, unsure } = failure.told;
      const kind = unsure ? "effect-unknown" : "action-failed";
      const { status, text } = new Problem(kind, failure.message, asked, code).answer;
      const report = reporting ? randomUUID() : row.report;
      this.transaction(() => {
        this.#end(row, unsure ? "unknown" : "failed", status, text, report);
        if (reporting) this.#publish(row, failure, report!);
      });
      this.#wakeRelay();
      return { status, text, headers: naming(report) };
    } finally {
      this.running.delete(row.id);
    }
  }

  // INVARIANT: this stands in the transaction of the effect, and who was undone meanwhile ends no other way.
  #end(row: Row, state: string, status: number, text: string, report: string | null): void {
    const update = `UPDATE history SET state = ?, status = ?, answer = ?, report = ?
      WHERE seq = ? AND state = 'started' RETURNING *`;
    if (!this.one(update, state, status, text, report, row.seq)) throw fenced(row.saga);
  }

  /** Puts a report into the outbox. Of a long history, one entry of each kind and what may have had an effect. */
  #publish(row: Row, failure: Failure, report: string): void {
    const found = this.all(
      `SELECT seq, service, action, id, iif(service <> '' AND state = 'started', 'unknown', state) AS state
       FROM history WHERE saga = ? AND state NOT IN ('compensated', 'fenced')
       ORDER BY row_number() OVER (PARTITION BY service, action, state) > 1, state = 'failed' LIMIT 1000`,
      row.saga,
    );
    const { code, causedBy, data = {} } = failure.told;
    const told = {
      code, action: row.action, requestId: row.id, message: failure.message.slice(0, 2_000).toWellFormed(), data,
      causedBy: isName(causedBy) ? [causedBy] : [],
      history: entries(found).map((entry) => ({ service: this.business.name, ...entry })),
    };
    const headers = {
      "ce-specversion": "1.0", "ce-type": "dev.amends.report.v1", "ce-source": this.business.name, "ce-id": report,
      "ce-subject": row.saga.replaceAll("%", "%25").replaceAll('"', "%22"), "ce-time": new Date().toISOString(),
      ...JSON.parse(row.context).trace,
    };
    this.one("INSERT INTO outbox (headers, data) VALUES (?, ?)", JSON.stringify(headers), JSON.stringify(told));
  }

  /** Sends reports, in order, for as long as it takes. One that is wrong in itself waits for a person. */
  async #relay(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      const report = this.one<{ seq: number; headers: string; data: string }>(
        "SELECT * FROM outbox WHERE state = 'pending' ORDER BY seq LIMIT 1",
      );
      if (!report) {
        await new Promise<void>((resolve) => (this.#wakeRelay = resolve));
        continue;
      }
      const { seq, headers, data } = report;
      const address = `${this.#supervisor}/v1/reports`;
      const { status, text, headers: said } = await wire.post(address, JSON.parse(headers), data);
      const [taken, dead] = [[200, 202].includes(status), [400, 413, 415, 422].includes(status)];
      if (!taken) console.error(`report ${JSON.parse(headers)["ce-id"]} is not taken: ${status} ${text.slice(0, 500)}`);
      if (taken || dead) {
        this.one("UPDATE outbox SET state = ? WHERE seq = ?", taken ? "sent" : "dead", seq);
        pause = FIRST_PAUSE_MS;
      } else {
        const asked = Number(said["retry-after"] ?? 0) || 0;
        await sleep(Math.max(pause, Math.min(asked, LONGEST_RETRY_AFTER_S) * 1_000));
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** History: the requests that came, then the calls that were made. */
  show(saga: string, headers: IncomingHttpHeaders, said: Headers): Answer {
    wire.checkSignature(this.keys, headers, Buffer.alloc(0));
    if (!isName(saga)) {
      throw new Problem("invalid-request", "that is no saga id: 1 to 128 of printable ASCII without spaces");
    }
    said["Saga-Id"] = saga;
    const found = this.all("SELECT * FROM history WHERE saga = ?", saga);
    return { status: 200, text: JSON.stringify({ sagaId: saga, entries: entries(found) }), headers: {} };
  }

  view(view: string, saga: string): Answer {
    return { status: 200, text: JSON.stringify(this.business.views[view]!(this.db, saga)), headers: {} };
  }
}

/** Rows of History as others see them: the requests that came have no `service`. */
export function entries(rows: Row[]) {
  const calls = (row: Row) => Number(row.service !== "");
  return rows
    .toSorted((one, other) => calls(one) - calls(other) || one.seq - other.seq)
    .map(({ service, action, id, state }) => ({ ...(service && { service }), action, requestId: id, state }));
}

const naming = (report: string | null): Headers => (report ? { "Amends-Report": report } : {});

const fenced = (saga: string) =>
  new Problem("saga-fenced", `saga \`${saga}\` is being undone here; start a new one to try again`);

function panicked(error: unknown): Failure {
  console.error(error);
  return new Failure(`${error}`, { code: "panicked", status: 500, unsure: true });
}

const crashed = () => {
  const message = "the service stopped while it worked on this request";
  throw new Failure(message, { code: "crashed", status: 500, unsure: true });
};

/** Members in order, so that the same contents have the same fingerprint. */
const inOrder = (_key: string, value: unknown) =>
  value instanceof Object && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value;
