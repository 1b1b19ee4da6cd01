#include <cstdio>
#include <string>

#include "cli/commands.h"

namespace weir::cli {
namespace {

// The scripts ask `weir` itself for its flags, so that they cannot fall behind it.
constexpr const char* kBash = R"sh(_weir() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=$(weir --help 2>/dev/null | awk '/^Subcommands:/{on=1;next} on&&/^  [a-z]/{print $1}')
  elif [ "$previous" = --from ]; then
    words="basic envoy-ratelimit limitador"
  elif [ "$previous" = completion ]; then
    words="bash zsh fish"
  elif [ "$previous" = audit ]; then
    words="verify"
  elif [[ $current == -* ]]; then
    words=$(weir "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+')
  else
    COMPREPLY=($(compgen -f -- "$current"))
    return
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _weir weir
)sh";

constexpr const char* kZsh = R"sh(#compdef weir
_weir() {
  local -a found
  if (( CURRENT == 2 )); then
    found=(${(f)"$(weir --help 2>/dev/null | awk '/^Subcommands:/{on=1;next} on&&/^  [a-z]/{print $1}')"})
  else
    found=(${(f)"$(weir $words[2] --help 2>/dev/null | grep -oE -- '--[a-z-]+')"})
  fi
  compadd -a found
  _files
}
# Autoloaded from a directory of $fpath, or read by `source`.
if [ "$funcstack[1]" = _weir ]; then _weir "$@"; else compdef _weir weir; fi
)sh";

constexpr const char* kFish =
    R"sh(complete -c weir -n __fish_use_subcommand -f -a "(weir --help 2>/dev/null | awk '/^Subcommands:/{on=1;next} on&&/^  [a-z]/{print \$1}')"
complete -c weir -n "not __fish_use_subcommand" -a "(weir (commandline -opc)[2] --help 2>/dev/null | string match -ar -- '--[a-z-]+')"
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
