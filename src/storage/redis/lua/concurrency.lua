-- concurrency (algorithms/concurrency.h). State: {total, body}; body holds (token: 8 bytes, slots, expiry seconds and
-- nanoseconds) by ascending expiry. Held as total and body, little-endian; fresh = {0, ''}.
makers.c = function()
  local fresh = {0, ''}
  local FORM, ENTRY = '<dI4d', 28        -- expiry and slots; the token stands before them
  local MOST_ENTRIES = 131072

  -- Words: when a lease that begins now ends, the token (8 bytes), capacity, cost.
  local function parse(fit)
    return {fit = fit, ends_s = number(), ends_n = number(), token = word(), capacity = number(), cost = number()}
  end

  local function decode(raw)
    if #raw < 8 + ENTRY or (#raw - 8) % ENTRY ~= 0 then return fresh end
    local total, s, n, held = unpack_from('<d', raw), unpack_from(FORM, raw, #raw - ENTRY + 9)
    local sane = whole(total, 0, MOST) and whole(s, 0, LATEST_S - 1) and n < NANO and whole(held, 1, MOST)
    return sane and {total, sub(raw, 9)} or fresh
  end
  local function encode(st)
    if st[2] == '' then return '' end
    return pack('<d', st[1]) .. st[2]
  end
  local function entry(body, at) return unpack_from(FORM, body, at + 8) end
  local function last(body) return entry(body, #body - ENTRY + 1) end
  local function expired(_, st)
    if st[2] == '' then return true end
    local s, n = last(st[2])
    return not later(s, n, now_s, now_n)
  end
  local function lives(_, st) return ms_until(last(st[2])) end

  -- The first live byte, and the sum of live slots, which is what is used.
  local function look(st)
    local body, total, at = st[2], st[1], 1
    while at <= #body do
      local s, n, held = entry(body, at)
      if later(s, n, now_s, now_n) then return at, total end
      total = max(0, total - held)
      at = at + ENTRY
    end
    return at, 0
  end

  -- Nearly always at the end; earlier when another caller's clock is ahead, or the lease has been shortened.
  local function insert(p, st, at, total, cost)
    local body = sub(st[2], at)
    local held = min(cost, MOST - total)
    if held == 0 then return {total, body} end
    local added = p.token .. pack(FORM, p.ends_s, p.ends_n, held)
    local place = #body + 1
    while place > 1 do
      local s, n = entry(body, place - ENTRY)
      if not later(s, n, p.ends_s, p.ends_n) then break end
      place = place - ENTRY
    end
    return {total + held, sub(body, 1, place - 1) .. added .. sub(body, place)}
  end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    local at, used = look(st)
    if p.fit == NEVER then return false, st end
    if p.cost <= p.capacity - used then return true, insert(p, st, at, used, p.cost) end
    local s, n, held
    repeat
      s, n, held = entry(st[2], at)
      used, at = max(0, used - held), at + ENTRY
    until p.cost <= p.capacity - used or at > #st[2]
    return false, st, {s, n}
  end
  local function add(p, st, cost)
    local at, used = look(st)
    if #st[2] - at + 1 >= MOST_ENTRIES * ENTRY then return st end
    return insert(p, st, at, used, cost)
  end
  local function charge(p, st)
    if p.fit == ZERO then return st end
    return add(p, st, p.cost)
  end
  local function refund(p, st)
    local body, total, kept, from = st[2], st[1], {}, 1
    for at = 1, #body, ENTRY do
      if sub(body, at, at + 7) == p.token then
        local _, _, held = entry(body, at)
        total = total - held
        kept[#kept + 1] = sub(body, from, at - 1)
        from = at + ENTRY
      end
    end
    if from == 1 then return st end
    kept[#kept + 1] = sub(body, from)
    body = table.concat(kept)
    return body == '' and fresh or {total, body}
  end
  local function assign(p, _, used)
    used = used or p.cost
    if used == 0 then return fresh end
    return {used, p.token .. pack(FORM, p.ends_s, p.ends_n, used)}
  end
  local function used(_, st)
    local _, used = look(st)
    return used
  end
  -- The live slots of both, by expiry.
  local function join(_, st, old)
    local a, b, at_a, at_b = st[2], old[2], look(st), look(old)
    local kept, total = {}, 0
    while #kept < MOST_ENTRIES and (at_a <= #a or at_b <= #b) do
      local from_b = at_a > #a
      if not from_b and at_b <= #b then
        local a_s, a_n = entry(a, at_a)
        local b_s, b_n = entry(b, at_b)
        from_b = later(a_s, a_n, b_s, b_n)
      end
      local body, at = from_b and b or a, from_b and at_b or at_a
      local s, n, held = entry(body, at)
      local added = min(held, MOST - total)
      if added == 0 then break end
      total = total + added
      kept[#kept + 1] = sub(body, at, at + 7) .. pack(FORM, s, n, added)
      if from_b then at_b = at_b + ENTRY else at_a = at_a + ENTRY end
    end
    return #kept == 0 and fresh or {total, table.concat(kept)}
  end

  -- "used last expiry": last expiry '-' when no slot is held; expiry: of the slot whose end makes room.
  local function answer(_, st, wait)
    local at, used = look(st)
    local ends = at <= #st[2] and instant_text(last(st[2])) or '-'
    if wait then return format('%d %s %s', used, ends, instant_text(wait[1], wait[2])) end
    return format('%d %s', used, ends)
  end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = add, join = join, used = used,
          answer = answer}
end
