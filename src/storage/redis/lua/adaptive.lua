-- adaptive (algorithms/adaptive.h): one rolling window against a limit that is learned. Held as 35 decimal numbers, the
-- two instants in nanoseconds; the state is a table with a name for each, or `fresh`.
makers.a = function()
  local fresh = {}
  local WELL, LEAST_HEALTH = 65536, 4096
  local MOST_AVERAGE = 1099511627776     -- 2^40
  local MOST_LATENCY = 2147483648        -- 2^27 us in 1/16
  local WORDS = 35

  -- Words: window, learning window, forget; N, factor; capacity and its bounds, cost; latency heard of in us (0 = none)
  -- and whether that request failed.
  local function parse(fit)
    return {fit = fit, window_s = number(), window_n = number(), learning_s = number(), learning_n = number(),
            forget_s = number(), forget_n = number(), needed = number(), factor = number(), capacity = number(),
            least = number(), most = number(), cost = number(), heard_us = number(), heard_failed = word() == '1'}
  end

  local function clamp(value, least, most) return max(least, min(most, value)) end

  local function decode(raw)
    local words = {}
    for w in gmatch(raw, '%d+') do words[#words + 1] = w end
    if #words ~= WORDS then return fresh end
    local m = {season = {}, samples_of = {}}
    m.start_s, m.start_n = read_instant(words[1])
    m.count, m.learned, m.samples = read_count(words[2]), read_count(words[3]), read_count(words[4])
    m.mean, m.deviation = read_count(words[5]), read_count(words[6])
    m.short, m.long = read_count(words[7]), read_count(words[8])
    m.errors, m.health = read_count(words[9]), read_count(words[10])
    m.heard_s, m.heard_n = read_instant(words[11])
    for hour = 0, 23 do
      local packed = read_count(words[12 + hour])
      m.samples_of[hour] = packed % 256
      m.season[hour] = div(packed, 256)
    end
    return m
  end
  local function encode(m)
    if m == fresh then return '' end
    local words = {format('%s %d %d %d %d %d %d %d %d %d %s', instant_text(m.start_s, m.start_n), m.count, m.learned,
                          m.samples, m.mean, m.deviation, m.short, m.long, m.errors, m.health,
                          instant_text(m.heard_s, m.heard_n))}
    for hour = 0, 23 do words[hour + 2] = format('%d', m.season[hour] * 256 + m.samples_of[hour]) end
    return table.concat(words, ' ')
  end

  local function over(s, n, by_s, by_n)  -- s, n + by <= now
    local e_s, e_n = plus(s, n, by_s, by_n)
    return not later(e_s, e_n, now_s, now_n)
  end
  local function expired(p, m) return m == fresh or over(m.start_s, m.start_n, p.forget_s, p.forget_n) end
  local function lives(p, m) return ms_until(plus(m.start_s, m.start_n, p.forget_s, p.forget_n)) end

  local function fresh_model(p)
    local m = {start_s = 0, start_n = 0, count = 0, learned = p.capacity, samples = 0, mean = 0, deviation = 0,
               short = 0, long = 0, errors = 0, health = WELL, heard_s = 0, heard_n = 0, season = {}, samples_of = {}}
    for hour = 0, 23 do m.season[hour], m.samples_of[hour] = 0, 0 end
    return m
  end
  -- A copy to work on, in the limit's bounds: they may have changed since it was written.
  local function bounded_copy(p, old)
    local m = {start_s = old.start_s, start_n = old.start_n, count = min(old.count, MOST),
               learned = clamp(old.learned, p.least, p.most), samples = min(old.samples, p.needed),
               mean = min(old.mean, MOST_AVERAGE), deviation = min(old.deviation, MOST_AVERAGE),
               short = min(old.short, MOST_LATENCY), long = min(old.long, MOST_LATENCY), errors = min(old.errors, WELL),
               health = clamp(old.health, LEAST_HEALTH, WELL), heard_s = old.heard_s, heard_n = old.heard_n,
               season = {}, samples_of = {}}
    for hour = 0, 23 do
      m.season[hour], m.samples_of[hour] = min(old.season[hour], MOST_AVERAGE), old.samples_of[hour]
    end
    return m
  end

  local function hour_of(s) return div(s, 3600) % 24 end
  local function expected(m, hour) return m.samples_of[hour] >= 32 and m.season[hour] or m.mean end
  local function toward(from, to, d)
    if to >= from then return from + div(to - from, d) end
    return from - div(from - to, d)
  end
  local function toward_surely(from, to, d)
    if to == from then return from end
    if to > from then return from + max(1, div(to - from, d)) end
    return from - max(1, div(from - to, d))
  end

  -- The window that closes is one sample of what is normal.
  local function learn(p, m)
    local hour = hour_of(m.start_s)
    local normal = expected(m, hour)
    local sample = min(m.count, p.most) * 256
    if m.samples >= p.needed then sample = min(sample, normal + 4 * m.deviation + 256) end
    sample = min(sample, MOST_AVERAGE)
    local d = min(m.samples + 1, p.needed)
    m.deviation = m.samples == 0 and 0 or toward(m.deviation, math.abs(sample - normal), d)
    m.mean = toward(m.mean, sample, d)
    m.samples_of[hour] = min(m.samples_of[hour] + 1, 255)
    m.season[hour] = toward(m.season[hour], sample, min(m.samples_of[hour], 64))
    m.samples = min(m.samples + 1, p.needed)
  end
  local function learned_limit(p, m)
    if m.samples < p.needed then return p.capacity end
    local normal = expected(m, hour_of(now_s))
    local raised = normal + div(max(m.deviation, div(normal, 8)) * p.factor, 256)
    return clamp(div(raised + 255, 256), p.least, p.most)
  end

  -- The model as of now, with a new window opened if one is due.
  local function model_now(p, st)
    local known = st ~= fresh
    if known and not over(st.start_s, st.start_n, p.window_s, p.window_n) then return bounded_copy(p, st) end
    local m = known and not expired(p, st) and bounded_copy(p, st) or fresh_model(p)
    if m.count > 0 then learn(p, m) end
    m.learned = learned_limit(p, m)
    local heard = m.heard_s > 0 or m.heard_n > 0
    if heard and over(m.heard_s, m.heard_n, p.learning_s, p.learning_n) then
      m.short, m.long, m.errors, m.health, m.heard_s, m.heard_n = 0, 0, 0, WELL, 0, 0
    end
    m.start_s, m.start_n, m.count = now_s, now_n, 0
    return m
  end

  local function hear(p, m)
    local latency = p.heard_us * 16
    m.short = m.short == 0 and latency or toward(m.short, latency, 8)
    m.long = m.long == 0 and latency or toward(m.long, latency, 128)
    if m.long > 2 * m.short then m.long = m.long - div(m.long, 20) end
    m.errors = toward_surely(m.errors, p.heard_failed and WELL or 0, 16)
    local gradient = clamp(div(m.long * 98304, max(1, m.short)), 32768, WELL)
    m.health = toward_surely(m.health, max(LEAST_HEALTH, div(gradient * (WELL - m.errors), WELL)), 8)
    m.heard_s, m.heard_n = now_s, now_n
    if now_s == 0 and now_n == 0 then m.heard_n = 1 end
  end

  local function effective_limit(p, m) return max(p.least, div(m.learned * m.health, WELL)) end
  local function room(p, st)
    local m = model_now(p, st)
    return effective_limit(p, m) - m.count
  end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    if p.fit == NEVER then return false, st end
    local m = model_now(p, st)
    local effective = effective_limit(p, m)
    if p.cost > effective - m.count then return false, st end
    m.count = add_count(m.count, p.cost)
    return true, m
  end
  local function charge(p, st)
    if p.fit == ZERO and p.heard_us == 0 then return st end
    local m = model_now(p, st)
    m.count = add_count(m.count, p.cost)
    if p.fit == ZERO then hear(p, m) end
    return m
  end
  local function refund(p, st)
    if p.fit == ZERO then return st end
    local m = model_now(p, st)
    if m.count == 0 or (p.charge and later(m.start_s, m.start_n, p.at_s, p.at_n)) then return st end
    m.count = m.count - min(m.count, p.cost)
    return m
  end
  local function add(p, st, used)
    local m = model_now(p, st)
    m.count = add_count(m.count, used)
    return m
  end
  local function assign(p, st, used)
    local m = model_now(p, st)
    m.start_s, m.start_n, m.count = now_s, now_n, used or p.cost
    return m
  end
  local function used(p, st)
    if st == fresh or over(st.start_s, st.start_n, p.window_s, p.window_n) then return 0 end
    return min(st.count, MOST)
  end
  -- What has learned from more, with the other's count.
  local function join(p, st, old)
    local here, there = used(p, st), used(p, old)
    if min(old.samples, p.needed) > min(st.samples, p.needed) then st, there = old, here end
    return there > 0 and add(p, st, there) or st
  end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = add, join = join, used = used,
          room = room}
end
