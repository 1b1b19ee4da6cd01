#include "config/source/config_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "base/utf8.h"
#include "config/document/node.h"
#include "config/document/reader.h"

namespace weir::config {
namespace {

constexpr std::size_t kLongestKind = 64;
constexpr std::size_t kLongestKey = 1024;
constexpr std::size_t kMostLabels = 64;
constexpr std::size_t kLongestLabelName = 64;
constexpr std::size_t kLongestLabel = 256;
constexpr std::size_t kLongestNote = 4096;
constexpr std::size_t kLongestOrigin = 1024;

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }
bool IsKindCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

Result<> CheckText(std::string_view what, std::string_view text, std::size_t least, std::size_t most) {
  if (text.size() < least) return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is missing", what));
  if (text.size() > most) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is longer than {} bytes", what, most));
  }
  if (FindInvalidUtf8(text) != std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is not UTF-8", what));
  }
  if (text.contains('\0')) return Fail(ErrorCode::kInvalidArgument, fmt::format("{} has a NUL character", what));
  return {};
}

}  // namespace

std::string Describe(const RecordId& id) {
  // An API key may be written as it is.
  const bool secret = id.kind == "api_keys" && !id.key.starts_with("sha256:");
  const std::string key = secret ? "(key)" : Quoted(id.key);
  const std::string kind = Quoted(id.kind);
  return std::string(kind.substr(1, kind.size() - 2)) + ' ' + key;
}

Result<> CheckId(const RecordId& id) {
  if (id.kind.empty() || id.kind.size() > kLongestKind || !std::ranges::all_of(id.kind, IsKindCharacter)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("a kind must be 1 to {} of a-z, 0-9 and _, not {}", kLongestKind, Quoted(id.kind)));
  }
  if (auto text = CheckText("the key of a record of kind " + id.kind, id.key, 1, kLongestKey); !text) return text;
  if (std::ranges::any_of(id.key, IsControl)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("the key of {} has a control character", Describe(id)));
  }
  return {};
}

Result<> CheckBody(const RecordId& id, const RecordBody& body) {
  const auto fail = [&](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", Describe(id), what));
  };
  if (body.expires && *body.expires <= 0) return fail("expires must be after 1970");
  if (body.labels.size() > kMostLabels) return fail(fmt::format("has more than {} labels", kMostLabels));
  for (const auto& [name, label] : body.labels) {
    if (auto text = CheckText(Describe(id) + ": the name of a label", name, 1, kLongestLabelName); !text) return text;
    if (auto text = CheckText(Describe(id) + ": a label", label, 0, kLongestLabel); !text) return text;
  }
  if (auto text = CheckText(Describe(id) + ": the note", body.note, 0, kLongestNote); !text) return text;
  if (body.value.size() > kMaxDocumentBytes) return fail(fmt::format("is longer than {} bytes", kMaxDocumentBytes));
  // The parser's own words could repeat a secret.
  const ParsedTree tree = ParseJsonTree(body.value);
  if (!tree.faults.empty()) return fail(fmt::format("the value is no JSON, line {}", tree.faults.front().line));
  return {};
}

Result<> CheckOrigin(const Origin& origin) {
  if (auto text = CheckText("the author", origin.author, 1, kLongestOrigin); !text) return text;
  if (auto text = CheckText("the method", origin.method, 0, kLongestOrigin); !text) return text;
  if (auto text = CheckText("the reason", origin.reason, 0, kLongestNote); !text) return text;
  return CheckText("the source", origin.source, 0, kLongestOrigin);
}

Result<> CheckAnnotation(std::string_view author, std::string_view text) {
  if (auto ok = CheckText("the author", author, 1, kLongestOrigin); !ok) return ok;
  return CheckText("the annotation", text, 1, kLongestNote);
}

Result<> CheckDraft(const Draft& draft) {
  if (auto origin = CheckOrigin(draft.origin); !origin) return origin;
  if (draft.writes.size() > kMostWrites) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("more than {} records in one change", kMostWrites));
  }
  std::set<std::tuple<std::string_view, std::string_view>> seen;
  for (const RecordWrite& write : draft.writes) {
    if (auto id = CheckId(write.id); !id) return id;
    if (!seen.emplace(write.id.kind, write.id.key).second) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is changed twice", Describe(write.id)));
    }
    if (!write.body) continue;
    if (auto body = CheckBody(write.id, *write.body); !body) return body;
  }
  return {};
}

Result<Appended> ConfigStore::Append(Draft draft) {
  // Shared: this may return while the thread that sets the value is not out of it yet.
  auto promise = std::make_shared<std::promise<Result<Appended>>>();
  auto future = promise->get_future();
  Append(std::move(draft), [promise](Result<Appended> appended) { promise->set_value(std::move(appended)); });
  return future.get();
}

}  // namespace weir::config
