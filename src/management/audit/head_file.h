// The file that says, signed, where the chain ends. Cutting the end off the log is found by it: records carry the hash
// of the one before, so nothing in them tells of those behind.
//
// Two places, written in turn and synced, so that one of them is whole at any moment: a crash can damage only the one
// that was being written. The records are written and synced before it, so the end that it names is always there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "management/audit/signing.h"
#include "weir/result.h"

namespace weir::management::audit {

struct Head {
  Statement newest;
  // One of the two places cannot be read: it was being written when the process or the machine stopped. Then there are
  // records behind `newest`; when there are none, somebody damaged it.
  bool interrupted = false;
};

// kNotFound: there is no such file. kDataLoss: neither place holds a statement of this key, or they do not belong
// together.
Result<Head> ReadHead(const std::string& path, std::string_view public_key);

class HeadFile {
 public:
  // Makes the file anew, with `first` in it.
  static Result<> Create(const std::string& path, const SigningKey& key, const Statement& first);
  static Result<HeadFile> Open(const std::string& path);

  // Durable when it returns. Statements are written with counters that grow by one.
  Result<> Write(const SigningKey& key, const Statement& statement);

 private:
  explicit HeadFile(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace weir::management::audit
