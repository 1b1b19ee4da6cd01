// The limits file of Kuadrant's limitador (https://github.com/Kuadrant/limitador), read as weir's domains: a list of
// {namespace, max_value, seconds, conditions, variables, name, id}.
//
// A namespace becomes a domain, and a limit a chain of descriptors, in the order in which its keys are written, first
// the conditions' (limitador_expression.h says which can be), then the variables'; the rule at its end has max_requests
// = max_value, window_seconds = seconds, and one window from the subject's first request, as limitador counts.
//   KEY == 'V' -> value V    KEY.startsWith('P') -> value P*, shared    has(KEY) -> value *, shared
//   KEY != 'V' -> value *, shared, beside value V without a rule, which goes before it
//   a variable -> any value, or P* not shared, each value counted for itself
//
// Limitador takes every limit whose conditions hold for what Envoy sends, in any order and whatever else is sent, and
// so does the domain: its `match` is `contained`. That is how clients are limited that put the entries of several
// limits into one descriptor, as Kuadrant's wasm shim does. `limit.name` and `limit.id` are the limit's own: a limit
// whose conditions ask for others never holds and is left out, with a warning. Several limits of the same entries are
// `rules` of one descriptor, and those without conditions and variables `rules` of the domain. Refused, with the line
// and what to write instead, is what would change a decision in silence: limits of which one would hide the other, and
// every other expression.
//
// Pure; thread-safe.
#pragma once

#include <span>

#include "config/import/import_reader.h"

namespace weir::config {

ImportedDomains ImportLimitador(std::span<const SourceText> sources);

}  // namespace weir::config
