// storage schema: what a database needs before it can hold counts.
#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/source/load.h"
#include "library/make_store.h"
#include "weir/config.h"

namespace weir::cli {

int RunStorageSchema(const StorageSchemaOptions& options) {
  PostgresStorage storage;
  if (!options.config_file.empty()) {
    const auto text = config::ReadTextFile(options.config_file);
    if (!text) {
      fmt::print(stderr, "weir: {}\n", Printable(text.error().message));
      return 2;
    }
    const config::LoadedDocument loaded = config::LoadDocument(*text, options.config_file);
    if (!loaded.ok()) {
      fmt::print(stderr, "weir: '{}' is not valid: see weir validate\n", Printable(options.config_file));
      return 2;
    }
    const auto* const hybrid = std::get_if<HybridStorage>(&loaded.config.storage.kind);
    const StorageConfig& shared = hybrid != nullptr ? *hybrid->secondary : loaded.config.storage;
    const auto* const written = std::get_if<PostgresStorage>(&shared.kind);
    if (written == nullptr) {
      fmt::print(stderr, "weir: '{}' stores counts elsewhere than in PostgreSQL\n", Printable(options.config_file));
      return 2;
    }
    storage = *written;
  }
  // The name becomes part of statements.
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (options.role.size() > 63 || !std::ranges::all_of(options.role, plain)) {
    fmt::print(stderr, "weir: --grant takes a role of at most 63 of a-z, 0-9 and _\n");
    return 2;
  }
  fmt::print("{}", library::PostgresSchema(storage, options.role));
  return 0;
}

}  // namespace weir::cli
