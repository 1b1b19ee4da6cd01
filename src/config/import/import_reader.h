// What the importers of other limiters' configurations share: reading a tree of YAML with the file, path, line and
// column of every fault. Unlike Reader (reader.h) it reads forms that are not weir's, and can warn.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/document/node.h"
#include "config/document/reader.h"
#include "weir/config.h"

namespace weir::config {

struct SourceText {
  std::string file;  // for messages
  std::string text;
};

struct FileFault {
  std::string file;
  Fault fault;
};
std::string Describe(const FileFault& fault);
bool HasError(const std::vector<FileFault>& faults);

struct ImportedDomains {
  std::map<std::string, DomainLimits> domains;  // meaningful only without errors
  std::vector<FileFault> faults;                // by file, then by line
  bool ok() const { return !HasError(faults); }
};

class ImportReader {
 public:
  ImportReader(std::string file, std::vector<FileFault>& faults) : file_(std::move(file)), faults_(faults) {}
  ImportReader(const ImportReader&) = delete;
  ImportReader& operator=(const ImportReader&) = delete;

  // While it lives, faults are below this segment of the path.
  class Scope {
   public:
    Scope(ImportReader& reader, std::string_view segment);
    ~Scope() { reader_.path_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ImportReader& reader_;
    std::size_t length_;
  };

  // At most 1,000 errors and 200 warnings are kept of a file; more are summed up in a last one.
  void Error(const Node& at, std::string message, std::string hint = {}) {
    Add(Severity::kError, at, std::move(message), std::move(hint));
  }
  void Warn(const Node& at, std::string message, std::string hint = {}) {
    Add(Severity::kWarning, at, std::move(message), std::move(hint));
  }
  // One that no node stands for any more.
  void WarnAt(TextPlace place, std::string message, std::string hint = {}) {
    AddAt(Severity::kWarning, place, std::move(message), std::move(hint));
  }
  const std::string& file() const { return file_; }

  // Each leaves `value` alone and returns false after a fault. What is null is read as empty, false or 0.
  bool ReadText(const Node& node, std::string& value);  // any scalar: 200 is "200"
  // The same, of what weir can hold: no control characters, and at most `longest` bytes.
  bool ReadName(const Node& node, std::string& value, std::size_t longest);
  bool ReadFlag(const Node& node, bool& value);
  bool ReadWhole(const Node& node, std::uint64_t most, std::uint64_t& value);

 private:
  void Add(Severity severity, const Node& at, std::string message, std::string hint);
  void AddAt(Severity severity, TextPlace place, std::string message, std::string hint);

  std::string file_;
  std::vector<FileFault>& faults_;
  std::string path_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
};

// The tree of a source, or its fault of syntax in `faults` and false. Of several documents the first where
// `first_of_several`, with a warning of the others; else they are a fault.
bool ParseSource(const SourceText& source, Node& root, std::vector<FileFault>& faults, bool first_of_several = false);

}  // namespace weir::config
