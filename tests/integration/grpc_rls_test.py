"""What the rate limit service answers to a real client: each field of the contract, and each choice of the configuration."""
import asyncio
import unittest

import grpc

from grpc_harness import OK, OVER_LIMIT, YEAR, GrpcCase, Unit, descriptor, question, rls_grpc, tool
from harness import PATIENCE, check, free_port, request, require, wait_until

SHOP = f"""
domains:
  shop:
    descriptors:
      - {{key: client, rule: {{max_requests: 5, window_seconds: {YEAR}, name: per_client}}}}
      - {{key: route, value: /login, rule: {{max_requests: 2, window_seconds: {YEAR}}}}}
      - {{key: route, value: /trial, rule: {{max_requests: 1, window_seconds: {YEAR}, mode: shadow}}}}
      - {{key: plan, value: paid, rule: unlimited}}
      - key: plan
        value: free*
        descriptors:
          - {{key: user, rule: {{max_requests: 3, window_seconds: {YEAR}}}}}
      - {{key: hourly, rule: {{max_requests: 1000000, window_seconds: 3600}}}}
"""
ALL_UNITS = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.DAY: 86400, Unit.WEEK: 7 * 86400, Unit.MONTH: 30 * 86400,
             Unit.YEAR: YEAR}
CLIENT = ("client", "192.0.2.1")


class Rls(GrpcCase):
    def codes(self, reply):
        return [status.code for status in reply.statuses]

    def test_each_field_of_a_status(self):
        ask = self.rls(self.grpc_weir(SHOP))
        for left in (4, 3, 2, 1, 0):
            reply = ask("shop", descriptor(CLIENT))
            self.assertEqual((reply.overall_code, self.codes(reply)), (OK, [OK]))
            status = reply.statuses[0]
            self.assertEqual(status.limit_remaining, left)
            self.assertEqual((status.current_limit.requests_per_unit, status.current_limit.unit), (5, Unit.YEAR))
            self.assertEqual(status.current_limit.name, "per_client")
            self.assertTrue(0 < status.duration_until_reset.seconds <= YEAR)
        reply = ask("shop", descriptor(CLIENT))
        self.assertEqual((reply.overall_code, self.codes(reply), reply.statuses[0].limit_remaining), (OVER_LIMIT, [OVER_LIMIT], 0))
        self.assertEqual(ask("shop", descriptor(("client", "192.0.2.2"))).overall_code, OK)
        # The window is the clock's: an hour is never farther away than an hour.
        status = ask("shop", descriptor(("hourly", "x"))).statuses[0]
        self.assertEqual(status.current_limit.unit, Unit.HOUR)
        self.assertTrue(0 < status.duration_until_reset.seconds <= 3600)

    def test_hits_at_both_places(self):
        ask = self.rls(self.grpc_weir(SHOP))
        self.assertEqual(ask("shop", descriptor(CLIENT), hits=3).statuses[0].limit_remaining, 2)
        # A descriptor's own hits go before the request's; 0 only looks.
        self.assertEqual(ask("shop", descriptor(CLIENT, hits=0), hits=9).statuses[0].limit_remaining, 2)
        self.assertEqual(ask("shop", descriptor(CLIENT, hits=1), hits=9).statuses[0].limit_remaining, 1)
        self.assertEqual(ask("shop", descriptor(CLIENT), hits=2).overall_code, OVER_LIMIT)
        self.assertEqual(ask("shop", descriptor(CLIENT), hits=1).statuses[0].limit_remaining, 0)
        # Looking at what is used up says so.
        self.assertEqual(ask("shop", descriptor(CLIENT, hits=0)).statuses[0].limit_remaining, 0)
        self.assertEqual(ask("shop", descriptor(CLIENT), hits=4294967295).overall_code, OVER_LIMIT)

    def test_negative_hits_give_back_and_never_more(self):
        ask = self.rls(self.grpc_weir(SHOP))
        ask("shop", descriptor(CLIENT), hits=4)
        reply = ask("shop", descriptor(CLIENT, hits=2, negative=True))
        self.assertEqual((reply.overall_code, reply.statuses[0].limit_remaining), (OK, 3))
        self.assertEqual(ask("shop", descriptor(CLIENT, hits=100, negative=True)).statuses[0].limit_remaining, 5)
        self.assertEqual(ask("shop", descriptor(CLIENT), hits=5).overall_code, OK)
        self.assertEqual(ask("shop", descriptor(CLIENT)).overall_code, OVER_LIMIT)

    def test_a_limit_that_the_client_brings(self):
        ask = self.rls(self.grpc_weir(SHOP))
        for unit in ALL_UNITS:
            entry = ("client", f"unit-{unit}")
            status = ask("shop", descriptor(entry, limit=(7, unit))).statuses[0]
            self.assertEqual((status.code, status.current_limit.requests_per_unit, status.current_limit.unit), (OK, 7, unit))
            self.assertEqual(status.limit_remaining, 6)
            self.assertLessEqual(status.duration_until_reset.seconds, ALL_UNITS[unit])
        # Also where the domain has no limit, and of several units.
        entry = ("nowhere", "x")
        status = ask("shop", descriptor(entry, limit=(2, Unit.YEAR, 3))).statuses[0]
        self.assertEqual((status.limit_remaining, status.current_limit.requests_per_unit), (1, 2))
        self.assertEqual(ask("shop", descriptor(entry, limit=(2, Unit.YEAR, 3))).overall_code, OK)
        self.assertEqual(ask("shop", descriptor(entry, limit=(2, Unit.YEAR, 3))).overall_code, OVER_LIMIT)

    def test_wildcards_depth_and_no_match(self):
        ask = self.rls(self.grpc_weir(SHOP))
        for value in ("free", "free-trial"):
            status = ask("shop", descriptor(("plan", value), ("user", "u"))).statuses[0]
            self.assertEqual((status.current_limit.requests_per_unit, status.limit_remaining), (3, 2), value)
        # Too short, too long, another key: OK, and no limit is named.
        for entries in ([("plan", "free")], [CLIENT, ("more", "x")], [("other", "x")]):
            status = ask("shop", descriptor(*entries)).statuses[0]
            self.assertEqual((status.code, status.HasField("current_limit"), status.limit_remaining), (OK, False, 0), entries)

    def test_unlimited(self):
        status = self.rls(self.grpc_weir(SHOP))("shop", descriptor(("plan", "paid"))).statuses[0]
        self.assertEqual((status.code, status.limit_remaining, status.HasField("current_limit")), (OK, 4294967295, False))

    def test_shadow_never_denies_and_still_counts(self):
        weir = self.grpc_weir(SHOP)
        ask = self.rls(weir)
        for left in (0, 0, 0):
            reply = ask("shop", descriptor(("route", "/trial")))
            self.assertEqual((reply.overall_code, self.codes(reply), reply.statuses[0].limit_remaining), (OK, [OK], left))
        metrics = request(weir.port, path="/metrics")[2]
        self.assertRegex(metrics, r"shadow[^\n]* 2\n")

    def test_all_or_nothing(self):
        ask = self.rls(self.grpc_weir(SHOP))
        both = [descriptor(CLIENT), descriptor(("route", "/login"))]
        for _ in range(2):
            self.assertEqual(ask("shop", *both).overall_code, OK)
        # /login is used up: the client is not charged for what was denied.
        for _ in range(10):
            reply = ask("shop", *both)
            self.assertEqual((reply.overall_code, self.codes(reply)), (OVER_LIMIT, [OK, OVER_LIMIT]))
        self.assertEqual(ask("shop", descriptor(CLIENT, hits=0)).statuses[0].limit_remaining, 3)

    def test_count_all(self):
        ask = self.rls(self.grpc_weir(SHOP, extra="envoy: {count_all: true}\n"))
        both = [descriptor(CLIENT), descriptor(("route", "/login"))]
        for _ in range(2):
            self.assertEqual(ask("shop", *both).overall_code, OK)
        for left in (2, 1, 0):
            reply = ask("shop", *both)
            self.assertEqual((reply.overall_code, self.codes(reply)), (OVER_LIMIT, [OK, OVER_LIMIT]))
            self.assertEqual(reply.statuses[0].limit_remaining, left)
        self.assertEqual(self.codes(ask("shop", *both)), [OVER_LIMIT, OVER_LIMIT])

    def test_the_same_descriptor_twice_counts_twice(self):
        ask = self.rls(self.grpc_weir(SHOP))
        reply = ask("shop", descriptor(CLIENT), descriptor(CLIENT))
        self.assertEqual([status.limit_remaining for status in reply.statuses], [4, 3])

    def test_what_is_no_question(self):
        ask = self.rls(self.grpc_weir(SHOP))
        # Word for word as envoyproxy/ratelimit says it.
        self.assertEqual(self.fails(grpc.StatusCode.UNKNOWN, ask, "", descriptor(CLIENT)), "rate limit domain must not be empty")
        self.assertEqual(self.fails(grpc.StatusCode.UNKNOWN, ask, "shop"), "rate limit descriptor list must not be empty")
        # An override without a unit ends envoyproxy/ratelimit.
        self.assertIn("unit", self.fails(grpc.StatusCode.INVALID_ARGUMENT, ask, "shop", descriptor(CLIENT, limit=(7, Unit.UNKNOWN))))
        self.assertIn("100", self.fails(grpc.StatusCode.INVALID_ARGUMENT, ask, "shop", *[descriptor(CLIENT)] * 101))

    def test_unknown_domain(self):
        for choice, expected in (("allow", OK), ("deny", OVER_LIMIT)):
            weir = self.grpc_weir(SHOP, extra=f"envoy: {{unknown_domain: {choice}}}\n")
            reply = self.rls(weir)("nowhere", descriptor(CLIENT))
            self.assertEqual((reply.overall_code, self.codes(reply)), (expected, [expected]))
            # Never silent.
            self.assertRegex(request(weir.port, path="/metrics")[2], r"unknown_domain[^\n]* [1-9]")
            wait_until(lambda: "nowhere" in weir.logs(), "the unknown domain in the log")
            weir.stop()
        weir = self.grpc_weir(SHOP, extra="envoy: {unknown_domain: error}\n")
        self.assertIn("nowhere", self.fails(grpc.StatusCode.NOT_FOUND, self.rls(weir), "nowhere", descriptor(CLIENT)))

    def test_descriptors_reach_the_hierarchy(self):
        """A domain without descriptors: its keys are attributes of tiers, tenants, users and endpoints."""
        config = f"""
domains: {{site: {{}}}}
users: {{alice: {{rule: {{max_requests: 2, window_seconds: {YEAR}, algorithm: fixed_window, identifier: user_id}}}}}}
envoy: {{attributes: {{account: user}}}}
"""
        weir = self.grpc_weir(config)
        ask = self.rls(weir)
        self.assertEqual([ask("site", descriptor(("user", "alice"))).overall_code for _ in range(3)], [OK, OK, OVER_LIMIT])
        self.assertEqual(ask("site", descriptor(("user", "bob"))).overall_code, OK)
        # By another name for the same attribute, and by another front end: the same count.
        self.assertEqual(ask("site", descriptor(("account", "alice"))).overall_code, OVER_LIMIT)
        self.assertEqual(check(weir.port, user="alice")[0], 429)

    def test_descriptors_reach_tenants_and_endpoints(self):
        config = f"""
domains: {{site: {{}}}}
tenants: {{acme: {{aggregate: {{max_requests: 5, window_seconds: {YEAR}, algorithm: fixed_window, name: of_acme}}}}}}
endpoints:
  /login: {{methods: [POST], rule: {{max_requests: 2, window_seconds: {YEAR}, algorithm: fixed_window, identifier: ip_address, name: logins}}}}
"""
        weir = self.grpc_weir(config)
        ask = self.rls(weir)
        login = [CLIENT, ("method", "POST"), ("path", "/login?next=/")]
        login[0] = ("remote_address", CLIENT[1])
        for left in (1, 0):
            status = ask("site", descriptor(*login)).statuses[0]
            self.assertEqual((status.code, status.current_limit.name, status.limit_remaining), (OK, "logins", left))
        denied = ask("site", descriptor(*login))
        self.assertEqual((denied.overall_code, denied.statuses[0].current_limit.name), (OVER_LIMIT, "logins"))
        # Another method, path or address is another matter, and the same one by HTTP is the same count.
        for changed in ((1, ("method", "GET")), (2, ("path", "/cart")), (0, ("remote_address", "192.0.2.9"))):
            other = list(login)
            other[changed[0]] = changed[1]
            self.assertEqual(ask("site", descriptor(*other)).overall_code, OK, changed)
        self.assertEqual(check(weir.port, ip=CLIENT[1], method="POST", path="/login")[0], 429)

        # The tenant's budget is one for all its users, also beside the endpoint's rule.
        for user in ("a", "b", "c", "d"):
            status = ask("site", descriptor(("tenant_id", "acme"), ("user_id", user))).statuses[0]
            self.assertEqual((status.code, status.current_limit.name), (OK, "of_acme"))
        fifth = [("tenant", "acme"), ("remote_address", "192.0.2.7"), ("method", "POST"), ("path", "/login")]
        self.assertEqual(ask("site", descriptor(*fifth)).statuses[0].limit_remaining, 0)
        denied = ask("site", descriptor(*fifth))
        self.assertEqual((denied.overall_code, denied.statuses[0].current_limit.name), (OVER_LIMIT, "of_acme"))
        self.assertEqual(ask("site", descriptor(*fifth[1:])).statuses[0].limit_remaining, 0, "it was not charged for what the tenant was denied")
        self.assertEqual(ask("site", descriptor(("tenant", "other"), ("user_id", "a"))).overall_code, OK)

    def test_response_headers(self):
        for extra, wanted in (("", True), ("envoy: {response_headers: false}\n", False)):
            weir = self.grpc_weir(SHOP, extra=extra)
            reply = self.rls(weir)("shop", descriptor(CLIENT), hits=6)
            names = {header.key.lower(): header.value or header.raw_value.decode() for header in reply.response_headers_to_add}
            self.assertEqual("ratelimit" in names, wanted, names)
            if wanted:
                self.assertIn("r=5", names["ratelimit"])
                self.assertIn("q=5", names["ratelimit-policy"])
            weir.stop()

    def test_dynamic_metadata(self):
        ask = self.rls(self.grpc_weir(SHOP, extra="envoy: {dynamic_metadata: true}\n"))
        self.assertEqual(ask("shop", descriptor(CLIENT)).dynamic_metadata["domain"], "shop")
        self.assertIn("descriptors", ask("shop", descriptor(CLIENT)).dynamic_metadata)
        plain = self.rls(self.grpc_weir(SHOP))
        self.assertFalse(plain("shop", descriptor(CLIENT)).HasField("dynamic_metadata"))

    def test_a_new_configuration_keeps_what_was_used(self):
        weir = self.grpc_weir(SHOP)
        ask = self.rls(weir)
        ask("shop", descriptor(CLIENT), hits=4)
        path = self.directory / "weir.yaml"
        (self.directory / "new").write_text(path.read_text().replace("max_requests: 5", "max_requests: 8"))
        (self.directory / "new").rename(path)
        peek = lambda: ask("shop", descriptor(CLIENT, hits=0)).statuses[0]  # noqa: E731
        wait_until(lambda: peek().current_limit.requests_per_unit == 8, "the new limit")
        self.assertEqual(peek().limit_remaining, 4)

    def test_exactly_the_limit_of_many_at_once(self):
        weir = self.grpc_weir(SHOP)

        async def ask():
            async with grpc.aio.insecure_channel(f"127.0.0.1:{weir.port_of('grpc')}") as one, \
                    grpc.aio.insecure_channel(f"127.0.0.1:{weir.port_of('grpc')}", options=[("grpc.use_local_subchannel_pool", 1)]) as two:
                stubs = [rls_grpc.RateLimitServiceStub(channel) for channel in (one, two)]
                calls = [stubs[i % 2].ShouldRateLimit(question("shop", descriptor(CLIENT, limit=(500, Unit.YEAR))), timeout=PATIENCE)
                         for i in range(2000)]
                return [reply.overall_code for reply in await asyncio.gather(*calls)]

        codes = asyncio.run(ask())
        self.assertEqual((codes.count(OK), codes.count(OVER_LIMIT)), (500, 1500))

    def test_many_descriptors_in_one_question(self):
        ask = self.rls(self.grpc_weir(SHOP))
        reply = ask("shop", *[descriptor(("client", str(i))) for i in range(100)])
        self.assertEqual((reply.overall_code, self.codes(reply)), (OK, [OK] * 100))

    def test_compressed_question(self):
        ask = self.rls(self.grpc_weir(SHOP), compression=grpc.Compression.Gzip)
        reply = ask("shop", *[descriptor(("client", "x" * 200), ("padding", "y" * 200)) for _ in range(100)])
        self.assertEqual(len(reply.statuses), 100)
        self.assertEqual(ask("shop", descriptor(CLIENT)).statuses[0].limit_remaining, 4)

    def test_grpcurl(self):
        weir = self.grpc_weir(SHOP)
        asked = '{"domain": "shop", "descriptors": [{"entries": [{"key": "client", "value": "192.0.2.9"}]}]}'
        for code in ["OK"] * 5 + ["OVER_LIMIT"]:
            told = self.run_tool(tool("grpcurl"), "-plaintext", "-d", asked, f"127.0.0.1:{weir.port_of('grpc')}",
                                 "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
            self.assertIn(f'"overallCode": "{code}"', told)


class OverRedis(GrpcCase):
    """The same service with its counts in Redis: two instances are one limiter."""

    def setUp(self):
        super().setUp()
        port = free_port()
        self.redis = self.start([require("redis-server"), "--port", port, "--save", "", "--appendonly", "no"], port, cwd=self.directory)
        self.storage = f"storage: {{redis: {{url: 'redis://127.0.0.1:{port}'}}}}\n"

    def test_instances_share_and_descriptors_are_all_or_nothing(self):
        first, second = (self.rls(self.grpc_weir(SHOP, extra=self.storage)) for _ in range(2))
        login = descriptor(("route", "/login"))
        self.assertEqual(first("shop", descriptor(CLIENT), login).overall_code, OK)
        self.assertEqual(second("shop", descriptor(CLIENT), login).overall_code, OK)
        reply = first("shop", descriptor(CLIENT), login)
        self.assertEqual([status.code for status in reply.statuses], [OK, OVER_LIMIT])
        # What was denied took nothing of the client's five.
        self.assertEqual(second("shop", descriptor(CLIENT)).statuses[0].limit_remaining, 2)

    def test_each_counts_for_itself_with_count_all(self):
        ask = self.rls(self.grpc_weir(SHOP, extra=self.storage + "envoy: {count_all: true}\n"))
        login = descriptor(("route", "/login"))
        for _ in range(4):
            ask("shop", descriptor(CLIENT), login)
        self.assertEqual(ask("shop", descriptor(CLIENT)).statuses[0].limit_remaining, 0)


if __name__ == "__main__":
    unittest.main()
