"""The figures of each part of the report, drawn from what its section found."""
