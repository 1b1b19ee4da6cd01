"""Checks that no test or fuzz file lies in the tree without being compiled."""
import json
import pathlib
import sys

root, database = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
built = {pathlib.Path(entry["file"]).resolve() for entry in json.loads(database.read_text())}
found = [p for pattern in ("*_test.cc", "*_redistest.cc", "*_pgtest.cc", "*_fuzz.cc") for top in ("src", "tests", "fuzz")
         for p in (root / top).rglob(pattern)]
missing = sorted(str(p.relative_to(root)) for p in found if p.resolve() not in built)
for name in missing:
    print(f"{name} is not built by any target")
print(f"{len(found)} test files, {len(missing)} not built")
sys.exit(1 if missing or not found else 0)
