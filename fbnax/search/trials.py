"""Trials of a search in `trials.sqlite`: each is recorded as it ends.

The file is in SQLite's WAL mode; what one call records is one transaction,
synced to the disk, so a kill loses at most the trials that had not ended. The
log is emptied into the file after each, since SQLite reads a damaged log up to
the damage and says nothing. One process writes at a time
(`jobs.runtime.workdir` sees to it), any may read. A table of decisions holds
what a search settles once ("early_stop", the genotypes of a round), so that a
restarted search does the same again.

SQLite checks its own structure, not the values in it, so each row carries a
SHA-256 of what it holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fbnax.base.json_values import to_json
from fbnax.training.agreeing import by_first

VERSION = 2
STATUSES = ("done", "failed")
# Errors that are about the place the file is in, not about what it holds.
_REFUSED = (
  sqlite3.SQLITE_PERM,
  sqlite3.SQLITE_BUSY,
  sqlite3.SQLITE_LOCKED,
  sqlite3.SQLITE_READONLY,
  sqlite3.SQLITE_IOERR,
  sqlite3.SQLITE_FULL,
  sqlite3.SQLITE_CANTOPEN,
)
_HEADER = 100  # Bytes.
_SCHEMA = """
CREATE TABLE trials (
  id INTEGER PRIMARY KEY, round INTEGER NOT NULL, genotype TEXT NOT NULL,
  macs REAL, params REAL, predicted REAL, curve TEXT NOT NULL, accuracy REAL,
  log_loss REAL, epochs REAL NOT NULL, seconds REAL NOT NULL,
  status TEXT NOT NULL, error TEXT, recipe TEXT, architecture TEXT,
  seed INTEGER, losses TEXT NOT NULL, sha256 TEXT NOT NULL
);
CREATE TABLE decisions (
  key TEXT PRIMARY KEY, value TEXT NOT NULL, sha256 TEXT NOT NULL
);
"""


@dataclasses.dataclass(frozen=True)
class Trial:
  """One candidate that was trained, or failed to be.

  Attributes:
    id: 0, 1, 2 …, given by the search, so that a restarted one gives the same.
    round: of the search; its table of decisions says what was planned in it.
    genotype: int[D], value indices.
    macs: multiply-accumulates of one image.
    params: trainable numbers.
    predicted: accuracy the predictor gave before the trial; None if none did.
    curve: accuracy after each evaluation during training, 0 .. 1.
    accuracy: the last of them; None if it failed or was no number.
    log_loss: cross entropy on the validation set in nats.
    epochs: trained; fewer than planned if it was stopped early.
    seconds: wall clock, its share where many trained side by side.
    status: "done" or "failed".
    error: of a failed trial.
    recipe: JSON (`Recipe.to_json`).
    architecture: JSON (`Architecture.to_json`).
    seed: of its training.
    losses: log-loss after each evaluation during training, nats; empty where
      the evaluator does not know it.
  """

  id: int
  round: int
  genotype: tuple[int, ...]
  macs: float | None = None
  params: float | None = None
  predicted: float | None = None
  curve: tuple[float | None, ...] = ()
  accuracy: float | None = None
  log_loss: float | None = None
  epochs: float = 0
  seconds: float = 0
  status: str = "done"
  error: str | None = None
  recipe: str | None = None
  architecture: str | None = None
  seed: int | None = None
  losses: tuple[float | None, ...] = ()


_FIELDS = tuple(field.name for field in dataclasses.fields(Trial))
_JSON = ("genotype", "curve", "losses")


@dataclasses.dataclass(frozen=True)
class TrialStore:
  """The trials and decisions of one search; `open_store` makes it."""

  path: Path
  connection: sqlite3.Connection

  def record(self, trials: Sequence[Trial]) -> None:
    """Records all of them or, if it fails, none.

    A failed trial may be recorded again, when it was tried again.

    Raises:
      ValueError: a status that is not legal, or a trial that is done already.
      OSError: the file could not be written; what it held is in it.
    """
    rows = []
    for trial in trials:
      if trial.status not in STATUSES:
        raise ValueError(
          f"trial {trial.id}: status={trial.status!r}; legal: {STATUSES}"
        )
      rows.append(_row(trial))
    marks = ", ".join("?" * (len(_FIELDS) + 1))
    with self._transaction():
      for trial, row in zip(trials, rows, strict=True):
        row_before = self.connection.execute(
          "SELECT status FROM trials WHERE id = ?", (trial.id,)
        ).fetchone()
        if row_before == ("done",):
          raise ValueError(
            f"{self.path}: trial {trial.id} is recorded as done already"
          )
        self.connection.execute(
          f"INSERT OR REPLACE INTO trials VALUES ({marks})", row
        )

  def all(self) -> list[Trial]:
    """Every trial, ordered by id.

    Raises:
      ValueError: a row is not what was recorded.
    """
    with _naming(self.path):
      rows = self.connection.execute(
        f"SELECT {', '.join(_FIELDS)}, sha256 FROM trials ORDER BY id"
      ).fetchall()
    trials = []
    for *values, digest in rows:
      if _digest(values) != digest:
        raise ValueError(_damaged(self.path, f"trial {values[0]} was altered"))
      fields = dict(zip(_FIELDS, values, strict=True))
      for name in _JSON:
        fields[name] = tuple(json.loads(fields[name]))
      trials.append(Trial(**fields))
    return trials

  def decide(self, key: str, value: Any) -> Any:
    """Settles a question once: the first value stands.

    Args:
      key: "early_stop", "plan/round 2", ….
      value: what JSON can say; taken only if nothing is decided yet.

    Returns:
      What is decided, as JSON gives it back (lists, no tuples).

    Raises:
      OSError: the file could not be written.
    """
    text = to_json(value)
    with self._transaction():
      self.connection.execute(
        "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?)",
        (key, text, _digest([key, text])),
      )
    return self.decisions()[key]

  def settled(self, key: str, make: Callable[[], Any]) -> Any:
    """What is decided, or else what `make` gives, which then is.

    Of several processes the first one makes it: on another kind of machine the
    same numbers may round otherwise, and decide otherwise.

    Raises:
      OSError: the file could not be written.
    """
    decisions = self.decisions()
    if key in decisions:
      return decisions[key]
    value, _ = by_first(lambda: (make(), {}))
    return self.decide(key, value)

  def decisions(self) -> dict[str, Any]:
    """All that is decided, in the order in which it was.

    Raises:
      ValueError: a row is not what was recorded.
    """
    with _naming(self.path):
      rows = self.connection.execute(
        "SELECT key, value, sha256 FROM decisions ORDER BY rowid"
      ).fetchall()
    for key, text, digest in rows:
      if _digest([key, text]) != digest:
        raise ValueError(_damaged(self.path, f"decision {key!r} was altered"))
    return {key: json.loads(text) for key, text, _ in rows}

  def close(self) -> None:
    """Closes the file; nothing waits to be written."""
    self.connection.close()

  def __enter__(self) -> TrialStore:
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  @contextmanager
  def _transaction(self) -> Iterator[None]:
    with _naming(self.path):
      self.connection.execute("BEGIN IMMEDIATE")
      try:
        yield
        self.connection.execute("COMMIT")
      except BaseException:
        # A full disk may have rolled it back already.
        if self.connection.in_transaction:
          self.connection.execute("ROLLBACK")
        raise
      _empty_log(self.connection)


def open_store(path: str | Path) -> TrialStore:
  """Opens the store, or begins one.

  Raises:
    ValueError: the file is damaged, of another version, or no store of trials.
    OSError: it cannot be opened or written.
  """
  path = Path(path)
  with _naming(path):
    # SQLite takes a file of one byte for a new one, as an empty file is.
    if path.is_file() and 0 < path.stat().st_size < _HEADER:
      raise ValueError(_damaged(path, f"it has {path.stat().st_size} bytes"))
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    # What is no text any more is to be found by its digest, not by a crash.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
      store = TrialStore(path, connection)
      _check(store)
      connection.execute("PRAGMA journal_mode = WAL")
      connection.execute("PRAGMA synchronous = FULL")
      if not connection.execute("PRAGMA user_version").fetchone()[0]:
        _create(connection)
      _empty_log(connection)
      store.all()
      store.decisions()
    except BaseException:
      connection.close()
      raise
  return store


def is_empty(path: str | Path) -> bool:
  """Whether no trial is recorded in a store, or there is none."""
  path = Path(path)
  if not path.exists() or not path.stat().st_size:
    return True
  try:
    connection = sqlite3.connect(path)
    with contextlib.closing(connection):
      row = connection.execute("SELECT id FROM trials LIMIT 1").fetchone()
  except sqlite3.DatabaseError:  # Damaged, or another program's.
    return False
  return row is None


def _check(store: TrialStore) -> None:
  rows = store.connection.execute("PRAGMA integrity_check").fetchall()
  if rows != [("ok",)]:
    raise ValueError(_damaged(store.path, rows[0][0]))
  version = store.connection.execute("PRAGMA user_version").fetchone()[0]
  tables = store.connection.execute("SELECT name FROM sqlite_master").fetchall()
  if version != VERSION and (version or tables):
    raise ValueError(
      f"{store.path}: schema version {version}; legal: {VERSION}. It was"
      " written by another version of fbnax or by another program: choose"
      " another work directory"
    )


def _create(connection: sqlite3.Connection) -> None:
  # executescript would commit what it finds open; the version comes last, in
  # the same transaction.
  connection.execute("BEGIN IMMEDIATE")
  for statement in _SCHEMA.split(";"):
    connection.execute(statement)
  connection.execute(f"PRAGMA user_version = {VERSION}")
  connection.execute("COMMIT")


def _empty_log(connection: sqlite3.Connection) -> None:
  """Writes the log into the file; the next one does where somebody reads."""
  (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
  connection.execute("PRAGMA busy_timeout = 0")
  try:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
  finally:
    connection.execute(f"PRAGMA busy_timeout = {patience}")


def _row(trial: Trial) -> list[Any]:
  values = [getattr(trial, name) for name in _FIELDS]
  row = []
  for name, value in zip(_FIELDS, values, strict=True):
    value = json.loads(to_json(value))  # No NumPy scalars, no NaN.
    row.append(to_json(value) if name in _JSON else value)
  # SQLite gives the columns that are REAL back as floats.
  for name in ("macs", "params", "predicted", "accuracy", "log_loss"):
    i = _FIELDS.index(name)
    row[i] = None if row[i] is None else float(row[i])
  for name in ("epochs", "seconds"):
    i = _FIELDS.index(name)
    row[i] = float(row[i] or 0)
  return [*row, _digest(row)]


def _digest(values: Sequence[Any]) -> str:
  return hashlib.sha256(to_json(list(values)).encode()).hexdigest()


def _damaged(path: Path, what: str) -> str:
  return (
    f"{path}: damaged: {what}. Save what is left with `sqlite3 {path} .recover`"
    " or move the file away; the same command then begins the search anew"
  )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
  """SQLite's errors, with the path and what they mean."""
  try:
    yield
  except sqlite3.DatabaseError as error:
    # The low byte is the kind, the others say more of it.
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _REFUSED:
      raise OSError(
        f"{path}: {error}; what was recorded before is still there"
      ) from error
    if isinstance(error, sqlite3.IntegrityError):
      raise ValueError(f"{path}: {error}") from error
    raise ValueError(_damaged(path, str(error))) from error
  except UnicodeDecodeError as error:  # Of SQLite's own words on the damage.
    raise ValueError(_damaged(path, str(error))) from error
