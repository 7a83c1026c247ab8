// The table endpoint of the benchmarks: the little of DynamoDB that consumers with dedupe call.
//
// `table_endpoint.py` starts it; port 0 is chosen by the system and said on stdout; the end of
// stdin stops it. A dedupe record is a key, its item and a condition, so that is what there is: put,
// update, delete and get of one item, reads of many, and PartiQL statements on a whole key. What it
// does not know it refuses aloud. Node runs one request at a time, so each write is atomic.
import { createServer } from "node:http";

const tables = new Map();

class Refusal extends Error {
  constructor(code, message, item) {
    super(message);
    this.code = code;
    this.item = item;
  }
}

const refused = (message) => new Refusal("ValidationException", message);
const failedCheck = (item) =>
  new Refusal("ConditionalCheckFailedException", "The conditional request failed", item);

function tableOf(name) {
  const table = tables.get(name);
  if (!table) throw new Refusal("ResourceNotFoundException", `no table ${name}`);
  return table;
}

const keyOf = (table, item) => {
  const value = item[table.key];
  if (!value?.S) throw refused(`no text under the key ${table.key}`);
  return value.S;
};

// Conditions: attribute_exists, attribute_not_exists, comparisons, NOT, AND, OR, parentheses.
const TOKEN = /\s*(<>|<=|>=|[=<>(),]|[#:]?[A-Za-z_][\w.-]*)/gy;

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match) throw refused(`cannot read the expression ${text}`);
    found.push(match[1]);
  }
  return found;
}

// Compiled once for each text: item, names and values come in as arguments.
const compiled = new Map();

function condition(text) {
  let known = compiled.get(text);
  if (known) return known;
  const words = tokens(text);
  let at = 0;
  const next = () => words[at++];
  const isWord = (word) => words[at]?.toUpperCase() === word;
  const expect = (word) => {
    if (next() !== word) throw refused(`expected ${word} in ${text}`);
  };
  const attribute = (word) => (context) =>
    context.item?.[word.startsWith("#") ? context.names[word] : word];
  const operand = () => {
    const word = next();
    return word.startsWith(":") ? (context) => context.values[word] : attribute(word);
  };
  const primary = () => {
    if (isWord("(")) {
      next();
      const inner = either();
      expect(")");
      return inner;
    }
    if (isWord("NOT")) {
      next();
      const inner = primary();
      return (context) => !inner(context);
    }
    const exists = words[at];
    if (exists === "attribute_exists" || exists === "attribute_not_exists") {
      next();
      expect("(");
      const one = attribute(next());
      expect(")");
      return (context) => (one(context) !== undefined) === (exists === "attribute_exists");
    }
    const left = operand();
    const sign = next();
    const right = operand();
    return (context) => compare(left(context), sign, right(context));
  };
  const both = () => {
    const parts = [primary()];
    while (isWord("AND")) parts.push((next(), primary()));
    return parts.length === 1 ? parts[0] : (context) => parts.every((part) => part(context));
  };
  const either = () => {
    const parts = [both()];
    while (isWord("OR")) parts.push((next(), both()));
    return parts.length === 1 ? parts[0] : (context) => parts.some((part) => part(context));
  };
  known = either();
  if (at !== words.length) throw refused(`cannot read the expression ${text}`);
  compiled.set(text, known);
  return known;
}

function compare(left, sign, right) {
  if (left === undefined || right === undefined) return false;
  const [[leftKind, leftRaw]] = Object.entries(left);
  const [[rightKind, rightRaw]] = Object.entries(right);
  const isNumber = leftKind === "N" && rightKind === "N";
  const a = isNumber ? Number(leftRaw) : JSON.stringify(leftRaw);
  const b = isNumber ? Number(rightRaw) : JSON.stringify(rightRaw);
  if (sign === "<>") return leftKind !== rightKind || a !== b;
  if (leftKind !== rightKind) return false;
  if (sign === "=") return a === b;
  if (sign === "<") return a < b;
  if (sign === "<=") return a <= b;
  if (sign === ">") return a > b;
  return a >= b;
}

function check(request, item) {
  if (!request.ConditionExpression) return;
  const context = {
    item,
    names: request.ExpressionAttributeNames ?? {},
    values: request.ExpressionAttributeValues ?? {},
  };
  if (!condition(request.ConditionExpression)(context)) {
    const shows = request.ReturnValuesOnConditionCheckFailure === "ALL_OLD";
    throw failedCheck(shows ? item : undefined);
  }
}

// PartiQL statements on one whole key, taken apart once for each text.
const NAME = `"([^"]+)"`;
const INSERT = new RegExp(`^INSERT INTO ${NAME} VALUE \\{(.*)\\}$`);
const UPDATE = new RegExp(`^UPDATE ${NAME}((?: SET ${NAME}=\\?)+) WHERE (.*)$`);
const DELETE = new RegExp(`^DELETE FROM ${NAME} WHERE (.*?)( RETURNING ALL OLD \\*)?$`);
const plans = new Map();

const fieldsOf = (text, pattern, parts) => {
  const fields = [...text.matchAll(pattern)].map((match) => match[1]);
  if (fields.length !== parts) throw refused(`cannot read ${text}`);
  return fields;
};
const whereOf = (text) => fieldsOf(text, /"([^"]+)"=\?/g, text.split(" AND ").length);

function planOf(text) {
  let plan = plans.get(text);
  if (plan) return plan;
  let match;
  if ((match = INSERT.exec(text))) {
    const fields = fieldsOf(match[2], /'([^']+)': \?/g, match[2].split(", ").length);
    plan = { kind: "insert", table: match[1], fields, where: [] };
  } else if ((match = UPDATE.exec(text))) {
    const fields = [...match[2].matchAll(/"([^"]+)"/g)].map((one) => one[1]);
    plan = { kind: "update", table: match[1], fields, where: whereOf(match[4]) };
  } else if ((match = DELETE.exec(text))) {
    plan = { kind: "delete", table: match[1], fields: [], where: whereOf(match[2]) };
    plan.returns = Boolean(match[3]);
  } else {
    throw refused(`no such statement here: ${text}`);
  }
  plans.set(text, plan);
  return plan;
}

const isSame = (stored, asked) => stored !== undefined && compare(stored, "=", asked);

function execute({ Statement, Parameters }) {
  const plan = planOf(Statement);
  const { items, key: keyName } = tableOf(plan.table);
  if (Parameters.length !== plan.fields.length + plan.where.length) {
    throw refused(`${Parameters.length} parameters to ${Statement}`);
  }
  const given = {};
  plan.fields.forEach((field, n) => (given[field] = Parameters[n]));
  const asked = {};
  plan.where.forEach((field, n) => (asked[field] = Parameters[plan.fields.length + n]));
  const key = (plan.kind === "insert" ? given : asked)[keyName]?.S;
  if (!key) throw refused(`no key in ${Statement}`);
  const item = items.get(key);
  if (plan.kind === "insert") {
    if (item) return { Error: { Code: "DuplicateItem", Message: "Duplicate primary key" } };
    items.set(key, given);
    return {};
  }
  if (plan.kind === "delete" && !item) return {};
  if (!item || !plan.where.every((field) => isSame(item[field], asked[field]))) {
    const Message = "The conditional request failed";
    return { Error: { Code: "ConditionalCheckFailed", Message } };
  }
  if (plan.kind === "update") {
    items.set(key, { ...item, ...given });
    return {};
  }
  items.delete(key);
  return plan.returns ? { Item: item } : {};
}

const SET = /^SET\s+([#\w]+\s*=\s*:\w+(?:\s*,\s*[#\w]+\s*=\s*:\w+)*)$/;

const operations = {
  ListTables: () => ({ TableNames: [...tables.keys()] }),
  CreateTable({ TableName, KeySchema }) {
    tables.set(TableName, { key: KeySchema[0].AttributeName, items: new Map() });
    return { TableDescription: { TableName, TableStatus: "ACTIVE" } };
  },
  DeleteTable({ TableName }) {
    tableOf(TableName);
    tables.delete(TableName);
    return { TableDescription: { TableName, TableStatus: "DELETING" } };
  },
  PutItem(request) {
    const table = tableOf(request.TableName);
    const key = keyOf(table, request.Item);
    check(request, table.items.get(key));
    table.items.set(key, request.Item);
    return {};
  },
  UpdateItem(request) {
    const table = tableOf(request.TableName);
    const key = keyOf(table, request.Key);
    const item = table.items.get(key);
    check(request, item);
    const match = SET.exec(request.UpdateExpression?.trim() ?? "");
    if (!match) throw refused(`no such update here: ${request.UpdateExpression}`);
    const changed = { ...(item ?? request.Key) };
    for (const pair of match[1].split(",")) {
      const [name, value] = pair.split("=").map((part) => part.trim());
      const field = name.startsWith("#") ? request.ExpressionAttributeNames[name] : name;
      changed[field] = request.ExpressionAttributeValues[value];
    }
    table.items.set(key, changed);
    return {};
  },
  DeleteItem(request) {
    const table = tableOf(request.TableName);
    const key = keyOf(table, request.Key);
    check(request, table.items.get(key));
    table.items.delete(key);
    return {};
  },
  GetItem(request) {
    const table = tableOf(request.TableName);
    const item = table.items.get(keyOf(table, request.Key));
    return item ? { Item: item } : {};
  },
  BatchGetItem({ RequestItems }) {
    const Responses = {};
    for (const [name, { Keys }] of Object.entries(RequestItems)) {
      const table = tableOf(name);
      Responses[name] = Keys.map((key) => table.items.get(keyOf(table, key))).filter(Boolean);
    }
    return { Responses, UnprocessedKeys: {} };
  },
  BatchExecuteStatement({ Statements }) {
    const one = (statement) => {
      try {
        return execute(statement);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const name = error.code.replace("Exception", "");
        const Code = name === "Validation" ? "ValidationError" : name;
        return { Error: { Code, Message: error.message } };
      }
    };
    return { Responses: Statements.map(one) };
  },
};

function answer(request, body) {
  const operation = String(request.headers["x-amz-target"]).split(".")[1];
  try {
    const run = operations[operation];
    if (!run) throw refused(`no such operation here: ${operation}`);
    return [200, run(JSON.parse(body))];
  } catch (error) {
    if (!(error instanceof Refusal)) {
      return [500, { __type: "InternalServerError", message: String(error.stack) }];
    }
    const __type = `com.amazonaws.dynamodb.v20120810#${error.code}`;
    return [400, { __type, message: error.message, Item: error.item }];
  }
}

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const [status, said] = answer(request, Buffer.concat(chunks).toString("utf8"));
    const text = Buffer.from(JSON.stringify(said));
    response.writeHead(status, {
      "Content-Type": "application/x-amz-json-1.0",
      "Content-Length": text.length,
    });
    response.end(text);
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
});
process.stdin.resume().on("end", () => process.exit(0));
