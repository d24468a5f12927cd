-- What a claim needs for jobs that are due, that have rules, or are not plain.

local function begin(due, rules_at)
  promote(due)
  if #due > 0 then
    flush()
  end
  for at = rules_at, #ARGV, 2 do
    rules[ARGV[at]] = rules[ARGV[at]] or ARGV[at + 1]
  end
  if ARGV[9] == '1' then
    breakers = all_breakers()
  end
end

-- What nobody can read fails, and holds up no other.
local function unreadable(one, id)
  local row = {
    id = id, state = WAITING, lapses = 0, kills = 0, max_kills = 1, attempt = 0, exceptions = 0,
    token = 0, seq = struct.unpack('>I6', one.m), since = one.since, at = one.since,
    pushed = one.since, lane = one.lane, m = one.m, was = WAITING, was_lane = one.lane,
  }
  rows[id] = row
  row.token = 1
  go(row, 'claim')
  row.worker = ARGV[1]
  fail(row)
  record(row, ARGV[1], 'fail', 'what is stored of it cannot be read')
end

local function hand_over(one, id, stored, lease_end)
  local row = rows[id] or stored and read_head(id, stored)
  if not row or row.state ~= WAITING then
    return unreadable(one, id)
  end
  rows[id] = row
  if is_cancelling(row) then
    cancel(row)
    return
  end
  go(row, 'claim')
  row.token = row.token + 1
  row.attempt = row.attempt + 1
  row.at = lease_end
  row.worker = ARGV[1]
  tally_waited(row.lane, row.since)
  local checkpoint = row.checkpoint and call('HGET', base .. 'x:' .. id, 'c') or ''
  local class = row.isolated and call('HGET', base .. 'x:' .. id, 'i') or ''
  return {id, head_of(row), stored, checkpoint, one.name, class, take(one.room, row)}
end

local function commit_all()
  keep_rates()
  commit()
end

local function next_after()
  return next_at and next_at - now_ms
end

return {
  begin = begin, room_of = room_of, keep_to_rules = keep_to_rules, hand_over = hand_over,
  commit = commit_all, next_after = next_after, open_breakers = open_breakers,
}
