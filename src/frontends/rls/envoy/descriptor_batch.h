// The calls of one batch (question_batch.h) whose messages hold descriptors, asked of the engine together and answered.
//
// A batch that completes inline goes back to its thread's pool: in the long run a call allocates nothing but its
// answer.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/limit.h"
#include "engine/engine.h"
#include "frontends/rls/envoy/descriptor_core.h"
#include "frontends/rls/envoy/messages.h"
#include "frontends/rls/http2/service.h"
#include "storage/store.h"

namespace weir::rls {

// What a call asks; the numbers of the services' methods.
enum class Form : std::uint8_t {
  kShouldRateLimit,  // envoy.service.ratelimit.v3
  kCheckRateLimit,   // kuadrant.service.ratelimit.v1, as those below: decide, count nothing
  kReport,           // count, whatever the limits say
  kReserve,
  kCommit,
  kLateCommit,  // no method: a commit of what is not reserved (any more), counted as a report
  kGiveBack,    // no method: what a question was charged that its quotas then denied
};

// Of each descriptor in the name of a reservation.
inline constexpr std::size_t kReservationDigits = 16;

class DescriptorBatch final : public storage::Completion {
 public:
  // Answers calls whose Method::number is a Form; as Service::Answer.
  [[nodiscard]] static bool Run(DescriptorCore& core, std::span<UnaryCall> calls, storage::Completion* done);

  DescriptorBatch() = default;
  DescriptorBatch(const DescriptorBatch&) = delete;
  DescriptorBatch& operator=(const DescriptorBatch&) = delete;
  ~DescriptorBatch() = default;

 private:
  // A call of gRPC and the engine's calls that belong to it.
  struct Question {
    UnaryCall* unary = nullptr;
    Form form = Form::kShouldRateLimit;
    RequestMessage request;
    std::uint32_t first_call = 0, calls = 0;
  };
  // A call of gRPC that is asked for once more.
  struct Late {
    UnaryCall* unary = nullptr;
    Form form = Form::kLateCommit;
    std::bitset<kMostDescriptors> give_back = {};  // kGiveBack: of these descriptors
    Nanos charged_at = 0;                          // kGiveBack: engine::Call's
  };
  // What is bound to a call of the engine once nothing moves any more.
  struct Extra {
    std::uint32_t first_entry = 0, entries = 0;
    std::uint32_t limit = kNone;  // in limits_
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // descriptor_batch.cc
  bool Go();
  void Prepare();
  bool HasRoom() const;  // for another message
  void Ask(const Late& call);
  bool AskDescriptors(const Question& question);
  void AskCommit(const Question& question);
  bool AskGiveBack(const Question& question, const Late& late);
  engine::Call& AddCall(engine::CallKind kind);
  // A call for that descriptor of the request. `limit`: in limits_, or kNone.
  engine::Call& AddCall(engine::CallKind kind, const Question& question, const DescriptorMessage& descriptor,
                        std::uint32_t limit);
  // The limits that the request brings. False: it was refused.
  bool AddLimits(const Question& question);
  void Bind();
  void Refuse(UnaryCall& unary, Code code, std::string message);
  void Done() noexcept override;
  void Clear();
  void Release();

  // descriptor_answer.cc
  void Answer();
  void AnswerDescriptors(const Question& question);
  void AnswerReserve(const Question& question);
  void AnswerCommit(const Question& question);
  // What the engine could not do at all. True: the call is answered with it.
  bool Failed(const Question& question);
  static DescriptorStatus StatusOf(const DescriptorMessage& descriptor, const Decision& decision);
  void AddMetadata(const Question& question, bool quota_mode, ResponseWriter& writer);
  // The decision that headers and body tell of: of the one that denied, else of the one that is nearest to it.
  const Decision* ToldOf(const Question& question);
  void AddHeaders(const Decision& told, bool over, ResponseWriter& writer);
  const Decision& DecisionOn(const Question& question, std::uint32_t descriptor) const {
    return calls_[tells_[question.request.first_descriptor + descriptor]].decision;
  }

  DescriptorCore* core_ = nullptr;
  std::uint64_t settings_of_ = 0;  // the id of a core
  std::shared_ptr<const Settings> settings_;
  std::span<UnaryCall> unary_;
  storage::Completion* done_ = nullptr;
  std::size_t next_ = 0;  // of unary_
  std::vector<Late> late_;
  ServiceCounts counts_;

  // Of those that are asked together.
  MessageStorage storage_;
  std::vector<std::uint32_t> tells_;         // beside storage_.descriptors: the call whose decision is the answer
  std::vector<std::uint32_t> client_limit_;  // beside storage_.descriptors: in limits_, or kNone
  std::vector<Question> questions_;
  std::vector<engine::Call> calls_;  // only the first call_count_ are in use: constructing them is not free
  std::size_t call_count_ = 0;
  std::vector<Extra> extras_;
  std::vector<algorithms::Limit> limits_;
  std::vector<std::uint32_t> violations_;  // of the question that is being answered, as is passed_
  std::vector<std::uint32_t> passed_;      // the descriptors that are not over
  Decision overdrawn_;                     // a look that is denied
  std::string headers_;
  Nanos now_ = 0;  // 0: not asked for yet
};

}  // namespace weir::rls
