"""Redis clients and curl against the daemon: redis-cli, redis-benchmark, redis-py, curl."""
import json
import re
import subprocess
import unittest

from harness import Case, Weir, check, require

CONFIG = """
global:
  free_tier: {max_requests: 5, window_seconds: 60, algorithm: token_bucket, identifier: ip_address}
  pro_tier: {max_requests: 50, window_seconds: 60}
  enterprise_tier: unlimited
"""


class Clients(Case):
    def setUp(self):
        super().setUp()
        path = self.directory / "weir.yaml"
        path.write_text(CONFIG)
        self.daemon = self.weir(path)
        self.resp = self.daemon.port_of("resp")

    def run_program(self, *command, **options):
        done = subprocess.run([require(command[0]), *map(str, command[1:])], capture_output=True, text=True, timeout=120, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def cli(self, *words):
        return self.run_program("redis-cli", "-p", self.resp, *words).split("\n")[:-1]

    def test_redis_cli(self):
        self.assertEqual(self.cli("PING"), ["PONG"])
        # redis-cell: 15 burst + 1 = 16 at once.
        self.assertEqual(self.cli("CL.THROTTLE", "user123", 15, 30, 60, 1), ["0", "16", "15", "-1", "2"])
        for _ in range(15):
            self.cli("CL.THROTTLE", "user123", 15, 30, 60, 1)
        limited, limit, remaining, retry, reset = self.cli("CL.THROTTLE", "user123", 15, 30, 60, 1)
        self.assertEqual((limited, limit, remaining), ("1", "16", "0"))
        self.assertIn(int(retry), (1, 2))
        self.assertIn(int(reset), (31, 32))
        # throttlecrab: 1 = allowed, the last two the other way round.
        self.assertEqual(self.cli("THROTTLE", "other", 10, 100, 60)[:3], ["1", "10", "9"])
        reply = self.cli("WEIR.CHECK", "ip", "192.0.2.1", "path", "/a")
        pairs = dict(zip(reply[::2], reply[1::2]))
        self.assertEqual((pairs["allowed"], pairs["limit"], pairs["remaining"]), ("1", "5", "4"))
        self.assertIn("ERR", " ".join(self.cli("NOSUCH", "x")))
        self.assertIn("Usage: cl.throttle", " ".join(self.cli("CL.THROTTLE", "k", 1)))

    def test_redis_cli_in_resp3(self):
        out = self.run_program("redis-cli", "-3", "-p", self.resp, "WEIR.CHECK", "ip", "192.0.2.9")
        self.assertIn("allowed", out)

    def test_redis_benchmark(self):
        out = self.run_program("redis-benchmark", "-p", self.resp, "-n", 20000, "-c", 8, "-P", 16, "-q", "-r", 1000,
                               "CL.THROTTLE", "key:__rand_int__", "100", "1000", "60")
        self.assertIsNotNone(re.search(r"requests per second", out), out)
        self.assertNotIn("ERR", out)
        out = self.run_program("redis-benchmark", "-p", self.resp, "-n", 1000, "-q", "-t", "ping")
        self.assertIn("PING", out)

    def test_redis_py(self):
        import redis

        for protocol_note in ("one connection", "a pool again"):
            client = redis.Redis(port=self.resp, client_name="test", decode_responses=True)
            self.assertTrue(client.ping(), protocol_note)
        self.assertEqual(client.execute_command("CL.THROTTLE", "py", 2, 1, 60), [0, 3, 2, -1, 60])
        with client.pipeline(transaction=False) as pipe:
            for _ in range(4):
                pipe.execute_command("CL.THROTTLE", "py", 2, 1, 60)
            replies = pipe.execute()
        self.assertEqual([r[0] for r in replies], [0, 0, 1, 1])
        # As redis-py does it when it is not told otherwise: MULTI ... EXEC.
        with client.pipeline() as pipe:
            for key in ("tx", "tx", "tx", "tx", "tx2"):
                pipe.execute_command("CL.THROTTLE", key, 2, 1, 60)
            pipe.ping()
            pipe.execute_command("WEIR.PEEK", "ip", "192.0.2.51")
            replies = pipe.execute()
        self.assertEqual([r[0] for r in replies[:5]], [0, 0, 0, 1, 0])
        self.assertEqual(replies[5], True)
        self.assertEqual(replies[6][:2], ["allowed", 1])
        # What is refused charges nothing.
        for wrong in (("CL.THROTTLE", "tx3", 2, 0, 60), ("GET", "tx3"), ("WEIR.RESET", "ip", "192.0.2.51")):
            with client.pipeline() as pipe:
                pipe.execute_command("CL.THROTTLE", "tx3", 0, 1, 60)
                pipe.execute_command(*wrong)
                with self.assertRaises(redis.ResponseError):
                    pipe.execute()
        self.assertEqual(client.execute_command("CL.THROTTLE", "tx3", 0, 1, 60)[0], 0)
        with client.pipeline() as pipe:
            pipe.watch("tx4")
            pipe.multi()
            for i in range(1000):
                pipe.execute_command("CL.THROTTLE", f"many{i}", 2, 1, 60)
            self.assertEqual([r[0] for r in pipe.execute()], [0] * 1000)
        with self.assertRaises(redis.ResponseError):
            client.execute_command("CL.THROTTLE", "py", 2, 0, 60)
        with self.assertRaises(redis.ResponseError):
            client.execute_command("GET", "py")
        # reserve, then settle at half: what was not needed is back.
        reply = client.execute_command("WEIR.RESERVE", "ip", "192.0.2.50", "cost", 4)
        pairs = dict(zip(reply[::2], reply[1::2]))
        self.assertEqual(pairs["remaining"], 1)
        client.execute_command("WEIR.COMMIT", pairs["reservation"], 2)
        self.assertEqual(check(self.daemon.port, ip="192.0.2.50", cost=0)[2]["remaining"], 3)
        client.close()

    def test_the_redis_examples(self):
        # Their port is 6380, as weir's is by default.
        example = self.example("redis", {6380: self.resp})
        out = self.run_program("bash", example / "throttle.sh").splitlines()
        self.assertEqual(out[:3], ["job 1: allowed, 2 left", "job 2: allowed, 1 left", "job 3: allowed, 0 left"])
        self.assertRegex(out[3], r"^job 4: denied, again in (59|60) s$")
        self.assertEqual(out[4:6], ["allowed", "1"])
        self.assertIn("remaining", out)
        # The Python client, against the limits of its own document.
        daemon = Weir(self.directory, example / "weir.yaml")
        self.addCleanup(daemon.stop)
        client = (example / "client.py").read_text().replace(f":{self.resp}", f":{daemon.port_of('resp')}")
        (example / "client.py").write_text(client)
        out = self.run_program("/usr/bin/python3", example / "client.py").splitlines()
        self.assertEqual(out[:5], [f"request {i}: allowed, {5 - i} left" for i in range(1, 6)])
        self.assertRegex(out[5], r"^request 6: denied by global\.free_tier, again in [0-9]+ ms$")
        self.assertEqual(out[6:], ["reserved 800: 200 left", "used 300: 700 left"])

    def test_the_same_counters_through_every_door(self):
        self.cli("WEIR.CHECK", "ip", "192.0.2.77", "cost", 2)
        self.assertEqual(check(self.daemon.port, ip="192.0.2.77")[2]["remaining"], 2)

    def test_curl(self):
        url = f"http://127.0.0.1:{self.daemon.port}"
        body = json.dumps({"ip": "192.0.2.7", "path": "/x"})
        out = self.run_program("curl", "-sS", "-i", f"{url}/v1/check", "-d", body)
        self.assertTrue(out.startswith("HTTP/1.1 200"), out)
        self.assertIn("RateLimit:", out)
        out = self.run_program("curl", "-sS", "-i", f"{url}/v1/check", "-d", json.dumps({"ip": "192.0.2.7", "cost": 100}))
        self.assertTrue(out.startswith("HTTP/1.1 429"), out)
        self.assertIn("application/problem+json", out)
        out = self.run_program("curl", "-sS", "-i", f"{url}/v1/check", "-d", '{"cost":-1}')
        self.assertTrue(out.startswith("HTTP/1.1 400"), out)
        self.assertIn("$.cost", out)
        # Expect: 100-continue and a chunked body, as curl sends them for larger uploads.
        out = self.run_program("curl", "-sS", "-i", "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked",
                               f"{url}/v1/check", "-d", body)
        self.assertIn("HTTP/1.1 200", out)
        self.assertEqual(self.run_program("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/livez"), "200")
        metrics = self.run_program("curl", "-sS", f"{url}/metrics")
        self.assertRegex(metrics, r'weir_decisions_total\{result="denied"\} [1-9]')


if __name__ == "__main__":
    unittest.main()
