"""What Kuadrant asks of its limiter: to look, to count afterwards, and to hold an estimate until the truth is known."""
import unittest

import grpc

from grpc_harness import OK, OVER_LIMIT, YEAR, GrpcCase, descriptor, durations, kuadrant, kuadrant_grpc, question
from harness import PATIENCE, wait_until

TOKENS = f"""
domains:
  llm:
    descriptors:
      - {{key: user, rule: {{max_requests: 100, window_seconds: {YEAR}}}}}
      - {{key: model, rule: {{max_requests: 40, window_seconds: {YEAR}}}}}
"""
ALICE, MODEL = ("user", "alice"), ("model", "large")


class Kuadrant(GrpcCase):
    def setUp(self):
        super().setUp()
        weir = self.grpc_weir(TOKENS)
        self.stub = kuadrant_grpc.RateLimitServiceStub(self.channel(weir))
        self.ask = self.rls(weir)

    def left(self, *entry):
        return self.ask("llm", descriptor(*entry, hits=0)).statuses[0].limit_remaining

    def check(self, *descriptors, hits=0):
        return self.stub.CheckRateLimit(question("llm", *descriptors, hits=hits), timeout=PATIENCE)

    def report(self, *descriptors, hits=0):
        return self.stub.Report(question("llm", *descriptors, hits=hits), timeout=PATIENCE)

    def reserve(self, amount, *descriptors, ttl=None):
        asked = kuadrant.ReserveRequest(domain="llm", descriptors=descriptors, amount=amount)
        if ttl:
            asked.ttl.CopyFrom(durations.Duration(seconds=ttl))
        return self.stub.Reserve(asked, timeout=PATIENCE)

    def commit(self, reservation, amount, *descriptors):
        asked = kuadrant.CommitRequest(domain="llm", descriptors=descriptors, reservation_id=reservation, actual_amount=amount)
        return self.stub.Commit(asked, timeout=PATIENCE).reservation_released

    def test_check_and_report(self):
        for _ in range(3):
            reply = self.check(descriptor(ALICE), hits=60)
            self.assertEqual((reply.overall_code, reply.statuses[0].current_limit.requests_per_unit), (OK, 100))
        self.assertEqual(self.left(ALICE), 100)
        self.assertEqual(self.report(descriptor(ALICE), hits=60).overall_code, OK)
        self.assertEqual(self.left(ALICE), 40)
        self.assertEqual(self.check(descriptor(ALICE), hits=60).overall_code, OVER_LIMIT)
        # What was used was used: a report counts also beyond the limit, and is not refused.
        self.assertEqual(self.report(descriptor(ALICE), hits=60).overall_code, OK)
        self.assertEqual(self.left(ALICE), 0)
        self.assertEqual(self.check(descriptor(ALICE)).overall_code, OVER_LIMIT)

    def test_reserve_and_commit(self):
        held = self.reserve(70, descriptor(ALICE))
        self.assertEqual(held.code, OK)
        self.assertNotEqual(held.reservation_id, "")
        self.assertEqual(self.left(ALICE), 30)
        # What others hold is not to be had.
        refused = self.reserve(40, descriptor(ALICE))
        self.assertEqual((refused.code, refused.reservation_id), (OVER_LIMIT, ""))
        # It came to less: the rest is free again. And to be settled it is once.
        self.assertTrue(self.commit(held.reservation_id, 20, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 80)
        self.assertFalse(self.commit(held.reservation_id, 5, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 75, "a commit without its reservation counts as a report")
        # It came to more.
        held = self.reserve(10, descriptor(ALICE))
        self.assertTrue(self.commit(held.reservation_id, 30, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 45)

    def test_reserve_is_all_or_nothing(self):
        self.assertEqual(self.reserve(60, descriptor(ALICE), descriptor(MODEL)).code, OVER_LIMIT)
        self.assertEqual((self.left(ALICE), self.left(MODEL)), (100, 40))
        held = self.reserve(30, descriptor(ALICE), descriptor(MODEL))
        self.assertEqual((held.code, self.left(ALICE), self.left(MODEL)), (OK, 70, 10))
        self.assertTrue(self.commit(held.reservation_id, 10, descriptor(ALICE), descriptor(MODEL)))
        self.assertEqual((self.left(ALICE), self.left(MODEL)), (90, 30))

    def test_a_reservation_that_nobody_settles_ends(self):
        held = self.reserve(100, descriptor(ALICE), ttl=1)
        self.assertEqual((held.code, self.left(ALICE)), (OK, 0))
        wait_until(lambda: self.left(ALICE) == 100, "what was held is free again")
        self.assertFalse(self.commit(held.reservation_id, 10, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 90)

    def test_a_reservation_of_nothing_is_released(self):
        nothing, unlimited = self.reserve(0, descriptor(ALICE)), self.reserve(5, descriptor(("unheard", "of")))
        self.assertEqual((nothing.code, unlimited.code), (OK, OK))
        self.assertTrue(self.commit(nothing.reservation_id, 7, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 93)
        self.assertTrue(self.commit(unlimited.reservation_id, 7, descriptor(("unheard", "of"))))

    def test_what_is_no_reservation(self):
        self.assertFalse(self.commit("no-such", 1, descriptor(ALICE)))
        self.assertFalse(self.commit("", 1, descriptor(ALICE)))
        self.assertEqual(self.left(ALICE), 98)
        self.fails(grpc.StatusCode.UNKNOWN, self.reserve, 1)


if __name__ == "__main__":
    unittest.main()
