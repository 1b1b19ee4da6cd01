"""What the benchmarks share: servers on one core, load from the other, the kernel's books, medians of rounds in turn."""
import contextlib
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("WEIR_BENCH_BUILD", ROOT / "build" / "bench"))
QUICK = os.environ.get("WEIR_BENCH_QUICK") == "1"
ROUNDS = 3 if QUICK else 5
SECONDS = 1 if QUICK else 4
TICK = os.sysconf("SC_CLK_TCK")


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def need(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not found:
        sys.exit(f"{program} is missing: scripts/deps bench")
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pids):
    """User and system time of processes, from the kernel's books."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICK


def children(pid):
    text = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout
    return [pid] + [int(word) for word in text.split()]


class Peer:
    """A server pinned to the first core; load comes from the second."""

    def __init__(self, name, command, port, cwd=None, env=None):
        self.name, self.port = name, port
        pin = ["taskset", "-c", "0"] if os.cpu_count() > 1 else []
        self.process = subprocess.Popen(pin + [str(c) for c in command], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        sys.exit(f"{name} does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def loaded(command, pids):
    """Runs a load generator on the second core: its output, and the CPU the server took meanwhile."""
    pin = ["taskset", "-c", "1"] if os.cpu_count() > 1 else []
    before = cpu_seconds(pids)
    out = subprocess.run(pin + [str(c) for c in command], capture_output=True, text=True, check=True).stdout
    return out, cpu_seconds(pids) - before


def median_of(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def in_turns(contestants):
    """{name: function} -> {name: medians}, the contestants taking turns."""
    rows = {name: [] for name in contestants}
    for turn in range(ROUNDS):
        for name, run in contestants.items():
            say(f"  round {turn + 1}/{ROUNDS}: {name}")
            rows[name].append(run())
    return {name: median_of(found) for name, found in rows.items()}


def table(results, base):
    lines = ["| server | requests/s | CPU a request | p50 | p99 | p99.9 | CPU against weir |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in results.items():
        ratio = row["cpu_us"] / results[base]["cpu_us"]
        lines.append(f"| {name} | {row['rate']:,.0f} | {row['cpu_us']:.2f} us | {row['p50']:.0f} us | {row['p99']:.0f} us | {row['p999']:.0f} us | {ratio:.1f}x |")
    return "\n".join(lines)


@contextlib.contextmanager
def peers():
    started = []

    def start(name, command, port, cwd=None, env=None):
        peer = Peer(name, command, port, cwd, env)
        started.append(peer)
        return peer

    try:
        yield start
    finally:
        for peer in started:
            peer.stop()


def version_of(*command):
    done = subprocess.run([need(command[0]), *command[1:]], capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().split("\n")[0]
