-- sliding_window with sub-windows (algorithms/sliding_window.h). State: {total, body}; body holds an (index, count)
-- pair of doubles for each sub-window, by ascending index. Held as total and body, little-endian; fresh = {0, ''}.
makers.s = function()
  local fresh = {0, ''}
  local ENTRY = 16
  local MOST_INDEX = 17592186044416      -- 2^44
  local ONE = 1048576                    -- the weight of a sub-window that counts whole

  -- Words: current, oldest, weight as of now; K and W0 for a state from the future; capacity, cost, whether denials
  -- count; milliseconds of a sub-window and of the window, rounded up.
  local function parse(fit)
    return {fit = fit, current = number(), oldest = number(), weight = number(), span = number(),
            span_weight = number(), capacity = number(), cost = number(), count_denied = word() == '1',
            precision_ms = number(), window_ms = number()}
  end

  local function decode(raw)
    if #raw < 8 + ENTRY or (#raw - 8) % ENTRY ~= 0 then return fresh end
    local total, index, count = unpack_from('<d', raw), unpack_from('<dd', raw, #raw - ENTRY + 1)
    local sane = whole(total, 0, MOST) and whole(index, -MOST_INDEX, MOST_INDEX) and whole(count, 1, MOST)
    return sane and {total, sub(raw, 9)} or fresh
  end
  local function encode(st)
    if st[2] == '' then return '' end
    return pack('<d', st[1]) .. st[2]
  end
  local function newest(st) return (unpack_from('<d', st[2], #st[2] - ENTRY + 1)) end
  local function expired(p, st) return st[2] == '' or newest(st) < p.oldest end
  local function lives(p, st)
    return max(0, newest(st) - p.current + 1) * p.precision_ms + p.window_ms
  end

  local function part(count, weight)
    local rest = count % ONE
    local product = rest * weight
    local over = product % ONE
    return (count - rest) / ONE * weight + (product - over) / ONE + (over > 0 and 1 or 0)
  end

  -- What holds now: the current index, the first live byte, the sum of live counts, what is used.
  local function look(p, st)
    local body, total = st[2], st[1]
    local size = #body
    if size == 0 then return p.current, 1, 0, 0 end
    local current, oldest, weight = p.current, p.oldest, p.weight
    local last = newest(st)
    if last > current then current, oldest, weight = last, last - p.span, p.span_weight end
    local at = 1
    while at <= size do
      local index, count = unpack_from('<dd', body, at)
      if index == oldest then return current, at, total, total - count + part(count, weight) end
      if index > oldest then return current, at, total, total end
      total = max(0, total - count)
      at = at + ENTRY
    end
    return current, at, 0, 0
  end

  local function insert(st, current, at, total, cost)
    cost = min(cost, MOST - total)
    if cost == 0 then return {total, sub(st[2], at)} end
    local body = sub(st[2], at)
    if body ~= '' then
      local index, count = unpack_from('<dd', body, #body - ENTRY + 1)
      if index == current then return {total + cost, sub(body, 1, -ENTRY - 1) .. pack('<dd', index, count + cost)} end
    end
    return {total + cost, body .. pack('<dd', current, cost)}
  end

  -- The sub-window that must leave, and how much of it may still count, for the cost to fit.
  local function retry(p, st, at, total)
    local body, rest = st[2], total
    while at <= #body do
      local index, count = unpack_from('<dd', body, at)
      -- The total of a damaged state may exceed its counts; after the last one nothing is left all the same.
      rest = at + ENTRY > #body and 0 or max(0, rest - count)
      local budget = p.capacity - p.cost - rest
      if budget >= 0 then
        if budget >= count then return {index, ONE} end
        local weight = 0
        for _ = 1, 20 do
          weight, budget = weight * 2, budget * 2
          if budget >= count then weight, budget = weight + 1, budget - count end
        end
        return {index, weight}
      end
      at = at + ENTRY
    end
  end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    local current, at, total, used = look(p, st)
    if p.fit == FITS and p.cost <= p.capacity - used then return true, insert(st, current, at, total, p.cost) end
    local after = st
    if p.count_denied then
      after = insert(st, current, at, total, p.cost)
      current, at, total = look(p, after)
    end
    return false, after, p.fit == FITS and retry(p, after, at, total) or nil
  end
  local function add(p, st, cost)
    local current, at, total = look(p, st)
    return insert(st, current, at, total, cost)
  end
  local function charge(p, st)
    if p.fit == ZERO then return st end
    return add(p, st, p.cost)
  end
  local function refund(p, st)
    if p.fit == ZERO then return st end
    local _, at, total = look(p, st)
    local body, cost = sub(st[2], at), p.cost
    if p.charge then
      for place = 1, #body, ENTRY do
        local index, count = unpack_from('<dd', body, place)
        if index == p.at_index then
          local taken = min(count, cost)
          local left = taken < count and pack('<dd', index, count - taken) or ''
          body, total = sub(body, 1, place - 1) .. left .. sub(body, place + ENTRY), total - taken
          break
        end
      end
      cost = 0
    end
    while body ~= '' and cost > 0 do
      local index, count = unpack_from('<dd', body, #body - ENTRY + 1)
      local taken = min(count, cost)
      body, cost, total = sub(body, 1, -ENTRY - 1), cost - taken, total - taken
      if taken < count then body = body .. pack('<dd', index, count - taken) end
    end
    return body == '' and fresh or {total, body}
  end
  local function assign(p, _, used)
    used = used or p.cost
    if used == 0 then return fresh end
    return {used, pack('<dd', p.current, used)}
  end
  local function used(p, st)
    local _, _, _, used = look(p, st)
    return used
  end

  -- "used newest index weight"; newest '-' when nothing is live, index and weight of retry().
  local function answer(p, st, wait)
    local _, at, _, used = look(p, st)
    local last = at <= #st[2] and format('%d', newest(st)) or '-'
    if wait then return format('%d %s %d %d', used, last, wait[1], wait[2]) end
    return format('%d %s', used, last)
  end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = add, used = used, answer = answer}
end
