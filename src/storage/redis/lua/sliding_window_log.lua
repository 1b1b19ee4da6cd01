-- sliding_window_log (algorithms/sliding_window_log.h). State: {total, body}; body holds (seconds, nanoseconds, cost)
-- of each admission by ascending instant. Held as total and body, little-endian; fresh = {0, ''}.
makers.l = function()
  local fresh = {0, ''}
  local FORM, ENTRY = '<dI4d', 20

  -- Words: the window, the most entries that may be live, capacity, cost.
  local function parse(fit)
    local window_s, window_n = instant()
    local dead_s, dead_n = minus(now_s, now_n, window_s, window_n)
    return {fit = fit, window_s = window_s, window_n = window_n, dead_s = dead_s, dead_n = dead_n, most = number(),
            capacity = number(), cost = number()}
  end

  local function decode(raw)
    if #raw < 8 + ENTRY or (#raw - 8) % ENTRY ~= 0 then return fresh end
    local total, s, n, cost = unpack_from('<d', raw), unpack_from(FORM, raw, #raw - ENTRY + 1)
    local sane = whole(total, 0, MOST) and whole(s, 0, LATEST_S - 1) and n < NANO and whole(cost, 1, MOST)
    return sane and {total, sub(raw, 9)} or fresh
  end
  local function encode(st)
    if st[2] == '' then return '' end
    return pack('<d', st[1]) .. st[2]
  end
  local function last(body) return unpack_from(FORM, body, #body - ENTRY + 1) end
  local function expired(p, st)
    if st[2] == '' then return true end
    local s, n = last(st[2])
    return not later(s, n, p.dead_s, p.dead_n)
  end
  local function lives(p, st)
    local s, n = last(st[2])
    return ms_until(plus(s, n, p.window_s, p.window_n))
  end

  -- The first live byte, and the sum of live costs, which is what is used.
  local function look(p, st)
    local body, total, at = st[2], st[1], 1
    while at <= #body do
      local s, n, cost = unpack_from(FORM, body, at)
      if later(s, n, p.dead_s, p.dead_n) then return at, total end
      total = max(0, total - cost)
      at = at + ENTRY
    end
    return at, 0
  end

  local function insert(p, st, at, total, cost)
    local body = sub(st[2], at)
    cost = min(cost, MOST - total)
    if cost == 0 then return {total, body} end
    local s, n = now_s, now_n
    if body ~= '' then
      local l_s, l_n, l_cost = last(body)
      if not later(s, n, l_s, l_n) then s, n = l_s, l_n end
      if (s == l_s and n == l_n) or #body >= p.most * ENTRY then
        return {total + cost, sub(body, 1, -ENTRY - 1) .. pack(FORM, s, n, l_cost + cost)}
      end
    end
    return {total + cost, body .. pack(FORM, s, n, cost)}
  end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    local at, used = look(p, st)
    if p.fit == NEVER then return false, st end
    if p.cost <= p.capacity - used then return true, insert(p, st, at, used, p.cost) end
    local s, n, cost
    repeat
      s, n, cost = unpack_from(FORM, st[2], at)
      used, at = max(0, used - cost), at + ENTRY
    until p.cost <= p.capacity - used or at > #st[2]
    return false, st, {s, n}
  end
  local function add(p, st, cost)
    local at, total = look(p, st)
    return insert(p, st, at, total, cost)
  end
  local function charge(p, st)
    if p.fit == ZERO then return st end
    return add(p, st, p.cost)
  end
  local function refund(p, st)
    if p.fit == ZERO then return st end
    local at, total = look(p, st)
    local body, left = sub(st[2], at), p.cost
    if p.charge then
      for place = 1, #body, ENTRY do
        local s, n, cost = unpack_from(FORM, body, place)
        if s == p.at_s and n == p.at_n then
          local taken = min(cost, left)
          local rest = taken < cost and pack(FORM, s, n, cost - taken) or ''
          body, total = sub(body, 1, place - 1) .. rest .. sub(body, place + ENTRY), total - taken
          break
        end
      end
      left = 0
    end
    while body ~= '' and left > 0 do
      local s, n, cost = last(body)
      local taken = min(cost, left)
      body, left, total = sub(body, 1, -ENTRY - 1), left - taken, total - taken
      if taken < cost then body = body .. pack(FORM, s, n, cost - taken) end
    end
    return body == '' and fresh or {total, body}
  end
  local function assign(p, _, used)
    used = used or p.cost
    if used == 0 then return fresh end
    return {used, pack(FORM, now_s, now_n, used)}
  end
  local function used(p, st)
    local _, used = look(p, st)
    return used
  end

  -- "used newest instant": newest '-' when nothing is live; instant: of the entry whose end makes room.
  local function answer(p, st, wait)
    local at, used = look(p, st)
    local newest = at <= #st[2] and instant_text(last(st[2])) or '-'
    if wait then return format('%d %s %s', used, newest, instant_text(wait[1], wait[2])) end
    return format('%d %s', used, newest)
  end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = add, used = used, answer = answer}
end
