// The coupon service: a coupon is used once. This is the business alone; what it owes the pattern is in amends.ts.
//
// Settings are environment variables: COUPON_LISTEN, COUPON_DATABASE, SUPERVISOR_URL, PRINTER_URL, and SIGNING_KEYS
// with one or (while a key is replaced) two keys as the supervisor has them.
import type { DatabaseSync } from "node:sqlite";
import { type Body, type Effect, Failure, Participant, type Request } from "./amends.ts";
import { Problem, serve } from "./wire.ts";

const {
  COUPON_LISTEN = "127.0.0.1:7103",
  COUPON_DATABASE = "coupon.sqlite",
  SUPERVISOR_URL = "http://127.0.0.1:7100",
  PRINTER_URL = "http://127.0.0.1:7199",
  SIGNING_KEYS = "",
} = process.env;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS redeemed (coupon TEXT PRIMARY KEY, saga TEXT NOT NULL, cash INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ordered (request TEXT PRIMARY KEY, saga TEXT NOT NULL, copies INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS texts (saga TEXT NOT NULL, text TEXT NOT NULL);
`;

/** Uses a coupon. What is returned runs in the transaction of the History row. */
function redeem(request: Request, { coupon, cash }: Body): Effect {
  if (typeof coupon !== "string") throw new Failure("`coupon` is missing", { code: "no-coupon", status: 400 });
  return (db) => {
    const insert = db.prepare("INSERT OR IGNORE INTO redeemed VALUES (?, ?, ?)");
    const { changes } = insert.run(coupon, request.saga, Number(cash === true));
    if (changes === 0) throw new Failure(`coupon \`${coupon}\` is used`, { code: "used", data: { coupon } });
    return { redeemed: coupon };
  };
}

/** Undoes `redeem`, in the transaction that puts up the fence. */
function restore(db: DatabaseSync, saga: string): void {
  if (db.prepare("SELECT 1 FROM redeemed WHERE saga = ? AND cash").get(saga)) {
    throw new Problem("refused", "the coupon was paid out in cash; ask the customer for it");
  }
  db.prepare("DELETE FROM redeemed WHERE saga = ?").run(saga);
}

/** Orders printed coupons. Calls come first, and no transaction is open meanwhile. */
async function order(request: Request, { copies }: Body): Promise<Effect> {
  if (typeof copies !== "number") throw new Failure("`copies` is not a number", { code: "no-copies", status: 400 });
  const printed = await request.call(PRINTER_URL, "printer", "print", { copies });
  return (db) => {
    db.prepare("INSERT INTO ordered VALUES (?, ?, ?)").run(request.id, request.saga, copies);
    return { ordered: copies, printed };
  };
}

function cancel(db: DatabaseSync, saga: string): void {
  db.prepare("DELETE FROM ordered WHERE saga = ?").run(saga);
}

function sendApology(db: DatabaseSync, saga: string): void {
  db.prepare("INSERT INTO texts VALUES (?, 'Your coupon could not be used. Sorry!')").run(saga);
}

const count = (table: string) => (db: DatabaseSync, saga: string) =>
  db.prepare(`SELECT count(*) AS count FROM ${table} WHERE saga = ?`).get(saga);

const coupon = {
  name: "coupon",
  schema: SCHEMA,
  actions: { redeem: { run: redeem, undo: restore }, order: { run: order, undo: cancel } },
  notices: { "send-apology": sendApology },
  views: { redeemed: count("redeemed"), ordered: count("ordered"), texts: count("texts") },
};
const keys = SIGNING_KEYS.split(" ").filter((key) => key !== "");
const participant = new Participant(coupon, COUPON_DATABASE, SUPERVISOR_URL, keys);
await participant.start();
serve(COUPON_LISTEN, participant);
