#include "config/document/migrate.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "config/document/reader.h"

namespace weir::config {
namespace {

constexpr const char* kField = "schema_version";

// One for each form before kSchemaVersion. Never change one that was released.
constexpr std::span<const DocumentStep> kSteps = {};
static_assert(kSteps.size() + 1 == kSchemaVersion);

// 0: it is no such number, which the reader tells.
std::uint32_t FormOf(const Node& document) {
  const Node* const written = document.Find(kField);
  if (written == nullptr) return 1;
  std::uint32_t form = 0;
  const char* const end = written->text.data() + written->text.size();
  const auto [at, error] = std::from_chars(written->text.data(), end, form);
  return written->IsScalar() && error == std::errc() && at == end ? form : 0;
}

}  // namespace

bool BringUpToDate(Node& document, std::span<const DocumentStep> steps, std::uint32_t current,
                   std::vector<Fault>& faults) {
  std::uint32_t form = FormOf(document);
  if (form == 0 || form == current) return true;
  if (form > current) {
    const TextPlace at = PlaceOf(*document.Find(kField));
    faults.push_back(
        {.path = kField,
         .line = at.line,
         .column = at.column,
         .message = fmt::format("the document has form {}, and this version of weir knows up to {}", form, current),
         .hint = "update weir"});
    return false;
  }
  for (const DocumentStep& step : steps) {
    if (step.from != form) continue;
    step.take(document, faults);
    ++form;
  }
  std::erase_if(document.children, [](const Node& child) { return child.key == kField; });
  document.Add(kField, Node::Number(current));
  return true;
}

bool BringUpToDate(Node& document, std::vector<Fault>& faults) {
  return BringUpToDate(document, kSteps, kSchemaVersion, faults);
}

}  // namespace weir::config
