"""Every subcommand of `weir` as a user types it."""
import gzip
import itertools
import json
import os
import pathlib
import pty
import socket
import subprocess
import unittest

from harness import PATIENCE, ROOT, WEIR, Case, check, request

CONFIG = """global:
  free_tier: {max_requests: 3, window_seconds: 60, algorithm: token_bucket, identifier: ip_address}
  pro_tier: {max_requests: 50, window_seconds: 60}
  enterprise_tier: unlimited
"""


class CommandLine(Case):
    def setUp(self):
        super().setUp()
        self.config = self.directory / "weir.yaml"
        self.config.write_text(CONFIG)

    def run_weir(self, *words, code=0, text_in=None):
        done = subprocess.run([WEIR, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, input=text_in)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code != 2 else done.stderr

    def test_check(self):
        out = self.run_weir("check", "-c", self.config, "--ip", "192.0.2.1")
        self.assertIn("global.free_tier", out)
        self.assertIn("allowed", out)
        out = self.run_weir("check", "-c", self.config, "--ip", "192.0.2.1", "-n", 4, code=1)
        self.assertIn("3 of 4 were allowed", out)
        answer = json.loads(self.run_weir("check", "-c", self.config, "--ip", "192.0.2.1", "-n", 4, "--json", code=1))
        self.assertEqual((answer["asked"], answer["allowed"], answer["denied"]), (4, 3, 1))
        last = answer["decisions"][-1]
        self.assertEqual((last["allowed"], last["reason"], last["rules"][0]["limit"]), (False, "over_limit", 3))
        self.assertEqual((last["rules"][0]["verdict"], last["rules"][0]["subject"]), ("later", "192.0.2.1"))
        self.assertEqual([one["allowed"] for one in answer["decisions"]], [True, True, True, False])
        self.assertIn("Name: value", self.run_weir("check", "-c", self.config, "-H", "nonsense", code=2))
        self.run_weir("check", "--no-such-flag", code=2)
        # Neither is taken for something that limits nobody.
        self.assertIn("banana", self.run_weir("check", "-c", self.config, "--ip", "banana", code=2))
        self.assertIn("xx1", self.run_weir("check", "-c", self.config, "--country", "xx1", code=2))
        for cost in ("-1", "1.5", "99999999999999999999"):
            self.assertIn("integer >= 0", self.run_weir("check", "-c", self.config, f"--cost={cost}", code=2))

    def test_outcomes(self):
        """What check, explain and simulate say of each outcome."""
        document = self.write("outcomes.yaml", """
global: {free_tier: {max_requests: 1, window_seconds: 31536000, algorithm: token_bucket}}
endpoints:
  /wait: {rule: {on_exceeded: wait, max_wait_ms: 3600000, max_requests: 1, window_seconds: 600}}
  /challenge: {rule: {on_exceeded: challenge}}
  /charge: {rule: {on_exceeded: charge}}
""")
        for path, word, code in (("/wait", "allowed after", 0), ("/challenge", "challenged (over_limit)", 1), ("/charge", "to be paid for", 1), ("/x", "denied", 1)):
            asked = ("check", "-c", document, "--ip", "192.0.2.1", "--path", path, "-n", 2)
            self.assertIn(word, self.run_weir(*asked, code=code))
            action = json.loads(self.run_weir(*asked, "--json", code=code))["decisions"][-1]["action"]
            self.assertEqual(action, {"/x": "deny"}.get(path, path[1:]))
        self.assertEqual(json.loads(self.run_weir("explain", "-c", document, "--ip", "192.0.2.1", "--json"))["action"], "allow")
        log = "".join(f'192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "GET {path} HTTP/1.1" 200 5 "-" "curl"\n' * 3 for path in ("/wait", "/challenge", "/charge"))
        report = json.loads(self.run_weir("simulate", "-c", document, "--json", self.write("access.log", log), code=1))
        self.assertEqual([report[name] for name in ("allowed", "denied", "waits", "challenged", "charged")], [5, 4, 2, 2, 2])

    def test_check_of_one_request_id_is_charged_once(self):
        words = ("check", "-c", self.config, "--ip", "192.0.2.1", "--request-id")
        answer = json.loads(self.run_weir(*words, "a", "-n", 5, "--json"))
        self.assertEqual([one.get("repeated", False) for one in answer["decisions"]], [False, True, True, True, True])
        self.assertEqual({one["rules"][0]["remaining"] for one in answer["decisions"]}, {2})
        self.assertIn("repeated", self.run_weir(*words, "a", "-n", 2))
        self.assertIn("1 to 128 visible ASCII", self.run_weir(*words, "a b", code=2))

    def test_check_on_the_sample(self):
        self.run_weir("check", "--ip", "192.0.2.1")

    def test_explain(self):
        out = self.run_weir("explain", "-c", self.config, "--ip", "192.0.2.1", "--tier", "pro_tier")
        self.assertIn("pro_tier", out)
        steps = json.loads(self.run_weir("explain", "-c", self.config, "--ip", "192.0.2.1", "--json"))["explain"]
        self.assertGreater(len(steps), 2)
        self.assertTrue(all(step["detail"] for step in steps))

    def test_a_target_is_read_alike_everywhere(self):
        """Commands and front ends: which of two requests to a target pass, where /secret may be asked for once."""
        self.config.write_text("""
global: {free_tier: {max_requests: 1000, window_seconds: 31536000, algorithm: token_bucket, identifier: ip_address}}
endpoints: {/secret: {rule: {max_requests: 1, window_seconds: 31536000, algorithm: token_bucket, identifier: ip_address}}}
exemptions: {paths: ["/exempt/*"]}
ip_rules: {trusted_proxies: [127.0.0.1]}
""")
        weir = self.weir(self.config)
        addresses = (f"198.51.{i // 250}.{1 + i % 250}" for i in itertools.count())

        def by_command(target):
            return "1 of 2" not in self.run_weir("check", "-c", self.config, "--ip", "192.0.2.1", "--path", target, "-n", 2, code=None)

        def by_log(target):
            line = f'192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "POST {target} HTTP/1.1" 200 5 "-" "curl"\n'
            log = self.directory / "access.log"
            log.write_text(2 * line)
            return json.loads(self.run_weir("simulate", "-c", self.config, "--json", log, code=None))["denied"] == 0

        def by_check(target):
            ip = next(addresses)
            return [check(weir.port, ip=ip, path=target)[0] for _ in range(2)] == [200, 200]

        def by_peek(target):
            ip = next(addresses)
            check(weir.port, ip=ip, path="/secret")
            return json.loads(request(weir.port, "POST", "/v1/peek", body=json.dumps({"ip": ip, "path": target}))[2])["allowed"]

        def by_auth(target):
            headers = {"X-Forwarded-For": next(addresses), "X-Original-URI": target}
            return [request(weir.port, path="/v1/auth", headers=headers)[0] for _ in range(2)] == [200, 200]

        def by_resp(target):
            words = ["WEIR.CHECK", "ip", next(addresses), "path", target]
            command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
            with socket.create_connection(("127.0.0.1", weir.port_of("resp")), timeout=PATIENCE) as connection:
                answers = []
                for _ in range(2):
                    connection.sendall(command.encode())
                    answers.append(connection.recv(65536).decode())
            return "allowed\r\n:0" not in answers[1]

        for target, limited in (("/secret", True), ("/secret?x", True), ("https://site.example/secret", True), ("https://site.example", False),
                                ("https://site.example/exempt/a", False), ("secret?u=://x/exempt/a", True), ("/secret?u=https://x/exempt/a", True),
                                ("/exempt/a#/../../secret", True), ("/secret#/../exempt/a", True), ("/exempt/a", False), ("/exempt/a#b", False),
                                ("https://site.example\\secret/../exempt/a", False), ("HTTP://u:p@[::1]:80//secret", True)):
            for ask in (by_command, by_log, by_check, by_peek, by_auth, by_resp):
                with self.subTest(target=target, ask=ask.__name__):
                    self.assertEqual(ask(target), not limited)

    def test_validate(self):
        self.assertIn("valid", self.run_weir("validate", self.config))
        bad = self.directory / "bad.yaml"
        bad.write_text(CONFIG.replace("max_requests: 3", "max_request: 3") + "endpoints:\n  /a:\n    rule: {max_requests: x}\n")
        out = self.run_weir("validate", bad, code=1)
        self.assertIn(f"{bad}:2", out)
        self.assertIn("max_requests", out)
        self.assertIn(f"{bad}:7", out)
        faults = json.loads(self.run_weir("validate", "--json", bad, code=1))
        self.assertFalse(faults["valid"])
        self.assertGreaterEqual(len(faults["faults"]), 2)
        self.run_weir("validate", self.directory / "none.yaml", code=2)

    def test_validate_warns_of_files_that_are_not_here(self):
        self.config.write_text(CONFIG + "server: {http: {address: '127.0.0.1:0', tls: {certificate_file: /nowhere/cert.pem, key_file: /nowhere/key.pem}}}\n")
        report = json.loads(self.run_weir("validate", "--json", self.config))
        self.assertTrue(report["valid"])
        self.assertEqual([(fault["path"], fault["severity"]) for fault in report["faults"]],
                         [("server.http.tls.certificate_file", "warning"), ("server.http.tls.key_file", "warning")])
        # A pipe is not waited for, and a listener that is off needs none.
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        self.config.write_text(CONFIG + f"server: {{http: {{address: '127.0.0.1:0', tls: {{certificate_file: {pipe}, key_file: {pipe}}}}}, "
                               "grpc: {address: 'off', tls: {certificate_file: /nowhere/cert.pem, key_file: /nowhere/key.pem}}}\n")
        self.assertEqual(json.loads(self.run_weir("validate", "--json", self.config))["faults"], [])

    def test_validate_asks_the_languages_within(self):
        self.config.write_text(CONFIG + """endpoints:
  /lua:
    rule: {max_requests: 1, window_seconds: 1, identifier: {custom: {extractor: 'lua:return (('}}}
  /more:
    rule: {max_requests: 1, window_seconds: 1, identifier: {custom: {extractor: 'lua:end'}}}
jwt: {rs256_public_key_pem: xx}
""")
        faults = json.loads(self.run_weir("validate", "--json", self.config, code=1))["faults"]
        self.assertEqual([(fault["line"], fault["path"]) for fault in faults],
                         [(10, "jwt"), (7, "identifier.extractor"), (9, "identifier.extractor")], faults)
        self.assertIn("is a directory", self.run_weir("validate", self.directory, code=2))

    def test_schema_agrees_with_the_examples(self):
        import jsonschema
        import yaml

        schema = json.loads(self.run_weir("schema"))
        jsonschema.validate(yaml.safe_load(CONFIG), schema)
        for path in list(ROOT.glob("examples/**/weir.yaml")) + list(ROOT.glob("src/config/templates/*.yaml")):
            jsonschema.validate(yaml.safe_load(path.read_text()), schema)
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate({"global": {"free_tier": {"max_request": 1}}}, schema)

    def test_reference_is_current(self):
        self.assertEqual((ROOT / "docs/configuration.md").read_text().strip(), self.run_weir("schema", "--markdown").strip(),
                         "docs/configuration.md is out of date: make docs")

    def test_no_secret_is_printed(self):
        """Whatever form it has and wherever it was written: not by validate, check, serve or a failed start."""
        plant = "hunter2plant"
        for text in (f"storage: {{redis: {{url: 'redis://u:{plant}@h:x'}}}}", f"storage: redis://u:{plant}@h", f"jwt: {plant}",
                     f"jwt: {{hs256_secret: [{plant}]}}", f"exemptions: {{api_keys: {plant}}}", f"server: {{resp_password: !{plant} x}}",
                     f"server: {{resp_password: *{plant}}}", f"jwt: {{hs256_secret {plant}}}", f"server: {{http: 'redis://u:{plant}@h'}}"):
            self.config.write_text(CONFIG + text + "\n")
            for words in (["validate", self.config], ["validate", "--json", self.config], ["check", "-c", self.config, "--ip", "192.0.2.1"],
                          ["explain", "-c", self.config, "--ip", "192.0.2.1"], ["serve", "-c", self.config]):
                done = subprocess.run([WEIR, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
                self.assertNotEqual(done.returncode, 0, words)
                self.assertNotIn(plant, done.stdout + done.stderr, f"{words[0]}: {text}")
        # A key that exempts is not shown by what explains the exemption.
        self.config.write_text(CONFIG + f"exemptions: {{api_keys: [{plant}]}}\n")
        done = subprocess.run([WEIR, "explain", "-c", self.config, "--api-key", plant], capture_output=True, text=True, timeout=PATIENCE)
        self.assertNotIn(f"'{plant}' is exempt", done.stdout + done.stderr)

    def test_every_template_and_example_is_valid(self):
        names = [entry["name"] for entry in json.loads(self.run_weir("template", "--json"))]
        self.assertGreaterEqual(len(names), 7)
        for name in names:
            path = self.directory / f"{name}.yaml"
            path.write_text(self.run_weir("template", name))
            self.run_weir("validate", path)
        for path in ROOT.glob("examples/**/weir.yaml"):
            self.run_weir("validate", path)
        self.run_weir("template", "none", code=1)

    def test_convert(self):
        basic = {"max_requests": 2, "window_seconds": 60, "identifier": {"CustomHeader": "X-Tenant"}, "exempt_paths": ["/health"]}
        out = self.run_weir("convert", "--from", "basic", "-", text_in=json.dumps(basic))
        converted = self.directory / "converted.yaml"
        converted.write_text(out)
        self.run_weir("validate", converted)
        out = self.run_weir("check", "-c", converted, "-H", "x-tenant: a", "-n", 3, code=1)
        self.assertIn("2 of 3 were allowed", out)
        self.run_weir("check", "-c", converted, "-H", "x-tenant: a", "-n", 3, "--path", "/health")
        self.run_weir("convert", "-", code=1, text_in="{}")

    ENVOY = """domain: edge
descriptors:
  - key: remote_address
    rate_limit: {unit: year, requests_per_unit: 10}
  - key: path
    value: /files/*
    share_threshold: true
    rate_limit: {name: files, unit: HOUR, requests_per_unit: 5}
    shadow_mode: true
"""

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def test_convert_from_envoy_ratelimit(self):
        import yaml

        folder = self.write("rules/edge.yaml", self.ENVOY).parent
        self.write("rules/other.yml", "domain: other\ndescriptors: [{key: k, metadata: {a: b}}]\n")
        document = yaml.safe_load(self.run_weir("convert", "--from", "envoy-ratelimit", folder))
        self.assertEqual(set(document["domains"]), {"edge", "other"})
        self.assertEqual(document["domains"]["edge"]["descriptors"][1], {
            "key": "path", "value": "/files/*", "share_threshold": True,
            "rule": {"max_requests": 5, "window_seconds": 3600, "mode": "shadow", "name": "files"}})
        converted = self.write("converted.json", self.run_weir("convert", "--from", "envoy-ratelimit", "--json", folder / "edge.yaml"))
        self.run_weir("validate", converted)
        self.assertEqual(json.loads(converted.read_text())["domains"]["edge"], document["domains"]["edge"])
        self.assertIn("edge", self.run_weir("convert", "--from", "envoy-ratelimit", "-", text_in=self.ENVOY))
        bad = self.write("bad.yaml", "domain: edge\ndescriptors:\n  - {key: a, rate_limit: {unit: fortnight}}\n  - {kee: a}\n")
        done = subprocess.run([WEIR, "convert", "--from", "envoy-ratelimit", bad], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for part in (f"{bad}:3:33: descriptors.0.rate_limit: invalid rate limit unit 'fortnight'",
                     f"{bad}:4:6: descriptors.1: unknown key 'kee' (did you mean 'key'?)"):
            self.assertIn(part, done.stderr)
        self.run_weir("convert", "--from", "envoy-ratelimit", self.directory / "none.yaml", code=2)
        self.run_weir("convert", "--from", "basic", bad, bad, code=2)

    def test_check_a_descriptor(self):
        document = self.write("edge.yaml", self.run_weir("convert", "--from", "envoy-ratelimit", "-", text_in=self.ENVOY))
        edge = ("-c", document, "--domain", "edge")
        out = self.run_weir("check", *edge, "-d", "remote_address=192.0.2.1", "-n", 11, code=1)
        self.assertIn("domains.edge.remote_address", out)
        self.assertIn("10 of 11 were allowed", out)
        answer = json.loads(self.run_weir("check", *edge, "-d", "path=/files/a=b", "--json"))
        self.assertEqual((answer["rules"][0]["rule"], answer["rules"][0]["shadow"]), ("domains.edge.path_/files/*", True))
        # Its depth is that of the tree.
        self.assertEqual(json.loads(self.run_weir("check", *edge, "-d", "path=/files/a", "-d", "more=1", "--json"))["rules"], [])
        self.assertIn("domains.edge.remote_address", self.run_weir("explain", *edge, "-d", "remote_address=192.0.2.1"))
        self.assertIn("--domain", self.run_weir("check", "-c", document, "-d", "path=/files/a", code=2))
        self.assertIn("key=value", self.run_weir("check", *edge, "-d", "path", code=2))
        strict = self.write("strict.yaml", document.read_text() + "envoy: {unknown_domain: error}\n")
        self.assertIn("other", self.run_weir("check", "-c", strict, "--domain", "other", "-d", "a=b", code=2))

    def test_convert_from_limitador(self):
        import yaml

        limits = self.write("limits.yaml", """- namespace: shop
  max_value: 10
  seconds: 60
  conditions: ["descriptors[0]['req.method'] == 'GET'"]
  variables: ["descriptors[0].user_id"]
""")
        document = yaml.safe_load(self.run_weir("convert", "--from", "limitador", limits))
        self.assertEqual(document["domains"]["shop"]["descriptors"], [
            {"key": "req.method", "value": "GET", "descriptors": [
                {"key": "user_id", "rule": {"max_requests": 10, "window_seconds": 60, "algorithm": "fixed_window"}}]}])
        self.run_weir("validate", self.write("converted.yaml", self.run_weir("convert", "--from", "limitador", limits)))
        for_all = yaml.safe_load(self.run_weir("convert", "--from", "limitador", "-", text_in="- {namespace: a, max_value: 1, seconds: 1}\n"))
        self.assertEqual(for_all["domains"]["a"]["rules"], [{"max_requests": 1, "window_seconds": 1, "algorithm": "fixed_window"}])
        self.run_weir("convert", "--from", "limitador", "-", code=1,
                      text_in="- {namespace: a, max_value: 1, seconds: 1, conditions: [\"a == 'b' || c == 'd'\"]}\n")

    def test_convert_merges_domains_when_asked_to(self):
        files = [self.write(f"merge/{key}.yaml", f"domain: edge\ndescriptors: [{{key: {key}, rate_limit: {{unit: day, requests_per_unit: 1}}}}]\n")
                 for key in ("one", "two")]
        self.run_weir("convert", "--from", "envoy-ratelimit", *files, code=1)
        self.assertIn("two", self.run_weir("convert", "--from", "envoy-ratelimit", "--merge-domains", files[0].parent))

    def test_files_that_a_document_names(self):
        self.write("rules/edge.yaml", self.ENVOY)
        document = self.write("envoy.yaml", CONFIG + "envoy: {files: [rules]}\n")
        self.assertIn("valid", self.run_weir("validate", document))
        self.run_weir("check", "-c", document, "--ip", "192.0.2.1")
        broken = self.write("rules/broken.yaml", "domain: edge\ndescriptor: []\n")
        out = self.run_weir("validate", document, code=1)
        self.assertIn(f"{broken}:2:1: unknown key 'descriptor'", out)
        faults = json.loads(self.run_weir("validate", "--json", document, code=1))["faults"]
        self.assertIn(str(broken), {fault["file"] for fault in faults})
        self.assertIn("broken.yaml", self.run_weir("check", "-c", document, "--ip", "192.0.2.1", code=2))

    def test_simulate(self):
        log = self.directory / "access.log"
        log.write_text("".join(f'192.0.2.{1 + i % 2} - - [10/Oct/2026:13:55:{i:02} +0000] "GET /a?x=1 HTTP/1.1" 200 5 "-" "curl"\n' for i in range(20)))
        out = self.run_weir("simulate", "-c", self.config, log, code=1)
        self.assertIn("192.0.2.1", out)
        self.assertIn("global.free_tier", out)
        self.assertIn("█", out)
        report = json.loads(self.run_weir("simulate", "-c", self.config, "--json", log, code=1))
        self.assertEqual(report["allowed"] + report["denied"], 20)
        self.assertEqual(len(report["top_denied"]), 2)
        # Whom nobody can count is told, and what is not UTF-8 does not make the report so.
        hosts = self.directory / "hosts.log"
        hosts.write_bytes(b"".join(b'caf\xe9.example - bob\xff [10/Oct/2026:13:55:%02d +0000] "GET / HTTP/1.1" 200 5\n' % i for i in range(20)))
        # They share one count (on_missing: ip).
        out = self.run_weir("simulate", "-c", self.config, hosts, code=1)
        self.assertIn("20 times a rule did not find whom to count in a line", out)
        self.assertIn("20 lines do not begin with an IP address, as rules by address need; the first is line 1: caf\ufffd.example", out)
        report = json.loads(self.run_weir("simulate", "-c", self.config, "--json", hosts, code=1))
        self.assertEqual((report["unidentified"], report["not_addresses"], report["denied"]), (20, 20, 17))
        by_user = self.directory / "by_user.yaml"
        by_user.write_text("global: {free_tier: {max_requests: 1, window_seconds: 60, identifier: user_id}}\n")
        report = json.loads(self.run_weir("simulate", "-c", by_user, "--json", hosts, code=1))
        self.assertEqual([client["subject"] for client in report["top_denied"]], ["bob\ufffd"])
        self.assertIn("no access log line", self.run_weir("simulate", "-", code=2, text_in="hello\n"))

    def test_simulate_shows_its_progress_on_a_terminal_only(self):
        log = self.directory / "long.log"
        line = '192.0.2.1 - - [10/Oct/2026:13:55:01 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl"\n'
        log.write_text(line * 140_000)

        def shown(*arguments):
            master, slave = pty.openpty()
            try:
                done = subprocess.Popen([WEIR, "simulate", "-c", self.config, *arguments, log], stdout=subprocess.PIPE, stderr=slave, text=True)
                os.close(slave)
                seen = b""
                while True:
                    try:
                        part = os.read(master, 4096)
                    except OSError:  # the other side is closed
                        break
                    if not part:
                        break
                    seen += part
                report = done.communicate(timeout=PATIENCE)[0]
                self.assertEqual(done.returncode, 1)
                self.assertIn("140,000 requests of 1 client,", report)
                return seen.decode()
            finally:
                os.close(master)

        self.assertRegex(shown(), r"^\r65,536 lines \d+\.\d\d% \r131,072 lines \d+\.\d\d% \r\x1b\[K$")
        self.assertEqual(shown("--quiet"), "")
        done = subprocess.run([WEIR, "simulate", "-c", self.config, log], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.stderr, "")

    def test_simulate_takes_rotated_logs_in_any_order(self):
        line = '192.0.2.1 - - [10/Oct/2026:13:{:02}:00 +0200] "GET /a HTTP/1.1" 200 5 "-" "curl"\n'
        new = self.write("access.log", "".join(line.format(minute) for minute in range(30, 40)))
        old = self.directory / "access.log.1.gz"
        old.write_bytes(gzip.compress("".join("shop.example:443 " + line.format(minute) for minute in range(10)).encode()))
        report = json.loads(self.run_weir("simulate", "-c", self.config, "--json", new, old, code=None))
        self.assertEqual((report["lines"], report["unreadable"], report["allowed"] + report["denied"]), (20, 0, 20))
        self.assertEqual((report["first"], report["last"]), ("2026-10-10T13:00:00+02:00", "2026-10-10T13:39:00+02:00"))
        self.assertEqual(sum(one["allowed"] + one["denied"] for one in report["timeline"]), 20)
        self.assertEqual(report["top_paths"][0]["path"], "/a")
        self.assertIn("is empty", self.run_weir("simulate", "-c", self.config, self.write("empty.log", ""), code=2))
        self.assertIn("no access log", self.run_weir("simulate", "-c", self.config, self.write("foreign.log", "a,b\n1,2\n"), code=2))
        self.assertIn("is a directory", self.run_weir("simulate", "-c", self.config, self.directory, code=2))
        self.assertIn("no-such", self.run_weir("simulate", "-c", self.config, self.directory / "no-such", code=2))

    def test_suggestions_help_and_version(self):
        self.assertIn("did you mean 'serve'?", self.run_weir("serv", code=2))
        self.assertIn("did you mean '--config'?", self.run_weir("check", "--confg", "x", code=2))
        self.assertIn("weir ", self.run_weir("--version"))
        self.assertEqual(self.run_weir("help", "check"), self.run_weir("check", "--help"))
        self.assertEqual(self.run_weir("help"), self.run_weir("--help"))

    def test_validate_tells_columns_and_looks_at_every_file(self):
        one = self.write("one.yaml", "global:\n\tfree_tier: strict\n")
        two = self.write("two.yaml", "global: {free_tier: strict}\nendpoints:\n  /a: {rule: {algorithm: {token_bucket: {}, leaky_bucket: {}}}}\n")
        out = self.run_weir("validate", one, two, code=1)
        self.assertIn(f"{one}:2:1: not YAML: a tab is used for indentation", out)
        self.assertRegex(out, f"{two}:3:\\d+: .*two were given, 'token_bucket' and 'leaky_bucket'")
        faults = json.loads(self.run_weir("validate", "--json", self.directory / "none.yaml", two, code=None))["faults"]
        self.assertEqual([fault["line"] > 0 and fault["column"] > 0 for fault in faults if fault["file"] == str(two)], [True])
        self.assertIn("none.yaml", {fault["file"].rpartition("/")[2] for fault in faults})

    def test_bench(self):
        result = json.loads(self.run_weir("bench", "--subjects", 1000, "--seconds", 1, "--json"))
        self.assertGreater(result["decisions"], 0)
        self.assertGreater(result["p99_ns"], 0)

    def test_version_completion_and_manual(self):
        self.assertEqual(json.loads(self.run_weir("version", "--json"))["name"], "weir")
        page = (ROOT / "deploy/man/weir.1").read_text()
        help_text = self.run_weir("--help")
        commands = [line.split()[0] for line in help_text.split("Subcommands:")[1].splitlines() if line.startswith("  ") and line[2] != " "]
        self.assertGreaterEqual(len(commands), 10)
        for command in commands:
            self.assertIn(f".B {command}", page)
            self.run_weir(command, "--help")
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("weir", self.run_weir("completion", shell))
        script = self.run_weir("completion", "bash") + (
            "\nCOMP_WORDS=(weir va); COMP_CWORD=1; _weir; echo \"${COMPREPLY[@]}\"; "
            "COMP_WORDS=(weir check --use); COMP_CWORD=2; _weir; echo \"${COMPREPLY[@]}\"; "
            "COMP_WORDS=(weir validate ''); COMP_CWORD=2; _weir; echo \"${COMPREPLY[@]}\"; "
            "COMP_WORDS=(weir convert --from l); COMP_CWORD=3; _weir; echo \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, cwd=self.config.parent,
                              env={"PATH": f"{pathlib.Path(WEIR).parent}:/usr/bin:/bin"})
        first, second, files, kinds = done.stdout.splitlines()
        self.assertEqual((first, second, kinds), ("validate", "--user", "limitador"), done.stderr)
        self.assertIn("weir.yaml", files.split())
        self.assertNotIn("--", files)


if __name__ == "__main__":
    unittest.main()
