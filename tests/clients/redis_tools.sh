#!/usr/bin/env bash
# Redis' own command-line tools against the server on $PORT.
set -eu -o pipefail

fail() { printf 'redis tools: %s\n' "$*" >&2; exit 1; }
cli() { timeout 60 redis-cli -h 127.0.0.1 -p "$PORT" "$@"; }
expect() {
    local wanted=$1 got
    shift
    got=$(cli "$@" 2>&1) || fail "redis-cli $* exited with an error: $got"
    [ "$got" = "$wanted" ] || fail "redis-cli $*: wanted '$wanted', got '$got'"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

expect PONG PING
expect OK SET greeting "hello world"
expect "hello world" GET greeting
expect "" GET nothing
expect 1 DEL greeting

# redis-cli as a person uses it: commands on its standard input, one after the other.
got=$(printf 'SET n 41\nINCR n\nGET n\nHELLO 3\nGET n\n' | cli) || fail "a session on standard input broke off"
[ "$(sed -n 2,3p <<<"$got" | tr '\n' ' ')" = "42 42 " ] || fail "a session on standard input answered: $got"
[ "$(cli -3 SET a b)" = OK ] || fail "redis-cli -3 does not speak RESP3 with us"

# --pipe: the protocol on standard input, ended by an ECHO of a random word.
count=${PIPE_COMMANDS:-100000}
awk -v count="$count" 'BEGIN {
    for (i = 0; i < count; i++) {
        key = "pipe:" i; value = "value:" i
        printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", length(key), key, length(value), value
    }
}' >"$scratch/commands"
got=$(timeout 120 redis-cli -h 127.0.0.1 -p "$PORT" --pipe <"$scratch/commands" 2>&1) || fail "--pipe: $got"
grep -q "errors: 0, replies: $count" <<<"$got" || fail "--pipe: $got"
expect "value:77" GET pipe:77

# --scan returns every key, each at least once.
cli --scan --pattern 'pipe:*' | sort -u >"$scratch/scanned"
[ "$(wc -l <"$scratch/scanned")" = "$count" ] || fail "--scan found $(wc -l <"$scratch/scanned") of $count keys"

# --stat reads INFO: a header, then a line per interval that counts the keys.
got=$( (timeout 2 stdbuf -oL redis-cli -h 127.0.0.1 -p "$PORT" --stat -i 0.2 || true) | sed -n 3p)
[ "$(awk '{ print $1 }' <<<"$got")" -ge "$count" ] || fail "--stat shows: $got"

# --latency, in the form for scripts: min max average count.
got=$( (timeout 2 redis-cli -h 127.0.0.1 -p "$PORT" --latency --raw -i 1 || true) | tail -1)
[ "$(awk '{ print ($4 > 0) }' <<<"$got")" = 1 ] || fail "--latency shows: $got"

got=$(timeout 120 redis-benchmark -h 127.0.0.1 -p "$PORT" -q -n 2000 -c 20 -t ping,set,get,incr,mset 2>&1) || fail "redis-benchmark: $got"
for test in PING_INLINE SET GET INCR MSET; do
    grep -q "$test.*requests per second" <<<"$got" || fail "redis-benchmark has no result for $test: $got"
done
got=$(timeout 120 redis-benchmark -h 127.0.0.1 -p "$PORT" -q -n 20000 -c 20 -P 16 -r 1000 -t set,get 2>&1) || fail "redis-benchmark -P: $got"
grep -q 'Error\|ERR' <<<"$got" && fail "redis-benchmark -P: $got"

expect OK FLUSHALL
expect 0 DBSIZE
