-- One window with a start and a count (algorithms/anchored_window.h): fixed_window, rolling and calendar, and the form
-- of sliding_window whose precision is not below its window. State: {s, n, count}, start and count; count 0 = fresh.
-- Held as "start count", start in decimal nanoseconds.
makers.w = function()
  local fresh = {0, 0, 0}

  -- Words: the first start that has not expired, the start of a window that opens now, the longest time a window may
  -- last, capacity, cost, whether denials count, the most that is counted.
  local function parse(fit)
    return {fit = fit, live_s = number(), live_n = number(), open_s = number(), open_n = number(), long_s = number(),
            long_n = number(), capacity = number(), cost = number(), count_denied = word() == '1',
            most = number()}
  end

  local function decode(raw)
    local _, _, start, count = find(raw, '^(%d+) (%d+)$')
    if not start then return fresh end
    local s, n = read_instant(start)
    return {s, n, read_count(count)}
  end
  local function encode(st)
    if st == fresh then return '' end
    return instant_text(st[1], st[2]) .. format(' %d', st[3])
  end
  local function expired(p, st) return st[3] == 0 or later(p.live_s, p.live_n, st[1], st[2]) end
  local function lives(p, st) return ms_until(plus(st[1], st[2], p.long_s, p.long_n)) end

  -- The window that is in force now: the state, or an empty one that opens.
  local function current(p, st)
    if expired(p, st) then return {p.open_s, p.open_n, 0} end
    if st[3] > p.most then return {st[1], st[2], p.most} end
    return st
  end
  local function with(open, count) return {open[1], open[2], count} end

  local function check(p, st)
    if p.fit == ZERO then return true, st end
    local open = current(p, st)
    if p.fit == FITS and p.cost <= p.capacity - open[3] then return true, with(open, open[3] + p.cost) end
    if p.count_denied then return false, with(open, add_count(open[3], p.cost)) end
    return false, st
  end
  local function add(p, st, cost)
    local open = current(p, st)
    return with(open, min(p.most, add_count(open[3], cost)))
  end
  local function charge(p, st)
    if p.fit == ZERO then return st end
    return add(p, st, p.cost)
  end
  local function refund(p, st)
    if p.fit == ZERO then return st end
    local open = current(p, st)
    if open[3] == 0 or (p.charge and later(open[1], open[2], p.at_s, p.at_n)) then return st end
    if open[3] <= p.cost then return fresh end
    return with(open, open[3] - p.cost)
  end
  local function assign(p, _, used) return {p.open_s, p.open_n, min(p.most, used or p.cost)} end
  local function used(p, st) return current(p, st)[3] end
  return {fresh = fresh, parse = parse, decode = decode, encode = encode, expired = expired, lives = lives,
          check = check, charge = charge, refund = refund, assign = assign, add = add, used = used}
end
