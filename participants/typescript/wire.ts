// The wire: HTTP in and out, problems, the saga context, signatures, and what an answer proves.
//
// Decides nothing about requests (see amends.ts). Follows no redirect, so that a call goes where it is meant to go.
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Context, Participant } from "./amends.ts";
import { step } from "./steps.ts";

const BODY_LIMIT = 1 << 20; // bytes; a request is kept whole in History, what is larger belongs behind a link
const CLOCK_TOLERANCE_S = 300; // what the Standard Webhooks libraries use
const CALL_LIMIT_MS = 5_000; // for a call with its repetitions; the caller's caller waits as well
const CALL_PAUSE_MS = 50; // before a call is repeated that the other service is still working on
const BAGGAGE_LIMIT = 64; // members that are passed on; W3C asks for as many
const TRACE = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/;
const PROBLEM = "https://amends.dev/problems/";
const STATUS = {
  "invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
  "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422,
  "effect-unknown": 500, "internal": 500, "unavailable": 503,
};

export type Kind = keyof typeof STATUS;
export type Headers = Record<string, string>;
export type Answer = { status: number; text: string; headers: Headers };

/** A saga id, request id, report id or step id. */
export const isName = (text: unknown): text is string => typeof text === "string" && /^[!-~]{1,128}$/.test(text);

/** An answer that is no success (RFC 9457). Thrown within a transaction, it rolls that back. */
export class Problem extends Error {
  readonly answer: Answer;

  constructor(kind: Kind, detail: string, status: number = STATUS[kind], code: string = kind, headers: Headers = {}) {
    super(detail);
    const retryable = kind === "in-progress" || kind === "unavailable";
    const title = kind.replaceAll("-", " ");
    const text = JSON.stringify({ type: PROBLEM + kind, title, status, detail, code, retryable });
    this.answer = { status, text, headers: retryable ? { "Retry-After": "1" } : headers };
  }
}

/** The body of a request: always an object. */
export function readJson(text: Buffer): Record<string, unknown> {
  const body = parsed(text.toString());
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Problem("invalid-request", "the body is not a JSON object");
  }
  return body as Record<string, unknown>;
}

/** Saga, request id, and what every call passes on. A malformed saga is refused: a new one would cut the link. */
export function readContext(headers: IncomingHttpHeaders): { saga?: string; requestId: string; context: Context } {
  const one = (name: string) => headers[name]?.toString();
  const members = (one("baggage") ?? "").split(",").map((member) => member.trim()).filter((member) => member !== "");
  const isOurs = (member: string) => member.split("=")[0]!.trim() === "saga-id";
  const ours = members.find(isOurs)?.replace(/^[^=]*=/, "").split(";")[0]!.trim();
  const saga = one("saga-id") ?? (ours && decoded(ours)); // the header wins: intermediaries may change baggage
  const requestId = one("request-id") ?? randomUUID();
  if (!isName(requestId) || (saga !== undefined && !isName(saga))) {
    throw new Problem("invalid-request", "`Saga-Id` and `Request-Id` are 1 to 128 of printable ASCII without spaces");
  }
  const trace: Headers = {};
  for (const name of TRACE.test(one("traceparent") ?? "") ? ["traceparent", "tracestate"] : []) {
    if (one(name)) trace[name] = one(name)!;
  }
  const baggage = members.filter((member) => !isOurs(member)).slice(0, BAGGAGE_LIMIT);
  return { ...(saga !== undefined && { saga }), requestId, context: { trace, baggage } };
}

/** The headers of a call to another service. */
export function writeContext(saga: string, requestId: string, context: Context): Headers {
  const baggage = [`saga-id=${encodeURIComponent(saga)}`, ...context.baggage].join(",");
  return { "Saga-Id": saga, "Request-Id": requestId, baggage, ...context.trace };
}

/** Standard Webhooks: one of our keys signed these bytes, lately. Without keys nothing is checked. */
export function checkSignature(keys: Buffer[], headers: IncomingHttpHeaders, body: Buffer): void {
  if (keys.length === 0) return;
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`]?.toString() ?? "");
  if (!/^[0-9]{1,15}$/.test(at!) || Math.abs(Date.now() / 1_000 - Number(at)) > CLOCK_TOLERANCE_S) {
    throw new Problem("unauthorized", "`webhook-timestamp` is missing or too far off; check both clocks");
  }
  const fits = keys.some((key) => {
    const mac = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
    const expected = Buffer.from(`v1,${mac}`);
    const same = (one: Buffer) => one.length === expected.length && timingSafeEqual(one, expected);
    return given!.split(" ").some((one) => same(Buffer.from(one)));
  });
  if (!fits) throw new Problem("unauthorized", "no signature of this request is from an accepted key");
}

/** One POST. The status is 0 if no whole answer came; the request may have come all the same. */
export async function post(url: string, headers: Headers, body: string, limitMs = 10_000): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(Math.ceil(limitMs));
    headers = { "Content-Type": "application/json", ...headers };
    const answer = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    let text = "";
    for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      if ((text += piece).length > BODY_LIMIT) throw new Error("the answer is too long");
    }
    return { status: answer.status, text, headers: Object.fromEntries(answer.headers) };
  } catch (error) {
    return { status: 0, text: `no answer: ${(error as Error).cause ?? error}`, headers: {} };
  }
}

/** Calls another service, and again while that is still at it. */
export async function call(url: string, headers: Headers, body: string) {
  const deadline = Date.now() + CALL_LIMIT_MS;
  for (;;) {
    const answer = await post(url, headers, body, Math.max(deadline - Date.now(), CALL_PAUSE_MS));
    const value = parsed(answer.text);
    const kind = problemKind(answer, value);
    if (kind !== "in-progress" || Date.now() + CALL_PAUSE_MS > deadline) {
      const { status, headers, text } = answer;
      return { state: proves(status, kind), report: headers["amends-report"], text, value };
    }
    await sleep(CALL_PAUSE_MS);
  }
}

/** Which of our problems an answer is, if it is one. */
function problemKind({ headers }: Answer, value: unknown): Kind | undefined {
  const type = (value as { type?: unknown } | null)?.type;
  const isProblem = headers["content-type"]?.toLowerCase().startsWith("application/problem+json");
  const kind = isProblem && typeof type === "string" ? type.replace(PROBLEM, "") : "";
  return Object.hasOwn(STATUS, kind) ? (kind as Kind) : undefined;
}

/** JSON, or null. What JavaScript reads and others don't (half characters) counts as none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text, (_key, value) => (typeof value === "string" ? whole(value) : value));
  } catch {
    return null;
  }
}

function whole(text: string): string {
  if (!text.isWellFormed()) throw new Error("half a character");
  return text;
}

/** Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did. */
function proves(status: number, kind?: Kind): "succeeded" | "failed" | "unknown" {
  if (status >= 200 && status < 300) return "succeeded";
  if (kind === "in-progress" || kind === "internal" || kind === "effect-unknown") return "unknown";
  return kind || (status >= 400 && status < 500 && status !== 408) ? "failed" : "unknown";
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return ""; // no name of anything, and refused as such
  }
}

/** Which path is whose: the method that it takes, and its work. */
function route(at: Participant, path: string, headers: IncomingHttpHeaders, body: Buffer, said: Headers) {
  const [first = "", second, third, fourth, ...more] = path.split("?")[0]!.split("/").slice(1).map(decoded);
  const get = (work: () => Answer) => ({ method: "GET", work });
  const take = (work: () => Promise<Answer>) => ({ method: "POST", work });
  if (first === "amends" && second === "v1" && third && fourth !== undefined && more.length === 0) {
    if (third === "history") return get(() => at.show(fourth, headers, said));
    return take(() => step(at, third, fourth, headers, body, said));
  }
  if (second !== undefined && third === undefined && Object.hasOwn(at.business.views, first)) {
    return get(() => at.view(first, second));
  }
  if (second === undefined) return take(() => at.forward(first, headers, body, said));
  throw new Problem("not-found", `there is no \`${path}\``);
}

async function answerTo(at: Participant, request: IncomingMessage, said: Headers): Promise<Answer> {
  try {
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of request) {
      size += piece.length; // what is too much is read and dropped: who is still sending would not read an answer
      if (size <= BODY_LIMIT) pieces.push(piece);
    }
    if (size > BODY_LIMIT) throw new Problem("too-large", `a body may have ${BODY_LIMIT} bytes`);
    const { method, work } = route(at, request.url ?? "/", request.headers, Buffer.concat(pieces), said);
    if (request.method !== method) {
      throw new Problem("method-not-allowed", `this takes ${method}`, 405, "method-not-allowed", { Allow: method });
    }
    return await work();
  } catch (error) {
    if (error instanceof Problem) return error.answer;
    console.error(error);
    return new Problem("internal", "the service failed; its log has more").answer;
  }
}

/** Serves until it is killed, which may happen at any time. Port 0 takes a free one; the first line tells which. */
export function serve(listen: string, at: Participant): void {
  const server = createServer(async (request, response) => {
    const said: Headers = {}; // headers of the answer, whichever it will be
    const { status, text, headers } = await answerTo(at, request, said);
    const about = {
      "Content-Type": status < 300 ? "application/json" : "application/problem+json",
      "Content-Length": Buffer.byteLength(text),
    };
    response.writeHead(status, { ...said, ...headers, ...about }).end(text);
  });
  const [host, port] = [listen.replace(/:[0-9]+$/, ""), Number(listen.split(":").at(-1))];
  server.listen(port, host, () => {
    console.log(`${at.business.name} listens on http://${host}:${(server.address() as AddressInfo).port}`);
  });
}
