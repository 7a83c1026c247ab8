"""The console: server-rendered pages that say what the fleet does, and why something was not done.

`billfleet console` and `billfleet up` serve it, `billfleet top` shows the same picture in a
terminal. `watching` reads queues and processes in the background into a `Picture`; pages read that
picture and the database, and never ask AWS for figures. Actions go through `replay`, like those of
the command, and are written down before they begin.
"""
