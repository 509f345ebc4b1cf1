"""redis-py against the server on $PORT, in the protocol $PROTOCOL: what a Python program does with strings."""

import os
import threading
import time

import redis

PORT = int(os.environ["PORT"])
PROTOCOL = int(os.environ["PROTOCOL"])


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, protocol=PROTOCOL, socket_timeout=20, **options)


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"wanted {wanted!r}, got {got!r}")


def raises(kind, text, call):
    try:
        got = call()
    except kind as error:
        if text not in str(error):
            raise AssertionError(f"wanted an error with {text!r}, got {error}") from error
        return
    raise AssertionError(f"wanted {kind.__name__}, got {got!r}")


def strings(r):
    equal(r.ping(), True)
    equal(r.set("a", "1"), True)
    equal(r.get("a"), b"1")
    equal(r.get("nothing"), None)
    equal(r.set("a", "2", nx=True), None)
    equal(r.set("a", "2", xx=True, get=True), b"1")
    equal(r.append("a", "34"), 3)
    equal(r.incr("a"), 235)
    equal(r.incrbyfloat("f", "1.5"), 1.5)
    equal(r.mset({"x": b"\x00\xff\r\n", "y": ""}), True)
    equal(r.mget("x", "y", "z"), [b"\x00\xff\r\n", b"", None])
    equal(r.getrange("a", 0, 1), b"23")
    equal(r.setrange("padded", 3, "x"), 4)
    equal(r.getdel("padded"), b"\x00\x00\x00x")
    equal(r.strlen("a"), 3)
    equal(r.exists("a", "x", "nothing"), 2)
    equal(r.type("a"), b"string")
    equal(r.rename("a", "b"), True)
    equal(r.copy("b", "c"), True)
    equal(r.lcs("b", "c"), b"235")
    equal(r.delete("b", "c", "nothing"), 2)
    large = b"v" * (4 << 20)
    r.set("large", large)
    equal(r.get("large"), large)
    r.set("word", "x")
    raises(redis.ResponseError, "not an integer", lambda: r.incr("word"))
    raises(redis.ResponseError, "unknown command", lambda: r.execute_command("NOSUCH"))
    raises(redis.ResponseError, "wrong number of arguments", lambda: r.execute_command("GET"))


def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for i in range(5000):
            pipe.set(f"p:{i}", i)
        for i in range(5000):
            pipe.get(f"p:{i}")
        replies = pipe.execute()
    equal(replies[:5000], [True] * 5000)
    equal(replies[5000:], [str(i).encode() for i in range(5000)])


def transactions(r, other):
    with r.pipeline() as pipe:
        pipe.set("t", 1).incr("t").get("t")
        equal(pipe.execute(), [True, 2, b"2"])
        pipe.set("word", "x").incr("word").set("after", 1)
        raises(redis.ResponseError, "not an integer", pipe.execute)
        equal(r.get("after"), b"1")
        pipe.watch("t")
        value = int(pipe.get("t"))
        other.set("t", 100)
        pipe.multi()
        pipe.set("t", value + 1)
        raises(redis.WatchError, "", pipe.execute)
    # Ten threads that count together by WATCH lose nothing.
    r.set("count", 0)

    def add(pipe):
        value = int(pipe.get("count"))
        pipe.multi()
        pipe.set("count", value + 1)

    def work():
        own = connect()
        for _ in range(20):
            own.transaction(add, "count")

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(r.get("count"), b"200")


def expiry(r):
    r.set("e", 1, px=60)
    r.set("kept", 1, ex=100)
    equal(0 < r.pttl("e") <= 60, True)
    equal(r.ttl("kept"), 100)
    equal(r.expire("kept", 200, gt=True), True)
    equal(r.expire("kept", 100, gt=True), False)
    equal(r.getex("kept", persist=True), b"1")
    equal(r.ttl("kept"), -1)
    equal(r.ttl("nothing"), -2)
    r.expireat("kept", int(time.time()) - 10)
    equal(r.exists("kept"), 0)
    deadline = time.monotonic() + 10
    while r.get("e") is not None:
        if time.monotonic() > deadline:
            raise AssertionError("a key of 60 ms lives for 10 s")


def walks(r):
    r.flushdb()
    with r.pipeline(transaction=False) as pipe:
        for i in range(3000):
            pipe.set(f"walk:{i}", i)
        pipe.set("other", 1)
        pipe.execute()
    keys = set(r.scan_iter(match="walk:*", count=50))
    equal(keys, {f"walk:{i}".encode() for i in range(3000)})
    equal(r.dbsize(), 3001)
    equal(sorted(r.keys("walk:299?")), [f"walk:{i}".encode() for i in range(2990, 3000)])
    equal(set(r.scan_iter(_type="string")) >= keys, True)


def bits(r):
    r.delete("bits")
    equal(r.setbit("bits", 7, 1), 0)
    equal(r.getbit("bits", 7), 1)
    equal(r.bitcount("bits"), 1)
    equal(r.bitpos("bits", 1), 7)
    r.set("mask", b"\xff\x0f")
    equal(r.bitop("AND", "both", "bits", "mask"), 2)
    equal(r.get("both"), b"\x01\x00")
    field = r.bitfield("fields", default_overflow="SAT")
    equal(field.set("u8", 0, 250).incrby("u8", 0, 10).get("u4", 0).execute(), [0, 255, 15])


def connection(r):
    r.client_setname("smoke")
    equal(r.client_getname() in ("smoke", b"smoke"), True)
    listed = [client for client in r.client_list() if client["name"] == "smoke"]
    equal(len(listed), 1)
    equal(listed[0]["resp"], str(PROTOCOL))
    equal(r.client_id(), int(listed[0]["id"]))
    equal(r.echo("hello"), b"hello")
    info = r.info()
    for field in ("redis_version", "used_memory", "connected_clients", "total_commands_processed", "uptime_in_seconds"):
        if field not in info:
            raise AssertionError(f"INFO has no {field}")
    equal(r.config_set("maxmemory", "2gb"), True)
    equal(r.config_get("maxmemory"), {"maxmemory": "2147483648"})
    r.config_set("maxmemory", "0")
    equal(abs(r.time()[0] - time.time()) < 60, True)
    equal(r.command_count(), len(r.command()))
    equal(r.memory_usage("fields") > 0, True)
    two = connect(db=2)
    two.set("elsewhere", 1)
    equal(r.exists("elsewhere"), 0)
    equal(two.dbsize(), 1)
    two.flushdb()


def tracking(other):
    """Server-assisted invalidation. redis-py's own cache asks for a later redis_version, so the push is read by hand."""
    pushed = []
    watcher = connect(single_connection_client=True)
    watcher.ping()
    watcher.connection._parser.set_invalidation_push_handler(pushed.append)
    watcher.execute_command("CLIENT", "TRACKING", "ON")
    other.set("tracked", "old")
    equal(watcher.get("tracked"), b"old")
    other.set("tracked", "new")
    deadline = time.monotonic() + 10
    while not pushed:
        watcher.ping()
        if time.monotonic() > deadline:
            raise AssertionError("a client that tracks was not told of a change")
    equal(pushed, [[b"invalidate", [b"tracked"]]])
    equal(watcher.get("tracked"), b"new")


def main():
    r, other = connect(), connect()
    r.flushall()
    strings(r)
    pipelines(r)
    transactions(r, other)
    expiry(r)
    walks(r)
    bits(r)
    connection(connect(single_connection_client=True))
    if PROTOCOL == 3:
        tracking(other)


main()
