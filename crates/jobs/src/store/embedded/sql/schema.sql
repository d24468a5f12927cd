-- The file of jobs, version 1. Times are the store's own, in milliseconds. States are the numbers
-- of `State`: 0 scheduled, 1 waiting, 2 claimed, 3 running, 4 done, 5 failed, 6 cancelled.

CREATE TABLE queue (
    id     INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    most   INTEGER NOT NULL               -- jobs that may wait or be scheduled
) STRICT;

-- What a claim takes or leaves as a whole: a kind of job on a queue, of one version of the
-- definitions, suspects apart. Each has its own line in the index of what waits, so that a claim
-- that leaves some kinds alone does not step over their jobs. Counts its jobs in each state.
CREATE TABLE lane (
    id        INTEGER PRIMARY KEY,
    queue     INTEGER NOT NULL REFERENCES queue (id),
    kind      TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    suspect   INTEGER NOT NULL CHECK (suspect IN (0, 1)),
    tallied   INTEGER NOT NULL,           -- under what its jobs are counted over time
    scheduled INTEGER NOT NULL DEFAULT 0 CHECK (scheduled >= 0),
    waiting   INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    claimed   INTEGER NOT NULL DEFAULT 0 CHECK (claimed >= 0),
    running   INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    done      INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed    INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    UNIQUE (queue, kind, version, suspect)
) STRICT;

-- The narrow, hot half of a job: all that a step reads or writes.
CREATE TABLE job (
    seq        INTEGER PRIMARY KEY,       -- in the order of arrival
    id         INTEGER NOT NULL UNIQUE,   -- 64 bits, as they are
    lane       INTEGER NOT NULL,
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    since_ms   INTEGER NOT NULL,          -- its place in the line: since when it waits
    at_ms      INTEGER NOT NULL,          -- by state: due, waits since, lease ends, ended
    token      INTEGER NOT NULL DEFAULT 0,
    attempt    INTEGER NOT NULL DEFAULT 0,
    exceptions INTEGER NOT NULL DEFAULT 0,
    lapses     INTEGER NOT NULL DEFAULT 0, -- attempts spent on which a death is to blame
    kills      INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0,
    worker     TEXT,                      -- only while it is held
    batch      INTEGER,
    queue      INTEGER NOT NULL,
    unique_key TEXT
) STRICT;

CREATE INDEX job_waiting ON job (lane, since_ms, seq) WHERE state = 1;
CREATE INDEX job_scheduled ON job (at_ms, seq) WHERE state = 0;
CREATE INDEX job_held ON job (at_ms, seq) WHERE state IN (2, 3);
CREATE INDEX job_failed ON job (at_ms, seq) WHERE state = 5;
CREATE INDEX job_ended ON job (at_ms, seq) WHERE state IN (4, 5, 6);
CREATE INDEX job_batch ON job (batch, seq) WHERE batch IS NOT NULL AND state IN (0, 1);
-- The lock is the row itself: it cannot outlive the job or be lost before it (law 12).
CREATE UNIQUE INDEX job_unique ON job (queue, unique_key)
    WHERE unique_key IS NOT NULL AND state IN (0, 1, 2, 3);

-- The wide half, written once.
CREATE TABLE body (
    seq       INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    pushed_ms INTEGER NOT NULL,
    policy    TEXT    NOT NULL,           -- JSON of `Policy`
    payload   BLOB    NOT NULL
) STRICT;

CREATE TABLE progress (
    seq        INTEGER PRIMARY KEY,
    done       INTEGER NOT NULL DEFAULT 0,
    "of"       INTEGER NOT NULL DEFAULT 0,
    note       TEXT    NOT NULL DEFAULT '',
    checkpoint BLOB
) STRICT;

CREATE TABLE result (
    seq   INTEGER PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Results that an attempt recorded for those after it.
CREATE TABLE once (
    seq   INTEGER NOT NULL,
    key   TEXT    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (seq, key)
) STRICT, WITHOUT ROWID;

-- Attempts that ended otherwise than well, and those of which there is something to say.
CREATE TABLE attempt (
    seq      INTEGER NOT NULL,
    token    INTEGER NOT NULL,
    worker   TEXT    NOT NULL,
    ended_ms INTEGER NOT NULL,
    step     TEXT    NOT NULL,            -- the name of a `Step`
    reason   TEXT    NOT NULL,
    record   TEXT,                        -- JSON of `Record`, where there is something in it
    PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    id             INTEGER PRIMARY KEY,   -- 64 bits, as they are
    name           TEXT    NOT NULL,
    queue          INTEGER NOT NULL,
    allow_failures INTEGER NOT NULL CHECK (allow_failures IN (0, 1)),
    total          INTEGER NOT NULL DEFAULT 0,
    pending        INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    failed         INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled      INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    caught         INTEGER NOT NULL DEFAULT 0, -- its catch was created
    is_cancelled   INTEGER NOT NULL DEFAULT 0,
    created_ms     INTEGER NOT NULL,
    finished_ms    INTEGER,
    callbacks      TEXT    NOT NULL       -- JSON: then, catch, finally
) STRICT;

CREATE INDEX batch_cancelled ON batch (id) WHERE is_cancelled = 1 AND finished_ms IS NULL;
CREATE INDEX batch_finished ON batch (finished_ms) WHERE finished_ms IS NOT NULL;

-- What is left of a kind's rate: `debt` goes down by `count` each millisecond, a claim adds
-- `per_ms`, and it never exceeds `count * per_ms`. No row: all of it.
CREATE TABLE rate (
    queue  INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    count  INTEGER NOT NULL CHECK (count > 0),
    per_ms INTEGER NOT NULL CHECK (per_ms > 0),
    debt   INTEGER NOT NULL CHECK (debt BETWEEN 0 AND count * per_ms),
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (queue, kind)
) STRICT, WITHOUT ROWID;

-- Remotes that failed. No row: its breaker is closed.
CREATE TABLE breaker (
    queue       INTEGER NOT NULL,
    remote      TEXT    NOT NULL,
    since_ms    INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,         -- open, or held back for the probe, until then
    trips       INTEGER NOT NULL,         -- in a row
    reason      TEXT    NOT NULL,
    probe       INTEGER,                  -- the id of the job that tries it out, and its token
    probe_token INTEGER,
    PRIMARY KEY (queue, remote)
) STRICT, WITHOUT ROWID;

-- How far the schedules of a queue are, by the calendar.
CREATE TABLE schedule (
    queue    INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    mark_ms  INTEGER NOT NULL,            -- what was due up to here is pushed or left out
    fired_ms INTEGER,                     -- the last instant for which jobs were pushed
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

-- Kinds of a queue that are counted over time, those above the limit together under `*`.
CREATE TABLE tallied (
    id      INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    seen_ms INTEGER NOT NULL,             -- when it was made, or its minutes were folded last
    UNIQUE (queue, kind)
) STRICT;

-- What happened in a minute or an hour.
CREATE TABLE tally (
    span    INTEGER NOT NULL,             -- its length in milliseconds
    at_ms   INTEGER NOT NULL,             -- its beginning
    tallied INTEGER NOT NULL,
    data    BLOB    NOT NULL,             -- counts and histograms of `Tally`
    PRIMARY KEY (span, at_ms, tallied)
) STRICT, WITHOUT ROWID;
