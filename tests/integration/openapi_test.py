"""The management API against its own OpenAPI document, by programs that we did not write: redocly and schemathesis."""
import json
import os
import subprocess
import unittest

from harness import PATIENCE, ROOT, Case, Weir, request, tool

TOKEN = "an-admin-token-for-this-test-0123456789"
SECONDS = os.environ.get("OPENAPI_SECONDS", "20")
# Said of what a schema cannot say: references between records, times to come, passwords that are good enough.
NOT_IN_A_SCHEMA = "positive_data_acceptance"
# 429 after a few wrong tokens, which is as it should be; every route is tried without any by the second test.
GUARDED = "ignored_auth"


def without_lists_of_types(schema):
    """schemathesis 4.32 stumbles over `"type": [a, b]`, which means the same as this."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), list):
            types = schema.pop("type")
            schema.setdefault("allOf", []).append({"anyOf": [{"type": one} for one in types]})
        for value in schema.values():
            without_lists_of_types(value)
    elif isinstance(schema, list):
        for value in schema:
            without_lists_of_types(value)


class OpenApi(Case):
    def setUp(self):
        super().setUp()
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)
        self.weir = Weir(self.directory, None, ("--state-dir", str(self.directory / "state")))
        self.addCleanup(self.weir.stop)
        self.admin = self.weir.port_of("admin")
        status, _, self.text = request(self.admin, "GET", "/admin/v1/openapi.json", {"Authorization": "Bearer " + TOKEN})
        self.assertEqual(status, 200)
        self.document = self.directory / "openapi.json"
        self.document.write_text(self.text)

    def schemathesis(self, *arguments):
        document = json.loads(self.text)
        without_lists_of_types(document)
        path = self.directory / "for-schemathesis.json"
        path.write_text(json.dumps(document))
        done = subprocess.run([tool("schemathesis"), "run", path, "--url", f"http://127.0.0.1:{self.admin}", "--max-time", SECONDS,
                               "--continue-on-failure", "--exclude-path-regex", "/stream$", "--seed", "1", *arguments],
                              capture_output=True, text=True, cwd=self.directory, timeout=PATIENCE * 5)
        self.assertEqual(done.returncode, 0, done.stdout[-40000:] + done.stderr[-2000:])

    def test_lint(self):
        redocly = ROOT / "build/tools/node/node_modules/.bin/redocly"
        # Schemas of the document say `not: {required: ...}` of what is defined beside them. Where a browser is sent on,
        # there is no answer but that.
        done = subprocess.run([redocly, "lint", "--max-problems", "50", "--skip-rule", "no-required-schema-properties-undefined",
                               "--skip-rule", "operation-2xx-response", self.document], capture_output=True, text=True, cwd=self.directory, timeout=PATIENCE,
                              env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
                                   "PATH": f"{ROOT}/build/tools/bin:{os.environ['PATH']}"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("You have", done.stdout + done.stderr)  # so many warnings
        sent_on = [path for path, operations in json.loads(self.text)["paths"].items() for operation in operations.values()
                   if not any(status.startswith("2") for status in operation["responses"])]
        self.assertEqual(sent_on, ["/admin/v1/oidc/login"])

    def test_an_administrator(self):
        self.schemathesis("--header", f"Authorization: Bearer {TOKEN}", "--phases", "coverage,fuzzing", "--exclude-checks",
                          f"{NOT_IN_A_SCHEMA},{GUARDED}")

    def test_nobody(self):
        # Wrong tokens are slowed down (429), so that only this can be asked of the answers.
        # Nothing but the document and the login is answered to a client that brings nothing.
        self.schemathesis("--phases", "coverage", "--checks", "not_a_server_error,content_type_conformance")
        for path, operations in json.loads(self.text)["paths"].items():
            for method, operation in operations.items():
                if operation.get("security") == []:
                    continue
                with self.subTest(path=path, method=method):
                    status = request(self.admin, method.upper(), path.replace("{", "").replace("}", ""))[0]
                    self.assertEqual(status, 401)


if __name__ == "__main__":
    unittest.main()
