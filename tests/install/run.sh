#!/usr/bin/env bash
set -euo pipefail
build=$1 compiler=$2 sanitize=$3
here=$(cd "$(dirname "$0")" && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix/usr" >/dev/null
flags=${sanitize:+-fsanitize=$sanitize}
cmake -S "$here/consumer" -B "$prefix/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix/usr" \
  -DCMAKE_CXX_FLAGS="$flags" >/dev/null
cmake --build "$prefix/build"
"$prefix/build/consumer"
"$prefix/usr/bin/weir" version
