"""`weir login`, `weir top` and `weir admin` against a running daemon, as a person and a script use them."""
import json
import os
import pathlib
import pty
import re
import signal
import stat
import subprocess
import threading
import unittest

from harness import PATIENCE, WEIR, Case, Weir, check

TOKEN = "an-admin-token-for-this-test-0123456789"
DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3


class AdminCli(Case):
    def setUp(self):
        super().setUp()
        self.state = self.directory / "state"
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)
        self.server = Weir(self.directory, None, ("--state-dir", str(self.state)))
        self.addCleanup(self.server.stop)
        self.url = "http://" + self.server.addresses["admin"]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home"), "WEIR_ADMIN_URL": self.url, "WEIR_ADMIN_TOKEN": TOKEN}
        self.printed = ""

    def run_weir(self, *words, code=DONE, text=None, environment=None):
        done = subprocess.run([WEIR, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, input=text,
                              stdin=subprocess.DEVNULL if text is None else None, env=environment or self.environment)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}{done.stderr}")
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        self.error = done.stderr
        return done.stdout

    def admin(self, *words, **options):
        return self.run_weir("admin", *words, **options)

    def set_alice(self, limit=500):
        return self.admin("set", "users/alice", f"rule.max_requests={limit}", "rule.window_seconds=3600", "--reason", "asked for it")

    # ---- contexts ----

    def test_login_and_contexts(self):
        home = {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home")}
        def run(*words, **options):
            return self.run_weir(*words, environment=home, **options)

        self.assertIn("weir login", (run("admin", "get", "users", code=USAGE), self.error)[1])
        run("login", self.url, text="not-the-token-at-all-0123456789012345\n", code=REFUSED)
        self.assertIn("does not take this token", self.error)
        self.assertIn("context local", run("login", self.url, "--name", "local", text=TOKEN + "\n"))
        path = self.directory / "home/.config/weir/contexts.yaml"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        self.assertIn("no users", run("admin", "get", "users"))
        run("login", self.url, "--name", "other", text=TOKEN + "\n")
        listed = json.loads(run("admin", "context", "list", "--json"))
        self.assertEqual((listed["current"], set(listed["contexts"])), ("other", {"local", "other"}))
        run("admin", "context", "use", "local")
        self.assertIn("*  local", run("admin", "context", "list"))
        run("admin", "get", "users", "--context", "other")
        run("admin", "get", "users", "--context", "none", code=USAGE)
        run("admin", "context", "remove", "local")
        run("admin", "context", "use", "local", code=USAGE)
        # Whoever may read the file has the tokens.
        path.chmod(0o644)
        run("admin", "get", "users", "--context", "other", code=USAGE)
        self.assertIn("chmod 600", self.error)

    def test_what_login_refuses(self):
        home = {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home")}
        for url in ("http://weir.example:8089", "ftp://x", "https://u:p@x", "unix:relative"):
            self.run_weir("login", url, text="x\n", code=USAGE, environment=home)
        self.run_weir("login", self.url, text="", code=USAGE, environment=home)
        self.run_weir("login", "http://127.0.0.1:1", text="some-token\n", code=UNREACHABLE, environment=home)
        self.assertFalse((self.directory / "home/.config/weir/contexts.yaml").exists())

    def test_tls_and_a_unix_socket(self):
        home = {"PATH": os.environ["PATH"], "HOME": str(self.directory / "home")}
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=weir",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
                       cwd=self.directory, check=True, capture_output=True)
        config = self.directory / "tls.yaml"
        config.write_text("global: {free_tier: {max_requests: 5, window_seconds: 60}}\n"
                          f"server: {{admin: {{address: '127.0.0.1:0', tls: {{certificate_file: {self.directory}/cert.pem, key_file: {self.directory}/key.pem}}}}}}\n")
        server = Weir(self.directory, config, ("--state-dir", str(self.directory / "tls"), "--admin", "127.0.0.1:0"))
        self.addCleanup(server.stop)
        url = "https://" + server.addresses["admin"]
        self.run_weir("login", url, text=TOKEN + "\n", environment=home, code=UNREACHABLE)
        self.assertIn("certificate is not trusted", self.error)
        self.run_weir("login", url, "--ca-file", self.directory / "cert.pem", text=TOKEN + "\n", environment=home)
        self.assertIn("no users", self.run_weir("admin", "get", "users", environment=home))
        # A file is the source of the policy here.
        self.run_weir("admin", "set", "endpoints//x", "rule.max_requests=1", "rule.window_seconds=1", environment=home, code=REFUSED)
        self.assertIn("change the file", self.error)
        socket = f"unix:{self.directory}/admin.sock"
        local = Weir(self.directory, None, ("--state-dir", str(self.directory / "local"), "--admin", socket))
        self.addCleanup(local.stop)
        self.run_weir("login", socket, text=TOKEN + "\n", environment=home)
        self.assertIn("no users", self.run_weir("admin", "get", "users", environment=home))
        self.assertIn("requests/s", self.run_weir("top", "--once", environment=home))

    def test_a_token_is_typed_without_being_shown(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(WEIR, [WEIR, "login", self.url], {"HOME": str(self.directory / "home"), "PATH": os.environ["PATH"]})
        seen = b""
        while b"Token: " not in seen:
            seen += os.read(terminal, 1024)
        os.write(terminal, TOKEN.encode() + b"\n")
        while True:
            try:
                part = os.read(terminal, 1024)
            except OSError:
                break
            if not part:
                break
            seen += part
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), DONE, seen)
        self.assertNotIn(TOKEN.encode(), seen)
        self.assertIn(b"context localhost", seen)

    # ---- records ----

    def test_set_get_delete(self):
        made = self.set_alice()
        self.assertIn("users/alice: made", made)
        self.assertIn("+ rule.max_requests: 500", made)
        changed = self.admin("set", "users/alice", "rule.max_requests=5", "--label", "team=core", "--note", "launch", "--expires", "3d")
        self.assertIn("- rule.max_requests: 500", changed)
        self.assertIn("+ rule.max_requests: 5", changed)
        self.assertNotIn("window_seconds", changed)
        self.assertEqual(sum(check(self.server.port, user="alice")[0] == 200 for _ in range(7)), 5)
        self.admin("set", "users/bob", "exempt=true")
        table = self.admin("get", "users")
        self.assertRegex(table, r"alice\s+5 / 3600 s\s+team=core")
        self.assertIn("launch", table)
        self.assertEqual([item["name"] for item in json.loads(self.admin("get", "users", "--json"))["items"]], ["alice", "bob"])
        self.assertNotIn("bob", self.admin("get", "users", "--label", "team:core"))
        self.assertNotIn("alice", self.admin("get", "users", "--prefix", "b"))
        alice = json.loads(self.admin("get", "user", "alice", "-o", "json"))
        self.assertEqual((alice["rule"]["max_requests"], alice["labels"]), (5, {"team": "core"}))
        self.assertIn("max_requests: 5", self.admin("get", "users/alice"))
        self.admin("set", "users/alice", "note=null")
        self.assertNotIn("note", json.loads(self.admin("get", "users/alice", "--json")))
        self.admin("set", "users/carol", "-f", "-", text="rule: {max_requests: 7, window_seconds: 60}\n")
        self.assertIn("7", self.admin("get", "users/carol", "-o", "table"))
        self.admin("set", "endpoints//login", "rule.max_requests=3", "rule.window_seconds=60")
        self.assertIn("/login", self.admin("get", "endpoints"))
        self.admin("set", "overrides/users/alice", "rule.max_requests=9", "--expires", "1h")
        self.assertIn("users/alice", self.admin("get", "overrides"))
        self.admin("delete", "users/bob", code=USAGE)  # nobody can be asked
        self.assertIn("--yes", self.error)
        self.assertIn("deleted", self.admin("delete", "users", "bob", "--yes", "--reason", "gone"))
        self.admin("get", "users/bob", code=REFUSED)
        for what in ("instances", "stores", "roles", "accounts", "sessions", "revisions", "tokens"):
            self.assertNotEqual(self.admin("get", what), "")

    def test_faults_are_told(self):
        self.admin("set", "users/alice", "rule.max_request=5", code=REFUSED)
        self.assertIn("rule: unknown field 'max_request'", self.error)
        self.assertIn("did you mean 'max_requests'?", self.error)
        self.admin("set", "users/alice", "rule.max_request=5", "--json", code=REFUSED)
        self.assertEqual(json.loads(self.error)["code"], "invalid_body")
        self.admin("set", "user/alice", "oops", code=USAGE)
        self.admin("get", "userz", code=USAGE)
        self.assertIn("did you mean 'users'", self.error)
        self.run_weir("admin", "gett", code=USAGE)
        self.assertIn("did you mean 'get'", self.error)
        self.admin("get", "users", environment={**self.environment, "WEIR_ADMIN_TOKEN": "x" * 40}, code=REFUSED)
        self.assertIn("log in again", self.error)
        self.admin("get", "users", environment={**self.environment, "WEIR_ADMIN_URL": "http://127.0.0.1:1"}, code=UNREACHABLE)
        self.set_alice()
        self.admin("set", "users/alice", "rule.max_requests=1", "--if-match", '"12345"', code=REFUSED)
        self.assertIn("somebody else changed it meanwhile", self.error)

    def test_apply(self):
        path = self.directory / "records.yaml"
        path.write_text("tenants:\n  acme: {tier: free_tier}\nusers:\n"
                        + "".join(f"  u{i}: {{tenant: acme, rule: {{max_requests: {i + 1}, window_seconds: 60}}}}\n" for i in range(200)))
        shown = self.admin("apply", "-f", path, "--dry-run")
        self.assertIn("users/u7: new", shown)
        self.assertIn("201 records would change, 0 as they are", shown)
        self.assertIn("no users", self.admin("get", "users"))
        before = json.loads(self.admin("revisions", "--json"))["items"][0]["number"]
        self.assertIn("201 records in revision", self.admin("apply", "-f", path, "--reason", "a new customer"))
        revisions = json.loads(self.admin("revisions", "--json"))["items"]
        self.assertEqual((revisions[0]["number"], revisions[0]["reason"]), (before + 1, "a new customer"))
        self.assertIn("so already", self.admin("apply", "-f", path))
        # What `get` prints is what `apply` reads.
        self.assertIn("so already", self.admin("apply", "-f", "-", text=self.admin("get", "users", "-o", "yaml")))
        path.write_text("users: {u1: {rule: {max_requests: 77, window_seconds: 60}, tenant: acme}}\ndelete: [users/u2]\n")
        shown = self.admin("apply", "-f", path, "--dry-run")
        self.assertIn("- rule.max_requests: 2", shown)
        self.assertIn("users/u2: deleted", shown)
        self.admin("apply", "-f", path, code=USAGE)
        self.admin("apply", "-f", path, "--yes")
        self.admin("get", "users/u2", code=REFUSED)
        path.write_text("users: {u1: {rule: {max_requests: nonsense, window_seconds: 60}}}\n")
        for more in ((), ("--dry-run",)):
            self.admin("apply", "-f", path, *more, code=REFUSED)
            self.assertIn("users/u1", self.error)
        path.write_text("users: {u1: [\n")
        self.admin("apply", "-f", path, code=REFUSED)
        self.assertIn("records.yaml:2", self.error)
        path.write_text("users: {u1:}\n")
        self.admin("apply", "-f", path, code=USAGE)

    def test_revisions_diff_rollback(self):
        self.set_alice(5)
        first = json.loads(self.admin("revisions", "--json"))["items"][0]["number"]
        self.set_alice(6)
        second = first + 1
        self.assertIn("asked for it", self.admin("revisions"))
        self.assertIn("+ rule.max_requests: 6", self.admin("diff", second))
        self.assertIn("- rule.max_requests: 6", self.admin("diff", second, first))
        self.assertEqual(len(json.loads(self.admin("diff", first, second, "--json"))["items"]), 1)
        self.admin("rollback", first, "--yes", code=USAGE)
        self.admin("rollback", first, "--reason", "a mistake", code=USAGE)
        self.assertIn(f"as at revision {first}, by revision", self.admin("rollback", first, "--reason", "a mistake", "--yes"))
        self.assertEqual(json.loads(self.admin("get", "users/alice", "--json"))["rule"]["max_requests"], 5)
        self.admin("rollback", 999, "--reason", "x", "--yes", code=REFUSED)
        self.admin("diff", 999, code=REFUSED)

    # ---- credentials ----

    def test_keys(self):
        self.admin("set", "tenants/acme", "tier=free_tier")
        key = self.admin("keys", "create", "--tenant", "acme", "--quota", "3/day", "--note", "for the app", "--expires", "90d").strip()
        found = re.search(r"key_[0-9a-f]{32}", self.error)[0]
        self.assertEqual([check(self.server.port, api_key=key)[0] for _ in range(4)], [200, 200, 200, 429])
        listed = self.admin("keys", "list")
        self.assertIn(found, listed)
        self.assertIn("for the app", listed)
        self.assertNotIn(key, listed)
        rotated = json.loads(self.admin("keys", "rotate", found, "--overlap", "1h", "--json"))
        self.assertNotEqual(rotated["id"], found)
        self.admin("keys", "rotate", rotated["id"], code=USAGE)  # at once: nobody can be asked
        self.assertIn("revoked", self.admin("keys", "revoke", rotated["id"], "--yes"))
        self.admin("keys", "revoke", rotated["id"], "--yes", code=REFUSED)
        self.admin("keys", "create", "--quota", "many", code=USAGE)

    def test_tokens(self):
        viewer = self.admin("tokens", "create", "dashboard", "--role", "viewer", "--expires", "30d").strip()
        found = re.search(r"tok_\w+", self.error)[0]
        self.assertIn("dashboard", self.admin("tokens", "list"))
        as_viewer = {**self.environment, "WEIR_ADMIN_TOKEN": viewer}
        self.admin("get", "users", environment=as_viewer)
        self.admin("set", "users/x", "exempt=true", environment=as_viewer, code=REFUSED)
        self.assertIn("update:users", self.error)
        self.admin("tokens", "revoke", found, "--yes")
        self.admin("get", "users", environment=as_viewer, code=REFUSED)
        self.admin("tokens", "create", "bad", "--role", "emperor", code=REFUSED)

    # ---- what happened, and what happens ----

    def test_audit(self):
        self.set_alice()
        self.admin("get", "users/nobody", code=REFUSED)
        table = self.admin("audit", "--object", "alice", "--action", "update:users", "--from", "1h")
        self.assertIn("users/alice", table)
        self.assertIn("asked for it", table)
        records = [json.loads(line) for line in self.admin("audit", "--kind", "users", "--outcome", "success", "--json").splitlines()]
        self.assertEqual({record["object"]["id"] for record in records}, {"alice"})
        self.assertIn("no records", self.admin("audit", "--actor", "nobody"))
        self.admin("audit", "--from", "yesterday", code=USAGE)

    def test_watch(self):
        self.assertIn("requests/s", self.admin("watch", "-n", 1))
        lines = self.admin("watch", "-n", 2, "--json").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("allowed_per_second", json.loads(lines[0]))
        watching = subprocess.Popen([WEIR, "admin", "watch"], stdout=subprocess.PIPE, text=True, env=self.environment)
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(PATIENCE), DONE)
        watching.stdout.close()

    def test_top(self):
        for _ in range(3):
            check(self.server.port, user="alice")
        once = self.run_weir("top", "--once")
        self.assertIn("global.free_tier", once)
        self.assertIn("requests/s", once)
        self.assertEqual(json.loads(self.run_weir("top", "--once", "--json"))["allowed"], 3)
        self.run_weir("top", "--once", environment={**self.environment, "WEIR_ADMIN_URL": "http://127.0.0.1:1"}, code=UNREACHABLE)

    def test_top_gives_the_terminal_back(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            master, slave = pty.openpty()
            top = subprocess.Popen([WEIR, "top"], stdin=slave, stdout=slave, stderr=slave, env={**self.environment, "TERM": "xterm"})
            os.close(slave)
            seen = b""
            while seen.count(b"requests/s") < 2:
                seen += os.read(master, 65536)
            self.assertIn(b"\x1b[?1049h\x1b[?25l", seen)
            top.send_signal(number)
            while True:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break
                if not part:
                    break
                seen += part
            self.assertEqual(top.wait(PATIENCE), DONE)
            self.assertTrue(seen.endswith(b"\x1b[?25h\x1b[?1049l"), seen[-100:])
            os.close(master)

    # ---- everything ----

    def test_export_and_import(self):
        self.set_alice()
        path = self.directory / "all.yaml"
        self.admin("export", path)
        self.assertIn("alice", path.read_text())
        self.assertEqual(json.loads(self.admin("export", "--format", "json"))["users"]["alice"]["rule"]["max_requests"], 500)
        self.admin("delete", "users/alice", "--yes")
        self.admin("import", path, code=USAGE)
        self.assertIn("changes in revision", self.admin("import", path, "--yes", "--reason", "as it was"))
        self.admin("get", "users/alice")
        path.write_text("global: {free_tier: {max_request: 1}}\n")
        self.admin("import", path, "--yes", code=REFUSED)
        self.assertIn("all.yaml:1:", self.error)

    def test_backup_while_it_runs_and_restore(self):
        self.set_alice()
        end = threading.Event()

        def change():
            number = 0
            while not end.is_set():
                number += 1
                subprocess.run([WEIR, "admin", "set", f"users/u{number}", "exempt=true"], env=self.environment, capture_output=True, timeout=PATIENCE)

        changing = threading.Thread(target=change)
        changing.start()
        file = self.directory / "weir.tar"
        try:
            told = json.loads(self.admin("backup", file, "--state-dir", self.state, "--json"))
        finally:
            end.set()
            changing.join()
        self.assertGreater(told["audit_records"], 0)
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertIn("config.db", subprocess.run(["tar", "tf", file], capture_output=True, text=True).stdout)
        self.admin("backup", file, "--state-dir", self.state, code=USAGE)
        self.admin("restore", file, "--state-dir", self.state, "--yes", code=USAGE)
        self.admin("restore", file, "--state-dir", self.directory / "again", code=USAGE)  # nobody can be asked
        self.assertIn("audit records", self.admin("restore", file, "--state-dir", self.directory / "again", "--yes"))
        self.run_weir("audit", "verify", "--state-dir", self.directory / "again")
        again = Weir(self.directory, None, ("--state-dir", str(self.directory / "again")))
        self.addCleanup(again.stop)
        there = {**self.environment, "WEIR_ADMIN_URL": "http://" + again.addresses["admin"]}
        self.assertIn("max_requests: 500", self.admin("get", "users/alice", environment=there))
        users = json.loads(self.admin("get", "users", "--json", environment=there))["items"]
        audited = {json.loads(line)["object"]["id"] for line in
                   self.admin("audit", "--kind", "users", "--limit", 10000, "--json", environment=there).splitlines()}
        self.assertLessEqual({user["name"] for user in users}, audited)  # no change without its record

    # ---- completion ----

    def complete(self, *words, environment=None):
        return self.run_weir("__complete", *words, environment=environment).split()

    def test_completion(self):
        self.set_alice()
        self.admin("set", "users/albert", "exempt=true")
        self.admin("set", "users/al;rm -rf $(x)", "exempt=true")
        self.assertEqual(self.complete("admin", "ro"), ["rollback"])
        self.assertIn("users/", self.complete("admin", "get", "us"))
        # Names that a shell would not take as they are are left out.
        self.assertEqual(self.complete("admin", "set", "users/al"), ["users/albert", "users/alice"])
        self.assertIn("--reason", self.complete("admin", "set", "--"))
        self.assertEqual(self.complete("admin", "tokens", "create", "x", "--role", "v"), ["viewer"])
        self.assertIn("1", self.complete("admin", "rollback", ""))
        self.assertEqual(self.complete("admin", "get", "users/al", environment={**self.environment, "WEIR_ADMIN_URL": "http://127.0.0.1:1"}), [])
        script = self.run_weir("completion", "bash") + "\nCOMP_WORDS=(weir admin get users/ali); COMP_CWORD=3; _weir; echo \"${COMPREPLY[@]}\""
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE,
                              env={**self.environment, "PATH": f"{pathlib.Path(WEIR).parent}:/usr/bin:/bin"})
        self.assertEqual(done.stdout.strip(), "users/alice", done.stderr)


if __name__ == "__main__":
    unittest.main()
