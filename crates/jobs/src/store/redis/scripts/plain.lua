-- Plain jobs are claimed, started and finished without a row of their own: their head is patched where
-- it changes. Plain is a job without flags, with which no worker was lost; nothing but itself moves when
-- it does. What is not plain needs the steps of `batches.lua`. Making the functions for those takes as
-- long as moving a dozen jobs: they are made in `others`, when one is met.
--
-- In a head, from byte on: state 1, flags 2, lapses 3, attempt 6, token 14, seq 20, at 32, pushed 38,
-- lane 44; behind it, in one that is held, the worker 56.

local function is_plain(head, state)
  return #head >= HEAD_BYTES and string.sub(head, 1, 3) == string.char(state) .. '\0\0'
end

local function lane_in(head)
  return (struct.unpack('>I4', head, 44))
end

local function move(lane, from, to)
  count(ready.counts, lane, from, -1)
  count(ready.counts, lane, to, 1)
end

-- Its head as it is from now on; nothing when it is not plain.
local function claim_plainly(id, m, stored, worker, lease_end)
  if rows[id] or not is_plain(stored, WAITING) then
    return nil
  end
  local lane, attempt = lane_in(stored), struct.unpack('>I4', stored, 6)
  local token = struct.unpack('>I6', stored, 14) + 1
  local head = string.char(CLAIMED) .. string.sub(stored, 2, 5)
    .. struct.pack('>I4', attempt + 1) .. string.sub(stored, 10, 13) .. struct.pack('>I6', token)
    .. string.sub(stored, 20, 31) .. struct.pack('>I6', lease_end)
    .. string.sub(stored, 38, HEAD_BYTES)
  move(lane, WAITING, CLAIMED)
  append(ready.rems, place(WAITING, lane), m)
  append(ready.adds, 'leases', text_of(lease_end))
  append(ready.adds, 'leases', m)
  append(ready, 'held', id)
  append(ready, 'held', head .. worker)
  append(ready.by, worker, m)
  return head
end

-- Whether it was; `token` as bytes.
local function start_plainly(id, token)
  local held = heads[id]
  if rows[id] or not held or not is_plain(held, CLAIMED) or string.sub(held, 14, 19) ~= token then
    return false
  end
  heads[id] = string.char(RUNNING) .. string.sub(held, 2)
  move(lane_in(held), CLAIMED, RUNNING)
  append(ready, 'held', id)
  append(ready, 'held', heads[id])
  return true
end

local now_in_head = struct.pack('>I6', now_ms)

-- The lane in which it is; nothing when it was not. `token` as bytes.
local function finish_plainly(id, token)
  local held = heads[id]
  if rows[id] or not held or not is_plain(held, RUNNING) or string.sub(held, 14, 19) ~= token then
    return nil
  end
  heads[id] = false
  local lane, m = lane_in(held), string.sub(held, 20, 25) .. id
  move(lane, RUNNING, DONE)
  tally(lane, ENDS[DONE])
  append(ready, 'gone', id)
  append(ready.not_by, string.sub(held, HEAD_BYTES + 1), m)
  append(ready.rems, PLACES[RUNNING], m)
  append(ready.adds, PLACES[DONE], text_of(now_ms))
  append(ready.adds, PLACES[DONE], m)
  append(ready, 'heads', base .. 'j:' .. id)
  append(ready, 'heads', string.char(DONE) .. string.sub(held, 2, 31) .. now_in_head
    .. string.sub(held, 38, HEAD_BYTES))
  return lane
end

-- The end of a script; `some`: with others, if it met any.
local function commit_with(some)
  if some then
    some.commit()
    return
  end
  write()
  keep_tallies()
  keep_queue()
end
