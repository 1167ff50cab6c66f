// Takes reports to a broker instead of posting them: REPORTS_TO=nats://host:4222 or kafka://host:9092. Of no use
// without that. An event goes as it is (CloudEvents, structured mode) and is taken when the broker says that it has it.
import type { Producer } from "kafkajs";
import type { NatsConnection } from "nats";

const [, SCHEME = "", WHERE = ""] = /^(\w+):\/\/(.+)$/.exec(process.env.REPORTS_TO ?? "") ?? [];
const [CONNECT_MS, TAKE_MS] = [4_000, 5_000]; // both together are less than the relay holds a report for
const LIMIT = 900 << 10; // bytes that the supervisor takes from a broker
const KIND = "application/cloudevents+json";

/** The stream or topic is not there. */
class Lacking extends Error {}

/** Publishes a report of a service. The answer is as the supervisor's would be. */
export async function publish(service: string, saga: string, report: string, event: string) {
  const place = `amends.reports.${service}`; // the broker lets nobody else publish here
  const size = Buffer.byteLength(event);
  if (size > LIMIT) return answer(413, `${size} bytes, and at most ${LIMIT} go by a broker`);
  try {
    await (SCHEME === "nats" ? byNats : byKafka)(place, saga, `${service}/${report}`, event);
    return answer(202, "");
  } catch (error) {
    if (error instanceof Lacking) return answer(404, `${place}: ${error.message}`); // a person has to look
    return answer(503, `${SCHEME}://${WHERE}: ${error}`);
  }
}
const answer = (status: number, text: string) => ({ status, ok: status === 202, headers: new Headers(), text });

// ---- NATS JetStream: `npm install nats` -----------------------------------------------------------------------------
let nats: NatsConnection | undefined;

async function byNats(subject: string, _saga: string, report: string, event: string): Promise<void> {
  const { connect, headers: newHeaders } = await import("nats");
  if (!nats || nats.isClosed()) {
    // It does not connect again by itself: it is the relay that says when to try again.
    nats = await connect({ servers: WHERE, reconnect: false, timeout: CONNECT_MS });
  }
  const headers = newHeaders();
  headers.set("content-type", KIND);
  // The stream takes one that comes again soon for the same, by its id.
  const publishing = nats.jetstream().publish(subject, event, { msgID: report, headers, timeout: TAKE_MS });
  await publishing.catch((error) => {
    throw error.code === "503" ? new Lacking("no stream holds it; `amends nats init` makes one") : error;
  });
}

// ---- Apache Kafka: `npm install kafkajs` ----------------------------------------------------------------------------
let kafka: Promise<Producer> | undefined;

async function byKafka(topic: string, saga: string, _report: string, event: string): Promise<void> {
  const { Kafka, Partitioners, logLevel } = await import("kafkajs");
  kafka ??= (async () => {
    const retry = { retries: 1 }; // the rest is the relay's
    const client = new Kafka({ brokers: [WHERE], connectionTimeout: CONNECT_MS, logLevel: logLevel.NOTHING, retry });
    const createPartitioner = Partitioners.DefaultPartitioner;
    const producer = client.producer({ allowAutoTopicCreation: false, createPartitioner, retry });
    await producer.connect();
    return producer;
  })();
  try {
    const messages = [{ key: saga, value: event, headers: { "content-type": KIND } }];
    await (await kafka).send({ topic, acks: -1, timeout: TAKE_MS, messages });
  } catch (error) {
    const ended = kafka;
    kafka = undefined; // the next try begins with a connection of its own
    void ended.then((producer) => producer.disconnect()).catch(() => undefined);
    const { type, cause } = error as { type?: string; cause?: { type?: string } };
    const isLacking = [type, cause?.type].includes("UNKNOWN_TOPIC_OR_PARTITION");
    throw isLacking ? new Lacking("there is no such topic") : error;
  }
}

if (SCHEME !== "nats" && SCHEME !== "kafka") throw new Error("REPORTS_TO is nats://host:port or kafka://host:port");
