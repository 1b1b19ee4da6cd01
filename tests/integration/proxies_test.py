"""nginx, HAProxy and Caddy in front of a small site, each asking weir about every request, from examples/."""
import json
import unittest
import urllib.parse

import yaml

from harness import Case, free_port, request, require


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

    def test_nginx(self):
        site, port = self.site(), free_port()
        weir = self.weir(self.example("nginx", {})/ "weir.yaml")
        config = self.directory / "nginx" / "nginx.conf"
        text = config.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{weir.port}")
        text = text.replace("127.0.0.1:9000", f"127.0.0.1:{site.port}").replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        paths = "".join(f"{name}_temp_path {self.directory}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = text.replace("http {", "http {\naccess_log off;\n" + paths, 1)
        config.write_text(f"pid {self.directory}/nginx.pid;\nerror_log {self.directory}/error.log;\ndaemon off;\n" + text)
        self.start([require("nginx"), "-p", self.directory, "-c", config], port)
        self.behave(port, site)
        # weir is gone: the example lets requests pass.
        weir.stop()
        self.assertEqual(request(port, path="/page")[0], 200)

    def test_haproxy(self):
        site, port = self.site(), free_port()
        weir = self.weir(self.example("haproxy", {}) / "weir.yaml")
        folder = self.directory / "haproxy"
        for name in ("haproxy.cfg", "weir.lua"):
            path = folder / name
            text = path.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{weir.port}")
            path.write_text(text.replace("127.0.0.1:9000", f"127.0.0.1:{site.port}").replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        self.start([require("haproxy"), "-db", "-f", "haproxy.cfg"], port, cwd=folder)
        self.behave(port, site)

    def test_caddy(self):
        site, port = self.site(), free_port()
        weir = self.weir(self.example("caddy", {}) / "weir.yaml")
        path = self.directory / "caddy" / "Caddyfile"
        text = path.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{weir.port}")
        path.write_text(text.replace("127.0.0.1:9000", f"127.0.0.1:{site.port}").replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        self.start([require("caddy"), "run", "--config", path, "--adapter", "caddyfile"], port, cwd=self.directory,
                   env={"HOME": str(self.directory), "PATH": "/usr/bin:/bin"})
        self.behave(port, site)

    def test_traefik_contract(self):
        """Traefik is not in Debian: what its ForwardAuth sends is sent here, as its documentation lists it, to where the
        example has it sent."""
        example = self.example("traefik", {})
        weir = self.weir(example / "weir.yaml")
        http = yaml.safe_load((example / "traefik.yaml").read_text())["http"]
        self.assertEqual(list(http["middlewares"]), ["weir"])
        self.assertEqual([(router["middlewares"], router["service"]) for router in http["routers"].values()], [(["weir"], "site")])
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
