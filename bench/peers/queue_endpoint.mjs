// The queue endpoint of the benchmarks: fauxqs on loopback, filled and asked over stdin.
//
// `queue_arena.py` starts it. One JSON command a line comes in, one JSON answer a line goes out;
// the end of stdin stops it. Filling and asking go past HTTP, so that they disturb nobody, and a
// hook counts the calls of each kind.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const [root, port] = process.argv.slice(2);
const { buildApp } = await import(`${root}/app.js`);
const { SqsStore } = await import(`${root}/sqs/sqsStore.js`);
const { SnsStore } = await import(`${root}/sns/snsStore.js`);
const { S3Store } = await import(`${root}/s3/s3Store.js`);

const store = new SqsStore();
const app = buildApp({
  logger: false,
  host: undefined,
  stores: { sqsStore: store, snsStore: new SnsStore(), s3Store: new S3Store() },
});
let calls = {};
app.addHook("onRequest", (request, _reply, done) => {
  const target = request.headers["x-amz-target"] ?? "other";
  calls[target] = (calls[target] ?? 0) + 1;
  done();
});

const find = (name) => store.queuesByName.get(name);
const state = (message, hidden) => ({
  body: message.body,
  attributes: message.messageAttributes,
  hidden,
});

const commands = {
  create({ name, attributes }) {
    const url = `http://127.0.0.1:${port}/000000000000/${name}`;
    store.createQueue(name, url, `arn:aws:sqs:us-east-1:000000000000:${name}`, attributes ?? {});
    return { url };
  },
  drop({ name }) {
    const queue = find(name);
    if (queue) store.deleteQueue(queue.url);
    return {};
  },
  fill({ name, path }) {
    const queue = find(name);
    const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
    for (const line of lines) {
      const { body, attributes } = JSON.parse(line);
      queue.enqueue(SqsStore.createMessage(body, attributes ?? {}));
    }
    return { filled: lines.length };
  },
  depth({ name }) {
    const queue = find(name);
    queue.processTimers();
    return {
      visible: queue.messages.length,
      hidden: queue.inflightMessages.size,
      delayed: queue.delayedMessages.length,
    };
  },
  left({ name }) {
    const { ready, delayed, inflight } = find(name).inspectMessages();
    const hidden = inflight.map((entry) => state(entry.message, true));
    return { messages: [...ready, ...delayed].map((one) => state(one, false)).concat(hidden) };
  },
  show({ name }) {
    // What a framework has stored of a message, so that many like it can be made.
    return { messages: find(name).inspectMessages().ready.map((one) => state(one, false)) };
  },
  calls() {
    const counted = calls;
    calls = {};
    return { calls: counted };
  },
};

await app.listen({ port: Number(port), host: "127.0.0.1" });
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    say(commands[command.do](command));
  } catch (error) {
    say({ error: String(error.stack) });
  }
}
process.exit(0);
