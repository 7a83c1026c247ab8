// Node's sqs-producer: one call for all, which it sends in batches of ten, one after the other.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.BENCH_NODE_HOME}/package.json`);
const { SQSClient } = require("@aws-sdk/client-sqs");
const { Producer } = await import(require.resolve("sqs-producer"));

const type = "billfleet.billing.rebill_accounts.v1";
function body(number) {
  const account = `account-${String(number).padStart(7, "0")}-of-the-benchmark`;
  return JSON.stringify({
    specversion: "1.0",
    id: crypto.randomUUID(),
    source: "/bench",
    type,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    dataschema: `urn:billfleet:schema:${type}`,
    tenant: "acme",
    dedupekey: `rebill_accounts:${String(number).padStart(32, "0")}`,
    data: {
      as_of: "2026-01-31",
      accounts: [{ account_id: account, period_start: "2026-01-31", generation: 0 }],
    },
  });
}

const producer = Producer.create({
  queueUrl: process.env.BENCH_QUEUE_URL,
  sqs: new SQSClient({ region: process.env.AWS_REGION }),
});
const count = Number(process.argv[2]);
const cpu = process.cpuUsage();
const from = performance.now();
for (let first = 0; first < count; first += 1000) {
  const size = Math.min(1000, count - first);
  const batch = Array.from({ length: size }, (_, n) => ({
    id: String(first + n),
    body: body(first + n),
  }));
  await producer.send(batch);
}
const used = process.cpuUsage(cpu);
const seconds = (performance.now() - from) / 1000;
const peak = process.resourceUsage().maxRSS / 1000;
const cpuSeconds = (used.user + used.system) / 1e6;
console.log(JSON.stringify({ cpu_s: cpuSeconds, seconds, peak_mb: peak }));
