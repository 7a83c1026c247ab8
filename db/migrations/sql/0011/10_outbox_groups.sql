-- The relay asks of each waiting row of a FIFO queue whether an older one of its group waits too.
SET LOCAL ROLE billfleet_owner;

-- It may be there: ops/guides/upgrading.md says how to build it before, without holding up writers.
CREATE INDEX IF NOT EXISTS ix_outbox_unsent_group ON fleet.outbox (route_name, group_id, outbox_id)
  WHERE sent_at IS NULL AND route_name LIKE '%.fifo';

RESET ROLE;
