// node-redis against the server on $PORT, in both protocols, and its client-side cache.
"use strict";
const assert = require("node:assert/strict");
const { createClient, WatchError } = require("redis");

async function connect(options) {
  const socket = { host: "127.0.0.1", port: Number(process.env.PORT), reconnectStrategy: false };
  const client = createClient({ socket, ...options });
  client.on("error", () => {});
  await client.connect();
  return client;
}

async function strings(client) {
  await client.flushAll();
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.get("a"), "1");
  assert.equal(await client.get("nothing"), null);
  assert.equal(await client.incrBy("a", 41), 42);
  assert.deepEqual(await client.mGet(["a", "nothing"]), ["42", null]);
  await Promise.all(Array.from({ length: 2000 }, (_, i) => client.set(`k:${i}`, `${i}`)));
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: "k:*", COUNT: 100 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 2000);
  assert.equal(await client.expire("a", 100), 1);
  assert.ok((await client.ttl("a")) <= 100);
  await assert.rejects(client.sendCommand(["NOSUCH"]), /unknown command/);
}

async function transactions(client, other) {
  assert.deepEqual(await client.multi().set("t", "1").incr("t").get("t").exec(), ["OK", 2, "2"]);
  await client.watch("t");
  await other.set("t", "5");
  await assert.rejects(client.multi().incr("t").exec(), WatchError);
}

async function clientSideCache(other) {
  const cached = await connect({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: "LRU" } });
  await other.set("tracked", "old");
  assert.equal(await cached.get("tracked"), "old");
  assert.equal(await cached.get("tracked"), "old");
  await other.set("tracked", "new");
  const deadline = Date.now() + 10000;
  while ((await cached.get("tracked")) !== "new") {
    assert.ok(Date.now() < deadline, "the client-side cache was not told of a change");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await cached.close();
}

async function main() {
  for (const RESP of [2, 3]) {
    const [client, other] = [await connect({ RESP }), await connect({ RESP })];
    await strings(client);
    await transactions(client, other);
    if (RESP === 3) await clientSideCache(other);
    await Promise.all([client.close(), other.close()]);
  }
}

main().catch((error) => {
  console.error("node-redis:", error);
  process.exit(1);
});
