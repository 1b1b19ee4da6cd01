"""weir beside envoyproxy/ratelimit itself, with its own configuration file: the same questions, the same answers."""
import os
import random
import time
import unittest

from grpc_harness import GrpcCase, Unit, descriptor, question, rls_grpc, tool
from harness import PATIENCE, free_port, require

# Windows of a year: both count in windows of the clock, and none may end within the test (nor any of `long_units`).
LIMITS = """
domain: shop
descriptors:
  - key: client
    rate_limit: {unit: year, requests_per_unit: 6, name: per_client}
    descriptors:
      - key: route
        value: login
        rate_limit: {unit: year, requests_per_unit: 3}
      - key: route
        rate_limit: {unit: year, requests_per_unit: 5}
  - key: plan
    value: free*
    rate_limit: {unit: year, requests_per_unit: 4}
  - key: plan
    value: paid
    rate_limit: {unlimited: true}
  - key: plan
    value: none
    rate_limit: {unit: year, requests_per_unit: 0}
  - key: route
    value: trial
    shadow_mode: true
    rate_limit: {unit: year, requests_per_unit: 2}
  - key: shared
    value: a*
    share_threshold: true
    rate_limit: {unit: year, requests_per_unit: 7}
  - key: vip
    rate_limit: {unit: year, requests_per_unit: 50, name: per_vip, replaces: [{name: per_client}]}
  - key: group
    descriptors:
      - key: member
        rate_limit: {unit: year, requests_per_unit: 8}
"""
# What that server takes beyond its own README: a domain in two files, a key that is a pattern, numbers with
# underscores, names of any language and length, many levels, directories below, and of several documents the first.
LEVELS = 20
MORE = {"one.yaml": """
domain: shop
descriptors:
  - key: any_*
    rate_limit: {unit: year, requests_per_unit: 0x3, name: límite}
  - key: both_*
    share_threshold: true
    rate_limit: {unit: year, requests_per_unit: 4}
  - key: path_/a*
    rate_limit: {unit: year, requests_per_unit: 2}
  - key: path
    rate_limit: {unit: year, requests_per_unit: 6}
  - key: many
    rate_limit: {unit: year, requests_per_unit: 1_000}
""", "two.yaml": f"""
domain: shop
descriptors:
  - key: other
    rate_limit: {{unit: year, requests_per_unit: 5, name: {"n" * 300}, replaces: [{{name: límite}}]}}
""" + "".join(f"{'  ' * i}  - key: deep\n{'  ' * i}    {'descriptors:' if i < LEVELS - 1 else 'rate_limit: {unit: year, requests_per_unit: 3}'}\n"
              for i in range(LEVELS)),
"below/and/further/three.yaml": """
domain: shop
descriptors:
  - key: below
    rate_limit: {unit: year, requests_per_unit: 4}
""", "several.yaml": """---
domain: shop
descriptors:
  - key: first
    rate_limit: {unit: year, requests_per_unit: 3}
---
domain: shop
descriptors:
  - key: second
    rate_limit: {unit: year, requests_per_unit: 3}
"""}
# What that server does since a revision that is newer than the one of scripts/tools, which is the newest that the Go
# module proxy serves (2026-01-22): weir does it, and the pinned one must not. Where it does, the pin has moved: then the
# questions belong into the pools above.
NEWER = """
domain: shop
descriptors:
  - key: path
    value: /api/*/orders
    rate_limit: {unit: year, requests_per_unit: 2}
  - key: service
    value: one
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: service
    value: two
    quota_mode: true
    rate_limit: {unit: year, requests_per_unit: 2}
"""
MORE_POOL = [
    [("below", "x")], [("first", "x")], [("second", "x")],
    [("any", "a")], [("any", "b")], [("any", "")], [("both", "a")], [("both", "b")], [("path", "/a/1")], [("path", "/a/2")], [("path", "/b")],
    [("many", "x")], [("other", "x")], [("deep", "x")] * LEVELS, [("deep", "x")] * (LEVELS - 1),
]
POOL = [
    [("client", "a")], [("client", "b")], [("client", "a"), ("route", "login")], [("client", "a"), ("route", "cart")],
    [("client", "a"), ("route", "login"), ("more", "x")], [("plan", "free1")], [("plan", "free")], [("plan", "paid")], [("plan", "none")],
    [("plan", "gold")], [("route", "trial")], [("shared", "a1")], [("shared", "a2")], [("shared", "b")], [("vip", "v")],
    [("group", "g")], [("group", "g"), ("member", "m")], [("nothing", "x")], [("client", "")],
]


def long_units():
    """The units of which no window ends soon. Of two whose windows began at once only one: there both share a counter."""
    found = {}
    for unit, seconds in ((Unit.YEAR, 365 * 86400), (Unit.MONTH, 30 * 86400), (Unit.WEEK, 7 * 86400), (Unit.DAY, 86400), (Unit.HOUR, 3600)):
        since = time.time() % seconds
        if seconds - since > 4 * PATIENCE:
            found.setdefault(int(time.time() - since), unit)
    return list(found.values())


class Reference(GrpcCase):
    def reference(self, files):
        folder = self.directory / "runtime" / "ratelimit" / "config"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        redis_port, port, others = free_port(), free_port(), [free_port(), free_port()]
        self.start([require("redis-server"), "--port", redis_port, "--save", "", "--appendonly", "no"], redis_port, cwd=self.directory)
        self.start([tool("service_cmd")], port, env={
            **os.environ, "REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": f"127.0.0.1:{redis_port}", "RUNTIME_ROOT": str(self.directory / "runtime"),
            "RUNTIME_SUBDIRECTORY": "ratelimit", "RUNTIME_WATCH_ROOT": "false", "MERGE_DOMAIN_CONFIG": "true", "USE_STATSD": "false", "LOG_LEVEL": "error",
            "HOST": "127.0.0.1", "PORT": str(others[0]), "GRPC_HOST": "127.0.0.1", "GRPC_PORT": str(port),
            "DEBUG_HOST": "127.0.0.1", "DEBUG_PORT": str(others[1])})
        return f"127.0.0.1:{port}"

    def random_question(self, picks, pool):
        descriptors = []
        for _ in range(picks.choice((1, 1, 1, 2, 3))):
            hits = picks.randint(0, 3) if picks.random() < 0.3 else None
            limit = (picks.randint(0, 9), picks.choice((Unit.YEAR, *self.units))) if picks.random() < 0.2 else None
            descriptors.append(descriptor(*picks.choice(pool), hits=hits, limit=limit))
        return question("shop" if picks.random() < 0.95 else "elsewhere", *descriptors, hits=picks.choice((0, 0, 0, 1, 2)))

    def test_the_same_answers(self):
        self.compare({"limits.yaml": LIMITS}, POOL, 3000)

    def test_the_same_answers_from_files_that_are_not_in_its_manual(self):
        self.compare(MORE, MORE_POOL, 1000)

    def both(self, files):
        """Stubs of that server and of weir, on the same files."""
        reference = self.reference(files)
        ours = self.grpc_weir(f"envoy: {{files: [{self.directory}/runtime/ratelimit/config], merge_domains: true, count_all: true}}\n")
        return [rls_grpc.RateLimitServiceStub(self.channel(None, target=target)) for target in (reference, f"127.0.0.1:{ours.port_of('grpc')}")]

    def test_what_is_newer_than_the_pinned_revision(self):
        stubs = self.both({"limits.yaml": NEWER})

        def ask(*descriptors):
            asked = question("shop", *(descriptor(*entries) for entries in descriptors))
            return [stub.ShouldRateLimit(asked, timeout=PATIENCE) for stub in stubs]

        # 2026, after January: a '*' anywhere in a value. (Before, and there: at its end.)
        theirs, mine = ask([("path", "/api/7/orders")])
        self.assertEqual((theirs.statuses[0].HasField("current_limit"), mine.statuses[0].current_limit.requests_per_unit), (False, 2))
        # February 2026 (pull request 1059): quota mode denies where all of it is over, and the statuses tell of it.
        quotas = [[("service", "one")], [("service", "two")]]
        answers = [ask(*quotas) for _ in range(3)]
        self.assertEqual([[answer.overall_code for answer in pair] for pair in answers], [[1, 1], [1, 1], [1, 2]])
        self.assertEqual([[status.code for status in answer.statuses] for answer in answers[1]], [[1, 1], [2, 1]])
        self.assertEqual([[status.code for status in answer.statuses] for answer in answers[2]], [[1, 1], [2, 2]])
        # April 2026 (pull request 1112): metadata of descriptors. The pinned one refuses the field; weir's is
        # RlsServiceTest.MetadataOfDescriptorsThatAreNotOverIsTold.

    def compare(self, files, pool, turns):
        stubs = self.both(files)
        self.units = long_units()
        seed = random.SystemRandom().randrange(2**32)
        picks = random.Random(seed)
        over = 0
        for turn in range(turns):
            asked = self.random_question(picks, pool)
            theirs, mine = (stub.ShouldRateLimit(asked, timeout=PATIENCE) for stub in stubs)
            over += theirs.overall_code != 1
            for one, other in zip(theirs.statuses, mine.statuses):
                # weir has nothing to wait for where nothing is used.
                if other.limit_remaining < other.current_limit.requests_per_unit:
                    self.assertAlmostEqual(one.duration_until_reset.seconds, other.duration_until_reset.seconds, delta=PATIENCE)
                one.ClearField("duration_until_reset")
                other.ClearField("duration_until_reset")
            self.assertEqual((mine.overall_code, str(list(mine.statuses))), (theirs.overall_code, str(list(theirs.statuses))),
                             f"seed {seed}, question {turn}:\n{asked}")
        self.assertGreater(over, turns // 10)


if __name__ == "__main__":
    unittest.main()
