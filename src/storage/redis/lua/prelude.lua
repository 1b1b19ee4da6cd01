-- What every algorithm's file builds on. Numbers are doubles here: exact for whole numbers up to 2^53. So an instant or
-- a duration is two numbers, seconds and nanoseconds (0..999999999), and counts end at MOST.
local floor, min, max = math.floor, math.min, math.max
local byte, format, gmatch, sub, find = string.byte, string.format, string.gmatch, string.sub, string.find
local pack, unpack_from = struct.pack, struct.unpack

local NANO = 1000000000
local MOST = 9007199254740992            -- 2^53
local LATEST_S, LATEST_N = 9223372036, 854775807  -- the last instant that 64 bits hold

-- ARGV, word by word.
local position = 0
local function word()
  position = position + 1
  return ARGV[position]
end
local function number()
  position = position + 1
  return tonumber(ARGV[position])
end
local function instant() return number(), number() end

-- The first words are the same for all items.
local op = word()                        -- check once peek charge refund reset assign take
local now_s, now_n = instant()
local margin = number()                  -- ms that a key outlives its state

-- How a cost stands to its limit (an item's `fit`): the bytes '0', '1', '2'.
local ZERO, FITS, NEVER = 48, 49, 50

local function later(a_s, a_n, b_s, b_n) return a_s > b_s or (a_s == b_s and a_n > b_n) end

-- a + b, ending at LATEST.
local function plus(a_s, a_n, b_s, b_n)
  local s, n = a_s + b_s, a_n + b_n
  if n >= NANO then s, n = s + 1, n - NANO end
  if later(s, n, LATEST_S, LATEST_N) then return LATEST_S, LATEST_N end
  return s, n
end

-- a - b, also below zero (then seconds are negative, nanoseconds are not).
local function minus(a_s, a_n, b_s, b_n)
  local s, n = a_s - b_s, a_n - b_n
  if n < 0 then s, n = s - 1, n + NANO end
  return s, n
end

-- floor(a / b); exact while a + b <= 2^53.
local function div(a, b) return floor(a / b) end

-- Milliseconds from now until an instant, rounded up; 0 when it has passed.
local function ms_until(s, n)
  local d_s, d_n = minus(s, n, now_s, now_n)
  if d_s < 0 then return 0 end
  return d_s * 1000 + div(d_n + 999999, 1000000)
end

-- Instants as text: decimal nanoseconds.
local function instant_text(s, n) return format('%d%09d', s, n) end
local function read_instant(text)
  local s, n = tonumber(sub(text, 1, -10)) or 0, tonumber(sub(text, -9)) or 0
  if later(s, n, LATEST_S, LATEST_N) then return LATEST_S, LATEST_N end
  return s, n
end
local function read_count(text) return min(tonumber(text) or 0, MOST) end

-- For what a damaged state may hold: false for fractions, for what is not a number, and beyond the bounds.
local function whole(value, least, most) return value >= least and value <= most and value == floor(value) end

-- Counts that never pass MOST; compared by differences, for a sum above 2^53 would be rounded.
local function add_count(a, b)
  if b >= MOST - a then return MOST end
  return a + b
end

-- Exact whole numbers of any size: limbs of 6 decimal digits, lowest first. Made only for the rare conversion between
-- rules, as every function here is made anew with each plan.
local function big_numbers()
  local BASE = 1000000
  local function big(value)
    local limbs = {}
    while value > 0 do
      local rest = value % BASE
      limbs[#limbs + 1] = rest
      value = (value - rest) / BASE
    end
    return limbs
  end
  local function big_instant(s, n)
    local low = n % BASE
    local limbs = big(s * 1000 + (n - low) / BASE)
    table.insert(limbs, 1, low)
    return limbs
  end
  local function big_times(a, b)
    local product = {}
    for i = 1, #a + #b do product[i] = 0 end
    for i = 1, #a do
      local carry = 0
      for j = 1, #b do
        local t = product[i + j - 1] + a[i] * b[j] + carry
        product[i + j - 1] = t % BASE
        carry = (t - t % BASE) / BASE
      end
      product[i + #b] = product[i + #b] + carry
    end
    return product
  end
  local function big_compare(a, b)
    for i = max(#a, #b), 1, -1 do
      local x, y = a[i] or 0, b[i] or 0
      if x ~= y then return x < y and -1 or 1 end
    end
    return 0
  end
  -- floor(a / b) for b > 0, and what is left over.
  local function big_divide_down(a, b)
    local quotient, rest = {}, {}
    for i = #a, 1, -1 do
      table.insert(rest, 1, a[i])
      local low, high = 0, BASE - 1        -- the digit is the largest with b * digit <= rest
      while low < high do
        local middle = div(low + high + 1, 2)
        if big_compare(big_times(b, {middle}), rest) <= 0 then low = middle else high = middle - 1 end
      end
      local taken, borrow = big_times(b, {low}), 0
      for k = 1, #rest do
        local t = rest[k] - (taken[k] or 0) - borrow
        borrow = t < 0 and 1 or 0
        rest[k] = t + borrow * BASE
      end
      quotient[i] = low
    end
    return quotient, rest
  end
  -- ceil(a / b) for b > 0.
  local function big_divide_up(a, b)
    local quotient, rest = big_divide_down(a, b)
    if big_compare(rest, {}) == 0 then return quotient end
    local i = 1
    while quotient[i] == BASE - 1 do
      quotient[i] = 0
      i = i + 1
    end
    quotient[i] = (quotient[i] or 0) + 1
    return quotient
  end
  -- As a count, at most MOST.
  local function big_count(a)
    if big_compare(a, big(MOST)) >= 0 then return MOST end
    local value = 0
    for i = #a, 1, -1 do value = value * BASE + a[i] end
    return value
  end
  -- As an instant, at most LATEST.
  local function big_to_instant(a)
    if big_compare(a, big_instant(LATEST_S, LATEST_N)) >= 0 then return LATEST_S, LATEST_N end
    local thousands = 0                    -- of nanoseconds * BASE
    for i = #a, 2, -1 do thousands = thousands * BASE + a[i] end
    local rest = thousands % 1000
    return (thousands - rest) / 1000, rest * BASE + (a[1] or 0)
  end
  return {count = big, instant = big_instant, times = big_times, divide_down = big_divide_down,
          divide_up = big_divide_up, to_count = big_count, to_instant = big_to_instant}
end

-- One maker for each algorithm, by the letter with which an item names it; what it makes is a table of:
--   parse(fit)         reads the item's words, in the order of its table; the rest is called with what it returns, p
--   parse_source(p)    more words, when a state of this kind is what another is converted from, for used()
--   parse_target(p)    more words, when a state of this kind is what another is converted to, for assign()
--   fresh              the state of a subject not seen yet
--   decode(raw)        the state that Redis holds; `fresh` when it is damaged
--   encode(st)         back; never asked for an expired state but to tell it to the caller: '' for fresh
--   expired(p, st)     whether it says the same as fresh
--   lives(p, st)       ms until it does, or longer; not asked when expired
--   check(p, st)       whether the cost is admitted, the state after that verdict, and what retry_after follows from
--   charge, refund     (p, st): the state after it
--   assign(p, st, used)  used: nil for the item's own cost
--   add(p, st, used)   charge of another cost than the item's, above 0
--   room(p, st)        take: how much fits, where it is not capacity - used
--   grant(p, st, cost) take: the state after so much was granted, where it is not add()
--   join(p, st, old)   both as one state of the limit; where it is not given, join_counts (driver.lua) does it
--   used(p, st)        what counts as used now
--   answer(p, st, retry)  what is told of the state after the decision. Without this function the state before it is
--                      told, and the caller decides again by itself
-- States are never changed in place; a state that is handed back as it came is not written.
local makers, made = {}, {}
local function algorithm_of(letter)
  local algorithm = made[letter]
  if not algorithm then
    algorithm = makers[letter]()
    made[letter] = algorithm
  end
  return algorithm
end
