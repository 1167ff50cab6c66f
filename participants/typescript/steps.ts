// The supervisor's steps: `compensate`, `retry` and `notify`, each carried out once however often it is asked for.
//
// Every decision is made in one transaction with what it writes. Decides nothing about which steps there are.
import type { IncomingHttpHeaders } from "node:http";
import { type Participant, type Row, entries } from "./amends.ts";
import { type Answer, type Headers, Problem, checkSignature, isName, readJson } from "./wire.ts";

type Step = { id: string; saga: string; verb: string; action: string; outcome: string };

/** Carries out what the supervisor asks for, or says again how that ended. */
export async function step(
  at: Participant, verb: string, action: string, headers: IncomingHttpHeaders, text: Buffer, said: Headers,
): Promise<Answer> {
  checkSignature(at.keys, headers, text);
  const known = verb === "notify" ? at.business.notices : at.business.actions;
  if (!["compensate", "retry", "notify"].includes(verb) || !Object.hasOwn(known, action)) {
    throw new Problem("not-found", `\`${at.business.name}\` has no \`${action}\` to ${verb}; correct the rulebook`);
  }
  const { sagaId: saga, stepId: key, caseId, action: named, requestIds } = readJson(text);
  if (!isName(saga) || !isName(key) || !isName(caseId) || named !== `${at.business.name}.${action}`) {
    throw new Problem("invalid-request", "the body is not a step, or not the one that the path names");
  }
  said["Saga-Id"] = saga;
  if ((headers["idempotency-key"] ?? key).toString().replace(/^"|"$/g, "") !== key) {
    throw new Problem("key-reused", "`Idempotency-Key` and `stepId` must be the same");
  }
  const remember = (outcome: string) => {
    at.one("INSERT OR IGNORE INTO steps VALUES (?, ?, ?, ?, ?)", key, saga, verb, action, outcome);
    return outcome;
  };
  let done = at.transaction((): string | Problem | Row => {
    const before = at.one<Step>("SELECT * FROM steps WHERE id = ?", key);
    if (before && (before.saga !== saga || before.verb !== verb || before.action !== action)) {
      throw new Problem("key-reused", "this step asked for something else before");
    }
    if (before) return before.outcome;
    if (verb === "retry") return retry(at, saga, action, requestIds) ?? remember("retried");
    const outcome = verb === "notify" ? notify(at, saga, action) : compensate(at, saga, action);
    return outcome instanceof Problem ? outcome : remember(outcome);
  });
  if (done instanceof Problem) throw done; // refused; of the transaction, the fence is kept
  if (typeof done !== "string") {
    await runAgain(at, done);
    done = at.transaction(() => remember("retried"));
  }
  const calls = at.all("SELECT * FROM history WHERE saga = ? AND service <> '' AND state <> 'failed'", saga);
  return { status: 200, text: JSON.stringify({ outcome: done, history: entries(calls) }), headers: {} };
}

/** Undoes every request of the action in the saga and puts up the fence. A refusal leaves only the fence. */
function compensate(at: Participant, saga: string, action: string): string | Problem {
  const these = "service = '' AND saga = ? AND action = ?";
  at.one("INSERT OR IGNORE INTO fences VALUES (?, ?)", saga, action);
  const states = at.all(`SELECT * FROM history WHERE ${these}`, saga, action).map((row) => row.state);
  at.db.exec("SAVEPOINT undo");
  try {
    if (states.includes("succeeded")) at.business.actions[action]!.undo(at.db, saga);
  } catch (refusal) {
    if (!(refusal instanceof Problem)) throw refusal;
    at.db.exec("ROLLBACK TO undo");
    // What is at work can't commit any more, and nobody will know how far it came.
    at.one(`UPDATE history SET state = 'unknown' WHERE ${these} AND state = 'started'`, saga, action);
    return refusal;
  }
  const undone = "iif(state IN ('succeeded', 'compensated'), 'compensated', 'fenced')";
  at.one(`UPDATE history SET answer = NULL, state = ${undone} WHERE ${these}`, saga, action);
  if (states.includes("succeeded")) return "compensated";
  return states.includes("compensated") ? "already_compensated" : "nothing_to_compensate";
}

/** The request to run again: the latest that did not succeed, one that the step names before others. */
function retry(at: Participant, saga: string, action: string, named: unknown): Row | undefined {
  const row = at.one(
    `SELECT * FROM history WHERE service = '' AND saga = ? AND action = ?
     ORDER BY state = 'succeeded', id IN (SELECT value FROM json_each(?)) DESC, seq DESC LIMIT 1`,
    saga, action, JSON.stringify(named ?? []),
  );
  if (row?.state === "succeeded") return undefined;
  if (at.isFenced(saga, action)) {
    throw new Problem("refused", `saga \`${saga}\` is being undone here, so nothing runs again`);
  }
  if (!row) throw new Problem("not-found", `no request of \`${action}\` is known in saga \`${saga}\``);
  if (at.running.has(row.id)) throw new Problem("in-progress", "the request is still running");
  return at.one("UPDATE history SET state = 'started', answer = NULL WHERE seq = ? RETURNING *", row.seq)!;
}

/** A failure of a retry is the answer to the step, and makes no new report. */
async function runAgain(at: Participant, row: Row): Promise<void> {
  let answer: Answer;
  try {
    answer = await at.run(row, at.business.actions[row.action]!.run, false);
  } catch (error) {
    throw error instanceof Problem ? new Problem("refused", error.message) : error; // a compensation came first
  }
  if (answer.status !== 200) throw new Problem("unavailable", `it failed again: ${JSON.parse(answer.text).detail}`);
}

/** Sends a message, once per saga. */
function notify(at: Participant, saga: string, notice: string): string {
  const sent = "SELECT * FROM steps WHERE saga = ? AND verb = 'notify' AND action = ?";
  if (!at.one(sent, saga, notice)) at.business.notices[notice]!(at.db, saga);
  return "notified";
}
