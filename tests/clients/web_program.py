"""A small real program on the server at $PORT, and people who use it.

A web handler that knows its visitors by a session (a string with a sliding expiry), lets each do only so many requests
in a window (INCR and EXPIRE in one transaction) and counts its pages; then visitors from several threads.
"""

import http.client
import http.server
import json
import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import redis

SESSION_SECONDS = 3600
WINDOW_SECONDS = 600
REQUESTS_PER_WINDOW = 20

store = redis.Redis(host="127.0.0.1", port=int(os.environ["PORT"]), socket_timeout=20, decode_responses=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one segment: else every answer waits for a delayed acknowledgement

    def do_GET(self):
        session_id = self.headers.get("Cookie", "").removeprefix("session=")
        session = store.getex(f"session:{session_id}", ex=SESSION_SECONDS) if session_id else None
        if session is None:
            return self.answer(401, {"error": "who are you?"})
        user = json.loads(session)["user"]
        with store.pipeline() as pipe:
            pipe.incr(f"rate:{user}").expire(f"rate:{user}", WINDOW_SECONDS, nx=True)
            count, _ = pipe.execute()
        if count > REQUESTS_PER_WINDOW:
            return self.answer(429, {"retry_after": store.ttl(f"rate:{user}")})
        visits = store.incr("visits")
        return self.answer(200, {"user": user, "visits": visits})

    def do_POST(self):
        user = self.rfile.read(int(self.headers["Content-Length"])).decode()
        session_id = secrets.token_hex(16)
        store.set(f"session:{session_id}", json.dumps({"user": user}), ex=SESSION_SECONDS, nx=True)
        self.answer(201, {"session": session_id})

    def do_DELETE(self):
        store.delete("session:" + self.headers["Cookie"].removeprefix("session="))
        self.answer(200, {})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Visitor:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.headers = {}

    def ask(self, method, body=None):
        self.connection.request(method, "/", body, self.headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def log_in(self, user):
        status, body = self.ask("POST", user)
        assert status == 201, status
        self.headers = {"Cookie": f"session={body['session']}"}


def visit(port, user):
    """Logs in, asks more often than allowed, logs out. Returns how often each status came."""
    visitor = Visitor(port)
    assert visitor.ask("GET")[0] == 401
    visitor.log_in(user)
    statuses = {}
    for _ in range(REQUESTS_PER_WINDOW + 10):
        status, body = visitor.ask("GET")
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            assert body["user"] == user, body
        else:
            assert 0 < body["retry_after"] <= WINDOW_SECONDS, body
    assert visitor.ask("DELETE")[0] == 200
    assert visitor.ask("GET")[0] == 401
    return statuses


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    users = [f"user-{i}" for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        for statuses in pool.map(lambda user: visit(server.server_port, user), users):
            assert statuses == {200: REQUESTS_PER_WINDOW, 429: 10}, statuses
    visits = int(store.get("visits"))
    assert visits == len(users) * REQUESTS_PER_WINDOW, visits
    assert not list(store.scan_iter("session:*")), "a session outlived its visitor"
    server.shutdown()


main()
