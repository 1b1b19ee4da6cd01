"""Runs the examples of README and docs/: every ```console block, its commands and their output ('...' stands for anything).

A page asks the daemon on its default addresses, and has its first token as $WEIR_BOOTSTRAP_TOKEN. `weir serve --config FILE` starts it anew with a file of the page; the
site on port 9000 and `envoy -c FILE` go on running, too. All get free ports.
"""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from harness import PATIENCE, ROOT, WEIR, Case, free_port, tool

PAGES = [ROOT / "README.md"] + sorted((ROOT / "docs").rglob("*.md"))

TOKEN = "the-first-token-of-a-page-0123456789"


def blocks(page):
    """(first line's number, language, text) of each fenced block."""
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M)
    return [(page.read_text()[: m.start()].count("\n") + 2, m[1], m[2]) for m in found]


def steps(text):
    """Splits a console block into (command, expected output)."""
    out = []
    for line in text.splitlines():
        if line.startswith("$ "):
            out.append([line[2:], []])
        elif out and out[-1][0].endswith("\\"):
            out[-1][0] = out[-1][0][:-1] + line
        else:
            out[-1][1].append(line)
    return [(command, "\n".join(expected)) for command, expected in out]


class Page:
    """What a reader of one page has running."""

    def __init__(self, case):
        self.case, self.directory = case, case.directory
        self.daemon = case.weir()
        self.others = {}
        shutil.copytree(ROOT / "examples", self.directory / "examples", dirs_exist_ok=True)

    def with_ports(self, text):
        ports = {8080: self.daemon.port, 8081: self.daemon.port_of("grpc"), 8089: self.daemon.port_of("admin"), **self.others}
        for old, new in ports.items():
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
            text = text.replace(f"address: 127.0.0.1, port_value: {old}", f"address: 127.0.0.1, port_value: {new}")
        return text.replace("-p 6380", f"-p {self.daemon.port_of('resp')}")

    def goes_on(self, command):
        """Starts a program that does not end, and says whether this is one."""
        if found := re.fullmatch(r"weir serve --config (\S+)", command):
            path = self.directory / found[1]
            # A minute might end while the page is read.
            path.write_text(path.read_text().replace("window_seconds: 60", "window_seconds: 31536000"))
            self.daemon.stop()
            self.daemon = self.case.weir(path)
        elif found := re.fullmatch(r"(?:(.*) && )?python3 -m http.server 9000 (.*)", command):
            if found[1]:
                self.run(found[1]).check_returncode()
            self.others[9000] = free_port()
            self.case.start(["python3", "-m", "http.server", self.others[9000], *found[2].split()], self.others[9000], cwd=self.directory)
        elif found := re.fullmatch(r"envoy -c (\S+)", command):
            self.others[8000] = free_port()
            path = self.directory / found[1]
            path.write_text(self.with_ports(path.read_text()))
            self.case.start([tool("envoy"), "-c", path, "--disable-hot-restart", "--log-level", "warning"], self.others[8000])
        else:
            return False
        return True

    def run(self, command):
        return subprocess.run(["bash", "-c", self.with_ports(command)], capture_output=True, text=True, timeout=PATIENCE, cwd=self.directory,
                              env={"PATH": f"{pathlib.Path(WEIR).parent}:{ROOT}/build/tools/bin:/usr/bin:/bin", "HOME": str(self.directory), "XDG_STATE_HOME": str(self.directory), "WEIR_BOOTSTRAP_TOKEN": TOKEN})


class Docs(Case):
    def test_console_blocks(self):
        os.environ["WEIR_BOOTSTRAP_TOKEN"] = TOKEN
        self.addCleanup(os.environ.pop, "WEIR_BOOTSTRAP_TOKEN", None)
        count = 0
        for path in PAGES:
            found = blocks(path)
            if not any(language == "console" for _, language, _ in found):
                continue
            page = Page(self)
            for line, language, text in found:
                name = re.match(r"# (\S+\.ya?ml)\n", text)
                if language == "yaml" and name:
                    (self.directory / name[1]).write_text(text)
                if language != "console":
                    continue
                for command, expected in steps(text):
                    count += 1
                    if page.goes_on(command):
                        continue
                    done = page.run(command)
                    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
                    output = done.stdout.replace("\r", "").strip()
                    self.assertRegex(output, re.compile(f"^{pattern}$", re.S), f"{path.name}:{line}: {command}\n{done.stderr}")
            # The next page begins anew.
            page.daemon.stop()
            shutil.rmtree(self.directory / "weir", ignore_errors=True)
        self.assertGreater(count, 5)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M)
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
                if not target.startswith("http"):
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_code_in_docs_is_part_of_an_example(self):
        """tests/install builds and runs the examples."""
        def lines(text):
            return "\n".join(line.strip() for line in text.splitlines()) + "\n"

        examples = [lines(path.read_text()) for path in (ROOT / "examples").rglob("*.cc")]
        count = 0
        for page in PAGES:
            for line, language, text in blocks(page):
                if language == "cpp":
                    count += 1
                    self.assertTrue(any(lines(text) in example for example in examples), f"{page.name}:{line}: in no example")
        self.assertGreater(count, 5)

    def test_configurations_in_docs_are_valid(self):
        for page in PAGES:
            for line, language, text in blocks(page):
                if language == "yaml" and text.startswith("# weir"):
                    path = self.directory / "doc.yaml"
                    path.write_text(text)
                    done = subprocess.run([WEIR, "validate", path], capture_output=True, text=True, timeout=PATIENCE)
                    self.assertEqual(done.returncode, 0, f"{page.name}:{line}\n{done.stdout}")


if __name__ == "__main__":
    unittest.main()
