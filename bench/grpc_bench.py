"""Envoy's rate limit service over gRPC: weir beside grpc++ with the same engine behind it, and beside its peers."""
import json
import struct
import time

from harness import BUILD, ROOT, SECONDS, free_port, in_turns, loaded, need, peers, say, table

TOOLS = ROOT / "build" / "tools"  # of scripts/tools
RLS = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
# Connections and streams open at once on each.
SHAPES = {"one caller": (1, 1), "16 callers, a connection each": (16, 1), "16 callers on one connection": (1, 16),
          "50 connections, 32 streams each": (50, 32)}
GRPCPP = "grpc++ (callback API), weir's engine"
LEAST = "the least: sockets and frames, one constant answer"
ANSWER_BYTES = 194  # of weir's answers, with their prefixes

WEIR = """
global: {free_tier: unlimited, pro_tier: unlimited, enterprise_tier: unlimited}
domains:
  bench:
    descriptors:
      - {key: remote_address, rule: {max_requests: 4000000000, window_seconds: 3600}}
      - {key: route, value: items, rule: {max_requests: 4000000000, window_seconds: 3600}}
storage: {memory: {max_entries: 100000}}
server: {threads: 1}
"""
REFERENCE = """
domain: bench
descriptors:
  - key: remote_address
    rate_limit: {unit: hour, requests_per_unit: 4000000000}
  - key: route
    value: items
    rate_limit: {unit: hour, requests_per_unit: 4000000000}
"""


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """One field of a protobuf message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def framed(message):
    return b"\0" + struct.pack(">I", len(message)) + message


def rls_question():
    entry = lambda key, value: field(1, field(1, key) + field(2, value))  # noqa: E731
    return framed(field(1, b"bench") + field(2, entry(b"remote_address", b"192.0.2.7")) + field(2, entry(b"route", b"items")))


def throttle_question():
    return framed(field(1, b"192.0.2.7") + field(2, 1_000_000_000) + field(3, 1_000_000_000) + field(4, 60) + field(5, 1))


def gubernator_question():
    """Two limits in one message, as the others are asked for two descriptors."""
    limit = lambda name, key: field(1, field(1, name) + field(2, key) + field(3, 1) + field(4, 4_000_000_000) + field(5, 3_600_000))  # noqa: E731
    return framed(limit(b"remote_address", b"192.0.2.7") + limit(b"route", b"items"))


def ask(peer, pids, directory, path, question, shape):
    """One run. The load generator accepts no answer without a message in it, which a refusal has not."""
    clients, streams = shape
    (directory / "question").write_bytes(question)
    out, cpu = loaded([BUILD / "bench" / "weir_bench_grpc_load", peer.port, path, directory / "question", clients, streams, SECONDS], pids)
    got = json.loads(out)
    return {"rate": got["done"] / got["seconds"], "cpu_us": cpu / got["done"] * 1e6, "p50": got["p50_us"], "p99": got["p99_us"],
            "p999": got["p999_us"], "bytes": got["bytes"] / got["done"]}


def start_all(start, directory):
    """{name: (peer, processes whose CPU counts, path, question)}, and {name: why it is not here}."""
    config = directory / "weir.yaml"
    config.write_text(WEIR)
    servers, missing = {}, {}
    port = free_port()
    weir = start("weir", [BUILD / "weir", "serve", "--config", config, "--http", "off", "--resp", "off", "--admin", "off",
                          "--grpc", f"127.0.0.1:{port}"], port)
    servers["weir"] = (weir, [weir.process.pid], RLS, rls_question())
    port = free_port()
    grpcpp = start(GRPCPP, [BUILD / "bench" / "weir_bench_grpc_peer", config, f"127.0.0.1:{port}"], port)
    servers[GRPCPP] = (grpcpp, [grpcpp.process.pid], RLS, rls_question())

    port = free_port()
    least = start(LEAST, [BUILD / "bench" / "weir_bench_grpc_least", port, ANSWER_BYTES], port)
    servers[LEAST] = (least, [least.process.pid], RLS, rls_question())

    if (TOOLS / "bin" / "service_cmd").exists():
        limits = directory / "runtime" / "ratelimit" / "config"
        limits.mkdir(parents=True)
        (limits / "bench.yaml").write_text(REFERENCE)
        redis_port, port = free_port(), free_port()
        redis = start("redis-server", [need("redis-server"), "--port", redis_port, "--save", "", "--appendonly", "no"], redis_port, directory)
        reference = start("envoyproxy/ratelimit", [TOOLS / "bin" / "service_cmd"], port, env={
            "REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": f"127.0.0.1:{redis_port}", "RUNTIME_ROOT": str(directory / "runtime"),
            "RUNTIME_SUBDIRECTORY": "ratelimit", "RUNTIME_WATCH_ROOT": "false", "USE_STATSD": "false", "LOG_LEVEL": "error",
            "HOST": "127.0.0.1", "PORT": str(free_port()), "GRPC_HOST": "127.0.0.1", "GRPC_PORT": str(port),
            "DEBUG_HOST": "127.0.0.1", "DEBUG_PORT": str(free_port())})
        servers["envoyproxy/ratelimit with its redis-server"] = (reference, [reference.process.pid, redis.process.pid], RLS, rls_question())
    if (TOOLS / "bin" / "throttlecrab-server").exists():
        port = free_port()
        crab = start("throttlecrab", [TOOLS / "bin" / "throttlecrab-server", "--grpc", "--grpc-host", "127.0.0.1", "--grpc-port", port], port)
        servers["throttlecrab (its own contract, one key)"] = (crab, [crab.process.pid], "/throttlecrab.RateLimiter/Throttle", throttle_question())
    if (TOOLS / "bin" / "gubernator").exists():
        port = free_port()
        guber = start("gubernator", [TOOLS / "bin" / "gubernator"], port, env={
            "GUBER_GRPC_ADDRESS": f"127.0.0.1:{port}", "GUBER_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
            "GUBER_ADVERTISE_ADDRESS": f"127.0.0.1:{port}", "GUBER_PEER_DISCOVERY_TYPE": "none"})
        servers["gubernator (its own contract, two limits)"] = (guber, [guber.process.pid], "/pb.gubernator.V1/GetRateLimits", gubernator_question())
    for why in sorted((TOOLS / "missing").glob("[!.]*")) if (TOOLS / "missing").is_dir() else []:
        missing[why.name] = why.read_text().strip()
    for name, binary in {"envoyproxy": "service_cmd", "gubernator": "gubernator", "throttlecrab-server": "throttlecrab-server"}.items():
        if name not in missing and not (TOOLS / "bin" / binary).exists():
            missing[name] = "is not installed: scripts/tools bench"
    missing["limitador-server"] = "is not on crates.io (only its library is); its other ways to install are container images and a checkout"
    return servers, missing


def section(directory):
    with peers() as start:
        servers, missing = start_all(start, directory)
        time.sleep(0.5)
        results = {}
        for title, shape in SHAPES.items():
            say(f"gRPC, {title}")
            results[title] = in_turns({name: lambda s=server, x=shape: ask(s[0], s[1], directory, s[2], s[3], x)
                                       for name, server in servers.items()})
            sizes = [results[title][name]["bytes"] for name in ("weir", GRPCPP, LEAST)]
            # Towards the end of an hour, which is the window's, the seconds that are left have fewer digits.
            if max(sizes) - min(sizes) > 8:
                raise SystemExit(f"answers are not of one size: {results[title]}")
    one, sixteen, shared, many = (results[title] for title in SHAPES)
    against = lambda taken, key: taken[GRPCPP][key] / taken["weir"][key]  # noqa: E731
    verdict = lambda value, floor: f"{value:.1f} times, {'met' if value >= floor else 'MISSED'}"  # noqa: E731
    tables = "\n\n".join(f"### {title}\n{table(result, 'weir')}" for title, result in results.items())
    absent = "\n".join(f"- {name}: {why}" for name, why in missing.items())
    # Less what reading and writing takes alone.
    beyond = lambda taken: (taken[GRPCPP]["cpu_us"] - taken[LEAST]["cpu_us"]) / (taken["weir"]["cpu_us"] - taken[LEAST]["cpu_us"])  # noqa: E731
    quarter = sixteen[GRPCPP]["p99"] / 4
    reach = (f"; a quarter is {quarter:.0f} us, and the p99 of the least server, which decides nothing, is {sixteen[LEAST]['p99']:.0f} us"
             if sixteen["weir"]["p99"] > quarter else "")
    return f"""## gRPC, Envoy's ShouldRateLimit with two descriptors; server on one core, load on the other
Floors, against the same contract on grpc++ with the same engine behind it:
- 5 times less CPU a request multiplexed: {verdict(against(many, 'cpu_us'), 5)};
- 2 times less unmultiplexed: {verdict(against(sixteen, 'cpu_us'), 2)} with 16 callers, {verdict(against(one, 'cpu_us'), 2)} with one; without what sockets cost, {beyond(sixteen):.1f} and {beyond(one):.1f} times;
- a quarter of its p99 with 16 callers: {verdict(against(shared, 'p99'), 4)} when they share a connection, as those of one gRPC channel do; {verdict(against(sixteen, 'p99'), 4)} when each has its own{reach}.

CPU is the server's, user and system, by the kernel's books; that of envoyproxy/ratelimit counts its Redis. All callers ask the same question: one hot key.
The load is bench/grpc_load.cc's: h2load needs more time for a call on a connection of its own than weir needs to answer it. It polls: a caller that sleeps
would have the server pay for its wake-up, 10 to 15 us between two virtual cores, which over a network its own machine pays.
"The least" (bench/grpc_least.cc) decides nothing: it is what sockets cost on this machine, which on a virtual one changes from minute to minute
with the place of its cores (4.4 to 5.9 us a request with 16 callers, and weir against grpc++ from 2.2 to 2.0 times); the servers take turns of some seconds.

{tables}

Not here:
{absent}
"""
