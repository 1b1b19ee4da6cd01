-- penalty (algorithms/penalty.h): strikes, and bans that grow. State: {banned until (s, n), level, decay from (s, n),
-- strikes, strikes from (s, n)}. Held as five decimal numbers, instants in nanoseconds.
makers.p = function()
  local fresh = {0, 0, 0, 0, 0, 0, 0, 0}
  local MOST_LEVEL = 64

  -- Words: threshold, window, first and longest ban in ms, ban factor in percent, decay, cost.
  local function parse()
    return {threshold = number(), window_s = number(), window_n = number(), first_ms = number(), longest_ms = number(),
            factor = number(), decay_s = number(), decay_n = number(), cost = number()}
  end

  local function decode(raw)
    local _, _, banned, level, decay, strikes, from = find(raw, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    if not banned then return fresh end
    local b_s, b_n = read_instant(banned)
    local d_s, d_n = read_instant(decay)
    local f_s, f_n = read_instant(from)
    return {b_s, b_n, min(read_count(level), MOST_LEVEL), d_s, d_n, read_count(strikes), f_s, f_n}
  end
  local function encode(st)
    if st == fresh then return '' end
    return instant_text(st[1], st[2]) .. format(' %d ', st[3]) .. instant_text(st[4], st[5]) ..
           format(' %d ', st[6]) .. instant_text(st[7], st[8])
  end

  -- `times` up to MOST_LEVEL.
  local function after(s, n, by_s, by_n, times)
    local more_n = by_n * times
    return plus(s, n, by_s * times + div(more_n, NANO), more_n % NANO)
  end
  local function expires(p, st)
    local s, n = st[1], st[2]
    if st[3] > 0 then
      local d_s, d_n = after(st[4], st[5], p.decay_s, p.decay_n, st[3])
      if later(d_s, d_n, s, n) then s, n = d_s, d_n end
    end
    if min(st[6], p.threshold - 1) > 0 then  -- the threshold may be lower now than when they were counted
      local f_s, f_n = plus(st[7], st[8], p.window_s, p.window_n)
      if later(f_s, f_n, s, n) then s, n = f_s, f_n end
    end
    return s, n
  end
  local function expired(p, st)
    local s, n = expires(p, st)
    return not later(s, n, now_s, now_n)
  end
  local function lives(p, st) return ms_until(expires(p, st)) end

  local function banned(st) return later(st[1], st[2], now_s, now_n) end
  local function live_strikes(p, st)
    local e_s, e_n = plus(st[7], st[8], p.window_s, p.window_n)
    if not later(e_s, e_n, now_s, now_n) then return 0 end
    return min(st[6], p.threshold - 1)
  end
  local function level_at(p, st, at_s, at_n)
    local level, s, n = st[3], st[4], st[5]
    while level > 0 do
      s, n = plus(s, n, p.decay_s, p.decay_n)
      if later(s, n, at_s, at_n) then break end
      level = level - 1
    end
    return level
  end

  local function ban(p, st)
    local level, ms = level_at(p, st, now_s, now_n), min(p.longest_ms, p.first_ms)
    for _ = 1, level do
      if ms >= p.longest_ms then break end
      ms = min(p.longest_ms, div(ms * p.factor, 100))
    end
    local s, n = plus(now_s, now_n, div(ms, 1000), ms % 1000 * 1000000)
    return {s, n, min(level + 1, MOST_LEVEL), s, n, 0, 0, 0}
  end
  local function with_strikes(st, strikes, s, n)
    if strikes == 0 then s, n = 0, 0 end
    return {st[1], st[2], st[3], st[4], st[5], strikes, s, n}
  end

  local function check(_, st) return not banned(st), st end
  local function charge(p, st)
    if banned(st) then return st end
    local strikes, s, n = live_strikes(p, st), st[7], st[8]
    if strikes == 0 then s, n = now_s, now_n end
    if strikes + 1 >= p.threshold then return ban(p, st) end
    return with_strikes(st, strikes + 1, s, n)
  end
  local function refund(p, st) return with_strikes(st, max(0, live_strikes(p, st) - 1), st[7], st[8]) end
  local function assign(p, _, used)
    used = used or p.cost
    if used >= p.threshold then return ban(p, fresh) end
    return with_strikes(fresh, used, now_s, now_n)
  end
  -- The later ban, and the levels and strikes of both.
  local function join(p, st, old)
    local last, first = st, old
    if later(old[1], old[2], st[1], st[2]) then last, first = old, st end
    local level = min(last[3] + level_at(p, first, last[4], last[5]), MOST_LEVEL)
    local box = {last[1], last[2], level, last[4], last[5], 0, 0, 0}
    if banned(box) then return box end
    local here = live_strikes(p, st)
    local strikes, from = here + live_strikes(p, old), here > 0 and st or old
    if strikes >= p.threshold then return ban(p, box) end
    return with_strikes(box, strikes, from[7], from[8])
  end
  -- Nothing is counted, so all that is asked for may be had, and is not charged.
  local function room() return MOST end
  local function grant(_, st) return st end
  local function used(p, st) return banned(st) and p.threshold or live_strikes(p, st) end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = charge, join = join, used = used,
          room = room, grant = grant}
end
