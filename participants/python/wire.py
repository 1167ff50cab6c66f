"""The wire: HTTP in and out, problems, the saga context, signatures, and what an answer proves.

Decides nothing about requests (see amends.py). Follows no redirect and uses no proxy, so that a call goes where it is
meant to go.
"""

import base64, hmac, json, re, time, traceback, uuid
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

BODY_LIMIT = 1 << 20  # bytes; a request is kept whole in History, what is larger belongs behind a link
CLOCK_TOLERANCE_S = 300  # what the Standard Webhooks libraries use
CALL_LIMIT_S = 5  # for a call with its repetitions; the caller's caller waits as well
CALL_PAUSE_S = 0.05  # before a call is repeated that the other service is still working on
BAGGAGE_LIMIT = 64  # members that are passed on; W3C asks for as many

NAME = re.compile(r"[!-~]{1,128}")  # a saga id, request id, report id or step id
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

PROBLEM = "https://amends.dev/problems/"
STATUS = {"invalid-request": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "in-progress": 409,
          "saga-fenced": 409, "too-large": 413, "key-reused": 422, "refused": 422, "action-failed": 422,
          "effect-unknown": 500, "internal": 500, "unavailable": 503}


class Problem(Exception):
    """An answer that is no success (RFC 9457). Raised within a transaction, it rolls that back."""

    def __init__(self, kind, detail, status=None, code=None, headers=None):
        super().__init__(detail)
        passes = kind in ("in-progress", "unavailable")
        self.status = status or STATUS[kind]
        self.headers = headers or ({"Retry-After": "1"} if passes else {})
        self.body = json.dumps({"type": PROBLEM + kind, "title": kind.replace("-", " "), "status": self.status,
                                "detail": detail, "code": code or kind, "retryable": passes})


def read_json(text):
    """The body of a request: always an object."""
    body = parsed(text)
    if not isinstance(body, dict):
        raise Problem("invalid-request", "the body is not a JSON object")
    return body


def read_context(headers):
    """Saga, request id, and what every call passes on. A malformed saga is refused: a new one would cut the link."""
    members = [member.strip() for member in ",".join(headers.get_all("baggage", [])).split(",")]
    ours = [member for member in members if member.partition("=")[0].strip() == "saga-id"]
    others = [member for member in members if member and member not in ours][:BAGGAGE_LIMIT]
    saga = headers.get("saga-id")  # wins over baggage, which intermediaries may change
    if saga is None and ours:
        saga = unquote(ours[0].partition("=")[2].partition(";")[0].strip())
    request_id = headers.get("request-id", str(uuid.uuid4()))
    if not NAME.fullmatch(request_id) or (saga is not None and not NAME.fullmatch(saga)):
        raise Problem("invalid-request", "`Saga-Id` and `Request-Id` are 1 to 128 of printable ASCII without spaces")
    trace = {}
    if TRACE.match(headers.get("traceparent", "")):
        trace = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    return saga, request_id, {"trace": trace, "baggage": others}


def write_context(saga, request_id, context):
    """The headers of a call to another service."""
    baggage = ",".join(["saga-id=" + quote(saga, safe=""), *context["baggage"]])
    return {"Saga-Id": saga, "Request-Id": request_id, "baggage": baggage, **context["trace"]}


def check_signature(keys, headers, body):
    """Standard Webhooks: one of our keys signed these bytes, lately. Without keys nothing is checked."""
    if not keys:
        return
    sent_id, sent_at, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not re.fullmatch("[0-9]{1,15}", sent_at) or abs(time.time() - int(sent_at)) > CLOCK_TOLERANCE_S:
        raise Problem("unauthorized", "`webhook-timestamp` is missing or too far off; check both clocks")
    signed = f"{sent_id}.{sent_at}.".encode() + body
    for key in keys:
        expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
        if any(hmac.compare_digest(expected, one.encode()) for one in given.split()):
            return
    raise Problem("unauthorized", "no signature of this request is from an accepted key")


def post(url, headers, body, limit_s=10):
    """One POST: status, headers, text. Status 0 if no whole answer came; the request may have come all the same."""
    to = urlsplit(url)
    connection = (HTTPSConnection if to.scheme == "https" else HTTPConnection)(to.netloc, timeout=limit_s)
    try:
        connection.request("POST", to.path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read(BODY_LIMIT)
        if answer.length:
            raise OSError("the answer broke off, or is too long")
        return answer.status, answer.headers, text.decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, Message(), f"no answer: {error!r}"
    finally:
        connection.close()


def call(url, headers, body):
    """Calls another service, and again while that is still at it. Gives what the answer proves, the reports that it
    names, its text, and that as JSON."""
    deadline = time.monotonic() + CALL_LIMIT_S
    while True:
        status, said, text = post(url, headers, body, max(deadline - time.monotonic(), CALL_PAUSE_S))
        value = parsed(text)
        kind = problem_kind(said, value)
        if kind != "in-progress" or time.monotonic() + CALL_PAUSE_S > deadline:
            return proves(status, kind), said.get_all("Amends-Report", []), text, value
        time.sleep(CALL_PAUSE_S)


def parsed(text):
    """JSON, or None. What Python reads and others don't (half characters, numbers without end) counts as none."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return value
    except (ValueError, RecursionError):
        return None


def problem_kind(said, value):
    """Which of our problems an answer is, if it is one."""
    is_problem = said.get_content_type() == "application/problem+json" and isinstance(value, dict)
    kind = str(value.get("type")).removeprefix(PROBLEM) if is_problem else None
    return kind if kind in STATUS else None


def proves(status, kind):
    """Whether the other service did it. Gateways and frameworks answer 5xx too, and know nothing of what it did."""
    if 200 <= status < 300:
        return "succeeded"
    if kind in ("in-progress", "internal", "effect-unknown"):
        return "unknown"
    return "failed" if kind or (400 <= status < 500 and status != 408) else "unknown"


class Door(BaseHTTPRequestHandler):
    """Which path is whose, and how answers are written."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out in two writes
    timeout = 60  # seconds that a connection may be idle
    participant, step = None, None  # who answers, and how a step is carried out

    def route(self, body, said):
        """The method that a path takes, and its work."""
        at = self.participant
        match [unquote(part) for part in self.path.partition("?")[0].split("/")[1:]]:
            case ["amends", "v1", "history", saga]:
                return "GET", lambda: at.show(saga, self.headers, said)
            case ["amends", "v1", verb, action]:
                return "POST", lambda: self.step(at, verb, action, self.headers, body, said)
            case [view, saga] if view in at.views:
                return "GET", lambda: at.view(view, saga)
            case [action]:
                return "POST", lambda: at.forward(action, self.headers, body, said)
        raise Problem("not-found", f"there is no `{self.path}`")

    def read_body(self):
        length = self.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,15}", length) or "transfer-encoding" in self.headers:
            self.close_connection = True
            raise Problem("invalid-request", "send the body with its `Content-Length`")
        if int(length) > BODY_LIMIT:
            # Who is still sending would not read an answer; to read ever so much for that is not worth it.
            self.rfile.read(min(int(length), 4 * BODY_LIMIT))
            self.close_connection = True
            raise Problem("too-large", f"a body may have {BODY_LIMIT} bytes")
        return self.rfile.read(int(length))

    def handle_request(self):
        said = {}  # headers of the answer, whichever it will be
        try:
            body = self.read_body()
            method, work = self.route(body, said)
            if self.command != method:
                raise Problem("method-not-allowed", f"this takes {method}", headers={"Allow": method})
            status, text, headers = work()
        except Problem as problem:
            status, text, headers = problem.status, problem.body, problem.headers
        except Exception:
            traceback.print_exc()
            problem = Problem("internal", "the service failed; its log has more")
            status, text, headers = problem.status, problem.body, problem.headers
        self.send_response(status)
        said |= headers
        said["Content-Type"] = "application/json" if status < 300 else "application/problem+json"
        said["Content-Length"] = str(len(text.encode()))
        for name, value in said.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def log_message(self, *_):
        """Not a line for each request; what fails is told by whoever fails."""


class Server(ThreadingHTTPServer):
    """A thread for each connection; how many there may be is for the proxy before it to say."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait to be taken


def serve(listen, participant, step):
    """Serves until it is killed, which may happen at any time. Port 0 takes a free one; the first line tells which."""
    host, _, port = listen.rpartition(":")
    Door.participant, Door.step = participant, staticmethod(step)
    server = Server((host, int(port)), Door)
    print(f"{participant.name} listens on http://{host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
