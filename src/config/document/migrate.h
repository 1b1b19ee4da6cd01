// Documents of older forms, brought up to date before they are read: `schema_version` says which form one has.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/document/node.h"
#include "weir/config.h"

namespace weir::config {

// The form of the document that this version writes.
inline constexpr std::uint32_t kSchemaVersion = 1;

// Makes a document of form `from` one of form `from` + 1. Tells what the writer should know as a warning.
struct DocumentStep {
  std::uint32_t from = 0;
  void (*take)(Node& document, std::vector<Fault>& warnings) = nullptr;
};

// To form `current`, by the steps, of which there must be one for each older form. A document that does not say has
// form
// 1. False, with a fault: it has a newer form. Places of faults stay those of the text.
bool BringUpToDate(Node& document, std::span<const DocumentStep> steps, std::uint32_t current,
                   std::vector<Fault>& faults);
// To kSchemaVersion.
bool BringUpToDate(Node& document, std::vector<Fault>& faults);

}  // namespace weir::config
