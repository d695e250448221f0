"""A module of Tryton for tests: score fields for leads, and ways to refuse what is written to them.

Only a server started by the tests imports it; being an extension of Tryton, it may be used under Tryton's
own licence, GPL-3 or later.
"""
