-- One plan, all at once. KEYS: for each item its state, and after it the previous state that it may be carried over from.
-- ARGV: op, now, margin (prelude.lua), then for each item a word of four characters and the words of its algorithm.
--   1 letter of the algorithm   2 shadow: 0 1   3 previous state: 0 none, 1 given   4 how the cost stands to the limit
-- A refund has more words here: 0, or 1 and which charge it settles (p.charge, p.at_s, p.at_n, p.at_index).
-- With a previous state there follow the letter of its algorithm and whether the two limits are alike (0 1), the words of
-- parse and parse_source for its limit, and those of parse_target.
-- take (algorithms/take.h): the words of an item are those of a cost of 1; behind them stand what is asked for and the
-- words of parse_source. What is told begins with how much was granted.
-- once (Plan::once) is a check that is charged once: the last key is its own, and behind margin stand for how many ms it
-- lives and a note that is handed out with a repeated answer. What is told ends with 'n' (new), or 'r' and the note.
-- Answers {admitted, told...}: for each item 'a' or 'd' (its own verdict) and what `answer` or `encode` says.
local YES = 49                           -- the byte '1'

-- A key and what becomes of it. `loaded` is what Redis holds, `st` the state after all that was decided so far, `trial`
-- the same if the plan is admitted; `item` the latest one that it belongs to (nil: only ever a previous state).
local slots, slot_of = {}, {}
local held = redis.call('MGET', unpack(KEYS))

-- The answer that is remembered under the last key, when this is asked again; nil when it is not, or damaged.
local life, note = 0, ''
local function remembered()
  local known = held[#KEYS]
  local told, at = {1}, 1
  while known and at <= #known do
    local colon = find(known, ':', at, true)
    local size = colon and tonumber(sub(known, at, colon - 1))
    if not size or not whole(size, 0, #known - colon) then return nil end
    told[#told + 1] = sub(known, colon + 1, colon + size)
    at = colon + size + 1
  end
  return known and #told > 1 and told or nil
end
if op == 'once' then
  op, life, note = 'check', number(), word()
  local told = remembered()
  if told then return told end
end

local key_position = 0
local function next_slot()
  key_position = key_position + 1
  local key = KEYS[key_position]
  local slot = slot_of[key]
  if not slot then
    slot = {key = key, raw = held[key_position], algorithm = false, loaded = false, st = false, trial = false,
            item = false}
    slot_of[key], slots[#slots + 1] = slot, slot
  end
  return slot
end
local function state(slot, algorithm)
  if slot.algorithm ~= algorithm then
    slot.algorithm = algorithm
    slot.loaded = slot.raw and algorithm.decode(slot.raw) or algorithm.fresh
    slot.st = slot.loaded
  end
  return slot.st
end

local items, count = {}, 0
while position < #ARGV do
  local head = word()
  local _, shadow, previous, fit = byte(head, 1, 4)
  local algorithm, slot = algorithm_of(sub(head, 1, 1)), next_slot()
  local item = {algorithm = algorithm, slot = slot, shadow = shadow == YES, p = algorithm.parse(fit), previous = false,
                alike = false, allowed = false, asked = 0}
  if op == 'take' then
    item.asked = number()
    if algorithm.parse_source then algorithm.parse_source(item.p) end
  end
  -- The charge that is settled, if one is named: its instant, and the sub-window that counted it.
  if op == 'refund' and word() == '1' then
    local p = item.p
    p.charge, p.at_s, p.at_n, p.at_index = true, number(), number(), number()
  end
  if previous == YES then
    local kind = word()
    item.previous_slot, item.previous, item.alike = next_slot(), algorithm_of(sub(kind, 1, 1)), byte(kind, 2) == YES
    item.q = item.previous.parse(ZERO)
    if item.previous.parse_source then item.previous.parse_source(item.q) end
    if algorithm.parse_target then algorithm.parse_target(item.p) end
  end
  count = count + 1
  items[count] = item
end

-- Two states of one limit: the one of which more is used, and the other's count charged to it.
local function join_counts(algorithm, p, st, old)
  local here, there = algorithm.used(p, st), algorithm.used(p, old)
  if there > here then st, there = old, here end
  return there > 0 and algorithm.add(p, st, there) or st
end

-- The state that an item starts from, when the previous one is to be carried over to it (algorithms/carry_over.h).
local function carried(item)
  if not item.previous or item.previous_slot == item.slot then return nil end
  local old = state(item.previous_slot, item.previous)
  if item.previous.expired(item.q, old) then return nil end
  local algorithm, p, st = item.algorithm, item.p, state(item.slot, item.algorithm)
  local absent = algorithm.expired(p, st)
  if item.alike then
    if algorithm.widen then old = algorithm.widen(p, old, item.q) end
    if algorithm.expired(p, old) then return st end
    if absent then return old end
    return algorithm.join and algorithm.join(p, st, old) or join_counts(algorithm, p, st, old)
  end
  local used = item.previous.used(item.q, old)
  if used == 0 then return st end
  return absent and algorithm.assign(p, algorithm.fresh, used) or algorithm.add(p, st, used)
end

-- What has expired is dropped when it is touched: it stays dropped when the clock goes back.
local function kept(item, st)
  if item.algorithm.expired(item.p, st) then return item.algorithm.fresh end
  return st
end

local function tell(item, allowed, before, after, retry)
  local algorithm = item.algorithm
  local text = algorithm.answer and algorithm.answer(item.p, after, retry) or algorithm.encode(before)
  return (allowed and 'a' or 'd') .. text
end

local function granted(item, st)
  local algorithm, p = item.algorithm, item.p
  local room = algorithm.room and algorithm.room(p, st) or p.capacity - algorithm.used(p, st)
  return min(item.asked, max(1, room))
end

local told = {1}

if op == 'peek' then
  for i = 1, count do
    local item = items[i]
    local before = carried(item) or state(item.slot, item.algorithm)
    local allowed, after, retry = item.algorithm.check(item.p, before)
    if not allowed and not item.shadow then told[1] = 0 end
    told[i + 1] = tell(item, allowed, before, after, retry)
  end
  return told
end

for i = 1, count do
  local item = items[i]
  item.slot.item = item
  local st = carried(item)
  if st then item.slot.st, item.previous_slot.st = kept(item, st), item.previous.fresh end
end

if op == 'check' then
  -- As if all were admitted, each seeing those before it.
  for i = 1, count do
    local item = items[i]
    local slot = item.slot
    local before = slot.trial or state(slot, item.algorithm)
    local allowed, after, retry = item.algorithm.check(item.p, before)
    slot.trial, item.allowed = kept(item, after), allowed
    if not allowed and not item.shadow then told[1] = 0 end
    told[i + 1] = tell(item, allowed, before, after, retry)
  end
  if told[1] == 1 then
    for i = 1, count do items[i].slot.st = items[i].slot.trial end
  else
    -- Denied: shadow items go by their own verdict, those that denied may count that, the others consume nothing.
    for i = 1, count do
      local item = items[i]
      local before = state(item.slot, item.algorithm)
      if item.shadow or not item.allowed then
        local allowed, after, retry = item.algorithm.check(item.p, before)
        if item.shadow or not allowed then item.slot.st = kept(item, after) end
        if item.shadow then told[i + 1] = tell(item, allowed, before, after, retry) end
      else
        before = carried(item) or before
        told[i + 1] = tell(item, true, before, before)
      end
    end
  end
elseif op == 'take' then
  for i = 1, count do
    local item = items[i]
    local algorithm, p = item.algorithm, item.p
    local before = state(item.slot, algorithm)
    local allowed, after, retry = algorithm.check(p, before)
    local amount, kept_state = 0, before
    if allowed and item.asked > 0 then
      amount = granted(item, before)
      after = (algorithm.grant or algorithm.add)(p, before, amount)
      kept_state = after
    end
    item.slot.st = kept(item, kept_state)
    local text = tell(item, allowed, before, after, retry)
    told[i + 1] = format('%s%d %s', sub(text, 1, 1), amount, sub(text, 2))
  end
else
  for i = 1, count do
    local item = items[i]
    local before = state(item.slot, item.algorithm)
    local after = op == 'reset' and item.algorithm.fresh or item.algorithm[op](item.p, before)
    item.slot.st = kept(item, after)
    told[i + 1] = tell(item, true, before, after)
  end
end

for i = 1, #slots do
  local slot = slots[i]
  local item, st = slot.item, slot.st
  if item and st and st ~= item.algorithm.fresh then
    local lives = item.algorithm.lives(item.p, st)
    if st ~= slot.loaded then
      redis.call('SET', slot.key, item.algorithm.encode(st), 'PX', format('%d', lives + margin))
    -- Unchanged. This caller's clock may be behind the one that wrote it, or somebody took the TTL away.
    elseif not item.algorithm.expired(item.p, st) and redis.call('PTTL', slot.key) < lives then
      redis.call('PEXPIRE', slot.key, format('%d', lives + margin))
    end
  elseif slot.raw and st and st ~= slot.loaded then
    redis.call('DEL', slot.key)
  end
end
if life > 0 then
  if told[1] == 1 then
    local parts = {}
    for i = 2, count + 1 do parts[i - 1] = #told[i] .. ':' .. told[i] end
    parts[count + 1] = (#note + 1) .. ':r' .. note
    redis.call('SET', KEYS[#KEYS], table.concat(parts), 'PX', format('%d', life))
  end
  told[count + 2] = 'n'
end
return told
