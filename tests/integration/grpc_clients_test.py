"""Clients that others wrote, each its own gRPC and HTTP/2: grpc++, grpc-js, ghz (grpc-go) and h2load (nghttp2)."""
import json
import os
import re
import struct
import unittest

from grpc_harness import PROTO, TOOLS, YEAR, GrpcCase, descriptor, question, tool
from harness import ROOT, request, require

SHOP = f"domains: {{shop: {{descriptors: [{{key: client, rule: {{max_requests: 1000000000, window_seconds: {YEAR}}}}}]}}}}\n"
PATH = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"


class Clients(GrpcCase):
    def address(self, weir):
        return f"127.0.0.1:{weir.port_of('grpc')}"

    def test_grpc_cpp(self):
        told = self.run_tool(os.environ["WEIR_GRPC_CLIENT"], self.address(self.grpc_weir(SHOP)), "shop")
        self.assertEqual(told.splitlines(), [f"{way} passed=50 denied=30 failed=0" for way in ("sync", "gzip", "callback", "queue")] + ["watch SERVING"])

    def test_grpc_js(self):
        script = ROOT / "tests" / "integration" / "grpc_client.js"
        told = self.run_tool(tool("node"), script, PROTO, self.address(self.grpc_weir(SHOP)), "shop",
                             env={**os.environ, "NODE_PATH": str(TOOLS / "node" / "node_modules")})
        self.assertEqual(told.splitlines(), ["node passed=50 denied=30 failed=0", "refused 2", "watch SERVING"])

    def test_ghz(self):
        weir = self.grpc_weir(SHOP)
        asked = '{"domain": "shop", "descriptors": [{"entries": [{"key": "client", "value": "{{.RequestNumber}}"}]}]}'
        for connections, concurrency in ((1, 1), (1, 50), (5, 50)):
            told = json.loads(self.run_tool(tool("ghz"), "--insecure", "--import-paths", PROTO, "--proto", PROTO / "envoy/service/ratelimit/v3/rls.proto",
                                            "--call", PATH, "-d", asked, "-n", 2000, "-c", concurrency, "--connections", connections,
                                            "-O", "json", self.address(weir)))
            self.assertEqual((told["count"], told["statusCodeDistribution"], told["errorDistribution"]), (2000, {"OK": 2000}, {}))

    def test_h2load(self):
        weir = self.grpc_weir(SHOP)
        message = question("shop", descriptor(("client", "192.0.2.1"))).SerializeToString()
        body = self.directory / "question"
        body.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
        for clients, streams in ((1, 1), (10, 32)):
            told = self.run_tool(require("h2load"), "-n", 4000, "-c", clients, "-m", streams, "-d", body, "-H", "content-type: application/grpc",
                                 "-H", "te: trailers", f"http://{self.address(weir)}/{PATH}")
            done = re.search(r"requests: 4000 total, 4000 started, 4000 done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", told)
            self.assertEqual(done and done.groups(), ("4000", "0", "0", "0"), told)
        # h2load reads no trailers: that each was a decision is in the metrics.
        allowed = re.search(r"^weir_decisions_total\{[^}]*allowed[^}]*\} (\d+)", request(weir.port, path="/metrics")[2], re.M)
        self.assertEqual(int(allowed[1]), 8000)


if __name__ == "__main__":
    unittest.main()
