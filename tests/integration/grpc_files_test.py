"""The files of other rate limit services, from the file to the answer that a client gets."""
import random
import subprocess
import unittest

from grpc_harness import OK, OVER_LIMIT, GrpcCase, descriptor
from harness import PATIENCE, WEIR, wait_until

# Years, so that no window ends while a test runs.
ENVOY = """domain: shop
descriptors:
  - key: client
    rate_limit: {unit: YEAR, requests_per_unit: 3}
  - key: client
    value: blocked
    rate_limit: {unit: year, requests_per_unit: 0}
  - key: client
    value: friend*
    share_threshold: true
    rate_limit: {name: friends, unit: year, requests_per_unit: 4}
  - key: client
    value: fr*
    rate_limit: {unlimited: true}
  - key: plan
    value: trial
    shadow_mode: true
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: plan
    descriptors:
      - key: user
        rate_limit:
          unit: year
          requests_per_unit: 2
          replaces: [{name: friends}]
"""
LIMITADOR = """- namespace: shop
  max_value: 2
  seconds: 31536000
  conditions: ["descriptors[0]['req.method'] == 'POST'"]
  variables: ["descriptors[0].user_id"]
- namespace: shop
  max_value: 3
  seconds: 31536000
  conditions: ["descriptors[0]['req.path'].startsWith('/admin')"]
  variables: []
"""
# A limit for all of a namespace, two of the same entries, and all values but one.
LIMITADOR_MORE = """- namespace: shop
  max_value: 9
  seconds: 31536000
  conditions:
  variables:
- {namespace: shop, max_value: 2, seconds: 2592000, variables: [user_id]}
- {namespace: shop, max_value: 3, seconds: 31536000, variables: [user_id], name: yearly}
- {namespace: shop, max_value: 1, seconds: 31536000, conditions: ["descriptors[0]['req.path'] != '/health'"]}
"""


class Files(GrpcCase):
    def told(self, reply):
        return reply.overall_code, [(s.code, s.limit_remaining, s.current_limit.requests_per_unit, s.current_limit.unit) for s in reply.statuses]

    def convert(self, origin, path):
        done = subprocess.run([WEIR, "convert", "--from", origin, path], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        converted = self.directory / f"{origin}.yaml"
        converted.write_text(done.stdout)
        return converted

    def test_envoyproxy_ratelimit_as_it_is_and_converted(self):
        file = self.directory / "ratelimit.yaml"
        file.write_text(ENVOY)
        port = ("--grpc", "127.0.0.1:0")
        as_it_is = self.rls(self.weir(arguments=[*port, "--envoy-config", str(file)]))
        converted = self.rls(self.weir(self.convert("envoy-ratelimit", file), port))
        named = self.rls(self.grpc_weir("envoy: {files: [ratelimit.yaml]}\n"))
        chance = random.Random(1)
        clients = [("client", value) for value in ("a", "b", "blocked", "friend1", "friend2", "fritz", "")]
        plans = [("plan", "trial"), ("plan", "paid")]
        codes = set()
        for _ in range(150):
            asked = []
            for _ in range(chance.randint(1, 2)):
                first = chance.choice(clients + plans)
                asked.append(descriptor(first, ("user", chance.choice("xy"))) if chance.random() < 0.3 else descriptor(first))
            answers = [self.told(ask("shop", *asked)) for ask in (as_it_is, converted, named)]
            self.assertEqual(answers[0], answers[1], asked)
            self.assertEqual(answers[0], answers[2], asked)
            codes.add(answers[0][0])
        self.assertEqual(codes, {OK, OVER_LIMIT})

        for left in (2, 1, 0):
            self.assertEqual(as_it_is("shop", descriptor(("client", "new"))).statuses[0].limit_remaining, left)
        self.assertEqual(as_it_is("shop", descriptor(("client", "new"))).overall_code, OVER_LIMIT)
        # Outside its domains nothing is limited.
        self.assertEqual(as_it_is("other", descriptor(("client", "blocked"))).overall_code, OK)

    def test_counts_outlive_a_change_of_the_file(self):
        file = self.directory / "ratelimit.yaml"
        file.write_text(ENVOY)
        weir = self.weir(arguments=["--grpc", "127.0.0.1:0", "--envoy-config", str(file)])
        ask = self.rls(weir)
        for _ in range(3):
            ask("shop", descriptor(("client", "a")))
        self.assertEqual(ask("shop", descriptor(("client", "a"))).overall_code, OVER_LIMIT)
        file.write_text(ENVOY.replace("requests_per_unit: 3", "requests_per_unit: 5"))
        wait_until(lambda: "version=2" in weir.logs(), "the new file to be in force")
        self.assertEqual([ask("shop", descriptor(("client", "a"))).overall_code for _ in range(3)], [OK, OK, OVER_LIMIT])
        file.write_text(ENVOY + "  - {key: client}\n")
        wait_until(lambda: "duplicate descriptor composite key 'shop.client'" in weir.logs(), "the refusal in the log")
        self.assertEqual(ask("shop", descriptor(("client", "a"))).overall_code, OVER_LIMIT)

    def test_limitador_converted(self):
        file = self.directory / "limits.yaml"
        file.write_text(LIMITADOR)
        ask = self.rls(self.weir(self.convert("limitador", file), ("--grpc", "127.0.0.1:0")))
        post = [("req.method", "POST"), ("user_id", "1")]
        self.assertEqual([ask("shop", descriptor(*post)).overall_code for _ in range(3)], [OK, OK, OVER_LIMIT])
        self.assertEqual(ask("shop", descriptor(("req.method", "POST"), ("user_id", "2"))).overall_code, OK)
        self.assertEqual(ask("shop", descriptor(("req.method", "GET"), ("user_id", "1"))).overall_code, OK)
        # All paths below it share one counter.
        self.assertEqual([ask("shop", descriptor(("req.path", f"/admin/{i}"))).overall_code for i in range(4)], [OK, OK, OK, OVER_LIMIT])

    def test_limitador_stacked_for_all_and_for_all_but_one(self):
        file = self.directory / "limits.yaml"
        file.write_text(LIMITADOR_MORE)
        ask = self.rls(self.weir(self.convert("limitador", file), ("--grpc", "127.0.0.1:0")))
        user = descriptor(("user_id", "1"))
        self.assertEqual([ask("shop", user).statuses[0].limit_remaining for _ in range(2)], [1, 0])
        denied = ask("shop", user)
        self.assertEqual((denied.overall_code, denied.statuses[0].current_limit.requests_per_unit), (OVER_LIMIT, 2))
        # 7 of the namespace's are left: what was denied took none.
        self.assertEqual([ask("shop", descriptor(("req.path", path))).overall_code for path in ("/a", "/b", "/health", "/health")],
                         [OK, OVER_LIMIT, OK, OK])
        # However many descriptors a request has.
        many = [descriptor(("req.path", "/health")) for _ in range(10)]
        self.assertEqual([ask("shop", *many).overall_code for _ in range(5)], [OK, OK, OK, OK, OVER_LIMIT])
        self.assertEqual(ask("shop", descriptor(("anything", "else"))).overall_code, OVER_LIMIT)
        self.assertEqual(ask("elsewhere", user).overall_code, OK)


if __name__ == "__main__":
    unittest.main()
