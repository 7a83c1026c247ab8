"""The pages, one module a subject: each has `routes`, its templates are of the same name.

They read the picture and the database, and call `acting`; they hold no state of their own.
"""
