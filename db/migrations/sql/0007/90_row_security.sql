SET LOCAL ROLE billfleet_owner;

-- Workers serve all tenants, so their role sees every row; the front door's sees one tenant's.
DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY[
    'business.tenants', 'business.plans', 'customer.customers', 'customer.avatars',
    'billing.accounts', 'billing.ledger_accounts', 'billing.transfers', 'billing.bills',
    'billing.attempts', 'billing.refusals', 'fleet.outbox', 'fleet.deliveries', 'fleet.idempotency',
    'fleet.files', 'fleet.webhook_endpoints', 'fleet.webhook_deliveries'] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('CREATE POLICY every_tenant ON %s TO billfleet_app USING (true)', guarded);
    EXECUTE format($p$CREATE POLICY one_tenant ON %s TO billfleet_gateway
      USING (tenant_id = (SELECT current_setting('billfleet.tenant', true)))$p$, guarded);
  END LOOP;
END
$$;

-- Loyalty's policy lets a session that names '*' see all: not this one.
DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['programmes', 'programme_rules', 'rewards', 'cards', 'transactions',
                                 'lots', 'movements', 'vouchers'] LOOP
    EXECUTE format($p$CREATE POLICY never_all_tenants ON loyalty.%I AS RESTRICTIVE
      TO billfleet_gateway
      USING (tenant_id = (SELECT current_setting('billfleet.tenant', true)))$p$, guarded);
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON fleet.api_keys TO billfleet_app;
GRANT SELECT, INSERT, DELETE, UPDATE ON fleet.webhook_endpoints, fleet.webhook_secrets,
  fleet.webhook_deliveries TO billfleet_app;
GRANT SELECT ON fleet.idempotency TO billfleet_app;
GRANT SELECT, INSERT ON fleet.webhook_attempts, customer.avatars TO billfleet_app;

GRANT USAGE ON SCHEMA customer, business, billing, fleet, loyalty TO billfleet_gateway;
GRANT EXECUTE ON FUNCTION fleet.find_api_key(text), fleet.prune_idempotency(timestamptz, integer)
  TO billfleet_gateway;
GRANT SELECT ON business.tenants, business.plans, billing.ledger_accounts, billing.transfers,
  billing.bills, billing.refusals, customer.avatars, fleet.webhook_deliveries, fleet.files TO billfleet_gateway;
GRANT SELECT (delivery_id, at, event_id, tenant_id, outcome, note, error_class)
  ON fleet.deliveries TO billfleet_gateway;
GRANT SELECT (tenant_id, account_id, period_start, attempt_no, gateway, amount_minor, currency,
              state, decline_code, decline_kind, work_id, created_at, concluded_at)
  ON billing.attempts TO billfleet_gateway;
GRANT SELECT, INSERT ON customer.customers, billing.accounts TO billfleet_gateway;
GRANT SELECT, INSERT ON fleet.outbox TO billfleet_gateway;
GRANT SELECT, INSERT ON fleet.idempotency TO billfleet_gateway;
GRANT UPDATE (status, answer, location) ON fleet.idempotency TO billfleet_gateway;
GRANT SELECT ON loyalty.programmes, loyalty.programme_rules, loyalty.cards, loyalty.lots,
  loyalty.transactions, loyalty.vouchers TO billfleet_gateway;

RESET ROLE;
