#include <algorithm>

#include "config/snapshot/snapshot.h"

namespace weir::config {

bool IsSimple(const Identifier& identifier) {
  switch (identifier.kind) {
    case Identifier::Kind::kUser:
      return !identifier.fallback_to_ip;
    case Identifier::Kind::kApiKey:
      return identifier.quota_field.empty();
    case Identifier::Kind::kIp:
      return !identifier.use_forwarded;
    case Identifier::Kind::kTenant:
    case Identifier::Kind::kGlobal:
      return true;
    default:
      return false;
  }
}

namespace {

// `extractor`: how many subjects each extractor is taken for.
std::size_t SubjectsOf(const Identifier& identifier, std::size_t extractor) {
  switch (identifier.kind) {
    case Identifier::Kind::kCombine:
      return SubjectsOf(*identifier.primary, extractor) * SubjectsOf(*identifier.secondary, extractor);
    case Identifier::Kind::kFirstAvailable:
      return std::max(SubjectsOf(*identifier.primary, extractor), SubjectsOf(*identifier.secondary, extractor));
    case Identifier::Kind::kStrictest:
      return SubjectsOf(*identifier.primary, extractor) + SubjectsOf(*identifier.secondary, extractor);
    case Identifier::Kind::kExtractor:
      return extractor;
    default:
      return 1;
  }
}

}  // namespace

std::size_t NamedSubjects(const Identifier& identifier) { return SubjectsOf(identifier, 1); }

std::size_t MostSubjects(const Identifier& identifier) {
  return std::min(SubjectsOf(identifier, kMostValuesOfExtractor), kMostSubjectsOfRule);
}

}  // namespace weir::config
