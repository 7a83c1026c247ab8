-- Exactly what the workers do, and nothing else. Where only some columns may be written, the rest
-- (the ledger's ids, times and transactions; an attempt's key and body) is true by privilege.
GRANT USAGE ON SCHEMA customer, business, billing, fleet TO billfleet_app;

GRANT SELECT, INSERT, UPDATE ON business.tenants, business.plans, customer.customers, billing.accounts
  TO billfleet_app;

GRANT SELECT ON billing.ledger_accounts, billing.transfers, billing.seals TO billfleet_app;
GRANT INSERT (tenant_id, kind, account_id, currency) ON billing.ledger_accounts TO billfleet_app;
GRANT INSERT (tenant_id, transfer_key, kind, account_id, period_start, debit_id, credit_id,
              amount_minor, currency, reverses, reason, work_id)
  ON billing.transfers TO billfleet_app;
GRANT INSERT (tenant_id, seal_no, first_transfer_id, last_transfer_id, last_xact, rows,
              previous_hash, hash)
  ON billing.seals TO billfleet_app;

GRANT SELECT, INSERT ON billing.bills, billing.attempts TO billfleet_app;
GRANT UPDATE (state, attempts_made, next_attempt_at, first_failed_at, collection_note, paid_at)
  ON billing.bills TO billfleet_app;
GRANT UPDATE (state, gateway_reference, decline_code, decline_kind, error, leased_until, lease_token,
              checks_made, next_check_at, concluded_at)
  ON billing.attempts TO billfleet_app;
GRANT SELECT, INSERT ON billing.gateway_events, billing.refusals TO billfleet_app;

GRANT SELECT, INSERT, DELETE ON fleet.outbox TO billfleet_app;
GRANT UPDATE (sent_at, refusals, refused, try_at) ON fleet.outbox TO billfleet_app;

RESET ROLE;

GRANT SELECT ON public.alembic_version TO billfleet_app;
