"""The commands of `billfleet`, one module each; `cli` assembles them."""
