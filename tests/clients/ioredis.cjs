// ioredis against the server on $PORT.
"use strict";
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const options = { host: "127.0.0.1", port: Number(process.env.PORT), maxRetriesPerRequest: 1, commandTimeout: 20000 };

async function main() {
  const redis = new Redis(options);
  await redis.flushall();
  assert.equal(await redis.set("a", "1"), "OK");
  assert.equal(await redis.get("a"), "1");
  assert.equal(await redis.get("nothing"), null);
  assert.equal(await redis.set("a", "2", "PX", 60000, "NX"), null);
  assert.equal(await redis.incrby("a", 41), 42);
  assert.deepEqual(await redis.mget("a", "nothing"), ["42", null]);
  assert.deepEqual(await redis.getBuffer("a"), Buffer.from("42"));

  // ioredis sends what is asked in one turn as one pipeline.
  const many = await Promise.all(Array.from({ length: 2000 }, (_, i) => redis.set(`k:${i}`, i)));
  assert.ok(many.every((reply) => reply === "OK"));
  const piped = await redis.pipeline().set("p", "x").incr("p").get("p").exec();
  assert.equal(piped[0][1], "OK");
  assert.match(piped[1][0].message, /not an integer/);
  assert.equal(piped[2][1], "x");

  assert.deepEqual(await redis.multi().set("t", 1).incr("t").exec(), [[null, "OK"], [null, 2]]);
  const other = new Redis(options);
  await redis.watch("t");
  await other.set("t", 5);
  assert.equal(await redis.multi().incr("t").exec(), null);

  const found = new Set();
  for await (const keys of redis.scanStream({ match: "k:*", count: 100 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 2000);

  await redis.set("e", "1", "EX", 100);
  assert.ok((await redis.ttl("e")) <= 100);
  assert.deepEqual(await redis.call("BITFIELD", "f", "SET", "u8", "0", "200", "INCRBY", "u8", "0", "1"), [0, 201]);
  await assert.rejects(redis.call("NOSUCH"), /unknown command/);
  await Promise.all([redis.quit(), other.quit()]);
}

main().catch((error) => {
  console.error("ioredis:", error);
  process.exit(1);
});
