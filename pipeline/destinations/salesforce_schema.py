"""The fields of leads and contacts of Salesforce: as this user sees them, and created where they lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pipeline.destinations.base import Fatal, Kind, Value
from pipeline.destinations.http import Api
from pipeline.destinations.salesforce_answers import codes
from pipeline.destinations.salesforce_fields import OBJECTS, by_hand, check, definition, object_of, rendered


class Schema:
    """The mapped fields of both objects, as they were found when first asked for.

    Parameters
    ----------
    base
        Where the API of a version is, as ``/services/data/v62.0``.
    columns
        By field: the column that is written to it.
    permission_set
        Is let read and write new fields, which nobody sees otherwise; None: a person sees to that.
    """

    def __init__(
        self, api: Api, base: str, columns: Mapping[str, str], permission_set: str | None = None
    ) -> None:
        self.api, self.base, self.columns, self.permission_set = api, base, columns, permission_set

    @cached_property
    def there(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """By object and name, the fields that this user sees. Raises `Fatal` if it may not write them."""
        found = {}
        for kind in OBJECTS.values():
            answer = self.api.ask_object("GET", f"{self.base}/sobjects/{kind}/describe")
            if not answer.get("updateable"):
                raise Fatal(f"This user may not write a {kind}.", todo="give its permission set edit access")
            found[kind] = {
                field["name"]: field for field in answer.get("fields", []) if field["name"] in self.columns
            }
        for kind, fields in found.items():
            for name, field in fields.items():
                check(field, f"{kind}.{name}", self.columns[name])
        return found

    def lacking(self) -> dict[str, list[str]]:
        """Return the objects that lack a field, by the field."""
        return {
            name: kinds
            for name in self.columns
            if (kinds := [kind for kind in OBJECTS.values() if name not in self.there[kind]])
        }

    def values(self, identifier: str, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return a row's values as the fields of its object take them."""
        there = self.there[object_of(identifier)]
        return {name: rendered(value, there.get(name, {})) for name, value in values.items()}

    def create(self, fields: Mapping[str, Kind]) -> None:
        """Create fields on the objects that lack them. Raises `Fatal` with what a person has to do."""
        wanted = {
            f"{one}.{name}": kind for name, kind in fields.items() for one in self.lacking().get(name, [])
        }
        for where, kind in wanted.items():
            response = self.api.request(
                "POST", f"{self.base}/tooling/sobjects/CustomField", json=definition(where, kind)
            )
            there = "DUPLICATE_DEVELOPER_NAME" in {code for code, _ in codes(response)}
            if response.status_code >= 400 and not there:
                raise Fatal(
                    f"Salesforce does not create {where}{self.api.said(response)}",
                    todo=f"create by hand, in Setup, Object Manager: {by_hand(wanted)}",
                )
        if self.permission_set and wanted:
            self._permit(list(wanted))
        self.__dict__.pop("there", None)
        hidden = [
            f"{kind}.{name}" for name, kinds in self.lacking().items() for kind in kinds if name in fields
        ]
        if hidden:
            names = ", ".join(hidden)
            raise Fatal(
                "The fields are there, but field-level security hides them from this user.",
                todo=f"let its permission set read and edit {names}, or name that as permission_set and run "
                "this again; and let whoever is to see the scores read them",
            )

    def _permit(self, fields: Sequence[str]) -> None:
        query = f"SELECT Id FROM PermissionSet WHERE Name = '{self.permission_set}'"
        found = self.api.ask_object("GET", f"{self.base}/query", params={"q": query}).get("records")
        if not found:
            raise Fatal(f"There is no permission set '{self.permission_set}'.", todo="give its API name")
        may = {"ParentId": found[0]["Id"], "PermissionsRead": True, "PermissionsEdit": True}
        for field in fields:
            wanted = {**may, "SobjectType": field.partition(".")[0], "Field": field}
            # Refused if it was given before; whether it is there now is looked at by the caller.
            self.api.request("POST", f"{self.base}/sobjects/FieldPermissions", json=wanted)
