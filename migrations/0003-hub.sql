-- What the Hub's clients do beside publishing whole versions: they make repositories before there is anything in them,
-- upload files one by one, and commit to branches.

-- When a client deleted it: all its versions were withdrawn then. Null again once something new is published.
ALTER TABLE checkpoints ADD COLUMN deleted_at TEXT;

-- Published on a branch beside main: `latest` passes it by.
ALTER TABLE versions ADD COLUMN is_side INTEGER NOT NULL DEFAULT 0 CHECK (is_side IN (0, 1));
-- The version on main before another is found at once, however many there are.
CREATE INDEX versions_on_main ON versions (checkpoint, id) WHERE is_side = 0;

ALTER TABLE tags ADD COLUMN kind TEXT NOT NULL DEFAULT 'tag' CHECK (kind IN ('tag', 'branch'));

-- Branches that nothing was committed to, of checkpoints that had nothing to begin them with.
CREATE TABLE new_branches (
  checkpoint INTEGER NOT NULL REFERENCES checkpoints (id),
  branch     TEXT NOT NULL,
  PRIMARY KEY (checkpoint, branch)
) STRICT, WITHOUT ROWID;

-- What was said of a version when it was committed, and the version that it was built upon.
CREATE TABLE commits (
  version     INTEGER PRIMARY KEY REFERENCES versions (id),
  parent      INTEGER REFERENCES versions (id),
  summary     TEXT NOT NULL,
  description TEXT NOT NULL
) STRICT;

-- Bytes that are proven and durable, and no version names yet: theirs who uploaded them, for that checkpoint, for a while.
CREATE TABLE uploads (
  token      TEXT NOT NULL REFERENCES tokens (id),
  owner      TEXT NOT NULL COLLATE NOCASE,
  name       TEXT NOT NULL COLLATE NOCASE,
  blob       INTEGER NOT NULL REFERENCES blobs (id),
  -- What it was judged as, where it isn't safetensors.
  path       TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  PRIMARY KEY (token, owner, name, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_blob ON uploads (blob);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
