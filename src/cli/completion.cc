#include <cstdio>
#include <string>

#include "cli/commands.h"

namespace weir::cli {
namespace {

// The scripts ask `weir` itself what may follow, so that they cannot fall behind it. It gives names only that a shell
// takes as they are: nothing that a server says is evaluated.
constexpr const char* kBash = R"sh(_weir() {
  local found current=${COMP_WORDS[COMP_CWORD]}
  mapfile -t found < <(weir __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ "${#found[@]}" -eq 0 ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  COMPREPLY=("${found[@]}")
  # "users/" goes on.
  if [ "${#found[@]}" -eq 1 ] && [[ ${found[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _weir weir
)sh";

constexpr const char* kZsh = R"sh(#compdef weir
_weir() {
  local -a found
  found=(${(f)"$(weir __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( ${#found} )); then
    local -a begun=(${(M)found:#*/}) whole=(${found:#*/})
    compadd -S '' -a begun  # "users/" goes on
    compadd -a whole
  else
    _files
  fi
}
# Autoloaded from a directory of $fpath, or read by `source`.
if [ "$funcstack[1]" = _weir ]; then _weir "$@"; else compdef _weir weir; fi
)sh";

constexpr const char* kFish = R"sh(function __weir_complete
  set -l words (commandline -opc) (commandline -ct)
  weir __complete $words[2..-1] 2>/dev/null
end
complete -c weir -a "(__weir_complete)"
)sh";

}  // namespace

int RunCompletion(const std::string& shell) {
  const char* script = shell == "bash" ? kBash : shell == "zsh" ? kZsh : shell == "fish" ? kFish : nullptr;
  if (script == nullptr) {
    std::fprintf(stderr, "weir: no completion for '%s' (bash, zsh, fish)\n", shell.c_str());
    return 2;
  }
  std::fputs(script, stdout);
  return 0;
}

}  // namespace weir::cli
