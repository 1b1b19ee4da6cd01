"""Data planes that report what they let pass, and are told what part of the limit is theirs: a client of grpcio."""
import queue
import threading
import unittest

import grpc

from grpc_harness import YEAR, GrpcCase, descriptor, durations, rlqs, rlqs_grpc
from harness import PATIENCE, wait_until

LIMITS = f"""
domains:
  shop:
    descriptors:
      - key: plan
        descriptors: [{{key: area, rule: {{max_requests: 9000, window_seconds: {YEAR}}}}}]
"""
BUCKET = {"plan": "free", "area": "north"}


class Plane:
    """One stream: what was told last, and how it ended."""

    def __init__(self, channel):
        self.reports, self.told, self.count, self.ended = queue.Queue(), None, 0, None
        self.stream = rlqs_grpc.RateLimitQuotaServiceStub(channel).StreamRateLimitQuotas(iter(self.reports.get, None))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for response in self.stream:
                for action in response.bucket_action:
                    self.told = action
                    self.count += 1
            self.ended = (grpc.StatusCode.OK, "")
        except grpc.RpcError as error:
            self.ended = (error.code(), error.details())

    def report(self, allowed, bucket=None, domain="shop", seconds=5):
        usage = rlqs.RateLimitQuotaUsageReports.BucketQuotaUsage(
            bucket_id=rlqs.BucketId(bucket=bucket or BUCKET), time_elapsed=durations.Duration(seconds=seconds), num_requests_allowed=allowed)
        self.reports.put(rlqs.RateLimitQuotaUsageReports(domain=domain, bucket_quota_usages=[usage]))

    def tokens(self):
        return self.told.quota_assignment_action.rate_limit_strategy.token_bucket.tokens_per_fill.value if self.told else None

    def close(self):
        self.reports.put(None)


class Rlqs(GrpcCase):
    def setUp(self):
        super().setUp()
        self.server = self.grpc_weir(LIMITS)

    def plane(self):
        plane = Plane(self.channel(self.server, options=[("grpc.use_local_subchannel_pool", 1)]))
        self.addCleanup(plane.close)
        return plane

    def test_parts_follow_who_is_there(self):
        first, second = self.plane(), self.plane()
        first.report(1000)
        wait_until(lambda: first.tokens() == 9000, "the first has all")
        action = first.told
        self.assertEqual(dict(action.bucket_id.bucket), BUCKET)
        self.assertEqual(action.quota_assignment_action.assignment_time_to_live.seconds, 60)
        bucket = action.quota_assignment_action.rate_limit_strategy.token_bucket
        self.assertEqual((bucket.max_tokens, bucket.fill_interval.seconds), (9000, YEAR))
        second.report(1000)
        wait_until(lambda: (first.tokens(), second.tokens()) == (4500, 4500), "both have half")
        second.close()
        wait_until(lambda: first.tokens() == 9000, "what was the second's is the first's")
        wait_until(lambda: second.ended is not None, "the second's stream has ended")
        self.assertEqual(second.ended[0], grpc.StatusCode.OK)

    def test_what_was_let_through_counts(self):
        plane = self.plane()
        plane.report(40)
        plane.report(2)
        ask = self.rls(self.server)
        left = lambda: ask("shop", descriptor(("plan", "free"), ("area", "north"), hits=0)).statuses[0].limit_remaining  # noqa: E731
        wait_until(lambda: left() == 9000 - 42, "both reports are charged")

    def test_a_cancelled_stream_gives_its_part_back(self):
        first, second = self.plane(), self.plane()
        first.report(1000)
        second.report(1000)
        wait_until(lambda: (first.tokens(), second.tokens()) == (4500, 4500), "both have half")
        second.stream.cancel()
        wait_until(lambda: first.tokens() == 9000, "the first has all")

    def test_a_new_limit_is_told_at_once(self):
        plane = self.plane()
        plane.report(1000)
        wait_until(lambda: plane.tokens() == 9000, "the first limit")
        path = self.directory / "weir.yaml"
        path.write_text(path.read_text().replace("max_requests: 9000", "max_requests: 5000"))
        wait_until(lambda: plane.tokens() == 5000, "the second limit")

    def test_as_many_buckets_as_there_may_be(self):
        """The answer is longer than what a client may leave unread; one that reads is told everything."""
        plane = self.plane()
        usage = rlqs.RateLimitQuotaUsageReports.BucketQuotaUsage
        report = rlqs.RateLimitQuotaUsageReports(domain="shop", bucket_quota_usages=[
            usage(bucket_id=rlqs.BucketId(bucket={"plan": f"{i:065}", "area": "north"}), num_requests_allowed=1) for i in range(9_999)])
        self.assertLess(report.ByteSize(), 1 << 20)
        plane.reports.put(report)
        wait_until(lambda: plane.count >= 9_999 or plane.ended, "the answer is whole")
        self.assertEqual((plane.tokens(), plane.ended), (9000, None))
        # And without a report, as much at a time as may be unread.
        path = self.directory / "weir.yaml"
        path.write_text(path.read_text().replace("max_requests: 9000", "max_requests: 5000"))
        wait_until(lambda: plane.count >= 2 * 9_999 or plane.ended, "all are told of the new limit")
        plane.reports.put(report)
        plane.report(1)
        wait_until(lambda: plane.told.bucket_id.bucket == BUCKET or plane.ended, "the stream goes on")
        self.assertEqual((plane.tokens(), plane.ended), (5000, None))

    def test_without_a_rule_all_pass(self):
        plane = self.plane()
        plane.report(5, bucket={"unheard": "of"})
        wait_until(lambda: plane.told is not None, "an answer")
        strategy = plane.told.quota_assignment_action.rate_limit_strategy
        self.assertEqual((strategy.WhichOneof("strategy"), strategy.blanket_rule), ("blanket_rule", 0))

    def test_errors(self):
        unnamed, other = self.plane(), self.plane()
        unnamed.report(1, domain="")
        wait_until(lambda: unnamed.ended is not None, "refused")
        self.assertEqual(unnamed.ended, (grpc.StatusCode.INVALID_ARGUMENT, "the first report must name a domain"))
        other.report(1)
        other.report(1, domain="elsewhere")
        wait_until(lambda: other.ended is not None, "refused")
        self.assertEqual(other.ended[0], grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(self.rls(self.server)("shop", descriptor(("unheard", "of"))).overall_code, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
