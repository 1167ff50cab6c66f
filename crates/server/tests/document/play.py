"""Plays exchanges with the client that was generated from the API's document.

    play.py CLIENT DOCUMENT EXCHANGES [URL]

CLIENT is the folder of the generated package `amends_client`, EXCHANGES a JSON list of requests: `line`, `method`,
`target`, `headers`, `body`. One with an `answer` (`status`, `headers`, `body`) took place before: the client must make the
same request and understand that answer. All others are sent to URL. Whatever the generated types can't hold or would
lose, and whatever status the document does not name, is an error.
"""

import datetime
import enum
import importlib
import inspect
import json
import pathlib
import re
import sys
import typing
import uuid
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

client_folder, document_file, exchanges_file, *url = sys.argv[1:]
sys.path.insert(0, client_folder)
from amends_client import Client  # noqa: E402
from amends_client.types import Unset  # noqa: E402

DOCUMENT = json.loads(pathlib.Path(document_file).read_text())


def hint_of(name, hints):
    """The name that a parameter has in Python; one that Python has itself gets a `_`."""
    plain_name = snake(name)
    return plain_name if plain_name in hints else plain_name + "_"


def same(made, told):
    """Whether two values of JSON say the same: a moment may be written in several ways."""
    if isinstance(made, dict) and isinstance(told, dict):
        return made.keys() == told.keys() and all(same(made[name], told[name]) for name in made)
    if isinstance(made, list) and isinstance(told, list):
        return len(made) == len(told) and all(map(same, made, told))
    return made == told or (moment(made) is not None and moment(made) == moment(told))


def moment(value):
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT", value):
        return None
    return datetime.datetime.fromisoformat(value)


def snake(name):
    """A name as the generator writes it in Python: `beginSaga` and `Amends-Actor` alike."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def operation_of(method, path):
    """The operation of the document that a request is for, with what is in its path."""
    for template, item in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
        found = re.fullmatch(pattern, path)
        if found and method.lower() in item:
            return item[method.lower()], {name: unquote(text) for name, text in found.groupdict().items()}
    raise LookupError(f"no operation of the document is for {method} {path}")


def alternatives(hint):
    """The types of a union, flat."""
    parts = typing.get_args(hint) if typing.get_origin(hint) not in (None, list) else ()
    return [each for part in parts for each in alternatives(part)] if parts else [hint]


def typed(value, hint):
    """A value of JSON as the first generated type that holds all of it."""
    problems = []
    for kind in alternatives(hint):
        if kind in (Unset, type(None)):
            continue
        try:
            made = made_of(value, kind)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{kind}: {type(error).__name__} {error}")
            continue
        if same(plain(made), value):
            return made
        problems.append(f"{kind} makes {plain(made)} of it")
    raise ValueError(f"no generated type holds {value!r}: {'; '.join(problems)}")


def made_of(value, kind):
    if typing.get_origin(kind) is list:
        return [typed(item, typing.get_args(kind)[0]) for item in value]
    if hasattr(kind, "from_dict"):
        return kind.from_dict(value)
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return kind(value)
    if kind is datetime.datetime:
        return datetime.datetime.fromisoformat(value)
    return kind(value)


def plain(value):
    """What the generated types write as JSON."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.value if isinstance(value, enum.Enum) else value


def arguments(operation, in_path, query, headers, body, hints):
    """What the generated function takes, made of a request as it is written."""
    given = {}
    for parameter in operation.get("parameters", []):
        name = parameter["name"]
        here = {"path": list(in_path.items()), "query": query, "header": headers}[parameter["in"]]
        values = [value for key, value in here if key.lower() == name.lower()]
        if not values:
            continue
        if parameter["schema"].get("type") == "array":
            values = [[word for value in values for word in value.split(",")]]
        elif parameter["schema"].get("type") == "integer":
            values = [int(values[0])]
        given[hint_of(name, hints)] = typed(values[0], hints[hint_of(name, hints)])
    if body is not None:
        given["body"] = typed(body, hints["body"])
    return given


def play(exchange, client):
    split = urlsplit(exchange["target"])
    operation, in_path = operation_of(exchange["method"], split.path)
    module = importlib.import_module(
        f"amends_client.api.{operation['tags'][0]}.{snake(operation['operationId'])}"
    )
    make = module._get_kwargs
    hints = typing.get_type_hints(make, vars(module))
    headers = [(name, value) for name, value in exchange["headers"].items()]
    body = json.loads(exchange["body"]) if exchange["body"] else None
    query = parse_qsl(split.query, keep_blank_values=True)
    was_wrong = exchange.get("answer", {}).get("status") == 400
    try:
        request = make(**arguments(operation, in_path, query, headers, body, hints))
    except ValueError:
        # What the page shows as malformed no typed client can send; how it is refused still has to be understood.
        if not was_wrong:
            raise
        request = {"json": body, "headers": {}}
    if not same(request.get("json"), body):
        raise ValueError(f"the client sends {request.get('json')} in place of {body}")
    sent_as = dict((name.lower(), value) for name, value in headers).get("content-type")
    if body is not None and sent_as and "cloudevents" in sent_as:
        # A generated client sends the first content type whose schema fits.
        request["headers"]["Content-Type"] = sent_as
    if "answer" in exchange:
        shown = exchange["answer"]
        content = json.dumps(shown["body"]).encode() if shown["body"] is not None else b""
        answer = httpx.Response(shown["status"], headers=shown["headers"], content=content)
    else:
        answer = client.get_httpx_client().request(**request)
    parsed = module._build_response(client=client, response=answer).parsed
    if answer.headers.get("content-type", "").split(";")[0] in ("application/json", "application/problem+json"):
        told = answer.json()
        if not same(plain(parsed), told):
            raise ValueError(f"the client reads {plain(parsed)} where the answer is {told}")
    return answer.status_code


def main():
    exchanges = json.loads(pathlib.Path(exchanges_file).read_text())
    client = Client(base_url=url[0] if url else "http://nobody.invalid", raise_on_unexpected_status=True)
    failed = 0
    for exchange in exchanges:
        what = f"line {exchange['line']}: {exchange['method']} {exchange['target']}"
        try:
            print(f"{what}: {play(exchange, client)}")
        except Exception as error:  # noqa: BLE001: whatever it is, the exchange did not fit
            failed += 1
            print(f"{what}: FAILED, {type(error).__name__}: {error}"[:2000])
    print(f"{len(exchanges)} exchanges played, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
