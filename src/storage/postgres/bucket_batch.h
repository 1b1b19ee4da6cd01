// Plans of one bucket each as one statement, in which the server decides (schema.cc: buckets_v1), and what it answers
// as outcomes: computed here from the state that was found, so that they are those of any other store.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/postgres/values.h"
#include "storage/postgres/job.h"

namespace weir::storage::postgres {

// A check of one bucket that fits ever, without a previous form and without a request id.
bool IsBucketPlan(const Plan& plan);

// Not thread-safe.
class BucketBatch {
 public:
  std::size_t size() const { return entries_.size(); }
  // The jobs that are in it, in the order they came.
  const std::vector<JobPtr>& jobs() const { return jobs_; }
  // False, and nothing happens: one of its keys is there already.
  bool Add(const JobPtr& job);

  // All are decided as of the latest `now` of the jobs.
  Nanos at() const { return at_; }
  io::postgres::Params Encode(std::int64_t wait_ms, bool quick);

  // Writes outcomes into the plans of the jobs that are not answered. False for a job: its answer made no sense.
  std::vector<bool> Decode(const io::postgres::Rows& rows);

 private:
  struct Entry {
    Key key;
    Plan* plan;
    std::size_t job;
  };
  std::vector<Entry> entries_{};  // sorted by key
  std::vector<JobPtr> jobs_{};
  Nanos at_ = 0;
};

}  // namespace weir::storage::postgres
