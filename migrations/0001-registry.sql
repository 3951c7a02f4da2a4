-- Digests are 32 raw bytes. Names of owners and checkpoints compare in ASCII lower case (NOCASE is just that).

CREATE TABLE tokens (
  id         TEXT PRIMARY KEY,
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  name       TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('reader', 'writer', 'detector', 'auditor', 'admin')),
  -- `*`, `owner/*`, `owner/name` or `owner/prefix*`: so that GLOB means just that.
  scope      TEXT NOT NULL CHECK (
    scope = '*'
    OR scope GLOB '[a-z0-9]*/?*'
      AND scope NOT GLOB '*[^a-z0-9._/*-]*'
      AND scope NOT GLOB '*/*/*'
      AND instr(scope, '*') IN (0, length(scope))
  ),
  created_at TEXT NOT NULL,
  created_by TEXT,
  expires_at TEXT,
  revoked_at TEXT
) STRICT;

-- The vault that this ledger belongs to, by the random name that the vault carries.
CREATE TABLE vault (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  identity TEXT NOT NULL
) STRICT;

CREATE TABLE checkpoints (
  id         INTEGER PRIMARY KEY,
  owner      TEXT NOT NULL COLLATE NOCASE,
  name       TEXT NOT NULL COLLATE NOCASE,
  created_at TEXT NOT NULL,
  UNIQUE (owner, name)
) STRICT;

-- One row a content. vault_id is the random name of the copy that stands for it now.
CREATE TABLE blobs (
  id         INTEGER PRIMARY KEY,
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  size       INTEGER NOT NULL CHECK (size >= 0),
  kind       TEXT NOT NULL CHECK (kind IN ('safetensors', 'index')),
  chunk_size INTEGER NOT NULL CHECK (chunk_size > 0),
  vault_id   TEXT NOT NULL UNIQUE,
  state      TEXT NOT NULL CHECK (state IN ('sealed', 'quarantined')),
  metadata   TEXT NOT NULL,
  tensors    INTEGER NOT NULL,
  parameters INTEGER NOT NULL,
  sealed_at  TEXT NOT NULL
) STRICT;

-- Leaf digests, 1024 to a page, so that a range of a huge blob reads the page it needs.
CREATE TABLE leaf_pages (
  blob    INTEGER NOT NULL REFERENCES blobs (id),
  page    INTEGER NOT NULL,
  digests BLOB NOT NULL CHECK (length(digests) % 32 = 0 AND length(digests) BETWEEN 32 AND 32768),
  PRIMARY KEY (blob, page)
) STRICT, WITHOUT ROWID;

-- shape is a JSON array; begin and end are absolute in the file.
CREATE TABLE tensors (
  blob   INTEGER NOT NULL REFERENCES blobs (id),
  name   TEXT NOT NULL,
  dtype  TEXT NOT NULL,
  shape  TEXT NOT NULL,
  begin  INTEGER NOT NULL,
  "end"  INTEGER NOT NULL CHECK ("end" >= begin),
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  PRIMARY KEY (blob, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
  id               INTEGER PRIMARY KEY,
  checkpoint       INTEGER NOT NULL REFERENCES checkpoints (id),
  version          TEXT NOT NULL,
  revision         BLOB NOT NULL CHECK (length(revision) = 32),
  state            TEXT NOT NULL CHECK (state IN ('available', 'withdrawn')),
  withdrawn_reason TEXT,
  metadata         TEXT NOT NULL,
  warnings         TEXT NOT NULL,
  size             INTEGER NOT NULL,
  tensors          INTEGER NOT NULL,
  parameters       INTEGER NOT NULL,
  created_at       TEXT NOT NULL,
  created_by       TEXT NOT NULL,
  UNIQUE (checkpoint, version),
  UNIQUE (checkpoint, revision)
) STRICT;

CREATE TABLE files (
  version INTEGER NOT NULL REFERENCES versions (id),
  path    TEXT NOT NULL,
  blob    INTEGER NOT NULL REFERENCES blobs (id),
  PRIMARY KEY (version, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_blob ON files (blob);

CREATE TABLE tags (
  checkpoint INTEGER NOT NULL REFERENCES checkpoints (id),
  tag        TEXT NOT NULL,
  version    INTEGER NOT NULL REFERENCES versions (id),
  moved_at   TEXT NOT NULL,
  PRIMARY KEY (checkpoint, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_version ON tags (version);

-- hash = SHA-256 of the JSON array [prev_hash, seq, at, action, actor_id, actor_name, address, subject,
-- revision, outcome, details], absent values null, details as the text that is stored here.
CREATE TABLE audit (
  seq        INTEGER PRIMARY KEY,
  at         TEXT NOT NULL,
  action     TEXT NOT NULL,
  actor_id   TEXT,
  actor_name TEXT,
  address    TEXT,
  subject    TEXT,
  revision   TEXT,
  outcome    TEXT NOT NULL,
  details    TEXT,
  prev_hash  TEXT NOT NULL,
  hash       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);

-- The last entry's number and hash, and their HMAC when a key is configured.
CREATE TABLE audit_head (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  seq  INTEGER NOT NULL,
  hash TEXT NOT NULL,
  mac  TEXT
) STRICT;
INSERT INTO audit_head (id, seq, hash, mac)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', NULL);
