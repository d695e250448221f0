"""The records of one model of Tryton: their fields, finding them, and changing them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.destinations.base import Fatal, Refused, Value
from pipeline.destinations.tryton_fields import Field
from pipeline.destinations.tryton_rpc import Server

BATCH = 500
_ORDER = [["id", "ASC"]]  # the model's own could mean sorting all of it
_LONGEST = 9  # digits of a number that every database can hold as an integer
Found = dict[str, Any]


class Model:
    """A model, as "sale.opportunity".

    Parameters
    ----------
    key
        The field that identifies a record.
    names
        The fields that are to be read and written.
    """

    def __init__(self, server: Server, name: str, key: str, names: Sequence[str]) -> None:
        self.server, self.name, self.key, self.names = server, name, key, names
        self._fields: dict[str, Field] = {}

    def missing(self) -> list[str]:
        """Ask for the fields and the rights to them, and return the names of fields that are not there.

        Raises
        ------
        Problem
            `Fatal` if what there is cannot be read or written.
        """
        definitions = self._look("fields_get", list({self.key, *self.names}))
        self._fields = {name: Field.of(definition) for name, definition in definitions.items()}
        self._check_types()
        there = [name for name in self.names if name in self._fields]
        if not self._look("search_read", [], 0, 1, _ORDER, ["id", "_timestamp", self.key, *there]):
            raise Fatal(
                f"Tryton's user {self.server.user!r} sees no record of {self.name}.",
                todo="give that user the company that the records are of",
            )
        self._look("write", [], dict.fromkeys(there))  # to no record: it asks for nothing but the right
        return [name for name in self.names if name not in self._fields]

    def find(self, keys: Sequence[str], names: Sequence[str]) -> dict[str, list[Found]]:
        """Return the records of each key that has any, with ``id`` and the fields of `names`.

        They are searched for, not read: one record that is not there would be an error for all. Inactive
        ones count as not there.
        """
        if not self._fields:
            self._check()
        found: dict[str, list[Found]] = defaultdict(list)
        for start in range(0, len(keys), BATCH):
            domain = [[self.key, "in", self._sought(keys[start : start + BATCH])]]
            try:
                records = self._call("search_read", domain, 0, None, _ORDER, list({"id", self.key, *names}))
            except Refused as problem:
                self._check()
                raise Fatal(problem.text) from None
            for record in records:
                found[str(record[self.key])].append(record)
        return dict(found)

    def change(self, records: Sequence[tuple[Found, Found]]) -> None:
        """Write encoded values to records as they were found, with ``_timestamp``: all, or none at all.

        Raises
        ------
        Problem
            `Retriable` if somebody has changed one of them since, `Refused` if one refuses its values.
        """
        pairs = [part for record, values in records for part in ([record["id"]], values)]
        stamps = {f"{self.name},{record['id']}": record["_timestamp"] for record, _ in records}
        try:
            self._call("write", *pairs, context={"_timestamp": stamps})
        except Refused:
            self._check()  # a right that was taken away looks like a value that is refused
            raise

    def encode(self, values: Mapping[str, Value]) -> Found:
        """Return values as they go over the wire. Raises ValueError, for people, if one does not fit."""
        encoded = {}
        for name, value in values.items():
            try:
                encoded[name] = self._fields[name].encode(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return encoded

    def decode(self, record: Found) -> dict[str, Value]:
        """Return the values of the model's fields in a record that was found."""
        return {name: self._fields[name].decode(record[name]) for name in self.names}

    def kind(self, name: str) -> str:
        """Return the type of a field that is there, as "integer"; empty if it is not."""
        return self._fields[name].kind if name in self._fields else ""

    def _check(self) -> None:
        absent = self.missing()
        if absent:
            raise Fatal(
                f"{self.name} has no fields {', '.join(absent)} (any more).",
                todo="see whether Tryton's module with these fields is still activated",
            )

    def _check_types(self) -> None:
        if self.kind(self.key) not in ("integer", "char", "text"):
            what = self.kind(self.key) or "none that is there"
            raise Fatal(
                f"The field {self.key!r} identifies no record: its type is {what}.", todo="correct `key`"
            )
        useless = [name for name in self.names if name in self._fields and not self._fields[name].usable]
        if useless:
            kinds = ", ".join(f"{name} ({self.kind(name)})" for name in useless)
            raise Fatal(f"Fields are of a type that holds no score: {kinds}.", todo="map to other fields")

    def _sought(self, keys: Sequence[str]) -> list[str] | list[int]:
        """Return keys as the database holds them, without those that no record can have."""
        if self.kind(self.key) != "integer":
            return list(keys)
        numbers = [key for key in keys if key.isascii() and key.isdigit() and len(key) <= _LONGEST]
        return [int(key) for key in numbers if str(int(key)) == key]  # or "7" and "07" would be one record

    def _call(self, method: str, *params: Any, context: Found | None = None) -> Any:
        return self.server.call(f"model.{self.name}.{method}", *params, context=context)

    def _look(self, method: str, *params: Any) -> Any:
        return self.server.look(f"model.{self.name}.{method}", *params)
