-- Bills that the gateway refused to charge are counted every few seconds, beside attempts for a human.
SET LOCAL ROLE billfleet_owner;

CREATE INDEX ix_bills_refused ON billing.bills (tenant_id, account_id)
  WHERE state = 'open' AND collection_note = 'refused_request';

RESET ROLE;
