"""Checks who includes whom: the folders of src/ form layers, and the installed headers include nothing of src/."""
import pathlib
import re
import sys

# folder -> folders it may include besides itself. Longest matching folder wins.
MAY = {
    "base": set(),
    "algorithms": {"base"},
    "storage": {"algorithms", "base"},
    "storage/memory": {"storage", "algorithms", "base"},
    "storage/redis": {"storage", "io", "algorithms", "net", "base"},
    "storage/postgres": {"storage", "io", "io/postgres", "algorithms", "base"},
    "storage/hybrid": {"storage", "algorithms", "base"},
    "io": {"net", "base"},
    "io/https": {"io", "net", "base"},
    "io/postgres": {"io", "base"},
    "http": {"net", "base"},
    "headers": {"http", "base"},
    "config": {"algorithms", "base"},
    "config/source/sqlite": {"config", "base"},
    "engine": {"config", "storage", "headers", "algorithms", "base"},
    "analytics": {"engine", "config", "storage", "algorithms", "base"},
    "library": {"analytics", "engine", "config", "storage", "storage/memory", "storage/redis", "storage/postgres", "storage/hybrid",
                "algorithms", "base"},
    "net": {"base"},
    "frontends/http": {"net", "http", "headers", "engine", "config", "storage", "algorithms", "base"},
    "frontends/resp": {"net", "headers", "engine", "config", "storage", "algorithms", "base"},
    "frontends/rls": {"net", "headers", "engine", "config", "storage", "algorithms", "base"},
    "management/auth": {"io/https", "net", "http", "config", "algorithms", "base"},
    "management/audit": {"management/auth", "http", "base"},
    "management/backup": {"management/audit", "management/auth", "base"},
    "management/keys": {"management/auth", "config", "algorithms", "base"},
    "management/rest": {"management/auth", "management/audit", "management/keys", "analytics", "net", "http", "config", "engine",
                        "storage", "algorithms", "base"},
    "server/data_plane": {"frontends/http", "frontends/resp", "frontends/rls", "net", "engine", "config", "storage", "algorithms", "base"},
    "server/management_plane": {"server/data_plane", "server/jobs", "management/auth", "management/audit", "management/keys",
                                "management/rest", "library", "analytics", "frontends/http", "frontends/rls", "net", "http", "engine",
                                "config", "config/source/sqlite", "storage", "storage/memory", "algorithms", "base"},
    "server/jobs": {"base"},
    "server/daemon": {"server/data_plane", "server/management_plane", "server/jobs", "library", "analytics", "frontends/http",
                      "frontends/resp", "frontends/rls", "net", "engine", "config", "storage", "storage/memory", "storage/redis",
                      "algorithms", "base"},
    "cli": {"io/https", "server/daemon", "management/audit", "management/backup", "library", "engine", "config", "algorithms", "base", "storage"},
}
# Tests may also use these: they build what they test from real parts.
TESTS_MAY = {"storage/memory", "storage/redis", "storage/postgres", "config/source/sqlite", "library", "base", "tests/conformance"}
# Libraries that stay inside one folder.
ONLY_IN = {
    r"<boost/asio|<boost/beast": {"io", "io/postgres", "storage/redis", "storage/postgres"},
    r"<hiredis": {"storage/redis"},
    r"<libpq": {"io/postgres"},
    r"<yaml-cpp": {"config"},
    r"<valijson": {"config"},
    r"<lua|<lauxlib": {"engine"},
    r"<prometheus": {"server/management_plane"},
    r"<CLI": {"cli"},
    r"<spdlog": {"base"},
    r"<systemd": {"server/daemon"},
    r"<nghttp2": {"frontends/rls"},
    r"<protozero": {"frontends/rls"},
    r"<sodium": {"management/auth", "management/audit"},
    r"<sqlite3": {"config/source/sqlite", "management/auth", "management/backup"},
    r"<zlib": {"frontends/rls", "cli"},
    r"<curl": {"io/https"},
}
IS_TEST = re.compile(r"(_(test|redistest|pgtest|fuzz|benchmark)\.cc|/(test|fake|fault)[^/]*|/[^/]*_(fixture|process)\.h)$")


def folder_of(path, folders):
    best = None
    for folder in folders:
        if path == folder or path.startswith(folder + "/"):
            if best is None or len(folder) > len(best):
                best = folder
    return best


def main(root):
    root = pathlib.Path(root)
    faults, files = [], 0
    for path in sorted(list((root / "src").rglob("*.h")) + list((root / "src").rglob("*.cc"))):
        name = path.relative_to(root / "src").as_posix()
        here = folder_of(name, MAY)
        if here is None:
            faults.append(f"src/{name}: its folder is not in the table of layers")
            continue
        files += 1
        allowed = MAY[here] | {here, "weir"}
        if IS_TEST.search(name):
            allowed |= TESTS_MAY
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.startswith("#include"):
                continue
            for pattern, owners in ONLY_IN.items():
                if re.search(pattern, line) and here not in owners and not IS_TEST.search(name):
                    faults.append(f"src/{name}:{number}: {line.strip()} belongs to {', '.join(sorted(owners))} only")
            quoted = re.match(r'#include "([^"]+)"', line)
            if not quoted:
                continue
            target = folder_of(quoted[1], list(MAY) + ["weir", "tests/conformance"])
            if target is None:
                faults.append(f"src/{name}:{number}: includes {quoted[1]}, which is in no known folder")
            elif target not in allowed:
                faults.append(f"src/{name}:{number}: {here} may not include {target} ({quoted[1]})")
    for path in sorted((root / "include").rglob("*.h")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            quoted = re.match(r'#include "([^"]+)"', line)
            if quoted and not quoted[1].startswith("weir/"):
                faults.append(f"{path.relative_to(root)}:{number}: an installed header includes {quoted[1]}")
            if re.match(r"#include <(?!\w+>)", line):
                faults.append(f"{path.relative_to(root)}:{number}: an installed header needs a library: {line.strip()}")
    print("\n".join(faults) if faults else f"{files} files keep to their layers")
    return 1 if faults or files == 0 else 0


sys.exit(main(sys.argv[1]))
