"""Takes reports to a broker instead of posting them: REPORTS_TO=nats://host:4222 or kafka://host:9092. Of no use
without that. An event goes as it is (CloudEvents, structured mode) and is taken when the broker says that it has it."""
import asyncio, os

SCHEME, _, WHERE = os.environ.get("REPORTS_TO", "").partition("://")
CONNECT_S, TAKE_S = 4, 5  # both together are less than the relay holds a report for
LIMIT = 900 << 10  # bytes that the supervisor takes from a broker
HEADERS = {"content-type": "application/cloudevents+json"}

async def publish(service, saga, report, event):
    """Publishes a report of a service. The answer is as the supervisor's would be: a status, headers, a text."""
    place = f"amends.reports.{service}"  # the broker lets nobody else publish here
    if len(event.encode()) > LIMIT: return 413, {}, f"{len(event.encode())} bytes, and at most {LIMIT} go by a broker"
    try:
        await BROKERS[SCHEME](place, saga, f"{service}/{report}", event.encode())
        return 202, {}, ""
    except Lacking as error:
        return 404, {}, f"{place}: {error}"  # a person has to look
    except Exception as error:
        return 503, {}, f"{SCHEME}://{WHERE}: {error!r}"

class Lacking(Exception):
    """The stream or topic is not there, or we may not publish on it."""

# ---- NATS JetStream: `pip install nats-py` ---------------------------------------------------------------------------
NATS, CONNECTING = [], asyncio.Lock()

async def by_nats(subject, saga, report, event):
    import nats, nats.js.errors
    async with CONNECTING:
        if not (NATS and NATS[0].is_connected):
            # Once: it is the relay that says when to try again, and tells what is wrong.
            NATS[:] = [await nats.connect(f"nats://{WHERE}", allow_reconnect=False, max_reconnect_attempts=1,
                                          reconnect_time_wait=0, connect_timeout=CONNECT_S, error_cb=told_by_the_relay)]
    try:
        # The stream takes one that comes again soon for the same, by its id.
        headers = HEADERS | {"Nats-Msg-Id": report}
        await NATS[0].jetstream().publish(subject, event, timeout=TAKE_S, headers=headers)
    except nats.js.errors.NoStreamResponseError:
        raise Lacking("no stream holds it; `amends nats init` makes one") from None

# ---- Apache Kafka: `pip install confluent-kafka` ---------------------------------------------------------------------
KAFKA = []

async def by_kafka(topic, saga, report, event):
    from confluent_kafka import KafkaError, Producer
    if not KAFKA:
        KAFKA.append(Producer({"bootstrap.servers": WHERE, "acks": "all", "enable.idempotence": True, "linger.ms": 0,
                               "partitioner": "murmur2_random", "message.timeout.ms": TAKE_S * 1000,
                               "allow.auto.create.topics": False, "topic.metadata.propagation.max.ms": 3000}))
    def send():  # the library has threads of its own, and waits
        said = []
        KAFKA[0].produce(topic, event, saga, headers=HEADERS, on_delivery=lambda error, _: said.append(error))
        KAFKA[0].flush(CONNECT_S + TAKE_S)
        return said[0] if said else "no answer"
    error = await asyncio.to_thread(send)
    lacking = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    if isinstance(error, KafkaError) and error.code() in lacking: raise Lacking(error.str())
    if error: raise RuntimeError(error)

async def told_by_the_relay(_error): pass

BROKERS = {"nats": by_nats, "kafka": by_kafka}
if SCHEME not in BROKERS: raise SystemExit("REPORTS_TO: it is nats://host:port or kafka://host:port")
