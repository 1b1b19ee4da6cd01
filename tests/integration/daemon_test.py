"""The daemon's life: reload without a lost request or count, drain, restart with its counts, sockets, wrong starts."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import unittest

from harness import PATIENCE, WEIR, Case, Weir, check, free_port, request, require, wait_until

CONFIG = """
global:
  free_tier: {{max_requests: {limit}, window_seconds: 3600, algorithm: {algorithm}, identifier: ip_address}}
  pro_tier: {{max_requests: 50, window_seconds: 60}}
  enterprise_tier: unlimited
storage:
  memory: {{max_entries: 10000{persist}}}
"""


class Daemon(Case):
    def write(self, limit=100, persist="", extra="", algorithm="token_bucket"):
        path = self.directory / "weir.yaml"
        fresh = self.directory / "weir.yaml.new"
        fresh.write_text(CONFIG.format(limit=limit, persist=persist, algorithm=algorithm) + extra)
        fresh.rename(path)
        return path

    def test_reload_keeps_what_was_used(self):
        daemon = self.weir(self.write(limit=100))
        for _ in range(40):
            check(daemon.port, ip="192.0.2.1")
        self.write(limit=50)
        wait_until(lambda: check(daemon.port, ip="192.0.2.9", cost=0)[2]["limit"] == 50, "the new limit")
        self.assertEqual(check(daemon.port, ip="192.0.2.1", cost=0)[2]["remaining"], 10)
        path = self.write(limit=200)
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: check(daemon.port, ip="192.0.2.9", cost=0)[2]["limit"] == 200, "the limit after SIGHUP")
        self.assertEqual(check(daemon.port, ip="192.0.2.1", cost=0)[2]["remaining"], 160)
        # A file with faults changes nothing, and every fault is named.
        path.write_text(CONFIG.format(limit=-1, persist="", algorithm="token_bucket").replace("window_seconds", "window_second", 1))
        wait_until(lambda: "refused" in daemon.logs(), "the refusal in the log")
        self.assertEqual(check(daemon.port, ip="192.0.2.1", cost=0)[2]["limit"], 200)
        self.assertIn("window_seconds", daemon.logs())
        metrics = request(daemon.port, path="/metrics")[2]
        self.assertRegex(metrics, r'weir_config_reloads_total\{result="refused"\} [1-9]')

    def test_files_of_envoyproxy_ratelimit_are_loaded_and_watched(self):
        rules = self.directory / "rules"

        def swap(version, text):
            # As Kubernetes mounts a ConfigMap: what is seen is a link into a directory that is swapped as a whole.
            fresh = rules / f"..{version}"
            fresh.mkdir(parents=True)
            (fresh / "edge.yaml").write_text(text)
            if not (rules / "edge.yaml").is_symlink():
                (rules / "edge.yaml").symlink_to("..data/edge.yaml")
            (rules / "..new").symlink_to(fresh.name)
            (rules / "..new").rename(rules / "..data")

        domain = "domain: edge\ndescriptors: [{key: remote_address, rate_limit: {unit: %s, requests_per_unit: 10}}]\n"
        swap(1, domain % "minute")
        daemon = self.weir(arguments=("--envoy-config", str(rules)))
        self.assertTrue(check(daemon.port, ip="192.0.2.1")[2]["allowed"])
        swap(2, domain % "hour")
        wait_until(lambda: "version=2" in daemon.logs(), "the swapped file to be in force")
        swap(3, domain % "fortnight")
        wait_until(lambda: "fortnight" in daemon.logs(), "the refusal in the log")
        self.assertRegex(request(daemon.port, path="/metrics")[2], r'weir_config_reloads_total\{result="refused"\} 1')
        (rules / "more.yaml").write_text("domain: more\n")
        swap(4, domain % "day")
        wait_until(lambda: "version=3" in daemon.logs(), "the mended files to be in force")

        # A document that names them; afterwards it names another.
        document = self.write(extra="envoy: {files: [rules]}\n")
        daemon = self.weir(document)
        (self.directory / "late.yaml").write_text("domain: late\n")
        self.write(limit=77, extra="envoy: {files: [rules, late.yaml]}\n")
        wait_until(lambda: check(daemon.port, ip="192.0.2.9", cost=0)[2]["limit"] == 77, "the new limit")
        (self.directory / "late.yaml").write_text("domain: late\ndescriptors: [{}]\n")
        wait_until(lambda: "late.yaml:2:15: descriptors.0: the descriptor has an empty key" in daemon.logs(), "its fault in the log")

    def test_no_request_is_dropped_or_miscounted_while_reloading(self):
        # A window that outlasts the test: nothing comes back meanwhile, so every count is there or is lost.
        daemon = self.weir(self.write(limit=100000, algorithm="fixed_window"))
        errors, allowed, stop = [], [0] * 4, threading.Event()

        def ask(which):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
            body = json.dumps({"ip": "192.0.2.1"})
            while not stop.is_set():
                try:
                    connection.request("POST", "/v1/check", body)
                    reply = connection.getresponse()
                    reply.read()
                    allowed[which] += reply.status == 200
                    if reply.status != 200:
                        errors.append(reply.status)
                except Exception as error:  # noqa: BLE001
                    errors.append(error)
                    return
            connection.close()

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for i in range(10):
            limit = 200000 if i % 2 == 0 else 100000
            self.write(limit=limit, algorithm="fixed_window")
            wait_until(lambda: check(daemon.port, ip="192.0.2.9", cost=0)[2]["limit"] == limit, f"reload {i}")
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(errors, [])
        used = 100000 - check(daemon.port, ip="192.0.2.1", cost=0)[2]["remaining"]
        self.assertGreater(used, 0)
        self.assertEqual(used, sum(allowed))

    def test_analytics_do_what_they_say(self):
        off = "analytics: {metrics_enabled: false, event_logging: true, insights_retention_days: 7}\n"
        daemon = self.weir(self.write(limit=1, extra=off))
        self.assertEqual(request(daemon.port, path="/metrics")[0], 404)
        self.assertEqual(request(daemon.port_of("admin"), path="/metrics")[0], 404)
        self.assertIn("insights_retention_days: has no effect in this version", daemon.logs())
        self.assertTrue(check(daemon.port, ip="192.0.2.1", path="/a?key=secret")[2]["allowed"])
        for _ in range(300):
            self.assertFalse(check(daemon.port, ip="192.0.2.1", path="/a?key=secret")[2]["allowed"])

        def told():
            logs = daemon.logs()
            left_out = sum(int(n) for n in re.findall(r"denials not logged one by one count=(\d+)", logs))
            return len(re.findall(r" denied reason=over_limit rule=global.free_tier .* peer=192.0.2.1 .* path=/a\n", logs)) + left_out

        wait_until(lambda: told() >= 300, "300 denials in the log, or counted")
        self.assertEqual(told(), 300)
        self.assertNotIn("secret", daemon.logs())
        # Both are as the document in force says.
        self.write(limit=2)
        wait_until(lambda: request(daemon.port, path="/metrics")[0] == 200, "the metrics")
        before = told()
        for _ in range(3):
            check(daemon.port, ip="192.0.2.7")
        self.assertEqual(told(), before)

    def test_a_request_id_is_charged_once_by_two_daemons(self):
        port = free_port()
        self.start([require("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", self.directory], port)
        path = self.directory / "weir.yaml"
        path.write_text("global: {free_tier: {max_requests: 100, window_seconds: 3600, algorithm: fixed_window}}\n"
                        f"storage: {{redis: {{url: 'redis://127.0.0.1:{port}', command_timeout_ms: {PATIENCE * 1000}}}}}\n")
        one, two = self.weir(path), self.weir(path)
        answers = [check(daemon.port, ip="192.0.2.1", request_id="a")[2] for daemon in (one, two, two, one)]
        self.assertEqual([answer["remaining"] for answer in answers], [99] * 4)
        self.assertEqual([answer.get("repeated", False) for answer in answers], [False, True, True, True])
        self.assertEqual(check(two.port, ip="192.0.2.1")[2]["remaining"], 98)
        # Whoever is asked first has charged it; the other one knows also when that one is gone.
        check(one.port, ip="192.0.2.1", request_id="b")
        one.stop()
        self.assertTrue(check(two.port, ip="192.0.2.1", request_id="b")[2]["repeated"])
        self.assertEqual(check(two.port, ip="192.0.2.1")[2]["remaining"], 96)

    def test_readiness_without_the_store_is_what_the_rules_say(self):
        def document(rule="", storage="", server=""):
            path = self.directory / "weir.yaml"
            fresh = self.directory / "weir.yaml.new"
            fresh.write_text(f"global: {{free_tier: {{max_requests: 5, window_seconds: 60{rule}}}}}\n"
                             f"storage: {{redis: {{url: 'unix://{self.directory}/no-redis'}}{storage}}}\n{server}")
            fresh.rename(path)
            return path

        daemon = self.weir(document())

        def readyz():
            return request(daemon.port, path="/readyz")[0::2]

        self.assertEqual(readyz(), (200, "degraded: store redis is down, and rules decide by their on_store_failure\n"))
        self.assertTrue(check(daemon.port, ip="192.0.2.1")[2]["allowed"])
        for change, status in (({"rule": ", on_store_failure: deny"}, 503), ({"rule": ", on_store_failure: allow"}, 200),
                               ({"storage": ", on_store_failure: deny"}, 503), ({}, 200),
                               ({"rule": ", on_store_failure: deny, mode: shadow"}, 200),
                               ({"rule": ", on_store_failure: deny", "server": "server: {ready_when_degraded: true}\n"}, 200),
                               ({"server": "server: {ready_when_degraded: false}\n"}, 503)):
            before = daemon.logs().count("configuration in force")
            document(**change)
            wait_until(lambda: daemon.logs().count("configuration in force") > before, "the reload")
            self.assertEqual(readyz()[0], status, change)
            self.assertTrue(readyz()[1].startswith("degraded: "))

    def test_counts_survive_a_restart(self):
        persist = f", persist_to_disk: {self.directory}/states, persist_interval: 3600"
        path = self.write(limit=100, persist=persist)
        first = Weir(self.directory, path)
        for _ in range(30):
            check(first.port, ip="192.0.2.1")
        first.stop()
        second = self.weir(path)
        self.assertIn(check(second.port, ip="192.0.2.1", cost=0)[2]["remaining"], (70, 71, 72))

    def test_counts_follow_a_changed_rule_over_a_restart_though_nobody_asked(self):
        persist = f", persist_to_disk: {self.directory}/states, persist_interval: 3600"
        path = self.write(limit=100, persist=persist)
        first = Weir(self.directory, path)
        for _ in range(30):
            check(first.port, ip="192.0.2.1")
        self.write(limit=200, persist=persist, algorithm="fixed_window")
        wait_until(lambda: check(first.port, ip="192.0.2.9", cost=0)[2]["limit"] == 200, "the new limit")
        first.stop()
        second = Weir(self.directory, path)
        second.stop()
        # It changes again, while nobody runs.
        third = self.weir(self.write(limit=150, persist=persist))
        self.assertIn(check(third.port, ip="192.0.2.1", cost=0)[2]["remaining"], (120, 121, 122))

    def test_a_pipe_where_a_file_should_be_holds_nobody_up(self):
        persist = f", persist_to_disk: {self.directory}/states, persist_interval: 3600"
        path = self.write(limit=100, persist=persist)
        daemon = Weir(self.directory, path)
        os.mkfifo(self.directory / "states.tmp")
        os.mkfifo(self.directory / "pipe")
        (self.directory / "pipe").rename(path)
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "pipe" in daemon.logs(), "the refusal in the log")
        self.assertTrue(check(daemon.port, ip="192.0.2.1")[2]["allowed"])
        daemon.stop()
        self.assertTrue((self.directory / "states").is_file())

    def test_a_damaged_snapshot_is_refused_and_weir_starts(self):
        persist = f", persist_to_disk: {self.directory}/states, persist_interval: 3600"
        path = self.write(limit=100, persist=persist)
        first = Weir(self.directory, path)
        check(first.port, ip="192.0.2.1", cost=30)
        first.stop()
        states = self.directory / "states"
        data = bytearray(states.read_bytes())
        data[len(data) // 2] ^= 0xFF
        states.write_bytes(bytes(data))
        second = self.weir(path)
        self.assertEqual(check(second.port, ip="192.0.2.1", cost=0)[2]["remaining"], 100)
        self.assertRegex(second.logs(), r"(?i)snapshot|states")

    def test_drain_answers_what_is_in_hand(self):
        daemon = self.weir(self.write())
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        connection.putrequest("POST", "/v1/check")
        connection.putheader("Content-Length", "2")
        connection.endheaders()
        self.assertEqual(request(daemon.port, path="/readyz")[0], 200)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in daemon.logs(), "the drain")
        connection.send(b"{}")
        reply = connection.getresponse()
        self.assertEqual(reply.status, 200)
        reply.read()
        self.assertEqual(daemon.process.wait(PATIENCE), 0)

    def test_unix_sockets_and_tls(self):
        for name in ("server", "client"):
            subprocess.run([require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.directory / f"{name}.key", "-out", self.directory / f"{name}.pem"],
                           check=True, capture_output=True)
        tls = (f"server:\n  http: {{address: '127.0.0.1:0', tls: {{certificate_file: {self.directory}/server.pem, "
               f"key_file: {self.directory}/server.key, client_ca_file: {self.directory}/client.pem}}}}\n"
               f"  resp: {{address: 'unix:{self.directory}/weir.sock'}}\n  admin: {{address: 'off'}}\n  grpc: {{address: 'off'}}\n")
        path = self.write(extra=tls)
        log = open(self.directory / "tls.log", "wb")
        process = subprocess.Popen([WEIR, "serve", "--config", path], stdout=subprocess.PIPE, stderr=log, text=True)
        self.addCleanup(log.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        line = process.stdout.readline()
        self.assertIn("http=127.0.0.1:", line)
        port = int(line.split("http=127.0.0.1:")[1].split()[0])
        context = ssl.create_default_context(cafile=self.directory / "server.pem")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
        self.addCleanup(connection.close)
        with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            connection.request("GET", "/livez")
            connection.getresponse()
        context.load_cert_chain(self.directory / "client.pem", self.directory / "client.key")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/livez")
        self.assertEqual(connection.getresponse().status, 200)
        with socket.socket(socket.AF_UNIX) as resp:
            resp.connect(f"{self.directory}/weir.sock")
            resp.sendall(b"PING\r\n")
            self.assertEqual(resp.recv(100), b"+PONG\r\n")

    def test_a_renewed_certificate_is_taken_up_on_sighup(self):
        def certificate(name):
            subprocess.run([require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=server",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.directory / f"{name}.key", "-out", self.directory / f"{name}.pem"],
                           check=True, capture_output=True)

        def use(name):
            for kind in ("key", "pem"):
                (self.directory / f"{name}.{kind}").rename(self.directory / f"server.{kind}")

        def trusts(authority):
            context = ssl.create_default_context(cadata=authority)
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
            try:
                connection.request("GET", "/livez")
                return connection.getresponse().status == 200
            except ssl.SSLError:
                return False
            finally:
                connection.close()

        certificate("first")
        certificate("second")
        first, second = ((self.directory / f"{name}.pem").read_text() for name in ("first", "second"))
        use("first")
        tls = f"{{address: '127.0.0.1:0', tls: {{certificate_file: {self.directory}/server.pem, key_file: {self.directory}/server.key}}}}"
        daemon = Weir(self.directory, self.write(extra=f"server: {{http: {tls}}}\n"), override_http=False)
        self.addCleanup(daemon.stop)
        port = daemon.port
        self.assertTrue(trusts(first))
        (self.directory / "server.pem").write_text("torn")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "certificate refused, the old one stays in use" in daemon.logs(), "the refusal in the log")
        self.assertTrue(trusts(first))
        use("second")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: trusts(second), "the renewed certificate")
        self.assertFalse(trusts(first))

    def test_the_drain_timeout_is_that_of_the_document_in_force(self):
        daemon = self.weir(self.write(extra="server: {drain_timeout_ms: 86400000}\n"))
        held = socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE)
        self.addCleanup(held.close)
        held.sendall(b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        self.write(limit=77, extra="server: {drain_timeout_ms: 50}\n")
        wait_until(lambda: check(daemon.port, ip="192.0.2.9", cost=0)[2]["limit"] == 77, "the new document")
        self.assertIn("connections cut at the end of the drain", daemon.stop())

    def test_a_stop_serves_on_until_balancers_have_turned_away(self):
        daemon = self.weir(self.write(extra="server: {drain_delay_ms: 86400000}\n"))
        kept = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        self.addCleanup(kept.close)

        def ask(path):
            kept.request("GET", path)
            answer = kept.getresponse()
            answer.read()
            return answer

        self.assertEqual(ask("/readyz").status, 200)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: request(daemon.port, path="/readyz")[0] == 503, "not ready")
        self.assertEqual(request(daemon.port_of("admin"), path="/readyz")[0], 503)
        # One that was open is sent elsewhere with its next answer; new ones are served.
        answer = ask("/livez")
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        self.assertTrue(check(daemon.port, ip="192.0.2.1")[2]["allowed"])
        daemon.signal(signal.SIGHUP)
        self.assertTrue(check(daemon.port, ip="192.0.2.1")[2]["allowed"])
        self.assertIn("still serving", daemon.logs())
        # The second signal cuts it short.
        self.assertIn("stopped", daemon.stop())

    def test_a_stop_that_waits_ends_by_itself(self):
        daemon = self.weir(self.write(extra="server: {drain_delay_ms: 1}\n"))
        self.assertIn("stopped", daemon.stop())

    def test_a_command_that_is_too_long_is_told_so(self):
        daemon = self.weir(self.write(extra="server: {max_request_bytes: 10000}\n"))
        with socket.create_connection(("127.0.0.1", daemon.port_of("resp")), timeout=PATIENCE) as client:
            bulk = b"$9000\r\n" + b"x" * 9000 + b"\r\n"
            client.sendall(b"*20\r\n" + bulk * 2)
            with client.makefile("rb") as answer:
                self.assertEqual(answer.readline(), b"-ERR Protocol error: too big command\r\n")

    def test_a_flood_leaves_room_for_the_admin_listener(self):
        daemon = self.weir(self.write(extra="server: {max_connections: 3}\n"))
        flood = [socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE) for _ in range(3)]
        for one in flood:
            self.addCleanup(one.close)
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", one.recv(4096))
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            request(daemon.port, path="/livez")
        self.assertEqual(request(daemon.port_of("admin"), path="/livez")[0], 200)
        self.assertRegex(request(daemon.port_of("admin"), path="/metrics")[2], r"weir_connections_refused_total [1-9]")

    def test_what_listeners_serve_and_to_whom(self):
        daemon = self.weir(self.write(extra="""
server:
  http: {tokens: [old-token-0123456789, new-token-0123456789], serve: [check, reset]}
  resp: {tokens: [redis-token-012345], serve: [throttle]}
  grpc: off
"""))

        def post(path, port=daemon.port, **headers):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("POST", path, '{"ip":"192.0.2.1"}', {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status

        self.assertEqual(post("/v1/check"), 401)
        self.assertEqual(post("/v1/check", Authorization="Bearer old-token-012345678"), 401)
        self.assertEqual(post("/v1/check", Authorization="Bearer old-token-0123456789"), 200)
        self.assertEqual(post("/v1/reset", X_Weir_Token="new-token-0123456789"), 200)
        self.assertEqual(post("/v1/refund", X_Weir_Token="new-token-0123456789"), 403)
        self.assertEqual(post("/v1/check", X_Weir_Token="new-token-0123456789", Origin="http://evil.example"), 403)
        self.assertEqual(request(daemon.port, path="/livez")[0], 200)
        admin = daemon.port_of("admin")
        for path in ("/v1/check", "/v1/reset", "/v1/auth"):
            self.assertEqual(post(path, admin), 404, path)
        with socket.create_connection(("127.0.0.1", daemon.port_of("resp")), timeout=PATIENCE) as client:
            client.sendall(b"AUTH wrong\r\nAUTH redis-token-012345\r\nWEIR.CHECK user u\r\nCL.THROTTLE k 1 1 60\r\n")
            with client.makefile("rb") as answer:
                lines = [answer.readline() for _ in range(4)]
        self.assertEqual([line[:5] for line in lines], [b"-WRON", b"+OK\r\n", b"-NOPE", b"*5\r\n"])
        page = request(admin, path="/metrics")[2]
        self.assertIn('weir_auth_failures_total{listener="http"} 2', page)
        self.assertIn('weir_auth_failures_total{listener="resp"} 1', page)
        self.assertIn('weir_rule_decisions_total{rule="throttle"', page)
        self.assertIn("authentication failed", daemon.logs())
        self.assertNotIn("token-01234", daemon.logs())

    def test_guesses_of_a_password_become_few(self):
        daemon = self.weir(self.write(extra="server: {resp_password: secret-password}\n"))
        with socket.create_connection(("127.0.0.1", daemon.port_of("resp")), timeout=PATIENCE) as client:
            client.sendall(b"AUTH guess\r\n" * 9 + b"PING\r\n")
            with client.makefile("rb") as answer:
                # The ninth comes, but later; what is behind it waits with it.
                self.assertEqual([answer.readline()[:6] for _ in range(10)], [b"-WRONG"] * 9 + [b"-NOAUT"])
        page = request(daemon.port_of("admin"), path="/metrics")[2]
        self.assertIn('weir_auth_failures_total{listener="resp"} 9', page)
        self.assertIn('weir_auth_slowed_total{listener="resp"} 1', page)

    def test_the_mode_of_a_unix_socket(self):
        path = self.directory / "b.sock"
        for mode in ("0600", "0666"):
            process = subprocess.Popen([WEIR, "serve", "--config", str(self.write(extra=f"server: {{http: {{address: 'unix:{path}', mode: '{mode}'}}, "
                                                                                        "resp: off, grpc: off, admin: off}\n"))],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.assertIn("ready", process.stdout.readline())
            self.assertEqual(oct(path.stat().st_mode & 0o777), oct(int(mode, 8)))
            process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()

    def test_large_answers_that_nobody_takes_stay_within_the_bound(self):
        rules = "".join(f"    - {{name: r{i}, cidrs: [192.0.2.0/24], action: limit, rule: {{max_requests: 1000000, window_seconds: 60, "
                        f"algorithm: token_bucket}}}}\n" for i in range(7))
        daemon = self.weir(self.write(limit=1000000, extra="server: {threads: 1, max_buffered_bytes: 33554432}\nip_rules:\n  rules:\n" + rules))
        resident = lambda: int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text())[1]) << 10
        body = json.dumps([{"ip": "192.0.2.1", "explain": True}] * 1000).encode()
        question = b"POST /v1/check/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        before = resident()
        flood = []
        for _ in range(60):
            one = socket.socket()
            self.addCleanup(one.close)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", daemon.port))
            flood.append(one)
        for one in flood:
            one.sendall(question)
        self.assertEqual(check(daemon.port, ip="192.0.2.2")[0], 200)
        wait_until(lambda: int(re.search(r"weir_answers_without_room_total (\d+)", request(daemon.port_of("admin"), path="/metrics")[2])[1]) > 0,
                   "answers that are refused")
        # What one thread works with comes on top; and a sanitizer's shadow memory and quarantine.
        binary = pathlib.Path(WEIR).read_bytes()
        shadow = 8 if b"__tsan_init" in binary else 4 if b"__asan_init" in binary else 1
        self.assertLess(resident() - before, (128 << 20) * shadow)
        for one in flood:
            one.close()
        wait_until(lambda: "weir_buffered_bytes 0" in request(daemon.port_of("admin"), path="/metrics")[2], "what was held to be given back")
        if shadow == 1:
            wait_until(lambda: resident() - before < 64 << 20, "the memory to be given back")

    def test_too_few_descriptors_are_told(self):
        def started(limits):
            path = self.write(extra="server: {max_connections: 500}\n")
            daemon = Weir(self.directory, path, limits=limits)
            self.addCleanup(daemon.stop)
            soft = re.search(r"Max open files\s+(\d+)", pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text())[1]
            logs = daemon.logs()
            daemon.stop()
            return int(soft), "too few file descriptors for server.max_connections" in logs

        self.assertEqual(started((256, 600)), (600, False))
        (self.directory / "weir.log").unlink()
        self.assertEqual(started((256, 400)), (400, True))

    def test_socket_activation_and_notify(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(self.directory / "notify"))
        notify.settimeout(PATIENCE)
        self.addCleanup(notify.close)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        path = self.write()
        # The descriptor must be number 3 and the process id the daemon's own: a shell sets both and becomes the daemon.
        script = ('exec 3<&"$FD"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$0" serve --config "$1" '
                  '--resp off --grpc off --admin off')
        process = subprocess.Popen(["bash", "-c", script, WEIR, str(path)], pass_fds=[listener.fileno()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=dict(os.environ, FD=str(listener.fileno()), NOTIFY_SOCKET=str(self.directory / "notify")), text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        listener.close()
        self.assertIn("READY=1", notify.recv(4096).decode())
        self.assertEqual(request(port, path="/livez")[0], 200)
        process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", notify.recv(4096).decode())
        self.assertIn("READY=1", notify.recv(4096).decode())
        process.terminate()
        self.assertIn("STOPPING=1", notify.recv(4096).decode())

    def test_wrong_starts_say_why(self):
        def start(*arguments):
            done = subprocess.run([WEIR, "serve", *arguments], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 2)
            return done.stderr

        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.assertIn(address, start("--http", address, "--resp", "off", "--admin", "off", "--grpc", "off"))
        self.assertIn("/nonexistent.yaml", start("--config", "/nonexistent.yaml"))
        for nowhere in (self.directory, self.directory / "none" / "states"):
            path = self.write(persist=f", persist_to_disk: {nowhere}")
            self.assertIn("persist_to_disk", start("--config", str(path), "--http", "127.0.0.1:0", "--resp", "off", "--admin", "off", "--grpc", "off"))
        os.mkfifo(self.directory / "pipe")
        self.assertIn("pipe", start("--config", str(self.directory / "pipe")))
        self.assertIn("bogus", start("--http", "bogus", "--resp", "off", "--admin", "off", "--grpc", "off"))
        bad = self.directory / "bad.yaml"
        bad.write_text("global:\n  free_tier: {max_request: 5, window_seconds: x}\n")
        message = start("--config", str(bad))
        self.assertIn("max_requests", message)
        self.assertIn(":2", message)
        self.assertIn("window_seconds", message)
        rule = "{max_requests: 1, window_seconds: 1, identifier: {custom: {extractor: 'lua:%s'}}}"
        bad.write_text(f"global: {{free_tier: unlimited}}\nendpoints:\n  /a: {{rule: {rule % 'return (('}}}\n  /b: {{rule: {rule % 'end'}}}\n")
        message = start("--config", str(bad))
        self.assertRegex(message, r"bad.yaml:3: identifier.extractor: (.|\n)*bad.yaml:4: identifier.extractor: ")
        self.assertNotIn("warning", message)
        self.assertIn("off", start("--http", "off", "--resp", "off", "--admin", "off", "--grpc", "off"))


if __name__ == "__main__":
    unittest.main()
