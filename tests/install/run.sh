#!/usr/bin/env bash
set -euo pipefail
build=$1 compiler=$2 sanitize=$3
here=$(cd "$(dirname "$0")" && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix/usr" >/dev/null
flags=${sanitize:+-fsanitize=$sanitize}

# Configures and builds a project that knows nothing but the installed package.
build_against() {
  cmake -S "$1" -B "$2" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix/usr" -DCMAKE_CXX_FLAGS="$flags" >/dev/null
  cmake --build "$2"
}
build_against "$here/consumer" "$prefix/consumer"
"$prefix/consumer/consumer"
"$prefix/consumer/consumer_api"
"$prefix/usr/bin/weir" version

# The example of docs/library.md, with a limit of two.
build_against "$here/../../examples/embed" "$prefix/embed"
echo 'global: {free_tier: {max_requests: 2, window_seconds: 3600}}' > "$prefix/weir.yaml"
said=$("$prefix/embed/example" "$prefix/weir.yaml")
echo "$said"
diff <(echo "$said" | sed 's/again in [0-9]* ms/again later/') - <<'TXT'
request 1: allowed, 1 left
request 2: allowed, 0 left
request 3: denied, again later
after doubling the limit: allowed
TXT

# The code of docs/library.md.
build_against "$here/../../examples/library" "$prefix/library"
for name in per_key response middleware async changes stats faults; do echo "$name:"; "$prefix/library/$name"; done > "$prefix/said"
cat "$prefix/said"
diff <(sed 's/;t=[0-9]*/;t=T/; s/Retry-After: [0-9]*/Retry-After: R/' "$prefix/said") - <<'TXT'
per_key:
alice: 200
alice: 200
alice: 200
alice: 429
bob: 200
response:
200
RateLimit-Policy: "login";q=1;w=300
RateLimit: "login";r=0;t=T
429
Cache-Control: no-store
RateLimit-Policy: "login";q=1;w=300
RateLimit: "login";r=0;t=T
Retry-After: R
middleware:
429 application/problem+json
async:
allowed
denied
changes:
alice: 5000
bob: 2
stats:
2 allowed, 1 denied, 1 subjects, store up
faults:
all good
TXT

# What is installed beside it is of this prefix and of this daemon.
unit=$(find "$prefix/usr" -path '*/systemd/system/weir.service')
grep -qx "ExecStart=$prefix/usr/bin/weir serve --config /etc/weir/weir.yaml" "$unit"
diff <("$prefix/usr/bin/weir" schema) "$prefix/usr/share/weir/weir.schema.json"
# shellcheck disable=SC2016
completed=$(PATH="$prefix/usr/bin:$PATH" bash -c '
  . "$0"
  COMP_WORDS=(weir sim) COMP_CWORD=1
  _weir
  echo "${COMPREPLY[@]}"' "$prefix/usr/share/bash-completion/completions/weir")
[ "$completed" = simulate ] || { echo "completed 'weir sim' to '$completed'"; exit 1; }
grep -q '^#compdef weir' "$prefix/usr/share/zsh/site-functions/_weir"
grep -q '^complete -c weir' "$prefix/usr/share/fish/vendor_completions.d/weir.fish"
