"""gRPC itself as real clients meet it: health, reflection, compression, sizes, deadlines, TLS, sockets, drain, h2spec."""
import asyncio
import re
import signal
import socket
import subprocess
import threading
import unittest

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from grpc_harness import GrpcCase, tool
from harness import PATIENCE, require, wait_until

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
CHECK = "/grpc.health.v1.Health/Check"


class Scrape:
    """GET /metrics, begun now and finished later: a weir that drains waits for it, and then tells how it ended."""

    def __init__(self, weir):
        self.socket = socket.create_connection(("127.0.0.1", weir.port_of("admin")), timeout=PATIENCE)
        self.socket.sendall(b"GET /metrics HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n")

    def finish(self):
        self.socket.sendall(b"\r\n")
        with self.socket, self.socket.makefile("rb") as answer:
            return answer.read().decode()


class Transport(GrpcCase):
    def health(self, channel):
        stub = health_pb2_grpc.HealthStub(channel)
        return lambda service="": stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE).status

    def test_health(self):
        weir = self.grpc_weir()
        channel = self.channel(weir)
        check = self.health(channel)
        # The server, a service by its name, and the name that envoyproxy/ratelimit gives itself.
        for service in ("", "envoy.service.ratelimit.v3.RateLimitService", "ratelimit"):
            self.assertEqual(check(service), SERVING, service)
        self.fails(grpc.StatusCode.NOT_FOUND, check, "no.such.Service")

    def test_watch_tells_of_the_end(self):
        weir = self.grpc_weir()
        watch = health_pb2_grpc.HealthStub(self.channel(weir)).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        self.assertEqual(next(watch).status, SERVING)
        weir.signal(signal.SIGTERM)
        self.assertEqual(next(watch).status, NOT_SERVING)
        # The stream ends by itself, so that the drain does not last until its time is out.
        with self.assertRaises(grpc.RpcError) as caught:
            next(watch)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        weir.stop()

    def test_watch_of_an_unknown_service_stays_open(self):
        watch = health_pb2_grpc.HealthStub(self.channel(self.grpc_weir())).Watch(health_pb2.HealthCheckRequest(service="no.such"))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()

    def test_unknown_service_and_method(self):
        channel = self.channel(self.grpc_weir())
        for path in ("/no.such.Service/Method", "/grpc.health.v1.Health/NoSuchMethod", "/envoy.service.ratelimit.v3.RateLimitService/Nope"):
            call = channel.unary_unary(path)
            self.fails(grpc.StatusCode.UNIMPLEMENTED, call, b"", timeout=PATIENCE)
            self.fails(grpc.StatusCode.UNIMPLEMENTED, lambda: list(channel.unary_stream(path)(b"", timeout=PATIENCE)))

    def test_what_is_no_message(self):
        call = self.channel(self.grpc_weir()).unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
        self.fails(grpc.StatusCode.INVALID_ARGUMENT, call, b"\xff\xff\xff\xff", timeout=PATIENCE)

    def test_compressed_requests(self):
        weir = self.grpc_weir()
        check = self.health(self.channel(weir))
        for algorithm in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            stub = health_pb2_grpc.HealthStub(self.channel(weir, compression=algorithm))
            long = "x" * 100_000  # so long that the client does compress it
            self.fails(grpc.StatusCode.NOT_FOUND, stub.Check, health_pb2.HealthCheckRequest(service=long), timeout=PATIENCE)
            self.assertEqual(stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=PATIENCE).status, SERVING)
        self.assertEqual(check(), SERVING)

    def test_large_messages(self):
        weir = self.grpc_weir()
        call = health_pb2_grpc.HealthStub(self.channel(weir)).Check
        self.fails(grpc.StatusCode.NOT_FOUND, call, health_pb2.HealthCheckRequest(service="x" * 1_000_000), timeout=PATIENCE)
        # Beyond the limit, plain and as something small that swells.
        for channel in (self.channel(weir), self.channel(weir, compression=grpc.Compression.Gzip)):
            call = health_pb2_grpc.HealthStub(channel).Check
            self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, call, health_pb2.HealthCheckRequest(service="x" * 3_000_000), timeout=PATIENCE)
        self.assertEqual(self.health(self.channel(weir))(), SERVING)

    def test_deadline(self):
        stub = health_pb2_grpc.HealthStub(self.channel(self.grpc_weir()))
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
        self.assertEqual(next(watch).status, SERVING)
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, next, watch)

    def test_metadata(self):
        """What a client sends beside its message is carried and ignored; what it may not send is refused."""
        weir = self.grpc_weir()
        stub = health_pb2_grpc.HealthStub(self.channel(weir))
        metadata = [("x-request-id", "1"), ("x-request-id", "2"), ("trace-bin", bytes(range(256))), ("x-long", "y" * 4000)]
        reply, call = stub.Check.with_call(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=PATIENCE)
        self.assertEqual((reply.status, call.code()), (SERVING, grpc.StatusCode.OK))
        headers = lambda count: [(f"x-{i}", "z" * 1000) for i in range(count)]  # noqa: E731
        # Somewhat too large is refused; far too large ends the connection: ENHANCE_YOUR_CALM.
        ask = lambda count: stub.Check(health_pb2.HealthCheckRequest(), metadata=headers(count), timeout=PATIENCE)  # noqa: E731
        self.assertEqual(self.fails(grpc.StatusCode.RESOURCE_EXHAUSTED, ask, 30), "the headers exceed 16384 bytes")
        self.assertIn("GOAWAY received; Error code: 11", self.fails(grpc.StatusCode.UNAVAILABLE, ask, 100))
        self.assertIn('weir_grpc_connections_ended_total{abuse="header_flood"} 1', Scrape(weir).finish())
        self.assertEqual(stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE, wait_for_ready=True).status, SERVING)

    def test_asyncio_many_at_once(self):
        """Thousands of calls on one connection: more than it may have open at a time, and each is answered."""
        weir = self.grpc_weir()

        async def all_of_them():
            async with grpc.aio.insecure_channel(f"127.0.0.1:{weir.port_of('grpc')}") as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                calls = [stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE) for _ in range(3000)]
                return [reply.status for reply in await asyncio.gather(*calls)]

        self.assertEqual(asyncio.run(all_of_them()), [SERVING] * 3000)

    def test_cancelled_calls_leave_nothing_behind(self):
        weir = self.grpc_weir()
        stub = health_pb2_grpc.HealthStub(self.channel(weir))
        for _ in range(50):
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            self.assertEqual(next(watch).status, SERVING)
            watch.cancel()
        self.assertEqual(stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE).status, SERVING)

    def test_unix_socket(self):
        path = self.directory / "weir.sock"
        self.weir(None, ["--grpc", f"unix:{path}"])
        channel = grpc.insecure_channel(f"unix:{path}")
        self.addCleanup(channel.close)
        self.assertEqual(self.health(channel)(), SERVING)

    def certificates(self, *names):
        for name in names:
            subprocess.run([require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.directory / f"{name}.key",
                            "-out", self.directory / f"{name}.pem"], check=True, capture_output=True)
        return {name: ((self.directory / f"{name}.key").read_bytes(), (self.directory / f"{name}.pem").read_bytes()) for name in names}

    def test_tls_and_client_certificates(self):
        pairs = self.certificates("server", "client", "stranger")
        tls = f"certificate_file: {self.directory}/server.pem, key_file: {self.directory}/server.key"
        trust = pairs["server"][1]
        for ca, answers in (("", {None: True}), (f", client_ca_file: {self.directory}/client.pem", {None: False, "client": True, "stranger": False})):
            weir = self.grpc_weir(f"server: {{grpc: {{address: '127.0.0.1:0', tls: {{{tls}{ca}}}}}}}\n")
            for who, welcome in answers.items():
                key, chain = pairs[who] if who else (None, None)
                channel = grpc.secure_channel(f"127.0.0.1:{weir.port_of('grpc')}", grpc.ssl_channel_credentials(trust, key, chain))
                self.addCleanup(channel.close)
                if welcome:
                    self.assertEqual(self.health(channel)(), SERVING)
                else:
                    self.fails(grpc.StatusCode.UNAVAILABLE, self.health(channel))
            # Plain text is not answered there.
            self.fails(grpc.StatusCode.UNAVAILABLE, self.health(self.channel(weir)))
            weir.stop()

    def test_drain_loses_no_answer(self):
        """What was asked before the end is answered; what is asked after it is refused so that a client asks elsewhere.

        No call is cut off: each that weir counts as OK its client has the answer to, and each that failed was told that
        the server goes (GOAWAY), or found nobody to connect to.
        """
        weir = self.grpc_weir()
        channel = self.channel(weir, options=[("grpc.enable_retries", 0)])
        stub = health_pb2_grpc.HealthStub(channel)
        scrape = Scrape(weir)
        ends, answered, stop = [], [0] * 4, threading.Event()

        def ask(which):
            while not stop.is_set():
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
                    answered[which] += 1
                except grpc.RpcError as error:
                    ends.append((error.code(), error.details()))
                    return

        threads = [threading.Thread(target=ask, args=(which,)) for which in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: sum(answered) > 500, "some answers")
        weir.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(PATIENCE)
        stop.set()
        counted = re.search(r'weir_grpc_requests_total\{method="/grpc.health.v1.Health/Check",code="OK"\} (\d+)', scrape.finish())
        self.assertEqual(sum(answered), int(counted[1]), ends)
        self.assertEqual(len(ends), 4)
        for code, details in ends:
            self.assertEqual(code, grpc.StatusCode.UNAVAILABLE, details)
            self.assertRegex(details, "GOAWAY received; Error code: 0|failed to connect to all addresses")
        weir.stop()

    def test_reflection_of_grpcio(self):
        database = ProtoReflectionDescriptorDatabase(self.channel(self.grpc_weir()))
        self.assertIn("envoy.service.ratelimit.v3.RateLimitService", database.get_services())
        found = database.FindFileContainingSymbol("envoy.service.ratelimit.v3.RateLimitRequest")
        self.assertEqual(found.package, "envoy.service.ratelimit.v3")
        # The server tells the very contract that is in proto/.
        ours = {message.name: [(f.name, f.number) for f in message.field] for message in found.message_type}
        self.assertEqual(ours["RateLimitRequest"], [("domain", 1), ("descriptors", 2), ("hits_addend", 3)])

    def test_grpcurl(self):
        address = f"127.0.0.1:{self.grpc_weir().port_of('grpc')}"
        grpcurl = [tool("grpcurl"), "-plaintext"]
        services = self.run_tool(*grpcurl, address, "list").split()
        for service in ("envoy.service.ratelimit.v3.RateLimitService", "envoy.service.rate_limit_quota.v3.RateLimitQuotaService",
                        "kuadrant.service.ratelimit.v1.RateLimitService", "grpc.health.v1.Health"):
            self.assertIn(service, services)
            self.assertIn("rpc ", self.run_tool(*grpcurl, address, "describe", service))
        told = self.run_tool(*grpcurl, address, "describe", "envoy.service.ratelimit.v3.RateLimitResponse.DescriptorStatus")
        self.assertIn("uint32 limit_remaining = 3;", told)
        self.assertIn('"SERVING"', self.run_tool(*grpcurl, address, "grpc.health.v1.Health/Check"))
        # By the server's own word, with no file at hand.
        asked = '{"domain": "d", "descriptors": [{"entries": [{"key": "k", "value": "v"}]}]}'
        self.assertIn('"overallCode": "OK"', self.run_tool(*grpcurl, "-d", asked, address, "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"))

    def h2spec(self, port, *options):
        told = self.run_tool(tool("h2spec"), "-h", "127.0.0.1", "-p", port, "-P", CHECK, "--timeout", 10, *options)
        tests, passed, skipped, failed = (int(n) for n in re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", told).groups())
        self.assertGreaterEqual(tests, 140)
        self.assertEqual((passed, skipped, failed), (tests, 0, 0), told)

    def test_h2spec(self):
        self.h2spec(self.grpc_weir().port_of("grpc"), "--strict")

    def test_h2spec_over_tls(self):
        self.certificates("server")
        weir = self.grpc_weir(f"server: {{grpc: {{address: '127.0.0.1:0', tls: {{certificate_file: {self.directory}/server.pem, "
                              f"key_file: {self.directory}/server.key}}}}}}\n")
        self.h2spec(weir.port_of("grpc"), "-t", "-k")


if __name__ == "__main__":
    unittest.main()
