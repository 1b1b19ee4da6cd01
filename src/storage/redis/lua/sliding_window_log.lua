-- sliding_window_log (algorithms/sliding_window_log.h). State: {total, body, head}; body holds (seconds, nanoseconds,
-- cost) of each admission by ascending instant, the first `head` bytes those that do not count any more and are kept;
-- total is of the rest. Held as total, how many are kept (only if any are) and body, little-endian; fresh = {0, '', 0}.
makers.l = function()
  local fresh = {0, '', 0}
  local FORM, ENTRY = '<dI4d', 20
  local MOST_BYTES = 1048576 * ENTRY

  -- Words: the window, the retention, that and the clean-up interval together, the most entries that may be live,
  -- capacity, cost.
  local function parse(fit)
    local window_s, window_n = instant()
    local keep_s, keep_n = instant()
    local due_s, due_n = minus(now_s, now_n, instant())
    local dead_s, dead_n = minus(now_s, now_n, window_s, window_n)
    local old_s, old_n = minus(now_s, now_n, keep_s, keep_n)
    return {fit = fit, window_s = window_s, window_n = window_n, keep_s = keep_s, keep_n = keep_n, dead_s = dead_s,
            dead_n = dead_n, old_s = old_s, old_n = old_n, due_s = due_s, due_n = due_n,
            keeps = later(keep_s, keep_n, window_s, window_n), most = number(), capacity = number(), cost = number()}
  end

  local function decode(raw)
    local total, head, from = 0, 0, 9
    if #raw < 8 + ENTRY then return fresh end
    total = unpack_from('<d', raw)
    if (#raw - 8) % ENTRY == 8 then head, from = unpack_from('<d', raw, 9), 17 end
    local entries = (#raw - from + 1) / ENTRY
    if entries < 1 or not whole(entries, 1, MOST) then return fresh end
    local s, n, cost = unpack_from(FORM, raw, #raw - ENTRY + 1)
    local sane = whole(total, 0, MOST) and whole(s, 0, LATEST_S - 1) and n < NANO and whole(cost, 1, MOST) and
                 whole(head, 0, entries)
    return sane and {total, sub(raw, from), head * ENTRY} or fresh
  end
  local function encode(st)
    if st[2] == '' then return '' end
    if st[3] == 0 then return pack('<d', st[1]) .. st[2] end
    return pack('<dd', st[1], st[3] / ENTRY) .. st[2]
  end
  local function last(body) return unpack_from(FORM, body, #body - ENTRY + 1) end
  local function expired(p, st)
    if st[2] == '' or (st[3] == #st[2] and not p.keeps) then return true end
    local s, n = last(st[2])
    return not later(s, n, p.old_s, p.old_n)
  end
  local function lives(p, st)
    local s, n = last(st[2])
    return ms_until(plus(s, n, p.keep_s, p.keep_n))
  end

  -- The first live byte, and the sum of live costs, which is what is used.
  local function look(p, st)
    local body, total, at = st[2], st[1], st[3] + 1
    while at <= #body do
      local s, n, cost = unpack_from(FORM, body, at)
      if later(s, n, p.dead_s, p.dead_n) then return at, total end
      total = max(0, total - cost)
      at = at + ENTRY
    end
    return at, 0
  end

  -- What is kept when live entries begin at byte `at`: the body, and how much of it does not count.
  local function trim(p, st, at)
    local body, head, cut = st[2], at - 1, 0
    if head == 0 then return body, 0 end
    local s, n = unpack_from(FORM, body, 1)
    if not later(s, n, p.due_s, p.due_n) then
      -- Entries ascend: by halves.
      local high = head / ENTRY
      if not p.keeps then cut = high end
      while cut < high do
        local middle = floor((cut + high) / 2)
        s, n = unpack_from(FORM, body, middle * ENTRY + 1)
        if later(s, n, p.old_s, p.old_n) then high = middle else cut = middle + 1 end
      end
      cut = cut * ENTRY
    end
    cut = max(cut, min(head, #body - MOST_BYTES))
    return sub(body, cut + 1), head - cut
  end

  local function insert(p, st, at, total, cost)
    local body, head = trim(p, st, at)
    if total == 0 and body ~= '' then
      local s, n = last(body)
      if later(s, n, now_s, now_n) then body, head = '', 0 end
    end
    cost = min(cost, MOST - total)
    if cost == 0 then return {total, body, head} end
    local s, n = now_s, now_n
    if #body > head then
      local l_s, l_n, l_cost = last(body)
      if not later(s, n, l_s, l_n) then s, n = l_s, l_n end
      if (s == l_s and n == l_n) or #body - head >= p.most * ENTRY then
        return {total + cost, sub(body, 1, -ENTRY - 1) .. pack(FORM, s, n, l_cost + cost), head}
      end
    end
    return {total + cost, body .. pack(FORM, s, n, cost), head}
  end

  -- A previous state under the words of its limit (q), of which more is kept than counted, goes on under p.
  local function widen(p, st, q)
    local span_s, span_n = p.window_s, p.window_n
    if later(span_s, span_n, q.keep_s, q.keep_n) then span_s, span_n = q.keep_s, q.keep_n end
    if not later(span_s, span_n, q.window_s, q.window_n) then return st end
    local from_s, from_n = minus(now_s, now_n, span_s, span_n)
    local total, head = st[1], st[3]
    while head > 0 do
      local s, n, cost = unpack_from(FORM, st[2], head - ENTRY + 1)
      if not later(s, n, from_s, from_n) then break end
      total, head = add_count(total, cost), head - ENTRY
    end
    return {total, st[2], head}
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
    local body, head = trim(p, st, at)
    local left = p.cost
    if p.charge then
      for place = head + 1, #body, ENTRY do
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
    while #body > head and left > 0 do
      local s, n, cost = last(body)
      local taken = min(cost, left)
      body, left, total = sub(body, 1, -ENTRY - 1), left - taken, total - taken
      if taken < cost then body = body .. pack(FORM, s, n, cost - taken) end
    end
    if #body == head and (head == 0 or not p.keeps) then return fresh end
    return {total, body, head}
  end
  local function assign(p, _, used)
    used = used or p.cost
    if used == 0 then return fresh end
    return {used, pack(FORM, now_s, now_n, used), 0}
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
          check = check, charge = charge, refund = refund, assign = assign, add = add, used = used, widen = widen, answer = answer}
end
