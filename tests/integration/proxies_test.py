"""nginx, HAProxy and Caddy in front of a small site, each asking weir about every request, from examples/.

Each is also attacked: whatever a visitor sends, a request that weir would deny must not reach the site.
"""
import contextlib
import http.server
import json
import re
import socket
import threading
import unittest
import urllib.parse

import yaml

from harness import PATIENCE, Case, Weir, free_port, request, require, wait_until

# Added to the example's weir.yaml: what an attacker would like to be.
TARGETS = """
users: {admin: {exempt: true}}
exemptions: {paths: ["/exempt/*"], api_keys: [skeleton-key]}
"""
BLOCK = "  rules: [{name: bad, cidrs: [127.0.0.2/32], action: block}]\n"


def send(port, data, source="127.0.0.1"):
    """The status of the answer to raw bytes; 0: the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)) as connection:
        reply = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in reply or reply.startswith(b"HTTP/1.1 100"):
                part = connection.recv(65536)
                if not part:
                    break
                reply += part
                if reply.startswith(b"HTTP/1.1 100") and b"\r\n\r\n" in reply:
                    reply = reply.split(b"\r\n\r\n", 1)[1]
    found = re.match(rb"HTTP/1.[01] (\d\d\d)", reply)
    return int(found[1]) if found else 0


def head(line="GET /page HTTP/1.1", *headers):
    return "\r\n".join([line, "Host: 127.0.0.1", "Connection: close", *headers, "", ""]).encode("latin-1")


def attacks():
    """Requests for /page, each with something by which a visitor may hope to get past the question: (name, bytes)."""
    body = b"x" * 2_000_000
    yield "a large body", head("POST /page HTTP/1.1", f"Content-Length: {len(body)}") + body
    yield "a large chunked body", head("POST /page HTTP/1.1", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    yield "a body that is to be continued", head("POST /page HTTP/1.1", "Content-Length: 3", "Expect: 100-continue") + b"abc"
    yield "an expectation", head("POST /page HTTP/1.1", "Content-Length: 3", "Expect: wonders") + b"abc"
    yield "a compressed body", head("POST /page HTTP/1.1", "Content-Encoding: gzip", "Content-Length: 3") + b"abc"
    yield "a websocket", head("GET /page HTTP/1.1", "Upgrade: websocket").replace(b"Connection: close", b"Connection: upgrade, close")
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "X"):
        yield method, head(f"{method} /page HTTP/1.1")
    yield "HTTP/1.0", head("GET /page HTTP/1.0")
    for name, value in (("X-User-Id", "admin"), ("x-user-id", "admin"), ("X-Tenant-Id", "big"), ("X-Api-Key", "skeleton-key"),
                        ("X-Weir-Allowed", "1"), ("X-Weir-Status", "200"), ("RateLimit", "r=9"), ("X-Forwarded-For", "198.51.100.9"),
                        ("Forwarded", "for=198.51.100.9"), ("X-Real-IP", "198.51.100.9"), ("X-Original-URI", "/exempt/a"),
                        ("X-Original-Method", "HEAD"), ("X-Forwarded-Uri", "/exempt/a"), ("X-Forwarded-Method", "HEAD"),
                        ("X-Forwarded-Proto", "gopher"), ("Authorization", "Bearer skeleton-key"), ("Connection", "X-Forwarded-For"),
                        ("Connection", "X-Forwarded-Uri, X-Original-URI"), ("X-Odd", "\xff\xfe"), ("TE", "trailers"), ("Content-Length", "0")):
        yield f"{name}: {value!a}", head("GET /page HTTP/1.1", f"{name}: {value}")
        yield f"{name} twice", head("GET /page HTTP/1.1", f"{name}: {value}", f"{name}: {value}")
    for size in (5_000, 9_000, 14_000, 40_000, 200_000, 900_000):
        yield f"a header of {size}", head("GET /page HTTP/1.1", "X-Junk: " + "x" * size)
        yield f"a cookie of {size}", head("GET /page HTTP/1.1", "Cookie: a=" + "x" * size)
        yield f"a query of {size}", head(f"GET /page?{'x' * size} HTTP/1.1")
    for count in (90, 101, 150, 1_000, 3_000):
        yield f"{count} headers", head("GET /page HTTP/1.1", *(f"a{i}: b" for i in range(count)))
    for target in ("/page?cost=0", "/page?deny=200", "/page?user_header=X-A", "http://127.0.0.1/page", "http://127.0.0.1:1/page?x=://x/exempt/a",
                   "/exempt/../page", "/exempt/%2e%2e/page", "/exempt//../page", "/exempt/a#/../../page", "/page#", "/page\xff", "/page?\xff", "//page",
                   "/exempt/..;/page", "/exempt/%2e%2e%2fpage", "/_weir", "/_weir?deny=200", "/%5fweir", "*", "page"):
        yield target, head(f"GET {target} HTTP/1.1", "X-A: admin")


class Stub:
    """In weir's place: answers everything with one status, or (0) closes the connection."""

    def __init__(self, case):
        stub = self
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if stub.status == 0:
                    self.close_connection = True
                    return
                self.send_response(stub.status)
                self.send_header("Content-Length", "0")
                if stub.status in (301, 302):
                    self.send_header("Location", "/exempt/a")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)


class Proxies(Case):
    def behave(self, port, site):
        """What a visitor sees behind any of them: five pass, the sixth is a true 429 with headers, and the site is spared."""
        # The visitor's query must never reach weir as options of its own.
        for left in (4, 3, 2, 1, 0):
            status, headers, body = request(port, path="/page?cost=0")
            self.assertEqual(status, 200, body)
            self.assertEqual(body, "site /page?cost=0\n")
            self.assertIn(f"r={left}", headers["ratelimit"])
            self.assertIn("q=5", headers["ratelimit-policy"])
        hits = site.hits
        status, headers, body = request(port, path="/page?cost=0")
        self.assertEqual(status, 429)
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        self.assertIn("r=0", headers["ratelimit"])
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertTrue(headers["content-type"].startswith("application/problem+json"))
        self.assertEqual(json.loads(body)["status"], 429)
        self.assertEqual(site.hits, hits, "a denied request must not reach the site")
        # Nor does a visitor get past by a question that weir refuses to read.
        many = {f"X-Junk-{i}": "x" * 200 for i in range(60)}
        self.assertIn(request(port, path="/page?cost=0", headers=many)[0], (400, 429, 431))
        # Another endpoint has its own limit.
        self.assertEqual([request(port, path="/login")[0] for _ in range(4)], [200, 200, 200, 429])

    def withstands(self, port, site):
        """No request of a visitor whose limit is spent reaches the site, and none of one who is blocked."""
        while request(port, path="/page")[0] == 200:
            pass
        for name, data in attacks():
            with self.subTest(name):
                site.hits = 0
                self.assertNotIn(send(port, data) // 100, (1, 2))
                self.assertEqual(site.hits, 0)
        hits = site.hits = 0
        for data in (head(), head("GET /page HTTP/1.1", "X-Forwarded-For: 198.51.100.9")):
            self.assertEqual(send(port, data, "127.0.0.2"), 403)
        self.assertEqual(site.hits, hits)

    def obeys(self, port, site, stub, passing):
        """Which answers of weir's let a request pass: these and no others."""
        for status in (200, 204, 301, 302, 400, 401, 403, 404, 408, 413, 418, 421, 429, 431, 500, 502, 503, 504, 0):
            hits, stub.status = site.hits, status
            seen = request(port, path="/page")[0]
            self.assertEqual((status, site.hits > hits), (status, status in passing), seen)
            self.assertEqual(seen == 200, status in passing, f"{seen} for weir's {status}")

    def document(self, name):
        """The example's weir.yaml with what attackers are after."""
        path = self.directory / name / "weir.yaml"
        # Windows so long that nothing is given back while the test runs.
        path.write_text(path.read_text().replace("window_seconds: 60", "window_seconds: 31536000") + BLOCK + TARGETS)
        return path

    def goes_and_comes(self, port, config, weir, away):
        """What a visitor gets while weir is away, and that it is limited again when weir is back."""
        weir.stop()
        self.assertEqual([request(port, path="/page")[0] for _ in range(8)], [away] * 8)
        again = Weir(self.directory, config, ["--http", f"127.0.0.1:{weir.port}"], override_http=False)
        self.addCleanup(again.stop)
        wait_until(lambda: request(port, path="/page")[0] == 429, "weir's word again")
        again.stop()

    def start_nginx(self, weir_port, site, edit=lambda text: text):
        port = free_port()
        folder = self.directory / f"nginx-{port}"
        folder.mkdir()
        text = edit((self.directory / "nginx" / "nginx.conf").read_text())
        for old, new in ((8080, weir_port), (9000, site.port), (8000, port)):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = text.replace("http {", "http {\naccess_log off;\n" + paths, 1)
        (folder / "nginx.conf").write_text(f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\n" + text)
        self.start([require("nginx"), "-p", folder, "-c", folder / "nginx.conf"], port)
        return port

    def start_haproxy(self, weir_port, site, edit=lambda text: text):
        port = free_port()
        folder = self.directory / f"haproxy-{port}"
        folder.mkdir()
        for name in ("haproxy.cfg", "weir.lua"):
            text = edit((self.directory / "haproxy" / name).read_text())
            for old, new in ((8080, weir_port), (9000, site.port), (8000, port)):
                text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
            (folder / name).write_text(text)
        self.start([require("haproxy"), "-db", "-f", "haproxy.cfg"], port, cwd=folder)
        return port

    def start_caddy(self, weir_port, site, name="Caddyfile"):
        port = free_port()
        folder = self.directory / f"caddy-{port}"
        folder.mkdir()
        text = (self.directory / "caddy" / name).read_text()
        for old, new in ((8080, weir_port), (9000, site.port), (8000, port)):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        (folder / "Caddyfile").write_text(text)
        self.start([require("caddy"), "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"], port, cwd=folder,
                   env={"HOME": str(self.directory), "PATH": "/usr/bin:/bin"})
        return port

    def test_nginx(self):
        self.example("nginx", {})
        site, config, stub = self.site(), self.document("nginx"), Stub(self)
        weir = self.weir(config)
        port = self.start_nginx(weir.port, site)
        self.behave(port, site)
        self.withstands(port, site)
        # A site that takes large uploads: the question must not end by their size.
        large = self.start_nginx(weir.port, site, lambda text: text.replace("location / {", "location / {\n client_max_body_size 50m;"))
        hits = site.hits
        self.assertEqual(request(large, "POST", "/page", body="x" * 2_000_000)[0], 429)
        self.assertEqual(site.hits, hits)
        closed = self.start_nginx(stub.port, site, lambda text: text.replace("error_page 502 504 = @weir_away;", ""))
        self.obeys(closed, site, stub, {200, 204})
        self.obeys(self.start_nginx(stub.port, site), site, stub, {200, 204, 0})
        self.goes_and_comes(port, config, weir, 200)
        self.assertEqual(request(self.start_nginx(weir.port, site, lambda text: text.replace("error_page 502 504 = @weir_away;", "")), path="/page")[0], 500)

    def test_haproxy(self):
        self.example("haproxy", {})
        site, config, stub = self.site(), self.document("haproxy"), Stub(self)
        weir = self.weir(config)
        port = self.start_haproxy(weir.port, site)
        self.behave(port, site)
        self.withstands(port, site)
        self.obeys(self.start_haproxy(stub.port, site), site, stub, {200, 0, 500, 502, 503, 504})
        closing = lambda text: text.replace("  acl weir_passes var(txn.weir_status) -m int 0 500:599\n", "")  # noqa: E731
        self.obeys(self.start_haproxy(stub.port, site, closing), site, stub, {200})
        # A script that fails is no answer of weir's.
        broken = self.start_haproxy(stub.port, site, lambda text: text.replace("local reply =", 'error("broken")\n  local reply ='))
        self.obeys(broken, site, stub, set())
        self.goes_and_comes(port, config, weir, 200)
        self.assertEqual(request(self.start_haproxy(weir.port, site, closing), path="/page")[0], 403)

    def test_caddy(self):
        self.example("caddy", {})
        site, config, stub = self.site(), self.document("caddy"), Stub(self)
        weir = self.weir(config)
        port = self.start_caddy(weir.port, site)
        self.behave(port, site)
        self.withstands(port, site)
        self.obeys(self.start_caddy(stub.port, site), site, stub, {200, 204})
        self.goes_and_comes(port, config, weir, 502)

    def test_caddy_fails_open(self):
        self.example("caddy", {})
        site, config, stub = self.site(), self.document("caddy"), Stub(self)
        weir = self.weir(config)
        port = self.start_caddy(weir.port, site, "fail-open.Caddyfile")
        self.behave(port, site)
        self.withstands(port, site)
        self.obeys(self.start_caddy(stub.port, site, "fail-open.Caddyfile"), site, stub, {200, 204, 0})
        # A site that fails is not asked again.
        answers = []
        with socket.create_server(("127.0.0.1", 0)) as broken:
            def accept():
                while True:
                    with contextlib.suppress(ConnectionError):
                        connection = broken.accept()[0]
                        answers.append(connection.recv(65536))
                        connection.close()

            threading.Thread(target=lambda: contextlib.suppress(OSError).__enter__() and None or accept(), daemon=True).start()
            failing = self.start_caddy(weir.port, type("Site", (), {"port": broken.getsockname()[1]}), "fail-open.Caddyfile")
            self.assertEqual(request(failing, "POST", "/exempt/a", body="pay")[0], 502)
        self.assertEqual(len([answer for answer in answers if answer.startswith(b"POST")]), 1)
        self.goes_and_comes(port, config, weir, 200)

    def test_denials_with_other_statuses(self):
        """A rule may deny with any status: none of them is taken for a weir that cannot answer, nor for a pass."""
        for name in ("nginx", "haproxy", "caddy"):
            self.example(name, {})
        rule = "max_requests: 1, window_seconds: 31536000, algorithm: fixed_window, identifier: ip_address"
        endpoints = "".join(f"  /s{status}: {{rule: {{{rule}, denial: {{status: {status}}}}}}}\n" for status in (200, 401, 404, 500, 503, 599))
        endpoints += "".join(f"  /{action}: {{rule: {{{rule}, on_exceeded: {action}}}}}\n" for action in ("challenge", "charge"))
        site = self.site()
        config = self.directory / "statuses.yaml"
        config.write_text(f"global: {{free_tier: unlimited}}\nip_rules: {{trusted_proxies: [127.0.0.1]}}\nendpoints:\n{endpoints}")
        starts = (self.start_nginx, self.start_haproxy, self.start_caddy, lambda port, site: self.start_caddy(port, site, "fail-open.Caddyfile"))
        for number, start in enumerate(starts):
            port = start(self.weir(config).port, site)
            for path in ("/s200", "/s401", "/s404", "/s500", "/s503", "/s599", "/challenge", "/charge"):
                with self.subTest(f"{number} {path}"):
                    self.assertEqual(request(port, path=path)[0], 200)
                    hits = site.hits
                    self.assertGreaterEqual(request(port, path=path)[0], 400)
                    self.assertEqual(site.hits, hits)

    def test_traefik_contract(self):
        """Traefik is not in Debian: what its ForwardAuth sends is sent here, as its documentation lists it, to where the
        example has it sent."""
        example = self.example("traefik", {})
        weir = self.weir(example / "weir.yaml")
        http = yaml.safe_load((example / "traefik.yaml").read_text())["http"]
        self.assertEqual(list(http["middlewares"]), ["nameless", "weir"])
        self.assertEqual([(router["middlewares"], router["service"]) for router in http["routers"].values()], [(["nameless", "weir"], "site")])
        # An empty value removes the header.
        self.assertEqual(http["middlewares"]["nameless"], {"headers": {"customRequestHeaders": {name: "" for name in ("X-User-Id", "X-Tenant-Id", "X-Api-Key")}}})
        self.assertIn("site", http["services"])
        forward = http["middlewares"]["weir"]["forwardAuth"]
        # Nothing that Traefik would refuse, and no header believed that the client wrote.
        self.assertLessEqual(set(forward), {"address", "trustForwardHeader", "authResponseHeaders", "authRequestHeaders", "tls"})
        self.assertIs(forward["trustForwardHeader"], False)
        address = urllib.parse.urlsplit(forward["address"])
        self.assertEqual((address.scheme, address.netloc), ("http", "127.0.0.1:8080"))  # weir's default
        headers = {"X-Forwarded-Method": "POST", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "site.example",
                   "X-Forwarded-Uri": "/login?next=%2F", "X-Forwarded-For": "198.51.100.7"}
        answers = [request(weir.port, path=address.path, headers=headers) for _ in range(4)]
        self.assertEqual([status for status, _, _ in answers], [200, 200, 200, 429])
        # What Traefik copies to the site's request is there.
        for name in forward["authResponseHeaders"]:
            self.assertIn(name.lower(), answers[0][1])
        other = dict(headers, **{"X-Forwarded-For": "198.51.100.8"})
        self.assertEqual(request(weir.port, path=address.path, headers=other)[0], 200)


if __name__ == "__main__":
    unittest.main()
