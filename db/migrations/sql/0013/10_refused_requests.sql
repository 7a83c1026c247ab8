-- Bills that the gateway refused to charge are counted every few seconds, beside attempts for a human.
SET LOCAL ROLE billfleet_owner;

-- It may be there: ops/guides/upgrading.md says how to build it before, without holding up writers.
CREATE INDEX IF NOT EXISTS ix_bills_refused ON billing.bills (tenant_id, account_id)
  WHERE state = 'open' AND collection_note = 'refused_request';

RESET ROLE;
