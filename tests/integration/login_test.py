"""Who may administer, known elsewhere: an OpenID provider, an issuer of tokens, client certificates. The provider is a
small one of this test's own, which signs with the openssl command."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse

from harness import PATIENCE, Case, Weir, require, wait_until

TOKEN = "an-admin-token-for-this-test-0123456789"
CONFIG = "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens with RS256, publishes its key, and answers as an OpenID provider."""

    def __init__(self, directory):
        openssl = require("openssl")
        self.key = directory / f"issuer-{id(self)}.pem"
        subprocess.run([openssl, "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        modulus = subprocess.run([openssl, "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        self.modulus = bytes.fromhex(modulus.stdout.strip().split("=")[1])
        self.claims = {}    # of people who log in
        self.codes = {}     # code -> what was asked with it
        self.asked = []     # paths
        self.down = False
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                self.answer(503 if issuer.down else 200, issuer.document(self.path))

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                issuer.asked.append(self.path)
                self.answer(*issuer.exchange({name: values[0] for name, values in form.items()}, self.headers))

            def answer(self, status, body):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def document(self, path):
        if path == "/keys":
            return {"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "n": base64url(self.modulus), "e": "AQAB"}]}
        return {"issuer": self.url, "authorization_endpoint": self.url + "/authorize", "token_endpoint": self.url + "/token",
                "jwks_uri": self.url + "/keys"}

    def sign(self, claims, kind="JWT"):
        header = {"alg": "RS256", "kid": "k1", "typ": kind}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run([require("openssl"), "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True,
                                   capture_output=True).stdout
        return text + "." + base64url(signature)

    def authorize(self, location):
        """What the provider's page does once somebody has logged in there: back, with a code."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
        code = base64url(os.urandom(12))
        self.codes[code] = asked
        return urllib.parse.urlsplit(asked["redirect_uri"]).path + "?" + urllib.parse.urlencode({"code": code, "state": asked["state"]})

    def exchange(self, form, headers):
        asked = self.codes.pop(form.get("code"), None)
        secret = base64.b64encode(b"weir:s3cret").decode()
        proof = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or headers.get("Authorization") != "Basic " + secret or proof != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": "weir", "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.claims}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}


class Login(Case):
    def setUp(self):
        super().setUp()
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)
        self.issuer = Issuer(self.directory)
        self.addCleanup(self.issuer.close)

    def serve(self, admin_auth, more=""):
        self.path = self.directory / "weir.yaml"
        self.path.write_text(CONFIG + "server: {" + more + "admin_auth: " + json.dumps(admin_auth) + "}\n")
        weir = Weir(self.directory, self.path, ("--state-dir", str(self.directory / "state")))
        self.addCleanup(weir.stop)
        return weir

    def ask(self, weir, method, path, body=None, headers=None, context=None):
        port = weir.port_of("admin")
        connection = (http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context) if context else
                      http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        return answer, json.loads(text) if "json" in (answer.headers["Content-Type"] or "") and text else text

    def oidc(self, **claims):
        claims = {"roles_claim": "groups", "roles": {"weir-editors": ["editor"], "weir-admins": ["admin"]}, **claims}
        return {"oidc": {"issuer": self.issuer.url, "client_id": "weir", "client_secret": "s3cret", "public_url": "http://127.0.0.1",
                         "claims": claims}}

    def log_in(self, weir, **headers):
        """A browser that goes there and back; the answer of the callback."""
        answer, _ = self.ask(weir, "GET", "/admin/v1/oidc/login?return_to=/ui/limits")
        self.assertEqual(answer.status, 302)
        cookie = answer.headers["Set-Cookie"].split(";")[0]
        back = self.issuer.authorize(answer.headers["Location"])
        self.back = (back + "&authuser=0&prompt=consent", {"Cookie": cookie, "Sec-Fetch-Site": "cross-site", **headers})
        return self.ask(weir, "GET", self.back[0], headers=self.back[1])

    def test_a_person_logs_in_changes_something_and_is_logged_out_by_the_provider(self):
        self.issuer.claims = {"sub": "u1", "sid": "s1", "email": "ann@example.org", "email_verified": True, "groups": ["weir-editors", "x"]}
        weir = self.serve(self.oidc())
        answer, page = self.log_in(weir)
        self.assertEqual(answer.status, 200, page)
        self.assertIn("/ui/limits", page)
        self.assertEqual(self.ask(weir, "GET", self.back[0], headers=self.back[1])[0].status, 400)  # once is enough
        cookies = answer.headers.get_all("Set-Cookie")
        session = next(one for one in cookies if one.startswith("__Host-weir-session="))
        for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(part, session)
        self.assertTrue(any(one.startswith("__Host-weir-login=;") and "Max-Age=0" in one for one in cookies))
        cookie = {"Cookie": session.split(";")[0]}
        answer, who = self.ask(weir, "GET", "/admin/v1/session", headers=cookie)
        self.assertEqual((who["name"], who["kind"], who["method"], who["roles"]),
                         ("ann@example.org", "person", "oidc", [{"role": "editor"}]))
        change = dict(method="PUT", path="/admin/v1/users/bob", body=json.dumps({"rule": {"max_requests": 7, "window_seconds": 60}}))
        kind = {"Content-Type": "application/json"}
        answer, problem = self.ask(weir, **change, headers={**cookie, **kind})
        self.assertEqual((answer.status, problem["code"]), (403, "csrf"))
        answer, _ = self.ask(weir, **change, headers={**cookie, **kind, "X-CSRF-Token": who["csrf"]})
        self.assertEqual(answer.status, 201)
        answer, problem = self.ask(weir, "GET", "/admin/v1/tokens", headers=cookie)
        self.assertEqual(answer.status, 403)
        # An id token is no logout token, and one of another person ends nothing.
        now = int(time.time())
        notice = {"iss": self.issuer.url, "aud": "weir", "iat": now, "exp": now + 60, "jti": "1", "events": {LOGOUT: {}}}
        for claims, status, alive in (({**notice, "sub": "u2"}, 200, 200), ({**notice, "sub": "u1", "nonce": "n"}, 400, 200),
                                      ({**notice, "sub": "u1", "sid": "s1"}, 200, 401)):
            form = urllib.parse.urlencode({"logout_token": self.issuer.sign(claims, "logout+jwt")})
            answer, text = self.ask(weir, "POST", "/admin/v1/oidc/logout", form, {"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(answer.status, status, text)
            self.assertEqual(self.ask(weir, "GET", "/admin/v1/session", headers=cookie)[0].status, alive)
        # Who is not known there any more is not known here.
        answer, page = self.log_in(weir)
        cookie = {"Cookie": next(one for one in answer.headers.get_all("Set-Cookie") if "weir-session" in one).split(";")[0]}
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/session", headers=cookie)[0].status, 200)
        self.path.write_text(CONFIG)
        weir.signal(signal.SIGHUP)
        wait_until(lambda: self.ask(weir, "GET", "/admin/v1/session", headers=cookie)[0].status == 401, "the session's end")
        _, records = self.ask(weir, "GET", "/admin/v1/audit", headers={"Authorization": "Bearer " + TOKEN})
        changes = [one for one in records["items"] if one["object"].get("id") == "bob" and one["outcome"] == "success"]
        self.assertEqual([(one["actor"]["name"], one["actor"]["method"]) for one in changes], [("ann@example.org", "oidc")])

    def test_who_did_not_begin_here_or_has_no_role_gets_no_session(self):
        self.issuer.claims = {"sub": "u1", "email": "eve@example.org", "email_verified": True, "groups": ["others"]}
        weir = self.serve(self.oidc())
        answer, problem = self.log_in(weir)
        self.assertEqual((answer.status, problem["code"]), (403, "no_role"))
        self.issuer.claims["groups"] = ["weir-admins"]
        self.issuer.claims["email_verified"] = False
        answer, problem = self.log_in(weir)
        self.assertEqual((answer.status, problem["code"]), (400, "login_failed"))
        self.issuer.claims["email_verified"] = True
        # The attacker's code and state in the victim's browser.
        answer, _ = self.ask(weir, "GET", "/admin/v1/oidc/login")
        back = self.issuer.authorize(answer.headers["Location"])
        for cookie in ({}, {"Cookie": "__Host-weir-login=AAAA"}):
            answer, problem = self.ask(weir, "GET", back, headers={"Sec-Fetch-Site": "cross-site", **cookie})
            self.assertEqual(answer.status, 400)
            self.assertNotIn("__Host-weir-session", str(answer.headers))
        # Nor can a page have its visitors' address slowed down.
        for _ in range(25):
            self.ask(weir, "GET", "/admin/v1/oidc/callback?state=x", headers={"Sec-Fetch-Site": "cross-site"})
        # Only there may another site send a browser.
        for path in ("/admin/v1/session", "/admin/v1/oidc/login"):
            self.assertEqual(self.ask(weir, "GET", path, headers={"Sec-Fetch-Site": "cross-site"})[0].status, 403)
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/oidc/login?return_to=//evil.example")[0].status, 400)
        answer, page = self.log_in(weir)
        self.assertEqual(answer.status, 200, page)
        _, records = self.ask(weir, "GET", "/admin/v1/audit", headers={"Authorization": "Bearer " + TOKEN})
        logins = [(one["outcome"], one["status"]) for one in records["items"] if one["action"] == "create:sessions"]
        self.assertEqual(sorted(logins), [("denied", 403), ("success", 200)])

    def test_without_a_provider_and_while_it_is_down(self):
        weir = self.serve({})
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/oidc/login")[0].status, 404)
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/session")[0].status, 401)
        self.issuer.down = True
        self.path.write_text(CONFIG + "server: {admin_auth: " + json.dumps(self.oidc()) + "}\n")
        weir.signal(signal.SIGHUP)
        wait_until(lambda: self.ask(weir, "GET", "/admin/v1/oidc/login")[0].status == 503, "the new settings in force")
        answer, problem = self.ask(weir, "GET", "/admin/v1/oidc/login")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "10"))
        # Asked once, not by each who wants to log in.
        self.assertEqual(self.issuer.asked.count("/.well-known/openid-configuration"), 1)

    def token(self, **claims):
        now = int(time.time())
        return self.issuer.sign({"iss": self.issuer.url, "aud": "weir-api", "sub": "deployer", "iat": now, "exp": now + 300,
                                 "jti": "t1", "roles": ["ops"], **claims})

    def test_tokens_of_an_issuer(self):
        auth = {"tokens": [{"issuer": self.issuer.url, "jwks_url": self.issuer.url + "/keys", "audiences": ["weir-api"],
                            "claims": {"roles_claim": "roles", "roles": {"ops": ["operator", "editor@acme"]}}}]}
        weir = self.serve(auth)

        def who(token):
            return self.ask(weir, "GET", "/admin/v1/session", headers={"Authorization": "Bearer " + token})

        # The keys are fetched when they are first asked for, and nobody waits for them.
        wait_until(lambda: who(self.token())[0].status == 200, "the issuer's keys")
        _, principal = who(self.token())
        self.assertEqual((principal["name"], principal["method"]), ("deployer", "jwt"))
        self.assertEqual(principal["roles"], [{"role": "operator"}, {"role": "editor", "tenant": "acme"}])
        now = int(time.time())
        for wrong in ({"aud": "other"}, {"iss": "https://evil.example"}, {"exp": now - 100}, {"nbf": now + 600}):
            self.assertEqual(who(self.token(**wrong))[0].status, 401, wrong)
        parts = self.token().split(".")
        for forged in (".".join([base64url(b'{"alg":"none"}'), parts[1], ""]), ".".join([parts[0], parts[1], parts[2][:-8] + "AAAAAAAA"])):
            self.assertEqual(who(forged)[0].status, 401)
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/users", headers={"Authorization": "Bearer " + self.token(roles=[])})[0].status, 403)
        # A file that is refused brings nobody in, and drops nobody.
        other = Issuer(self.directory)
        self.addCleanup(other.close)
        auth["tokens"][0].update(issuer=other.url, jwks_url=other.url + "/keys")
        self.path.write_text(CONFIG + "server: {policy: file, admin_auth: " + json.dumps(auth) + "}\njwt: {rs256_public_key_pem: no key}\n")
        weir.signal(signal.SIGHUP)
        wait_until(lambda: "refused, the old one stays in force" in weir.logs(), "the refusal")
        self.assertEqual(who(self.token())[0].status, 200)
        self.assertEqual(who(other.sign({"iss": other.url, "aud": "weir-api", "sub": "eve", "iat": now, "exp": now + 300}))[0].status, 401)
        self.assertEqual(other.asked, [])
        # What the file does not say any more holds no more, at once.
        self.path.write_text(CONFIG)
        weir.signal(signal.SIGHUP)
        wait_until(lambda: who(self.token())[0].status == 401, "the new settings in force")

    def test_client_certificates(self):
        openssl = require("openssl")
        folder = self.directory

        def certificate(name, extension, signer=None):
            files = {kind: str(folder / f"{name}.{kind}") for kind in ("key", "csr", "crt", "ext")}
            with open(files["ext"], "w") as out:
                out.write(extension)
            subject = ["-subj", f"/CN={name}"]
            subprocess.run([openssl, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", files["key"],
                            "-out", files["csr"], *subject], check=True, capture_output=True)
            by = ["-signkey", files["key"]] if signer is None else ["-CA", signer["crt"], "-CAkey", signer["key"], "-CAcreateserial"]
            subprocess.run([openssl, "x509", "-req", "-in", files["csr"], "-out", files["crt"], "-days", "2", "-extfile", files["ext"], *by],
                           check=True, capture_output=True)
            return files

        authority = certificate("authority", "basicConstraints=critical,CA:TRUE\n")
        server = certificate("server", "subjectAltName=IP:127.0.0.1\n", authority)
        deploy = certificate("deploy", "subjectAltName=URI:spiffe://example.org/ops/deploy\n", authority)
        other = certificate("other", "subjectAltName=URI:spiffe://example.org/web/shop\n", authority)
        tls = {"certificate_file": server["crt"], "key_file": server["key"], "client_ca_file": authority["crt"]}
        auth = {"certificates": [{"match": "uri:spiffe://example.org/ops/*", "roles": ["viewer"], "tenant": "acme"}]}
        weir = self.serve(auth, f"admin: {{address: '127.0.0.1:0', tls: {json.dumps(tls)}}}, ")

        def context(files):
            made = ssl.create_default_context(cafile=authority["crt"])
            if files:
                made.load_cert_chain(files["crt"], files["key"])
            return made

        answer, who = self.ask(weir, "GET", "/admin/v1/session", context=context(deploy))
        self.assertEqual((answer.status, who["name"], who["method"], who["tenant"]), (200, "spiffe://example.org/ops/deploy", "mtls", "acme"))
        self.assertEqual(self.ask(weir, "PUT", "/admin/v1/users/x", "{}", {"Content-Type": "application/json"}, context(deploy))[0].status, 403)
        self.assertEqual(self.ask(weir, "GET", "/admin/v1/session", context=context(other))[0].status, 401)
        # A token goes before the certificate.
        answer, who = self.ask(weir, "GET", "/admin/v1/session", headers={"Authorization": "Bearer " + TOKEN}, context=context(other))
        self.assertEqual((answer.status, who["method"]), (200, "token"))
        with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            self.ask(weir, "GET", "/admin/v1/session", context=context(None))

    def test_a_file_for_the_host_and_the_policy_in_the_state_directory(self):
        self.path = self.directory / "weir.yaml"
        host = CONFIG + "server: {policy: state, request_id_header: X-One}\njwt: {hs256_secret: a-secret-for-tests}\n"
        self.path.write_text(host)
        weir = Weir(self.directory, self.path, ("--state-dir", str(self.directory / "state")))
        self.addCleanup(weir.stop)
        admin = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
        tier = json.dumps({"max_requests": 5, "window_seconds": 3600, "algorithm": "token_bucket", "identifier": "user_id"})
        answer, text = self.ask(weir, "PUT", "/admin/v1/tiers/gold", tier, admin)
        self.assertEqual(answer.status, 201, text)
        _, config = self.ask(weir, "GET", "/admin/v1/config", headers=admin)
        self.assertEqual(config["server"]["request_id_header"], "X-One")
        self.assertEqual(config["global"]["free_tier"]["max_requests"], 2)
        # What the file says of the policy was for an empty directory; what it says of the host goes on to hold.
        self.path.write_text(host.replace("a-secret-for-tests", "").replace("hs256_secret: ", "rs256_public_key_pem: no key"))
        weir.signal(signal.SIGHUP)
        wait_until(lambda: "refused, the old one stays in force" in weir.logs(), "the refusal")
        self.path.write_text(host.replace("max_requests: 2", "max_requests: 9").replace("X-One", "X-Two"))
        weir.signal(signal.SIGHUP)

        def header():
            return self.ask(weir, "GET", "/admin/v1/config", headers=admin)[1]["server"]["request_id_header"]

        wait_until(lambda: header() == "X-Two", "the new settings in force")
        _, config = self.ask(weir, "GET", "/admin/v1/config", headers=admin)
        self.assertEqual(config["global"]["free_tier"]["max_requests"], 2)
        self.assertEqual(config["global"]["tiers"]["gold"]["max_requests"], 5)
        answer, problem = self.ask(weir, "PUT", "/admin/v1/config", json.dumps({**config, "server": {"log_level": "debug"}}), admin)
        self.assertEqual((answer.status, problem["code"]), (403, "host_settings"))
        weir.stop()
        self.assertNotIn(b"a-secret-for-tests", (self.directory / "state" / "config.db").read_bytes())
        weir = Weir(self.directory, self.path, ("--state-dir", str(self.directory / "state")))
        self.addCleanup(weir.stop)
        _, config = self.ask(weir, "GET", "/admin/v1/config", headers=admin)
        self.assertEqual((config["global"]["free_tier"]["max_requests"], config["global"]["tiers"]["gold"]["max_requests"], header()),
                         (2, 5, "X-Two"))


if __name__ == "__main__":
    unittest.main()
