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

std::size_t MostSubjects(const Identifier& identifier) {
  switch (identifier.kind) {
    case Identifier::Kind::kCombine:
      return MostSubjects(*identifier.primary) * MostSubjects(*identifier.secondary);
    case Identifier::Kind::kFirstAvailable:
      return std::max(MostSubjects(*identifier.primary), MostSubjects(*identifier.secondary));
    case Identifier::Kind::kStrictest:
      return MostSubjects(*identifier.primary) + MostSubjects(*identifier.secondary);
    default:
      return 1;
  }
}

}  // namespace weir::config
