"""Starts real programs on free loopback ports for the integration tests, and stops them again."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = os.environ["WEIR_BINARY"]
# Generous: sanitizers and a busy machine are slow. It bounds a hang, it measures nothing.
PATIENCE = 60
# What daemons keep by default, of this run alone.
_STATE = tempfile.TemporaryDirectory()
os.environ["XDG_STATE_HOME"] = _STATE.name


def require(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not found:
        raise AssertionError(f"{program} is not installed: run scripts/deps test")
    return found


def tool(name):
    """A program that scripts/tools installs."""
    for path in (ROOT / "build/tools/bin" / name, ROOT / "build/tools/venv/bin" / name):
        if path.exists():
            return path
    raise AssertionError(f"{name} is not installed: run scripts/tools test")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"{process.args[0]} ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"{process.args[0]} does not listen on {port}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for: {what}")


class Weir:
    """A daemon on ports that it picks itself."""

    def __init__(self, directory, config=None, arguments=(), override_http=True, limits=None):
        """`override_http`: not where the document says; `limits`: soft and hard, of descriptors."""
        self.log = open(pathlib.Path(directory) / "weir.log", "ab+")
        command = [WEIR, "serve"]
        for listener in ("http", "resp", "grpc", "admin"):
            if f"--{listener}" not in arguments and (listener != "http" or override_http):
                command += [f"--{listener}", "127.0.0.1:0"]
        if config:
            command += ["--config", str(config)]
        lower = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits)) if limits else None
        self.process = subprocess.Popen(command + list(arguments), stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=lower,
                                        env=dict(os.environ, XDG_STATE_HOME=str(directory)))
        line = self.process.stdout.readline()
        if "weir is ready" not in line:
            self.process.wait(PATIENCE)
            raise AssertionError(f"weir did not start: {line!r}\n{self.logs()}")
        self.addresses = dict(re.findall(r"(\w+)=(\S+)", line))
        self.port = self.port_of("http")

    def port_of(self, listener):
        return int(self.addresses[listener].rsplit(":", 1)[1])

    def logs(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.log.closed:
            return ""  # stopped before
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        logs = self.logs()
        self.log.close()
        assert code == 0, f"weir ended with {code}\n{logs}"
        return logs


class Site:
    """A small site: every path answers 200 with a line of text, and counts."""

    def __init__(self):
        site = self
        self.hits = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.hits += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = f"site {self.path}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a proxy that ends resets the connections it kept

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Case(unittest.TestCase):
    """A test case with a directory of its own and programs that end with it."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weir-it-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def weir(self, config=None, arguments=()):
        started = Weir(self.directory, config, arguments)
        self.addCleanup(started.stop)
        return started

    def site(self):
        site = Site()
        self.addCleanup(site.stop)
        return site

    def start(self, command, port=None, **options):
        log = open(self.directory / (pathlib.Path(command[0]).name + ".log"), "ab")
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, **options)

        def stop():
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            log.close()

        self.addCleanup(stop)
        if port:
            try:
                wait_for_port(port, process)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{pathlib.Path(log.name).read_text(errors='replace')}") from None
        return process

    def example(self, name, ports):
        """Copies an example with its fixed ports replaced: {8000: 41234, ...}."""
        target = self.directory / name
        shutil.copytree(ROOT / "examples" / name, target)
        for path in target.iterdir():
            text = path.read_text()
            for old, new in ports.items():
                text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
            path.write_text(text)
        return target


def request(port, method="GET", path="/", headers=None, body=None):
    """One request on a connection of its own: (status, headers with lower-case names, body as text)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode()
    finally:
        connection.close()


def check(port, **fields):
    """POST /v1/check: (status, headers, parsed body)."""
    status, headers, body = request(port, "POST", "/v1/check", {"Content-Type": "application/json"}, json.dumps(fields))
    return status, headers, json.loads(body)
