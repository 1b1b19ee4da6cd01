#include "weir/decision.h"

namespace weir {

std::string_view ToString(Level level) {
  switch (level) {
    case Level::kGlobal:
      return "global";
    case Level::kTenant:
      return "tenant";
    case Level::kUser:
      return "user";
    case Level::kApiKey:
      return "api_key";
    case Level::kEndpoint:
      return "endpoint";
    case Level::kDomain:
      return "domain";
    case Level::kIp:
      return "ip";
  }
  return "unknown";
}

std::string_view ToString(Action action) {
  switch (action) {
    case Action::kAllow:
      return "allow";
    case Action::kDeny:
      return "deny";
    case Action::kWait:
      return "wait";
    case Action::kChallenge:
      return "challenge";
    case Action::kCharge:
      return "charge";
  }
  return "unknown";
}

std::string_view ToString(Reason reason) {
  switch (reason) {
    case Reason::kOk:
      return "ok";
    case Reason::kExempt:
      return "exempt";
    case Reason::kNoLimit:
      return "no_limit";
    case Reason::kOverLimit:
      return "over_limit";
    case Reason::kNeverFits:
      return "never_fits";
    case Reason::kBanned:
      return "banned";
    case Reason::kBlocked:
      return "blocked";
    case Reason::kStoreAllowed:
      return "store_allowed";
    case Reason::kStoreDenied:
      return "store_denied";
    case Reason::kStoreLocal:
      return "store_local";
    case Reason::kUnknownDomain:
      return "unknown_domain";
    case Reason::kUnlimited:
      return "unlimited";
    case Reason::kStoreFull:
      return "store_full";
    case Reason::kMissingIdentifier:
      return "missing_identifier";
    case Reason::kChallenged:
      return "challenged";
  }
  return "unknown";
}

}  // namespace weir
