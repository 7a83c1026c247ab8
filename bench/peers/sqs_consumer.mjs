// Node's sqs-consumer: ten consumers, batches of ten, no dedupe.
//
// Node has no shared memory with files, so effects are kept and written at the end, or at once
// where a handler takes its time anyway (`BENCH_HANDLER_S`) or is going to be killed.
import { openSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.BENCH_NODE_HOME}/package.json`);
const { SQSClient } = require("@aws-sdk/client-sqs");
const { Consumer } = await import(require.resolve("sqs-consumer"));

const messages = Number(process.env.BENCH_MESSAGES);
const handlerMs = Number(process.env.BENCH_HANDLER_S ?? "0") * 1000;
const atOnce = handlerMs > 0 || process.env.BENCH_MODE === "kill";
const file = openSync(process.env.BENCH_EFFECTS, "r+");
const counts = new Uint8Array(2 * messages);
readSync(file, counts, 0, counts.length, 0);

function mark(at) {
  counts[at] += 1;
  if (atOnce) writeSync(file, counts, at, 1, at);
}

async function handle(message) {
  const at = message.Body.indexOf("account-") + "account-".length;
  const number = Number(message.Body.slice(at, at + 7));
  mark(number);
  if (handlerMs) await new Promise((done) => setTimeout(done, handlerMs));
  mark(messages + number);
}

const sqs = new SQSClient({ region: process.env.AWS_REGION });
const consumers = Array.from({ length: 10 }, () =>
  Consumer.create({
    queueUrl: process.env.BENCH_QUEUE_URL,
    sqs,
    batchSize: 10,
    waitTimeSeconds: 20,
    pollingCompleteWaitTimeMs: 25_000,
    handleMessageBatch: async (batch) => {
      for (const message of batch) await handle(message);
      return batch;
    },
  }),
);
for (const consumer of consumers) {
  consumer.on("error", (error) => console.error(error.message));
  consumer.on("processing_error", (error) => console.error(error.message));
  consumer.start();
}
process.on("SIGTERM", async () => {
  await Promise.all(
    consumers.map((consumer) => {
      const stopped = new Promise((done) => consumer.once("stopped", done));
      consumer.stop({ abort: true });
      return stopped;
    }),
  );
  if (!atOnce) writeSync(file, counts, 0, counts.length, 0);
  process.exit(0);
});
