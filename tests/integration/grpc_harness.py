"""What the gRPC tests share: stubs made from proto/, and a weir with its gRPC port. Runs in build/tools/venv."""
import atexit
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import PATIENCE, ROOT, Case, tool  # noqa: F401

TOOLS = ROOT / "build" / "tools"
try:
    import grpc
    import grpc_tools
except ImportError as error:
    raise AssertionError(f"{error}: run scripts/tools test") from None

PROTO = ROOT / "proto"
# A window that no test outlives: windows are aligned to the epoch, and a shorter one might end within a test.
YEAR = 365 * 86400


def _compile():
    """Makes Python of proto/, but for the packages under `grpc`, which is the name of the library itself."""
    out = pathlib.Path(tempfile.mkdtemp(prefix="weir-stubs-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    files = [str(p.relative_to(PROTO)) for p in sorted(PROTO.rglob("*.proto")) if p.relative_to(PROTO).parts[0] != "grpc"]
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}",
                    f"--grpc_python_out={out}", *files], check=True)
    for package in ("envoy", "kuadrant"):  # the venv has an `envoy` of its own
        (out / package / "__init__.py").touch()
    sys.path.insert(0, str(out))


_compile()


def _load(name):
    return importlib.import_module(name)


rls = _load("envoy.service.ratelimit.v3.rls_pb2")
rls_grpc = _load("envoy.service.ratelimit.v3.rls_pb2_grpc")
common = _load("envoy.extensions.common.ratelimit.v3.ratelimit_pb2")
units = _load("envoy.type.v3.ratelimit_unit_pb2")
rlqs = _load("envoy.service.rate_limit_quota.v3.rlqs_pb2")
rlqs_grpc = _load("envoy.service.rate_limit_quota.v3.rlqs_pb2_grpc")
kuadrant = _load("kuadrant.service.ratelimit.v1.ratelimit_pb2")
kuadrant_grpc = _load("kuadrant.service.ratelimit.v1.ratelimit_pb2_grpc")
wrappers = _load("google.protobuf.wrappers_pb2")
durations = _load("google.protobuf.duration_pb2")

OK = rls.RateLimitResponse.OK
OVER_LIMIT = rls.RateLimitResponse.OVER_LIMIT
Unit = rls.RateLimitResponse.RateLimit

# Tiers that limit nothing, so that only the domain decides.
UNLIMITED = "global: {free_tier: unlimited, pro_tier: unlimited, enterprise_tier: unlimited}\n"


def descriptor(*entries, hits=None, negative=False, limit=None):
    """descriptor(("key", "value"), ..., limit=(requests, unit[, multiplier]))"""
    made = common.RateLimitDescriptor(is_negative_hits=negative)
    for key, value in entries:
        made.entries.add(key=key, value=value)
    if hits is not None:
        made.hits_addend.CopyFrom(wrappers.UInt64Value(value=hits))
    if limit is not None:
        made.limit.requests_per_unit, made.limit.unit = limit[0], limit[1]
        if len(limit) > 2:
            made.limit.unit_multiplier.CopyFrom(wrappers.UInt32Value(value=limit[2]))
    return made


def question(domain, *descriptors, hits=0):
    return rls.RateLimitRequest(domain=domain, descriptors=descriptors, hits_addend=hits)


class GrpcCase(Case):
    def grpc_weir(self, config="", arguments=(), extra=""):
        """A weir with a gRPC port, of `config` (the document's text)."""
        path = self.directory / "weir.yaml"
        path.write_text(UNLIMITED + config + extra)
        return self.weir(path, ["--grpc", "127.0.0.1:0", *arguments])

    def channel(self, weir, options=(), target=None, **keywords):
        channel = grpc.insecure_channel(target or f"127.0.0.1:{weir.port_of('grpc')}", options=options, **keywords)
        self.addCleanup(channel.close)
        return channel

    def rls(self, weir, **keywords):
        """ShouldRateLimit as a function of (domain, descriptors..., hits=)."""
        stub = rls_grpc.RateLimitServiceStub(self.channel(weir, **keywords))
        return lambda domain, *descriptors, hits=0: stub.ShouldRateLimit(question(domain, *descriptors, hits=hits), timeout=PATIENCE)

    def fails(self, code, call, *arguments, **keywords):
        """The call fails with this code: its details."""
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **keywords)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception.details()

    def run_tool(self, *command, **options):
        """Runs a program to its end: its output. It must succeed."""
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=4 * PATIENCE, **options)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout
