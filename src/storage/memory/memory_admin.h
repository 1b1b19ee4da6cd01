// Administration of a memory store's states (storage/admin.h). States are named by their keys: the store never knew
// more of a subject than its hash.
#pragma once

#include "storage/admin.h"
#include "storage/memory/cell_table.h"
#include "storage/memory/list_table.h"

namespace weir::storage::memory {

// Thread-safe; decisions go on meanwhile. The tables outlive it.
class MemoryAdmin final : public Admin {
 public:
  MemoryAdmin(CellTable& cells, ListTable& lists) : cells_(cells), lists_(lists) {}

  Result<Page> Scan(std::string_view cursor, std::size_t most, Nanos now) override;
  Result<std::optional<StateRecord>> Get(const StateName& name, Nanos now) override;
  Result<bool> Reset(const StateName& name) override;
  Result<Imported> Import(std::span<const StateRecord> states, Nanos now) override;

 private:
  void ImportWord(const StateRecord& state, Nanos now, Imported& report);
  void ImportList(const StateRecord& state, Imported& report);

  CellTable& cells_;
  ListTable& lists_;
};

}  // namespace weir::storage::memory
