#!/usr/bin/env bash
# Limits by redis-cli: weir speaks Redis' protocol on port 6380.
set -euo pipefail
ask() { redis-cli -u redis://127.0.0.1:6380 "$@"; }

# A limit that the caller brings, as redis-cell's CL.THROTTLE: a burst of 2 + 1, then 1 in 60 s, for the subject "job:42".
for i in 1 2 3 4; do
  # The first line is 0 when it is allowed; the fourth is the seconds to wait, -1 when it is.
  mapfile -t answer < <(ask CL.THROTTLE job:42 2 1 60)
  if [ "${answer[0]}" = 0 ]; then
    echo "job $i: allowed, ${answer[2]} left"
  else
    echo "job $i: denied, again in ${answer[3]} s"
  fi
done

# The configured rules: fields of the request, by name. Peeking counts nothing.
ask WEIR.CHECK ip 192.0.2.7 method GET path /items > /dev/null
ask WEIR.PEEK ip 192.0.2.7 method GET path /items cost 0
