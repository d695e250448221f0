"""The first station of a lead: the user's own tables, read, checked and brought to canonical form."""
