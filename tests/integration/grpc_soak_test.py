"""Traffic over HTTP, RESP and gRPC while limits change 1,000 times a minute, policies every 10 s, and the daemon restarts.

Every admission must be within a limit that was in force, no count may be lost, and memory must stay flat. SOAK_SECONDS
sets how long (10 by default; `make nightly` takes 600), SOAK_RESTART_SECONDS how often the daemon restarts.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import socket
import threading
import time
import unittest

from grpc_harness import OVER_LIMIT, descriptor, grpc, question, rls_grpc
from harness import PATIENCE, Case, Weir, free_port

SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))
RESTART_SECONDS = float(os.environ.get("SOAK_RESTART_SECONDS", str(max(4.0, SECONDS / 10))))
TOKEN = "an-admin-token-for-the-soak-0123456789ab"
DECADE = 315_360_000
PLENTY = 10_000_000  # of a budget that no run spends
WINDOW = 5
MOVING, STEADY = 20, 4


class Moving:
    """A subject whose limit changes: what was admitted when, and which limits could have been in force when."""

    def __init__(self, name):
        self.name, self.admitted, self.lock = name, [], threading.Lock()
        self.limits = []  # (since the change was sent, until the next one was answered, limit)

    def change(self, limit, sent, answered):
        with self.lock:
            if self.limits:
                since, _, old = self.limits[-1]
                self.limits[-1] = (since, answered, old)
            self.limits.append((sent, float("inf"), limit))

    def most(self, begin, end):
        return max(limit for since, until, limit in self.limits if since <= end and until >= begin)

    def excess(self):
        """The first set of admissions that lay within one window for certain and are more than any limit of it."""
        spans = sorted(self.admitted)  # (sent, answered); decided in between
        for first in range(len(spans)):
            begin, end = spans[first][0], spans[first][0] + WINDOW
            inside = 0
            for sent, answered in spans[first:]:
                if sent > end:
                    break
                inside += answered <= end
            if inside > (allowed := self.most(begin, end)):
                return f"{self.name}: {inside} within {WINDOW} s, at most {allowed}"
        return None


class Budget:
    """A subject with a budget that hardly refills: what is left tells whether a count was lost."""

    def __init__(self, name):
        self.name, self.admitted, self.unsure, self.left = name, 0, 0, None

    def fault(self, seconds):
        # One more or less for the rounding of what refills.
        refill = seconds * PLENTY / DECADE + 1
        least, most = PLENTY - self.admitted - self.unsure, PLENTY - self.admitted + refill
        if not least <= self.left <= most:
            return f"{self.name}: {self.left} are left of {PLENTY}, {self.admitted} were admitted and {self.unsure} not answered"
        return None


class Soak(Case):
    def setUp(self):
        super().setUp()
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)
        self.ports = {name: free_port() for name in ("http", "resp", "grpc", "admin")}
        self.ended = threading.Event()
        self.gate = threading.Condition()  # guards what follows
        self.running, self.asking = True, 0
        self.faults = []

    # ---- the daemon ----
    def serve(self):
        words = [word for name, port in self.ports.items() for word in (f"--{name}", f"127.0.0.1:{port}")]
        return Weir(self.directory, None, ("--state-dir", str(self.directory / "state"), *words), override_http=False)

    def resident(self, weir):
        status = pathlib.Path(f"/proc/{weir.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def api(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["admin"], timeout=PATIENCE)
        fields = {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN}
        try:
            connection.request(method, "/admin/v1" + path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
            return json.loads(text) if text else None
        finally:
            connection.close()

    # ---- clients: each asks (user, cost) and gets (allowed, remaining) ----
    def http_client(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=PATIENCE)

        def ask(user, cost=1):
            connection.request("POST", "/v1/check", json.dumps({"user": user, "cost": cost}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            assert answer.status in (200, 429), body
            return body["allowed"], body["remaining"]

        return ask, connection.close

    def resp_client(self):
        stream = socket.create_connection(("127.0.0.1", self.ports["resp"]), timeout=PATIENCE)
        lines = stream.makefile("rb")

        def value():
            line = lines.readline()
            if not line:
                raise ConnectionError("closed")
            kind, rest = line[:1], line[1:-2]
            if kind == b"*":
                return [value() for _ in range(int(rest))]
            if kind == b"$":
                return None if rest == b"-1" else lines.read(int(rest) + 2)[:-2].decode()
            assert kind in b":+", line
            return int(rest) if kind == b":" else rest.decode()

        def ask(user, cost=1):
            stream.sendall(f"WEIR.CHECK user {user} cost {cost}\r\n".encode())
            answer = value()
            fields = dict(zip(answer[::2], answer[1::2]))
            return bool(fields["allowed"]), fields["remaining"]

        return ask, stream.close

    def grpc_client(self):
        channel = grpc.insecure_channel(f"127.0.0.1:{self.ports['grpc']}")
        stub = rls_grpc.RateLimitServiceStub(channel)

        def ask(user, cost=1):
            answer = stub.ShouldRateLimit(question("soak", descriptor(("user", user)), hits=cost), timeout=PATIENCE)
            return answer.overall_code != OVER_LIMIT, answer.statuses[0].limit_remaining

        return ask, channel.close

    def drive(self, make, turn):
        """Calls turn(ask) until the end, with a new client after each that failed."""
        ask, close = None, None
        while not self.ended.is_set():
            with self.gate:
                while not self.running:
                    self.gate.wait()
            try:
                if ask is None:
                    ask, close = make()
                turn(ask)
            except (OSError, http.client.HTTPException, grpc.RpcError, ValueError):
                with contextlib.suppress(Exception):
                    close()
                ask = None
                time.sleep(0.02)
            except BaseException as error:  # noqa: BLE001: told by the test
                self.faults.append(repr(error))
                raise
        if ask is not None:
            close()

    # ---- what each thread does ----
    def ask_moving(self, subject):
        def turn(ask):
            sent = time.monotonic()
            allowed, _ = ask(subject.name)
            if allowed:
                subject.admitted.append((sent, time.monotonic()))
            time.sleep(0.05)

        return turn

    def ask_budget(self, budget):
        def turn(ask):
            budget.unsure += 1
            allowed, _ = ask(budget.name)
            budget.unsure -= 1
            budget.admitted += 1
            if not allowed:
                self.faults.append(f"{budget.name}: denied with most of its budget left")
            time.sleep(0.02)

        return turn

    def change_limits(self, subjects):
        number = 0
        while not self.ended.is_set():
            due = time.monotonic() + 0.06
            with self.gate:
                while not self.running:
                    self.gate.wait()
                self.asking += 1
            try:
                subject, limit = random.choice(subjects), random.randint(5, 40)
                sent = time.monotonic()
                self.api("PUT", f"/users/{subject.name}", {"rule": {"max_requests": limit}})
                subject.change(limit, sent, time.monotonic())
                number += 1
                if number % 160 == 0:
                    self.api("PUT", "/tiers/pro", {"max_requests": 100 + number, "window_seconds": 60})
                    self.api("PUT", f"/endpoints/%2Fe{number}", {"rule": {"max_requests": number, "window_seconds": 60}})
            except BaseException as error:  # noqa: BLE001: told by the test
                self.faults.append(repr(error))
            finally:
                with self.gate:
                    self.asking -= 1
                    self.gate.notify_all()
            time.sleep(max(0.0, due - time.monotonic()))
        self.changes = number

    def test_changes_and_restarts_lose_and_give_away_nothing(self):
        weir = self.serve()
        budget = {"max_requests": PLENTY, "window_seconds": DECADE, "algorithm": "token_bucket", "identifier": "user_id"}
        log = {"max_requests": 10, "window_seconds": WINDOW, "algorithm": "sliding_window_log", "identifier": "user_id"}
        self.api("PUT", "/config", {"global": {"free_tier": log}, "domains": {"soak": {"descriptors": [{"key": "user", "rule": {
            key: value for key, value in budget.items() if key != "identifier"}}]}}})
        moving = [Moving(f"moving{i}") for i in range(MOVING)]
        for subject in moving:
            sent = time.monotonic()
            self.api("PUT", f"/users/{subject.name}", {"rule": {"max_requests": 10}})
            subject.change(10, sent, time.monotonic())
        makers = [self.http_client, self.resp_client, self.grpc_client]
        steady = [(makers[i % 3], Budget(f"steady{i}")) for i in range(STEADY * 3)]
        for make, one in steady:
            if make != self.grpc_client:
                self.api("PUT", f"/users/{one.name}", {"rule": budget})
        begun = time.monotonic()
        # Each moving subject is asked over two protocols at once.
        threads = [threading.Thread(target=self.drive, args=(make, self.ask_moving(subject)))
                   for subject in moving for make in (self.http_client, self.resp_client)]
        threads += [threading.Thread(target=self.drive, args=(make, self.ask_budget(one))) for make, one in steady]
        threads.append(threading.Thread(target=self.change_limits, args=(moving,)))
        for thread in threads:
            thread.start()
        resident, restarts = [], 0
        try:
            while time.monotonic() - begun < SECONDS and not self.faults:
                self.ended.wait(min(RESTART_SECONDS, max(0.0, begun + SECONDS - time.monotonic())))
                resident.append(self.resident(weir))
                # Changes are not cut in two; questions are.
                with self.gate:
                    self.running = False
                    while self.asking > 0:
                        self.gate.wait()
                weir.stop()
                weir = self.serve()
                restarts += 1
                with self.gate:
                    self.running = True
                    self.gate.notify_all()
        finally:
            self.ended.set()
            with self.gate:
                self.running = True
                self.gate.notify_all()
            for thread in threads:
                thread.join()
        spent = time.monotonic() - begun
        try:
            for make, one in steady:
                ask, close = make()
                _, one.left = ask(one.name)
                one.admitted += 1
                close()
        finally:
            weir.stop()
        wrong = [fault for fault in [subject.excess() for subject in moving] + [one.fault(spent) for _, one in steady] if fault]
        self.assertEqual(self.faults + wrong, [])
        admitted, asked = sum(len(subject.admitted) for subject in moving), sum(one.admitted for _, one in steady)
        print(f"{spent:.0f} s: {self.changes} changes, {restarts} restarts, {admitted} admissions of {MOVING} changing limits, "
              f"{asked} of {len(steady)} budgets, {sum(one.unsure for _, one in steady)} unanswered; resident KiB {resident}")
        self.assertGreater(admitted, 0)
        self.assertGreater(min(one.admitted for _, one in steady), 1)
        if SECONDS >= 300:
            # The first life grows to its working set.
            self.assertLess(resident[-1], 1.25 * max(resident[1:3]))


if __name__ == "__main__":
    unittest.main()
