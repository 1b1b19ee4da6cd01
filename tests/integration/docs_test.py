"""Runs the examples of README and docs/: every ```console block, its commands and their output ('...' stands for anything)."""
import pathlib
import re
import subprocess
import unittest

from harness import PATIENCE, ROOT, WEIR, Case

PAGES = [ROOT / "README.md"] + sorted((ROOT / "docs").rglob("*.md"))


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


class Docs(Case):
    def test_console_blocks(self):
        count = 0
        for page in PAGES:
            found = blocks(page)
            if not any(language == "console" for _, language, _ in found):
                continue
            daemon = self.weir()
            for line, language, text in found:
                name = re.match(r"# (\S+\.ya?ml)\n", text)
                if language == "yaml" and name:
                    (self.directory / name[1]).write_text(text)
                if language != "console":
                    continue
                for command, expected in steps(text):
                    count += 1
                    command = command.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}").replace("-p 6380", f"-p {daemon.port_of('resp')}")
                    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE, cwd=self.directory,
                                          env={"PATH": f"{pathlib.Path(WEIR).parent}:/usr/bin:/bin", "HOME": str(self.directory)})
                    pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
                    self.assertRegex(done.stdout.strip(), re.compile(f"^{pattern}$", re.S),
                                     f"{page.name}:{line}: {command}\n{done.stderr}")
        self.assertGreater(count, 5)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
                if not target.startswith("http"):
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

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
