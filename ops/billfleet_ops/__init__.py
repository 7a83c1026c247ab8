"""The command line of billfleet, the embedded stack, and what operating the fleet needs."""
