"""The management plane as an administrator meets it: state directory, tokens, changes in force, rollback, restart."""
import http.client
import json
import os
import signal
import subprocess
import threading
import unittest

from harness import PATIENCE, WEIR, Case, Weir, check, request, wait_until

TOKEN = "an-admin-token-for-this-test-0123456789"
CONFIG = "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"


class Management(Case):
    def setUp(self):
        super().setUp()
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)

    def serve(self, *arguments, config=None, state="state"):
        weir = Weir(self.directory, config, ("--state-dir", str(self.directory / state), *arguments))
        self.addCleanup(weir.stop)
        return weir

    def api(self, weir, method, path, body=None, token=TOKEN, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", weir.port_of("admin"), timeout=PATIENCE)
        fields = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if token:
            fields["Authorization"] = "Bearer " + token
        connection.request(method, "/admin/v1" + path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def passes(self, weir, user, times):
        return sum(check(weir.port, user=user)[0] == 200 for _ in range(times))

    def test_a_day_with_a_file_and_a_restart(self):
        path = self.directory / "weir.yaml"
        path.write_text(CONFIG)
        weir = self.serve(config=path)
        self.assertEqual(self.api(weir, "GET", "/users", token=None)[0], 401)
        self.assertEqual(self.api(weir, "PUT", "/users/alice", {"rule": {"max_requests": 5, "window_seconds": 3600}})[0], 201)
        self.assertEqual(self.passes(weir, "alice", 8), 5)
        self.assertEqual(self.passes(weir, "bob", 4), 2)
        # The file changes: a revision too, and what the API said stays.
        path.write_text(CONFIG.replace("2, window", "4, window"))
        weir.signal(signal.SIGHUP)
        weir.stop()
        weir = self.serve(config=path)
        self.assertEqual(self.passes(weir, "alice", 2), 0)
        self.assertEqual(self.passes(weir, "dora", 6), 4)
        revisions = self.api(weir, "GET", "/revisions")[1]["items"]
        self.assertGreaterEqual(len(revisions), 3)
        first = revisions[-1]["number"]
        self.assertEqual(self.api(weir, "POST", f"/revisions/{first}/rollback", {"reason": "a mistake"})[0], 200)
        self.assertEqual(self.api(weir, "GET", "/users/alice")[0], 404)
        self.assertEqual(self.api(weir, "PUT", "/tiers/pro", {"max_requests": 1, "window_seconds": 1})[0], 409)
        weir.stop()
        self.assertEqual(subprocess.run([WEIR, "audit", "verify", "--state-dir", str(self.directory / "state")]).returncode, 0)

    def test_without_a_file_the_policy_is_the_apis(self):
        weir = self.serve()
        tier = {"max_requests": 3, "window_seconds": 3600, "algorithm": "token_bucket", "identifier": "user_id"}
        self.assertEqual(self.api(weir, "PUT", "/config", {"global": {"free_tier": tier}})[0], 200)
        self.assertEqual(self.passes(weir, "ann", 5), 3)
        self.assertEqual(self.api(weir, "PUT", "/endpoints/%2Flogin", {"rule": {"max_requests": 1, "window_seconds": 3600}})[0], 201)
        weir.stop()
        weir = self.serve()
        self.assertEqual(self.passes(weir, "ann", 2), 0)
        self.assertEqual(self.passes(weir, "ben", 5), 3)
        self.assertEqual(self.api(weir, "GET", "/endpoints/%2Flogin")[1]["rule"]["max_requests"], 1)

    def test_from_a_file_to_none(self):
        path = self.directory / "weir.yaml"
        path.write_text(CONFIG)
        weir = self.serve(config=path)
        self.assertEqual(self.api(weir, "PUT", "/users/kept", {"exempt": True})[0], 201)
        weir.stop()
        # No policy is kept yet: the sample is the first, and what the API said stays.
        weir = self.serve()
        self.assertEqual(self.api(weir, "GET", "/users/kept")[1], {"exempt": True})
        self.assertEqual(self.passes(weir, "kept", 3), 3)

    def test_health_goes_on_without_a_directory_that_can_be_written(self):
        (self.directory / "state").write_text("a file where a directory should be")
        weir = self.serve()
        status, problem = self.api(weir, "GET", "/users")
        self.assertEqual((status, problem["code"]), (503, "management_off"))
        self.assertIn("state", problem["detail"])
        self.assertEqual(request(weir.port_of("admin"), path="/readyz")[0], 200)
        self.assertEqual(request(weir.port_of("admin"), path="/metrics")[0], 200)
        self.assertIn("management is off", weir.logs())

    def start_fails(self, *arguments, **environment):
        done = subprocess.run([WEIR, "serve", "--state-dir", str(self.directory / "s"), "--http", "127.0.0.1:0", "--resp", "off",
                               "--grpc", "off", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=dict(os.environ, **environment))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        return done.stderr

    def test_what_it_refuses_to_start_with(self):
        self.assertIn("allow_plaintext", self.start_fails("--admin", "0.0.0.0:0"))
        self.assertIn("WEIR_BOOTSTRAP_TOKEN", self.start_fails("--admin", "127.0.0.1:0", WEIR_BOOTSTRAP_TOKEN="short"))

    def test_plaintext_where_it_is_allowed(self):
        path = self.directory / "weir.yaml"
        path.write_text(CONFIG + "server: {admin: {allow_plaintext: true}}\n")
        weir = self.serve("--admin", "0.0.0.0:0", config=path)
        self.assertEqual(self.api(weir, "GET", "/users")[0], 200)

    def test_without_a_given_token_one_is_made_and_shown_once(self):
        os.environ.pop("WEIR_BOOTSTRAP_TOKEN")
        weir = self.serve()
        line = weir.process.stdout.readline()
        self.assertIn("shown this once", line)
        token = line.rsplit(" ", 1)[1].strip()
        self.assertEqual(self.api(weir, "GET", "/users", token=token)[0], 200)
        self.assertNotIn(token, weir.logs())
        weir.stop()
        weir = self.serve()
        self.assertEqual(self.api(weir, "GET", "/users", token=token)[0], 200)
        weir.signal(signal.SIGTERM)
        self.assertNotIn("shown this once", weir.process.stdout.read())

    def test_changes_while_requests_flow_lose_none(self):
        weir = self.serve()
        self.api(weir, "PUT", "/users/busy", {"rule": {"max_requests": 1_000_000, "window_seconds": 3600, "algorithm": "token_bucket", "identifier": "user_id"}})
        end, counted, failed = threading.Event(), [0], []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=PATIENCE)
            while not end.is_set():
                connection.request("POST", "/v1/check", '{"user":"busy"}', {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failed.append(answer.status)
                counted[0] += 1
            connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        for i in range(40):
            status, _ = self.api(weir, "PUT", f"/users/other{i}", {"rule": {"max_requests": i + 1}})
            self.assertEqual(status, 201)
            status, _ = self.api(weir, "PATCH", "/users/busy", {"rule": {"max_requests": 1_000_000 + i}})
            self.assertEqual(status, 200)
        end.set()
        thread.join()
        self.assertEqual(failed, [])
        used = self.api(weir, "POST", "/counters/get", {"request": {"user": "busy"}})[1]["rules"][0]["used"]
        # A bucket refills; it never has more used than were counted.
        self.assertLessEqual(used, counted[0])
        self.assertGreater(used, 0)

    def test_live_statistics_are_a_stream(self):
        weir = self.serve()
        connection = http.client.HTTPConnection("127.0.0.1", weir.port_of("admin"), timeout=PATIENCE)
        connection.request("GET", "/admin/v1/stats/stream", headers={"Authorization": "Bearer " + TOKEN})
        answer = connection.getresponse()
        self.assertEqual(answer.getheader("Content-Type"), "text/event-stream")
        events = [line for line in (answer.readline() for _ in range(4)) if line.startswith(b"data: ")]
        self.assertEqual(len(events), 2)
        self.assertIn("allowed", json.loads(events[1][6:]))
        connection.close()

    # ---- trying a change first, as docs/management.md has it ----

    def tier(self, most):
        return {"max_requests": most, "window_seconds": 3600, "algorithm": "token_bucket", "identifier": "user_id"}

    def propose(self, weir, most, token=TOKEN):
        status, candidate = self.api(weir, "POST", "/revisions", {"reason": "less for free", "changes": [
            {"method": "PUT", "collection": "tiers", "name": "free", "value": self.tier(most)}]}, token)
        self.assertEqual((status, candidate["state"]), (201, "candidate"))
        return candidate["number"]

    def rollout(self, weir, number):
        status, shown = self.api(weir, "GET", f"/rollouts/{number}")
        self.assertEqual(status, 200)
        return shown

    def with_policy(self, **more):
        weir = self.serve()
        self.assertEqual(self.api(weir, "PUT", "/config", {"global": {"free_tier": self.tier(10)}, **more})[0], 200)
        return weir

    def test_a_rollout_from_a_candidate_to_all(self):
        weir = self.with_policy()
        self.assertEqual(self.passes(weir, "early", 6), 6)
        number = self.propose(weir, 4)
        self.assertEqual(len(self.api(weir, "GET", f"/revisions/{number}/diff")[1]["items"]), 1)
        # The recorder is read by a job.
        wait_until(lambda: self.api(weir, "POST", f"/revisions/{number}/dry-run", {})[1]["newly_denied"] == 2, "the dry run")
        status, rollout = self.api(weir, "POST", "/rollouts", {
            "revision": number, "reason": "less for free",
            "stages": [{"stage": "shadow", "seconds": 1}, {"stage": "percent", "percent": 50}, {"stage": "all", "seconds": 1}],
            "guards": {"denial_rate": 0.9, "error_rate": 0.5, "latency_p99_us": 1_000_000}})
        self.assertEqual((status, rollout["state"]), (201, "running"), rollout)
        wait_until(lambda: self.rollout(weir, number)["stage"] == 1, "the share")
        passed = [self.passes(weir, f"user-{i}", 6) for i in range(40)]
        self.assertEqual(set(passed), {4, 6})
        wait_until(lambda: self.rollout(weir, number)["stages"][1]["denied"] == 2 * passed.count(4), "what was measured")
        # It goes on at its stage after a restart, with the same subjects and their counts.
        weir.stop()
        weir = self.serve()
        self.assertEqual(self.rollout(weir, number)["stage"], 1)
        self.assertEqual([self.passes(weir, f"user-{i}", 6) for i in range(40)], [0 if one == 4 else 4 for one in passed])
        status, rollout = self.api(weir, "POST", f"/rollouts/{number}/advance", {})
        self.assertEqual((status, rollout["stage"], rollout["state"]), (200, 2, "running"), rollout)
        self.assertEqual(self.passes(weir, "late", 6), 4)
        wait_until(lambda: self.rollout(weir, number)["state"] == "completed", "its end")
        self.assertEqual(self.api(weir, "GET", "/tiers/free")[1]["max_requests"], 4)

    def test_a_guard_takes_back_what_is_in_force_for_all(self):
        weir = self.with_policy()
        number = self.propose(weir, 4)
        status, rollout = self.api(weir, "POST", "/rollouts", {
            "revision": number, "stages": [{"stage": "all", "seconds": 3600}],
            "guards": {"denial_rate": 0.2, "least_decisions": 20}})
        self.assertEqual((status, rollout["state"]), (201, "running"), rollout)
        self.assertEqual({self.passes(weir, f"user-{i}", 10) for i in range(3)}, {4})
        wait_until(lambda: self.rollout(weir, number)["state"] == "returned", "the guard")
        self.assertEqual(self.api(weir, "GET", "/tiers/free")[1]["max_requests"], 10)
        self.assertEqual(self.passes(weir, "late", 10), 10)

    def test_a_rollback_that_waits_needs_a_second_person_in_stages_too(self):
        weir = self.with_policy(approvals={"required_for": ["rollbacks"]})
        head = self.api(weir, "GET", "/revisions?limit=1")[1]["in_force"]
        self.assertEqual(self.api(weir, "PUT", "/tiers/free", self.tier(4))[0], 200)
        person = {}
        for name in ("ann", "bob"):
            account = {"roles": ["admin"], "password": "correct horse battery " + name}
            self.assertEqual(self.api(weir, "PUT", f"/accounts/{name}", account)[0], 201)
            connection = http.client.HTTPConnection("127.0.0.1", weir.port_of("admin"), timeout=PATIENCE)
            connection.request("POST", "/admin/v1/login", json.dumps({"account": name, "password": account["password"]}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            self.assertEqual(answer.status, 200, body)
            person[name] = {"token": None, "Cookie": answer.getheader("Set-Cookie").split(";")[0], "X_CSRF_Token": body["csrf"]}
            connection.close()
        status, asked = self.api(weir, "POST", f"/revisions/{head}/rollback", {"reason": "mistake"}, **person["ann"])
        self.assertEqual(status, 202, asked)
        number = asked["approval"]
        status, rollout = self.api(weir, "POST", "/rollouts", {"revision": number, "stages": [{"stage": "all"}]}, **person["ann"])
        self.assertEqual((status, rollout["state"]), (202, "waiting"), rollout)
        self.assertEqual(self.api(weir, "POST", f"/approvals/{number}/approve", {}, **person["ann"])[0], 403)
        self.assertEqual(self.passes(weir, "u", 10), 4)
        self.assertEqual(self.api(weir, "POST", f"/approvals/{number}/approve", {}, **person["bob"])[0], 200)
        self.assertEqual(self.rollout(weir, number)["state"], "completed")
        self.assertEqual(self.passes(weir, "v", 10), 10)


if __name__ == "__main__":
    unittest.main()
