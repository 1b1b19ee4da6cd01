"""A real Envoy in front of a small site, limited by weir through its ratelimit filter, from examples/envoy."""
import json
import re
import shutil
import subprocess
import unittest

import yaml

from grpc_harness import YEAR, GrpcCase, descriptor, tool
from harness import ROOT, free_port, request, require, wait_until


class EnvoyCase(GrpcCase):
    def setUp(self):
        super().setUp()
        self.envoys = []
        self.folder = self.example("envoy", {})
        # Windows are the clock's; a minute might end within a test.
        self.edit("weir.yaml", "window_seconds: 60", f"window_seconds: {YEAR}")
        self.edit("ratelimit.yaml", "unit: minute", "unit: year")

    def edit(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def limiter(self, port=0):
        return self.weir(self.folder / "weir.yaml", ["--grpc", f"127.0.0.1:{port}"])

    def envoy(self, site, weir_port, name="envoy.yaml"):
        """Envoy with the example's ports replaced: the port that it listens on."""
        port = free_port()
        for old, new in ((8000, port), (9000, site.port), (8081, weir_port)):
            self.edit(name, f"port_value: {old}", f"port_value: {new}")
        self.envoys.append(self.start([tool("envoy"), "-c", self.folder / name, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"], port))
        return port

    def statuses(self, port, path, count, **headers):
        return [request(port, path=path, headers=headers)[0] for _ in range(count)]


class Envoy(EnvoyCase):
    def test_limited_end_to_end(self):
        site, weir = self.site(), self.limiter()
        port = self.envoy(site, weir.port_of("grpc"))
        for left in (4, 3, 2, 1, 0):
            status, headers, body = request(port, path="/page")
            self.assertEqual((status, body), (200, "site /page\n"))
            # Envoy's headers, of the statuses; and weir's own.
            self.assertEqual(headers["x-ratelimit-limit"].split(",")[0], "5")
            self.assertEqual(headers["x-ratelimit-remaining"], str(left))
            self.assertTrue(0 < int(headers["x-ratelimit-reset"]) <= YEAR)
            self.assertIn(f"r={left}", headers["ratelimit"])
            self.assertIn("q=5", headers["ratelimit-policy"])
        hits = site.hits
        status, headers, _ = request(port, path="/page")
        self.assertEqual(status, 429)
        self.assertEqual((headers["x-envoy-ratelimited"], headers["x-ratelimit-remaining"]), ("true", "0"))
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        self.assertIn("r=0", headers["ratelimit"])
        self.assertEqual(site.hits, hits, "a denied request must not reach the site")

    def test_the_files_of_the_reference_server(self):
        """The example's other form: the same limits as envoyproxy/ratelimit writes them."""
        for path in (self.folder / "ratelimit.yaml", self.folder / "limits"):  # a file, and a directory of them
            weir = self.weir(None, ["--grpc", "127.0.0.1:0", "--envoy-config", str(path)])
            port = self.envoy(self.site(), weir.port_of("grpc"))
            self.assertEqual(self.statuses(port, "/login", 4), [200, 200, 200, 429])
            self.assertEqual(self.statuses(port, "/page", 3), [200, 200, 429])
            self.assertEqual(self.statuses(port, "/plan", 5, **{"X-Plan": "free"}), [200] * 4 + [429])
            weir.stop()
            if path.is_file():
                (self.folder / "limits").mkdir()
                path.rename(self.folder / "limits" / "ratelimit.yaml")
            shutil.copy(ROOT / "examples" / "envoy" / "envoy.yaml", self.folder)

    def test_two_descriptors_are_all_or_nothing(self):
        site, weir = self.site(), self.limiter()
        port = self.envoy(site, weir.port_of("grpc"))
        self.assertEqual(self.statuses(port, "/login", 6), [200, 200, 200, 429, 429, 429])
        # What was denied took nothing from the client's other limit.
        self.assertEqual(self.statuses(port, "/page", 3), [200, 200, 429])

    def test_count_all(self):
        with open(self.folder / "weir.yaml", "a", encoding="utf-8") as file:
            file.write("envoy: {count_all: true}\n")
        port = self.envoy(self.site(), self.limiter().port_of("grpc"))
        self.assertEqual(self.statuses(port, "/login", 5), [200, 200, 200, 429, 429])
        self.assertEqual(self.statuses(port, "/page", 1), [429])

    def test_shadow_wildcards_and_unlimited(self):
        weir = self.limiter()
        port = self.envoy(self.site(), weir.port_of("grpc"))
        self.assertEqual(self.statuses(port, "/trial", 5), [200] * 5)
        self.assertEqual(self.statuses(port, "/plan", 6, **{"X-Plan": "free-2"}), [200] * 4 + [429] * 2)
        self.assertEqual(self.statuses(port, "/plan", 1, **{"X-Plan": "free-3"}), [200])
        self.assertEqual(self.statuses(port, "/plan", 20, **{"X-Plan": "paid"}), [200] * 20)
        # No value and no absence of it is without a limit.
        for headers in ({}, {"X-Plan": ""}, {"X-Plan": "other"}, {"X-Plan": "x" * 9_000}, {"X-Plan": "caf\xe9\xff"}):
            self.assertEqual(self.statuses(port, "/plan", 6, **headers)[-1], 429, headers)

    def test_weir_is_away(self):
        for deny, status in (("false", 200), ("true", 500)):
            self.setUp()
            self.edit("envoy.yaml", "failure_mode_deny: false", f"failure_mode_deny: {deny}")
            weir = self.limiter()
            grpc_port = weir.port_of("grpc")
            port = self.envoy(self.site(), grpc_port)
            self.assertEqual(self.statuses(port, "/page", 1), [200])
            weir.stop()
            self.assertEqual(self.statuses(port, "/page", 8), [status] * 8)
            # And back, with no hand laid on Envoy.
            again = self.limiter(grpc_port)
            wait_until(lambda: "ratelimit" in request(port, path="/page")[1], "weir's headers again")
            self.assertIn(429, self.statuses(port, "/page", 6))
            again.stop()

    def test_costs_and_limits_of_the_route(self):
        """What a request costs, before it (a header) and after it (its bytes), and a limit that Envoy brings."""
        # What is charged after the fact must count even when it does not fit any more.
        with open(self.folder / "weir.yaml", "a", encoding="utf-8") as file:
            file.write("envoy: {count_all: true}\n")
        self.edit("envoy.yaml", "- match: {prefix: /trial}", """\
- match: {prefix: /costly}
                          route: {cluster: site}
                          typed_per_filter_config:
                            envoy.filters.http.ratelimit:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute
                              rate_limits:
                                - actions: [{remote_address: {}}]
                                  hits_addend: {format: "%REQ(x-cost)%"}
                        - match: {prefix: /after}
                          route: {cluster: site}
                          typed_per_filter_config:
                            envoy.filters.http.ratelimit:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute
                              rate_limits:
                                - actions: [{request_headers: {header_name: x-plan, descriptor_key: plan}}]
                                  hits_addend: {number: 0}
                                - actions: [{request_headers: {header_name: x-plan, descriptor_key: plan}}]
                                  hits_addend: {format: "%BYTES_RECEIVED%"}
                                  apply_on_stream_done: true
                        - match: {prefix: /brought}
                          route:
                            cluster: site
                            rate_limits:
                              - actions: [{generic_key: {descriptor_key: nowhere, descriptor_value: brought}}]
                                limit: {dynamic_metadata: {metadata_key: {key: shop.limits, path: [{key: login}]}}}
                        - match: {prefix: /trial}""")
        self.edit("envoy.yaml", "                http_filters:", """\
                http_filters:
                  - name: envoy.filters.http.set_metadata
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config
                      metadata: [{metadata_namespace: shop.limits, value: {login: {requests_per_unit: 2, unit: YEAR}}}]""")
        port = self.envoy(self.site(), self.limiter().port_of("grpc"))
        self.assertEqual(self.statuses(port, "/costly", 1, **{"X-Cost": "3"}), [200])
        self.assertEqual(self.statuses(port, "/costly", 3, **{"X-Cost": "1"}), [200, 200, 429])
        # Four in all, three of them by one request's body; it was charged after it had passed.
        after = lambda body: request(port, "POST", "/after", {"X-Plan": "free-9"}, body)  # noqa: E731
        self.assertEqual(after("abc")[0], 200)
        wait_until(lambda: after("")[1]["x-ratelimit-remaining"] == "1", "the charge after the request")
        self.assertEqual(after("defg")[0], 200)
        wait_until(lambda: after("")[0] == 429, "the charge after the second request")
        self.assertEqual(self.statuses(port, "/brought", 3), [200, 200, 429])

    def test_mutual_tls(self):
        for name in ("server", "client"):
            subprocess.run([require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / f"{name}.key",
                            "-out", self.folder / f"{name}.pem"], check=True, capture_output=True)
        with open(self.folder / "weir.yaml", "a", encoding="utf-8") as file:
            file.write(f"server: {{grpc: {{address: '127.0.0.1:0', tls: {{certificate_file: {self.folder}/server.pem, "
                       f"key_file: {self.folder}/server.key, client_ca_file: {self.folder}/client.pem}}}}}}\n")
        plain = (self.folder / "envoy.yaml").read_text()
        tls = f"""\
    - name: weir
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          common_tls_context:
            tls_certificates: [{{certificate_chain: {{filename: {self.folder}/client.pem}}, private_key: {{filename: {self.folder}/client.key}}}}]
            validation_context: {{trusted_ca: {{filename: {self.folder}/server.pem}}}}
"""
        self.edit("envoy.yaml", "    - name: weir\n", tls)
        weir = self.limiter()
        port = self.envoy(self.site(), weir.port_of("grpc"))
        self.assertEqual(self.statuses(port, "/page", 6), [200] * 5 + [429])
        # Without a certificate Envoy is no client of this weir: its own failure mode decides.
        (self.folder / "envoy.yaml").write_text(plain)
        port = self.envoy(self.site(), weir.port_of("grpc"))
        status, headers, _ = request(port, path="/page")
        self.assertEqual((status, "ratelimit" in headers), (200, False))

    def behaves_with(self, http_filter, rate_limits, cluster=None):
        """What Istio or Envoy Gateway would make of a patch: the example with these parts in place of its own."""
        path = self.folder / "envoy.yaml"
        made = yaml.safe_load(path.read_text())["static_resources"]
        manager = made["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"][0] = http_filter
        host = manager["route_config"]["virtual_hosts"][0]
        host["rate_limits"] = rate_limits
        host["routes"] = [{"match": {"prefix": "/"}, "route": {"cluster": "site"}}]
        if cluster:
            made["clusters"][0] = cluster
        text = json.dumps({"static_resources": made}).replace("outbound|8081||weir.weir.svc.cluster.local", "weir").replace("weir.weir.svc.cluster.local", "127.0.0.1")
        path.write_text(text.replace('"port_value": ', "port_value: "))
        port = self.envoy(self.site(), self.limiter().port_of("grpc"))
        self.assertEqual(self.statuses(port, "/page", 6), [200] * 5 + [429])

    def test_istio(self):
        patches = yaml.safe_load((self.folder / "istio.yaml").read_text())["spec"]["configPatches"]
        by_place = {patch["applyTo"]: patch["patch"]["value"] for patch in patches}
        self.behaves_with(by_place["HTTP_FILTER"], by_place["VIRTUAL_HOST"]["rate_limits"])

    def test_envoy_gateway(self):
        patches = yaml.safe_load((self.folder / "envoy-gateway.yaml").read_text())["spec"]["jsonPatches"]
        by_type = {patch["type"].rsplit(".", 1)[1]: patch["operation"]["value"] for patch in patches}
        self.behaves_with(by_type["Listener"], by_type["RouteConfiguration"], by_type["Cluster"])

    def test_warm_migration(self):
        """docs/envoy.md: a second filter asks weir and enforces nothing, until weir has counted for a window."""
        page = (ROOT / "docs" / "envoy.md").read_text()
        trial = re.search(r"```yaml\n# the second filter[^\n]*\n(.*?)```", page, re.S)[1]
        filters = "                http_filters:\n"
        plain = (self.folder / "envoy.yaml").read_text()
        # Who decides so far is away in this test: every request passes, and weir counts.
        self.edit("envoy.yaml", "{cluster_name: weir}", "{cluster_name: former}")
        self.edit("envoy.yaml", filters, filters + "".join(f"                  {line}\n" for line in trial.splitlines()))
        self.edit("envoy.yaml", "  clusters:\n", """\
  clusters:
    - {name: former, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: former}}
""")
        with open(self.folder / "weir.yaml", "a", encoding="utf-8") as file:
            file.write("envoy: {response_headers: false, count_all: true}\n")
        weir = self.limiter()
        port = self.envoy(self.site(), weir.port_of("grpc"))
        for _ in range(7):
            status, headers, _ = request(port, path="/page")
            self.assertEqual(status, 200)
            # Clients hear nothing of what weir would have said.
            self.assertFalse([name for name in headers if "ratelimit" in name.lower() or name.lower() in ("retry-after", "cache-control")], headers)
        (self.folder / "envoy.yaml").write_text(plain)
        port = self.envoy(self.site(), weir.port_of("grpc"))
        self.assertEqual(self.statuses(port, "/page", 1), [429])

    def test_metadata_of_the_answer(self):
        with open(self.folder / "weir.yaml", "a", encoding="utf-8") as file:
            file.write("envoy: {dynamic_metadata: true}\n")
        self.edit("envoy.yaml", "      routes:", """\
      response_headers_to_add:
                        - header: {key: x-told, value: "%DYNAMIC_METADATA(envoy.filters.http.ratelimit:domain)%"}
                      routes:""")
        port = self.envoy(self.site(), self.limiter().port_of("grpc"))
        self.assertEqual(request(port, path="/page")[1]["x-told"], "shop")


class Quotas(EnvoyCase):
    """Envoy's rate_limit_quota filter: it decides by itself within the part that weir gives it, and reports."""

    def ask(self, port, count, **headers):
        return self.statuses(port, "/", count, **headers).count(200)

    def members(self, weir):
        return float(re.search(r"^weir_quota_members (\S+)", request(weir.port, path="/metrics")[2], re.M)[1])

    def test_buckets(self):
        port = self.envoy(self.site(), self.limiter().port_of("grpc"), "envoy-rlqs.yaml")
        free = {"X-Plan": "free"}
        # The first request of a bucket passes on Envoy's own word and brings weir's; a free plan has four.
        wait_until(lambda: 429 in self.statuses(port, "/", 2, **free), "weir's word")
        self.assertEqual(self.ask(port, 10, **free), 0)
        # Another bucket, one without a limit, and that of requests without a plan.
        self.assertEqual(self.ask(port, 1, **{"X-Plan": "free-2"}), 1)
        self.assertEqual(self.ask(port, 20, **{"X-Plan": "paid"}), 20)
        wait_until(lambda: 429 in self.statuses(port, "/", 2), "weir's word")
        self.assertEqual(self.ask(port, 10), 0)

    def test_what_passed_is_known_to_weir(self):
        weir, site = self.limiter(), self.site()
        port = self.envoy(site, weir.port_of("grpc"), "envoy-rlqs.yaml")
        wait_until(lambda: 429 in self.statuses(port, "/", 2, **{"X-Plan": "free-3"}), "weir's word")
        # Four of weir's, and what Envoy let pass before it had its part.
        self.assertTrue(4 <= site.hits <= 8, site.hits)
        # The other protocol, of the same limit, sees it by the reports.
        ask = self.rls(weir)
        wait_until(lambda: ask("shop", descriptor(("plan", "free-3"), hits=0)).statuses[0].limit_remaining == 0, "the report")

    def test_two_envoys_share(self):
        self.edit("weir.yaml", f"rule: {{max_requests: 4, window_seconds: {YEAR}}}", f"rule: {{max_requests: 100, window_seconds: {YEAR}}}")
        weir = self.limiter()
        plain = (self.folder / "envoy-rlqs.yaml").read_text()
        sites, ports = [self.site(), self.site()], []
        for site in sites:
            (self.folder / "envoy-rlqs.yaml").write_text(plain)
            ports.append(self.envoy(site, weir.port_of("grpc"), "envoy-rlqs.yaml"))
        free = {"X-Plan": "free-4"}
        for port in ports:
            self.statuses(port, "/", 1, **free)
        wait_until(lambda: self.members(weir) == 2, "both report")
        # Both use up their parts of the hundred: neither has all of it.
        for port in ports:
            wait_until(lambda port=port: self.ask(port, 10, **free) == 0, "the end of a part")
        hits = [site.hits for site in sites]
        self.assertTrue(all(10 <= n for n in hits), hits)
        # Either may have had more before the other came, and passes some before it is told of less.
        self.assertLessEqual(sum(hits), 200, hits)
        self.envoys[0].terminate()
        wait_until(lambda: self.members(weir) == 1, "one has gone")

    def test_weir_goes_away_and_comes_back(self):
        weir = self.limiter()
        grpc_port = weir.port_of("grpc")
        port = self.envoy(self.site(), grpc_port, "envoy-rlqs.yaml")
        free = {"X-Plan": "free"}
        wait_until(lambda: 429 in self.statuses(port, "/", 2, **free), "weir's word")
        weir.stop()
        # The part goes on until it ends.
        self.assertEqual(self.ask(port, 5, **free), 0)
        again = self.limiter(grpc_port)
        wait_until(lambda: self.members(again) == 1, "Envoy's report")


if __name__ == "__main__":
    unittest.main()
