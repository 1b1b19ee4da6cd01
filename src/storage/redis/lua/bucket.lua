-- token_bucket and leaky_bucket: GCRA (algorithms/gcra.h). State: the theoretical arrival time, {s, n}; 0 = fresh.
-- Held as decimal nanoseconds.
makers.g = function()
  local fresh = {0, 0}

  -- Words: room = burst - increment (for a cost that fits), increment.
  local function parse(fit)
    return {fit = fit, room_s = number(), room_n = number(), more_s = number(), more_n = number()}
  end
  local function parse_rate(p)
    p.rate_count = number()
    p.period_s, p.period_n = instant()
  end
  -- Words: rate_count, rate_period; of a source also capacity and burst.
  local function parse_source(p)
    parse_rate(p)
    p.capacity = number()
    p.burst_s, p.burst_n = instant()
  end

  local function decode(raw)
    if not find(raw, '^%d+$') then return fresh end
    return {read_instant(raw)}
  end
  local function encode(st)
    if st == fresh then return '' end
    return instant_text(st[1], st[2])
  end
  local function expired(_, st) return not later(st[1], st[2], now_s, now_n) end
  local function lives(_, st) return ms_until(st[1], st[2]) end

  local function spent(st)
    if later(st[1], st[2], now_s, now_n) then return minus(st[1], st[2], now_s, now_n) end
    return 0, 0
  end

  local function charged(st, more_s, more_n)
    if later(now_s, now_n, st[1], st[2]) then return {plus(now_s, now_n, more_s, more_n)} end
    return {plus(st[1], st[2], more_s, more_n)}
  end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    if p.fit == NEVER then return false, st end
    local s, n = spent(st)
    if later(s, n, p.room_s, p.room_n) then return false, st end
    return true, charged(st, p.more_s, p.more_n)
  end
  local function charge(p, st)
    if p.fit == ZERO then return st end
    return charged(st, p.more_s, p.more_n)
  end
  local function refund(p, st)
    if p.fit == ZERO then return st end
    local s, n = spent(st)
    if not later(s, n, p.more_s, p.more_n) then return fresh end
    return {minus(st[1], st[2], p.more_s, p.more_n)}
  end
  local function add(p, st, used)
    local big = big_numbers()
    local time = big.times(big.count(used), big.instant(p.period_s, p.period_n))
    return charged(st, big.to_instant(big.divide_up(time, big.count(p.rate_count))))
  end
  -- `used` is a number of units when a state is converted; without it the increment was sent.
  local function assign(p, _, used)
    if used then return add(p, fresh, used) end
    if p.fit == ZERO then return fresh end
    return charged(fresh, p.more_s, p.more_n)
  end
  local function join(_, st, old) return charged(st, spent(old)) end
  -- What is not left: what is left is rounded down, so that a debt is rounded up.
  local function used(p, st)
    local s, n = spent(st)
    local big = big_numbers()
    local function units(divide, d_s, d_n)
      local product = big.times(big.instant(d_s, d_n), big.count(p.rate_count))
      return big.to_count(divide(product, big.instant(p.period_s, p.period_n)))
    end
    if later(s, n, p.burst_s, p.burst_n) then
      return add_count(p.capacity, units(big.divide_up, minus(s, n, p.burst_s, p.burst_n)))
    end
    return max(0, p.capacity - units(big.divide_down, minus(p.burst_s, p.burst_n, s, n)))
  end
  return {fresh = fresh, parse = parse, parse_source = parse_source, parse_target = parse_rate, decode = decode,
          encode = encode, expired = expired, lives = lives, check = check, charge = charge, refund = refund,
          assign = assign, add = add, join = join, used = used}
end
