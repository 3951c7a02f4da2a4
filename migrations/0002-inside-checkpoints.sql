-- Sidecars are a kind of their own. A CHECK can't be altered, so the table is made anew (the runner has foreign keys
-- off meanwhile, and checks them before it commits).

CREATE TABLE new_blobs (
  id         INTEGER PRIMARY KEY,
  sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  size       INTEGER NOT NULL CHECK (size >= 0),
  kind       TEXT NOT NULL CHECK (kind IN ('safetensors', 'index', 'sidecar')),
  chunk_size INTEGER NOT NULL CHECK (chunk_size > 0),
  vault_id   TEXT NOT NULL UNIQUE,
  state      TEXT NOT NULL CHECK (state IN ('sealed', 'quarantined')),
  metadata   TEXT NOT NULL,
  tensors    INTEGER NOT NULL,
  parameters INTEGER NOT NULL,
  -- Whether its tensors have their statistics: those admitted before there were any don't.
  has_statistics INTEGER NOT NULL DEFAULT 0 CHECK (has_statistics IN (0, 1)),
  sealed_at  TEXT NOT NULL
) STRICT;
INSERT INTO new_blobs (id, sha256, size, kind, chunk_size, vault_id, state, metadata, tensors, parameters, sealed_at)
SELECT id, sha256, size, kind, chunk_size, vault_id, state, metadata, tensors, parameters, sealed_at FROM blobs;
DROP TABLE blobs;
ALTER TABLE new_blobs RENAME TO blobs;

-- Nine float64, little-endian: counts of NaN, +Inf, -Inf and zeros; min, max, mean, largest magnitude, L2 norm. NaN
-- stands for a value that there isn't. Null for dtypes that have no statistics.
ALTER TABLE tensors ADD COLUMN statistics BLOB CHECK (length(statistics) = 72);

-- Of all that the row says, and of its blob's SHA-256 (db/row-digest.ts): a row that was altered shows when it is read.
ALTER TABLE tensors ADD COLUMN row_digest BLOB CHECK (length(row_digest) = 16);
UPDATE tensors SET row_digest = unhex(tensor_row_digest(
  (SELECT lower(hex(b.sha256)) FROM blobs b WHERE b.id = tensors.blob),
  name, dtype, shape, begin, "end", lower(hex(sha256)), statistics));

-- What an owner (name is '') or a checkpoint, which needn't exist yet, asks of its versions. rules is a JSON object.
-- serial grows with every change, whichever policy changes.
CREATE TABLE policies (
  owner      TEXT NOT NULL COLLATE NOCASE,
  name       TEXT NOT NULL COLLATE NOCASE,
  rules      TEXT NOT NULL,
  serial     INTEGER NOT NULL UNIQUE,
  changed_at TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;

-- What moved a tag: entries of the tag's own, and for `latest`, which the server moves, those of its checkpoint. Among
-- all entries of a subject the downloads are the most by far, and in neither of these.
CREATE INDEX audit_of_tags ON audit (subject, seq) WHERE action = 'tag';
CREATE INDEX audit_of_latest ON audit (substr(subject, 1, instr(subject, '@') - 1), seq)
WHERE action IN ('publish', 'withdraw');
